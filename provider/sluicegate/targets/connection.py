"""What a target's URI says of a table in a database: the connection, the schema and the name."""

from __future__ import annotations

import re

from sluicegate.faults import fault
from sluicegate.targets.postgres.names import too_long

__all__ = ["parse_table", "split_table"]

_TABLE = re.compile(r"table://(?P<connection>[^/]+)/(?P<table>[^/]+)")
_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


def parse_table(uri: str, template: str | None = None) -> tuple[str, str]:
    """Connection id and `[schema.]table` of `table://<connection>/<[schema.]table>`.

    :param template: what `uri` was rendered from. What it fills in may name the table and not add a schema to it.
    :raises FaultError: WRONG_USE for any other place.
    """
    match = _TABLE.fullmatch(uri)
    if match is None:
        raise fault(
            "WRONG_USE", f"into: {uri!r} is not a table; a load goes into table://<connection>/<[schema.]table>"
        )
    table = match["table"]
    split_table(table)
    if template is not None and "." in table:
        written = _EXPRESSION.sub("", template).rpartition("/")[2]
        if "." not in written:
            raise fault(
                "WRONG_USE",
                f"into: {template} became the table {table!r}, which chooses a schema: only the pipeline file does; "
                "write the dot in the file (`table://warehouse/sales.{{ params.table }}`)",
            )
    return match["connection"], table


def split_table(table: str) -> tuple[str | None, str]:
    """Schema, if any, and name of `[schema.]table`.

    :raises FaultError: WRONG_USE when it is not one, or has a name that Postgres does not keep whole.
    """
    schema, dot, name = table.rpartition(".")
    if not name or (dot and not schema) or "." in schema:
        raise fault("WRONG_USE", f"{table!r} is not a table: write [schema.]table")
    for what, one in (("schema", schema), ("table", name)):
        if (why := too_long(one)) is not None:
            raise fault("WRONG_USE", f"the {what} {one!r} {why}: give it a shorter name")
    return schema or None, name
