from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors
from sluicegate.pipeline.text.yaml import Document, parse

FILE = Path("orders.yaml")


def read(text: str | bytes) -> Document:
    return parse(text.encode() if isinstance(text, str) else text, FILE)


def refused(text: str | bytes) -> Diagnostic:
    with pytest.raises(PipelineErrors) as errors:
        read(text)
    [diagnostic] = errors.value.diagnostics
    return diagnostic


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("off", "off"), ("yes", "yes"), ("no", "no"), ("y", "y"),
        ("7:30", "7:30"), ("1:30:00", "1:30:00"), ("010", 10), ("0o17", 15), ("0x1F", 31), ("0b11", "0b11"),
        ("1_000", "1_000"), ("+12", 12), ("-3", -3), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1.", 1.0),
        (".inf", math.inf), ("-.INF", -math.inf), ("true", True), ("True", True), ("FALSE", False), ("tRue", "tRue"),
        ("null", None), ("~", None), ("", None), ("Null", None), ("2026-01-01", "2026-01-01"), ("1.2.3", "1.2.3"),
        ("'1'", "1"), ('"true"', "true"), ("5%", "5%"), ("=", "="), ("0o9", "0o9"), ("-", None),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    expected = [None] if text == "-" else value
    assert read(f"a: {text}" if text != "-" else "a:\n  -").value == {"a": expected}


def test_nan_is_a_number() -> None:
    assert math.isnan(read("a: .nan").value["a"])


@given(st.integers(-(10**30), 10**30))
def test_integers_come_back(number: int) -> None:
    assert read(f"a: {number}").value == {"a": number}


@given(st.floats(allow_nan=False))
def test_floats_come_back(number: float) -> None:
    text = repr(number).replace("inf", ".inf")
    assert read(f"a: {text}").value == {"a": number}


def test_keys_are_always_text() -> None:
    assert read("null: 1\ntrue: 2\n3: 4\n").value == {"null": 1, "true": 2, "3": 4}


def test_aliases_are_values() -> None:
    assert read("a: &x {b: [1]}\nc: *x\n").value == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_an_empty_file_is_an_empty_mapping() -> None:
    assert read("# nothing\n").value == {}


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read(b"\xef\xbb\xbfa: 1").value == {"a": 1}


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ('a: 1\nb: "abc\nc: 2\n', 2, 4, "this quote is never closed"),
        ("a: 1\nb: 'abc\nc: 2\n", 2, 4, "this quote is never closed"),
        ("a: 'x\nb: 'y'\n", 1, 4, "this quote is closed only on line 2"),
        ('a: "x\nb: "y"\nc: "z"\n', 1, 4, "this quote is closed only on line 2"),
        ("a: [1, 2\nb: 3\n", 1, 4, "this `[` is not closed"),
        ("x: 1\na: {b: 1\nc: 3\n", 2, 4, "this `{` is not closed"),
        ("schedule: @daily\n", 1, 11, "a value that begins with `@` has to be quoted"),
        ("a:\n\tb: 1\n", 2, 1, "a tab cannot indent"),
        ("a: 1\n  b: 2\n", 2, 4, "unexpected `:`: quote the value"),
        ("a: x: y\n", 1, 5, "unexpected `:`: quote the value"),
        ("a:\n   b: 1\n  c: 2\n", 3, 3, "this does not fit"),
        ("a: 1\n---\nb: 2\n", 2, 1, "one file is one document"),
        ("a: *nope\n", 1, 4, "undefined alias"),
        ("- a\n- b\n", 1, 1, "expected keys and values"),
        ("just text\n", 1, 1, "expected keys and values"),
        ("a: 1\nb: \x01\n", 2, 4, "U+0001"),
        ('a: "\\q"\n', 1, 5, "unknown escape"),
    ],
)
def test_what_is_no_yaml_is_placed_at_its_cause(text: str, line: int, column: int, words: str) -> None:
    diagnostic = refused(text)
    assert (diagnostic.line, diagnostic.column) == (line, column), diagnostic
    assert words in diagnostic.message
    assert diagnostic.source == text.split("\n")[line - 1]


QUOTED = """\
description: "first words"
schedule: {cron: "0 7 * * *", start: "2013-02-11", catchup: true}
raw: {uri: "s3://x/{{ ds }}", format: {null: ["", "NA", "-"]}}
steps:
  join:
    args: ["--x", "{{ window.end }}"]
    with:
      - "one"
      - "two"
  load:
    columns:
      carrier: {type: text, matches: "^[A-Z0-9]{2}$"}
    checks:
      - expect_x: {column: carrier, regex: "^x$"}
      - expect_y: {column: "a", regex: plain}
    last: "end"
"""


@pytest.mark.parametrize("quote", ['"', "'"])
def test_whichever_quote_is_not_closed_is_told_where_it_opens(quote: str) -> None:
    whole = QUOTED.replace('"', quote)
    for found in re.finditer(f"{quote}[^{quote}]*{quote}", whole):
        diagnostic = refused(whole[: found.end() - 1] + whole[found.end() :])
        opened = whole[: found.start()]
        place = (opened.count("\n") + 1, len(opened) - opened.rfind("\n"))
        assert (diagnostic.line, diagnostic.column) == place, diagnostic
        assert "quote" in diagnostic.message


def test_what_is_not_utf_8_is_placed() -> None:
    diagnostic = refused("a: ü\nb: ä\n".encode() + b"c: \xfc\n")
    assert (diagnostic.code, diagnostic.line, diagnostic.column) == ("encoding", 3, 4)


def test_columns_count_characters() -> None:
    [diagnostic] = read("ü: {𝔘: 1, 𝔘: 2}\n").diagnostics
    assert (diagnostic.line, diagnostic.column) == (1, 11)


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "where"),
    [
        ("a: 1\nb: 2\na: 3\n", "duplicate-key", 3, 1, "a"),
        ("s:\n  x: {k: 1, k: 2}\n", "duplicate-key", 2, 13, "s.x.k"),
        ("1: a\n'1': b\n", "duplicate-key", 2, 1, "1"),
        ("a: !!int 3\n", "tag", 1, 4, "a"),
        ("a:\n  - !env HOME\n", "tag", 2, 5, "a.0"),
        ("a: {<<: {b: 1}}\n", "merge-key", 1, 5, "a"),
        ("a: {{ ds }}\n", "key", 1, 4, "a"),
    ],
)
def test_what_yaml_allows_but_we_do_not_is_placed(text: str, code: str, line: int, column: int, where: str) -> None:
    [diagnostic] = read(text).diagnostics
    assert (diagnostic.code, diagnostic.line, diagnostic.column, diagnostic.where) == (code, line, column, where)


def test_a_duplicate_key_names_the_first() -> None:
    [diagnostic] = read("a: 1\nb: 2\na: 3\n").diagnostics
    assert "line 1" in diagnostic.message


def test_aliases_that_explode_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert refused("\n".join(lines)).code == "too-large"


@pytest.mark.parametrize("text", ["a: &x [*x]", "a: &x {b: *x}", "a: " + "[" * 900 + "]" * 900])
def test_what_has_no_end_or_is_too_deep_is_refused(text: str) -> None:
    assert refused(text).code == "too-large"


def test_a_number_of_absurd_length_stays_text() -> None:
    digits = "9" * 5000
    assert read(f"a: {digits}").value == {"a": digits}


@given(st.text())
def test_no_text_crashes_the_parser(text: str) -> None:
    try:
        read(text.encode("utf-8", "surrogatepass"))
    except PipelineErrors as errors:
        [diagnostic] = errors.diagnostics
        assert diagnostic.line >= 1
        assert diagnostic.column >= 1


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="abc: #{}[]&*!|>'\"%@`,-?\n\t é"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
))  # fmt: skip
def test_what_json_says_is_read_as_json_does(value: object) -> None:
    import json

    assert read(json.dumps({"a": value})).value == {"a": value}


def test_a_place_is_found_for_keys_and_values() -> None:
    document = read("steps:\n  join:\n    after: [a, bb]\n    wait: 6h\n")
    assert document.follow(("steps", "join", "wait"))[2:] == ((4, 5), (4, 11))
    assert document.follow(("steps", "join", "after", 1))[3] == (3, 16)
    reached, _, key, _ = document.follow(("steps", "join", "nothing"))
    assert (reached, key) == (2, (2, 3))


@pytest.mark.parametrize("text", ["a: " + "[" * 100_000, "a:\n  " + "- " * 100_000, "a: " + "{b: " * 50_000])
def test_nesting_that_would_overflow_the_stack_is_a_mistake(text: str) -> None:
    with pytest.raises(PipelineErrors, match="nested deeper than 100 levels"):
        parse(text.encode(), Path("a.yaml"))


def test_a_long_flat_file_is_not_taken_for_a_deep_one() -> None:
    assert len(parse(("a:\n" + "  - [1, 2]\n" * 5_000).encode(), Path("a.yaml")).value["a"]) == 5_000
