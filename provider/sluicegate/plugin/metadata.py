"""Airflow's own database, as the endpoint reads it. Its internals are known here and in `users` only.

A few statements for all pipelines together, each by an index, whatever the number of runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagrun import DagRun
from airflow.models.deadline_alert import DeadlineAlert
from airflow.models.errors import ParseImportError
from airflow.models.pool import Pool
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import ScalarSelect, and_, case, func, null, or_, select
from sqlalchemy.orm import aliased

from sluicegate.graph.window import Window
from sluicegate.health.facts import BrokenFile, ComponentFacts, MissingPool, PipelineFacts, Promise, RunFacts, SiteFacts
from sluicegate.health.late import LATE

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["read_site"]

_MANUAL = "manual"
_ENDED = ("success", "failed")
_UNSCHEDULED = ("", "None", "@once", "Never, external triggers only")
"""What Airflow says of the schedule of a DAG whose runs have no windows."""
_ACTIVE = ("queued", "running")
_COMPONENTS = {
    "SchedulerJob": ("scheduler", "scheduler", "scheduler_health_check_threshold"),
    "TriggererJob": ("triggerer", "triggerer", "triggerer_health_check_threshold"),
    "DagProcessorJob": ("dag-processor", "dag_processor", "health_check_threshold"),
}
"""By type of job: the component, and the setting of how long it may be silent."""
_SILENT = 30.0
_DRAWN = "PipelineFileError:"
"""What Airflow writes before the drawing of what is wrong with a pipeline's file."""
_LONGEST = 300
_MANY = 1_000
"""Values in one list of a statement: SQLite and MySQL have limits."""
_DRY = 50
"""Successful runs of a pipeline among which one is looked for that was no dry run."""


def read_site() -> SiteFacts:
    """Everything that Airflow's database knows; the journals come beside.

    :raises sqlalchemy.exc.SQLAlchemyError: when the database does not answer
    """
    with create_session() as session:
        dags = _dags(session)
        promises = _promises(session)
        ours = [dag for dag in dags if dag.dag_id in promises or _is_of_a_file(dag.fileloc)]
        runs = _runs(session, {key for dag in ours for key in (dag.success, dag.ended, dag.by_hand) if key is not None})
        active = _active(session)
        pipelines = [_pipeline(session, dag, promises.get(dag.dag_id), runs, active) for dag in ours]
        names = {each.name for each in pipelines}
        return SiteFacts(
            at=datetime.now(UTC),
            pipelines=tuple(_with_failed_steps(session, sorted(pipelines, key=lambda each: each.name))),
            components=tuple(_components(session)),
            broken=tuple(_broken(session)),
            pools=tuple(each for each in _missing_pools(session) if each.pipeline in names),
        )


def _is_of_a_file(fileloc: str | None) -> bool:
    """A pipeline shows its YAML file as its source."""
    return bool(fileloc) and str(fileloc).endswith((".yaml", ".yml"))


def _dags(session: Session) -> Sequence[Any]:
    """Every DAG that Airflow still has, with the ids of the runs that count."""
    windowed = (DagRun.run_type != _MANUAL, DagRun.logical_date.is_not(None))
    by_hand = _newest(DagRun.id, DagRun.state.in_(_ENDED), by=DagRun.run_after)
    return session.execute(
        select(
            DagModel.dag_id,
            DagModel.owners,
            DagModel.fileloc,
            DagModel.is_paused,
            DagModel.timetable_summary,
            _is_scheduled().label("is_scheduled"),
            DagModel.exceeds_max_non_backfill,
            DagModel.next_dagrun,
            DagModel.next_dagrun_create_after,
            _newest(DagRun.id, *windowed, DagRun.state == "success").label("success"),
            _newest(DagRun.id, *windowed, DagRun.state.in_(_ENDED)).label("ended"),
            # No index has its order: it is asked only of a DAG that a person starts.
            case((~_is_scheduled(), by_hand)).label("by_hand"),
            _newest(DagRun.logical_date, *windowed, by=DagRun.logical_date, oldest=True).label("first"),
        ).where(~DagModel.is_stale)
    ).all()


def _is_scheduled() -> Any:
    return func.coalesce(DagModel.timetable_summary, "").not_in(_UNSCHEDULED)


def _newest(what: Any, *conditions: Any, by: Any = DagRun.logical_date, oldest: bool = False) -> ScalarSelect[Any]:
    order = by.asc() if oldest else by.desc()
    chosen = select(what).where(DagRun.dag_id == DagModel.dag_id, *conditions).order_by(order).limit(1)
    return chosen.correlate(DagModel).scalar_subquery()


def _promises(session: Session) -> dict[str, Promise]:
    """By pipeline, what its deadline says: the arguments of our callback are in the database.

    Those of its newest version. Airflow leaves the row of a deadline that was taken out of a DAG which has not run
    since, so that the version itself is asked as well, unless it is compressed.
    """
    alert, stored, version, newer = DeadlineAlert, SerializedDagModel, DagVersion, aliased(DagVersion)
    newest = select(func.max(newer.version_number)).where(newer.dag_id == stored.dag_id).correlate(stored)
    rows = session.execute(
        select(stored.dag_id, alert.callback_def)
        .join(stored, alert.serialized_dag_id == stored.id)
        .join(version, stored.dag_version_id == version.id)
        .where(version.version_number == newest.scalar_subquery())
        .where(or_(stored._data.is_(null()), stored._data["dag"]["deadline"].as_string().is_not(None)))
    ).all()
    said = {dag_id: _arguments(callback) for dag_id, callback in rows}
    return {dag_id: _promise(arguments) for dag_id, arguments in said.items() if arguments is not None}


def _arguments(callback: Any) -> Mapping[str, Any] | None:
    """The arguments of our callback; None for one that is not ours."""
    said = callback.get("__data__", callback) if isinstance(callback, Mapping) else {}
    return said.get("kwargs") or {} if isinstance(said, Mapping) and said.get("path") == LATE else None


def _promise(said: Mapping[str, Any]) -> Promise:
    end = said.get("end")
    return Promise(
        timedelta(seconds=said["fresh_within"]),
        None if end is None else datetime.fromisoformat(end),
        said.get("journal"),
        not said.get("cron"),
        bool(said.get("watches")),
    )


def _runs(session: Session, keys: Collection[int]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for some in _chunks(sorted(keys)):
        rows = session.execute(
            select(
                DagRun.id, DagRun.run_id, DagRun.state, DagRun.run_type, DagRun.logical_date, DagRun.end_date,
                DagRun.data_interval_start, DagRun.data_interval_end, DagRun.conf,
            ).where(DagRun.id.in_(some))
        ).all()  # fmt: skip
        found |= {row.id: row for row in rows}
    return found


def _active(session: Session) -> dict[str, int]:
    counted = select(DagRun.dag_id, func.count()).where(DagRun.state.in_(_ACTIVE)).group_by(DagRun.dag_id)
    return {row[0]: row[1] for row in session.execute(counted).all()}


def _pipeline(
    session: Session, dag: Any, promise: Promise | None, runs: Mapping[int, Any], active: Mapping[str, int]
) -> PipelineFacts:
    success = runs.get(dag.success)
    if success is not None and _is_dry(success):
        success = _newest_real(session, dag.dag_id)
    is_scheduled = bool(dag.is_scheduled)
    ended = runs.get(dag.ended if is_scheduled else dag.by_hand)
    return PipelineFacts(
        name=dag.dag_id,
        owner=dag.owners or "",
        schedule=(dag.timetable_summary or "") if is_scheduled else "",
        is_scheduled=is_scheduled,
        paused=bool(dag.is_paused),
        promise=promise,
        newest=None if ended is None else _ended(ended),
        newest_success=None if success is None else _window(success),
        first=dag.first or dag.next_dagrun,
        active_runs=active.get(dag.dag_id, 0),
        next_due=None if dag.exceeds_max_non_backfill else dag.next_dagrun_create_after,
        next_window=dag.next_dagrun,
    )


def _newest_real(session: Session, dag_id: str) -> Any | None:
    """The newest successful window that was no dry run."""
    rows = session.execute(
        select(DagRun.logical_date, DagRun.data_interval_start, DagRun.data_interval_end, DagRun.conf)
        .where(DagRun.dag_id == dag_id, DagRun.state == "success", DagRun.run_type != _MANUAL)
        .where(DagRun.logical_date.is_not(None))
        .order_by(DagRun.logical_date.desc())
        .limit(_DRY)
    ).all()
    return next((row for row in rows if not _is_dry(row)), None)


def _is_dry(run: Any) -> bool:
    return bool(isinstance(run.conf, Mapping) and run.conf.get("dry_run"))


def _window(run: Any) -> Window | None:
    start = run.data_interval_start or run.logical_date
    end = run.data_interval_end or start
    return None if start is None else Window(start, end)


def _ended(run: Any) -> RunFacts:
    return RunFacts(run.run_id, run.state == "success", _window(run), run.end_date)


def _with_failed_steps(session: Session, pipelines: Iterable[PipelineFacts]) -> list[PipelineFacts]:
    listed = list(pipelines)
    failed = {
        (each.name, each.newest.run_id) for each in listed if each.newest is not None and not each.newest.succeeded
    }
    steps: dict[tuple[str, str], list[str]] = defaultdict(list)
    for some in _chunks(sorted(failed)):
        these = or_(*(and_(TaskInstance.dag_id == dag, TaskInstance.run_id == run) for dag, run in some))
        found = session.execute(
            select(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id)
            .where(these, TaskInstance.state == "failed")
            .distinct()
        ).all()
        for dag_id, run_id, task_id in sorted(found):
            steps[dag_id, run_id].append(task_id)
    return [
        each
        if each.newest is None or (each.name, each.newest.run_id) not in steps
        else replace(each, newest=replace(each.newest, failed_steps=tuple(steps[each.name, each.newest.run_id])))
        for each in listed
    ]


def _components(session: Session) -> list[ComponentFacts]:
    from airflow.jobs.job import Job

    beats = session.execute(
        select(Job.job_type, func.max(Job.latest_heartbeat))
        .where(Job.job_type.in_(_COMPONENTS), Job.state == "running")
        .group_by(Job.job_type)
    ).all()
    newest = {row[0]: row[1] for row in beats}
    return [
        ComponentFacts(name, newest.get(kind), timedelta(seconds=conf.getfloat(section, setting, fallback=_SILENT)))
        for kind, (name, section, setting) in _COMPONENTS.items()
    ]


def _broken(session: Session) -> list[BrokenFile]:
    errors = session.scalars(select(ParseImportError).order_by(ParseImportError.filename)).all()
    return [BrokenFile(_file(each.filename or ""), _said(each.stacktrace or ""), each.timestamp) for each in errors]


def _file(name: str) -> str:
    """The pipeline's file, where Airflow names the stub of one."""
    bare = name.removesuffix(".py")
    return bare if bare.endswith((".yaml", ".yml")) else name


def _said(stacktrace: str) -> str:
    """The line that says what is wrong: of our drawings the first one, of a traceback the last one."""
    before, ours, drawn = stacktrace.partition(_DRAWN)
    lines = [line.strip() for line in (drawn if ours else before).splitlines() if line.strip()]
    if not lines:
        return "Airflow says nothing of it"
    return (lines[0] if ours else lines[-1])[:_LONGEST]


def _missing_pools(session: Session) -> list[MissingPool]:
    """Tasks that wait in the scheduler, for a pool that does not exist."""
    pool = aliased(Pool)
    rows = session.execute(
        select(TaskInstance.dag_id, TaskInstance.task_id, TaskInstance.pool)
        .where(TaskInstance.state == "scheduled")
        .where(~select(pool.id).where(pool.pool == TaskInstance.pool).exists())
        .distinct()
    ).all()
    return [MissingPool(*row) for row in rows]


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[at : at + _MANY] for at in range(0, len(values), _MANY))
