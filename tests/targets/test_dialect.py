"""What Postgres calls the types of the vocabulary, and what it calls its own."""

from __future__ import annotations

import pytest

from sluicegate.records.types import ColumnType, parse_type
from sluicegate.targets.postgres.dialect import PostgresDialect

DIALECT = PostgresDialect()


@pytest.mark.parametrize(
    ("said", "ddl"),
    [
        ("double", "double precision"),
        ("float", "double precision"),
        ("varchar(10)", "varchar(10)"),
        ("numeric(12,2)", "numeric(12,2)"),
        ("numeric", "numeric"),
        ("timestamptz", "timestamptz"),
    ],
)
def test_a_type_of_the_vocabulary_has_postgres_name_in_ddl(said: str, ddl: str) -> None:
    assert DIALECT.name(parse_type(said)) == ddl


@pytest.mark.parametrize(
    ("catalogue", "type_"),
    [
        ("double precision", ColumnType("double")),
        ("character varying(3)", ColumnType("varchar", length=3)),
        ("timestamp(0) without time zone", ColumnType("timestamp", precision=0)),
        ("bytea", DIALECT.binary),
        ("inet", ColumnType("foreign", native="inet")),
        ('"Mood"', ColumnType("foreign", native='"Mood"')),
        ("numeric(2,5)", ColumnType("foreign", native="numeric(2,5)")),
    ],
)
def test_a_type_of_the_catalogue_is_one_of_the_vocabulary_or_postgres_own(catalogue: str, type_: ColumnType) -> None:
    assert DIALECT.parse(catalogue) == type_
    if type_.native is not None:
        assert DIALECT.name(type_) == catalogue


def test_only_texts_and_json_have_values_that_postgres_cannot_store() -> None:
    assert DIALECT.refused(parse_type("bigint"), "v", nul=True) == []
    assert DIALECT.refused(parse_type("text"), "v", nul=False) == []
    assert DIALECT.refused(parse_type("text"), "v", nul=True) == ["contains(v, chr(0))"]
    assert len(DIALECT.refused(parse_type("jsonb"), "v", nul=True)) == 2
