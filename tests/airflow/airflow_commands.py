"""Runs several `airflow` commands, each in a fork of one process that has imported Airflow once.

Reads from standard input a list of `{"words": [...], "env": {...}}`; prints as the last line a list of what each
command printed, standard output and error together.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any

from airflow.__main__ import main
from airflow.cli.commands import task_command

import sluicegate.discovery.shard
import sluicegate.emr.operator
import sluicegate.load.operator
import sluicegate.transform.python

assert task_command
assert sluicegate


def run(words: list[str], env: dict[str, str]) -> str:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        child = os.fork()
        if child == 0:
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
        os.waitpid(child, 0)
        output.seek(0)
        return output.read()


if __name__ == "__main__":
    commands: list[dict[str, Any]] = json.load(sys.stdin)
    print(json.dumps([run(each["words"], each["env"]) for each in commands]))
