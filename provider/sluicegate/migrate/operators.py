"""What the conversion has to know of Airflow's operators, without importing one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["BASE_ARGUMENTS", "DECORATORS", "PYTHON_OPERATOR", "Known", "Lookup", "present_path"]

_STANDARD = "airflow.providers.standard"
PYTHON_OPERATOR = f"{_STANDARD}.operators.python.PythonOperator"


@dataclass(frozen=True)
class Known:
    """An operator that is installed here: the arguments it takes, and those in which it renders templates."""

    arguments: frozenset[str]
    templated: frozenset[str]


Lookup = Callable[[str], Known | None]
"""By import path; None for one that is not installed."""

BASE_ARGUMENTS = frozenset({
    "allow_nested_operators", "dag", "default_args", "depends_on_past", "do_xcom_push", "doc", "doc_json", "doc_md",
    "doc_rst", "doc_yaml", "email", "email_on_failure", "email_on_retry", "end_date", "execution_timeout", "executor",
    "executor_config", "ignore_first_depends_on_past", "inlets", "logger_name", "map_index_template",
    "max_active_tis_per_dag", "max_active_tis_per_dagrun", "max_retry_delay", "multiple_outputs",
    "on_execute_callback", "on_failure_callback", "on_retry_callback", "on_skipped_callback", "on_success_callback",
    "outlets", "owner", "params", "pool", "pool_slots", "post_execute", "pre_execute", "priority_weight", "queue",
    "render_template_as_native_obj", "resources", "retries", "retry_delay", "retry_exponential_backoff",
    "retry_policy", "run_as_user", "sla", "start_date", "task_display_name", "task_group", "task_id", "trigger_rule",
    "wait_for_downstream", "wait_for_past_depends_before_skipping", "weight_rule",
})  # fmt: skip
"""What every operator takes."""

DECORATORS = {
    "task": PYTHON_OPERATOR,
    "task.python": PYTHON_OPERATOR,
    "task.branch": f"{_STANDARD}.operators.python.BranchPythonOperator",
    "task.short_circuit": f"{_STANDARD}.operators.python.ShortCircuitOperator",
    "task.virtualenv": f"{_STANDARD}.operators.python.PythonVirtualenvOperator",
    "task.external_python": f"{_STANDARD}.operators.python.ExternalPythonOperator",
    "task.sensor": f"{_STANDARD}.sensors.python.PythonSensor",
}
"""By the decorator's last words, the operator that calls the same function."""

_MOVED = {
    "operators.bash": "operators.bash",
    "operators.bash_operator": "operators.bash",
    "operators.python": "operators.python",
    "operators.python_operator": "operators.python",
    "operators.empty": "operators.empty",
    "operators.dummy": "operators.empty",
    "operators.dummy_operator": "operators.empty",
    "operators.trigger_dagrun": "operators.trigger_dagrun",
    "operators.latest_only": "operators.latest_only",
    "operators.weekday": "operators.weekday",
    "operators.branch": "operators.branch",
    "operators.datetime": "operators.datetime",
    "sensors.bash": "sensors.bash",
    "sensors.date_time": "sensors.date_time",
    "sensors.external_task": "sensors.external_task",
    "sensors.external_task_sensor": "sensors.external_task",
    "sensors.filesystem": "sensors.filesystem",
    "sensors.python": "sensors.python",
    "sensors.time_delta": "sensors.time_delta",
    "sensors.time_sensor": "sensors.time",
    "sensors.weekday": "sensors.weekday",
}
_RENAMED = {"DummyOperator": "EmptyOperator"}


def present_path(path: str) -> str:
    """The import path in Airflow 3 of an operator that Airflow 2 had in its core."""
    found = re.fullmatch(r"airflow\.(.+)\.(\w+)", path)
    if found is None or found[1] not in _MOVED:
        return path
    return f"{_STANDARD}.{_MOVED[found[1]]}.{_RENAMED.get(found[2], found[2])}"
