"""DAGs for schedules of the model: each run of a scenario is a run of the DAG that has its shape."""

from __future__ import annotations

import json
from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from night_code import FLAGS, fail_once

SHAPES = json.loads(FLAGS.with_name("shapes.json").read_text())

for name, tasks in SHAPES.items():
    with DAG(name, schedule=None, max_active_runs=500, is_paused_upon_creation=True):
        made: dict[str, EmptyOperator | PythonOperator] = {}
        for task, after, fails, retries in tasks:
            if fails:
                made[task] = PythonOperator(
                    task_id=task, python_callable=fail_once, op_args=[f"{{{{ run_id }}}}-{task}"],
                    retries=retries, retry_delay=timedelta(seconds=0.1),
                )  # fmt: skip
            else:
                made[task] = EmptyOperator(task_id=task)
            [made[each] for each in after] >> made[task]
