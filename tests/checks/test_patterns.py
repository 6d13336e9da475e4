"""Which regular expressions an engine may carry out by itself."""

from __future__ import annotations

import re

import pytest

from sluicegate.checks.dialect import DUCKDB, SEARCH
from sluicegate.checks.patterns import found, is_plain


@pytest.mark.parametrize("pattern", [r"\B", r"a|\B", r"(?i)\Bx"])
def test_a_boundary_that_an_engine_finds_in_an_empty_text_is_left_to_python(pattern: str) -> None:
    assert not is_plain(pattern)
    assert found(DUCKDB, "''", pattern).startswith(f"{SEARCH}(")


@pytest.mark.parametrize("pattern", [r"\b", r"^a\b", r"[a-z]+\b"])
def test_a_boundary_of_words_means_the_same_to_all(pattern: str) -> None:
    import duckdb

    assert is_plain(pattern)
    for text in ("", "a", " a", "1-a"):
        row = duckdb.execute("SELECT regexp_matches(?, ?)", [text, pattern]).fetchone()
        assert row == (bool(re.search(pattern, text)),)
