"""A folder of stubs, one a pipeline file, kept the same as the files of a dags root.

Airflow 3.3 lists Python files only. Every stub is a pure function of the tree, is written whole or not at
all, and is only written when it changes: its time of change is what makes Airflow parse it at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import sluicegate

__all__ = ["FINGERPRINT", "STUB_SUFFIX", "mirror"]

STUB_SUFFIX = ".py"
FINGERPRINT = ".tree.json"
"""What the tree was when the stubs were written; beside them, of no interest to Airflow."""

_SETTLED = 2.0
"""Seconds after which a second change of a file cannot have the same time of change as the first."""

Stubs = Mapping[str, str]
"""By path relative to the folder of stubs, with forward slashes: the text of each."""


def mirror(
    root: Path, folder: Path, stubs: Callable[[Path], Stubs], lock: Callable[[], AbstractContextManager[None]]
) -> bool:
    """Make `folder` hold exactly what `stubs(root)` says. Returns whether anything had to be looked at.

    Where neither the tree nor the folder changed since the last time, that costs one walk through both.
    Any number of processes may call it at once, also for a folder that does not exist yet.

    :raises FileNotFoundError: when `root` does not exist; what was mirrored stays as it is
    """
    if not root.is_dir():
        raise FileNotFoundError(f"the dags root {root} does not exist; its pipelines stay as they were")
    if _is_current(root, folder):
        return False
    with lock():
        # Taken before the files are read: a change while they are read is then seen the next time.
        state, newest = _state(root)
        if _is_current(root, folder):
            return False
        wanted = stubs(root)
        for name, text in wanted.items():
            _write(folder / name, text)
        for name in sorted(_present(folder) - wanted.keys()):
            _remove(folder / name, folder)
        _remember(folder, state if time.time() - newest > _SETTLED else "", wanted)
    return True


def _is_current(root: Path, folder: Path) -> bool:
    try:
        known = json.loads((folder / FINGERPRINT).read_text(encoding="utf-8"))
        state, names = known["state"], set(known["stubs"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(state) and state == _state(root)[0] and names == _present(folder)


def _remember(folder: Path, state: str, wanted: Stubs) -> None:
    _write(folder / FINGERPRINT, json.dumps({"state": state, "stubs": sorted(wanted)}))


def _state(root: Path) -> tuple[str, float]:
    """A digest that changes with any file below `root`, and when the newest of them changed.

    The time of change, unlike that of modification, cannot be set: not by a checkout, not by a copy.
    """
    digest = hashlib.sha256(f"{sluicegate.__version__}\0{root}\0".encode(errors="surrogateescape"))
    newest = 0.0
    for path, status in _walk(root):
        newest = max(newest, status.st_ctime)
        entry = f"{path}\0{status.st_ctime_ns}\0{status.st_size}\0{status.st_ino}\0"
        digest.update(entry.encode(errors="surrogateescape"))
    return digest.hexdigest(), newest


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """All files that may matter, in a stable order; what is hidden or compiled does not."""
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith("."))
        for name in sorted(files):
            if name.startswith(".") and name != ".airflowignore":
                continue
            path = os.path.join(folder, name)  # noqa: PTH118 - called for every file at every refresh
            try:
                yield path, os.stat(path)  # noqa: PTH116
            except FileNotFoundError:
                continue  # deleted meanwhile, or a link to nowhere


def _present(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob(f"*{STUB_SUFFIX}")
        if "__pycache__" not in path.parts
    }


def _write(path: Path, text: str) -> None:
    """Write `text` if it is not there already: all of it, or nothing."""
    try:
        if path.read_text(encoding="utf-8") == text:
            return
    except (OSError, UnicodeDecodeError):
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _remove(path: Path, folder: Path) -> None:
    """Remove a stub and the folders that it leaves empty, `folder` excepted."""
    path.unlink(missing_ok=True)
    parent = path.parent
    while parent != folder:
        try:
            parent.rmdir()
        except OSError:
            return  # something else is in it
        parent = parent.parent
