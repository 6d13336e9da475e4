"""After a mistake nothing that depends on it is looked at, all the rest is, and no file pays for another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from sluicegate.cli.findings import look_at
from sluicegate.discovery.scan import scan
from sluicegate.discovery.single_file import build_file
from sluicegate.discovery.store import BundleStore
from sluicegate.pipeline.check import rules
from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.text.source import Source
from tests.discovery.bundles import reader, small
from tests.factory.files import write

TWO_STEPS = """\
sluicegate: 1
schedule: {cron: "@daily", start: 2026-01-01}
datasets:
  raw: file:///data/orders/{{ ds }}.csv
  out: table://warehouse/orders
steps:
  make:
    writes: raw
    operator: airflow.providers.standard.operators.bash.BashOperator
    with: {bash_command: "echo orders"}
  load_it:
    load: raw
    into: out
    key: id
"""
BASH = "operator: airflow.providers.standard.operators.bash.BashOperator"


def errors(root: Path) -> list[Diagnostic]:
    return [each for each in look_at([root], root, None).diagnostics if each.is_error]


def places(diagnostics: Iterable[Diagnostic]) -> set[tuple[str, int, str]]:
    return {(each.file.stem, each.line, each.code) for each in diagnostics if each.is_error}


def scanned(root: Path) -> tuple[set[str], set[tuple[str, int, str]]]:
    """The pipelines that are scheduled, and the errors that the scan of a bundle finds."""
    found = scan(root, BundleStore(root.parent / "home"), Environment({}))
    told = re.findall(r"^(\w+)\.yaml:(\d+):\d+: error\[([\w-]+)\]", "\n".join(found.errors.values()), re.MULTILINE)
    return set(found.pipelines), {(file, int(line), code) for file, line, code in told}


@pytest.mark.parametrize(
    ("was", "becomes", "line", "code"),
    [
        ("{{ ds }}", "{{ ds }", 4, "template"),
        ("{{ ds }}", "{{ day }}", 4, "template"),
        ("table:", "tabel:", 5, "uri"),
        ("file:///", "file:/", 4, "uri"),
    ],
)
def test_a_mistake_in_a_uri_is_one_error_of_its_file(root: Path, was: str, becomes: str, line: int, code: str) -> None:
    write(root, bad=TWO_STEPS.replace(was, becomes), good=small("good"), typo="sluicegate: 1\nsetps: {}\n")
    typo = {("typo", 1, "missing-key"), ("typo", 2, "unknown-key")}
    assert places(errors(root)) == {("bad", line, code), *typo}
    assert scanned(root) == ({"good"}, {("bad", line, code), *typo})


def test_what_only_building_shows_is_told_beside_the_mistakes_of_reading(root: Path) -> None:
    text = f"""\
sluicegate: 1
dag: {{max_active_taks: 3}}
datasets: {{raw: "s3:/b/raw.csv"}}
steps:
  misspelt:
    {BASH}
    retries: three
    with: {{bash_comand: x}}
  writes_what_is_wrong:
    {BASH}
    with: {{env: 7, bash_command: x}}
    writes: raw
  reads_from_nobody:
    {BASH}
    with: {{bash_command: [x]}}
    reads: {{x: nobody.out}}
  load_it:
    load: raw
    into: table://warehouse/a/b
    columns: {{id: integr}}
"""
    write(root, bad=text)
    expected = {
        ("bad", 2, "argument"), ("bad", 3, "uri"), ("bad", 7, "type"), ("bad", 8, "argument"), ("bad", 11, "type"),
        ("bad", 15, "type"), ("bad", 16, "missing-pipeline"), ("bad", 19, "uri"), ("bad", 20, "type"),
    }  # fmt: skip
    assert places(errors(root)) == expected
    assert scanned(root) == (set(), expected)


def test_a_file_that_comes_alone_has_all_its_mistakes_at_once(root: Path) -> None:
    write(
        root,
        bad=f"sluicegate: 1\nsteps:\n  a:\n    {BASH}\n    retries: three\n    with: {{bash_comand: x}}\n"
        f"  b: {{{BASH}, with: {{bash_command: [x]}}}}\n",
    )
    with pytest.raises(PipelineErrors) as wrong:
        build_file(root / "bad.yaml", root, BundleStore(root.parent / "home"))
    assert places(wrong.value.diagnostics) == {("bad", 5, "type"), ("bad", 6, "argument"), ("bad", 7, "type")}


def test_what_depends_on_a_mistake_is_no_mistake(root: Path) -> None:
    text = f"""\
sluicegate: 1
datasets: {{raw: "s3://b/raw.csv"}}
steps:
  maker: {{python: "json:dumps", with: {{obj: 1}}, retires: 3}}
  mapped: {{{BASH}, for_each: {{output_of: maker}}, with: {{bash_command: "{{{{ item }}}}"}}}}
  writer: {{{BASH}, withh: {{bash_command: x}}, writes: raw}}
  waits: {{{BASH}, with: {{bash_command: x}}, reads: raw, wait: 1h}}
  undo: {{{BASH}, with: {{bash_command: x}}, teardown_of: writer}}
  newest: {{load: "s3://b/c.csv", into: "table://warehouse/c", kye: id, newest_by: at}}
"""
    write(root, bad=text)
    expected = {("bad", line, "unknown-key") for line in (4, 6, 9)}
    assert places(errors(root)) == expected
    assert scanned(root) == (set(), expected)


def test_who_reads_from_a_file_with_mistakes_is_judged_and_scheduled_by_what_is_right_there(root: Path) -> None:
    write(root, bad=small("bad") + "  b: {load: s3://x/y.csv, itno: out}\n", reads=reader("bad"))
    assert places(errors(root)) == {("bad", 5, "missing-key"), ("bad", 5, "unknown-key")}
    assert scanned(root)[0] == {"reads"}


@pytest.mark.parametrize("part", ["reading", "checking", "building"])
def test_a_bug_of_ours_is_the_error_of_the_file_where_it_shows(
    root: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("load")

    write(root, good=small("good"), odd=small("odd"), bad="sluicegate: 1\nsetps: {}\n")
    if part == "reading":
        opened = Source.open
        monkeypatch.setattr(Source, "open", lambda file, *more: broken() if file.stem == "odd" else opened(file, *more))
    elif part == "checking":
        twice = rules._two_writers
        only = lambda pipeline, source: broken() if pipeline.name == "odd" else twice(pipeline, source)  # noqa: E731
        monkeypatch.setattr(rules, "_two_writers", only)
    else:
        from sluicegate.factory import attempt

        build = attempt.build
        monkeypatch.setattr(
            attempt, "build", lambda pipeline, *more: broken() if pipeline.name == "odd" else build(pipeline, *more)
        )
    expected = {("odd", 1, "internal"), ("bad", 1, "missing-key"), ("bad", 2, "unknown-key")}
    found = errors(root)
    assert places(found) == expected
    [bug] = [each for each in found if each.code == "internal"]
    assert re.search(rf"a bug of ours while {part} .*KeyError: 'load' at .*\.py:\d+ .* report", bug.message)
    assert scanned(root) == ({"good"}, expected)
