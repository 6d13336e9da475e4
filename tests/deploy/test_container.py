"""What the service `init` does, on a real Postgres."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from sluicegate.local.stack import postgres
from sluicegate.local.stack.state import Secrets, State

PASSWORDS = {
    "AIRFLOW_DB_PASSWORD": "metadata-secret",
    "WAREHOUSE_PASSWORD": "warehouse-secret",
    "AIRFLOW_ADMIN_PASSWORD": "admin-secret",
}


@dataclass(frozen=True)
class Server:
    port: int
    password: str

    @property
    def env(self) -> dict[str, str]:
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGPASSWORD": self.password,
        }

    def login(self, role: str, password: str, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=role, password=password, dbname=database, connect_timeout=5
        )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="sluicegate-postgres-"))
    state, secrets = State(folder / "state"), Secrets()
    state.create()
    run_as = postgres.choose_run_as(state, postgres.Binaries.find())
    password = postgres.write_password_file(state, secrets, run_as)
    how = {
        "user": run_as.user,
        "group": run_as.group,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    subprocess.run(postgres.initdb(state, run_as, password), check=True, **how)  # type: ignore[call-overload]
    postgres.draft_folder(state).rename(postgres.data_folder(state))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(postgres.server(state, run_as, port), **how)  # type: ignore[call-overload]
    found = Server(port, secrets.postgres_password)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                found.login("postgres", found.password, "postgres").close()
                break
            except psycopg.OperationalError:
                assert time.monotonic() < until
                time.sleep(0.05)
        yield found
    finally:
        process.send_signal(postgres.STOP_SIGNAL)
        process.wait(120)
        shutil.rmtree(folder)


def init(folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sluicegate.local.stack.container", str(folder)],
        env={"PATH": os.environ["PATH"]} | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_role_gets_a_database_that_nobody_else_may_enter(server: Server, tmp_path: Path) -> None:
    done = init(tmp_path / "state", server.env | PASSWORDS)
    assert done.returncode == 0, done.stderr
    server.login("airflow", "metadata-secret", "airflow").close()
    with server.login("warehouse", "warehouse-secret", "warehouse") as warehouse:
        warehouse.execute("CREATE SCHEMA IF NOT EXISTS sluicegate")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        server.login("warehouse", "warehouse-secret", "airflow")


def test_it_may_run_again_and_takes_a_changed_password(server: Server, tmp_path: Path) -> None:
    assert init(tmp_path / "state", server.env | PASSWORDS).returncode == 0
    with server.login("warehouse", "warehouse-secret", "warehouse") as warehouse:
        warehouse.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
    assert init(tmp_path / "state", server.env | PASSWORDS | {"WAREHOUSE_PASSWORD": "another"}).returncode == 0
    with server.login("warehouse", "another", "warehouse") as warehouse:
        assert warehouse.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        server.login("warehouse", "warehouse-secret", "warehouse")


def test_airflow_finds_its_home_and_the_admins_password(server: Server, tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    assert init(state.root, server.env | PASSWORDS).returncode == 0
    assert (state.airflow / "airflow.cfg").exists()
    assert '"admin": "admin-secret"' in state.passwords.read_text()
    assert stat.S_IMODE(state.passwords.stat().st_mode) == 0o600


def test_a_volume_made_with_another_password_says_what_to_do(server: Server, tmp_path: Path) -> None:
    done = init(tmp_path / "state", server.env | PASSWORDS | {"PGPASSWORD": "not-the-one"})
    assert done.returncode == 3
    assert "password authentication failed" in done.stderr
    assert "POSTGRES_PASSWORD" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [secret for secret in (*PASSWORDS.values(), "not-the-one") if secret in done.stderr]


def test_every_missing_password_is_named(tmp_path: Path) -> None:
    done = init(tmp_path / "state", {"AIRFLOW_DB_PASSWORD": "", "WAREHOUSE_PASSWORD": "set"})
    assert done.returncode == 2
    assert "AIRFLOW_DB_PASSWORD, AIRFLOW_ADMIN_PASSWORD" in done.stderr
    assert "WAREHOUSE_PASSWORD" not in done.stderr
    assert not (tmp_path / "state").exists()
