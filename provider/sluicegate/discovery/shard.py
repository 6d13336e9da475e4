"""What a shard's stub calls when Airflow parses it: compiled pipelines become DAGs, all of the shard's or a task's own.

One pipeline that cannot be built must not take the others along: it is left out and reported, and the next scan
files it under its own name.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable
from pathlib import Path

from airflow.sdk import get_parsing_context

from sluicegate.discovery.compiled import CompiledPipeline
from sluicegate.discovery.import_error import PipelineFileError, drawing
from sluicegate.discovery.settings import environment
from sluicegate.discovery.store import BundleStore
from sluicegate.factory.build import build_dag
from sluicegate.factory.code_path import find_code
from sluicegate.factory.docs import older_version, playbooks_folder
from sluicegate.runtime.dag import PipelineDAG

__all__ = ["OLDER", "dag_of", "dags", "dags_of", "task_dag"]

OLDER = "older version"
"""The tag, followed by which one, of a DAG whose file has a newer one that is not good."""

log = logging.getLogger(__name__)


def dags(stub: str, root: str, names: Iterable[str]) -> dict[str, PipelineDAG]:
    """The DAGs of the pipelines `names`, by name; where a task is about to start, its own DAG alone.

    :param stub: the file that asks, which is in its bundle's storage
    :param root: the dags root; a snapshot has its own
    """
    store = BundleStore(Path(stub).parents[2])
    wanted = get_parsing_context().dag_id
    if store.tree.is_dir():  # a snapshot: what it says is right for ever
        find_code(store.tree, instead_of=Path(root))
        playbooks = playbooks_folder(Path(root))
        return {name: _pinned_dag(store, name, playbooks) for name in ([wanted] if wanted is not None else names)}
    find_code(Path(root))
    if wanted is not None:
        return {wanted: task_dag(store, Path(root), wanted)}
    return dags_of(store, names)


def dags_of(store: BundleStore, names: Iterable[str]) -> dict[str, PipelineDAG]:
    """The DAGs of those of `names` that are kept and can be built."""
    made = {}
    playbooks: Path | None = None
    for name in names:
        compiled = store.pipeline(name)
        if compiled is None:
            # Its file was deleted a moment ago; or what was kept is lost, and the next scan makes it again.
            _report(store, name, name, "nothing of it is kept that can be read")
            continue
        playbooks = playbooks or playbooks_folder(compiled.pipeline.root)
        try:
            made[name] = dag_of(compiled, store, playbooks)
        except (Exception, SystemExit) as error:  # a module may do anything when it is imported
            log.exception("The pipeline %s cannot be built any more", name)
            _report(store, name, compiled.digest(), "".join(traceback.format_exception_only(error)).strip())
    return made


def _report(store: BundleStore, name: str, digest: str, text: str) -> None:
    if store.sync_state.exists():  # else no refresh would take it back
        try:
            store.report_failure(name, digest, text)
        except OSError:
            log.exception("It cannot be noted for the next refresh that %s is left out", name)


def _pinned_dag(store: BundleStore, name: str, playbooks: Path) -> PipelineDAG:
    """The DAG of one pipeline of a snapshot, also of one that other versions of Python or Airflow made.

    :raises PipelineFileError: when the snapshot has nothing of it that can be read here
    """
    root = store.tree
    compiled = store.pipeline(name)
    if compiled is not None:
        return dag_of(compiled.at(root), store, playbooks)
    from sluicegate.discovery.compile_one import compile_one

    try:
        return dag_of(compile_one(name, root, environment()), store, playbooks)
    except Exception as error:
        message = (
            f"{_reason(error, root)}\n\nThis run is pinned to a snapshot in which `{name}` cannot be read here: it was "
            "made by other versions of Python, Airflow or sluicegate, of an older version of the file. Clear the task "
            "with `run on latest version`."
        )
        raise PipelineFileError(message) from None


def task_dag(store: BundleStore, root: Path, name: str) -> PipelineDAG:
    """The DAG of one pipeline as its file is now, or, where that is not good, its last good version.

    Costs the same however many pipelines there are.

    :param root: the dags root, or a version of it that the run is pinned to: nothing of that is kept
    :raises PipelineFileError: when it is not good and nothing is known here of an earlier version
    """
    compiled = store.pipeline(name)
    pinned = compiled is not None and compiled.pipeline.root != root
    if compiled is not None and pinned:
        compiled = compiled.at(root)
    if compiled is not None and compiled.is_current(root, environment):
        return dag_of(compiled, store, playbooks_folder(root))
    from sluicegate.discovery.compile_one import compile_one

    try:
        now = compile_one(name, root, environment(), near=None if compiled is None else compiled.file)
        dag = dag_of(now, store, playbooks_folder(root))
    except Exception as error:
        if compiled is None:
            raise PipelineFileError(_unknown(name, error, root)) from None
        log.warning("The file of %s is not good, its version %s goes on: %s", name, compiled.version, error)
        return dag_of(compiled, store, playbooks_folder(root))
    # Where the tree was looked at, what is good is for the refresh to say, which sees all of it.
    if not pinned and not store.sync_state.exists():
        store.put(now)
    return dag


def dag_of(compiled: CompiledPipeline, store: BundleStore, playbooks: Path) -> PipelineDAG:
    """The DAG of a compiled pipeline; one of an older version says so.

    :raises BuildError: for what the pipeline asks for and is not there any more
    """
    dag = build_dag(compiled.pipeline, compiled.upstreams, playbooks=playbooks)
    if compiled.older:
        dag.source = str(store.older(compiled.name))
        dag.tags = {*dag.tags, f"{OLDER} {compiled.version}"}
        # The title of the DAG's page, and its name in every list.
        dag.dag_display_name = f"{dag.dag_display_name} ({OLDER})"
        dag.doc_md = older_version(compiled.file, compiled.version, compiled.good_since) + (dag.doc_md or "")
    return dag


def _unknown(name: str, error: Exception, root: Path) -> str:
    return (
        f"{_reason(error, root)}\n\nNo earlier version of `{name}` is known on this machine. The last good one is kept "
        "in the bundle's storage where the file was parsed. Mend the file; the bundle's `snapshots` let all machines "
        "know it."
    )


def _reason(error: Exception, root: Path) -> str:
    from sluicegate.pipeline import PipelineErrors

    return drawing(error.diagnostics, root) if isinstance(error, PipelineErrors) else f"{type(error).__name__}: {error}"
