"""The files beside its YAML by which a pipeline is judged: modules, jobs, suites. By their paths alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sluicegate.pipeline.model import LoadStep, OperatorStep, Pipeline, PythonStep, SparkStep, TransformStep

__all__ = ["needs"]

_REFERENCE = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*")


def needs(pipeline: Pipeline) -> frozenset[str]:
    """Paths relative to the dags root; not all of them need exist."""
    found = set(_callables(pipeline.dag))
    for step in pipeline.steps.values():
        match step:
            case TransformStep() | PythonStep():
                found |= set(_modules(step.function.partition(":")[0]))
            case OperatorStep():
                found |= {*_modules(step.operator.rpartition(".")[0]), *_callables(step.with_)}
            case SparkStep():
                found |= {job.path for job in step.jobs if "://" not in job.path}
            case LoadStep():
                found |= {step.suite} if step.suite else set()
    return frozenset(found)


def _modules(name: str) -> tuple[str, str]:
    path = name.replace(".", "/")
    return f"{path}.py", f"{path}/__init__.py"


def _callables(value: object) -> Iterator[str]:
    """The modules of all texts that look like `module:function`."""
    if isinstance(value, str):
        if match := _REFERENCE.fullmatch(value):
            yield from _modules(match[1])
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _callables(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _callables(item)
