"""`matrix:`: one file, several pipelines. Its combinations, and what their values replace.

`{{ matrix.region }}` is replaced when the file is read; every other template in the same text is left for the run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from sluicegate.graph.template import uses
from sluicegate.pipeline.diagnostics import Diagnostic, Where, did_you_mean
from sluicegate.pipeline.read.validate import invalid_name, leaves, mapping, shown
from sluicegate.pipeline.text.environment import filled
from sluicegate.pipeline.text.source import Report, Source

__all__ = ["MOST", "Combination", "combined_name", "merged", "read_matrix", "sources_of"]

MOST = 1000
"""Combinations of one file: more are probably a list that was meant otherwise."""

Combination = Mapping[str, str | int | float | bool]
_EXPRESSION = re.compile(r"\{\{\s*matrix\.([A-Za-z_]\w*)\s*\}\}")
_PART = re.compile(r"[a-z0-9_]+")
_ALIKE = 3  # of a thousand errors at one place that differ by a value, the first ones say enough
_LONGEST = 250  # Airflow's for the id of a DAG


def read_matrix(source: Source, report: Report) -> tuple[Combination, ...]:
    """The combinations of a file that has a `matrix:`, in the order of its values, the last axis fastest.

    There are none where the matrix is so wrong that nothing can be made of it; its errors are noted.
    """
    where: Where = ("matrix",)
    axes: dict[str, dict[str, Any]] = {}
    raw = mapping(source.layers[0].value["matrix"], where, report)
    if not raw and not any(diagnostic.where == "matrix" for diagnostic in report.diagnostics):
        report.error(where, "value", "a matrix needs at least one list: `matrix: {region: [eu, us]}`", key=True)
    for name, values in raw.items():
        if wrong := invalid_name(name):
            report.error((*where, name), "name", wrong, key=True)
        axes[name] = _axis(values, (*where, name), report)
    count = math.prod(len(axis) for axis in axes.values())
    if count > MOST:
        sizes = " x ".join(str(len(axis)) for axis in axes.values())
        report.error(where, "too-large", f"{sizes} are {count:,} pipelines; at most {MOST:,} are made", key=True)
        return ()
    found: dict[str, Combination] = {}
    for values in product(*(axis.values() for axis in axes.values())) if axes else ():
        combination = dict(zip(axes, values, strict=True))
        name = combined_name(source.file.stem, combination)
        if name in found:
            message = f"two combinations are called `{name}`: {_said(found[name])}, and {_said(combination)}"
            report.error(where, "duplicate-name", message, key=True)
        elif len(name) > _LONGEST:
            report.error(where, "name", f"the name `{name}` is longer than {_LONGEST} letters", key=True)
        else:
            found[name] = combination
    return tuple(found.values())


def _axis(values: object, where: Where, report: Report) -> dict[str, Any]:
    """The values of one list that are right, by their text."""
    if not isinstance(values, list):
        report.error(where, "type", f"expected a list of values, not {shown(values)}")
        return {}
    if not values:
        report.error(where, "value", "an empty list makes no pipeline")
    found: dict[str, Any] = {}
    for index, value in enumerate(values):
        at = (*where, index)
        words = _text(value) if isinstance(value, str | int | float) else ""
        if not _PART.fullmatch(words):
            message = f"{shown(value)} cannot be part of a pipeline's name: lower case letters, digits and `_`"
            report.error(at, "value", message, suggestion=_nearest(words))
        elif words in found:
            report.error(at, "value", f"`{words}` is here twice")
        else:
            found[words] = value
    return found


def _nearest(words: str) -> str | None:
    """`EU-West` as `eu_west`."""
    near = re.sub(r"[^a-z0-9_]+", "_", words.lower()).strip("_")
    return near or None


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def combined_name(stem: str, combination: Combination) -> str:
    """`orders_eu_1`."""
    return "_".join((stem, *(_text(value) for value in combination.values())))


def sources_of(source: Source, combinations: Sequence[Combination], report: Report) -> tuple[Source, ...]:
    """`source` for each combination, `{{ matrix.x }}` replaced. Expressions that cannot be are noted in `report`.

    Without combinations there is one, in which nothing is replaced.
    """
    axes = mapping(source.layers[0].value.get("matrix"), (), Report(source))
    used: list[tuple[str, Where]] = []
    unclear: list[Where] = []
    for words, where in _mentions(source):
        if _is_right(words, where, axes, report) and combinations:
            used.append((words, where))
        else:
            unclear.append(where)
    for where in _templated_keys(source.value, ()):
        report.error(where, "matrix", "`{{ matrix.… }}` is for values, not for keys: write the key itself", key=True)
        unclear.append(where)
    files = [layer.file for layer in source.layers]
    source = replace(source, unclear=source.unclear | {(file, where) for file in files for where in unclear})
    if not combinations:
        return (source,)
    return tuple(
        replace(
            source,
            name=combined_name(source.file.stem, combination),
            matrix=combination,
            value=filled(source.value, {where: _replaced(words, combination) for words, where in used}),
        )
        for combination in combinations
    )


def _mentions(source: Source) -> Iterator[tuple[str, Where]]:
    """The texts of the merged value that speak of the matrix."""
    for key, value in source.value.items():
        if key != "matrix":
            for words, where in leaves(value, (key,)):
                if "matrix" in words and ("{{" in words or "{%" in words):
                    yield words, where


def _templated_keys(value: object, way: Where) -> Iterator[Where]:
    items: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        items = value.items()
        yield from ((*way, key) for key in value if _EXPRESSION.search(key))
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from _templated_keys(item, (*way, key))


def _is_right(words: str, where: Where, axes: Mapping[str, Any], report: Report) -> bool:
    unknown = [name for name in dict.fromkeys(_EXPRESSION.findall(words)) if name not in axes]
    for name in unknown:
        if not axes:
            message = f"`matrix.{name}` is unknown: this file has no `matrix:`"
            report.error(where, "matrix", message, inside=f"matrix.{name}")
        else:
            message = f"`matrix.{name}` is unknown: the matrix has {', '.join(axes)}"
            report.error(where, "matrix", message, inside=name, suggestion=did_you_mean(name, axes))
    more = "matrix" in uses(_EXPRESSION.sub("", words))
    if more:
        message = "`matrix` is alone in its braces: `{{ matrix.region }}`, without filters or conditions"
        report.error(where, "matrix", message, inside="matrix")
    return not unknown and not more


def _replaced(words: str, combination: Combination) -> str | int | float | bool:
    whole = _EXPRESSION.fullmatch(words)
    if whole is not None:
        return combination[whole[1]]
    return _EXPRESSION.sub(lambda found: _text(combination[found[1]]), words)


def merged(found: Sequence[tuple[Combination, Iterable[Diagnostic]]]) -> tuple[Diagnostic, ...]:
    """The diagnostics of all pipelines of a file: each once, with its combinations where it is not in all of them."""
    by_diagnostic: dict[Diagnostic, list[Combination]] = {}
    for combination, diagnostics in found:
        for diagnostic in dict.fromkeys(diagnostics):
            by_diagnostic.setdefault(diagnostic, []).append(combination)
    every = [combination for combination, _ in found]
    kept: list[Diagnostic] = []
    alike: dict[tuple[Path, int, int, str], int] = {}
    for diagnostic, having in by_diagnostic.items():
        if len(having) == len(every):
            kept.append(diagnostic)
            continue
        place = (diagnostic.file, diagnostic.line, diagnostic.column, diagnostic.code)
        alike[place] = alike.get(place, 0) + 1
        if alike[place] <= _ALIKE:
            kept.append(replace(diagnostic, message=f"{diagnostic.message} (with {_which(having, every)})"))
    return tuple(_with_count(diagnostic, alike) for diagnostic in kept)


def _with_count(diagnostic: Diagnostic, alike: Mapping[tuple[Path, int, int, str], int]) -> Diagnostic:
    """How many more there are at the same place, in each of the diagnostics."""
    more = alike.get((diagnostic.file, diagnostic.line, diagnostic.column, diagnostic.code), 0) - _ALIKE
    return diagnostic if more <= 0 else replace(diagnostic, message=f"{diagnostic.message}; {more} more are like it")


def _which(having: Sequence[Combination], every: Sequence[Combination]) -> str:
    """The one value that they, and only they, have; else the combinations."""
    for axis in having[0]:
        values = {_text(combination[axis]) for combination in having}
        sharing = [combination for combination in every if _text(combination[axis]) in values]
        if len(values) < len({_text(combination[axis]) for combination in every}) and len(sharing) == len(having):
            return f"{axis}={' or '.join(sorted(values))}"
    shown_ = " or ".join(_said(combination) for combination in having[:3])
    return shown_ if len(having) <= 3 else f"{shown_} and {len(having) - 3} more combinations"


def _said(combination: Combination) -> str:
    return ", ".join(f"{axis}={_text(value)}" for axis, value in combination.items())
