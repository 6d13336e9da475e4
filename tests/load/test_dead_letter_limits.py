"""How many records may be set aside, when a load stops for it, and how long closed letters are kept."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluicegate.ledger.entries import Origin
from sluicegate.load.load import load
from sluicegate.load.request import LoadRequest
from sluicegate.pipeline.keys.load import DeadLetters

STRICT = {"n": {"type": "integer", "between": [0, 9]}}


def request(warehouse: Any, sources: Any, limits: dict[str, Any], **words: Any) -> LoadRequest:
    return LoadRequest(
        sources=tuple(map(str, sources)), table="t", columns=STRICT, dead_letters=limits, origin=Origin("p", "s", "r"),
        **words,
    )  # fmt: skip


def bring(warehouse: Any, sources: Any, limits: dict[str, Any], **words: Any) -> Any:
    return load(request(warehouse, sources, limits, **words), warehouse.storage, warehouse.target())


def test_a_share_is_judged_from_so_many_records_on(warehouse: Any) -> None:
    file = warehouse.csv("1.csv", ["id", "n"], [[1, 50], [2, 5]])
    assert bring(warehouse, [file], {"max": "5%", "min_rows": 3}).counts.dead == 1
    with pytest.raises(Exception, match=r"50\.00%"):
        bring(warehouse, [file], {"max": "5%", "min_rows": 2}, force=True)
    with pytest.raises(Exception, match="set aside"):
        bring(warehouse, [file], {"max": 0, "min_rows": 100}, force=True)


@pytest.mark.parametrize(
    ("limits", "most", "allowed"),
    [
        ({"max": 10}, None, 10), ({"max": 10}, 100, 10), ({"max": "5%"}, 100, 5), ({"max": "5%"}, 119, 5),
        ({"max": "5%"}, None, None), ({"max": "5%", "min_rows": 50}, 100, 49),
        ({"max": "5%", "min_rows": 50}, 10_000, 500), ({"max": "0.3%"}, 1_000, 3),
    ],
)  # fmt: skip
def test_so_many_dead_records_may_be_set_aside_whatever_comes(
    limits: dict[str, Any], most: int | None, allowed: int | None
) -> None:
    some = DeadLetters.model_validate(limits)
    assert some.allowed(most) == allowed
    if allowed is not None and most is not None:
        assert not all(some.exceeded_by(allowed, read) for read in range(allowed, most + 1))
        assert all(some.exceeded_by(allowed + 1, read) for read in range(allowed + 1, most + 1))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_hopeless_load_reads_no_further_file_and_says_so(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("sluicegate.load.early.LOOK", 10)
    files = []
    for number in range(4):
        rows = [[number * 100 + n, 50 if number < 2 else 5] for n in range(20)]
        if kind == "csv":
            files.append(warehouse.csv(f"{number}.csv", ["id", "n"], rows))
        else:
            files.append(warehouse.folder / f"{number}.parquet")
            pq.write_table(pa.table({"id": [row[0] for row in rows], "n": [row[1] for row in rows]}), files[-1])
    with pytest.raises(Exception, match="the last 2 files were not read") as caught:
        bring(warehouse, files, {"max": "40%"})
    assert "40 of 40 records (100.00%)" in str(caught.value)
    assert warehouse.rows("SELECT status, read, dead, rejected FROM sluicegate.loads") == [("failed", 40, 40, 0)]
    assert bring(warehouse, files, {"max": "50%"}).counts.inserted == 40


def large_file(warehouse: Any, kind: str, dead: range, rows: int = 2_000) -> Any:
    """A file in which the records of `dead` break a rule, the one with a line break in its text not."""
    values = [[n, 50 if n in dead else 5, "two\nlines" if n == 3 else "x"] for n in range(rows)]
    path = warehouse.folder / f"large.{kind}"
    if kind == "csv":
        path.write_text("id,n,text\n" + "".join(f'{i},{n},"{text}"\n' for i, n, text in values))
    elif kind == "jsonl":
        path.write_text("".join(f"{json.dumps({'id': i, 'n': n, 'text': text})}\n" for i, n, text in values))
    else:
        ids, numbers, texts = zip(*values, strict=True)
        pq.write_table(pa.table({"id": ids, "n": numbers, "text": texts}), path)
    return path


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LARGE": 1_000, "LARGE_BYTES": 1, "SHARE": 20}.items():
        monkeypatch.setattr(f"sluicegate.load.early.{name}", value)


@pytest.mark.usefixtures("early")
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(("limit", "read"), [(10, 100), (150, 199), ("5%", 133)])
def test_a_hopeless_file_is_not_read_to_its_end(warehouse: Any, kind: str, limit: Any, read: int) -> None:
    file = large_file(warehouse, kind, range(5, 400))
    for _ in range(2):
        with pytest.raises(
            Exception, match=f"reading stopped behind record {read} of about 2,00[0-9] in .*large"
        ) as no:
            bring(warehouse, [file], {"max": limit})
        assert f"{read - 5} of {read} records" in str(no.value)
    row = ("failed", read, read - 5, 5)
    assert warehouse.rows("SELECT status, read, dead, rejected FROM sluicegate.loads") == [row, row]
    assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters") == read - 5
    if kind == "csv":
        # The record of two lines is counted, and the letters are those that a whole reading finds.
        assert warehouse.one("SELECT min(line) FROM sluicegate.dead_letters") == 8
    assert bring(warehouse, [file], {"max": "20%"}).counts.inserted == 1_605
    assert len(warehouse.states()) == 395


@pytest.mark.usefixtures("early")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_with_a_bad_beginning_is_loaded_where_the_rest_makes_up_for_it(warehouse: Any, kind: str) -> None:
    file = large_file(warehouse, kind, range(90))
    assert bring(warehouse, [file], {"max": "5%"}).counts.inserted == 1_910
    assert bring(warehouse, [file], {"max": 90}, force=True).counts.dead == 90


def test_what_may_be_forgiven_makes_no_load_hopeless(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.load.early.LOOK", 1)
    files = [warehouse.csv(f"{n}.csv", ["id", "n"], [[n, 50 if n == 0 else 5]]) for n in range(4)]
    checks = [{"expect_column_values_to_be_between": {"column": "n", "max_value": 9, "mostly": 0.7}}]
    words = {"columns": {"n": "integer"}, "checks": checks, "max_dead": 0}
    assert warehouse.load([str(file) for file in files], **words).counts.inserted == 4


def test_a_load_that_fails_keeps_some_of_its_letters_and_counts_all(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluicegate.load.load.LETTERS_OF_FAILED", 3)
    file = warehouse.csv("1.csv", ["id", "n"], [[n, 50] for n in range(8)])
    with pytest.raises(Exception, match="the first 3 are kept as dead letters"):
        bring(warehouse, [file], {"max": "5%"})
    assert [row[0] for row in warehouse.states()] == [2, 3, 4]
    assert warehouse.rows("SELECT read, dead FROM sluicegate.loads") == [(8, 8)]
    assert bring(warehouse, [file], {"max": "100%"}).counts.dead == 8
    assert len(warehouse.states()) == 8
    assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters WHERE fault IS NULL") == 8


def test_closed_letters_are_deleted_once_they_are_old_and_open_ones_never(warehouse: Any) -> None:
    limits = {"max": "100%", "keep": "30d"}
    bring(warehouse, [warehouse.csv("1.csv", ["id", "n"], [[n, 50] for n in range(4)])], limits)
    warehouse.rows("UPDATE sluicegate.dead_letters SET first_seen = now() - interval '99 days'")
    warehouse.rows(
        "UPDATE sluicegate.dead_letters SET status = 'discarded',"
        " closed_at = now() - CASE WHEN line = 2 THEN interval '31 days' ELSE interval '29 days' END WHERE line < 4"
    )
    other = "UPDATE sluicegate.dead_letters SET target = 'public.other' WHERE line = 3"
    warehouse.rows(other)
    bring(warehouse, [warehouse.csv("2.csv", ["id", "n"], [[9, 5]])], limits)
    assert [(row[0], row[1]) for row in warehouse.states()] == [(3, "discarded"), (4, "open"), (5, "open")]


def test_one_load_deletes_no_more_than_a_bounded_number(warehouse: Any) -> None:
    bring(warehouse, [warehouse.csv("1.csv", ["id", "n"], [[n, 50] for n in range(5)])], {"max": "100%"})
    warehouse.rows("UPDATE sluicegate.dead_letters SET status = 'replayed', closed_at = now() - interval '9 days'")
    with warehouse.target().ledger() as ledger:
        assert ledger.forget("public.t", timedelta(days=1), 3) == 3
        assert ledger.forget("public.t", timedelta(days=1), 3) == 2


def test_how_long_letters_are_kept_makes_no_load_another_one(warehouse: Any) -> None:
    digests = {
        request(warehouse, ["x.csv"], limits).digest()
        for limits in ({}, {"keep": "30d"}, {"max": "5%"}, {"max": "5%", "keep": "9d"})
    }
    assert len(digests) == 1
    assert request(warehouse, ["x.csv"], {"min_rows": 5}).digest() not in digests
