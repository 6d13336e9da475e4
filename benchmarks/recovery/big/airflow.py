"""An Airflow with a thousand pipelines and thirty days of runs: copies, in its database, of two that really failed.

A copy of a pipeline has its serialized DAG, and a copy of a run its task instances, rendered fields and faults, all as
Airflow wrote them, under other names and dates. Nothing is scheduled: the scheduler sleeps while something is measured.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from sluicegate.api.runs import Runs
from sluicegate.local.stack import Stack

__all__ = ["BigAirflow", "big_airflow"]

SOURCE, READER = "t_source", "t_reader"
DAY = datetime(2026, 1, 1, tzinfo=UTC)

_PIPELINES = {
    f"{SOURCE}.yaml": """\
sluicegate: 1
schedule: {cron: "@daily", start: 2025-12-31, end: 2026-01-01, catchup: true}
retries: {count: 0}
datasets:
  raw: {uri: "s3://landing/source/{{ ds }}.csv", format: {type: csv}}
  clean: table://warehouse/public.source
steps:
  load_it: {load: raw, into: clean, key: [id]}
""",
    f"{READER}.yaml": """\
sluicegate: 1
schedule: {cron: "@daily", start: 2025-12-31, end: 2026-01-01, catchup: true}
retries: {count: 0}
datasets:
  shaped: {uri: "s3://lake/reader/{{ ds }}/", format: {type: csv}}
steps:
  shape_it: {python: "shape:shape", reads: {clean: t_source.clean}, writes: {out: shaped}, wait: 3s}
""",
    "shape.py": "def shape() -> None:\n    pass\n",
}
# Nothing may notice meanwhile that no file holds the copies, and nothing may schedule them.
_SETTINGS = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "86400",
    "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "86400",
}


_SUCCEED = """
UPDATE task_instance t SET state = 'success', start_date = now(), end_date = now() FROM dag_run r
WHERE t.dag_id = r.dag_id AND t.run_id = r.run_id AND r.dag_id LIKE 'p%%' AND r.state IN ('queued', 'running')
AND t.state IS NULL AND r.queued_at < now() - make_interval(secs => %s)
"""
_END = """
UPDATE dag_run r SET state = 'success', end_date = now() WHERE r.state IN ('queued', 'running') AND r.dag_id LIKE 'p%'
AND NOT EXISTS (SELECT FROM task_instance t WHERE t.dag_id = r.dag_id AND t.run_id = r.run_id AND t.state IS NULL)
"""


@dataclass(frozen=True)
class BigAirflow:
    """`sources` and `readers` are the names of the copies; each reader waits for one source, all of them every day."""

    stack: Stack
    connection: psycopg.Connection
    sources: Sequence[str]
    readers: Sequence[str]
    days: int

    @property
    def state(self) -> Path:
        """The stack's state folder."""
        return Path(self.stack.env["AIRFLOW_HOME"]).parent

    @property
    def pipelines(self) -> int:
        return len(self.sources) + len(self.readers)

    def fail(self, days: Sequence[int]) -> None:
        """Let all runs of these days have failed, and all others have succeeded."""
        execute = self.connection.execute
        execute("UPDATE dag_run SET state = 'success', clear_number = 0, queued_at = end_date WHERE dag_id LIKE 'p%%'")
        execute("UPDATE task_instance SET state = 'success', start_date = end_date WHERE dag_id LIKE 'p%%'")
        chosen = [*self.sources, *self.readers]
        runs = [_run_id(day) for day in days]
        where = "WHERE dag_id = ANY(%s) AND run_id = ANY(%s)"
        execute(f"UPDATE dag_run SET state = 'failed' {where}", (chosen, runs))
        first = "task_id IN ('load_it', 'wait_for__t_source__load_it')"
        execute(f"UPDATE task_instance SET state = 'failed' {where} AND {first}", (chosen, runs))
        execute(f"UPDATE task_instance SET state = 'upstream_failed' {where} AND NOT {first}", (chosen, runs))
        execute("DELETE FROM xcom WHERE key LIKE 'sluicegate_fault%%'")
        execute(f"INSERT INTO xcom SELECT * FROM copied_xcom {where}", (chosen, runs))
        self.connection.commit()
        execute("ANALYZE")
        self.connection.commit()

    @property
    def edges(self) -> list[tuple[str, str]]:
        """Each (source, reader that waits for it)."""
        return [(self.sources[number % len(self.sources)], name) for number, name in enumerate(self.readers)]

    def reset_runs(self, day: int) -> list[tuple[str, str]]:
        """The runs of a day that were reset since they had failed."""
        rows = self.connection.execute(
            "SELECT dag_id, run_id FROM dag_run WHERE dag_id LIKE 'p%%' AND run_id = %s AND clear_number > 0",
            (_run_id(day),),
        ).fetchall()
        self.connection.commit()
        return [(str(dag), str(run)) for dag, run in rows]

    def violations(self, edges: Sequence[tuple[str, str]], day: int) -> int:
        """How many readers of a day were reset before the load of their source had succeeded."""
        rows = self.connection.execute(
            "SELECT r.dag_id, r.queued_at, t.end_date FROM dag_run r JOIN task_instance t USING (dag_id, run_id) "
            "WHERE r.run_id = %s AND t.task_id = 'load_it' UNION ALL "
            "SELECT r.dag_id, r.queued_at, NULL FROM dag_run r WHERE r.run_id = %s AND r.dag_id = ANY(%s)",
            (_run_id(day), _run_id(day), list(self.readers)),
        ).fetchall()
        self.connection.commit()
        reset = {str(dag): queued for dag, queued, _ in rows}
        loaded = {str(dag): end for dag, _, end in rows if end is not None}
        return sum(source not in loaded or reset[reader] < loaded[source] for source, reader in edges)

    @contextlib.contextmanager
    def quick_tasks(self, seconds: float) -> Iterator[None]:
        """In place of the scheduler: whatever was reset succeeds after so many seconds."""
        ended = threading.Event()
        dsn = self.stack.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg", "")

        def run() -> None:
            with psycopg.connect(dsn, autocommit=True) as connection:
                while not ended.wait(0.2):
                    connection.execute(_SUCCEED, (seconds,))
                    connection.execute(_END)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    @contextlib.contextmanager
    def no_scheduler(self) -> Iterator[None]:
        """The scheduler, the dag-processor and their children stopped; the api-server answers."""
        sleeping = [each for each in _family(self.stack) if "api-server" not in " ".join(each.cmdline())]
        for each in sleeping:
            os.kill(each.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in sleeping:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGCONT)


@contextlib.contextmanager
def big_airflow(folder: Path, *, pipelines: int, days: int) -> Iterator[BigAirflow]:
    """Started, filled, and ended with the block."""
    dags = folder / "dags"
    dags.mkdir(parents=True)
    for name, text in _PIPELINES.items():
        (dags / name).write_text(text)
    os.environ.update(_SETTINGS)
    with Stack(folder / "state", dags) as stack:
        _wait_for_failures(stack)
        dsn = stack.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg", "")
        with psycopg.connect(dsn) as connection:
            count = max(1, pipelines // 10)
            names = [f"p{number:04}" for number in range(pipelines)]
            random.Random(1).shuffle(names)  # an alphabet that knows the order would help those who have none
            sources, readers = names[:count], names[count:]
            _copy(connection, sources, readers, days)
            yield BigAirflow(stack, connection, sources, readers, days)


def _wait_for_failures(stack: Stack) -> None:
    deadline = time.monotonic() + 120
    with stack.api() as client:
        runs = Runs(client, [SOURCE, READER])
        while time.monotonic() < deadline:
            found = runs.all()
            if {run.dag_id for run in found} == {SOURCE, READER} and all(run.finished for run in found):
                return
            time.sleep(0.5)
    raise TimeoutError("the two pipelines have not failed")


def _family(stack: Stack) -> list[psutil.Process]:
    words = ("scheduler", "dag-processor", "triggerer")
    home = stack.env["AIRFLOW_HOME"]
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(each.cmdline())
            if "airflow" in line and any(word in line for word in words) and each.environ().get("AIRFLOW_HOME") == home:
                found += [each, *each.children(recursive=True)]
    return list({each.pid: each for each in found}.values())


def _run_id(day: int) -> str:
    return f"scheduled__{(DAY + timedelta(days=day)).isoformat()}"


def _copy(connection: psycopg.Connection, sources: Sequence[str], readers: Sequence[str], days: int) -> None:
    execute = connection.execute
    execute(
        "CREATE TEMP TABLE copy_dag (template text, name text, source text, version uuid DEFAULT gen_random_uuid())"
    )
    rows = [(SOURCE, name, "") for name in sources]
    rows += [(READER, name, sources[number % len(sources)]) for number, name in enumerate(readers)]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO copy_dag (template, name, source) VALUES (%s, %s, %s)", rows)
    execute("CREATE TEMP TABLE copy_day (run_id text, first timestamptz, last timestamptz)")
    for day in range(days):
        first = DAY + timedelta(days=day - 1)
        execute("INSERT INTO copy_day VALUES (%s, %s, %s)", (_run_id(day), first, first + timedelta(days=1)))
    source = "CASE c.source WHEN '' THEN c.name ELSE c.source END"
    date = "to_char(d.first AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')"
    _copy_rows(connection, "dag", "copy_dag c", {
        "dag_id": "c.name", "dag_display_name": "c.name", "next_dagrun_create_after": "NULL",
    })  # fmt: skip
    latest = (
        "t.id = (SELECT dag_version_id FROM serialized_dag s WHERE s.dag_id = t.dag_id "
        "ORDER BY created_at DESC LIMIT 1)"
    )
    _copy_rows(connection, "dag_version", "copy_dag c", {"dag_id": "c.name", "id": "c.version"}, latest)
    _copy_rows(connection, "serialized_dag", "copy_dag c", {
        "id": "gen_random_uuid()", "dag_id": "c.name", "dag_version_id": "c.version",
        "data": f"replace(replace(t.data::text, c.template, c.name), 't_source', {source})::json",
        "dag_hash": "md5(c.name)",
    }, latest.replace("t.id", "t.dag_version_id"))  # fmt: skip
    execute("ANALYZE")
    both = "copy_dag c CROSS JOIN copy_day d"
    _copy_rows(connection, "dag_run", both, {
        "id": "nextval('dag_run_id_seq')", "dag_id": "c.name", "run_id": "d.run_id", "logical_date": "d.first",
        "data_interval_start": "d.first", "data_interval_end": "d.last", "run_after": "d.last",
        "created_dag_version_id": "c.version",
    })  # fmt: skip
    _copy_rows(connection, "task_instance", both, {
        "id": "gen_random_uuid()", "dag_id": "c.name", "run_id": "d.run_id", "dag_version_id": "c.version",
    })  # fmt: skip
    _copy_rows(connection, "rendered_task_instance_fields", both, {
        "dag_id": "c.name", "run_id": "d.run_id",
        "rendered_fields": "replace(replace(t.rendered_fields::text, 't_source', c.source), "
        f"'2025-12-31T00:00:00', {date})::json",
    })  # fmt: skip
    _copy_rows(connection, "xcom", f"{both} JOIN dag_run r ON r.dag_id = c.name AND r.run_id = d.run_id", {
        "dag_run_id": "r.id", "dag_id": "c.name", "run_id": "d.run_id",
        "key": f"replace(t.key, 't_source', {source})",
    })  # fmt: skip
    execute(
        "CREATE TEMP TABLE copied_xcom AS SELECT * FROM xcom WHERE dag_id LIKE 'p%' AND key LIKE 'sluicegate_fault%'"
    )
    execute("DELETE FROM dag_run WHERE dag_id LIKE 't%'")
    connection.commit()


def _copy_rows(
    connection: psycopg.Connection, table: str, targets: str, changed: dict[str, str], where: str = "true"
) -> None:
    """Insert every row of the templates once for each target, with some columns changed."""
    columns = [
        str(name)
        for (name,) in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER'",
            (table,),
        )
    ]
    values = [sql.SQL(changed[name]) if name in changed else sql.Identifier("t", name) for name in columns]
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} t JOIN {} ON t.dag_id = c.template WHERE {}").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(values),
            sql.Identifier(table),
            sql.SQL(targets),
            sql.SQL(where),
        )
    )
