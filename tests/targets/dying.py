"""Loads in processes that kill themselves at a named point.

They are forked from one that has imported everything and started nothing: it reads a request a line, and answers with
the signal that ended the process, or 0. A list of requests runs at once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Dying", "Point", "client_of", "serve"]

Point = tuple[Any, str, int, bool]
"""Where it is, which function, which call of it, and whether the process dies behind it."""
_ROOT = Path(__file__).parents[2]


def die_at(where: Any, name: str, call: int, after: bool) -> None:
    whole: Callable[..., Any] = getattr(where, name)
    calls = 0

    def dying(*arguments: Any, **words: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = whole(*arguments, **words)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(where, name, dying)


def client_of(endpoint_url: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3", endpoint_url=endpoint_url, region_name="us-east-1", aws_access_key_id="test",
        aws_secret_access_key="test", config=Config(s3={"addressing_style": "path"}),
    )  # fmt: skip


def serve(run: Callable[[dict[str, Any]], None], points: Mapping[str, Point]) -> None:
    """Carry out the requests by `run`; one with a `point` dies there."""
    import duckdb  # noqa: F401
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401

    client_of("http://127.0.0.1")  # what the first one reads, all find

    for line in sys.stdin:
        children = [_forked(run, points, words) for words in json.loads(line)]
        print(json.dumps([os.waitpid(child, 0)[1] for child in children]), flush=True)


def _forked(run: Callable[[dict[str, Any]], None], points: Mapping[str, Point], words: dict[str, Any]) -> int:
    if child := os.fork():
        return child
    try:
        if words.get("point"):
            die_at(*points[words["point"]])
        run(words)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


class Dying:
    """The process whose children load and die; `module` calls `serve`."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
        )

    def load(self, **words: Any) -> int:
        return self.at_once([words])[0]

    def at_once(self, requests: list[dict[str, Any]]) -> list[int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(requests) + "\n")
        self._process.stdin.flush()
        found: list[int] = json.loads(self._process.stdout.readline())
        return found

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(180)
