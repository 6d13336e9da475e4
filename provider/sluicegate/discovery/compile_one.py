"""One pipeline read from its file, now, with nothing of the tree but what it reads from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from sluicegate.discovery.compiled import CompiledPipeline, Reading
from sluicegate.graph.datasets import as_read_by, upstream_names
from sluicegate.pipeline import Pipeline, PipelineErrors, read_together
from sluicegate.pipeline.diagnostics import Diagnostic
from sluicegate.pipeline.lookup import candidates, stems
from sluicegate.pipeline.text.environment import Environment

__all__ = ["compile_one", "compiled_of"]


def compile_one(name: str, root: Path, environment: Environment, near: str | None = None) -> CompiledPipeline:
    """The pipeline `name` as its file is now.

    :param near: the file that it was in before, relative to `root`: looked at first
    :raises PipelineErrors: when its file is not good, or there is none
    """
    known = stems(root)
    before = root / near if near is not None and (root / near).is_file() else None
    first: PipelineErrors | None = None
    for file in dict.fromkeys([*([before] if before else []), *candidates(name, known)]):
        try:
            together = read_together(file, root, known, environment, only=name)
        except PipelineErrors as errors:
            if file == before:
                raise
            first = first or errors  # it may be the file of another one, whose name only begins alike
            continue
        for pipeline in together.pipelines:
            if pipeline.name == name:
                return compiled_of(pipeline, together.upstreams, datetime.now(UTC))
    if first is not None:
        raise first
    raise PipelineErrors([Diagnostic("missing-pipeline", f"no file below the dags root makes `{name}`", root)], root)


def compiled_of(pipeline: Pipeline, others: Mapping[str, Pipeline], since: datetime) -> CompiledPipeline:
    """A good pipeline with what it reads from others.

    :param others: at least those that it reads from
    """
    names = sorted(name for name in upstream_names(pipeline) if name in others)
    read = (pipeline, *(others[name] for name in names))
    return CompiledPipeline(
        pipeline=pipeline,
        upstreams=as_read_by(pipeline, others),
        text=_text(pipeline.file),
        good_since=since,
        readings={each.path: Reading.of(each) for each in read},
    )


def _text(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""  # deleted since it was read: the next scan is of what is there then
