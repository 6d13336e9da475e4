"""What a plan's carrying out has done, as lines of JSON: each is on the disk before and after every effect.

A process that dies leaves at most one torn line, the last, which is dropped. The lines `asked` and `answered` say what
may have happened and what has; all else is there for a person to read.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from sluicegate.recovery.definition import InstanceKey, RunKey
from sluicegate.recovery.errors import PlanInUse, WrongPlan

__all__ = ["FileStore", "Journal", "Store", "journal_of", "store_of"]


class Store(Protocol):
    """Where the lines are."""

    name: str

    def read(self) -> bytes:
        """All of it."""
        ...

    def cut(self, size: int) -> None:
        """Drop what is behind the first `size` bytes."""
        ...

    def append(self, line: bytes) -> None:
        """Add a line, which is durable when this returns."""
        ...


class FileStore:
    """A file that this process alone writes, until it ends or closes it.

    :raises PlanInUse: when another process has it
    :raises WrongPlan: when it cannot be opened
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        try:
            self._file = path.open("ab+")
        except OSError as error:
            raise WrongPlan(
                f"{path}: the journal cannot be written: {error.strerror}.", "Copy the plan to a folder of yours."
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise PlanInUse(
                f"{path}: another process on this machine carries out this plan.", "Wait for it, or end it."
            ) from None
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def read(self) -> bytes:
        self._file.seek(0)
        return self._file.read()

    def cut(self, size: int) -> None:
        self._file.truncate(size)
        os.fsync(self._file.fileno())

    def append(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def journal_of(plan: Path) -> Path:
    """Where the journal of a plan's file is."""
    return plan.with_name(f"{plan.name}.journal")


def store_of(file: Path, plan: str) -> FileStore:
    """The store beside the file of a plan. One of an earlier plan, whose file this one has replaced, is kept under that
    plan's id.

    :raises PlanInUse: when another process has it, for whichever plan
    :raises WrongPlan: when it cannot be opened or moved
    """
    place = journal_of(file)
    store = FileStore(place)
    other = _plan_of(store.read())
    if other in (None, plan):
        return store
    try:
        place.rename(place.with_name(f"{file.name}.{other}.journal"))
    except OSError as error:
        raise WrongPlan(
            f"{place}: it is the journal of {other} and cannot be moved: {error.strerror}.", "Move it away."
        ) from error
    finally:
        store.close()
    return FileStore(place)


def _plan_of(content: bytes) -> str | None:
    """The plan that a journal begins with; None where that cannot be read."""
    try:
        entry = json.loads(content.split(b"\n", 1)[0])
    except ValueError:
        return None
    plan = entry.get("plan") if isinstance(entry, dict) else None
    return plan if isinstance(plan, str) and re.fullmatch(r"[\w-]+", plan) else None


class Journal:
    """The lines of one plan, and what follows from them. Each process begins with a holder of its own.

    :raises WrongPlan: when the lines are not those of this plan's journal
    """

    def __init__(self, store: Store, plan: str, now: datetime) -> None:
        self._store = store
        self.plan = plan
        self.holders: set[str] = set()
        """Of all processes that had this journal. As only one at a time has it, the earlier ones are dead."""
        self.asked: dict[InstanceKey, str] = {}
        """The id for which an effect was asked, without an answer so far."""
        self.answered: set[InstanceKey] = set()
        self.succeeded: dict[InstanceKey, str] = {}
        """What is over and well, by its state."""
        self.dropped: set[tuple[str, int]] = set()
        self.requeued: set[RunKey] = set()
        self._replay(store.read())
        self.is_resumed = bool(self.holders)
        self.holder = secrets.token_hex(8)
        """By it the plan's marker in Airflow is known to be this process's own."""
        self._write(now, "begun", plan=plan, holder=self.holder)

    def ask(self, now: datetime, what: str, run: RunKey, ids: Mapping[tuple[str, int], str], wave: int) -> None:
        """An effect on instances of a run (by task and index, with the ids that they have) will now be tried."""
        entries = [[task, index, id_] for (task, index), id_ in ids.items()]
        self._write(now, "asked", what=what, dag=run.dag, run=run.run, ids=entries, wave=wave)

    def answer(self, now: datetime, what: str, run: RunKey, tasks: Iterable[tuple[str, int]]) -> None:
        """It has happened."""
        self._write(now, "answered", what=what, dag=run.dag, run=run.run, tasks=[list(each) for each in tasks])

    def refuse(self, now: datetime, what: str, run: RunKey, tasks: Iterable[tuple[str, int]], why: str) -> None:
        """It has not happened, and will not."""
        tasks = [list(each) for each in tasks]  # type: ignore[misc]
        self._write(now, "refused", what=what, dag=run.dag, run=run.run, tasks=tasks, why=why)

    def over(self, now: datetime, run: RunKey, states: Mapping[tuple[str, int], str | None]) -> None:
        """Instances of a run are over; only what is well is not looked at again by a resume."""
        entries = [[task, index, state] for (task, index), state in states.items()]
        self._write(now, "over", dag=run.dag, run=run.run, states=entries)

    def leave(self, now: datetime, key: InstanceKey, why: str) -> None:
        self._write(now, "left alone", dag=key.dag, run=key.run, task=key.task, index=key.index, why=why)

    def dropping(self, now: datetime, dag: str, asset_id: int, *, is_done: bool) -> None:
        self._write(now, "dropped" if is_done else "dropping", dag=dag, asset=asset_id)

    def say(self, now: datetime, line: str, **content: object) -> None:
        """A line that only people read."""
        self._write(now, line, **content)

    def _write(self, now: datetime, line: str, **content: object) -> None:
        entry = {"at": now.isoformat(timespec="milliseconds"), "line": line, **content}
        self._store.append(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        self._take(entry)

    def _replay(self, content: bytes) -> None:
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise self._wrong(f"line {number} cannot be read: {error}") from error
        if len(whole) < len(content):
            self._store.cut(len(whole))

    def _take(self, entry: Mapping[str, Any]) -> None:
        kind = entry["line"]
        if kind == "begun":
            if entry["plan"] != self.plan:
                raise self._wrong(f"it is that of the plan {entry['plan']}, expected {self.plan}")
            self.holders.add(entry["holder"])
        elif kind == "over":
            for task, index, state in entry["states"]:
                if state in _WELL:
                    self.succeeded[InstanceKey(entry["dag"], entry["run"], task, index)] = state
        elif kind == "dropped":
            self.dropped.add((entry["dag"], entry["asset"]))
        elif kind in ("asked", "answered", "refused"):
            self._take_effect(kind, entry)

    def _take_effect(self, kind: str, entry: Mapping[str, Any]) -> None:
        run, what = RunKey(entry["dag"], entry["run"]), entry["what"]
        if what == "requeue" and kind == "answered":
            self.requeued.add(run)
        if what not in _COUNTED:
            return
        for task, index, *id_ in entry["ids" if kind == "asked" else "tasks"]:
            key = InstanceKey(run.dag, run.run, task, index)
            if kind == "asked":
                self.asked[key] = id_[0]
                continue
            self.asked.pop(key, None)
            if kind == "answered":
                self.answered.add(key)

    def _wrong(self, words: str) -> WrongPlan:
        return WrongPlan(
            f"{self._store.name}: not this plan's journal: {words}.",
            "Move it away to begin without it: what was reset is then known by its notes in Airflow.",
        )


_COUNTED: Collection[str] = frozenset({"clear", "mark"})
_WELL = frozenset({"success", "skipped"})
