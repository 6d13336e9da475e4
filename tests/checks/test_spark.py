"""Compiled rules mean on Spark what they mean in DuckDB, and so to Great Expectations; the job that applies them.

One Spark for all: each random case is one table with many rules.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sluicegate.checks.bounds import CheckedColumn
from sluicegate.checks.compile import ROW_LEVEL, compile_rule, compile_table_rule
from sluicegate.checks.dialect import DUCKDB, SPARK
from sluicegate.checks.rule import Rule, number_twins
from sluicegate.checks.spark import SparkColumn, checked, plan_of, spark_job
from sluicegate.faults import FaultError
from sluicegate.pipeline.keys.load import Column, LoadOptions
from sluicegate.records.on_cluster import cluster_plan
from sluicegate.records.scope import as_values, condition, read_values
from sluicegate.records.types import parse_type
from tests.checks import cases
from tests.spark import CheckJob, spark_session

# A number without a precision travels as a double there, as it is compared in DuckDB.
TYPES = {name: "DOUBLE" if kind == "numeric" else parse_type(kind).duck for name, kind in cases.KINDS.items()}
seldom = settings(
    max_examples=2, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with spark_session() as session:
        yield session


def columns() -> dict[str, CheckedColumn]:
    return {name: checked(name, SparkColumn(TYPES[name], parse_type(kind).kind)) for name, kind in cases.KINDS.items()}


def table(spark: Any, rows: Sequence[cases.Record]) -> Any:
    schema = ", ".join(f"`{name}` {SPARK.type(type_)}" for name, type_ in TYPES.items())
    made = []
    for line, row in enumerate(rows):
        values = dict(zip(TYPES, row, strict=True))
        made.append((line, *(values | {"u": None if values["u"] is None else float(values["u"])}).values()))
    return spark.createDataFrame(made, f"line INT, {schema}").coalesce(1).cache()


def named(rules: Sequence[Rule]) -> list[Rule]:
    return [replace(rule, name=f"{number}") for number, rule in enumerate(rules)]


def found_by(frame: Any, known: dict[str, CheckedColumn], rules: Sequence[Rule]) -> list[set[int]]:
    """By rule, the lines of the records that it sets aside on Spark."""
    from sluicegate.checks import spark_job as job

    asked = [
        {"fails": one.fails, "applies": one.applies, "unique": list(one.unique), "mostly": str(one.mostly),
         "spared": False}
        for one in (compile_rule(rule, known, SPARK) for rule in rules)
        if one is not None
    ]  # fmt: skip
    assert len(asked) == len(rules)
    simple = [number for number, one in enumerate(asked) if not one["unique"]]
    found: dict[int, set[int]] = {}
    outcome = frame.selectExpr(
        "line", *(f"({asked[number][what]}) AS {what}{number}" for number in simple for what in ("fails", "applies"))
    ).collect()
    for number in simple:
        bad = {row["line"] for row in outcome if row[f"fails{number}"]}
        judged = sum(row[f"applies{number}"] for row in outcome)
        assert all(row[f"fails{number}"] is not None for row in outcome), rules[number]
        found[number] = set() if job.holds(asked[number], judged, len(bad)) else bad
    for number in set(range(len(rules))) - set(simple):
        split = job.judged(frame, [asked[number]])
        [(judged, count, _)] = job.counts(split, [asked[number]])
        bad = {row["line"] for row in split.where("__fails0").select("line").collect()}
        assert count == len(bad)
        found[number] = set() if job.holds(asked[number], judged, count) else bad
    return [found[number] for number in range(len(rules))]


WITHOUT_LIKE = tuple(cases.ROW_LEVEL)


@seldom
@given(rows=cases.records(6, 12), rules=st.lists(cases.row_rules(WITHOUT_LIKE), min_size=30, max_size=40).map(named))
def test_a_rule_on_spark_finds_the_same_records(spark: Any, rows: list[cases.Record], rules: list[Rule]) -> None:
    with cases.staged(rows, rules) as stage:
        failures = {letter.line: {failure["rule"] for failure in letter.failures} for letter in stage.dead_letters()}
    found = found_by(table(spark, rows), columns(), rules)
    for number, rule in enumerate(rules):
        ours = {line for line, names in failures.items() if rule.name in names}
        places = [list(TYPES).index(name) for name in rule.columns]
        assert found[number] == ours, f"{rule}\n{[[row[place] for place in places] for row in rows]}"


@seldom
@given(rows=cases.records(0, 9), rules=st.lists(cases.table_rules(), min_size=30, max_size=40).map(named))
def test_a_rule_about_the_table_sees_the_same_on_spark(spark: Any, rows: list[cases.Record], rules: list[Rule]) -> None:
    with cases.staged(rows, rules) as stage:
        ours = {verdict.rule.name: verdict for verdict in stage.verdicts()}
    frame = table(spark, rows)
    compiled = [compile_table_rule(rule, columns(), SPARK) for rule in rules]
    asked = [
        sql
        for number, one in enumerate(compiled)
        if one is not None
        for sql in (f"{one.holds} AS h{number}", f"{one.observed} AS o{number}")
    ]
    row = frame.selectExpr(*asked).first()
    for number, rule in enumerate(rules):
        seen = f"saw {row[f'o{number}']} on Spark, {ours[rule.name].observed} here"
        assert row[f"h{number}"] == ours[rule.name].success, f"{rule} {seen}"


@seldom
@given(
    rows=st.lists(st.tuples(*[st.none() | cases.clock_texts] * 2), min_size=9, max_size=12),
    rules=st.lists(cases.clock_rules(), min_size=30, max_size=40).map(named),
)
def test_a_rule_about_times_of_the_day_finds_the_same_records(
    spark: Any, rows: list[tuple[str | None, str | None]], rules: list[Rule]
) -> None:
    """Of texts, as there is no type for them: also which of these are times."""
    from sluicegate.checks import spark_job as job

    with cases.staged(rows, rules, cases.CLOCKS) as stage:
        failures = {letter.line: {failure["rule"] for failure in letter.failures} for letter in stage.dead_letters()}
    contract = {name: SparkColumn("TIME", "other") for name in cases.CLOCKS}
    made = json.loads(plan_of(contract, []))["columns"]
    values = [f"{job.made(one['name'], one, 'string')} AS {one['name']}" for one in made]
    lost = [f"CASE WHEN {job.changed(one['name'], one, 'string')} THEN 'type:{one['name']}' END" for one in made]
    raw = spark.createDataFrame([(line, *row) for line, row in enumerate(rows)], "line INT, k STRING, l STRING")
    reasons = f"filter(array({', '.join(lost)}), x -> x IS NOT NULL) AS __failures"
    frame = raw.selectExpr("line", *values, reasons).coalesce(1).cache()
    types = {row["line"]: set(row["__failures"]) for row in frame.collect()}
    assert types == {line: {name for name in failures.get(line, ()) if name.startswith("type:")} for line in types}
    found = found_by(frame, {name: checked(name, column, lost=True) for name, column in contract.items()}, rules)
    for number, rule in enumerate(rules):
        ours = {line for line, names in failures.items() if rule.name in names}
        assert found[number] == ours, f"{rule}\n{rows}"


@seldom
@given(rows=cases.records(9, 12), scopes=st.lists(cases.scopes(), min_size=30, max_size=40))
def test_a_scope_on_spark_leaves_out_the_same_records(
    spark: Any, tmp_path: Path, rows: list[cases.Record], scopes: list[dict[str, Any]]
) -> None:
    kinds = {name: parse_type(kind) for name, kind in cases.KINDS.items() if kind != "numeric"}
    frame, asked, wanted = table(spark, rows), [], []
    with cases.records_in_duckdb(rows) as duck:
        for scope in scopes:
            options = LoadOptions(columns={name: Column(type=cases.KINDS[name]) for name in kinds}, scope=scope)
            asked.append(json.loads(cluster_plan(options, tmp_path))["outside"])
            within = condition(read_values(duck, as_values(scope), kinds, {}), kinds, DUCKDB.name_of)
            wanted.append(
                {line for (line,) in duck.execute(f"SELECT line FROM records WHERE NOT ({within})").fetchall()}
            )
    outside = [f"({sql}) AS o{number}" for number, sql in enumerate(asked)]
    known = frame.selectExpr("*", "CAST(array() AS ARRAY<STRING>) AS __failures")
    found = known.selectExpr("line", *outside).collect()
    for number, scope in enumerate(scopes):
        assert {row["line"] for row in found if row[f"o{number}"]} == wanted[number], (scope, asked[number])
        assert all(row[f"o{number}"] is not None for row in found)


PLAIN_PATTERNS = st.text("ab1 .-_A$^|()[]{}?*+\\dwsWDbB,:2i", max_size=8)


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(patterns=st.lists(PLAIN_PATTERNS, min_size=200, max_size=300))
def test_a_plain_pattern_means_to_java_what_it_means_to_python(spark: Any, patterns: list[str]) -> None:
    import re

    from sluicegate.checks.patterns import is_plain

    def compiles(pattern: str) -> bool:
        try:
            re.compile(pattern)
        except re.error:
            return False
        return True

    plain = [pattern for pattern in patterns if is_plain(pattern) and compiles(pattern)]
    texts = ["", "a", "ab", "b1", "1", " ", "a.b", "-", "_", "A", "ab ab", "$", "\\", "(a)", "a,b", "aaa"]
    frame = spark.createDataFrame([(text,) for text in texts], "t STRING")
    asked = [f"{SPARK.matches('t', pattern)} AS p{number}" for number, pattern in enumerate(plain)]
    rows = frame.selectExpr("t", *asked).collect()
    for number, pattern in enumerate(plain):
        for row in rows:
            assert row[f"p{number}"] == bool(re.search(pattern, row["t"])), (pattern, row["t"])


# --- the job -----------------------------------------------------------------------------------------------------

CONTRACT = {
    "id": SparkColumn("BIGINT", "number"),
    "amount": SparkColumn("DECIMAL(12,2)", "number"),
    "day": SparkColumn("DATE", "moment"),
    "code": SparkColumn("VARCHAR", "text", length=5),
}
RULES = [
    Rule("expect_column_values_to_not_be_null", {"column": "id"}),
    Rule("expect_column_values_to_be_unique", {"column": "id"}),
    Rule("expect_column_values_to_be_between", {"column": "amount", "max_value": 100}),
    Rule("expect_column_values_to_match_regex", {"column": "code", "regex": r"^\w+$"}),
    Rule("expect_column_values_to_match_regex", {"column": "code", "regex": "^(?!x)"}),
    Rule("expect_column_values_to_not_be_null", {"column": "day", "mostly": 0.5}),
    Rule("expect_column_values_to_be_in_set", {"column": "code", "value_set": ["a"], "severity": "warning"}),
    Rule("expect_table_row_count_to_be_between", {"min_value": 100}),
]


def test_the_job_splits_a_folder_by_its_contract_and_says_why(spark: Any, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    source = tmp_path / "source"
    source.mkdir()
    parquet.write_table(
        pa.table(
            {
                "id": pa.array([1, 2, 3, 3, None], pa.int64()),
                "amount": [1.25, 1.255, 100.0, 5.0, 500.0],
                "day": ["2024-01-01", "2024-01-01 10:00:00", None, "2024-01-02", "nonsense"],
                "code": ["ä", "b", "c", "toolong", "x"],
                "more": [1, 2, 3, 4, 5],
            }
        ),
        source / "part-0.parquet",
    )
    plan = plan_of(CONTRACT, number_twins(RULES), text=True)
    # A cluster's own settings; a server that reads the text does not unpack it.
    spark._jsc.hadoopConfiguration().setBoolean("mapreduce.output.fileoutputformat.compress", True)
    try:
        CheckJob(spark).run(plan, f"{source}/", f"{tmp_path}/")
    finally:
        spark._jsc.hadoopConfiguration().unset("mapreduce.output.fileoutputformat.compress")
    [text] = (tmp_path / "text").glob("part-*")
    assert text.read_text() == "1\t1.25\t2024-01-01\tä\t1\n"
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["read"], report["passed"], report["rejected"]) == (5, 1, 4)
    assert report["plan"] == hashlib.sha256(plan.encode()).hexdigest()
    assert report["files"] == [["part-0.parquet", (source / "part-0.parquet").stat().st_size]]
    assert report["reasons"] == {
        "between:amount": 1, "matches:code#2": 1, "required:id": 1, "type:amount": 1, "type:code": 1, "type:day": 2,
        "unique:id": 2,
    }  # fmt: skip
    assert {"rule": "in:code", "judged": 5, "bad": 5, "holds": False} in report["rules"]
    assert report["table"] == [
        {"rule": "expect_table_row_count_to_be_between", "holds": False, "observed": "1", "severity": "critical"}
    ]
    passed = parquet.read_table(tmp_path / "passed")
    assert passed.schema.names == ["id", "amount", "day", "code", "more", "__part", "__line"]
    assert str(passed.schema.field("amount").type) == "decimal128(12, 2)"
    assert [list(map(str, row.values())) for row in passed.to_pylist()] == [
        ["1", "1.25", "2024-01-01", "ä", "1", "0", "1"]
    ]
    rejected = sorted(parquet.read_table(tmp_path / "rejected").to_pylist(), key=lambda row: row["__line"])
    assert (rejected[0]["__line"], rejected[0]["__failures"]) == (2, '["type:amount","type:day"]')
    assert {name: rejected[3][name] for name in ("id", "amount", "day", "code", "more")} == {
        "id": None, "amount": 500.0, "day": "nonsense", "code": "x", "more": 5,
    }  # fmt: skip
    assert (tmp_path / "passed" / "_SUCCESS").is_file()


def test_what_a_cluster_cannot_check_is_refused_before_it_is_started() -> None:
    for rule, words in (
        (Rule("expect_column_values_to_be_increasing", {"column": "id"}), "there is no Great Expectations"),
        (Rule("expect_column_values_to_match_regex", {"column": "weight", "regex": "^1"}), "not compiled for these"),
        (Rule("references", {"column": "code", "references": "a.b"}), "looked up by a load"),
        (Rule("expect_column_values_to_be_between", {"column": "idd", "min_value": 1}), "did you mean 'id'?"),
    ):
        with pytest.raises(FaultError, match="CHECK_BROKEN") as broken:
            plan_of({**CONTRACT, "weight": SparkColumn("DOUBLE", "number")}, [rule])
        assert words in broken.value.detail


def test_the_job_needs_nothing_but_pyspark() -> None:
    import ast

    tree = ast.parse(spark_job(), feature_version=(3, 9))
    modules = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in ([a.name for a in node.names] if isinstance(node, ast.Import)
                     else [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
    }  # fmt: skip
    assert modules <= {*sys.stdlib_module_names, "pyspark", "dateutil"}
    assert set(ROW_LEVEL) - set(WITHOUT_LIKE) == {name for name in ROW_LEVEL if "like_pattern" in name}
