"""The YAML files below a dags root, by names alone: what is hidden or ignored is left out, no YAML is opened.

`.airflowignore` is read as Airflow 3 does by default: globs in gitignore's syntax, in any folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

__all__ = ["IGNORE", "SUFFIXES", "skip_unlisted", "yaml_files"]

IGNORE = ".airflowignore"
SUFFIXES = (".yaml", ".yml")
_SKIPPED = frozenset({"__pycache__", "node_modules"})
_COMMENT = re.compile(r"\s*#.*")


@dataclass(frozen=True)
class _Rule:
    """One line of an ignore file; `folder` is the file's folder."""

    folder: str
    pattern: GitIgnoreSpecPattern

    def verdict(self, path: str, *, is_folder: bool) -> bool | None:
        """Whether to leave `path` out; None where the rule says nothing of it."""
        name = PurePosixPath(path).relative_to(self.folder).as_posix() + ("/" if is_folder else "")
        return self.pattern.include if self.pattern.match_file(name) is not None else None


def yaml_files(root: Path) -> list[Path]:
    """The YAML files below `root` in a stable order, without hidden and ignored ones; a linked folder is read once.

    :raises OSError: when a folder cannot be listed, as on a lost file system
    """
    found: list[Path] = []
    seen: set[str] = set()
    rules: dict[str, tuple[_Rule, ...]] = {str(root): ()}
    for folder, folders, names in os.walk(root, onerror=skip_unlisted, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        own = rules.pop(folder)
        if IGNORE in names:
            own = (*own, *_rules(folder))
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in _SKIPPED and not _ignored(own, folder, name, is_folder=True)
        )
        rules |= {os.path.join(folder, name): own for name in folders}  # noqa: PTH118 - as `os.walk` will call it
        found += [
            Path(folder, name)
            for name in sorted(names)
            if name.endswith(SUFFIXES) and name[0] != "." and not _ignored(own, folder, name, is_folder=False)
        ]
    return found


def skip_unlisted(error: OSError) -> None:
    """For `os.walk`: leave out a folder that is gone, or that this process must not list.

    :raises OSError: for any other reason: what is below such a folder is not deleted
    """
    if not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
        raise error


def _rules(folder: str) -> list[_Rule]:
    try:
        lines = Path(folder, IGNORE).read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    patterns = (GitIgnoreSpecPattern(text) for line in lines if (text := _COMMENT.sub("", line)).strip("/ "))
    return [_Rule(folder, pattern) for pattern in patterns if pattern.include is not None]


def _ignored(rules: Sequence[_Rule], folder: str, name: str, *, is_folder: bool) -> bool:
    """The last rule that says something decides."""
    path = f"{folder}/{name}"
    for rule in reversed(rules):
        if (verdict := rule.verdict(path, is_folder=is_folder)) is not None:
            return verdict
    return False
