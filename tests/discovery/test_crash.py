"""Processes that keep and parse one folder of stubs: killed at any moment, and many at once."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from sluicegate.discovery.bundle import PipelineBundle
from sluicegate.discovery.store import BundleStore
from tests.discovery.bundles import OPERATORS, bag_of, bundle_at, custom, reader, small, stubs, told
from tests.factory.files import CYCLE, MISSPELT, SYNTAX, write

pytestmark = pytest.mark.system

CONTEXT = multiprocessing.get_context("fork")
SIZE = 4
REFRESHES = 6
"""Of each of two that keep the same folder at once."""


def _refresh(storage: Path, root: Path, snapshots: Path) -> None:
    bundle_at(storage, root, shard_size=SIZE, snapshots=str(snapshots)).refresh()


def _tree(root: Path, numbers: random.Random) -> None:
    """Some change of the tree: files come, go, turn bad, are mended."""
    for _ in range(numbers.randint(1, 6)):
        name = f"p{numbers.randrange(16)}"
        file = root / f"{name}.yaml"
        match numbers.randrange(8):
            case 0:
                file.unlink(missing_ok=True)
            case 1:
                file.write_text(numbers.choice([MISSPELT, SYNTAX, CYCLE, ""]))
            case 2:
                file.write_text(custom(numbers.choice(["fine", "wrong"])))
            case 3:
                file.write_text(reader(f"p{numbers.randrange(16)}"))
            case _:
                file.write_text(small(name, into=f"{name}_{numbers.randrange(5)}"))


def _state(bundle: PipelineBundle) -> tuple[dict[str, str], dict[str, str]]:
    """All that a refresh has to get right, but for what an older version was."""
    home = BundleStore(bundle.home)
    entries = {name: home.pipeline(name) for name in home.names()}
    assert all(entries.values()), "an entry cannot be read"
    errors = {name: (bundle.path / name).read_text() for name in stubs(bundle) if not name.startswith("shards/")}
    good = {name: entry.digest() for name, entry in entries.items() if entry is not None and not entry.older}
    assert told(bundle) == {name: entry.digest() for name, entry in entries.items() if entry is not None}
    return good, errors


def test_a_refresh_killed_at_any_moment_is_made_good_by_the_next(root: Path, tmp_path: Path) -> None:
    numbers = random.Random(11)
    (root / "fine.py").write_text(OPERATORS)
    (root / "wrong.py").write_text(f"raise RuntimeError('wrong')\n{OPERATORS}")
    write(root, keep=small("keep"), turned=small("turned"))
    storage, snapshots = tmp_path / "bundles", tmp_path / "snapshots"
    _refresh(storage, root, snapshots)
    write(root, turned=MISSPELT)
    killed = 0
    for number in range(40):
        _tree(root, numbers)
        process = CONTEXT.Process(target=_refresh, args=(storage, root, snapshots))
        process.start()
        process.join(numbers.uniform(0.0, 0.12))
        if process.exitcode is None:
            killed += 1
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
        survivor = bundle_at(storage, root, shard_size=SIZE, snapshots=str(snapshots))
        assert "keep" in told(survivor), "a pipeline that nobody touched was lost"
        assert all(BundleStore(survivor.home).pipeline(name) for name in ("keep", "turned"))
        if number % 4 == 3:
            survivor.refresh()
            fresh = bundle_at(tmp_path / f"fresh{number}", root, shard_size=SIZE)
            fresh.refresh()
            good, errors = _state(survivor)
            fresh_good, fresh_errors = _state(fresh)
            assert good.items() >= fresh_good.items()
            # Who reads from one that goes on as it was is right there, and wrong where that is not known.
            emptied = {f"{file.name}.py" for file in root.glob("*.yaml") if not file.read_text()}
            assert errors.keys() - emptied <= fresh_errors.keys()
            bag = bag_of(survivor)
            assert bag.dags.keys() == told(survivor).keys()
            assert bag.import_errors.keys() == errors.keys()
            assert any(tag.startswith("older version") for tag in bag.dags["turned"].tags)
    assert killed >= 10, "the kills came too late to mean anything"


def _keep(storage: Path, root: Path, seed: int) -> None:
    numbers = random.Random(seed)
    bundle = bundle_at(storage, root, shard_size=SIZE)
    for _ in range(REFRESHES):
        for name in ("x", "y", "z"):
            (draft := root / f".{name}{seed}").write_text(
                numbers.choice([MISSPELT, small(name, into=f"t{numbers.randrange(9)}")])
            )
            draft.replace(root / f"{name}.yaml")
        if numbers.random() < 0.3:
            (root / "y.yaml").unlink(missing_ok=True)
        bundle.refresh()


def _parse(storage: Path, root: Path, done: Event, names: set[str]) -> None:
    bundle = bundle_at(storage, root, shard_size=SIZE)
    while not done.is_set():
        bag = bag_of(bundle)
        missing = names - set(bag.dag_ids)
        assert not missing, f"{missing} were not there"
        assert not {name for name in bag.import_errors if name.startswith("shards/")}, bag.import_errors
        for name in names:
            assert list(bag.dags[name].task_dict) == ["a"]


def test_parsers_always_see_every_pipeline_that_did_not_change(root: Path, tmp_path: Path) -> None:
    # Three shards, with x, y and z or without: who lists files while a shard is added may read it the next time only.
    names = {f"p{number}" for number in range(9)}
    write(root, **{name: small(name) for name in names})
    storage, done = tmp_path / "bundles", CONTEXT.Event()
    bundle_at(storage, root, shard_size=SIZE).refresh()
    keepers: list[BaseProcess] = [CONTEXT.Process(target=_keep, args=(storage, root, seed)) for seed in range(2)]
    parsers = [CONTEXT.Process(target=_parse, args=(storage, root, done, names)) for _ in range(3)]
    for each in (*parsers, *keepers):
        each.start()
    for each in keepers:
        each.join(300)
    done.set()
    for each in parsers:
        each.join(300)
    assert [each.exitcode for each in (*keepers, *parsers)] == [0] * 5
    bundle = bundle_at(storage, root, shard_size=SIZE)
    bundle.refresh()
    assert names <= set(told(bundle))
