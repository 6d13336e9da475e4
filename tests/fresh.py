"""An interpreter that has imported Airflow and nothing of ours. What is run in it runs in a fork of it.

What a program imports, and whether it runs without something, can only be seen where nothing is imported yet; and to
import Airflow takes longer than any of that. Its strings have other hashes than those of the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

_BASE = (
    "airflow.sdk",
    "airflow.sdk.exceptions",
    "airflow.sdk.definitions.retry_policy",
    "airflow.serialization.serialized_objects",
)
HEAVY = ("duckdb", "pandas", "numpy", "pyarrow", "boto3", "botocore", "great_expectations", "psycopg", "psycopg2",
         "moto", "pyspark")  # fmt: skip
"""What only a running task needs: Airflow itself brings none of them along."""


class FreshAirflow:
    """Made by `fresh_airflow`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self, program: str | Path, *arguments: object, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Of code, or of the file with the code, as `python -c` and `python` would run it."""
        code = program.read_text(encoding="utf-8") if isinstance(program, Path) else program
        words = [str(program) if isinstance(program, Path) else "-c", *map(str, arguments)]
        with tempfile.TemporaryDirectory() as folder:
            order = {"code": code, "argv": words, "env": {**os.environ, **(env or {})}, "folder": folder}
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(order | {"cwd": str(Path.cwd())}) + "\n")
            self._process.stdin.flush()
            code_of_exit = int(self._process.stdout.readline())
            said = [Path(folder, name).read_text(encoding="utf-8") for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess(words, code_of_exit, *said)


@contextlib.contextmanager
def fresh_airflow() -> Iterator[FreshAirflow]:
    with subprocess.Popen(
        [sys.executable, "-P", __file__],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONHASHSEED": "7"},
    ) as process:  # fmt: skip
        yield FreshAirflow(process)


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in _BASE:
        import_module(name)
    sys.modules.pop("sluicegate", None)  # Airflow asks each provider's package what it has
    early = [name for name in sys.modules if name in HEAVY or name.startswith("sluicegate.")]
    assert not early, early
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _run(json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _run(order: Mapping[str, Any]) -> None:
    """In the fork. Never returns."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(order["folder"], name), os.O_WRONLY | os.O_CREAT), number)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = order["argv"]
    first = "" if sys.argv[0] == "-c" else str(Path(sys.argv[0]).parent)
    sys.path[:0] = [first, *filter(None, order["env"].get("PYTHONPATH", "").split(os.pathsep))]
    code = 1
    try:
        exec(compile(order["code"], sys.argv[0], "exec"), {"__name__": "__main__", "__file__": sys.argv[0]})
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
