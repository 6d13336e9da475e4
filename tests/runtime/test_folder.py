"""What a killed step leaves on the disk goes with the next one; what a living one uses stays."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sluicegate.runtime.folder import work_folder

HOLD = "from sluicegate.runtime.folder import work_folder\nwith work_folder() as f:\n print(f, flush=True)\n input()"


def test_the_folder_of_a_killed_load_is_removed_and_that_of_a_living_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    dead, living = (Path(holder.stdout.readline().strip()) for holder in holders if holder.stdout)
    holders[0].kill()
    holders[0].wait()
    with work_folder() as mine:
        assert not dead.exists()
        assert living.exists()
        assert mine.exists()
    holders[1].communicate("\n")
    assert list(tmp_path.iterdir()) == []
