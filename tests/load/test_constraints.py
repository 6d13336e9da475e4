"""A constraint of the target that some records break: they are set aside with its name, and the rest go in."""

from __future__ import annotations

import json
import random
import subprocess
import traceback
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from tests.load.loading import result, start_loader

SUM = "inserted + updated + unchanged + stale + deduplicated + dead + rejected"
BALANCED = f"SELECT bool_and(read = {SUM}) FROM sluicegate.loads"


def failures(warehouse: Any) -> list[tuple[int, list[Any]]]:
    return [(line, failures) for line, _, failures, *_ in warehouse.letters()]


@pytest.mark.parametrize(
    ("before", "header", "rows", "rule", "column"),
    [
        ("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0))", ["id", "n"], [[1, -4], [2, 5]],
         "constraint:t_n_check", "n"),
        ("CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE t (id int PRIMARY KEY, n mood)",
         ["id", "n"], [[1, "zz"], [2, "a"]], "in:n", "n"),
        ("CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN d AS mood; CREATE TABLE t (id int PRIMARY KEY, n d)",
         ["id", "n"], [[1, "zz"], [2, "a"]], "in:n", "n"),
        ("CREATE TABLE u (n int PRIMARY KEY); INSERT INTO u VALUES (5); "
         "CREATE TABLE t (id int PRIMARY KEY, n int CONSTRAINT known REFERENCES u)",
         ["id", "n"], [[1, 4], [2, 5]], "constraint:known", "n"),
        ("CREATE TABLE t (id int PRIMARY KEY, n int4range, CONSTRAINT apart EXCLUDE USING gist (n WITH &&)); "
         "INSERT INTO t VALUES (0, '[1,5)')", ["id", "n"], [[1, "[2,3)"], [2, "[7,8)"]], "constraint:apart", "n"),
        ("CREATE TABLE t (id int PRIMARY KEY, n text UNIQUE); INSERT INTO t VALUES (0, 'x')",
         ["id", "n"], [[1, "x"], [2, "y"]], "constraint:t_n_key", "n"),
        ("CREATE DOMAIN d AS int CONSTRAINT is_even CHECK (VALUE % 2 = 0); CREATE TABLE t (id int PRIMARY KEY, n d)",
         ["id", "n"], [[1, 3], [2, 4]], "constraint:is_even", None),
        ("CREATE TABLE t (id int PRIMARY KEY, n inet)", ["id", "n"], [[1, "x"], [2, "10.0.0.0/8"]], "type:n", "n"),
        ("CREATE TABLE t (id int PRIMARY KEY, n bit(3))", ["id", "n"], [[1, "10101"], [2, "101"]], "type:n", "n"),
        ("CREATE TABLE t (id int, n date, PRIMARY KEY (id, n)) PARTITION BY RANGE (n); "
         "CREATE TABLE t24 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
         ["id", "n"], [[1, "2025-01-01"], [2, "2024-01-01"]], "constraint:partition", None),
    ],
)  # fmt: skip
def test_a_record_that_breaks_a_constraint_is_set_aside_with_its_name(
    warehouse: Any, before: str, header: list[str], rows: list[list[Any]], rule: str, column: str | None
) -> None:
    for statement in before.split("; "):
        warehouse.rows(statement)
    key = ("id", "n") if "PARTITION" in before else "id"
    report = warehouse.load(warehouse.csv("a.csv", header, rows), key=key)
    assert (report.counts.read, report.counts.inserted, report.counts.dead) == (2, 1, 1)
    assert report.reasons == {rule: 1}
    value = str(rows[0][1]) if column else None
    why = {"why": f"{value!r} is not a {'inet' if 'inet' in before else 'bit(3)'}"} if rule == "type:n" else {}
    assert failures(warehouse) == [(2, [{"rule": rule, "column": column, "value": value, **why}])]
    assert json.loads(warehouse.letters()[0][1]) == {"id": "1", "n": str(rows[0][1])}
    assert warehouse.rows("SELECT id, n::text FROM t WHERE id > 0") == [(2, str(rows[1][1]))]
    assert warehouse.one(BALANCED)


def test_what_a_trigger_refuses_is_set_aside_under_its_function(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, n int)")
    warehouse.rows(
        "CREATE FUNCTION no_odd() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF NEW.n % 2 = 1 THEN RAISE EXCEPTION ''odd: %'', NEW.n; END IF; RETURN NEW; END'"
    )
    warehouse.rows("CREATE TRIGGER odd BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION no_odd()")
    report = warehouse.load(warehouse.csv("a.csv", ["id", "n"], [[n, n] for n in range(10)]), key="id")
    assert (report.counts.inserted, report.reasons) == (5, {"constraint:no_odd()": 5})


@pytest.mark.parametrize(("length", "rule"), [(4_000, "constraint:t_pkey"), (20_000, "constraint:size")])
def test_a_value_that_is_too_long_for_an_index_is_set_aside(warehouse: Any, length: int, rule: str) -> None:
    long = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length))
    report = warehouse.load(warehouse.csv("a.csv", ["id", "v"], [["a", 1], [long, 2], ["b", 3]]), key="id")
    assert (report.counts.inserted, report.reasons) == (2, {rule: 1})


def test_appended_records_go_round_a_constraint_too(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (n int CHECK (n > 0), s text UNIQUE)")
    rows = [[1, "a"], [0, "b"], [2, 'quoted "and,\nbroken"'], [3, "a"], [4, "\\."]]
    report = warehouse.load(warehouse.csv("a.csv", ["n", "s"], rows))
    assert (report.counts.inserted, report.reasons) == (3, {"constraint:t_n_check": 1, "constraint:t_s_key": 1})
    assert warehouse.rows("SELECT n, s FROM t ORDER BY n") == [(1, "a"), (2, 'quoted "and,\nbroken"'), (4, "\\.")]
    assert [line for line, _ in failures(warehouse)] == [3, 6]


def test_counts_of_a_merge_leave_the_broken_records_out(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0), at int)")
    warehouse.rows("INSERT INTO t VALUES (1, 1, 5), (2, 2, 5), (3, 3, 5), (4, 4, 5)")
    rows = [[1, 9, 6], [2, 2, 5], [3, 9, 4], [4, -1, 4], [5, 5, 5], [6, -1, 9], [7, 7, 7], [7, 8, 8]]
    report = warehouse.load(warehouse.csv("a.csv", ["id", "n", "at"], rows), key="id", newest_by="at")
    counts = report.counts
    assert (counts.inserted, counts.updated, counts.unchanged, counts.stale, counts.deduplicated, counts.dead) == (
        2, 1, 1, 2, 1, 1,
    )  # fmt: skip
    assert [line for line, _ in warehouse.rules()] == [7], "what is older than the table is not written, good or bad"
    assert warehouse.rows("SELECT id, n FROM t ORDER BY 1") == [(1, 9), (2, 2), (3, 3), (4, 4), (5, 5), (7, 8)]
    assert warehouse.load(warehouse.folder / "a.csv", key="id", newest_by="at").status == "skipped"


def test_too_many_broken_records_stop_the_search_and_the_load(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0))")
    path = warehouse.csv("a.csv", ["id", "n"], [[n, n % 2] for n in range(2_000)])
    failed = warehouse.fails(path, key="id", max_dead=10, on_schema_change="add_columns")
    assert failed.code == "TOO_MANY_DEAD_LETTERS"
    assert "constraint:t_n_check 11" in failed.detail
    assert warehouse.rows("SELECT status, read, dead, rejected FROM sluicegate.loads") == [("failed", 2000, 11, 1989)]
    assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters") == 11
    assert warehouse.one("SELECT count(*) FROM t") == 0
    warehouse.fails(path, key="id", max_dead=10)
    assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters WHERE attempts = 2") == 11
    assert warehouse.load(path, key="id", max_dead="50%").counts.inserted == 1_000
    assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters") == 1_000


@pytest.mark.parametrize("mode", ["merge", "append"])
def test_a_role_without_the_servers_language_finds_the_same_records(
    warehouse: Any, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    rows = [[n, n % 3] for n in range(700)]
    for number, alone in enumerate((True, False)):
        if not alone:
            monkeypatch.setattr("sluicegate.targets.postgres.isolate.can_go_one_by_one", lambda *_: False)
        table = f"t{number}"
        warehouse.rows(f"CREATE TABLE {table} (id int PRIMARY KEY, n int CHECK (n > 0))")
        report = warehouse.load(warehouse.csv(f"{number}.csv", ["id", "n"], rows), table, key="id", mode=mode)
        assert (report.counts.inserted, report.reasons) == (466, {f"constraint:{table}_n_check": 234})
    assert warehouse.rows("SELECT * FROM t0 EXCEPT SELECT * FROM t1") == []


def test_a_refused_load_leaves_neither_new_columns_nor_a_new_table(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0))")
    path = warehouse.csv("a.csv", ["id", "n", "more"], [[1, -1, 1]])
    assert warehouse.fails(path, key="id", max_dead=0, on_schema_change="add_columns").code == "TOO_MANY_DEAD_LETTERS"
    columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 't'"
    assert warehouse.one(columns) == 2
    assert warehouse.load(path, key="id", max_dead=1, on_schema_change="add_columns").counts.dead == 1
    assert warehouse.one(columns) == 3


def test_a_table_that_refers_to_itself_takes_children_before_their_parents(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, parent int CONSTRAINT parent REFERENCES t)")
    rows = [[1, 5], [2, 1], [3, 99], [4, ""], [5, 6], [6, 4], [7, 3]]
    report = warehouse.load(warehouse.csv("a.csv", ["id", "parent"], rows), key="id")
    assert warehouse.rows("SELECT id FROM t ORDER BY 1") == [(1,), (2,), (4,), (5,), (6,)]
    assert report.reasons == {"constraint:parent": 2}


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ("CREATE TABLE t (id int PRIMARY KEY,"
         " n text CONSTRAINT known REFERENCES u DEFERRABLE INITIALLY DEFERRED)", "known"),
        ("CREATE TABLE t (id int PRIMARY KEY, n text);"
         "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
         "EXECUTE FUNCTION no_letters()", "no_letters()"),
    ],
)  # fmt: skip
def test_what_is_only_refused_at_the_end_is_no_records_fault_and_shows_no_value(
    warehouse: Any, table: str, rule: str
) -> None:
    warehouse.rows("CREATE TABLE u (n text PRIMARY KEY)")
    warehouse.rows(
        "CREATE FUNCTION no_letters() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'no letters: %', NEW.n; END$$"
    )
    warehouse.rows(table)
    failed = warehouse.fails(warehouse.csv("a.csv", ["id", "n"], [[1, "secret"]]), key="id")
    assert failed.code == "CONSTRAINT_VIOLATED"
    assert failed.detail == f"public.t refuses the load as it is committed: constraint:{rule}"
    assert "secret" not in "".join(traceback.format_exception(failed)), "a task's log has the traceback too"
    assert warehouse.one("SELECT count(*) FROM sluicegate.loads") == 0


def test_a_window_that_others_refer_to_is_refused_without_their_values(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id text PRIMARY KEY, day date)")
    warehouse.rows("CREATE TABLE u (n text CONSTRAINT known REFERENCES t)")
    warehouse.rows("INSERT INTO t VALUES ('secret', '2026-01-01')")
    warehouse.rows("INSERT INTO u VALUES ('secret')")
    day = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    failed = warehouse.fails(
        warehouse.csv("a.csv", ["id", "day"], [["a", "2026-01-01"]]),
        mode="replace_window", window_by="day", origin=Origin("p", "s", "r", 1, day),
    )  # fmt: skip
    assert failed.detail == "public.t refuses that the rows of the window are deleted: constraint:known"
    assert "secret" not in "".join(traceback.format_exception(failed))


def test_two_keys_that_are_one_to_the_table_are_still_refused_beside_a_broken_record(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id interval PRIMARY KEY, n int CHECK (n > 0))")
    rows = [["1 day", 1], ["24:00:00", 2], ["2 days", -1]]
    failed = warehouse.fails(warehouse.csv("a.csv", ["id", "n"], rows), key="id")
    assert (failed.code, "make the key the same" in failed.detail) == ("CONSTRAINT_VIOLATED", True)


def test_a_partitioned_table_is_merged_into_again(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int, n date, v int, PRIMARY KEY (id, n)) PARTITION BY RANGE (n)")
    warehouse.rows("CREATE TABLE t24 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
    words: dict[str, Any] = {"key": ("id", "n"), "newest_by": "v"}
    day = "2024-01-01"
    warehouse.load(warehouse.csv("a.csv", ["id", "n", "v"], [[1, day, 1], [2, day, 2], [3, day, 3]]), **words)
    rows = [[1, day, 2], [2, day, 2], [3, day, 1], [4, day, 4], [5, "2025-01-01", 5]]
    for dead, inserted, updated in ((1, 1, 1), (0, 0, 1)):
        path = warehouse.csv("b.csv", ["id", "n", "v"], rows)
        counts = warehouse.load(path, **words).counts
        assert (counts.inserted, counts.updated, counts.unchanged, counts.stale, counts.dead) == (
            inserted, updated, len(rows) - inserted - updated - dead - 1, 1, dead,
        )  # fmt: skip
        rows = [[1, day, 3], *rows[1:4]]
    assert warehouse.rows("SELECT id, v FROM t ORDER BY 1") == [(1, 3), (2, 2), (3, 3), (4, 4)]


def test_computed_columns_of_the_target_compute_themselves(warehouse: Any) -> None:
    warehouse.rows(
        "CREATE TABLE t (id int PRIMARY KEY, n int, m int GENERATED ALWAYS AS (n * 2) STORED, "
        "at timestamptz DEFAULT now(), s serial, i int GENERATED ALWAYS AS IDENTITY)"
    )
    assert warehouse.load(warehouse.csv("a.csv", ["id", "n"], [[1, 4]]), key="id").counts.inserted == 1
    assert warehouse.load(warehouse.csv("b.csv", ["id", "n"], [[1, 5], [2, 1]]), key="id").counts.updated == 1
    assert warehouse.rows("SELECT id, m, at IS NOT NULL, s IS NOT NULL FROM t ORDER BY 1") == [
        (1, 10, True, True), (2, 2, True, True),
    ]  # fmt: skip
    failed = warehouse.fails(warehouse.csv("c.csv", ["id", "n", "m"], [[1, 4, 8]]), key="id")
    assert "column 'm' of public.t is computed by the database" in failed.detail


def test_sensitive_values_that_break_a_constraint_are_masked(warehouse: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "sluicegate")
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, n inet, s text CHECK (s <> 'secret-a'))")
    columns = {"n": {"type": None, "sensitive": True}, "s": {"sensitive": True}}
    path = warehouse.csv("a.csv", ["id", "n", "s"], [[1, "10.0.0.1", "secret-a"], [2, "secret-b", "x"], [3, "", "x"]])
    report = warehouse.load(path, key="id", columns=columns)
    assert report.reasons == {"constraint:t_s_check": 1, "type:n": 1}
    assert "secret" not in str(warehouse.letters()) + caplog.text


def test_a_loader_killed_in_the_search_leaves_nothing_and_the_retry_is_right(warehouse: Any) -> None:
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, v text, at int)")
    # Whoever comes to the so-manieth refused row waits there for a lock, which the test holds until it has killed it.
    warehouse.rows("CREATE SEQUENCE refused")
    warehouse.rows("CREATE TABLE held (at bigint)")
    warehouse.rows(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id % 50 = 7 THEN "
        "IF nextval(''refused'') = (SELECT at FROM held) THEN PERFORM pg_advisory_xact_lock_shared(99); END IF; "
        "RAISE EXCEPTION ''no''; END IF; RETURN NEW; END'"
    )
    warehouse.rows("CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow()")
    source = warehouse.csv("a.csv", ["id", "v", "at"], [[n, "x", 1] for n in range(1_000)])
    facts = {
        "conninfo": warehouse.conninfo, "source": str(source), "table": "t", "run": "r",
        "columns": {"id": "integer", "v": "text", "at": "integer"},
    }  # fmt: skip

    def start() -> subprocess.Popen[str]:
        return start_loader(facts)

    mine = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
    caught = f"SELECT count(*) {mine} AND (query LIKE '%sluicegate_position%' OR query LIKE '%one_by_one%')"
    for refused in (3, 14, 24):
        warehouse.rows("SELECT setval('refused', 1)")
        warehouse.rows("DELETE FROM held")
        warehouse.rows("INSERT INTO held VALUES (%s)", refused)
        with psycopg.connect(warehouse.conninfo) as holder:
            holder.execute("SELECT pg_advisory_lock(99)")
            process = start()
            warehouse.until(caught)
            process.kill()
            process.communicate()
        assert warehouse.one("SELECT count(*) FROM t") == 0
        assert warehouse.one("SELECT count(*) FROM sluicegate.dead_letters") == 0
    warehouse.rows("DELETE FROM held")
    report = result(start())
    assert (report["read"], report["inserted"], report["dead"]) == (1_000, 980, 20)
    assert report["reasons"] == {"constraint:slow()": 20}
    assert warehouse.one("SELECT count(*) FROM t") == 980
    assert warehouse.one(BALANCED)
    assert result(start())["status"] == "skipped"


RECORDS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(-2, 6), st.sampled_from(['a"', "b\n", "c,", ""])), max_size=60
)


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(first=RECORDS, second=RECORDS)
def test_whatever_is_broken_the_rest_is_what_a_model_says(warehouse: Any, first: Any, second: Any) -> None:
    warehouse.rows("DROP TABLE IF EXISTS t")
    warehouse.rows("DROP SCHEMA IF EXISTS sluicegate CASCADE")
    warehouse.rows("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0), s text)")
    table: dict[int, tuple[int, str | None]] = {}
    for records in (first, second):
        report = warehouse.load(warehouse.csv("m.csv", ["id", "n", "s"], records), key="id", columns={"id": "integer"})
        last = {id_: (n, s or None) for id_, n, s in records}
        table |= {id_: row for id_, row in last.items() if row[0] > 0}
        if report.status == "loaded":
            assert report.counts.dead == sum(n <= 0 for n, _ in last.values())
            assert report.counts.deduplicated == len(records) - len(last)
    assert {row[0]: row[1:] for row in warehouse.rows("SELECT id, n, s FROM t")} == table
