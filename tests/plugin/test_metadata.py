from __future__ import annotations

from datetime import timedelta

from airflow.utils.session import create_session

from sluicegate.health.facts import PipelineFacts
from sluicegate.plugin.metadata import _dags, read_site
from tests.plugin.conftest import DAY, START, Metadata


def the_one() -> PipelineFacts:
    (found,) = read_site().pipelines
    return found


def test_a_pipeline_is_read_with_its_promise_and_its_newest_window(metadata: Metadata) -> None:
    end = (START + 30 * DAY).isoformat()
    metadata.pipeline("orders", fresh_within=timedelta(hours=30), said={"journal": "warehouse", "end": end})
    metadata.run("orders", START)
    metadata.run("orders", START + DAY)
    metadata.run("orders", START + 2 * DAY, "running")
    found = the_one()
    assert found.promise is not None
    assert (found.promise.fresh_within, found.promise.journal) == (timedelta(hours=30), "warehouse")
    assert found.promise.end == START + 30 * DAY
    assert found.newest_success is not None
    assert (found.newest_success.start, found.newest_success.end) == (START + DAY, START + 2 * DAY)
    assert (found.active_runs, found.first, found.is_scheduled) == (1, START, True)


def test_runs_by_hand_and_dry_runs_bring_no_data(metadata: Metadata) -> None:
    metadata.pipeline("orders")
    metadata.run("orders", START)
    metadata.run("orders", START + DAY, kind="backfill", conf={"dry_run": True})
    metadata.run("orders", START + 2 * DAY, kind="manual")
    found = the_one()
    assert found.newest_success is not None
    assert found.newest_success.start == START


def test_a_pipeline_without_windows_is_as_its_newest_run_was(metadata: Metadata) -> None:
    metadata.pipeline("inbox", timetable_summary="None", next_dagrun=None, next_dagrun_create_after=None)
    metadata.run("inbox", None, "failed", kind="manual", run_id="one", run_after=START)
    metadata.run("inbox", None, kind="manual", run_id="two", run_after=START + DAY)
    found = the_one()
    assert (found.is_scheduled, found.next_due, found.schedule) == (False, None, "")
    assert found.newest is not None
    assert (found.newest.run_id, found.newest.succeeded) == ("two", True)


def test_what_no_index_orders_is_asked_only_of_pipelines_without_windows(metadata: Metadata) -> None:
    for name, summary in (("orders", "0 0 * * *"), ("inbox", "None")):
        metadata.pipeline(name, timetable_summary=summary)
        metadata.run(name, None, kind="manual")
    with create_session() as session:
        found = {row.dag_id: row.by_hand for row in _dags(session)}
    assert found["inbox"] is not None
    assert found["orders"] is None


def test_a_failed_run_names_its_failed_steps(metadata: Metadata) -> None:
    metadata.pipeline("orders")
    metadata.run("orders", START, "failed", failed=["load_orders", "load_items"])
    found = the_one()
    assert found.newest is not None
    assert found.newest.failed_steps == ("load_items", "load_orders")


def test_what_is_no_pipeline_or_is_gone_is_left_out(metadata: Metadata) -> None:
    metadata.pipeline("by_hand", fileloc="/dags/by_hand.py")
    metadata.pipeline("deleted", is_stale=True)
    assert read_site().pipelines == ()


def test_a_run_that_waits_for_others_to_end_is_not_due(metadata: Metadata) -> None:
    metadata.pipeline("orders", exceeds_max_non_backfill=True, next_dagrun_create_after=START)
    assert the_one().next_due is None


def test_a_step_whose_pool_nobody_has_made_is_found(metadata: Metadata) -> None:
    metadata.pipeline("orders")
    metadata.run("orders", START, "running", run_id="r")
    metadata.task("orders", "r", "load_orders", "scheduled", "warehouse")
    metadata.task("orders", "r", "other", "success", "gone_too")
    (missing,) = read_site().pools
    assert (missing.pipeline, missing.step, missing.pool) == ("orders", "load_orders", "warehouse")


def test_the_number_of_statements_does_not_grow_with_the_pipelines(metadata: Metadata) -> None:
    from airflow.settings import engine
    from sqlalchemy import event

    for number in range(30):
        metadata.pipeline(f"p{number}", fresh_within=timedelta(hours=30))
        metadata.run(f"p{number}", START, "failed" if number % 2 else "success", failed=["load"] if number % 2 else [])
    statements: list[str] = []

    def count(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    event.listen(engine, "before_cursor_execute", count)
    try:
        assert len(read_site().pipelines) == 30
    finally:
        event.remove(engine, "before_cursor_execute", count)
    assert len(statements) <= 9


def test_a_promise_that_was_taken_out_of_the_file_is_gone(metadata: Metadata) -> None:
    metadata.pipeline("orders", fresh_within=timedelta(hours=30))
    assert the_one().promise is not None
    metadata.version("orders", 2)
    assert the_one().promise is None


def test_the_row_that_airflow_leaves_of_a_deadline_is_not_believed(metadata: Metadata) -> None:
    """Of a version that has not run yet, which Airflow changes in place."""
    metadata.pipeline("orders")
    metadata.promise("orders", metadata.version("orders", 1, deadline=None), {"fresh_within": 60})
    assert the_one().promise is None
