"""The runs of DAGs, asked of a server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from sluicegate.api import Bearer, Client, Refused, Runs
from sluicegate.api.answers import DagRun
from sluicegate.api.errors import RunFailed, UnexpectedAnswer, WrongParam
from sluicegate.api.paging import by_search
from sluicegate.api.run_and_wait import run_pipeline, wait_until_finished
from tests.api.conftest import Server

RUN = {
    "dag_id": "a",
    "dag_run_id": "r",
    "state": "success",
    "run_type": "manual",
    "run_after": "2026-01-02T03:00:00+02:00",
    "logical_date": None,
    "data_interval_start": None,
    "data_interval_end": None,
    "conf": None,
}
TASK = {
    "dag_id": "a",
    "dag_run_id": "r",
    "task_id": "t",
    "map_index": -1,
    "state": "success",
    "try_number": 1,
    "duration": 2,
    "id": "0198",
    "operator": "LoadOperator",
    "pool": "default_pool",
    "pool_slots": 1,
    "start_date": "2026-01-02T03:00:00Z",
    "end_date": None,
    "note": None,
    "rendered_fields": {"source": "people.csv"},
}


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, Bearer("token-1"), deadline=60, environment_proxies=False) as client:
        yield client


def test_a_run_starts_where_its_window_does_or_when_it_was_to_run() -> None:
    assert DagRun.read(RUN).start == datetime(2026, 1, 2, 1, tzinfo=UTC)
    assert DagRun.read(RUN | {"data_interval_start": "2026-01-01T00:00:00Z"}).start == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({key: value for key, value in RUN.items() if key != "state"}, "no field state"),
        (RUN | {"state": 7}, "state is 7"),
        (RUN | {"run_after": None}, "run_after is null"),
        (RUN | {"run_after": "soon"}, "run_after is 'soon', expected a time"),
        ([], "expected an object"),
    ],
)
def test_an_answer_of_another_form_says_what_is_wrong_with_it(entry: object, words: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=words):
        DagRun.read(entry)


def test_tasks_come_page_after_page_by_their_cursor(server: Server, client: Client) -> None:
    server.answers["GET /dags/~/dagRuns/~/taskInstances"] = [
        (200, {"task_instances": [TASK], "next_cursor": "two+/="}),
        (200, {"task_instances": [TASK | {"map_index": 3, "state": None}], "next_cursor": None}),
    ]
    first, second = Runs(client, ["a", "b"]).tasks()
    assert (first.dag_id, first.run_id, first.task_id, first.map_index) == ("a", "r", "t", -1)
    assert (first.state, first.try_number, first.seconds, first.id) == ("success", 1, 2.0, "0198")
    assert (first.operator, first.pool, first.pool_slots, first.note) == ("LoadOperator", "default_pool", 1, "")
    assert (first.started, first.ended) == (datetime(2026, 1, 2, 3, tzinfo=UTC), None)
    assert first.rendered == {"source": "people.csv"}
    assert (second.map_index, second.state) == (3, None)
    assert server.paths() == [
        "/api/v2/dags/~/dagRuns/~/taskInstances?dag_id=a&dag_id=b&limit=100&cursor=",
        "/api/v2/dags/~/dagRuns/~/taskInstances?dag_id=a&dag_id=b&limit=100&cursor=two%2B%2F%3D",
    ]


def test_a_search_is_repeated_until_a_page_is_not_full(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluicegate.api.paging._SEARCH_PAGE", 2)
    server.answers["POST /things/list"] = [(200, {"things": [1, 2]}), (200, {"things": [3]})]
    assert list(by_search(client, "/things/list", "things", {"dag_ids": ["a"]})) == [1, 2, 3]
    assert [each.body for each in server.asked] == [
        {"order_by": "id", "dag_ids": ["a"], "page_limit": 2, "page_offset": offset} for offset in (0, 2)
    ]


def test_dags_come_page_after_page_by_their_number(server: Server, client: Client) -> None:
    server.answers["GET /dags"] = [
        (200, {"dags": [{"dag_id": "a"}, {"dag_id": "b"}], "total_entries": 3}),
        (200, {"dags": [{"dag_id": "c"}], "total_entries": 3}),
    ]
    assert Runs(client, []).known_dags() == {"a", "b", "c"}
    assert server.paths()[1] == "/api/v2/dags?limit=100&offset=2"


def test_a_trigger_whose_answer_is_lost_starts_one_run(server: Server, client: Client) -> None:
    made: list[object] = []

    class Found(dict[str, list[tuple[int, object] | None]]):
        def __missing__(self, key: str) -> list[tuple[int, object] | None]:
            made.append(key)
            return [(200, RUN)]

    server.answers = Found({"POST /dags/a/dagRuns": [None, (409, {"detail": "already exists"})]})
    run_id = Runs(client, ["a"]).trigger("a", {"force": True})
    sent = [each.body for each in server.asked if each.method == "POST"]
    assert [body["dag_run_id"] for body in sent] == [run_id] * 2
    assert sent[0]["conf"] == {"force": True}
    assert len(made) == 1


def test_a_trigger_that_airflow_refuses_is_refused(server: Server, client: Client) -> None:
    server.answers["POST /dags/a/dagRuns"] = [(400, {"detail": "Invalid input for param day"})]
    with pytest.raises(Refused, match="Invalid input for param day"):
        Runs(client, ["a"]).trigger("a", {})


def test_a_backfill_waits_for_the_one_before(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server.answers["POST /backfills"] = [(409, {"detail": "running"}), (409, {"detail": "running"}), (200, {"id": 1})]
    day = datetime(2026, 1, 1, tzinfo=UTC)
    Runs(client, ["a"]).backfill("a", day, day, {"force": True})
    assert len(server.paths("POST")) == 3


def answers_of_a_run(server: Server, state: str, tasks: list[dict[str, object]]) -> None:
    """Whatever the id that the client chooses: the server repeats it."""

    def run_id() -> str:
        return str(next(each.body["dag_run_id"] for each in server.asked if "dag_run_id" in each.body))

    class Run(list[tuple[int, object] | None]):
        def __init__(self, name: str, entry: list[dict[str, object]]) -> None:
            super().__init__([None])
            self._name, self._entry = name, entry

        def __getitem__(self, index: object) -> tuple[int, object]:  # type: ignore[override]
            entries = [each | {"dag_run_id": run_id()} for each in self._entry]
            return 200, {self._name: entries, "next_cursor": None}

    server.answers |= {
        "GET /dags/a/details": [
            (200, {"params": {}, "has_import_errors": False, "is_stale": False, "is_paused": False})
        ],
        "POST /dags/a/dagRuns": [(200, RUN)],
        "POST /dags/~/dagRuns/list": Run("dag_runs", [RUN | {"state": state}]),
        "GET /dags/~/dagRuns/~/taskInstances": Run("task_instances", tasks),
    }


class _Any(dict[str, list[tuple[int, object] | None]]):
    """One answer for all paths that are not named."""

    def __missing__(self, key: str) -> list[tuple[int, object] | None]:
        if key.endswith("/logs/1"):
            return [(200, {"content": [{"event": "boom\nin two lines"}, "and as text"]})]
        return [(200, {"value": {"status": "loaded", "read": 1200, "dead": 0}})]


def test_a_finished_run_is_told_task_by_task(server: Server, client: Client) -> None:
    server.answers = _Any()
    answers_of_a_run(server, "success", [TASK, TASK | {"task_id": "m", "map_index": 2}])
    assert list(run_pipeline(client, "a", [])) == ["a.t: loaded, 1,200 read", "a.m[2]: loaded, 1,200 read"]
    assert any("xcomEntries/return_value?deserialize=true&map_index=2" in each for each in server.paths())


def test_a_failed_run_shows_the_end_of_its_log_and_is_an_error(server: Server, client: Client) -> None:
    server.answers = _Any()
    answers_of_a_run(server, "failed", [TASK | {"state": "failed"}])
    lines = []
    with pytest.raises(RunFailed, match="The run of a failed") as caught:
        lines.extend(run_pipeline(client, "a", []))
    assert caught.value.exit_code == 1
    assert not lines or lines == ["a.t: failed\n    boom\n    in two lines\n    and as text"]


def test_a_pipeline_that_airflow_has_not_is_wrong_use(server: Server, client: Client) -> None:
    server.answers |= {
        "GET /dags/a/details": [(404, {"detail": "no"})],
        "GET /importErrors": [(200, {"import_errors": [], "total_entries": 0})],
        "GET /dags": [(200, {"dags": [], "total_entries": 0})],
    }
    with pytest.raises(WrongParam, match="Airflow has no pipeline a"):
        list(run_pipeline(client, "a", []))


def test_waiting_ends_with_the_runs_that_are_still_open(server: Server, client: Client) -> None:
    server.answers["POST /dags/~/dagRuns/list"] = [(200, {"dag_runs": [RUN | {"state": "running"}]})]
    server.answers["GET /dags/~/dagRuns/~/taskInstances"] = [(200, {"task_instances": [], "next_cursor": None})]
    with pytest.raises(TimeoutError, match=r"not finished after 0 s: a 2026-01-02 \(running\)"):
        wait_until_finished(Runs(client, ["a"]), {"a": 1}, on_change=lambda *_: None, timeout=0)
