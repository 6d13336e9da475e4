"""What is asked of Airflow to reset tasks, as it is sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sluicegate.api import Bearer, Client
from sluicegate.recovery.definition import RunKey
from sluicegate.recovery.site_rest import RestSite
from tests.api.conftest import Server, server  # noqa: F401  (a fixture)

RUN = RunKey("orders", "scheduled__01")


@pytest.fixture
def site(server: Server) -> Iterator[RestSite]:  # noqa: F811
    cleared = {"task_id": "load", "map_index": -1}
    server.answers["POST /dags/orders/clearTaskInstances"] = [(200, {"task_instances": [cleared]})]
    with Client(server.url, Bearer("token-1"), deadline=60, environment_proxies=False) as client:
        yield RestSite(client, [])


def test_exactly_the_named_instances_are_reset_with_their_note(site: RestSite, server: Server) -> None:  # noqa: F811
    assert set(site.clear(RUN, [("load", -1), ("part", 3)], "why")) == {("load", -1)}
    assert server.asked[-1].body == {
        "dag_run_id": "scheduled__01",
        "task_ids": [["load", -1], ["part", 3]],
        "only_failed": False,
        "dry_run": False,
        "prevent_running_task": True,
        "note": "why",
    }


def test_running_ones_and_the_latest_version_only_where_asked(site: RestSite, server: Server) -> None:  # noqa: F811
    site.clear(RUN, [("load", -1)], "why", even_running=True, latest=True)
    body = server.asked[-1].body
    assert (body["prevent_running_task"], body["run_on_latest_version"]) == (False, True)


def test_a_few_dags_are_looked_at_one_by_one(site: RestSite, server: Server) -> None:  # noqa: F811
    server.answers["GET /dags/orders"] = [(200, {"dag_id": "orders", "is_paused": False, "is_stale": False})]
    server.answers["GET /dags/asleep"] = [(200, {"dag_id": "asleep", "is_paused": True, "is_stale": False})]
    server.answers["GET /dags/gone"] = [(200, {"dag_id": "gone", "is_paused": False, "is_stale": True})]
    server.answers["GET /dags/unknown"] = [(404, {"detail": "not found"})]
    server.answers["GET /dags/forbidden"] = [(403, {"detail": "Forbidden"})]
    assert set(site.resting(["orders", "asleep", "gone", "unknown", "forbidden"])) == {"asleep", "gone", "unknown"}


def test_many_dags_are_looked_up_among_the_paused_ones(site: RestSite, server: Server) -> None:  # noqa: F811
    names = [f"d{number}" for number in range(20)]
    server.answers["GET /dags"] = [(200, {"dags": [{"dag_id": "d3"}, {"dag_id": "other"}], "total_entries": 2})]
    assert set(site.resting(names)) == {"d3"}
    assert "paused=true" in server.asked[-1].path
