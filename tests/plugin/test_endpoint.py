from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from sluicegate.health.facts import JournalFacts
from sluicegate.health.report import VERSION
from sluicegate.plugin.users import Allowed
from tests.plugin.conftest import DAY, Metadata, signed_in


@pytest.fixture(autouse=True)
def alive(metadata: Metadata) -> None:
    metadata.components()


def test_all_is_well_is_a_200_with_what_a_monitor_compares(client: TestClient, metadata: Metadata) -> None:
    metadata.pipeline("orders")
    metadata.run("orders", metadata.today - DAY)
    answer = client.get("/health", headers=signed_in("viewer"))
    assert answer.status_code == 200
    found = answer.json()
    assert (found["version"], found["status"], found["findings"]) == (VERSION, "well", [])
    assert found["counts"]["pipelines"] == found["counts"]["current"] == 1
    assert [(each["name"], each["state"]) for each in found["pipelines"]] == [("orders", "current")]
    assert found["components"]["scheduler"]["alive"]


def test_one_problem_is_a_503_that_says_what_to_do(client: TestClient, metadata: Metadata) -> None:
    metadata.pipeline("orders")
    metadata.run("orders", metadata.today - DAY, "failed", failed=["load_orders"])
    answer = client.get("/health", headers=signed_in("viewer"))
    assert answer.status_code == 503
    (finding,) = answer.json()["findings"]
    assert (finding["what"], finding["severity"], finding["step"]) == ("failing", "problem", "load_orders")
    assert "sluicegate recover plan" in finding["remedy"]


def test_a_monitor_may_ask_for_the_status_alone(client: TestClient, metadata: Metadata) -> None:
    metadata.components(scheduler=DAY)
    assert client.head("/health", headers=signed_in("viewer")).status_code == 503
    assert client.head("/health").status_code == 401


def test_one_pipeline_answers_for_itself_alone(client: TestClient, metadata: Metadata) -> None:
    for name, state in (("orders", "failed"), ("stock", "success")):
        metadata.pipeline(name)
        metadata.run(name, metadata.today - DAY, state)
    assert client.get("/health/orders", headers=signed_in("viewer")).status_code == 503
    assert client.get("/health/stock", headers=signed_in("viewer")).status_code == 200
    assert client.get("/health/nothing", headers=signed_in("viewer")).status_code == 404


def test_without_a_token_nothing_is_said(client: TestClient, metadata: Metadata) -> None:
    metadata.pipeline("secret_project")
    answer = client.get("/health")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "secret_project" not in answer.text


def test_a_token_that_airflow_does_not_know_is_refused(client: TestClient) -> None:
    answer = client.get("/health", headers={"Authorization": "Bearer nonsense"})
    assert (answer.status_code, answer.json()) == (403, {"detail": "Invalid JWT token"})


def test_a_user_who_may_read_no_dag_sees_nothing_not_even_of_the_site(client: TestClient, metadata: Metadata) -> None:
    metadata.pipeline("orders")
    metadata.run("orders", metadata.today - DAY, "failed")
    metadata.import_error("secret_project.py", "Traceback")
    for where in ("/health", "/health/orders"):
        answer = client.get(where, headers=signed_in(None))
        assert (answer.status_code, answer.json()) == (403, {"detail": "You may read no DAG of this Airflow."})


def test_a_pipeline_that_a_user_may_not_read_does_not_exist_for_them(
    client: TestClient, metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("orders", "secret_project"):
        metadata.pipeline(name)
        metadata.run(name, metadata.today - DAY, "failed")
    monkeypatch.setattr(
        "sluicegate.plugin.users.may_read", lambda _: Allowed(frozenset({"orders"}), import_errors=False)
    )
    metadata.import_error("secret_project.py", "Traceback: the secret")
    answer = client.get("/health", headers=signed_in("viewer"))
    assert [each["name"] for each in answer.json()["pipelines"]] == ["orders"]
    assert "secret" not in answer.text
    assert client.get("/health/secret_project", headers=signed_in("viewer")).status_code == 404


def test_open_it_says_counts_and_names_and_no_more(
    client: TestClient, metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SLUICEGATE__HEALTH_OPEN", "True")
    metadata.pipeline("orders")
    metadata.run("orders", metadata.today - DAY, "failed", failed=["load_orders"])
    answer = client.get("/health")
    assert answer.status_code == 503
    assert set(answer.json()) == {"version", "status", "at", "counts", "pipelines", "findings"}
    assert answer.json()["findings"] == [{"what": "failing", "severity": "problem", "pipeline": "orders"}]
    assert "load_orders" not in answer.text
    assert "data-platform" not in answer.text


def test_a_database_that_is_away_is_a_503_without_its_words(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead() -> None:
        raise OperationalError("SELECT 1", {}, Exception("password=hunter2 host=metadata"))

    headers = signed_in("viewer")
    monkeypatch.setattr("airflow.settings.Session", lambda *_, **__: dead())
    answer = client.get("/health", headers=headers)
    assert answer.status_code == 503
    assert [each["what"] for each in answer.json()["findings"]] == ["metadata_unread"]
    assert "hunter2" not in answer.text


def test_a_journal_that_is_away_is_a_warning(
    client: TestClient, metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = 1  # where nothing listens
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f"postgres://etl:hunter2@127.0.0.1:{port}/x")
    metadata.pipeline("orders", fresh_within=timedelta(days=3), said={"journal": "warehouse", "watches": True})
    metadata.run("orders", metadata.today - DAY)
    answer = client.get("/health", headers=signed_in("viewer"))
    assert (answer.status_code, answer.json()["journals"]) == (200, {"warehouse": "unread"})
    assert [each["what"] for each in answer.json()["findings"]] == ["journal_unread"]
    assert "hunter2" not in answer.text


def test_a_monitor_that_hammers_costs_one_look(
    client: TestClient, metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def look(connection: str) -> JournalFacts:
        looks.append(connection)
        return JournalFacts(connection)

    monkeypatch.setattr("sluicegate.health.journals.read_journal", look)
    metadata.pipeline("orders", fresh_within=timedelta(days=3), said={"journal": "warehouse", "watches": True})
    metadata.run("orders", metadata.today - DAY)
    first = client.get("/health", headers=signed_in("viewer")).json()
    metadata.run("orders", metadata.today, "failed")
    assert client.get("/health", headers=signed_in("viewer")).json() == first
    assert looks == ["warehouse"]


def test_a_file_that_is_broken_is_said_by_its_own_words(client: TestClient, metadata: Metadata) -> None:
    drawing = "\nbad.yaml:4:7: error[unknown-key]: `stepz` is not a key of a pipeline\n  4 | stepz:\n"
    metadata.import_error(
        "bad.yaml.py", f'Traceback (most recent call last):\n  File "x"\nsluicegate.PipelineFileError: {drawing}'
    )
    answer = client.get("/health", headers=signed_in("viewer"))
    (finding,) = answer.json()["findings"]
    assert (answer.status_code, finding["what"]) == (503, "broken_file")
    assert "bad.yaml:4:7: error[unknown-key]: `stepz` is not a key" in finding["detail"]


def test_a_scheduler_that_is_silent_is_a_problem(client: TestClient, metadata: Metadata) -> None:
    metadata.components(scheduler=timedelta(minutes=10))
    answer = client.get("/health", headers=signed_in("viewer"))
    assert answer.status_code == 503
    assert ["scheduler" in each["detail"] for each in answer.json()["findings"]] == [True]
