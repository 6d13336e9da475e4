"""Servers that take alerts, their connections, and a temporary folder of the test's own for claims."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alerts.servers import Http, Smtp, http_server, smtp_server


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("sluicegate.runtime.journal._rests_until", {})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.alerts.send.PAUSES", (0.01, 0.01))


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Iterator[Http]:
    with http_server() as server:
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", server.connection())
        yield server


@pytest.fixture
def smtp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Smtp]:
    with smtp_server() as server:
        monkeypatch.setenv("AIRFLOW_CONN_MAIL", server.connection())
        yield server
