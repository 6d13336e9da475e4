"""A run's params, as texts or JSON, against the form of its DAG: wrong ones are found before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from sluicegate.api.errors import WrongParam

__all__ = ["Form", "differences", "from_json", "given_params"]


_MISSING = object()


@dataclass(frozen=True)
class Form:
    """What may be said of a run: by param, its JSON Schema, and its default."""

    schemas: Mapping[str, Mapping[str, object]]
    defaults: Mapping[str, object]

    def checked(self, given: Mapping[str, object]) -> dict[str, object]:
        """`given`, if a run may have it.

        :raises WrongParam: that names everything that is wrong.
        """
        wrong = [*self._unknown(given), *self._invalid(given)]
        if wrong:
            known = ", ".join(sorted(self.schemas)) or "none"
            raise WrongParam("\n".join(wrong), f"The params are: {known}.")
        return dict(given)

    def _unknown(self, given: Mapping[str, object]) -> Iterable[str]:
        for name in given:
            if name not in self.schemas:
                near = get_close_matches(name, self.schemas, n=1)
                yield f"There is no param {name}." + (f" Did you mean {near[0]}?" if near else "")

    def _invalid(self, given: Mapping[str, object]) -> Iterable[str]:
        from jsonschema import Draft7Validator, FormatChecker  # type: ignore[import-untyped]

        for name, schema in self.schemas.items():
            value = given.get(name, self.defaults.get(name))
            errors = Draft7Validator(schema, format_checker=FormatChecker()).iter_errors(value)
            error = next(iter(errors), None)
            if error is None:
                continue
            if name not in given and value is None:
                yield f"{name} has to be given: it has no default."
            else:
                yield f"{name}: {_words(error.validator, error.validator_value, error.instance, error.message)}."


def given_params(texts: Sequence[str], document: Mapping[str, object], form: Form) -> dict[str, object]:
    """The params of `name=value` texts over those of a JSON document. A value is text where the param may be one, else
    JSON.

    :raises WrongParam: for a text that is not such a pair, a name that is given twice, or a value that is not JSON.
    """
    found: dict[str, object] = {}
    for words in texts:
        name, equals, value = words.partition("=")
        if not equals or not name:
            raise WrongParam(f"{words!r} is not name=value.", "Write for example --param file=people.csv")
        if name in found:
            raise WrongParam(f"{name} is given twice.", "Say it once.")
        found[name] = _value(name, value, form.schemas.get(name, {}))
    return {**document, **found}


def from_json(text: str, where: str) -> dict[str, object]:
    """The params of a JSON object.

    :raises WrongParam: for anything else, a name that is in it twice, and numbers that are not JSON.
    """
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except ValueError as error:
        raise WrongParam(f"{where} is not JSON: {error}.", 'Write an object: {"file": "people.csv"}') from error
    if not isinstance(found, dict):
        raise WrongParam(f"{where} is not a JSON object.", 'Write one: {"file": "people.csv"}')
    return found


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """The names of the params that the two do not say alike."""
    return [name for name in sorted({*one, *other}) if not _same(one.get(name, _MISSING), other.get(name, _MISSING))]


def _same(one: object, other: object) -> bool:
    """As in JSON, where 1 is not true."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _value(name: str, words: str, schema: Mapping[str, object]) -> object:
    said, options = schema.get("type"), schema.get("enum")
    kinds = said if isinstance(said, list) else [said] if said is not None else []
    of_texts = any(isinstance(each, str) for each in options) if isinstance(options, list) else True
    if "string" in kinds or (not kinds and of_texts):
        return words
    try:
        return json.loads(words, parse_constant=_no_number)
    except ValueError as error:
        expected = " or ".join(map(str, kinds)) or "one of its options"
        raise WrongParam(f"{name}: {words!r} is not {expected}.", "Write the value as JSON.") from error


def _words(rule: str, expected: object, found: object, message: str) -> str:
    if rule == "type":
        kinds = expected if isinstance(expected, list) else [expected]
        return f"expected {' or '.join(map(str, kinds))}, not {found!r}"
    if rule == "enum" and isinstance(expected, list):
        near = get_close_matches(str(found), [str(each) for each in expected], n=1)
        return f"expected one of {', '.join(map(str, expected))}, not {found!r}" + (
            f"; did you mean {near[0]}" if near else ""
        )
    return message.rstrip(".")


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} is in it twice")
    return found


def _no_number(constant: str) -> object:
    raise ValueError(f"JSON has no number {constant}")
