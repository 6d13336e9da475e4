from __future__ import annotations

import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.emr.names import RunKey
from sluicegate.emr.tags import LONGEST_VALUE, Owner, Unowned, decoded, encoded, own_tags, owner

END = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = RunKey("prod", "delays", "manual__2026-01-01T07:00:00+00:00~retry,2", "join", 3)

words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=400)
keys = st.builds(RunKey, deployment=words, dag_id=words, run_id=words, task_id=words, map_index=st.integers(-1, 10_000))


def tags_of(key: RunKey) -> dict[str, str]:
    return own_tags(key, attempt=2, pipeline="delays", cluster="small", not_after=END)


@given(keys)
def test_tags_give_their_task_back_or_nobody(key: RunKey) -> None:
    tags = tags_of(key)
    for value in tags.values():
        assert re.fullmatch(r"[A-Za-z0-9_ .:/=+@-]*", value)
        assert value == value.strip()
        assert len(value) <= LONGEST_VALUE
    found = owner(key.name(2), tags, key.deployment)
    was_cut = any(decoded(encoded(part)) != part for part in (key.deployment, key.dag_id, key.run_id, key.task_id))
    assert isinstance(found, Unowned) if was_cut else found == Owner(key, "delays", 2, END)


def test_a_run_id_that_aws_tags_cannot_hold_is_read_back() -> None:
    tags = tags_of(KEY)
    assert tags["sluicegate:run-id"] == "manual__2026-01-01T07:00:00+00:00=7Eretry=2C2"
    assert owner(KEY.name(2), tags, "prod") == Owner(KEY, "delays", 2, END)


def test_what_does_not_fit_is_nobodys() -> None:
    tags = tags_of(KEY)

    def reason(name: str = KEY.name(2), **changed: str) -> Unowned:
        found = owner(
            name, tags | {f"sluicegate:{key.replace('_', '-')}": value for key, value in changed.items()}, "prod"
        )
        assert isinstance(found, Unowned)
        return found

    assert owner("x", {"team": "data"}, "prod") == Unowned("it has no tags of Sluicegate", foreign=True)
    assert reason(deployment="test") == Unowned("it is of the deployment 'test'", foreign=True)
    assert not reason(run_id="another").foreign
    assert not reason(map_index="4").foreign
    assert not reason(map_index="x").foreign
    assert not reason(run="0" * 16).foreign
    assert not reason(name="a-copy").foreign
    assert "no time zone" in reason(not_after="2026-01-01T12:00:00").reason
