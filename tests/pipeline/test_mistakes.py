# ruff: noqa: E501 - a table of bad files
"""Every kind of mistake that a file can have: where it is told, its code, and what is suggested.

`▸` stands before the place; it is taken out before the file is written. A step's rows are lines of the step `a`.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent
from typing import NamedTuple

import pytest

from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors, in_order
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.tree import read_together, read_tree
from tests.pipeline.conftest import Dags

HERE = "▸"
OK = "{load: s3://in/x.csv, into: table://wh/x}"
DEFAULTS = """\
    retries: {count: 5, delay: 10s}
    clusters:
      small: {release: emr-7.13.0, instances: {primary: m7g.xlarge, core: {type: m7g.xlarge, count: 2}}}
    """
WORK = """\
    def clean(orders, *, top=5): ...
    def go(window, limit=3): ...
    async def waits(): ...
    """


class Bad(NamedTuple):
    kind: str
    text: str
    code: str
    meant: str | None = None


def top(kind: str, text: str, code: str, meant: str | None = None) -> Bad:
    """Top-level lines above a step that is right."""
    return Bad(kind, f"sluicegate: 1\n{text}\nsteps:\n  ok: {OK}\n", code, meant)


def step(kind: str, text: str, code: str, meant: str | None = None) -> Bad:
    """The lines of one step, in a file that has the dataset `raw`."""
    mark = HERE if text.startswith(f"{HERE}!") else ""
    body = indent(text.removeprefix(f"{HERE}!"), "    ")
    return Bad(kind, f"sluicegate: 1\ndatasets: {{raw: s3://in/raw.csv}}\nsteps:\n  {mark}a:\n{body}\n", code, meant)


LOAD = "load: raw\ninto: table://wh/x\n"
SPARK = "spark: jobs/a.py\ncluster: "
BASH = "airflow.providers.standard.operators.bash"

FILES = [
    # YAML
    top("a double quote that is never closed", 'owner: ▸"me\ntags: [x]', "syntax"),
    top("a single quote that is never closed", "owner: ▸'me\ntags: [x]", "syntax"),
    top("a double quote that swallows lines", 'owner: ▸"me\ntags: [x]\ndescription: "d"', "syntax"),
    top("a single quote that swallows lines", "owner: ▸'me\ntags: [x]\ndescription: 'd'", "syntax"),
    top("a quote in brackets that swallows lines", "tags: [▸'x, y]\ndescription: 'd'", "syntax"),
    top("a quote in braces that is closed by the next", 'retries: {delay: ▸"5s, max_delay: "5m"}', "syntax"),
    top("a bracket that is not closed", "tags: ▸[x, y\nowner: me", "syntax"),
    top("a brace that is not closed", "retries: ▸{count: 1\nowner: me", "syntax"),
    top("a comma that is missing", "retries: {count: 1 delay▸: 5s}", "syntax"),
    top("a bracket too many", "tags: [x]▸]", "syntax"),
    top("words behind a quote", "owner: 'me' ▸or you", "syntax"),
    top("a key without a colon", "▸owner me", "syntax"),
    top("a key without a blank", "▸owner:me\ntags: [x]", "syntax"),
    step("a step's key without a colon", "▸load raw\ninto: table://wh/x", "syntax"),
    top("a list on the line of its key", "tags: ▸- x", "syntax"),
    top("a star that is no alias", "owner: ▸*.csv", "syntax"),
    top("a block that is not indented", "description: |\n▸hello", "syntax"),
    top("a tab", "retries:\n▸\tcount: 1", "syntax"),
    top("a colon too many", "owner: me▸: too", "syntax"),
    top("a wrong indentation", "owner: me\n tags▸: [x]", "syntax"),
    top("a letter that opens nothing", "schedule: ▸@daily", "syntax"),
    top("a template in braces without quotes", "datasets: {x: s3://b/▸{{ ds }}.csv}", "syntax"),
    top("a template that is read as keys", "owner: ▸{{ ds }}", "key"),
    top("a second document", "owner: me\n▸---\nx: 1", "syntax"),
    top("a tag", "owner: ▸!!str me", "tag"),
    top("a merge key", "retries: {▸<<: {count: 1}}", "merge-key"),
    top("a key twice", "owner: me\n▸owner: you", "duplicate-key"),
    top("a key twice further down", "retries: {count: 1, ▸count: 2}", "duplicate-key"),
    top("an alias of nothing", "owner: ▸*me", "syntax"),
    # keys that are unknown
    top("an unknown key of the file", "▸shedule: none", "unknown-key", "schedule"),
    top("a key of the defaults", "▸clusters: {}", "unknown-key"),
    top("an unknown key of a schedule", 'schedule: {▸corn: "@daily"}', "unknown-key", "cron"),
    top("an unknown key of retries", "retries: {▸cuont: 3}", "unknown-key", "count"),
    top("an unknown key of a dataset", "datasets: {x: {▸url: s3://b/c}}", "unknown-key", "uri"),
    top("an unknown key of a format", "datasets: {x: {uri: s3://b/c, format: {▸delimeter: x}}}", "unknown-key", "delimiter"),
    step("an unknown key of a load", LOAD + "▸cheks: []", "unknown-key", "checks"),
    step("an unknown key of a spark step", SPARK + "small\n▸max_rutime: 1h", "unknown-key", "max_runtime"),
    step("an unknown key of a transform", "transform: work:clean\nreads: {orders: raw}\nwrites: {out: s3://b/o}\n▸wiht: {}", "unknown-key", "with"),
    step("an unknown key of a python step", "python: work:go\n▸poll: x", "unknown-key", "pool"),
    step("an unknown key of an operator", f"operator: {BASH}.BashOperator\n▸whith: {{}}", "unknown-key", "with"),
    step("a key of another kind", LOAD + "▸cluster: small", "unknown-key"),
    step("an unknown key of a step's retries", LOAD + "retries: {▸dely: 3s}", "unknown-key", "delay"),
    step("an unknown key of what is read", "load: {dataset: raw, ▸lates: true}\ninto: table://wh/x", "unknown-key", "latest"),
    step("an unknown key of after", LOAD + "after: {dag: x, ▸taks: y}", "unknown-key", "task"),
    step("an unknown key of a column", LOAD + "columns: {d: {▸typ: text}}", "unknown-key", "type"),
    step("an unknown key of dead letters", LOAD + "dead_letters: {▸mx: 1%}", "unknown-key", "max"),
    step("an unknown key of a load's format", LOAD + "format: {▸encodng: x}", "unknown-key", "encoding"),
    step("an unknown expectation", LOAD + "checks:\n- ▸expect_column_to_exst: {column: a}", "unknown-expectation", "expect_column_to_exist"),
    step("an unknown key of a cluster", SPARK + "{release: emr-7.13.0, instances: {primary: y}, ▸log_url: z}", "unknown-key", "log_uri"),
    step("an unknown key of instances", SPARK + "{release: emr-7.13.0, instances: {primary: y, ▸cor: {type: z}}}", "unknown-key", "core"),
    step("an unknown key of core instances", SPARK + "{release: emr-7.13.0, instances: {primary: y, core: {type: z, ▸cont: 3}}}", "unknown-key", "count"),
    step("an unknown key of a job", "spark: [{path: jobs/a.py, ▸arg: [x]}]\ncluster: small", "unknown-key", "args"),
    # keys that are missing
    Bad("no steps", "▸sluicegate: 1\nowner: me\n", "missing-key"),
    Bad("steps that are empty", "sluicegate: 1\n▸steps:\n", "missing-key"),
    step("no kind", "▸lod: raw\ninto: table://wh/x", "missing-key", "load"),
    step("two kinds", LOAD + "▸python: work:go", "two-kinds"),
    step("a load without a target", "▸!load: raw", "missing-key"),
    step("a spark step without a cluster", "▸!spark: jobs/a.py", "missing-key"),
    step("a cluster without a release", "spark: jobs/a.py\n▸cluster: {instances: {primary: x}}", "missing-key"),
    step("a transform without writes", "▸!transform: work:clean\nreads: {orders: raw}", "missing-key"),
    step("a mode that needs a key", LOAD + "mode: ▸merge", "missing-key"),
    top("a dataset without a place", "datasets: {▸x: {format: csv}}", "missing-key"),
    top("a cron without a start", 'schedule: ▸"@daily"', "missing-key"),
    top("a scheduled param without a default", "schedule: once\nparams: {▸x: {type: string}}", "missing-key"),
    # types and enums
    Bad("a version that is empty", f"owner: me\nsluicegate:▸\nsteps: {{ok: {OK}}}\n", "version"),
    Bad("a version that is not ours", f"sluicegate: ▸2\nsteps: {{ok: {OK}}}\n", "version"),
    top("a number for a text", "owner: ▸5", "type"),
    top("a text for a list", "tags: ▸x", "type"),
    top("a number in a list of texts", "tags: [x, ▸5]", "type"),
    top("a word for a boolean", "paused: ▸yes", "type", "true"),
    top("a word for a number", "retries: {count: ▸three}", "type"),
    top("a fraction for a whole number", "max_active_runs: ▸1.5", "type"),
    top("a number that is too small", "max_active_runs: ▸0", "value"),
    top("a list for keys and values", "datasets: ▸[x]", "type"),
    top("a dataset that is a number", "datasets: {x: ▸5}", "type"),
    top("a format that is none", "datasets: {x: {uri: s3://b/c, format: ▸cvs}}", "value", "csv"),
    top("params that are a list", "params: ▸[x]", "type"),
    top("fault rules that are a text", "faults: ▸NETWORK", "type"),
    top("a fault rule that is a text", "faults: [▸NETWORK]", "type"),
    top("a fault rule without a condition", "faults: [▸{is: NETWORK}]", "missing-key"),
    top("a fault rule that changes nothing", "faults: [▸{matches: closed}]", "missing-key"),
    top("a key that a fault rule does not have", "faults: [{matches: x, is: NETWORK, ▸stats: 5}]", "unknown-key", "status"),
    top("a fault rule whose pattern is none", 'faults: [{matches: ▸"(closed", is: NETWORK}]', "pattern"),
    top("a status that HTTP does not have", "faults: [{status: ▸42, is: NETWORK}]", "value"),
    top("an exception that there is not", "faults: [{error: ▸requests.exceptions.HTTPEror, is: NETWORK}]", "import", "requests.exceptions.HTTPError"),
    top("an exception of a module that there is not", "faults: [{error: ▸partner_sdk.ClosedError, is: NETWORK}]", "import"),
    top("an exception of Python's that there is not", "faults: [{error: ▸KeyEror, is: NETWORK}]", "import", "KeyError"),
    top("a type that is not an exception", "faults: [{error: ▸int, is: NETWORK}]", "import"),
    top("a function in place of an exception", "faults: [{error: ▸mine.clean, is: NETWORK}]", "import"),
    top("a class of a fault that there is not", "faults: [{matches: x, is: {code: NEW, class: ▸fata, sentence: s, remedy: r}}]", "value", "fatal"),
    top("alerts that are a text", "alerts: ▸x", "type"),
    top("dag that is a text", "dag: ▸x", "type"),
    step("a step that is a text", LOAD + "key: ▸5", "type"),
    step("a mode that is none", LOAD + "key: x\nmode: ▸mrge", "value", "merge"),
    step("a trigger rule that is none", LOAD + "trigger_rule: ▸all_don", "value", "all_done"),
    step("on_schema_change that is none", LOAD + "on_schema_change: ▸add_column", "value", "add_columns"),
    step("on_upstream_failure that is none", "load: {dataset: raw, on_upstream_failure: ▸wiat}\ninto: table://wh/x", "value", "wait"),
    step("on_upstream_skipped that is none", "load: {dataset: raw, on_upstream_skipped: ▸skp}\ninto: table://wh/x", "value", "skip"),
    step("what a skip of a whole run means", LOAD + "after: {dag: x, ▸on_upstream_skipped: run}", "value"),
    step("a column's boolean", LOAD + "columns: {d: {required: ▸yes}}", "type", "true"),
    step("half a range", LOAD + "columns: {d: {between: ▸[1]}}", "value"),
    step("a column that is a number", LOAD + "columns: {d: ▸5}", "type"),
    step("checks that are no list", LOAD + "checks: ▸x", "type"),
    step("arguments of a check", LOAD + "checks: [{expect_column_to_exist: ▸5}]", "type"),
    step("a share above all", LOAD + "dead_letters: {max: ▸101%}", "value"),
    step("arguments of a job", SPARK + "small\nargs: [x, ▸true]", "type"),
    step("with that is a list", "python: work:go\nwith: ▸[x]", "type"),
    step("reads that are a number", LOAD + "reads: ▸5", "type"),
    step("instances that are a text", SPARK + "{release: emr-7.13.0, instances: ▸y}", "type"),
    step("a load of a number", "load: ▸5\ninto: table://wh/x", "type"),
    step("a target that is a list", "load: raw\ninto: ▸[x]", "type"),
    step("a job that is a number", "spark: ▸5\ncluster: small", "type"),
    step("a cluster that is a number", SPARK + "▸5", "type"),
    step("a callable that is a list", "python: ▸[x]", "type"),
    step("an operator that is a number", "operator: ▸5", "type"),
    step("writes that are a number", "python: work:go\nwrites: ▸5", "type"),
    step("after a number", LOAD + "after: [▸5]", "type"),
    step("retries that are a word", LOAD + "retries: ▸x", "type"),
    step("a rule that is a number", LOAD + "trigger_rule: ▸5", "value"),
    step("a description that is a list", LOAD + "description: ▸[x]", "type"),
    step("newest_by that is a number", LOAD + "newest_by: ▸5", "type"),
    step("columns that are a list", LOAD + "columns: ▸[x]", "type"),
    step("values that are a number", LOAD + "columns: {d: {in: ▸5}}", "type"),
    step("a check that is a number", LOAD + "checks: [▸5]", "type"),
    step("dead letters that are a number", LOAD + "dead_letters: ▸5", "type"),
    step("a suite that is a number", LOAD + "suite: ▸5", "type"),
    step("a format that is a number", LOAD + "format: ▸5", "type"),
    step("a delimiter that is a number", LOAD + "format: {delimiter: ▸5}", "type"),
    step("what is read that is a number", LOAD + "reads: {x: ▸5}", "type"),
    step("latest that is a word", "load: {dataset: weather.rain, latest: ▸yes}\ninto: table://wh/x", "type", "true"),
    step("a count of instances", SPARK + "{release: emr-7.13.0, instances: {primary: y, core: {type: z, count: ▸0}}}", "value"),
    top("tags that are a mapping", "tags: ▸{a: b}", "type"),
    top("a shared that is a word", "datasets: {x: {uri: s3://b/c, shared: ▸yes}}", "type", "true"),
    top("a schedule that is a list", "schedule: ▸[x]", "type"),
    top("a cron that is a number", "schedule: {cron: ▸5, start: 2026-01-01}", "type"),
    top("a time zone that is a number", "schedule: {timezone: ▸5}", "type"),
    top("a catchup that is a number", "schedule: {catchup: ▸5}", "type"),
    top("retries that are a word", "retries: ▸x", "type"),
    top("a param that is a list", "params: {x: ▸[y]}", "type"),
    step("a pool that is a list", LOAD + "pool: ▸[x]", "type"),
    # durations, crons, time zones, moments
    top("a duration without a unit", "fresh_within: ▸30", "value"),
    top("a duration that is none", "fresh_within: ▸soon", "value"),
    top("a duration of retries", "retries: {delay: ▸10}", "value"),
    step("a duration of a step", LOAD + "timeout: ▸5", "value"),
    step("a wait that is no duration", LOAD + "wait: ▸long", "value"),
    step("a max_runtime that is no duration", SPARK + "small\nmax_runtime: ▸long", "value"),
    top("a preset that is none", 'schedule: {cron: ▸"@dayly", start: 2026-01-01}', "cron", "@daily"),
    top("a cron of four fields", "schedule: {cron: ▸0 0 * *, start: 2026-01-01}", "cron"),
    top("a cron that never comes", "schedule: {cron: ▸0 0 31 2 *, start: 2026-01-01}", "cron"),
    top("a cron with a wrong number", "schedule: {cron: ▸0 25 * * *, start: 2026-01-01}", "cron"),
    top("a word that is no schedule", "schedule: ▸onec", "cron", "once"),
    top("a time zone that is none", "schedule: {timezone: ▸Europe/Belrin}", "timezone", "Europe/Berlin"),
    top("a start that is no day", 'schedule: {cron: "@daily", start: ▸soon}', "value"),
    top("a day that does not exist", 'schedule: {cron: "@daily", start: ▸2026-02-30}', "value"),
    top("an end before the start", 'schedule: {cron: "@daily", start: 2026-02-01, end: ▸2026-01-01}', "schedule"),
    # templates
    top("a template that does not parse", "datasets: {x: 's3://b/▸{{ ds }'}", "template"),
    top("the second of two expressions does not parse", "datasets: {x: 's3://{{ ds }}/▸{{ ds ds }}'}", "template"),
    top("an unknown name in a URI", "datasets: {x: 's3://b/{{ ▸dss }}'}", "template", "ds"),
    top("an unknown name on a later line", "datasets:\n  x: >-\n    s3://b/{{ ds }}/\n    {{ ▸widnow.start }}", "template", "window"),
    top("an unknown part of the window", "datasets: {x: 's3://b/{{ window.▸strt }}'}", "template", "start"),
    top("an unknown param", "params: {carrier: AA}\ndatasets: {x: 's3://b/{{ params.▸carier }}'}", "template", "carrier"),
    top("a block that is not closed", "datasets: {x: ▸'s3://b/{% if ds %}x'}", "template"),
    top("an unknown test", "datasets: {x: 's3://b/{{ ds is ▸evn }}'}", "template", "even"),
    top("an unknown filter", "datasets: {x: 's3://b/{{ ds | ▸uper }}'}", "template", "upper"),
    step("an unknown name in an inline URI", "load: s3://b/{{ ▸dss }}\ninto: table://wh/x", "template", "ds"),
    step("an unknown name in a job's arguments", SPARK + "small\nargs: [x, '{{ ▸dss }}']", "template", "ds"),
    step("an unknown name in with", "python: work:go\nwith: {limit: '{{ ▸dss }}'}", "template", "ds"),
    step("an operator's template that does not parse", f"operator: {BASH}.BashOperator\nwith: {{bash_command: 'echo ▸{{{{ x'}}", "template"),
    # URIs, files and code
    top("a scheme that is none", "datasets: {x: ▸s3a://b/c}", "uri", "s3://"),
    top("a path that is no URI", "datasets: {x: ▸b/c}", "uri"),
    top("an Iceberg table without its namespace", "datasets: {x: ▸iceberg://ice/orders}", "uri"),
    top("a table without its name", "datasets: {x: ▸table://wh}", "uri"),
    step("a job that is not there", "spark: ▸jobs/b.py\ncluster: small", "missing-file", "jobs/a.py"),
    step("a suite that is not there", LOAD + "suite: ▸checks/x.json", "missing-file"),
    step("a cluster that is not there", SPARK + "▸smal", "missing-cluster", "small"),
    step("an import path that is none", "operator: ▸BashOperator", "import"),
    step("an operator that is not there", f"operator: ▸{BASH}.BashOperater", "import", f"{BASH}.BashOperator"),
    step("a module that is not there", "operator: ▸airflow.providers.standard.operators.bsh.BashOperator", "import", BASH),
    step("a callable in a wrong form", "python: ▸work.go", "import", "work.go:function"),
    step("a callable's module", "python: ▸wrk:go", "import", "work"),
    step("a callable that is not there", "python: ▸work:goo", "import", "work:go"),
    step("a callable with a syntax error", "python: ▸broken:f", "import"),
    step("a callable that is async", "python: ▸work:waits", "arguments"),
    step("a callable that needs more", "transform: ▸work:clean\nwrites: {out: s3://b/o}", "arguments"),
    step("a callable that does not take what is read", "transform: work:clean\nreads: {orders: raw, ▸mor: raw}\nwrites: {out: s3://b/o}", "arguments"),
    step("a callable that does not take it", "python: work:go\nwith: {▸limt: 5}", "arguments", "limit"),
    step("results below a param that is not there", LOAD + "results: 's3://b/{{ params.▸nope }}/'", "template"),
    # names and references
    step("a dataset that is not there", "load: ▸rw\ninto: table://wh/x", "missing-dataset", "raw"),
    step("a dataset that is not there in a list", LOAD + "reads: [raw, ▸rw]", "missing-dataset", "raw"),
    step("a dataset that is not there in writes", "python: work:go\nwrites: {out: ▸rw}", "missing-dataset", "raw"),
    step("another pipeline's dataset is written", "load: raw\ninto: ▸other.x", "foreign-write"),
    step("a pipeline that is not there", "load: {dataset: ▸wether.rain, latest: true}\ninto: table://wh/x", "missing-pipeline", "weather.rain"),
    step("a dataset of another pipeline that is not there", "load: {dataset: ▸weather.rian, latest: true}\ninto: table://wh/x", "missing-dataset", "weather.rain"),
    step("a step that is not there", LOAD + "after: ▸b", "missing-step"),
    step("a step after itself", LOAD + "after: [▸a]", "cycle"),
    step("a step that reads what it writes", "load: ▸raw\ninto: raw", "self-read"),
    Bad(
        "two groups of one id",
        "sluicegate: 1\nsteps:\n"
        "  one: {load: s3://in/x.csv, into: table://wh/x, group: g.h}\n"
        "  two: {load: s3://in/y.csv, into: table://wh/y, group: ▸g__h}\n",
        "name",
    ),
    step("two datasets of one name", LOAD + "reads: [{dataset: weather.rain, latest: true}, ▸rain]", "duplicate-binding"),
    step("a URI without a binding", LOAD + "reads: ▸s3://b/c", "missing-binding"),
    top("a param that is taken", "params: {▸dry_run: true}", "name"),
    top("a param that is no name", "params: {▸Big: true}", "name"),
    top("a default that its schema forbids", "params: {x: {type: string, default: ▸5}}", "value"),
    top("a schema that is none", "params: {x: {type: ▸strin, default: a}}", "value"),
    top("a dataset that is no name", "datasets: {▸My-Data: s3://b/c}", "name"),
    step("a binding that is no name", "python: work:go\nwrites: {▸My-Out: raw}", "name"),
    Bad("a step that is no name", f"sluicegate: 1\nsteps:\n  ▸Big-Step: {OK}\n", "name"),
]  # fmt: skip


@pytest.fixture
def shop(dags: Dags) -> Dags:
    dags.write("defaults.yaml", dedent(DEFAULTS))
    dags.write("jobs/a.py", "")
    dags.write("broken.py", "def f(:\n")
    dags.write("work.py", dedent(WORK))
    dags.write(
        "weather.yaml",
        f"sluicegate: 1\ndatasets: {{rain: s3://in/rain}}\nsteps: {{ok: {OK.replace('wh/x', 'wh/rain')}}}\n",
    )
    return dags


@pytest.mark.parametrize("bad", FILES, ids=lambda bad: bad.kind)
def test_a_mistake_is_told_once_where_it_is(shop: Dags, bad: Bad) -> None:
    before = bad.text.partition(HERE)[0]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    file = shop.write("orders.yaml", bad.text.replace(HERE, ""))
    told = read_tree(shop.root, Environment({})).diagnostics_of(file)
    assert [(m.line, m.column, m.code, m.suggestion) for m in told] == [(line, column, bad.code, bad.meant)], "\n".join(
        map(str, told)
    )


DAY = 'schedule: {cron: "@daily", start: 2026-01-01}\n'
WEATHER = f"sluicegate: 1\n{DAY}datasets: {{rain: s3://b/rain}}\nsteps:\n  get: {{load: s3://in/w.csv, into: rain}}\n"
READER = f"sluicegate: 1\n{DAY}steps:\n  r: {{load: ▸weather.rain, into: table://wh/r}}\n"

TREES = [
    ("a cycle within a pipeline", "cycle", None, {
        "a.yaml": "sluicegate: 1\ndatasets: {x: s3://b/x, y: s3://b/y}\nsteps:\n  one: {load: y, into: x}\n  two: {load: ▸x, into: y}\n",
    }),
    ("a cycle by after", "cycle", None, {
        "a.yaml": "sluicegate: 1\nsteps:\n  one: {load: s3://b/x, into: table://w/x, after: [two]}\n  two: {load: s3://b/y, into: table://w/y, after: ▸one}\n",
    }),
    ("a cycle across pipelines", "cycle", None, {
        "a.yaml": f"sluicegate: 1\n{DAY}datasets: {{x: s3://b/a}}\nsteps:\n  s: {{load: ▸b.x, into: x}}\n",
        "b.yaml": f"sluicegate: 1\n{DAY}datasets: {{x: s3://b/b}}\nsteps:\n  s: {{load: ▸a.x, into: x}}\n",
    }),
    ("two writers of a dataset", "two-writers", None, {
        "a.yaml": "sluicegate: 1\ndatasets: {x: s3://b/x}\nsteps:\n  one: {load: s3://b/1, into: x}\n  two: {load: s3://b/2, into: ▸x}\n",
    }),
    ("an hourly reader of a daily writer", "window", None, {
        "weather.yaml": WEATHER,
        "a.yaml": READER.replace("@daily", "@hourly"),
    }),
    ("a reader that starts before its writer", "window", None, {
        "weather.yaml": WEATHER.replace("2026-01-01", "2026-03-01"),
        "a.yaml": READER,
    }),
    ("a reader of one that has no cron", "window", None, {
        "weather.yaml": WEATHER.replace(DAY, ""),
        "a.yaml": READER,
    }),
    ("one name for two files", "duplicate-name", None, {
        "a/orders.yaml": f"▸sluicegate: 1\nsteps: {{ok: {OK}}}\n",
        "b/orders.yaml": f"▸sluicegate: 1\nsteps: {{ok: {OK.replace('wh/x', 'wh/y')}}}\n",
    }),
    ("a stem that is no name", "name", None, {"My-Orders.yaml": f"▸sluicegate: 1\nsteps: {{ok: {OK}}}\n"}),
    ("a pipeline that is not there", "missing-pipeline", "weather.rain", {
        "weather.yaml": WEATHER,
        "a.yaml": READER.replace("weather", "wether"),
    }),
    ("a dataset of another pipeline that is not there", "missing-dataset", "weather.rain", {
        "weather.yaml": WEATHER,
        "a.yaml": READER.replace("rain", "rian"),
    }),
    ("a folder for each window has no latest", "latest", None, {
        "weather.yaml": WEATHER.replace("s3://b/rain", "'s3://b/{{ ds }}'"),
        "a.yaml": READER.replace("▸weather.rain", "{dataset: ▸weather.rain, latest: true}"),
    }),
    ("a pipeline in another case", "missing-pipeline", "weather.days", {
        "weather.yaml": WEATHER,
        "a.yaml": READER.replace("weather.rain", "WEATHER.days"),
    }),
    ("an O for a 0", "missing-pipeline", "good_0.days", {
        "good_0.yaml": WEATHER,
        "a.yaml": READER.replace("weather.rain", "good_O.days"),
    }),
    ("an unknown key of the defaults", "unknown-key", "owner", {
        "sales/defaults.yaml": "▸onwer: me\n",
        "sales/a.yaml": f"sluicegate: 1\nsteps: {{ok: {OK}}}\n",
    }),
    ("an unknown key of connections", "unknown-key", "aws", {
        "defaults.yaml": "connections: {▸asw: x}\n",
        "a.yaml": f"sluicegate: 1\nsteps: {{ok: {OK}}}\n",
    }),
    ("an unknown key of the defaults' retries", "unknown-key", "delay", {
        "defaults.yaml": "retries: {▸deley: 5s}\n",
        "a.yaml": f"sluicegate: 1\nsteps: {{ok: {OK}}}\n",
    }),
    ("an unknown key of a cluster of the defaults", "unknown-key", "log_uri", {
        "jobs/a.py": "",
        "defaults.yaml": "clusters:\n  small: {release: emr-7.13.0, instances: {primary: y}, ▸log_url: z}\n",
        "a.yaml": "sluicegate: 1\nsteps: {s: {spark: jobs/a.py, cluster: small}}\n",
    }),
    ("clusters that are a list", "type", None, {
        "defaults.yaml": "clusters: ▸[small]\n",
        "a.yaml": f"sluicegate: 1\nsteps: {{ok: {OK}}}\n",
    }),
    ("an open quote in the defaults", "syntax", None, {
        "defaults.yaml": "tags: [x]\nowner: ▸'me\n",
        "a.yaml": f"sluicegate: 1\nsteps: {{ok: {OK}}}\n",
    }),
]  # fmt: skip


@pytest.mark.parametrize(("code", "meant", "files"), [row[1:] for row in TREES], ids=[row[0] for row in TREES])
def test_a_mistake_between_files_is_told_in_each_that_makes_it(
    dags: Dags, code: str, meant: str | None, files: dict[str, str]
) -> None:
    expected = set()
    for name, text in files.items():
        before, mark, _ = text.partition(HERE)
        if mark:
            expected.add((name, before.count("\n") + 1, len(before) - before.rfind("\n"), code, meant))
        dags.write(name, text.replace(HERE, ""))
    told = read_tree(dags.root, Environment({})).diagnostics
    assert {(str(m.file.relative_to(dags.root)), m.line, m.column, m.code, m.suggestion) for m in told} == expected, (
        "\n".join(map(str, told))
    )


def test_a_wrong_option_does_not_hide_that_what_is_read_is_not_there(dags: Dags) -> None:
    dags.write("weather.yaml", WEATHER)
    file = dags.write("r.yaml", READER.replace("▸weather.rain", "{dataset: weather.rian, latests: true}"))
    told = {(m.code, m.suggestion) for m in dags.tree().diagnostics_of(file)}
    assert told == {("unknown-key", "latest"), ("missing-dataset", "weather.rain")}


def test_one_of_several_is_ambiguous(dags: Dags) -> None:
    for folder in ("a", "b"):
        dags.write(f"{folder}/weather.yaml", WEATHER)
    file = dags.write("r.yaml", READER.replace(HERE, ""))
    [diagnostic] = dags.tree().diagnostics_of(file)
    assert (diagnostic.line, diagnostic.column, diagnostic.code) == (4, 13, "ambiguous")
    assert "a/weather.yaml, b/weather.yaml" in diagnostic.message


def test_a_cycle_is_told_with_its_whole_path(dags: Dags) -> None:
    for name, reads in (("a", "c"), ("b", "a"), ("c", "b")):
        dags.write(
            f"{name}.yaml",
            f"sluicegate: 1\n{DAY}datasets: {{x: s3://b/{name}}}\nsteps: {{s: {{load: {reads}.x, into: x}}}}\n",
        )
    first, *_ = dags.tree().diagnostics
    told, others = first.message.split("; see also ")
    assert others.count(".yaml:") == 2
    path = told.split(": ")[1].split(" -> ")
    assert path[0] == path[-1]
    assert set(path) == {"a.s", "b.s", "c.s"}


def test_a_step_with_a_mistake_of_its_own_has_those_in_what_it_reads_told_as_well(dags: Dags) -> None:
    dags.write("weather.yaml", WEATHER)
    text = (
        f"sluicegate: 1\n{DAY}steps:\n"
        "  a: {load: ▸wether.days, into: table://wh/x, ▸modus: append}\n"
        "  b: {operator: airflow.providers.standard.operators.empty.EmptyOperator, reads: {x: ▸weather.nothing}, ▸wiht: {}}\n"
    )
    expected = [(number, at + 1) for number, line in enumerate(text.splitlines(), 1) for at in _marks(line)]
    file = dags.write("r.yaml", text.replace(HERE, ""))
    for told in (dags.tree().diagnostics_of(file), _together(file, dags.root)):
        assert [(m.line, m.column) for m in told] == expected


def _marks(line: str) -> list[int]:
    """Where the marks stand, as if they were not there."""
    return [at - line[:at].count(HERE) for at, letter in enumerate(line) if letter == HERE]


def _together(file: Path, root: Path) -> tuple[Diagnostic, ...]:
    with pytest.raises(PipelineErrors) as caught:
        read_together(file, root)
    return in_order(caught.value.diagnostics)


def test_what_is_not_utf_8_is_told_where_it_is(dags: Dags) -> None:
    (dags.root / "a.yaml").write_bytes(b"sluicegate: 1\nowner: M\xfcller\n")
    [diagnostic] = dags.tree().diagnostics
    assert (diagnostic.line, diagnostic.column, diagnostic.code) == (2, 9, "encoding")


def test_all_mistakes_of_a_file_come_at_once_each_at_its_place(shop: Dags) -> None:
    rows = [bad for bad in FILES if bad.kind in (
        "an unknown key of retries", "a number for a text", "a duration without a unit", "an unknown param", "a time zone that is none",
    )]  # fmt: skip
    lines = [line for bad in rows for line in bad.text.split("\nsteps:")[0].splitlines()[1:]]
    text = (
        "sluicegate: 1\n"
        + "\n".join(lines)
        + f"\nsteps:\n  a: {{load: ▸rw, into: table://wh/x}}\n  b: {OK.replace('}', ', ▸wat: 1}')}\n"
    )
    expected = [(number, line.index(HERE) + 1) for number, line in enumerate(text.splitlines(), 1) if HERE in line]
    assert len(expected) == 7
    file = shop.write("orders.yaml", text.replace(HERE, ""))
    assert [(m.line, m.column) for m in shop.tree().diagnostics_of(file)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("retries: three\nsteps: {a: OK}", "whole number or keys of retries"),
        ("steps: {a: {load: s3://in/x.csv, into: table://wh/x, retries: three}}", "whole number or keys of retries"),
        ("datasets: {x: 7}\nsteps: {a: OK}", "URI or keys of a dataset"),
        ("datasets: {x: {uri: s3://b/x, format: 7}}\nsteps: {a: OK}", "csv, jsonl, parquet or keys of a format"),
        ("steps: {a: {load: 7, into: table://wh/x}}", "dataset or keys of what is read"),
        ("steps: {a: {load: s3://in/x.csv, into: table://wh/x, key: 7}}", "a column or a list of them"),
        ("steps: {a: {load: s3://in/x.csv, into: table://wh/x, after: 7}}", "step or keys of another DAG"),
        ("steps: {a: {load: s3://in/x.csv, into: table://wh/x, teardown_of: 7}}", "a step or a list of them"),
        ("steps: {a: {python: 'work:go', reads: 7}}", "the name of a dataset, {dataset: …}, a list of them, or {binding: dataset}"),
        ("steps: {a: {spark: 7, cluster: small}}", "path or keys of a job"),
        ("steps: {a: {spark: jobs/a.py, cluster: 7}}", "a cluster's name, or keys and values"),
    ],
)  # fmt: skip
def test_a_value_of_a_wrong_type_is_told_all_that_may_be_there(dags: Dags, text: str, expected: str) -> None:
    _code(dags)
    file = dags.write("r.yaml", f"sluicegate: 1\n{text.replace('OK', OK)}\n")
    [told] = dags.tree().diagnostics_of(file)
    assert (told.code, told.message.partition(", not ")[0]) == ("type", f"expected {expected}")


def test_a_misspelt_kind_hides_nothing_else(dags: Dags) -> None:
    file = dags.write(
        "r.yaml",
        "sluicegate: 1\nsteps:\n  a:\n    laod: s3://in/x.csv\n    into: table://wh/x\n    kye: id\n"
        "    columns: {id: {type: integer, requierd: true}}\n  b: {retires: 1, timeout: soon}\n",
    )
    told = {(m.line, m.code, m.suggestion) for m in dags.tree().diagnostics_of(file)}
    assert told == {
        (4, "missing-key", "load"), (6, "unknown-key", "key"), (7, "unknown-key", "required"),
        (8, "missing-key", None), (8, "unknown-key", "retries"), (8, "value", None),
    }  # fmt: skip


def test_a_uri_without_a_name_in_a_transform_is_one_error(dags: Dags) -> None:
    _code(dags)
    step = "{transform: 'work:clean', reads: {orders: s3://in/x.csv}, writes: s3://lake/x/}"
    file = dags.write("r.yaml", f"sluicegate: 1\nsteps:\n  a: {step}\n")
    [told] = dags.tree().diagnostics_of(file)
    assert (told.code, "writes: {name: s3://lake/x/}" in told.message) == ("missing-binding", True)


def _code(dags: Dags) -> None:
    dags.write("work.py", WORK)
    dags.write("jobs/a.py", "")
    dags.write("defaults.yaml", DEFAULTS)
