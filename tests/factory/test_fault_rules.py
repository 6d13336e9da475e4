"""`faults:` of a file: what is wrong with it has its place and its remedy, what is right reaches every task."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from sluicegate.factory.attempt import build_diagnostics
from sluicegate.factory.build import build_dag
from sluicegate.faults import CATALOGUE, FaultClass, FaultError
from sluicegate.faults.rules import FaultRule
from sluicegate.graph.window import Window
from sluicegate.pipeline import read_together
from sluicegate.testing.step import StepInstance
from tests.factory.files import write

DAY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
OWN = "{code: PARTNER_CLOSED, class: data, sentence: It is closed., remedy: Wait.}"
STEPS = "steps:\n  a: {python: 'partner:ask'}\n  b: {operator: partner.Asks}\n"


def written(root: Path, faults: str, steps: str = STEPS, **others: str) -> Any:
    (root / "partner.py").write_text(
        "from airflow.sdk import BaseOperator\n\n\n"
        "class ClosedError(Exception):\n    pass\n\n\n"
        "class Asks(BaseOperator):\n    def execute(self, context):\n        ask()\n\n\n"
        "def ask():\n    raise ClosedError('closed for the night')\n"
    )
    write(root, it=f"sluicegate: 1\n{faults}{steps}", **others)
    return read_together(root / "it.yaml", root)


@pytest.mark.parametrize(
    ("rule", "at", "words", "suggestion"),
    [
        ("{matches: x, is: NETWORC}", "NETWORC", "no fault NETWORC", "NETWORK"),
        ("{error: SOURCE_MISING, severity: warning}", "SOURCE_MISING", "no fault SOURCE_MISING", "SOURCE_MISSING"),
        ("{matches: x, is: {code: NEW, class: data, sentence: s}}", "{code", "NEW is new, and needs `remedy`", None),
        ("{matches: x, is: {code: NEW, remedy: r}}", "{code", "needs `class`, `sentence` too", None),
        (f"{{matches: x, is: {OWN.replace('PARTNER_CLOSED', 'NETWORK')}}}", "{code", "fault of the catalogue", None),
        (f"{{matches: x, is: {OWN.replace('PARTNER_CLOSED', 'closed')}}}", "closed", "is not a code", None),
        (f"{{matches: x, is: {OWN}}}\n- {{matches: y, is: {OWN.replace('data', 'fatal')}}}", "{code", "twice", None),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_rule_has_its_place(
    tmp_path: Path, rule: str, at: str, words: str, suggestion: str | None
) -> None:
    together = written(tmp_path, f"faults:\n- {rule}\n")
    [found] = build_diagnostics(together.pipeline, together.upstreams)
    assert words in found.message
    assert found.source[found.column - 1 :].startswith(at)
    assert found.suggestion == suggestion


def test_rules_come_to_the_dag_in_their_order(tmp_path: Path) -> None:
    more = "- {error: SOURCE_MISSING, severity: critical}\n- {status: 409, is: SOURCE_UNAVAILABLE}\n"
    together = written(tmp_path, f"faults:\n- {{matches: closed, is: {OWN}}}\n{more}")
    first, second, third = build_dag(together.pipeline, together.upstreams).fault_rules
    assert first.fault is not None
    assert (first.fault.code, first.fault.kind, first.matches) == ("PARTNER_CLOSED", FaultClass.DATA, "closed")
    assert second == FaultRule(error="SOURCE_MISSING", severity="critical")
    assert third == FaultRule(CATALOGUE["SOURCE_UNAVAILABLE"], status=(409,))


def test_the_rules_of_the_defaults_hold_unless_a_pipeline_has_its_own(tmp_path: Path) -> None:
    shared = f"faults:\n- {{matches: closed, is: {OWN}}}\n"
    together = written(tmp_path, "", defaults=shared)
    assert len(build_dag(together.pipeline, together.upstreams).fault_rules) == 1
    together = written(tmp_path, "faults: []\n", defaults=shared)
    assert build_dag(together.pipeline, together.upstreams).fault_rules == ()


def test_a_channel_may_name_a_fault_of_the_pipelines_own(tmp_path: Path) -> None:
    alerts = "alerts: {it: {notifier: airflow.sdk.BaseNotifier, faults: PARTNER_CLOSED}}\n"
    together = written(tmp_path, f"faults:\n- {{matches: closed, is: {OWN}}}\n{alerts}")
    assert not [each for each in build_diagnostics(together.pipeline, together.upstreams) if each.code == "fault"]


@pytest.mark.parametrize("step", ["a", "b"])
def test_a_step_ends_with_the_fault_of_the_rule(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "partner", raising=False)
    together = written(tmp_path, f"faults:\n- {{error: partner.ClosedError, is: {OWN}}}\n")
    dag = build_dag(together.pipeline, together.upstreams)
    with pytest.raises(FaultError) as raised:
        StepInstance(dag.get_task(step), DAY).execute()
    assert (raised.value.code, raised.value.fault.remedy) == ("PARTNER_CLOSED", "Wait.")


def test_how_bad_a_sensors_timeout_is_does_not_make_airflow_try_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    rules = "faults: [{error: TIMED_OUT, severity: warning}]\n"
    (tmp_path / "late.py").write_text(
        "from airflow.sdk import BaseOperator\nfrom airflow.sdk.exceptions import AirflowSensorTimeout\n\n\n"
        "class Sensor(BaseOperator):\n    def execute(self, context):\n        raise AirflowSensorTimeout('no file')\n"
    )
    together = written(tmp_path, rules, "steps:\n  b: {operator: late.Sensor}\n")
    step = build_dag(together.pipeline, together.upstreams).get_task("b")
    with pytest.raises(AirflowSensorTimeout):
        StepInstance(step, DAY).execute()
