"""The importer that lets Airflow 3.4 list pipeline files itself: no stubs, no folder of our own.

Airflow's interface is experimental, and this is all of ours that knows it. 3.3 has none: there this module can
be imported, and says so when it is used.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow.sdk import get_parsing_context

# What parses is forked from the process that makes the importer, and finds this imported.
from sluicegate.factory.load import PipelineFileError, load_dag
from sluicegate.pipeline import PipelineErrors
from sluicegate.pipeline.ancestors import cycle_mistakes
from sluicegate.pipeline.tree import SUFFIXES, is_hidden, is_pipeline_file

try:
    from airflow.sdk.importers import (  # type: ignore[import-not-found, unused-ignore]
        AbstractDagImporter,
        DagImportError,
        DagImportResult,
        DagSourceCode,
        FilesystemDagDefinition,
        find_file_dag_definitions,
        get_file_suffix,
    )
except ModuleNotFoundError as error:
    if error.name != "airflow.sdk.importers":
        raise
    AbstractDagImporter = None

__all__ = ["PipelineImporter"]

_NO_IMPORTERS = (
    "sluicegate.factory.importer.PipelineImporter needs Airflow 3.4, which has importers. Before it, list the bundle "
    "sluicegate.factory.bundle.PipelineBundle in [dag_processor] dag_bundle_config_list"
)


class PipelineImporter(AbstractDagImporter or object):  # type: ignore[misc, unused-ignore]
    """All pipelines at and below the path of the bundle that it is registered for.

    In `[dag_processor] dag_bundle_config_list`, for one bundle: `{"name": "pipelines", "classpath": "...", "kwargs":
    {...}, "importers": ["sluicegate.factory.importer.PipelineImporter"]}`. One importer owns a suffix: a bundle whose
    YAML files are somebody else's as well (Airflow's own `YamlDagImporter`) needs to be split in two.

    :raises RuntimeError: before Airflow 3.4
    """

    def __init__(self) -> None:
        if AbstractDagImporter is None:
            raise RuntimeError(_NO_IMPORTERS)
        self.supported_extensions = list(SUFFIXES)

    def can_handle(self, definition: Any) -> bool:
        return get_file_suffix(definition) in self.supported_extensions

    def list_dag_definitions(self, bundle: Any, *, safe_mode: bool = True) -> Iterator[Any]:
        """The pipeline files; all other YAML is left alone, in safe mode and out of it.

        The path of the bundle is that of a single file where Airflow asks for this one only.
        """
        for definition in find_file_dag_definitions(bundle.path, self.supported_extensions):
            try:
                if not is_hidden(definition.path, bundle.path) and self.might_contain_dag(definition, safe_mode):
                    yield definition
            except OSError as error:
                # Whether it is a pipeline is not known. One that is must not vanish without a word.
                message = f"this cannot be read: {error.strerror or error}"
                yield DagImportError(source_reference=repr(definition), message=message, error_type="unreadable")

    def import_definition(self, definition: FilesystemDagDefinition, bundle: Any) -> Any:
        """The DAG of a file, or one error with all its mistakes: of several Airflow keeps the last."""
        result = DagImportResult(definition=definition)
        root = Path(bundle.path)
        try:
            dag = load_dag(str(root), definition.get_relative_loc(root))
            _refuse_cycles(definition.path, root)
        except Exception as error:
            # What is raised here is logged by Airflow and shown to nobody.
            text = str(error).strip() if isinstance(error, PipelineFileError) else traceback.format_exc()
            result.errors.append(DagImportError(source_reference=repr(definition), message=text))
        else:
            result.dags.append(dag)
        return result

    def get_source_code(self, definition: Any, dag_id: str | None = None) -> Any:
        return DagSourceCode(source_code=definition.read_text(), language="yaml")

    def might_contain_dag(self, definition: Any, safe_mode: bool) -> bool:
        return is_pipeline_file(definition.path)


def _refuse_cycles(file: Path, root: Path) -> None:
    """Pipelines that wait for each other: nothing a single file shows, and nothing a task that starts must know.

    :raises PipelineFileError: with every cycle that goes through the file
    """
    if get_parsing_context().task_id is None and (mistakes := cycle_mistakes(file, root)):
        raise PipelineFileError(str(PipelineErrors(mistakes, root)))
