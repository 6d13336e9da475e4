"""The nights: which DAGs fail how, and what comes before what. The DAGs are in `dags`."""

from __future__ import annotations

from tests.recovery.night import Night

__all__ = ["nights"]

_FINE, _BROKEN, _NEVER, _OPEN = "success", "failed", "upstream_failed", "none"
READERS = [f"bad_reader_r{number:02}" for number in range(1, 19)]
SUMS = {f"bad_sum_{letter}": READERS[6 * place : 6 * place + 6] for place, letter in enumerate("abc")}


def _late(waits: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """Pipelines of one step whose waits were in vain, all of them."""
    return {
        dag: {step: _NEVER} | {f"wait_for__{name.replace('.', '__')}": _BROKEN for name in awaited}
        for dag_and_step, awaited in waits.items()
        for dag, step in [dag_and_step.split(".")]
    }


def _links(waits: dict[str, list[str]]) -> tuple[tuple[str, str], ...]:
    """From what is awaited to the wait for it, and from there to the step."""
    found = []
    for reader, awaited in waits.items():
        dag = reader.partition(".")[0]
        for name in awaited:
            wait = f"{dag}.wait_for__{name.replace('.', '__')}"
            found += [(name, wait), (wait, reader)]
    return tuple(found)


def nights() -> list[Night]:
    """Each night, not yet begun."""
    return [
        _bad_night(), _diamond(), _thirty_days(), _half_mapped(), _undone(), _triggered(), _assets(), _middle(),
        _again(), *map(_chain, ("marked", "skipped", "lost")), _touched(), _busy(), _week(), _forced(), _shop(),
    ]  # fmt: skip


def _bad_night() -> Night:
    """A source is late: 18 pipelines that read it have waited in vain, and so have two levels above them."""
    waits = {f"{reader}.count": ["bad_source.fetch"] for reader in READERS}
    waits |= {f"{each}.sum": [f"{reader}.count" for reader in readers] for each, readers in SUMS.items()}
    waits |= {"bad_report.report": [f"{each}.sum" for each in SUMS]}
    source = ("bad_source.wait_for__delivery", "bad_source.fetch")
    return Night(
        name="bad_night",
        planned={"bad_source": {"wait_for__delivery": _BROKEN, "fetch": _NEVER}} | _late(waits),
        missing=("delivery/2026-03-01.csv",),
        links=(source, *_links(waits)),
    )


def _diamond() -> Night:
    """Left has failed, right has not."""
    waits = {
        "diamond_left.work": ["diamond_top.work"],
        "diamond_right.work": ["diamond_top.work"],
        "diamond_bottom.work": ["diamond_left.work", "diamond_right.work"],
    }
    wait = "wait_for__diamond_top__work"
    return Night(
        name="diamond",
        planned={
            "diamond_top": {"work": _FINE},
            "diamond_left": {wait: _FINE, "work": _BROKEN},
            "diamond_right": {wait: _FINE, "work": _FINE},
            "diamond_bottom": {
                "wait_for__diamond_left__work": _BROKEN,
                "wait_for__diamond_right__work": _FINE,
                "work": _NEVER,
            },
        },
        flags=("diamond_left",),
        links=_links(waits),
    )


def _thirty_days() -> Night:
    """Three days have failed in the middle, and the days after them wait for the day before."""
    return Night(
        name="thirty_days",
        planned={"days": {"extract": f"{_BROKEN} 3, {_FINE} 27", "total": f"{_OPEN} 18, {_FINE} 9, {_NEVER} 3"}},
        flags=("days_2026-03-10", "days_2026-03-11", "days_2026-03-20"),
        links=(("days.extract", "days.total"),),
        chained=("days.total",),
    )


def _half_mapped() -> Night:
    """Of six instances of a mapped task, three have failed."""
    return Night(
        name="half_mapped",
        planned={"half_mapped": {"part": f"{_BROKEN} 3, {_FINE} 3", "whole": _NEVER}},
        flags=("half_p1", "half_p3", "half_p5"),
        links=(("half_mapped.part", "half_mapped.whole"),),
    )


def _undone() -> Night:
    """Work between a setup and its teardown has failed; both have succeeded."""
    return Night(
        name="undone",
        planned={"undone": {"make": _FINE, "work": _BROKEN, "publish": _NEVER, "drop": _FINE}},
        flags=("undone_work",),
        links=(
            ("undone.make", "undone.work"), ("undone.work", "undone.publish"),
            ("undone.work", "undone.drop"), ("undone.publish", "undone.drop"),
        ),
    )  # fmt: skip


def _triggered() -> Night:
    """The run that a task has triggered and waited for has failed."""
    return Night(
        name="triggered",
        planned={"child": {"work": _BROKEN}, "parent": {"call": _BROKEN, "after_call": _NEVER}},
        flags=("child",),
        links=(("parent.call", "parent.after_call"),),
    )


def _assets() -> Night:
    """Consumers of any and of all of two assets have failed. One producer has too: a consumer of all has never run."""
    return Night(
        name="assets",
        planned={
            "makes_first": {"emit": _FINE},
            "makes_second": {"emit": _FINE},
            "makes_late": {"emit": _BROKEN},
            "takes_any": {"take": _BROKEN},
            "takes_all": {"take": _BROKEN},
            "takes_late": {},
        },
        flags=("makes_late", "takes_any", "takes_all"),
    )


def _middle() -> Night:
    """A DAG that is not ours waits for a pipeline, and another pipeline for that DAG."""
    return Night(
        name="middle",
        planned={
            "middle_first": {"work": _BROKEN},
            "middle_hand": {"wait": _BROKEN, "work": _NEVER},
            "middle_last": {"wait_for__middle_hand": _BROKEN, "work": _NEVER},
        },
        flags=("middle_first",),
        links=(
            ("middle_first.work", "middle_hand.wait"), ("middle_hand.wait", "middle_hand.work"),
            ("middle_hand.work", "middle_last.wait_for__middle_hand"),
            ("middle_last.wait_for__middle_hand", "middle_last.work"),
        ),
    )  # fmt: skip


def _again() -> Night:
    """Four pipelines wait for a first one; of what follows, `second` will fail by itself."""
    waits = {
        "again_second.work": ["again_first.work"],
        "again_other.work": ["again_first.work"],
        "again_third.work": ["again_second.work"],
        "again_fourth.work": ["again_other.work"],
    }
    return Night(
        name="again",
        planned={"again_first": {"work": _BROKEN}} | _late(waits),
        flags=("again_first",),
        later=("again_second",),
        links=_links(waits),
    )


def _chain(name: str) -> Night:
    """The first of three tasks has failed."""
    return Night(
        name=name,
        planned={name: {"first": _BROKEN, "second": _NEVER, "third": _NEVER}},
        flags=(name,),
        links=((f"{name}.first", f"{name}.second"), (f"{name}.second", f"{name}.third")),
    )


def _touched() -> Night:
    """Two tasks have failed, and a third one comes after both."""
    return Night(
        name="touched",
        planned={"touched": {"left": _BROKEN, "right": _BROKEN, "both": _NEVER}},
        flags=("touched",),
        links=(("touched.left", "touched.both"), ("touched.right", "touched.both")),
    )


def _busy() -> Night:
    """Nothing has failed: one task waits in the triggerer, another one runs, and neither will end."""
    return Night(
        name="busy",
        planned={"busy": {"deferred": "deferred", "running": "running", "then": _OPEN}},
        flags=("busy",),
        links=(("busy.deferred", "busy.then"), ("busy.running", "busy.then")),
    )


def _week() -> Night:
    """Nothing has failed in three days of two pipelines."""
    return Night(
        name="week",
        planned={
            "week_source": {"clean": _FINE, "announce": _FINE},
            "week_reader": {"wait_for__week_source__clean": _FINE, "load": _FINE, "post": _FINE},
        },
        given=tuple(f"week/2026-03-0{day}.csv" for day in (1, 2, 3)),
        links=(("week_source.clean", "week_reader.load"), ("week_source.clean", "week_source.announce"),
               ("week_reader.load", "week_reader.post")),
    )  # fmt: skip


def _forced() -> Night:
    """Nothing has failed, and the ledger has the load."""
    return Night(name="forced", planned={"forced": {"load": _FINE}}, given=("forced.csv",))


def _shop() -> Night:
    """The night of docs/recovery.md: a file is late, three pipelines have waited for it, and a report for them."""
    readers = ("margin", "refunds", "stock")
    waits = {f"shop_{name}.{name}": ["shop_feed.load_orders"] for name in readers}
    waits |= {"shop_report.report": [f"shop_{name}.{name}" for name in readers]}
    wait = "wait_for__raw"
    return Night(
        name="shop",
        planned={"shop_feed": {wait: _BROKEN, "load_orders": _NEVER}} | _late(waits),
        links=((f"shop_feed.{wait}", "shop_feed.load_orders"), *_links(waits)),
    )
