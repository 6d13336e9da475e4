"""Findings as lines for a person."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from sluicegate.cli.console import console
from sluicegate.doctor.finding import Finding, Status

__all__ = ["print_findings"]

_MARKS = {
    Status.OK: ("ok      ", "green"),
    Status.WARN: ("warn    ", "yellow"),
    Status.FAIL: ("FAIL    ", "bold red"),
    Status.SKIPPED: ("skipped ", "dim"),
}


def print_findings(findings: Sequence[Finding]) -> None:
    out = console()
    for one in findings:
        out.print(Text.assemble(_MARKS[one.status], (one.check, "bold"), f": {one.detail}"))
        if one.remedy:
            out.print(Text(f"        -> {one.remedy}"))
