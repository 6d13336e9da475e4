"""What pipelines need, out of their files."""

from __future__ import annotations

from pathlib import Path

from sluicegate.doctor.machines import Machines, machines_of, types_of
from sluicegate.doctor.needs import Needs, needs_of
from sluicegate.pipeline.keys.cluster import Cluster
from sluicegate.pipeline.tree import read_tree

DEFAULTS = """
connections: {aws: lake, ledger: books}
artifacts: s3://code/jobs/
clusters: {small: {release: emr-7.13.0, instances: {primary: m7g.xlarge}, log_uri: s3://logs/emr/}}
"""
PIPELINE = """
sluicegate: 1
datasets: {raw: s3://lake/raw/, out: s3://lake/out/}
steps:
  join: {spark: jobs/join.py, cluster: small, reads: {raw: raw}, writes: {out: out}, pool: emr}
  load: {load: out, into: table://warehouse/public.out, key: id}
"""


def needs(root: Path, pipeline: str) -> Needs:
    (root / "jobs").mkdir()
    (root / "jobs" / "join.py").touch()
    (root / "defaults.yaml").write_text(DEFAULTS)
    (root / "p.yaml").write_text(pipeline)
    tree = read_tree(root)
    assert not [one for one in tree.diagnostics if one.is_error]
    return needs_of(tree.pipelines.values())


def test_connections_pools_clusters_and_buckets_are_found(tmp_path: Path) -> None:
    found = needs(tmp_path, PIPELINE)
    assert dict(found.connections) == {"books": {"p"}, "warehouse": {"p"}}
    assert dict(found.aws) == {"lake": {"p"}}
    assert dict(found.pools) == {"emr": {"p"}}
    assert [one.release for one in found.clusters["lake"]] == ["emr-7.13.0"]
    assert (found.artifacts, found.log_uris) == ({"s3://code/jobs/"}, {"s3://logs/emr/"})


def test_the_largest_of_what_a_cluster_may_be_is_counted() -> None:
    by_input = [{"from": 0, "core": 2}, {"from": "50GB", "core": 10}]
    groups = {"primary": "m7g.xlarge", "core": "c7g.large", "task": {"type": "c7g.large", "count": 3}}
    grows = Cluster.model_validate({"release": "emr-7.13.0", "instances": groups, "by_input": by_input})
    assert machines_of(grows) == (
        Machines("m7g.xlarge", 1, "on_demand"),
        Machines("c7g.large", 10, "on_demand"),
        Machines("c7g.large", 3, "spot"),
    )
    core = {"types": [{"type": "r7g.xlarge", "weight": 4}, {"type": "r6g.xlarge", "weight": 4}], "spot": 10}
    fleets = Cluster.model_validate({"release": "emr-7.13.0", "fleets": {"primary": "m7g.xlarge", "core": core}})
    assert machines_of(fleets) == (Machines("m7g.xlarge", 1, "on_demand"), Machines("r7g.xlarge", 3, "spot"))
    assert types_of(fleets) == {"m7g.xlarge", "r7g.xlarge", "r6g.xlarge"}
