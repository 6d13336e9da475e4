"""Tables of all shapes: what their triggers, constraints, partitions, names and encodings make of a load."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.load.replay.mend import Fixed

VERSIONS = {"key": "id", "newest_by": "at", "delete_when": {"op": "D"}}


def window(day: int) -> Origin:
    start = datetime(2026, 1, day, tzinfo=UTC)
    return Origin("p", "s", f"r{day}", 1, Window(start, start + timedelta(days=1)))


# --- triggers, constraints, rules -----------------------------------------------------------------------------------


def keep_away(warehouse: Any, when: str = "NEW.id > 10") -> None:
    """Let a trigger of `t` do without the records of a condition."""
    warehouse.rows(
        f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF {when} THEN RETURN NULL; END IF; "
        "RETURN NEW; END'"
    )
    warehouse.rows("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()")


@pytest.mark.parametrize("last", ["11,n", "11,n\n4,-1"])
def test_a_trigger_that_lets_a_record_vanish_fails_a_merge_too(warehouse: Any, last: str) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, v text CHECK (v <> '-1'))")
    warehouse.rows("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    keep_away(warehouse)
    failed = warehouse.fails(warehouse.file("a.csv", f"id,v\n1,x\n2,b\n3,c\n{last}\n"), key="id")
    assert failed.code == "CONSTRAINT_VIOLATED"
    assert "a trigger of the table keeps records away" in failed.detail
    assert warehouse.rows("SELECT * FROM t ORDER BY 1") == [(1, "a"), (2, "b")]


def test_a_table_with_a_trigger_before_inserts_counts_as_any_other(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, at int, v text)")
    warehouse.rows("INSERT INTO t VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 9, 'c'), (4, 1, 'd')")
    keep_away(warehouse, "NEW.id < 0")
    rows = [[1, 2, "x", "U"], [2, 2, "", "D"], [3, 2, "y", "U"], [4, 1, "d", "U"], [5, 1, "e", "I"], [6, 1, "", "D"]]
    counts = warehouse.load(warehouse.csv("a.csv", ["id", "at", "v", "op"], rows), **VERSIONS).counts
    assert (counts.inserted, counts.updated, counts.deleted, counts.stale, counts.unchanged) == (1, 1, 1, 1, 2)
    assert warehouse.rows("SELECT id, v FROM t ORDER BY 1") == [(1, "x"), (3, "c"), (4, "d"), (5, "e")]


def test_a_window_whose_rows_others_refer_to_may_be_replaced_where_that_is_checked_in_the_end(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, day date)")
    warehouse.rows("CREATE TABLE c (t int REFERENCES t DEFERRABLE INITIALLY DEFERRED)")
    path = warehouse.csv("1.csv", ["id", "day"], [[1, "2026-01-01"]])
    words = {"mode": "replace_window", "window_by": "day", "origin": window(1), "force": True}
    warehouse.load(path, **words)
    warehouse.rows("INSERT INTO c VALUES (1)")
    assert warehouse.load(path, **words).removed == 1


def test_a_table_with_rules_is_refused(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY)")
    warehouse.rows("CREATE RULE r AS ON INSERT TO t WHERE NEW.id > 5 DO INSTEAD NOTHING")
    failed = warehouse.fails(warehouse.csv("1.csv", ["id"], [[1]]), key="id")
    assert "public.t has rules" in failed.detail


# --- deletions ------------------------------------------------------------------------------------------------------


def test_a_record_that_was_refused_does_not_bring_a_deleted_key_back(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, at int, v int CHECK (v > 0))")
    header = ["id", "at", "v", "op"]
    warehouse.load(warehouse.csv("1.csv", header, [[1, 5, 1, "D"]]), **VERSIONS)
    assert warehouse.load(warehouse.csv("2.csv", header, [[1, 6, -1, "I"]]), **VERSIONS).counts.dead == 1
    assert warehouse.load(warehouse.csv("3.csv", header, [[1, 4, 1, "I"]]), **VERSIONS).counts.stale == 1
    assert warehouse.rows("SELECT * FROM t") == []


def test_a_deletion_that_was_refused_keeps_nothing_away(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, at int)")
    warehouse.rows("INSERT INTO t VALUES (1, 1)")
    warehouse.rows("CREATE TABLE c (id int REFERENCES t)")
    warehouse.rows("INSERT INTO c VALUES (1)")
    header = ["id", "at", "op"]
    assert warehouse.load(warehouse.csv("1.csv", header, [[1, 5, "D"], [2, 5, "I"]]), **VERSIONS).counts.dead == 1
    assert warehouse.load(warehouse.csv("2.csv", header, [[1, 3, "U"]]), **VERSIONS).counts.updated == 1


def test_the_version_of_a_deletion_is_the_same_whatever_the_server_writes_dates_like(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, at timestamptz)")
    header, database = ["id", "at", "op"], warehouse.one("SELECT current_database()")
    warehouse.rows(f"ALTER DATABASE {database} SET DateStyle = 'SQL, DMY'")
    warehouse.load(warehouse.csv("1.csv", header, [[1, "2026-03-05T00:00:00Z", "D"]]), **VERSIONS)
    warehouse.rows(f"ALTER DATABASE {database} RESET DateStyle")
    later = warehouse.csv("2.csv", header, [[1, "2026-04-03T00:00:00Z", "I"]])
    assert warehouse.load(later, **VERSIONS).counts.inserted == 1


def test_a_file_of_numbers_has_none_of_the_letters_that_delete(warehouse: Any) -> None:
    words = {"key": "id", "delete_when": {"op": ["D", 3]}}
    assert warehouse.load(warehouse.csv("1.csv", ["id", "op"], [[1, 1], [2, 2]]), **words).counts.inserted == 2
    assert warehouse.load(warehouse.csv("2.csv", ["id", "op"], [[1, 3], [2, 2]]), **words).counts.deleted == 1


@pytest.mark.parametrize(
    "words",
    [
        {"scope": {"c": "A"}},
        {"columns": {"c": "text"}, "scope": {"c": "A"}},
        {"columns": {"c": "text"}, "delete_when": {"c": "B"}},
    ],
)
def test_what_narrows_or_deletes_may_be_a_column_that_the_table_is_not_to_have(warehouse: Any, words: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY)")
    path = warehouse.csv("1.csv", ["id", "c"], [[1, "A"], [2, "B"]])
    assert warehouse.load(path, key="id", on_schema_change="ignore", **words).counts.inserted == 1
    assert warehouse.rows("SELECT id FROM t") == [(1,)]


def test_partitions_take_records_versions_deletions_and_windows(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int, day date, at int, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)")
    for day in (1, 2):
        warehouse.rows(
            f"CREATE TABLE t{day} PARTITION OF t FOR VALUES FROM ('2026-01-0{day}') TO ('2026-01-0{day + 1}')"
        )
    header, words = ["id", "day", "at", "v", "op"], VERSIONS | {"key": ["id", "day"]}
    first, second, ninth = "2026-01-01", "2026-01-02", "2026-01-09"
    rows = [[1, first, 1, "a", "I"], [2, second, 1, "b", "I"], [3, ninth, 1, "z", "I"]]
    counts = warehouse.load(warehouse.csv("1.csv", header, rows), **words).counts
    assert (counts.inserted, counts.dead) == (2, 1)
    rows = [[1, first, 2, "a2", "U"], [2, second, 2, "", "D"], [3, ninth, 1, "z", "I"], [4, second, 0, "n", "I"]]
    counts = warehouse.load(warehouse.csv("2.csv", header, rows), **words).counts
    assert (counts.inserted, counts.updated, counts.deleted, counts.dead) == (1, 1, 1, 1)
    path = warehouse.csv("3.csv", header[:4], [[9, first, 1, "w"]])
    report = warehouse.load(path, mode="replace_window", window_by="day", origin=window(1))
    assert report.removed == 1
    assert warehouse.rows("SELECT id FROM t ORDER BY 1") == [(4,), (9,)]


# --- windows and scopes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("text", 7, "7"), ("text", True, "true"), ("boolean", 1, "t"), ("real", 0.1, "0.1"),
        ("date", "2026-01-01", "2026-01-01"), ("text", "O'Hara %s \"x\"", "O'Hara %s \"x\""),
    ],
)  # fmt: skip
def test_a_scope_reads_and_deletes_the_same_rows_whatever_its_type(
    warehouse: Any, type_: str, value: Any, text: str
) -> None:
    warehouse.rows(f"CREATE TABLE t (id int, day date, c {type_})")
    path = warehouse.csv("1.csv", ["id", "day", "c"], [[1, "2026-01-01", text]])
    words = {"mode": "replace_window", "window_by": "day", "origin": window(1), "force": True, "scope": {"c": value}}
    reports = [warehouse.load(path, **words) for _ in range(2)]
    assert [(one.counts.inserted, one.removed) for one in reports] == [(1, 0), (1, 1)]


def test_names_with_percent_signs_are_names(warehouse: Any) -> None:
    warehouse.rows('CREATE TABLE "t%s" (id int, "d%ay" date, "c%s" text)')
    path = warehouse.csv("1.csv", ["id", "d%ay", "c%s"], [[1, "2026-01-01", "A"]])
    words = {"mode": "replace_window", "window_by": "d%ay", "origin": window(1), "force": True, "scope": {"c%s": "A"}}
    warehouse.load(path, "t%s", **words)
    assert warehouse.load(path, "t%s", **words).removed == 1


@pytest.mark.parametrize(("name", "text"), [("e.jsonl", ""), ("e.csv", "id,Day,new\n"), ("e.csv", "")])
def test_a_source_without_records_empties_the_window_whatever_it_says_of_columns(
    warehouse: Any, name: str, text: str
) -> None:
    warehouse.rows("CREATE TABLE t (id int, day date)")
    warehouse.rows("INSERT INTO t VALUES (1, '2026-01-01'), (2, '2026-01-02')")
    path = warehouse.file(name, text)
    words = {"mode": "replace_window", "window_by": "Day", "on_schema_change": "add_columns"}
    assert warehouse.load(path, origin=window(1), **words).removed == 1
    assert warehouse.rows("SELECT id FROM t") == [(2,)]


def test_a_narrowed_load_leaves_the_letters_open_that_it_did_not_read(warehouse: Any) -> None:
    words = {"key": "id", "columns": {"n": {"type": "integer"}}}
    path = warehouse.csv("1.csv", ["id", "n", "c"], [[1, 1, "AA"], [2, "x", "BA"]])
    warehouse.load(path, **words)
    warehouse.load(path, scope={"c": "AA"}, **words)
    assert warehouse.states() == [(3, "open", 1)]


# --- dry runs -------------------------------------------------------------------------------------------------------


def test_a_dry_run_counts_the_changes_of_all_batches(warehouse: Any) -> None:
    warehouse.load(warehouse.csv("1.csv", ["id", "v"], [[n, "a"] for n in range(10)]), key="id")
    path = warehouse.csv("2.csv", ["id", "v"], [[n, "b"] for n in range(10)])
    report = warehouse.load(path, key="id", dry_run=True, batch_rows=3)
    assert report.as_dict()["changes"]["columns"] == {"v": 10}


def test_a_dry_run_says_what_would_change_beside_records_that_are_refused(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, v int CHECK (v > 0))")
    warehouse.rows("INSERT INTO t VALUES (1, 1), (2, 2)")
    report = warehouse.load(warehouse.csv("2.csv", ["id", "v"], [[1, 5], [2, -1]]), key="id", dry_run=True)
    assert (report.counts.updated, report.counts.dead) == (1, 1)
    assert report.as_dict()["changes"]["columns"] == {"v": 1}
    assert [one["key"] for one in report.as_dict()["changes"]["sample"]] == [{"id": "1"}]


def test_a_dry_run_hides_a_sensitive_column_that_the_table_has_in_another_case(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, secret text)")
    path = warehouse.csv("1.csv", ["ID", "Secret"], [[1, "hush"]])
    report = warehouse.load(path, key="ID", columns={"Secret": {"sensitive": True}}, dry_run=True)
    assert "hush" not in str(report.as_dict())


# --- encodings ------------------------------------------------------------------------------------------------------


@pytest.fixture
def latin(warehouse: Any) -> Iterator[Any]:
    """A warehouse whose database is in LATIN1."""
    given, name = warehouse.conninfo, "latin_" + psycopg.conninfo.conninfo_to_dict(warehouse.conninfo)["dbname"]
    warehouse.rows(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    warehouse.conninfo = make_conninfo(given, dbname=name)
    yield warehouse
    warehouse.conninfo = given
    warehouse.rows(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("beside", ["", ", i inet"])
def test_a_text_is_the_same_in_a_database_of_another_encoding(latin: Any, beside: str) -> None:
    latin.rows(f"CREATE TABLE t (id int PRIMARY KEY, v text{beside})")
    latin.load(latin.csv("1.csv", ["id", "v"], [[1, "é"]]), key="id")
    assert latin.one("SELECT encode(convert_to(v, 'UTF8'), 'hex') FROM t") == "c3a9"


def test_a_text_that_the_databases_encoding_does_not_have_is_set_aside_and_can_be_mended(latin: Any) -> None:
    file = latin.csv("1.csv", ["id", "v"], [[1, "é"], [2, "日"], [3, "\U0001f600"], ["4", "日", "more"]])
    report = latin.load(file, key="id")
    assert (report.counts.inserted, report.reasons) == (1, {"constraint:encoding": 2, "malformed": 1})
    spelt_out = ['{"id":"2","v":"\\u65e5"}', '{"id":"3","v":"\\ud83d\\ude00"}', "4,\\u65e5,more"]
    assert [one.record for one in latin.dead_letters()] == spelt_out
    assert latin.replay(key="id").still_bad == 3
    names = {"日": "day", "\U0001f600": "smile"}

    def mend(record: Any) -> Any:
        return "4,more" if isinstance(record, str) else {**record, "v": names[record["v"]]}

    assert latin.replay(key="id", mending=Fixed(mend, "fixes:mend")).replayed == 3
    assert latin.rows("SELECT id, v FROM t ORDER BY 1") == [(1, "é"), (2, "day"), (3, "smile"), (4, "more")]


@pytest.mark.parametrize(
    ("type_", "before", "after"),
    [
        ("json[]", '{"{}"}', "{[]}"),
        ("point[]", '{"(1,2)"}', '{"(1,3)"}'),
        ("jsonpath", '$."a"', '$."b"'),
        ("interval", "1 day", "24:00:00"),
        ("numeric[]", "{1.0}", "{1.00}"),
    ],
)
def test_what_a_type_has_no_equality_for_or_takes_for_equal_is_updated(
    warehouse: Any, type_: str, before: str, after: str
) -> None:
    warehouse.rows(f"CREATE TABLE t (id int PRIMARY KEY, v {type_})")
    for value, counts in ((before, (1, 0, 0)), (before, (0, 0, 1)), (after, (0, 1, 0))):
        report = warehouse.load(warehouse.csv("a.csv", ["id", "v"], [[1, value]]), key="id", force=True)
        assert (report.counts.inserted, report.counts.updated, report.counts.unchanged) == counts
    assert warehouse.one("SELECT v::text FROM t") == after


@pytest.fixture
def tenant(warehouse: Any) -> Iterator[Any]:
    """The same database for a role that sees the rows of its own only, in a table that has others."""
    name = f"tenant_{warehouse.one('SELECT current_database()')}"
    warehouse.load(warehouse.csv("0.csv", ["id"], [[1]]), "ledger", key="id")
    warehouse.rows(f"""
        CREATE ROLE {name} LOGIN;
        GRANT ALL ON SCHEMA public, sluicegate TO {name};
        GRANT ALL ON ALL TABLES IN SCHEMA sluicegate TO {name};
        CREATE TABLE t (id int PRIMARY KEY, v text);
        INSERT INTO t VALUES (1, 'other');
        GRANT ALL ON t TO {name};
        ALTER TABLE t ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON t USING (v = 'own')
    """)
    yield type(warehouse)(make_conninfo(warehouse.conninfo, user=name), warehouse.folder)
    warehouse.rows(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.mark.parametrize("mode", ["merge", "append", "insert_only"])
def test_rows_that_a_role_does_not_see_are_in_the_way_of_no_other(warehouse: Any, tenant: Any, mode: str) -> None:
    report = tenant.load(tenant.csv("1.csv", ["id", "v"], [[1, "own"], [2, "own"]]), key="id", mode=mode)
    assert (report.counts.inserted, report.reasons) == (1, {"constraint:t_pkey": 1})
    assert warehouse.rows("SELECT id, v FROM t ORDER BY 1") == [(1, "other"), (2, "own")]


def test_a_domain_over_a_domain_is_of_the_type_below_both(warehouse: Any) -> None:
    warehouse.rows("CREATE DOMAIN money2 AS numeric(5,2) DEFAULT 7 CHECK (VALUE < 500)")
    warehouse.rows("CREATE DOMAIN price AS money2 NOT NULL")
    warehouse.rows("CREATE DOMAIN tag AS varchar(3); CREATE DOMAIN code AS tag")
    warehouse.rows("CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN low AS mood; CREATE DOMAIN lower_ AS low")
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, p price, c code, m lower_, d price)")
    rows = [[1, "1.10", "abc", "a"], [2, "1.005", "b", ""], [3, "", "", ""], [4, 1, "abcd", "b"], [5, 600, "", ""]]
    warehouse.load(warehouse.csv("1.csv", ["id", "p", "c", "m"], rows), key="id", newest_by="p")
    assert warehouse.rows("SELECT id, p::text, c, m, d::text FROM t") == [(1, "1.10", "abc", "a", "7.00")]
    assert warehouse.rules() == [
        (3, ["type:p"]), (4, ["required:p"]), (5, ["type:c", "in:m"]), (6, ["constraint:money2_check"]),
    ]  # fmt: skip
