"""`up`, `down` and `put` where no stack is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sluicegate.cli.console import progress
from sluicegate.local.stack.events import Event


def sluicegate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = "from sluicegate.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_help_lists_the_commands_without_importing_them() -> None:
    program = "import sys; from sluicegate.cli import app; app(['--help'], standalone_mode=False);"
    done = subprocess.run(
        [sys.executable, "-c", program + "print([m for m in sys.modules if m.startswith('sluicegate.')])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(f" {name} " in done.stdout for name in ("up", "down", "put", "demo", "check"))
    assert done.stdout.splitlines()[-1] == "['sluicegate.cli']"


def test_a_misspelt_command_is_wrong_use_with_a_suggestion() -> None:
    done = sluicegate("dwn")
    assert done.returncode == 2
    assert "Did you mean 'down'?" in done.stderr


def test_down_where_nothing_runs_says_so_and_makes_nothing(tmp_path: Path) -> None:
    done = sluicegate("down", "--state", tmp_path / "none")
    assert (done.returncode, done.stdout) == (0, f"Nothing was running on {tmp_path / 'none'}.\n")
    assert not (tmp_path / "none").exists()


def test_put_without_a_stack_could_not_reach_what_it_needs(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.touch()
    done = sluicegate("put", file, "s3://landing/a.csv", "--state", tmp_path / "none")
    assert done.returncode == 3
    assert "sluicegate up" in done.stderr


def test_put_of_a_missing_file_is_wrong_use(tmp_path: Path) -> None:
    assert sluicegate("put", tmp_path / "none.csv", "s3://landing/a.csv").returncode == 2


def test_up_without_a_folder_of_pipelines_is_wrong_use(tmp_path: Path) -> None:
    done = sluicegate("up", "--dags", tmp_path / "dags", "--state", tmp_path / "state")
    assert done.returncode == 2
    assert "--dags" in done.stderr


@pytest.mark.parametrize("detach", ["--detach", "--foreground"])
def test_up_on_a_taken_port_says_who_has_it_and_leaves_nothing_running(tmp_path: Path, detach: str) -> None:
    import socket

    import psutil

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        done = sluicegate("up", detach, "--dags", tmp_path, "--state", tmp_path / "state", "--port", str(port))
    assert done.returncode == 3
    assert f"Port {port} on 127.0.0.1 is taken by" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(one.info["cmdline"])]


def test_a_state_folder_that_cannot_be_made_is_an_error_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = sluicegate("up", "--dags", tmp_path, "--state", tmp_path / "file" / "state")
    assert done.returncode == 3
    assert "Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_off_a_terminal_progress_is_plain_lines() -> None:
    import io

    from rich.console import Console

    out = Console(file=io.StringIO())
    show = progress(out)
    show(Event("starting", "starting postgres", "postgres"))
    show(Event("ready", "postgres ready in 0.9 s", "postgres", 0.9))
    show(Event("died", "scheduler died (exit status 1) [x]", "scheduler"))
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue() == "postgres ready in 0.9 s\nscheduler died (exit status 1) [x]\n"


def test_on_a_terminal_progress_survives_a_whole_life() -> None:
    import io

    from rich.console import Console

    out = Console(file=io.StringIO(), force_terminal=True, width=80)
    show = progress(out)
    for kind in (
        "starting",
        "ready",
        "starting",
        "died",
        "note",
        "healthy",
        "died",
        "starting",
        "ready",
        "stopping",
    ):
        show(Event(kind, f"{kind} it", "postgres"))  # type: ignore[arg-type]
    show(Event("stopped", "stopped"))
    assert isinstance(out.file, io.StringIO)
    assert "waiting for postgres" in out.file.getvalue()
