from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.discovery.stubs import by_shard, error_name, shard_of

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,40}", fullmatch=True)


def test_every_machine_finds_a_pipeline_in_the_same_shard() -> None:
    # Fixed values: another machine, another Python, another day.
    assert [shard_of(name, 20) for name in ("flights", "delays", "orders", "a")] == [4, 12, 18, 16]


@given(name=NAMES, count=st.integers(1, 2000))
def test_one_more_shard_moves_a_pipeline_only_to_the_new_one(name: str, count: int) -> None:
    before, after = shard_of(name, count), shard_of(name, count + 1)
    assert 0 <= before < count
    assert after in (before, count)


def test_one_more_shard_moves_few_and_all_are_about_as_full() -> None:
    names = [f"pipeline_{number}" for number in range(2000)]
    moved = sum(shard_of(name, 40) != shard_of(name, 41) for name in names)
    assert 0 < moved < 2 * len(names) / 41
    sizes = [len(each) for each in by_shard(names, 40).values()]
    assert sum(sizes) == len(names)
    assert max(sizes) < 100


def test_a_stub_of_a_long_file_name_can_be_written(tmp_path: Path) -> None:
    one, other = (f"team/{'é' * 123}{end}.yaml" for end in ("aa", "ab"))
    assert error_name(one) != error_name(other)
    for file in (one, other):
        stub = tmp_path / error_name(file)
        stub.parent.mkdir(exist_ok=True)
        stub.write_text("")
    assert error_name("team/a.yaml") == "team/a.yaml.py"
