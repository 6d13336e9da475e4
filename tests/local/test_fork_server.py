"""What a supervisor starts through the fork server; the supervisor is a process of its own, since it adopts orphans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.local.test_processes import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is a fork server on Linux only")

PROBE = """
import json, os, sys, time
told = {"argv": sys.argv[1:], "name": __name__, "mark": os.environ.get("MARK"), "gone": os.environ.get("SERVERS_OWN"),
        "airflow": "airflow.models" in sys.modules, "parent": os.getppid(), "cwd": os.getcwd(),
        "leads": os.getsid(0) == os.getpid()}
print(json.dumps(told), flush=True)
if "stay" in sys.argv:
    time.sleep(600)
sys.exit(7)
"""

SUPERVISOR = """
import json, os, sys, time
from pathlib import Path
from sluicegate.local.stack import processes
from sluicegate.local.stack.fork_server import ForkServer

processes.adopt_orphans()
folder = Path.cwd()
env = dict(os.environ)
server = ForkServer({**env, "SERVERS_OWN": "1"}, folder / "server.log", folder)

def run(name, *words):
    (folder / name).mkdir()
    command = [sys.executable, "-m", "probe", *words]
    return server.spawn(command, env={**env, "MARK": name}, log=folder / f"{name}.log", cwd=folder / name)

def code(child):
    while (found := child.poll()) is None:
        time.sleep(0.01)
    return found

forked = run("forked", "one", "two words")
print(code(forked), flush=True)
killed = run("killed", "stay")
killed.kill()
print(code(killed), flush=True)
stays = run("stays", "stay")
server.close()
print(code(run("spawned")), flush=True)
print(stays.pid, stays.poll(), flush=True)
time.sleep(600)
"""


def told(folder: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / f"{name}.log").read_text())
    return found


def test_a_fork_is_a_child_of_the_supervisor_with_airflow_imported_and_dies_with_it(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow"), "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        said = [supervisor.stdout.readline().strip() for _ in range(4)]
        log = tmp_path / "server.log"
        assert said[:3] == ["7", str(-signal.SIGKILL), "7"], log.read_text()
        assert told(tmp_path, "forked") == {
            "argv": ["one", "two words"],
            "name": "__main__",
            "mark": "forked",
            "gone": None,
            "airflow": True,
            "parent": supervisor.pid,
            "cwd": str(tmp_path / "forked"),
            "leads": True,
        }
        assert told(tmp_path, "spawned")["airflow"] is False
        pid, state = said[3].split()
        assert state == "None"
        assert psutil.Process(int(pid)).cmdline()[0].endswith("-m probe stay")
        supervisor.kill()
    wait_until(lambda: not psutil.pid_exists(int(pid)))
