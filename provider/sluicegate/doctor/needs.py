"""What all pipelines together need of Airflow and of AWS. Values in, values out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sluicegate.graph.pools import Use, pools_of, uses_of
from sluicegate.pipeline.keys.alerts import channels_of
from sluicegate.pipeline.keys.cluster import Cluster
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.keys.steps import SparkStep

__all__ = ["Needs", "bucket_of", "needs_of"]

_BEHIND_A_CONNECTION = re.compile(r"(?:table|iceberg)://([^/{]+)/")
_BUCKET = re.compile(r"s3[an]?://([^/{]+)(.*)")


@dataclass(frozen=True)
class Needs:
    """By name, which pipelines need it. `clusters` are by the connection to AWS through which they are started."""

    connections: Mapping[str, frozenset[str]] = field(default_factory=dict)
    alerts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Connections of channels of `alerts:`."""
    aws: Mapping[str, frozenset[str]] = field(default_factory=dict)
    pools: Mapping[str, frozenset[str]] = field(default_factory=dict)
    pool_uses: Mapping[str, frozenset[Use]] = field(default_factory=dict)
    """By pool, what it bounds."""
    clusters: Mapping[str, tuple[Cluster, ...]] = field(default_factory=dict)
    artifacts: frozenset[str] = frozenset()
    """Folders of S3."""
    measured: frozenset[str] = frozenset()
    """Buckets whose objects are measured before a cluster is started (`by_input`)."""

    @property
    def log_uris(self) -> frozenset[str]:
        return frozenset(uri for each in self.clusters.values() for one in each if (uri := one.log_uri))


def needs_of(pipelines: Iterable[Pipeline]) -> Needs:
    """What `pipelines` need, as far as their files say: not what is in a template."""
    connections: dict[str, set[str]] = {}
    alerts: dict[str, set[str]] = {}
    aws: dict[str, set[str]] = {}
    pools: dict[str, set[str]] = {}
    clusters: dict[str, list[Cluster]] = {}
    artifacts: set[str] = set()
    every = list(pipelines)
    places = {f"{one.name}.{name}": dataset.uri for one in every for name, dataset in one.datasets.items()}
    measured: set[str] = set()
    for pipeline in every:
        for name in _connections(pipeline):
            connections.setdefault(name, set()).add(pipeline.name)
        for name in _of_channels(pipeline):
            alerts.setdefault(name, set()).add(pipeline.name)
        if _uses_aws(pipeline):
            aws.setdefault(pipeline.connections.aws, set()).add(pipeline.name)
        for step in pipeline.steps.values():
            for use in uses_of(step, pipeline):
                pools.setdefault(use.pool, set()).add(pipeline.name)
            if isinstance(step, SparkStep):
                artifacts.add(pipeline.artifacts)
                known = clusters.setdefault(pipeline.connections.aws, [])
                known += [step.cluster] if step.cluster not in known else []
                measured |= _measured(pipeline, step, places)
    return Needs(
        connections=_frozen(connections),
        alerts=_frozen(alerts),
        aws=_frozen(aws),
        pools=_frozen(pools),
        pool_uses=pools_of(every),
        clusters={name: tuple(found) for name, found in clusters.items()},
        artifacts=frozenset(artifacts),
        measured=frozenset(measured),
    )


def bucket_of(uri: str) -> tuple[str, str] | None:
    """Bucket and prefix of an `s3://` folder; None for what is a template or something else."""
    found = _BUCKET.fullmatch(uri)
    return (found[1], found[2].strip("/")) if found else None


def _connections(pipeline: Pipeline) -> Iterator[str]:
    places = [dataset.uri for dataset in pipeline.datasets.values()]
    for step in pipeline.steps.values():
        places += [read.dataset for read in step.reads.values()]
        places += list(step.writes.values())
        if (fetch := getattr(step, "fetch", None)) is not None and fetch.connection:
            yield fetch.connection
    for place in places:
        if found := _BEHIND_A_CONNECTION.match(place):
            yield found[1]
    yield from (dataset.connection for dataset in pipeline.datasets.values() if dataset.connection)
    if pipeline.connections.ledger:
        yield pipeline.connections.ledger


def _of_channels(pipeline: Pipeline) -> Iterator[str]:
    """The connections that notifiers are given by name."""
    for channel in channels_of(pipeline.alerts).values():
        for name, value in channel.with_.items():
            if name.endswith("conn_id") and isinstance(value, str) and "{{" not in value:
                yield value


def _measured(pipeline: Pipeline, step: SparkStep, places: Mapping[str, str]) -> set[str]:
    if not step.cluster.by_input:
        return set()
    named = (read.dataset for read in step.reads.values())
    uris = (places.get(name if "." in name else f"{pipeline.name}.{name}", name) for name in named)
    return {found[1] for uri in uris if (found := _BUCKET.match(uri))}


def _uses_aws(pipeline: Pipeline) -> bool:
    uris = [dataset.uri for dataset in pipeline.datasets.values()]
    return any(isinstance(step, SparkStep) for step in pipeline.steps.values()) or any(map(_BUCKET.match, uris))


def _frozen(found: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(names) for name, names in sorted(found.items())}
