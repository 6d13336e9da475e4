"""Why Postgres refused one record: which errors are about a record, and the name of the rule that it broke."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from sluicegate.faults import fault
from sluicegate.targets.postgres.merge import STAGE
from sluicegate.targets.postgres.merger import Merger

__all__ = [
    "KEPT_AWAY",
    "ONE_BY_ONE",
    "Refusal",
    "can_go_one_by_one",
    "puts_down_to_records",
    "refused_as_a_whole",
    "rule_of",
]

# A value that its type refuses, a constraint, an error that a trigger raised, a check option of a view.
_CLASSES = ("22", "23", "44", "45", "P0")
_TOO_LONG = "54000"  # program_limit_exceeded: of a value for an entry of an index, of a row for a page
_NOT_IN_ENCODING = "22P05"  # untranslatable_character
_COLUMN = re.compile(r"^COPY .*, column (?P<name>.+?)(?:: .*)?$", re.MULTILINE)
_FUNCTION = re.compile(r"^PL/pgSQL function (?P<name>[^\s(]+)\(")


@dataclass(frozen=True)
class Refusal:
    """What the server says of an error, without its message, which may show values."""

    state: str | None
    constraint: str | None = None
    column: str | None = None
    table: str | None = None
    context: str | None = None

    @staticmethod
    def of(error: psycopg.Error) -> Refusal:
        diag = error.diag
        return Refusal(error.sqlstate, diag.constraint_name, diag.column_name, diag.table_name, diag.context)


def puts_down_to_records(error: psycopg.Error) -> bool:
    """Whether single records may be what the database refused."""
    state = error.sqlstate or ""
    return state.startswith(_CLASSES) or state == _TOO_LONG


def rule_of(refusal: Refusal, columns: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The name of what was broken, and its columns.

    :param columns: those of the constraint, if it is known.
    """
    if refusal.constraint:
        return f"constraint:{refusal.constraint}", tuple(columns)
    if refusal.column:
        return f"required:{refusal.column}", (refusal.column,)
    context = refusal.context or ""
    column = _COLUMN.search(context)
    if refusal.state == _NOT_IN_ENCODING:
        return "constraint:encoding", (column["name"],) if column else ()
    if column:
        return f"type:{column['name']}", (column["name"],)
    if function := _FUNCTION.match(context):
        return f"constraint:{function['name']}()", ()
    if refusal.state == "23514" and refusal.table:
        return "constraint:partition", ()
    if refusal.state == _TOO_LONG:
        return "constraint:size", ()
    return f"constraint:{refusal.state}", ()


@contextmanager
def refused_as_a_whole(table: str, what: str) -> Iterator[None]:
    """Around a statement about all records: what is refused there is a fault with the rule's name. The server's own
    words, which show values, do not leave with it.

    :param what: what `table` refuses
    :raises FaultError: CONSTRAINT_VIOLATED.
    """
    try:
        yield
    except psycopg.Error as error:
        if not puts_down_to_records(error):
            raise
        refusal = Refusal.of(error)
        facts = {"sqlstate": refusal.state, "table": refusal.table, "constraint": refusal.constraint}
        known = {name: value for name, value in facts.items() if value}
        raise fault("CONSTRAINT_VIOLATED", f"{table} refuses {what}: {rule_of(refusal, ())[0]}", **known) from None


KEPT_AWAY = "SG001"
"""The SQLSTATE that says that a trigger has let a record vanish, which was to be inserted."""
ONE_BY_ONE = "SELECT * FROM pg_temp.sluicegate_one_by_one(%s, %s)"
"""Brings the staged records of a range, each under a savepoint of its own: a row for each that is refused, and one
without a position that has the number of changed rows and the counters of a merge."""
_FUNCTION_OF = """
CREATE FUNCTION pg_temp.sluicegate_one_by_one(sluicegate_low int, sluicegate_high int)
RETURNS TABLE (sluicegate_at int, sluicegate_changed bigint, sluicegate_state text, sluicegate_constraint text,
    sluicegate_column text, sluicegate_table text, sluicegate_context text, sluicegate_new bigint,
    sluicegate_stale bigint, sluicegate_deleted bigint)
LANGUAGE plpgsql AS {}
"""
# What a record that is refused has counted is taken off again: counters are not rolled back.
_BODY = """
#variable_conflict use_column
DECLARE
    sluicegate_all bigint := 0;
    sluicegate_count bigint;
    sluicegate_sums bigint[] := ARRAY[0, 0, 0];
    sluicegate_before bigint[];
    sluicegate_after bigint[];
BEGIN
    FOR sluicegate_this IN sluicegate_low .. sluicegate_high - 1 LOOP
        BEGIN
            sluicegate_before := {counters};
            {statement};
            GET DIAGNOSTICS sluicegate_count = ROW_COUNT;
            sluicegate_after := {counters};
            IF sluicegate_after[1] - sluicegate_before[1] > sluicegate_count THEN
                RAISE EXCEPTION USING ERRCODE = {kept_away};
            END IF;
            sluicegate_all := sluicegate_all + sluicegate_count;
            FOR sluicegate_i IN 1 .. 3 LOOP
                sluicegate_sums[sluicegate_i] :=
                    sluicegate_sums[sluicegate_i] + sluicegate_after[sluicegate_i] - sluicegate_before[sluicegate_i];
            END LOOP;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS sluicegate_state = RETURNED_SQLSTATE, sluicegate_constraint = CONSTRAINT_NAME,
                sluicegate_column = COLUMN_NAME, sluicegate_table = TABLE_NAME,
                sluicegate_context = PG_EXCEPTION_CONTEXT;
            IF NOT (left(sluicegate_state, 2) = ANY ({classes}) OR sluicegate_state = {too_long}) THEN
                RAISE;
            END IF;
            sluicegate_at := sluicegate_this;
            RETURN NEXT;
        END;
    END LOOP;
    sluicegate_at := NULL;
    sluicegate_changed := sluicegate_all;
    sluicegate_new := sluicegate_sums[1];
    sluicegate_stale := sluicegate_sums[2];
    sluicegate_deleted := sluicegate_sums[3];
    RETURN NEXT;
END
"""


def can_go_one_by_one(connection: psycopg.Connection[tuple[Any, ...]], position: str, merger: Merger) -> bool:
    """Make the function of `ONE_BY_ONE`; False where the role must not use PL/pgSQL."""
    one = sql.SQL("(SELECT * FROM {} WHERE {} = sluicegate_this)").format(STAGE, sql.Identifier(position))
    body = sql.SQL(_BODY).format(
        statement=merger.statement(one), counters=merger.counters(), classes=sql.Literal(list(_CLASSES)),
        too_long=sql.Literal(_TOO_LONG), kept_away=sql.Literal(KEPT_AWAY),
    )  # fmt: skip
    function = sql.SQL(_FUNCTION_OF).format(sql.Literal(body.as_string(connection)))
    try:
        with connection.transaction():
            connection.execute("DROP FUNCTION IF EXISTS pg_temp.sluicegate_one_by_one(int, int)")
            connection.execute(function)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject):
        return False
    return True
