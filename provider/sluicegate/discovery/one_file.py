"""`load_pipelines(__file__)`: the way in where no bundle can be set. One Python file in the dags folder has all DAGs.

Airflow parses that file as a whole and knows one import error of it, so a file with errors is a DAG of its own name
that shows them and cannot run.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.dag_processing.bundles.base import get_bundle_storage_root_path
from airflow.sdk import DAG, BaseOperator, get_parsing_context

from sluicegate.discovery.import_error import PipelineFileError
from sluicegate.discovery.settings import environment
from sluicegate.discovery.shard import dags_of, task_dag
from sluicegate.discovery.store import BundleStore
from sluicegate.factory.code_path import find_code

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["BROKEN", "load_pipelines"]

BROKEN = "broken file"
"""The tag of a DAG that only shows what is wrong with its file."""


def load_pipelines(file: str) -> None:
    """Give Airflow the DAGs of all pipeline files at and below the folder of `file`, the Python file that asks.

    :raises PipelineFileError: when a task starts whose pipeline is not good, and was never good here
    """
    root = Path(file).absolute().parent
    storage: Path = get_bundle_storage_root_path()  # type: ignore[no-untyped-call]
    store = BundleStore(storage / "_pipelines" / hashlib.sha256(str(root).encode()).hexdigest()[:16])
    find_code(root)
    wanted = get_parsing_context().dag_id
    if wanted is not None:
        _register([task_dag(store, root, wanted)])
        return
    from sluicegate.discovery.stub_sync import StubSync

    sync = StubSync(root=root, store=store, lock=lambda: _locked(store.folder / "lock"), environment=environment())
    sync.refresh()
    state = sync.state()
    errors, files = state.errors, state.pipelines
    made = dags_of(store, files)
    going_on = {files[name] for name in made}
    for name, dag in made.items():
        text = errors.get(files[name])
        if text is not None:
            _add_errors(dag, text)
    _register([*made.values(), *_broken({file: text for file, text in errors.items() if file not in going_on}, made)])


class DiagnosticsOperator(BaseOperator):
    """The one task of a DAG that only shows what is wrong with its file: it says so again, and fails."""

    def __init__(self, *, diagnostics: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.diagnostics = diagnostics

    def execute(self, context: Context) -> None:
        raise PipelineFileError(self.diagnostics)


def _broken(errors: Mapping[str, str], made: Mapping[str, DAG]) -> Iterator[DAG]:
    """A DAG for each name of a file with errors that has no last good version.

    One whose name another file's DAG has is reported there: of two DAGs with one name Airflow would show one.
    """
    by_name: dict[str, list[str]] = {}
    for file, text in errors.items():
        by_name.setdefault(_dag_id(Path(file).stem), []).append(text)
    for name, drawings in by_name.items():
        text = "\n\n".join(drawings)
        if name in made:
            _add_errors(made[name], text)
            continue
        dag = DAG(name, schedule=None, tags=[BROKEN], doc_md=_quoted(text), description="It has errors.")
        dag.add_task(DiagnosticsOperator(task_id="diagnostics", diagnostics=text, retries=0))
        yield dag


def _add_errors(dag: DAG, diagnostics: str) -> None:
    dag.doc_md = (dag.doc_md or "") + _quoted(diagnostics)


def _dag_id(stem: str) -> str:
    """As near to the file's name as Airflow allows."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", stem)[:250]


def _quoted(text: str) -> str:
    """Markdown of a drawing as it is: four blanks before each line, so that nothing in it ends the quotation."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return f"\n\n**The file has errors:**\n\n{lines}"


def _register(dags: Iterable[DAG]) -> None:
    for dag in dags:
        dag.auto_register = True
        with dag:  # Airflow takes the DAGs whose context a module has left
            pass


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
