from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.cli.pace import paced


def test_a_user_without_a_home_starts_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with paced("http://airflow"):
        pass
