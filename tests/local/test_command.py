"""`up`, `down` and `put` where no stack is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sluicegate.cli.console import console, progress
from sluicegate.cli.lazy import completed
from sluicegate.local.stack.events import Event


def sluicegate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = "from sluicegate.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180)


def test_help_lists_the_commands_without_importing_them() -> None:
    program = "import sys; from sluicegate.cli import app; app(['--help'], standalone_mode=False);"
    done = subprocess.run(
        [sys.executable, "-c", program + "print([m for m in sys.modules if m.startswith('sluicegate.')])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(f" {name} " in done.stdout for name in ("up", "down", "put", "demo", "check", "recover"))
    assert done.stdout.splitlines()[-1] == "['sluicegate.cli.lazy', 'sluicegate.cli']"


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

    out = console()
    out.file = io.StringIO()
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


MARKUP = "[red]x[/red]:boom:[/]"
"""A name that markup would colour, draw or choke on."""


def test_what_a_command_prints_is_text_and_no_markup() -> None:
    import io

    from rich.table import Table

    out = console()
    out.file = io.StringIO()
    table = Table(MARKUP, title=MARKUP)
    table.add_row(MARKUP)
    out.print(MARKUP)
    out.print(table)
    progress(out)(Event("note", MARKUP))
    assert out.file.getvalue().count(MARKUP) == 5


def test_a_spinner_shows_text_and_no_markup() -> None:
    import io

    from rich.console import Console

    out = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    show = progress(out)
    show(Event("starting", MARKUP, MARKUP))
    show(Event("healthy", MARKUP))
    assert isinstance(out.file, io.StringIO)
    assert f"waiting for {MARKUP}" in out.file.getvalue()


def test_the_report_of_a_demo_shows_text_and_no_markup() -> None:
    import io
    from datetime import UTC, datetime

    from sluicegate.api.answers import DagRun, TaskInstance
    from sluicegate.local.demo.report import ClusterLife, DeadLetterCount, DemoReport, Load
    from sluicegate.local.demo.show import Watcher, print_failures, print_report

    short = "[b]:boom:"
    out = console()
    out.file = io.StringIO()
    load = Load(short, short, "2026-01-01", short, *range(8))
    letters, clusters = (DeadLetterCount(short, short, 1),), (ClusterLife(short, short, 1.0),)
    print_report(out, DemoReport((load,), letters, clusters, "", 1.0), {"where": short})
    run = DagRun(short, "r", "failed", "manual", datetime(2026, 1, 1, tzinfo=UTC))
    task = TaskInstance(short, "r", short, -1, "failed", 1, 1.0)
    Watcher(out).show([run], [task])
    print_failures(out, [(run, task, [short])])
    # A load's name and status, a rule with its pipeline, a cluster's name and state (also counted by state), where,
    # a task that ended, one that failed, its log.
    assert out.file.getvalue().count(short) == 3 + 2 + 3 + 1 + 2 + 2 + 1


def test_only_one_place_makes_a_console() -> None:
    import re

    import sluicegate

    package = Path(sluicegate.__file__).parent
    makers = [
        path for path in package.rglob("*.py") if re.search(r"\bConsole\(|rich.print|print_json", path.read_text())
    ]
    assert [path.relative_to(package) for path in makers] == [Path("cli/console.py")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("up", "--dags", MARKUP),
        ("down", "--state", MARKUP),
        ("put", MARKUP, "s3://a/b"),
        ("put", "pyproject.toml", "s3://a/b", "--state", MARKUP),
        ("exec", "--state", MARKUP, "true"),
        ("demo", "--dags", MARKUP),
        ("check", MARKUP),
        ("graph", MARKUP),
        ("render", MARKUP),
        ("render", "--root", MARKUP),
        ("import", "dag-factory", MARKUP, "-o", "out"),
        ("schema", MARKUP),
        (MARKUP,),
    ],
    ids=" ".join,
)
def test_no_command_takes_a_users_text_for_markup(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    done = sluicegate(*arguments)
    assert MARKUP in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stderr


def test_exec_without_a_stack_could_not_reach_what_it_needs(tmp_path: Path) -> None:
    done = sluicegate("exec", "--state", tmp_path / "none", "airflow", "--version")
    assert done.returncode == 3
    assert "sluicegate up" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "plan"),
    [
        (["--chaos", "--detach"], "--chaos=default --detach"),
        (["--port", "1", "--chaos"], "--port 1 --chaos=default"),
        (["--chaos", "capacity=1"], "--chaos capacity=1"),
        (["--chaos=capacity=1"], "--chaos=capacity=1"),
    ],
)
def test_chaos_alone_is_the_default_plan(arguments: list[str], plan: str) -> None:
    assert " ".join(completed(arguments, {"--chaos": "default"})) == plan


def test_a_misspelt_fault_is_wrong_use_with_a_suggestion(tmp_path: Path) -> None:
    done = sluicegate("up", "--dags", tmp_path, "--state", tmp_path / "state", "--chaos", "throtling=0.2")
    assert done.returncode == 2
    assert "--chaos: Unknown fault 'throtling' (did you mean 'throttling'?)" in " ".join(done.stderr.split())
    assert not (tmp_path / "state").exists()
