"""The keys of a `load` step."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.base import keys_of
from sluicegate.pipeline.keys.model import Column, LoadStep, Read, Step
from sluicegate.pipeline.read.context import Raw, Site, check_file
from sluicegate.pipeline.read.datasets import long_format
from sluicegate.pipeline.read.expectations import read_checks
from sluicegate.pipeline.read.validate import known_keys, mapping, shown, text, texts, validate, validate_part

__all__ = ["read_load"]


def read_load(given: Raw, made: Raw, where: Where, site: Site) -> Step | None:
    """What is loaded stands in `reads` too, as `load`; its target in `writes`, as `into`."""
    at: Where = (*where, "load")
    read = site.datasets.read(given["load"], at)
    target = text(given["into"], (*where, "into"), site.report, "a dataset or a URI") if "into" in given else None
    if "into" not in given:
        site.report.error(where, "missing-key", "a load needs `into`: a table or a folder", key=True)
    into = site.datasets.refer(target, (*where, "into"), "writes") if target is not None else None
    for side, binding in (("reads", "load"), ("writes", "into")):
        if binding in made[side]:
            site.report.error((*where, side), "duplicate-binding", f"`{binding}` is the load's own binding")
    key = texts(given["key"], (*where, "key"), site.report, "a column") if given.get("key") is not None else ()
    mode = given.get("mode") or ("merge" if key else "append")
    if mode in ("merge", "insert_only") and not key:
        message = f"mode `{mode}` needs a `key`: the columns that tell one record from another"
        site.report.error((*where, "mode"), "missing-key", message)
    columns = _columns(given.get("columns"), (*where, "columns"), site)
    _near_columns(given, key, columns, where, site)
    suite = given.get("suite")
    if suite is not None and (path := text(suite, (*where, "suite"), site.report)) is not None:
        check_file(path, (*where, "suite"), site)
    checks = read_checks(given.get("checks"), (*where, "checks"), site.report)
    plain = ("newest_by", "suite", "on_schema_change", "dead_letters")
    made |= {name: given[name] for name in plain if given.get(name) is not None}
    if given.get("format") is not None:
        made["format"] = long_format(given["format"])
    # What did not come out right is noted already; a stand-in lets the rest of the step be checked.
    made |= {
        "load": read or Read(dataset="x"),
        "into": into or "x",
        "key": key,
        "mode": mode,
        "columns": columns,
        "checks": checks,
        "reads": {**made["reads"], **({"load": read} if read else {})},
        "writes": {**made["writes"], **({"into": into} if into else {})},
    }
    return validate_part(LoadStep, made, where, site.report)


def _columns(raw: object, where: Where, site: Site) -> dict[str, Column]:
    columns = {}
    for name, value in mapping(raw, where, site.report).items():
        at = (*where, name)
        given = {"type": value} if isinstance(value, str) else value
        if given is None:
            given = {}
        if not isinstance(given, dict):
            site.report.error(at, "type", f"expected a type or keys and values, not {shown(value)}")
            continue
        known = known_keys(given, keys_of(Column), at, site.report, "a column")
        column = validate(Column, known, at, site.report)
        if column is not None:
            columns[name] = column
    return columns


def _near_columns(given: Raw, key: tuple[str, ...], columns: Mapping[str, Column], where: Where, site: Site) -> None:
    """`columns` need not name all there are; but a name that is nearly one of them is probably a slip."""
    named: list[tuple[object, Where]] = [(name, (*where, "key", index)) for index, name in enumerate(key)]
    named.append((given.get("newest_by"), (*where, "newest_by")))
    for name, at in named:
        if isinstance(name, str) and name not in columns and (meant := did_you_mean(name, columns)):
            site.report.warning(at, "unknown-column", f"`{name}` is not under `columns`", suggestion=meant)
