"""What a step waits for is there or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.graph.location import Location
from sluicegate.wait.sensor import SourceSensor
from sluicegate.wait.source import Source
from sluicegate.wait.trigger import SourceTrigger
from tests.webserver import Answer, web_server


def test_a_place_with_wildcards_is_there_once_a_file_matches(tmp_path: Path) -> None:
    source = Source((f"{tmp_path}/2026-*/*.csv",), "aws_default")
    assert [sighting.state for sighting in source.sightings()] == ["not there"]
    (tmp_path / "2026-01-01").mkdir()
    (tmp_path / "2026-01-01" / "a.csv").write_text("id\n1\n")
    assert [sighting.state for sighting in source.sightings()] == ["success"]


def test_a_file_on_a_web_server_is_looked_for_with_the_connection_of_its_dataset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER", "http://:geheim@127.0.0.1")
    with web_server() as site:
        site.script = lambda asked: Answer(status=200 if "Authorization" in asked.headers else 401)
        uri = f"{site.url}/a.csv"
        sensor = SourceSensor(task_id="wait", source=Location("rates", uri, connection="partner"))
        sensor.source = uri  # as it is once it is rendered
        assert sensor.connection == "partner"
        path, words = SourceTrigger(
            uris=[uri], aws_conn_id="aws_default", connection=sensor.connection, poke_interval=1
        ).serialize()
        assert path.endswith(".SourceTrigger")
        assert [sighting.state for sighting in SourceTrigger(**words).sightings()] == ["success"]
        assert site.asked[0].headers["Authorization"] == "Bearer geheim"
