"""`sluicegate trigger` on an Airflow that keeps its runs, and has accidents."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluicegate.api.errors import WrongParam
from sluicegate.api.trigger import run_id_of
from sluicegate.cli import app, pace
from sluicegate.runtime.marks import AT_MOST, WINDOW_TIMEZONE
from tests.api.started import FakeAirflow, fake_airflow, param

IMPORT_ERROR = """\
Traceback (most recent call last):
  File "/stubs/orders.yaml.py", line 5, in <module>
    refuse(errors)
sluicegate.PipelineFileError:\x20
orders.yaml:3:1: no such key
 3 | stesp: {}
   | ^
"""

COMMAND = [str(Path(sys.executable).parent / "sluicegate"), "trigger", "orders"]


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeAirflow]:
    monkeypatch.setattr(pace, "_PAUSE", 0.0)
    monkeypatch.setattr("sluicegate.api.client._FIRST_PAUSE", 0.01)
    monkeypatch.setattr("sluicegate.api.follow._FIRST_PAUSE", 0.01)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("SLUICEGATE_AIRFLOW_TOKEN", "t")
    with fake_airflow() as airflow:
        monkeypatch.setenv("SLUICEGATE_AIRFLOW_URL", airflow.url)
        yield airflow


def trigger(*options: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["trigger", "orders", *options], input=stdin)


def limit(airflow: FakeAirflow, rate: str) -> None:
    airflow.params["force"] = param(False, type="boolean", **{AT_MOST: rate})


def test_a_run_is_started_with_checked_params_and_its_page_is_named(airflow: FakeAirflow) -> None:
    done = trigger("-p", "file=b.csv", "-p", "limit=3", "--dry-run", "--note", "why")
    assert done.exit_code == 0, done.output
    [body] = airflow.writes()
    assert (body["conf"], body["note"]) == ({"file": "b.csv", "limit": 3, "dry_run": True}, "why")
    first, link = done.stdout.splitlines()
    assert first == f"Started: {body['dag_run_id']}"
    assert link.startswith(f"{airflow.url}/dags/orders/runs/manual__")


def test_params_come_from_a_document_too(airflow: FakeAirflow, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"file": "a", "region": "us"}')
    assert trigger("--params-json", str(tmp_path / "p.json"), "-p", "file=b").exit_code == 0
    assert trigger("--params-json", "-", stdin='{"limit": 2}').exit_code == 0
    assert [body["conf"] for body in airflow.writes()] == [{"file": "b", "region": "us"}, {"limit": 2}]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-p", "regoin=us"], "There is no param regoin. Did you mean region?"),
        (["-p", "region=use"], "did you mean us"),
        (["-p", "limit=0"], "limit: 0 is less than the minimum of 1"),
        (["--params-json", "/nowhere.json"], "/nowhere.json cannot be read"),
        (["--key", " "], "The key is empty."),
        (["--key", "a", "--window", "2026-01-02"], "--key and --window are given."),
        (["--timeout", "5"], "--timeout is given without --wait."),
        (["--window", "yesterday"], "Not a day or a moment: 'yesterday'."),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    airflow: FakeAirflow, options: list[str], words: str
) -> None:
    done = trigger(*options)
    assert done.exit_code == 2
    assert words in done.stderr
    assert airflow.writes() == []


# --- idempotency -------------------------------------------------------------------------------------------------


def test_the_same_key_gives_the_same_run(airflow: FakeAirflow) -> None:
    first = json.loads(trigger("--key", "order-7", "-p", "file=b", "--json").stdout)
    second = json.loads(trigger("--key", "order-7", "-p", "file=b", "--json").stdout)
    assert (first["run_id"], first["new"]) == ("key__order-7", True)
    assert (second["run_id"], second["new"]) == ("key__order-7", False)
    assert len(airflow.writes()) == 1


def test_a_key_with_other_params_is_an_error_that_names_them(airflow: FakeAirflow) -> None:
    trigger("--key", "k", "-p", "file=geheim", "-p", "limit=1")
    done = trigger("--key", "k", "-p", "file=other", "--force")
    assert done.exit_code == 2
    assert "has other params: file, force, limit" in done.stderr
    assert "geheim" not in done.output, "a param may be a secret"
    assert len(airflow.runs) == 1


@pytest.mark.parametrize("accident", ["lost", 500, 503])
def test_a_lost_answer_and_a_server_that_fails_still_make_one_run(airflow: FakeAirflow, accident: int | str) -> None:
    airflow.accidents = [accident]
    for options in (["--key", "k"], []):
        airflow.runs.clear()
        assert trigger(*options).exit_code == 0
        assert len(airflow.runs) == 1


def test_two_at_once_with_one_key_make_one_run(airflow: FakeAirflow, tmp_path: Path) -> None:
    def elsewhere(machine: int) -> int:
        environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / str(machine))}
        return subprocess.run([*COMMAND, "--key", "k"], env=environment, timeout=120, check=False).returncode

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(elsewhere, range(2))) == [0, 0]
    assert list(airflow.runs) == ["key__k"]


def test_a_command_that_was_killed_after_its_request_finds_its_run(airflow: FakeAirflow) -> None:
    airflow.accidents = ["late"]
    with subprocess.Popen([*COMMAND, "--key", "k", "-p", "file=b"]) as process:
        until = time.monotonic() + 120
        while not airflow.runs and time.monotonic() < until:
            time.sleep(0.02)
        process.kill()
    done = trigger("--key", "k", "-p", "file=b")
    assert done.exit_code == 0
    assert done.stdout.startswith("There already (queued): key__k")
    assert len(airflow.writes()) == 1


def test_a_run_at_the_same_moment_is_no_obstacle(airflow: FakeAirflow) -> None:
    airflow.accidents = [409]
    assert trigger("--key", "k").exit_code == 0
    assert list(airflow.runs) == ["key__k"]


def test_a_key_becomes_part_of_an_id_that_airflow_takes() -> None:
    assert run_id_of("a:b+c~1") == "key__a:b+c~1"
    strange = [run_id_of("orders 1/2"), run_id_of("orders 1?2"), run_id_of("x" * 300)]
    assert len({*strange}) == 3
    assert all(len(each) < 200 for each in strange)
    with pytest.raises(WrongParam):
        run_id_of("")


# --- what Airflow refuses ----------------------------------------------------------------------------------------


def test_a_viewer_hears_which_role_it_takes(airflow: FakeAirflow) -> None:
    airflow.accidents = [403]
    done = trigger()
    assert done.exit_code == 2
    assert "Your user must not start a run of orders" in done.stderr
    assert "a Viewer may only look" in done.stderr


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({"is_paused": True}, "airflow dags unpause orders"),
        ({"is_stale": True}, "does not find the file of orders"),
        ({"has_import_errors": True}, "The file of orders has errors: boom in line 3"),
    ],
)
def test_a_pipeline_that_would_not_run_is_refused_with_what_to_do(
    airflow: FakeAirflow, details: dict[str, object], words: str
) -> None:
    airflow.details = details
    airflow.import_errors = [
        {"filename": "stubs/orders.yaml.py", "stack_trace": "Traceback:\n  File x\nboom in line 3\n"}
    ]
    done = trigger()
    assert done.exit_code == 2
    assert words in done.stderr
    assert airflow.writes() == []


def test_the_run_of_a_key_is_found_although_its_pipeline_is_paused_by_now(airflow: FakeAirflow) -> None:
    trigger("--key", "k")
    airflow.details = {"is_paused": True}
    assert trigger("--key", "k", "--wait").exit_code == 0
    assert trigger("--key", "another").exit_code == 2


def test_a_pipeline_that_runs_in_its_last_good_version_says_so(airflow: FakeAirflow) -> None:
    airflow.import_errors = [
        {"filename": "sales/orders.yaml.py", "stack_trace": IMPORT_ERROR},
        {"filename": "old_orders.yaml.py", "stack_trace": "not this one"},
    ]
    done = trigger()
    assert done.exit_code == 0
    assert "its last good version runs: orders.yaml:3:1: no such key" in done.stderr


def test_an_unknown_pipeline_has_a_nearest_one_or_an_error_in_its_file(airflow: FakeAirflow) -> None:
    unknown = CliRunner().invoke(app, ["trigger", "ordres"])
    assert unknown.exit_code == 2
    assert "Did you mean orders?" in unknown.stderr
    airflow.import_errors = [{"filename": "ordres.yaml.py", "stack_trace": "ordres.yaml:3:1: error"}]
    assert "ordres.yaml:3:1: error" in CliRunner().invoke(app, ["trigger", "ordres"]).stderr


def test_no_airflow_is_exit_code_3(airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICEGATE_AIRFLOW_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("sluicegate.api.client.DEADLINE", 0.2)
    assert trigger().exit_code == 3


# --- how often ---------------------------------------------------------------------------------------------------


def test_as_many_as_the_file_allows_are_started_and_no_more(airflow: FakeAirflow) -> None:
    limit(airflow, "2/h")
    airflow.add_run("scheduled__1", run_type="scheduled")
    old = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    airflow.add_run("old", run_after=old)
    assert [trigger("--key", each).exit_code for each in ("a", "b", "c")] == [0, 0, 2]
    done = trigger()
    assert "orders was started 2 times since" in done.stderr
    assert "One more may start at" in done.stderr
    assert trigger("--key", "a").exit_code == 0, "what is there already is no new run"


def test_a_window_counts_as_a_run(airflow: FakeAirflow) -> None:
    limit(airflow, "1/d")
    assert trigger("--window", "2026-01-05").exit_code == 0
    assert trigger().exit_code == 2


def test_a_loop_is_slowed_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(pace, "_PAUSE", 0.2)
    begun = time.monotonic()
    for _ in range(3):
        with pace.paced("http://a"):
            pass
    assert time.monotonic() - begun >= 0.38
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    with pace.paced("http://a"):
        pass


# --- windows -----------------------------------------------------------------------------------------------------


def test_a_window_that_has_run_runs_again_with_other_params_if_forced(airflow: FakeAirflow) -> None:
    date = datetime(2026, 1, 5, tzinfo=UTC)
    airflow.add_run("scheduled__5", {}, date=date, state="success", run_type="scheduled")
    refused = trigger("--window", "2026-01-05")
    assert refused.exit_code == 2
    assert "This window has a run, which is success" in refused.stderr
    done = trigger("--window", "2026-01-05", "--force", "-p", "file=b", "--note", "again", "--json")
    assert json.loads(done.stdout)["run_id"] == "scheduled__5"
    body, note = airflow.writes()[-1], airflow.runs["scheduled__5"]["note"]
    assert (body["reprocess_behavior"], body["dag_run_conf"]) == ("completed", {"file": "b", "force": True})
    assert (body["from_date"], body["to_date"], note) == (date.isoformat(), date.isoformat(), "again")


def test_a_window_that_never_ran_runs_once(airflow: FakeAirflow) -> None:
    assert trigger("--window", "2026-01-07T00:00").exit_code == 0
    [body] = airflow.writes()
    assert body["reprocess_behavior"] == "none"
    assert list(airflow.runs) == ["backfill__2026-01-07T00:00:00+00:00"]


def test_a_window_that_another_machine_starts_meanwhile_is_not_taken_for_ours(
    airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = airflow._backfill

    def meanwhile(where: str, body: Any) -> Any:
        if where.endswith("dry_run"):
            return really(where, body)
        airflow.add_run("theirs", {"file": "z"}, date=datetime(2026, 1, 5, tzinfo=UTC), run_type="backfill")
        return 200, {"id": 9}

    monkeypatch.setattr(airflow, "_backfill", meanwhile)
    done = trigger("--window", "2026-01-05", "-p", "file=b")
    assert done.exit_code == 2
    assert "Somebody else has started this window meanwhile, with other params: file." in done.stderr


def test_a_lost_answer_to_a_backfill_is_looked_for(airflow: FakeAirflow) -> None:
    airflow.accidents = ["lost"]
    assert trigger("--window", "2026-01-05").exit_code == 0
    assert len(airflow.backfills) == 1


@pytest.mark.parametrize(
    ("window", "words"),
    [("2027-01-01", "no window that is over begins then"), ("2026-01-05T07:00", "no window that is over begins then")],
)
def test_a_window_that_is_none_is_refused(airflow: FakeAirflow, window: str, words: str) -> None:
    done = trigger("--window", window)
    assert done.exit_code == 2
    assert words in done.stderr


def test_a_run_that_goes_on_is_not_touched(airflow: FakeAirflow) -> None:
    airflow.add_run("r", {}, date=datetime(2026, 1, 5, tzinfo=UTC), state="running", run_type="scheduled")
    done = trigger("--window", "2026-01-05", "--force")
    assert done.exit_code == 2
    assert "The run of this window is running." in done.stderr
    assert airflow.backfills == []


def test_a_day_is_the_pipelines_own(airflow: FakeAirflow) -> None:
    airflow.params["force"] = param(False, type="boolean", **{WINDOW_TIMEZONE: "America/New_York"})
    assert trigger("--window", "2026-01-05").exit_code == 0
    assert list(airflow.runs) == ["backfill__2026-01-06T00:00:00+00:00"]


# --- following ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "code", "words"), [("success", 0, "The run succeeded."), ("failed", 1, "The run failed.")]
)
def test_wait_shows_the_steps_and_ends_with_the_result(airflow: FakeAirflow, ends: str, code: int, words: str) -> None:
    airflow.ends = ends
    done = trigger("--wait")
    assert done.exit_code == code
    lines = done.stdout.splitlines()[2:]
    assert lines[:2] == ["  load: running", f"  load: {ends}"]
    assert lines[2].startswith(words)


def test_wait_as_json_is_one_object_with_the_progress_beside_it(airflow: FakeAirflow) -> None:
    done = trigger("--wait", "--json")
    assert json.loads(done.stdout) | {"run_id": "", "url": ""} == {
        "pipeline": "orders", "run_id": "", "state": "success", "new": True, "url": "", "steps": {"load": "success"},
    }  # fmt: skip
    assert "load: running" in done.stderr


def test_wait_ends_after_its_time_and_leaves_the_run(airflow: FakeAirflow) -> None:
    airflow.ends = "running"
    done = trigger("--wait", "--timeout", "1", "--json")
    assert done.exit_code == 3
    assert "The run is running after 1 s." in done.stderr
    assert json.loads(done.stdout)["state"] == "running"


def test_a_run_that_is_deleted_meanwhile_is_not_known(airflow: FakeAirflow) -> None:
    airflow.ends = "running"

    def delete() -> None:
        while airflow.looks < 4:
            time.sleep(0.01)
        airflow.runs.clear()

    thread = threading.Thread(target=delete)
    thread.start()
    done = trigger("--wait")
    thread.join()
    assert done.exit_code == 3
    assert "was deleted" in done.stderr


def test_ctrl_c_stops_following_and_not_the_run(airflow: FakeAirflow) -> None:
    airflow.ends = "running"
    with subprocess.Popen([*COMMAND, "--wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 120
        while airflow.looks < 3 and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the run goes on" in out
    assert [method for method, *_ in airflow.asked if method not in ("GET", "POST")] == []
