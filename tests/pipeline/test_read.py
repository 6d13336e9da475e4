# ruff: noqa: E501 - tables of mistakes
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.graph.template import diagnostics
from sluicegate.pipeline import Diagnostic, PipelineErrors
from sluicegate.pipeline.file import read_draft
from sluicegate.pipeline.keys.model import (
    After,
    Channel,
    Check,
    Format,
    Job,
    LoadStep,
    Mode,
    OnUpstreamFailure,
    Read,
    SparkStep,
    TransformStep,
)
from sluicegate.pipeline.keys.steps import TRIGGER_RULES
from sluicegate.pipeline.text.environment import Environment
from tests.pipeline.conftest import Dags, read_pipeline

StandsAt = Callable[[Diagnostic, str], bool]

HEAD = "sluicegate: 1\n"
LOAD = "{load: s3://in/x.csv, into: table://wh/x}"
ORDERS = """
    sluicegate: 1
    owner: sales-data
    schedule: {cron: "@daily", start: 2026-01-01}
    steps:
      load_orders:
        load: s3://landing/orders/{{ ds }}.csv
        into: table://warehouse/orders
        key: order_id
        wait: 6h
    """
DELAYS = """
    sluicegate: 1
    description: Delay by carrier and day, joined with the weather.
    owner: data-platform
    schedule: {cron: "0 7 * * *", start: 2013-02-11, end: 2013-02-14, catchup: true}
    fresh_within: 30h
    datasets:
      joined: s3://lake/delays/{{ ds }}/
      delays: table://warehouse/public.delays
    steps:
      join:
        spark: jobs/delays.py
        cluster: small
        max_runtime: 1h
        reads: {flights: flights.raw, weather: weather.raw}   # this run waits for theirs
        writes: {out: joined}                                 # the job gets --flights … --out …
      load_delays:
        load: joined                                          # join >> load_delays: the data says so
        into: delays
        key: [carrier, day]
        newest_by: computed_at
        columns:                                              # types and contract in one place
          carrier: {type: text, required: true}
          day: date
          delay: {type: double, between: [-120, 2000]}
          computed_at: timestamptz
        checks:                                               # or in Great Expectations' own words
          - expect_column_values_to_match_regex: {column: carrier, regex: "^[A-Z0-9]{2}$"}
        dead_letters: {max: 5%}
    """
MATRIX = """
    sluicegate: 1
    matrix: {region: [eu, us], size: [1, 2]}
    max_active_runs: "{{ matrix.size }}"
    description: ${env:SLUICEGATE_X} and ${env:SLUICEGATE_Y:2}
    datasets: {raw: "s3://in/{{ matrix.region }}/{{ ds }}.csv"}
    steps:
      a: {load: raw, into: "table://wh/{{ matrix.region }}.t", wait: "${env:SLUICEGATE_Y:6h}"}
    """
DEFAULTS = """
    connections: {aws: aws_default, ledger: warehouse}
    artifacts: s3://sluicegate-code/
    retries: {count: 5, delay: 10s}
    clusters:
      small:
        release: emr-7.13.0
        instances: {primary: m7g.xlarge, core: {type: m7g.xlarge, count: 2}}
        log_uri: s3://sluicegate-logs/
    alerts:
      on_call: {notifier: airflow.providers.smtp.notifications.smtp.SmtpNotifier, with: {to: on-call@example.com}}
    """


def steps(body: str) -> str:
    return HEAD + "steps:\n  a:\n" + "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())


# The files of the reference.


def test_the_first_pipeline_of_the_reference(dags: Dags) -> None:
    pipeline = dags.read(ORDERS)
    step = pipeline.steps["load_orders"]
    assert isinstance(step, LoadStep)
    assert pipeline.name == "orders"
    assert pipeline.schedule.cron == "0 0 * * *"
    assert pipeline.schedule.start == datetime(2026, 1, 1, tzinfo=UTC)
    assert pipeline.schedule.catchup is False
    assert step.key == ("order_id",)
    assert step.mode is Mode.MERGE
    assert step.wait == timedelta(hours=6)
    assert step.reads == {"load": Read(dataset="s3://landing/orders/{{ ds }}.csv")}
    assert step.writes == {"into": "table://warehouse/orders"}
    assert pipeline.datasets["table://warehouse/orders"].name is None


def test_the_second_pipeline_of_the_reference(dags: Dags) -> None:
    dags.write("defaults.yaml", DEFAULTS)
    dags.write("jobs/delays.py", "")
    pipeline = dags.read(DELAYS, "delays.yaml")
    join, load = pipeline.steps["join"], pipeline.steps["load_delays"]
    assert isinstance(join, SparkStep)
    assert isinstance(load, LoadStep)
    assert join.jobs == (Job(path="jobs/delays.py"),)
    assert join.cluster_name == "small"
    [instances] = join.cluster.instances
    assert instances.core is not None
    assert instances.core.count == 2
    assert join.reads["flights"] == Read(dataset="flights.raw")
    assert join.retries.count == 5
    assert join.retries.delay == timedelta(seconds=10)
    assert join.retries.max_delay == timedelta(minutes=10)
    assert load.load == Read(dataset="joined")
    assert load.columns["delay"].between == (-120, 2000)
    assert load.columns["day"].type == "date"
    assert load.checks[0].expectation == "expect_column_values_to_match_regex"
    assert load.dead_letters.max.share == Decimal("0.05")
    assert pipeline.connections.ledger == "warehouse"
    assert pipeline.artifacts == "s3://sluicegate-code/"
    smtp = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
    assert pipeline.alerts["on_call"] == Channel(notifier=smtp, with_={"to": "on-call@example.com"})


def test_reading_imports_no_airflow_and_nothing_heavy() -> None:
    code = (
        "import sys, sluicegate.pipeline.tree, sluicegate.graph.edges\n"
        "heavy = {'airflow', 'duckdb', 'pandas', 'pyarrow', 'boto3', 'great_expectations', 'psycopg', 'pendulum'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_trigger_rules_are_airflows() -> None:
    from airflow.task.trigger_rule import TriggerRule

    assert set(TRIGGER_RULES) == {str(rule.value) for rule in TriggerRule}


# Short forms.


def test_reads_and_writes_in_all_their_forms(dags: Dags) -> None:
    dags.write("work.py", "def f(**kwargs): ...\n")
    pipeline = dags.read(
        """
        sluicegate: 1
        datasets: {one: s3://b/one, two: {uri: s3://b/two, format: {type: csv, null: [NA]}}, three: s3://b/three}
        steps:
          a: {python: work:f, reads: one, writes: [two, three]}
          b: {python: work:f, reads: [two, {dataset: other.x, latest: true, on_upstream_failure: fail}]}
          c: {python: work:f, reads: {left: two, raw: s3://b/raw}, writes: {out: s3://b/out}}
          d: {python: work:f, reads: {dataset: other.x, latest: true}}
          e: {python: work:f, reads: orders.one}
        """
    )
    assert pipeline.steps["a"].reads == {"one": Read(dataset="one")}
    assert pipeline.steps["a"].writes == {"two": "two", "three": "three"}
    latest = Read(dataset="other.x", latest=True, on_upstream_failure=OnUpstreamFailure.FAIL)
    assert pipeline.steps["b"].reads == {"two": Read(dataset="two"), "x": latest}
    assert pipeline.steps["c"].reads["raw"].dataset == "s3://b/raw"
    assert pipeline.steps["c"].writes == {"out": "s3://b/out"}
    assert pipeline.steps["d"].reads["x"].latest
    assert pipeline.steps["e"].reads["one"].dataset == "one"
    assert pipeline.datasets["two"].format == Format(type="csv", null=("NA",))
    assert [d.name for d in pipeline.datasets.values()] == ["one", "two", "three", None, None]


def test_a_load_in_short_and_in_long(dags: Dags) -> None:
    step = dags.read(
        steps(
            """
            load: {dataset: other.raw, latest: true}
            into: table://wh/x
            mode: append
            columns: {a: text, b: {type: integer, in: [1, 2], matches: "x", references: other.raw.z, sensitive: true}, c: }
            checks: [expect_table_row_count_to_equal_other_table, {expect_column_to_exist: {column: a}}]
            dead_letters: {max: 100}
            on_schema_change: add_columns
            after: {dag: old_dag, task: export}
            retries: {count: 1}
            """
        )
    ).steps["a"]
    assert isinstance(step, LoadStep)
    assert step.load.latest
    assert step.mode is Mode.APPEND
    assert step.columns["b"].in_ == (1, 2)
    assert step.columns["c"].type is None
    assert step.checks[1] == Check(expectation="expect_column_to_exist", kwargs={"column": "a"})
    assert step.dead_letters.max.rows == 100
    assert step.after == (After(dag="old_dag", task="export"),)
    assert (step.retries.count, step.retries.delay) == (1, timedelta(seconds=30))


def test_mode_is_merge_where_there_is_a_key_and_append_elsewhere(dags: Dags) -> None:
    pipeline = dags.read(
        """
        sluicegate: 1
        steps:
          keyed: {load: s3://in/x.csv, into: table://wh/x, key: [a, b]}
          plain: {load: s3://in/x.csv, into: table://wh/y}
        """
    )
    modes = [step.mode for step in pipeline.steps.values() if isinstance(step, LoadStep)]
    assert modes == [Mode.MERGE, Mode.APPEND]


def test_several_jobs_on_one_cluster(dags: Dags) -> None:
    dags.write("jobs/a.py", "")
    step = dags.read(
        steps(
            """
            spark: [jobs/a.py, {path: s3://code/b.jar, args: [-x, 3]}]
            args: ["--day", "{{ ds }}"]
            cluster: {release: emr-7.13.0, instances: {primary: m7g.xlarge}}
            """
        )
    ).steps["a"]
    assert isinstance(step, SparkStep)
    assert step.jobs == (
        Job(path="jobs/a.py", args=("--day", "{{ ds }}")),
        Job(path="s3://code/b.jar", args=("-x", "3")),
    )
    assert step.cluster_name == "a"


@pytest.mark.parametrize(
    ("text", "kind", "cron"),
    [("none", "none", None), ("once", "once", None), ("", "none", None), ("{timezone: UTC}", "none", None)],
)
def test_schedules_without_a_cron(dags: Dags, text: str, kind: str, cron: str | None) -> None:
    schedule = dags.read(f"{HEAD}schedule: {text}\nsteps:\n  a: {LOAD}\n").schedule
    assert (schedule.kind, schedule.cron) == (kind, cron)


def test_a_start_is_local_to_the_time_zone(dags: Dags) -> None:
    text = f'{HEAD}schedule: {{cron: "@daily", timezone: Europe/Berlin, start: 2026-07-01}}\nsteps:\n  a: {LOAD}\n'
    assert dags.read(text).schedule.start == datetime(2026, 6, 30, 22, tzinfo=UTC)


def test_params_with_null_take_null(dags: Dags) -> None:
    params = dags.read(
        f"""
        {HEAD}
        params:
          carrier: {{type: string, default: null, description: Only this one}}
          colour: {{type: string, enum: [red, blue], default: null}}
          top: 5
          asked: {{type: integer}}
        steps:
          a: {LOAD}
        """.replace("        ", "")
    ).params
    assert params["carrier"].json_schema == {"type": ["null", "string"]}
    assert params["carrier"].description == "Only this one"
    assert params["colour"].json_schema == {"type": ["null", "string"], "enum": ["red", "blue", None]}
    assert (params["top"].default, params["top"].json_schema) == (5, {"type": "integer"})
    assert params["asked"].required


# Defaults.


def test_deeper_defaults_win_mappings_merge_and_lists_replace(dags: Dags) -> None:
    dags.write(
        "defaults.yaml", "owner: top\ntags: [a, b]\nretries: {count: 1, delay: 5s}\nschedule: {start: 2026-01-01}"
    )
    dags.write("sales/defaults.yaml", "tags: [c]\nretries: {delay: 7s}\nfresh_within: 1d")
    dags.write("other/defaults.yaml", "owner: somebody else")
    pipeline = dags.read(f"{HEAD}schedule: '@daily'\nretries: 9\nsteps:\n  a: {LOAD}\n", "sales/orders.yaml")
    assert pipeline.owner == "top"
    assert pipeline.tags == ("c",)
    assert (pipeline.retries.count, pipeline.retries.delay) == (9, timedelta(seconds=7))
    assert pipeline.fresh_within == timedelta(days=1)
    assert pipeline.schedule.start == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_digest_changes_with_the_file_and_with_its_defaults(dags: Dags) -> None:
    dags.write("other/defaults.yaml", "owner: a")
    first = dags.read(ORDERS).digest
    assert dags.read(ORDERS).digest == first
    assert dags.read(ORDERS + "# more\n").digest != first
    dags.write("other/defaults.yaml", "owner: b")
    assert dags.read(ORDERS).digest == first
    dags.write("defaults.yaml", "tags: [b]")
    assert dags.read(ORDERS).digest != first


@pytest.mark.parametrize(
    ("defaults", "words"),
    [
        ("ownr: me\n", "ownr"),
        ("retries: {count: three}\n", "three"),
        ("owner: me\nclusters: {small: {release: emr-7.13.0, instances: {primry: y, primary: z}}}\n", "primry"),
        ("tags: 'open\n", "'open"),
    ],
)
def test_a_mistake_in_the_defaults_is_placed_there(dags: Dags, stands_at: StandsAt, defaults: str, words: str) -> None:
    file = dags.write("defaults.yaml", defaults)
    dags.write("jobs/a.py", "")
    diagnostic = dags.diagnostic(steps("spark: jobs/a.py\ncluster: small") if "small" in defaults else ORDERS)
    assert diagnostic.file == file
    assert stands_at(diagnostic, words)


def test_a_mistake_in_a_file_that_overrides_is_placed_in_that_file(dags: Dags, stands_at: StandsAt) -> None:
    dags.write("defaults.yaml", 'schedule: {cron: "@daily", start: 2026-01-01}\nowner: x')
    diagnostic = dags.diagnostic(f"{HEAD}schedule: 0 0 * *\nsteps:\n  a: {LOAD}\n")
    assert diagnostic.file.name == "orders.yaml"
    assert stands_at(diagnostic, "0 0 * *")


# Mistakes: text, what the caret stands at, code, what is suggested.

MISTAKES = [
    ("sluicegate: 2\nsteps: {a: LOAD}", "2", "version", None),
    ("sluicegate: 1\nshedule: none\nsteps: {a: LOAD}", "shedule", "unknown-key", "schedule"),
    ("sluicegate: 1\nclusters: {}\nsteps: {a: LOAD}", "clusters", "unknown-key", None),
    ("sluicegate: 1\nowner: ${env:WHO}\nsteps: {a: LOAD}", "${env:WHO}", "env", None),
    ("sluicegate: 1\nowner: 5\nsteps: {a: LOAD}", "5", "type", None),
    ("sluicegate: 1\ntags: x\nsteps: {a: LOAD}", "x", "type", None),
    ("sluicegate: 1\ntags: [x, 5]\nsteps: {a: LOAD}", "5", "type", None),
    ("sluicegate: 1\npaused: yes\nsteps: {a: LOAD}", "yes", "type", "true"),
    ("sluicegate: 1\nmax_active_runs: 0\nsteps: {a: LOAD}", "0", "value", None),
    ("sluicegate: 1\nfresh_within: 30\nsteps: {a: LOAD}", "30", "value", None),
    ("sluicegate: 1\nretries: {count: three}\nsteps: {a: LOAD}", "three", "type", None),
    ("sluicegate: 1\nretries: {cont: 3}\nsteps: {a: LOAD}", "cont", "unknown-key", "count"),
    ("sluicegate: 1\nsteps: {a: LOAD}\nowner: x\nowner: y", "owner: y", "duplicate-key", None),
    ("sluicegate: 1\nsteps: {}", "steps", "missing-key", None),
    ("sluicegate: 1", "sluicegate", "missing-key", None),
    ("sluicegate: 1\nsteps: [a]", "[a]", "type", None),
    ("sluicegate: 1\nsteps: {Big: LOAD}", "Big", "name", None),
    ("sluicegate: 1\nsteps: {a: load}", "load", "type", None),
    # schedule
    ('sluicegate: 1\nschedule: "@daily"\nsteps: {a: LOAD}', '"@daily"', "missing-key", None),
    ('sluicegate: 1\nschedule: {cron: "@dayly", start: 2026-01-01}\nsteps: {a: LOAD}', '"@dayly"', "cron", "@daily"),
    ("sluicegate: 1\nschedule: onec\nsteps: {a: LOAD}", "onec", "cron", "once"),
    ("sluicegate: 1\nschedule: 5\nsteps: {a: LOAD}", "5", "type", None),
    ('sluicegate: 1\nschedule: {cron: "@daily", start: soon}\nsteps: {a: LOAD}', "soon", "value", None),
    ('sluicegate: 1\nschedule: {cron: "@daily", start: 2026}\nsteps: {a: LOAD}', "2026}", "value", None),
    ('sluicegate: 1\nschedule: {cron: "@daily", start: 2026-02-30}\nsteps: {a: LOAD}', "2026-02-30", "value", None),
    ('sluicegate: 1\nschedule: {cron: "@daily", start: 2026-02-01, end: 2026-02-01}\nsteps: {a: LOAD}', "2026-02-01}", "schedule", None),
    ("sluicegate: 1\nschedule: {timezone: Europe/Belrin}\nsteps: {a: LOAD}", "Europe/Belrin", "timezone", "Europe/Berlin"),
    ("sluicegate: 1\nschedule: {timezone: Europe}\nsteps: {a: LOAD}", "Europe", "timezone", "Europe/Rome"),
    ("sluicegate: 1\nschedule: {timezone: ../x}\nsteps: {a: LOAD}", "../x", "timezone", None),
    ('sluicegate: 1\nschedule: {corn: "@daily"}\nsteps: {a: LOAD}', "corn", "unknown-key", "cron"),
    ('sluicegate: 1\nschedule: {cron: "@daily", start: 2026-01-01, catchup: on}\nsteps: {a: LOAD}', "on}", "type", "true"),
    # params
    ("sluicegate: 1\nparams: {x: {type: strin, default: a}}\nsteps: {a: LOAD}", "strin", "value", None),
    ("sluicegate: 1\nparams: {x: {type: string, default: 5}}\nsteps: {a: LOAD}", "5", "value", None),
    ("sluicegate: 1\nparams: {dry_run: true}\nsteps: {a: LOAD}", "dry_run", "name", None),
    ("sluicegate: 1\nschedule: once\nparams: {x: {type: string}}\nsteps: {a: LOAD}", "x: {", "missing-key", None),
    # datasets
    ("sluicegate: 1\ndatasets: {x: b/c}\nsteps: {a: LOAD}", "b/c", "uri", None),
    ("sluicegate: 1\ndatasets: {x: s3a://b/c}\nsteps: {a: LOAD}", "s3a://b/c", "uri", "s3://"),
    ("sluicegate: 1\ndatasets: {x: htps://b/c}\nsteps: {a: LOAD}", "htps://b/c", "uri", "https://"),
    ("sluicegate: 1\ndatasets: {x: s3:/b/c}\nsteps: {a: LOAD}", "s3:/b/c", "uri", "s3://"),
    ("sluicegate: 1\ndatasets: {x: table://wh}\nsteps: {a: LOAD}", "table://wh", "uri", None),
    ("sluicegate: 1\ndatasets: {x: s3:///}\nsteps: {a: LOAD}", "s3:///", "uri", None),
    ("sluicegate: 1\ndatasets: {x: {url: s3://b/c}}\nsteps: {a: LOAD}", "url", "unknown-key", "uri"),
    ("sluicegate: 1\ndatasets: {x: {uri: s3://b/c, format: {type: cvs}}}\nsteps: {a: LOAD}", "cvs", "value", "csv"),
    ("sluicegate: 1\ndatasets: {x: 's3://b/{{ dss }}'}\nsteps: {a: LOAD}", "dss }}'", "template", "ds"),
    ("sluicegate: 1\ndatasets: {x: 's3://b/{{ ds }'}\nsteps: {a: LOAD}", "{{ ds }'", "template", None),
    ("sluicegate: 1\ndatasets: {x: 's3://b/{{ window.strt }}'}\nsteps: {a: LOAD}", "strt", "template", "start"),
    ("sluicegate: 1\nparams: {carrier: AA}\ndatasets: {x: 's3://b/{{ params.carier }}'}\nsteps: {a: LOAD}", "carier", "template", "carrier"),
    ("sluicegate: 1\ndatasets: {x: 's3://b/{{ ds | uper }}'}\nsteps: {a: LOAD}", "uper", "template", "upper"),
]  # fmt: skip

STEP_MISTAKES = [
    ("lod: s3://in/x", "lod:", "missing-key", "load"),
    ("load: s3://in/x\ninto: table://w/x\npython: m:f", "python", "two-kinds", None),
    ("load: s3://in/x\ninto: table://w/x\nclustr: small", "clustr", "unknown-key", None),
    ("load: s3://in/x\ninto: table://w/x\ncluster: small", "cluster", "unknown-key", None),
    ("load: s3://in/x\ninto: table://w/x\ncheks: []", "cheks", "unknown-key", "checks"),
    ("load: s3://in/x", "a:", "missing-key", None),
    ("load: s3://in/x\ninto: table://w/x\nmode: merge", "merge", "missing-key", None),
    ("load: s3://in/x\ninto: table://w/x\nkey: a\nmode: mrge", "mrge", "value", "merge"),
    ("load: s3://in/x\ninto: table://w/x\nkey: 5", "5", "type", None),
    ("load: s3://in/x\ninto: table://w/x\nkey: [a, 5]", "5", "type", None),
    ("load: rw\ninto: table://w/x", "rw", "missing-dataset", "raw"),
    ("load: raw\ninto: other.x", "other.x", "foreign-write", None),
    ("load: raw\ninto: table://w/x\ntimeout: 5", "5", "value", None),
    ("load: raw\ninto: table://w/x\ntrigger_rule: all_don", "all_don", "value", "all_done"),
    ("load: raw\ninto: table://w/x\nafter: b", "b", "missing-step", None),
    ("load: raw\ninto: table://w/x\nafter: [a]", "a]", "cycle", None),
    ("load: raw\ninto: table://w/x\nafter: {task: x}", "after", "missing-key", None),
    ("load: raw\ninto: table://w/x\nsuite: checks/x.json", "checks/x.json", "missing-file", None),
    ("load: raw\ninto: table://w/x\ndead_letters: {max: 101%}", "101%", "value", None),
    ("load: raw\ninto: table://w/x\ndead_letters: {mx: 1%}", "mx", "unknown-key", "max"),
    ("load: raw\ninto: table://w/x\non_schema_change: add_column", "add_column", "value", "add_columns"),
    ("load: raw\ninto: table://w/x\ncolumns: {d: {typ: x}}", "typ", "unknown-key", "type"),
    ("load: raw\ninto: table://w/x\ncolumns: {d: {in_: [x]}}", "in_", "unknown-key", "in"),
    ("load: raw\ninto: table://w/x\ncolumns: {d: {required: yes}}", "yes", "type", "true"),
    ("load: raw\ninto: table://w/x\ncolumns: {d: {between: 5}}", "5", "type", None),
    ("load: raw\ninto: table://w/x\ncolumns: {d: {between: [1]}}", "[1]", "value", None),
    ("load: raw\ninto: table://w/x\ncolumns: {d: 5}", "5", "type", None),
    ("load: raw\ninto: table://w/x\nchecks: expect_x", "expect_x", "type", None),
    ("load: raw\ninto: table://w/x\nchecks: [{expect_column_to_exst: {column: a}}]", "expect_column_to_exst", "unknown-expectation", "expect_column_to_exist"),
    ("load: raw\ninto: table://w/x\nchecks: [{expect_column_to_exist: 5}]", "5", "type", None),
    ("load: {dataset: raw, latest: true}\ninto: table://w/x", "latest", "value", None),
    ("load: {dataset: o.x, lates: true}\ninto: table://w/x", "lates", "unknown-key", "latest"),
    ("load: raw\ninto: table://w/x\nreads: s3://b/c", "s3://b/c", "missing-binding", None),
    ("load: raw\ninto: table://w/x\nreads: [o.x, p.x]", "p.x", "duplicate-binding", None),
    ("load: raw\ninto: raw", "raw", "self-read", None),
    ("spark: jobs/a.py", "a:", "missing-key", None),
    ("spark: jobs/a.py\ncluster: smal", "smal", "missing-cluster", "small"),
    ("spark: jobs/b.py\ncluster: small", "jobs/b.py", "missing-file", "jobs/a.py"),
    ("spark: []\ncluster: small", "[]", "value", None),
    ("spark: jobs/a.py\ncluster: small\nargs: [x, '{{ dss }}']", "dss }}'", "template", "ds"),
    ("spark: jobs/a.py\ncluster: small\nargs: [true]", "true", "type", None),
    ("spark: jobs/a.py\ncluster: {release: emr-7.13.0}", "cluster", "missing-key", None),
    ("spark: jobs/a.py\ncluster: small\nmax_runtime: long", "long", "value", None),
    ("transform: work:clean\nreads: {orders: raw}", "a:", "missing-key", None),
    ("transform: work:clen\nreads: {orders: raw}\nwrites: {out: s3://b/o}", "work:clen", "import", "work:clean"),
    ("transform: wrk:clean\nreads: {orders: raw}\nwrites: {out: s3://b/o}", "wrk:clean", "import", "work"),
    ("transform: work:clean\nreads: {order: raw}\nwrites: {out: s3://b/o}", "work:clean", "arguments", None),
    ("transform: work.clean\nreads: {orders: raw}\nwrites: {out: s3://b/o}", "work.clean", "import", "work.clean:function"),
    ("transform: broken:f\nwrites: {out: s3://b/o}", "broken:f", "import", None),
    ("python: work:waits", "work:waits", "arguments", None),
    ("python: work:go\nwith: {limt: 5}", "limt", "arguments", "limit"),
    ("python: work:go\nwith: {limit: '{{ dss }}'}", "dss }}'", "template", "ds"),
    ("operator: BashOperator", "BashOperator", "import", None),
    ("operator: airflow.providers.standard.operators.bash.BashOperater", "airflow.providers", "import",
     "airflow.providers.standard.operators.bash.BashOperator"),
    ("operator: airflow.providers.standard.operators.bsh.BashOperator", "airflow.providers", "import",
     "airflow.providers.standard.operators.bash"),
    ("operator: airflow.providers.standard.operators.bash.BashOperator\nwith: {bash_command: '{{ x'}", "{{ x'", "template", None),
]  # fmt: skip


@pytest.fixture
def shop(dags: Dags) -> Dags:
    dags.write("defaults.yaml", DEFAULTS)
    dags.write("jobs/a.py", "")
    dags.write("broken.py", "def f(:\n")
    dags.write(
        "work.py",
        """
        def clean(orders, *, top=5): ...
        def go(window, limit=3): ...
        async def waits(): ...
        """,
    )
    return dags


@pytest.mark.parametrize(("text", "words", "code", "meant"), MISTAKES)
def test_a_mistake_is_placed(
    shop: Dags, stands_at: StandsAt, text: str, words: str, code: str, meant: str | None
) -> None:
    diagnostics = shop.diagnostics(text.replace("LOAD", LOAD))
    assert len(diagnostics) == 1, "\n".join(map(str, diagnostics))
    assert (diagnostics[0].code, diagnostics[0].suggestion) == (code, meant), diagnostics[0]
    assert stands_at(diagnostics[0], words), diagnostics[0]


@pytest.mark.parametrize(("body", "words", "code", "meant"), STEP_MISTAKES)
def test_a_mistake_in_a_step_is_placed(
    shop: Dags, stands_at: StandsAt, body: str, words: str, code: str, meant: str | None
) -> None:
    diagnostics = shop.diagnostics(steps(body) + "datasets: {raw: s3://in/raw.csv}\n")
    found = [diagnostic for diagnostic in diagnostics if diagnostic.code == code and stands_at(diagnostic, words)]
    assert found, "\n".join(map(str, diagnostics))
    assert found[0].suggestion == meant
    assert len(diagnostics) <= 2, "\n".join(map(str, diagnostics))


def test_all_mistakes_of_a_file_come_at_once(shop: Dags) -> None:
    diagnostics = shop.diagnostics(
        """
        sluicegate: 1
        shedule: none
        owner: 5
        datasets: {x: s4://b/c}
        steps:
          a: {load: y, into: table://w/x, wat: 3}
          b: {spark: jobs/a.py, cluster: smal}
          c: {python: work:gone}
        """
    )
    assert [(m.line, m.code) for m in diagnostics] == [
        (2, "unknown-key"), (3, "type"), (4, "uri"), (6, "missing-dataset"), (6, "unknown-key"), (7, "missing-cluster"),
        (8, "import"),
    ]  # fmt: skip
    assert diagnostics[5].where == "steps.b.cluster"


def test_what_refers_to_something_wrong_is_no_second_mistake(shop: Dags) -> None:
    shop.diagnostic(
        """
        sluicegate: 1
        datasets: {x: s4://b/c}
        steps:
          a: {load: x, into: table://w/x}
        """
    )


def test_a_stem_that_is_no_name(dags: Dags) -> None:
    assert dags.diagnostic(ORDERS, "My-Orders.yaml").code == "name"


def test_a_file_that_is_not_there_is_a_mistake(dags: Dags) -> None:
    with pytest.raises(PipelineErrors, match="unreadable"):
        read_pipeline(dags.root / "none.yaml", dags.root)


def test_nothing_of_the_users_code_is_run(dags: Dags) -> None:
    dags.write("pkg/__init__.py", "raise SystemExit('imported')")
    dags.write("pkg/code.py", "raise SystemExit('imported')\ndef f(x): ...\n")
    text = steps("transform: pkg.code:f\nreads: {x: s3://b/c}\nwrites: {out: s3://b/d}")
    step = dags.read(text).steps["a"]
    assert isinstance(step, TransformStep)
    assert step.function == "pkg.code:f"


def test_a_name_that_is_nearly_a_column_is_a_warning(dags: Dags) -> None:
    file = dags.write(
        "orders.yaml",
        steps("load: s3://in/x\ninto: table://w/x\nkey: [carier, day]\ncolumns: {carrier: text}"),
    )
    warnings = dags.together(file.name).diagnostics
    assert [(w.code, w.severity, w.suggestion) for w in warnings] == [("unknown-column", "warning", "carrier")]


def test_templates_know_the_window_and_the_params() -> None:
    good = "{{ ds }}{{ window.start.strftime('%H') }}{{ params.x or 'all' }}{{ params['x'] | lower }}{% if ds %}{% endif %}"
    assert diagnostics(good, frozenset({"x"})) == ()


TOKENS = [
    "{", "}", "[", "]", ":", ": ", "\n", "  ", "- ", "'", '"', "&a ", "*a", "!!x ", "null", "true", "5", "x", "|", "#",
    "{{", "}}", "${env:X}", "${env:SLUICEGATE_X:1}", "matrix: ", "{{ matrix.region }}", "<<: ", "\t", "s3://", "table://", "load", "reads: [", "writes", "5%", "6h", "\ud83d\ude00",
]  # fmt: skip


def found_in(file: Path, root: Path) -> tuple[Diagnostic, ...]:
    """The mistakes of a file, none if it reads well; an exception is a crash."""
    draft = read_draft(file, root, Environment({"SLUICEGATE_X": "x"}))
    assert draft.is_good or any(diagnostic.is_error for diagnostic in draft.diagnostics)
    assert draft.pipelines or draft.diagnostics
    return draft.diagnostics


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_file_gives_a_pipeline_or_placed_mistakes(shop: Dags, data: st.DataObject) -> None:
    text = dedent(data.draw(st.sampled_from([ORDERS, DELAYS.replace("delays.py", "a.py"), DEFAULTS, MATRIX]))).lstrip()
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(text)))
        end = begin + data.draw(st.integers(0, 12))
        text = text[:begin] + data.draw(st.sampled_from(["", *TOKENS])) + text[end:]
    file = shop.root / "orders.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    lines = text.count("\n") + 1
    for diagnostic in found_in(file, shop.root):
        assert 1 <= diagnostic.line <= lines + 1
        assert diagnostic.column >= 1
        assert str(diagnostic)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["x", "", "a.b", "s3://b", "6h", "{{"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "dataset", "type"]), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_anywhere_gives_a_pipeline_or_mistakes(shop: Dags, data: st.DataObject) -> None:
    whole = json.loads(WHOLE)
    spot = whole
    while True:
        key = data.draw(st.sampled_from(sorted(spot)))
        inner = spot[key]
        if not isinstance(inner, dict) or not inner or data.draw(st.booleans()):
            break
        spot = inner
    spot[key] = data.draw(VALUES)
    file = shop.root / "orders.yaml"
    file.write_text(json.dumps(whole).replace("NaN", ".nan").replace("Infinity", ".inf"), "utf-8")
    assert found_in(file, shop.root) is not None


WHOLE = json.dumps(
    {
        "sluicegate": 1,
        "description": "d",
        "tags": ["x"],
        "schedule": {"cron": "@daily", "timezone": "UTC", "start": "2026-01-01", "end": "2026-02-01", "catchup": True},
        "fresh_within": "6h",
        "params": {"p": {"type": "string", "default": "x"}},
        "datasets": {"raw": "s3://b/raw", "t": {"uri": "table://w/t", "format": {"type": "csv"}, "shared": True}},
        "alerts": {},
        "retries": {"count": 1},
        "dag": {},
        "steps": {
            "l": {
                "load": "raw", "into": "t", "key": ["a"], "columns": {"a": {"type": "text", "between": [1, 2]}},
                "checks": [{"expect_column_to_exist": {"column": "a"}}], "dead_letters": {"max": 3}, "format": {"type": "csv"},
                "retries": {"count": 1}, "after": ["p"], "suite": None,
            },
            "s": {"spark": [{"path": "jobs/a.py", "args": [1]}], "cluster": "small", "reads": {"x": "o.x"}, "writes": ["u"]},
            "p": {"python": "work:go", "with": {"limit": 1}, "reads": [{"dataset": "o.y", "latest": True}]},
            "t": {"transform": "work:clean", "reads": {"orders": "raw"}, "writes": {"o": "s3://b/o"}},
            "o": {"operator": "airflow.sdk.BaseOperator", "with": {"x": "{{ ds }}"}, "timeout": "5m", "trigger_rule": "all_done"},
        },
    }
)  # fmt: skip


def test_the_root_may_be_relative(dags: Dags, monkeypatch: pytest.MonkeyPatch) -> None:
    dags.write("orders.yaml", ORDERS)
    monkeypatch.chdir(dags.root.parent)
    assert read_pipeline(Path("dags/orders.yaml"), Path("dags")).file == dags.root / "orders.yaml"
