"""The health of everything a person may see, and the JSON of it that the endpoint answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sluicegate.health.facts import ComponentFacts, FailureFacts, JournalFacts, SiteFacts
from sluicegate.health.findings import Finding, PipelineHealth, Severity, State, What, health_of
from sluicegate.health.usual import unusual

__all__ = ["VERSION", "Report", "document", "names_only", "report", "unknown"]

_LONGEST = 300
VERSION = 1
"""Of the JSON. Fields and words may be added to it; what is there keeps its meaning."""


@dataclass(frozen=True)
class Report:
    """How everything is that was asked for."""

    at: datetime
    pipelines: tuple[PipelineHealth, ...]
    findings: tuple[Finding, ...]
    """All of them, the problems first."""
    components: tuple[ComponentFacts, ...]
    journals: tuple[JournalFacts, ...]

    @property
    def is_well(self) -> bool:
        return not any(finding.severity is Severity.PROBLEM for finding in self.findings)

    def without_files(self) -> Report:
        """The same for somebody whom Airflow shows no import errors: that there are some, and no more."""
        return replace(
            self,
            findings=tuple(
                replace(each, detail="a file is broken") if each.what is What.BROKEN_FILE else each
                for each in self.findings
            ),
        )


def report(site: SiteFacts, *, may_read: Callable[[str], bool], only: str | None = None) -> Report:
    """What is to be said of the pipelines that `may_read` allows; of `only` one, without what concerns all."""
    seen = [health_of(each, site.at) for each in site.pipelines if may_read(each.name) and only in (None, each.name)]
    names = {each.facts.name for each in seen}
    theirs = {each.facts.promise.journal for each in seen if each.facts.promise is not None}
    site = replace(site, journals={name: each for name, each in site.journals.items() if name in theirs})
    faults = {(each.pipeline, each.run_id, each.step): each for one in site.journals.values() for each in one.failures}
    found = [_with_fault(finding, each, faults) for each in seen for finding in each.findings]
    found += [each for each in _of_journals(site.journals.values()) if each.pipeline in names]
    found += [_pool_missing(each.pipeline, each.step, each.pool) for each in site.pools if each.pipeline in names]
    if only is None:
        found += _of_the_site(site)
    ordered = sorted(found, key=lambda each: (each.severity is not Severity.PROBLEM, each.pipeline or ""))
    return Report(site.at, tuple(seen), tuple(ordered), site.components, tuple(site.journals.values()))


def _with_fault(
    finding: Finding, health: PipelineHealth, faults: Mapping[tuple[str, str, str], FailureFacts]
) -> Finding:
    """A failed run with what its first failed step said, as far as a journal has it."""
    run = health.facts.newest
    if finding.what is not What.FAILING or run is None:
        return finding
    keys = [(health.facts.name, run.run_id, step) for step in run.failed_steps]
    known = next((faults[key] for key in keys if key in faults), None)
    if known is None:
        return finding
    said = " ".join(f"{known.code}: {known.detail}".split())
    return replace(finding, detail=f"{finding.detail}; {known.step}: {said[:_LONGEST]}", fault=known.code)


def _of_the_site(site: SiteFacts) -> Iterator[Finding]:
    for component in site.components:
        if _is_dead(component, site.at):
            yield _down(component)
    for file in site.broken:
        yield Finding(
            What.BROKEN_FILE,
            Severity.PROBLEM,
            file.message if file.message.startswith(file.file) else f"{file.file}: {file.message}",
            "sluicegate check shows every error of the file, with its place.",
            since=file.since,
        )
    for journal in site.journals.values():
        yield from _of_a_journal(journal)
    scheduled = [each for each in site.pipelines if each.promise is not None and each.is_scheduled]
    if scheduled and not any(each.promise is not None and each.promise.watches for each in site.pipelines):
        yield Finding(
            What.NO_WATCH,
            Severity.WARNING,
            "no pipeline with `fresh_within` watches the others: what did not run at all goes unnoticed",
            "Put watch.yaml into the dags root, as docs/health.md shows it, with its `fresh_within`.",
        )


def _of_a_journal(journal: JournalFacts) -> Iterator[Finding]:
    """What concerns no single pipeline."""
    if journal.unread:
        yield Finding(
            What.JOURNAL_UNREAD,
            Severity.WARNING,
            f"the Postgres of the connection `{journal.connection}` did not answer: {journal.unread}",
            "Rows, dead letters, circuits and alerts of its pipelines are not known: look at the database.",
        )
    for circuit in journal.circuits:
        until = f" until {_time(circuit.until)}" if circuit.until is not None else ""
        yield Finding(
            What.CIRCUIT,
            Severity.WARNING,
            f"{circuit.name} is {circuit.state.replace('_', ' ')}{until}: {circuit.fault or 'it failed repeatedly'}",
            f"Tasks that need it wait. Once it works again: sluicegate circuits reset {circuit.name}",
        )


def _of_journals(journals: Iterable[JournalFacts]) -> Iterator[Finding]:
    """What concerns single pipelines."""
    for journal in journals:
        for load in journal.loads:
            usual = unusual(load.read, load.before)
            if usual is not None:
                yield Finding(
                    What.ROWS,
                    Severity.WARNING,
                    f"its newest load read {load.read:,} records, and usually it is about {usual:,}",
                    "Ask the source's owner whether that is right; the load itself succeeded.",
                    load.pipeline,
                    load.step,
                    load.at,
                    {"rows": load.read, "usual_rows": usual},
                )
        for letters in journal.letters:
            yield Finding(
                What.DEAD_LETTERS,
                Severity.WARNING,
                f"{letters.count:,} dead letters are open, the oldest since {_time(letters.oldest)}",
                f"sluicegate dead-letters list --pipeline {letters.pipeline} --step {letters.step}",
                letters.pipeline,
                letters.step,
                letters.oldest,
                {"open": letters.count},
            )
        for alert in journal.alerts:
            yield Finding(
                What.UNDELIVERED,
                Severity.PROBLEM,
                f"{alert.count:,} alerts did not reach {alert.channel}: {alert.reason or 'no reason known'}",
                "Mend the channel; the watch sends them again, for three days.",
                alert.pipeline,
                since=alert.oldest,
                numbers={"alerts": alert.count},
            )


def _pool_missing(pipeline: str, step: str, pool: str) -> Finding:
    return Finding(
        What.POOL_MISSING,
        Severity.PROBLEM,
        f"it waits for the pool {pool}, which does not exist",
        f'airflow pools set {pool} 4 "What it bounds"',
        pipeline,
        step,
    )


def _is_dead(component: ComponentFacts, now: datetime) -> bool:
    return component.heartbeat is None or component.heartbeat + component.limit < now


def _down(component: ComponentFacts) -> Finding:
    last = f"its last sign of life is of {_time(component.heartbeat)}" if component.heartbeat else "there has been none"
    return Finding(
        What.COMPONENT_DOWN,
        Severity.PROBLEM,
        f"no {component.name} runs: {last}",
        f"Start Airflow's {component.name} again.",
        since=component.heartbeat,
    )


def document(found: Report) -> dict[str, Any]:
    """The report as JSON, for somebody who has shown who they are."""
    return {
        **_head(found),
        "pipelines": [_pipeline(each) for each in found.pipelines],
        "findings": [_finding(each) for each in found.findings],
        "components": {
            each.name: {"alive": not _is_dead(each, found.at), "heartbeat": _iso(each.heartbeat)}
            for each in found.components
        },
        "journals": {each.connection: "unread" if each.unread else "read" for each in found.journals},
    }


def names_only(found: Report) -> dict[str, Any]:
    """The report for anybody: counts and names."""
    return {
        **_head(found),
        "pipelines": [{"name": each.facts.name, "state": each.state} for each in found.pipelines],
        "findings": [
            {"what": each.what, "severity": each.severity, "pipeline": each.pipeline} for each in found.findings
        ],
    }


def _head(found: Report) -> dict[str, Any]:
    states = Counter(each.state for each in found.pipelines)
    severities = Counter(each.severity for each in found.findings)
    return {
        "version": VERSION,
        "status": "well" if found.is_well else "unwell",
        "at": _iso(found.at),
        "counts": {
            "pipelines": len(found.pipelines),
            "problems": severities[Severity.PROBLEM],
            "warnings": severities[Severity.WARNING],
            **{str(state): states[state] for state in State},
        },
    }


def _pipeline(health: PipelineHealth) -> dict[str, Any]:
    facts = health.facts
    run = facts.newest
    return {
        "name": facts.name,
        "state": health.state,
        "owner": facts.owner,
        "schedule": facts.schedule,
        "paused": facts.paused,
        "fresh_within": None if facts.promise is None else int(facts.promise.fresh_within.total_seconds()),
        "data_until": None if facts.newest_success is None else _iso(facts.newest_success.end),
        "late_since": _iso(health.late_since),
        "active_runs": facts.active_runs,
        "newest_run": None
        if run is None
        else {
            "run_id": run.run_id,
            "state": "success" if run.succeeded else "failed",
            "window_start": None if run.window is None else _iso(run.window.start),
            "window_end": None if run.window is None else _iso(run.window.end),
            "ended": _iso(run.ended),
            "failed_steps": list(run.failed_steps),
        },
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "what": finding.what,
        "severity": finding.severity,
        "pipeline": finding.pipeline,
        "step": finding.step,
        "detail": finding.detail,
        "remedy": finding.remedy,
        "since": _iso(finding.since),
        "fault": finding.fault,
        **finding.numbers,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def unknown(at: datetime) -> dict[str, Any]:
    """The answer where Airflow's database gives none: nothing is known, which is not well."""
    finding = Finding(
        What.METADATA_UNREAD,
        Severity.PROBLEM,
        "Airflow's database did not answer, so that nothing is known",
        "Look at the database, and at the api-server's log.",
    )
    return {**_head(Report(at, (), (finding,), (), ())), "pipelines": [], "findings": [_finding(finding)]}
