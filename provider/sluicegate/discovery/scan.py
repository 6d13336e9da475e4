"""A scan of a dags root: which pipelines are scheduled, in which version, and what is wrong with which file.

All ways into Airflow share it. What was read, checked and built before is not done again: files are known by their
content. Of a file that turned bad the last good version stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sluicegate.discovery.cache import key_of
from sluicegate.discovery.code_digest import Code
from sluicegate.discovery.compile_one import compiled_of
from sluicegate.discovery.compiled import CompiledPipeline, Reading
from sluicegate.discovery.findings import Findings, KnownDraft, Trial, draft_key
from sluicegate.discovery.import_error import drawing
from sluicegate.discovery.sandbox import sandbox_diagnostics
from sluicegate.discovery.store import BundleStore
from sluicegate.factory.attempt import of_part
from sluicegate.factory.unplaced import UnplacedDiagnostic, placed
from sluicegate.graph.datasets import located
from sluicegate.pipeline import Pipeline, PipelineErrors, Tree, read_tree
from sluicegate.pipeline.diagnostics import Diagnostic, bug, in_order, independent
from sluicegate.pipeline.file import read_draft
from sluicegate.pipeline.keys.model import OperatorStep
from sluicegate.pipeline.read.draft import Draft
from sluicegate.pipeline.text.digest import source_digest
from sluicegate.pipeline.text.environment import Environment

__all__ = ["ScanResult", "scan"]


@dataclass(frozen=True)
class ScanResult:
    """`pipelines` are those that are scheduled, by name. `errors` has the drawing of what is wrong, by file relative
    to the root; a file can be in both, with an older version of its pipelines.
    """

    pipelines: Mapping[str, CompiledPipeline]
    errors: Mapping[str, str]

    def modules(self) -> frozenset[str]:
        """The modules of Airflow and its providers whose operators are used."""
        steps = (step for each in self.pipelines.values() for step in each.pipeline.steps.values())
        named = (step.operator.rpartition(".")[0] for step in steps if isinstance(step, OperatorStep))
        return frozenset(module for module in named if module.startswith("airflow."))


def scan(root: Path, store: BundleStore, environment: Environment) -> ScanResult:
    """Look at all pipelines below `root`; `store` has those of before, and then those of now.

    :raises NotADirectoryError: when `root` is not a folder
    """
    this = Scan(root, store, environment)
    tree, wanted, unbuilt = this.read_and_build()
    diagnostics = this.diagnostics(tree, unbuilt)
    bad = {file for file, found in diagnostics.items() if any(diagnostic.is_error for diagnostic in found)}
    good = {name: each for name, each in wanted.items() if each.pipeline.file not in bad}
    older = this.older_versions(bad, good)
    lost = this.lost(older)
    for diagnostic in lost.values():
        diagnostics[diagnostic.file].append(diagnostic)
    this.keep(good | older)
    # Kept, for the code may be mended; not shown to Airflow, for it might end the process that parses.
    scheduled = good | {name: each for name, each in older.items() if name not in lost}
    return ScanResult(scheduled, {_relative(file, root): drawing(diagnostics[file], root) for file in sorted(bad)})


class Scan:
    """What was known before a scan, and what is known after it."""

    def __init__(self, root: Path, store: BundleStore, environment: Environment) -> None:
        self.root, self.store, self.environment = root, store, environment
        self._stored = {name: each for name in store.names() if (each := store.pipeline(name)) is not None}
        # The dags root may be at another place now.
        self.before = {
            name: each if each.pipeline.root == root else each.at(root) for name, each in self._stored.items()
        }
        self._findings = Findings(store.cache)
        self._drafts: dict[str, KnownDraft] = {}
        self._failures = store.build_failures()
        self._reported = tuple(self._failures)
        self._code = Code(root)
        self._unbuilt: dict[Path, tuple[Diagnostic, ...]] = {}
        """What kept files that read well from being built, in this scan."""

    def read_and_build(self) -> tuple[Tree, dict[str, CompiledPipeline], dict[Path, tuple[Diagnostic, ...]]]:
        """The tree, its pipelines that read well, and what keeps files of these from being built.

        What cannot be built runs in its last good version, which those have to see that read from it.
        """
        last_good = _by_file(self.before.values())
        while True:
            tree = read_tree(self.root, self.environment, read=self._read, last_good=last_good)
            wanted = {name: self._compiled(pipeline, tree.upstreams) for name, pipeline in tree.pipelines.items()}
            unbuilt = _placed(self._errors_of(wanted), wanted, self.root)
            self._unbuilt |= unbuilt
            if not unbuilt.keys() & last_good.keys():
                return tree, wanted, unbuilt

    def diagnostics(self, tree: Tree, unbuilt: Mapping[Path, tuple[Diagnostic, ...]]) -> dict[Path, list[Diagnostic]]:
        """All that is wrong, by file: what reading finds, and what building finds."""
        found = {file: list(each) for file, each in tree.by_file.items()}
        for file, more in (*unbuilt.items(), *self._in_parts(tree).items()):
            found[file] += independent(more, found[file])
        return found

    def older_versions(self, bad: Iterable[Path], good: Mapping[str, CompiledPipeline]) -> dict[str, CompiledPipeline]:
        """The last good versions of the pipelines of bad files, beside the files as judged now."""
        files = frozenset(bad)
        return {
            name: replace(each, older=True, readings=self._judged(each))
            for name, each in self.before.items()
            if name not in good and each.pipeline.file in files
        }

    def lost(self, older: Mapping[str, CompiledPipeline]) -> dict[str, Diagnostic]:
        """The older versions that cannot be built any more."""
        found = {}
        for name, unplaced in self._errors_of(older).items():
            words = next(diagnostic.message for diagnostic in unplaced if diagnostic.is_error)
            message = f"the last good version of `{name}` cannot be built any more either: {words}"
            found[name] = Diagnostic("build", message, older[name].pipeline.file)
        return found

    def keep(self, pipelines: Mapping[str, CompiledPipeline]) -> None:
        for name, each in pipelines.items():
            if self._stored.get(name) != each:
                self.store.put(each)
        for name in set(self.store.names()) - pipelines.keys():
            self.store.forget(name)
        self.store.withdraw(self._reported)
        self._findings.keep()

    def _read(self, file: Path, root: Path, environment: Environment | None) -> Draft:
        """As `read_draft`, unless the file says what it said before and is judged by the same code."""
        path = _relative(file, root)
        if path not in self._drafts:
            self._drafts[path] = self._known_draft(file, environment)
        draft = self._drafts[path].draft
        unbuilt = self._unbuilt.get(file)
        return replace(draft, diagnostics=in_order([*draft.diagnostics, *unbuilt])) if unbuilt else draft

    def _known_draft(self, file: Path, environment: Environment | None) -> KnownDraft:
        key = self._draft_key(file)
        known = self._findings.draft(key) if key else None
        if known is not None and known.code == self._code.of(known.draft):
            reading = known.reading
            if not reading.env or reading.still_holds(file, self.root, lambda: self.environment):
                return known
        draft = read_draft(file, self.root, environment)
        digest = draft.variants[0].source.digest if draft.variants else _digest(file, self.root)
        made = KnownDraft(Reading(digest, tuple(draft.env)), self._code.of(draft), draft)
        if key and key == self._draft_key(file):  # else it changed while it was read: the next scan sees that
            self._findings.put_draft(key, made)
        return made

    def _draft_key(self, file: Path) -> str:
        try:
            return draft_key(file, self.root)
        except OSError:
            return ""

    def _compiled(self, pipeline: Pipeline, upstreams: Mapping[str, Pipeline]) -> CompiledPipeline:
        """Of a good pipeline; the one of before where it is the same."""
        known = self.before.get(pipeline.name)
        same = known is not None and known.pipeline.digest == pipeline.digest
        made = compiled_of(pipeline, upstreams, known.good_since if same and known is not None else datetime.now(UTC))
        made = replace(made, readings=self._judged(made))
        if known is not None and (known.digest(), known.readings) == (made.digest(), made.readings):
            return known
        return made

    def _judged(self, pipeline: CompiledPipeline) -> dict[str, Reading]:
        """What its files say now, also those of which an older version runs."""
        known = self._drafts
        return {path: known[path].reading if path in known else before for path, before in pipeline.readings.items()}

    def _in_parts(self, tree: Tree) -> dict[Path, tuple[Diagnostic, ...]]:
        """What building finds in pipelines with errors, as much of them as could be read."""
        parts = {}
        bugs: dict[Path, tuple[Diagnostic, ...]] = {}
        for name, pipeline in tree.readable.items():
            if name in tree.pipelines or pipeline.file in self._unbuilt:
                continue
            try:
                part = located(pipeline, tree.upstreams)
                digest = f"a part of {part.digest}"
                parts[name] = self._compiled(part.model_copy(update={"digest": digest}), tree.upstreams)
            except Exception as error:
                bugs[pipeline.file] = (bug(error, "building", pipeline.file),)
        found = {name: tuple(of_part(unplaced)) for name, unplaced in self._errors_of(parts).items()}
        return bugs | _placed(found, parts, self.root)

    def _errors_of(self, wanted: Mapping[str, CompiledPipeline]) -> dict[str, tuple[UnplacedDiagnostic, ...]]:
        """What building finds, by name, where there are errors; what was built before is not built again.

        What could not be built is tried again after every change of code: it may import any of it.
        """
        keys = {name: key_of(each.digest(), self._code.of_pipeline(each.pipeline)) for name, each in wanted.items()}
        trials = {name: self._known_trial(each, keys[name]) for name, each in wanted.items()}
        untried = [wanted[name] for name, known in trials.items() if known is None]
        for name, unplaced in sandbox_diagnostics(untried).items():
            trials[name] = made = Trial.of(unplaced, self._code.whole)
            self._findings.put_trial(keys[name], made)
        return {name: known.diagnostics for name, known in trials.items() if known is not None and known.has_errors}

    def _known_trial(self, pipeline: CompiledPipeline, key: str) -> Trial | None:
        """What building found before, under the same code; what Airflow could not build is an error of ours too."""
        failure = self._failures.pop(pipeline.digest(), None)
        if failure is not None:
            if self._code.newest() > failure.time:
                return None
            self._findings.put_trial(key, Trial.of((UnplacedDiagnostic((), "build", failure.text),), self._code.whole))
        known = self._findings.trial(key)
        return None if known is None or (known.has_errors and known.code != self._code.whole()) else known


def _placed(
    found: Mapping[str, tuple[UnplacedDiagnostic, ...]], wanted: Mapping[str, CompiledPipeline], root: Path
) -> dict[Path, tuple[Diagnostic, ...]]:
    """What building finds, by file, as diagnostics with their places."""
    by_file: dict[Path, tuple[Diagnostic, ...]] = {}
    for name, unplaced in found.items():
        file = wanted[name].pipeline.file
        try:
            diagnostics = placed(unplaced, file, root).diagnostics
        except (OSError, PipelineErrors):  # changed meanwhile: the next scan is of what it says now
            diagnostics = tuple(Diagnostic(each.code, each.message, file, severity=each.severity) for each in unplaced)
        except Exception as error:
            diagnostics = (bug(error, "placing the diagnostics of", file),)
        by_file[file] = (*by_file.get(file, ()), *diagnostics)
    return by_file


def _by_file(pipelines: Iterable[CompiledPipeline]) -> dict[Path, list[Pipeline]]:
    found: dict[Path, list[Pipeline]] = {}
    for each in pipelines:
        found.setdefault(each.pipeline.file, []).append(each.pipeline)
    return found


def _digest(file: Path, root: Path) -> str:
    try:
        return source_digest(file, root, {})
    except OSError:
        return ""


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()
