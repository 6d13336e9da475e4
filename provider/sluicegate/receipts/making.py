"""The document of a try: what is known when it begins, and what is added when it ends. Knows no Airflow."""

from __future__ import annotations

import math
import os
import platform
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import sluicegate
from sluicegate.faults.errors import FaultError
from sluicegate.faults.redact import is_secret, redact, redact_facts
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.text.digest import defaults_of, digest_of, texts_of
from sluicegate.receipts.code import files_of, named_files, packages_of
from sluicegate.receipts.document import bounded, short_digest
from sluicegate.receipts.git import checkout_of

__all__ = ["Known", "at_beginning", "at_end", "fault_of", "presentable"]

_GIVEN = ("params", "item", "trigger")
_DETAIL = 1_000
"""Characters of what a fault says."""


class Known(NamedTuple):
    """What a task knows of its run, beside the key of its receipt.

    `pipeline` is None in a DAG written by hand; `bundle` is Airflow's name and version of where the code is from;
    `trigger` says who or what started the run.
    """

    step: str
    operator: str
    pipeline: Pipeline | None
    root: Path | None
    params: Mapping[str, Any]
    item: Any = None
    dry_run: bool = False
    force: bool = False
    bundle: tuple[str | None, str | None] = (None, None)
    trigger: Mapping[str, Any] = MappingProxyType({})


def at_beginning(known: Known) -> dict[str, Any]:
    """The document of a try that begins."""
    document: dict[str, Any] = {
        "operator": known.operator,
        "trigger": dict(known.trigger),
        "params": _params(known),
        "dry_run": known.dry_run,
        "force": known.force,
        "code": _code(known),
        "worker": {"host": socket.gethostname(), "pid": os.getpid(), "python": platform.python_version()},
    }
    if known.item is not None:
        document["item"] = known.item
    if known.pipeline is not None:
        document["pipeline"] = _digests(known.pipeline)
    return document


def at_end(known: Known, begun: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a try that has ended: now it is known what it has imported, and what it did."""
    document = dict(begun)
    if known.root is not None:
        step = known.pipeline.steps.get(known.step) if known.pipeline is not None else None
        document["code"] = {**begun.get("code", {}), "files": files_of(known.root, named_files(step))}
    document["packages"] = packages_of(known.root, sluicegate.__version__)
    document["facts"] = dict(facts)
    return document


def fault_of(error: FaultError) -> dict[str, Any]:
    """What a receipt keeps of a fault."""
    return {"code": error.code, "class": str(error.fault.kind), "detail": redact(error.detail)[:_DETAIL]}


def presentable(document: Mapping[str, Any], mask: Callable[[str], str]) -> dict[str, Any]:
    """`document` as JSON that any database takes, within its bounds and without secrets.

    :param mask: takes out of a text the secrets that this process knows
    """
    # Under which names a person keeps secrets is known of what a person has given. Rules and files are called freely.
    given = {name: redact_facts(document[name]) for name in _GIVEN if name in document}
    plain = _plain({**document, **given}, lambda text: mask(redact(text)))
    assert isinstance(plain, dict)
    return bounded(plain)


def _params(known: Known) -> dict[str, Any]:
    """Those of the run but for the switches, which have places of their own."""
    said = {} if known.pipeline is None else known.pipeline.params
    hidden = {name for name, param in said.items() if is_secret(name, param.json_schema)}
    return {
        name: "***" if name in hidden and value is not None else value
        for name, value in known.params.items()
        if name not in {"dry_run", "force"}
    }


def _code(known: Known) -> dict[str, Any]:
    name, version = known.bundle
    code: dict[str, Any] = {}
    if name is not None:
        code |= {"bundle": name, "version": version}
    if version is None and known.root is not None and (checkout := checkout_of(known.root)) is not None:
        code |= checkout._asdict()
    return code


def _digests(pipeline: Pipeline) -> dict[str, Any]:
    """Of what the file said with its defaults and variables; of each alone where they still say the same."""
    found: dict[str, Any] = {"file": pipeline.path, "digest": pipeline.digest}
    env = {name: os.environ.get(name) for name in pipeline.env}
    try:
        texts = texts_of(pipeline.file, pipeline.root)
    except OSError:
        return found
    if digest_of(texts.values(), env) != pipeline.digest:
        return found  # an older version of the file, or one of a matrix
    found["own"] = short_digest(texts[pipeline.file])
    found["defaults"] = {
        path.relative_to(pipeline.root).as_posix(): short_digest(texts[path])
        for path in defaults_of(pipeline.file, pipeline.root)
    }
    if env:
        found["env"] = {name: _too_short_to_guess(name, value) for name, value in sorted(env.items())}
    return found


def _too_short_to_guess(name: str, value: str | None) -> str | None:
    """A digest that shows a change, and that too many values share for one to be found by it."""
    return None if value is None else short_digest(f"{name}={value}".encode("utf-8", "surrogateescape"))[:6]


def _plain(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(each, mask) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each, mask) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float) else mask(str(value))
