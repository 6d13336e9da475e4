from __future__ import annotations

from typing import Any

import pytest

from sluicegate.api.errors import WrongParam
from sluicegate.api.params import Form, differences, from_json, given_params

FORM = Form(
    {
        "file": {"type": "string"},
        "days": {"type": "integer", "minimum": 1},
        "day": {"type": ["null", "string"]},
        "region": {"enum": ["eu", "us"]},
        "level": {"enum": [1, 2]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "free": {},
    },
    {"file": None, "days": 1, "day": None, "region": "eu", "level": 1, "tags": [], "free": None},
)


def test_a_value_is_text_or_json_by_its_param() -> None:
    texts = ["file=7", "days=7", "day=null", "region=us", "level=2", 'tags=["a=b"]', "free=x=y"]
    assert FORM.checked(given_params(texts, {}, FORM)) == {
        "file": "7", "days": 7, "day": "null", "region": "us", "level": 2, "tags": ["a=b"], "free": "x=y",
    }  # fmt: skip


def test_a_text_wins_over_the_document() -> None:
    assert given_params(["file=b"], {"file": "a", "days": 2}, FORM) == {"file": "b", "days": 2}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "file has to be given: it has no default."),
        ({"fiel": "a", "file": "a"}, "There is no param fiel. Did you mean file?"),
        ({"file": 7}, "file: expected string, not 7."),
        ({"file": "a", "days": True}, "days: expected integer, not True."),
        ({"file": "a", "days": 0}, "days: 0 is less than the minimum of 1."),
        ({"file": "a", "region": "use"}, "region: expected one of eu, us, not 'use'; did you mean us."),
        ({"file": "a", "tags": [1]}, "tags: expected string, not 1."),
    ],
)
def test_a_run_that_airflow_would_refuse_is_refused_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(WrongParam) as wrong:
        FORM.checked(given)
    assert words in wrong.value.message
    assert wrong.value.exit_code == 2


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(WrongParam) as wrong:
        FORM.checked({"a": 1, "days": "x"})
    assert len(wrong.value.message.splitlines()) == 3


@pytest.mark.parametrize("texts", [["file"], ["=a"], ["file=a", "file=b"], ["days=seven"], ["days=NaN"]])
def test_a_text_that_cannot_be_meant_is_wrong_use(texts: list[str]) -> None:
    with pytest.raises(WrongParam):
        given_params(texts, {}, FORM)


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a": 1, "a": 2}', '{"a": NaN}'])
def test_a_document_that_is_no_object_of_json_is_wrong_use(text: str) -> None:
    with pytest.raises(WrongParam):
        from_json(text, "x.json")


def test_params_differ_by_value_and_by_being_said() -> None:
    assert differences({"a": 1, "b": None}, {"a": 1}) == ["b"]
    assert differences({"a": 1}, {"a": 2, "c": 3}) == ["a", "c"]
    assert differences({"a": 1, "b": 1}, {"a": True, "b": 1.0}) == ["a"]
