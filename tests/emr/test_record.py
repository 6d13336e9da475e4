from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sluicegate.emr.record import Record, another_try, generation

START = datetime(2026, 1, 1, tzinfo=UTC)


class Store(dict[str, object]):
    def set(self, key: str, value: object) -> None:
        self[key] = value


def test_a_record_comes_back_as_it_was_written() -> None:
    store = Store()
    record = Record(START, 3, "2/2")
    record.write(store)
    assert Record.read(store) == record


def test_without_a_store_there_is_no_record() -> None:
    Record(START).write(None)
    assert Record.read(None) is None
    assert Record.read(Store()) is None


def test_a_success_counts_for_a_retry_and_not_for_a_clear() -> None:
    first = generation(max_tries=2, retries=2)
    record = Record(START).finished(1, first)
    assert record.settled(first) == 0
    cleared = generation(max_tries=3, retries=2)
    assert record.settled(cleared) == 1


def test_a_clear_is_seen_also_when_the_retries_were_edited() -> None:
    # Two retries, one try done; then one retry and a clear: `max_tries` is 1 + 1, as before.
    record = Record(START).finished(1, generation(max_tries=2, retries=2))
    assert record.settled(generation(max_tries=2, retries=1)) == 1


@pytest.mark.parametrize(("try_number", "max_tries", "again"), [(1, 0, False), (1, 1, True), (2, 1, False)])
def test_whether_airflow_tries_again(try_number: int, max_tries: int, again: bool) -> None:
    assert another_try(try_number, max_tries) is again
