"""A look at a dags root: which pipelines are scheduled, in which version, and what is wrong with which file.

All ways into Airflow share it. What was read, checked and built before is not done again: files are known by their
content. Of a file that turned bad the last good version stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sluicegate.discovery.code_digest import Code
from sluicegate.discovery.compile_one import entry_of
from sluicegate.discovery.compiled import Entry, Reading
from sluicegate.discovery.sandbox import trial
from sluicegate.discovery.scan_cache import Memory
from sluicegate.discovery.store import Home
from sluicegate.factory.dags import of_part
from sluicegate.factory.problems import Problem, placed
from sluicegate.graph.datasets import located
from sluicegate.pipeline import Pipeline, PipelineErrors, Tree, read_tree
from sluicegate.pipeline.diagnostics import Diagnostic, bug, in_order, independent
from sluicegate.pipeline.file import read_draft
from sluicegate.pipeline.keys.model import OperatorStep
from sluicegate.pipeline.read.draft import Draft
from sluicegate.pipeline.text.digest import source_digest
from sluicegate.pipeline.text.environment import Environment

__all__ = ["Survey", "survey"]


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


def survey(root: Path, home: Home, environment: Environment) -> Survey:
    """Look at all pipelines below `root`; the entries in `home` are those of before, and then those of now.

    :raises NotADirectoryError: when `root` is no folder
    """
    look = _Look(root, home, environment)
    last_good = _by_file(look.before.values())
    while True:
        tree = read_tree(root, environment, read=look.read, last_good=last_good)
        wanted = {name: look.entry(pipeline, tree.upstreams) for name, pipeline in tree.pipelines.items()}
        unbuilt = _placed(look.trials(wanted), wanted, root)
        look.unbuilt |= unbuilt
        if not unbuilt.keys() & last_good.keys():
            break
        # What cannot be built goes on as it was, which those have to see that read from it.
    diagnostics = {file: list(found) for file, found in tree.by_file.items()}
    for file, found in (*unbuilt.items(), *look.in_parts(tree).items()):
        diagnostics[file] += independent(found, diagnostics[file])
    bad = {file for file, found in diagnostics.items() if any(diagnostic.is_error for diagnostic in found)}
    entries = {name: entry for name, entry in wanted.items() if entry.pipeline.file not in bad}
    older = {
        name: look.older(entry)
        for name, entry in look.before.items()
        if name not in entries and entry.pipeline.file in bad
    }
    lost = look.trials(older)
    for name, problems in lost.items():
        words = next(problem.message for problem in problems if problem.is_error)
        told = f"the last good version of `{name}` cannot be built any more either: {words}"
        diagnostics[older[name].pipeline.file].append(Diagnostic("build", told, older[name].pipeline.file))
    look.keep(entries | older)
    # Kept, for the code may be mended; not shown to Airflow, for it might end the process that parses.
    entries |= {name: entry for name, entry in older.items() if name not in lost}
    return Survey(entries, {_relative(file, root): _drawn(diagnostics[file], root) for file in sorted(bad)})


class _Look:
    """One look at the tree: what was known before, and what is known after it.

    `unbuilt` is what keeps files that read well from being built.
    """

    def __init__(self, root: Path, home: Home, environment: Environment) -> None:
        self.root, self.home, self.environment = root, home, environment
        self._stored = {name: entry for name in home.names() if (entry := home.entry(name)) is not None}
        # The dags root may be at another place now.
        self.before = {
            name: entry if entry.pipeline.root == root else entry.at(root) for name, entry in self._stored.items()
        }
        self.unbuilt: dict[Path, tuple[Diagnostic, ...]] = {}
        self._memory, self._now = Memory.of(home), Memory()
        self._code = Code(root)

    def read(self, file: Path, root: Path, environment: Environment | None) -> Draft:
        """As `read_draft`, unless the file says what it said before and is judged by the same code."""
        key = _relative(file, root)
        if key not in self._now.drafts:
            self._now.drafts[key] = self._read(key, file, environment)
        draft = self._now.drafts[key][2]
        unbuilt = self.unbuilt.get(file)
        return replace(draft, diagnostics=in_order([*draft.diagnostics, *unbuilt])) if unbuilt else draft

    def _read(self, key: str, file: Path, environment: Environment | None) -> tuple[Reading, str, Draft]:
        known = self._memory.drafts.get(key)
        if known is not None:
            reading, judged, draft = known
            same = draft.file == file and reading.still_holds(file, self.root, lambda: self.environment)
            if same and judged == self._code.of(draft):
                return known
        # Before it is read: if it changes meanwhile, the next look sees that.
        digest = _digest(file, self.root)
        draft = read_draft(file, self.root, environment)
        if draft.variants:
            digest = draft.variants[0].source.digest
        return Reading(digest, tuple(draft.env)), self._code.of(draft), draft

    def entry(self, pipeline: Pipeline, upstreams: Mapping[str, Pipeline]) -> Entry:
        """Of a good pipeline; the one of before where it is the same."""
        known = self.before.get(pipeline.name)
        same = known is not None and known.pipeline.digest == pipeline.digest
        made = entry_of(pipeline, upstreams, known.good_since if same and known is not None else datetime.now(UTC))
        made = replace(made, readings=self._judged(made))
        if known is not None and (known.digest(), known.readings) == (made.digest(), made.readings):
            return known
        return made

    def in_parts(self, tree: Tree) -> dict[Path, tuple[Diagnostic, ...]]:
        """What building finds in pipelines with mistakes, as much of them as could be read."""
        parts = {}
        bugs: dict[Path, tuple[Diagnostic, ...]] = {}
        for name, pipeline in tree.readable.items():
            if name in tree.pipelines or pipeline.file in self.unbuilt:
                continue
            try:
                part = located(pipeline, tree.upstreams)
                parts[name] = self.entry(part.model_copy(update={"digest": f"a part of {part.digest}"}), tree.upstreams)
            except Exception as error:
                bugs[pipeline.file] = (bug(error, "building", pipeline.file),)
        found = {name: tuple(of_part(problems)) for name, problems in self.trials(parts).items()}
        return bugs | _placed(found, parts, self.root)

    def older(self, entry: Entry) -> Entry:
        """The last good version of a pipeline, beside the file as it was judged now."""
        return replace(entry, older=True, readings=self._judged(entry))

    def _judged(self, entry: Entry) -> dict[str, Reading]:
        """What its files say now, also those of which an older version goes on."""
        known = self._now.drafts
        return {path: known[path][0] if path in known else before for path, before in entry.readings.items()}

    def trials(self, wanted: Mapping[str, Entry]) -> dict[str, tuple[Problem, ...]]:
        """What building finds, by name, where there are errors; what was built before is not built again.

        What could not be built is tried again after every change of code: it may import any of it.
        """
        keys = {name: f"{entry.digest()} {self._code.of_pipeline(entry.pipeline)}" for name, entry in wanted.items()}
        complaints = {name: text for name, entry in wanted.items() if (text := self._complaint(entry)) is not None}
        again = self._memory.complaints.keys() - complaints.keys()
        for name, key in keys.items():
            judged, problems = self._memory.trials.get(key, ("-", ()))
            if name not in again and judged == self._judged_by(problems):
                self._now.trials.setdefault(key, (judged, problems))
        untried = [wanted[name] for name, key in keys.items() if key not in self._now.trials]
        for name, problems in trial(untried).items():
            self._now.trials[keys[name]] = (self._judged_by(problems), problems)
        found = {name: (Problem((), "build", text),) for name, text in complaints.items()}
        return found | {name: self._now.trials[key][1] for name, key in keys.items() if self._now.trials[key][0]}

    def _judged_by(self, problems: Iterable[Problem]) -> str:
        return self._code.whole() if any(problem.is_error for problem in problems) else ""

    def _complaint(self, entry: Entry) -> str | None:
        """Why Airflow could not build a pipeline, as long as no code has changed since: then it is tried again."""
        complaint = self.home.complaint(entry)
        if complaint is None:
            return None
        code = self._code.whole()
        if self._memory.complaints.get(entry.name, code) != code or self._code.newest() > complaint.time:
            return None
        self._now.complaints[entry.name] = code
        return complaint.text

    def keep(self, entries: Mapping[str, Entry]) -> None:
        for name, entry in entries.items():
            if self._stored.get(name) != entry:
                self.home.put(entry)
        for name in set(self.home.names()) - entries.keys():
            self.home.forget(name)
        for name in set(self.home.complained_of()) - self._now.complaints.keys():
            self.home.withdraw(name)
        self._now.keep(self.home)


def _placed(
    found: Mapping[str, tuple[Problem, ...]], wanted: Mapping[str, Entry], root: Path
) -> dict[Path, tuple[Diagnostic, ...]]:
    """What building finds, by file, as mistakes with their places."""
    by_file: dict[Path, tuple[Diagnostic, ...]] = {}
    for name, problems in found.items():
        file = wanted[name].pipeline.file
        try:
            diagnostics = placed(problems, file, root).diagnostics
        except (OSError, PipelineErrors):  # changed meanwhile: the next look is at what it says now
            diagnostics = tuple(Diagnostic(each.code, each.message, file, severity=each.severity) for each in problems)
        except Exception as error:
            diagnostics = (bug(error, "placing the mistakes of", file),)
        by_file[file] = (*by_file.get(file, ()), *diagnostics)
    return by_file


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


def _drawn(diagnostics: Iterable[Diagnostic], root: Path) -> str:
    return str(PipelineErrors(in_order(diagnostic for diagnostic in diagnostics if diagnostic.is_error), root))


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()
