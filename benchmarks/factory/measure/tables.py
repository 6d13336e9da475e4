"""What was measured, as the tables of the docs. A ratio is the median of the rounds' ratios, not that of medians."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

from measure.contenders import BARE, LIKE_OURS, LOOP, OURS
from measure.page import facts

__all__ = ["ratio", "report", "table"]

Results = dict[str, Any]


def report(results: Results) -> str:
    """Markdown: the facts, five tables, and what was asked for beside what was found."""
    parse, start = results["parse"], results["start"]
    biggest = max(parse)
    small, large = min(start), max(start)
    sections = [
        f"{facts()} {results['rounds']} rounds.",
        *(f"**Not compared:** {name}: it could not be installed." for name in results["absent"]),
        "#### Parse of all pipelines, CPU seconds",
        _parse(parse),
        f"#### One DAG of {biggest:,}: serialized, and the memory of the parse",
        _footprint(parse[biggest], biggest),
        "#### Task start, CPU milliseconds",
        _start(start, small, large),
        f"#### Refresh of our bundle with {results['refresh']['pipelines']:,} pipelines, CPU seconds",
        _refresh(results["refresh"]),
        "#### Asked and found",
        _verdicts(results, parse[biggest], start[small], start[large], biggest),
    ]
    return "\n\n".join(sections)


def ratio(some: Sequence[float], others: Sequence[float]) -> float:
    return median(one / other for one, other in zip(some, others, strict=True))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---"] + ["---:"] * (len(head) - 1), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _parse(parse: dict[int, Results]) -> str:
    sizes = sorted(parse)
    biggest = sizes[-1]
    baselines = (BARE, LIKE_OURS, LOOP)
    head = ["", *(f"N = {size:,}" for size in sizes), "ms a DAG", "ratio", "to the same DAG", "to a loop"]
    rows = []
    for name, found in parse[biggest].items():
        cpu = found["cpu"]
        rows.append(
            [
                name,
                *(f"{median(parse[size][name]['cpu']):.3f}" for size in sizes),
                f"{median(cpu) * 1000 / biggest:.2f}",
                *(f"{ratio(cpu, parse[biggest][each.name]['cpu']):.2f}" for each in baselines),
            ]
        )
    return table(head, rows)


def _footprint(found: dict[str, Results], size: int) -> str:
    bare = found[BARE.name]
    rows = [
        [
            name,
            f"{each['bytes']:,.0f}",
            f"{each['bytes'] / bare['bytes']:.2f}",
            f"{each['serialization'] * 1000 / size:.2f}",
            f"{median(each['peak']):.0f}",
            f"{ratio(each['peak'], bare['peak']):.2f}",
            f"{median(each['private']):.0f}",
            f"{ratio(each['private'], bare['private']):.2f}",
        ]
        for name, each in found.items()
    ]
    return table(["", "bytes", "ratio", "ms to serialize", "peak MB", "ratio", "own MB", "ratio"], rows)


def _start(start: dict[int, Results], small: int, large: int) -> str:
    def cell(name: str, role: str, size: int) -> float:
        return median(start[size][role][name]["cpu"]) * 1000

    rows = []
    for name, found in start[large]["warm worker"].items():
        warm = found["cpu"]
        rows.append(
            [
                name,
                f"{cell(name, 'warm worker', small):.0f}",
                f"{cell(name, 'warm worker', large):.0f}",
                f"{ratio(warm, start[large]['warm worker'][LOOP.name]['cpu']):.2f}",
                f"{cell(name, 'worker', small):.0f}",
                f"{cell(name, 'worker', large):.0f}",
            ]
        )
    numbers = [f"N = {small:,}", f"N = {large:,}"]
    return table(["", *numbers, "ratio", *(f"{each}, nothing imported" for each in numbers)], rows)


def _refresh(refresh: Results) -> str:
    names = {"everything": "all files are new", "one": "one file has changed", "nothing": "nothing has changed"}
    return table(["", "seconds"], [[text, f"{median(refresh[name]):.3f}"] for name, text in names.items()])


def _verdicts(results: Results, parse: Results, small: Results, large: Results, size: int) -> str:
    ours, bare, same = parse[OURS.name], parse[BARE.name], parse[LIKE_OURS.name]
    start = {key: found["warm worker"] for key, found in (("small", small), ("large", large))}
    mine, loop = start["large"][OURS.name]["cpu"], start["large"][LOOP.name]["cpu"]
    rows: list[tuple[str, float, float, Callable[[float, float], bool]]] = [
        ("parse, against hand-written Python", 1.4, ratio(ours["cpu"], bare["cpu"]), _at_most),
        ("parse, against the same DAG by hand", 1.4, ratio(ours["cpu"], same["cpu"]), _at_most),
        ("parse, against a loop in one file", 1.4, ratio(ours["cpu"], parse[LOOP.name]["cpu"]), _at_most),
        *(
            (f"parse, {name} against ours", 3.0, ratio(each["cpu"], ours["cpu"]), _at_least)
            for name, each in parse.items()
            if name.startswith(("dag-factory", "blueprint"))
        ),
        (f"task start, {size:,} against 1", 1.2, median(mine) / median(start["small"][OURS.name]["cpu"]), _at_most),
        ("task start, against a loop with the parsing context", 1.6, ratio(mine, loop), _at_most),
        ("refresh with nothing changed, CPU seconds", 0.5, median(results["refresh"]["nothing"]), _at_most),
        ("serialized, against hand-written Python", 1.1, ours["bytes"] / bare["bytes"], _at_most),
        ("serialized, against the same DAG by hand", 1.1, ours["bytes"] / same["bytes"], _at_most),
        *(
            (f"memory of the parse ({word}), against hand-written Python", 1.3, ratio(ours[key], bare[key]), _at_most)
            for word, key in (("peak", "peak"), ("own", "private"))
        ),
    ]
    return table(
        ["", "asked", "found", ""],
        [
            [
                what,
                f"{'at most' if holds is _at_most else 'at least'} {asked:g}",
                f"{found:.2f}" if found >= 0.1 else f"{found:.3f}",
                "yes" if holds(found, asked) else "**no**",
            ]
            for what, asked, found, holds in rows
        ],
    )


def _at_most(found: float, asked: float) -> bool:
    return found <= asked


def _at_least(found: float, asked: float) -> bool:
    return found >= asked
