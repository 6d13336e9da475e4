"""What Airflow answers, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from sluicegate.api.errors import UnexpectedAnswer

__all__ = ["DagRun", "Fields", "TaskInstance"]

ValueT = TypeVar("ValueT")

_FINISHED = frozenset({"success", "failed"})


class Fields:
    """One object of an answer, whose fields are asked for by name and type.

    Each raises `UnexpectedAnswer` when the field is missing or of another type.
    """

    def __init__(self, found: object) -> None:
        if not isinstance(found, dict):
            raise _unexpected(f"expected an object, found {found!r:.80}")
        self._found = found

    def value(self, name: str) -> object:
        if name not in self._found:
            raise _unexpected(f"no field {name} in {self._found!r:.80}")
        return self._found[name]

    def text(self, name: str) -> str:
        return self._typed(name, str)

    def number(self, name: str) -> int:
        return self._typed(name, int)

    def entries(self, name: str) -> list[object]:
        return self._typed(name, list)

    def mapping(self, name: str) -> Mapping[str, object]:
        """Empty where the field is null."""
        return {} if self.value(name) is None else self._typed(name, dict)

    def text_or_none(self, name: str) -> str | None:
        return None if self.value(name) is None else self.text(name)

    def seconds_or_none(self, name: str) -> float | None:
        return None if self.value(name) is None else float(self._typed(name, (int, float)))

    def moment_or_none(self, name: str) -> datetime | None:
        """In UTC."""
        text = self.text_or_none(name)
        try:
            return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
        except ValueError as error:
            raise _unexpected(f"{name} is {text!r}, expected a time") from error

    def moment(self, name: str) -> datetime:
        found = self.moment_or_none(name)
        if found is None:
            raise _unexpected(f"{name} is null, expected a time")
        return found

    def _typed(self, name: str, kind: type[ValueT] | tuple[type[ValueT], ...]) -> ValueT:
        value = self.value(name)
        if not isinstance(value, kind):
            raise _unexpected(f"{name} is {value!r:.80}, which is of another type than expected")
        return value


def _unexpected(words: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"Airflow's answer is not as expected: {words}.", "Check that it is an Airflow 3.")


@dataclass(frozen=True)
class DagRun:
    """A run of a DAG. `start` is that of its window, or when it was to run if it has no window."""

    dag_id: str
    run_id: str
    state: str
    run_type: str
    start: datetime
    conf: Mapping[str, object] = field(default_factory=dict)
    end: datetime | None = None
    """That of its window."""
    logical_date: datetime | None = None
    run_after: datetime | None = None

    @classmethod
    def read(cls, found: object) -> DagRun:
        fields = Fields(found)
        date = fields.moment_or_none("logical_date")
        start = fields.moment_or_none("data_interval_start") or date
        return cls(
            dag_id=fields.text("dag_id"),
            run_id=fields.text("dag_run_id"),
            state=fields.text("state"),
            run_type=fields.text("run_type"),
            start=start or fields.moment("run_after"),
            conf=fields.mapping("conf"),
            end=fields.moment_or_none("data_interval_end"),
            logical_date=date,
            run_after=fields.moment("run_after"),
        )

    @property
    def finished(self) -> bool:
        return self.state in _FINISHED


@dataclass(frozen=True)
class TaskInstance:
    """A task of a run; each instance of a mapped task has its own `map_index`, any other has -1.

    `id` changes with every clear and every try. `rendered`: the template fields of the last try that has started.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    seconds: float | None
    id: str = ""
    operator: str = ""
    pool: str = ""
    pool_slots: int = 1
    started: datetime | None = None
    ended: datetime | None = None
    note: str = ""
    rendered: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def read(cls, found: object) -> TaskInstance:
        fields = Fields(found)
        return cls(
            dag_id=fields.text("dag_id"),
            run_id=fields.text("dag_run_id"),
            task_id=fields.text("task_id"),
            map_index=fields.number("map_index"),
            state=fields.text_or_none("state"),
            try_number=fields.number("try_number"),
            seconds=fields.seconds_or_none("duration"),
            id=fields.text("id"),
            operator=fields.text_or_none("operator") or "",
            pool=fields.text("pool"),
            pool_slots=fields.number("pool_slots"),
            started=fields.moment_or_none("start_date"),
            ended=fields.moment_or_none("end_date"),
            note=fields.text_or_none("note") or "",
            rendered=fields.mapping("rendered_fields"),
        )
