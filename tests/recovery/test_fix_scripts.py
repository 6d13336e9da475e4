"""The fix scripts beside the playbooks, as a person starts them in a hurry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"


@pytest.mark.parametrize(("script", "words"), [("rerun_window", ["flights"]), ("restart_clusters", [])])
def test_a_script_without_its_words_says_how_it_is_used(script: str, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, PLAYBOOKS / f"{script}.py", *words], capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 1
    assert f"python playbooks/{script}.py" in done.stderr
    assert "Traceback" not in done.stderr
