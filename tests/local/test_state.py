from __future__ import annotations

import json
import stat
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from sluicegate.local.stack.errors import StackError
from sluicegate.local.stack.state import Lock, Ports, ProcessId, Run, Secrets, State, warehouse_url


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State.at(tmp_path / "state")
    state.create()
    return state


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_read_what_is_secret(state: State) -> None:
    Secrets.load_or_generate(state)
    assert mode(state.secrets) == 0o600
    assert mode(state.root) == 0o700
    assert (state.root / ".gitignore").read_text() == "*\n"


def test_secrets_are_generated_once_and_shown_by_no_repr(state: State) -> None:
    first = Secrets.load_or_generate(state)
    assert Secrets.load_or_generate(state) == first
    values = list(asdict(first).values())
    assert len(set(values)) == len(values)
    assert not any(value in repr(first) for value in values)


def test_a_secret_that_a_newer_version_added_is_generated_beside_the_old_ones(state: State) -> None:
    first = asdict(Secrets.load_or_generate(state))
    del first["jwt_secret"]
    state.secrets.write_text(json.dumps(first))
    again = Secrets.load_or_generate(state)
    assert again.jwt_secret == Secrets.load(state).jwt_secret
    assert again.postgres_password == first["postgres_password"]


def test_lost_secrets_of_existing_databases_are_an_error_that_says_what_to_do(state: State) -> None:
    (state.postgres / "data").mkdir()
    with pytest.raises(StackError) as caught:
        Secrets.load_or_generate(state)
    assert str(state.root) in caught.value.remedy


def test_a_run_survives_its_file_and_shows_no_password(state: State) -> None:
    run = Run(ProcessId(1, 2.5), "/dags", Ports(1, 2, 3), bundles=[{"name": "x"}], chaos="capacity=1,seed=7")
    run = run.with_component("scheduler", ProcessId(7, 8.5))
    run.save(state)
    assert Run.load(state) == run
    assert mode(state.run) == 0o600
    assert warehouse_url(run.ports) == "postgresql://warehouse@127.0.0.1:2/warehouse"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"supervisor": 1}'])
def test_a_run_that_cannot_be_read_counts_as_none(state: State, text: str) -> None:
    state.run.write_text(text)
    assert Run.load(state) is None


def test_the_lock_is_free_again_after_its_holder_was_killed(state: State) -> None:
    program = (
        "import sys,time; from pathlib import Path; from sluicegate.local.stack.state import Lock;"
        "lock = Lock.take(Path(sys.argv[1])); print(lock is not None, flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(state.lock)], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert Lock.held(state.lock)
        assert Lock.take(state.lock, patience=0) is None
        holder.kill()
        holder.wait()
    assert not Lock.held(state.lock)
    lock = Lock.take(state.lock)
    assert lock is not None
    lock.release()


def test_the_lock_is_not_inherited_by_what_its_holder_starts(state: State) -> None:
    lock = Lock.take(state.lock)
    assert lock is not None
    program = "import time; print('runs', flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, close_fds=False)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "runs\n"
        lock.release()
        assert not Lock.held(state.lock)
    finally:
        child.kill()
        child.communicate()


def test_asking_about_a_lock_leaves_no_file_behind(tmp_path: Path) -> None:
    assert not Lock.held(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
