"""What a cluster cannot check is said before one is started, at the key that says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.factory.attempt import build_diagnostics
from sluicegate.factory.build import build_dag
from sluicegate.pipeline import Diagnostic, read_together
from tests.factory.files import write

PIPELINE = """\
sluicegate: 1
datasets:
  orders: {{uri: "{uri}", format: {form}}}
steps:
  make:
    {make}
  load_orders: {{load: orders, into: "{into}", check_on: cluster, columns: {{{columns}}}{more}}}
"""
USUAL = {
    "uri": "s3://lake/orders/{{ ds }}/",
    "form": "parquet",
    "into": "table://w/orders",
    "make": "{spark: job.py, writes: {out: orders}, cluster: {release: emr-7.13.0, instances: {primary: m7g.xlarge}}}",
    "columns": "id: bigint, amount: {type: double, between: [0, 10]}",
    "more": ", key: id",
}


def together(root: Path, **words: str) -> tuple[tuple[Diagnostic, ...], object]:
    (root / "defaults.yaml").write_text("artifacts: s3://code/\n")
    (root / "job.py").write_text("")
    (root / "mine.py").write_text("def f():\n    pass\n")
    write(root, it=PIPELINE.format(**USUAL | words))
    read = read_together(root / "it.yaml", root)
    return build_diagnostics(read.pipeline, read.upstreams), read


def test_the_spark_step_gets_what_the_load_asks_for(tmp_path: Path) -> None:
    columns = "id: time(3), day: 'timestamp(0)', amount: {type: double, between: [0, 10]}"
    diagnostics, read = together(
        tmp_path, columns=columns, more=", key: id, batch_rows: 5, scope: {id: ['10:00', null]}"
    )
    assert diagnostics == ()
    dag = build_dag(read.pipeline, read.upstreams)  # type: ignore[attr-defined]
    [check] = dag.get_task("make").checks  # type: ignore[attr-defined]
    assert (check.load, check.binding, check.options.key) == ("load_orders", "out", ("id",))
    assert dag.get_task("load_orders").options.check_on == "cluster"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "at", "words"),
    [
        ({"make": "{python: 'mine:f', writes: [orders]}"}, "cluster", "written by the python step make"),
        ({"make": "{python: 'mine:f'}"}, "cluster", "no spark step of this pipeline writes `orders`"),
        ({"form": "csv"}, "cluster", "Parquet, and the format is csv"),
        ({"form": "{null: [x]}"}, "cluster", "say `format: parquet` of `orders`"),
        ({"uri": "s3://lake/orders.parquet"}, "cluster", "is not a folder"),
        ({"uri": "s3://lake/day={{ ds }}/"}, "cluster", "partitions: false"),
        ({"more": ", key: id, scope: {x: 1}"}, "1", "the type of `x` has to be known"),
        ({"columns": "id: bigint, x: jsonb", "more": ", key: id, scope: {x: 1}"}, "1", "whether `x` is JSON is asked"),
        ({"more": ", key: id, delete_when: {x: 1.5}"}, "1.5", "the type of `x` has to be known"),
        ({"more": ", key: id, skip_bad_files: true"}, "true", "skip_bad_files"),
        ({"more": ", key: id, copy_from: s3", "uri": "file:///lake/orders/"}, "s3", "copies from S3 alone"),
        ({"more": ", key: id, copy_from: s3", "into": "s3://lake/copy/"}, "s3", "a table of Postgres"),
        ({"columns": "id: numeric"}, "numeric", "38 digits"),
        ({"columns": "id: {type: date, zone: Europe/Berlin}"}, "Europe/Berlin", "carried out by a worker alone"),
        ({"columns": "id: bigint, code: {type: text, references: orders.id}"}, "orders.id", "`references`"),
        ({"columns": "amount: double"}, "id", "the type of `id` has to be known"),
        (
            {"more": ", key: id, checks: [{expect_column_values_to_be_increasing: {column: id}}]"},
            "expect_column_values_to_be_increasing",
            "there is no Great Expectations",
        ),
        (
            {"more": ", key: id, checks: [{expect_column_values_to_not_be_null: {column: what}}]"},
            "expect_column_values_to_not_be_null",
            "the type of `what` has to be known",
        ),
    ],
)  # fmt: skip
def test_it_is_refused_where_it_is_said(tmp_path: Path, changes: dict[str, str], at: str, words: str) -> None:
    diagnostics, _ = together(tmp_path, **changes)
    found = [one for one in diagnostics if one.message.startswith(("`check_on: cluster`", "`copy_from: s3`"))]
    assert any(
        words in one.message and one.is_error and one.source[one.column - 1 :].startswith(at) for one in found
    ), [one.message for one in diagnostics]
