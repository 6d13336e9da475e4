"""The catalogue is complete: everything that reads a fault finds words in it."""

from __future__ import annotations

import ast
import pickle
import re
from functools import cache
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


ROOMS: dict[str, set[str]] = {
    "checks": {"load"},
    "emr": {"spark"},
    "ledger": {"load", "fetch"},
    "load": {"load"},
    "records": {"load", "transform"},
    "runtime": {"load", "fetch", "spark", "transform", "python"},
    "sources": {"fetch"},
    "storage": {"load", "fetch", "transform", "wait"},
    "targets": {"load", "fetch", "wait"},
    "transform": {"transform", "python"},
    "wait": {"wait"},
}
"""By room, the kinds of steps that its code runs in."""
COMMANDS = {"cli", "doctor", "local", "migrate", "recovery", "render", "testing", "factory", "discovery", "faults"}
COMMANDS |= {"alerts", "health"}
"""Rooms whose faults end commands, are found by rules, or are told of what no step has raised."""
PACKAGE = Path(sluicegate.__file__).parent


@cache
def nodes_of(path: Path) -> tuple[list[ast.expr], set[str]]:
    """What a module gives to `fault`, and the codes of the catalogue that it names anywhere."""
    calls, named = [], set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args and getattr(node.func, "id", None) == "fault":
            calls.append(node.args[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in CATALOGUE:
            named.add(node.value)
    return calls, named


def codes_in(path: Path) -> set[str]:
    """The codes that a module gives to `fault`, directly or by a choice between two."""
    calls, _ = nodes_of(path)
    texts = (each.value for first in calls for each in ast.walk(first) if isinstance(each, ast.Constant))
    return {text for text in texts if isinstance(text, str) and re.fullmatch("[A-Z]+(_[A-Z]+)+|NETWORK|UNKNOWN", text)}


def codes_of(room: str) -> set[str]:
    return {code for path in (PACKAGE / room).rglob("*.py") for code in codes_in(path)}


def test_every_room_that_raises_faults_is_known_here() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and codes_of(path.name)}
    assert rooms - COMMANDS == set(ROOMS)


def test_every_fault_that_is_raised_is_in_the_catalogue() -> None:
    assert {code for path in PACKAGE.rglob("*.py") for code in codes_in(path)} - set(CATALOGUE) == set()


@pytest.mark.parametrize("room", ROOMS)
def test_the_catalogue_says_which_steps_can_raise_what_a_room_raises(room: str) -> None:
    """All kinds where the room has one; where it is shared, its user decides, and at least one kind is right."""
    raised = codes_of(room)
    assert raised
    assert {code for code in raised if not CATALOGUE[code].raised_by & ROOMS[room]} == set()


def test_every_fault_of_the_catalogue_can_happen() -> None:
    named = {code for path in PACKAGE.rglob("*.py") if path.name != "catalogue.py" for code in nodes_of(path)[1]}
    assert {code for code, one in CATALOGUE.items() if one.raised_by} - named - {"WORKER_LOST"} == set()


def test_whatever_code_of_an_author_meets_may_end_its_step() -> None:
    """A `python` step may use any library: what the rules for foreign errors find is said to be of it too."""
    rules = ("airflow", "aws", "database", "files", "gx", "http", "mail", "system")
    found = {code for rule in rules for code in nodes_of(PACKAGE / "faults" / f"{rule}.py")[1]}
    assert {code for code in found if "python" not in CATALOGUE[code].raised_by} <= {"CLUSTER_INVALID"}


def test_every_fault_is_raised_by_some_step_or_is_of_a_whole_pipeline() -> None:
    of_none = {one.code for one in CATALOGUE.values() if not one.raised_by}
    assert of_none == {"PIPELINE_LATE", "PIPELINE_STALLED", "ALERT_UNDELIVERED", "CIRCUIT_OPEN"}
    assert {kind for one in CATALOGUE.values() for kind in one.raised_by} == set(get_args(StepKind))
