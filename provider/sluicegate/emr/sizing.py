"""How large a cluster is, by the bytes of what its step reads. Decides; what counts the bytes is given to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sluicegate.emr.tags import TAG, encoded
from sluicegate.faults import FaultError, TransientFault
from sluicegate.pipeline.keys.cluster import Cluster, Size
from sluicegate.pipeline.text.quantities import format_bytes

__all__ = ["Measured", "measure", "size_for", "sized"]

log = logging.getLogger(__name__)

_TABLES = ("table://", "iceberg://")


@dataclass(frozen=True)
class Measured:
    """`unknown` are the URIs whose bytes cannot be counted; `size` is of all others."""

    size: int
    unknown: tuple[str, ...] = ()


def sized(cluster: Cluster, reads: Mapping[str, object], count: Callable[[str], int]) -> tuple[Cluster, dict[str, str]]:
    """The cluster as large as `by_input` says, and tags that say why; without `by_input` the same cluster.

    :param reads: binding to URI, or to several
    :param count: the bytes at a URI; raises `FaultError`
    """
    if not cluster.by_input:
        return cluster, {}
    measured = measure(_uris(reads), count)
    size = size_for(cluster, measured)
    bytes_ = f"{measured.size:,} bytes"
    if measured.unknown:
        shown = ", ".join(measured.unknown)
        log.warning("The input has %s and more: %s cannot be measured, so the cluster is the largest", bytes_, shown)
    log.info(
        "The input has %s: the cluster is of the size from %s on: %s", bytes_, format_bytes(size.from_), _said(size)
    )
    tags = {
        "input-bytes": f"{measured.size}{' and more' if measured.unknown else ''}",
        "size": f"from {format_bytes(size.from_)}",
    }
    return cluster.sized(size), {TAG + key: encoded(value) for key, value in tags.items()}


def measure(uris: Iterable[str], count: Callable[[str], int]) -> Measured:
    """The bytes at `uris`, each of which counts once. Tables are not measured, nor what refuses to be listed.

    :raises TransientFault: when counting may succeed later
    """
    size, unknown = 0, []
    for uri in dict.fromkeys(uris):
        if uri.startswith(_TABLES):
            unknown.append(uri)
            continue
        try:
            size += count(uri)
        except TransientFault:
            raise
        except FaultError as refused:
            log.warning("%s cannot be measured: %s", uri, refused)
            unknown.append(uri)
    return Measured(size, tuple(unknown))


def size_for(cluster: Cluster, measured: Measured) -> Size:
    """The last size that begins at or below the input; the largest if part of the input is unknown."""
    if measured.unknown:
        return cluster.by_input[-1]
    return [size for size in cluster.by_input if size.from_ <= measured.size][-1]


def _uris(reads: Mapping[str, object]) -> list[str]:
    every = ([value] if isinstance(value, str) else value for value in reads.values())
    return [str(uri) for uris in every if isinstance(uris, list | tuple) for uri in uris]


def _said(size: Size) -> str:
    said = {"core": size.core, "task": size.task, "max": size.max}
    return ", ".join(f"{key} {count}" for key, count in said.items() if count is not None)
