"""`${env:NAME}` and `${env:NAME:default}` in the values of a file, for names that are allowed.

What is expanded lands in serialized DAGs, so no other names are seen. `$NAME` and `${NAME}` are never touched.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sluicegate.pipeline.diagnostics import Diagnostic, Where, did_you_mean
from sluicegate.pipeline.text.yaml import Document, Place, Written, plain_value

__all__ = ["ALLOWLIST", "PREFIX", "Environment", "Expanded", "expand", "filled"]

PREFIX = "SLUICEGATE_"
"""Names that begin so need no permission."""
ALLOWLIST = "AIRFLOW__SLUICEGATE__ENV_ALLOWLIST"
"""The variable of `[sluicegate] env_allowlist`, for processes that read files without Airflow."""

_MARK = "${env:"
_EXPANSION = re.compile(r"\$\{env:(?P<name>[^:{}\s]*)(?::(?P<default>[^{}]*))?(?P<end>\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Environment:
    """The variables that there are, and the names that are allowed beside those with the prefix."""

    variables: Mapping[str, str]
    allowed: frozenset[str] = frozenset()

    @classmethod
    def of_process(cls, allowlist: str | None = None) -> Environment:
        """What this process has.

        :param allowlist: names, separated by commas; what `AIRFLOW__SLUICEGATE__ENV_ALLOWLIST` says if it is None
        """
        names = os.environ.get(ALLOWLIST, "") if allowlist is None else allowlist
        return cls(os.environ, frozenset(name.strip() for name in names.split(",") if name.strip()))

    def allows(self, name: str) -> bool:
        return name.startswith(PREFIX) or name in self.allowed

    def value(self, name: str) -> str | None:
        """What `name` is set to; None where it is not set, or not allowed."""
        return self.variables.get(name) if self.allows(name) else None

    def digest(self) -> str:
        """Of all that a file may see (sha256, hex)."""
        seen = sorted((name, value) for name, value in self.variables.items() if self.allows(name))
        return hashlib.sha256(repr((seen, sorted(self.allowed))).encode("utf-8", "surrogateescape")).hexdigest()

    def values(self, names: Iterable[str]) -> dict[str, str | None]:
        """As `Source.env` has them: where that differs, a file reads differently now."""
        return {name: self.value(name) for name in names}


@dataclass(frozen=True)
class Expanded:
    """A document filled in. `used` are all names asked for, `unclear` the values that have an error."""

    document: Document
    used: Mapping[str, str | None]
    unclear: frozenset[Where]


def expand(document: Document, environment: Environment) -> Expanded:
    """Fill in the values of `document`; what cannot be filled in is noted among its diagnostics.

    An unquoted value that is filled in is read as if the file said the result: `${env:SLUICEGATE_COUNT:3}`
    is a number. In quotes it is text.
    """
    diagnostics: list[Diagnostic] = []
    changes: dict[Where, Any] = {}
    used: dict[str, str | None] = {}
    unclear: set[Where] = set()
    for written in document.scalars(_MARK):
        if written.is_key:
            message = "`${env:…}` is for values, not for keys: write the key itself"
            diagnostics.append(_diagnostic(document, written, message, _MARK, key=True))
            unclear.add(written.where)
            continue
        text = ""
        end = 0
        for found in _EXPANSION.finditer(written.text):
            name = found["name"]
            if _NAME.fullmatch(name):
                used[name] = environment.value(name)
            wrong = _invalid(found, environment)
            if wrong is not None:
                inside = f"{_MARK}{name}"
                diagnostics.append(_diagnostic(document, written, wrong, inside, suggestion=_meant(name, environment)))
                unclear.add(written.where)
            value = environment.value(name)
            text += written.text[end : found.start()] + ((found["default"] or "") if value is None else value)
            end = found.end()
        text += written.text[end:]
        if written.where not in unclear:
            changes[written.where] = plain_value(text) if written.plain else text
    return Expanded(
        document=replace(
            document, value=filled(document.value, changes), diagnostics=(*document.diagnostics, *diagnostics)
        ),
        used=used,
        unclear=frozenset(unclear),
    )


def filled(value: Any, changes: Mapping[Where, Any], way: Where = ()) -> Any:
    """A copy of `value` that has, at each place of `changes`, its value."""
    if way in changes:
        return changes[way]
    if isinstance(value, dict):
        return {key: filled(item, changes, (*way, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, changes, (*way, index)) for index, item in enumerate(value)]
    return value


def _invalid(found: re.Match[str], environment: Environment) -> str | None:
    name = found["name"]
    if not found["end"] or not _NAME.fullmatch(name):
        return "expected `${env:NAME}` or `${env:NAME:default}`, without braces in the default"
    if not environment.allows(name):
        return f"`{name}` must not be read: it neither begins with `{PREFIX}` nor is in `[sluicegate] env_allowlist`"
    if environment.value(name) is None and found["default"] is None:
        return f"`{name}` is not set, and there is no default: `${{env:{name}:default}}`"
    return None


def _meant(name: str, environment: Environment) -> str | None:
    """A name that is set and may be read. Others stay private."""
    meant = did_you_mean(name, (each for each in environment.variables if environment.allows(each)))
    return None if meant is None or meant == name else f"{_MARK}{meant}}}"


def _diagnostic(
    document: Document,
    written: Written,
    message: str,
    inside: str,
    *,
    key: bool = False,
    suggestion: str | None = None,
) -> Diagnostic:
    *_, key_place, value_place = document.follow(written.where)
    place: Place = key_place if key else document.inside(written.where, inside) or value_place
    return replace(document.diagnostic("env", message, place, written.where), suggestion=suggestion)
