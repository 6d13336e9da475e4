"""Places as Airflow's assets, for the lineage of hand-written DAGs. Light to import."""

from __future__ import annotations

from collections.abc import Iterable

from airflow.sdk import Asset

__all__ = ["assets_of"]

_TABLES = ("table://", "iceberg://")


def assets_of(places: Iterable[object]) -> list[Asset]:
    """An asset for each URI. One with templates is the folder in front of them: another asset a run says nothing.

    A table whose name is a template, what another task returns, and what Airflow does not take for an asset's URI, are
    none. Of an address in the web the query is left out: a secret may be in it.
    """
    found: dict[str, Asset] = {}
    for place in places:
        if not isinstance(place, str):
            continue
        fixed, template, _ = place.partition("{")
        if fixed.startswith(("http://", "https://")) and "?" in fixed:
            fixed, template = fixed.partition("?")[0], ""
        if template:
            folder = fixed.rpartition("/")[0]
            if fixed.startswith(_TABLES) or not folder.rstrip("/:").rpartition("/")[2]:
                continue
            fixed = f"{folder}/"
        try:
            found[fixed] = Asset(fixed)
        except ValueError:
            continue
    return list(found.values())
