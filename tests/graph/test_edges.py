from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sluicegate.graph.datasets import as_read_by, read_locations, related, sources, write_locations, writers
from sluicegate.graph.edges import edges, narrowed_by
from sluicegate.graph.waits import upstream_reads
from sluicegate.graph.window import awaited_dates
from sluicegate.pipeline import Diagnostic, Window, read_tree
from tests.pipeline.conftest import Dags

StandsAt = Callable[[Diagnostic, str], bool]

DIAMOND = """
    sluicegate: 1
    datasets: {raw: s3://b/raw, left: s3://b/left, right: s3://b/right, t: table://w/t}
    steps:
      last: {load: s3://b/both, into: t, after: [free, {dag: old, task: x}]}
      left: {python: "os:system", with: {command: x}, reads: raw, writes: left}
      right: {python: "os:system", with: {command: x}, reads: raw, writes: right}
      join: {python: "os:system", with: {command: x}, reads: [left, right], writes: {out: s3://b/both}}
      free: {python: "os:system", with: {command: x}}
    """


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_edges_are_those_that_the_data_and_after_demand(dags: Dags) -> None:
    pipeline = dags.read(DIAMOND)
    assert set(edges(pipeline)) == {("left", "join"), ("right", "join"), ("join", "last"), ("free", "last")}
    assert sources(pipeline) == ("raw",)
    assert writers(pipeline)["s3://b/both"] == ("join",)


def test_the_same_uri_twice_is_one_dataset(dags: Dags) -> None:
    pipeline = dags.read(
        """
        sluicegate: 1
        steps:
          b: {load: "s3://b/{{ ds }}/", into: table://w/t}
          a: {python: "os:system", with: {command: x}, writes: {out: "s3://b/{{ ds }}/"}}
        """
    )
    assert edges(pipeline) == (("a", "b"),)


def test_waits_and_locations_of_what_is_read_from_another_pipeline(dags: Dags) -> None:
    dags.write(
        "hours.yaml",
        """
        sluicegate: 1
        schedule: {cron: "@hourly", start: 2026-01-01}
        datasets: {raw: "s3://b/{{ window.start.strftime('%H') }}.csv", done: table://w/done, given: s3://b/given}
        steps:
          land: {python: "os:system", with: {command: x}, writes: [raw, done]}
        """,
    )
    dags.write(
        "days.yaml",
        """
        sluicegate: 1
        schedule: {cron: "@daily", start: 2026-01-01}
        datasets: {out: "s3://b/{{ ds }}/"}
        steps:
          a: {python: "os:system", with: {command: x}, reads: [hours.raw, hours.done, hours.given], writes: out}
          b: {python: "os:system", with: {command: x}, reads: {last: {dataset: hours.done, latest: true}}}
        """,
    )
    together = dags.together("days.yaml")
    found = upstream_reads(together.pipeline, together.upstreams)
    assert [(w.step, w.binding, w.dataset, w.pipeline, w.upstream_step, w.latest) for w in found] == [
        ("a", "raw", "hours.raw", "hours", "land", False),
        ("a", "done", "hours.done", "hours", "land", False),
        ("b", "last", "hours.done", "hours", "land", True),
    ]
    window = Window(at("2026-02-01"), at("2026-02-02"))
    assert awaited_dates(found[0].schedule, window) == tuple(window.start + timedelta(hours=n) for n in range(24))
    assert awaited_dates(found[2].schedule, window, latest=True) is None
    assert sources(together.pipeline, together.upstreams) == ("hours.given",)

    reads = read_locations(together.pipeline, together.pipeline.steps["a"], together.upstreams)
    assert reads["raw"].render(window, {}) == tuple(f"s3://b/{hour:02}.csv" for hour in range(24))
    assert reads["done"].render(window, {}) == ("table://w/done",)
    writes = write_locations(together.pipeline, together.pipeline.steps["a"])
    assert writes["out"].render(window, {}) == ("s3://b/2026-02-01/",)
    with pytest.raises(ValueError, match="no window of hours ends in"):
        reads["raw"].render(Window(at("2026-02-01"), at("2026-02-01")), {})


def test_a_day_is_the_day_in_the_pipelines_time_zone_for_its_readers_too(dags: Dags) -> None:
    text = """
        sluicegate: 1
        schedule: {cron: "@daily", start: 2026-01-01, timezone: Europe/Berlin}
        datasets: {NAME: "s3://b/{{ ds }}/"}
        steps:
          a: {python: "os:system", with: {command: x}, READS writes: NAME}
        """
    dags.write("one.yaml", text.replace("NAME", "x").replace("READS", ""))
    dags.write("two.yaml", text.replace("NAME", "y").replace("READS", "reads: one.x,"))
    window = Window(at("2026-03-09T23:00"), at("2026-03-10T23:00"))
    two = dags.together("two.yaml")
    step = two.pipeline.steps["a"]
    assert write_locations(two.pipeline, step)["y"].render(window, {}) == ("s3://b/2026-03-10/",)
    assert read_locations(two.pipeline, step, two.upstreams)["x"].render(window, {}) == ("s3://b/2026-03-10/",)


def test_a_template_that_cannot_be_filled_in_says_so(dags: Dags) -> None:
    pipeline = dags.read(
        'sluicegate: 1\nparams: {f: {default: null}}\nsteps: {a: {load: "s3://b/{{ params.f.x.y }}", into: table://w/t}}\n'
    )
    location = read_locations(pipeline, pipeline.steps["a"], {})["load"]
    with pytest.raises(ValueError, match="cannot fill in"):
        location.render(Window(at("2026-01-01"), at("2026-01-02")), {"f": None})


def test_params_narrow_all_that_comes_after(dags: Dags) -> None:
    pipeline = dags.read(
        """
        sluicegate: 1
        params: {only: {type: string, default: null}}
        datasets: {mid: s3://b/mid, t: table://w/t}
        steps:
          a: {python: "os:system", with: {command: "{{ params.only }}"}, writes: mid}
          b: {load: mid, into: t}
          c: {load: s3://b/other, into: table://w/u}
        """
    )
    assert narrowed_by(pipeline) == {"a": {"only"}, "b": {"only"}, "c": frozenset()}


# Rules within one pipeline.


@pytest.mark.parametrize(
    ("steps", "words", "code"),
    [
        ("a: {load: raw, into: t}\n  b: {load: s3://b/x, into: t}", "t}", "two-writers"),
        ("a: {load: raw, into: raw}", "raw, into", "self-read"),
        ("a: {load: 's3://b/{{ds}}', into: 's3://b/{{ ds }}'}", "'s3://b/{{ds}}'", "self-read"),
        (
            "a: {load: raw, into: t}\n  b: {python: os:system, with: {command: x}, reads: [t], writes: [raw]}",
            "t]",
            "cycle",
        ),
        ("a: {load: raw, into: t, after: b}\n  b: {load: s3://b/x, into: u, after: [a]}", "a]", "cycle"),
        ("a: {load: 's3://b/{{ params.p }}', into: t, mode: replace_window}", "replace_window", "param-narrows"),
    ],
)
def test_what_steps_may_not_do_together(dags: Dags, stands_at: StandsAt, steps: str, words: str, code: str) -> None:
    diagnostic = dags.diagnostic(
        "sluicegate: 1\nparams: {p: x}\n"
        f"datasets: {{raw: s3://b/raw, t: table://w/t, u: table://w/u}}\nsteps:\n  {steps}\n"
    )
    assert diagnostic.code == code
    assert stands_at(diagnostic, words), diagnostic


def test_a_cycle_is_told_with_its_whole_path(dags: Dags) -> None:
    diagnostic = dags.diagnostic(
        """
        sluicegate: 1
        datasets: {x: s3://b/x, y: s3://b/y, z: s3://b/z}
        steps:
          free: {load: x, into: table://w/t}
          a: {python: "os:system", with: {command: x}, reads: z, writes: x}
          b: {python: "os:system", with: {command: x}, reads: x, writes: y}
          c: {python: "os:system", with: {command: x}, reads: y, writes: z}
        """
    )
    told, places = diagnostic.message.split("; see also ")
    path = told.split(": ")[1].split(" -> ")
    assert path[0] == path[-1]
    assert {diagnostic.line, *map(int, re.findall("[0-9]+", places))} == {5, 6, 7}
    assert "a -> b -> c -> a" in " -> ".join([*path, *path[1:]])


def test_a_shared_place_under_two_names_is_a_warning_unless_it_is_said(dags: Dags) -> None:
    text = """
        sluicegate: 1
        datasets:
          one: {uri: table://w/t, shared: SAID}
          two: {uri: table://w/t, shared: SAID}
        steps:
          a: {load: s3://b/a, into: one}
          b: {load: s3://b/b, into: two}
        """
    dags.write("orders.yaml", text.replace("SAID", "false"))
    [warning] = dags.together("orders.yaml").diagnostics
    assert (warning.code, warning.severity, warning.line) == ("same-place", "warning", 4)
    dags.write("orders.yaml", text.replace("SAID", "true"))
    assert dags.together("orders.yaml").diagnostics == ()


def test_what_a_reader_knows_of_a_mapped_writer_is_enough_to_wait_for_it(tmp_path: Path) -> None:
    (tmp_path / "up.yaml").write_text(
        "sluicegate: 1\nschedule: {cron: '@daily', start: 2026-01-01}\n"
        "datasets: {part: 's3://lake/{{ ds }}/{{ item }}.csv', whole: 's3://lake/{{ ds }}/', other: s3://lake/o.csv}\n"
        "steps:\n"
        "  shape: {operator: airflow.sdk.BaseOperator, for_each: [eu, us], writes: part}\n"
        "  else_where: {operator: airflow.sdk.BaseOperator, writes: other}\n"
    )
    (tmp_path / "down.yaml").write_text(
        "sluicegate: 1\nschedule: {cron: '@daily', start: 2026-01-01}\n"
        "steps:\n  load: {load: up.whole, into: 'table://w/t', key: k}\n"
    )
    tree = read_tree(tmp_path)
    down = tree.pipelines["down"]
    known = as_read_by(down, tree.pipelines)
    assert known["up"].steps.keys() == {"shape"}
    assert upstream_reads(down, known) == upstream_reads(down, tree.pipelines)
    assert [wait.upstream_step for wait in upstream_reads(down, known)] == ["shape"]
    assert as_read_by(down, known) == known


def test_related_are_all_upstreams_and_downstreams_and_nobody_beside(dags: Dags) -> None:
    head = "sluicegate: 1\nschedule: {cron: '@daily', start: 2026-01-01}\n"
    dags.write("lone.yaml", head + "steps: {a: {load: s3://b/x, into: table://w/x}}")
    dags.write(
        "raw.yaml", head + "datasets: {out: s3://b/raw}\nsteps: {a: {operator: airflow.sdk.BaseOperator, writes: out}}"
    )
    dags.write("mid.yaml", head + "datasets: {out: table://w/t}\nsteps: {a: {load: raw.out, into: out}}")
    for name in ("late", "report"):
        dags.write(f"{name}.yaml", head + "steps: {a: {operator: airflow.sdk.BaseOperator, reads: mid.out}}")
    pipelines = dags.tree().pipelines
    assert related(pipelines, "mid") == related(pipelines, "raw") == {"raw", "mid", "late", "report"}
    assert related(pipelines, "late") == {"raw", "mid", "late"}
    assert related(pipelines, "lone") == {"lone"}


@pytest.mark.parametrize(
    ("written", "read", "meant"),
    [
        ("s3://b/{{ ds }}/", "s3://b/{{ds}}/*.csv", True),
        ("s3://b/{{ ds }}/a.csv", "s3://b/{{ds}}/*.csv", True),
        ("s3://b/{{ ds }}/a.txt", "s3://b/{{ds}}/*.csv", False),
        ("s3://b/{{ ds }}/a.csv", "s3://b/*/*.csv", True),
        ("s3://b/{{ ds }}/eu/", "s3://b/{{ds}}/*/", True),
        ("s3://b/{{ ds }}/eu/", "s3://b/{{ds}}/*/*.csv", True),
        ("s3://b/out/", "s3://b/in/*.csv", False),
        ("s3://b/{{ params.x[0] }}", "s3://b/{{ params.x[1] }}", False),
    ],
)
def test_who_reads_by_wildcards_comes_after_who_writes_what_they_may_mean(
    dags: Dags, written: str, read: str, meant: bool
) -> None:
    pipeline = dags.read(
        f"""
        sluicegate: 1
        params: {{x: {{type: array, default: [a, b]}}}}
        steps:
          b: {{load: "{read}", into: table://w/t}}
          a: {{python: "os:system", with: {{command: x}}, writes: {{out: "{written}"}}}}
        """
    )
    assert edges(pipeline) == ((("a", "b"),) if meant else ())


def test_the_connection_of_a_dataset_goes_with_its_place_to_other_pipelines_too(dags: Dags) -> None:
    head = 'sluicegate: 1\nschedule: {cron: "@daily", start: 2026-01-01}\n'
    dataset = "datasets: {a: {uri: 'https://h/a.csv', connection: api}}\n"
    dags.write("web.yaml", f"{head}{dataset}steps: {{b: {{load: a, into: table://w/b}}}}\n")
    dags.write("reader.yaml", f"{head}steps: {{c: {{load: web.a, into: table://w/c}}}}\n")
    pipelines = read_tree(dags.root).pipelines
    for name, step in (("web", "b"), ("reader", "c")):
        place = read_locations(pipelines[name], pipelines[name].steps[step], pipelines)["load"]
        assert place.connection == "api"
