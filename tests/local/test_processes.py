from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sluicegate.local.stack import processes
from sluicegate.local.stack.state import ProcessId

linux = pytest.mark.skipif(sys.platform != "linux", reason="a guarantee that only Linux gives")

# A process that ignores SIGTERM and starts N more below it, each in a session of its own.
FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
left = int(sys.argv[1])
with open(sys.argv[2], "a") as pids:
    pids.write(f"{os.getpid()}\\n")
if left:
    subprocess.Popen([sys.executable, sys.argv[0], str(left - 1), sys.argv[2]], start_new_session=True)
time.sleep(600)
"""

# A supervisor in small: adopts orphans, starts a family, kills its head, then does what its argument says.
SUPERVISOR = """
import os, sys, time
from pathlib import Path
from sluicegate.local.stack import processes
processes.adopt_orphans()
folder = Path(sys.argv[1])
child = processes.spawn([sys.executable, str(folder / "family.py"), "2", str(folder / "pids")],
                        env=os.environ, log=folder / "log", cwd=folder)
while not (folder / "pids").exists() or (folder / "pids").read_text().count("\\n") < 3:
    time.sleep(0.02)
if sys.argv[2] == "stop":
    child.kill()
    child.wait()
    print(len(processes.orphans([])), processes.kill_descendants([child]), flush=True)
else:
    print("ready", flush=True)
    time.sleep(600)
"""


def wait_until(condition: Callable[[], bool], timeout: float = 120) -> None:
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, "it has not come to pass"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "family.py").write_text(FAMILY)
    (tmp_path / "supervisor.py").write_text(SUPERVISOR)
    return tmp_path


def pids(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "pids").read_text().split()]


@linux
def test_no_descendant_survives_though_its_parents_died_and_it_ignores_sigterm(folder: Path) -> None:
    command = [sys.executable, folder / "supervisor.py", folder, "stop"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["2", "0"]
    assert len(pids(folder)) == 3
    assert not [pid for pid in pids(folder) if runs(pid)]


@linux
def test_a_direct_child_is_told_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    program = (
        "import os,sys,time; from pathlib import Path; from sluicegate.local.stack import processes;"
        "child = processes.spawn(['sleep', '600'], env=os.environ, log=Path('log'), cwd=Path('.'));"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert runs(child)
        parent.kill()
    wait_until(lambda: not runs(child))


def test_survivors_of_a_killed_supervisor_are_found_by_their_mark_and_ended(folder: Path) -> None:
    command = [sys.executable, folder / "family.py", "2", folder / "pids"]
    marked = subprocess.Popen(command, env=os.environ | {processes.STATE_MARK: str(folder)})
    other = subprocess.Popen(["sleep", "600"], env=os.environ | {processes.STATE_MARK: str(folder / "other")})
    try:
        wait_until(lambda: (folder / "pids").exists() and (folder / "pids").read_text().count("\n") == 3)
        assert {one.pid for one in processes.survivors(folder)} == set(pids(folder))
        assert processes.end(lambda: processes.survivors(folder), patience=0.3) == 3
        assert processes.survivors(folder) == []
        assert runs(other.pid)
    finally:
        for process in (marked, other):
            process.kill()
            process.wait()


def test_a_recorded_process_is_found_without_a_mark_but_never_a_later_one_of_its_number(
    tmp_path: Path,
) -> None:
    child = subprocess.Popen(["sleep", "600"])
    try:
        known = processes.identify(child.pid)
        later = ProcessId(child.pid, known.started - 100)
        assert processes.alive(known)
        assert not processes.alive(later)
        assert [one.pid for one in processes.survivors(tmp_path, [known])] == [child.pid]
        assert processes.survivors(tmp_path, [later]) == []
    finally:
        child.kill()
        child.wait()
    assert not processes.alive(known)


def test_this_process_is_never_a_survivor_even_if_it_carries_the_mark(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from sluicegate.local.stack import processes;" + (
        "print(processes.survivors(Path(sys.argv[1])))"
    )
    environment = os.environ | {processes.STATE_MARK: str(tmp_path)}
    command = [sys.executable, "-c", program, str(tmp_path)]
    assert subprocess.check_output(command, env=environment, text=True) == "[]\n"


def test_reaping_keeps_the_exit_status_of_what_was_started_here(tmp_path: Path) -> None:
    # In a process of its own: reaping takes whatever child has ended.
    program = (
        "import os,time; from pathlib import Path; from sluicegate.local.stack import processes;"
        "child = processes.spawn(['sh', '-c', 'exit 7'], env=os.environ, log=Path('log'), cwd=Path('.'));"
        "os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT); processes.reap([child]); print(child.returncode)"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True, cwd=tmp_path) == "7\n"


def test_a_process_appends_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    child = processes.spawn(["sh", "-c", "echo out; echo err >&2"], env=os.environ, log=log, cwd=tmp_path)
    assert child.wait() == 0
    assert log.read_text() == "before\nout\nerr\n"
