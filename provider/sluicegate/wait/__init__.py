"""Steps beside the work: waiting for other pipelines, DAGs and sources; listing files. Light to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluicegate.wait.files import FilesOperator
    from sluicegate.wait.sensor import SourceSensor, UpstreamSensor

__all__ = ["FilesOperator", "SourceSensor", "UpstreamSensor"]

_HOMES = {"FilesOperator": "files", "SourceSensor": "sensor", "UpstreamSensor": "sensor"}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
