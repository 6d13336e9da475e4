"""The journal of a pipeline is the database of its ledger, else that of its first table."""

from __future__ import annotations

import pytest

from sluicegate.graph.journal import journal_of
from tests.pipeline.conftest import Dags

LOAD = "l: {load: s3://b/x.csv, into: table://warehouse/t, key: id}"


@pytest.mark.parametrize(
    ("connections", "step", "journal"),
    [
        ("connections: {ledger: books}", LOAD, "books"),
        ("", LOAD, "warehouse"),
        ("", 'p: {python: "os:system", with: {command: x}}', None),
        ("connections: {ledger: books}", "l: {load: s3://b/x.csv, into: s3://b/y/, key: id}", "books"),
    ],
)
def test_which_database_keeps_what_steps_did(dags: Dags, connections: str, step: str, journal: str | None) -> None:
    dags.write("defaults.yaml", connections)
    assert journal_of(dags.read(f"sluicegate: 1\nsteps:\n  {step}\n")) == journal
