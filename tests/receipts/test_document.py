"""A document stays within its bounds, and says what it left out."""

from __future__ import annotations

import json

from sluicegate.receipts.document import MOST_BYTES, bounded


def test_a_small_document_stays_as_it_is() -> None:
    document = {"facts": {"counts": {"read": 1}}}
    assert bounded(document) == document


def test_what_is_cut_or_left_out_is_named() -> None:
    document = {
        "params": {"query": "x" * 70_000},
        "facts": {"counts": {"read": 3}, "inputs": [{"uri": f"s3://b/{number}"} for number in range(500)]},
    }
    found = bounded(document)
    assert found["facts"]["counts"] == {"read": 3}
    assert len(found["facts"]["inputs"]) == 100
    assert found["omitted"] == ["params.query (cut from 70,000 characters)", "facts.inputs (400 of 500)"]


def test_the_largest_facts_go_first_when_cutting_is_not_enough() -> None:
    wide = {f"column_{number}": "y" * 1_000 for number in range(200)}
    found = bounded({"facts": {"drift": wide, "counts": {"read": 3}}, "dry_run": False})
    assert found["facts"] == {"counts": {"read": 3}}
    assert found["dry_run"] is False
    assert [one.partition(" (")[0] for one in found["omitted"]] == ["facts.drift"]
    assert len(json.dumps(found)) < MOST_BYTES
