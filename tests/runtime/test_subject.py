"""A fault is about what the step read, or about the upstream that it waited for."""

from __future__ import annotations

import pytest

from sluicegate.faults import fault
from sluicegate.graph.location import Location
from sluicegate.runtime.subject import Place, places, subject_of

RAW, OTHER = Place("raw"), Place("flights.raw", "more")
READS = {RAW: ("s3://b/raw/1.csv",), OTHER: ("s3://b/flights/",)}


def test_the_places_are_those_of_the_file() -> None:
    location = Location("raw", "s3://b/{{ ds }}.csv")
    assert list(places(location)) == [Place("raw")]
    assert list(places("s3://b/{{ ds }}.csv")) == [Place("s3://b/{{ ds }}.csv")]
    assert list(places({"a": location, "b": "/tmp/x"})) == [Place("raw", "a"), Place("/tmp/x", "b")]
    assert list(places(["a.csv", "b.csv"])) == []
    assert list(places(None)) == []


def test_a_place_finds_what_its_field_was_rendered_to() -> None:
    assert Place("raw").uris("s3://b/1.csv") == ("s3://b/1.csv",)
    assert Place("raw", "a").uris({"a": ["s3://b/1.csv", "s3://b/2.csv"]}) == ("s3://b/1.csv", "s3://b/2.csv")
    assert Place("raw").uris(Location("raw", "s3://b/{{ ds }}.csv")) == ()


@pytest.mark.parametrize("code", ["SOURCE_MISSING", "SOURCE_UNREADABLE", "TOO_MANY_DEAD_LETTERS", "CHECK_FAILED"])
def test_a_fault_of_the_only_source_is_about_that(code: str) -> None:
    assert subject_of(fault(code), "orders", {RAW: ()}) == "orders.raw"
    assert subject_of(fault(code), "orders", {OTHER: ()}) == "flights.raw"
    assert subject_of(fault(code), "orders", {Place("s3://b/x.csv"): ()}) == "s3://b/x.csv"


def test_of_several_sources_it_is_the_one_that_the_fault_names() -> None:
    assert subject_of(fault("SOURCE_MISSING", uri="s3://b/raw/1.csv"), "orders", READS) == "orders.raw"
    assert subject_of(fault("SOURCE_MISSING", uri="s3://b/flights/part-1.csv"), "orders", READS) == "flights.raw"
    assert subject_of(fault("SOURCE_MISSING", uri="s3://b/none.csv"), "orders", READS) == ""
    assert subject_of(fault("SOURCE_MISSING"), "orders", READS) == ""


def test_a_wait_is_about_its_upstream() -> None:
    assert subject_of(fault("UPSTREAM_LATE", upstream="flights.fetch"), "orders", {RAW: ()}) == "flights.fetch"


def test_what_no_source_has_caused_is_about_nothing() -> None:
    for code in ("CODE_BROKEN", "WAREHOUSE_UNREACHABLE", "DISK_FULL", "UNKNOWN"):
        assert subject_of(fault(code), "orders", {RAW: ()}) == ""
