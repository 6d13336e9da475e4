"""The document of a receipt within its bounds, and digests for it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["bounded", "short_digest", "size_of"]

MOST_BYTES = 64_000
"""Of a document."""
_LONGEST_TEXT = 2_000
_LONGEST_LIST = 100


def bounded(document: Mapping[str, Any], most: int = MOST_BYTES) -> dict[str, Any]:
    """`document` within `most` bytes of JSON. What was cut or left out is named under `omitted`.

    Long texts are cut and long lists end early; then the largest parts go, the facts' own before the facts.
    """
    if size_of(document) <= most:
        return dict(document)
    omitted: list[str] = []
    found: dict[str, Any] = _shortened(document, "", omitted)
    left = found.get("facts")
    for prefix, holder in (("facts.", left if isinstance(left, dict) else {}), ("", found)):
        total = size_of(found) + size_of(omitted)
        sizes = sorted(((size_of(value), name) for name, value in holder.items()), reverse=True)
        for size, name in sizes if total > most else ():
            del holder[name]
            omitted = [one for one in omitted if not one.startswith(f"{prefix}{name}")]
            omitted.append(f"{prefix}{name} ({size:,} bytes)")
            total -= size
            if total <= most:
                break
    found["omitted"] = omitted[:_LONGEST_LIST]
    return found


def size_of(value: object) -> int:
    """Bytes of `value` as JSON."""
    return len(json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"))


def short_digest(data: bytes) -> str:
    """Twelve hex digits by which a person distinguishes two contents."""
    return hashlib.sha256(data).hexdigest()[:12]


def _shortened(value: Any, way: str, omitted: list[str]) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        omitted.append(f"{way} (cut from {len(value):,} characters)")
        return value[:_LONGEST_TEXT] + " […]"
    if isinstance(value, Mapping):
        inner = f"{way}." if way else ""
        return {name: _shortened(each, f"{inner}{name}", omitted) for name, each in value.items()}
    if isinstance(value, list | tuple):
        if len(value) > _LONGEST_LIST:
            omitted.append(f"{way} ({len(value) - _LONGEST_LIST:,} of {len(value):,})")
        return [_shortened(each, f"{way}[]", omitted) for each in value[:_LONGEST_LIST]]
    return value
