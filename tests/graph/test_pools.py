from __future__ import annotations

import pytest

from sluicegate.graph.pools import Use, pool_of, pools_of
from tests.pipeline.conftest import Dags

DEFAULTS = """
clusters:
  small: {release: emr-7.13.0, instances: {primary: m7g.xlarge}}
  big: {release: emr-7.13.0, instances: {primary: m7g.xlarge}, pool: big_ones}
pools: {cluster: clusters, warehouse: loads}
"""
PIPELINE = """
sluicegate: 1
pools: {source: partner}
datasets: {far: "https://h.example/x.csv"}
steps:
  job: {spark: jobs/j.py, cluster: small}
  big: {spark: jobs/j.py, cluster: big}
  own: {spark: jobs/j.py, cluster: big, pool: mine}
  load: {load: s3://b/x.csv, into: table://w/a, key: id}
  from_far: {load: far, into: table://w/b, key: id}
  fetch: {fetch: {sql: SELECT 1, connection: shop}, into: s3://b/f/}
  said: {load: s3://b/y.csv, into: table://w/c, key: id, pool: mine}
  bash: {operator: airflow.providers.standard.operators.bash.BashOperator, with: {bash_command: x, pool: theirs}}
  python: {python: "work:go"}
"""


def test_a_step_takes_its_own_pool_then_its_clusters_then_the_files(dags: Dags) -> None:
    (dags.root / "jobs").mkdir()
    (dags.root / "jobs" / "j.py").touch()
    dags.write("work.py", "def go(): ...\n")
    dags.write("defaults.yaml", DEFAULTS)
    pipeline = dags.read(PIPELINE)
    taken = {name: pool_of(step, pipeline) for name, step in pipeline.steps.items()}
    assert {name: use and (use.pool, use.use.value) for name, use in taken.items()} == {
        "job": ("clusters", "cluster"),
        "big": ("big_ones", "cluster"),
        "own": ("mine", "cluster"),
        "load": ("loads", "warehouse"),
        "from_far": ("partner", "source"),
        "fetch": ("partner", "source"),
        "said": ("mine", "own"),
        "bash": None,
        "python": None,
    }
    assert pools_of([pipeline]) == {
        "big_ones": {Use.CLUSTER},
        "clusters": {Use.CLUSTER},
        "loads": {Use.WAREHOUSE},
        "mine": {Use.CLUSTER, Use.OWN},
        "partner": {Use.SOURCE},
        "theirs": {Use.OWN},
    }


@pytest.mark.parametrize(("pools", "pool"), [("{}", None), ("{warehouse: loads}", "loads")])
def test_a_load_from_a_web_server_takes_the_warehouses_pool_where_its_source_has_none(
    dags: Dags, pools: str, pool: str | None
) -> None:
    pipeline = dags.read(
        f"sluicegate: 1\npools: {pools}\nsteps:\n  a: {{load: https://h.example/x.csv, into: table://w/a, key: id}}\n"
    )
    use = pool_of(pipeline.steps["a"], pipeline)
    assert (use.pool if use else None) == pool
