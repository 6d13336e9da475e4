"""The code of all nights: what runs fails while there is a file with its name in the folder `flags`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import pyarrow as pa

FLAGS = Path(os.environ["SLUICEGATE_NIGHTS"], "flags")


def fail_if_flagged(name: str) -> None:
    if (FLAGS / name).exists():
        raise RuntimeError(f"{name} fails tonight")


def work(writes: dict[str, str], name: str, **_: Any) -> None:
    """Write everything, unless it is to fail."""
    fail_if_flagged(name)
    for uri in writes.values():
        path = Path(urlsplit(uri).path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name},{datetime.now(UTC).isoformat()}\n")


def copied(rows: pa.Table) -> pa.Table:
    return rows


def fail_once(name: str) -> None:
    """Fail for each line in the file of this name, which loses that line."""
    path = FLAGS / name
    left = path.read_text().splitlines() if path.exists() else []
    if left:
        path.write_text("\n".join(left[1:]))
        raise RuntimeError(f"{name} fails once more")
