"""The importer by which Airflow 3.4 lists pipeline files itself: no stubs and no bundle of our own.

Airflow's interface is experimental, and this is all of ours that knows it. 3.3 has none: there this module can be
imported, and says so when it is used.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_parsing_context

from sluicegate.discovery.import_error import PipelineFileError
from sluicegate.discovery.shard import OLDER, task_dag
from sluicegate.discovery.store import BundleStore
from sluicegate.factory.code_path import find_code
from sluicegate.runtime.dag import PipelineDAG

if TYPE_CHECKING:
    from sluicegate.pipeline import Diagnostic
    from sluicegate.pipeline.lookup import Stems

try:
    from airflow.sdk.importers import (  # type: ignore[import-not-found, unused-ignore]
        AbstractDagImporter,
        DagImportError,
        DagImportResult,
        DagImportWarning,
        DagSourceCode,
        FilesystemDagDefinition,
        get_file_suffix,
    )
except ModuleNotFoundError as error:
    if error.name != "airflow.sdk.importers":
        raise
    AbstractDagImporter = FilesystemDagDefinition = object

__all__ = ["OlderVersion", "PipelineImporter"]

_NO_IMPORTERS = (
    "sluicegate.discovery.importer.PipelineImporter needs Airflow 3.4, which has importers. Before it, list the bundle "
    "sluicegate.discovery.bundle.PipelineBundle in [dag_processor] dag_bundle_config_list"
)


class OlderVersion(FilesystemDagDefinition):  # type: ignore[misc, unused-ignore]
    """The last good version of a file that has turned bad, `orders.yaml/older version`.

    Airflow pauses all DAGs of a file that has an import error. So this one is not of the file but inside it, as the
    members of an archive are.
    """

    def get_relative_loc(self, root: Path | None = None) -> str:
        return f"{super().get_relative_loc(root)}/{OLDER}"

    def __repr__(self) -> str:
        return f"{self.path}/{OLDER}"


class PipelineImporter(AbstractDagImporter):  # type: ignore[misc, unused-ignore]
    """All pipelines at and below the path of the bundle that it is registered for.

    In `[dag_processor] dag_bundle_config_list`, with a bundle of any class: `{"name": "pipelines", "classpath":
    "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {"path": "/srv/dags"}, "importers":
    ["sluicegate.discovery.importer.PipelineImporter"]}`. One importer owns a suffix: YAML files of another format
    (Airflow's own `YamlDagImporter`) need a bundle of theirs.

    :raises RuntimeError: before Airflow 3.4
    """

    def __init__(self) -> None:
        if AbstractDagImporter is object:
            raise RuntimeError(_NO_IMPORTERS)
        self.supported_extensions = [".yaml", ".yml"]
        self._indexes: dict[Path, Stems] = {}
        self._good: set[Path] = set()
        self._older: dict[str, str] = {}

    def can_handle(self, definition: Any) -> bool:
        return get_file_suffix(definition) in self.supported_extensions

    def list_dag_definitions(self, bundle: Any, *, safe_mode: bool = True) -> Iterator[Any]:
        """The pipeline files, each with its older version; all other YAML is left alone, in safe mode and out of it.

        Airflow asks for a whole bundle, or for a single file as if it were one.
        """
        root = Path(bundle.path)
        if root.is_file():
            yield from self._definitions([root])
            return
        # What parses is forked from the process that lists a whole bundle: it has all of this from there.
        import sluicegate.discovery.single_file  # noqa: F401
        from sluicegate.discovery.lost_root import is_lost, lost_message
        from sluicegate.discovery.preload import preload_parsing
        from sluicegate.pipeline.lookup import stems

        preload_parsing(())
        if is_lost(root, store := _store(bundle)):
            # Airflow keeps what it knows of a bundle that cannot be listed.
            raise FileNotFoundError(lost_message(root, store))
        index = self._indexes[root] = stems(root)
        yield from self._definitions(file for same in index.values() for file in same)
        _forget_deleted(index, store)

    def import_definition(self, definition: FilesystemDagDefinition, bundle: Any) -> Any:
        """The DAGs of a file, or one error with all its diagnostics: of several Airflow keeps the last."""
        result = DagImportResult(definition=definition)
        root, store = Path(bundle.path), _store(bundle)
        find_code(root)
        try:
            if (name := get_parsing_context().dag_id) is not None:
                result.dags.append(task_dag(store, root, name))
            elif isinstance(definition, OlderVersion):
                result.dags += self._older_dags(definition.path, root, store)
            else:
                self._build(result, root, store)
        except PipelineFileError as wrong:
            result.errors.append(_error(definition, str(wrong).strip()))
        except Exception as error:
            # What is raised here is logged by Airflow and not shown.
            result.errors.append(_error(definition, _bug(error, definition)))
        return result

    def get_source_code(self, definition: Any, dag_id: str | None = None) -> Any:
        is_older = isinstance(definition, OlderVersion) and dag_id in self._older
        return DagSourceCode(self._older[str(dag_id)] if is_older else definition.read_text(), language="yaml")

    def might_contain_dag(self, definition: Any, safe_mode: bool) -> bool:
        if get_parsing_context().dag_id is not None:
            return True  # a task asks for a file that was a pipeline when its run began
        from sluicegate.pipeline.lookup import is_pipeline_file

        try:
            return is_pipeline_file(definition.path)
        except OSError:
            # Whether it is a pipeline is not known. One that is must not vanish without a word.
            return True

    def _definitions(self, files: Iterable[Path]) -> Iterator[Any]:
        for file in files:
            definition = FilesystemDagDefinition(path=file)
            if self.might_contain_dag(definition, safe_mode=True):
                yield definition
                yield OlderVersion(path=file)

    def _build(self, result: Any, root: Path, store: BundleStore) -> None:
        from sluicegate.discovery.single_file import build_file
        from sluicegate.pipeline import PipelineErrors

        file = result.definition.path
        self._good.discard(file)
        try:
            built = build_file(file, root, store, self._indexes.get(root))
        except PipelineErrors as errors:
            raise PipelineFileError(str(errors)) from None
        self._good.add(file)
        result.dags += built.dags
        result.warnings += _warnings(built.warnings, result.definition, root)

    def _older_dags(self, file: Path, root: Path, store: BundleStore) -> Iterator[PipelineDAG]:
        """None where the file itself has just been found good."""
        if file not in self._good:
            from sluicegate.discovery.single_file import older_dags

            for compiled, dag in older_dags(file, root, store):
                self._older[dag.dag_id] = compiled.text.decode("utf-8", "replace")
                yield dag


def _store(bundle: Any) -> BundleStore:
    """Where a bundle's last good versions are kept: beside what it keeps in Airflow's storage itself."""
    return BundleStore(bundle.base_dir / "sluicegate")


def _forget_deleted(index: Stems, store: BundleStore) -> None:
    """A file that comes back under an old name is a new one."""
    from sluicegate.pipeline.lookup import candidates

    for name in store.names():
        if not candidates(name, index):
            store.forget(name)


def _error(definition: Any, message: str) -> Any:
    return DagImportError(source_reference=repr(definition), message=message)


def _bug(error: Exception, definition: Any) -> str:
    from sluicegate.pipeline.diagnostics import bug_message

    return f"{bug_message(error, 'importing', definition.path)}\n\n{traceback.format_exc()}"


def _warnings(diagnostics: Iterable[Diagnostic], definition: Any, root: Path) -> list[Any]:
    """One for each code, since Airflow keeps one: it shows them on the DAG's page."""
    from sluicegate.pipeline import PipelineErrors

    by_code: dict[str, list[Diagnostic]] = {}
    for diagnostic in diagnostics:
        by_code.setdefault(diagnostic.code, []).append(diagnostic)
    return [
        DagImportWarning(
            source_reference=repr(definition),
            message=str(PipelineErrors(found, root)),
            warning_type=f"sluicegate:{code}",
            line_number=found[0].line,
        )
        for code, found in by_code.items()
    ]
