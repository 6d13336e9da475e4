"""Random pipelines: they build, and their edges are exactly those that the data demands.

The oracle below works on what the test itself drew, not on anything that was read back. HYPOTHESIS_PROFILE=long
tries more.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sluicegate.pipeline import read_tree
from sluicegate.wait.sensor import SourceSensor, UpstreamSensor
from tests.factory.files import dags_of

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
some = settings(
    max_examples=2000 if LONG else 25,
    derandomize=not LONG,
    phases=set(Phase) - {Phase.explain},
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# A reader may read from the writers named: some window of theirs ends in each of its own. None has no cron.
CRONS = ("0 0 1 * *", "0 0 * * 1", "0 6 * * *", "0 * * * *", "*/15 * * * *", None)
MAY_READ = ((0, 1, 2, 3, 4), (1, 2, 3, 4), (2, 3, 4), (3, 4), (4,), ())
CODE = "def clean(**tables):\n    return None\n\ndef tell(**given):\n    pass\n"
DEFAULTS = "clusters:\n  small: {release: emr-7.13.0, instances: {primary: m7g.xlarge}}\n"
KINDS = {
    "load": {"key": "id"},
    "transform": {"transform": "work:clean"},
    "python": {"python": "work:tell"},
    "spark": {"spark": "job.py", "cluster": "small"},
    "operator": {
        "operator": "airflow.providers.standard.operators.bash.BashOperator",
        "with": {"bash_command": "echo {{ ds }}"},
    },
}
MAPPED = ("python", "operator")
# The last ones are those that waits would like to have.
NAMES = ("a", "b", "c", "d", "wait_for__old_a", "wait_for__p0__a", "wait_for__raw")


@dataclass(frozen=True)
class Said:
    """One step as it was drawn: what it reads and writes by the datasets' keys, what else it comes after."""

    kind: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    after: tuple[str, ...]
    after_others: tuple[tuple[str, str | None], ...]
    waits: bool
    in_short: bool
    group: str | None
    each: str | None
    """What it is mapped over: `items`, `files`, or the step whose output it is."""


@dataclass(frozen=True)
class File:
    name: str
    cron: int
    steps: Mapping[str, Said]

    @property
    def datasets(self) -> dict[str, str]:
        """Those with `fixed` have the same place in every window, `raw` is written by nobody."""
        files = {key: f"s3://lake/{self.name}/{key}/{{{{ ds }}}}.csv" for key in ("daily1", "daily2", "raw")}
        fixed = {key: f"s3://lake/{self.name}/{key}.csv" for key in ("fixed1", "fixed2", "fixed_raw")}
        return files | fixed | {f"table{i}": f"table://warehouse/{self.name}_{i}" for i in range(4)}

    @property
    def writers(self) -> dict[str, str]:
        return {key: name for name, step in self.steps.items() for key in step.writes}


@st.composite
def files(draw: st.DrawFn) -> list[File]:
    """Each reads from those before it."""
    found: list[File] = []
    for number in range(draw(st.integers(1, 4))):
        found.append(draw(one_file(f"p{number}", tuple(found))))
    return found


@st.composite
def one_file(draw: st.DrawFn, name: str, before: tuple[File, ...]) -> File:
    """Steps read what steps drawn before them write, so that there is no cycle; the file has them in any order."""
    cron = draw(st.integers(0, len(CRONS) - 1))
    outside = [f"{other.name}.{key}" for other in before for key in other.datasets if _is_readable(key, cron, other)]
    readable = ["raw", "fixed_raw", "s3://landing/{{ window.start }}.csv", "s3://landing/one.csv", *outside]
    writable = ["daily1", "daily2", "fixed1", "fixed2", f"s3://lake/{name}/{{{{ ds }}}}/", f"s3://lake/{name}.csv"]
    tables = [f"table{i}" for i in range(4)]
    steps: dict[str, Said] = {}
    makers: list[str] = []
    for step in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True)):
        kinds = KINDS.keys() - ({"transform"} if not writable else set()) - ({"load"} if not tables else set())
        kind = draw(st.sampled_from(sorted(kinds)))
        least, most = (1, 1) if kind == "load" else (0, 3)
        reads = draw(st.lists(st.sampled_from(readable), min_size=least, max_size=most, unique=True))
        if kind == "load":
            writes = [tables.pop()]
        else:
            most = min(2, len(writable))
            writes = draw(st.permutations(writable))[: draw(st.integers(1 if kind == "transform" else 0, most))]
        others = st.tuples(st.sampled_from(("old_a", "old_b")), st.sampled_from((None, "export")))
        steps[step] = Said(
            kind=kind,
            reads=tuple(reads),
            writes=tuple(writes),
            after=tuple(draw(st.lists(st.sampled_from([*steps]), max_size=2, unique=True)) if steps else ()),
            after_others=tuple(draw(st.lists(others, max_size=2, unique=True))),
            waits=draw(st.booleans()),
            in_short=draw(st.booleans()),
            group=draw(st.sampled_from((None, None, "left", "right", "right.inner"))),
            each=draw(st.sampled_from((None, "items", "files", *makers))) if kind in MAPPED else None,
        )
        makers += [step] if kind in MAPPED and steps[step].each is None else []
        writable = [key for key in writable if key not in writes]
        readable += [key for key in writes if not key.startswith("table")]
    return File(name, cron, {step: steps[step] for step in draw(st.permutations(list(steps)))})


def _is_readable(key: str, reader: int, other: File) -> bool:
    """Those of a fixed place are read with `latest`, which asks nothing of windows."""
    return key.startswith("fixed") or (not key.startswith("table") and other.cron in MAY_READ[reader])


def write(file: File, root: Path) -> None:
    cron = CRONS[file.cron]
    value: dict[str, Any] = {"sluicegate": 1, "datasets": file.datasets}
    value |= {"schedule": {"cron": cron, "start": "2026-01-01"}} if cron else {}
    value["steps"] = {name: _written(name, step) for name, step in file.steps.items()}
    (root / f"{file.name}.yaml").write_text(yaml.safe_dump(value, sort_keys=False))


def pattern(step: str) -> str:
    return f"s3://landing/{step}/{{{{ ds }}}}/*.csv"


def _written(name: str, step: Said) -> dict[str, Any]:
    """In the long forms, or in the short ones where there is one."""
    reads: list[Any] = [{"dataset": key, "latest": True} if ".fixed" in key else key for key in step.reads]
    value: dict[str, Any] = dict(KINDS[step.kind])
    if step.kind == "load":
        value |= {"load": reads[0], "into": step.writes[0]}
    else:
        lasts = [key.rpartition(".")[2] for key in step.reads]
        short = step.in_short and not any(":/" in key for key in step.reads) and len(set(lasts)) == len(lasts)
        value["reads"] = reads if short else {f"r{number}": read for number, read in enumerate(reads)}
        value["writes"] = {f"w{number}": key for number, key in enumerate(step.writes)}
    after: list[Any] = list(step.after)
    after += [{"dag": dag, "task": task} if task else {"dag": dag} for dag, task in step.after_others]
    value["after"] = after[0] if step.in_short and len(after) == 1 else after
    value |= {"group": step.group} if step.group else {}
    each = {"items": ["eu", "us"], "files": {"files": pattern(name)}}
    value |= {"for_each": each.get(step.each, {"output_of": step.each})} if step.each else {}
    return value | ({"wait": "1h"} if step.waits else {})


def demanded(file: File, others: Mapping[str, File]) -> set[tuple[str, str]]:
    """The oracle: each edge as (what has to be over, step). A wait is called by what it waits for."""
    edges = set()
    for name, step in file.steps.items():
        edges |= {(before, name) for before in step.after}
        edges |= {(f"{dag}:{task}", name) for dag, task in step.after_others}
        for key in step.reads:
            upstream, _, dataset = key.partition(".")
            if key in file.writers:
                edges.add((file.writers[key], name))
            elif upstream in others and dataset in others[upstream].writers:
                edges.add((f"{upstream}:{others[upstream].writers[dataset]}", name))
            elif step.waits:
                edges.add((f"source:{key}", name))
        if step.each == "files":
            # They are waited for, and listed when all is done that comes before.
            edges |= {(f"source:{pattern(name)}", name)} if step.waits else set()
            edges |= {(before, f"files:{name}") for before, after in edges if after == name}
            edges.add((f"files:{name}", name))
        elif step.each not in (None, "items"):
            edges.add((step.each, name))
    return edges


def built(file: File, root: Path) -> set[tuple[str, str]]:
    (dag,) = dags_of(root, f"{file.name}.yaml")
    called = {}
    for task in dag.tasks:
        if isinstance(task, UpstreamSensor):
            called[task.task_id] = f"{task.awaited_dag}:{task.awaited_task}"
        elif isinstance(task, SourceSensor):
            called[task.task_id] = f"source:{task.source.dataset}"
        elif task.task_id.removeprefix("files_of__") in file.steps and task.task_id not in file.steps:
            called[task.task_id] = f"files:{task.task_id.removeprefix('files_of__')}"
        else:
            assert task.task_id in file.steps
            called[task.task_id] = task.task_id
    assert len(set(called.values())) == len(called), "two tasks wait for the same"
    edges = {(called[task.task_id], called[after]) for task in dag.tasks for after in task.downstream_task_ids}
    assert {*file.steps, *(name for edge in edges for name in edge)} == set(called.values()), "a wait is for nobody"
    return edges


@pytest.fixture
def root() -> Iterator[Path]:
    before = list(sys.path)
    folder = Path(tempfile.mkdtemp())
    for name, text in {"work.py": CODE, "job.py": "", "defaults.yaml": DEFAULTS}.items():
        (folder / name).write_text(text)
    yield folder
    sys.path[:] = before
    shutil.rmtree(folder)


@some
@given(drawn=files())
def test_a_dag_has_exactly_the_edges_that_its_data_demands(drawn: list[File], root: Path) -> None:
    for old in root.glob("p*.yaml"):
        old.unlink()
    for file in drawn:
        write(file, root)
    tree = read_tree(root)
    assert [str(diagnostic) for diagnostic in tree.diagnostics if diagnostic.is_error] == []
    others = {file.name: file for file in drawn}
    for file in drawn:
        assert built(file, root) == demanded(file, others), (root / f"{file.name}.yaml").read_text()
