"""The small languages inside a value: durations (`30s`, `6h`), limits (`2%`, `100`) and sizes (`50GB`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

__all__ = ["Duration", "Limit", "Rate", "format_bytes", "format_duration", "parse_bytes", "parse_duration"]

_DURATION = re.compile(r"([0-9]+)(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(value: object) -> timedelta:
    """`90s`, `15m`, `6h`, `7d`, `2w` or several of them (`1h30m`) as a positive timedelta.

    :raises ValueError: for anything else; the message says what is expected.
    """
    if isinstance(value, timedelta):
        return value
    text = str(value).strip()
    parts = _DURATION.findall(text)
    if isinstance(value, bool) or not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError(f"expected a duration such as 30s, 15m, 6h or 7d, not {value!r}")
    try:
        return sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
    except (OverflowError, ValueError):
        raise ValueError(f"{text[:20]!r} is longer than any duration") from None


def format_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back as the same whole seconds: `1h30m`."""
    seconds = int(value.total_seconds())
    text = ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            text += f"{count}{unit}"
    return text or "0s"


_BYTES = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]i?)?B|[0-9]+")
_PREFIXES = ("", "K", "M", "G", "T")


def parse_bytes(value: object) -> int:
    """`50GB`, `1.5TB` (powers of 1000), `64MiB` (powers of 1024), or a number of bytes.

    :raises ValueError: for anything else, and for a part of a byte.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _BYTES.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"expected bytes such as 0, 500MB, 50GB or 64MiB, not {value!r}")
    prefix = found[2] or ""
    size = Decimal(found[1] or found[0]) * (1024 if prefix.endswith("i") else 1000) ** _PREFIXES.index(prefix[:1])
    if size != int(size):
        raise ValueError(f"{value!r} is not a whole number of bytes")
    return int(size)


def format_bytes(size: int) -> str:
    """The shortest text that `parse_bytes` reads back as the same bytes: `50GB`; a plain number below."""
    power = max(power for power in range(len(_PREFIXES)) if size % 1000**power == 0 and (size or not power))
    return f"{size // 1000**power}{_PREFIXES[power]}B" if size else "0"


@dataclass(frozen=True)
class Rate:
    """At most `count` in any stretch of time as long as `per`."""

    count: int
    per: timedelta

    @classmethod
    def parse(cls, value: object) -> Rate:
        """`10/h`, `3/15m`, `1/d`.

        :raises ValueError: for anything else.
        """
        if isinstance(value, Rate):
            return value
        count, slash, per = str(value).strip().partition("/")
        if not slash or not count.strip().isascii() or not count.strip().isdigit() or int(count) < 1:
            raise ValueError(f"expected a rate such as 10/h or 3/15m, not {value!r}")
        unit = per.strip()
        return cls(int(count), parse_duration(unit if unit[:1].isdigit() else f"1{unit}"))

    def __str__(self) -> str:
        return f"{self.count}/{format_duration(self.per)}"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]


@dataclass(frozen=True)
class Limit:
    """At most this many of the records: a number of rows or a share of those read. One of the two is set."""

    rows: int | None = None
    share: Decimal | None = None

    @classmethod
    def parse(cls, value: object) -> Limit:
        """`100` is rows, `"2%"` and `"0.5%"` are shares.

        :raises ValueError: for anything else, and for a share above 100 %.
        """
        if isinstance(value, Limit):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(rows=value)
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*", value) if isinstance(value, str) else None
        if match is None or Decimal(match[1]) > 100:
            raise ValueError(f"expected a number of rows or a share such as 5%, not {value!r}")
        return cls(share=Decimal(match[1]) / 100)

    def exceeded_by(self, dead: int, read: int) -> bool:
        """Whether `dead` of `read` records are more than allowed. No record read never exceeds a share."""
        if self.rows is not None:
            return dead > self.rows
        assert self.share is not None
        return dead > self.share * read

    def __str__(self) -> str:
        if self.rows is not None:
            return str(self.rows)
        assert self.share is not None
        return f"{(self.share * 100).normalize():f}%"
