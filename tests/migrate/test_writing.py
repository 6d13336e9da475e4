from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.migrate.writing import write
from sluicegate.pipeline.text.yaml import parse

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30) | st.sampled_from(
    ["yes", "on", "~", "null", "1e3", "0o7", "2026-01-01", "30m", "a: b", "a #b", "- a", "{{ ds }}", "|", " a", "a ",
     "line\nline", "line\n\nline\n", " line\nline", "line \nline", "line\n", "\n", "a\n\n", "%x", "a,b", "@daily", "#"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def read(text: str) -> dict[str, Any]:
    document = parse(text.encode(), Path("x.yaml"))
    assert document.diagnostics == ()
    return document.value


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_what_is_written_is_read_as_the_same(value: dict[str, Any]) -> None:
    assert read(write(value, {}, ["head"])) == value


@given(
    st.dictionaries(st.sampled_from("abc"), st.lists(st.dictionaries(st.sampled_from("de"), st.integers())), min_size=1)
)
def test_comments_change_nothing(value: dict[str, Any]) -> None:
    places = [(key,) for key in value]
    places += [(key, index) for key, items in value.items() for index in range(len(items))]
    places += [(*place, name) for place in places for name in "de"]
    assert read(write(value, {place: ["one", "two # three"] for place in places}, [])) == value


def test_it_is_pleasant_to_read() -> None:
    value = {
        "sluicegate": 1,
        "tags": ["a", "b"],
        "schedule": {"cron": "@daily", "start": "2026-01-01"},
        "steps": {"one": {"with": {"bash_command": "set -e\necho one\n", "env": {}, "n": "1"}, "after": ["a", "b"]}},
        "jobs": [{"path": "x.py", "args": ["--a", 1]}, "y.py", []],
    }
    comments = {("schedule", "cron"): ["why"], ("steps", "one", "with", "env"): ["because"], ("jobs", 0): ["first"]}
    assert (
        write(value, comments, ["What it is."])
        == """\
# What it is.
sluicegate: 1
tags: [a, b]
schedule:
  # why
  cron: "@daily"
  start: 2026-01-01
steps:
  one:
    with:
      bash_command: |
        set -e
        echo one
      # because
      env: {}
      n: "1"
    after: [a, b]
jobs:
  # first
  - path: x.py
    args: ["--a", 1]
  - y.py
  - []
"""
    )


def test_a_long_comment_is_wrapped() -> None:
    text = write({"a": 1}, {("a",): ["word " * 60]}, [])
    assert len(text.splitlines()) == 4
    assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize("text", ["a\x85b", "a\u2028b", "a\tb", "\ufeffa", "a\x7fb\nc"])
def test_a_letter_that_yaml_minds_is_escaped(text: str) -> None:
    assert read(write({"x": text}, {}, [])) == {"x": text}
