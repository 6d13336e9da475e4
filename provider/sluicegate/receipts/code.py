"""What code a step ran: the author's files that it has imported or named, and the packages that these use."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType

from sluicegate.pipeline.keys.model import PythonStep, SparkStep, Step, TransformStep
from sluicegate.receipts.document import short_digest

__all__ = ["files_of", "named_files", "packages_of", "version_of"]

ALWAYS = ("apache-airflow", "duckdb", "great-expectations", "psycopg", "pyarrow", "pyiceberg")
"""Packages that decide what becomes of records, beside our own."""
_MOST_FILES = 100
_MOST_BYTES = 4 << 20
"""Of a file whose content is looked at."""
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def version_of(package: str) -> str | None:
    """Of an installed package; None where there is none of that name."""
    return _installed().get(_normal(package))


@cache
def _installed() -> dict[str, str]:
    """All installed packages, by the names of their folders: to read what is in those takes milliseconds for each."""
    found: dict[str, str] = {}
    for place in reversed(sys.path):
        with suppress(OSError), os.scandir(place) as entries:
            names = (one.name.removesuffix(".dist-info") for one in entries if one.name.endswith(".dist-info"))
            found |= {_normal(name): version for name, dash, version in (one.rpartition("-") for one in names) if dash}
    return found


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def named_files(step: Step | None) -> Iterator[str]:
    """What a step names below the dags root: its function's module, jobs and what they bring along, its suite."""
    if isinstance(step, TransformStep | PythonStep):
        yield step.function.partition(":")[0].strip().replace(".", "/") + ".py"
    elif isinstance(step, SparkStep):
        for job in step.jobs:
            yield from (name for name in (job.path, *job.py_files, *job.jars, *job.files) if name and "://" not in name)
    if isinstance(suite := getattr(step, "suite", None), str):
        yield suite


def files_of(root: Path, named: Iterable[str]) -> dict[str, str]:
    """By path below `root`, a digest of each file that is named, and of each that this process has imported."""
    found: dict[str, str] = {}
    for place in (*(root / name for name in named), *(Path(file) for file, _ in _modules_below(root))):
        if len(found) >= _MOST_FILES:
            break
        try:
            if place.is_file() and place.stat().st_size <= _MOST_BYTES:
                found[place.relative_to(root).as_posix()] = short_digest(place.read_bytes())
        except (OSError, ValueError):
            continue
    return dict(sorted(found.items()))


def packages_of(root: Path | None, ours: str) -> dict[str, str]:
    """By name, the version of our own package, of those that always matter, and of those that code below `root` uses.

    :param ours: our own version
    """
    found = {name: version for name in ALWAYS if (version := version_of(name)) is not None}
    used: dict[str, str] = {}
    for name in sorted(_used_below(root)) if root is not None else ():
        if (version := version_of(name) or _said(sys.modules.get(name))) is not None:
            used[name] = version
    return {"sluicegate": ours, **found, **{name: used[name] for name in used if name.replace("_", "-") not in found}}


def _said(module: ModuleType | None) -> str | None:
    """What a module says of itself whose package has another name."""
    version = getattr(module, "__version__", None)
    return version if isinstance(version, str) and len(version) < 40 else None


def _used_below(root: Path) -> set[str]:
    """The first names of installed modules that the modules below `root` have taken in."""
    names: set[str] = set()
    modules = [module for _, module in _modules_below(root)]
    for module in modules:
        for value in list(vars(module).values()):
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(name, str) and _NAME.fullmatch(name):
                names.add(name.partition(".")[0])
    own = {module.__name__.partition(".")[0] for module in modules}
    return names - own - sys.stdlib_module_names - {"sluicegate"}


def _modules_below(root: Path) -> Iterator[tuple[str, ModuleType]]:
    """Modules of the author's with their files, as far as they are imported here."""
    prefix = f"{root}{os.sep}"
    for module in list(sys.modules.values()):
        file = getattr(module, "__dict__", {}).get("__file__")  # a lazy module would be asked for it, and imported
        if isinstance(file, str) and file.startswith(prefix) and "site-packages" not in file:
            yield file, module
