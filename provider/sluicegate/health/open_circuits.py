"""Alerts of circuits that stay open: tasks that wait do not fail, so that nothing else would say it."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sluicegate.alerts.context import airflow_address, playbook_address
from sluicegate.alerts.message import Alert
from sluicegate.circuits.store import Known
from sluicegate.faults import CATALOGUE
from sluicegate.faults.section import Playbook
from sluicegate.pipeline.keys.alerts import channels_of

if TYPE_CHECKING:
    from sluicegate.pipeline.keys.alerts import Channel
    from sluicegate.pipeline.keys.model import Pipeline

__all__ = ["circuit_alerts"]

_CODE = "CIRCUIT_OPEN"
_SHOWN = 10


def circuit_alerts(
    known: Known, pipelines: Mapping[str, Pipeline]
) -> Iterator[tuple[Alert, Mapping[str, Channel | None]]]:
    """One alert for all pipelines that have the same channels, once for as long as the circuit stays open."""
    affected = [pipelines[name] for name in known.pipelines if name in pipelines]
    by_channels: dict[str, list[Pipeline]] = defaultdict(list)
    for pipeline in affected:
        by_channels[_digest(pipeline)].append(pipeline)
    for digest, alike in by_channels.items():
        yield _alert(known, sorted(each.name for each in alike), digest), alike[0].alerts


def _alert(known: Known, names: list[str], digest: str) -> Alert:
    circuit = known.circuit
    since = "" if circuit.opened_at is None else f"{circuit.opened_at:%Y-%m-%d %H:%M %Z}"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    detail = (
        f"{circuit.name} has failed since {since}: {circuit.last_fault}: {circuit.last_detail or 'no words'}. Tasks of "
        f"{', '.join(names[:_SHOWN])}{more} wait for it. `sluicegate circuits list` shows it."
    )
    return Alert(
        circuit.name,
        CATALOGUE[_CODE],
        detail=detail,
        occasion=f"{since} {digest}",
        subject=circuit.name,
        playbook=playbook_address(Playbook(""), _CODE),
        airflow=airflow_address(),
    )


def _digest(pipeline: Pipeline) -> str:
    """Of its channels: two teams with channels of one name both get it."""
    said = {name: each.model_dump(mode="json", by_alias=True) for name, each in channels_of(pipeline.alerts).items()}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8]
