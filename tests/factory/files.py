"""Pipeline files that the tests of the factory share, written into a folder."""

from __future__ import annotations

from pathlib import Path

from sluicegate.factory.attempt import attempt
from sluicegate.factory.code_path import find_code
from sluicegate.factory.unplaced import placed
from sluicegate.pipeline import PipelineErrors, read_together
from sluicegate.runtime.dag import PipelineDAG

FLIGHTS = """\
sluicegate: 1
description: A day's flights.
owner: data-platform
tags: [raw, daily]
schedule: {cron: "@daily", start: 2013-02-11, end: 2013-02-14, catchup: true}
params:
  carrier: {type: string, default: null, description: One carrier only}
datasets:
  raw: s3://lake/flights/{{ ds }}.csv
  flights: table://warehouse/public.flights
steps:
  fetch:
    operator: airflow.providers.standard.operators.bash.BashOperator
    with: {bash_command: "fetch {{ window.start }}"}
    writes: raw
  load_flights: {load: raw, into: flights, key: id}
"""

DELAYS = """\
sluicegate: 1
owner: data-platform
schedule: {cron: "0 7 * * *", start: 2013-02-11, end: 2013-02-14, catchup: true}
datasets:
  delays: table://warehouse/public.delays
steps:
  load_delays: {load: flights.raw, into: delays, key: id}
"""

SYNTAX = """\
sluicegate: 1
steps:
  a: {load: s3://x/y.csv
"""

MISSPELT = """\
sluicegate: 1
shedule: "@daily"
steps:
  a: {load: s3://x/y.csv, into: "table://warehouse/t"}
"""

CYCLE = """\
sluicegate: 1
steps:
  a: {load: s3://x/y.csv, into: "table://warehouse/t", after: b}
  b: {load: s3://x/z.csv, into: "table://warehouse/u", after: a}
"""

BAD_ARGUMENT = """\
sluicegate: 1
steps:
  a:
    operator: airflow.providers.standard.operators.bash.BashOperator
    with: {bash_comand: echo}
"""


def write(root: Path, **files: str) -> Path:
    """`write(root, flights=FLIGHTS)` makes `flights.yaml`."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / f"{name}.yaml").write_text(text)
    return root


def dags_of(root: Path, file: str) -> list[PipelineDAG]:
    """The DAGs of one file, read and built.

    :raises PipelineErrors: with every error of the file
    """
    find_code(root)
    together = read_together(root / file, root)
    made, errors = [], []
    for pipeline in together.pipelines:
        built, unplaced = attempt(pipeline, together.upstreams)
        made += [built.dag] if built is not None else []
        errors += [each for each in placed(unplaced, root / file, root).diagnostics if each.is_error]
    if errors:
        raise PipelineErrors(errors, root)
    return made
