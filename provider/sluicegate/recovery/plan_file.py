"""A plan as a file: JSON of `definition.Plan`, recognized by a digest of its content."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.recovery.definition import VERSION, Plan
from sluicegate.recovery.errors import WrongPlan

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["as_text", "read_plan", "schema", "sealed", "write_plan"]

_PREFIX, _DIGITS = "rp-", 10


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Plan]:
    from pydantic import TypeAdapter

    return TypeAdapter(Plan)


def schema() -> dict[str, Any]:
    """The JSON Schema of a plan file."""
    return _adapter().json_schema()


def sealed(plan: Plan) -> Plan:
    """The plan with the id that its content gives it."""
    return replace(plan, id=_digest(plan))


def as_text(plan: Plan) -> str:
    """The content of a plan's file."""
    return _adapter().dump_json(plan, indent=1).decode() + "\n"


def write_plan(plan: Plan, file: Path) -> None:
    """Write the plan to `file`, which is either the whole plan or not there.

    :raises WrongPlan: when it cannot be written
    """
    part = file.with_name(f".{file.name}.part")
    try:
        with part.open("wb") as out:
            out.write(as_text(plan).encode())
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    except OSError as error:
        raise WrongPlan(
            f"{file}: the plan cannot be written: {error.strerror}.", "Name another file with -o."
        ) from error


def read_plan(file: Path) -> Plan:
    """The plan in `file`.

    :raises WrongPlan: when it is not a plan, is one of another version, or was changed since it was made
    """
    from pydantic import ValidationError

    try:
        content = file.read_bytes()
    except OSError as error:
        raise WrongPlan(f"{file}: {error.strerror}.", "Make a plan with `sluicegate recover plan -o FILE`.") from error
    try:
        found = json.loads(content)
    except ValueError as error:
        raise WrongPlan(f"{file}: not JSON: {error}.", "Give the file that `recover plan` wrote.") from error
    version = found.get("version") if isinstance(found, dict) else None
    if version != VERSION:
        raise WrongPlan(
            f"{file}: a plan of version {version!r}, expected {VERSION}.",
            "Make the plan anew with this version of Sluicegate.",
        )
    try:
        plan = _adapter().validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise WrongPlan(f"{file}: {place}: {first['msg']}.", "Make the plan anew: a plan is not edited.") from error
    if plan.id != _digest(plan):
        raise WrongPlan(
            f"{file}: it was changed after it was made: its content is not that of {plan.id}.",
            "Make the plan anew, with other filters where it contained too much.",
        )
    return plan


def _digest(plan: Plan) -> str:
    content = _adapter().dump_json(replace(plan, id=""))
    return _PREFIX + hashlib.sha256(content).hexdigest()[:_DIGITS]
