"""A cluster is as large as `by_input` says for the bytes of its step's input."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.emr.sizing import sized
from sluicegate.faults import TransientFault, fault
from sluicegate.pipeline.keys.cluster import Cluster
from sluicegate.storage.storage import Storage

GB = 10**9
CLUSTER = Cluster.model_validate(
    {
        "release": "emr-7.13.0",
        "instances": [{"primary": "m", "core": "m"}, {"primary": "n", "core": "n", "task": "n"}],
        "scaling": {"min": 1, "max": 20},
        "by_input": [{"from": 0, "core": 2}, {"from": "50GB", "core": 10, "task": 5, "max": 40}],
    }
)


def core_of(size: int) -> tuple[Any, dict[str, str]]:
    cluster, tags = sized(CLUSTER, {"x": "s3://in/x/"}, lambda uri: size)
    return [each.core.count if each.core else None for each in cluster.instances], tags


@pytest.mark.parametrize(("size", "count"), [(0, 2), (50 * GB - 1, 2), (50 * GB, 10), (900 * GB, 10)])
def test_a_size_holds_from_its_bytes_on(size: int, count: int) -> None:
    cores, tags = core_of(size)
    assert cores == [count, count]
    assert tags == {"sluicegate:input-bytes": str(size), "sluicegate:size": "from 0" if count == 2 else "from 50GB"}


def test_a_size_changes_what_it_says_and_nothing_else() -> None:
    cluster, _ = sized(CLUSTER, {"x": "s3://in/x/"}, lambda uri: 60 * GB)
    [first, second] = cluster.instances
    assert (first.task, second.task.count if second.task else 0) == (None, 5)
    assert cluster.scaling is not None
    assert (cluster.scaling.min, cluster.scaling.max) == (1, 40)
    assert sized(CLUSTER, {"x": "s3://in/x/"}, lambda uri: 1)[0].scaling == CLUSTER.scaling


def test_a_fleet_changes_in_the_market_that_it_has() -> None:
    cluster = Cluster.model_validate(
        {
            "release": "emr-7.13.0",
            "fleets": {"primary": "m", "core": {"types": "m", "on_demand": 1}, "task": {"types": "m", "spot": 1}},
            "by_input": [{"from": 0, "core": 7, "task": 9}],
        }
    )
    [fleets] = sized(cluster, {}, lambda uri: 0)[0].fleets
    assert fleets.core is not None
    assert fleets.task is not None
    assert (fleets.core.on_demand, fleets.core.spot, fleets.task.on_demand, fleets.task.spot) == (7, 0, 0, 9)


def test_the_bytes_of_all_bindings_count_once() -> None:
    counted: list[str] = []

    def count(uri: str) -> int:
        counted.append(uri)
        return 30 * GB

    reads = {"a": "s3://in/a/", "b": ["s3://in/b/", "s3://in/a/"]}
    assert sized(CLUSTER, reads, count)[1]["sluicegate:input-bytes"] == str(60 * GB)
    assert counted == ["s3://in/a/", "s3://in/b/"]


def test_with_input_that_cannot_be_measured_it_is_the_largest_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def count(uri: str) -> int:
        if "secret" in uri:
            raise fault("AWS_DENIED", "AccessDenied")
        return 5

    cluster, tags = sized(CLUSTER, {"x": ["s3://in/x", "table://wh/t", "s3://secret/"]}, count)
    assert cluster.sized(CLUSTER.by_input[1]) == cluster
    assert tags == {"sluicegate:input-bytes": "5 and more", "sluicegate:size": "from 50GB"}
    assert "table://wh/t, s3://secret/ cannot be measured, so the cluster is the largest" in caplog.text


def test_a_count_that_may_succeed_later_is_tried_again_later() -> None:
    def count(uri: str) -> int:
        raise fault("AWS_THROTTLED", "SlowDown")

    with pytest.raises(TransientFault):
        sized(CLUSTER, {"x": "s3://in/x"}, count)


def test_what_a_folder_holds_in_s3_is_counted_page_by_page(aws: Any) -> None:
    for name, size in {"a.parquet": 10, "day=1/b.parquet": 20, "_SUCCESS": 5, "other/c.parquet": 40}.items():
        aws.s3.put(f"s3://lake/x/{name}", b"x" * size)
    storage = Storage("aws_default")
    assert storage.size("s3://lake/x/") == 30
    assert storage.size("s3://lake/x/*.parquet") == 10
    assert storage.size("s3://lake/x/a.parquet") == 10
    assert storage.size("s3://lake/none/") == 0


def test_local_files_are_counted_without_reading_them(tmp_path: Any) -> None:
    for name, size in {"a.csv": 10, "day=1/b.csv": 20, ".hidden": 5, "other/c.csv": 40}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
        (tmp_path / name).chmod(0)
    storage = Storage()
    assert storage.size(f"file://{tmp_path}/") == 30
    assert storage.size(f"file://{tmp_path}/**/*.csv") == 70
    assert storage.size(f"file://{tmp_path}/a.csv") == 10
    assert storage.size(f"file://{tmp_path}/none.csv") == 0
