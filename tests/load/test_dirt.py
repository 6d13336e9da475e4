"""Dirty sources: whatever is wrong with a record, it is set aside with its line and all of its reasons."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

COLUMNS = {"id": "integer", "n": "integer", "day": "date"}


def test_every_kind_of_bad_line_is_set_aside_with_its_own_line_number(warehouse: Any) -> None:
    path = warehouse.file(
        "d.csv",
        b"id,n,day\n"
        b"1,1,2024-01-01\n"
        b"2,2\n"  # 3: too few
        b"3,3,2024-01-01,x\n"  # 4: too many
        b"\n"  # 5: blank, no record
        b'4,"4,2024-01-01\n'  # 6: a quote that never closes
        b'5,5,"2024-01-01"\n'
        b'6,"6"6,2024-01-01\n'  # 8: text after a quote
        b"7,\xff,2024-01-01\n"  # 9: not UTF-8
        b"8,x,2024-02-30\n"  # 10: two bad casts
        b",9,2024-01-01\n"  # 11: no key
        b"10,1.5,2024-01-01\n"  # 12: a fraction
        b"11,99999999999,13-01-01\n"  # 13: out of range, two-digit year
        b"12,1\x002,2024-01-01\n"  # 14: NUL
        b"13,13.0,2024-01-01",
    )
    report = warehouse.load(path, key="id", columns=COLUMNS)
    assert warehouse.rules() == [
        (3, ["malformed"]), (4, ["malformed"]), (6, ["malformed"]), (8, ["malformed"]), (9, ["malformed"]),
        (10, ["type:n", "type:day"]), (11, ["required:id"]), (12, ["type:n"]),
        (13, ["type:n", "type:day"]), (14, ["type:n"]),
    ]  # fmt: skip
    assert warehouse.rows("SELECT id, n FROM t ORDER BY 1") == [(1, 1), (5, 5), (13, 13)]
    assert (report.counts.read, report.counts.dead) == (13, 10)
    letters = {line: (record, failures, key) for line, record, failures, key, _ in warehouse.letters()}
    assert letters[3][0] == "2,2"
    assert letters[9][0] == "7,\\xff,2024-01-01"
    assert json.loads(letters[10][0]) == {"id": "8", "n": "x", "day": "2024-02-30"}
    assert letters[10][1] == [
        {"rule": "type:n", "column": "n", "value": "x", "why": "'x' is not a number"},
        {"rule": "type:day", "column": "day", "value": "2024-02-30",
         "why": "'2024-02-30' is not a date (expected 2024-03-31)"},
    ]  # fmt: skip
    assert letters[10][2] == {"id": "8"}
    assert letters[11][2] is None


def test_quoted_values_over_several_lines_keep_the_physical_line_numbers(warehouse: Any) -> None:
    path = warehouse.file("m.csv", 'id,s\n1,"a\nb\n\nc"\n2,"x ""y"", z"\n3,"open\n4,"p\nq"\nx,bad\n')
    warehouse.load(path, key="id", columns={"id": "integer"})
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, "a\nb\n\nc"), (2, 'x "y", z'), (4, "p\nq")]
    assert warehouse.rules() == [(7, ["malformed"]), (10, ["type:id"])]


def test_line_numbers_are_physical_in_a_regular_file(warehouse: Any) -> None:
    rows = [[n, "x" if n % 1000 == 7 else n] for n in range(50_000)]
    warehouse.load(warehouse.csv("b.csv", ["id", "n"], rows), key="id", columns={"n": "integer"})
    lines = [line for line, *_ in warehouse.letters()]
    assert lines == [n + 2 for n in range(50_000) if n % 1000 == 7]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_ends_of_lines_are_read(warehouse: Any, end: str) -> None:
    warehouse.load(
        warehouse.file("e.csv", end.join(["id,s", "1,a", "x,b", "3,c", ""])), key="id", columns={"id": "integer"}
    )
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, "a"), (3, "c")]
    assert warehouse.rules() == [(3, ["type:id"])]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_encodings_are_read(warehouse: Any, encoding: str) -> None:
    path = warehouse.file("e.csv", "id,s\n1,käse\n2,é\n".encode(encoding))
    form = {} if encoding == "utf-8-sig" else {"format": {"encoding": encoding}}
    warehouse.load(path, key="id", **form)
    assert warehouse.rows("SELECT s FROM t ORDER BY id") == [("käse",), ("é",)]


def test_the_format_says_delimiter_nulls_and_header(warehouse: Any) -> None:
    path = warehouse.file("f.csv", '1;NA;"a;b"\n2;;NA\n')
    warehouse.load(
        path, key="id", columns={"id": "integer", "n": "integer", "s": "text"},
        format={"type": "csv", "delimiter": ";", "null": ["NA"], "header": False},
    )  # fmt: skip
    assert warehouse.rules() == [(2, ["type:n"])], "an empty text is no number here"
    assert warehouse.rows("SELECT * FROM t") == [(1, None, "a;b")]


def test_gzip_is_unpacked_and_a_damaged_one_is_unreadable(warehouse: Any) -> None:
    packed = gzip.compress(b"id,n\n1,1\nx,2\n3,3\n")
    warehouse.load(warehouse.file("g.csv.gz", packed), key="id", columns={"id": "integer"})
    assert warehouse.rules() == [(3, ["type:id"])]
    assert warehouse.one("SELECT count(*) FROM t") == 2
    assert warehouse.fails(warehouse.file("h.csv.gz", packed[:-9]), key="id").code == "SOURCE_UNREADABLE"


def test_a_file_that_is_not_what_its_name_says_is_unreadable(warehouse: Any) -> None:
    for name, content in {
        "a.parquet": b"id\n1\n", "b.csv": b"PK\x03\x04....", "c.csv": b"id,id\n1,2\n", "d.csv": b"id,,n\n1,2,3\n",
        "e.csv": b'"id\n1\n',
    }.items():  # fmt: skip
        assert warehouse.fails(warehouse.file(name, content), key="id").code == "SOURCE_UNREADABLE", name
    assert warehouse.fails(warehouse.file("a.xlsx", b"id\n1\n"), key="id").code == "WRONG_USE"


def test_the_suffix_says_the_same_to_a_load_as_to_a_transform(warehouse: Any) -> None:
    for number, (name, content) in enumerate(
        {
            "a.tsv": b"id\ts\n0\ta,b\n",
            "b.tsv.gz": gzip.compress(b"id\ts\n1\ta,b\n"),
            "c.txt": b'id,s\n2,"a,b"\n',
            "d.csv.gzip": gzip.compress(b'id,s\n3,"a,b"\n'),
        }.items()
    ):
        warehouse.load(warehouse.file(name, content), key="id", columns={"id": "integer", "s": "text"})
        assert warehouse.rows(f"SELECT s FROM t WHERE id = {number}") == [("a,b",)], name
    said = warehouse.file("e.tsv", b"id;s\n4;a\tb\n")
    warehouse.load(said, key="id", format={"delimiter": ";"}, columns={"id": "integer", "s": "text"})
    assert warehouse.rows("SELECT s FROM t WHERE id = 4") == [("a\tb",)]


def test_json_lines(warehouse: Any) -> None:
    path = warehouse.file(
        "j.jsonl",
        b'{"id": 1, "n": 1.5, "tags": ["a"], "zip": "0123", "plz": "10115", "day": "2024-01-01", "ok": true}\n'
        b"\n"
        b"not json\n"
        b"[1]\n"
        b'{"id": 2, "n": 3, "extra": null, "tags": {"x": "\xc3\xa4"}}\n'
        b'{"id": "x", "n": 3}\n'
        b'{"id": 3, "n": "\xff"}\n'
        b'{"n": 3}',
    )
    report = warehouse.load(path, key="id", columns={"id": "integer"})
    assert warehouse.rules() == [
        (3, ["malformed"]), (4, ["malformed"]), (6, ["type:id"]), (7, ["malformed"]), (8, ["required:id"]),
    ]  # fmt: skip
    assert (report.counts.read, report.counts.inserted) == (7, 2)
    types = dict(warehouse.rows("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't'"))
    assert types == {
        "id": "integer", "n": "double precision", "tags": "jsonb", "zip": "text", "plz": "text", "day": "date",
        "ok": "boolean", "extra": "text",
    }  # fmt: skip
    assert warehouse.rows("SELECT n, tags FROM t ORDER BY id") == [(1.5, ["a"]), (3.0, {"x": "ä"})]
    assert warehouse.letters()[2][1] == '{"id": "x", "n": 3}'


def test_parquet(warehouse: Any) -> None:
    table = pa.table(
        {
            "id": pa.array([1, 2, None, 4], pa.int64()),
            "price": pa.array([1.25, None, 3.0, 1e300], pa.float64()),
            "n": pa.array([1, 2, 3, 70_000], pa.int32()),
            "s": pa.array(["a", "b\0", "c", "d"]),
            "b": pa.array([b"\x00\xff", None, b"", b"x"]),
            "l": pa.array([[1, 2], None, [], [3]]),
            "at": pa.array([0, 1, 2, 3], pa.timestamp("us", tz="UTC")),
        }
    )
    pq.write_table(table, warehouse.folder / "p.parquet")
    report = warehouse.load(warehouse.folder / "p.parquet", key="id", columns={"n": "smallint"})
    assert warehouse.rules() == [(2, ["type:s"]), (3, ["required:id"]), (4, ["type:n"])]
    assert report.counts.inserted == 1
    assert warehouse.rows("SELECT price, n, s, b, l FROM t") == [(1.25, 1, "a", b"\x00\xff", [1, 2])]
    again = warehouse.load(warehouse.folder / "p.parquet", key="id", columns={"n": "smallint"}, force=True)
    assert again.counts.unchanged == 1


def test_a_folder_of_parts_is_one_source_and_its_parts_may_differ_in_their_columns(warehouse: Any) -> None:
    warehouse.file("f/part-0.csv", "id,a\n1,x\nbad,y\n")
    warehouse.file("f/part-1.csv", "b,id\n5,2\n6,1\n")
    warehouse.file("f/_SUCCESS", "")
    source = f"{warehouse.folder}/f/"
    report = warehouse.load(source, key="id", columns={"id": "integer"})
    assert (report.counts.read, report.counts.deduplicated, report.counts.dead) == (4, 1, 1)
    assert warehouse.rows("SELECT id, a, b FROM t ORDER BY 1") == [(1, None, 6), (2, None, 5)]
    assert warehouse.one("SELECT source FROM sluicegate.dead_letters").endswith("part-0.csv")
    assert warehouse.load(source, key="id", columns={"id": "integer"}).status == "skipped"
    warehouse.file("f/part-2.csv", "id\n7\n")
    assert warehouse.load(source, key="id", columns={"id": "integer"}).counts.unchanged == 2


def test_names_of_files_are_no_patterns(warehouse: Any) -> None:
    warehouse.file("a1.csv", "id\n1\n")
    path = warehouse.file("a[1]*'.csv", "id\n2\n")
    warehouse.load(path, key="id")
    assert warehouse.rows("SELECT * FROM t") == [(2,)]


@pytest.mark.parametrize("size", [2_500_000, 40_000_000])
def test_a_record_that_is_too_long_is_set_aside(warehouse: Any, size: int) -> None:
    path = warehouse.file("l.csv", "id,s\n1," + "x" * size + "\n2,b\n")
    warehouse.load(path, key="id")
    assert warehouse.rules() == [(2, ["malformed"])]
    assert warehouse.rows("SELECT * FROM t") == [(2, "b")]


def test_all_failing_rules_of_a_record_are_listed(warehouse: Any) -> None:
    columns = {
        "c": {"type": "text", "matches": "^[A-Z]{2}$", "in": ["AA", "BB"]},
        "n": {"type": "integer", "between": [0, 10]},
        "d": {"type": "integer", "required": True},
    }  # fmt: skip
    path = warehouse.csv(
        "1.csv", ["id", "c", "n", "d"], [[1, "AA", 5, 1], [2, "x", 11, ""], [3, "", "", 1], [4, "CC", "y", 2]]
    )
    report = warehouse.load(path, key="id", columns=columns)
    assert warehouse.rules() == [
        (3, ["in:c", "matches:c", "between:n", "required:d"]),
        (5, ["type:n", "in:c"]),
    ]
    assert report.reasons == {"in:c": 2, "matches:c": 1, "between:n": 1, "required:d": 1, "type:n": 1}
    assert report.line() == (
        "loaded 2 of 4 into public.t: 2 inserted, 2 dead (in:c 2, between:n 1, matches:c 1, required:d 1, type:n 1)"
    )


def test_copies_of_a_unique_value_are_all_set_aside_with_their_raw_record(warehouse: Any) -> None:
    path = warehouse.csv(
        "1.csv", ["id", "mail", "x"], [[1, "a", "007"], [2, "b", "01"], [3, "a", "1"], [4, "", "1"], [5, "", "2"]]
    )
    report = warehouse.load(path, key="id", columns={"mail": {"unique": True}, "x": "integer"})
    assert warehouse.rules() == [(2, ["unique:mail"]), (4, ["unique:mail"])]
    assert json.loads(warehouse.letters()[0][1])["x"] == "007"
    assert report.counts.inserted == 3


def test_mostly_sets_nothing_aside_while_it_holds(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["id", "n"], [[i, 1 if i % 10 else 99] for i in range(100)])
    for mostly, dead in ((0.9, 0), (0.91, 10)):
        check = {
            "expectation": "expect_column_values_to_be_between",
            "kwargs": {"column": "n", "max_value": 5, "mostly": mostly},
        }
        from sluicegate.pipeline.keys.model import Check

        report = warehouse.load(path, key="id", checks=(Check.model_validate(check),))
        assert report.counts.dead == dead


def test_a_file_that_is_no_text_at_all_is_not_taken_for_csv(warehouse: Any) -> None:
    failed = warehouse.fails(warehouse.file("b.csv", b"\x01\x02" + bytes(range(256)) * 4), key="id")
    assert failed.code == "SOURCE_UNREADABLE"
    assert "its first line" in failed.detail


def test_a_file_of_something_else_is_said_to_be_so_once(warehouse: Any) -> None:
    columns = {"id": "integer", "name": "text", "city": "text"}
    failed = warehouse.fails(warehouse.file("o.csv", b"other,things\n1,2\n"), key="id", columns=columns)
    assert failed.code == "SCHEMA_MISMATCH"
    assert "none of the columns that the pipeline names; it has 'other', 'things'" in failed.detail
    assert "has no column" not in failed.detail


def test_a_malformed_line_says_why_it_is(warehouse: Any) -> None:
    path = warehouse.file(
        "w.csv",
        b'id,n\n1\n2,b,c\n3,"open\n4,"d"d\n5,k\xe4se\n6,' + b"x" * 2_100_000 + b"\n7,g\n",
    )
    warehouse.load(path, key="id")
    assert {line: failures[0]["why"] for line, _, failures, *_ in warehouse.letters()} == {
        2: "2 fields expected, 1 found",
        3: "2 fields expected, 3 found",
        4: "the quote that opens field 2 is not closed",
        5: "field 2 has text after its closing quote",
        6: "byte 0xE4 at character 4 is not utf-8",
        7: "2,100,002 characters long, and records of up to 2,097,152 bytes are read",
    }
    assert warehouse.rows("SELECT * FROM t") == [(7, "g")]
    path = warehouse.file("w.jsonl", '{"id": 8, "n": "h"}\n[1]\nx\n{"id": 9, "n": 1, "\\u006e": 2}\n')
    warehouse.load(path, "u", key="id")
    assert [failures[0]["why"] for _, _, failures, *_ in warehouse.letters()][-3:] == [
        "not a JSON object but of the type array", "not valid JSON", 'the key "n" comes twice',
    ]  # fmt: skip
    assert warehouse.rows("SELECT * FROM u") == [(8, "h")]


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (b"<!DOCTYPE html>\n<html><body>403</body></html>\n", "an HTML page"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Error>x</Error>', "an XML document"),
        (b"PK\x03\x04\x14\0\0\0[Content_Types].xml", "an Excel workbook"),
        (b"PK\x03\x04\x14\0\0\0a.csv", "a zip archive"),
        (gzip.compress(gzip.compress(b"id\n1\n", mtime=0), mtime=0), "a gzip file within a gzip file"),
        (b"PAR1\x15\x04\x15\x10", "a Parquet file"),
        ("id,n\n1,2\n".encode("utf-16"), "text in UTF-16"),
        (b'{"id": 1}\n', "JSON"),
    ],
)
def test_a_file_that_is_plainly_something_else_is_refused_by_name(warehouse: Any, content: bytes, looks: str) -> None:
    failed = warehouse.fails(warehouse.file("e.csv", content), key="id")
    assert failed.code == "SOURCE_UNREADABLE"
    assert f"e.csv is read as CSV and looks like {looks}" in failed.detail


@pytest.mark.parametrize(
    ("content", "looks"),
    [('[{"id": 1},\n{"id": 2}]', "an array"), (' [\n {"id": 1}]', "an array"), ('{\r\n "id": 1\r\n}', "an object of")],
)
def test_json_that_is_not_a_line_for_each_record_is_refused_by_name(warehouse: Any, content: str, looks: str) -> None:
    failed = warehouse.fails(warehouse.file("e.json", content), key="id")
    assert failed.code == "SOURCE_UNREADABLE"
    assert f"e.json is read as JSON lines and looks like {looks}" in failed.detail


def test_a_header_may_begin_like_another_kind_of_file(warehouse: Any) -> None:
    warehouse.load(warehouse.file("p.csv", "PAR1,n\na,1\n"))
    assert warehouse.rows("SELECT * FROM t") == [("a", 1)]


def test_one_column_that_another_delimiter_would_part_is_a_warning(
    warehouse: Any, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse.load(warehouse.file("s.csv", "id;n\n1;a\n"))
    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.endswith("""s.csv has one column, 'id;n'; if ';' delimits, say `format: {delimiter: ";"}`""")
    caplog.clear()
    warehouse.load(warehouse.file("t.csv", "id\n1;a\n"), "u")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("form", [{}, {"format": {"delimiter": ";"}}])
def test_a_first_line_sep_says_the_delimiter(warehouse: Any, form: dict[str, Any]) -> None:
    warehouse.load(warehouse.file("x.csv", "sep=;\r\nid;n\r\n1;a\r\nx;b\r\n"), columns={"id": "integer"}, **form)
    assert warehouse.rows("SELECT * FROM t") == [(1, "a")]
    assert warehouse.rules() == [(4, ["type:id"])]
    failed = warehouse.fails(warehouse.file("y.csv", "sep=;\nid;n\n"), format={"delimiter": "|"})
    assert "its first line says `sep=;`, and `format:` says that '|' delimits" in failed.detail


def test_empty_values_beyond_the_last_column_are_ignored(warehouse: Any) -> None:
    warehouse.load(warehouse.file("a.csv", "id,n,\n1,a,\n2,b\n3,c,,\n4,d,e\n"))
    assert warehouse.rows("SELECT * FROM t ORDER BY id") == [(1, "a"), (2, "b"), (3, "c")]
    assert warehouse.rules() == [(5, ["malformed"])]


def test_a_text_that_means_null_does_so_in_quotes_too(warehouse: Any) -> None:
    path = warehouse.file("n.csv", 'id,n,m\n1,"",\n2,"NULL",NULL\n3,\\N,"\\N"\n')
    warehouse.load(path, format={"null": ["", "NULL", "\\N"]})
    warehouse.load(path, "u", format={"null": ["NULL"]})
    assert warehouse.rows("SELECT * FROM t ORDER BY id") == [(1, None, None), (2, None, None), (3, None, None)]
    assert warehouse.rows("SELECT * FROM u ORDER BY id") == [(1, "", ""), (2, None, None), (3, "\\N", "\\N")]


def test_the_log_shows_some_of_what_was_set_aside_with_its_values(
    warehouse: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ["1,x", "2,y", "3", "4,a b", *(f"{number},5" for number in range(5, 9)), f"9,{'z' * 200}"]
    path = warehouse.file("s.csv", "id,n\n" + "\n".join(rows) + "\n")
    warehouse.load(path, key="id", columns={"n": "integer"})
    logged = [record.getMessage() for record in caplog.records if "set aside: " in record.getMessage()]
    assert len(logged) == 2, "one of each rule"
    assert "s.csv line 2: type:n: 'x' is not a number" in logged[0]
    assert logged[1].endswith("s.csv line 4: malformed '3' (2 fields expected, 1 found)")
    caplog.clear()
    warehouse.load(path, "u", key="id", columns={"n": {"type": "integer", "sensitive": True}})
    logged = [record.getMessage() for record in caplog.records if "set aside: " in record.getMessage()]
    assert "type:n '***'" in logged[0]
    assert "malformed '***'" in logged[1]


def test_keys_that_differ_in_blanks_are_one_key_of_type_char(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id char(4) PRIMARY KEY, n int)")
    report = warehouse.load(warehouse.file("c.csv", 'id,n\nA,4\n"A ",5\nB,6\n'), key="id")
    assert report.counts.deduplicated == 1
    assert warehouse.rows("SELECT id, n FROM t ORDER BY id") == [("A   ", 5), ("B   ", 6)]


def test_keys_that_the_table_takes_for_one_are_named(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (address inet PRIMARY KEY, n int)")
    path = warehouse.file("c.csv", "address,n\n10.0.0.1,4\n10.0.0.1/32,5\n")
    failed = warehouse.fails(path, key="address")
    assert (failed.code, "two records have a key (address) that" in failed.detail) == ("CONSTRAINT_VIOLATED", True)


def test_a_record_that_is_nested_beyond_reading_does_not_stop_the_others(warehouse: Any) -> None:
    deep = "[" * 3_000 + "]" * 3_000
    path = warehouse.file("deep.jsonl", f'{{"id": 1, "v": {deep}}}\n{{"id": "x", "v": {deep}}}\n{{"id": 3, "v": 1}}\n')
    words: dict[str, Any] = {"key": "id", "columns": {"id": "integer", "v": "text"}}
    report = warehouse.load(path, **words)
    assert (report.counts.inserted, report.counts.dead) == (2, 1)
    assert warehouse.rules() == [(2, ["malformed"])]
    assert warehouse.replay(**words, format={"type": "jsonl"}).still_bad == 1
