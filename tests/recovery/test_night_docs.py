"""The runbook of docs/recovery.md, command by command, on the night that it tells of; its output is what it shows."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sluicegate.recovery.plan_file import read_plan
from tests.docs.pages import ROOT, Page
from tests.recovery.night import Airflow, Night

PAGE = Page(ROOT / "docs/recovery.md")


def normal(text: str) -> str:
    """Without what differs from run to run: the plan's id, the server's address, seconds, and what was between them."""
    text = re.sub(r"rp-[0-9a-f]{10}", "rp-ID", text)
    text = re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:PORT", text)
    # How far a wave is when it is looked at depends on the machine; that every wave is seen to its end does not.
    lines = [line for line in text.splitlines() if not re.match(r"wave \d of \d: .* [1-9]\d* running", line)]
    return "\n".join(re.sub(r" \(\d+:\d\d\)$", "", line) for line in lines).strip()


def test_the_runbook_goes_from_the_alert_to_green(
    night: Callable[[str], Night], airflow: Airflow, tmp_path: Path
) -> None:
    shop = night("shop")
    (tmp_path / ".sluicegate").symlink_to(airflow.folder / "state")
    bin_folder = Path(sys.prefix, "bin")
    shown = [normal(block.text) for block in PAGE.blocks("text") if "rp-" in block.text]
    printed: list[str] = []
    for block in PAGE.blocks("sh"):
        text = block.text
        if (tmp_path / "night.json").exists():
            text = re.sub(r"rp-[0-9a-f]{10}", read_plan(tmp_path / "night.json").id, text)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=tmp_path, capture_output=True, text=True, timeout=180,
            check=False, stdin=subprocess.DEVNULL, env={"PATH": f"{bin_folder}:/usr/bin:/bin", "HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
        printed.append(normal(done.stdout))
        if "--yes" in text:
            shop.obeys()
            planned = read_plan(tmp_path / "night.json")
            assert {(ran.key.dag, ran.key.task) for ran in shop.really_ran()} == {
                (each.dag, each.task) for each in planned.instances
            }
            assert len(shop.really_ran()) == len(planned.instances)
    assert len(shown) == 2
    assert all(text in printed for text in shown), "\n---\n".join(printed)
    assert any("Nothing to recover" in text for text in printed)
    assert (tmp_path / "night.svg").read_text().startswith("<svg")
    again = read_plan(tmp_path / "again.json")
    assert [[again.instances[place].dag for place in wave] for wave in again.waves] == [
        ["shop_margin", "shop_refunds", "shop_stock"],
        ["shop_report"],
    ]
