"""Runs several `airflow` commands at once, each in a fork of one process that has imported Airflow.

Reads from standard input a list of `{"words": [...], "env": {...}}`; prints as the last line a list of what each
command printed, standard output and error together.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import ExitStack
from typing import IO, Any

import airflow.api_fastapi.execution_api.app
import boto3
import duckdb
from airflow.__main__ import main
from airflow.cli.commands import task_command

import sluicegate.discovery.shard
import sluicegate.emr.operator
import sluicegate.load.load
import sluicegate.load.operator
import sluicegate.transform.python

# What the commands need, imported once for all of them.
assert all((airflow, boto3, duckdb, task_command, sluicegate))


def start(words: list[str], env: dict[str, str], output: IO[str]) -> int:
    """The process id of the command, which prints to `output`."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        os.environ |= env
        sys.argv = ["airflow", *words]
        main()
        status = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run(commands: list[dict[str, Any]]) -> list[str]:
    with ExitStack() as stack:
        outputs = [
            stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")) for _ in commands
        ]
        started = [start(each["words"], each["env"], file) for each, file in zip(commands, outputs, strict=True)]
        for child in started:
            os.waitpid(child, 0)
        for file in outputs:
            file.seek(0)
        return [file.read() for file in outputs]


if __name__ == "__main__":
    print(json.dumps(run(json.load(sys.stdin))))
