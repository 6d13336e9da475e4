"""What a step reads, for its receipt, where what reads it says nothing: in the version that was there at first."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sluicegate.faults.redact import redact

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from sluicegate.runtime.subject import Place
    from sluicegate.storage import Part, Storage

__all__ = ["inputs_of"]

_MOST_FILES = 5_000
"""Of one input: what has more is known by its URI alone."""
_MOST_HASHED = 64 << 20
"""Bytes of one input that are read for a sha256; files of this machine with more have their sizes and times."""

log = logging.getLogger(__name__)


def inputs_of(task: BaseOperator, *, look: bool = True) -> list[dict[str, Any]]:
    """What `task` reads, once its templates are rendered: by URI, and in which version where a listing shows that.

    :param look: whether it is worth a listing
    """
    places: Mapping[Place, tuple[str, ...]] = getattr(task, "read_places", dict)()
    looks = look and bool(getattr(task, "reads_elsewhere", False))
    return [_input(task, place, uris, looks) for place, uris in places.items() if uris]


def _input(task: BaseOperator, place: Place, uris: Sequence[str], looks: bool) -> dict[str, Any]:
    if looks and (parts := _seen(task, place, uris)) is not None:
        from sluicegate.storage.part import input_of

        found = dict(input_of(place.dataset, uris, parts))
        del found["rows"]
        return found
    return {"name": place.dataset, "uri": uris[0]} | ({"uris": list(uris)} if len(uris) > 1 else {})


def _seen(task: BaseOperator, place: Place, uris: Sequence[str]) -> list[Part] | None:
    if any(uri.startswith(("table://", "iceberg://")) for uri in uris):
        return None
    try:
        from sluicegate.storage import Storage

        storage = Storage(_aws(task), connection=place.connection, hasty=True)
        seen: list[Part] = []
        for uri in uris:
            parts = storage.glimpse(uri, _MOST_FILES - len(seen))
            if parts is None:
                return None
            seen += parts
        return _hashed(storage, uris, seen)
    except Exception as unseen:
        log.info("The version of %s is not known: %s", place.dataset, redact(str(unseen))[:300])
        return None


def _hashed(storage: Storage, uris: Sequence[str], seen: list[Part]) -> list[Part]:
    """The same by the content of files of this machine, if they are not too large."""
    if not any("@" in part.version for part in seen) or sum(part.size for part in seen) > _MOST_HASHED:
        return seen
    return [part for uri in uris for part in storage.list_parts(uri)]


def _aws(task: BaseOperator) -> str:
    pipeline = getattr(task.get_dag(), "pipeline", None)
    own = getattr(task, "aws_conn_id", None) or getattr(getattr(pipeline, "connections", None), "aws", None)
    return str(own or "aws_default")
