"""DAGs that are not pipelines: days that depend on the day before, triggers, assets, one between two pipelines, ..."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, Asset, BaseOperator, Context
from night_code import FLAGS, fail_if_flagged

DAY = datetime(2026, 3, 1)  # noqa: DTZ001


def unless_flagged(task_id: str, flag: str, **arguments: Any) -> PythonOperator:
    return PythonOperator(task_id=task_id, python_callable=fail_if_flagged, op_args=[flag], retries=0, **arguments)


with DAG(
    "days", schedule="@daily", start_date=DAY, end_date=DAY + timedelta(days=29), catchup=True, max_active_runs=30
):
    unless_flagged("extract", "days_{{ ds }}") >> EmptyOperator(task_id="total", depends_on_past=True)

with DAG("child", schedule=None):
    unless_flagged("work", "child")
with DAG("parent", schedule="@once", start_date=DAY):
    call = TriggerDagRunOperator(
        task_id="call", trigger_dag_id="child", wait_for_completion=True, poke_interval=1, retries=0
    )
    call >> EmptyOperator(task_id="after_call")

FIRST, SECOND, LATE = Asset("night_first"), Asset("night_second"), Asset("night_late")
for name, asset in (("first", FIRST), ("second", SECOND), ("late", LATE)):
    with DAG(f"makes_{name}", schedule="@once", start_date=DAY):
        unless_flagged("emit", f"makes_{name}", outlets=[asset])
with DAG("takes_any", schedule=FIRST | LATE):
    unless_flagged("take", "takes_any")
with DAG("takes_all", schedule=FIRST & SECOND):
    unless_flagged("take", "takes_all")
with DAG("takes_late", schedule=FIRST & LATE):
    unless_flagged("take", "takes_late")

with DAG("middle_hand", schedule="@daily", start_date=DAY, end_date=DAY, catchup=True):
    wait = ExternalTaskSensor(
        task_id="wait", external_dag_id="middle_first", external_task_id="work", poke_interval=1, timeout=3, retries=0
    )
    wait >> unless_flagged("work", "middle_hand")

for name in ("marked", "skipped", "lost"):
    with DAG(name, schedule="@once", start_date=DAY):
        unless_flagged("first", name) >> EmptyOperator(task_id="second") >> EmptyOperator(task_id="third")
with DAG("touched", schedule="@once", start_date=DAY):
    [unless_flagged("left", "touched"), unless_flagged("right", "touched")] >> EmptyOperator(task_id="both")


class Deferred(BaseOperator):
    """Waits in the triggerer for long, if it is to."""

    def execute(self, context: Context) -> None:
        if (FLAGS / "busy").exists():
            self.defer(trigger=TimeDeltaTrigger(timedelta(hours=1)), method_name="execute")


def sleep() -> None:
    """For long, if it is to."""
    if (FLAGS / "busy").exists():
        time.sleep(3600)


with DAG("busy", schedule="@once", start_date=DAY):
    tasks = [Deferred(task_id="deferred"), PythonOperator(task_id="running", python_callable=sleep, retries=0)]
    tasks >> EmptyOperator(task_id="then")
