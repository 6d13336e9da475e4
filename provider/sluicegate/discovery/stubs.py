"""The text of the Python files by which Airflow 3.3 finds pipelines: a shard for some good ones, one for each bad file.

A shard's text changes with each pipeline in it, so that Airflow parses it at once. Which shard a pipeline is in
follows from its name and the number of shards alone, so that every machine finds the same one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import sluicegate

__all__ = [
    "LEAST",
    "SHARDS",
    "STUB_SUFFIX",
    "by_shard",
    "error_name",
    "error_stub",
    "shard_name",
    "shard_of",
    "shard_stub",
]

STUB_SUFFIX = ".py"
SHARDS = "shards"

LEAST = 128
"""Shards for which a worker that knows nothing yet keeps a stub, at least."""

_LONGEST_NAME = 255
"""Bytes that a name in a folder may have, at most."""
_SHORTENED = 50

# "airflow" and "dag" are the words that Airflow's safe mode looks for.
_SHARD = """\
# Airflow dags of pipeline files. Made by sluicegate {version}: a change here is lost.
from sluicegate.discovery.shard import dags

pipelines = {pipelines}
globals().update(dags(__file__, {root!r}, pipelines))
"""

_ERROR = """\
# What keeps {file!r} from becoming an airflow dag. Made by sluicegate {version}: a change here is lost.
from sluicegate.discovery.import_error import refuse

errors = {text!r}
refuse(errors)
"""


def shard_stub(root: Path, pipelines: Mapping[str, str]) -> str:
    """The stub of the pipelines of those names, each with the digest of its entry."""
    lines = "".join(f"    {name!r}: {digest!r},\n" for name, digest in sorted(pipelines.items()))
    listed = f"{{\n{lines}}}" if lines else "{}"
    return _SHARD.format(version=sluicegate.__version__, root=str(root), pipelines=listed)


def error_stub(file: str, text: str) -> str:
    """The stub of a file with errors: it raises their drawing."""
    return _ERROR.format(file=file, version=sluicegate.__version__, text=text)


def error_name(file: str) -> str:
    """The path of a bad file's stub relative to the folder of stubs: the file's own, and more."""
    folder, slash, name = file.rpartition("/")
    if len(os.fsencode(name)) + len(STUB_SUFFIX) > _LONGEST_NAME:
        name = f"{name[:_SHORTENED]}-{hashlib.sha256(os.fsencode(file)).hexdigest()[:8]}"
    return f"{folder}{slash}{name}{STUB_SUFFIX}"


def shard_name(number: int) -> str:
    """The path of a shard's stub relative to the folder of stubs."""
    return f"{SHARDS}/{number:03}{STUB_SUFFIX}"


def shard_of(name: str, count: int) -> int:
    """Which of `count` shards a pipeline is in. One more shard moves as few pipelines as can be.

    Jump consistent hash (Lamping and Veach, https://arxiv.org/abs/1406.2294).
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    found, jump = -1, 0
    while jump < count:
        found = jump
        key = (key * 2862933555777941757 + 1) & 0xFFFFFFFFFFFFFFFF
        jump = int((found + 1) * ((1 << 31) / ((key >> 33) + 1)))
    return found


def by_shard(names: Iterable[str], count: int) -> dict[int, list[str]]:
    """The names in each of `count` shards, also in those that have none."""
    shards: dict[int, list[str]] = {number: [] for number in range(count)}
    for name in names:
        shards[shard_of(name, count)].append(name)
    return shards
