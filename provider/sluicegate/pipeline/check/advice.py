"""What a pipeline that works still lacks for the night when it fails: owner, alerts, freshness, checks, playbook.

Warnings, and only `check` asks for them: they cost nothing where DAGs are parsed and are never import errors.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sluicegate.graph.cron import expand_cron
from sluicegate.graph.window import windows
from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors, Where, did_you_mean
from sluicegate.pipeline.keys.model import Schedule
from sluicegate.pipeline.read.validate import leaves
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.text.quantities import format_duration, parse_duration
from sluicegate.pipeline.text.source import Source

__all__ = ["advice", "unused_clusters"]

_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
_WINDOWS = 400
"""So many windows are looked at, for the longest one: a weekend, a February."""
_TABLE = re.compile(r"table://([\w.-]+)/")


def advice(
    file: Path,
    root: Path,
    names: Iterable[str],
    playbooks: Path,
    connections: Collection[str] = (),
    environment: Environment | None = None,
) -> tuple[Diagnostic, ...]:
    """What `file` lacks; nothing is said of a file that is not YAML.

    :param names: the pipelines that it makes
    :param playbooks: the folder with a page for each pipeline, `<name>.md`
    :param connections: the ids of Airflow's connections, as far as they are known
    """
    try:
        source = Source.open(file, root, environment)
    except (PipelineErrors, OSError):
        return ()
    return (
        *_owner(source),
        *_alerts(source),
        *_fresh_within(source),
        *_checks(source),
        *_playbooks(source, names, playbooks),
        *_connections(source, connections),
    )


def unused_clusters(files: Iterable[Path], root: Path, environment: Environment | None = None) -> Iterator[Diagnostic]:
    """The clusters of `defaults.yaml` that no step names; nothing if one of `files` cannot be read.

    :param files: all pipelines of the dags root
    """
    declared: dict[tuple[Path, str], Diagnostic] = {}
    used: set[tuple[Path, str]] = set()
    for file in files:
        try:
            source = Source.open(file, root, environment)
        except (PipelineErrors, OSError):
            return
        steps = source.value.get("steps")
        said = (
            [step.get("cluster") for step in steps.values() if isinstance(step, dict)]
            if isinstance(steps, dict)
            else []
        )
        named = {name for name in said if isinstance(name, str)}
        if any("{" in name for name in named):
            return  # a matrix fills it in
        for layer in source.layers[1:]:
            clusters = layer.value.get("clusters")
            for name in clusters if isinstance(clusters, dict) else ():
                where = ("clusters", name)
                message = f"no step names the cluster `{name}`: leave it out, or correct the name where it is meant"
                _, _, place, _ = layer.follow(where)
                declared[layer.file, name] = layer.diagnostic("unused-cluster", message, place, where, "warning")
                used |= {(layer.file, name)} if name in named else set()
    yield from (found for key, found in declared.items() if key not in used)


def _owner(source: Source) -> Iterator[Diagnostic]:
    if source.value.get("owner") is None:
        message = "no owner to call when this fails: expected `owner: team`, here or in `defaults.yaml`"
        yield _warning(source, ("owner",), "no-owner", message)


def _alerts(source: Source) -> Iterator[Diagnostic]:
    if _is_scheduled(source) and "alerts" not in source.value:
        message = "no one is notified when this fails: `alerts` names a channel, here or in `defaults.yaml`"
        yield _warning(source, ("schedule",), "no-alerts", f"{message}; `alerts: null` if that is meant")


def _fresh_within(source: Source) -> Iterator[Diagnostic]:
    if _is_scheduled(source) and source.value.get("fresh_within") is None:
        message = "nothing says when this is late: `fresh_within: 30h` says how old its data may be"
        yield _warning(source, ("schedule",), "no-fresh-within", message)
    if _is_scheduled(source):
        yield from _too_short(source, source.value["schedule"])


def _too_short(source: Source, schedule: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """A promise that no run can keep: a window is not over before that time has passed since its start."""
    try:
        promise = parse_duration(source.value.get("fresh_within"))
        zone = str(schedule.get("timezone") or "UTC")
        every = Schedule(kind="cron", cron=expand_cron(str(schedule["cron"])), timezone=zone)
        longest = max(each.end - each.start for each in islice(windows(every, _MONDAY), _WINDOWS))
    except ValueError:
        return  # an error of the file, which has its own diagnostic
    if promise <= longest:
        message = (
            f"the data would always be late: a window of `{schedule['cron']}` takes up to {format_duration(longest)}, "
            f"and its run has to succeed {format_duration(promise)} after the window's start"
        )
        yield _warning(source, ("fresh_within",), "short-fresh-within", message)


def _is_scheduled(source: Source) -> bool:
    schedule = source.value.get("schedule")
    return isinstance(schedule, dict) and schedule.get("cron") is not None


def _checks(source: Source) -> Iterator[Diagnostic]:
    steps = source.value.get("steps")
    for name, step in steps.items() if isinstance(steps, dict) else ():
        if not isinstance(step, dict) or "load" not in step or step.get("checks") == []:
            continue  # an empty list says that nothing is expected, and that this is meant
        if not any(step.get(key) for key in ("columns", "checks", "suite")):
            message = f"`{name}` loads whatever comes: say what is expected with `columns`, `checks` or `suite`"
            yield _warning(source, ("steps", name), "no-checks", f"{message}; `checks: []` if that is meant")


def _playbooks(source: Source, names: Iterable[str], playbooks: Path) -> Iterator[Diagnostic]:
    lacking = [name for name in names if not (playbooks / f"{name}.md").is_file()]
    if lacking and not (playbooks / f"{source.file.stem}.md").is_file():
        # The pages of all combinations of a matrix may be one, called like the file.
        page = f"{playbooks.name}/{lacking[0] if len(lacking) == 1 else source.file.stem}.md"
        yield _warning(source, (), "no-playbook", f"no playbook for the person on call: expected `{page}`")


def _connections(source: Source, known: Collection[str]) -> Iterator[Diagnostic]:
    """Tables behind a connection called nearly as one that is known: others may well be in Airflow's database."""
    for key in ("datasets", "steps"):
        for words, where in leaves(source.value.get(key), (key,)):
            found = _TABLE.match(words)
            meant = did_you_mean(found[1], known) if found is not None and found[1] not in known else None
            if found is None or meant is None or not _is_slip(found[1], meant):
                continue
            message = f"no connection `{found[1]}` is known here: known are {', '.join(sorted(known))}"
            more = " (what is only in Airflow's database or a secrets backend is not seen)"
            yield source.diagnostic(
                where, "unknown-connection", message + more, inside=found[1], suggestion=meant, severity="warning"
            )


def _is_slip(name: str, meant: str) -> bool:
    """A letter more or less, or another one; a number or a suffix makes a name of its own."""
    return abs(len(name) - len(meant)) <= 1 and re.findall("[0-9]+", name) == re.findall("[0-9]+", meant)


def _warning(source: Source, where: Where, code: str, message: str) -> Diagnostic:
    """In the file itself, also where its defaults decide: they are not to blame for what they leave open."""
    document = source.layers[0]
    _, _, place, _ = document.follow(where)
    return document.diagnostic(code, message, place, where, "warning")
