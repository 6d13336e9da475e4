"""Where an error is from in the author's own code: the traceback without Python's, Airflow's and our part of it."""

from __future__ import annotations

import sysconfig
import traceback
from functools import lru_cache
from pathlib import Path

from sluicegate.faults.errors import FaultError
from sluicegate.faults.shape import chain

__all__ = ["own_code"]

_MOST = 12
"""Frames to show; of a recursion the last ones say what it was."""


def own_code(error: BaseException) -> tuple[str, ...]:
    """The author's frames that led to `error`, outermost first, each `file:line, in function` and its source below.

    Nothing where the author's code had no part in it, or raised a fault on purpose.
    """
    for link in chain(error):
        if isinstance(link, FaultError):
            continue
        frames = [frame for frame in traceback.extract_tb(link.__traceback__) if _is_own(frame.filename)]
        if isinstance(link, SyntaxError) and link.filename and _is_own(link.filename):
            frames.append(traceback.FrameSummary(link.filename, link.lineno, "", line=(link.text or "").strip()))
        if frames:
            return tuple(_shown(frame) for frame in frames[-_MOST:])
    return ()


def _shown(frame: traceback.FrameSummary) -> str:
    place = f"{frame.filename}:{frame.lineno}" + (f", in {frame.name}" if frame.name else "")
    return f"{place}\n  {frame.line}" if frame.line else place


def _is_own(filename: str) -> bool:
    return not filename.startswith(("<", *_others()))


@lru_cache(maxsize=1)
def _others() -> tuple[str, ...]:
    import airflow

    import sluicegate

    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    packages = {str(Path(package.__file__ or "").parent) for package in (airflow, sluicegate)}
    return tuple(f"{place}/" for place in sorted(places | packages))
