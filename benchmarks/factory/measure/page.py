"""The page `docs/benchmarks.md`: each benchmark owns a section of it, and writes no other."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

__all__ = ["facts", "write_section"]

PAGE = Path(__file__).resolve().parents[3] / "docs" / "benchmarks.md"


def write_section(name: str, text: str) -> None:
    """Put `text` between the marks of `name`, which the page has."""
    begin, end = f"<!-- {name}: begin, written by the benchmark -->", f"<!-- {name}: end -->"
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{PAGE} has no section `{name}`")
    PAGE.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")
    print(f"written to {PAGE}")


def facts() -> str:
    """When, on what, with which versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} processors, {memory:.0f} GB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"Airflow {version('apache-airflow-core')}, Sluicegate {version('airflow-provider-sluicegate')}."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
