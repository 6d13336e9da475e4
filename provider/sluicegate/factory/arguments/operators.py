"""Operators by import path, and the arguments of operators and of the DAG: their names and the types of their values.

No list of operators is kept: whatever Airflow and the installed providers have can be named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import DAG, BaseOperator, TriggerRule, WeightRule

from sluicegate.factory.arguments.annotations import ANYTHING, Target
from sluicegate.factory.arguments.coerce import Typist
from sluicegate.factory.arguments.imports import imported
from sluicegate.factory.unplaced import UnplacedDiagnostic
from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.runtime.signatures import arguments_of, missing_arguments

__all__ = [
    "argument_diagnostics",
    "dag_argument_diagnostics",
    "operator_class",
    "typed_arguments",
    "typed_dag_arguments",
]

_OURS_IN_A_STEP = {
    "task_id": "the step's own key is its task id",
    "dag": "a step belongs to the DAG of its file",
    "task_group": "a step belongs to the DAG of its file",
    "default_args": "defaults of steps go into the file or defaults.yaml",
    "pre_execute": "dry runs need it; `on_execute_callback` is called before a step as well",
}
_OURS_IN_A_DAG = {
    "dag_id": "the file's name is the DAG id",
    "schedule": "`schedule` says it",
    "start_date": "`schedule.start` says it",
    "end_date": "`schedule.end` says it",
    "catchup": "`schedule.catchup` says it",
    "description": "`description` says it",
    "tags": "`tags` says it",
    "params": "`params` says it",
    "max_active_runs": "`max_active_runs` says it",
    "is_paused_upon_creation": "`paused` says it",
    "default_args": "`owner` and `retries` say it, and `with` for each step",
    "doc_md": "`description` and the playbook make it",
    "auto_register": "the file is the DAG",
    "deadline": "`fresh_within` says when it is late",
    "task_group": "the steps make it",
}


_GONE = {
    "sla": "Airflow 3 has no SLAs: `timeout` bounds a step, `fresh_within` says when a pipeline is late",
    "sla_miss_callback": "Airflow 3 has no SLAs: `fresh_within` says when a pipeline is late",
    "schedule_interval": "`schedule` at the top of the file says it",
    "timetable": "`schedule` at the top of the file says it",
    "concurrency": "it is called `max_active_tasks` now",
    "max_active_tis_per_dag_run": "it is called `max_active_tis_per_dagrun`",
    "task_concurrency": "it is called `max_active_tis_per_dag` now",
    "fail_stop": "it is called `fail_fast` now",
    "provide_context": "the context is always given",
    "default_view": "the UI of Airflow 3 has no views",
    "orientation": "the UI of Airflow 3 has no views",
}
"""What Airflow 2 took."""
_OPERATOR_TARGETS: Mapping[str, Target] = {
    "trigger_rule": Target(enums=(TriggerRule,)),
    # A strategy of one's own is an object.
    "weight_rule": Target(enums=(WeightRule,)),
    "retry_policy": ANYTHING,
}
"""Where Airflow's annotations say less than Airflow demands."""
_DAG_TARGETS: Mapping[str, Target] = {
    "user_defined_filters": Target(mapping=True, values=Target(function=True)),
    "user_defined_macros": Target(mapping=True, values=Target(function=True, anything=True)),
}


def operator_class(path: str, where: Where) -> type[BaseOperator]:
    """The operator at the import path `path`.

    :raises BuildError: when there is none, with what was probably meant.
    """
    found: type[BaseOperator] = imported(path, where, fits=_is_operator, what="operator of Airflow")
    return found


def argument_diagnostics(
    operator: type[BaseOperator], given: Mapping[str, Any], where: Where
) -> list[UnplacedDiagnostic]:
    """What is wrong with the names in `given` as arguments of `operator`; `where` is the place of `given`."""
    unplaced = _name_diagnostics(given, arguments_of(operator), _OURS_IN_A_STEP, operator.__name__, where)
    # One that is only misspelt has its diagnostic already.
    meant = {diagnostic.suggestion for diagnostic in unplaced} | _OURS_IN_A_STEP.keys()
    if missing := [name for name in missing_arguments(operator, given) if name not in meant]:
        names = ", ".join(f"`{name}`" for name in missing)
        unplaced.append(UnplacedDiagnostic(where, "argument", f"{operator.__name__} needs {names}", key=True))
    return unplaced


def dag_argument_diagnostics(given: Mapping[str, Any], where: Where) -> list[UnplacedDiagnostic]:
    """What is wrong with the names in `given` as further arguments of Airflow's DAG."""
    return _name_diagnostics(given, arguments_of(DAG), _OURS_IN_A_DAG, "Airflow's DAG", where) if given else []


def typed_arguments(
    operator: type[BaseOperator], given: Mapping[str, Any], where: Where, typist: Typist
) -> dict[str, Any]:
    """`given` as what `operator` takes; what is wrong with the values stays with `typist`."""
    templates = frozenset(operator.template_fields)
    return typist.arguments(operator, given, where, targets=_OPERATOR_TARGETS, templates=templates)


def typed_dag_arguments(given: Mapping[str, Any], where: Where, typist: Typist) -> dict[str, Any]:
    """`given` as what Airflow's DAG takes; what is wrong with the values stays with `typist`."""
    return typist.arguments(DAG, given, where, targets=_DAG_TARGETS) if given else {}


def _name_diagnostics(
    given: Mapping[str, Any], known: frozenset[str], ours: Mapping[str, str], who: str, where: Where
) -> list[UnplacedDiagnostic]:
    unplaced = []
    for name in given:
        if name in ours:
            message, meant = f"`{name}` cannot be given here: {ours[name]}", None
        elif name in _GONE and (name not in known or name.startswith("sla")):
            message, meant = f"`{name}` is gone: {_GONE[name]}", None
        elif name not in known:
            message, meant = f"{who} takes no argument `{name}`", did_you_mean(name, sorted(known - ours.keys()))
        else:
            continue
        unplaced.append(UnplacedDiagnostic((*where, name), "argument", message, key=True, suggestion=meant))
    return unplaced


def _is_operator(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseOperator)
