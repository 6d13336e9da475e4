"""Waiting, in the triggerer, for steps of other pipelines, for other DAGs and for sources. Light to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluicegate.wait.sensor import SourceSensor, UpstreamSensor

__all__ = ["SourceSensor", "UpstreamSensor"]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in __all__:
        return getattr(import_module(f"{__name__}.sensor"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
