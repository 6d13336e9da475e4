"""What a person does to records before they are replayed: an edited file, or a function. None of it is guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from sluicegate.faults import fault
from sluicegate.ledger.letters import Letter
from sluicegate.load.letters import MASK
from sluicegate.load.replay.values import Record, parsed, record_of, written
from sluicegate.runtime.code import failure_of

__all__ = ["AsItIs", "Edited", "FixFunction", "Fixed", "Mending", "described", "exported", "read_edited"]

FixFunction = Callable[[Record], Record | None]
"""Gets a record (a line as text where it could not be split) and returns the mended one, or None to leave it."""


class Mending(Protocol):
    """Decides what goes in in place of a letter's record."""

    def needs_record(self, letter: Letter) -> bool:
        """Whether the record that was read is asked for."""

    def mend(self, letter: Letter, record: Record | None) -> Record | None:
        """What is to be brought in; None for the record as it is."""


class AsItIs:
    """For a corrected pipeline: the records are what they were."""

    def needs_record(self, letter: Letter) -> bool:
        return True

    def mend(self, letter: Letter, record: Record | None) -> Record | None:
        return None


class Fixed:
    """By a function of the author's. `called` is its name, and `root` the dags root, for messages."""

    def __init__(self, function: FixFunction, called: str, root: str | None = None) -> None:
        self._function, self._called, self._root = function, called, root

    def needs_record(self, letter: Letter) -> bool:
        return True

    def mend(self, letter: Letter, record: Record | None) -> Record | None:
        """:raises FaultError: WRONG_USE when the function returns no record, CODE_FAILED and the like as it raises."""
        assert record is not None
        before = written(record)
        try:
            mended = self._function(dict(record) if isinstance(record, Mapping) else record)
        except Exception as error:
            raise failure_of(error, self._called, self._root) from error
        if mended is None:
            return None
        if not isinstance(mended, str | Mapping):
            kind = type(mended).__name__
            raise fault("WRONG_USE", f"{self._called} returned {kind} for a record: expected a dict, a str or None")
        return None if written(mended) == before else mended


class Edited:
    """By what an exported file says now, by letter. A masked value in it is taken from the record."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._records = records

    def needs_record(self, letter: Letter) -> bool:
        edited = self._records[letter.id]
        return _same(edited, letter) or (isinstance(edited, Mapping) and MASK in edited.values())

    def mend(self, letter: Letter, record: Record | None) -> Record | None:
        edited = self._records[letter.id]
        if _same(edited, letter):
            return None
        if not isinstance(edited, Mapping) or not isinstance(record, Mapping):
            return edited
        return {name: record.get(name) if value == MASK else value for name, value in edited.items()}


def _same(edited: Record, letter: Letter) -> bool:
    return written(edited) == written(record_of(letter))


def described(letter: Letter) -> Iterator[tuple[str, str]]:
    """All that is known of a letter, for a person."""
    yield "id", letter.id
    yield "status", f"{letter.status}, tried {letter.attempts} time{'s' * (letter.attempts != 1)}"
    if letter.closed_at is not None:
        why = f": {letter.reason}" if letter.reason else ""
        yield "closed", f"{letter.closed_at:%Y-%m-%d %H:%M:%S %Z} by {letter.resolved_by}{why}"
    yield "table", letter.target
    yield "load", f"{letter.pipeline}.{letter.step} in run {letter.run_id}"
    if letter.window is not None:
        yield "window", str(letter.window)
    yield "source", f"{letter.source} line {letter.line} (version {letter.source_version})"
    yield "first seen", f"{letter.first_seen:%Y-%m-%d %H:%M:%S %Z}"
    yield "last seen", f"{letter.last_seen:%Y-%m-%d %H:%M:%S %Z}"
    for failure in letter.latest:
        value = "" if failure.get("value") is None else f" {written(failure['value'])}"
        yield "breaks", f"{failure['rule']}{value}" + (f" ({failure['why']})" if failure.get("why") else "")
    if letter.fault is not None:
        yield "its load", f"failed as a whole: {letter.fault}"
    if not letter.complete:
        yield "its record", "is not all of it: a replay reads it again from the source"
    yield "record", letter.record
    if letter.edited is not None:
        yield "tried instead", letter.edited


def exported(letter: Letter) -> str:
    """The letter as one line of JSON. Of these keys `record` is read again by `read_edited`."""
    record = record_of(letter)
    facts = {
        "id": letter.id,
        "record": record,
        "failures": list(letter.latest),
        "source": letter.source,
        "source_version": letter.source_version,
        "line": letter.line,
        "complete": letter.complete,
        "target": letter.target,
        "pipeline": letter.pipeline,
        "step": letter.step,
        "run_id": letter.run_id,
        "window": None if letter.window is None else [letter.window.start.isoformat(), letter.window.end.isoformat()],
        "status": str(letter.status),
        "attempts": letter.attempts,
        "key": letter.key,
        "edited": letter.edited,
    }
    return written(facts)


def read_edited(path: Path, most: int) -> Iterator[dict[str, Record]]:
    """What an exported file says of records now, by letter, at most so many at a time.

    :raises FaultError: WRONG_USE, with the line, for what is not an exported letter.
    """
    some: dict[str, Record] = {}
    seen: set[str] = set()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            identity, record = _edited_line(line, f"{path}:{number}")
            if identity in seen:
                raise fault("WRONG_USE", f"{path}:{number}: the letter {identity} is there twice: leave one of them")
            seen.add(identity)
            some[identity] = record
            if len(some) == most:
                yield some
                some = {}
    if some:
        yield some


def _edited_line(line: bytes, place: str) -> tuple[str, Record]:
    try:
        facts = parsed(line.decode("utf-8-sig"))  # some editors put a mark before the first line
    except ValueError as error:
        raise fault("WRONG_USE", f"{place}: not JSON: {error}; each line is one exported letter") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("id"), str) or "record" not in facts:
        raise fault("WRONG_USE", f"{place}: expected an exported letter, a JSON object with `id` and `record`")
    record = facts["record"]
    if not isinstance(record, str | dict):
        raise fault("WRONG_USE", f"{place}: expected a JSON object or a line as text for `record`")
    return facts["id"], record
