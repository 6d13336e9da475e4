"""What a pipeline says, key by key, so that two versions of it can be compared in words. Pure.

`steps.load_orders.columns.amount.between` is `[0, 100000]`. What is as it would be without the file is not in it. A
value that is long is a digest; what came out of the environment has its name for a value, and what looks like a secret
is masked.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

from pydantic import BaseModel

from sluicegate.faults.redact import MASK, is_secret, redact_facts
from sluicegate.pipeline.keys.base import Mark
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.text.quantities import format_duration
from sluicegate.receipts.document import size_of

__all__ = ["configuration_of", "digest_of", "is_digest"]

_LONGEST = 300
"""Characters of a value that is kept as it is."""
_MOST = 1_000
_MOST_BYTES = 48_000
"""Keys, and bytes of all; of what is beyond, a digest for each step is kept."""
_SHORTEST_ENV = 4
"""Characters: what is shorter is in many values by accident, and no secret."""
_NOT_SAID = frozenset({"name", "file", "root", "digest", "digests", "env", "unfinished", "sluicegate"})
"""Of a pipeline: where it is, and what is kept of it otherwise."""


def configuration_of(pipeline: Pipeline, environment: Mapping[str, str]) -> dict[str, Any]:
    """By dotted key, the value that `pipeline` gives it, as JSON.

    :param environment: the variables of this process, of which the pipeline's are not to be kept
    """
    hidden = sorted(
        ((value, name) for name in pipeline.env if len(value := environment.get(name) or "") >= _SHORTEST_ENV),
        key=lambda one: -len(one[0]),
    )
    said = {name: value for name, value in _said(pipeline) if name not in _NOT_SAID}
    leaves = {
        way: _kept(value, hidden) for name, each in sorted(said.items()) for way, value in _leaves(_plain(each), name)
    }
    leaves |= dict.fromkeys(leaves.keys() & _secret_defaults(pipeline), MASK)
    twice = tuple(_twice(pipeline))
    masked = {way: _masked(way, value) for way, value in leaves.items() if not way.startswith(twice)}
    return masked if len(masked) <= _MOST and size_of(masked) <= _MOST_BYTES else _coarser(masked)


def digest_of(configuration: Mapping[str, Any]) -> str:
    """sha256 (hex); the same keys and values, in whatever order, have the same."""
    text = json.dumps(configuration, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_digest(value: object) -> bool:
    """Whether a configuration has a digest in place of the value."""
    return isinstance(value, str) and value.startswith("sha256:")


def _said(model: BaseModel) -> Iterator[tuple[str, Any]]:
    """What has another value in `model` than it has anyway, by its key."""
    fields = type(model).model_fields
    for name in fields:
        value = getattr(model, name)
        made = Mark.MADE in fields[name].metadata and name not in {"kind", "cluster_name"}
        if not made and value != fields[name].default:
            yield fields[name].alias or name, value


def _twice(pipeline: Pipeline) -> Iterator[str]:
    """Where the reader has put what a key of its own says: `load` is also among the `reads`."""
    for step in pipeline.steps.values():
        for name, field in type(step).model_fields.items():
            if Mark.READS in field.metadata or Mark.WRITES in field.metadata:
                yield f"steps.{step.name}.{'reads' if Mark.READS in field.metadata else 'writes'}.{name}"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(each) for name, each in _said(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return format_duration(value) if isinstance(value, timedelta) else str(value)


def _leaves(value: Any, way: str) -> Iterator[tuple[str, Any]]:
    """Mappings are gone into, and lists of mappings."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(each, f"{way}.{name}")
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for number, each in enumerate(value):
            yield from _leaves(each, f"{way}[{number}]")
    elif value not in ({}, None):
        yield way, value


def _kept(value: Any, hidden: Iterable[tuple[str, str]]) -> Any:
    if isinstance(value, list):
        value = [_kept(each, hidden) for each in value]
    if isinstance(value, str):
        for text, name in hidden:
            value = value.replace(text, f"${{env:{name}}}")
    if len(text := json.dumps(value, ensure_ascii=False, default=str)) <= _LONGEST:
        return value
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]} ({len(text):,} characters)"


def _secret_defaults(pipeline: Pipeline) -> set[str]:
    return {f"params.{name}.default" for name, param in pipeline.params.items() if is_secret(name, param.json_schema)}


def _masked(way: str, value: Any) -> Any:
    """A name in a key may say that its value is a secret, and so may the value. The author's names of steps,
    datasets and columns do not count.
    """
    names = re.sub(r"(^|\.)(steps|datasets|columns|params)\.[^.]+", "", way)
    found = redact_facts({names: value})
    assert isinstance(found, dict)
    return found[names]


def _coarser(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """A digest for each step and each other key of the pipeline."""
    parts: dict[str, dict[str, Any]] = {}
    for way, value in leaves.items():
        first, _, rest = way.partition(".")
        name = f"{first}.{rest.partition('.')[0]}" if first in {"steps", "datasets"} else first
        parts.setdefault(name, {})[way] = value
    return {
        name: next(iter(part.values())) if list(part) == [name] else f"sha256:{digest_of(part)[:12]} ({len(part)} keys)"
        for name, part in parts.items()
    }
