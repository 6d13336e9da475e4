"""The ledger's values: counts that balance, and an identity of dead letters that knows no run."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.ledger.entries import Counts, DeadLetter, dead_letter_id

LETTER = DeadLetter("s3://b/k", "etag", 7, '{"id": "1"}', ({"rule": "required:n", "column": "n", "value": None},))


@given(st.lists(st.integers(0, 10**9), min_size=7, max_size=7), st.integers(-1, 1))
def test_counts_balance_exactly_when_each_record_is_counted_once(parts: list[int], error: int) -> None:
    assert Counts(sum(parts) + error, *parts).balanced == (error == 0)


def test_the_identity_of_a_dead_letter_is_target_source_version_line_and_record() -> None:
    same = dead_letter_id("public.t", LETTER)
    others = [
        dead_letter_id("public.u", LETTER),
        *(
            dead_letter_id("public.t", replace(LETTER, **change))
            for change in ({"source": "x"}, {"source_version": "x"}, {"line": 8}, {"record": "x"})
        ),
    ]
    assert len({same, *others}) == 6
    again = replace(LETTER, failures=({"rule": "other"},), key={"id": "1"}, fault="X")
    assert dead_letter_id("public.t", again) == same


def test_fields_that_run_into_each_other_are_different_letters() -> None:
    one, two = replace(LETTER, source="ab", source_version="c"), replace(LETTER, source="a", source_version="bc")
    assert dead_letter_id("t", one) != dead_letter_id("t", two)
