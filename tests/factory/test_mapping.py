"""Mapped steps, groups, setups and teardowns as Airflow gets them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import AirflowSkipException
from airflow.serialization.serialized_objects import DagSerialization

from sluicegate.faults import FaultError
from sluicegate.load.operator import LoadOperator
from sluicegate.pipeline import PipelineErrors
from sluicegate.transform.operator import TransformOperator
from sluicegate.transform.python import PythonStepOperator
from sluicegate.wait.files import FilesOperator
from sluicegate.wait.sensor import SourceSensor
from tests.factory.files import dags_of, write

HEAD = 'sluicegate: 1\nowner: me\nschedule: {cron: "@daily", start: 2026-01-01}\n'
EMPTY = "operator: airflow.providers.standard.operators.empty.EmptyOperator"
BASH = "operator: airflow.providers.standard.operators.bash.BashOperator"
DAY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def functions(root: Path) -> None:
    (root / "mapped_work.py").write_text(
        "def make(): return [1]\ndef use(item, writes, n): return item, writes, n\ndef clean(r, item): return r\n"
    )


def dag_of(root: Path, text: str, name: str = "it", **others: str) -> DAG:
    write(root, **{name: HEAD + text}, **others)
    dag = dags_of(root, f"{name}.yaml")[0]
    dag.validate()
    return dag


def edges(dag: DAG) -> set[tuple[str, str]]:
    return {(task.task_id, after) for task in dag.tasks for after in task.downstream_task_ids}


def serialized(dag: DAG) -> dict[str, Any]:
    data = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    assert not re.search(r" at 0x[0-9a-f]+", json.dumps(data)), "an address changes with every parse"
    assert DagSerialization.from_dict(data).dag_id == dag.dag_id
    return {task["__var"]["task_id"]: task["__var"] for task in data["dag"]["tasks"]}


def instance(dag: DAG, task_id: str, index: int) -> Any:
    """One instance of a mapped task, its templates rendered as Airflow's task runner does."""
    task = dag.get_task(task_id)
    assert isinstance(task, MappedOperator)
    context: Any = {
        "ti": SimpleNamespace(map_index=index, try_number=1, task=task),
        "dag": dag,
        "dag_run": SimpleNamespace(conf={}, data_interval_start=DAY, data_interval_end=DAY.replace(day=2)),
        "params": {},
        "run_id": "r",
        "ds": "airflow's",
    }
    task.render_template_fields(context)
    made = context["task"]
    made.shown = dag.get_template_env().from_string(task.map_index_template).render(context)
    return made


def test_every_kind_of_step_has_its_item_at_run_time(root: Path) -> None:
    dag = dag_of(
        root,
        "datasets: {raw: 's3://in/{{ ds }}/{{ item.region }}.csv', out: 's3://out/{{ item.region }}.parquet'}\n"
        "steps:\n"
        "  load: {load: raw, into: 'table://w/t', for_each: &all [{region: eu, n: 1}, {region: us, n: 2}]}\n"
        "  shape: {transform: 'mapped_work:clean', reads: {r: raw}, writes: out, for_each: *all}\n"
        "  tell: {python: 'mapped_work:use', writes: {o: 's3://o/{{ item.n }}'},\n"
        "    with: {n: '{{ item.n }}'}, for_each: *all}\n"
        f"  shell:\n    {BASH}\n    with: {{bash_command: 'echo {{{{ item.n }}}} {{{{ window.start.day }}}}'}}\n"
        "    for_each: *all\n",
    )
    load, shape = instance(dag, "load", 1), instance(dag, "shape", 0)
    assert isinstance(load, LoadOperator)
    assert load.source == "s3://in/2026-01-01/us.csv"
    assert isinstance(shape, TransformOperator)
    assert shape.reads == {"r": "s3://in/2026-01-01/eu.csv"}
    assert shape.writes == {"out": "s3://out/eu.parquet"}
    tell = instance(dag, "tell", 1)
    assert isinstance(tell, PythonStepOperator)
    assert (tell.writes, tell.with_, tell.item) == ({"o": "s3://o/2"}, {"n": "2"}, {"region": "us", "n": 2})
    assert instance(dag, "shell", 1).bash_command == "echo 2 1"


def test_a_function_gets_the_item_itself_when_it_names_it(root: Path) -> None:
    dag = dag_of(root, "steps: {tell: {python: 'mapped_work:use', with: {n: 1}, for_each: [{a: 1}]}}\n")
    task = instance(dag, "tell", 0)
    step = SimpleNamespace(dry_run=False, params={}, window=None, item=task.item, mapped=True)
    assert task.run({}, step).value == ({"a": 1}, {}, 1)


def test_the_ui_shows_the_item_and_not_its_number(root: Path) -> None:
    dag = dag_of(
        root,
        f"steps:\n  a: {{{EMPTY}, for_each: [eu, us]}}\n"
        f"  b: {{{EMPTY}, for_each: {{items: [{{n: 7}}], label: 'no. {{{{ item.n }}}}'}}}}\n"
        f"  c: {{{EMPTY}, for_each: [{'x' * 300}]}}\n",
    )
    assert [instance(dag, "a", 1).shown, instance(dag, "b", 0).shown] == ["us", "no. 7"]
    assert len(instance(dag, "c", 0).shown) <= 250, "more does not fit into Airflow's column"


def test_a_mapped_task_keeps_what_the_step_says(root: Path) -> None:
    dag = dag_of(
        root,
        "datasets: {part: 's3://lake/x/{{ item }}.csv', whole: s3://lake/x/}\n"
        f"steps:\n  a: {{{EMPTY}, for_each: {{items: [eu], max_active: 2}}, writes: part, group: g,\n"
        "    retries: 7, pool: p}\n"
        "  b: {load: whole, into: 'table://w/t'}\n",
    )
    task = dag.get_task("a")
    assert (task.task_type, task.retries, task.pool, task.owner) == ("EmptyOperator", 7, "p", "me")
    assert task.max_active_tis_per_dagrun == 2
    assert [asset.name for asset in task.outlets] == ["it.part", "it.whole"]
    assert task.task_group is not None
    assert task.task_group.group_id == "g"
    assert edges(dag) == {("a", "b")}
    stored = serialized(dag)["a"]
    assert stored["task_type"] == "EmptyOperator"
    assert stored["_task_module"] == "airflow.providers.standard.operators.empty"
    assert stored["partial_kwargs"]["has_retry_policy"] is True


def test_a_step_is_mapped_over_the_result_of_another_that_stands_behind_it(root: Path) -> None:
    dag = dag_of(
        root,
        "steps:\n  use: {python: 'mapped_work:use', with: {n: 1}, for_each: {output_of: make}}\n"
        "  again: {python: 'mapped_work:use', with: {n: 1}, for_each: {output_of: use}}\n"
        "  make: {python: 'mapped_work:make'}\n",
    )
    assert edges(dag) == {("make", "use"), ("use", "again")}
    assert serialized(dag)["use"]["expand_input"] == {
        "type": "dict-of-lists",
        "value": {
            "__type": "dict",
            "__var": {"item": {"__type": "xcomref", "__var": {"task_id": "make", "key": "return_value"}}},
        },
    }


def test_files_are_listed_by_a_task_of_their_own_once_all_before_the_step_is_done(root: Path) -> None:
    dag = dag_of(
        root,
        f"steps:\n  export: {{{EMPTY}}}\n  files_of__bring: {{{EMPTY}}}\n"
        "  bring:\n    load: '{{ item }}'\n    into: table://w/t\n    after: export\n    wait: 1h\n"
        "    for_each: {files: 's3://in/{{ ds }}/*.csv'}\n",
    )
    # The step that took the name keeps it.
    listing, sensor = dag.get_task("files_of__bring_2"), dag.get_task("wait_for__bring")
    assert isinstance(listing, FilesOperator)
    assert isinstance(sensor, SourceSensor)
    assert sensor.matching
    before = {"export", "wait_for__bring"}
    assert edges(dag) == {(one, other) for one in before for other in ("bring", "files_of__bring_2")} | {
        ("files_of__bring_2", "bring")
    }
    serialized(dag)


def test_files_that_match_are_the_items(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text("x")
    task = FilesOperator(task_id="f", files=f"file://{tmp_path}/*.csv")
    assert task.run({}, SimpleNamespace(dry_run=False)).value == [
        f"file://{tmp_path}/a.csv",
        f"file://{tmp_path}/b.csv",
    ]  # type: ignore[typeddict-item, arg-type]


def test_without_a_file_the_run_fails_unless_it_may_be_skipped(tmp_path: Path) -> None:
    files = f"file://{tmp_path}/*.csv"
    real, dry = SimpleNamespace(dry_run=False), SimpleNamespace(dry_run=True)
    with pytest.raises(FaultError) as missing:
        FilesOperator(task_id="f", files=files).run({}, real)  # type: ignore[typeddict-item, arg-type]
    assert missing.value.code == "SOURCE_MISSING"
    assert FilesOperator(task_id="s", files=files, empty="skip").run({}, real).value == []  # type: ignore[typeddict-item, arg-type]
    with pytest.raises(AirflowSkipException):
        FilesOperator(task_id="d", files=files).run({}, dry)  # type: ignore[typeddict-item, arg-type]


def test_the_sources_of_all_items_of_a_list_are_waited_for(root: Path) -> None:
    dag = dag_of(
        root,
        "steps: {a: {load: 's3://in/{{ item }}/{{ ds }}.csv', into: 'table://w/t', wait: 1h, for_each: [eu, us]}}\n",
    )
    sensor = dag.get_task("wait_for__a")
    assert isinstance(sensor, SourceSensor)
    context: Any = {"data_interval_start": DAY, "data_interval_end": DAY.replace(day=2), "params": {}}
    context["ti"] = SimpleNamespace(map_index=-1)
    sensor.render_template_fields(context, dag.get_template_env())
    assert sensor.source == ["s3://in/eu/2026-01-01.csv", "s3://in/us/2026-01-01.csv"]


def test_what_an_operator_objects_to_is_told_for_a_mapped_step_as_well(root: Path) -> None:
    text = f"steps:\n  a:\n    {EMPTY}\n    for_each: [1]\n    with: {{retries: [many]}}\n"
    with pytest.raises(PipelineErrors, match=r"it\.yaml:\d+:\d+: error"):
        dag_of(root, text)


def test_groups_nest_and_steps_keep_their_names(root: Path) -> None:
    dag = dag_of(
        root,
        f"steps:\n  a: {{{EMPTY}, group: ingest.raw}}\n  b: {{{EMPTY}, group: ingest, after: a}}\n"
        f"  c: {{{EMPTY}, after: b}}\n"
        "  d: {load: 's3://b/x.csv', into: 'table://w/t', wait: 1h, group: ingest}\n",
    )
    assert {task.task_id for task in dag.tasks} == {"a", "b", "c", "d", "wait_for__d"}
    assert edges(dag) == {("a", "b"), ("b", "c"), ("wait_for__d", "d")}
    data = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    back = DagSerialization.from_dict(data).task_group
    groups = back.get_task_group_dict()
    assert set(groups) == {None, "ingest", "ingest__raw"}
    assert set(groups["ingest"].children) == {"ingest__raw", "b", "d", "wait_for__d"}
    assert groups["ingest__raw"].label == "raw"


def test_a_setup_and_its_teardown_are_airflows(root: Path) -> None:
    dag = dag_of(
        root,
        f"steps:\n  create: {{{EMPTY}}}\n  work: {{{EMPTY}, after: create}}\n"
        f"  delete: {{{EMPTY}, teardown_of: {{steps: create, fail_run: true}}}}\n"
        f"  each: {{{EMPTY}, for_each: [1], teardown_of: [aside]}}\n  aside: {{{EMPTY}}}\n",
    )
    assert edges(dag) == {("create", "work"), ("work", "delete"), ("create", "delete"), ("aside", "each")}
    create, delete, each = dag.get_task("create"), dag.get_task("delete"), dag.get_task("each")
    assert create.is_setup
    assert (delete.is_teardown, delete.on_failure_fail_dagrun) == (True, True)
    assert delete.trigger_rule == each.trigger_rule == "all_done_setup_success"
    stored = serialized(dag)
    assert stored["create"]["is_setup"]
    assert stored["delete"]["is_teardown"]
    assert stored["each"]["partial_kwargs"]["is_teardown"]


def test_a_rule_that_does_not_go_with_fail_fast_is_told_at_its_step(root: Path) -> None:
    text = f"dag: {{fail_fast: true}}\nsteps:\n  a: {{{EMPTY}}}\n  b: {{{EMPTY}, after: a, trigger_rule: all_done}}\n"
    with pytest.raises(PipelineErrors, match=r"it\.yaml:7:3: error.*fail"):
        dag_of(root, text)


def test_an_item_where_airflow_fills_in_nothing_is_told(root: Path) -> None:
    text = f"steps:\n  a:\n    {BASH}\n    for_each: [1]\n    with: {{bash_command: x, pool: 'p{{{{ item }}}}'}}\n"
    with pytest.raises(PipelineErrors, match=r"it\.yaml:8:\d+: error\[template\]: `pool` is not a template field"):
        dag_of(root, text)


def test_a_cluster_of_its_own_for_each_item(root: Path) -> None:
    (root / "job.py").touch()
    (root / "defaults.yaml").write_text(
        "artifacts: s3://code/\nclusters: {small: {release: emr-7.13.0, instances: {primary: m7g.xlarge}}}\n"
    )
    dag = dag_of(
        root,
        "steps:\n  s:\n    spark: job.py\n    cluster: small\n    args: [--region, '{{ item }}']\n"
        "    writes: {out: 's3://lake/{{ item }}/'}\n    for_each: [eu, us]\n",
    )
    task = instance(dag, "s", 1)
    assert task.jobs[0]["args"] == ["--region", "us"]
    assert task.writes == {"out": "s3://lake/us/"}
