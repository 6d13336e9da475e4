"""`make bench` runs every benchmark there is."""

from __future__ import annotations

import runpy
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_every_benchmark_is_run_with_options_that_it_has() -> None:
    quick = runpy.run_path(str(BENCHMARKS / "run.py"))["QUICK"]
    assert set(quick) == {path.relative_to(BENCHMARKS).as_posix() for path in BENCHMARKS.glob("*/*.py")}
    for script, options in quick.items():
        source = (BENCHMARKS / script).read_text(encoding="utf-8")
        assert all(f'"{option}"' in source for option in options if option.startswith("--")), script
