"""Whatever becomes of a file, it is a valid pipeline or has an error with a place in it.

HYPOTHESIS_PROFILE=long tries more, and other cases each time.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sluicegate.pipeline import Diagnostic, read_tree
from sluicegate.pipeline.diagnostics import draw as drawn
from sluicegate.pipeline.file import read_draft

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
some = settings(
    max_examples=3000 if LONG else 120,
    derandomize=not LONG,
    phases=set(Phase) - {Phase.explain},
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

VALID = """\
sluicegate: 1
description: Delay by carrier and day, joined with the weather.
owner: data-platform
tags: [daily, flights]
schedule: {cron: "0 7 * * *", timezone: Europe/Berlin, start: 2013-02-11, end: 2013-02-14, catchup: true}
fresh_within: 30h
retries: {count: 3, delay: 30s, max_delay: 10m}
max_active_runs: 2
paused: false
params:
  carrier: {type: string, default: null, description: One carrier only}
datasets:
  flights: s3://lake/flights/{{ ds }}.csv
  joined: {uri: "s3://lake/delays/{{ ds }}/", format: {type: csv, "null": ["", NA], delimiter: ";", header: true}}
  delays: table://warehouse/public.delays
steps:
  fetch:
    operator: airflow.providers.standard.operators.bash.BashOperator
    with: {bash_command: "fetch {{ window.start }} ümläut", env: {A: "1"}}
    writes: flights
    pool: small
  join:
    transform: delay_code:join
    reads: {flights: flights}
    writes: {out: joined}
    with: {limit: 10}
    timeout: 1h
  # what it becomes
  load_delays:
    load: joined
    into: delays
    key: [carrier, day]
    newest_by: computed_at
    columns:
      carrier: {type: text, required: true}
      day: date
      delay: {type: double, between: [-120, 2000]}
      computed_at: timestamptz
    checks:
      - expect_column_values_to_match_regex: {column: carrier, regex: "^[A-Z0-9]{2}$"}
    dead_letters: {max: 5%}
    wait: 6h
  weather: {load: "s3://lake/weather/{{ ds }}.csv", into: table://warehouse/weather, key: id, wait: 1h}
  tell:
    python: delay_code:tell
    after: [load_delays, {dag: old_dag, task: export}]
    retries: 1
    trigger_rule: all_done
"""
DEFAULTS = "owner: nobody\nretries: {count: 1}\nconnections: {aws: aws_default}\n"
CODE = "def join(flights, limit, params):\n    return flights\n\ndef tell(window):\n    pass\n"

WORDS = tuple(sorted({*re.findall(r"[A-Za-z_]+", VALID), "matrix", "for_each", "group", "setup", "alerts", "dag"}))
ODD = (
    "\t", "\n", "\r", "\r\n", "\x00", "\x07", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff", "\ud7ff",
    "\U0001f600", "é", "{{", "}}", "{%", "%}", "{#", "*a", "&a ", "!!python/object:os.system ", "<<: ", "---\n",
    "...\n", "? ", "- ", ": ", "#", "'", '"', "[", "]", "{", "}", ",", "|", ">", "`", "@", "%", "${env:HOME}", "\\",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    {"region": ["eu", "us"]}, {"region": []}, "{{ matrix.region }}", "${env:SLUICEGATE_A}", "${env:SLUICEGATE_A:7}",
    "${env", None, True, False, 0, -1, 1, 10**30, 1.5, float("nan"), float("inf"), "", " ", "x", "7", "2013-02-30",
    "*/0 * * * *", "0 0 31 2 *", "30 s", "1e9d", "999999999999d", "5%", "-5%", "s3://", "s3:/x", "s3://b/{{ nope }}",
    "s3://b/{{ ds", "table://w", "ftp://x/y", "pipeline.none", "mine.flights", "a.b.c", ":", "delay_code:", ":join",
    "delay_code:nope", "os.system:x", "airflow.nope.Nope", "sluicegate", [], [[]], [None], ["x", "x"], [1, 2, 3], {},
    {"a": None}, {"dataset": "flights"}, {"dataset": None}, {"latest": "yes"}, {"dag": "x"},
    {"dag": None, "task": "t"}, {"": ""}, {"type": []}, "x" * 3000, "{{ params.carrier }}", "{{ params['no'] }}",
    "{{ ds | nofilter }}", "{% for x in y %}", "{{ 1 / 0 }}", "\u2028",
)  # fmt: skip


@pytest.fixture
def root() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    (folder / "delay_code.py").write_text(CODE)
    (folder / "mine.yaml").write_text(VALID, encoding="utf-8")
    yield folder
    shutil.rmtree(folder)


def test_what_is_mutated_is_valid(root: Path) -> None:
    (root / "defaults.yaml").write_text(DEFAULTS)
    assert [str(each) for each in read_draft(root / "mine.yaml", root).diagnostics] == []


@st.composite
def changed_texts(draw: st.DrawFn, valid: str = VALID) -> bytes:
    """Bytes, letters, words and lines of the file changed, taken out, doubled, moved."""
    data = valid.encode()
    for _ in range(draw(st.integers(1, 3))):
        data = draw(st.sampled_from(_CHANGES))(draw, data)
    return data


def _byte(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, max(0, len(data) - 1)))
    return data[:at] + draw(st.binary(min_size=1, max_size=2)) + data[at + 1 :]


def _cut(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    return data[:at] + data[at + draw(st.integers(0, 200)) :]


def _truncated(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


def _odd(draw: st.DrawFn, data: bytes) -> bytes:
    text = data.decode("utf-8", "replace")
    at = draw(st.integers(0, len(text)))
    return (text[:at] + draw(st.sampled_from(ODD)) + text[at:]).encode("utf-8", "replace")


def _line(draw: st.DrawFn, data: bytes) -> bytes:
    """One line doubled, taken out, moved, or indented otherwise."""
    lines = data.splitlines(keepends=True) or [b""]
    at = draw(st.integers(0, len(lines) - 1))
    line = lines[at]
    what = draw(st.sampled_from(("double", "drop", "move", "indent", "dedent")))
    if what == "double":
        lines.insert(at, line)
    elif what in ("drop", "move"):
        del lines[at]
        if what == "move":
            lines.insert(draw(st.integers(0, len(lines))), line)
    else:
        lines[at] = b"  " + line if what == "indent" else line[1:]
    return b"".join(lines)


def _misspelt(draw: st.DrawFn, data: bytes) -> bytes:
    word = draw(st.sampled_from(WORDS)).encode()
    at = data.find(word)
    letter = draw(st.integers(0, len(word) - 1))
    before, after = word[:letter], word[letter:]
    other = draw(st.sampled_from((before + after[1:], before + b"x" + after, word.upper())))
    return data if at < 0 else data[:at] + other + data[at + len(word) :]


_CHANGES = (_byte, _cut, _truncated, _odd, _line, _misspelt)


parsed = cache(yaml.safe_load)
dumped = partial(yaml.dump, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)


@st.composite
def changed_values(draw: st.DrawFn, valid: str = VALID) -> bytes:
    """Still YAML: values of other types, keys that are misspelt, missing, doubled elsewhere."""
    value = copy.deepcopy(parsed(valid))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        if not found:
            break
        holder, key = draw(st.sampled_from(found))
        what = draw(st.sampled_from(("value", "drop", "rename", "copy")))
        if what == "value":
            holder[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif what == "drop":
            del holder[key]
        elif what == "copy":
            other, other_key = draw(st.sampled_from(found))
            holder[key] = copy.deepcopy(other[other_key])
        elif isinstance(holder, dict):
            name = draw(st.sampled_from((str(key)[:-1], f"{key}s", str(key).upper(), *WORDS, "1", "null", "é", " ")))
            holder[name] = holder.pop(key)
    width, flow = draw(st.sampled_from((40, 1000))), draw(st.sampled_from((True, False, None)))
    return dumped(value, width=width, default_flow_style=flow).encode()


def places(value: object) -> Iterator[tuple[Any, Any]]:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield value, key
        yield from places(item)


@some
@given(data=changed_texts(), defaults=st.booleans())
def test_a_file_whose_text_was_damaged_reads_or_says_where(root: Path, data: bytes, defaults: bool) -> None:
    reads_or_says_where(root, data, DEFAULTS.encode() if defaults else None)


@some
@given(data=changed_values())
def test_a_file_whose_values_were_damaged_reads_or_says_where(root: Path, data: bytes) -> None:
    reads_or_says_where(root, data)


@some
@given(data=changed_values() | changed_texts())
def test_defaults_that_were_damaged_read_or_say_where(root: Path, data: bytes) -> None:
    reads_or_says_where(root, b"sluicegate: 1\nsteps:\n  a: {load: s3://b/a.csv, into: table://w/a}\n", data)


@some
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_read_or_say_where(root: Path, data: bytes) -> None:
    reads_or_says_where(root, b"sluicegate:" + data)


def reads_or_says_where(root: Path, data: bytes, defaults: bytes | None = None) -> None:
    file, beside = root / "mine.yaml", root / "defaults.yaml"
    file.write_bytes(data)
    beside.unlink(missing_ok=True)
    if defaults is not None:
        beside.write_bytes(defaults)
    draft = read_draft(file, root)
    assert draft.is_good or any(diagnostic.is_error for diagnostic in draft.diagnostics)
    tree = read_tree(root)
    for known in tree.files:
        is_good = known in {pipeline.file for pipeline in tree.pipelines.values()}
        assert is_good != any(diagnostic.is_error for diagnostic in tree.diagnostics_of(known))
    for diagnostic in (*draft.diagnostics, *tree.diagnostics):
        stands_in_its_file(diagnostic)


def stands_in_its_file(diagnostic: Diagnostic) -> None:
    lines = re.split("\r\n|[\r\n\x85\u2028\u2029]", diagnostic.file.read_bytes().decode("utf-8-sig", "replace"))
    assert diagnostic.message.strip()
    assert 1 <= diagnostic.line <= len(lines) + 1, diagnostic
    line = lines[diagnostic.line - 1] if diagnostic.line <= len(lines) else ""
    assert 1 <= diagnostic.column <= len(line) + 1, diagnostic
    shown = drawn(diagnostic)
    assert all(letter.isprintable() or letter in "\n\t" for letter in shown), shown
