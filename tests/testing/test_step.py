"""A step outside Airflow: what its task runner does around it, and what it asks meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import DAG, BaseHook, BaseOperator, Context, Variable, XComArg
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

from sluicegate.graph.window import Window
from sluicegate.testing.step import StepInstance
from sluicegate.testing.supervisor import Supervisor

WINDOW = Window(datetime(2013, 2, 11, tzinfo=UTC), datetime(2013, 2, 12, tzinfo=UTC))


class Call(BaseOperator):
    template_fields = ("words",)

    def __init__(self, *, function: Callable[..., Any], words: Any = None, item: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function, self.words, self.item = function, words, item

    def execute(self, context: Context) -> Any:
        return self.function(self, context)


@pytest.fixture
def dag() -> DAG:
    return DAG("orders", schedule=None)


def test_templates_see_the_run_and_what_other_steps_have_left(dag: DAG) -> None:
    first = Call(task_id="first", function=lambda *_: [1, 2], dag=dag)
    second = Call(
        task_id="second", function=lambda self, _: self.words, dag=dag,
        words="{{ ds }} {{ params.n }} {{ ti.xcom_pull(task_ids='first') }} {{ run_id }}",
    )  # fmt: skip
    one = StepInstance(first, WINDOW)
    assert one.execute() == [1, 2]
    assert one.xcoms == {"return_value": [1, 2]}
    two = StepInstance(second, WINDOW, params={"n": 3}, supervisor=one.supervisor, run=one.run)
    assert two.execute() == "2013-02-11 3 [1, 2] manual__2013-02-11T00:00:00+00:00"
    assert second.words.startswith("{{"), "the operator stays as it is"
    assert two.executed.words.startswith("2013-02-11")


def test_the_state_store_survives_tries_and_keeps_json(dag: DAG) -> None:
    def work(_: BaseOperator, context: Context) -> Any:
        store = context["task_state_store"]
        kept = store.get("kept", [])
        store.set("kept", [*kept, context["ti"].try_number])  # type: ignore[misc]
        return store.get("missing")

    instance = StepInstance(Call(task_id="work", function=work, dag=dag), WINDOW)
    assert instance.execute() is None
    instance.try_number += 1
    instance.execute()
    assert instance.store == {"kept": [1, 2]}


def test_a_mapped_step_gets_its_item_from_what_another_has_returned(dag: DAG) -> None:
    maker = Call(task_id="maker", function=lambda *_: ["a", "b"], dag=dag)
    mapped = Call.partial(task_id="mapped", function=lambda self, _: self.item * 2, dag=dag).expand(item=XComArg(maker))
    made = StepInstance(maker, WINDOW)
    made.execute()
    instances = [
        StepInstance(mapped, WINDOW, supervisor=made.supervisor, run=made.run, map_index=index) for index in (0, 1)
    ]
    assert [instance.execute() for instance in instances] == ["aa", "bb"]
    assert made.run.values("mapped", "return_value") == ["aa", "bb"]
    summing = Call(task_id="sum", function=lambda self, _: list(self.words), words=mapped.output, dag=dag)
    assert StepInstance(summing, WINDOW, supervisor=made.supervisor, run=made.run).execute() == ["aa", "bb"]


def test_connections_and_variables_come_from_the_environment(dag: DAG, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM", "http://crm")
    monkeypatch.setenv("AIRFLOW_VAR_LIMIT", "3")

    def work(*_: Any) -> Any:
        with pytest.raises(AirflowNotFoundException):
            BaseHook.get_connection("none")
        with pytest.raises(AirflowRuntimeError):
            Variable.get("none")
        return BaseHook.get_connection("crm").host, Variable.get("limit")

    assert StepInstance(Call(task_id="work", function=work, dag=dag), WINDOW).execute() == ("crm", "3")


def test_a_question_that_only_airflow_can_answer_says_so() -> None:
    from airflow.sdk.execution_time.comms import GetDagRun

    with pytest.raises(NotImplementedError, match="only a running Airflow can answer a task's GetDagRun"):
        Supervisor().send(GetDagRun(dag_id="orders", run_id="first"))
