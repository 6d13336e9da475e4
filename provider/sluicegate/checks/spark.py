"""A contract as a plan for the job that applies it on a cluster: casts, rules and verdicts as Spark's SQL. Pure.

The job, `spark_job`, knows nothing of ours: it gets this plan as JSON, and the functions that the SQL calls by their
source.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sluicegate.checks.bounds import CheckedColumn, broken
from sluicegate.checks.compile import compile_rule, compile_table_rule
from sluicegate.checks.dialect import PARSES, SEARCH, SPARK
from sluicegate.checks.functions import parses, search
from sluicegate.checks.rule import REFERENCES, Rule
from sluicegate.checks.spark_job import REASONS

__all__ = ["Constants", "SparkColumn", "checked", "plan_of", "spark_job"]

Constants = Sequence[tuple[str, str]]
"""Texts with the DuckDB types that they have to be of."""
_VERSION = 2
"""Part of the plan: to be raised when the job makes something else of the same contract."""


@dataclass(frozen=True)
class SparkColumn:
    """A column of the contract: DuckDB's name of its type, what it may be compared with, its longest text, and how many
    digits of a second its times have.
    """

    type: str
    kind: Literal["number", "text", "moment", "boolean", "other"]
    length: int | None = None
    zone: str | None = None
    digits: int | None = None


def plan_of(
    columns: Mapping[str, SparkColumn],
    rules: Sequence[Rule],
    *,
    key: Sequence[str] = (),
    newest_by: str | None = None,
    window_by: str | None = None,
    scope: Mapping[str, Sequence[str | None]] | None = None,
    delete_when: Mapping[str, Sequence[str | None]] | None = None,
    partitions: bool = True,
    text: bool = False,
    require: Callable[[Rule, Constants], None] = lambda rule, constants: None,
) -> str:
    """The plan of a contract, as JSON.

    :param columns: those that have a type in it; `passed/` gets all others as they are
    :param rules: what is asked of the records, and of those that pass
    :param key: of several records with one key, the newest by `newest_by` is in `passed/`
    :param window_by: of this column, the report says from when to when its values are
    :param scope: by column that has a type, the texts of the values of which a record has one, None for a missing one;
        all other records are left out
    :param delete_when: by column, the texts of the values of a record that deletes, None for a missing one; of a column
        without a type the text is compared
    :param partitions: whether folders such as `day=2026-01-01/` are columns
    :param text: whether what passes is also written as a COPY of Postgres reads it
    :param require: raises where a constant of a rule is not of its type
    :raises FaultError: CHECK_BROKEN when a rule makes no sense, or only Great Expectations can carry it out.
    """
    known = {name: checked(name, column, lost=True) for name, column in columns.items()}
    rows: list[dict[str, Any]] = []
    table: list[dict[str, Any]] = []
    for rule in rules:
        if (compiled := compile_rule(rule, known, SPARK)) is not None:
            require(rule, compiled.constants)
            rows.append(
                {
                    "name": rule.name, "fails": compiled.fails, "applies": compiled.applies,
                    "mostly": str(compiled.mostly), "unique": list(compiled.unique), "severity": rule.severity,
                    "spared": rule.severity == "critical" and not compiled.unique and not {*rule.columns} <= {*key},
                }
            )  # fmt: skip
        elif (verdict := compile_table_rule(rule, known, SPARK)) is not None:
            require(rule, verdict.constants)
            table.append(
                {
                    "name": rule.name, "observed": verdict.observed, "holds": verdict.holds, "severity": rule.severity,
                }
            )  # fmt: skip
        else:
            raise broken(rule, _why_not(rule))
    made = [
        {
            "name": name, "type": SPARK.type(column.type), "text": column.kind == "text", "length": column.length,
            "uuid": column.type == "UUID", "clock": column.type == "TIME", "digits": column.digits,
        }
        for name, column in columns.items()
    ]  # fmt: skip
    plan = {
        "version": _VERSION, "columns": made, "rows": rows, "table": table, "key": list(key), "newest_by": newest_by,
        "window_by": window_by, "partitions": partitions, "text": text,
        "outside": _outside(scope, columns) if scope else None,
        "gone": _all_of(delete_when or {}, columns) or "false",
        "compared": [name for name in delete_when or {} if name not in columns],
    }  # fmt: skip
    return json.dumps(plan, ensure_ascii=False, indent=1)


def _outside(scope: Mapping[str, Sequence[str | None]], columns: Mapping[str, SparkColumn]) -> str:
    """SQL of whether a record is out of the scope, never NULL: a value that is none may be of it."""
    known = [f"NOT array_contains({REASONS}, {SPARK.literal(f'type:{name}')})" for name in scope]
    moments = [SPARK.name_of(name) for name in scope if columns[name].kind == "moment"]
    known += [f"coalesce(year({value}) BETWEEN 100 AND 9999, true)" for value in moments]  # Others a load sets aside.
    return " AND ".join([*known, f"NOT ({_all_of(scope, columns)})"])


def _all_of(values: Mapping[str, Sequence[str | None]], columns: Mapping[str, SparkColumn]) -> str:
    return " AND ".join(_is_one_of(name, some, columns.get(name)) for name, some in values.items())


def _is_one_of(name: str, texts: Sequence[str | None], column: SparkColumn | None) -> str:
    """SQL of whether a value is one of some, never NULL."""
    value, type_ = SPARK.name_of(name), "VARCHAR" if column is None else column.type
    listed = ", ".join(SPARK.constant(text, type_) for text in texts if text is not None)
    compared = SPARK.text(value) if column is None else value
    found = f"coalesce({compared} IN ({listed}), false)" if listed else "false"
    return f"({found} OR {value} IS NULL)" if None in texts else found


def checked(name: str, column: SparkColumn, *, lost: bool = False) -> CheckedColumn:
    """A column as rules see it: NaN is missing, and what a cast lost is not.

    :param lost: whether the job says what casts lost
    """
    value = SPARK.name_of(name)
    missing = f"{value} IS NULL"
    if lost:
        missing = f"({missing} AND NOT array_contains({REASONS}, {SPARK.literal(f'type:{name}')}))"
    if column.type in {"FLOAT", "DOUBLE"}:
        missing = f"({missing} OR isnan({value}))"
        value = f"CASE WHEN isnan({value}) THEN NULL ELSE {value} END"
    return CheckedColumn(f"({value})", f"({missing})", column.type, column.kind, column.zone)


def spark_job() -> str:
    """The source of the job: one file, which needs pyspark alone."""
    functions = "\n\n".join(inspect.getsource(function) for function in (search, parses))
    names = f"FUNCTIONS = {{{SEARCH!r}: search, {PARSES!r}: parses}}"
    job = Path(__file__).with_name("spark_job.py").read_text(encoding="utf-8")
    return job.replace("FUNCTIONS: dict[str, Any] = {}", f"{functions}\n\n{names}")


def _why_not(rule: Rule) -> str:
    if rule.expectation == REFERENCES:
        return "a reference is looked up by a load, not on a cluster"
    return "it is not compiled for these columns, and on a cluster there is no Great Expectations: check it in the load"
