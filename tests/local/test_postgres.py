from __future__ import annotations

import os
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from sluicegate.local.stack import databases, ports, postgres
from sluicegate.local.stack.errors import StackError
from sluicegate.local.stack.state import Ports, Secrets, State

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State.at(tmp_path / "state")
    state.create()
    return state


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user can reach: pytest closes its own."""
    with tempfile.TemporaryDirectory(prefix="sluicegate-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def reachable_state(reachable: Path) -> State:
    state = State.at(reachable / "state")
    state.create()
    return state


@contextmanager
def server(state: State, run_as: postgres.RunAs, secrets: Secrets) -> Iterator[Ports]:
    """A Postgres on the state's data folder, made if there is none."""
    options = {"user": run_as.user, "group": run_as.group, "extra_groups": [] if run_as.user else None}
    if not postgres.data_folder(state).exists():
        password = postgres.write_password_file(state, secrets, run_as)
        command = postgres.initdb(state, run_as, password)
        subprocess.run(command, check=True, capture_output=True, cwd=state.postgres, **options)
        postgres.draft_folder(state).rename(postgres.data_folder(state))
    where = Ports(airflow=0, postgres=ports.find([]), aws=0)
    command = postgres.server(state, run_as, where.postgres)
    log = state.log("postgres")
    with log.open("wb") as output:
        process = subprocess.Popen(command, stderr=output, cwd=state.postgres, **options)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                databases.connect(where, secrets).close()
                break
            except databases.NotReachable:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until
                time.sleep(0.05)
        yield where
    finally:
        process.send_signal(postgres.STOP_SIGNAL)
        process.wait(120)


def test_the_databases_are_durable_private_and_made_once(state: State) -> None:
    secrets = Secrets()
    run_as = postgres.choose_run_as(state, postgres.Binaries.find())
    with server(state, run_as, secrets) as where, databases.connect(where, secrets) as connection:
        for _ in range(2):
            databases.ensure(connection, secrets)
        for name, value in {
            "server_version_num": "18",
            "fsync": "on",
            "synchronous_commit": "on",
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "timezone": "UTC",
            "server_encoding": "UTF8",
        }.items():
            shown = connection.execute(f"SHOW {name}").fetchone()
            assert shown is not None
            assert str(shown[0]).startswith(value) if value else shown[0] == ""
        with psycopg.connect(
            host="127.0.0.1", port=where.postgres, user="warehouse", password=secrets.warehouse_password,
            dbname="warehouse",
        ) as warehouse:  # fmt: skip
            warehouse.execute("CREATE SCHEMA mine")
        for role, password, database in (
            ("warehouse", "wrong", "warehouse"),
            ("warehouse", secrets.warehouse_password, "airflow"),
            ("postgres", "", "postgres"),
        ):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(host="127.0.0.1", port=where.postgres, user=role, password=password, dbname=database)


def test_a_half_migrated_metadata_database_is_made_anew_and_a_finished_one_is_remembered(
    state: State,
) -> None:
    secrets = Secrets()
    run_as = postgres.choose_run_as(state, postgres.Binaries.find())
    with server(state, run_as, secrets) as where, databases.connect(where, secrets) as connection:
        databases.ensure(connection, secrets)
        with databases.connect(where, secrets, "airflow") as inside:
            inside.execute("CREATE TABLE half (id int)")
        assert databases.migrated_to(connection) == ""
        databases.discard_half_made(connection, secrets)
        with databases.connect(where, secrets, "airflow") as inside:
            assert inside.execute("SELECT to_regclass('half')").fetchone() == (None,)
        databases.mark_migrated(connection, "3.3.2")
        databases.ensure(connection, secrets)
        assert databases.migrated_to(connection) == "3.3.2"


@as_root
def test_root_without_user_namespaces_runs_it_as_nobody(
    reachable_state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = reachable_state
    monkeypatch.setattr("shutil.which", lambda name: None)
    secrets = Secrets()
    run_as = postgres.choose_run_as(state, postgres.Binaries.find())
    assert run_as.name == "the user nobody"
    with server(state, run_as, secrets) as where, databases.connect(where, secrets) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert postgres.data_folder(state).stat().st_uid == run_as.user
    monkeypatch.undo()
    # The folder keeps its owner, so a later start needs no namespace either.
    assert postgres.choose_run_as(state, postgres.Binaries.find()).user == run_as.user


@as_root
def test_binaries_that_nobody_can_read_are_copied_to_where_it_can(
    reachable_state: State, reachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = reachable_state
    monkeypatch.setattr("shutil.which", lambda name: None)
    closed = reachable / "closed"
    (closed / "bin").mkdir(parents=True)
    (closed / "bin" / "postgres").write_text("#!/bin/sh\nexit 0\n")
    (closed / "bin" / "postgres").chmod(0o755)
    closed.chmod(0o700)
    run_as = postgres.choose_run_as(state, postgres.Binaries(closed / "bin"))
    assert run_as.binaries.folder.is_relative_to(state.root)
    assert run_as.refusal(state.postgres) == ""


@as_root
def test_when_no_way_works_every_reason_is_given(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = tmp_path / "unshare"
    denied.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2; exit 1\n")
    denied.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(denied))
    tmp_path.chmod(0o700)
    with pytest.raises(StackError) as caught:
        postgres.choose_run_as(state, postgres.Binaries.find())
    assert "in a user namespace: unshare failed: Operation not permitted" in caught.value.message
    assert "as the user nobody: " in caught.value.message
    assert "--state" in caught.value.remedy
    assert state.postgres.stat().st_uid == 0
    assert not (state.root / "postgres-binaries").exists()


def test_the_password_file_for_initdb_is_private(state: State) -> None:
    run_as = postgres.RunAs("this user", postgres.Binaries.find())
    path = postgres.write_password_file(state, Secrets(), run_as)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
