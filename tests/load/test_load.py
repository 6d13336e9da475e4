"""What a load promises: once, exactly counted, newest first, nothing half."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_missing_table_is_created_with_its_key_and_the_types_of_the_file(warehouse: Any) -> None:
    path = warehouse.csv(
        "o.csv",
        ["id", "price", "day", "at", "seen", "ok", "zip", "note"],
        [
            [1, "1.50", "2024-01-02", "2024-01-02 03:04:05", "2024-01-02T03:04:05Z", "true", "01234", ""],
            [2, 7, "", "", "", "false", "9", "x"],
        ],
    )
    report = warehouse.load(path, key="id")
    assert (report.status, report.counts.inserted, report.counts.read) == ("loaded", 2, 2)
    types = dict(warehouse.rows("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't'"))
    assert types == {
        "id": "bigint", "price": "double precision", "day": "date", "at": "timestamp without time zone",
        "seen": "timestamp with time zone", "ok": "boolean", "zip": "text", "note": "text",
    }  # fmt: skip
    with pytest.raises(Exception, match="duplicate key"):
        warehouse.rows("INSERT INTO t (id) VALUES (1)")


def test_the_same_version_again_is_a_ledger_hit(warehouse: Any) -> None:
    path = warehouse.csv("o.csv", ["id", "a"], [[1, "x"], [2, "y"]])
    first = warehouse.load(path, key="id")
    again = warehouse.load(path, key="id")
    assert again.status == "skipped"
    assert again.counts == first.counts
    assert warehouse.one("SELECT count(*) FROM sluicegate.loads") == 1


@pytest.mark.parametrize("mode", ["merge", "append"])
def test_what_was_loaded_into_a_table_that_was_dropped_is_loaded_again(warehouse: Any, mode: str) -> None:
    words: dict[str, Any] = {"key": "id", "mode": mode}
    files = [warehouse.csv(f"{number}.csv", ["id"], [[number]]) for number in range(3)]
    for file in files:
        warehouse.load(file, **words)
    warehouse.rows("DROP TABLE t")
    assert warehouse.load(files[1], dry_run=True, **words).counts.inserted == 1
    assert [warehouse.load(file, **words).status for file in files] == ["loaded"] * 3, "not the first of them alone"
    assert [warehouse.load(file, **words).status for file in files] == ["skipped"] * 3
    assert warehouse.rows("SELECT id FROM t ORDER BY 1") == [(0,), (1,), (2,)]


def test_a_load_that_made_no_table_is_done_without_one(warehouse: Any) -> None:
    file = warehouse.csv("1.csv", ["id"], [["x"]])
    assert warehouse.load(file, key="id", columns={"id": "integer"}, max_dead="100%").counts.dead == 1
    warehouse.rows("DROP TABLE IF EXISTS t")
    assert warehouse.load(file, key="id", columns={"id": "integer"}, max_dead="100%").status == "skipped"


def test_force_merges_again_and_changes_nothing(warehouse: Any) -> None:
    path = warehouse.csv("o.csv", ["id", "a", "x"], [[n, f"v{n}", n / 7] for n in range(100)])
    warehouse.load(path, key="id", columns={"x": "double"})
    again = warehouse.load(path, key="id", columns={"x": "double"}, force=True)
    assert (again.status, again.counts.unchanged, again.counts.updated) == ("loaded", 100, 0)
    assert warehouse.one("SELECT count(*) FROM sluicegate.loads WHERE status = 'loaded'") == 2


def test_another_configuration_is_not_a_hit(warehouse: Any) -> None:
    path = warehouse.csv("o.csv", ["id", "a"], [[1, 5]])
    warehouse.load(path, key="id")
    assert warehouse.load(path, key="id", columns={"a": {"between": [0, 9]}}).status == "loaded"


def test_a_file_put_back_to_what_it_was_is_loaded_again(warehouse: Any) -> None:
    for value in ("a", "b", "a"):
        path = warehouse.csv("o.csv", ["id", "v"], [[1, value]])
        assert warehouse.load(path, key="id").status == "loaded"
    assert warehouse.rows("SELECT * FROM t") == [(1, "a")]


def test_a_merge_inserts_updates_and_leaves_alone(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id", "v"], [[1, "a"], [2, "b"], [3, "c"]]), key="id")
    report = warehouse.load(warehouse.csv("2.csv", ["id", "v"], [[2, "b"], [3, "C"], [4, "d"]]), key="id")
    assert report.counts.as_dict() == {
        "read": 3, "inserted": 1, "updated": 1, "unchanged": 1, "stale": 0, "deduplicated": 0, "deleted": 0, "dead": 0,
        "rejected": 0,
    }  # fmt: skip
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, "a"), (2, "b"), (3, "C"), (4, "d")]


def test_an_older_version_never_overwrites_a_newer_one(warehouse: Any) -> None:
    words = {"key": "id", "newest_by": "at", "columns": {"at": "timestamptz"}}
    warehouse.load(
        warehouse.csv(
            "1.csv",
            ["id", "v", "at"],
            [[1, "new", "2024-02-01"], [2, "b", "2024-01-01"], [3, "c", ""], [4, "d", "2024-01-01"]],
        ),
        **words,
    )
    report = warehouse.load(
        warehouse.csv(
            "2.csv",
            ["id", "v", "at"],
            [
                [1, "old", "2024-01-01"],
                [2, "b", "2024-01-01"],
                [3, "C", "2024-01-01"],
                [4, "D", "2024-01-01"],
                [5, "e", ""],
            ],
        ),
        **words,
    )
    counts = report.counts
    assert (counts.inserted, counts.updated, counts.unchanged, counts.stale) == (1, 2, 1, 1)
    assert warehouse.rows("SELECT id, v FROM t ORDER BY 1") == [(1, "new"), (2, "b"), (3, "C"), (4, "D"), (5, "e")]


def test_of_one_key_in_a_file_the_newest_stays_then_the_later_line(warehouse: Any) -> None:
    rows = [
        [1, "old", "2024-01-01"],
        [1, "new", "2024-03-01"],
        [1, "mid", "2024-02-01"],
        [2, "first", "2024-01-01"],
        [2, "later", "2024-01-01"],
        [3, "no", ""],
        [3, "some", "2020-01-01"],
    ]
    report = warehouse.load(
        warehouse.csv("1.csv", ["id", "v", "at"], rows), key="id", newest_by="at", columns={"at": "date"}
    )
    assert (report.counts.inserted, report.counts.deduplicated) == (3, 4)
    assert warehouse.rows("SELECT id, v FROM t ORDER BY 1") == [(1, "new"), (2, "later"), (3, "some")]


def test_without_newest_by_the_later_line_of_a_key_stays(warehouse: Any) -> None:
    report = warehouse.load(
        warehouse.csv("1.csv", ["a", "b", "v"], [[1, 1, "x"], [1, 2, "y"], [1, 1, "z"]]), key=("a", "b")
    )
    assert report.counts.deduplicated == 1
    assert warehouse.rows("SELECT v FROM t ORDER BY a, b") == [("z",), ("y",)]


def test_append_without_a_key_brings_every_record_in_once(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["a"], [[1], [1], [2]])
    assert warehouse.load(path).counts.inserted == 3
    assert warehouse.load(path).status == "skipped"
    warehouse.csv("1.csv", ["a"], [[9]])
    assert warehouse.load(path).counts.inserted == 1
    warehouse.csv("1.csv", ["a"], [[1], [1], [2]])
    assert warehouse.load(path).status == "skipped", "what was appended once is not appended again"
    assert warehouse.one("SELECT count(*) FROM t") == 4


def test_insert_only_leaves_existing_keys_alone(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id", "v"], [[1, "a"]]), key="id", mode="insert_only")
    report = warehouse.load(warehouse.csv("2.csv", ["id", "v"], [[1, "b"], [2, "c"]]), key="id", mode="insert_only")
    assert (report.counts.inserted, report.counts.unchanged) == (1, 1)
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, "a"), (2, "c")]


def test_a_breached_threshold_keeps_dead_letters_and_a_failed_row_and_no_data(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["id", "n"], [[1, 1], [2, "x"], [3, "y"], [4, 4]])
    words = {"key": "id", "columns": {"n": "integer"}}
    failed = warehouse.fails(path, max_dead=1, **words)
    assert failed.code == "TOO_MANY_DEAD_LETTERS"
    assert "type:n 2" in failed.detail
    assert "line 3" in failed.where[0]
    assert "50.00%" in failed.detail
    assert warehouse.one("SELECT to_regclass('t') IS NULL")
    assert warehouse.rows("SELECT status, fault, read, dead, rejected FROM sluicegate.loads") == [
        ("failed", "TOO_MANY_DEAD_LETTERS", 4, 2, 2)
    ]
    assert warehouse.rules() == [(3, ["type:n"]), (4, ["type:n"])]
    warehouse.fails(path, max_dead="49%", **words)
    assert warehouse.rows("SELECT attempts, status FROM sluicegate.dead_letters") == [(2, "open"), (2, "open")]
    assert warehouse.load(path, max_dead="50%", **words).counts.inserted == 2
    assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters") == 2


def test_a_dead_letter_is_resolved_when_its_key_comes_in(warehouse: Any) -> None:
    columns = {"n": {"type": "integer", "required": True}}
    warehouse.load(warehouse.csv("1.csv", ["id", "n"], [[1, ""], [2, ""], [3, 3]]), key="id", columns=columns)
    report = warehouse.load(
        warehouse.csv("2.csv", ["id", "n"], [[1, 1], [4, ""], [4, 4], [5, 5], [5, ""]]), key="id", columns=columns
    )
    assert report.resolved == 2, "1 of the first file, and 4, which a later line of its own file replaces"
    states = warehouse.rows(
        "SELECT key->>'id', status, resolved_by IS NOT NULL FROM sluicegate.dead_letters ORDER BY 1"
    )
    assert states == [("1", "resolved", True), ("2", "open", False), ("4", "resolved", True), ("5", "open", False)]


def test_an_older_version_of_a_key_does_not_resolve_a_newer_dead_letter(warehouse: Any) -> None:
    words = {"key": "id", "newest_by": "at", "columns": {"at": "integer", "n": {"type": "integer", "required": True}}}
    letters = [[1, "", 5], [2, "", 5], [3, "", "x"], ["y", "", 1]]
    warehouse.load(warehouse.csv("1.csv", ["id", "n", "at"], letters), **{**words, "key": "id"})
    report = warehouse.load(warehouse.csv("2.csv", ["id", "n", "at"], [["1", 1, 4], ["2", 2, 6], ["3", 3, 9]]), **words)
    assert report.resolved == 1
    states = warehouse.rows("SELECT key->>'id', version, status FROM sluicegate.dead_letters ORDER BY line")
    assert states == [("1", "5", "open"), ("2", "5", "resolved"), ("3", None, "open"), ("y", "1", "open")]


def test_a_key_that_a_cast_had_to_change_is_not_known(warehouse: Any) -> None:
    words = {"key": "id", "columns": {"id": "integer"}}
    warehouse.load(warehouse.csv("1.csv", ["id"], [["1.5"], ["7"]]), **words)
    assert warehouse.letters()[0][3] is None
    assert warehouse.load(warehouse.csv("2.csv", ["id"], [[2]]), **words).resolved == 0


def test_a_line_that_is_good_by_the_mended_configuration_resolves_its_letter(warehouse: Any) -> None:
    file = warehouse.csv("1.csv", ["id", "n"], [[1, 5], [2, 50]])
    warehouse.load(file, columns={"n": {"between": [0, 9]}})
    failed = warehouse.csv("2.csv", ["id", "n"], [[3, 50]])
    warehouse.fails(failed, columns={"n": {"between": [0, 9]}}, max_dead=0)
    assert warehouse.rows("SELECT status, fault FROM sluicegate.dead_letters ORDER BY source") == [
        ("open", None), ("open", "TOO_MANY_DEAD_LETTERS"),
    ]  # fmt: skip
    assert warehouse.load(failed, columns={"n": {"between": [0, 99]}}).resolved == 1
    states = warehouse.rows("SELECT source, status FROM sluicegate.dead_letters ORDER BY source")
    assert states == [(str(file), "open"), (str(failed), "resolved")]


def test_a_letter_that_a_load_resolved_is_open_again_when_its_file_is_put_back(warehouse: Any) -> None:
    columns = {"n": {"type": "integer", "required": True}}
    for number, value in enumerate(["", 1, ""]):
        warehouse.load(warehouse.csv("1.csv", ["id", "n"], [[1, value], [2, number]]), key="id", columns=columns)
    warehouse.load(warehouse.csv("1.csv", ["id", "n"], [[1, ""], [2, 0]]), key="id", columns=columns)
    states = warehouse.rows("SELECT status, attempts, reason FROM sluicegate.dead_letters ORDER BY position")
    assert states == [("open", 1, None), ("open", 2, None)]


def test_a_dry_run_leaves_nothing_behind(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["id"], [[1], [2]])
    report = warehouse.load(path, key="id", dry_run=True)
    assert (report.status, report.counts.inserted) == ("dry_run", 2)
    assert warehouse.one("SELECT to_regclass('t') IS NULL AND to_regclass('sluicegate.loads') IS NULL")


def test_a_target_without_the_unique_key_is_refused_with_the_remedy(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id bigint, v text)")
    failed = warehouse.fails(warehouse.csv("1.csv", ["id", "v"], [[1, "a"]]), key="id")
    assert failed.code == "SCHEMA_MISMATCH"
    assert 'ALTER TABLE "public"."t" ADD UNIQUE ("id");' in failed.detail
    assert warehouse.one("SELECT count(*) FROM sluicegate.loads") == 0


def test_a_column_that_the_target_lacks_fails_is_added_or_is_left_out(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id", "name"], [[1, "a"]]), key="id")
    path = warehouse.csv("2.csv", ["id", "nmae", "more"], [[2, "b", 5]])
    failed = warehouse.fails(path, key="id")
    assert failed.code == "SCHEMA_MISMATCH"
    assert "no column 'nmae', which the source has; did you mean 'name'?" in failed.detail
    assert "'more'" in failed.detail, "all mismatches at once"
    warehouse.load(path, key="id", on_schema_change="ignore")
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, "a"), (2, None)]
    warehouse.load(path, key="id", on_schema_change="add_columns")
    assert warehouse.rows("SELECT id, nmae, more FROM t ORDER BY 1") == [(1, None, None), (2, "b", 5)]


def test_a_not_null_column_of_the_target_sets_records_aside(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id bigint PRIMARY KEY, v varchar(3) NOT NULL)")
    report = warehouse.load(warehouse.csv("1.csv", ["id", "v"], [[1, "abc"], [2, ""], [3, "abcd"]]), key="id")
    assert (report.counts.inserted, report.reasons) == (1, {"required:v": 1, "type:v": 1})


def test_a_load_goes_into_the_schema_it_names_and_the_schema_is_created(warehouse: Any) -> None:
    report = warehouse.load(warehouse.csv("1.csv", ["id"], [[1]]), 'sales.Orders "x"', key="id")
    assert report.target == 'sales.Orders "x"'
    assert warehouse.one('SELECT count(*) FROM sales."Orders ""x"""') == 1


def test_names_of_columns_are_taken_as_they_are(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["line", "A", "a", 'we\'ird "name"', "order"], [[1, 2, 3, 4, 5]])
    warehouse.load(path, key="A")
    warehouse.load(path, key="A", force=True)
    assert warehouse.rows("SELECT * FROM t") == [(1, 2, 3, 4, 5)]


def test_every_value_survives_the_way_there_and_is_unchanged_when_it_comes_again(warehouse: Any) -> None:
    columns = {
        "id": "bigint", "d": "double", "r": "real", "n": "numeric(20,6)", "any": "numeric", "s": "text", "b": "boolean",
        "day": "date", "at": "timestamp", "tz": "timestamptz", "clock": "time", "u": "uuid", "j": "jsonb", "js": "json",
    }  # fmt: skip
    rows = [
        [
            "1", "0.1", "0.1", "12345678901234.123456", "1" * 60 + ".5", 'a "q", \n b', "t", "2024-02-29",
            "2024-01-01 00:00:00.123456", "2024-01-01T00:00:00+05:30", "23:59:59.5",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", '{"a": [1, "\\ud83d\\ude00"]}', "{}",
        ],
        [
            "2", "1e-300", "1e30", "-1", "-0.00", "\\.", "no", "1900-01-01",
            "0101-01-01", "2024-01-01", "00:00", "", "null", "",
        ],
        ["3", "inf", "nan", "0", "NaN", "\\N", "", "infinity", "", "2024-01-01 10:00+00", "", "", "[]", ""],
    ]  # fmt: skip
    path = warehouse.csv("1.csv", list(columns), rows)
    assert warehouse.load(path, key="id", columns=columns).counts.inserted == 3
    assert warehouse.load(path, key="id", columns=columns, force=True).counts.unchanged == 3
    first = warehouse.rows(
        "SELECT d, r, n::text, \"any\"::text, s, b, day::text, at::text, tz AT TIME ZONE 'UTC' FROM t WHERE id = 1"
    )[0]
    assert first[:7] == (0.1, 0.1, "12345678901234.123456", "1" * 60 + ".5", 'a "q", \n b', True, "2024-02-29")
    assert str(first[8]) == "2023-12-31 18:30:00"
    assert warehouse.rows("SELECT s FROM t ORDER BY id") == [('a "q", \n b',), ("\\.",), ("\\N",)]


def test_a_table_of_one_text_column_keeps_odd_texts(warehouse: Any) -> None:
    path = warehouse.csv("1.csv", ["s"], [["\\."], ["x"], ["\\N"], ["NULL"]])
    warehouse.load(path, key="s")
    assert {row[0] for row in warehouse.rows("SELECT s FROM t")} == {"\\.", "x", "\\N", "NULL"}


def test_records_without_any_value_are_said_to_be_so(warehouse: Any) -> None:
    failed = warehouse.fails(warehouse.file("1.jsonl", "{}\n{}\n"))
    assert (failed.code, failed.detail) == ("SCHEMA_MISMATCH", "the records of the source have no columns")


def test_an_empty_source_is_a_load_of_nothing(warehouse: Any) -> None:
    for name, text in (("header.csv", "id,v\n"), ("nothing.csv", ""), ("nothing.jsonl", "")):
        report = warehouse.load(warehouse.file(name, text), key="id", columns={"id": "bigint"})
        assert (report.status, report.counts.read) == ("loaded", 0)


def test_a_missing_source_says_what_is_there(warehouse: Any) -> None:
    warehouse.csv("orders.csv", ["id"], [[1]])
    assert warehouse.fails(warehouse.folder / "order.csv", key="id").code == "SOURCE_MISSING"


def test_a_trigger_that_swallows_records_is_not_hidden_by_the_counts(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id"], [[1]]), key="id")
    warehouse.rows("DELETE FROM t")
    warehouse.rows("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    warehouse.rows("CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no()")
    assert warehouse.fails(warehouse.csv("2.csv", ["id"], [[2]]), key="id").code == "CONSTRAINT_VIOLATED"


def test_modes_that_do_not_exist_yet_are_refused(warehouse: Any) -> None:
    assert warehouse.fails("x.csv", key="id", mode="replace_window").code == "WRONG_USE"


def test_sensitive_values_are_in_no_dead_letter(warehouse: Any) -> None:
    columns = {"ssn": {"matches": "^[0-9]+$", "sensitive": True}, "n": "integer"}
    path = warehouse.file("1.csv", "id,ssn,n\n1,secret-a,x\n2,secret-b,1,9\n3,123,3\n")
    warehouse.load(path, key="id", columns=columns)
    text = str(warehouse.letters())
    assert "secret" not in text
    assert "matches:ssn" in text
    assert warehouse.one("SELECT count(*) FROM t") == 1
