"""How `sluicegate health` looks: first what has to be done, then what may wait, then the pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_health"]

_MARKS = {"problem": ("✗", "bold red"), "warning": ("!", "yellow")}
_COLOURS = {"current": "green", "ended": "green", "never_ran": "", "paused": "yellow"}
_STATES = ("failing", "late", "stalled", "paused", "never_ran", "current", "ended")


def print_health(out: Console, found: Mapping[str, Any], *, everything: bool) -> None:
    """Print an answer of the endpoint. `everything`: the pipelines too with which all is well."""
    from rich.text import Text

    out.print(Text(_summary(found["counts"]), style="bold"))
    for severity in _MARKS:
        for finding in found["findings"]:
            if finding["severity"] == severity:
                _print_finding(out, finding)
    named = {finding["pipeline"] for finding in found["findings"]}
    listed = [each for each in found["pipelines"] if everything or each["name"] in named]
    if listed:
        out.print()
        _print_table(out, sorted(listed, key=lambda each: (_STATES.index(each["state"]), each["name"])))


def _summary(counts: Mapping[str, int]) -> str:
    words = [f"{counts[state]:,} {state.replace('_', ' ')}" for state in _STATES if counts.get(state)]
    total = "1 pipeline" if counts["pipelines"] == 1 else f"{counts['pipelines']:,} pipelines"
    return f"{total}: {', '.join(words)}" if words else total


def _print_finding(out: Console, finding: Mapping[str, Any]) -> None:
    from rich.text import Text

    sign, style = _MARKS[finding["severity"]]
    place = ".".join(part for part in (finding["pipeline"], finding["step"]) if part)
    head = Text(f"{sign} ", style=style)
    head.append(f"{place}: " if place else "", style="bold")
    out.print(head + Text(f"{finding['detail']} [{finding['what']}]"))
    out.print(Text("    -> ", style="bold") + Text(finding["remedy"]))


def _print_table(out: Console, pipelines: Sequence[Mapping[str, Any]]) -> None:
    """A table on a terminal, tabs between values elsewhere."""
    from rich.table import Table
    from rich.text import Text

    table = Table("pipeline", "state", "data until", "promised", "newest run", "owner", box=None, pad_edge=False)
    for each in pipelines:
        row = (
            each["name"],
            each["state"].replace("_", " "),
            _moment(each["data_until"]),
            _hours(each["fresh_within"]),
            _run(each["newest_run"], each["active_runs"]),
            each["owner"],
        )
        if out.is_terminal:
            table.add_row(row[0], Text(row[1], style=_COLOURS.get(each["state"], "red")), *row[2:])
        else:
            typer.echo("\t".join(row))
    if out.is_terminal:
        out.print(table)


def _run(run: Mapping[str, Any] | None, active: int) -> str:
    words = [] if run is None else [f"{run['state']} {_moment(run['ended'])}".strip()]
    return ", ".join([*words, f"{active} active"] if active else words) or "-"


def _moment(text: str | None) -> str:
    """In UTC, as everything that Airflow shows beside it."""
    return "-" if text is None else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"


def _hours(seconds: int | None) -> str:
    from datetime import timedelta

    from sluicegate.pipeline.text.quantities import format_duration

    return "-" if seconds is None else format_duration(timedelta(seconds=seconds))
