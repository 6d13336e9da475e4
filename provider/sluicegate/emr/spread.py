"""When a scheduled run starts its cluster, so that the clusters of many pipelines do not all start at once. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

__all__ = ["spread_start"]


def spread_start(pipeline: str, due: datetime, spread: timedelta) -> datetime:
    """The moment from `due` on, and before `due` + `spread`, that is the pipeline's own: in each run the same."""
    share = int.from_bytes(hashlib.sha256(pipeline.encode()).digest()[:8]) / 2**64
    return due + timedelta(seconds=int(share * spread.total_seconds()))
