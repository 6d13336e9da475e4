"""The text of the Python file by which Airflow 3.3 finds a pipeline: a pure function of the tree's files.

A good file's stub changes with its content and that of what it reads from, so that Airflow parses it at
once. A bad file's carries the mistakes, also those that only show beside other files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import sluicegate
from sluicegate.pipeline import Pipeline, PipelineErrors, Tree, read_tree
from sluicegate.pipeline.errors import Mistake
from sluicegate.pipeline.graph import upstream_names

__all__ = ["stubs"]

SUFFIX = ".py"

# "airflow" and "dag" are the words that Airflow's safe mode looks for; what is imported from `airflow` is
# imported once, before the processes that parse are forked.
_GOOD = """\
# The airflow dag of {file!r}. Made by sluicegate {version}: a change here is lost.
# digest {digest}
import airflow.sdk

from sluicegate.factory.load import load_dag

dag = load_dag({root!r}, {file!r})
"""

_BAD = """\
# There is no airflow dag of {file!r}: it has mistakes. Made by sluicegate {version}: a change here is lost.
from sluicegate.factory.load import refuse

mistakes = {text!r}
refuse(mistakes)
"""


def stubs(root: Path) -> dict[str, str]:
    """The text of every stub, by its path relative to the folder of stubs; one for each pipeline file.

    :raises NotADirectoryError: when `root` is no folder
    """
    tree = read_tree(root)
    good = {pipeline.file: pipeline for pipeline in tree.pipelines.values()}
    texts = {}
    for file in tree.files:
        name = file.relative_to(tree.root).as_posix()
        pipeline = good.get(file)
        texts[name + SUFFIX] = (
            _bad(name, tree.mistakes_of(file), tree.root) if pipeline is None else _good(name, pipeline, tree)
        )
    return texts


def _good(name: str, pipeline: Pipeline, tree: Tree) -> str:
    digest = hashlib.sha256(pipeline.digest.encode())
    for upstream in sorted(upstream_names(pipeline)):
        if upstream in tree.pipelines:
            digest.update(f"{upstream}={tree.pipelines[upstream].digest}".encode())
    return _GOOD.format(file=name, version=sluicegate.__version__, digest=digest.hexdigest(), root=str(tree.root))


def _bad(name: str, mistakes: Iterable[Mistake], root: Path) -> str:
    text = str(PipelineErrors((mistake for mistake in mistakes if mistake.is_error), root))
    return _BAD.format(file=name, version=sluicegate.__version__, text=text)
