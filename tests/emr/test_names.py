from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.emr.names import RunKey

keys = st.builds(
    RunKey,
    deployment=st.text(min_size=1, max_size=300),
    dag_id=st.text(min_size=1, max_size=300),
    run_id=st.text(min_size=1),
    task_id=st.text(min_size=1),
    map_index=st.integers(-1, 10_000),
)


@given(keys, st.integers(1, 10_000))
def test_a_name_gives_its_attempt_back_and_is_one_that_emr_takes(key: RunKey, attempt: int) -> None:
    name = key.name(attempt)
    assert key.attempt(name) == attempt
    assert len(name) <= 256
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)


@given(keys, keys, st.integers(1, 20))
def test_no_task_takes_the_cluster_of_another(one: RunKey, other: RunKey, attempt: int) -> None:
    assert (one == other) == (one.attempt(other.name(attempt)) == attempt)


def test_parts_that_run_together_are_not_the_same_task() -> None:
    assert RunKey("d", "a", "bc", "t").digest != RunKey("d", "ab", "c", "t").digest


def test_what_only_begins_like_a_name_is_none() -> None:
    key = RunKey("d", "a", "r", "t")
    for name in (
        key.base,
        key.name(1) + "0x",
        key.name(1) + "-copy",
        f"{key.base}-a0",
        f"{key.base}-a01",
        "x",
    ):
        assert key.attempt(name) is None
