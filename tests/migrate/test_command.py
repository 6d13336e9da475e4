"""`sluicegate import dag-factory` as a command: files, exit codes, what it prints; and that nothing is dropped."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sluicegate.cli import app
from sluicegate.factory.attempt import build_diagnostics
from sluicegate.pipeline import read_tree
from tests.docs.pages import page
from tests.factory.files import dags_of
from tests.migrate.conftest import BASH, EMPTY, Shop

GOOD = f"good:\n  tasks: {{t: {{operator: {EMPTY}}}}}\n"


@pytest.fixture
def here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop.folder.mkdir()
    monkeypatch.chdir(shop.folder)
    return shop


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["import", "dag-factory", *arguments])


def test_a_pipeline_is_written_for_each_dag(here: Shop) -> None:
    here.write(GOOD + GOOD.replace("good", "other"))
    done = run("shop.yml", "-o", "out/dags")
    assert (done.exit_code, done.stdout) == (0, "out/dags/good.yaml\nout/dags/other.yaml\n")
    assert sorted(path.name for path in Path("out/dags").iterdir()) == ["good.yaml", "other.yaml"]


def test_a_folder_is_all_of_its_files_without_their_defaults(here: Shop) -> None:
    here.write(GOOD, "in/a.yml")
    here.write(GOOD, "in/sub/b.yaml")
    here.write("default_args: {owner: them}\n", "in/defaults.yml")
    done = run("in")
    assert (done.exit_code, done.stdout) == (0, "dags/good.yaml\ndags/good_2.yaml\n")
    assert "owner: them" in Path("dags/good.yaml").read_text()


def test_notes_have_the_place_in_the_old_file_and_stand_in_the_new_one(here: Shop) -> None:
    here.write(f"{GOOD}odd:\n  default_view: tree\n  tasks: {{t: {{operator: {EMPTY}}}}}\n")
    done = run("shop.yml")
    assert done.exit_code == 0
    assert done.stderr == "shop.yml:4: note: `default_view` left out: Airflow 3 has one view\n"
    assert "# dag-factory: `default_view` left out: Airflow 3 has one view" in Path("dags/odd.yaml").read_text()


def test_a_note_on_what_many_dags_share_is_told_once(here: Shop) -> None:
    here.write("default:\n  default_view: tree\n" + GOOD + GOOD.replace("good", "other"))
    assert run("shop.yml").stderr.count("default_view") == 1


def test_what_is_there_is_not_written_over_unless_it_is_asked_for(here: Shop) -> None:
    here.write(GOOD + GOOD.replace("good", "other"))
    here.write("mine\n", "dags/good.yaml")
    done = run("shop.yml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "dags/good.yaml is there already" in done.stderr
    assert Path("dags/good.yaml").read_text() == "mine\n"
    assert not Path("dags/other.yaml").exists()
    assert run("shop.yml", "--force").exit_code == 0
    assert "Converted from `good`" in Path("dags/good.yaml").read_text()


def test_a_task_that_cannot_be_converted_is_1_and_the_file_is_there(here: Shop) -> None:
    here.write("d:\n  tasks: {t: {decorator: airflow.sdk.task.kubernetes, python_callable: m.f}}\n")
    done = run("shop.yml")
    assert (done.exit_code, done.stdout) == (1, "dags/d.yaml\n")
    assert done.stderr.startswith("shop.yml:2: not converted: the decorator")


def test_a_dag_that_is_wrong_is_1_and_the_others_are_written(here: Shop) -> None:
    here.write(f"bad:\n  tasks: {{t: {{operator: {EMPTY}, dependencies: [x]}}}}\n{GOOD}")
    done = run("shop.yml")
    assert (done.exit_code, done.stdout) == (1, "dags/good.yaml\n")
    assert done.stderr.splitlines()[0].startswith("shop.yml:2:")
    assert "there is no task and no group `x`" in done.stderr


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: [1\nb: 2\n", "shop.yml:2:", "this is not YAML"),
        ("- a\n", "shop.yml:1:1:", "expected DAGs by their ids"),
        ("", "shop.yml:1:1:", "there is no DAG in this file"),
        ("default: {}\n", "shop.yml:1:1:", "there is no DAG in this file"),
        ("d: !mine {}\n", "shop.yml:1:1:", "a value with the tag `!mine`"),
        ("d: &d\n  x: *d\n", "shop.yml:2:3:", "contains itself"),
    ],
)
def test_a_file_that_is_none_is_told_with_its_place(here: Shop, text: str, place: str, words: str) -> None:
    here.write(text)
    done = run("shop.yml")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(place), done.stderr
    assert words in done.stderr


def test_a_file_that_is_not_there_is_wrong_use(here: Shop) -> None:
    assert run("nothing.yml").exit_code == 2
    assert run().exit_code == 2


def test_anchors_and_merge_keys_are_understood_as_they_were(here: Shop) -> None:
    here.write(f"""
        d:
          tasks:
            a: &base {{operator: {BASH}, bash_command: echo a, pool: big}}
            b:
              <<: *base
              bash_command: echo b
              env: {{ANSWER: yes, MODE: 010}}
        """)
    assert run("shop.yml").exit_code == 0
    made = read_tree(Path("dags").absolute()).pipelines["d"].steps["b"]
    assert (made.pool, made.with_) == ("big", {"bash_command": "echo b", "env": {"ANSWER": True, "MODE": 8}})  # type: ignore[union-attr]


# --- nothing is dropped -------------------------------------------------------------------------------------------

EVERY_DAG_KEY = """
every:
  dag_id: other
  dag_display_name: shown-name
  description: described-here
  concurrency: 7171
  max_active_tasks: 7272
  timetable: {__type__: airflow.timetables.trigger.CronTriggerTimetable, cron: 1 2 3 4 5}
  schedule: 2 3 4 5 6
  schedule_interval: 3 4 5 6 0
  catchup: true
  max_active_runs: 7373
  dagrun_timeout: {__type__: datetime.timedelta, minutes: 71}
  dagrun_timeout_sec: 7474
  default_view: tree
  orientation: LR
  template_searchpath: [/searched/here]
  render_template_as_native_obj: true
  sla_miss_callback: m.sla_miss
  on_execute_callback: m.dag_execute
  on_success_callback: m.dag_success
  on_failure_callback: m.dag_failure
  on_retry_callback: m.dag_retry
  on_skipped_callback: m.dag_skipped
  default_args: {owner: owner-here, start_date: 2021-02-03, nonsense: 7575}
  doc_md: documented-here
  doc_md_file_path: /no/such/file.md
  doc_md_python_callable_name: make_docs
  doc_md_python_callable_file: /docs.py
  doc_md_python_arguments: {a: 1}
  access_control: {role-here: {can_read: true}}
  is_paused_upon_creation: true
  params: {param_here: 7676}
  user_defined_macros: {macro_here: m.macro}
  start_date: 2022-03-04
  end_date: 2031-04-05
  timezone: Europe/Lisbon
  tags: [tag-here]
  extends: other_dag
  fail_fast: true
  task_groups: {group_here: {tooltip: said-here}}
"""
CONVERTED_DAG_KEYS = {
    "dag_display_name": "shown-name", "description": "described-here", "concurrency": "max_active_tasks: 7171",
    "schedule": "2 3 4 5 6", "catchup": "catchup: true", "max_active_runs": "7373", "dagrun_timeout": "1h11m",
    "template_searchpath": "/searched/here", "render_template_as_native_obj": "render_template_as_native_obj: true",
    "on_success_callback": "m:dag_success", "on_failure_callback": "m:dag_failure", "default_args": "owner-here",
    "doc_md": "documented-here", "access_control": "role-here", "is_paused_upon_creation": "paused: true",
    "params": "param_here: 7676", "user_defined_macros": "macro_here: m:macro", "start_date": "2022-03-04",
    "end_date": "2031-04-05", "timezone": "Europe/Lisbon", "tags": "tag-here", "task_groups": "group_here",
}  # fmt: skip

EVERY_TASK_KEY = """
      dependencies: [a]
      task_group_name: group_here
      parent_group_name: outer
      retries: 71
      retry_delay: 72
      retry_delay_sec: 7171
      max_retry_delay: 73
      retry_exponential_backoff: true
      trigger_rule: all_done
      pool: pool-here
      pool_slots: 7272
      execution_timeout: {__type__: datetime.timedelta, minutes: 74}
      execution_timeout_secs: 7373
      doc: said-here
      doc_md: marked-here
      inlets: ["s3://inlet/here.csv"]
      outlets: ["s3://outlet/there.csv"]
      variables_as_arguments: [{variable: variable-here, attribute: cwd}]
      sla: 7474
      sla_secs: 7575
      task_concurrency: 7676
      pre_execute: m.before
      on_execute_callback: m.task_execute
      on_success_callback: m.task_success
      on_failure_callback: m.task_failure
      on_retry_callback: m.task_retry
      on_skipped_callback: m.task_skipped
      execution_date_fn: m.date_fn
      execution_delta: 3 hours
      executor_config: {executor-here: 7777}
      owner: owner-there
      email: me@example.com
      depends_on_past: true
      params: {param-here: 7878}
      success_check_name: only_a_name
      start_date: 2023-04-05
"""
CONVERTED_TASK_KEYS = {
    "dependencies": "after: a", "task_group_name": "group: group_here", "retries": "count: 71",
    "retry_delay": "delay: 1m12s", "max_retry_delay": "max_delay: 1m13s",
    "retry_exponential_backoff": "max_delay: 1m13s", "trigger_rule": "trigger_rule: all_done",
    "pool": "pool: pool-here", "pool_slots": "7272", "execution_timeout": "timeout: 1h14m", "doc": "said-here",
    "doc_md": "marked-here", "inlets": "s3://inlet/here.csv", "outlets": "s3://outlet/there.csv",
    "variables_as_arguments": "variable-here", "on_execute_callback": "m:task_execute",
    "on_success_callback": "m:task_success", "on_failure_callback": "m:task_failure",
    "on_retry_callback": "m:task_retry", "on_skipped_callback": "m:task_skipped", "execution_date_fn": "m:date_fn",
    "execution_delta": "execution_delta: 3h", "executor_config": "executor-here: 7777", "owner": "owner-there",
    "email": "me@example.com", "depends_on_past": "depends_on_past: true", "params": "param-here: 7878",
    "start_date": "2023-04-05",
}  # fmt: skip


def test_every_key_of_a_dag_is_converted_or_noted(shop: Shop) -> None:
    task = f"  tasks:\n    t: {{operator: {EMPTY}, task_group_name: group_here}}\n"
    done = shop.convert(EVERY_DAG_KEY + task)
    assert done.diagnostics == ()
    text = done.pipelines["every"].text
    keys = [line.split(":")[0].strip() for line in EVERY_DAG_KEY.strip().splitlines()[1:]]
    noted = {note.line for note in done.notes}
    dropped = []
    for number, key in enumerate(keys, 2):
        said = "\n".join(line for line in text.splitlines() if not line.strip().startswith("#"))
        if not (key in CONVERTED_DAG_KEYS and CONVERTED_DAG_KEYS[key] in said) and number not in noted:
            dropped.append(key)
    assert dropped == []
    assert set(CONVERTED_DAG_KEYS) <= set(keys)
    assert "documented-here" in text
    assert done.told("`nonsense` of `default_args` left out")


def test_every_key_of_a_task_is_converted_or_noted(shop: Shop) -> None:
    head = f"every:\n  task_groups: {{group_here: {{}}}}\n  tasks:\n    a: {{operator: {EMPTY}}}\n    t:\n"
    operator = f"      operator: {BASH}\n      bash_command: echo\n"
    done = shop.convert(head + operator + EVERY_TASK_KEY.lstrip("\n"))
    assert done.diagnostics == ()
    assert not any(note.lost for note in done.notes), done.notes
    text = "\n".join(line for line in done.pipelines["every"].text.splitlines() if not line.strip().startswith("#"))
    keys = [line.split(":")[0].strip() for line in EVERY_TASK_KEY.strip().splitlines()]
    noted = {note.line for note in done.notes}
    dropped = [
        key
        for number, key in enumerate(keys, 8)
        if not (key in CONVERTED_TASK_KEYS and CONVERTED_TASK_KEYS[key] in text) and number not in noted
    ]
    assert dropped == []
    assert set(CONVERTED_TASK_KEYS) <= set(keys)


# --- what comes out is right --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["basics", "groups", "mapping", "callables", "values"])
def test_what_comes_out_is_a_dag(inputs: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(inputs))
    done = run(str(inputs / f"{name}.yml"), "-o", str(inputs))
    assert done.exit_code == 0, done.stderr
    tree = read_tree(inputs)
    assert [str(diagnostic) for diagnostic in tree.diagnostics if diagnostic.is_error] == []
    assert len(tree.pipelines) == len(done.stdout.splitlines())
    for pipeline in tree.pipelines.values():
        errors = [str(one) for one in build_diagnostics(pipeline, tree.readable) if one.is_error]
        assert errors == []
        assert dags_of(inputs, pipeline.file.name)[0].task_ids


def test_the_commands_of_the_docs_do_what_they_say(here: Shop) -> None:
    guide = page("migrate.md")
    here.write(guide.blocks("yml")[0].text, "dags/shop.yml")
    here.write("def publish(): ...\n", "pipelines/shop.py")
    for _, words in guide.commands():
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, done.output


def test_what_needs_nothing_new_is_a_dag_already(inputs: Path) -> None:
    done = run(str(inputs / "basics.yml"), "-o", str(inputs), "--force")
    assert done.exit_code == 0
    assert [str(diagnostic) for diagnostic in read_tree(inputs).diagnostics if diagnostic.is_error] == []
