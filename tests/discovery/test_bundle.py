from __future__ import annotations

import multiprocessing
import os
import re
import sys
from pathlib import Path

import pytest

from sluicegate.discovery.bundle import PipelineBundle
from tests.discovery.bundles import bag_of, bundle_at, stubs, told
from tests.factory.files import BAD_ARGUMENT, CYCLE, DELAYS, FLIGHTS, MISSPELT, SYNTAX, write
from tests.fresh import FreshAirflow


def test_good_files_load_and_each_bad_one_has_its_own_error(root: Path, bundle: PipelineBundle) -> None:
    write(
        root,
        flights=FLIGHTS,
        delays=DELAYS,
        open=SYNTAX,
        misspelt=MISSPELT,
        round=CYCLE,
        argument=BAD_ARGUMENT,
    )
    bundle.initialize()
    bag = bag_of(bundle)
    assert set(bag.dag_ids) == {"flights", "delays"}
    assert set(bag.import_errors) == {"open.yaml.py", "misspelt.yaml.py", "round.yaml.py", "argument.yaml.py"}
    places = {
        name: re.findall(r"^(\w+\.yaml):(\d+):(\d+): error", text, re.MULTILINE)
        for name, text in bag.import_errors.items()
    }
    assert places["open.yaml.py"] == [("open.yaml", "3", "6")]
    assert places["misspelt.yaml.py"] == [("misspelt.yaml", "2", "1")]
    assert places["round.yaml.py"][0][0] == "round.yaml"
    assert places["argument.yaml.py"] == [("argument.yaml", "5", "12")]
    for text in bag.import_errors.values():
        assert re.search(r"^ +\| *\^$", text, re.MULTILINE), "the caret is missing"


def test_the_error_ends_with_the_drawing(root: Path, bundle: PipelineBundle) -> None:
    write(root, misspelt=MISSPELT)
    bundle.initialize()
    text = bag_of(bundle).import_errors["misspelt.yaml.py"]
    assert "During handling" not in text
    assert text.count("misspelt.yaml:2:1") == 1
    assert text.rstrip().splitlines()[-1].strip() == "did you mean `schedule`?"


def test_a_name_taken_twice_hits_only_the_two(root: Path, bundle: PipelineBundle) -> None:
    write(root, flights=FLIGHTS)
    write(root / "team", same=MISSPELT.replace("shedule:", "schedule:").replace('"@daily"', "none"))
    write(root / "other", same=MISSPELT.replace("shedule:", "schedule:").replace('"@daily"', "none"))
    bundle.initialize()
    bag = bag_of(bundle)
    assert bag.dag_ids == ["flights"]
    assert set(bag.import_errors) == {"team/same.yaml.py", "other/same.yaml.py"}
    assert "taken twice" in bag.import_errors["team/same.yaml.py"]


def test_the_dag_names_the_yaml_and_the_stub(root: Path, bundle: PipelineBundle) -> None:
    write(root, flights=FLIGHTS)
    bundle.initialize()
    dag = bag_of(bundle).dags["flights"]
    assert dag.fileloc == str(root / "flights.yaml")
    assert dag.relative_fileloc == "shards/000.py"


def test_a_change_rewrites_the_stub_also_of_those_that_read_from_it(root: Path, bundle: PipelineBundle) -> None:
    write(root, flights=FLIGHTS, delays=DELAYS, apart=FLIGHTS.replace("lake", "pond").replace("warehouse", "w"))
    bundle.initialize()
    before = told(bundle)
    assert before.keys() == {"flights", "delays", "apart"}
    write(root, flights=FLIGHTS.replace("lake", "sea"))
    bundle.refresh()
    after = told(bundle)
    assert {name for name in after if after[name] != before[name]} == {"flights", "delays"}


def test_the_defaults_are_part_of_every_file_below_them(root: Path, bundle: PipelineBundle) -> None:
    write(root, flights=FLIGHTS)
    bundle.initialize()
    before = told(bundle)
    (root / "defaults.yaml").write_text("retries: {count: 1}\n")
    bundle.refresh()
    assert told(bundle) != before
    assert bag_of(bundle).dags["flights"].get_task("fetch").retries == 1


def test_a_file_turns_bad_and_good_again_under_one_name(root: Path, bundle: PipelineBundle) -> None:
    write(root, flights=FLIGHTS)
    bundle.initialize()
    write(root, flights=MISSPELT)
    bundle.refresh()
    assert set(bag_of(bundle).import_errors) == {"flights.yaml.py"}
    write(root, flights=FLIGHTS)
    bundle.refresh()
    bag = bag_of(bundle)
    assert (bag.dag_ids, bag.import_errors) == (["flights"], {})


def test_a_deleted_file_takes_its_dag_along(root: Path, bundle: PipelineBundle) -> None:
    write(root, flights=FLIGHTS, misspelt=MISSPELT)
    bundle.initialize()
    (root / "flights.yaml").unlink()
    (root / "misspelt.yaml").unlink()
    (root / ".sluicegate-empty").touch()
    bundle.refresh()
    bag = bag_of(bundle)
    assert (bag.dag_ids, bag.import_errors) == ([], {})


def test_other_yaml_files_are_left_alone(root: Path, bundle: PipelineBundle) -> None:
    write(root, values="apiVersion: v1\nkind: ConfigMap\n")
    bundle.initialize()
    assert stubs(bundle) == set()


def test_a_file_name_cannot_put_code_into_its_stub(root: Path, bundle: PipelineBundle) -> None:
    (root / "a\nraise SystemExit(7)\n.yaml").write_text(FLIGHTS)
    (root / os.fsdecode(b"\xff.yaml")).write_text(FLIGHTS)
    write(root, flights=FLIGHTS)
    bundle.initialize()
    bag = bag_of(bundle)
    assert bag.dag_ids == ["flights"]
    assert len(bag.import_errors) == 2


def test_the_dags_root_is_on_the_path_behind_installed_packages(root: Path, bundle: PipelineBundle) -> None:
    (root / "pydantic").mkdir()
    (root / "pydantic" / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    write(root, flights=FLIGHTS)
    bundle.initialize()
    assert sys.path[-1] == str(root)
    assert bag_of(bundle).dag_ids == ["flights"]


def test_a_worker_that_never_saw_the_folder_finds_everything(
    root: Path, bundle: PipelineBundle, tmp_path: Path
) -> None:
    write(root, flights=FLIGHTS)
    bundle.initialize()
    worker = bundle_at(tmp_path / "elsewhere", root)
    assert worker.path != bundle.path
    worker.initialize()
    assert stubs(worker) == {"shards/000.py"}
    assert bag_of(worker).dag_ids == ["flights"]


def test_a_missing_root_is_an_error_at_refresh_and_no_reason_to_forget(root: Path, bundle: PipelineBundle) -> None:
    write(root, flights=FLIGHTS)
    bundle.initialize()
    root.rename(root.with_name("unmounted"))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        bundle.refresh()
    bundle.initialize()
    assert stubs(bundle) == {"shards/000.py"}
    assert bag_of(bundle).dag_ids == ["flights"]


def _refresh(root: Path, storage: Path, times: int) -> None:
    bundle = bundle_at(storage, root)
    for _ in range(times):
        bundle.refresh()


def test_processes_may_refresh_at_once(root: Path, bundle: PipelineBundle, tmp_path: Path) -> None:
    bundle.initialize()
    write(root, flights=FLIGHTS, delays=DELAYS, misspelt=MISSPELT)
    context = multiprocessing.get_context("fork")
    arguments = (root, tmp_path / "bundles", 5)
    workers = [context.Process(target=_refresh, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(180)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert stubs(bundle) == {"shards/000.py", "misspelt.yaml.py"}
    assert set(bag_of(bundle).dag_ids) == {"flights", "delays"}


TASK_START = """
import os, sys
from pathlib import Path
from airflow.dag_processing.dagbag import BundleDagBag
from sluicegate.discovery.bundle import PipelineBundle
os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = "flights"
bundle = PipelineBundle(name="pipelines", root=sys.argv[1])
bundle.initialize()
stub = next(Path(bundle.path, "shards").glob("*.py"))
bag = BundleDagBag(dag_folder=stub, bundle_path=bundle.path, bundle_name="pipelines", safe_mode=False)
assert bag.dag_ids == ["flights"], bag.import_errors
from sluicegate.pipeline.keys.load import LoadOptions
print("compiled:", LoadOptions.__pydantic_complete__)
print(sorted(name for name in sys.modules if name.startswith("sluicegate.")))
"""


def test_a_task_that_starts_imports_no_reader_of_files_and_compiles_no_validation(
    root: Path, bundle: PipelineBundle, fresh: FreshAirflow
) -> None:
    write(root, flights=FLIGHTS)
    bundle.initialize()
    storage = {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(bundle.base_dir.parent)}
    done = fresh.run(TASK_START, root, env=storage)
    assert done.returncode == 0, done.stderr
    compiled, loaded = done.stdout.splitlines()[-2:]
    assert compiled == "compiled: False"
    for module in (
        "pipeline.text.yaml",
        "pipeline.file",
        "pipeline.tree",
        "discovery.scan",
        "discovery.stub_sync",
        "discovery.sandbox",
    ):
        assert f"sluicegate.{module}'" not in loaded
    assert "sluicegate.discovery.shard'" in loaded
