from __future__ import annotations

from pathlib import Path

from sluicegate.local.demo.samples import upstreams_first
from sluicegate.pipeline import read_tree

HEAD = 'sluicegate: 1\nschedule: {cron: "@daily", start: 2026-01-01}\nsteps: '


def test_a_demo_starts_no_pipeline_before_one_that_it_reads_from(tmp_path: Path) -> None:
    texts = {
        "a": "{make: {load: z.out, into: table://w/a}}",
        "b": "{make: {operator: airflow.sdk.BaseOperator, writes: {out: s3://b/b}}}",
        "m": "{make: {operator: airflow.sdk.BaseOperator, reads: {x: outside.raw}, writes: out}}",
        "z": "{make: {operator: airflow.sdk.BaseOperator, reads: {x: m.out}, writes: out}}",
    }
    for name, steps in texts.items():
        dataset = f"datasets: {{out: s3://b/{name}}}\n" if "writes: out" in steps else ""
        (tmp_path / f"{name}.yaml").write_text(dataset + HEAD + steps)
    pipelines = read_tree(tmp_path).readable
    assert upstreams_first(pipelines) == ["b", "m", "z", "a"]
