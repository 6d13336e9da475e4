"""DAGs of dag-factory as pipelines: what stands outside of their tasks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.docs.pages import page
from tests.migrate.conftest import BASH, EMPTY, INPUTS, Shop

DAY = "default_args: {start_date: 2025-01-01}"


def test_a_whole_file_reads_as_one_would_write_it(shop: Shop) -> None:
    done = shop.of(INPUTS / "basics.yml")
    assert list(done.pipelines) == ["daily_sales", "weekly_report", "by_hand", "once"]
    assert (
        done.pipelines["daily_sales"].text
        == """\
# Converted from `daily_sales` in basics.yml, by `sluicegate import dag-factory`.
sluicegate: 1
description: Sales of a day
owner: sales
tags: [shop]
schedule:
  # dag-factory: a cron here makes windows: a run covers the time since the tick before, and `ds`, `ts` and
  # `logical_date` in its templates are the beginning of that; they were the run's own tick, which is `window.end`.
  # The first run comes a tick after `start`
  cron: "0 3 * * *"
  start: 2024-11-11
  # dag-factory: `end_date` was the last moment at which a run could be; no window begins at `end` or later
  end: 2025-11-11
  catchup: true
max_active_runs: 1
paused: true
# dag-factory: the fault decides whether a step is tried again at all: bad data and wrong code are not
retries:
  count: 2
  delay: 5m
  max_delay: 5m
dag:
  dag_display_name: Daily sales
  max_active_tasks: 3
  dagrun_timeout: 2h
steps:
  fetch:
    operator: airflow.providers.standard.operators.bash.BashOperator
    with:
      bash_command: echo {{ ds }} > /tmp/sales
      env:
        LEVEL: "1"
        MODE: "on"
      append_env: true
    timeout: 30m
  look:
    operator: airflow.providers.standard.sensors.filesystem.FileSensor
    with:
      filepath: /tmp/sales
      poke_interval: 30
      timeout: 300
      mode: reschedule
  count:
    description: Counts the lines.
    operator: airflow.providers.standard.operators.bash.BashOperator
    with:
      bash_command: |
        set -e
        wc -l "/tmp/sales"   # how many: all

        echo done
      owner: finance
      priority_weight: 5
    after: [fetch, look]
    trigger_rule: all_done
    pool: default_pool
    retries: 0
"""
    )


def test_the_example_of_the_docs_is_what_comes_out(shop: Shop) -> None:
    before, after = (block.text for block in page("migrate.md").blocks("yml"))
    [made] = shop.convert(before).pipelines.values()
    assert made.text == after


def test_a_dag_gets_a_file_of_its_own_under_a_name_that_is_one(shop: Shop) -> None:
    done = shop.convert(
        f"my-dag:\n  tasks: {{t: {{operator: {EMPTY}}}}}\nmy_dag:\n  tasks: {{t: {{operator: {EMPTY}}}}}\n"
        f"2nd.Dag:\n  tasks: {{t: {{operator: {EMPTY}}}}}\n"
    )
    assert list(done.pipelines) == ["my_dag_2", "my_dag", "x_2nd_dag"]
    assert [note.line for note in done.told("is called")] == [1, 5]
    assert done.values["my_dag_2"]["dag"] == {"dag_display_name": "my-dag"}
    assert "dag" not in done.values["my_dag"]


def test_defaults_merge_key_by_key_and_the_dag_wins(shop: Shop) -> None:
    done = shop.convert(f"""
        default:
          default_args: {{owner: a, retries: 1, start_date: 2025-01-01}}
          catchup: true
          schedule: "@daily"
        d:
          default_args: {{owner: b}}
          catchup: false
          tasks: {{t: {{operator: {EMPTY}}}}}
        """)
    assert done.only["owner"] == "b"
    assert done.only["retries"]["count"] == 1
    assert done.only["schedule"] == {"cron": "@daily", "start": "2025-01-01"}


def test_the_defaults_of_the_folders_hold_up_to_the_dags_root(shop: Shop) -> None:
    shop.write("default_args: {owner: top, retries: 7}\n", "defaults.yml")
    shop.write("default_args: {owner: outer, start_date: 2025-01-01}\nschedule: '@daily'\n", "dags/defaults.yml")
    shop.write("default_args: {owner: inner}\n", "dags/sales/defaults.yaml")
    done = shop.convert(f"d:\n  tasks: {{t: {{operator: {EMPTY}}}}}\n", "dags/sales/shop.yml")
    assert done.only["owner"] == "inner"
    assert done.only["schedule"] == {"cron": "@daily", "start": "2025-01-01"}
    assert done.only["retries"] == 0


@pytest.mark.parametrize(
    ("said", "schedule"),
    [
        ("schedule: null", "none"),
        ("schedule: None", "none"),
        ("schedule_interval: '@daily'", {"cron": "@daily"}),
        ("schedule: '@annually'", {"cron": "@yearly"}),
        ("schedule: '@once'", "once"),
        ("schedule: {type: cron, value: '0 5 * * *'}", {"cron": "0 5 * * *"}),
        ("schedule: {__type__: datetime.timedelta, hours: 6}", {"cron": "0 */6 * * *"}),
        ("schedule: {__type__: datetime.timedelta, minutes: 15}", {"cron": "*/15 * * * *"}),
        ("schedule: {__type__: datetime.timedelta, days: 1}", {"cron": "0 0 * * *"}),
        ("schedule: {__type__: datetime.timedelta, weeks: 1}", {"cron": "0 0 * * 3"}),
        (
            "schedule: {__type__: datetime.timedelta, hours: 5}",
            {"timetable": "airflow.sdk.DeltaDataIntervalTimetable", "with": {"delta": "5h"}},
        ),
        (
            "timetable: {__type__: mine.OwnTimetable, every: {__type__: datetime.timedelta, hours: 5}}",
            {
                "timetable": "mine.OwnTimetable",
                "with": {"every": {"class": "datetime.timedelta", "with": {"seconds": 18000}}},
            },
        ),
        (
            "timetable: {__type__: airflow.timetables.trigger.CronTriggerTimetable, __args__: [0 1 * * 3], timezone: "
            "Europe/Rome}",
            {"cron": "0 1 * * 3", "timezone": "Europe/Rome"},
        ),
        (
            "schedule: '@daily'\ntimezone: Europe/Rome\nstart_date: 2025-01-01",
            {"cron": "@daily", "timezone": "Europe/Rome"},
        ),
    ],
)  # fmt: skip
def test_a_schedule(shop: Shop, said: str, schedule: Any) -> None:
    found = shop.dag(f"{DAY}\n{said}").only["schedule"]
    if schedule == "none":
        assert found == {"start": "2025-01-01"}
    else:
        assert found == (schedule if schedule == "once" else {**schedule, "start": "2025-01-01"})


@pytest.mark.parametrize(
    "said",
    [
        "schedule: ['s3://bucket/x.csv']",
        "schedule: [{__type__: airflow.sdk.Asset, uri: 's3://bucket/x.csv'}]",
        "schedule: {__or__: [{__type__: airflow.sdk.Asset, uri: 's3://b/x'}, {__type__: airflow.sdk.Asset, uri: 's3://b/y'}]}",
        "schedule: {datasets: ['s3://bucket/x.csv']}",
        "schedule: {__type__: mine.OwnTimetable, __args__: [5]}",
        "schedule: {__type__: airflow.timetables.interval.CronDataIntervalTimetable, cron: often}",
        "schedule: {__type__: dateutil.relativedelta.relativedelta, months: 1}",
        "schedule: '@continuous'",
        "schedule: every day",
    ],
)
def test_a_schedule_that_has_no_counterpart_is_told_and_there_is_none(shop: Shop, said: str) -> None:
    done = shop.dag(f"{DAY}\n{said}")
    assert done.only["schedule"] == {"start": "2025-01-01"}
    [note] = done.told("schedule", "give it a cron") or done.told("schedule", "so this pipeline has none")
    assert note.line == 3


@pytest.mark.parametrize(
    ("said", "start"),
    [
        ("2025-03-01", "2025-03-01"),
        ('"2025-03-01"', "2025-03-01"),
        ("2025-03-01T06:30:00", "2025-03-01T06:30:00"),
        ("2 days", "2026-02-08"),
        ("{__type__: datetime.datetime, __args__: [2025, 3, 1]}", "2025-03-01"),
    ],
)
def test_a_start(shop: Shop, said: str, start: str) -> None:
    done = shop.dag(f"schedule: '@daily'\nstart_date: {said}")
    assert done.only["schedule"] == {"cron": "@daily", "start": start}
    assert bool(done.told("moved on with every day")) == (said == "2 days")


def test_a_cron_without_a_start_gets_the_day_of_the_conversion(shop: Shop) -> None:
    done = shop.dag("schedule: '@daily'")
    assert done.only["schedule"] == {"cron": "@daily", "start": "2026-02-10"}
    assert done.told("needs a start")


def test_params(shop: Shop) -> None:
    done = shop.dag(f"""{DAY}
schedule: "@daily"
params:
  limit: 10
  names: [a, b]
  options: {{a: 1}}
  region: {{__type__: airflow.sdk.Param, default: eu, type: string, enum: [eu, us]}}
  must: {{__type__: airflow.models.param.Param, type: string}}
  Big: 1
""")
    assert done.only["params"] == {
        "limit": 10,
        "names": {"type": "array", "default": ["a", "b"]},
        "options": {"type": "object", "default": {"a": 1}},
        "region": {"default": "eu", "type": "string", "enum": ["eu", "us"]},
        "must": {"type": "string", "default": None},
        "big": 1,
    }
    assert [note.line for note in done.told("had no default")] == [9]
    assert done.told("`Big` is called `big`")


def test_docs_go_into_the_description(shop: Shop) -> None:
    notes = shop.write("Read me.\n", "notes.md")
    done = shop.dag(f"description: Short\ndoc_md: '# Long'\ndoc_md_file_path: {notes}")
    assert done.only["description"] == "Short\n\n# Long\n\nRead me.\n"
    done = shop.dag(
        "doc_md_file_path: /nowhere/notes.md\ndoc_md_python_callable_name: f\ndoc_md_python_callable_file: /f.py"
    )
    assert "description" not in done.only
    assert [note.line for note in done.told("left out")] == [2, 3, 4]


def test_callbacks_of_the_dag(shop: Shop) -> None:
    done = shop.dag("""
on_success_callback: code.tell
on_failure_callback_name: tell
on_failure_callback_file: $HOME/dags/lib/code.py
on_execute_callback: code.tell
sla_miss_callback: code.tell
""")
    assert done.only["dag"] == {"on_success_callback": "code:tell", "on_failure_callback": "lib.code:tell"}
    assert [note.line for note in done.told("left out")] == [5, 6]


def test_variables_of_the_environment_stay_variables(shop: Shop) -> None:
    done = shop.dag("description: In $STAGE and ${SLUICEGATE_CITY} for $5")
    assert done.only["description"] == "In ${env:STAGE} and ${env:SLUICEGATE_CITY} for $5"
    [note] = done.told("env_allowlist")
    assert "name STAGE" in note.message


def test_lost_is_only_what_cannot_be_converted_at_all(shop: Shop) -> None:
    done = shop.dag("default_view: tree\nschedule: ['s3://bucket/x.csv']")
    assert done.notes
    assert not any(note.lost for note in done.notes)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("d:\n  tasks: {t: {bash_command: echo}}\n", 2, "needs an `operator` or a `decorator`"),
        (f"d:\n  tasks:\n    - operator: {EMPTY}\n", 3, "needs a `task_id`"),
        (f"d:\n  tasks:\n    - task_id: a\n      operator: {EMPTY}\n    - {{task_id: a}}\n", 5, "is there twice"),
        (f"d:\n  tasks:\n    a: {{operator: {EMPTY}, dependencies: [b]}}\n", 3, "there is no task and no group `b`"),
        ("d:\n  tasks: 5\n", 2, "expected tasks by their ids"),
        ("d:\n  description: x\n", 1, "this DAG has no tasks"),
        ("d: 5\n", 1, "is not a mapping"),
        (
            f"d:\n  start_date: soon\n  schedule: '@daily'\n  tasks: {{t: {{operator: {EMPTY}}}}}\n",
            2,
            "neither a day nor",
        ),
        (
            f"d:\n  tasks:\n    a: {{operator: {EMPTY}, dependencies: [b]}}\n"
            f"    b: {{operator: {EMPTY}, dependencies: [a]}}\n",
            3,
            "wait for each other",
        ),
        (
            "d:\n  task_groups: {g: {parent_group_name: h}}\n  tasks:\n"
            f"    a: {{operator: {EMPTY}, task_group_name: g}}\n",
            2,
            "there is no group `h`",
        ),
        (
            f"d:\n  task_groups: {{g: {{}}}}\n  tasks:\n    a: {{operator: {EMPTY}, task_group_name: h}}\n",
            4,
            "no group `h`",
        ),
    ],
)
def test_what_dag_factory_refuses_is_refused_at_its_place_and_the_other_dags_are_converted(
    shop: Shop, text: str, line: int, words: str
) -> None:
    done = shop.convert(f"{text}good:\n  tasks: {{t: {{operator: {BASH}, bash_command: echo}}}}\n")
    [diagnostic] = done.diagnostics
    assert (diagnostic.line, words in diagnostic.message) == (line, True), str(diagnostic)
    assert list(done.pipelines) == ["good"]
