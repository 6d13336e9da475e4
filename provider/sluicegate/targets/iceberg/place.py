"""The names of Iceberg tables. Light to import."""

from __future__ import annotations

import re

from sluicegate.faults import fault

__all__ = ["is_iceberg", "parse_iceberg"]

_TABLE = re.compile(r"iceberg://(?P<catalog>[^/]+)/(?P<table>[^/.]+(?:\.[^/.]+)+)")


def is_iceberg(uri: str) -> bool:
    return uri.startswith("iceberg://")


def parse_iceberg(uri: str) -> tuple[str, str]:
    """The catalog's connection and the table of `iceberg://<connection>/<namespace.table>`.

    :raises FaultError: WRONG_USE for any other place.
    """
    match = _TABLE.fullmatch(uri)
    if match is None:
        raise fault("WRONG_USE", f"into: {uri!r} is not an Iceberg table: iceberg://<connection>/<namespace.table>")
    return match["catalog"], match["table"]
