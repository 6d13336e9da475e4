"""What a step waits for is there or not."""

from __future__ import annotations

from pathlib import Path

from sluicegate.wait.source import Source


def test_a_place_with_wildcards_is_there_once_a_file_matches(tmp_path: Path) -> None:
    source = Source((f"{tmp_path}/2026-*/*.csv",), "aws_default")
    assert [sighting.state for sighting in source.sightings()] == ["not there"]
    (tmp_path / "2026-01-01").mkdir()
    (tmp_path / "2026-01-01" / "a.csv").write_text("id\n1\n")
    assert [sighting.state for sighting in source.sightings()] == ["success"]
