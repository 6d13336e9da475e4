"""Tasks that Airflow expands at run time, one instance for each item: Airflow's own dynamic task mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator, XComArg
from airflow.sdk.definitions.mappedoperator import MappedOperator

from sluicegate.pipeline.keys.model import ForEach
from sluicegate.runtime.operator import with_item

__all__ = ["mapped"]

_LONGEST = 200
"""Characters of an item that the UI shows; Airflow stores no more than 250."""


def mapped(
    operator: type[BaseOperator], arguments: Mapping[str, Any], over: ForEach, items: XComArg | None
) -> MappedOperator:
    """A task that runs `operator` with `arguments` for each item, which its templates know as `item`.

    :param items: the upstream result that the items are; None where the file lists them
    """
    kind = with_item(operator)
    # Airflow calls the constructor when an instance runs: what it objects to has to show now.
    kind(**{name: value for name, value in arguments.items() if name != "task_group"})
    options: dict[str, Any] = {"map_index_template": over.label or _label(over)}
    if over.max_active is not None:
        options["max_active_tis_per_dagrun"] = over.max_active
    partial = kind.partial(**{**options, **arguments})
    return partial.expand(item=list(over.items or ()) if items is None else items)


def _label(over: ForEach) -> str:
    shown = "item.rpartition('/')[2]" if over.files is not None else "item | string"
    return f"{{{{ ({shown})[:{_LONGEST}] }}}}"
