"""The keys of a `load` step that have behaviour of their own; its models say all of the others."""

from __future__ import annotations

from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.model import REFERENCED, LoadStep, Step
from sluicegate.pipeline.read.context import Raw, Site
from sluicegate.pipeline.read.expectations import read_checks
from sluicegate.pipeline.read.validate import leaves, mapping, shown, texts, validate_part

__all__ = ["read_load"]


def read_load(given: Raw, made: Raw, where: Where, site: Site) -> Step | None:
    """A merge needs a key; `checks` are Great Expectations' own."""
    if "into" not in given:
        site.report.error(where, "missing-key", "a load needs `into`: a table or a folder", key=True)
        made["into"] = "x"  # a stand-in lets the rest of the step be checked
    if given.get("key") is not None:
        made["key"] = texts(given["key"], (*where, "key"), site.report, "a column")
    if given.get("mode") in ("merge", "insert_only") and not given.get("key"):
        message = f"mode `{given['mode']}` needs a `key`: the columns that identify a record"
        site.report.error((*where, "mode"), "missing-key", message)
    made["checks"] = read_checks(given.get("checks"), (*where, "checks"), site.report)
    for words, place in leaves(mapping(given.get("scope"), (*where, "scope"), site.report), (*where, "scope")):
        site.datasets.check_template(words, place)
    for words, place in leaves(given.get("results"), (*where, "results")):
        site.datasets.check_template(words, place)
    _read_references(given.get("columns"), made, (*where, "columns"), site)
    _near_columns(given, where, site)
    return validate_part(LoadStep, made, where, site.report)


def _read_references(columns: object, made: Raw, where: Where, site: Site) -> None:
    """A dataset to which columns refer is read: once, it has been written once, and this step comes after it."""
    for name, column in columns.items() if isinstance(columns, dict) else ():
        reference = column.get("references") if isinstance(column, dict) else None
        if not isinstance(reference, str):
            continue
        at = (*where, name, "references")
        dataset, _, other = reference.rpartition(".")
        if not dataset or not other or dataset.count(".") > 1:
            message = f"expected dataset.column or pipeline.dataset.column, not {shown(reference)}"
            site.report.error(at, "type", message)
            continue
        read = site.datasets.read_once(dataset, at)
        if read is not None:
            made["reads"][f"{REFERENCED}{dataset}"] = read


def _near_columns(given: Raw, where: Where, site: Site) -> None:
    """`columns` need not name all there are; but a name that is nearly one of them is probably a slip."""
    columns = given["columns"] if isinstance(given.get("columns"), dict) else {}
    key = given.get("key")
    named: list[tuple[object, Where]] = [(given.get(one), (*where, one)) for one in ("newest_by", "window_by")]
    for one in ("scope", "delete_when"):
        named += [(name, (*where, one, name)) for name in (given[one] if isinstance(given.get(one), dict) else ())]
    named += [(name, (*where, "key", index)) for index, name in enumerate(key if isinstance(key, list) else [key])]
    for name, at in named:
        if isinstance(name, str) and name not in columns and (meant := did_you_mean(name, columns)):
            site.report.warning(at, "unknown-column", f"`{name}` is not under `columns`", suggestion=meant)
