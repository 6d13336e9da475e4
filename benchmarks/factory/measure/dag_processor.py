"""A dag-processor with a metadata database of its own, and what it has done and cost so far."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg

from measure.client import airflow_environment

__all__ = ["Database", "Processor", "migrated"]

_PATIENCE = 1800.0


@dataclass(frozen=True)
class Database:
    """`server`: the connection string of a Postgres, without a database."""

    server: str
    name: str

    def copy(self, name: str) -> Database:
        """Another of the same content."""
        with psycopg.connect(f"{self.server} dbname=postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self.name}"')
        return self.named(name)

    def named(self, name: str) -> Database:
        """Another on the same server."""
        return Database(self.server, name)

    @property
    def url(self) -> str:
        said = dict(word.split("=", 1) for word in self.server.split())
        return f"postgresql+psycopg2://{said['user']}@{said['host']}:{said['port']}/{self.name}"

    def parsed_since(self, moment: float) -> int:
        """How many DAGs have been parsed, stored and found without errors since then (seconds since 1970)."""
        statement = (
            "SELECT count(*) FROM dag WHERE NOT is_stale AND last_parsed_time >= to_timestamp(%s) "
            "AND dag_id IN (SELECT dag_id FROM serialized_dag)"
        )
        return int(self._one(statement, moment))

    def serialized_at(self, dag: str) -> str:
        return str(self._one("SELECT max(last_updated)::text FROM serialized_dag WHERE dag_id = %s", dag))

    def import_errors(self) -> str:
        return str(self._one("SELECT string_agg(filename || ': ' || stacktrace, E'\\n') FROM import_error"))

    def _one(self, statement: str, *values: object) -> Any:
        with psycopg.connect(f"{self.server} dbname={self.name}") as connection:
            row = connection.execute(statement, values).fetchone()
        return row[0] if row else None


def migrated(server: str, home: Path) -> Database:
    """A database with Airflow's tables and nothing in it."""
    with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE airflow_empty")
    database = Database(server, "airflow_empty")
    settings = airflow_environment(home) | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url}
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=settings, check=True, capture_output=True)
    return database


class Processor:
    """An `airflow dag-processor` at Airflow's defaults, but for `settings`; it ends with the block."""

    def __init__(
        self, home: Path, database: Database, bundles: list[dict[str, Any]], settings: Mapping[str, str]
    ) -> None:
        home.mkdir(exist_ok=True)
        self.database = database
        self._log = home / "dag-processor.log"
        defaults = airflow_environment(home)
        del defaults["AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT"]
        self._environment = {
            **defaults,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url,
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            **settings,
        }

    def __enter__(self) -> Self:
        with self._log.open("a") as output:
            command = [sys.executable, "-m", "airflow", "dag-processor"]
            self._process = psutil.Popen(command, env=self._environment, stdout=output, stderr=output)
        return self

    def __exit__(self, *error: object) -> None:
        below = self._process.children(recursive=True)
        self._process.terminate()
        try:
            self._process.wait(15)
        except psutil.TimeoutExpired:
            self._process.kill()
        for each in below:
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue

    def memory(self) -> float:
        """MB that it alone holds, without those below it."""
        return self._process.memory_full_info().uss / 1e6

    def cpu(self) -> float:
        """Seconds, user and system, that it and all below it have taken since its start.

        :raises RuntimeError: when it has ended: what it would have taken is not known
        """
        if self._process.poll() is not None:
            raise RuntimeError(f"the dag-processor has ended; its log is {self._log}")
        total = 0.0
        for each in (self._process, *self._process.children(recursive=True)):
            try:
                total += sum(each.cpu_times()[:4])  # its own, and those of its children that have ended
            except psutil.NoSuchProcess:
                continue
        return total

    def wait(self, until: Callable[[], bool], patience: float = _PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while not until():
            if self._process.poll() is not None or time.monotonic() > deadline:
                errors = self.database.import_errors()
                raise SystemExit(f"the dag-processor did not get there: {errors}\n{self._log.read_text()[-3000:]}")
            time.sleep(0.1)
