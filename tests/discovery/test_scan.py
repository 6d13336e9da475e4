"""What was read and built before is not read and built again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sluicegate.discovery import scan as scan_module
from sluicegate.discovery.bundle import PipelineBundle
from sluicegate.discovery.compiled import CompiledPipeline, form
from sluicegate.discovery.store import BundleStore
from sluicegate.pipeline.keys.model import Retries
from sluicegate.pipeline.text.source import Source
from tests.discovery.bundles import OPERATORS, another_provider, bag_of, bundle_at, custom, reader, small, told
from tests.factory.files import MISSPELT, write


@dataclass
class Work:
    """What was done since it was asked for last."""

    read: list[str] = field(default_factory=list)
    built: list[str] = field(default_factory=list)

    def take(self) -> tuple[set[str], set[str]]:
        found = set(self.read), set(self.built)
        assert len(self.read) == len(found[0]), "a file was read twice"
        assert len(self.built) == len(found[1]), "a pipeline was built twice"
        self.read.clear()
        self.built.clear()
        return found


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    done = Work()
    read, trial = scan_module.read_draft, scan_module.sandbox_diagnostics

    def reads(file: Path, *arguments: Any) -> Any:
        done.read.append(file.stem)
        return read(file, *arguments)

    def tries(entries: Sequence[CompiledPipeline]) -> Any:
        done.built += [entry.name for entry in entries]
        return trial(entries)

    monkeypatch.setattr(scan_module, "read_draft", reads)
    monkeypatch.setattr(scan_module, "sandbox_diagnostics", tries)
    return done


def test_of_thirty_files_the_changed_one_alone_is_read_and_built(
    root: Path, bundle: PipelineBundle, work: Work
) -> None:
    names = {f"p{number}" for number in range(30)}
    write(root, **{name: small(name) for name in names})
    bundle.refresh()
    assert work.take() == (names, names)
    write(root, p7=small("p7", into="elsewhere"))
    bundle.refresh()
    assert work.take() == ({"p7"}, {"p7"})
    later = bundle_at(bundle.base_dir.parent, root)  # as a new process
    write(root, p8=small("p8", into="elsewhere"))
    later.refresh()
    assert work.take() == ({"p8"}, {"p8"})
    assert told(later).keys() == names


def test_a_file_that_is_only_touched_is_neither_read_nor_built(root: Path, bundle: PipelineBundle, work: Work) -> None:
    write(root, a=small("a"), bad=MISSPELT)
    bundle.refresh()
    work.take()
    before = told(bundle)
    write(root, a=small("a"), bad=MISSPELT)
    bundle.refresh()
    assert work.take() == (set(), set())
    assert told(bundle) == before


def test_who_reads_from_a_changed_pipeline_is_built_again_but_not_read(
    root: Path, bundle: PipelineBundle, work: Work
) -> None:
    write(root, a=small("a"), b=reader("a"), c=small("c"))
    bundle.refresh()
    work.take()
    write(root, a=small("a", into="elsewhere"))
    bundle.refresh()
    assert work.take() == ({"a"}, {"a", "b"})


def test_changed_code_is_looked_at_for_those_who_name_it_and_for_mistakes(
    root: Path, bundle: PipelineBundle, work: Work
) -> None:
    (root / "mine.py").write_text(OPERATORS)
    (root / "other.py").write_text(OPERATORS)
    missing = "sluicegate: 1\nsteps:\n  a: {spark: jobs/missing.py}\n"
    write(root, a=custom("mine"), b=custom("other"), c=small("c"), bad=MISSPELT, missing=missing)
    bundle.refresh()
    work.take()
    (root / "mine.py").write_text(OPERATORS + "# changed\n")
    bundle.refresh()
    assert work.take() == ({"a", "bad", "missing"}, {"a"})


def test_a_file_that_was_missing_is_found_when_it_comes(root: Path, bundle: PipelineBundle) -> None:
    suite = "sluicegate: 1\nsteps:\n  a: {load: s3://x/a.csv, into: table://warehouse/t, key: id, suite: s.json}\n"
    write(root, a=suite, b=custom("late"))
    bundle.refresh()
    assert told(bundle) == {}
    (root / "s.json").write_text('{"expectations": []}')
    (root / "late.py").write_text(OPERATORS)
    bundle.refresh()
    assert told(bundle).keys() == {"a", "b"}


def test_another_provider_judges_everything_again(
    root: Path, bundle: PipelineBundle, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:

    write(root, a=small("a"), b=small("b"))
    bundle.refresh()
    work.take()
    with another_provider(monkeypatch):
        bundle.refresh()
    assert work.take() == ({"a", "b"}, {"a", "b"})


def test_a_variable_that_changes_is_seen_by_those_who_ask_for_it(
    root: Path, bundle: PipelineBundle, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICEGATE_OWNER", "one")
    write(root, a=small("a", more="owner: ${env:SLUICEGATE_OWNER}\n"), b=small("b"))
    bundle.refresh()
    work.take()
    monkeypatch.setenv("SLUICEGATE_OWNER", "two")
    bundle.refresh()
    assert work.take() == ({"a"}, {"a"})
    assert bag_of(bundle).dags["a"].get_task("a").owner == "two"
    monkeypatch.delenv("SLUICEGATE_OWNER")
    bundle.refresh()
    bag = bag_of(bundle)
    assert "not set" in bag.import_errors["a.yaml.py"]
    assert bag.dags["a"].get_task("a").owner == "two"


def test_a_crash_of_the_reader_costs_its_own_file(
    root: Path, bundle: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Source.open

    def fragile(file: Path, *arguments: Any) -> Source:
        if file.stem == "odd":
            raise RecursionError("too deep")
        return opened(file, *arguments)

    monkeypatch.setattr(Source, "open", fragile)
    write(root, good=small("good"), odd=small("odd"))
    bundle.refresh()
    bag = bag_of(bundle)
    assert bag.dag_ids == ["good"]
    assert "RecursionError: too deep" in bag.import_errors["odd.yaml.py"]


def test_a_file_deleted_while_it_is_looked_at_hurts_no_other(
    root: Path, bundle: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = scan_module.sandbox_diagnostics

    def slow(entries: Sequence[CompiledPipeline]) -> Any:
        found = trial(entries)
        (root / "gone.yaml").unlink(missing_ok=True)
        return found

    write(root, good=small("good"), gone=custom("no_module_of_that_name"))
    monkeypatch.setattr(scan_module, "sandbox_diagnostics", slow)
    bundle.refresh()
    assert told(bundle).keys() == {"good"}
    bundle.refresh()
    assert bag_of(bundle).import_errors == {}


def test_pipelines_of_another_state_of_the_models_are_not_read(
    root: Path, bundle: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    form.cache_clear()
    monkeypatch.setattr(Retries, "model_fields", {**Retries.model_fields, "more": None})
    try:
        assert BundleStore(bundle.base_dir).pipeline("a") is None
    finally:
        monkeypatch.undo()
        form.cache_clear()
    assert BundleStore(bundle.base_dir).pipeline("a") is not None
