"""The catalogue is complete: everything that reads a fault finds words in it."""

from __future__ import annotations

import pickle
import re

import pytest

from sluicegate.faults import CATALOGUE, DataFault, FatalFault, FaultClass, TransientFault, fault

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
