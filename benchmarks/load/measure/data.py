"""The table that loads are measured with: ten columns, eight checks, one file for each state of the source."""

from __future__ import annotations

from pathlib import Path

from sluicegate.pipeline.keys.model import Check, Column

TYPES = {
    "id": "bigint", "customer": "integer", "qty": "integer", "price": "numeric(18,2)", "item": "text", "code": "text",
    "updated_at": "timestamptz", "day": "date", "score": "double precision", "note": "text",
}  # fmt: skip
ARROW = {
    "id": "int64", "customer": "int32", "qty": "int32", "item": "string", "code": "string",
    "updated_at": "timestamp[us]", "day": "date32", "score": "double", "note": "string",
}  # fmt: skip
"""What pyarrow calls them; a `numeric` has no name of its own."""
COLUMNS = {name: Column(type=type_) for name, type_ in TYPES.items()} | {
    "qty": Column(type="integer", required=True, between=(0, 100)),
    "code": Column(type="text", required=True, matches="^[A-Z]{2}$"),
    "price": Column(type="numeric(18,2)", required=True, between=(0, 1000)),
}
CHECKS = (Check(expectation="expect_column_values_to_not_be_null", kwargs={"column": "updated_at"}),)
CREATE = f"CREATE TABLE {{}} ({', '.join(f'{name} {type_}' for name, type_ in TYPES.items())}, PRIMARY KEY (id))"
NEWER = {"rows.csv": "0", "tenth.csv": "CASE WHEN i % 10 = 3 THEN 50000000 ELSE 0 END", "newer.csv": "50000000"}
"""By file, by how many seconds which of its rows are newer than the first file's."""


def write(folder: Path, rows: int) -> None:
    """The files of `NEWER`, `rows` records each, in random order."""
    import duckdb

    for name, later in NEWER.items():
        duckdb.execute(
            f"COPY (SELECT i AS id, i % 1000 AS customer, (i * 7) % 100 AS qty, (i % 99999) / 100 AS price, "
            f"'item ' || i % 5000 AS item, chr(65 + (i % 26)::INT) || 'A' AS code, TIMESTAMP '2024-01-01' + "
            f"INTERVAL (i + {later}) SECOND AS updated_at, DATE '2024-01-01' + (i % 365)::INT AS day, i / 7 AS score, "
            f"CASE WHEN i % 10 > 0 THEN 'note ' || i END AS note FROM range({rows}) t(i) ORDER BY hash(i)) "
            f"TO '{folder / name}' (FORMAT csv, HEADER)"
        )
