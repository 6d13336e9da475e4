"""Pipeline files with every kind of step, wait and schedule, and names that are awkward in Python."""

from __future__ import annotations

from pathlib import Path

DEFAULTS = """\
owner: data-platform
retries: {count: 2, delay: 10s, max_delay: 1m30s}
connections: {aws: aws_lake}
clusters:
  small: {release: emr-7.13.0, instances: {primary: m7g.xlarge}, run_job_flow: {AdditionalInfo: "it's \\"ours\\""}}
"""

UPSTREAM = """\
sluicegate: 1
schedule: {cron: "@daily", start: 2026-01-01, timezone: Europe/Berlin}
datasets:
  raw: s3://lake/raw/{{ ds }}/
  ports: table://warehouse/ports
steps:
  make: {python: "harbour:make", writes: {raw: raw}}
  ports: {load: s3://landing/ports.csv, into: ports, key: id}
"""

KINDS = """\
sluicegate: 1
description: |
  Every kind of step, and a "quoted" word.

  Second paragraph.
owner: kinds
tags: [b, a]
fresh_within: 2d
schedule: {cron: "0 5 * * *", start: 2026-01-02, end: 2026-03-01, timezone: Europe/Berlin, catchup: true}
params:
  carrier: {type: string, default: null, enum: [AA, UA], description: One carrier}
  limit: {type: integer, default: 10, minimum: 1}
max_active_runs: 3
paused: true
alerts:
  on_call: {notifier: sluicegate.alerts.webhook.WebhookNotifier, with: {http_conn_id: pager}, faults: [data, fatal]}
dag: {max_active_tasks: 4, render_template_as_native_obj: true, dag_display_name: "Kinds of steps"}
datasets:
  root: s3://lake/kinds/{{ ds }}/
  shared: {uri: "s3://lake/shared/{{ ds }}.csv", format: {type: csv, delimiter: ";", null: ["", "N/A"]}}
  import: table://warehouse/kinds
steps:
  spark:
    spark: [{path: jobs/a.py, args: ["--day", "{{ ds }}"]}, jobs/b.py]
    cluster: small
    reads: {raw: upstream.raw, ports: {dataset: upstream.ports, latest: true}}
    writes: {out: root}
    timeout: 2h
    max_runtime: 45m
  import:
    transform: harbour:clean
    reads: {root: root}
    writes: shared
    with: {words: ["a", 'b"c', "d'e"], share: 0.5, none: null, deep: {x: [1, {y: true}]}}
    retries: {count: 0}
  load_kinds:
    load: shared
    into: import
    key: [id, day]
    mode: merge
    newest_by: at
    columns: {id: {type: integer, required: true, in: [1, 2]}, day: date, at: timestamptz}
    checks: [{expect_column_values_to_match_regex: {column: day, regex: "^[0-9]+$"}}]
    dead_letters: {max: 2.5%}
    on_schema_change: add_columns
    trigger_rule: all_done
    pool: loads
    description: Loads what is clean.
  tell:
    operator: airflow.providers.standard.operators.bash.BashOperator
    with:
      bash_command: |
        for i in 1 2; do
          echo "{{ window.start }} $i" 'x'
        done
      env: {A: "b"}
      append_env: true
    after: [load_kinds, {dag: legacy, task: export}]
    wait: 30m
    timeout: 90s
  look:
    operator: airflow.providers.standard.sensors.filesystem.FileSensor
    with: {filepath: /tmp/x, mode: reschedule, poke_interval: 5}
    timeout: 1h
  post: {python: "harbour:post", after: look, with: {url: http://x/}}
"""

SOURCES = """\
sluicegate: 1
schedule: once
steps:
  one: {load: "s3://landing/{{ window.start }}/", into: table://warehouse/one, format: {type: jsonl}, wait: 6h}
  two: {load: s3://landing/two.parquet, into: table://warehouse/two, wait: 1d, after: {dag: legacy}}
"""

LONE = """\
sluicegate: 1
steps:
  class: {operator: airflow.providers.standard.operators.empty.EmptyOperator}
"""

REACH = """\
sluicegate: 1
schedule: {cron: "@daily", start: 2026-01-01}
datasets:
  part: s3://lake/regions/{{ ds }}/{{ item.region }}.parquet
  all_regions: s3://lake/regions/{{ ds }}/
dag:
  dagrun_timeout: 2h
  on_failure_callback:
    - class: airflow.providers.smtp.notifications.smtp.SmtpNotifier
      with: {to: data@example.com}
steps:
  grow: {operator: airflow.providers.standard.operators.empty.EmptyOperator, group: outer}
  clean_up:
    group: outer.inner
    after: grow
    for_each:
      - {region: eu, country: DE}
      - {region: us, country: US}
    transform: harbour:clean_up
    with: {country: "{{ item.country }}"}
    reads: {customers: "s3://landing/{{ item.region }}/{{ ds }}.csv"}
    writes: {out: part}
    wait: 6h
  load_all: {load: all_regions, into: table://warehouse/regions, key: id}
  load_invoices:
    for_each: {files: "s3://landing/invoices/{{ ds }}/*.csv", max_active: 4}
    load: "{{ item }}"
    into: table://warehouse/invoices
    key: invoice_id
  echo:
    for_each: {output_of: names, label: "{{ item }}"}
    operator: airflow.providers.standard.operators.bash.BashOperator
    with: {bash_command: "echo {{ item }}", env: {A: b}}
    pool: echoes
    retries: {count: 1}
  names: {python: "harbour:names"}
  ask:
    operator: airflow.providers.standard.sensors.python.PythonSensor
    with:
      python_callable: harbour:is_ready
      op_kwargs: {a: 1}
      poke_interval: 5m
      soft_fail: true
      weight_rule: upstream
      on_success_callback: harbour:tell
    timeout: 6h
  shrink:
    operator: airflow.providers.standard.operators.empty.EmptyOperator
    teardown_of: {steps: grow, fail_run: true}
"""

CLASH = """\
sluicegate: 1
schedule: {cron: "@daily", start: 2026-01-01}
datasets: {utc: s3://lake/utc/, param: s3://lake/param/}
steps:
  tell: {operator: airflow.providers.standard.operators.empty.EmptyOperator, group: tell_group}
  timedelta: {python: "harbour:make", writes: [utc, param]}
  group_tell_group: {load: utc, into: table://warehouse/utc}
  dag:
    operator: airflow.providers.standard.operators.bash.BashOperator
    with: {bash_command: "exit", on_success_callback: harbour:tell}
"""

TIMED = """\
sluicegate: 1
schedule: {timetable: airflow.sdk.DeltaDataIntervalTimetable, with: {delta: 90m}, start: 2026-01-01}
steps:
  at:
    operator: airflow.providers.standard.sensors.date_time.DateTimeSensor
    with: {target_time: 2026-01-31T07:00}
"""

CODE = """\
def make(writes): ...


def clean(root, words, share, none, deep): return root


def post(url): ...


def clean_up(customers, country): return customers


def names(): return ["a"]


def is_ready(a): return True


def tell(context): ...
"""


def write(root: Path) -> Path:
    """`root` with all of them, one in a subfolder."""
    (root / "deep" / "deeper").mkdir(parents=True)
    (root / "jobs").mkdir()
    for name, text in {
        "defaults.yaml": DEFAULTS,
        "upstream.yaml": UPSTREAM,
        "deep/deeper/kinds.yaml": KINDS,
        "deep/sources.yaml": SOURCES,
        "lone.yaml": LONE,
        "reach.yaml": REACH,
        "timed.yaml": TIMED,
        "clash.yaml": CLASH,
        "harbour.py": CODE,
        "jobs/a.py": "",
        "jobs/b.py": "",
    }.items():
        (root / name).write_text(text, "utf-8")
    return root
