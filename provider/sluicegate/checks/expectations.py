"""Carries out by Great Expectations itself what is not compiled to SQL, over pandas; nothing is skipped.

Imported only when a load has such a rule: Great Expectations takes five seconds to import. It sees integers with
NULLs and decimals as doubles and dates as timestamps (pandas' own limits). Row-wise expectations go in batches;
those that look at several records at once (increasing, z-scores) and those about the table see all records of
their columns together, in memory.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sluicegate.checks.rule import Rule
from sluicegate.faults import FaultError, fault
from sluicegate.pipeline.diagnostics import hint

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ExpectationRunner", "RowFailures", "TableVerdict", "frame_columns"]

_SAMPLES = 20
BATCH = 100_000
"""Records."""
_NEIGHBOURLY = {
    "expect_column_values_to_be_increasing",
    "expect_column_values_to_be_decreasing",
    "expect_column_values_to_be_unique",
    "expect_compound_columns_to_be_unique",
    "expect_column_value_z_scores_to_be_less_than",
    "expect_column_values_to_not_be_outliers",
}
"""Row-level, but a record is judged by others: these cannot go in batches."""


@dataclass(frozen=True)
class RowFailures:
    """The positions (from 0, over all batches) of the records that `rule` found bad. Empty if `mostly` holds."""

    rule: Rule
    positions: tuple[int, ...]
    elements: int = 0
    judged: int = 0
    """The records that count: those with a value."""
    bad: int = 0
    samples: tuple[Any, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.positions


@dataclass(frozen=True)
class TableVerdict:
    """Whether an expectation about the whole table holds, and what was seen."""

    rule: Rule
    success: bool
    observed: str
    value: Any = None
    """What was seen, as a value."""


class ExpectationRunner:
    """Great Expectations in this process, without a project, without its telemetry and progress bars."""

    def __init__(self) -> None:
        os.environ["GX_ANALYTICS_ENABLED"] = "False"
        logger = logging.getLogger("great_expectations")
        logger.setLevel(logging.WARNING)  # its start alone logs 200 lines
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        core: Any = gx.expectations
        kinds: list[Any] = [each for each in vars(core).values() if isinstance(each, type)]
        self._classes: dict[str, Any] = {
            name: kind for kind in kinds if (name := getattr(kind, "expectation_type", ""))
        }
        context: Any = gx.get_context(mode="ephemeral")
        context.enable_analytics(False)
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        logger.setLevel(logging.WARNING)  # `get_context` sets its own
        asset = context.data_sources.add_pandas("stage").add_dataframe_asset("records")
        self._definition: Any = asset.add_batch_definition_whole_dataframe("all")

    def is_row_level(self, rule: Rule) -> bool:
        """Whether `rule` says which records are bad, rather than something about the table.

        :raises FaultError: CHECK_BROKEN for an expectation or an argument that does not exist.
        """
        from great_expectations.expectations import expectation as base

        self._expectation(rule)
        kinds = (base.ColumnMapExpectation, base.ColumnPairMapExpectation, base.MulticolumnMapExpectation)
        return issubclass(self._class(rule), kinds)

    def rows(self, rule: Rule, batches: Callable[[int | None], Iterable[pd.DataFrame]]) -> RowFailures:
        """The bad records of the row-level `rule`.

        :param batches: gives the records as frames of at most that many rows; None asks for a single one.
        :raises FaultError: CHECK_BROKEN when the expectation cannot be computed.
        """
        mostly = Decimal(str(rule.kwargs.get("mostly", 1)))
        alone = rule.expectation in _NEIGHBOURLY
        expectation = self._expectation(rule)
        bad: list[int] = []
        samples: list[Any] = []
        offset = judged = elements = 0
        for frame in batches(None if alone else BATCH):
            result = self._validate(expectation, rule, frame)
            found = result.get("unexpected_index_list")
            if found is None and result.get("unexpected_count"):
                raise self._broken(rule, "it does not say which records are bad")
            bad.extend(offset + int(position) for position in found or ())
            samples += result.get("partial_unexpected_list") or []
            elements += int(result.get("element_count") or 0)
            judged += int(result.get("element_count") or 0) - int(result.get("missing_count") or 0)
            offset += len(frame)
        holds = judged == 0 or (judged - len(bad)) >= mostly * judged
        return RowFailures(rule, () if holds else tuple(bad), elements, judged, len(bad), tuple(samples[:_SAMPLES]))

    def table(self, rule: Rule, frame: pd.DataFrame) -> TableVerdict:
        """What `rule`, which is about the whole table, says of `frame`.

        :raises FaultError: CHECK_BROKEN when the expectation cannot be computed.
        """
        outcome = self._outcome(self._expectation(rule), rule, frame)
        result = outcome.result or {}
        seen = result.get("observed_value", result.get("unexpected_list", result))
        value = seen.item() if hasattr(seen, "item") else seen
        return TableVerdict(rule, bool(outcome.success), repr(value)[:500], value)

    def _validate(self, expectation: Any, rule: Rule, frame: pd.DataFrame) -> Mapping[str, Any]:
        return self._outcome(expectation, rule, frame).result or {}

    def _outcome(self, expectation: Any, rule: Rule, frame: pd.DataFrame) -> Any:
        batch = self._definition.get_batch(batch_parameters={"dataframe": frame})
        try:
            outcome = batch.validate(expectation, result_format={"result_format": "COMPLETE"})
        except Exception as error:
            raise self._broken(rule, f"{type(error).__name__}: {error}") from error
        if why := _exception_of(outcome.exception_info):
            raise self._broken(rule, why)
        return outcome

    def _class(self, rule: Rule) -> Any:
        if (kind := self._classes.get(rule.expectation)) is None:
            meant = hint(rule.expectation, self._classes)
            place = f"{rule.place}: " if rule.place else ""
            raise fault("CHECK_BROKEN", f"{place}there is no expectation {rule.expectation!r}{meant}", rule=rule.name)
        return kind

    def _expectation(self, rule: Rule) -> Any:
        kind = self._class(rule)
        known = set(kind.__fields__)
        for key in rule.kwargs:
            if key not in known:
                raise self._broken(rule, f"it has no argument {key!r}{hint(key, known)}")
        try:
            return kind(**rule.kwargs)
        except Exception as error:
            raise self._broken(rule, " ".join(str(error).split())) from error

    @staticmethod
    def _broken(rule: Rule, why: str) -> FaultError:
        return fault("CHECK_BROKEN", f"{rule.said}: {why}", rule=rule.name)


def frame_columns(rule: Rule, names: Sequence[str]) -> tuple[str, ...]:
    """The columns of `names` that `rule` needs in its frame: the ones it names, or all when it may look at any."""
    wanted = [name for name in names if name in rule.columns]
    if rule.kwargs.get("row_condition") or len(wanted) < max(1, len(rule.columns)):
        return tuple(names)
    return tuple(wanted)


def _exception_of(info: Any) -> str | None:
    """The message in an `exception_info`, which is flat, or one for each metric."""
    if not isinstance(info, Mapping):
        return None
    if info.get("raised_exception"):
        return str(info.get("exception_message") or "it could not be computed")
    for value in info.values():
        if why := _exception_of(value):
            return why
    return None
