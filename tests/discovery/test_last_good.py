"""A bad edit never stops what runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from sluicegate.discovery import store as home_module
from sluicegate.discovery import stub_sync as sync_module
from sluicegate.discovery.bundle import PipelineBundle
from sluicegate.discovery.store import BundleStore
from tests.discovery.bundles import OPERATORS, bag_of, bundle_at, custom, reader, small, stubs, task_bag, told
from tests.factory.files import MISSPELT, write


def is_older(dag: DAG) -> bool:
    tagged = any(tag.startswith("older version ") for tag in dag.tags)
    said = "runs an older version of" in (dag.doc_md or "")
    assert tagged == said
    return tagged


def test_a_file_that_turns_bad_goes_on_as_it_was_and_says_so(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a", more="owner: one\n"), b=small("b"))
    bundle.refresh()
    good = bag_of(bundle).dags["a"]
    assert not is_older(good)
    version = BundleStore(bundle.home).pipeline("a").version  # type: ignore[union-attr]

    write(root, a=MISSPELT)
    bundle.refresh()
    bag = bag_of(bundle)
    assert set(bag.dag_ids) == {"a", "b"}
    assert set(bag.import_errors) == {"a.yaml.py"}
    assert "a.yaml:2:1: error" in bag.import_errors["a.yaml.py"]
    dag = bag.dags["a"]
    assert is_older(dag)
    assert not is_older(bag.dags["b"])
    assert f"older version {version}" in dag.tags
    heading, _, rest = (dag.doc_md or "").partition("\n\n")
    assert heading == "# This DAG runs an older version of `a.yaml`"
    assert rest.startswith(f"Version {version}, good since 2")
    assert dag.dag_display_name == "a (older version)"
    assert json.loads(json.dumps(DagSerialization.to_dict(dag)))["dag"]["dag_display_name"] == "a (older version)"
    assert bag.dags["b"].dag_display_name == "b"
    assert dag.get_task("a").owner == "one"
    assert list(dag.task_dict) == list(good.task_dict)
    assert json.dumps(DagSerialization.to_dict(dag)), "an older version cannot be serialized"

    write(root, a=small("a", more="owner: two\n"))
    bundle.refresh()
    bag = bag_of(bundle)
    assert bag.import_errors == {}
    assert not is_older(bag.dags["a"])
    assert bag.dags["a"].get_task("a").owner == "two"


def test_the_code_tab_shows_the_text_that_runs(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    write(root, a=MISSPELT)
    bundle.refresh()
    shown = Path(bag_of(bundle).dags["a"].fileloc)
    assert shown.read_text().partition("\n")[2] == small("a")
    write(root, a=small("a", into="elsewhere"))
    bundle.refresh()
    assert bag_of(bundle).dags["a"].fileloc == str(root / "a.yaml")
    assert not shown.exists()


def test_the_last_good_version_survives_further_edits_and_other_processes(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    for number in range(3):
        write(root, a=f"{MISSPELT}# {number}\n", other=small("other", into=f"t{number}"))
        later = bundle_at(bundle.base_dir.parent, root)
        later.initialize()
        assert is_older(bag_of(later).dags["a"])


def test_a_file_that_goes_back_to_what_it_said_is_as_if_nothing_had_been(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    before, since = told(bundle), BundleStore(bundle.home).pipeline("a").good_since  # type: ignore[union-attr]
    write(root, a=MISSPELT)
    bundle.refresh()
    write(root, a=small("a"))
    bundle.refresh()
    assert told(bundle) == before
    assert BundleStore(bundle.home).pipeline("a").good_since == since  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "sluicgate: 1\nsteps: {}\n", "\x00", "sluicegate: 1\nsteps:\n  a: {load: [", "[1, 2]\n"],
)
def test_a_file_that_is_emptied_or_no_pipeline_any_more_is_a_mistake_not_a_wish(
    root: Path, bundle: PipelineBundle, text: str
) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    write(root, a=text)
    bundle.refresh()
    bag = bag_of(bundle)
    assert is_older(bag.dags["a"])
    assert "a.yaml" in bag.import_errors["a.yaml.py"]


def test_an_older_version_goes_with_its_file(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"), b=small("b"))
    bundle.refresh()
    write(root, a=MISSPELT)
    bundle.refresh()
    (root / "a.yaml").unlink()
    bundle.refresh()
    bag = bag_of(bundle)
    assert (bag.dag_ids, bag.import_errors) == (["b"], {})
    home = BundleStore(bundle.home)
    assert (home.pipeline("a"), home.older("a").exists()) == (None, False)


def test_a_file_that_was_never_good_has_no_dag(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=MISSPELT)
    bundle.refresh()
    assert bag_of(bundle).dag_ids == []


def test_who_reads_from_a_file_that_turned_bad_stays_good(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"), b=reader("a"), c=small("c"))
    bundle.refresh()
    write(root, a="sluicegate: 1\nsteps: [\n")
    bundle.refresh()
    bag = bag_of(bundle)
    assert set(bag.import_errors) == {"a.yaml.py"}
    assert {name: is_older(dag) for name, dag in bag.dags.items()} == {"a": True, "b": False, "c": False}
    write(root, b=reader("a") + "  more: {operator: airflow.providers.standard.operators.empty.EmptyOperator}\n")
    bundle.refresh()
    bag = bag_of(bundle)
    assert set(bag.import_errors) == {"a.yaml.py"}
    assert "more" in bag.dags["b"].task_dict


def test_a_new_reader_of_a_file_that_turned_bad_is_checked_against_what_runs(
    root: Path, bundle: PipelineBundle
) -> None:
    write(root, a=small("a"))
    bundle.refresh()
    write(root, a="sluicegate: 1\nsteps: [\n", b=reader("a"), c=reader("a", of="nothing"))
    bundle.refresh()
    bag = bag_of(bundle)
    assert set(bag.dag_ids) == {"a", "b"}
    assert set(bag.import_errors) == {"a.yaml.py", "c.yaml.py"}


def test_an_upstream_that_drops_a_dataset_is_an_error_at_its_reader_which_goes_on(
    root: Path, bundle: PipelineBundle
) -> None:
    write(root, a=small("a"), b=reader("a"))
    bundle.refresh()
    write(root, a=small("a").replace("out", "renamed"))
    bundle.refresh()
    bag = bag_of(bundle)
    assert set(bag.import_errors) == {"b.yaml.py"}
    assert {name: is_older(dag) for name, dag in bag.dags.items()} == {"a": False, "b": True}


def test_an_upstream_that_cannot_be_built_does_not_count_with_what_it_would_have_changed(
    root: Path, bundle: PipelineBundle
) -> None:
    write(root, a=small("a"), b=reader("a"))
    bundle.refresh()
    broken = "  z: {operator: airflow.providers.standard.operators.bash.BashOperator, with: {bash_comand: x}}\n"
    write(root, a=small("a").replace("out", "renamed") + broken, c=reader("a", of="renamed"))
    bundle.refresh()
    bag = bag_of(bundle)
    assert set(bag.import_errors) == {"a.yaml.py", "c.yaml.py"}
    assert "bash_comand" in bag.import_errors["a.yaml.py"]
    assert {name: is_older(dag) for name, dag in bag.dags.items()} == {"a": True, "b": False}


MATRIX = """\
sluicegate: 1
matrix: {city: [aa, bb, cc]}
datasets: {out: "table://warehouse/public.{{ matrix.city }}"}
steps:
  a: {load: "s3://x/{{ matrix.city }}.csv", into: out, key: id}
"""


def test_of_a_matrix_that_loses_a_value_one_pipeline_goes(root: Path, bundle: PipelineBundle) -> None:
    write(root, m=MATRIX)
    bundle.refresh()
    assert told(bundle).keys() == {"m_aa", "m_bb", "m_cc"}, bag_of(bundle).import_errors
    write(root, m=MATRIX.replace(", cc", ""))
    bundle.refresh()
    bag = bag_of(bundle)
    assert (set(bag.dag_ids), bag.import_errors) == ({"m_aa", "m_bb"}, {})


def test_all_pipelines_of_a_matrix_go_on_when_it_turns_bad(root: Path, bundle: PipelineBundle) -> None:
    write(root, m=MATRIX)
    bundle.refresh()
    write(root, m=MATRIX.replace("key: id", "kee: id"))
    bundle.refresh()
    bag = bag_of(bundle)
    assert {name: is_older(dag) for name, dag in bag.dags.items()} == {"m_aa": True, "m_bb": True, "m_cc": True}
    assert set(bag.import_errors) == {"m.yaml.py"}


def test_a_new_file_that_takes_a_name_twice_does_not_stop_the_old_one(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"), b=reader("a"))
    bundle.refresh()
    write(root / "team", a=small("a", into="elsewhere"))
    bundle.refresh()
    bag = bag_of(bundle)
    assert set(bag.dag_ids) == {"a", "b"}
    assert set(bag.import_errors) == {"a.yaml.py", "team/a.yaml.py"}
    (root / "team" / "a.yaml").unlink()
    bundle.refresh()
    bag = bag_of(bundle)
    assert (set(bag.dag_ids), bag.import_errors) == ({"a", "b"}, {})
    assert not is_older(bag.dags["a"])


def test_bad_defaults_stop_nothing(root: Path, bundle: PipelineBundle) -> None:
    write(root, a=small("a"), b=small("b"))
    (root / "defaults.yaml").write_text("owner: one\n")
    bundle.refresh()
    (root / "defaults.yaml").write_text("owner: [\n")
    bundle.refresh()
    bag = bag_of(bundle)
    assert {name: is_older(dag) for name, dag in bag.dags.items()} == {"a": True, "b": True}
    assert set(bag.import_errors) == {"a.yaml.py", "b.yaml.py"}
    assert bag.dags["a"].get_task("a").owner == "one"


def test_an_older_version_that_cannot_be_built_any_more_is_told(root: Path, bundle: PipelineBundle) -> None:
    (root / "mine.py").write_text(OPERATORS)
    write(root, a=custom("mine"), b=small("b"))
    bundle.refresh()
    write(root, a=MISSPELT)
    (root / "mine.py").write_text("raise RuntimeError('gone')\n")
    bundle.refresh()
    bag = bag_of(bundle)
    assert bag.dag_ids == ["b"]
    assert "the last good version of `a` cannot be built any more either" in bag.import_errors["a.yaml.py"]
    (root / "mine.py").write_text(OPERATORS)
    bundle.refresh()
    bag = bag_of(bundle)
    assert is_older(bag.dags["a"])
    assert "either" not in bag.import_errors["a.yaml.py"]


# Where a task starts.


@pytest.fixture
def worker(root: Path, tmp_path: Path) -> PipelineBundle:
    return bundle_at(tmp_path / "worker", root)


def test_a_worker_that_never_saw_the_folder_runs_any_pipeline_from_any_shard(
    root: Path, worker: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a"), b=reader("a"), bad=MISSPELT)
    for number in (0, 1, 77, 127):
        assert task_bag(worker, "b", monkeypatch, number).dag_ids == ["b"]


def test_a_pipeline_that_moved_to_another_shard_is_found_where_it_was(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_at(tmp_path / "bundles", root, shard_size=1)
    write(root, a=small("a"), b=small("b"), c=small("c"))
    bundle.refresh()
    for number in range(3):
        assert task_bag(bundle, "b", monkeypatch, number).dag_ids == ["b"]


def test_a_worker_lacks_no_shard_however_many_pipelines_a_matrix_makes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (home_module, sync_module):
        monkeypatch.setattr(module, "LEAST", 8)
    write(root, m=MATRIX.replace("cc", "cc, dd, ee, ff, gg, hh, ii, jj, kk, ll"))
    bundle, worker = (bundle_at(tmp_path / name, root, shard_size=1) for name in ("bundles", "worker"))
    bundle.refresh()
    assert len(told(bundle)) == 12
    task_bag(worker, "m_aa", monkeypatch)
    assert stubs(bundle) < stubs(worker)


def test_what_a_killed_worker_left_is_completed(
    root: Path, worker: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a"))
    replace, left = Path.replace, [40]

    def dies(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            task_bag(worker, "a", monkeypatch)
    for number in (0, 63, 127):
        assert task_bag(worker, "a", monkeypatch, number).dag_ids == ["a"]


def test_a_worker_without_the_last_good_version_says_so(
    root: Path, worker: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=MISSPELT)
    bag = task_bag(worker, "a", monkeypatch)
    [text] = bag.import_errors.values()
    assert "a.yaml:2:1: error" in text
    assert "No earlier version of `a` is known on this machine" in text
    assert task_bag(worker, "none", monkeypatch).import_errors


def test_a_worker_that_ran_a_pipeline_goes_on_with_what_it_knew(
    root: Path, worker: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a", more="owner: one\n"))
    task_bag(worker, "a", monkeypatch)
    write(root, a=MISSPELT)
    assert task_bag(worker, "a", monkeypatch).dags["a"].get_task("a").owner == "one"


def test_a_worker_uses_a_newer_good_file_at_once(
    root: Path, bundle: PipelineBundle, worker: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (bundle, worker):
        write(root, a=small("a", more="owner: one\n"))
        if each is bundle:
            each.refresh()
        assert task_bag(each, "a", monkeypatch).dags["a"].get_task("a").owner == "one"
        write(root, a=small("a", more="owner: two\n"))
        assert task_bag(each, "a", monkeypatch).dags["a"].get_task("a").owner == "two"


def test_a_task_that_starts_does_not_decide_which_version_was_good(
    root: Path, bundle: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Alone, the new version is right. Among all others it is not: its name is taken by then.
    write(root, a=small("a", more="owner: one\n"))
    bundle.refresh()
    write(root, a=small("a", more="owner: two\n"))
    task_bag(bundle, "a", monkeypatch)
    write(root / "team", a=small("a", into="elsewhere"))
    bundle.refresh()
    assert bag_of(bundle).dags["a"].get_task("a").owner == "one"


def test_a_task_that_starts_loads_one_entry_however_many_there_are(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, **{f"p{number}": small(f"p{number}") for number in range(20)})
    bundle = bundle_at(tmp_path / "bundles", root)
    bundle.refresh()
    loaded: list[str] = []
    entry = BundleStore.pipeline

    def counted(self: BundleStore, name: str) -> Any:
        loaded.append(name)
        return entry(self, name)

    monkeypatch.setattr(BundleStore, "pipeline", counted)
    assert task_bag(bundle, "p7", monkeypatch).dag_ids == ["p7"]
    assert loaded == ["p7"]


def test_a_task_that_starts_opens_no_other_pipeline(
    root: Path, bundle: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a=small("a"), b=reader("a"), c=small("c"))
    bundle.refresh()
    (root / "c.yaml").unlink()
    (root / "c.yaml").symlink_to(root / "c.yaml")  # opening it fails
    assert task_bag(bundle, "b", monkeypatch).dag_ids == ["b"]


@pytest.mark.parametrize(
    "text",
    [
        "sluicegate: 1\ndag: {on_failure_callback: {class: mine.Thing}}\n"
        "steps: {a: {operator: airflow.providers.standard.operators.empty.EmptyOperator}}\n",
        "sluicegate: 1\nsteps:\n  a:\n    operator: airflow.providers.standard.operators.empty.EmptyOperator\n"
        "    with: {on_failure_callback: [{class: mine.Thing}]}\n",
    ],
    ids=["dag", "step"],
)
def test_a_class_of_an_argument_that_is_gone_is_found_before_airflow_finds_it(
    root: Path, bundle: PipelineBundle, text: str
) -> None:
    code = root / "mine.py"
    code.write_text(
        "from airflow.sdk import BaseNotifier\n\n\nclass Thing(BaseNotifier):\n    def notify(self, context): ...\n"
    )
    write(root, a=text)
    bundle.refresh()
    assert "a.yaml.py" not in stubs(bundle)
    code.write_text("")
    bundle.refresh()
    assert "a.yaml.py" in stubs(bundle)
