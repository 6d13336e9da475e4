"""Random records of every type of ours, and random arguments for every expectation that is compiled."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import strategies as st

from sluicegate.checks.rule import Rule
from sluicegate.load.stage import Stage
from sluicegate.records.casts import Cast
from sluicegate.records.engine import open_duckdb
from sluicegate.records.notation import PLAIN
from sluicegate.records.reader import LocalPart
from sluicegate.records.types import parse_type
from sluicegate.targets.postgres.dialect import PostgresDialect

Record = tuple[Any, ...]

KINDS = {
    "i": "bigint", "j": "integer", "h": "smallint", "m": "numeric(12,2)", "u": "numeric", "x": "double", "y": "double",
    "r": "real", "s": "text", "t": "text", "v": "varchar(10)", "d": "date", "g": "date", "e": "timestamp",
    "f": "timestamp", "z": "timestamptz", "w": "timestamptz", "b": "boolean", "c": "boolean",
}  # fmt: skip
WHOLE, DECIMALS, DOUBLES, SINGLE = "ijh", "m", "xyu", "r"
TEXTS, DAYS, TIMES, ZONED, FLAGS = "stv", "dg", "ef", "zw", "bc"
NUMBERS, MOMENTS = WHOLE + DECIMALS + DOUBLES + SINGLE, DAYS + TIMES + ZONED

integers = st.integers(-3, 3) | st.sampled_from([-(2**15), 2**15 - 1])
doubles = st.sampled_from([-1.5, -0.0, 0.0, 0.1, 0.3, 0.5, 1.0, 1e16, 1e300, -1e-7, float("inf"), float("-inf")])
singles = st.sampled_from([-1.5, 0.0, 0.1, 0.5, 1e10, float("inf")])
decimals = st.sampled_from(["-1.50", "0.00", "0.10", "0.30", "1.00", "99.99", "1234567890.12"]).map(Decimal)
texts = st.sampled_from(
    ["", "a", "A", "ab", "abc", "AB1", "ä", "a\nb", "ab\n", " ", "1", "01", "1.0", "Ⅷ", "٣", "NaN", "null", "None",
     "2024-01-01", "31.12.2024", "{}", "[1", '"x"', "true", "1e5", "K", "ſ", "👩‍👩", "é", "'", "\\", "%", "a.b"]
)  # fmt: skip
days = st.integers(1, 4).map(lambda day: dt.date(2024, 1, day)) | st.just(dt.date(1969, 12, 31))
times = st.sampled_from(
    ["2024-01-01", "2024-01-01 00:00:00.000001", "2024-01-02 03:04:05", "1969-01-01"]
).map(dt.datetime.fromisoformat)  # fmt: skip
zoned = times.map(lambda time: time.replace(tzinfo=dt.UTC))
flags = st.booleans()


def values_of(name: str) -> st.SearchStrategy[Any]:
    """Values of a column."""
    for names, values in (
        (WHOLE, integers), ("m", decimals), ("u", decimals), ("xy", doubles | st.just(float("nan"))), ("r", singles),
        (TEXTS, texts), (DAYS, days), (TIMES, times), (ZONED, zoned), (FLAGS, flags),
    ):  # fmt: skip
        if name in names:
            return values
    raise KeyError(name)


def arguments_of(name: str) -> st.SearchStrategy[Any]:
    """What an expectation compares a column with: as YAML and JSON have it."""
    if name in NUMBERS:
        outside = st.sampled_from([10**19, -(10**30), 10**39, 5, 0.25])
        return (
            integers | doubles | outside if name not in "m" else integers | st.sampled_from([0.1, 0.3, 99.99]) | outside
        )
    if name in MOMENTS:
        return values_of(name).map(lambda moment: moment.isoformat())
    return values_of(name)


@st.composite
def records(draw: st.DrawFn, least: int = 0, most: int = 9) -> list[Record]:
    """Rows in the order of `KINDS`: NULLs, NaN, infinities, duplicates, all of a column missing."""
    size = draw(st.integers(least, most))
    columns = []
    for name in KINDS:
        missing = draw(st.sampled_from([0, 1, 3]))  # of three
        one = values_of(name) if missing == 0 else st.none() if missing == 3 else st.none() | values_of(name)
        columns.append(draw(st.lists(one, min_size=size, max_size=size)))
    return list(zip(*columns, strict=True))


# --- rules -------------------------------------------------------------------------------------------------------

# Without `a{,2}`, which pandas hands to RE2, where it is a text: here it is Python's, none to two.
PATTERNS = st.sampled_from(
    ["^[A-Z0-9]{2}$", "a", "^$", "b$", r"^\w+$", r"\d", "^.*b", "(?i)^AB", r"^[^a]*$", r"\s", "a|1$", r"b\b", "[[:a]",
     r"\W", r"^\D", "(a|b)?c", "(?:ab)+", "x{0,2}$", "^(?!a)", r"(a)\1", "a{1,2000}", "(?i)k", r"\.", "[.]",
     r"^[\w.-]+$", r"\A", "a++", "[a&&b]", "(?P<n>a)", "é", "'", r"\\", "^a?$", "[^ -~]"]
)  # fmt: skip
Kwargs = st.SearchStrategy[dict[str, Any]]


def _words(**each: st.SearchStrategy[Any]) -> Kwargs:
    return st.fixed_dictionaries(each)


def _bounds(values: st.SearchStrategy[Any]) -> Kwargs:
    ends = st.tuples(st.none() | values, st.none() | values)
    ordered = ends.filter(lambda b: (b[0], b[1]) != (None, None) and (None in b or b[0] <= b[1]))
    return st.builds(
        lambda pair, low, high: {"min_value": pair[0], "max_value": pair[1], "strict_min": low, "strict_max": high},
        ordered, st.booleans(), st.booleans(),
    )  # fmt: skip


def _on(names: str, words: Callable[[str], Kwargs]) -> Kwargs:
    return st.sampled_from(names).flatmap(lambda name: words(name).map(lambda made: {"column": name, **made}))


def _nothing(_: str) -> Kwargs:
    return st.just({})


def _set(name: str) -> Kwargs:
    return _words(value_set=st.lists(arguments_of(name) | st.none(), max_size=4))


def _filled_set(name: str) -> Kwargs:
    return _words(
        value_set=st.lists(
            values_of(name).filter(lambda v: v == v) if name not in MOMENTS else arguments_of(name),
            min_size=1,
            max_size=4,
        )
    )


PAIRS = ["ij", "ih", "xy", "ix", "st", "sv", "dg", "ef", "zw", "mj"]
IGNORED_PAIR = st.sampled_from(["both_values_are_missing", "either_value_is_missing", "neither"])
IGNORED = st.sampled_from(["all_values_are_missing", "any_value_is_missing", "never"])


def _pair(pairs: Sequence[str], **more: st.SearchStrategy[Any]) -> Kwargs:
    return st.sampled_from(pairs).flatmap(
        lambda pair: st.fixed_dictionaries(
            {"column_A": st.just(pair[0]), "column_B": st.just(pair[1])},
            optional={"ignore_row_if": IGNORED_PAIR, **more},
        )
    )


def _pairs_set() -> Kwargs:
    def made(pair: str) -> Kwargs:
        either = st.tuples(*(st.none() | values_of(name).filter(lambda v: v == v) for name in pair))
        return st.fixed_dictionaries(
            {"column_A": st.just(pair[0]), "column_B": st.just(pair[1]),
             "value_pairs_set": st.lists(either.map(list), max_size=4)},
            optional={"ignore_row_if": IGNORED_PAIR},
        )  # fmt: skip

    return st.sampled_from(["ij", "st", "xi", "sj", "dg", "si", "bs"]).flatmap(made)


def _several(lists: Sequence[str], **more: st.SearchStrategy[Any]) -> Kwargs:
    return st.fixed_dictionaries(
        {"column_list": st.sampled_from(lists).map(list), **more}, optional={"ignore_row_if": IGNORED}
    )


ROW_LEVEL: dict[str, Kwargs] = {
    "expect_column_values_to_not_be_null": _on("".join(KINDS), _nothing),
    "expect_column_values_to_be_null": _on("".join(KINDS), _nothing),
    "expect_column_values_to_be_unique": _on("".join(KINDS), _nothing),
    "expect_column_values_to_be_between": _on(NUMBERS + MOMENTS + TEXTS, lambda name: _bounds(arguments_of(name))),
    "expect_column_values_to_be_in_set": _on("".join(KINDS), _set),
    "expect_column_values_to_not_be_in_set": _on("".join(KINDS), _set),
    "expect_column_values_to_match_regex": _on(TEXTS, lambda _: _words(regex=PATTERNS)),
    "expect_column_values_to_not_match_regex": _on(TEXTS, lambda _: _words(regex=PATTERNS)),
    "expect_column_values_to_match_regex_list": _on(
        TEXTS,
        lambda _: st.fixed_dictionaries(
            {"regex_list": st.lists(PATTERNS, min_size=1, max_size=3)},
            optional={"match_on": st.sampled_from(["any", "all"])},
        ),
    ),
    "expect_column_values_to_not_match_regex_list": _on(
        TEXTS, lambda _: _words(regex_list=st.lists(PATTERNS, min_size=1, max_size=3))
    ),
    "expect_column_value_lengths_to_be_between": _on(TEXTS, lambda _: _bounds(st.integers(0, 3))),
    "expect_column_value_lengths_to_equal": _on(TEXTS, lambda _: _words(value=st.integers(0, 4))),
    "expect_column_values_to_be_json_parseable": _on(TEXTS, _nothing),
    "expect_column_values_to_be_dateutil_parseable": _on(TEXTS, _nothing),
    "expect_column_values_to_match_strftime_format": _on(
        TEXTS, lambda _: _words(strftime_format=st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%H", "%%", "%m"]))
    ),
    "expect_compound_columns_to_be_unique": _several(["ij", "st", "ixs", "dz", "bst", "um", "rv"]),
    "expect_column_pair_values_a_to_be_greater_than_b": _pair(PAIRS, or_equal=st.booleans()),
    "expect_column_pair_values_to_be_equal": _pair([*PAIRS, "bc"]),
    "expect_column_pair_values_to_be_in_set": _pairs_set(),
    "expect_select_column_values_to_be_unique_within_record": _several(["ij", "ijh", "stv", "dg", "xy", "ef", "zw"]),
    "expect_multicolumn_values_to_be_equal": _several(["ij", "ijh", "stv", "dg", "xy", "ef", "zw", "bc"]),
    "expect_multicolumn_sum_to_equal": _several(
        ["ij", "ijh", "xy"], sum_total=st.integers(-3, 3) | st.sampled_from([0.5, 0.4, 1e300, 2.0])
    ),
}  # fmt: skip

_COUNT = _bounds(st.integers(0, 6))
_SHARE = _bounds(st.sampled_from([0, 0.25, 0.5, 1]))
_VALUE = integers | st.sampled_from([0.5, -0.75, 1e16, 0.1])
_ADDABLE = WHOLE + "xy"
TABLE_LEVEL: dict[str, Kwargs] = {
    "expect_table_row_count_to_be_between": _COUNT,
    "expect_table_row_count_to_equal": _words(value=st.integers(0, 6)),
    "expect_table_column_count_to_be_between": _words(
        min_value=st.integers(16, 20), max_value=st.none() | st.integers(20, 22)
    ),
    "expect_table_column_count_to_equal": _words(value=st.integers(18, 20)),
    "expect_table_columns_to_match_ordered_list": _words(
        column_list=st.sampled_from([list(KINDS), list("ij"), list(reversed(KINDS))])
    ),
    "expect_table_columns_to_match_set": st.fixed_dictionaries(
        {"column_set": st.sampled_from([list(KINDS), list("ij"), list(reversed(KINDS)), ["i", "no"]])},
        optional={"exact_match": st.booleans()},
    ),
    "expect_column_to_exist": st.fixed_dictionaries(
        {"column": st.sampled_from(["i", "no", "j"])}, optional={"column_index": st.integers(0, 30)}
    ),
    "expect_column_max_to_be_between": _on(NUMBERS + MOMENTS, lambda name: _bounds(arguments_of(name))),
    "expect_column_min_to_be_between": _on(NUMBERS + MOMENTS, lambda name: _bounds(arguments_of(name))),
    "expect_column_sum_to_be_between": _on(_ADDABLE, lambda _: _bounds(_VALUE)),
    "expect_column_mean_to_be_between": _on(_ADDABLE, lambda _: _bounds(_VALUE)),
    "expect_column_median_to_be_between": _on(_ADDABLE, lambda _: _bounds(_VALUE)),
    "expect_column_stdev_to_be_between": _on(_ADDABLE, lambda _: _bounds(_VALUE)),
    "expect_column_unique_value_count_to_be_between": _on("".join(KINDS), lambda _: _COUNT),
    "expect_column_proportion_of_unique_values_to_be_between": _on("".join(KINDS), lambda _: _SHARE),
    "expect_column_proportion_of_non_null_values_to_be_between": _on("".join(KINDS), lambda _: _SHARE),
    "expect_column_distinct_values_to_be_in_set": _on(_ADDABLE + TEXTS + DAYS + TIMES, _filled_set),
    "expect_column_distinct_values_to_contain_set": _on(_ADDABLE + TEXTS + DAYS + TIMES, _filled_set),
    "expect_column_distinct_values_to_equal_set": _on(_ADDABLE + TEXTS + DAYS + TIMES, _filled_set),
}

CONDITIONS = st.sampled_from(
    [
        {"row_condition": "i > 0", "condition_parser": "pandas"},
        {"row_condition": 's == "a" and j <= 2', "condition_parser": "pandas"},
        {"row_condition": "s != 'a'", "condition_parser": "pandas"},
        {"row_condition": "x >= 0.5", "condition_parser": "pandas"},
        {"row_condition": {"type": "comparison", "column": {"name": "j"}, "operator": "!=", "parameter": 1}},
        {"row_condition": {"type": "nullity", "column": {"name": "s"}, "is_null": False}},
        {"row_condition": {"type": "or", "conditions": [
            {"type": "comparison", "column": {"name": "s"}, "operator": "==", "parameter": "a"},
            {"type": "nullity", "column": {"name": "i"}, "is_null": True},
        ]}},
    ]
)  # fmt: skip


@st.composite
def row_rules(draw: st.DrawFn, names: Sequence[str] = tuple(ROW_LEVEL), *, conditions: bool = True) -> Rule:
    """A row-level rule, often with `mostly`, sometimes for some records only."""
    name = draw(st.sampled_from(names))
    kwargs = draw(ROW_LEVEL[name])
    if (mostly := draw(st.sampled_from([None, None, 0, 0.25, 0.5, 0.9, 1]))) is not None:
        kwargs["mostly"] = mostly
    if conditions and draw(st.integers(0, 4)) == 0:
        kwargs |= draw(CONDITIONS)
    return Rule(name, kwargs)


@st.composite
def table_rules(draw: st.DrawFn) -> Rule:
    name = draw(st.sampled_from(tuple(TABLE_LEVEL)))
    return Rule(name, draw(TABLE_LEVEL[name]))


@st.composite
def scopes(draw: st.DrawFn) -> dict[str, Any]:
    """What a run is narrowed to: a value or a list of them, as YAML has them or as a template renders them."""
    names = draw(
        st.lists(st.sampled_from([name for name in KINDS if name != "u"]), min_size=1, max_size=2, unique=True)
    )
    found: dict[str, Any] = {}
    for name in names:
        texts = values_of(name).map(lambda value: str(value).lower() if isinstance(value, bool) else str(value))
        values = values_of(name) | texts if name not in MOMENTS + DECIMALS + "xyr" else texts
        if name in MOMENTS:
            values |= st.sampled_from({"d": ["2024-1-1"], "e": ["2024-01-02T03:04:05"], "z": ["2024-01-02 05:04:05+02"]}
                                      .get(name, ["2024-01-02"]))  # fmt: skip
        found[name] = draw(values | st.lists(st.none() | values, min_size=1, max_size=13))
    return found


CLOCKS = {"k": "time", "l": "time"}
"""Columns of times of the day, which are texts in their source."""
# Without `10:`, which sets its record aside in both, and is 10:00:00 to the other rules in DuckDB, NULL on Spark.
clock_texts = st.sampled_from(
    ["10:00", "10:00:00", "9:5", "9:05", "23:59:59.999999", "10:00:00.50", "10:00:00.5", "24:00", "00:00", " 10:00",
     "noon", "", "10", "10:00:00.1234567", "25:00", "10:60"]
)  # fmt: skip
_times = st.sampled_from(["10:00", "9:5", "09:05:00", "23:59:59.999999", "10:00:00.5", "24:00", "00:00"])


def _clock_bounds(_: str) -> Kwargs:
    ordered = [["09:05", "10:00"], ["10:00", None], [None, "10:00:00.50"], ["00:00", "24:00"], ["10:00:00", "10:00:00"]]
    return st.builds(
        lambda pair, low, high: {"min_value": pair[0], "max_value": pair[1], "strict_min": low, "strict_max": high},
        st.sampled_from(ordered), st.booleans(), st.booleans(),
    )  # fmt: skip


_CLOCK_RULES: dict[str, Kwargs] = {
    "expect_column_values_to_not_be_null": _on("kl", _nothing),
    "expect_column_values_to_be_null": _on("kl", _nothing),
    "expect_column_values_to_be_unique": _on("kl", _nothing),
    "expect_column_values_to_be_between": _on("kl", _clock_bounds),
    "expect_column_values_to_be_in_set": _on(
        "kl", lambda _: _words(value_set=st.lists(_times | st.none(), max_size=4))
    ),
    "expect_column_values_to_not_be_in_set": _on("kl", lambda _: _words(value_set=st.lists(_times, max_size=4))),
    "expect_column_values_to_match_regex": _on(
        "kl", lambda _: _words(regex=st.sampled_from(["^1", r"\.5$", r"^\d\d:\d\d:00$", "^24:00:00$", r"(\d)\1"]))
    ),
    "expect_compound_columns_to_be_unique": _several(["kl"]),
}


@st.composite
def clock_rules(draw: st.DrawFn) -> Rule:
    """A rule about times of the day."""
    name = draw(st.sampled_from(tuple(_CLOCK_RULES)))
    kwargs = draw(_CLOCK_RULES[name])
    if (mostly := draw(st.sampled_from([None, None, 0.25, 0.5, 0.9]))) is not None:
        kwargs["mostly"] = mostly
    return Rule(name, kwargs)


# --- the stage ---------------------------------------------------------------------------------------------------


class RecordReader:
    """Records as a source of typed raw values; of times of the day the texts."""

    is_text, may_hold_nul, notation, written, skipped, most = False, False, PLAIN, None, 0, None

    def __init__(
        self, duck: duckdb.DuckDBPyConnection, rows: Sequence[Record], kinds: Mapping[str, str] = KINDS
    ) -> None:
        self.part = LocalPart(0, "records", "1", Path("records"))
        self.names = tuple(kinds)
        self.types = {name: "VARCHAR" if kind == "time" else parse_type(kind).duck for name, kind in kinds.items()}
        columns = ", ".join(f"{name} {type_}" for name, type_ in self.types.items())
        duck.execute(f"CREATE TABLE records (line INTEGER, {columns})")
        marks = ", ".join("?" for _ in kinds)
        for line, row in enumerate(rows):
            values = [
                str(value) if name == "u" and value is not None else value
                for name, value in zip(kinds, row, strict=True)
            ]
            duck.execute(f"INSERT INTO records VALUES (?, {marks})", [line, *values])

    def read(self, use: Any, *, numbered: bool = True) -> None:
        raw = ", ".join(f"{name} AS r{number}" for number, name in enumerate(self.names))
        use(f"SELECT line, NULL::VARCHAR AS why, NULL::VARCHAR AS text, {raw} FROM records")


@contextmanager
def records_in_duckdb(rows: Sequence[Record]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the table `records`."""
    with tempfile.TemporaryDirectory() as folder, open_duckdb(Path(folder), "200MB") as duck:
        RecordReader(duck, rows)
        yield duck


@contextmanager
def staged(rows: Sequence[Record], rules: Sequence[Rule], kinds: Mapping[str, str] = KINDS) -> Iterator[Stage]:
    """A stage filled with `rows`, judged by `rules`."""
    with tempfile.TemporaryDirectory() as folder, open_duckdb(Path(folder), "200MB") as duck:
        casts = {name: Cast(parse_type(kind)) for name, kind in kinds.items()}
        stage = Stage(duck, casts, rules, PostgresDialect())
        stage.fill([RecordReader(duck, rows, kinds)])
        yield stage
