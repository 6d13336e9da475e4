"""What the compilers of expectations share: what they are given, what they return, and conditions about NULL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from sluicegate.checks.bounds import CheckedColumn, broken, constant
from sluicegate.checks.dialect import SqlDialect
from sluicegate.checks.rule import Rule
from sluicegate.pipeline.diagnostics import hint

__all__ = [
    "Asked", "CompiledRule", "CompiledTableRule", "Compiler", "bounded", "in_order", "near", "present", "unless",
]  # fmt: skip


@dataclass(frozen=True)
class CompiledRule:
    """`fails` is true or false for a record, never NULL; `applies` says whether the record counts in `mostly`.

    A rule over all records has `unique` instead: the values that may occur together only once, and `fails` then
    says which records are in it at all. `constants` are texts that must cast to a DuckDB type for the rule to
    make sense. `patterns` are regular expressions that are left to the engine, which may refuse them as too large.
    """

    rule: Rule
    fails: str
    applies: str
    mostly: Decimal = Decimal(1)
    unique: tuple[str, ...] = ()
    constants: tuple[tuple[str, str], ...] = ()
    patterns: tuple[str, ...] = ()

    def holds(self, judged: int, bad: int) -> bool:
        """Whether so few of the `judged` records are bad that `mostly` lets it pass."""
        return judged == 0 or judged - bad >= self.mostly * judged


@dataclass(frozen=True)
class CompiledTableRule:
    """`observed` and `holds` are SQL of aggregates over all records; `holds` is never NULL."""

    rule: Rule
    observed: str
    holds: str
    constants: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Asked:
    """One rule to be compiled: the arguments that decide, the columns that it names, and all that there are."""

    rule: Rule
    kwargs: Mapping[str, Any]
    columns: Sequence[CheckedColumn]
    names: Sequence[str]
    sql: SqlDialect
    native: bool = True
    """Whether the engine's own regular expressions may be used."""

    @property
    def column(self) -> CheckedColumn:
        return self.columns[0]

    def broken(self, why: str) -> Exception:
        return broken(self.rule, why)

    def get(self, key: str) -> Any:
        return self.kwargs.get(key)

    def constant(self, value: object, column: CheckedColumn | None = None) -> tuple[str, tuple[str, str] | None] | None:
        return constant(self.rule, column or self.column, value, self.sql)


Compiled = TypeVar("Compiled", CompiledRule, CompiledTableRule)


@dataclass(frozen=True)
class Compiler(Generic[Compiled]):
    """How one expectation becomes SQL, or None where only Great Expectations can say what these arguments mean.

    :param known: its arguments, `needed` among them.
    :param about_columns: whether it asks which columns there are, so that those it names need not exist.
    :param when: for which columns it is compiled, in words; all, where it says nothing.
    """

    make: Callable[[Asked], Compiled | None]
    known: frozenset[str]
    needed: frozenset[str]
    about_columns: bool = False
    when: str = ""

    @classmethod
    def of(
        cls,
        make: Callable[[Asked], Compiled | None],
        needed: str,
        optional: str = "",
        *,
        about_columns: bool = False,
        when: str = "",
    ) -> Compiler[Compiled]:
        known = frozenset(f"{needed} {optional}".split())
        return cls(make, known, frozenset(needed.split()), about_columns, when)


def present(columns: Iterable[CheckedColumn], joint: str = " AND ") -> str:
    """The condition that the columns have values, all of them or any."""
    return "(" + joint.join(f"{column.value} IS NOT NULL" for column in columns) + ")"


def unless(
    asked: Asked,
    condition: str,
    constants: Iterable[tuple[str, str] | None] = (),
    patterns: Sequence[str] = (),
) -> CompiledRule:
    """A rule about one column: a value that is there is bad unless `condition` holds."""
    fails = f"NOT coalesce({condition}, true)"
    casts = tuple(each for each in constants if each is not None)
    return CompiledRule(asked.rule, fails, present([asked.column]), constants=casts, patterns=tuple(patterns))


def bounded(asked: Asked, value: str, low: str | None, high: str | None) -> str:
    """The condition that `value` lies within `low` and `high`, both SQL."""
    parts: list[str] = []
    if low is not None:
        parts.append(f"{value} {'>' if asked.get('strict_min') else '>='} {low}")
    if high is not None:
        parts.append(f"{value} {'<' if asked.get('strict_max') else '<='} {high}")
    return " AND ".join(parts) or "true"


def in_order(rule: Rule, kwargs: Mapping[str, Any]) -> None:
    """Refuse bounds that no value can meet.

    :raises FaultError: CHECK_BROKEN.
    """
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    try:
        swapped = low is not None and high is not None and low > high
    except TypeError as error:
        raise broken(rule, f"its bounds {low!r} and {high!r} cannot be compared") from error
    if swapped:
        low, high = rule.kwargs["min_value"], rule.kwargs["max_value"]
        raise broken(rule, f"its lower bound {low!r} is above its upper bound {high!r}")


def near(name: str, known: Iterable[str]) -> str:
    return hint(name, known) or f" (there is {', '.join(sorted(known))})"
