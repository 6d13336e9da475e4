"""`sluicegate recover apply` as a real process against a real server: killed, cut off, refused, and resumed."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sluicegate.api import Bearer, Client
from sluicegate.api.errors import ApiError
from sluicegate.recovery.carry_out import carry_out
from sluicegate.recovery.definition import Plan
from sluicegate.recovery.errors import PlanInUse
from sluicegate.recovery.journal import FileStore, Journal, journal_of
from sluicegate.recovery.plan_file import sealed, write_plan
from sluicegate.recovery.progress import Options, Outcome
from sluicegate.recovery.site_rest import RestSite
from tests.recovery.model import RunModel, Scenario, TaskModel
from tests.recovery.model_server import TOKEN, Call, ModelServer, serving

COMMAND = [str(Path(sys.executable).parent / "sluicegate"), "recover"]
OPTIONS = Options("ada", "the source was late", settle=0.05, poll=0.02, longest_poll=0.05, look=0.2)

SOURCE, FIRST, SECOND = ("source", "r1", "load"), ("reader1", "r1", "load"), ("reader2", "r1", "load")


def _tasks(first: TaskModel) -> tuple[TaskModel, ...]:
    return first, TaskModel("load", ("wait",), state="upstream_failed")


NIGHT = Scenario(
    runs=(
        RunModel("source", "r1", _tasks(TaskModel("wait", state="failed", mark=True))),
        RunModel("reader1", "r1", _tasks(TaskModel("wait", (), (SOURCE,), is_sensor=True, state="failed"))),
        RunModel("reader2", "r1", _tasks(TaskModel("wait", (), (SOURCE,), is_sensor=True, state="failed"))),
        RunModel("report", "r1", (TaskModel("sum", (), (FIRST, SECOND), state="failed"),)),
    ),
    events=(("report", 7, 0),),
)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving(NIGHT) as found:
        yield found


@pytest.fixture
def plan(server: ModelServer, tmp_path: Path) -> Path:
    made = server.plan()
    write_plan(made, tmp_path / "plan.json")
    return tmp_path / "plan.json"


def begin(server: ModelServer, plan: Path, *more: str, token: str = TOKEN) -> subprocess.Popen[str]:
    plan_id = json.loads(plan.read_text())["id"]
    words = [*COMMAND, "apply", str(plan), "--url", server.url, "--yes", plan_id, "--reason", "late", *more]
    words += ["--settle", "0.3", *([] if "--patience" in more else ["--patience", "60"])]
    env = {**os.environ, "SLUICEGATE_AIRFLOW_TOKEN": token}
    return subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=180)
    return process.returncode, out + err


def in_process(server: ModelServer, plan: Plan, file: Path, options: Options = OPTIONS) -> Outcome:
    """As the command, in this process."""
    store = FileStore(journal_of(file))
    try:
        journal = Journal(store, plan.id, datetime.now(UTC))
        with Client(server.url, Bearer(TOKEN), environment_proxies=False, deadline=60) as client:
            return carry_out(plan, RestSite(client, plan.runs), journal, options)
    finally:
        store.close()


def wrong_with(server: ModelServer) -> list[str]:
    """What was reset twice, in the wrong order or not at all."""
    airflow = server.airflow
    resets = [key for effect in airflow.effects if effect.what in ("clear", "mark") for key in effect.keys]
    wrong = [*airflow.wrong, *(f"{key} was reset twice" for key in set(resets) if resets.count(key) > 1)]
    wrong += [f"{key} is {cell.state}" for key, cell in airflow.cells.items() if cell.state != "success"]
    wrong += [f"{run} is {state}" for run, state in airflow.runs.items() if state != "success"]
    return wrong + [f"{event} is still queued" for event in airflow.events]


def test_a_plan_is_carried_out_in_order(server: ModelServer, plan: Path) -> None:
    code, said = end(begin(server, plan))
    assert (code, wrong_with(server)) == (0, []), said
    assert "wave 3 of 3" in said
    assert "7 done" in said


def test_commands_that_were_to_follow_are_shown_once_all_is_well(server: ModelServer, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    write_plan(sealed(replace(server.plan(), afterwards=("sluicegate recover status",))), file)
    code, said = end(begin(server, file))
    assert code == 0, said
    assert said.splitlines()[-2:] == ["Now run:", "  sluicegate recover status"]


POINTS = [(number, when) for number in (1, 2, 4, 6, 7) for when in ("before", "after")]
"""Of the calls with an effect: before Airflow has done it, and when it has and the answer is not sent."""


@pytest.mark.parametrize(("number", "when"), POINTS)
def test_a_killed_process_is_resumed(server: ModelServer, plan: Path, number: int, when: str) -> None:
    kill = _kill_at(server, number, when)
    process = begin(server, plan)
    kill.append(process)
    code, said = end(process)
    assert code == -signal.SIGKILL, said
    server.before, server.after = lambda _: "", lambda _: None
    code, said = end(begin(server, plan))
    assert (code, wrong_with(server)) == (0, []), said
    assert "Going on where" in said


def _kill_at(server: ModelServer, number: int, when: str) -> list[subprocess.Popen[str]]:
    """Kill the process that is put into the list, at its so-manieth call with an effect."""
    victims: list[subprocess.Popen[str]] = []
    effects: list[Call] = []

    def strike(call: Call, moment: str) -> None:
        if call.is_effect and moment == "before":
            effects.append(call)
        if call.is_effect and len(effects) == number and moment == when:
            while not victims:
                time.sleep(0.01)
            victims[0].kill()
            victims[0].wait()

    def before(call: Call) -> str:
        strike(call, "before")
        return "dropped" if call.is_effect and len(effects) == number and when == "before" else ""

    server.before = before
    server.after = lambda call: strike(call, "after")
    return victims


@pytest.mark.parametrize("fate", ["500 before", "500 after", "lost", "dropped"])
def test_a_proxy_that_fails_at_each_call_in_turn_makes_nothing_run_twice(fate: str, tmp_path: Path) -> None:
    number, more = 1, True
    while more:
        with serving(NIGHT, seed=number) as server:
            made, file = server.plan(), tmp_path / f"{number}.json"
            server.before = _once(number, fate)
            for _ in range(3):
                try:
                    outcome = in_process(server, made, file)
                except ApiError:
                    continue
                break
            assert (number, wrong_with(server), outcome.is_good) == (number, [], True)
            more = number < len(server.calls)
            number += 1
    assert number > 20


def _once(number: int, fate: str) -> Callable[[Call], str]:
    return lambda call: fate if call.number == number else ""


def test_ctrl_c_stops_it_and_it_goes_on_later(server: ModelServer, plan: Path) -> None:
    victims: list[subprocess.Popen[str]] = []

    def before(call: Call) -> str:
        if call.path.endswith("clearTaskInstances") and "reader1" in call.path and victims:
            victims.pop().send_signal(signal.SIGTERM)
        return ""

    server.before = before
    process = begin(server, plan)
    victims.append(process)
    code, said = end(process)
    assert code == 130, said
    assert "resumes the plan" in said
    [claim] = [json.loads(value) for value in server.airflow.variables.values()]
    assert claim["state"] == "stopped"
    assert end(begin(server, plan))[0] == 0
    assert wrong_with(server) == []


def test_a_new_failure_stops_it_and_is_named_with_its_playbook(server: ModelServer, plan: Path) -> None:
    key = next(key for key in server.airflow.cells if (key.dag, key.task) == ("reader1", "load"))
    server.airflow.cells[key].fails = 1
    server.errors[key] = {"code": "SOURCE_MISSING", "class": "data", "detail": "s3://landing/x.csv is not there"}
    server.errors[key] |= {"read_on": "docs/faults.md#source_missing"}
    code, said = end(begin(server, plan))
    assert code == 1
    assert "failed reader1.load r1: SOURCE_MISSING" in said
    assert "-> docs/faults.md#source_missing" in said
    assert server.airflow.cells[next(k for k in server.airflow.cells if k.dag == "report")].state == "failed"
    server.airflow.clear("", key.of, {(key.task, -1)}, "")  # a person mends it
    code, said = end(begin(server, plan))
    assert (code, server.airflow.runs[key.of]) == (0, "success"), said


def test_the_outcome_as_json_is_alone_on_standard_output(server: ModelServer, plan: Path) -> None:
    process = begin(server, plan, "--json")
    out, err = process.communicate(timeout=180)
    found = json.loads(out)
    assert (found["good"], len(found["done"]), found["failed"]) == (True, 7, [])
    assert "wave 1 of 3" in err


def test_an_expired_token_ends_with_3(server: ModelServer, plan: Path) -> None:
    code, said = end(begin(server, plan, token="old"))
    assert code == 3
    assert "does not accept the token" in said
    assert server.airflow.effects == []


def test_a_token_that_expires_on_the_way_leaves_it_resumable(server: ModelServer, plan: Path) -> None:
    def before(call: Call) -> str:
        if "reader1" in call.path:
            server.token = "new"
        return ""

    server.before = before
    assert end(begin(server, plan))[0] == 3
    code, said = end(begin(server, plan, token="new"))
    assert (code, wrong_with(server)) == (0, []), said


def test_a_server_that_is_away_ends_with_3(server: ModelServer, plan: Path) -> None:
    server.before = lambda _: "dropped"
    code, said = end(begin(server, plan, "--patience", "3"))
    assert code == 3
    assert "has not answered for 3 s" in said


def test_the_plan_of_another_server_is_refused(server: ModelServer, plan: Path) -> None:
    with serving(NIGHT) as other:
        code, said = end(begin(other, plan))
    assert code == 2
    assert f"was made for the Airflow at {server.url}" in said
    assert other.airflow.effects == []


def test_without_the_right_to_write_variables_it_names_the_option(server: ModelServer, plan: Path) -> None:
    server.no_variables = True
    code, said = end(begin(server, plan))
    assert code == 1
    assert "--without-marker" in said
    assert server.airflow.effects == []
    assert end(begin(server, plan, "--without-marker"))[0] == 0
    assert wrong_with(server) == []


def test_a_dag_whose_tasks_must_not_be_cleared_is_named(tmp_path: Path) -> None:
    with serving(Scenario(NIGHT.runs, forbidden=("reader1",))) as server:
        write_plan(server.plan(), tmp_path / "plan.json")
        code, said = end(begin(server, tmp_path / "plan.json"))
        assert (code, "reader1" in said, "--skip-forbidden" in said) == (1, True, True)
        code, said = end(begin(server, tmp_path / "plan.json", "--skip-forbidden"))
        assert code == 1
        states = {(key.dag, key.task): cell.state for key, cell in server.airflow.cells.items()}
        assert states["reader2", "load"] == "success"
        assert states["report", "sum"] == "failed"
        assert "held back report.sum r1" in said


def test_a_dry_run_changes_nothing(server: ModelServer, plan: Path) -> None:
    code, said = end(begin(server, plan, "--dry-run"))
    assert (code, server.airflow.effects, server.airflow.variables) == (0, [], {})
    assert "Would reset or wait for 7 of 7" in said
    assert not journal_of(plan).exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "without a terminal"),
        (["--yes", "rp-wrong", "--reason", "x"], "is not the id of this plan"),
        (["--yes", "ID"], "needs a --reason"),
        (["--yes", "ID", "--reason", " "], "needs a --reason"),
    ],
)
def test_there_is_no_shorter_way_than_the_plans_id_and_a_reason(
    server: ModelServer, plan: Path, words: list[str], said: str
) -> None:
    plan_id = json.loads(plan.read_text())["id"]
    words = [plan_id if word == "ID" else word for word in words]
    done = subprocess.run(
        [*COMMAND, "apply", str(plan), "--url", server.url, *words],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=180,
    )  # fmt: skip
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert server.calls == []


@pytest.mark.parametrize("typed", ["yes", ""])
def test_on_a_terminal_the_plans_id_must_be_typed(server: ModelServer, plan: Path, typed: str) -> None:
    code, said = on_terminal(server, plan, [typed])
    assert (code, server.airflow.effects) == (2, [])
    assert "that is not the plan's id: nothing was changed" in said


def test_on_a_terminal_waves_are_a_table(server: ModelServer, plan: Path) -> None:
    code, said = on_terminal(server, plan, [json.loads(plan.read_text())["id"], "the source was late"])
    assert (code, wrong_with(server)) == (0, []), said
    assert "3 of 3" in said
    assert "left alone" in said


def on_terminal(server: ModelServer, plan: Path, typed: list[str]) -> tuple[int, str]:
    """The command with a terminal of its own, and what a person types into it."""
    mine, its = pty.openpty()
    env = {**os.environ, "SLUICEGATE_AIRFLOW_TOKEN": TOKEN, "COLUMNS": "140"}
    words = [*COMMAND, "apply", str(plan), "--url", server.url]
    process = subprocess.Popen(words, stdin=its, stdout=its, stderr=its, env=env, start_new_session=True)
    os.close(its)
    os.write(mine, "".join(f"{line}\n" for line in typed).encode())
    said = b""
    while True:
        try:
            said += os.read(mine, 4096)
        except OSError:  # the other end is closed
            break
    os.close(mine)
    return process.wait(60), said.decode(errors="replace")


def test_a_plan_that_was_edited_is_refused(server: ModelServer, plan: Path) -> None:
    plan.write_text(plan.read_text().replace('"created_by": "ada"', '"created_by": "bob"'))
    code, said = end(begin(server, plan))
    assert (code, "was changed after it was made" in said) == (2, True)


def test_two_processes_with_one_plan_do_not_both_work(server: ModelServer, plan: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "plan.json"
    copy.parent.mkdir()
    copy.write_bytes(plan.read_bytes())
    ends = [end(each) for each in [begin(server, plan), begin(server, copy)]]
    codes = sorted(code for code, _ in ends)
    assert codes in ([0, 1], [1, 1], [0, 0])  # one refused, both refused, or one after the other
    assert end(begin(server, plan))[0] == 0
    while server.airflow.step():  # the second one may have asked the scheduler to look once more
        pass
    assert wrong_with(server) == []


def test_an_empty_plan_is_over_at_once_in_json_too(server: ModelServer, tmp_path: Path) -> None:
    empty = sealed(replace(server.plan(), id="", instances=(), edges=(), runs=(), queued_events=()))
    write_plan(empty, tmp_path / "empty.json")
    done = subprocess.run(
        [*COMMAND, "apply", str(tmp_path / "empty.json"), "--url", server.url, "--dry-run", "--json"],
        capture_output=True, text=True, check=True, env={**os.environ, "SLUICEGATE_AIRFLOW_TOKEN": TOKEN}, timeout=180,
    )  # fmt: skip
    assert json.loads(done.stdout)["good"] is True


def test_one_journal_is_for_one_process(server: ModelServer, plan: Path) -> None:
    store = FileStore(journal_of(plan))
    with pytest.raises(PlanInUse, match="another process on this machine"):
        FileStore(journal_of(plan))
    store.close()


def test_status_says_who_carries_out_what(server: ModelServer, plan: Path) -> None:
    env = {**os.environ, "SLUICEGATE_AIRFLOW_TOKEN": TOKEN, "SLUICEGATE_AIRFLOW_URL": server.url}

    def status(*words: str) -> str:
        done = subprocess.run([*COMMAND, "status", *words], capture_output=True, text=True, check=True, env=env)
        return done.stdout

    assert status() == "No plan is or was carried out here.\n"
    end(begin(server, plan))
    said = status()
    assert f"{json.loads(plan.read_text())['id']}: finished" in said
    assert "reason: late" in said
    assert "7 done" in said
    [claim] = json.loads(status("--json"))
    assert (claim["state"], claim["waves"], claim["dags"][0]) == ("finished", 3, "reader1")
