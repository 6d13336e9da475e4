"""Values of dag-factory as values of a pipeline file: durations, moments, callables, objects, variables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from sluicegate.migrate.item import Item, Items
from sluicegate.migrate.note import Notes
from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.text.quantities import format_duration

__all__ = ["Lost", "Values", "callable_of", "duration", "moment", "paired_callables"]

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")
_RELATIVE = re.compile(r"(\d+)\s+(hour|minute|second|day)", re.IGNORECASE)
_TIMEDELTA = ("datetime.timedelta", "pendulum.duration")
_MOMENTS = ("datetime.datetime", "datetime.date", "pendulum.datetime")
_DURATIONS = frozenset({"poke_interval", "timeout", "max_wait", "execution_delta"})
"""Arguments whose annotation makes a duration of a text; elsewhere it would stay a text."""
_SHELL = frozenset({"bash_command", "cmds", "arguments", "command"})
"""Arguments that a shell or a container reads, in which `$NAME` means something there too."""
_PAIRS = {
    "python_callable": "python_callable", "execution_date_fn": "execution_date_fn",
    "response_check": "response_check", "success_check": "success", "failure_check": "failure",
    "on_execute_callback": "on_execute_callback", "on_success_callback": "on_success_callback",
    "on_failure_callback": "on_failure_callback", "on_retry_callback": "on_retry_callback",
    "on_skipped_callback": "on_skipped_callback", "sla_miss_callback": "sla_miss_callback",
}  # fmt: skip
"""By the beginning of `<x>_name` and `<x>_file`, the argument that they give."""


class Lost(Exception):  # noqa: N818 - it is not an error of the program
    """A value has no counterpart, and what it belongs to cannot be without it."""

    def __init__(self, item: Item, message: str) -> None:
        self.item = item
        super().__init__(message)


@dataclass(frozen=True)
class Values:
    """Converts values, and notes what becomes something else. `folder` is that of the file that is converted."""

    notes: Notes
    folder: Path

    def plain(self, item: Item, where: Where) -> Any:
        """The value as a pipeline file has it.

        :raises Lost: for an object that a file cannot say
        """
        value = item.value
        if isinstance(value, dict):
            return self._object(item, where) if "__type__" in value else self._mapping(item, where)
        if isinstance(value, list):
            return [self.plain(one, (*where, index)) for index, one in enumerate(value)]
        if isinstance(value, str):
            return self._text(value, item, where)
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, bytes):
            raise Lost(item, "a binary value has no counterpart")
        return value

    def _mapping(self, item: Item, where: Where) -> Any:
        value = item.value
        if set(value) == {"__join__"} and isinstance(value["__join__"].value, list):
            return "".join(str(self.plain(part, where)) for part in value["__join__"].value)
        for sign in ("__and__", "__or__"):
            if sign in value:
                raise Lost(item, f"`{sign}` is an expression of assets: no pipeline is started by assets")
        return {key: self.plain(one, (*where, key)) for key, one in value.items()}

    def _object(self, item: Item, where: Where) -> Any:
        value: Items = item.value
        kind = str(value["__type__"].value)
        given = {key: one for key, one in value.items() if key not in ("__type__", "__args__")}
        args = value["__args__"].value if "__args__" in value else []
        if kind == "builtins.list" and isinstance(items := given.get("items"), Item):
            return self.plain(items, where)
        if kind in _TIMEDELTA and where[-1] in _DURATIONS:
            return format_duration(duration(item))
        if kind in _TIMEDELTA:
            return {"class": "datetime.timedelta", "with": {"seconds": int(duration(item).total_seconds())}}
        if kind in _MOMENTS:
            return _exactly(moment(item))
        if args:
            raise Lost(item, f"`{kind}` is given values without names (`__args__`), which has no counterpart")
        return {"class": kind, "with": {key: self.plain(one, (*where, "with", key)) for key, one in given.items()}}

    def _text(self, text: str, item: Item, where: Where) -> str:
        names = list(dict.fromkeys(found[1] or found[2] for found in _VARIABLE.finditer(text)))
        if not names:
            return text
        listed = ", ".join(f"${name}" for name in names)
        if any(part in _SHELL for part in where):
            message = (
                f"{listed}: was filled in when the file was read, if it was set; now only the command itself does it"
            )
            self.notes.add(item, where, message)
            return text
        foreign = [name for name in names if not name.startswith("SLUICEGATE_")]
        if foreign:
            allowed = f"`[sluicegate] env_allowlist` has to name {', '.join(foreign)}"
            self.notes.add(item, where, f"{listed}: is filled in when the file is read; {allowed}")
        return _VARIABLE.sub(lambda found: f"${{env:{found[1] or found[2]}}}", text)


def _exactly(value: date) -> dict[str, Any]:
    """A day or a moment as an object, of which no annotation has to make one."""
    names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    parts = {name: getattr(value, name, 0) for name in names}
    given = {name: part for name, part in parts.items() if part or name in names[:3]}
    kind = "datetime.datetime" if isinstance(value, datetime) else "datetime.date"
    return {"class": kind, "with": given}


def duration(item: Item) -> timedelta:
    """A duration in any form that a version of dag-factory takes: an object, seconds, `5 minutes`.

    :raises Lost: when it is none, or one that a pipeline file cannot say: negative, or parts of a second
    """
    value = item.value
    found: timedelta | None = None
    if isinstance(value, dict) and str(value.get("__type__", item).value) in _TIMEDELTA:
        parts = {key: one.plain for key, one in value.items() if key not in ("__type__", "__args__")}
        positions = value["__args__"].plain if "__args__" in value else []
        try:
            found = timedelta(*positions, **parts)
        except (TypeError, OverflowError):
            found = None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = timedelta(seconds=value)
    elif isinstance(value, str) and (parts_found := _RELATIVE.findall(value)):
        found = sum((timedelta(**{f"{unit.lower()}s": int(number)}) for number, unit in parts_found), timedelta())
    if found is None:
        raise Lost(item, f"{item.plain!r} is not a duration")
    if found < timedelta() or found % timedelta(seconds=1):
        raise Lost(item, f"{item.plain!r}: a duration here is whole seconds and not negative")
    return found


def moment(item: Item, today: date | None = None) -> date:
    """A day or a moment; `2 days` is so much before the beginning of `today`.

    :raises Lost: when it is none
    """
    value = item.value
    if isinstance(value, dict) and str(value.get("__type__", item).value) in _MOMENTS:
        given = {key: one.plain for key, one in value.items() if key not in ("__type__", "__args__", "tz", "tzinfo")}
        args = value["__args__"].plain if "__args__" in value else []
        try:
            return (date if value["__type__"].value == "datetime.date" else datetime)(*args, **given)
        except TypeError:
            raise Lost(item, f"{item.plain!r} is not a date or time") from None
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value) if len(value) > len("2026-01-01") else date.fromisoformat(value)
        except ValueError:
            if today is not None and _RELATIVE.search(value):
                return datetime.combine(today, datetime.min.time()) - duration(item)
    raise Lost(item, f"{item.plain!r} is neither a day nor a moment")


def paired_callables(conf: Items, values: Values, where: Where) -> dict[str, Item]:
    """`conf` with `module:function` in place of each `<x>_name` and `<x>_file`, of an import path, and of no lambda.

    :raises Lost: for a lambda
    """
    result = dict(conf)
    for start, argument in _PAIRS.items():
        name, file = result.pop(f"{start}_name", None), result.pop(f"{start}_file", None)
        if name is not None and file is not None and argument not in result:
            result[argument] = name.holding(_from_file(name, file, values, (*where, argument)))
        elif (one := name or file) is not None and argument not in result:
            values.notes.add(one, where, f"`{start}_name` and `{start}_file` count only together: left out")
        if (lambda_ := result.get(f"{start}_lambda")) is not None:
            raise Lost(lambda_, f"`{start}_lambda`: write the function into a module, and name it as `module:function`")
    return result


def _from_file(name: Item, file: Item, values: Values, where: Where) -> str:
    """The reference of a function in a file, seen from the dags root."""
    path = PurePosixPath(file.text)
    if not path.name:
        raise Lost(file, f"{file.plain!r} is not a file with a function")
    parts = [part for part in path.with_suffix("").parts if part != "/" and not _VARIABLE.fullmatch(part)]
    if "dags" in parts:
        parts = parts[len(parts) - parts[::-1].index("dags") :]
    elif Path(path).is_absolute() and Path(path).is_relative_to(values.folder):
        parts = list(Path(path).relative_to(values.folder).with_suffix("").parts)
    elif path.is_absolute():
        parts = parts[-1:]
    module = ".".join(parts)
    target = f"{module.replace('.', '/')}.py"
    values.notes.add(file, where, f"{path}: has to be `{target}` below the dags root")
    return f"{module}:{name.text}"


def callable_of(item: Item) -> str:
    """An import path of a function as `module:function`.

    :raises Lost: when it is none
    """
    text = item.value
    if isinstance(text, str) and ":" in text:
        return text
    if isinstance(text, str) and "." in text:
        module, _, name = text.rpartition(".")
        return f"{module}:{name}"
    raise Lost(item, f"{item.plain!r} is not the import path of a function")
