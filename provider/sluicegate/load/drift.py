"""How a source's columns differ from those of its target, and what a load does about it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sluicegate.pipeline.keys.model import OnSchemaChange
from sluicegate.targets.target import Table

__all__ = ["Drift", "drift_of"]


@dataclass(frozen=True)
class Drift:
    """`added` and `ignored` are columns that the target lacked; `absent` those that the source lacks, and that keep
    what they have, or get their default.
    """

    added: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """JSON values: only what there is."""
        return {name: list(names) for name, names in vars(self).items() if names}

    def line(self) -> str:
        """`added column b; ignored column c`, empty without a drift."""
        words = {"added": "added to the table", "ignored": "not loaded", "absent": "not in the source"}
        return "; ".join(f"{words[name]}: {', '.join(map(repr, names))}" for name, names in vars(self).items() if names)


def drift_of(table: Table, names: Sequence[str], on_change: OnSchemaChange, unwritten: Collection[str]) -> Drift:
    """The drift of a source with the columns `names`.

    :param unwritten: columns that are read and not meant for the table.
    """
    if not table.exists:
        return Drift()
    new = tuple(name for name in names if name not in table.columns and name not in unwritten)
    absent = tuple(name for name, column in table.columns.items() if column.written and name not in names)
    added = new if on_change is OnSchemaChange.ADD_COLUMNS else ()
    return Drift(added, new if on_change is OnSchemaChange.IGNORE else (), absent)
