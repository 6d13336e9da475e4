"""A fetch that is killed goes on, and no reader sees half of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import parse_qsl

from sluicegate.storage import Storage
from tests.sources.conftest import Folder
from tests.webserver import Answer, Asked, WebServer

ROOT = Path(__file__).parents[2]


def start(site: WebServer, folder: Path) -> subprocess.Popen[str]:
    shutil.rmtree(folder / "work", ignore_errors=True)
    command = [sys.executable, "-m", "tests.sources.fetcher", f"{site.url}/x", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_fetch_killed_with_a_page_on_its_way_goes_on_with_that_page(site: WebServer, tmp_path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def script(asked: Asked) -> Answer:
        page = int(dict(parse_qsl(asked.path.partition("?")[2]))["page"])
        if page == 3 and not go_on.is_set():
            reached.set()
            go_on.wait(120)
        return Answer(json.dumps([{"id": page}] if page <= 4 else []).encode())

    site.script = script
    first = start(site, tmp_path)
    assert reached.wait(120)
    assert not Storage().exists(f"{tmp_path}/raw/")
    first.kill()
    first.wait()
    go_on.set()
    site.asked.clear()
    out, _ = start(site, tmp_path).communicate(timeout=120)
    assert "4 rows of 5 pages, 2 of them by an earlier try" in out
    assert [asked.path for asked in site.asked] == ["/x?page=3", "/x?page=4", "/x?page=5"]
    shutil.rmtree(tmp_path / "work")
    assert Folder(tmp_path).records == [{"id": number} for number in (1, 2, 3, 4)]
    assert Storage().exists(f"{tmp_path}/raw/")
