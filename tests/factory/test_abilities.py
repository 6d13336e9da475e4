"""What the steps of a file could not do in a run is said when it is read, with its place."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sluicegate.factory.attempt import build_diagnostics
from sluicegate.factory.preflight.abilities import unsupported
from sluicegate.pipeline import Diagnostic, PipelineErrors, read_together, read_tree
from sluicegate.records.types import UnknownTypeError, parse_type
from tests.factory.files import dags_of, write

ROOT = Path(__file__).parents[2]
LOAD = "  a: {{load: {source}, into: {into}{more}}}\n"
SUITE = {"name": "s", "expectations": [{"type": "expect_column_values_to_be_unique", "kwargs": {"colum": "a"}}]}


def diagnostics_of(root: Path, text: str, **others: str) -> tuple[Diagnostic, ...]:
    write(root, it=text, **others)
    together = read_together(root / "it.yaml", root)
    return build_diagnostics(together.pipeline, together.upstreams)


def of_load(
    root: Path, more: str = "", source: str = "s3://b/a.csv", into: str = "table://w/t"
) -> tuple[Diagnostic, ...]:
    """The mistakes of a file whose only step, a load, is its third line."""
    return diagnostics_of(root, "sluicegate: 1\nsteps:\n" + LOAD.format(source=source, into=into, more=more))


def of_transform(root: Path, reads: str, writes: str, datasets: str = "") -> tuple[Diagnostic, ...]:
    """The mistakes of a file whose only step, a transform, is its third line."""
    (root / "mine.py").write_text("def f(x):\n    return x\n")
    step = f"  a: {{transform: 'mine:f', reads: {reads}, writes: {writes}}}\n"
    return diagnostics_of(root, f"sluicegate: 1\nsteps:\n{step}{datasets}")


def pointed_at(diagnostic: Diagnostic) -> str:
    """The rest of the line from where the mistake stands."""
    return diagnostic.source[diagnostic.column - 1 :]


@pytest.mark.parametrize(
    ("more", "at", "words", "suggestion"),
    [
        (", mode: replace_window", "replace_window}", "needs a window_by", None),
        (", key: id, window_by: day", "day}", "goes with mode: replace_window", None),
        (", delete_when: {op: D}, mode: append", "{op: D}", "goes with mode: merge", None),
        (", key: id, delete_when: {id: 1}", "{id: 1}", "part of the key", None),
        (", key: [id, id]", "[id, id]", "twice", None),
        (", newest_by: at", "at}", "mode: merge", None),
        (", key: id, newest_by: id", "id}", "part of the key", None),
        (", columns: {ctid: text}", "ctid: text", "the name of a system column", None),
        (f", columns: {{{'é' * 32}: text}}", f"{'é' * 32}: text", "has 64 bytes, and Postgres cuts names to 63", None),
        (", columns: {n: strang}", "strang", "unknown type 'strang'", "string"),
        (", columns: {n: {type: tekst}}", "tekst", "unknown type", "text"),
        (', columns: {n: "nmeric(10,2)"}', '"nmeric(10,2)"', "unknown type", "numeric(10,2)"),
        (', columns: {n: "numeric(2,10)"}', '"numeric(2,10)"', "larger than its precision", None),
        (", columns: {n: {type: text, round: true}}", "true", "`round` is for numbers, dates and times", None),
        (", columns: {n: {type: integer, zone: UTC}}", "UTC", "`zone` is for timestamps and dates", None),
        (", columns: {n: {type: date, zone: Berlin}}", "Berlin", "unknown time zone 'Berlin'", None),
        (", columns: {n: {type: integer, between: [5, 1]}}", "[5, 1]", "lower bound 5 is above", None),
        (", columns: {n: {type: integer, in: [x]}}", "[x]", "not a number", None),
        (", columns: {n: {type: date, between: [2025-13-01, null]}}", "[2025-13-", "'2025-13-01' is not a date", None),
        (", columns: {n: {type: date, in: [2025-09-01T12:00]}}", "[2025-09-", "has a time of the day", None),
        (", columns: {n: {type: timestamp, in: [2025-09-01T12:00Z]}}", "[2025-09-", "has a zone", None),
        (
            ", columns: {n: {type: timestamptz, between: [2025-09-02T00:00Z, 2025-09-02T00:00+02:00]}}",
            "[2025-09-",
            "lower bound '2025-09-02T00:00Z' is above",
            None,
        ),
        (", columns: {n: {type: text, between: [1, 5]}}", "[1, 5]", "cannot be compared", None),
        (', columns: {n: {matches: "("}}', '"("', "not a regular expression", None),
        (", format: {encoding: utf9}", "utf9", "no encoding", None),
    ],
)
def test_what_a_load_refuses_is_told_where_it_stands(
    root: Path, more: str, at: str, words: str, suggestion: str | None
) -> None:
    [diagnostic] = of_load(root, more)
    assert (diagnostic.line, diagnostic.severity, diagnostic.suggestion) == (3, "error", suggestion)
    assert pointed_at(diagnostic).startswith(at)
    assert words in diagnostic.message


@pytest.mark.parametrize(
    ("more", "at", "words"),
    [
        ("columns: {n: numeric}", "numeric", "`n` is numeric: say numeric(precision,scale)"),
        ("columns: {n: 'numeric(40,2)'}", "'numeric", "38 digits at most"),
        ("columns: {c: varchar(70000)}", "varchar", "a varchar of Redshift has 65,535 bytes at most"),
        ("columns: {c: {type: char(5000)}}", "char", "4,096 bytes at most"),
        ("columns: {xmin: text}", "xmin", "the name of a system column, which each table of Redshift has"),
        (f"columns: {{{'x' * 128}: text}}", "xxx", "names of Redshift have at most 127"),
        ("columns: {Id: text, ID: text}", "ID", "columns `Id` and `ID` differ by case alone"),
    ],
)
def test_what_a_redshift_cannot_have_is_told_where_its_connection_is_said(
    root: Path, more: str, at: str, words: str
) -> None:
    (root / "defaults.yaml").write_text("connections: {ledger: w, redshift: rs}\n")
    [diagnostic] = of_load(root, f", mode: append, {more}", into="table://rs/t")
    assert pointed_at(diagnostic).startswith(at)
    assert words in diagnostic.message
    assert of_load(root, f", mode: append, columns: {{{'x' * 127}: text}}", into="table://rs/t") == ()
    (root / "defaults.yaml").write_text("connections: {redshift: [other, rs]}\n")
    [diagnostic] = of_load(root, ", mode: append", into="table://rs/t")
    assert "has no place for a ledger" in diagnostic.message


@pytest.mark.parametrize("into", ["s3://lake/t/", "iceberg://lake/n.t"])
def test_a_folder_and_iceberg_have_names_of_columns_of_their_own(root: Path, into: str) -> None:
    more = ", mode: append, columns: {{ctid: text, {}: text, {}: text}}"
    (root / "defaults.yaml").write_text("connections: {ledger: w}\n")
    [diagnostic] = of_load(root, more.format("x" * 64, "file_row_number"), into=into)
    assert pointed_at(diagnostic).startswith("file_row_number")
    assert "the name that DuckDB gives" in diagnostic.message
    [diagnostic] = of_load(root, ", key: id", source="iceberg://lake/n.o", into=into)
    assert "a load reads files, and 'iceberg://lake/n.o' is a table" in diagnostic.message


@pytest.mark.parametrize(
    ("check", "at", "words", "suggestion"),
    [
        ("expect_column_values_to_be_between: {column: x, min: 3}", "min: 3", "no argument `min`", "min_value"),
        ("expect_column_values_to_be_unique: {column: x, zzzzz: 3}", "zzzzz", "no argument `zzzzz`", None),
        ("expect_column_values_to_be_in_set: {column: x}", "expect_", "needs the argument 'value_set'", None),
        ("expect_column_values_to_be_unique", "expect_", "needs the argument 'column'", None),
        ("expect_column_values_to_not_be_null: {column: x, mostly: 2}", "expect_", "mostly is 2", None),
        ("expect_column_value_lengths_to_be_between: {column: x, min_value: 1.5}", "expect_", "whole number", None),
        ("expect_column_value_lengths_to_be_between: {column: n, min_value: 1}", "expect_", "not text", None),
        ("expect_column_values_to_be_between: {column: n, min_value: a}", "expect_", "not a number", None),
        ("expect_column_max_to_be_between: {column: n, min_value: '5'}", "expect_", "not a number", None),
    ],
)
def test_wrong_arguments_of_a_compiled_check_are_told_where_they_stand(
    root: Path, check: str, at: str, words: str, suggestion: str | None
) -> None:
    [diagnostic] = of_load(root, f", columns: {{n: integer}}, checks: [{check}]")
    assert (diagnostic.line, diagnostic.severity, diagnostic.suggestion) == (3, "error", suggestion)
    assert pointed_at(diagnostic).startswith(at)
    assert words in diagnostic.message


@pytest.mark.parametrize(
    "check",
    [
        "expect_column_values_to_be_between: {column: x, min_value: 1, max_value: 5, mostly: 0.9, meta: {a: b}}",
        "expect_column_values_to_be_between: {column: x, min_value: '2026-01-01'}",
        "expect_column_value_lengths_to_be_between: {column: x, max_value: 5}",
        "expect_column_values_to_be_unique: {column: x, row_condition: 'y.isnull()', condition_parser: pandas}",
        "expect_column_values_to_match_regex: {column: x, regex: '^(?!a)'}",
        "expect_column_values_to_be_increasing: {column: x, minimum: 3}",  # for Great Expectations to judge
    ],
)
def test_what_the_file_cannot_show_is_left_to_the_run(root: Path, check: str) -> None:
    assert of_load(root, f", checks: [{check}]") == ()


def test_a_suite_is_judged_where_it_is_named(root: Path) -> None:
    (root / "suite.json").write_text(json.dumps(SUITE))
    [diagnostic] = of_load(root, ", suite: suite.json")
    assert pointed_at(diagnostic).startswith("suite.json")
    assert "'column'" in diagnostic.message
    (root / "suite.json").write_text("[]")
    [diagnostic] = of_load(root, ", suite: suite.json")
    assert "not a suite of Great Expectations" in diagnostic.message


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("https://host/exports/", "a web server has no folders to list"),
        ("gs://bucket", "expected gs://<bucket>/<key>"),
        ("table://w/other", "is a table"),
        ("s3://bucket", "expected s3://<bucket>/<key>"),
        ("s3://b/a.xlsx", "what kind of file"),
        ("s3://b/a", "what kind of file"),
        ("s3://b/{{ ds }}.xlsx", "what kind of file"),
        ("s3://b/{{ ds }}/a", "what kind of file"),
        ("s3://b/{{ ds }}.parquet.gz", "leave the .gz away"),
    ],
)
def test_what_a_step_cannot_read_is_told_where_it_reads_it(root: Path, source: str, words: str) -> None:
    [diagnostic] = of_load(root, source=f'"{source}"')
    assert (diagnostic.line, diagnostic.column, diagnostic.severity) == (3, 13, "error")
    assert words in diagnostic.message
    [diagnostic] = of_transform(root, f'{{x: "{source}"}}', "{y: s3://b/y.csv}")
    assert (diagnostic.line, diagnostic.column, diagnostic.severity) == (3, 39, "error")
    assert words in diagnostic.message


@pytest.mark.parametrize(
    "source",
    [
        "s3://b/folder/",
        "s3://{{ ds }}/",
        "file:///tmp/a.tsv",
        "s3://b/{{ ds }}",
        "s3://b/a.{{ ds }}",
        "s3://b/{{ ds }}.gz",
        "s3://b/{{ ds }}csv",
        "s3://b/{{ window.start.strftime('%Y/%m.%d') }}.txt",
        "s3://b/x.CSV.GZ",
    ],
)
def test_only_the_text_around_a_template_is_judged(root: Path, source: str) -> None:
    assert of_load(root, source=f'"{source}"') == ()
    assert of_transform(root, f'{{x: "{source}"}}', "{y: s3://b/y.csv}") == ()


def test_the_format_says_what_the_suffix_does_not(root: Path) -> None:
    assert of_load(root, ", format: csv", source="s3://b/a.dat") == ()
    [diagnostic] = of_load(root, ", format: parquet", source='"s3://b/{{ ds }}.gz"')
    assert "leave the .gz away" in diagnostic.message
    assert of_load(root, ", format: {type: parquet, encoding: utf9}", source="s3://b/a.dat") == ()


@pytest.mark.parametrize(
    ("into", "words"),
    [
        ("s3://b/folder/", "name a Postgres for it, by `connections: {ledger: <connection>}`"),
        ('"gs://b/{{ ds }}/"', "neither table://<connection>/<[schema.]table> nor iceberg://"),
        ('"s3://b/{{ ds }}.csv"', "nor a folder for Parquet files"),
        ('"s3://b/a/../c/"', "goes up by `..`"),
        ('"table://w/orders."', "write [schema.]table"),
    ],
)
def test_a_load_goes_into_a_table_or_a_folder_that_has_a_ledger(root: Path, into: str, words: str) -> None:
    [diagnostic] = of_load(root, into=into)
    assert (diagnostic.line, diagnostic.column, diagnostic.severity) == (3, 33, "error")
    assert words in diagnostic.message


@pytest.mark.parametrize("into", ["s3://b/folder/", '"s3://b/{{ ds }}/"', "file:///lake/orders/"])
def test_a_folder_with_a_ledger_is_a_target(root: Path, into: str) -> None:
    (root / "defaults.yaml").write_text("sluicegate: 1\nconnections: {ledger: w}\n")
    assert of_load(root, into=into) == ()


def test_a_table_may_have_a_templated_name(root: Path) -> None:
    assert of_load(root, into='"table://w/{{ ds }}"') == ()


@pytest.mark.parametrize("writes", ["table://w/t", "https://h/y.csv", "gs://b", "s3://b/y.xlsx"])
def test_what_a_transform_cannot_write_is_told_where_it_writes_it(root: Path, writes: str) -> None:
    [diagnostic] = of_transform(root, "{x: s3://b/a.csv}", f"{{y: {writes}}}")
    assert diagnostic.line == 3
    assert pointed_at(diagnostic).startswith(writes)


def test_a_dataset_is_judged_where_a_step_uses_it_and_its_format_where_it_stands(root: Path) -> None:
    datasets = (
        "datasets:\n"
        "  x: https://host/a/\n"
        "  unused: https://host/b/\n"
        "  y: {uri: s3://b/y.csv, format: {encoding: utf9}}\n"
    )
    first, second = of_transform(root, "[x]", "y", datasets)
    assert (first.line, pointed_at(first)[:2]) == (3, "x]")
    assert (second.line, pointed_at(second)) == (7, "utf9}}")


def test_what_another_pipeline_writes_is_judged_too(root: Path) -> None:
    (root / "mine.py").write_text("def f():\n    pass\n")
    head = "sluicegate: 1\nschedule: {cron: '@daily', start: 2026-01-01}\n"
    other = "datasets: {web: 'gs://b/a.xlsx'}\nsteps: {a: {python: 'mine:f', writes: web}}\n"
    text = "steps:\n" + LOAD.format(source="other.web", into="table://w/t", more="")
    [diagnostic] = diagnostics_of(root, head + text, other=head + other)
    assert (diagnostic.line, pointed_at(diagnostic)[:9]) == (4, "other.web")


def test_every_kind_of_source_can_be_waited_for(root: Path) -> None:
    (root / "mine.py").write_text("def f():\n    pass\n")
    step = "sluicegate: 1\nsteps:\n  a: {{python: 'mine:f', reads: {{x: {uri}}}, wait: 1h}}\n"
    for uri in ("https://h/a.csv", "http://h/a.csv?x=1", "gs://b/a/", "'s3://b/*.csv'", "table://w/t"):
        assert diagnostics_of(root, step.format(uri=uri)) == ()


@pytest.mark.parametrize(
    ("uri", "good"),
    [("https://h/a", True), ("gs://b/a.csv", True), ("table://w/t", False), ("file:///a.csv", False)],
)
def test_a_connection_is_for_a_dataset_on_a_server(root: Path, uri: str, good: bool) -> None:
    text = f"sluicegate: 1\ndatasets: {{x: {{uri: {uri}, connection: api}}}}\nsteps: {{}}\n"
    write(root, it=text)
    codes = [diagnostic.code for diagnostic in read_tree(root).diagnostics]
    assert codes == ([] if good else ["value"]) + ["missing-key"]


SPARK = """\
sluicegate: 1
steps:
  a:
    spark: {job}
    cluster:
      release: emr-7.13.0
      instances: {{primary: m7g.xlarge}}
      {more}
"""


def test_job_files_are_uploaded_to_s3(root: Path) -> None:
    (root / "j.py").write_text("")
    (root / "defaults.yaml").write_text("artifacts: file:///tmp/\n")
    [diagnostic] = diagnostics_of(root, SPARK.format(job="j.py", more="tags: {}"))
    assert (diagnostic.file.name, diagnostic.line, diagnostic.column) == ("defaults.yaml", 1, 12)
    # The deadline on the cluster itself is a script that is uploaded too.
    assert len(diagnostics_of(root, SPARK.format(job="s3://code/j.py", more="tags: {}"))) == 1
    assert diagnostics_of(root, SPARK.format(job="s3://code/j.py", more="watchdog: false")) == ()


def test_airflow_shows_them_all_at_once_with_what_the_operators_say(root: Path) -> None:
    text = (
        "sluicegate: 1\nalerts: {slack: {notifier: airflow.sdk.BaseNotifier, faults: SOURCE_MISING}}\nsteps:\n"
        + LOAD.format(source="https://h/a/", into="table://w/t", more=", columns: {n: tekst}")
        + "  b:\n    operator: airflow.providers.standard.operators.bash.BashOperator\n    with: {bash_comand: echo}\n"
    )
    write(root, it=text)
    with pytest.raises(PipelineErrors) as error:
        dags_of(root, "it.yaml")[0]
    places = re.findall(r"^it\.yaml:(\d+):(\d+): (\w+)", str(error.value), re.MULTILINE)
    assert places == [("2", "62", "error"), ("4", "13", "error"), ("4", "59", "error"), ("7", "12", "error")]
    assert "did you mean `text`?" in str(error.value)


def test_the_samples_are_without_fault() -> None:
    tree = read_tree(ROOT / "dags")
    assert len(tree.pipelines) >= 5
    for pipeline in tree.pipelines.values():
        assert unsupported(pipeline, tree.readable) == ()


def test_the_pipelines_that_run_in_a_real_airflow_are_not_refused(root: Path) -> None:
    texts = [
        node.value
        for file in sorted((ROOT / "tests/airflow").glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("sluicegate: 1")
    ]
    assert len(texts) >= 5
    (root / "defaults.yaml").write_text((ROOT / "dags/defaults.yaml").read_text())
    write(root, **{f"p{number}": text for number, text in enumerate(texts)})
    tree = read_tree(root)
    for pipeline in tree.pipelines.values():
        assert unsupported(pipeline, tree.readable) == ()


def test_judging_imports_nothing_that_only_a_run_needs() -> None:
    heavy = ("duckdb", "pandas", "pyarrow", "boto3", "botocore", "great_expectations", "psycopg", "pyspark")
    wanted = "sluicegate.factory.preflight.abilities"
    code = f"import sys, {wanted}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [("varchr(10)", "varchar(10)"), ("text(10)", "text"), ("integr", "integer"), ("qqq", None)],
)
def test_an_unknown_type_is_suggested_with_its_numbers(text: str, suggestion: str | None) -> None:
    with pytest.raises(UnknownTypeError) as error:
        parse_type(text)
    assert error.value.suggestion == suggestion


def test_wildcards_are_for_what_is_read(tmp_path: Path) -> None:
    assert of_load(tmp_path, source='"s3://b/{{ ds }}/*.csv"') == ()
    assert of_load(tmp_path, source='"s3://b/{{ ds }}/*"') == ()
    [wrong] = of_transform(tmp_path, "{x: s3://b/a.csv}", '{y: "s3://b/*.csv"}')
    assert "wildcards say what is read" in wrong.message
    assert pointed_at(wrong).startswith('"s3://b/*.csv"')


FETCH = "sluicegate: 1\n{more}steps:\n  a: {{fetch: {fetch}, into: {into}}}\n"
BY_SQL = "{sql: SELECT 1 AS n, connection: shop}"


@pytest.mark.parametrize(
    ("fetch", "into", "at", "words"),
    [
        ("{sql: \"SELECT '{{ ds }}'\", connection: shop}", "s3://b/x/", "\"SELECT '", "leave the quotes"),
        ("{sql: SELECT 1 AS n, connection: shop, watermark: n}", "s3://b/x/", "n}", "kept in the ledger"),
        (BY_SQL, "s3://b/x.parquet", "s3://b", "end 's3://b/x.parquet' in a slash"),
        (BY_SQL, "table://w/t", "table", "is a table"),
        (BY_SQL, "https://h/x/", "https", "nothing can be written"),
        (BY_SQL, "'s3://b/*/'", "'s3", "wildcards say what is read"),
    ],
)
def test_what_a_fetch_cannot_do_is_told_where_it_is_asked(
    root: Path, fetch: str, into: str, at: str, words: str
) -> None:
    [diagnostic] = diagnostics_of(root, FETCH.format(more="", fetch=fetch, into=into))
    assert pointed_at(diagnostic).startswith(at)
    assert words in diagnostic.message


@pytest.mark.parametrize(
    ("fetch", "words"),
    [
        ("{sql: SELECT 1}", "`sql` needs a `connection`"),
        ("{api: 'https://h/x', sql: SELECT 1}", "expected one of `sql` and `api`"),
        ("{api: 'https://h/x', watermark: n}", "`watermark` does not go with `api`"),
        ("{sql: SELECT 1, connection: shop, pages: {by: link}}", "`pages` does not go with `sql`"),
        ("{api: 'https://h/x', pages: {by: cursor}}", "needs a `path`"),
        ("{api: 'https://h/x', rate: often}", "expected a rate such as 5/s"),
        ("{sql: SELECT 1, connection: shop, lookback: 1h}", "`lookback` needs a `watermark`"),
        ("{api: 'https://h/{{ no }}'}", "`no` is unknown"),
    ],
)
def test_what_does_not_go_together_in_a_fetch_is_an_error_of_its_file(root: Path, fetch: str, words: str) -> None:
    write(root, it=FETCH.format(more="", fetch=fetch, into="s3://b/x/"))
    [diagnostic] = read_tree(root).diagnostics
    assert words in diagnostic.message


def test_a_fetch_that_is_right_becomes_a_dag(root: Path) -> None:
    ledger = "connections: {ledger: warehouse}\n"
    (root / "defaults.yaml").write_text(ledger)
    fetch = "{sql: 'SELECT * FROM t WHERE d = {{ ds }}', connection: shop, watermark: n, lookback: 1h}"
    assert diagnostics_of(root, FETCH.format(more="", fetch=fetch, into="s3://b/x/")) == ()
    [dag] = dags_of(root, "it.yaml")
    assert dag.get_task("a").ledger == "warehouse"


def test_an_expectation_that_does_not_exist_is_found_in_a_suite_with_its_line(root: Path) -> None:
    entries = [{"type": "expect_column_values_to_be_uniqe", "kwargs": {"column": "x"}}]
    (root / "suite.json").write_text(json.dumps({"expectations": entries}, indent=1))
    [diagnostic] = of_load(root, ", suite: suite.json")
    assert diagnostic.code == "unknown-expectation"
    assert diagnostic.message == (
        "suite.json:3: there is no expectation `expect_column_values_to_be_uniqe`; "
        "did you mean 'expect_column_values_to_be_unique'?"
    )
