"""What the checks of a load saw, in Great Expectations' own JSON, and as its Data Docs.

Made only when a load asks for it: the samples are a further pass over the stage.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from sluicegate.checks.compiler import CompiledRule
from sluicegate.checks.expectations import RowFailures, TableVerdict
from sluicegate.checks.rule import REFERENCES, Rule
from sluicegate.ledger.entries import Origin
from sluicegate.load.data_docs import page_of
from sluicegate.load.judge import Judge
from sluicegate.load.letters import MASK
from sluicegate.load.staged import Staged

__all__ = ["Results", "Sink", "file_name", "publish"]

SAMPLES = 20
"""Values of bad records in a result, as Great Expectations has them."""
_ABOUT_NULL = {"expect_column_values_to_not_be_null", "expect_column_values_to_be_null"}


class Sink(Protocol):
    """Where files are written to; `sluicegate.storage.Storage` is one."""

    def put_atomic(self, path: Path, uri: str) -> None: ...


class Results:
    """The results of a filled and judged stage.

    :param sensitive: columns whose values are masked.
    """

    def __init__(self, staged: Staged, judge: Judge, sensitive: frozenset[str]) -> None:
        self._staged, self._judge, self._sensitive = staged, judge, sensitive
        self._read = staged.number(f"SELECT count(*) FROM staged s WHERE NOT {staged.is_malformed()}")

    def document(self, name: str, verdicts: Sequence[TableVerdict], meta: Mapping[str, Any]) -> dict[str, Any]:
        """An `ExpectationSuiteValidationResult` as JSON values.

        :param name: the suite's
        :param meta: what else is to be known of the load
        """
        found = [
            *(self._row(compiled) for compiled in (*self._judge.asked.rows, *self._judge.asked.warned)),
            *(self._reference(rule) for rule in self._judge.asked.references),
            *(self._found(found) for found in self._judge.found.values()),
            *(self._table(verdict) for verdict in verdicts),
        ]
        good = sum(bool(result["success"]) for result in found)
        return {
            "success": good == len(found),
            "results": found,
            "suite_name": name,
            "suite_parameters": {},
            "statistics": {
                "evaluated_expectations": len(found),
                "successful_expectations": good,
                "unsuccessful_expectations": len(found) - good,
                "success_percent": 100 * good / len(found) if found else None,
            },
            "meta": {
                "active_batch_definition": {
                    "datasource_name": "sluicegate", "data_connector_name": "load", "data_asset_name": name,
                    "batch_identifiers": {},
                },
                **meta,
            },
            "id": None,
        }  # fmt: skip

    def _row(self, compiled: CompiledRule) -> dict[str, Any]:
        judged, bad = self._judge.counts(compiled)
        relation = self._broken(compiled)
        about_null = compiled.rule.expectation in _ABOUT_NULL
        elements = (
            self._read if len(compiled.rule.columns) == 1 and "row_condition" not in compiled.rule.kwargs else judged
        )
        missing = None if about_null else elements - judged
        return self._mapped(
            compiled.rule, compiled.holds(judged, bad), elements, missing, bad, self._samples(compiled.rule, relation)
        )

    def _broken(self, compiled: CompiledRule) -> str:
        """SQL of the records that break a rule: `stage_row` and their values."""
        if compiled.unique:
            return self._judge.copies(compiled)
        stated = self._staged.stated("s.rowid AS stage_row, s.aside")
        return f"SELECT * FROM ({stated}) WHERE NOT {self._staged.is_malformed()} AND {compiled.fails}"

    def _reference(self, rule: Rule) -> dict[str, Any]:
        number = self._judge.rules.index(rule)
        more_failed = self._staged.more_failed
        bad = self._staged.number(f"SELECT count(*) FROM {more_failed} WHERE rule = {number}")
        value = self._staged.checked(rule.columns[0]).value
        judged = self._staged.number(
            f"SELECT count(*) FROM staged s WHERE NOT {self._staged.is_malformed()} AND {value} IS NOT NULL"
        )
        stated = self._staged.stated("s.rowid AS stage_row")
        relation = (
            f"SELECT * FROM ({stated}) JOIN (SELECT stage_row FROM {more_failed} WHERE rule = {number}) "
            "USING (stage_row)"
        )
        return self._mapped(rule, bad == 0, self._read, self._read - judged, bad, self._samples(rule, relation))

    def _found(self, found: RowFailures) -> dict[str, Any]:
        samples = [MASK] * len(found.samples) if self._hides(found.rule) else list(found.samples)
        return self._mapped(found.rule, found.holds, found.elements, found.elements - found.judged, found.bad, samples)

    def _mapped(
        self, rule: Rule, success: bool, elements: int, missing: int | None, bad: int, samples: list[Any]
    ) -> dict[str, Any]:
        there = elements - (missing or 0)
        result: dict[str, Any] = {
            "element_count": elements,
            "unexpected_count": bad,
            "unexpected_percent": 100 * bad / there if there else None,
            "partial_unexpected_list": [_plain(value) for value in samples],
        }
        if missing is not None:
            result |= {
                "missing_count": missing,
                "missing_percent": 100 * missing / elements if elements else None,
                "unexpected_percent_total": 100 * bad / elements if elements else None,
                "unexpected_percent_nonmissing": 100 * bad / there if there else None,
            }
        return _result(rule, success, result)

    def _table(self, verdict: TableVerdict) -> dict[str, Any]:
        return _result(verdict.rule, verdict.success, {"observed_value": _plain(verdict.value)})

    def _samples(self, rule: Rule, relation: str) -> list[Any]:
        names = [name for name in rule.columns if name in self._staged.places]
        values = ", ".join(self._staged.places[name] for name in names)
        cursor = self._staged.duck.execute(f"SELECT {values} FROM ({relation}) ORDER BY stage_row LIMIT {SAMPLES}")
        rows = [
            [
                MASK if name in self._sensitive and value is not None else value
                for name, value in zip(names, row, strict=True)
            ]
            for row in cursor.fetchall()
        ]
        if len(names) == 1:
            return [row[0] for row in rows]
        if "column_A" in rule.kwargs:
            return rows
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _hides(self, rule: Rule) -> bool:
        return not self._sensitive.isdisjoint(rule.columns)


def publish(document: Mapping[str, Any], sink: Sink, folder: str, name: str, work: Path, *, docs: bool) -> str:
    """Write results as `name.json` into `folder`, with `docs` as `name.html` too; returns the URI of the JSON.

    :param folder: a URI that ends in `/`
    :param work: a local folder for the files on their way
    """
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    uri = _put(sink, work / "results.json", text, f"{folder}{name}.json")
    if docs:
        _put(sink, work / "results.html", page_of(json.loads(text)), f"{folder}{name}.html")
    return uri


def file_name(origin: Origin) -> str:
    """The same for every try of a run: pipeline, step, and the start of its window."""
    start = f"{origin.window.start:%Y-%m-%dT%H-%M-%SZ}" if origin.window is not None else origin.run_id or "run"
    return f"{origin.pipeline}.{origin.step}.{start}"


def _put(sink: Sink, path: Path, text: str, uri: str) -> str:
    path.write_text(text, encoding="utf-8")
    sink.put_atomic(path, uri)
    return uri


def _result(rule: Rule, success: bool, result: dict[str, Any]) -> dict[str, Any]:
    kwargs = {name: _plain(value) for name, value in rule.kwargs.items() if name not in {"severity", "meta"}}
    expectation, meta = rule.expectation, {"name": rule.name}
    if rule.expectation == REFERENCES:  # which Great Expectations does not have
        meta["references"] = str(kwargs["references"])
        expectation = "expect_column_values_to_be_in_set"
        kwargs = {"column": kwargs["column"], "value_set": [kwargs["references"]]}
    return {
        "success": success,
        "expectation_config": {
            "type": expectation, "kwargs": kwargs, "meta": meta, "severity": rule.severity,
        },
        "result": result,
        "meta": {},
        "exception_info": {"raised_exception": False, "exception_traceback": None, "exception_message": None},
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """`value` as JSON has it; what it has not, as text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "item"):
        return _plain(value.item())
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
