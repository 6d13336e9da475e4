"""What the dag-processor of Airflow 3.4 gets to see: good pipelines, bad ones, and files that are neither."""

from __future__ import annotations

NUMBERS = """\
sluicegate: 1
schedule: {cron: "@daily", start: 2026-01-01, end: 2026-01-02, catchup: true}
datasets:
  raw: file://FOLDER/{{ ds }}.csv
  numbers: table://warehouse/public.numbers
steps:
  make:
    python: work.numbers:make
    writes: raw
  load_numbers: {load: raw, into: numbers, key: id, columns: {id: integer, value: integer}}
"""

SUMS = """\
sluicegate: 1
owner: somebody
schedule: {cron: "@daily", start: 2026-01-01, end: 2026-01-02, catchup: true}
steps:
  load_again:
    load: numbers.raw
    into: table://warehouse/public.again
    key: id
    columns: {id: integer, value: integer}
  say:
    operator: airflow.providers.standard.operators.bash.BashOperator
    with: {bash_command: "echo {{ window.start }}"}
    after: load_again
"""

CODE = """\
import time
from pathlib import Path


def make(writes, window):
    Path(writes["raw"].removeprefix("file://")).write_text("id,value\\n1,10\\n2,20\\n")
    return str(window.start)


def hold(gate):
    deadline = time.monotonic() + 60
    while not Path(gate).exists() and time.monotonic() < deadline:
        time.sleep(0.2)
"""

STEADY = """\
sluicegate: 1
steps:
  hold: {python: "work.numbers:hold", with: {gate: FOLDER/gate}}
  then:
    operator: airflow.providers.standard.operators.bash.BashOperator
    with: {bash_command: "echo then"}
    after: hold
"""

MATRIX = """\
sluicegate: 1
matrix: {region: [eu, us]}
steps:
  a: {load: "s3://x/{{ matrix.region }}.csv", into: "table://warehouse/t_{{ matrix.region }}"}
"""

TWO_MISTAKES = """\
sluicegate: 1
shedule: none
steps:
  a: {load: s3://x/y.csv, into: "table://warehouse/t", kye: id}
"""

SYNTAX = """\
sluicegate: 1
steps:
  a: {load: s3://x/y.csv
"""

BAD_ARGUMENT = """\
sluicegate: 1
steps:
  a:
    operator: airflow.providers.standard.operators.bash.BashOperator
    with: {bash_comand: echo}
"""

SMALL = """\
sluicegate: 1
steps:
  a: {load: s3://x/y.csv, into: "table://warehouse/t"}
"""


WARNED = f'{SMALL}  b: {{load: s3://x/z.csv, into: "table://warehouse/t"}}\n'


def reader_of(other: str) -> str:
    """A pipeline that reads what `other` writes, and writes something that can be read."""
    return f"""\
sluicegate: 1
schedule: {{cron: "@daily", start: 2026-01-01}}
datasets:
  out: file:///nowhere/of_{other}/{{{{ ds }}}}.csv
steps:
  a: {{python: "work.numbers:make", reads: {{up: {other}.out}}, writes: out}}
"""


THEIRS = """\
$schema: https://airflow.apache.org/schemas/dag/2026-10-30.json
dag_id: theirs
tasks:
  - id: nothing
"""
