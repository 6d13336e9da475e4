from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

from sluicegate.graph.waits import SourceWait, UpstreamWait, listings, task_edges, waits
from sluicegate.graph.window import Window
from tests.pipeline.conftest import Dags

RUN = 'python: "os:system", with: {command: x}'
SCHEDULE = 'schedule: {cron: "@daily", start: 2026-01-01}'
DAY = Window(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC))


def test_every_waiting_task_is_known_by_its_id_and_readers_without_building_a_dag(dags: Dags) -> None:
    dags.write(
        "hours.yaml",
        f"""
        sluicegate: 1
        schedule: {{cron: "@hourly", start: 2026-01-01}}
        datasets: {{raw: s3://b/raw, slow: s3://b/slow, given: s3://b/given}}
        steps:
          land: {{{RUN}, writes: raw}}
          lag: {{{RUN}, writes: slow}}
        """,
    )
    dags.write(
        "days.yaml",
        f"""
        sluicegate: 1
        {SCHEDULE}
        datasets: {{lookup: s3://b/lookup.csv}}
        steps:
          a: {{{RUN}, reads: [hours.raw], wait: 1h}}
          b: {{{RUN}, reads: [hours.raw, lookup], wait: 2h}}
          c: {{{RUN}, reads: {{slow: {{dataset: hours.slow, latest: true}}}}}}
          d: {{{RUN}, reads: [hours.given], wait: 3h}}
          e: {{{RUN}, after: [{{dag: old, task: export}}, {{dag: older}}]}}
          f: {{load: "{{{{ item }}}}", for_each: {{files: "s3://b/in/*.csv"}}, into: table://w/t, after: a}}
        """,
    )
    together = dags.together("days.yaml")
    found = waits(together.pipeline, together.upstreams)
    assert [(wait.task_id, wait.readers, wait.limit) for wait in found] == [
        ("wait_for__hours__land", ("a", "b"), timedelta(hours=2)),
        ("wait_for__hours__lag", ("c",), None),
        ("wait_for__old__export", ("e",), None),
        ("wait_for__older", ("e",), None),
        ("wait_for__lookup", ("b",), timedelta(hours=2)),
        ("wait_for__hours__given", ("d",), timedelta(hours=3)),
    ]
    assert listings(together.pipeline) == {"f": "files_of__f"}
    assert set(task_edges(together.pipeline, found)) == {
        *((wait.task_id, reader) for wait in found for reader in wait.readers),
        ("a", "f"),
        ("a", "files_of__f"),
    }
    upstream = [wait for wait in found if isinstance(wait, UpstreamWait)]
    assert [(wait.dag, wait.task) for wait in upstream] == [
        ("hours", "land"),
        ("hours", "lag"),
        ("old", "export"),
        ("older", None),
    ]
    assert upstream[0].dates(DAY) == tuple(DAY.start + timedelta(hours=hour) for hour in range(24))
    assert upstream[1].dates(DAY) is None
    assert upstream[2].dates(DAY) == (DAY.start,)
    assert [wait.place.dataset for wait in found if isinstance(wait, SourceWait)] == ["lookup", "hours.given"]


def test_a_waiting_task_whose_id_a_step_has_gets_a_number(dags: Dags) -> None:
    pipeline = dags.read(
        f"""
        sluicegate: 1
        {SCHEDULE}
        steps:
          wait_for__old: {{{RUN}, after: {{dag: old}}}}
          wait_for__old_2: {{{RUN}}}
        """
    )
    assert [wait.task_id for wait in waits(pipeline, {})] == ["wait_for__old_3"]


def test_readers_that_take_a_skip_differently_have_a_wait_each(dags: Dags) -> None:
    dags.write(
        "hours.yaml", f"sluicegate: 1\n{SCHEDULE}\ndatasets: {{raw: s3://b/raw}}\nsteps:\n  l: {{{RUN}, writes: raw}}\n"
    )
    dags.write(
        "days.yaml",
        f"""
        sluicegate: 1
        {SCHEDULE}
        steps:
          a: {{{RUN}, reads: [hours.raw]}}
          b: {{{RUN}, reads: {{raw: {{dataset: hours.raw, on_upstream_skipped: run}}}}}}
          c: {{{RUN}, reads: [hours.raw], after: {{dag: old, task: export, on_upstream_skipped: wait}}}}
        """,
    )
    together = dags.together("days.yaml")
    found = [wait for wait in waits(together.pipeline, together.upstreams) if isinstance(wait, UpstreamWait)]
    assert [(wait.task_id, wait.readers, wait.on_skipped.value) for wait in found] == [
        ("wait_for__hours__l", ("a", "c"), "skip"),
        ("wait_for__hours__l_2", ("b",), "run"),
        ("wait_for__old__export", ("c",), "wait"),
    ]


def test_knowing_what_waits_imports_neither_airflow_nor_what_reads_pipelines() -> None:
    code = (
        "import sys, sluicegate.graph.waits, sluicegate.graph.edges, sluicegate.graph.order\n"
        "print(sorted({'.'.join(name.split('.')[:3]) for name in sys.modules"
        " if name.startswith(('airflow', 'sluicegate.pipeline.'))}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    assert done.stdout.strip() == str(
        ["sluicegate.pipeline.diagnostics", "sluicegate.pipeline.keys", "sluicegate.pipeline.text"]
    )


def test_a_wait_looks_at_its_place_as_the_load_does(dags: Dags) -> None:
    pipeline = dags.read(
        """
        sluicegate: 1
        steps:
          a: {load: s3://b/in/, into: table://w/t, wait: 1h, format: {success_marker: false}}
        """
    )
    [wait] = waits(pipeline, {})
    assert isinstance(wait, SourceWait)
    assert wait.place.format is not None
    assert not wait.place.format.success_marker
