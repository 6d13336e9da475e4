"""A request is rebuilt from the pipeline alone, equal to the one that the step in the task makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sluicegate.faults import FaultError
from sluicegate.ledger.entries import DeadLetter, Origin, dead_letter_id
from sluicegate.load.operator import LoadOperator
from sluicegate.load.request import LoadRequest, request_of
from sluicegate.pipeline.keys.model import Format, LoadStep
from sluicegate.pipeline.tree import read_tree
from sluicegate.records.reader import LocalPart, Provenance

PIPELINE = """\
sluicegate: 1
owner: pub
steps:
  load_orders:
    load: s3://landing/orders.csv
    into: table://warehouse/sales.orders
    key: id
    newest_by: at
    format: {delimiter: ";"}
    columns: {id: bigint, at: {type: timestamptz, required: true}}
    checks: [{expect_column_values_to_be_between: {column: id, min_value: 1}}]
    dead_letters: {max: 3}
    on_schema_change: add_columns
"""


@pytest.mark.parametrize(
    ("words", "why"),
    [({}, "say `check_on: cluster` too"), ({"check_on": "cluster", "batch_rows": 5}, "copies all records at once")],
)
def test_a_server_copies_only_what_a_cluster_has_checked_and_all_of_it(words: dict[str, Any], why: str) -> None:
    with pytest.raises(FaultError, match=why):
        LoadRequest(sources=("s3://lake/orders/",), table="t", copy_from="s3", **words)


def test_the_step_of_a_pipeline_and_its_operator_make_the_same_request(tmp_path: Path) -> None:
    (tmp_path / "orders.yaml").write_text(PIPELINE)
    step = read_tree(tmp_path).pipelines["orders"].steps["load_orders"]
    assert isinstance(step, LoadStep)
    operator = LoadOperator(
        task_id="load_orders", source="s3://landing/orders.csv", into="table://warehouse/sales.orders", key="id",
        newest_by="at", format={"delimiter": ";"},
        columns={"id": "bigint", "at": {"type": "timestamptz", "required": True}},
        checks=[{"expect_column_values_to_be_between": {"column": "id", "min_value": 1}}], dead_letters={"max": 3},
        on_schema_change="add_columns",
    )  # fmt: skip
    origin = Origin("orders", "load_orders", "run", 1)
    one, other = (
        request_of(words, ["s3://landing/orders.csv"], "sales.orders", origin, root=tmp_path)
        for words in (step, operator.options)
    )
    assert one == other
    assert one.digest() == other.digest()
    assert (one.source, one.key, str(one.dead_letters.max)) == ("s3://landing/orders.csv", ("id",), "3")


def test_the_format_of_a_dataset_counts_where_the_step_says_none(tmp_path: Path) -> None:
    semicolons = Format.model_validate({"delimiter": ";"})
    options = LoadOperator(task_id="x", source="a.csv", into="table://w/t", key="id").options
    assert request_of(options, ["a.csv"], "t", Origin(), root=tmp_path, source_format=semicolons).format == semicolons
    pipes = options.model_copy(update={"format": Format.model_validate({"delimiter": "|"})})
    assert request_of(pipes, ["a.csv"], "t", Origin(), root=tmp_path, source_format=semicolons).format.delimiter == "|"


@dataclass(frozen=True)
class Replayed(LocalPart):
    """A part that carries records of another source, as a replay of dead letters would."""

    def provenance(self, line: int) -> Provenance:
        return Provenance("file:///first.jsonl", "first", {1: 7, 2: 9}[line])


def test_a_record_that_is_loaded_again_from_elsewhere_keeps_the_identity_of_its_letter(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = '{"id": "x", "n": 1}'
    warehouse.file("again.jsonl", f'{{"id": 1, "n": 1}}\n{record}\n')
    monkeypatch.setattr("sluicegate.load.load.LocalPart", Replayed)
    warehouse.load(warehouse.folder / "again.jsonl", key="id", columns={"id": "integer"})
    [row] = warehouse.rows("SELECT id, source, source_version, line, record FROM sluicegate.dead_letters")
    first = DeadLetter("file:///first.jsonl", "first", 9, record, ())
    assert row == (dead_letter_id("public.t", first), "file:///first.jsonl", "first", 9, record)


def test_a_request_without_a_mode_merges_by_its_key() -> None:
    assert str(LoadRequest(sources=("a",), table="t", key=("id",)).mode) == "merge"
    assert str(LoadRequest(sources=("a",), table="t").mode) == "append"
