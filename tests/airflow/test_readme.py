"""The README's own commands, in its order, in a folder of their own."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sluicegate.local.stack import running
from sluicegate.testing.airflow import wait_until
from tests.airflow.conftest import REPOSITORY

BLOCKS = re.findall(r"^```sh\n(.*?)^```$", (REPOSITORY / "README.md").read_text(), re.M | re.S)

[REPROCESS] = re.findall(r"^airflow backfill .*$", (REPOSITORY / "docs/operator.md").read_text(), re.M)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """What a checkout has after `make demo`: the samples and the installed command."""
    shutil.copytree(REPOSITORY / "dags", tmp_path / "dags")
    shutil.copytree(REPOSITORY / "playbooks", tmp_path / "playbooks")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    yield tmp_path
    subprocess.run([str(tmp_path / ".venv/bin/sluicegate"), "down"], cwd=tmp_path, check=True)


def run(folder: Path, block: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    stack = running(folder / ".sluicegate")
    assert stack is not None
    with psycopg.connect(stack.warehouse_dsn) as connection:
        exists = connection.execute("SELECT to_regclass('sluicegate.loads')").fetchone()
        return connection.execute(query).fetchall() if exists and exists[0] else []


def test_the_two_commands_are_the_makefiles() -> None:
    """They are run by hand and by CI: the demo as `test_demo`, the tests as this very run."""
    assert [line.split("#")[0].strip() for line in BLOCKS[0].splitlines()] == ["make demo", "make test"]
    makefile = (REPOSITORY / "Makefile").read_text()
    assert "\ndemo: " in makefile
    assert "\ntest: " in makefile


def test_a_first_pipeline(folder: Path) -> None:
    _, first, put, own = BLOCKS
    run(folder, first)
    run(folder, put)
    loaded = "SELECT read, dead FROM sluicegate.loads ORDER BY window_start"
    wait_until(lambda: len(rows(folder, loaded)) == 2, 180, "two loads")
    assert rows(folder, loaded) == [(2, 0), (2, 1)]
    # The runs of the two days are independent: that of Tuesday may be the first.
    counted = "SELECT sum(inserted), sum(updated) + sum(stale) FROM sluicegate.loads"
    assert rows(folder, counted) == [(2, 1)]
    assert rows(folder, "SELECT order_id, amount::text FROM orders ORDER BY 1") == [(1, "19.90"), (2, "5.50")]
    [(line, record, failures)] = rows(folder, "SELECT line, record, failures FROM sluicegate.dead_letters")
    assert line == 3
    assert "oops" in str(record)
    assert [failure["rule"] for failure in failures] == ["type:amount"]  # type: ignore[attr-defined]
    forced = "SELECT status FROM sluicegate.loads WHERE window_start = '2026-01-02' ORDER BY id"
    assert len(rows(folder, forced)) == 1
    run(folder, f".venv/bin/sluicegate exec sh -c {shlex.quote(REPROCESS)}")
    wait_until(lambda: len(rows(folder, forced)) == 2, 180, "the load that the guide's command forces")
    said = run(folder, own)
    assert "inbox.load_file: loaded, 2 read, 2 inserted" in said
    assert running(folder / ".sluicegate") is None
