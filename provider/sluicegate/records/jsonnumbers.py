"""The values of a JSON text with all digits of their numbers.

DuckDB reads a number with a fraction or an exponent as a double, also inside an object, and gives back sixteen or
seventeen digits. So such numbers, where a double might not be enough, are made texts with a mark before DuckDB reads
the line, and numbers again afterwards.
"""

from __future__ import annotations

import re
import secrets

from sluicegate.checks.sql import literal

__all__ = ["MARK_NUMBERS", "mark_numbers", "with_values"]

MARK_NUMBERS = "sluicegate_mark_numbers"
"""The SQL function that `mark_numbers` has to be registered as."""
_HEX = secrets.token_hex(8)
_MARK = f"\\u0001{_HEX}:"
"""As it is written inside a JSON text; no data has it."""
_LONG = "|".join(f"[0-9]{{{whole},}}\\.[0-9]{{{16 - whole},}}" for whole in range(1, 16))
_SUSPECT = rf"[:,\[]\s*-?(?:{_LONG}|[0-9.]+[eE])"
_NUMBER = r"-?[0-9]+(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)"
_TOKEN = re.compile(rf'"(?:[^"\\]|\\.)*"|{_NUMBER}')


def with_values(relation: str, paths: str) -> str:
    """`relation`, which has the columns `text` and `why`, with `v`: the values of each text that is without a `why`.

    :param paths: SQL of a list of JSON pointers.
    """
    quoted = literal(f'\\1"{_MARK.replace(chr(92), chr(92) * 2)}\\2"')
    replaced = f"regexp_replace(text, '([:,\\[]\\s*)({_NUMBER})', {quoted}, 'g')"
    # What DuckDB writes in the very digits it read has lost nothing; that is asked first, for it is the quickest.
    again = "CAST(json(text) AS VARCHAR)"
    marked = (
        f"CASE WHEN why IS NOT NULL OR {again} = text THEN NULL "
        f"WHEN replace({again}, ' ', '') = replace(text, ' ', '') THEN NULL "
        f"WHEN regexp_matches(text, '{_SUSPECT}') THEN {replaced} END"
    )
    # A mark inside a string ends that string, so that what is left is not JSON: then they are distinguished with care.
    careful = f"CASE WHEN json_valid(marked) THEN marked ELSE {MARK_NUMBERS}(text) END"
    number = f"regexp_replace(x, '\"?(?:\\\\u0001|\\x01){_HEX}:([^\"]*)\"?', '\\1', 'g')"
    return (
        "SELECT *, CASE WHEN why IS NOT NULL THEN NULL "
        f"WHEN marked IS NULL THEN json_extract_string(text, {paths}) ELSE list_transform("
        f"json_extract_string({careful}, {paths}), lambda x: CASE WHEN contains(x, '{_HEX}') THEN {number} ELSE x END) "
        f"END AS v FROM (SELECT *, {marked} AS marked FROM ({relation}))"
    )


def mark_numbers(text: str) -> str:
    """`text` with a mark before each number that DuckDB would read as a double, and the two made a string."""
    return _TOKEN.sub(lambda token: token[0] if token[0].startswith('"') else f'"{_MARK}{token[0]}"', text)
