"""The JSON Schema and the reference say what the reader does: each key, each form, each default, each example."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator  # type: ignore[import-untyped]
from typer.testing import CliRunner

from sluicegate.cli import app
from sluicegate.pipeline import PipelineErrors
from sluicegate.pipeline.file import DEFAULTS_KEYS, KEYS, read_draft
from sluicegate.pipeline.keys.alerts import Channel
from sluicegate.pipeline.keys.base import keys_of
from sluicegate.pipeline.keys.cluster import (
    BootstrapAction,
    Cluster,
    CoreInstances,
    Fleet,
    Fleets,
    FleetType,
    Instances,
    PrimaryFleet,
    PrimaryInstance,
    Scaling,
    Size,
    TaskInstances,
    Volume,
)
from sluicegate.pipeline.keys.faults import FaultRule, OwnFault
from sluicegate.pipeline.keys.fetch import Fetched, Pages
from sluicegate.pipeline.keys.limits import Pools, Trigger
from sluicegate.pipeline.keys.model import (
    After,
    Column,
    Connections,
    Dataset,
    DeadLetters,
    ForEach,
    Format,
    Job,
    LoadStep,
    Mode,
    Model,
    OnSchemaChange,
    OnUpstreamFailure,
    OnUpstreamSkipped,
    Param,
    Pipeline,
    Read,
    Receipts,
    Retries,
    Schedule,
    SparkStep,
    TeardownOf,
)
from sluicegate.pipeline.keys.reference import _flow
from sluicegate.pipeline.keys.schema import defaults_schema, pipeline_schema
from sluicegate.pipeline.keys.steps import TRIGGER_RULES
from sluicegate.pipeline.keys.table import UNSAID, Word, table
from sluicegate.pipeline.read.steps import COMMON, KINDS
from sluicegate.pipeline.text.yaml import parse
from tests.docs.pages import PAGES
from tests.pipeline.conftest import Dags

ROOT = Path(__file__).parents[2]
SCHEMA, DEFAULTS_SCHEMA = pipeline_schema(), defaults_schema()
TABLE = table()
TEXTS_IN = ("tests/pipeline", "tests/factory", "tests/discovery")


def faults(value: object, schema: Mapping[str, Any] = SCHEMA) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in Draft7Validator(schema).iter_errors(value)]


def value_of(text: str | bytes) -> Any:
    return parse(text.encode() if isinstance(text, str) else text, Path("x.yaml")).value


# --- what is kept in the repository ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("docs/pipeline.schema.json", []),
        ("docs/defaults.schema.json", ["--defaults"]),
        ("docs/recovery-plan.schema.json", ["--recovery-plan"]),
        ("docs/yaml.md", ["--markdown"]),
    ],
)
def test_what_is_in_the_docs_is_what_the_command_prints(file: str, options: list[str]) -> None:
    done = CliRunner().invoke(app, ["schema", *options])
    assert done.exit_code == 0
    assert (ROOT / file).read_text("utf-8") == done.output, f"sluicegate schema {' '.join(options)} > {file}"


def test_the_page_and_the_defaults_are_not_printed_at_once() -> None:
    done = CliRunner().invoke(app, ["schema", "--defaults", "--markdown"])
    assert done.exit_code == 2
    assert "give one of --defaults, --recovery-plan and --markdown" in done.output


@pytest.mark.parametrize("schema", [SCHEMA, DEFAULTS_SCHEMA], ids=["pipeline", "defaults"])
def test_it_is_a_schema_of_draft_07_and_of_2020_12(schema: dict[str, Any]) -> None:
    Draft7Validator.check_schema(schema)
    Draft202012Validator.check_schema({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"})


def test_nothing_stands_beside_a_reference_and_each_leads_somewhere() -> None:
    def references(value: object) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value
            value = list(value.values())
        for item in value if isinstance(value, list) else ():
            yield from references(item)

    for schema in (SCHEMA, DEFAULTS_SCHEMA):
        found = list(references(schema))
        assert [each for each in found if set(each) != {"$ref"}] == []
        used = {each["$ref"].removeprefix("#/definitions/") for each in found}
        assert used <= set(schema["definitions"])


# --- the words are those of the reader ---------------------------------------------------------------------------


def test_every_key_of_the_reader_has_its_words_and_no_other_has() -> None:
    assert set(TABLE.pipeline.words) == set(KEYS)
    shared = {key for key, word in TABLE.pipeline.words.items() if word.shared}
    assert {*shared, *TABLE.defaults.words} == set(DEFAULTS_KEYS)
    assert set(TABLE.any_step.words) == set(COMMON)
    assert set(TABLE.kinds) == set(KINDS)
    for kind, section in TABLE.kinds.items():
        assert set(section.words) == {kind, *KINDS[kind]}


MODELS: Mapping[str, type[Model]] = {
    "receipts": Receipts,
    "channel": Channel,
    "fault_rule": FaultRule,
    "own_fault": OwnFault,
    "retries": Retries,
    "format": Format,
    "connections": Connections,
    "pools": Pools,
    "trigger": Trigger,
    "cluster": Cluster,
    "instances": Instances,
    "primary_instance": PrimaryInstance,
    "core_instances": CoreInstances,
    "task_instances": TaskInstances,
    "volume": Volume,
    "fleets": Fleets,
    "primary_fleet": PrimaryFleet,
    "fleet": Fleet,
    "fleet_type": FleetType,
    "scaling": Scaling,
    "bootstrap_action": BootstrapAction,
    "size": Size,
    "read": Read,
    "job": Job,
    "column": Column,
    "dead_letters": DeadLetters,
    "for_each": ForEach,
    "teardown_of": TeardownOf,
    "schedule": Schedule,
    "dataset": Dataset,
    "param": Param,
    "after": After,
    "fetched": Fetched,
    "pages": Pages,
}


def test_every_key_of_a_section_has_its_words_and_no_other_has() -> None:
    assert set(TABLE.parts) == set(MODELS)
    for name, model in MODELS.items():
        assert set(TABLE.parts[name].words) == set(keys_of(model)), name


def test_every_key_has_its_words() -> None:
    for section in TABLE.sections:
        assert section.title
        assert section.intro
        assert [key for key, word in section.words.items() if not word.meaning.endswith(".")] == [], section.title


def test_the_defaults_are_those_that_hold() -> None:
    told = [(each, TABLE.parts[name].words) for name, each in MODELS.items()]
    told += [(Pipeline, {**TABLE.pipeline.words, **TABLE.defaults.words})]
    told += [(LoadStep, TABLE.kinds["load"].words), (SparkStep, TABLE.kinds["spark"].words)]
    for each, words in told:
        for name, field in each.model_fields.items():
            key = field.alias or name
            if key in words and words[key].default is not UNSAID and key != "schedule":
                default = field.get_default(call_default_factory=True)
                assert says(default, words[key].default), f"{each.__name__}.{key}: {default!r}"


def says(value: Any, written: Any) -> bool:
    """Whether `written`, in a file, is the value that holds."""
    if isinstance(value, tuple):
        value = list(value)
    if hasattr(value, "total_seconds"):
        from sluicegate.pipeline.text.quantities import format_duration

        return format_duration(value) == written
    return bool(value == written or str(value) == written)


@pytest.mark.parametrize(
    ("word", "options"),
    [
        (TABLE.any_step.words["trigger_rule"], TRIGGER_RULES),
        (TABLE.kinds["load"].words["mode"], Mode),
        (TABLE.kinds["load"].words["on_schema_change"], OnSchemaChange),
        (TABLE.parts["read"].words["on_upstream_failure"], OnUpstreamFailure),
        (TABLE.parts["read"].words["on_upstream_skipped"], OnUpstreamSkipped),
        (TABLE.parts["after"].words["on_upstream_skipped"], OnUpstreamSkipped),
        (TABLE.parts["format"].words["type"], ("csv", "jsonl", "parquet")),
        (
            TABLE.parts["schedule"].words["cron"],
            ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly"),
        ),
    ],
)
def test_the_options_are_those_of_the_reader(word: Word, options: Any) -> None:
    assert set(word.shape.schema["anyOf"][0]["enum"]) == set(options)


# --- every example is right ---------------------------------------------------------------------------------------

HEAD = "sluicegate: 1\n"
SUPPLIES = {
    "defaults.yaml": "clusters: {small: {release: emr-7.13.0, instances: {primary: m7g.xlarge}}}\n",
    "jobs/delays.py": "",
    "jobs/zones.csv": "",
    "lib/a.py": "",
    "wheels/holidays-0.60-py3-none-any.whl": "",
    "suites/orders.json": "{}",
    "transforms/customers.py": "def clean_up(**given): ...\n",
    "announce.py": "def post(**given): ...\n",
}
STEP = {
    "load": "load: s3://in/x.csv\ninto: table://wh/x\n",
    "fetch": 'fetch: {api: "https://api.example.com/v1/x"}\ninto: s3://raw/x/\n',
    "spark": "spark: jobs/delays.py\ncluster: small\n",
    "transform": 'transform: transforms.customers:clean_up\nwrites: {clean: "s3://lake/x.csv"}\n',
    "python": "python: announce:post\n",
    "operator": "operator: airflow.providers.standard.operators.bash.BashOperator\n",
}


def without(text: str, key: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{key}:"))


def in_a_step(kind: str, key: str, said: str) -> str:
    """Behind a step `first`, a step that says it."""
    named = "datasets: {clean: s3://lake/clean.csv}\n"
    first = "  first: {python: 'announce:post'}\n"
    rest = "key: id\n" if (kind, key) == ("load", "mode") and "append" not in said else ""
    step = STEP[kind].replace("lake/x", "lake/{{ item }}") if key == "for_each" and said != "null" else STEP[kind]
    body = without(step, key) + rest + f"{key}: {said}\n"
    return f"{HEAD}{named}steps:\n{first}  a:\n{indent(body, '    ')}"


def in_a_file(key: str, said: str) -> str:
    return without(f"{HEAD}steps: {{a: {{load: s3://in/x.csv, into: table://wh/x}}}}\n", key) + f"{key}: {said}\n"


NEEDED: Mapping[str, Mapping[str, str]] = {
    "dataset": {"uri": "s3://in/x.csv"},
    "schedule": {"start": "2026-01-01"},
    "param": {"default": "null"},
    "cluster": {"release": "emr-7.13.0", "instances": "{primary: m}"},
    "instances": {"primary": "m", "core": "m"},
    "primary_instance": {"type": "m", "interruptible": "true"},
    "core_instances": {"type": "m"},
    "task_instances": {"type": "m"},
    "volume": {"size": "10"},
    "fleets": {"primary": "m", "core": "{types: m, spot: 1}"},
    "primary_fleet": {"types": "m"},
    "fleet": {"types": "m", "spot": "1"},
    "fleet_type": {"type": "m"},
    "scaling": {"min": "1", "max": "20"},
    "bootstrap_action": {"path": "s3://code/x.sh"},
    "size": {"from": "0", "core": "1", "task": "1"},
    "read": {"dataset": "flights.raw"},
    "after": {"dag": "old", "task": "export"},
    "job": {"path": "jobs/delays.py"},
    "channel": {"notifier": "airflow.providers.smtp.notifications.smtp.SmtpNotifier"},
    "for_each": {"items": "[{region: eu}]"},
    "teardown_of": {"steps": "first"},
    "fault_rule": {"matches": "closed", "status": "409", "is": "NETWORK", "severity": "warning"},
    "own_fault": {"code": "PARTNER_CLOSED"},
}
"""By section, what has to stand beside a key."""
BESIDE: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("cluster", "fleets"): {"release": "emr-7.13.0"},
    ("cluster", "by_input"): {"release": "emr-7.13.0", "instances": "{primary: m, core: m}"},
    ("cluster", "scaling"): {"release": "emr-7.13.0", "instances": "{primary: m, core: m}"},
    ("job", "command"): {},
    ("primary_fleet", "on_demand"): {"types": "m", "spot": "1", "interruptible": "true"},
    ("primary_fleet", "spot"): {"types": "m", "on_demand": "0", "interruptible": "true"},
}
"""By section and key, the same where that is something else."""
PLACES: Mapping[str, Callable[[str], str]] = {
    "schedule": lambda said: in_a_file("schedule", said),
    "receipts": lambda said: in_a_file("receipts", said),
    "pools": lambda said: in_a_file("pools", said),
    "trigger": lambda said: in_a_file("trigger", said),
    "retries": lambda said: in_a_file("retries", said),
    "channel": lambda said: in_a_file("alerts", f"{{on_call: {said}}}"),
    "fault_rule": lambda said: in_a_file("faults", f"[{said}]"),
    "own_fault": lambda said: in_a_file("faults", f"[{{matches: closed, is: {said}}}]"),
    "dataset": lambda said: in_a_file("datasets", f"{{x: {said}}}"),
    "param": lambda said: in_a_file("params", f"{{x: {said}}}"),
    "cluster": lambda said: in_a_step("spark", "cluster", said).replace("cluster:", "reads: flights.raw\n    cluster:"),
    "instances": lambda said: in_a_cluster(f"instances: {said}"),
    "primary_instance": lambda said: in_a_cluster(f"instances: {{primary: {said}}}"),
    "core_instances": lambda said: in_a_cluster(f"instances: {{primary: m, core: {said}}}"),
    "task_instances": lambda said: in_a_cluster(f"instances: {{primary: m, core: m, task: {said}}}"),
    "volume": lambda said: in_a_cluster(f"instances: {{primary: {{type: m, volume: {said}}}}}"),
    "fleets": lambda said: in_a_cluster(f"fleets: {said}"),
    "primary_fleet": lambda said: in_a_cluster(f"fleets: {{primary: {said}}}"),
    "fleet": lambda said: in_a_cluster(f"fleets: {{primary: m, core: {said}}}"),
    "fleet_type": lambda said: in_a_cluster(f"fleets: {{primary: m, core: {{spot: 8, types: [{said}]}}}}"),
    "scaling": lambda said: in_a_cluster(f"instances: {{primary: m, core: m}}, scaling: {said}"),
    "bootstrap_action": lambda said: in_a_cluster(f"instances: {{primary: m}}, bootstrap_actions: [{said}]"),
    "size": lambda said: in_a_cluster(
        "instances: {primary: m, core: m, task: m}, scaling: {min: 1, max: 50}, by_input: "
        + (f"[{said}]" if "from: 0" in said else f"[{{from: 0, core: 1}}, {said}]")
    ),
    "read": lambda said: in_a_step("load", "load", said),
    "after": lambda said: in_a_step("python", "after", said),
    "job": lambda said: in_a_step("spark", "spark", said),
    "column": lambda said: in_a_step("load", "columns", f"{{x: {said}}}"),
    "format": lambda said: in_a_step("load", "format", said),
    "dead_letters": lambda said: in_a_step("load", "dead_letters", said),
    "fetched": lambda said: in_a_step("fetch", "fetch", said),
    "pages": lambda said: in_a_step("fetch", "fetch", f"{{api: 'https://api.example.com/v1/x', pages: {said}}}"),
    "for_each": lambda said: in_a_step("python", "for_each", said),
    "teardown_of": lambda said: in_a_step("python", "teardown_of", said),
}


def in_a_cluster(said: str) -> str:
    cluster = f"{{release: emr-7.13.0, {said}}}"
    return in_a_step("spark", "cluster", cluster).replace("cluster:", "reads: flights.raw\n    cluster:")


def inside(section: str, key: str, said: str) -> tuple[str, str]:
    """The pipeline and the `defaults.yaml` in which one key of a section is said."""
    needed = dict(NEEDED.get(section, {}))
    if section == "for_each" and key in ("output_of", "files", "empty"):
        needed = {"files": '"s3://landing/*.csv"'} if key == "empty" else {}
    if (section, key) == ("schedule", "with"):
        needed["timetable"] = "airflow.sdk.DeltaDataIntervalTimetable"
    if section == "fetched":
        of_sql = key in ("sql", "connection", "watermark", "lookback", "since") and (key, said) != (
            "connection",
            "null",
        )
        needed = {"sql": "SELECT 1", "connection": "shop"} if of_sql else {"api": "'https://api.example.com/v1/x'"}
        needed |= {"watermark": "updated_at"} if key in ("lookback", "since") else {}
        if (key, said) in (("sql", "null"), ("api", "null")):
            needed = {"api": "'https://h/x'"} if key == "sql" else {"sql": "SELECT 1", "connection": "shop"}
    if section == "pages":
        needed = {"by": "page"} if (key, said) == ("path", "null") else {"by": "cursor", "path": "meta.next"}
    given = {**(needed if said == "null" else BESIDE.get((section, key), needed)), key: said}
    if (section, key, said) == ("job", "path", "null"):
        given["command"] = "[ls]"
    body = "{" + ", ".join(f"{name}: {value}" for name, value in given.items()) + "}"
    if section == "connections":
        return in_a_file("tags", "[]"), f"{SUPPLIES['defaults.yaml']}connections: {body}\n"
    return PLACES[section](body), SUPPLIES["defaults.yaml"]


def said_in_all_places(values: Callable[[Word], list[str]]) -> list[Any]:
    """For each key what `values` gives for it, in a file of its own: the file, and the defaults that hold for it."""
    return [pytest.param(text, defaults, id=name) for name, text, defaults in _said(values)]


def _said(values: Callable[[Word], list[str]]) -> Iterator[tuple[str, str, str]]:
    supplies = SUPPLIES["defaults.yaml"]
    for key, word in TABLE.pipeline.words.items():
        for value in values(word):
            yield f"{key}: {value}", in_a_file(key, value), supplies
    for key, word in TABLE.defaults.words.items():
        for value in values(word):
            other = supplies if key != "clusters" else ""
            yield f"{key}: {value}", in_a_file("tags", "[]"), f"{other}{key}: {value}\n"
    for kind, section in TABLE.kinds.items():
        for key, word in {**section.words, **TABLE.any_step.words}.items():
            for value in values(word):
                if (kind, key, value) != ("transform", "writes", "null"):  # it needs them, and not for their form
                    yield f"{kind}.{key}: {value}", in_a_step(kind, key, value), supplies
    for name, section in TABLE.parts.items():
        for key, word in section.words.items():
            for value in values(word):
                yield f"{name}.{key}: {value}", *inside(name, key, value)


@pytest.fixture(scope="module")
def supplied(tmp_path_factory: pytest.TempPathFactory) -> Dags:
    """What an example may name is there; each test writes its file and the defaults over those of the one before."""
    dags = Dags(tmp_path_factory.mktemp("supplied"))
    for name, supply in SUPPLIES.items():
        dags.write(name, supply)
    return dags


def is_read(dags: Dags, text: str, defaults: str) -> list[str]:
    dags.write("defaults.yaml", defaults)
    draft = read_draft(dags.write("orders.yaml", text), dags.root)
    return [str(diagnostic) for diagnostic in draft.diagnostics if diagnostic.is_error]


@pytest.mark.parametrize(
    ("text", "defaults"), said_in_all_places(lambda word: [_flow(example, inside=True) for example in word.examples])
)
def test_every_example_is_taken_by_the_reader_and_by_the_schema(supplied: Dags, text: str, defaults: str) -> None:
    assert is_read(supplied, text, defaults) == []
    assert faults(value_of(text)) == []
    assert faults(value_of(defaults), DEFAULTS_SCHEMA) == []


@pytest.mark.parametrize(("text", "defaults"), said_in_all_places(lambda word: ["null"]))
def test_a_key_without_a_value_is_taken_where_the_reader_takes_it(supplied: Dags, text: str, defaults: str) -> None:
    fits = not faults(value_of(text)) and not faults(value_of(defaults), DEFAULTS_SCHEMA)
    assert fits == (is_read(supplied, text, defaults) == [])


def test_an_example_on_the_page_is_what_it_is_in_yaml() -> None:
    for word in (word for each in TABLE.sections for word in each.words.values()):
        for example in word.examples:
            assert value_of(f"x: {_flow(example)}") == {"x": example}


# --- what the reader takes, the schema takes ----------------------------------------------------------------------


def test_the_samples_are_taken() -> None:
    samples = sorted((ROOT / "dags").glob("*.yaml"))
    assert len(samples) > 4
    for file in samples:
        schema = DEFAULTS_SCHEMA if file.name == "defaults.yaml" else SCHEMA
        assert faults(value_of(file.read_bytes()), schema) == [], file.name


def test_the_pipelines_of_the_docs_are_taken() -> None:
    files = [(name, text) for page in PAGES for name, text in page.files().items() if name.endswith(".yaml")]
    assert len(files) > 8
    for name, text in files:
        schema = DEFAULTS_SCHEMA if Path(name).name == "defaults.yaml" else SCHEMA
        assert faults(value_of(text), schema) == [], name


@cache
def corpus() -> tuple[str, ...]:
    """The pipelines that stand in the tests of the reader and of the factory, good and bad."""
    found: dict[str, None] = {}
    for path in (path for folder in TEXTS_IN for path in sorted((ROOT / folder).glob("*.py"))):
        module = ast.parse(path.read_text("utf-8"))
        names: dict[str, str] = {}
        for node in module.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                text = text_of(node.value, names)
                names |= {node.targets[0].id: text} if text is not None else {}
        for each in ast.walk(module):
            text = text_of(each, names)
            if text is not None and "sluicegate: 1\n" in text and "steps:" in text:
                found[dedent(text).lstrip("\n")] = None
    return tuple(found)


def text_of(node: ast.AST, names: Mapping[str, str]) -> str | None:
    """The text that an expression is, as far as constants of its module make it."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return names.get(name)
        case ast.FormattedValue(value=inner):
            return text_of(inner, names)
        case ast.JoinedStr(values=parts):
            return joined(parts, names)
        case ast.BinOp(op=ast.Add(), left=first, right=second):
            return joined([first, second], names)
        case ast.Call(func=ast.Name(id="steps"), args=[body]):
            text = text_of(body, names)
            return text and f"{HEAD}steps:\n  a:\n{indent(dedent(text).strip(), '    ')}\n"
    return None


def joined(parts: Iterable[ast.AST], names: Mapping[str, str]) -> str | None:
    texts = [text_of(part, names) for part in parts]
    return None if None in texts else "".join(text or "" for text in texts)


FORM = frozenset({"unknown-key", "type", "two-kinds", "version", "unknown-expectation"})
"""Codes of mistakes that the form of a file alone makes."""
ELSEWHERE = frozenset({"missing-file", "import", "arguments", "missing-cluster", "missing-dataset", "missing-step"})
"""Codes of mistakes that are none of the file's form: what it names is not there."""


def test_a_file_that_the_reader_takes_is_taken_by_the_schema(dags: Dags) -> None:
    taken, refused = 0, 0
    for text in corpus():
        try:
            value = value_of(text)
        except PipelineErrors:
            continue
        diagnostics = read_draft(dags.write("orders.yaml", text), dags.root).diagnostics
        codes = {diagnostic.code for diagnostic in diagnostics if diagnostic.is_error}
        if codes <= ELSEWHERE:
            taken += 1
            assert faults(value) == [], text
        elif codes & FORM and "${env:" not in text and "matrix." not in text:  # what is filled in, only the reader sees
            refused += 1
            assert faults(value), f"{text}\n{codes}"
    assert taken > 25
    assert refused > 15


BAD = {
    "an unknown key": "shedule: none",
    "a key of defaults.yaml": "artifacts: s3://x/",
    "an unknown key of a schedule": "schedule: {cron: '@daily', start: 2026-01-01, until: 2027-01-01}",
    "a word for true": "schedule: {cron: '@daily', start: 2026-01-01, catchup: yes}",
    "a number for a cron": "schedule: 5",
    "a duration without a unit": "retries: {delay: 30}",
    "a count below none": "retries: -1",
    "a fraction of a count": "retries: 1.5",
    "runs at once": "max_active_runs: 0",
    "one tag": "tags: daily",
    "a place that is none": "datasets: {x: ftp://h/x}",
    "a table without a connection": "datasets: {x: table://x}",
    "a name that is none": "datasets: {X: s3://in/x}",
    "a format that there is not": "datasets: {x: {uri: s3://in/x, format: xml}}",
    "a list for a param": "params: {x: [1, 2]}",
    "a list of steps": "steps: [a]",
}
BAD_STEPS = {
    "no kind": "into: table://wh/x",
    "two kinds": "{load: s3://in/x.csv, into: table://wh/x, python: 'a:b'}",
    "a key of another kind": "{python: 'a:b', into: table://wh/x}",
    "no target": "load: s3://in/x.csv",
    "no cluster": "spark: jobs/x.py",
    "a mode that there is not": "{load: s3://in/x.csv, into: table://wh/x, mode: upsert}",
    "a rule that there is not": "{python: 'a:b', trigger_rule: all_good}",
    "an unknown key of a column": "{load: s3://in/x.csv, into: table://wh/x, columns: {a: {typ: text}}}",
    "one bound": "{load: s3://in/x.csv, into: table://wh/x, columns: {a: {between: [1]}}}",
    "a check that is a list": "{load: s3://in/x.csv, into: table://wh/x, checks: [[a]]}",
    "two checks in one": "{load: s3://in/x.csv, into: table://wh/x, checks: [{expect_a: {}, expect_b: {}}]}",
    "a share that is none": "{load: s3://in/x.csv, into: table://wh/x, dead_letters: {max: 5 percent}}",
    "no job": "{spark: [], cluster: small}",
    "a cluster without a release": "{spark: jobs/x.py, cluster: {instances: {primary: m}}}",
    "a binding that is no name": "{python: 'a:b', reads: {A-b: x.y}}",
    "text for arguments": "{operator: a.B, with: x}",
    "a wait without a unit": "{python: 'a:b', wait: 60}",
}


@pytest.mark.parametrize("said", BAD.values(), ids=BAD)
def test_a_file_of_a_wrong_form_is_refused_as_the_reader_refuses_it(dags: Dags, said: str) -> None:
    text = in_a_file(said.partition(":")[0], said.partition(":")[2])
    assert faults(value_of(text))
    with pytest.raises(PipelineErrors):
        dags.read(text)


@pytest.mark.parametrize("said", BAD_STEPS.values(), ids=BAD_STEPS)
def test_a_step_of_a_wrong_form_is_refused_as_the_reader_refuses_it(dags: Dags, said: str) -> None:
    text = f"{HEAD}steps:\n  a:\n    {said}\n"
    assert faults(value_of(text))
    with pytest.raises(PipelineErrors):
        dags.read(text)


def test_a_step_is_told_what_it_lacks_in_the_words_of_its_kind() -> None:
    error = next(Draft7Validator(SCHEMA).iter_errors(value_of(f"{HEAD}steps: {{a: {{load: s3://in/x.csv}}}}")))
    kinds = {inner.message for inner in error.context or () if inner.schema_path[0] == 0}
    assert kinds == {"'into' is a required property"}


FILLED_IN = """
sluicegate: 1
paused: ${env:SLUICEGATE_PAUSED:true}
max_active_runs: ${env:SLUICEGATE_RUNS}
schedule: {cron: "@daily", start: "${env:SLUICEGATE_START}", catchup: "{{ matrix.catchup }}"}
datasets: {x: "${env:SLUICEGATE_BUCKET}/x.csv"}
steps:
  a:
    load: x
    into: table://wh/x
    mode: "{{ matrix.mode }}"
    timeout: ${env:SLUICEGATE_TIMEOUT}
    dead_letters: {max: "{{- matrix.dead }}"}
    retries: {count: "{{ matrix.tries }}"}
"""


def test_what_is_filled_in_when_the_file_is_read_may_be_anything() -> None:
    assert faults(value_of(FILLED_IN)) == []
    assert faults(value_of(FILLED_IN.replace("{{ matrix.mode }}", "{{ params.mode }}")))


def test_the_schema_of_the_defaults_takes_what_stands_there_only() -> None:
    assert faults({"artifacts": "s3://x/", "owner": "me"}, DEFAULTS_SCHEMA) == []
    assert faults({"cluster": {}}, DEFAULTS_SCHEMA)


def test_the_schema_is_json_that_no_editor_has_to_guess() -> None:
    text = json.dumps(SCHEMA)
    assert "NaN" not in text
    assert json.loads(text) == SCHEMA
