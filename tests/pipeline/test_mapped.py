# ruff: noqa: E501 - tables of mistakes
"""Mapped steps, groups, setups and teardowns as the file says them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluicegate.graph.datasets import writers
from sluicegate.graph.edges import edges
from sluicegate.graph.waits import upstream_reads
from sluicegate.pipeline import Diagnostic
from sluicegate.pipeline.keys.model import ForEach, TeardownOf
from tests.pipeline.conftest import Dags

StandsAt = Callable[[Diagnostic, str], bool]

HEAD = 'sluicegate: 1\nschedule: {cron: "@daily", start: 2026-01-01}\n'
STEP = 'python: "os:system"\n    with: {command: x}\n'
MAKE = "  make:\n    " + STEP
DATASETS = (
    "datasets: {part: 's3://lake/x/{{ ds }}/{{ item }}.csv', whole: 's3://lake/x/{{ds}}/', raw: s3://in/raw.csv}\n"
)


@pytest.fixture
def shop(dags: Dags) -> Dags:
    dags.write("work.py", "def f(r, item): ...\ndef g(item): ...\ndef h(r): ...\n")
    return dags


def file(steps: str) -> str:
    return f"{HEAD}{DATASETS}steps:\n{MAKE}{steps}"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("[eu, us]", ForEach(items=("eu", "us"))),
        ("{items: [1, 2], max_active: 1}", ForEach(items=(1, 2), max_active=1)),
        ("{output_of: make, label: '{{ item.name }}'}", ForEach(output_of="make", label="{{ item.name }}")),
        ("{files: 's3://in/{{ ds }}/*.csv', empty: skip}", ForEach(files="s3://in/{{ ds }}/*.csv", empty="skip")),
    ],
)
def test_what_a_step_is_mapped_over(shop: Dags, said: str, meant: ForEach) -> None:
    assert shop.read(file(f"  a: {{python: 'work:g', for_each: {said}}}\n")).steps["a"].for_each == meant


def test_an_item_may_be_the_place_itself(shop: Dags) -> None:
    text = file("  a: {load: '{{ item.uri }}', into: 'table://w/t', for_each: [{uri: s3://b/x.csv}]}\n")
    assert shop.read(text).steps["a"].reads["load"].dataset == "{{ item.uri }}"


def test_a_mapped_step_comes_after_what_makes_its_items(shop: Dags) -> None:
    text = file("  a: {python: 'work:g', for_each: {output_of: make}}\n")
    assert edges(shop.read(text)) == (("make", "a"),)


def test_files_are_looked_for_after_they_are_written(shop: Dags) -> None:
    text = f"{HEAD}{DATASETS}steps:\n  make:\n    {STEP}    writes: whole\n" + (
        "  a: {load: '{{ item }}', into: 'table://w/t', for_each: {files: 's3://lake/x/{{ ds }}/*.csv'}}\n"
    )
    assert edges(shop.read(text)) == (("make", "a"),)


def test_the_places_of_all_items_make_the_folder_around_them(shop: Dags) -> None:
    text = file(
        "  all: {load: whole, into: 'table://w/t'}\n"
        "  one: {transform: 'work:f', reads: {r: raw}, writes: {out: part}, for_each: [eu, us]}\n"
    )
    pipeline = shop.read(text, "lake.yaml")
    assert edges(pipeline) == (("one", "all"),)
    assert writers(pipeline)["whole"] == ("one",)
    shop.write("reader.yaml", f"{HEAD}steps: {{a: {{load: lake.whole, into: 'table://w/u'}}}}\n")
    together = shop.together("reader.yaml")
    assert [wait.upstream_step for wait in upstream_reads(together.pipeline, together.upstreams)] == ["one"]


def test_items_are_read_by_the_step_that_has_them_too(shop: Dags) -> None:
    text = file(
        "  one: {transform: 'work:f', reads: {r: raw}, writes: {out: part}, for_each: [eu, us]}\n"
        "  two: {load: part, into: 'table://w/t', for_each: [us]}\n"
    )
    assert edges(shop.read(text)) == (("one", "two"),)


def test_one_item_s_place_cannot_be_read_by_another_pipeline(shop: Dags, stands_at: StandsAt) -> None:
    text = "  one: {transform: 'work:f', reads: {r: raw}, writes: {out: part}, for_each: [eu, us]}\n"
    shop.write("lake.yaml", file(text))
    shop.write("reader.yaml", f"{HEAD}steps: {{a: {{load: lake.part, into: 'table://w/u'}}}}\n")
    [diagnostic] = shop.tree().diagnostics
    assert stands_at(diagnostic, "lake.part")
    assert "read the folder 's3://lake/x/{{ds}}/'" in diagnostic.message


def test_files_chosen_by_a_param_are_not_the_whole_window(shop: Dags, stands_at: StandsAt) -> None:
    shop.write(
        "lake.yaml",
        f"{HEAD}params: {{c: {{type: string, default: null}}}}\ndatasets: {{t: s3://b/t.csv}}\nsteps:\n"
        "  a: {python: 'work:g', for_each: {files: 's3://in/{{ params.c }}/*.csv'}, writes: t}\n",
    )
    shop.write("reader.yaml", f"{HEAD}steps: {{a: {{load: lake.t, into: 'table://w/u'}}}}\n")
    [diagnostic] = shop.tree().diagnostics
    assert diagnostic.code == "param-narrows"
    assert stands_at(diagnostic, "lake.t")


MISTAKES = [
    ("for_each: []", "[]", "value", None),
    ("for_each: eu", "eu", "type", None),
    ("for_each: {itms: [1]}", "itms", "unknown-key", "items"),
    ("for_each: {max_active: 2}", "for_each", "missing-key", None),
    ("for_each: {items: [1], files: 's3://b/*'}", "files", "two-kinds", None),
    ("for_each: {items: eu}", "eu", "type", None),
    ("for_each: [eu, eu]", "eu]", "value", None),
    ("for_each: ['{{ ds }}']", "'{{ ds }}'", "template", None),
    ("for_each: [null]", "null", "value", None),
    ("for_each: {output_of: mak}", "mak", "missing-step", "make"),
    ("for_each: {output_of: a}", "a}", "cycle", None),
    ("for_each: {output_of: ld}", "ld", "value", None),
    ("for_each: {files: 's3://b/x.csv'}", "'s3://b/x.csv'", "uri", None),
    ("for_each: {files: 'https://b/*.csv'}", "'https://b/*.csv'", "uri", None),
    ("for_each: {files: 's3://b/{{ item }}/*'}", "item }}", "template", None),
    ("for_each: {files: 's3://b/*', empty: sip}", "sip", "value", "skip"),
    ("for_each: {items: [1], empty: skip}", "empty", "value", None),
    ("for_each: {items: [1], max_active: 0}", "0", "value", None),
    ("for_each: {items: [1], label: '{{ x'}", "'{{ x'", "template", None),
    ("group: A", "A", "name", None),
    ("group: a/b", "a/b", "name", "a.b"),
    ("group: ld", "ld", "name", None),
    ("group: ld.x", "ld.x", "name", None),
    ("teardown_of: mak", "mak", "missing-step", "make"),
    ("teardown_of: a", "a", "cycle", None),
    ("teardown_of: []", "[]", "value", None),
    ("teardown_of: {step: make}", "step", "unknown-key", "steps"),
    ("teardown_of: {steps: make, fail_run: yes}", "yes", "type", "true"),
    ("teardown_of: make\n    trigger_rule: all_done", "trigger_rule", "value", None),
]


@pytest.mark.parametrize(("said", "at", "code", "suggestion"), MISTAKES)
def test_a_mistake_is_placed(
    shop: Dags, stands_at: StandsAt, said: str, at: str, code: str, suggestion: str | None
) -> None:
    text = file(f"  ld: {{load: raw, into: 'table://w/t'}}\n  a:\n    {STEP}    {said}\n")
    found = shop.diagnostics(text)
    assert any(stands_at(diagnostic, at) and diagnostic.code == code for diagnostic in found), "\n".join(
        map(str, found)
    )
    assert suggestion in [diagnostic.suggestion for diagnostic in found]


@pytest.mark.parametrize(
    ("steps", "at", "code"),
    [
        ("  a: {load: part, into: 'table://w/t'}\n", "part", "item-place"),
        ("  a: {load: 's3://b/{{ item }}', into: 'table://w/t'}\n", "item }}", "template"),
        ("  a: {load: '{{ item }}', into: 'table://w/t'}\n", "item }}", "template"),
        ("  a: {python: 'work:g'}\n", "'work:g'", "arguments"),
        ("  a: {operator: airflow.sdk.BaseOperator, with: {doc: '{{ item }}'}}\n", "item }}", "template"),
        ("  a: {transform: 'work:h', reads: {r: raw}, writes: {o: s3://b/o.csv}, for_each: [1, 2]}\n", "s3://b/o.csv", "item-place"),
        ("  a: {load: 's3://b/{{ item }}', into: 'table://w/t', key: k, mode: replace_window, for_each: [1]}\n", "'table://w/t'", "item-place"),
        ("  a: {load: 's3://b/{{ item }}', into: 'table://w/t', wait: 1h, for_each: {output_of: make}}\n", "'s3://b/{{ item }}'", "wait"),
        ("  b: {transform: 'work:h', reads: {r: raw}, writes: {o: part}, for_each: [eu]}\n"
         "  a: {load: part, into: 'table://w/t', for_each: [eu, us]}\n", "part", "item-place"),
        ("  b: {transform: 'work:h', reads: {r: raw}, writes: {o: part}, for_each: [eu]}\n"
         "  a: {transform: 'work:h', reads: {r: raw}, writes: {o: whole}}\n", "whole", "two-writers"),
        ("  a: {python: 'work:g', for_each: {output_of: b}}\n  b: {python: 'work:g', for_each: {output_of: a}}\n", "a}", "cycle"),
        ("  a: {python: 'os:system', with: {command: x}, after: b}\n  b: {python: 'os:system', with: {command: x}, teardown_of: a}\n", "a}", "cycle"),
        ("  a: {python: 'os:system', with: {command: x}, trigger_rule: all_done, after: make}\n"
         "  b: {python: 'os:system', with: {command: x}, teardown_of: make}\n", "all_done", "value"),
        ("  b: {python: 'os:system', with: {command: x}, teardown_of: make}\n"
         "  a: {python: 'os:system', with: {command: x}, teardown_of: b}\n", "b}", "value"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_placed(shop: Dags, stands_at: StandsAt, steps: str, at: str, code: str) -> None:
    [diagnostic] = shop.diagnostics(file(steps))
    assert diagnostic.code == code, diagnostic
    assert stands_at(diagnostic, at), diagnostic


def test_a_load_that_is_the_same_for_each_item_is_a_warning(shop: Dags, stands_at: StandsAt) -> None:
    shop.write("it.yaml", file("  a: {load: raw, into: 'table://w/t', for_each: [eu, us]}\n"))
    [diagnostic] = shop.tree().diagnostics
    assert (diagnostic.severity, diagnostic.code) == ("warning", "item-unused")
    assert stands_at(diagnostic, "for_each")


def test_a_teardown_comes_after_all_that_uses_its_setup(dags: Dags) -> None:
    step = "{python: 'os:system', with: {command: x}"
    pipeline = dags.read(
        f"{HEAD}steps:\n  create: {step}}}\n  one: {step}, after: create}}\n  two: {step}, after: one}}\n"
        f"  inner: {step}, after: create}}\n  work: {step}, after: inner}}\n  undo_inner: {step}, teardown_of: inner}}\n"
        f"  aside: {step}}}\n  delete: {step}, teardown_of: create}}\n  tell: {step}, after: delete}}\n"
    )
    assert pipeline.steps["delete"].teardown_of == TeardownOf(steps=("create",))
    assert set(edges(pipeline)) == {
        ("create", "one"), ("one", "two"), ("create", "inner"), ("inner", "work"), ("work", "undo_inner"),
        ("inner", "undo_inner"), ("create", "delete"), ("two", "delete"), ("work", "delete"), ("undo_inner", "delete"),
        ("delete", "tell"),
    }  # fmt: skip
