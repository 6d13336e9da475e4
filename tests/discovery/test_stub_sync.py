"""How stubs follow the files below a dags root."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from sluicegate.discovery import scan as scan_module
from sluicegate.discovery import stub_sync as sync_module
from sluicegate.discovery.bundle import PipelineBundle
from sluicegate.discovery.store import BundleStore
from sluicegate.discovery.stubs import shard_name, shard_of
from tests.discovery.bundles import another_provider, bag_of, bundle_at, small, stubs, task_bag, told
from tests.factory.files import MISSPELT, write


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a test are young; here they count as old, except where a test says otherwise."""
    monkeypatch.setattr(sync_module, "_SETTLED", -1.0)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every look at a tree."""
    made: list[Path] = []
    scan = sync_module.scan

    def counted(root: Path, *arguments: Any) -> Any:
        made.append(root)
        return scan(root, *arguments)

    monkeypatch.setattr(sync_module, "scan", counted)
    return made


def test_files_in_subfolders_are_found_and_each_bad_one_has_its_stub_there(root: Path, bundle: PipelineBundle) -> None:
    write(root / "team" / "x", b=small("b"), bad=MISSPELT)
    write(root, a=small("a"))
    bundle.refresh()
    assert told(bundle).keys() == {"a", "b"}
    assert stubs(bundle) == {"shards/000.py", "team/x/bad.yaml.py"}


def test_a_deleted_bad_file_takes_its_stub_and_its_empty_folder_along(root: Path, bundle: PipelineBundle) -> None:
    write(root / "team", bad=MISSPELT)
    write(root, a=small("a"))
    bundle.refresh()
    assert (bundle.path / "team").is_dir()
    (root / "team" / "bad.yaml").unlink()
    bundle.refresh()
    assert stubs(bundle) == {"shards/000.py"}
    assert not (bundle.path / "team").exists()


def test_a_renamed_file_is_another_pipeline_and_the_old_one_goes(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"), b=small("b"))
    bundle.refresh()
    (root / "a.yaml").rename(root / "c.yaml")
    bundle.refresh()
    assert told(bundle).keys() == {"b", "c"}
    assert BundleStore(bundle.home).names() == ["b", "c"]


def test_a_file_that_moves_to_another_folder_keeps_its_pipeline(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    (root / "team").mkdir()
    (root / "a.yaml").rename(root / "team" / "a.yaml")
    bundle.refresh()
    dag = bag_of(bundle).dags["a"]
    assert dag.fileloc == str(root / "team" / "a.yaml")
    assert not any(tag.startswith("older") for tag in dag.tags)


def test_a_dags_root_that_moves_takes_its_pipelines_along(root: Path, bundle: PipelineBundle, tmp_path: Path) -> None:
    write(root, a=small("a"), b=small("b"))
    bundle.refresh()
    moved = root.rename(tmp_path / "moved")
    write(moved, b=MISSPELT)
    later = bundle_at(tmp_path / "bundles", moved)
    later.refresh()
    bag = bag_of(later)
    assert bag.dags["a"].fileloc == str(moved / "a.yaml")
    assert set(bag.dag_ids) == {"a", "b"}, "the last good version was lost"
    assert set(bag.import_errors) == {"b.yaml.py"}


def test_what_airflowignore_names_is_no_pipeline_as_soon_as_it_does(root: Path, bundle: PipelineBundle) -> None:
    write(root / "drafts", b=small("b"), bad=MISSPELT)
    write(root, a=small("a"))
    bundle.refresh()
    assert told(bundle).keys() == {"a", "b"}
    (root / ".airflowignore").write_text("drafts/\n")
    bundle.refresh()
    assert (told(bundle).keys(), stubs(bundle)) == ({"a"}, {"shards/000.py"})


def test_linked_files_and_folders_are_read_and_links_in_a_circle_end(
    root: Path, bundle: PipelineBundle, tmp_path: Path
) -> None:
    write(tmp_path / "elsewhere", b=small("b"))
    write(root, a=small("a"))
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "c.yaml").symlink_to(write(tmp_path / "files", c=small("c")) / "c.yaml")
    for number in range(3):
        (root / f"circle{number}").symlink_to(root)
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    (root / "nowhere.yaml").symlink_to(root / "gone.yaml")
    bundle.refresh()
    assert told(bundle).keys() == {"a", "b", "c"}


def test_a_linked_folder_that_changes_is_seen(root: Path, bundle: PipelineBundle, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", b=small("b"))
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    bundle.refresh()
    write(tmp_path / "elsewhere", c=small("c"))
    bundle.refresh()
    assert told(bundle).keys() == {"b", "c"}


def test_a_pipe_below_the_root_holds_nothing_up(root: Path, tmp_path: Path) -> None:
    write(root, a=small("a"))
    os.mkfifo(root / "pipe.csv")
    bundle = bundle_at(tmp_path / "bundles", root, snapshots=str(tmp_path / "snapshots"))
    bundle.refresh()
    assert told(bundle).keys() == {"a"}


def test_an_unchanged_stub_is_not_written_again(root: Path, tmp_path: Path) -> None:
    bundle = bundle_at(tmp_path / "bundles", root, shard_size=1)
    write(root, **{f"p{number}": small(f"p{number}") for number in range(6)}, bad=MISSPELT)
    bundle.refresh()
    before = told(bundle)
    for name in stubs(bundle):
        os.utime(bundle.path / name, (1, 1))
    write(root, p3=small("p3", into="elsewhere"))
    bundle.refresh()
    assert {name for name in before if told(bundle)[name] != before[name]} == {"p3"}
    written = [name for name in stubs(bundle) if (bundle.path / name).stat().st_mtime != 1]
    assert len(written) == 1
    assert "'p3'" in (bundle.path / written[0]).read_text()


def test_nothing_is_looked_at_when_nothing_changed(root: Path, bundle: PipelineBundle, looks: list[Path]) -> None:
    write(root, a=small("a"), bad=MISSPELT)
    bundle.refresh()
    bundle.refresh()
    bundle_at(bundle.base_dir.parent, root).refresh()
    assert len(looks) == 1


def test_a_refresh_with_nothing_changed_opens_its_sync_state_alone(root: Path, bundle: PipelineBundle) -> None:
    write(root, bad=MISSPELT, **{f"p{number}": small(f"p{number}") for number in range(5)})
    (root / "jobs").mkdir()
    (root / "jobs" / "job.py").write_text("print()")
    bundle.refresh()
    bundle.refresh()
    opened: list[str] = []
    listening = True

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event == "open":
            opened.append(str(arguments[0]))

    sys.addaudithook(hear)
    try:
        bundle.refresh()
    finally:
        listening = False
    assert opened == [str(BundleStore(bundle.home).sync_state)]


def test_a_change_of_the_same_size_and_time_of_modification_is_seen(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a", into="one"))
    file = root / "a.yaml"
    times = (file.stat().st_atime, file.stat().st_mtime)
    bundle.refresh()
    before = told(bundle)
    copy = root / "copy"
    copy.write_text(small("a", into="two"))
    copy.replace(file)
    os.utime(file, times)
    bundle.refresh()
    assert told(bundle) != before


def test_a_young_change_is_looked_at_again(
    root: Path, bundle: PipelineBundle, looks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A second change within the same tick of the clock would otherwise be missed for ever.
    monkeypatch.setattr(sync_module, "_SETTLED", 60.0)
    write(root, a=small("a"))
    bundle.refresh()
    bundle.refresh()
    assert len(looks) == 2


def test_a_change_while_the_tree_is_read_is_seen_the_next_time(
    root: Path, bundle: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a"))
    read = scan_module.read_draft

    def slow(*arguments: Any) -> Any:
        draft = read(*arguments)
        write(root, a=small("a", into="later"))
        return draft

    monkeypatch.setattr(scan_module, "read_draft", slow)
    bundle.refresh()
    before = told(bundle)
    monkeypatch.undo()
    bundle.refresh()
    assert told(bundle) != before


@pytest.mark.parametrize("lost", ["shards/000.py", "bad.yaml.py"])
def test_lost_stubs_are_made_again(root: Path, bundle: PipelineBundle, lost: str) -> None:
    write(root, a=small("a"), bad=MISSPELT)
    bundle.refresh()
    text = (bundle.path / lost).read_text()
    (bundle.path / lost).unlink()
    bundle.refresh()
    assert (bundle.path / lost).read_text() == text


@pytest.mark.parametrize("rest", [b"", b"rubbish"])
def test_a_lost_pipeline_is_missed_by_the_parse_and_made_again(root: Path, bundle: PipelineBundle, rest: bytes) -> None:
    write(root, a=small("a"), b=small("b"))
    bundle.refresh()
    (BundleStore(bundle.home).folder / "pipelines" / "a").write_bytes(rest)
    assert bag_of(bundle).dag_ids == ["b"]
    bundle.refresh()
    assert set(bag_of(bundle).dag_ids) == {"a", "b"}
    assert BundleStore(bundle.home).build_failures() == {}


@pytest.mark.parametrize("broken", ['{"state": ', "[]", ""])
def test_a_broken_sync_state_is_no_obstacle(root: Path, bundle: PipelineBundle, looks: list[Path], broken: str) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    BundleStore(bundle.home).sync_state.write_text(broken)
    bundle.refresh()
    bundle.refresh()
    assert len(looks) == 2
    assert told(bundle).keys() == {"a"}


@pytest.mark.parametrize("kind", ["drafts", "trials"])
def test_broken_findings_are_no_obstacle(root: Path, bundle: PipelineBundle, kind: str) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    for path in (BundleStore(bundle.home).folder / kind).iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    write(root, b=small("b"))
    bundle.refresh()
    assert told(bundle).keys() == {"a", "b"}


def test_a_root_that_is_gone_does_not_take_the_pipelines_away(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    root.rename(root.with_name("unmounted"))
    with pytest.raises(FileNotFoundError, match="keep their last good versions"):
        bundle.refresh()
    assert bag_of(bundle).dag_ids == ["a"]


def test_no_file_is_ever_seen_half_written(root: Path, bundle: PipelineBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, a=small("a"), b=small("b"))
    bundle.refresh()
    before = {path: path.read_bytes() for path in bundle.home.rglob("*") if path.is_file()}
    write(root, a=small("a", into="elsewhere"), b=MISSPELT)

    def dies(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        bundle.refresh()
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in bundle.home.rglob("*") if path.is_file()} == before
    bundle.refresh()
    assert set(bag_of(bundle).import_errors) == {"b.yaml.py"}


def test_the_size_of_shards_is_a_setting_that_holds_at_once(root: Path, tmp_path: Path) -> None:
    write(root, **{f"p{number}": small(f"p{number}") for number in range(12)})
    for size, shards in ((3, 4), (6, 2), (50, 1), (1, 12)):
        bundle = bundle_at(tmp_path / "bundles", root, shard_size=size)
        bundle.refresh()
        assert stubs(bundle) == {f"shards/{number:03}.py" for number in range(shards)}
        assert len(told(bundle)) == 12


def test_a_few_pipelines_less_do_not_move_the_others(root: Path, tmp_path: Path) -> None:
    bundle = bundle_at(tmp_path / "bundles", root, shard_size=2)
    write(root, **{f"p{number}": small(f"p{number}") for number in range(8)})
    bundle.refresh()
    (root / "p0.yaml").unlink()
    (root / "p1.yaml").unlink()
    bundle.refresh()
    assert len(stubs(bundle)) == 4
    for number in range(2, 8):
        (root / f"p{number}.yaml").unlink()
    (root / ".sluicegate-empty").touch()
    bundle.refresh()
    assert stubs(bundle) == set()


def test_a_shard_that_a_pipeline_left_is_parsed_once_more_when_airflow_takes_that_for_deleted(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Airflow compares two parses of the file: with the one right after the deletion it may not see it.
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD", "40")
    clock = Clock()
    monkeypatch.setattr(sync_module, "time", clock)
    bundle = bundle_at(tmp_path / "bundles", root, shard_size=1)
    write(root, **{f"p{number}": small(f"p{number}") for number in range(8)})
    bundle.refresh()
    left = bundle.path / shard_name(shard_of("p0", 8))
    others = [name for name in stubs(bundle) if bundle.path / name != left]
    (root / "p0.yaml").unlink()
    write(root, **{f"q{number}": small(f"q{number}") for number in range(2)})  # so that the shards stay
    bundle.refresh()

    def parsed() -> bool:
        """Whether Airflow would parse that shard anew, and no other."""
        before = {name: (bundle.path / name).stat().st_mtime_ns for name in others}
        os.utime(left, (0, 0))
        bundle.refresh()
        assert {name: (bundle.path / name).stat().st_mtime_ns for name in others} == before
        return left.stat().st_mtime > 0

    assert not parsed()
    clock.now += 45
    assert not parsed()
    (root / "q1.yaml").unlink()  # a refresh that looks at files does not forget it
    bundle.refresh()
    clock.now += 10
    assert parsed()
    assert not parsed()


class Clock:
    """The time as a test wants it."""

    now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize("size", [0, -1])
def test_a_shard_size_that_makes_no_sense_is_refused(root: Path, size: int) -> None:
    with pytest.raises(ValueError, match="shard_size of the bundle pipelines is at least 1"):
        PipelineBundle(name="pipelines", root=str(root), shard_size=size)


def test_a_pipeline_that_moves_to_another_shard_is_never_in_none(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_at(tmp_path / "bundles", root, shard_size=2)
    names = {f"p{number}" for number in range(6)}
    write(root, **{name: small(name) for name in names})
    bundle.refresh()
    replace = Path.replace
    seen: list[set[str]] = []

    def watched(self: Path, target: Path) -> Path:
        done = replace(self, target)
        seen.append(set(told(bundle)))
        return done

    monkeypatch.setattr(Path, "replace", watched)
    write(root, **{f"q{number}": small(f"q{number}") for number in range(20)})
    bundle.refresh()
    for each in root.glob("q*.yaml"):
        each.unlink()
    bundle.refresh()
    assert seen
    assert all(names <= each for each in seen)


def test_an_upgrade_looks_at_all_files_again(
    root: Path, bundle: PipelineBundle, looks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Entries of another Airflow cannot be read: were nothing looked at, every DAG would go.
    write(root, a=small("a"))
    bundle.refresh()
    with another_provider(monkeypatch):
        bundle.refresh()
    assert len(looks) == 2


def test_drafts_that_killed_processes_left_go_after_a_day(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    old, young = (bundle.path / "shards" / f".{name}.draft" for name in ("old", "young"))
    for draft in (old, young):
        draft.write_text("half")
    os.utime(old, (1, 1))
    write(root, b=small("b"))
    bundle.refresh()
    assert (old.exists(), young.exists()) == (False, True)


def test_the_sync_state_says_of_which_files_and_in_how_many_shards(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    known = json.loads(BundleStore(bundle.home).sync_state.read_text())
    assert (known["shards"], known["size"], known["stubs"]) == (1, 50, ["shards/000.py"])


def test_a_bad_file_whose_name_is_how_a_good_one_begins_stops_no_task(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "stores.yaml").write_text(
        "sluicegate: 1\nmatrix: {region: [eu], channel: [web]}\n"
        'steps:\n  a: {load: s3://x/x.csv, into: "table://wh/{{ matrix.region }}", key: id}\n'
    )
    write(root, stores_eu=MISSPELT)
    worker = bundle_at(tmp_path / "worker", root)
    bag = task_bag(worker, "stores_eu_web", monkeypatch)
    assert (bag.import_errors, set(bag.dag_ids)) == ({}, {"stores_eu_web"})
