"""Loops in processes of their own, since a loop collects every child of its process.

Their clock is ten times as fast: a second of theirs is a tenth of a second.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

PREAMBLE = """
import json, os, signal, sys, time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from sluicegate.local.stack import processes, supervise
from sluicegate.local.stack.component import Component
from sluicegate.local.stack.errors import StackError
from sluicegate.local.stack.supervise import StopRequested, Loop

def say(event): print(json.dumps(asdict(event)), flush=True)
def sh(name, script, **more):
    return Component(name, ("sh", "-c", script), os.environ, Path(f"{name}.log"), Path("."), **more)
def file(name): return lambda since: Path(name).exists()

supervise.time = SimpleNamespace(
    time=time.time, monotonic=lambda: time.monotonic() * 10, sleep=lambda seconds: time.sleep(seconds / 10)
)
processes.adopt_orphans()
loop = Loop(Path("."), say, lambda name, process: None, holder=len(sys.argv) > 1)
"""


def run(program: str, folder: Path) -> tuple[list[dict[str, str]], str]:
    """The events that were said, and what else was printed."""
    source = PREAMBLE + textwrap.dedent(program)
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=180, check=True)
    lines = done.stdout.splitlines()
    return [json.loads(one) for one in lines if one.startswith("{")], "\n".join(
        one for one in lines if not one.startswith("{")
    )


def test_a_component_that_dies_is_started_again_with_a_line_that_shows_its_log(tmp_path: Path) -> None:
    events, said = run(
        """
        script = "echo last words; test -e again || { touch again; exit 4; }; touch up; sleep 60"
        loop.launch(sh("x", script, ready=file("up")))
        loop.wait_for_all(200)
        loop.stop([["x"]])
        print(processes.descendants())
        """,
        tmp_path,
    )
    assert [event["kind"] for event in events] == ["starting", "died", "starting", "ready"]
    assert "x died (exit status 4); starting it again in 1 s" in events[1]["text"]
    assert "last words" in events[1]["text"]
    assert said == "[]"


def test_a_component_that_keeps_dying_is_given_up_with_its_log(tmp_path: Path) -> None:
    _, said = run(
        """
        loop.launch(sh("x", "echo no such file; exit 3"))
        try:
            loop.wait_for_all(200)
        except StackError as error:
            print(error)
        """,
        tmp_path,
    )
    assert "x has died 3 times, now with exit status 3" in said
    assert "no such file" in said
    assert "x.log" in said


def test_what_is_not_up_in_time_is_named_with_its_log(tmp_path: Path) -> None:
    _, said = run(
        """
        loop.launch(sh("y", "echo fine; touch y; sleep 60", ready=file("y")))
        loop.wait_for("y", 100)
        loop.launch(sh("x", "echo still thinking; touch x; sleep 60"))
        while not Path("x").exists():
            loop.tick()
        try:
            loop.wait_for_all(1)
        except StackError as error:
            print(error)
        loop.stop([["x", "y"]])
        """,
        tmp_path,
    )
    assert "it waited for x." in said
    assert "still thinking" in said
    assert "fine" not in said


def test_a_job_that_fails_says_its_last_words_and_the_components_go_on(tmp_path: Path) -> None:
    _, said = run(
        """
        loop.launch(sh("x", "touch up; sleep 60", ready=file("up")))
        loop.run(sh("good", "true"))
        try:
            loop.run(sh("bad", "echo No space left on device; exit 1"))
        except StackError as error:
            print(error)
        loop.wait_for_all(100)
        loop.stop([["x"]])
        """,
        tmp_path,
    )
    assert "bad failed (exit status 1)" in said
    assert "No space left on device" in said


def test_one_that_will_not_end_is_killed_with_what_it_started_when_its_patience_is_over(
    tmp_path: Path,
) -> None:
    _, said = run(
        """
        loop.launch(sh("x", "trap '' TERM; setsid sleep 61 & touch up; while :; do sleep 1; done",
                        ready=file("up"), patience=3))
        loop.wait_for_all(100)
        began = time.monotonic()
        loop.stop([["x"]])
        print(processes.descendants(), time.monotonic() - began < 5)
        """,
        tmp_path,
    )
    assert said == "[] True"


def test_what_a_killed_component_leaves_behind_goes_before_it_is_started_again(tmp_path: Path) -> None:
    _, said = run(
        """
        loop.launch(sh("x", "setsid sleep 62 & echo $! >> pids; touch up; wait", ready=file("up")))
        loop.wait_for_all(100)
        first = int(Path("pids").read_text())
        os.kill(loop._children["x"].process.pid, signal.SIGKILL)
        while len(Path("pids").read_text().split()) < 2:
            loop.tick()
        print(processes.psutil.pid_exists(first))
        loop.stop([["x"]])
        """,
        tmp_path,
    )
    assert said == "False"


def test_a_signal_ends_whatever_is_waited_for(tmp_path: Path) -> None:
    _, said = run(
        """
        signal.signal(signal.SIGTERM, lambda *_: loop.ask_to_stop())
        loop.launch(sh("x", f"kill {os.getpid()}; sleep 60"))
        try:
            loop.wait_for_all(200)
        except StopRequested:
            print("asked")
        loop.stop([["x"]])
        """,
        tmp_path,
    )
    assert said == "asked"


def test_a_loop_with_a_holder_stops_when_the_holder_is_gone(tmp_path: Path) -> None:
    source = PREAMBLE + textwrap.dedent(
        """
        print("ready", flush=True)
        try:
            while True:
                loop.tick()
        except StopRequested:
            print("alone", flush=True)
        """
    )
    command = [sys.executable, "-c", source, "holder"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.close()
        assert process.stdout.readline() == "alone\n"
