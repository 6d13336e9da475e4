"""Whatever becomes of a file, the whole of `check` and the scan of a bundle judge it and every other file.

Mutated inside its strings as well: URIs, templates, crons, regular expressions. HYPOTHESIS_PROFILE=long tries more,
and other cases each time.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sluicegate.cli.findings import look_at
from sluicegate.discovery.scan import scan
from sluicegate.discovery.store import BundleStore
from sluicegate.pipeline.diagnostics import BUG, Diagnostic
from sluicegate.pipeline.text.environment import Environment
from tests.pipeline.test_mutations import (
    CODE,
    VALID,
    changed_texts,
    changed_values,
    dumped,
    parsed,
    places,
    stands_in_its_file,
)

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"


def some(quick: int) -> settings:
    return settings(
        max_examples=quick * int(os.environ.get("HYPOTHESIS_TIMES", "40")) if LONG else quick,
        derandomize=not LONG,
        phases=set(Phase) - {Phase.explain},
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


STEPS = """\
  lists: {python: "delay_code:tell", group: prepare.lists}
  each:
    operator: airflow.providers.standard.operators.bash.BashOperator
    for_each: {output_of: lists}
    with: {bash_command: "fetch {{ item }}", retry_delay: 5m, env: {DAY: "{{ ds }}"}}
    group: prepare
  parts:
    transform: delay_code:join
    for_each: {files: "s3://lake/in/{{ ds }}/*.csv"}
    with: {limit: 1, flights: 2}
    writes: {out: "s3://lake/parts/{{ ds }}/{{ item.name }}"}
  undo: {operator: airflow.providers.standard.operators.empty.EmptyOperator, teardown_of: fetch}
  weekly: {load: "other.out", into: "table://warehouse/weekly", mode: append, wait: 2h}
  rates: {load: {dataset: other.rates, latest: true}, into: "table://warehouse/rates", key: id}
"""
FULL = VALID + STEPS
OTHER = """\
sluicegate: 1
schedule: {cron: "0 0 * * *", start: 2013-02-01}
datasets:
  out: s3://lake/other/{{ ds }}.csv
  rates: s3://lake/rates.csv
steps:
  make: {python: "delay_code:tell", writes: {out: out, rates: rates}}
"""
READER = """\
sluicegate: 1
schedule: {cron: "0 8 * * *", start: 2013-02-11, end: 2013-02-14}
steps:
  read: {load: mine.flights, into: "table://warehouse/read", key: id}
"""
GOOD = 'sluicegate: 1\nsteps: {a: {load: "s3://b/a.csv", into: "table://warehouse/a"}}\n'
FROM_OTHERS = {
    "upstream-broken",
    "missing-pipeline",
    "missing-dataset",
    "window",
    "cycle",
    "item-place",
    "param-place",
    "format",
    "uri",
}
"""What a reader may be told of the file that it reads from."""

BITS = (
    "{{ ds }}", "{{ ds }", "{{", "}}", "{%", "{% if ds %}", "{#", "|", "| nope", "{{ item }}", "{{ params.carrier }}",
    "{{ params['x'] }}", "{{ window.strt }}", "{{ 1/0 }}", "{{ ds[0] }}", "{{ (((( }}", "://", "s3://", "table://", ":",
    "/", "//", "..", ".", "*", "**", "?", "[", "]", "(", ")", "+", "\\", "$", "^", "{2", "(?P<", "(?<=a+)", "@",
    "L", "W", "#", "5-1", "*/0", "60", "99999999999999999999", "-", ",", "%", "é", "\u2028", "\x00", "\ud7ff", " ",
    "@dail", "O", "0", "A", "_", "other.", "mine.", "none", "null", "x" * 300,
)  # fmt: skip


@pytest.fixture
def root() -> Iterator[Path]:
    before = list(sys.path)
    top = Path(tempfile.mkdtemp())
    folder = top / "dags"
    folder.mkdir()
    (folder / "delay_code.py").write_text(CODE)
    for name, text in (("other", OTHER), ("reader", READER), ("good", GOOD)):
        (folder / f"{name}.yaml").write_text(text)
    yield folder
    sys.path[:] = before
    sys.modules.pop("delay_code", None)
    shutil.rmtree(top)


@st.composite
def changed_strings(draw: st.DrawFn) -> bytes:
    """Still YAML: letters and words inside texts are put in, taken out and moved."""
    value = copy.deepcopy(parsed(FULL))
    for _ in range(draw(st.integers(1, 3))):
        texts = [(holder, key) for holder, key in places(value) if isinstance(holder[key], str)]
        holder, key = draw(st.sampled_from(texts))
        holder[key] = draw(_changed(holder[key]))
    return _dumped(value)


@st.composite
def changed_names(draw: st.DrawFn) -> bytes:
    """As above, of the names of datasets and steps that others refer to."""
    value = copy.deepcopy(parsed(FULL))
    section: dict[str, Any] = value[draw(st.sampled_from(("datasets", "steps", "params")))]
    name = draw(st.sampled_from(sorted(section)))
    section[draw(_changed(name))] = section.pop(name)
    return _dumped(value)


@st.composite
def _changed(draw: st.DrawFn, text: str) -> str:
    at = draw(st.integers(0, len(text)))
    end = draw(st.integers(at, min(len(text), at + 12)))
    what = draw(st.sampled_from(("put in", "take out", "replace", "cut", "twice", "swap")))
    if what == "put in":
        return text[:at] + draw(st.sampled_from(BITS)) + text[at:]
    if what == "replace":
        return text[:at] + draw(st.sampled_from(BITS)) + text[end:]
    if what == "twice":
        return text[:end] + text[at:]
    if what == "swap":
        return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]
    return text[:at] + text[end:] if what == "take out" else text[:at]


def _dumped(value: object) -> bytes:
    return dumped(value, width=1000).encode("utf-8", "surrogateescape")


def test_what_is_mutated_is_valid(root: Path) -> None:
    (root / "mine.yaml").write_text(FULL)
    found = look_at([root], root, None)
    assert [str(each) for each in found.diagnostics if each.is_error] == []
    assert scan(root, BundleStore(root.parent / "home"), Environment({})).errors == {}


@some(100)
@given(data=changed_strings() | changed_names())
def test_check_judges_every_file_whatever_one_string_became(root: Path, data: bytes) -> None:
    is_judged(root, data)


@some(60)
@given(data=changed_values(FULL) | changed_texts(FULL))
def test_check_judges_every_file_whatever_became_of_one(root: Path, data: bytes) -> None:
    is_judged(root, data)


@some(60)
@given(data=changed_strings() | changed_names() | changed_values(FULL))
def test_the_scan_says_all_that_check_says(root: Path, data: bytes) -> None:
    told = is_judged(root, data)
    shutil.rmtree(root.parent / "home", ignore_errors=True)
    found = scan(root, BundleStore(root.parent / "home"), Environment({}))
    text = "\n".join(found.errors.values())
    assert f"error[{BUG}]" not in text
    assert {"good", "other"} <= found.pipelines.keys(), found.errors
    for each in told:
        if each.is_error and each.code != "build":
            place = f"{each.file.relative_to(root)}:{each.line}:{each.column}: error[{each.code}]: "
            assert place in text, (place, text)


def is_judged(root: Path, data: bytes) -> tuple[Diagnostic, ...]:
    (root / "mine.yaml").write_bytes(data)
    found = look_at([root], root, None)
    for each in found.diagnostics:
        assert each.code != BUG, each
        stands_in_its_file(each)
        allowed = FROM_OTHERS if each.file.stem == "reader" else {"cycle"} if each.file.stem == "other" else set()
        assert each.file.stem == "mine" or not each.is_error or each.code in allowed, each
    assert re.search(rb"^sluicegate:", data, re.MULTILINE) is None or root / "mine.yaml" in found.files
    return found.diagnostics
