"""What a replay needs of the pipeline that its letters are of, as its file is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sluicegate.faults import fault
from sluicegate.graph.datasets import read_locations, write_locations
from sluicegate.graph.window import Window
from sluicegate.ledger.entries import Origin
from sluicegate.load.references import Referenced
from sluicegate.load.request import LoadRequest, request_of
from sluicegate.pipeline.keys.load import REFERENCED, Format
from sluicegate.pipeline.keys.model import LoadStep, Pipeline
from sluicegate.records.limits import MEMORY_LIMIT
from sluicegate.records.scope import scope_of_letters
from sluicegate.targets.open import ledger_connection

__all__ = ["LoadPlace", "for_window", "place_of", "replay_run", "request_of_step"]


@dataclass(frozen=True)
class LoadPlace:
    """A load step, and the Airflow connections of the database of its ledger, and of its source.

    `beside` is that of its ledger where `database` is one to a Redshift.
    """

    step: LoadStep
    database: str
    beside: str | None
    aws: str
    source: str | None


def place_of(pipeline: Pipeline, name: str, others: Mapping[str, Pipeline]) -> LoadPlace:
    """Where the load step `name` loads from and into.

    :raises FaultError: WRONG_USE when there is no such load, or no ledger for it.
    """
    step = pipeline.steps.get(name)
    if not isinstance(step, LoadStep):
        loads = ", ".join(key for key, each in pipeline.steps.items() if isinstance(each, LoadStep)) or "none"
        raise fault("WRONG_USE", f"{pipeline.name} has no load {name!r} (its loads: {loads})")
    template = write_locations(pipeline, step)["into"].template
    database = ledger_connection(template, pipeline.connections.ledger)
    source = read_locations(pipeline, step, others)["load"]
    return LoadPlace(step, database, pipeline.connections.ledger, pipeline.connections.aws, source.connection)


def request_of_step(
    pipeline: Pipeline,
    step: LoadStep,
    others: Mapping[str, Pipeline],
    *,
    dry_run: bool,
    memory_limit: str = MEMORY_LIMIT,
) -> LoadRequest:
    """The configuration of a load as its pipeline says it now, for a replay."""
    return request_of(
        step, ("dead-letters:",), "replayed", Origin(pipeline.name, step.name, replay_run()),
        root=pipeline.root, source_format=read_locations(pipeline, step, others)["load"].format,
        dry_run=dry_run, memory_limit=memory_limit,
    )  # fmt: skip


def for_window(
    pipeline: Pipeline, step: LoadStep, others: Mapping[str, Pipeline]
) -> Callable[[LoadRequest, Window | None], LoadRequest] | None:
    """How the request of a replay says what the load is narrowed to, and where the datasets are that its columns refer
    to; None without either.
    """
    reads = read_locations(pipeline, step, others)
    places = {name.removeprefix(REFERENCED): at for name, at in reads.items() if name.startswith(REFERENCED)}
    if not places and not step.scope:
        return None

    def rendered(request: LoadRequest, window: Window | None) -> LoadRequest:
        now = datetime.now(UTC)
        found = {
            name: Referenced(at.render(window or Window(now, now), {}), at.format or Format())
            for name, at in places.items()
        }
        scope = scope_of_letters(step.scope, window)
        return request.model_copy(update={"references": found, "scope": scope})

    return rendered


def replay_run() -> str:
    """The run of a replay by hand, as the ledger names it."""
    return f"replay__{datetime.now(UTC).isoformat(timespec='seconds')}"
