"""Dead letters once more: mended by the pipeline, by a function or by hand, through the same way as a load."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluicegate.faults import FaultError
from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.ledger.letters import Selection
from sluicegate.ledger.postgres.ledger import PostgresLedger
from sluicegate.load.replay.mend import Fixed, exported
from sluicegate.records.scope import scope_of_letters

STRICT = {"n": {"type": "integer", "between": [0, 9]}}
WIDE = {"n": {"type": "integer", "between": [0, 99]}}
BALANCED = (
    "SELECT bool_and(read = inserted + updated + unchanged + stale + deduplicated + deleted + dead + rejected)"
    " FROM sluicegate.loads"
)


def fixed(function: Any) -> Fixed:
    return Fixed(function, "fixes:mend")


def export(warehouse: Any, path: Path, change: Any) -> Path:
    """The open letters as a file, each record changed."""
    with psycopg.connect(warehouse.conninfo) as connection:
        letters = PostgresLedger(connection).letters.page(Selection())
    lines = [json.loads(exported(letter)) for letter in letters]
    path.write_text("".join(f"{json.dumps({**line, 'record': change(line['record'])})}\n" for line in lines))
    return path


def test_a_mended_pipeline_brings_its_letters_in_and_the_ledger_balances(warehouse: Any) -> None:
    file = warehouse.csv("1.csv", ["id", "n"], [[1, 5], [2, 50], [3, "x"]])
    warehouse.load(file, key="id", columns=STRICT)
    report = warehouse.replay(key="id", columns=WIDE, reason="limit was wrong")
    assert (report.replayed, report.still_bad, report.counts.inserted) == (1, 1, 1)
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, 5), (2, 50)]
    assert warehouse.states() == [(3, "replayed", 2), (4, "open", 2)]
    assert warehouse.rows("SELECT resolved_by, reason FROM sluicegate.dead_letters WHERE line = 3") == [
        ("ingrid", "limit was wrong")
    ]
    assert warehouse.one(BALANCED)
    source, read, dead = warehouse.rows("SELECT source, read, dead FROM sluicegate.loads ORDER BY id")[-1]
    assert source.startswith("dead-letters:")
    assert (read, dead) == (2, 1)
    assert warehouse.load(file, key="id", columns=STRICT).status == "skipped", "the real source is a hit as before"


def test_again_and_again_changes_nothing_more(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id", "n"], [[1, 50]]), columns=STRICT)
    for expected in (1, 0, 0):
        assert warehouse.replay(columns=WIDE).replayed == expected
    assert warehouse.rows("SELECT * FROM t") == [(1, 50)]


def test_what_is_still_bad_says_why_by_the_rules_of_now_and_keeps_its_id(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id", "n"], [[1, 50], [2, 5]]), key="id", columns=STRICT)
    before = warehouse.one("SELECT id FROM sluicegate.dead_letters")
    warehouse.replay(key="id", columns={"n": {"type": "integer", "in": [5]}})
    [(identity, failures, last)] = warehouse.rows("SELECT id, failures, last_failures FROM sluicegate.dead_letters")
    assert identity == before
    assert [failure["rule"] for failure in failures] == ["between:n"]
    assert last == [{"rule": "in:n", "column": "n", "value": "50"}]
    assert warehouse.states() == [(2, "open", 2)]


def test_a_function_mends_records_and_leaves_others(warehouse: Any) -> None:
    warehouse.load(
        warehouse.csv("1.csv", ["id", "n"], [[1, "5 apples"], [2, "many"], ["3", "7", "9"]]), key="id", columns=STRICT
    )

    def mend(record: Any) -> Any:
        if isinstance(record, str):
            return ",".join(record.split(",")[:2])
        return {**record, "n": record["n"].split()[0]} if "apples" in record["n"] else None

    report = warehouse.replay(key="id", columns=STRICT, mending=fixed(mend))
    assert (report.replayed, report.still_bad) == (2, 1)
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, 5), (3, 7)]
    edited = warehouse.rows("SELECT line, record, edited FROM sluicegate.dead_letters ORDER BY line")
    assert edited == [
        (2, '{"id":"1","n":"5 apples"}', '{"id": "1", "n": "5"}'), (3, '{"id":"2","n":"many"}', None),
        (4, "3,7,9", "3,7"),
    ]  # fmt: skip


def test_an_edited_file_is_replayed_and_a_letter_that_is_still_bad_stays_the_same_letter(
    warehouse: Any, tmp_path: Path
) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id", "n"], [[1, "a"], [2, "b"], [3, "c"]]), key="id", columns=STRICT)
    ids = [row[0] for row in warehouse.rows("SELECT id FROM sluicegate.dead_letters ORDER BY position")]
    change = {"a": "1", "b": 2, "c": "99"}
    file = export(warehouse, tmp_path / "x.jsonl", lambda record: {**record, "n": change[record["n"]]})
    report = warehouse.replay(key="id", columns=STRICT, edited=file)
    assert (report.replayed, report.still_bad) == (2, 1)
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, 1), (2, 2)]
    assert [row[0] for row in warehouse.rows("SELECT id FROM sluicegate.dead_letters ORDER BY position")] == ids
    assert warehouse.states()[2] == (4, "open", 2)
    assert warehouse.replay(key="id", columns=STRICT, edited=file).still_bad == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense\n", "x.jsonl:1: not JSON"),
        ("\udcff\n", "x.jsonl:1: not JSON: 'utf-8' codec can't decode"),
        ('{"id": "1"}\n', "x.jsonl:1: expected an exported letter"),
        ('{"id": "1", "record": 5}\n', "expected a JSON object or a line as text"),
        ('{"id": "1", "record": {}}\n{"id": "1", "record": {}}\n', "x.jsonl:2: the letter 1 is there twice"),
    ],
)
def test_a_file_that_is_not_an_export_is_refused_with_its_line(
    warehouse: Any, tmp_path: Path, text: str, words: str
) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id"], [[1]]), key="id")
    file = tmp_path / "x.jsonl"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(FaultError, match=words):
        warehouse.replay(key="id", edited=file)


def test_an_old_letter_never_replaces_a_newer_row(warehouse: Any) -> None:
    columns = {**STRICT, "at": "integer"}
    words = {"key": "id", "newest_by": "at"}
    warehouse.load(warehouse.csv("1.csv", ["id", "n", "at"], [[1, 50, 1], [2, 50, "x"]]), columns=columns, **words)
    warehouse.load(warehouse.csv("2.csv", ["id", "n", "at"], [[1, 5, 2], [2, 5, 2]]), columns=columns, **words)
    assert [state for _, state, _ in warehouse.states()] == ["resolved", "open"]
    report = warehouse.replay(
        columns={**WIDE, "at": "integer"}, mending=fixed(lambda record: {**record, "at": "1"}), **words
    )
    assert report.counts.stale == 1
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, 5, 2), (2, 5, 2)]


def test_without_newest_by_a_letter_whose_key_was_not_known_does_not_replace_a_row(warehouse: Any) -> None:
    warehouse.load(
        warehouse.csv("1.csv", ["id", "n"], [[1, 1], ["x", 2], ["y", 3]]), key="id", columns={"id": "integer"}
    )
    mending = fixed(lambda record: {**record, "id": {"x": 1, "y": 2}[record["id"]]})
    report = warehouse.replay(key="id", columns={"id": "integer"}, mending=mending)
    assert (report.replayed, report.still_bad, dict(report.reasons)) == (1, 1, {"same_key": 1})
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, 1), (2, 3)]
    assert warehouse.states() == [(3, "open", 2), (4, "replayed", 2)]
    warehouse.replay(key="id", columns={"id": "integer"}, mending=mending, overwrite=True)
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, 2), (2, 3)]


def test_of_two_letters_with_one_key_the_later_one_stays_in_whatever_order_they_are_replayed(warehouse: Any) -> None:
    for number in (1, 2):
        warehouse.load(warehouse.csv(f"{number}.csv", ["id", "n"], [[7, 50 + number]]), key="id", columns=STRICT)
    ids = [row[0] for row in warehouse.rows("SELECT id FROM sluicegate.dead_letters ORDER BY position DESC")]
    report = warehouse.replay(key="id", columns=WIDE, selection=Selection(ids=(ids[0],)))
    assert (report.replayed, report.resolved) == (1, 1)
    assert warehouse.replay(key="id", columns=WIDE).replayed == 0
    assert warehouse.rows("SELECT * FROM t") == [(7, 52)]


def test_letters_of_a_load_that_failed_as_a_whole_are_left_to_the_next_load(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("0.csv", ["id", "n"], [[0, 0]]), columns=STRICT)
    file = warehouse.csv("1.csv", ["id", "n"], [[1, 50]])
    warehouse.fails(file, columns=STRICT, max_dead=0)
    report = warehouse.replay(columns=WIDE)
    assert report.replayed == 0
    assert list(report.left.values()) == [1]
    assert warehouse.load(file, columns=WIDE).resolved == 1
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(0, 0), (1, 50)]


def test_a_dry_run_says_what_would_go_in_and_keeps_nothing(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id", "n"], [[1, 50]]), key="id", columns=STRICT)
    report = warehouse.replay(key="id", columns=WIDE, dry_run=True)
    assert report.line().startswith("dry run, nothing kept: would replay 1 of 1 dead letters: 1 inserted")
    assert warehouse.states() == [(2, "open", 1)]
    assert warehouse.one("SELECT count(*) FROM t") == 0
    assert warehouse.one("SELECT count(*) FROM sluicegate.loads") == 1


def test_checks_of_the_whole_table_and_mostly_are_not_asked_of_some_letters(warehouse: Any) -> None:
    checks = [
        {"expect_table_row_count_to_be_between": {"min_value": 2}},
        {"expect_column_values_to_be_between": {"column": "n", "max_value": 9, "mostly": 0.4}},
    ]
    columns = {"n": {"type": "integer", "required": True}}
    warehouse.load(
        warehouse.csv("1.csv", ["id", "n"], [[1, 1], [2, 2], [3, ""]]), key="id", columns=columns, checks=checks
    )
    mending = fixed(lambda record: {**record, "n": 50})
    assert warehouse.replay(key="id", columns=columns, checks=checks, mending=mending).still_bad == 1
    mending = fixed(lambda record: {**record, "n": 5})
    assert warehouse.replay(key="id", columns=columns, checks=checks, mending=mending).replayed == 1


def test_lines_that_could_not_be_split_are_tried_one_by_one(warehouse: Any) -> None:
    for number, text in enumerate(['1,"a\n3,c\n', '2,b,d"\n', "4\n"]):
        warehouse.load(
            warehouse.file(f"{number}.csv", f"id,n\n{text}"), key="id", columns={"id": "integer", "n": "text"}
        )
    assert [row[0] for row in warehouse.states()] == [2, 2, 2]
    words = {"key": "id", "columns": {"id": "integer", "n": "text"}}
    assert warehouse.replay(**words).still_bad == 3, "two halves of a quote are not one record"
    mending = fixed(lambda line: ",".join([*line.replace('"', "").split(","), "x"][:2]))
    assert warehouse.replay(mending=mending, **words).replayed == 3
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, "a"), (2, "b"), (3, "c"), (4, "x")]


def test_a_column_that_the_record_did_not_have_is_null_as_in_its_load(warehouse: Any) -> None:
    text = '{"id": 1, "n": 1, "v": "a"}\n{"id": 2, "n": 1, "v": "b"}\n'
    warehouse.load(warehouse.file("0.jsonl", text), key="id", columns=STRICT)
    warehouse.load(
        warehouse.file("1.jsonl", '{"id": 1, "n": 50}\n{"id": 2, "n": 2, "v": "c"}\n'), key="id", columns=STRICT
    )
    warehouse.replay(key="id", columns=WIDE)
    assert warehouse.rows("SELECT id, n, v FROM t ORDER BY 1") == [(1, 50, None), (2, 2, "c")]


def test_a_limit_takes_the_first_letters_and_a_selection_only_those_that_are_meant(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id", "n"], [[n, 50] for n in range(9)]), columns=STRICT)
    assert warehouse.replay(columns=WIDE, limit=2).replayed == 2
    assert warehouse.rows("SELECT id FROM t ORDER BY 1") == [(0,), (1,)]
    for selection, count in (
        (Selection(rule="between", column="id"), 0), (Selection(rule="between:n", column="n"), 7),
        (Selection(source="*/2.csv"), 0), (Selection(pipeline="other"), 0),
    ):  # fmt: skip
        assert warehouse.replay(columns=WIDE, selection=selection, dry_run=True).replayed == count


def test_a_target_that_is_gone_is_not_made_out_of_its_letters(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id", "n"], [[1, 50]]), key="id", columns=STRICT)
    warehouse.rows("DROP TABLE t")
    with pytest.raises(FaultError, match="does not exist any more"):
        warehouse.replay(key="id", columns=WIDE)


# --- records that the letter does not hold ----------------------------------------------------------------------

SENSITIVE = {"n": {"type": "integer", "between": [0, 9]}, "name": {"type": "text", "sensitive": True}}
OPENED = {**SENSITIVE, "n": {"type": "integer", "between": [0, 99]}}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_masked_record_is_read_again_from_its_source(warehouse: Any, kind: str) -> None:
    file = people(warehouse, kind)
    warehouse.load(file, key="id", columns=SENSITIVE)
    assert "anna" not in str(warehouse.rows("SELECT * FROM sluicegate.dead_letters"))
    assert warehouse.replay(key="id", columns=OPENED).replayed == 1
    assert warehouse.rows("SELECT id, n, name FROM t ORDER BY 1") == [(1, 5, "otto"), (2, 50, "anna")]
    assert "anna" not in str(warehouse.rows("SELECT * FROM sluicegate.dead_letters"))


def people(warehouse: Any, kind: str) -> Path:
    rows = [{"id": 1, "n": 5, "name": "otto"}, {"id": 2, "n": 50, "name": "anna"}]
    path: Path = warehouse.folder / f"p.{kind}"
    if kind == "csv":
        path = warehouse.csv("p.csv", list(rows[0]), [list(row.values()) for row in rows])
    elif kind == "jsonl":
        path = warehouse.file("p.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize(("change", "words"), [("delete", "source is gone"), ("write", "source has changed since")])
def test_a_masked_record_whose_source_is_gone_or_changed_is_left_and_told(
    warehouse: Any, change: str, words: str
) -> None:
    file = people(warehouse, "csv")
    warehouse.load(file, key="id", columns=SENSITIVE)
    file.unlink() if change == "delete" else file.write_text("id,n,name\n2,7,other\n")
    report = warehouse.replay(key="id", columns=OPENED)
    assert report.replayed == 0
    [reason] = report.left
    assert words in reason
    assert warehouse.states() == [(3, "open", 1)]


def test_a_masked_value_in_an_edited_file_is_the_one_of_the_source(warehouse: Any, tmp_path: Path) -> None:
    file = people(warehouse, "csv")
    warehouse.load(file, key="id", columns=SENSITIVE)
    edited = export(warehouse, tmp_path / "x.jsonl", lambda record: {**record, "n": "6"})
    assert "***" in edited.read_text()
    warehouse.replay(key="id", columns=SENSITIVE, edited=edited)
    assert warehouse.rows("SELECT id, n, name FROM t ORDER BY 1") == [(1, 5, "otto"), (2, 6, "anna")]
    assert "anna" not in str(warehouse.rows("SELECT * FROM sluicegate.dead_letters"))


@pytest.mark.parametrize("written", [{"id": "2", "s": "***", "n": "4"}, "2,***,4"])
def test_a_mask_is_never_a_value_of_a_line_that_could_not_be_split(
    warehouse: Any, tmp_path: Path, written: object
) -> None:
    words: dict[str, Any] = {"key": "id", "columns": {"s": {"sensitive": True}, "n": {"type": "integer"}}}
    warehouse.load(warehouse.csv("1.csv", ["id", "s", "n"], [[1, "a", 1], [2, "b", 4, 5]]), **words)
    file = export(warehouse, tmp_path / "x.jsonl", lambda record: written)
    report = warehouse.replay(edited=file, **words)
    assert (report.replayed, report.left) == (0, {
        "they have *** for a sensitive value of a line that could not be split: write the value out": 1
    })  # fmt: skip
    file = export(warehouse, tmp_path / "x.jsonl", lambda record: {"id": "2", "s": "b", "n": "4"})
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert warehouse.replay(edited=file, **words).replayed == 1
    assert warehouse.rows("SELECT id, s, n FROM t ORDER BY 1") == [(1, "a", 1), (2, "b", 4)]


def test_a_record_written_out_in_full_needs_no_source(warehouse: Any, tmp_path: Path) -> None:
    file = people(warehouse, "csv")
    warehouse.load(file, key="id", columns=SENSITIVE)
    file.unlink()
    edited = export(warehouse, tmp_path / "x.jsonl", lambda record: {"id": "2", "n": "6", "name": "berta"})
    assert warehouse.replay(key="id", columns=SENSITIVE, edited=edited).replayed == 1
    assert warehouse.rows("SELECT name FROM t WHERE id = 2") == [("berta",)]
    assert "berta" not in str(warehouse.rows("SELECT * FROM sluicegate.dead_letters"))


def test_bytes_that_were_not_text_come_from_the_source_in_its_right_encoding(warehouse: Any) -> None:
    file = warehouse.file("1.csv", b"id,v\n1,a\n" + b"2,caf\xe9\n")
    warehouse.load(file, key="id")
    assert warehouse.letters()[0][1] == "2,caf\\xe9"
    assert warehouse.replay(key="id", format={"encoding": "latin-1"}).replayed == 1
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, "a"), (2, "café")]


# --- windows and tombstones -------------------------------------------------------------------------------------

JANUARY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
DAYS: dict[str, Any] = {
    "mode": "replace_window",
    "window_by": "day",
    "columns": {**STRICT, "day": "date"},
    "origin": Origin("p", "s", "r", 1, JANUARY),
}


def days(warehouse: Any, rows: list[list[object]], name: str = "1.csv") -> Path:
    return warehouse.csv(name, ["id", "n", "day"], rows)  # type: ignore[no-any-return]


def test_a_replay_adds_to_a_window_and_does_not_replace_it(warehouse: Any) -> None:
    day = "2026-01-01"
    warehouse.load(days(warehouse, [[1, 5, day], [2, 50, day], [3, 6, "2026-01-09"]]), **DAYS)
    words = {**DAYS, "columns": {**WIDE, "day": "date"}, "origin": Origin("p", "s")}
    report = warehouse.replay(**words)
    assert (report.replayed, dict(report.reasons)) == (1, {"outside_window": 1})
    assert warehouse.rows("SELECT id, n FROM t ORDER BY 1") == [(1, 5), (2, 50)]


def test_a_replay_of_a_narrowed_load_brings_nothing_in_from_outside_its_scope(warehouse: Any) -> None:
    file = warehouse.csv("1.csv", ["id", "n", "region"], [[1, 50, "EU"], [2, 60, "EU"], [3, 5, "US"], [4, 70, "?"]])
    columns = {"region": {"type": "text", "matches": "^[A-Z]+$"}}
    report = warehouse.load(file, key="id", scope={"region": ["EU", "?"]}, columns={**STRICT, **columns})
    assert (report.counts.read, report.counts.dead) == (3, 3)

    def mend(record: Any) -> Any:
        return {**record, "region": "US"} if record["id"] == "2" else record

    words = {"key": "id", "columns": {**WIDE, **columns}, "scope": {"region": "EU"}, "mending": fixed(mend)}
    for replayed in (1, 0):
        assert warehouse.replay(**words).replayed == replayed
    assert warehouse.rows("SELECT id, region FROM t") == [(1, "EU")]
    reasons = "SELECT line, last_failures->0->>'rule' FROM sluicegate.dead_letters WHERE status = 'open' ORDER BY 1"
    assert warehouse.rows(reasons) == [(3, "outside_scope"), (5, "matches:region")]
    assert warehouse.one(BALANCED)


def test_of_a_scope_a_replay_knows_what_no_param_says() -> None:
    scope = {"region": "EU", "day": "{{ ds }}", "carrier": "{{ params.carrier }}", "part": [1, "{{ item }}"]}
    assert scope_of_letters(scope, JANUARY) == {"region": "EU", "day": "2026-01-01"}
    assert scope_of_letters(scope, None) == {"region": "EU"}


def test_a_window_that_is_replaced_again_opens_what_was_replayed_into_it(warehouse: Any) -> None:
    file = days(warehouse, [[1, 5, "2026-01-01"], [2, 50, "2026-01-01"]])
    warehouse.load(file, **DAYS)
    words = {**DAYS, "columns": {**WIDE, "day": "date"}, "origin": Origin("p", "s")}
    warehouse.replay(**words)
    warehouse.load(file, force=True, **DAYS)
    assert warehouse.rows("SELECT id FROM t") == [(1,)]
    assert warehouse.states() == [(3, "open", 3)]
    assert warehouse.replay(**words).replayed == 1


def test_a_window_out_of_a_later_file_resolves_what_the_earlier_one_set_aside(warehouse: Any) -> None:
    warehouse.load(days(warehouse, [[1, 5, "2026-01-01"], [2, 50, "2026-01-01"]]), **DAYS)
    report = warehouse.load(
        days(warehouse, [[1, 5, "2026-01-01"], [2, 7, "2026-01-01"], [3, 50, "2026-01-01"]]), **DAYS
    )
    assert report.resolved == 1
    assert [state for _, state, _ in warehouse.states()] == ["resolved", "open"]


def test_a_replayed_tombstone_deletes_and_never_a_newer_row(warehouse: Any) -> None:
    columns = {"n": "integer", "at": "integer"}
    words = {"key": "id", "newest_by": "at", "delete_when": {"op": "D"}}
    first = [[1, 1, 1, ""], [2, 2, 1, ""], [1, 1, "3!", "D"], [2, 1, "3!", "D"]]
    warehouse.load(warehouse.csv("1.csv", ["id", "n", "at", "op"], first), columns=columns, **words)
    warehouse.load(warehouse.csv("2.csv", ["id", "n", "at", "op"], [[2, 2, 4, ""]]), columns=columns, **words)
    mending = fixed(lambda record: {**record, "at": "3"})
    assert warehouse.replay(columns=columns, mending=mending, **words).counts.deleted == 1
    assert warehouse.rows("SELECT id, at FROM t") == [(2, 4)]
