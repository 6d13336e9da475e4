"""Makes the picture of a tree of pipelines: whole, or collapsed to pipelines."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sluicegate.graph.datasets import folders_of, is_foreign, split, writers
from sluicegate.graph.edges import edges
from sluicegate.picture.kinds import (
    AFTER,
    DATA,
    FILE,
    LATEST,
    OTHER_DAG,
    PIPELINE,
    SOURCE_FILE,
    SOURCE_TABLE,
    STEPS,
    TABLE,
    UNREADABLE,
)
from sluicegate.picture.model import Box, Edge, Node, Picture
from sluicegate.picture.words import as_text, count_of, detail, head, short
from sluicegate.pipeline.diagnostics import Diagnostic
from sluicegate.pipeline.keys.model import (
    Dataset,
    Pipeline,
    Read,
    Step,
)
from sluicegate.pipeline.tree import Tree

__all__ = ["picture_of", "pipelines_only"]


def picture_of(tree: Tree, names: Collection[str] | None = None, files: Collection[Path] | None = None) -> Picture:
    """Every pipeline with its steps and datasets, those with errors as far as they could be read.

    :param names: only these pipelines; of what they read elsewhere, the datasets alone are drawn
    :param files: those to draw as files where they could not be read; all of the tree unless given
    """
    shown = _shown(tree, names)
    drawing = _Drawing(tree, shown)
    arrows = tuple(dict.fromkeys(edge for name in shown for edge in drawing.edges_of(tree.readable[name])))
    ends = {edge.tail for edge in arrows}
    boxes = [drawing.box(tree.readable[name]) for name in shown]
    boxes += drawing.partial_boxes(ends)
    outside = [*drawing.other_dags(), *drawing.missing(ends), *_unreadable(tree, files)]
    return Picture(tuple(boxes), tuple(outside), arrows)


def pipelines_only(tree: Tree, names: Collection[str] | None = None, files: Collection[Path] | None = None) -> Picture:
    """Every pipeline as one node; an edge where one reads from another, of kind `latest` when it reads only that.

    :param names: only these pipelines
    :param files: those to draw as files where they could not be read; all of the tree unless given
    """
    shown = _shown(tree, names)
    drawing = _Drawing(tree, shown)
    nodes = [drawing.collapsed(tree.readable[name]) for name in shown]
    nodes += [*drawing.other_dags(), *_unreadable(tree, files)]
    return Picture(nodes=tuple(nodes), edges=tuple(drawing.edges_between()))


def _shown(tree: Tree, names: Collection[str] | None) -> tuple[str, ...]:
    return tuple(sorted(name for name in tree.readable if names is None or name in names))


def _unreadable(tree: Tree, files: Collection[Path] | None) -> list[Node]:
    """Files of which nothing could be read, or of whose name there are several."""
    read = {pipeline.file for pipeline in tree.readable.values()}
    return [
        Node(
            f"file:{file.relative_to(tree.root)}",
            UNREADABLE,
            str(file.relative_to(tree.root)),
            count_of(tree.diagnostics_of(file)),
            as_text(tree.diagnostics_of(file)),
            broken=True,
        )
        for file in tree.files
        if file not in read and (files is None or file in files)
    ]


@dataclass(frozen=True)
class _Drawing:
    """Knows which pipelines are `shown`; gives their parts."""

    tree: Tree
    shown: tuple[str, ...]

    def box(self, pipeline: Pipeline) -> Box:
        diagnostics = self._errors(pipeline)
        nodes = [_step(pipeline, step) for step in pipeline.steps.values()]
        nodes += [files for step in pipeline.steps.values() if (files := _files(pipeline, step)) is not None]
        nodes += [_dataset(pipeline, key, each) for key, each in pipeline.datasets.items() if not _is_item(each.uri)]
        return Box(
            f"pipeline:{pipeline.name}",
            pipeline.name,
            tuple(nodes),
            head(pipeline, diagnostics),
            as_text(diagnostics) or (pipeline.description or "").strip(),
            broken=bool(diagnostics),
        )

    def collapsed(self, pipeline: Pipeline) -> Node:
        diagnostics = self._errors(pipeline)
        return Node(
            f"pipeline:{pipeline.name}",
            PIPELINE,
            pipeline.name,
            head(pipeline, diagnostics),
            as_text(diagnostics) or (pipeline.description or "").strip(),
            broken=bool(diagnostics),
        )

    def edges_of(self, pipeline: Pipeline) -> Iterator[Edge]:
        """Dataset -> step -> dataset, and step -> step where no data says it: `after`, results, teardowns."""
        for step in pipeline.steps.values():
            here = _step_id(pipeline, step.name)
            for read in step.reads.values():
                if not _is_item(read.dataset):
                    yield Edge(_dataset_id(pipeline, read), here, LATEST if read.latest else DATA)
            if (files := _files(pipeline, step)) is not None:
                yield Edge(files.id, here, DATA)
            for key in _written(pipeline, step):
                yield Edge(here, f"dataset:{pipeline.name}.{key}", DATA)
            for after in step.after:
                if after.dag is not None:
                    yield Edge(_other_dag(after.dag, after.task).id, here, AFTER)
        read_by = {name: {read.dataset for read in step.reads.values()} for name, step in pipeline.steps.items()}
        for before, after_it in edges(pipeline):
            if not read_by[after_it] & set(_written(pipeline, pipeline.steps[before])):
                yield Edge(_step_id(pipeline, before), _step_id(pipeline, after_it), AFTER)

    def edges_between(self) -> Iterator[Edge]:
        for name in self.shown:
            by_upstream: dict[str, list[Read]] = {}
            for step in self.tree.readable[name].steps.values():
                for read in step.reads.values():
                    upstream = split(read.dataset)[0] if is_foreign(read.dataset) else ""
                    if upstream in self.shown:
                        by_upstream.setdefault(upstream, []).append(read)
            for upstream, reads in by_upstream.items():
                kind = LATEST if all(read.latest for read in reads) else DATA
                yield Edge(f"pipeline:{upstream}", f"pipeline:{name}", kind)
            for dag in self._waited_for(name):
                yield Edge(dag.id, f"pipeline:{name}", AFTER)

    def other_dags(self) -> list[Node]:
        return list(dict.fromkeys(dag for name in self.shown for dag in self._waited_for(name)))

    def _waited_for(self, name: str) -> list[Node]:
        afters = (after for step in self.tree.readable[name].steps.values() for after in step.after)
        return list(dict.fromkeys(_other_dag(after.dag, after.task) for after in afters if after.dag is not None))

    def partial_boxes(self, ends: Collection[str]) -> Iterator[Box]:
        """Pipelines that are not shown themselves, with the datasets that are read of them."""
        for name, pipeline in sorted(self.tree.readable.items()):
            nodes = tuple(
                _dataset(pipeline, key, dataset)
                for key, dataset in pipeline.datasets.items()
                if name not in self.shown and f"dataset:{name}.{key}" in ends
            )
            if nodes:
                yield Box(f"pipeline:{name}", name, nodes, head(pipeline, ()), partial=True)

    def missing(self, ends: Iterable[str]) -> list[Node]:
        """Datasets that are read and that are nowhere."""
        there = {f"dataset:{name}.{key}" for name, pipeline in self.tree.readable.items() for key in pipeline.datasets}
        lost = sorted(end for end in ends if end.startswith("dataset:") and end not in there)
        return [Node(end, SOURCE_FILE, end.removeprefix("dataset:"), "not found", broken=True) for end in lost]

    def _errors(self, pipeline: Pipeline) -> tuple[Diagnostic, ...]:
        return tuple(diagnostic for diagnostic in self.tree.diagnostics_of(pipeline.file) if diagnostic.is_error)


def _step_id(pipeline: Pipeline, step: str) -> str:
    return f"step:{pipeline.name}.{step}"


def _dataset_id(pipeline: Pipeline, read: Read) -> str:
    return f"dataset:{read.dataset}" if is_foreign(read.dataset) else f"dataset:{pipeline.name}.{read.dataset}"


def _other_dag(dag: str, task: str | None) -> Node:
    label = f"{dag}.{task}" if task else dag
    return Node(f"dag:{label}", OTHER_DAG, label, "another DAG", f"The DAG {label}, which is not a pipeline.")


def _written(pipeline: Pipeline, step: Step) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*step.writes.values(), *folders_of(pipeline, step))))


def _files(pipeline: Pipeline, step: Step) -> Node | None:
    """The files that a step is mapped over. They are a source unless something comes before the step."""
    if step.for_each is None or step.for_each.files is None:
        return None
    files = step.for_each.files
    first = not any(after == step.name for _, after in edges(pipeline))
    return Node(f"files:{pipeline.name}.{step.name}", SOURCE_FILE if first else FILE, short(files), "", files)


def _is_item(uri: str) -> bool:
    """One of the files that a step is mapped over: these are drawn together."""
    return re.fullmatch(r"{{ *item *}}", uri) is not None


def _step(pipeline: Pipeline, step: Step) -> Node:
    about = (step.description or "").strip()
    return Node(_step_id(pipeline, step.name), STEPS[step.kind], step.name, detail(step), about)


def _dataset(pipeline: Pipeline, key: str, dataset: Dataset) -> Node:
    is_table = dataset.uri.startswith("table://")
    label = dataset.name or short(dataset.uri)
    if key in writers(pipeline):
        return Node(f"dataset:{pipeline.name}.{key}", TABLE if is_table else FILE, label, "", dataset.uri)
    kind = SOURCE_TABLE if is_table else SOURCE_FILE
    return Node(f"dataset:{pipeline.name}.{key}", kind, label, "source", dataset.uri)
