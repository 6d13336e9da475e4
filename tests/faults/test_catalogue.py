"""The catalogue is complete: everything that reads a fault finds words in it."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import get_args

import pytest

import sluicegate
from sluicegate.faults import CATALOGUE, DataFault, FatalFault, FaultClass, TransientFault, fault
from sluicegate.faults.catalogue import StepKind

TYPES = {FaultClass.TRANSIENT: TransientFault, FaultClass.DATA: DataFault, FaultClass.FATAL: FatalFault}


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_fault_says_what_happened_and_what_to_do(code: str) -> None:
    entry = CATALOGUE[code]
    assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code)
    assert entry.code == code
    assert entry.sentence.endswith(".")
    assert entry.remedy.endswith((".", "?"))


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_the_type_of_an_error_says_its_class(code: str) -> None:
    assert type(fault(code)) is TYPES[CATALOGUE[code].kind]


def test_an_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(fault("CHECK_FAILED", "no rows", rows=0)))
    assert (error.code, error.detail, error.facts) == ("CHECK_FAILED", "no rows", {"rows": 0})


def test_a_code_that_is_not_in_the_catalogue_is_refused() -> None:
    with pytest.raises(KeyError):
        fault("NO_SUCH_FAULT")


def test_an_error_without_detail_says_its_sentence() -> None:
    assert str(fault("DISK_FULL")) == "DISK_FULL (fatal): No space is left on a disk."


ROOMS = {
    "checks": {"load"},
    "emr": {"spark"},
    "load": {"load"},
    "records": {"load", "transform"},
    "sources": {"fetch"},
    "storage": {"load", "fetch", "transform", "wait"},
    "targets": {"load", "fetch", "wait"},
    "transform": {"transform", "python"},
    "wait": {"wait"},
}
"""By room, the kinds of steps that its code runs in."""


@pytest.mark.parametrize("room", ROOMS)
def test_the_catalogue_says_which_steps_can_raise_what_a_room_raises(room: str) -> None:
    folder = Path(sluicegate.__file__).parent / room
    named = {code for path in folder.rglob("*.py") for code in re.findall(r'fault\(\s*"([A-Z_]+)"', path.read_text())}
    raised = named & set(CATALOGUE)
    assert raised
    assert {code for code in raised if not CATALOGUE[code].raised_by & ROOMS[room]} == set()


def test_every_fault_is_raised_by_some_step_or_is_of_a_whole_pipeline() -> None:
    of_none = {one.code for one in CATALOGUE.values() if not one.raised_by}
    assert of_none == {"PIPELINE_LATE", "PIPELINE_STALLED", "ALERT_UNDELIVERED"}
    assert {kind for one in CATALOGUE.values() for kind in one.raised_by} == set(get_args(StepKind))
