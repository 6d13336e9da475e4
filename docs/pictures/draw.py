"""Draws `demo.svg` from the report of a real demo: `python docs/pictures/draw.py .sluicegate/demo.json`."""

from __future__ import annotations

import json
import re
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console

from sluicegate.local.demo.report import ClusterLife, DeadLetterCount, DemoReport, Load
from sluicegate.local.demo.show import print_report


def main(file: Path) -> None:
    said = json.loads(file.read_text())
    report = DemoReport(
        loads=tuple(Load(**load) for load in said["loads"]),
        dead_letters=tuple(DeadLetterCount(**count) for count in said["dead_letters"]),
        clusters=tuple(ClusterLife(**life) for life in said["clusters"]),
        warehouse=said["warehouse"],
        seconds=said["seconds"],
    )
    console = Console(record=True, width=124, file=StringIO(), force_terminal=True, highlight=False)
    where = {
        "Airflow": "http://127.0.0.1:8080  (user admin)",
        "warehouse": f"psql '{said['warehouse']}?passfile=.sluicegate/pgpass'",
        "passwords": ".sluicegate/secrets.json  (admin_password, warehouse_password)",
    }
    print_report(console, report, where)
    # A picture that fetches fonts from elsewhere would tell somebody who looks at it.
    drawn = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="make demo"), flags=re.DOTALL)
    (Path(__file__).parent / "demo.svg").write_text(re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
