"""The keys of a `spark` step: its jobs, their arguments and its cluster."""

from __future__ import annotations

import re
from typing import Any

from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.base import keys_of
from sluicegate.pipeline.keys.model import Cluster, Job, SparkStep, Step
from sluicegate.pipeline.read.context import Raw, Site, check_file, check_links
from sluicegate.pipeline.read.validate import known_keys, mapping, shown, text, validate, validate_part
from sluicegate.pipeline.read.yaml_paths import as_written

__all__ = ["read_spark"]

_OBJECT = re.compile(r"s3://[^/]+/.")


def read_spark(given: Raw, made: Raw, where: Where, site: Site) -> Step | None:
    """The step's own `args` go to each job that has none of its own."""
    args = _args(given.get("args"), (*where, "args"), site)
    at: Where = (*where, "spark")
    jobs = []
    listed = isinstance(given["spark"], list)
    for index, item in enumerate(given["spark"] if listed else [given["spark"]]):
        job = _job(item, args, (*at, index) if listed else at, site)
        if job is not None:
            jobs.append(job)
    if listed and not given["spark"]:
        site.report.error(at, "value", "a spark step needs a job")
    name, cluster = _cluster(given, made["name"], where, site)
    made |= {"spark": jobs, "cluster": cluster, "cluster_name": name, "args": args}
    if cluster is None:
        return None
    return validate_part(SparkStep, made, where, site.report)


def _job(raw: object, args: tuple[str, ...], where: Where, site: Site) -> Raw | None:
    if not isinstance(raw, dict):
        path = text(raw, where, site.report, Job)
        return None if path is None else {"path": _checked(path, where, site), "args": args}
    given = {
        key: _exact(value, (*where, key), site) if key in ("conf", "options") else value
        for key, value in known_keys(raw, keys_of(Job), where, site.report, "a job").items()
        if value is not None
    }
    if "path" not in given and "command" not in given:
        message = "`path` is missing: a job is a file, or a `command`"
        site.report.error(where, "missing-key", message, key=True)
        return None
    if "path" in given:
        path = text(given["path"], (*where, "path"), site.report, "a path")
        if path is None:
            return None
        given["path"] = _checked(path, (*where, "path"), site)
        given["args"] = _args(given["args"], (*where, "args"), site) if "args" in given else args
    if "command" in given:
        given["command"] = _args(given["command"], (*where, "command"), site)
    for key in ("conf", "options"):
        for name, value in given[key].items() if isinstance(given.get(key), dict) else ():
            if isinstance(value, str):
                site.datasets.check_template(value, (*where, key, name))
    for key in ("py_files", "jars", "files"):
        said = given.get(key, ())
        for index, each in enumerate(said if isinstance(said, list) else [said] if said else ()):
            if isinstance(each, str):
                at: Where = (*where, key, index) if isinstance(said, list) else (*where, key)
                _checked(each, at, site, or_folder=key == "py_files")
    return given


def _checked(path: str, where: Where, site: Site, *, or_folder: bool = False) -> str:
    """`path` as it is, once it is noted if no job can have it."""
    if "://" not in path:
        if not (or_folder and (site.root / path).is_dir()):
            check_file(path, where, site)
        check_links(path, where, site)
    elif not _OBJECT.match(path):
        what = "a file or folder" if or_folder else "a file"
        site.report.error(where, "uri", f"expected {what} below the dags root or an s3:// URI, not {shown(path)}")
    return path


def _args(raw: object, where: Where, site: Site) -> tuple[str, ...]:
    if raw is None:
        return ()
    items = raw if isinstance(raw, list) else [raw]
    found = []
    for index, item in enumerate(items):
        at = (*where, index) if isinstance(raw, list) else where
        if isinstance(item, bool | dict | list) or item is None:
            site.report.error(at, "type", f"expected text or a number, not {shown(item)}")
            continue
        if isinstance(item, str):
            site.datasets.check_template(item, at)
        found.append(str(_exact(item, at, site)))
    return tuple(found)


def _exact(value: Any, where: Where, site: Site) -> Any:
    """`value` with its numbers as the file writes them, where that is not how they are written by themselves."""
    if isinstance(value, dict):
        return {key: _exact(each, (*where, key), site) for key, each in value.items()}
    if isinstance(value, list):
        return [_exact(each, (*where, index), site) for index, each in enumerate(value)]
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    written = site.report.source.number(where, value)
    return value if written == str(value) else written


def _cluster(given: Raw, step: str, where: Where, site: Site) -> tuple[str, Cluster | None]:
    at = (*where, "cluster")
    raw = given.get("cluster")
    if raw is None:
        hint = f": one of {', '.join(site.clusters)}" if site.clusters else " from `defaults.yaml`"
        site.report.error(where, "missing-key", f"a spark step needs a `cluster`{hint}", key=True)
        return "", None
    if isinstance(raw, dict):
        return step, _built(raw, at, site)
    name = text(raw, at, site.report, "a cluster's name, or keys and values")
    if name is None:
        return "", None
    if name not in site.clusters:
        meant = did_you_mean(name, site.clusters)
        hint = "" if site.clusters else ": `defaults.yaml` declares none under `clusters:`"
        site.report.error(at, "missing-cluster", f"there is no cluster {shown(name)}{hint}", suggestion=meant)
        return name, None
    place: Where = ("clusters", name)
    return name, _built(mapping(site.clusters[name], place, site.report), place, site)


def _built(raw: Raw, where: Where, site: Site) -> Cluster | None:
    exact = {key: _exact(raw[key], (*where, key), site) for key in ("configurations",) if key in raw}
    if "bootstrap_actions" in raw:
        exact["bootstrap_actions"] = _exact_args(raw["bootstrap_actions"], (*where, "bootstrap_actions"), site)
    cluster = validate(Cluster, raw | exact, where, site.report)
    for index, action in enumerate(cluster.bootstrap_actions if cluster is not None else ()):
        if "://" not in action.path:
            at = (*where, *as_written(("bootstrap_actions", index, "path"), raw))
            check_file(action.path, at, site)
            check_links(action.path, at, site)
    return cluster


def _exact_args(actions: Any, where: Where, site: Site) -> Any:
    if isinstance(actions, list):
        return [_exact_args(each, (*where, index), site) for index, each in enumerate(actions)]
    if isinstance(actions, dict) and "args" in actions:
        return actions | {"args": _exact(actions["args"], (*where, "args"), site)}
    return actions
