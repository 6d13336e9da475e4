"""How a load becomes one in Redshift and in its ledger, though no transaction spans both.

The transaction in Redshift has done all of its work, and waits; the ledger commits, with the journal of that work as
its intent; then Redshift commits. If that did not come about, the journal is carried out again. A mark in the same
transaction says whether it did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sluicegate.faults import FaultError
from sluicegate.targets.redshift import marks
from sluicegate.targets.redshift.connect import Cluster, RedshiftConnection
from sluicegate.targets.redshift.journal import again
from sluicegate.targets.redshift.place import RedshiftTable
from sluicegate.targets.redshift.staging import Staging

__all__ = ["RedshiftSwitch"]

_CHANGED = {"CONSTRAINT_VIOLATED", "SCHEMA_MISMATCH", "WAREHOUSE_ERROR"}
"""What a statement meets where somebody else has changed the table, or staged files are gone."""


class RedshiftSwitch:
    """Carries out journals. See `Switched`."""

    lost = "WAREHOUSE_BUSY"

    def __init__(self, cluster: Cluster, place: RedshiftTable, staging: Staging, application: str) -> None:
        self.uri = place.name
        self._cluster, self._place, self._staging, self._application = cluster, place, staging, application

    def switch(self, switch: Mapping[str, Any], require_lock: Callable[[], None]) -> bool:
        """Make sure that a load is in the table; False where that is not possible any more."""
        require_lock()
        with self._cluster.connect(self._application) as connection:
            marks.begin(connection, self._place)
            is_done = marks.is_applied(connection, self._place, switch["mark"])
            is_possible = is_done or _is_again(connection, switch["journal"])
            if is_possible and not is_done:
                require_lock()
                connection.commit()
            else:
                connection.rollback()
        self._staging.sweep()
        return is_possible


def _is_again(connection: RedshiftConnection, journal: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all of `journal` could be done again, with the same answers."""
    try:
        return again(connection, journal)
    except FaultError as failed:
        if failed.code not in _CHANGED:
            raise
        return False
