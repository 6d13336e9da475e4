"""Names of Redshift tables, and of what a load keeps beside them. Light to import."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from sluicegate.checks.sql import name_of
from sluicegate.targets.connection import parse_table, split_table

__all__ = ["RedshiftTable", "folded", "unusable_column"]

_BYTES = 127
_RESERVED = frozenset(
    {"oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "deletexid", "insertxid"}
)  # fmt: skip


def folded(name: str) -> str:
    """`name` as Redshift keeps it, also in quotes: letters of ASCII are made small."""
    return re.sub("[A-Z]+", lambda match: match[0].lower(), name)


def unusable_column(name: str) -> str | None:
    """Why no column can be called `name`, or None."""
    if folded(name) in _RESERVED:
        return "has the name of a system column, which each table of Redshift has already"
    size = len(name.encode("utf-8", "surrogatepass"))
    return f"has {size} bytes, and names of Redshift have at most {_BYTES}" if size > _BYTES else None


@dataclass(frozen=True)
class RedshiftTable:
    """A table by its Airflow connection, schema and name."""

    connection: str
    schema: str
    table: str

    @classmethod
    def at(cls, uri: str) -> RedshiftTable:
        """The table at `table://<connection>/<[schema.]table>`; without a schema it is in `public`."""
        connection, table = parse_table(uri)
        schema, name = split_table(table)
        return cls(connection, folded(schema or "public"), folded(name))

    @property
    def name(self) -> str:
        """By which the ledger and the lock know it."""
        return f"table://{self.connection}/{self.schema}.{self.table}"

    @property
    def quoted(self) -> str:
        return f"{name_of(self.schema)}.{name_of(self.table)}"

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.schema}.{self.table}".encode()).hexdigest()[:16]

    @property
    def applied(self) -> str:
        """The table of the load that was committed last."""
        return f"applied_{self.digest}"

    @property
    def deleted(self) -> str:
        """The table of what was deleted at a version."""
        return f"deleted_{self.digest}"
