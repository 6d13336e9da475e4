"""The files beside its YAML by which a pipeline is judged: modules, jobs, suites. By their paths alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sluicegate.pipeline.keys.model import LoadStep, OperatorStep, Pipeline, PythonStep, SparkStep, TransformStep

__all__ = ["imports", "needs"]

_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*|[^#\n]+)|import[ \t]+([^#\n]+))", re.MULTILINE
)
_NAME = re.compile(r"[\w.]+")
_REFERENCE = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*")


def needs(pipeline: Pipeline) -> frozenset[str]:
    """Paths relative to the dags root; not all of them need exist."""
    found = set(_named(pipeline.dag))
    if (timetable := pipeline.schedule.timetable) is not None:
        found |= {*_modules(timetable.rpartition(".")[0]), *_named(pipeline.schedule.with_)}
    for step in pipeline.steps.values():
        match step:
            case TransformStep() | PythonStep():
                found |= set(_modules(step.function.partition(":")[0]))
            case OperatorStep():
                found |= {*_modules(step.operator.rpartition(".")[0]), *_named(step.with_)}
            case SparkStep():
                found |= {path for path in step.uploads if "://" not in path}
            case LoadStep():
                found |= {step.suite} if step.suite else set()
    return frozenset(found)


def imports(path: str, code: bytes) -> frozenset[str]:
    """The files that a module may import, relative to the same root; not all of them need exist.

    :param path: of the module, relative to the root
    """
    found: set[str] = set()
    for module, names, plain in _IMPORT.findall(code):
        if plain:
            for each in plain.decode().split(","):
                found |= {*_modules(match[0])} if (match := _NAME.search(each)) else set()
            continue
        base = _absolute(module.decode(), path)
        found |= {*_modules(base)} if base else set()
        for name in _NAME.findall(names.decode()):
            found |= {*_modules(f"{base}.{name}" if base else name)}
    return frozenset(found)


def _absolute(module: str, path: str) -> str:
    """The name of a module that may be written relative to the package of the one at `path`."""
    name = module.lstrip(".")
    if name == module:
        return name
    package = path.split("/")[: len(name) - len(module)]
    return ".".join([*package, name] if name else package)


def _modules(name: str) -> tuple[str, str]:
    path = name.replace(".", "/")
    return f"{path}.py", f"{path}/__init__.py"


def _named(value: object) -> Iterator[str]:
    """The modules of all texts that look like `module:function`, and of what `class:` names."""
    if isinstance(value, str):
        if match := _REFERENCE.fullmatch(value):
            yield from _modules(match[1])
    elif isinstance(value, Mapping):
        if isinstance(path := value.get("class"), str) and "." in path:
            yield from _modules(path.rpartition(".")[0])
        for item in value.values():
            yield from _named(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _named(item)
