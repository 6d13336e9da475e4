"""The receipt of a run as lines for a person. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

from sluicegate.graph.cron import zone
from sluicegate.graph.window import Window
from sluicegate.ledger.receipts import Receipt, Status
from sluicegate.receipts.inputs import size_words
from sluicegate.receipts.run import Instance, RunReceipt

__all__ = ["count_words", "moment", "page_of", "seconds_words", "status_words", "window_words"]

_MOST_INSTANCES = 20
"""Of a mapped step that are shown one by one; of more the failed ones are."""
_NAMED = 5


def page_of(run: RunReceipt, timezone: str | None = None) -> Iterator[str]:
    """What code, configuration and input made the run, then each step.

    :param timezone: in which times are shown; that of the pipeline unless given
    """
    place = zone(timezone or run.timezone)
    yield f"{run.pipeline}  {run.run_id}"
    for name, words in _head(run, place):
        if words:
            yield f"  {name:<11} {words}"
    for step in run.steps.values():
        shown = step.instances
        if len(shown) > _MOST_INSTANCES:
            yield ""
            yield f"  {step.name}  {len(shown):,} instances: {step.status}  {count_words(step.counts)}"
            shown = tuple(one for one in shown if one.last.status is not Status.SUCCEEDED)
        for instance in shown[:_MOST_INSTANCES]:
            yield ""
            yield from _instance(instance, place)
        if more := shown[_MOST_INSTANCES:]:
            yield ""
            yield f"  {step.name}  {len(more):,} more that did not succeed: --json has them"
    if run.not_begun:
        yield ""
        yield f"  not begun: {', '.join(run.not_begun)}"


def _head(run: RunReceipt, place: tzinfo) -> Iterator[tuple[str, str]]:
    document = run.latest.document
    yield "status", status_words(run)
    yield "window", "" if run.window is None else window_words(run.window, place)
    end = run.ended_at
    took = "" if end is None else f" to {moment(end, place)}, {seconds_words((end - run.started_at).total_seconds())}"
    yield "ran", f"{moment(run.started_at, place)}{took}"
    yield "triggered", _trigger_words(run)
    yield "code", _code_words(run.latest.part("code"))
    yield "pipeline", _file_words(run)
    packages = {name: found for one in run.instances for name, found in one.last.part("packages").items()}
    yield "packages", ", ".join(f"{name} {found}" for name, found in packages.items())
    yield "params", _pairs(run.latest.part("params"))
    yield "clusters", ", ".join(f"{hours:g} h {market}" for market, hours in run.instance_hours.items())
    switches = [word for word in ("dry_run", "force") if document.get(word)]
    yield "asked for", ", ".join(switches)


def status_words(run: RunReceipt) -> str:
    """`failed: load_orders NETWORK`."""
    faults = [f"{name} {fault.get('code') or 'was ended from outside'}" for name, fault in run.faults.items()]
    faults += [f"{one.name} did not end" for one in run.instances if one.last.status is Status.LOST]
    running = [f"{one.name} is {one.last.status}" for one in run.instances if one.last.status.is_open]
    said = [*faults, *running]
    detail = ", ".join(said[:_NAMED]) + (f" and {len(said) - _NAMED:,} more" if len(said) > _NAMED else "")
    return f"{run.status}: {detail}" if detail else str(run.status)


def _trigger_words(run: RunReceipt) -> str:
    trigger = run.latest.part("trigger")
    words = [str(trigger["type"])] if trigger.get("type") else []
    words += [f"by {trigger['by']}"] if trigger.get("by") else []
    if cleared := trigger.get("cleared"):
        words.append("cleared once" if cleared == 1 else f"cleared {cleared:,} times")
    plans = sorted({str(plan) for one in run.receipts if (plan := one.part("trigger").get("recovery"))})
    return ", ".join([*words, *(f"again by the recovery {plan}" for plan in plans)])


def _code_words(code: Mapping[str, Any]) -> str:
    words = []
    if code.get("commit"):
        dirty = {True: ", with changes that are in no commit", None: ", changes not known"}.get(code.get("dirty"), "")
        words.append(f"commit {str(code['commit'])[:12]}{dirty}")
    if code.get("bundle"):
        version = f" in version {str(code['version'])[:12]}" if code.get("version") else ""
        words.append(f"bundle {code['bundle']}{version}")
    return "; ".join(words)


def _file_words(run: RunReceipt) -> str:
    said = run.latest.part("pipeline")
    if not said:
        return ""
    defaults = said.get("defaults") or {}
    words = [f"{said.get('file')} ({str(said.get('digest'))[:12]} with its defaults)"]
    words += [f"{path} ({digest})" for path, digest in defaults.items()]
    return ", ".join(words)


def _instance(instance: Instance, place: tzinfo) -> Iterator[str]:
    last = instance.last
    tries = f" at try {last.attempt.try_number}" if last.attempt.try_number > 1 else ""
    took = "" if last.seconds is None else f" after {seconds_words(last.seconds)}"
    yield f"  {instance.name}  {last.status}{tries}{took}{_dashed(count_words(last.counts))}"
    for one in instance.tries[:-1]:
        yield f"    {f'try {one.attempt.try_number}':<8} {_try_words(one, place)}"
    if last.part("fault") or last.document.get("reason"):
        yield f"    {'why':<8} {_fault_words(last)}"
    for source in last.inputs:
        yield f"    {'read':<8} {_source_words(source, place)}"
    yield from (f"    {name:<8} {words}" for name, words in _facts(last.facts) if words)
    if omitted := last.document.get("omitted"):
        yield f"    {'omitted':<8} {', '.join(map(str, omitted))}"


def _facts(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for output in facts.get("outputs") or ():
        yield "wrote", f"{output.get('uri')}, {output.get('rows'):,} records"
    yield "into", str(facts.get("target") or "")
    yield "dead", _pairs(facts.get("dead_letters") or {}, " ")
    yield "warned", _pairs(facts.get("warnings") or {}, " ")
    yield "range", str(facts.get("range") or "")
    yield "took", ", ".join(f"{name} {seconds_words(took)}" for name, took in (facts.get("seconds") or {}).items())
    for cluster in facts.get("clusters") or ():
        hours = (cluster.get("usage") or {}).get("instance_hours") or {}
        yield "cluster", f"{cluster.get('cluster_id')}  {', '.join(f'{h:g} h {market}' for market, h in hours.items())}"
    if facts.get("loaded_by"):
        yield "loaded", f"already, by {facts['loaded_by']}"


def _try_words(one: Receipt, place: tzinfo) -> str:
    if one.status is Status.LOST:
        return f"began at {moment(one.started_at, place)} and did not end"
    took = "" if one.seconds is None else f" after {seconds_words(one.seconds)}"
    fault = _fault_words(one)
    return f"{one.status}{took}{f': {fault}' if fault else ''}"


def _fault_words(one: Receipt) -> str:
    fault = one.part("fault")
    return f"{fault.get('code')}: {fault.get('detail')}" if fault else str(one.document.get("reason") or "")


def _source_words(source: Mapping[str, Any], place: tzinfo) -> str:
    words = [str(source.get("uri"))]
    if source.get("rows") is not None:
        words.append(f"{source['rows']:,} records")
    if source.get("bytes") is not None:
        words.append(size_words(source["bytes"]))
    if (source.get("parts") or 0) > 1:
        words.append(f"{source['parts']:,} files")
    if source.get("by") == "time":
        words.append(f"written {moment(datetime.fromisoformat(str(source['modified'])), place)}")
    elif source.get("version"):
        words.append(f"version {str(source['version'])[:12]}")
    name = source.get("name")
    return f"{f'{name}: ' if name and '/' not in str(name) else ''}{', '.join(words)}"


def count_words(counts: Mapping[str, int]) -> str:
    """`1,000 read, 990 inserted, 10 dead`; what is 0 is left out."""
    return ", ".join(f"{number:,} {name}" for name, number in counts.items() if number)


def seconds_words(seconds: float) -> str:
    """`12 ms`, `4.2 s`, `3m12s`, `2h5m`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m" if hours else f"{minutes}m{rest}s"


def moment(value: datetime, place: tzinfo) -> str:
    """To the second, with the zone: `2026-01-01 06:00:00 UTC`."""
    return value.astimezone(place).strftime("%Y-%m-%d %H:%M:%S %Z")


def window_words(window: Window, place: tzinfo) -> str:
    """`2026-01-01 00:00 to 2026-01-02 00:00 CET`."""
    start, end = (one.astimezone(place) for one in (window.start, window.end))
    last = f"{end:%Y-%m-%d %H:%M %Z}"
    first = f"{start:%Y-%m-%d %H:%M}" if start.tzname() == end.tzname() else f"{start:%Y-%m-%d %H:%M %Z}"
    return last if start == end else f"{first} to {last}"


def _pairs(values: Mapping[str, Any], between: str = "=") -> str:
    return ", ".join(
        f"{name}{between}{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)}"
        for name, value in values.items()
    )


def _dashed(words: str) -> str:
    return f"  {words}" if words else ""
