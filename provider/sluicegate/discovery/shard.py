"""What a shard's stub calls when Airflow parses it: entries become DAGs, all of the shard's or just a task's own.

One pipeline that cannot be built must not take the others along: it is left out and complained of, and the next look
at the tree files it under its own name.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable
from pathlib import Path

from airflow.sdk import get_parsing_context

from sluicegate.discovery.compiled import Entry
from sluicegate.discovery.store import Home
from sluicegate.factory.build import build_dag
from sluicegate.factory.docs import older_version, playbooks_folder
from sluicegate.factory.site import PipelineFileError, environment, find_code
from sluicegate.runtime.dag import PipelineDAG

__all__ = ["OLDER", "dag_of", "dags", "dags_of", "task_dag"]

OLDER = "older version"
"""The tag, followed by which one, of a DAG whose file has a newer one that is not good."""

log = logging.getLogger(__name__)


def dags(stub: str, root: str, names: Iterable[str]) -> dict[str, PipelineDAG]:
    """The DAGs of the pipelines `names`, by name; where a task is about to start, its own DAG alone.

    :param stub: the file that asks, which stands in its bundle's storage
    :param root: the dags root; a snapshot has its own
    """
    home = Home(Path(stub).parents[2])
    wanted = get_parsing_context().dag_id
    if home.tree.is_dir():  # a snapshot: what it says is right for ever
        find_code(home.tree, instead_of=Path(root))
        playbooks = playbooks_folder(Path(root))
        return {name: _pinned_dag(home, name, playbooks) for name in ([wanted] if wanted is not None else names)}
    find_code(Path(root))
    if wanted is not None:
        return {wanted: task_dag(home, Path(root), wanted)}
    return dags_of(home, names)


def dags_of(home: Home, names: Iterable[str]) -> dict[str, PipelineDAG]:
    """The DAGs of those of `names` that there are entries of and that can be built."""
    made = {}
    playbooks: Path | None = None
    for name in names:
        entry = home.entry(name)
        if entry is None:
            # Its file was deleted a moment ago; or the entry is lost, and the next look makes another.
            _complain(home, name, "", "there is no entry of it that can be read")
            continue
        playbooks = playbooks or playbooks_folder(entry.pipeline.root)
        try:
            made[name] = dag_of(entry, home, playbooks)
        except (Exception, SystemExit) as error:  # a module may do anything when it is imported
            log.exception("The pipeline %s cannot be built any more", name)
            _complain(home, name, entry.digest(), "".join(traceback.format_exception_only(error)).strip())
    return made


def _complain(home: Home, name: str, version: str, text: str) -> None:
    if home.fingerprint.exists():  # else nobody would take it back
        try:
            home.complain(name, version, text)
        except OSError:
            log.exception("It cannot be noted for the next refresh that %s is left out", name)


def _pinned_dag(home: Home, name: str, playbooks: Path) -> PipelineDAG:
    """The DAG of one pipeline of a snapshot, also of one that other versions of Python or Airflow made.

    :raises PipelineFileError: when the snapshot has nothing of it that can be read here
    """
    root = home.tree
    entry = home.entry(name)
    if entry is not None:
        return dag_of(entry.at(root), home, playbooks)
    from sluicegate.discovery.compile_one import read_entry

    try:
        return dag_of(read_entry(name, root, environment()), home, playbooks)
    except Exception as error:
        told = (
            f"{_told(error, root)}\n\nThis run is pinned to a snapshot in which `{name}` cannot be read here: it was "
            "made by other versions of Python, Airflow or sluicegate, of an older version of the file. Clear the task "
            "with `run on latest version`."
        )
        raise PipelineFileError(told) from None


def task_dag(home: Home, root: Path, name: str) -> PipelineDAG:
    """The DAG of one pipeline as its file is now, or, where that is not good, as it was when it was last good.

    Costs the same however many pipelines there are.

    :param root: the dags root, or a version of it that the run is pinned to: nothing of that is kept
    :raises PipelineFileError: when it is not good and nothing is known here of an earlier version
    """
    entry = home.entry(name)
    pinned = entry is not None and entry.pipeline.root != root
    if entry is not None and pinned:
        entry = entry.at(root)
    if entry is not None and entry.is_current(root, environment):
        return dag_of(entry, home, playbooks_folder(root))
    from sluicegate.discovery.compile_one import read_entry

    try:
        now = read_entry(name, root, environment(), near=None if entry is None else entry.file)
        dag = dag_of(now, home, playbooks_folder(root))
    except Exception as error:
        if entry is None:
            raise PipelineFileError(_unknown(name, error, root)) from None
        log.warning("The file of %s is not good, its version %s goes on: %s", name, entry.version, error)
        return dag_of(entry, home, playbooks_folder(root))
    # Where the tree was looked at, what is good is for the refresh to say, which sees all of it.
    if not pinned and not home.fingerprint.exists():
        home.put(now)
    return dag


def dag_of(entry: Entry, home: Home, playbooks: Path) -> PipelineDAG:
    """The DAG of an entry; one of an older version says so.

    :raises BuildError: for what the pipeline asks for and is not there any more
    """
    dag = build_dag(entry.pipeline, entry.upstreams, playbooks=playbooks)
    if entry.older:
        dag.source = str(home.older(entry.name))
        dag.tags = {*dag.tags, f"{OLDER} {entry.version}"}
        dag.doc_md = older_version(entry.file, entry.version, entry.good_since) + (dag.doc_md or "")
    return dag


def _unknown(name: str, error: Exception, root: Path) -> str:
    return (
        f"{_told(error, root)}\n\nNo earlier version of `{name}` is known on this machine. The last good one is kept "
        "in the bundle's storage where the file was parsed. Mend the file; the bundle's `snapshots` let all machines "
        "know it."
    )


def _told(error: Exception, root: Path) -> str:
    from sluicegate.pipeline import PipelineErrors

    if isinstance(error, PipelineErrors):
        return str(PipelineErrors((diagnostic for diagnostic in error.diagnostics if diagnostic.is_error), root))
    return f"{type(error).__name__}: {error}"
