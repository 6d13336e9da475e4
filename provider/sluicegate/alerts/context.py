"""The alert of a task that has failed, made of Airflow's context: the worker's, or the dag processor's if that died."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from sluicegate.alerts.message import Alert
from sluicegate.alerts.subject import subject_of
from sluicegate.alerts.written import what_was_written
from sluicegate.faults import FaultError, classify, fault, redact
from sluicegate.faults.redact import redact_facts, redact_known
from sluicegate.faults.rules import own_rules
from sluicegate.faults.section import Playbook, section
from sluicegate.ledger.postgres.storable import storable
from sluicegate.runtime.interrupt import is_settled_by_another
from sluicegate.runtime.operator import run_window
from sluicegate.runtime.secrets import hide_params, secret_params

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["airflow_address", "alert_of", "masked", "playbook_address", "round_of", "run_address"]

Value = TypeVar("Value")

_MASK = "***"
_OURS = frozenset({"dry_run", "force"})

log = logging.getLogger(__name__)


def alert_of(context: Context, *, pipeline: str, owner: str = "") -> Alert | None:
    """The alert of the task with this context; None for one that a person has ended."""
    if _is_interrupted(context):
        return None
    ti, task, dag = context["ti"], context["task"], context.get("dag")
    error = _error(context)
    secrets = hide_params(context)

    def clean(words: str) -> str:
        return masked(words, secrets)

    return Alert(
        pipeline,
        error.fault,
        detail=clean(error.detail),
        step=task.task_id,
        run_id=str(context["run_id"]),
        map_index=-1 if ti.map_index is None else int(ti.map_index),
        window=_or_none(lambda: run_window(context).in_zone(getattr(dag, "window_timezone", "UTC"))),
        subject=clean(subject_of(task, error)),
        params=_params(context, secrets),
        written=tuple(map(clean, what_was_written(task.task_type, error, _into(task), _after(task)))),
        log=_or_none(lambda: str(ti.log_url)) or "",
        playbook=playbook_address(Playbook.of(dag, pipeline), error.code),
        owner=owner,
        tries=int(getattr(ti, "try_number", 0) or 0),
        round=round_of(context),
        airflow=airflow_address(),
    )


def round_of(context: Context) -> int:
    """How often something of the run was cleared. The same for all its tasks, unlike what a clear changes of them: one
    that had not run before it looks as if it had never been cleared.
    """
    return int(getattr(context.get("dag_run"), "clear_number", 0) or 0)


def masked(words: str, secrets: frozenset[str] = frozenset()) -> str:
    """`words` without what looks like a secret, what Airflow knows as one, and `secrets`.

    Bytes that are not text, as in the name of a file, are written as escapes: neither mail nor JSON can have them.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        words = words.replace(secret, _MASK)
    return str(storable(str(redact_known(redact(words)))))


def playbook_address(playbook: Playbook, code: str) -> str:
    """The section that treats a fault: of the playbook, below `[sluicegate] playbooks_url` where that is set; or of the
    docs, where the playbook has none.
    """
    found = section(code, playbook)
    base = _setting("sluicegate", "playbooks_url")
    is_own = base and found.startswith("playbooks/")
    return f"{base.rstrip('/')}/{found.removeprefix('playbooks/')}" if is_own else found


def airflow_address() -> str:
    """Airflow's address where a command has to name it; empty on this machine, whose stack is found without."""
    address = _setting("api", "base_url").rstrip("/")
    is_here = address.partition("://")[2].partition("/")[0].partition(":")[0] in ("localhost", "127.0.0.1", "")
    return "" if is_here else address


def run_address(dag_id: str, run_id: str, step: str = "", map_index: int = -1, try_number: int = 0) -> str:
    """The page of a run in Airflow, or of a step's log; empty where Airflow's address is not known."""
    base = _setting("api", "base_url").rstrip("/")
    if not base:
        return ""
    task = f"/tasks/{step}" + (f"/mapped/{map_index}" if map_index >= 0 else "") if step else ""
    number = f"?try_number={try_number}" if step and try_number > 0 else ""
    return f"{base}/dags/{dag_id}/runs/{quote(run_id)}{task}{number}"


def _setting(section: str, key: str) -> str:
    from airflow.sdk.configuration import conf

    return str(conf.get(section, key, fallback="") or "")


def _is_interrupted(context: Context) -> bool:
    """Whether a person, or the scheduler for one, has ended the task: it is in another state than a task that runs."""
    # Without an error this is the dag processor, which is asked for tasks that died.
    return context.get("exception") is not None and is_settled_by_another(context)


def _error(context: Context) -> FaultError:
    from airflow.sdk.exceptions import AirflowTaskTerminated

    error = context.get("exception")
    if isinstance(error, AirflowTaskTerminated | KeyboardInterrupt):
        return fault("WORKER_LOST", "its process was ended from outside, and no person has marked or cleared the task")
    if isinstance(error, BaseException):
        return classify(error, own_rules(cast("dict[str, object]", context)))
    if error is not None:
        return fault("UNKNOWN", str(error))
    host = getattr(context["ti"], "hostname", None)
    where = f"its process on {host} is gone" if host else "it has not begun on any worker, or its worker is gone"
    return fault("WORKER_LOST", f"{where}: Airflow has had no sign of life from it", host=host or None)


def _params(context: Context, secrets: frozenset[str]) -> dict[str, Any]:
    params = _or_none(lambda: dict(context.get("params") or {})) or {}
    given = {name: value for name, value in params.items() if name not in _OURS or value}
    clean = redact_facts(given | dict.fromkeys(secret_params(context), _MASK))
    assert isinstance(clean, dict)
    plain = (int, float, bool, type(None))
    return {name: value if isinstance(value, plain) else masked(str(value), secrets) for name, value in clean.items()}


def _into(task: Any) -> str:
    """The target of a load, as it was rendered, or as the file says it."""
    into = getattr(task, "into", "")
    return redact(str(getattr(into, "template", into) or ""))


def _after(task: Any) -> list[str]:
    return _or_none(lambda: sorted(task.get_flat_relative_ids(upstream=False))) or []


def _or_none(read: Callable[[], Value]) -> Value | None:
    """What `read` returns; None where Airflow's context does not have it here."""
    try:
        return read()
    except Exception as error:
        log.debug("Not known of the task: %s", type(error).__name__)
        return None
