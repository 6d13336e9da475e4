"""A look at a dags root: which pipelines are scheduled, in which version, and what is wrong with which file.

All ways into Airflow share it. What was read, checked and built before is not done again: files are known by their
content. Of a file that turned bad the last good version stays.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from sluicegate.factory.entry import Entry, Reading, form
from sluicegate.factory.fresh import entry_of
from sluicegate.factory.home import Home, write_whole
from sluicegate.factory.needs import needs
from sluicegate.factory.problems import Problem, placed
from sluicegate.factory.trial import trial
from sluicegate.pipeline import Pipeline, PipelineErrors, graph, read_tree
from sluicegate.pipeline.digest import source_digest
from sluicegate.pipeline.environment import Environment
from sluicegate.pipeline.errors import Mistake, in_order
from sluicegate.pipeline.model import OperatorStep
from sluicegate.pipeline.read import Draft, read_draft
from sluicegate.pipeline.walk import SUFFIXES

__all__ = ["Survey", "survey", "walk"]


@dataclass(frozen=True)
class Survey:
    """`entries` are the pipelines that are scheduled, by name. `errors` has the drawing of what is wrong, by file
    relative to the root; a file can be in both, with an older version of its pipelines.
    """

    entries: Mapping[str, Entry]
    errors: Mapping[str, str]

    def modules(self) -> frozenset[str]:
        """The modules of Airflow and its providers whose operators are used."""
        steps = (step for entry in self.entries.values() for step in entry.pipeline.steps.values())
        named = (step.operator.rpartition(".")[0] for step in steps if isinstance(step, OperatorStep))
        return frozenset(module for module in named if module.startswith("airflow."))


@dataclass
class _Memory:
    """What earlier looks found out. `drafts` are by file: its reading, the code it was judged by, and what came out;
    `trials` by the digest of what was built; `complaints` all code as it was when a pipeline could not be built.
    """

    drafts: dict[str, tuple[Reading, str, Draft]] = field(default_factory=dict)
    trials: dict[str, tuple[Problem, ...]] = field(default_factory=dict)
    complaints: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, home: Home) -> _Memory:
        try:
            head, _, body = home.memory.read_bytes().partition(b"\n")
            found = pickle.loads(body) if head == _world().encode() else None  # noqa: S301 - see `entry.load`
        except Exception:
            found = None
        return found if isinstance(found, cls) else cls()

    def keep(self, home: Home) -> None:
        write_whole(home.memory, _world().encode() + b"\n" + pickle.dumps(self, pickle.HIGHEST_PROTOCOL))


def survey(root: Path, home: Home, environment: Environment) -> Survey:
    """Look at all pipelines below `root`; the entries in `home` are those of before, and then those of now.

    :raises NotADirectoryError: when `root` is no folder
    """
    look = _Look(root, home, environment)
    tree = read_tree(root, environment, read=look.read, last_good=_by_file(look.before.values()))
    wanted = {name: look.entry(pipeline, tree.running) for name, pipeline in tree.pipelines.items()}
    mistakes = {file: list(found) for file, found in tree.by_file.items()}
    parts = {
        name: look.entry(graph.located(pipeline, tree.readable), tree.readable)
        for name, pipeline in tree.readable.items()
        if name not in wanted
    }
    for name, problems in look.trials(wanted, parts).items():
        file = tree.readable[name].file
        mistakes[file] += placed(problems, file, root).mistakes
    bad = {file for file, found in mistakes.items() if any(mistake.is_error for mistake in found)}
    entries = {name: entry for name, entry in wanted.items() if entry.pipeline.file not in bad}
    for name, entry in look.before.items():
        if name not in entries and entry.pipeline.file in bad:
            entries[name] = look.older(entry)
    look.keep(entries)
    return Survey(entries, {_relative(file, root): _drawn(mistakes[file], root) for file in sorted(bad)})


def walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """All files below `root` that may matter, in a stable order; what is hidden or compiled does not."""
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


class _Code:
    """The files beside the pipelines: each one's digest, and one of all of them, found once a look."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._one: dict[str, str] = {}
        self._all: str | None = None

    def of(self, draft: Draft) -> str:
        """What the draft was judged by. With mistakes in it, that may be any file: one may be missing."""
        if not draft.is_good:
            return self.whole()
        return "\n".join(self.of_pipeline(pipeline) for pipeline in draft.pipelines)

    def of_pipeline(self, pipeline: Pipeline) -> str:
        return " ".join(f"{path}={self._digest(path)}" for path in sorted(needs(pipeline)))

    def whole(self) -> str:
        if self._all is None:
            digest = hashlib.sha256()
            for path, status in walk(self._root):
                if not path.endswith(SUFFIXES):
                    entry = f"{path}\0{status.st_ctime_ns}\0{status.st_size}\0{status.st_ino}\0"
                    digest.update(entry.encode(errors="surrogateescape"))
            self._all = digest.hexdigest()
        return self._all

    def _digest(self, path: str) -> str:
        if path not in self._one:
            try:
                self._one[path] = hashlib.sha256((self._root / path).read_bytes()).hexdigest()
            except OSError:
                self._one[path] = "-"
        return self._one[path]


class _Look:
    """One look at the tree: what was known before, and what is known after it."""

    def __init__(self, root: Path, home: Home, environment: Environment) -> None:
        self.root, self.home, self.environment = root, home, environment
        self.before = {name: entry for name in home.names() if (entry := home.entry(name)) is not None}
        self._memory, self._now = _Memory.of(home), _Memory()
        self._code = _Code(root)

    def read(self, file: Path, root: Path, environment: Environment | None) -> Draft:
        """As `read_draft`, unless the file says what it said before and is judged by the same code."""
        key = _relative(file, root)
        known = self._memory.drafts.get(key)
        if known is not None:
            reading, judged, draft = known
            same = draft.file == file and reading.still_holds(file, root, lambda: self.environment)
            if same and judged == self._code.of(draft):
                self._now.drafts[key] = known
                return draft
        # Before it is read: if it changes meanwhile, the next look sees that.
        digest = _digest(file, root)
        draft = read_draft(file, root, environment)
        if draft.variants:
            digest = draft.variants[0].source.digest
        self._now.drafts[key] = (Reading(digest, tuple(draft.env)), self._code.of(draft), draft)
        return draft

    def entry(self, pipeline: Pipeline, running: Mapping[str, Pipeline]) -> Entry:
        """Of a good pipeline; the one of before where it is the same."""
        known = self.before.get(pipeline.name)
        same = known is not None and known.pipeline.digest == pipeline.digest
        made = entry_of(pipeline, running, known.good_since if same and known is not None else datetime.now(UTC))
        made = replace(made, readings=self._judged(made))
        if known is not None and (known.digest(), known.readings) == (made.digest(), made.readings):
            return known
        return made

    def older(self, entry: Entry) -> Entry:
        """The last good version of a pipeline, beside the file as it was judged now."""
        return replace(entry, older=True, readings=self._judged(entry))

    def _judged(self, entry: Entry) -> dict[str, Reading]:
        """What its files say now, also those of which an older version goes on."""
        known = self._now.drafts
        return {path: known[path][0] if path in known else before for path, before in entry.readings.items()}

    def trials(self, wanted: Mapping[str, Entry], parts: Mapping[str, Entry]) -> dict[str, tuple[Problem, ...]]:
        """What building finds, by name; what was built before is not built again.

        :param parts: of pipelines with mistakes, as much as could be read: what is wrong in it is told as well
        """
        tried = {**wanted, **parts}
        keys = {
            name: f"{entry.digest()} {name in parts} {self._code.of_pipeline(entry.pipeline)}"
            for name, entry in tried.items()
        }
        known = self._memory.trials
        complaints = {name: text for name, entry in wanted.items() if (text := self._complaint(entry)) is not None}
        again = self._memory.complaints.keys() - complaints.keys()
        made = trial([entry for name, entry in tried.items() if keys[name] not in known or name in again])
        self._now.trials = {key: made[name] if name in made else known[key] for name, key in keys.items()}
        found = {name: self._now.trials[key] for name, key in keys.items() if self._now.trials[key]}
        for name in found.keys() & parts.keys():
            # What of a part cannot be built for want of the rest is no mistake of its own.
            found[name] = tuple(problem for problem in found[name] if problem.code not in ("build", "dag"))
        return found | {name: (Problem((), "build", text),) for name, text in complaints.items()}

    def _complaint(self, entry: Entry) -> str | None:
        """Why Airflow could not build a pipeline, as long as no code has changed since: then it is tried again."""
        text = self.home.complaint(entry)
        code = self._code.whole() if text is not None else ""
        if text is None or self._memory.complaints.get(entry.name, code) != code:
            self.home.withdraw(entry.name)
            return None
        self._now.complaints[entry.name] = code
        return text

    def keep(self, entries: Mapping[str, Entry]) -> None:
        for name, entry in entries.items():
            if self.before.get(name) != entry:
                self.home.put(entry)
        for name in set(self.home.names()) - entries.keys():
            self.home.forget(name)
        self._now.keep(self.home)


def _by_file(entries: Iterable[Entry]) -> dict[Path, list[Pipeline]]:
    found: dict[Path, list[Pipeline]] = {}
    for entry in entries:
        found.setdefault(entry.pipeline.file, []).append(entry.pipeline)
    return found


def _digest(file: Path, root: Path) -> str:
    try:
        return source_digest(file, root, {})
    except OSError:
        return ""


def _drawn(mistakes: Iterable[Mistake], root: Path) -> str:
    return str(PipelineErrors(in_order(mistake for mistake in mistakes if mistake.is_error), root))


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


@lru_cache(maxsize=1)
def _world() -> str:
    """Everything that is installed: with another provider another argument may be right."""
    there = sorted(f"{each.name}=={each.version}" for each in importlib.metadata.distributions())
    return f"{form()} {hashlib.sha256(' '.join(there).encode()).hexdigest()}"
