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
    with Client(server.url, Bearer("token-1"), deadline=5, environment_proxies=False) as client:
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
