"""Airflow's own database, with pipelines, runs and whatever else the endpoint reads, in a file of SQLite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from airflow.api_fastapi.app import create_auth_manager, get_auth_manager
from airflow.jobs.job import Job
from airflow.models.base import Base
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.deadline_alert import DeadlineAlert
from airflow.models.errors import ParseImportError
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import delete, insert
from starlette.testclient import TestClient

from sluicegate.health.late import LATE
from sluicegate.plugin.app import make_app

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Metadata:
    """Writes what Airflow's own components would have written."""

    now: datetime

    def pipeline(self, name: str, *, fresh_within: timedelta | None = None, said: Any = None, **fields: Any) -> None:
        """One of a YAML file, daily, active and in order unless `fields` say otherwise."""
        usual = {
            "dag_id": name, "bundle_name": "dags", "fileloc": f"/dags/{name}.yaml", "owners": "data-platform",
            "is_paused": False, "is_stale": False, "timetable_summary": "0 0 * * *", "timetable_type": "",
            "max_active_tasks": 16, "max_active_runs": 16, "max_consecutive_failed_dag_runs": 0,
            "has_task_concurrency_limits": False, "next_dagrun": self.now, "next_dagrun_create_after": self.now + DAY,
            "partition_mapper_info": [],
        }  # fmt: skip
        with create_session() as session:
            session.execute(insert(DagModel.__table__).values(**usual | fields))
        if fresh_within is not None:
            arguments = {"fresh_within": fresh_within.total_seconds(), **(said or {})}
            self.promise(name, self.version(name, 1, ["a deadline"]), arguments)

    def version(self, name: str, number: int, deadline: Any = None) -> Any:
        """A stored version of the DAG; the id of its row."""
        version, stored = uuid4(), uuid4()
        with create_session() as session:
            session.execute(insert(DagVersion.__table__).values(
                id=version, dag_id=name, version_number=number, bundle_name="dags", created_at=START,
                last_updated=START,
            ))  # fmt: skip
            session.execute(insert(SerializedDagModel.__table__).values(
                id=stored, dag_id=name, dag_version_id=version, dag_hash="x", created_at=START, last_updated=START,
                data={"dag": {"dag_id": name, "deadline": deadline}},
            ))  # fmt: skip
        return stored

    @property
    def today(self) -> datetime:
        return self.now.replace(hour=0, minute=0, second=0)

    def components(self, **silent: timedelta) -> None:
        """All parts of Airflow, alive but for those that have been silent for so long."""
        kinds = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob", "processor": "DagProcessorJob"}
        with create_session() as session:
            session.execute(delete(Job.__table__))
            for name, kind in kinds.items():
                beat = self.now - silent.get(name, timedelta())
                session.execute(insert(Job.__table__).values(job_type=kind, state="running", latest_heartbeat=beat))

    def import_error(self, file: str, stacktrace: str) -> None:
        with create_session() as session:
            session.execute(insert(ParseImportError.__table__).values(
                filename=file, bundle_name="dags", stacktrace=stacktrace, timestamp=self.now,
            ))  # fmt: skip

    def task(self, name: str, run_id: str, step: str, state: str, pool: str = "default_pool") -> None:
        with create_session() as session:
            session.execute(insert(TaskInstance.__table__).values(
                id=uuid4(), dag_id=name, run_id=run_id, task_id=step, map_index=-1, state=state, pool=pool,
                pool_slots=1, try_number=1, max_tries=0, span_status="not_started",
            ))  # fmt: skip

    def promise(self, name: str, stored: Any, said: Any) -> None:
        """The row of a deadline, of that version."""
        callback = {"__classname__": "x", "__version__": 0, "__data__": {"path": LATE, "kwargs": said}}
        with create_session() as session:
            session.execute(insert(DeadlineAlert.__table__).values(
                id=uuid4(), created_at=START, serialized_dag_id=stored, reference={}, interval={},
                callback_def=callback,
            ))  # fmt: skip

    def run(self, name: str, day: datetime | None, state: str = "success", *, kind: str = "scheduled",
            failed: Sequence[str] = (), **fields: Any) -> None:  # fmt: skip
        """A run of the day's window; without a day, one that has none."""
        made = day if day is not None else self.now
        usual = {
            "dag_id": name, "run_id": f"{kind}__{made.isoformat()}", "state": state, "run_type": kind,
            "logical_date": day, "data_interval_start": day, "data_interval_end": None if day is None else day + DAY,
            "run_after": made + DAY, "start_date": made + DAY, "end_date": made + DAY, "conf": {}, "clear_number": 0,
            "span_status": "not_started", "triggered_by": "timetable",
        }  # fmt: skip
        with create_session() as session:
            session.execute(insert(DagRun.__table__).values(**usual | fields))
        for step in failed:
            self.task(name, str(usual["run_id"]), step, "failed")


@pytest.fixture(scope="session")
def tables() -> None:
    import airflow.models
    from airflow.settings import engine

    airflow.models.import_all_models()
    Base.metadata.create_all(engine)


@pytest.fixture
def metadata(tables: None) -> Iterator[Metadata]:
    now = datetime.now(UTC).replace(microsecond=0)
    with create_session() as session:
        session.execute(insert(DagBundleModel.__table__).values(name="dags", active=True))
    yield Metadata(now)
    with create_session() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(delete(table))


@pytest.fixture
def client(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The app as Airflow mounts it, signed in to by the simple auth manager."""
    create_auth_manager()
    return TestClient(make_app())


def signed_in(role: str | None) -> dict[str, str]:
    """The headers of a user with that role."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    user = SimpleAuthManagerUser(username="somebody", role=role)
    return {"Authorization": f"Bearer {get_auth_manager().generate_jwt(user)}"}
