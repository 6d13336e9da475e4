"""What the docs say is so: their pipelines are right, their code runs, their commands, tables and links exist."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import psycopg
import pyarrow as pa
import pytest
import typer
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf
from typer.testing import CliRunner

from sluicegate.cli import app
from sluicegate.factory.attempt import build_diagnostics
from sluicegate.faults import CATALOGUE, FaultError, fault
from sluicegate.faults.emr_codes import BY_ERROR_CODE, BY_STATE_REASON
from sluicegate.faults.report import describe
from sluicegate.faults.section import Playbook, playbook_section
from sluicegate.ledger.entries import Counts, DeadLetter, Load, Origin
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.ledger.postgres.migrations import migrate
from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.local.stack.airflow import DAG_PROCESSOR
from sluicegate.pipeline import Window, read_tree
from sluicegate.pipeline.keys.model import Column, DeadLetters, LoadStep, Mode
from sluicegate.pipeline.text.quantities import Limit
from sluicegate.runtime.code import find_function, on_path, streams
from sluicegate.storage import Storage, parse_uri
from sluicegate.targets.connection import parse_table
from sluicegate.targets.postgres.target import PostgresTarget
from sluicegate.testing.warehouse import Warehouse
from tests.docs.pages import GUIDES, PAGES, PLAYBOOKS, ROOT, Page, page, write_dags
from tests.docs.tables import TABLES, between

WITH_PIPELINES = tuple(each for each in PAGES if any(name.endswith(".yaml") for name in each.files()))
WINDOW = Window(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))


def named(each: Page) -> str:
    return each.name


# --- pipelines and code ------------------------------------------------------------------------------------------


def test_there_are_pipelines_to_check() -> None:
    assert {each.name for each in WITH_PIPELINES} == {
        "docs/alerts.md",
        "docs/targets.md",
        "README.md",
        "docs/author.md",
        "docs/dead-letters.md",
        "docs/receipts.md",
        "docs/checks.md",
        "docs/sources.md",
        "docs/clusters.md",
        "docs/health.md",
    }


@pytest.mark.parametrize("of", WITH_PIPELINES, ids=named)
def test_every_pipeline_in_the_docs_is_right(of: Page, tmp_path: Path) -> None:
    tree = read_tree(write_dags(of, tmp_path))
    assert [str(diagnostic) for diagnostic in tree.diagnostics] == []
    assert {file.name for file in tree.files} == {
        Path(name).name for name in of.files() if name.endswith(".yaml") and Path(name).name != "defaults.yaml"
    }
    built = [build_diagnostics(pipeline, tree.readable) for pipeline in tree.pipelines.values()]
    assert [str(diagnostic) for diagnostics in built for diagnostic in diagnostics] == []


@pytest.mark.parametrize("of", PAGES, ids=named)
def test_every_yaml_and_python_block_says_which_file_it_is(of: Page) -> None:
    assert [(block.line, block.text) for block in of.blocks("yaml", "python") if block.file is None] == []


def test_the_guide_shows_each_kind_of_step(tmp_path: Path) -> None:
    tree = read_tree(write_dags(page("author.md"), tmp_path))
    kinds = {step.kind for pipeline in tree.pipelines.values() for step in pipeline.steps.values()}
    assert kinds == {"load", "fetch", "spark", "transform", "python", "operator"}


def test_all_that_is_named_as_refused_is_an_error_of_check_and_in_a_hand_written_dag_of_the_run(
    tmp_path: Path,
) -> None:
    section = page("author.md").text.partition("what a step of ours cannot do:")[2].partition("\n\n")[0]
    said = ["https://", "load"]
    assert re.findall(r"`([^`]+)`", section) == [*said, "table://", "load", "transform", "format"]
    (tmp_path / "f.py").write_text("def f(x):\n    return x\n")
    (tmp_path / "p.yaml").write_text(
        "sluicegate: 1\nsteps:\n"
        "  e: {load: s3://b/c.csv, into: table://w/e, columns: {a: strang}}\n"
        "  g: {transform: 'f:f', reads: {x: https://h/a/}, writes: {y: s3://b/y.csv}}\n"
        "  h: {transform: 'f:f', reads: {x: s3://b/x.csv}, writes: {y: https://h/y.csv}}\n"
        "  i: {load: s3://b/d.csv, into: s3://b/folder/}\n"
        "  j: {load: table://w/a, into: table://w/j}\n"
        "  k: {transform: 'f:f', reads: {x: s3://b/e.csv}, writes: {y: table://w/k}}\n"
        "  l: {load: s3://b/a.xlsx, into: table://w/l}\n"
        "  m: {load: s3://b/f.csv, into: table://w/m, checks: [expect_column_values_to_be_unique: {colum: a}]}\n"
    )
    tree = read_tree(tmp_path)
    assert [str(diagnostic) for diagnostic in tree.diagnostics] == []
    diagnostics = build_diagnostics(tree.pipelines["p"], {})
    assert {diagnostic.severity for diagnostic in diagnostics} == {"error"}
    assert [diagnostic.line for diagnostic in diagnostics] == list(range(3, 11))

    file = tmp_path / "a.csv"
    file.write_text("a\n1\n")
    refused: list[tuple[str, Any]] = [
        ("WRONG_USE", lambda: LoadRequest(sources=(str(file),), table="t", mode=Mode.REPLACE_WINDOW)),
        ("WRONG_USE", lambda: LoadRequest(sources=(str(file),), table="t", columns={"a": Column(type="strang")})),
        ("WRONG_USE", lambda: parse_table("s3://bucket/folder/")),
        *(("WRONG_USE", lambda uri=uri: parse_uri(uri)) for uri in ("ftp://b/a.csv", "table://w/a")),
    ]
    for code, refuse in refused:
        with pytest.raises(FaultError) as caught:
            refuse()
        assert caught.value.code == code


def test_the_transform_of_the_guide_runs(tmp_path: Path) -> None:
    root = write_dags(page("author.md"), tmp_path)
    customers = pa.table({"id": [1, 2, 3], "country": ["DE", "FR", "DE"]})
    with on_path(str(root)):
        whole = find_function("transforms.customers:clean_up", str(root))
        large = find_function("transforms.customers:clean_up_large", str(root))
        assert not streams(whole, "customers")
        assert streams(large, "customers")
        assert whole(customers=customers, country="DE")["id"].to_pylist() == [1, 3]
        reader = pa.RecordBatchReader.from_batches(customers.schema, customers.to_batches(max_chunksize=2))
        assert pa.Table.from_batches(large(customers=reader, country="DE"))["id"].to_pylist() == [1, 3]


def test_the_python_function_of_the_guide_runs(tmp_path: Path) -> None:
    root = write_dags(page("author.md"), tmp_path)
    reads = {"by_country": "s3://lake/countries/2026-01-02/", "orders": "table://warehouse/orders"}
    with posts() as (url, seen), on_path(str(root)):
        post = find_function("announce:post", str(root))
        said = post(url=url, reads=reads, window=WINDOW, dry_run=True)
        assert seen == []
        assert post(url=url, reads=reads, window=WINDOW, dry_run=False) == said
    assert seen == [{"text": "Customers of 2026-01-02: s3://lake/countries/2026-01-02/"}]


@contextmanager
def posts() -> Iterator[tuple[str, list[Any]]]:
    """A server that keeps the JSON it is sent."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's word
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", seen
    finally:
        server.shutdown()
        server.server_close()


def test_the_checks_of_the_page_do_what_it_says(tmp_path: Path, warehouse: str) -> None:
    tree = read_tree(write_dags(page("checks.md"), tmp_path))
    step = tree.pipelines["visits"].steps["load_visits"]
    assert isinstance(step, LoadStep)
    file = tmp_path / "visits.csv"
    file.write_text(
        "visit_id,country,started_at,ended_at,pages,referrer\n"
        "1,DE,2026-01-01 10:00:00Z,2026-01-01 10:00:00Z,900,https://a/\n"
        "2,XX,2026-01-01 10:00:00Z,,2,https://a/\n"
        "3,DE,2026-01-01 10:00:00Z,2026-01-01 09:00:00Z,2,\n"
        "4,FR,2026-01-01 10:00:00Z,2026-01-01 11:00:00Z,11,\n"
    )
    options = step.each() | {"dead_letters": DeadLetters(max=Limit.parse("100%"))}
    request = LoadRequest(sources=(str(file),), table="visits", **options)
    report = load(request, Storage(), PostgresTarget(warehouse, "visits"))
    assert report.reasons == {
        "in:country": 1, "expect_column_pair_values_a_to_be_greater_than_b:ended_at+started_at": 1,
        "required:referrer": 1,
    }  # fmt: skip
    assert report.warnings == {"between:pages#2": 1, "expect_column_mean_to_be_between:pages": "900.0"}


# --- commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", GUIDES, ids=named)
def test_every_command_in_the_docs_exists(of: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_dags(of, tmp_path).mkdir(exist_ok=True)
    for line, words in of.commands():
        program, *rest = words
        match program:
            case "sluicegate":
                parse(rest, tmp_path)
            case "airflow":
                get_parser().parse_args(rest)
            case "pip":
                assert rest[0] == "install"
                assert rest[1].partition("[")[0] == "airflow-provider-sluicegate"
            case "aws":
                assert rest[:2] == ["emr", "list-clusters"]
            case _:
                pytest.fail(f"{of.name}:{line}: nobody checks {program}")


def parse(words: list[str], folder: Path) -> None:
    """A command of ours with its arguments; files that it is given are made."""
    for word in words:
        if word.endswith((".csv", ".json")) and "://" not in word:
            (folder / word).touch()
    group: Any = typer.main.get_command(app)
    context = group.make_context("sluicegate", list(words), resilient_parsing=True)
    rest = list(words)
    while isinstance(group, click.Group):
        name, group, rest = group.resolve_command(context, rest)
        context = group.make_context(name, list(rest), parent=context, resilient_parsing=isinstance(group, click.Group))


def test_the_first_command_of_the_guide_finds_nothing_wrong_but_what_the_guide_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dags(page("author.md"), tmp_path)
    monkeypatch.chdir(tmp_path)
    words = next(words for _, words in page("author.md").commands())
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0
    said = set(re.findall(r"^\| `(no-[a-z-]+)` \|", page("author.md").text, re.MULTILINE))
    assert said == {"no-owner", "no-alerts", "no-fresh-within", "no-checks", "no-playbook"}
    assert set(re.findall(r"(?:error|warning)\[([a-z-]+)\]", done.output)) == said - {"no-owner"}


def test_check_says_nothing_of_the_first_pipeline_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    block = next(block for block in re.findall("```sh\n(.*?)```", text, re.DOTALL) if "<<'YAML'" in block)
    setup, _, check = block.partition(".venv/bin/sluicegate ")
    subprocess.run(["/bin/sh", "-ec", setup], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, check.splitlines()[0].split())
    assert (done.exit_code, done.stdout) == (0, "1 pipeline file: no errors\n")


@pytest.mark.parametrize("of", GUIDES, ids=named)
def test_the_commands_named_in_the_text_exist(of: Page) -> None:
    group = typer.main.get_command(app)
    known = set(group.commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"`sluicegate ([a-z][a-z-]*)", of.text)) <= known


# --- tables, settings, faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "mark"), TABLES)
def test_a_table_is_what_the_code_says(name: str, mark: str) -> None:
    written = between(page(name).text, mark)[0]
    assert written == TABLES[name, mark](), "python tests/docs/tables.py writes it anew"


def test_the_log_block_is_the_one_that_is_logged() -> None:
    [block] = page("operator.md").blocks("text")
    error = fault(
        "TOO_MANY_DEAD_LETTERS",
        "120 of 900 records (13.33%) were set aside, and dead_letters.max is 5%: required:amount 119, type:amount 1",
    )
    places = re.findall(r"s3://landing/orders/.*", block.text)
    error.where = tuple(places)
    assert len(places) == 2
    assert block.text == describe(error, playbook=Playbook("orders", "## TOO_MANY_DEAD_LETTERS")) + "\n"


@pytest.mark.parametrize("of", GUIDES, ids=named)
def test_every_fault_that_is_named_is_in_the_catalogue(of: Page) -> None:
    words = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", re.sub(r"```.*?```", "", of.text, flags=re.DOTALL)))
    others = {
        "AIRFLOW_CONN_WAREHOUSE", "XDG_CACHE_HOME", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE",
        "EXCHANGE_CLOSED",
        "AIRFLOW_HOME", "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", "DAGS_ROOT", "RUN_ID", "TERMINATE_CLUSTER",
    }  # fmt: skip
    others |= {*BY_ERROR_CODE, *BY_STATE_REASON}
    assert {word for word in words if not re.match("AIRFLOW__|SLUICEGATE_", word)} - others <= set(CATALOGUE)


def test_the_settings_of_airflow_in_the_docs_exist() -> None:
    options = conf.configuration_description
    for block in page("platform.md").blocks("ini"):
        section = ""
        for line in block.text.splitlines():
            if heading := re.fullmatch(r"\[(\w+)\]", line):
                section = heading[1]
            elif setting := re.match(r"(\w+) = ", line):
                assert setting[1] in options[section]["options"], f"[{section}] {setting[1]}"
    for of in GUIDES:
        for section, name in re.findall(r"`\[(\w+)\] (\w+)`", of.text):
            assert name in options[section]["options"], f"{of.name}: [{section}] {name}"


def test_what_makes_an_idle_dag_processor_cheap_is_told_and_is_set_by_the_embedded_stack() -> None:
    told = "\n".join(block.text for block in page("platform.md").blocks("ini"))
    for name in ("min_file_process_interval", "min_serialized_dag_update_interval", "stale_dag_threshold"):
        said = re.search(rf"^{name} = (\d+)$", told, re.MULTILINE)
        (value,) = (value for key, value in DAG_PROCESSOR.items() if key.endswith(f"__{name.upper()}"))
        assert said is not None
        assert said[1] == value


def test_the_bundles_in_the_docs_can_be_made() -> None:
    for block in page("platform.md").blocks("json"):
        for bundle in json.loads(block.text):
            module, _, name = bundle["classpath"].rpartition(".")
            made = getattr(import_module(module), name)(name=bundle["name"], **bundle["kwargs"])
            assert made.name == bundle["name"]
            for importer in bundle.get("importers", ()):
                module, _, name = importer.rpartition(".")
                assert callable(getattr(import_module(module), name))


def test_the_operators_named_for_hand_written_dags_exist() -> None:
    named_ = re.findall(r"`(sluicegate(?:\.\w+)+\.\w+Operator)`", page("platform.md").text)
    assert len(named_) == 7
    for path in named_:
        module, _, name = path.rpartition(".")
        assert isinstance(getattr(import_module(module), name), type)


# --- SQL ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def warehouse(postgres_server: str) -> str:
    """A database called as in the docs, with the ledger, a failed load and an open dead letter of `orders`."""
    conninfo = Warehouse.create(postgres_server, "warehouse").conninfo
    origin = Origin("orders", "load_orders", "run", 1, WINDOW)
    failures = ({"rule": "required:amount", "column": "amount", "value": None},)
    letter = DeadLetter("s3://landing/orders/a.csv", "v", 3, '{"order_id": "3"}', failures, {"order_id": "3"})
    with psycopg.connect(conninfo, application_name="sluicegate orders.load_orders run") as connection:
        migrate(connection)
        ledger = PostgresLedger(connection)
        for status, counts in (("loaded", Counts(2, 1, 1)), ("failed", Counts(read=2, dead=1, rejected=1))):
            ledger.record(Load("public.orders", letter.source, "v", "d", status, counts, 0.1, origin))
        ledger.set_aside("public.orders", "d", origin, [letter])
    return conninfo


SQL = [(each.name, block.line, block.text) for each in (*PAGES, *PLAYBOOKS) for block in each.blocks("sql")]


@pytest.mark.parametrize(("where", "line", "text"), SQL, ids=[f"{where}:{line}" for where, line, _ in SQL])
def test_the_sql_of_the_docs_runs_and_finds_what_it_says(warehouse: str, where: str, line: int, text: str) -> None:
    with psycopg.connect(warehouse, application_name="sluicegate orders.load_orders run") as connection:
        cursor = connection.execute(text.encode())
        if where == "docs/operator.md":
            assert cursor.fetchall(), f"{where}:{line} finds nothing"
        connection.rollback()


def test_the_rights_of_the_docs_are_enough_for_a_load(warehouse: str, tmp_path: Path) -> None:
    [block] = page("platform.md").blocks("sql")
    with psycopg.connect(warehouse, autocommit=True) as connection:
        # What the ledger's schema was made by must not matter: the role makes its own.
        connection.execute("CREATE DATABASE rights TEMPLATE template0")
    admin = warehouse.replace("dbname=warehouse", "dbname=rights")
    with psycopg.connect(admin, autocommit=True) as connection:
        # A role is the whole server's: another name than where the page itself is tried.
        text = block.text.replace("DATABASE warehouse", "DATABASE rights").replace("loader", "loads_by_right")
        connection.execute(text.encode())
    file = tmp_path / "a.csv"
    loader = admin.replace("user=postgres", "user=loads_by_right")
    for text, status in (("id,v\n1,a\n", "loaded"), ("id,v\n1,b\n2,c\n", "loaded"), ("id,v\n1,b\n2,c\n", "skipped")):
        file.write_text(text)
        request = LoadRequest(sources=(str(file),), table="sales.orders", key=("id",))
        assert load(request, Storage(), PostgresTarget(loader, "sales.orders")).status == status


def test_the_load_of_the_guide_keeps_its_contract(warehouse: str, tmp_path: Path) -> None:
    step = read_tree(write_dags(page("author.md"), tmp_path)).pipelines["payments"].steps["load_payments"]
    assert isinstance(step, LoadStep)
    good = {"payment_id": "", "amount": 10, "fee": 1, "currency": "EUR", "iban": "DE00", "changed_at": "2026-01-02"}
    payments = [{**good, "payment_id": f"00000000-0000-0000-0000-{number:012}"} for number in range(200)]
    payments[7] |= {"amount": 200_000}
    payments[9] |= {"fee": 11}
    file = tmp_path / "payments.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in payments))
    request = LoadRequest(
        sources=(str(file),), table="finance.payments", key=step.key, mode=step.mode, newest_by=step.newest_by,
        columns=step.columns, checks=step.checks, dead_letters=step.dead_letters,
    )  # fmt: skip
    report = load(request, Storage(), PostgresTarget(warehouse, "finance.payments"))
    assert (report.counts.inserted, report.counts.dead) == (198, 2)
    assert report.reasons == {"between:amount": 1, "expect_column_pair_values_a_to_be_greater_than_b:amount+fee": 1}


# --- links -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [*PAGES, *PLAYBOOKS], ids=named)
def test_every_link_leads_somewhere(of: Page) -> None:
    lost = []
    for link in of.links():
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        path = (of.path.parent / target).resolve() if target else of.path
        if not path.exists() or (anchor and anchor not in Page(path).anchors()):
            lost.append(link)
    assert lost == []


def test_the_modules_that_the_architecture_names_exist() -> None:
    modules = re.findall(r"`([\w/]+\.py)`", page("architecture.md").text)
    assert modules
    assert [m for m in modules if not (ROOT / m).is_file() and not (ROOT / "provider/sluicegate" / m).is_file()] == []


@pytest.mark.parametrize("of", PLAYBOOKS, ids=named)
def test_the_playbook_has_a_section_where_the_log_says(of: Page) -> None:
    headings = re.findall(r"^## (\S+)$", of.text, re.MULTILINE)
    assert headings
    assert set(headings) <= set(CATALOGUE)
    for code in headings:
        path, _, anchor = playbook_section(of.path.stem, code).partition("#")
        assert (ROOT / path) == of.path
        assert anchor in of.anchors()
