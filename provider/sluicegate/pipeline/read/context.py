"""What every reader of a step has at hand: the dags root, datasets, clusters, and where diagnostics go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.model import Retries
from sluicegate.pipeline.read.datasets import Datasets
from sluicegate.pipeline.read.validate import shown
from sluicegate.pipeline.text.source import Report

__all__ = ["Raw", "Site", "check_file", "check_links"]

Raw = dict[str, Any]


@dataclass(frozen=True)
class Site:
    """Of one pipeline that is being read. `clusters` are as written, `retries` those of the pipeline."""

    root: Path
    datasets: Datasets
    clusters: Mapping[str, Any]
    retries: Retries
    report: Report


def check_file(path: str, where: Where, site: Site) -> None:
    """Note when there is no such file below the dags root."""
    file = site.root / path
    if not file.is_file():
        folder = file.parent
        there = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        meant = did_you_mean(file.name, there)
        message = f"there is no file {shown(path)} below the dags root"
        whole = str(Path(path).with_name(meant)) if meant else None
        site.report.error(where, "missing-file", message, suggestion=whole)


def check_links(path: str, where: Where, site: Site) -> None:
    """Note a link out of the dags root: what is there is not the pipelines' own. Of a folder, one in it."""
    root, found = site.root.resolve(), site.root / path
    inside = [each for each in found.rglob("*") if each.is_symlink()] if found.is_dir() else []
    for each in (found, *inside):
        if not each.resolve().is_relative_to(root):
            name = each.relative_to(site.root).as_posix() if each.is_relative_to(site.root) else path
            site.report.error(where, "missing-file", f"{shown(name)} leads out of the dags root")
            return
