"""The values of a query are bound: what a person types into a form never becomes a part of its text."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.sources.statement import Statement, statement_of, why_unbindable
from tests.sources.conftest import day


def made(sql: str, **params: Any) -> Statement:
    return statement_of(sql, day(1), params)


def test_the_values_of_templates_are_bound_as_they_are() -> None:
    found = made(
        "SELECT * FROM t WHERE d >= {{ window.start }} AND s = {{ params.s }} AND n IN ({{ params.n }}, {{ ds }}) ;",
        s="x'; DROP TABLE t; --", n=3,
    )  # fmt: skip
    assert found.text("%s") == "SELECT * FROM t WHERE d >= %s AND s = %s AND n IN (%s, %s)"
    assert found.values == (day(1).start, "x'; DROP TABLE t; --", 3, "2026-01-01")


def test_a_percent_sign_is_doubled_for_drivers_that_format() -> None:
    found = made("SELECT * FROM t WHERE a LIKE 'x%' AND b = {{ ds }}")
    assert found.text("%s") == "SELECT * FROM t WHERE a LIKE 'x%%' AND b = %s"
    assert found.text("?") == "SELECT * FROM t WHERE a LIKE 'x%' AND b = ?"


def test_a_range_is_asked_of_the_query_as_a_whole() -> None:
    found = made("SELECT * FROM t WHERE a = {{ ds }} -- all").narrowed('"at"', 1, 2)
    assert found.text("%s") == 'SELECT * FROM (SELECT * FROM t WHERE a = %s -- all\n) q WHERE "at" > %s AND "at" <= %s'
    assert found.values == ("2026-01-01", 1, 2)
    assert (
        made("SELECT 1 AS at").narrowed("at", None, 2).text("?") == "SELECT * FROM (SELECT 1 AS at\n) q WHERE at <= ?"
    )
    assert made("SELECT 1 AS at").narrowed("at", 1, None).text("?") == "SELECT * FROM (SELECT 1 AS at\n) q WHERE at > ?"
    assert made("SELECT 1 AS at").narrowed("at", None, None) == made("SELECT 1 AS at")
    assert made("SELECT 1 AS at").newest("at").text("?") == "SELECT max(at) FROM (SELECT 1 AS at\n) q"


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT '{{ ds }}'", "leave the quotes"),
        ("SELECT 'it''s {{ ds }}'", "leave the quotes"),
        ('SELECT "{{ params.column }}"', "leave the quotes"),
        ("SELECT 1 -- {{ ds }}", "leave the quotes"),
        ("SELECT /* {{ ds }} */ 1", "leave the quotes"),
        ("SELECT {% if params.x %}1{% endif %}", "no `{% %}`"),
    ],
)
def test_where_nothing_can_be_bound_is_said(sql: str, words: str) -> None:
    assert words in str(why_unbindable(sql))
    with pytest.raises(ValueError, match=r"bound|always"):
        made(sql)


def test_a_name_that_does_not_exist_is_said() -> None:
    with pytest.raises(ValueError, match="cannot fill in"):
        made("SELECT {{ params.no }}")
    with pytest.raises(ValueError, match="cannot fill in"):
        made("SELECT {{ no }}")
