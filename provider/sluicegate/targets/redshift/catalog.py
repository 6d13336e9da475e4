"""What Redshift's catalogue says of a table."""

from __future__ import annotations

from sluicegate.checks.sql import literal, name_of
from sluicegate.faults import fault
from sluicegate.targets.redshift.connect import RedshiftConnection
from sluicegate.targets.redshift.dialect import RedshiftDialect
from sluicegate.targets.redshift.place import RedshiftTable, folded
from sluicegate.targets.target import Table, TableColumn

__all__ = ["STATE", "exists", "has_schema", "inspect"]

STATE = "sluicegate"
"""The schema with what loads keep beside the tables."""
_DIALECT = RedshiftDialect()
_KIND = """
SELECT c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = {schema} AND c.relname = {table}
"""
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE n.nspname = {schema} AND c.relname = {table} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


def inspect(connection: RedshiftConnection, place: RedshiftTable) -> Table:
    """:raises FaultError: SCHEMA_MISMATCH for what is not a table, or has columns that a load cannot name."""
    names = {"schema": literal(place.schema), "table": literal(place.table)}
    kinds = connection.execute(_KIND.format(**names))
    if not kinds:
        return Table(place.name, place.schema, place.table)
    if kinds[0][0] not in {"r", b"r"}:
        raise fault("SCHEMA_MISMATCH", f"{place.name} is not a table that records can be loaded into")
    columns = {}
    for name, type_, required, default in connection.execute(_COLUMNS.format(**names)):
        if folded(name) != name:
            raise fault(
                "SCHEMA_MISMATCH",
                f"{place.name} has the column {name!r}, which only a session with "
                "enable_case_sensitive_identifier can name, and a load is none: rename the column",
            )
        written = not str(default or "").startswith('"identity"')  # a default one may be given
        columns[str(name)] = TableColumn(
            _DIALECT.parse(str(type_)), bool(required) and written, not required or default is not None, written
        )
    return Table(place.name, place.schema, place.table, columns)


def exists(connection: RedshiftConnection, table: str) -> bool:
    """Whether the schema of what loads keep has the table."""
    return bool(connection.execute(_KIND.format(schema=literal(STATE), table=literal(table))))


def has_schema(connection: RedshiftConnection, schema: str) -> bool:
    return bool(connection.execute(f"SELECT 1 FROM pg_namespace WHERE nspname = {literal(schema)}"))


def values_query(place: RedshiftTable, column: str) -> str:
    text = f"CAST({name_of(column)} AS varchar(65535))"
    return f"SELECT DISTINCT {text} FROM {place.quoted} WHERE {name_of(column)} IS NOT NULL"
