"""A column may refer to a column of another dataset: a value that is not there sets its record aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from pyarrow import parquet

from sluicegate.faults import FaultError
from sluicegate.load.load import Loader
from sluicegate.load.references import Referenced
from sluicegate.pipeline.keys.model import Format
from sluicegate.targets.connection import parse_table
from sluicegate.targets.postgres.target import PostgresTarget

COLUMNS = {"dest": {"references": "flights.airports.faa"}}


@pytest.fixture
def bring(warehouse: Any) -> Any:
    def load(path: Path, columns: Any, **references: str | Path | Referenced) -> Any:
        named = {
            name.replace("__", "."): at if isinstance(at, Referenced) else Referenced((str(at),))
            for name, at in references.items()
        }
        request = warehouse.request(path, key="id", columns=columns, references=named, force=True)
        tables = lambda uri: PostgresTarget(warehouse.conninfo, parse_table(uri)[1])  # noqa: E731
        return Loader(request, warehouse.storage, warehouse.target(), tables).run()

    return load


def execute(warehouse: Any, *statements: str) -> None:
    with psycopg.connect(warehouse.conninfo, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]


def test_a_value_that_the_table_does_not_have_is_a_dead_letter_and_a_missing_one_is_not(
    warehouse: Any, bring: Any
) -> None:
    execute(
        warehouse, "CREATE TABLE airports (faa text)", "INSERT INTO airports VALUES ('EWR'), ('JFK'), ('JFK'), (NULL)"
    )
    path = warehouse.csv("1.csv", ["id", "dest"], [[1, "JFK"], [2, "XXX"], [3, ""], [4, "jfk"], [5, "EWR"]])
    report = bring(path, COLUMNS, flights__airports="table://w/airports")
    assert report.reasons == {"references:dest": 2}
    assert warehouse.rules() == [(3, ["references:dest"]), (5, ["references:dest"])]
    execute(warehouse, "INSERT INTO airports VALUES ('XXX')")
    assert bring(path, COLUMNS, flights__airports="table://w/airports").counts.dead == 1, "one that came later is there"


@pytest.mark.parametrize(
    ("type_", "there", "good", "bad"),
    [
        ("integer", "bigint", "7", "8"),
        ("numeric", "numeric(12,4)", "7.0", "7.01"),
        ("double", "double precision", "0.1", "0.2"),
        ("char(4)", "char(4)", "ab", "ac"),
        ("date", "date", "2024-02-29", "2024-02-28"),
        ("timestamptz", "timestamptz", "2024-02-29 01:00:00+01", "2024-02-29 01:00:00+00"),
        ("uuid", "uuid", "6F9619FF-8B86-D011-B42D-00C04FC964FF", "6f9619ff-8b86-d011-b42d-00c04fc964f0"),
        ("boolean", "boolean", "true", "false"),
        ("text", "text", "a'b\"\n\\,", "a"),
    ],
)
def test_values_of_every_type_are_the_same_where_the_database_says_so(
    warehouse: Any, bring: Any, type_: str, there: str, good: str, bad: str
) -> None:
    with psycopg.connect(warehouse.conninfo, autocommit=True) as connection:
        connection.execute(f'CREATE TABLE other ("The Id" {there})')  # type: ignore[arg-type]
        connection.execute("SET TIME ZONE 'Asia/Tokyo'")
        connection.execute("INSERT INTO other VALUES (%s)", [good])
    path = warehouse.csv("1.csv", ["id", "n"], [[1, good], [2, bad]])
    bring(path, {"n": {"type": type_, "references": "x.The Id"}}, x="table://w/other")
    line = 4 if "\n" in good else 3
    assert warehouse.rules() == [(line, ["references:n"])]


def test_files_are_read_as_a_load_reads_them(warehouse: Any, bring: Any) -> None:
    path = warehouse.csv("1.csv", ["id", "n"], [[1, 1500], [2, 2], [3, 9]])
    semicolons = warehouse.file("other.csv", "k;n\na;1.500\nb;2\nb;2\nc;\n")
    columns = {"n": {"type": "integer", "references": "x.n"}}
    form = Format(delimiter=";", thousands=".", decimal=",")
    assert bring(path, columns, x=Referenced((str(semicolons),), form)).reasons == {"references:n": 1}
    folder = warehouse.folder / "parts"
    folder.mkdir()
    for number, values in enumerate(([1500], [2, None, 9])):
        parquet.write_table(pa.table({"n": pa.array(values, pa.int64())}), folder / f"{number}.parquet")
    assert bring(path, columns, x=f"{folder}/").reasons == {}


def test_what_cannot_be_asked_says_where_and_why_and_changes_nothing(warehouse: Any, bring: Any) -> None:
    execute(warehouse, "CREATE TABLE airports (faa text)")
    path = warehouse.csv("1.csv", ["id", "dest"], [[1, "JFK"]])
    other = warehouse.csv("other.csv", ["code"], [["JFK"]])
    for columns, place, code, words in (
        ({"dest": {"references": "flights.airports.fa"}}, "table://w/airports", "CHECK_BROKEN", "did you mean 'faa'?"),
        (COLUMNS, "table://w/airport", "SOURCE_MISSING", "public.airport does not exist"),
        (COLUMNS, other, "CHECK_BROKEN", "no column 'faa' (there is code)"),
        (COLUMNS, warehouse.folder / "no.csv", "SOURCE_MISSING", "no.csv does not exist"),
        ({"dest": {"references": "airports.faa"}}, other, "CHECK_BROKEN", "it is not said where 'airports' is"),
        ({"id": {"type": "integer", "references": "flights.airports.faa"}}, "table://w/airports", "CHECK_BROKEN",
         "id is integer, and faa of public.airports is text"),
    ):  # fmt: skip
        with pytest.raises(FaultError) as refused:
            bring(path, columns, flights__airports=place)
        assert (refused.value.code, words in refused.value.detail) == (code, True), refused.value.detail
    assert warehouse.one("SELECT to_regclass('t') IS NULL")


def test_many_values_are_asked_for_in_constant_memory(warehouse: Any, bring: Any) -> None:
    execute(warehouse, "CREATE TABLE many AS SELECT n::bigint AS k FROM generate_series(1, 50000) n")
    path = warehouse.csv("1.csv", ["id", "n"], [[n, n] for n in range(49_990, 50_011)])
    report = bring(path, {"n": {"type": "bigint", "references": "x.k"}}, x="table://w/many")
    assert report.reasons == {"references:n": 10}


def test_a_record_whose_counterpart_comes_later_is_replayed(warehouse: Any) -> None:
    other = warehouse.csv("other.csv", ["faa"], [["JFK"]])
    words: dict[str, Any] = {
        "key": "id", "columns": {"dest": {"references": "airports.faa"}},
        "references": {"airports": Referenced((str(other),))},
    }  # fmt: skip
    warehouse.load(warehouse.csv("1.csv", ["id", "dest"], [[1, "JFK"], [2, "XXX"]]), **words)
    assert warehouse.replay(**words).replayed == 0
    warehouse.csv("other.csv", ["faa"], [["JFK"], ["XXX"]])
    assert warehouse.replay(**words).replayed == 1
    assert warehouse.rows("SELECT id FROM t ORDER BY 1") == [(1,), (2,)]
