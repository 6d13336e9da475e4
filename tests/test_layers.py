"""Imports point one way, and what builds a DAG imports nothing that only a task needs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

import sluicegate
from tests.fresh import FreshAirflow

PACKAGE = Path(sluicegate.__file__).parent
ROOT = Path(__file__).parents[1]

_BASE = frozenset({"pipeline", "graph", "faults"})
_RECORDS = _BASE | {"checks", "ledger", "storage", "records"}
_SHARED = _RECORDS | {"circuits", "receipts", "runtime", "targets", "telemetry"}
_WORK = _SHARED | {"load", "emr", "transform", "sources"}
_BUILT_WITH = _WORK | {"wait"}
_FACTORY = _BUILT_WITH | {"alerts", "factory"}
_DISCOVERY = _FACTORY | {"discovery"}
MAY_IMPORT = {
    "pipeline": frozenset({"graph"}),
    "graph": frozenset({"pipeline"}),
    "faults": frozenset[str](),
    "api": frozenset[str](),
    "checks": _BASE,
    "ledger": _BASE,
    "storage": _BASE,
    "records": _BASE | {"checks", "storage"},
    "receipts": _BASE | {"ledger"},
    "telemetry": frozenset({"faults"}),
    "circuits": frozenset({"faults"}),
    "runtime": _BASE | {"circuits", "ledger", "receipts", "storage", "telemetry"},
    "targets": _RECORDS | {"runtime"},
    "load": _SHARED,
    "emr": _SHARED,
    "transform": _SHARED,
    "sources": _SHARED,
    "picture": _BASE,
    "wait": _BASE | {"ledger", "runtime", "storage", "targets"},
    "render": _BUILT_WITH,
    "alerts": _BASE | {"ledger", "runtime", "telemetry"},
    "factory": _BUILT_WITH | {"alerts"},
    "discovery": _FACTORY,
    "local": _DISCOVERY | {"api"},
    "health": _DISCOVERY | {"alerts", "api"},
    "plugin": _DISCOVERY | {"health"},
    "doctor": _BASE | {"emr", "local"},
    "migrate": _BASE,
    "recovery": _BASE | {"api", "picture", "runtime"},
    "testing": _DISCOVERY | {"api", "local"},
    "cli": _DISCOVERY | {"api", "doctor", "health", "local", "migrate", "picture", "receipts", "recovery", "render"},
}
"""By layer, the layers that it may import beside itself."""

SUB_ROOMS = {
    "local": {"aws": frozenset[str](), "stack": frozenset[str](), "demo": frozenset({"stack"})},
}
"""By layer that has rooms, and by room, the rooms of the same layer that it may import beside itself."""

_SAID = ("pipeline.diagnostics", "pipeline.text", "pipeline.keys", "graph")
_READ = (*_SAID, "pipeline.read")
_JUDGED = (*_READ, "pipeline.check", "pipeline.file")
WITHIN = {
    "pipeline.diagnostics": (),
    "pipeline.walk": (),
    "pipeline.text": ("pipeline.diagnostics",),
    "pipeline.keys": ("pipeline.diagnostics", "pipeline.text"),
    "graph": ("pipeline.diagnostics", "pipeline.text", "pipeline.keys"),
    "pipeline.read": _SAID,
    "pipeline.check": _READ,
    "pipeline.file": (*_READ, "pipeline.check"),
    "pipeline.lookup": (*_JUDGED, "pipeline.walk"),
    "pipeline.strays": _JUDGED,
    "pipeline.tree": (*_JUDGED, "pipeline.walk", "pipeline.lookup", "pipeline.strays"),
    "picture.palette": (),
    "picture.model": (),
    "picture.measures": (),
    "picture.dot": (),
    "picture.mermaid": (),
    "picture.packing": ("graph.order",),
    "picture.part": (),
    "picture.svg": (),
    "picture.png": (),
}
"""By part of a layer, what it may import of `pipeline` and `graph` beside itself.

`graph` is between two parts of `pipeline`; a picture is of any graph, but for `pipelines` and what it is made with.
"""

HEAVY = ("duckdb", "pandas", "pyarrow", "boto3", "botocore", "great_expectations", "psycopg", "moto", "pyspark")
PARSE_TIME = (
    "sluicegate.factory.build",
    "sluicegate.discovery.bundle",
    "sluicegate.discovery.single_file",
    "sluicegate.discovery.importer",
    "sluicegate.factory.attempt",
    "sluicegate.discovery.stubs",
    "sluicegate.runtime.operator",
    "sluicegate.load.operator",
    "sluicegate.load.dead_letters_operator",
    "sluicegate.emr.operator",
    "sluicegate.emr.janitor",
    "sluicegate.transform.operator",
    "sluicegate.sources.operator",
    "sluicegate.transform.python",
    "sluicegate.wait.sensor",
    "sluicegate.wait.trigger",
    "sluicegate.runtime.dag",
    "sluicegate.health.late",
)


@cache
def imported(source: str, module: str) -> tuple[tuple[int, str], ...]:
    """Line and full name of everything that `source` imports, also inside functions and by `import_module`."""
    return tuple(_imported(source, module))


def _imported(source: str, module: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: -node.level]
                base = ".".join([*package, *filter(None, [base])])
            # `from sluicegate import load` names a layer; of `from sluicegate.load import x` the module is enough.
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            words = node.args[0] if node.args else None
            first = words.values[0] if isinstance(words, ast.JoinedStr) else words
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def layer_of(name: str) -> str | None:
    """The layer of a module of ours; None for the package itself (its version) and for all others."""
    root, _, rest = name.partition(".")
    layer = rest.partition(".")[0]
    return layer if root == "sluicegate" and layer in MAY_IMPORT else None


def module_of(path: Path) -> str:
    """`sluicegate.load.plan`; a package's `__init__` keeps that name, so that relative imports resolve."""
    return ".".join(("sluicegate", *path.relative_to(PACKAGE).with_suffix("").parts))


def wrong_imports(source: str, module: str) -> list[str]:
    ours = layer_of(module)
    if ours is None:
        return []
    return [
        f"{module}:{line} imports {name}"
        for line, name in imported(source, module)
        if (theirs := layer_of(name)) is not None and theirs != ours and theirs not in MAY_IMPORT[ours]
    ]


def test_every_package_and_module_belongs_to_a_layer() -> None:
    entries = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert entries - {"__init__"} == set(MAY_IMPORT)


def test_imports_point_one_way() -> None:
    found = [
        wrong
        for path in sorted(PACKAGE.rglob("*.py"))
        for wrong in wrong_imports(path.read_text(encoding="utf-8"), module_of(path))
    ]
    assert found == []


def wrong_rooms(source: str, module: str) -> list[str]:
    """Imports of a room of the same layer that the room of `module` may not know."""
    layer, room = module.split(".")[1:3]
    return [
        f"{module}:{line} imports {name}"
        for line, name in imported(source, module)
        if name.split(".")[1:2] == [layer] and (theirs := name.split(".")[2:3]) != [room]
        if theirs and theirs[0] in SUB_ROOMS[layer] and theirs[0] not in SUB_ROOMS[layer].get(room, frozenset())
    ]


def test_the_rooms_of_a_layer_import_one_way() -> None:
    paths = [path for layer in SUB_ROOMS for path in sorted((PACKAGE / layer).glob("*/**/*.py"))]
    assert {path.relative_to(PACKAGE).parts[:2] for path in paths} == {
        (layer, room) for layer, rooms in SUB_ROOMS.items() for room in rooms
    }
    found = [wrong for path in paths for wrong in wrong_rooms(path.read_text(encoding="utf-8"), module_of(path))]
    assert found == []


def test_a_wrong_import_between_rooms_is_found() -> None:
    source = "from sluicegate.local.demo import show\nfrom sluicegate.local.stack import state"
    assert wrong_rooms(source, "sluicegate.local.stack.stack") == [
        "sluicegate.local.stack.stack:1 imports sluicegate.local.demo.show"
    ]
    assert wrong_rooms(source, "sluicegate.local.demo.session") == []


def wrong_within(source: str, module: str) -> list[str]:
    def is_in(name: str, parts: Iterable[str]) -> bool:
        return any(f"{name}.".startswith(f"sluicegate.{part}.") for part in parts)

    ours = next((part for part in WITHIN if is_in(module, [part])), None)
    if ours is None:
        return []
    return [
        f"{module}:{line} imports {name}"
        for line, name in imported(source, module)
        if is_in(name, ("pipeline", "graph")) and not is_in(name, (ours, *WITHIN[ours]))
    ]


def test_parts_of_layers_import_one_way_too() -> None:
    found = [
        wrong
        for room in ("pipeline", "graph", "picture")
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for wrong in wrong_within(path.read_text(encoding="utf-8"), module_of(path))
    ]
    assert found == []


def test_every_module_of_pipeline_is_in_a_part() -> None:
    parts = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts[:2])
        for path in (PACKAGE / "pipeline").rglob("*.py")
        if path.parent != PACKAGE / "pipeline" or path.stem != "__init__"
    }
    assert parts == {part for part in WITHIN if part.startswith("pipeline.")}


def test_a_wrong_import_between_the_parts_is_found() -> None:
    assert wrong_within("from sluicegate.pipeline.file import read_draft", "sluicegate.pipeline.check.upstreams")

    reading = "from sluicegate.pipeline.read.groups import read_group"
    assert wrong_within(reading, "sluicegate.graph.edges")
    assert wrong_within("from sluicegate.pipeline import read_tree", "sluicegate.graph.edges")
    assert wrong_within("from sluicegate.graph import window", "sluicegate.pipeline.keys.model")
    assert not wrong_within("from sluicegate.pipeline.keys.model import Pipeline", "sluicegate.graph.edges")
    assert not wrong_within(reading, "sluicegate.pipeline.check.rules")


def test_the_package_itself_imports_none_of_its_layers() -> None:
    code = "import sys, sluicegate; print([name for name in sys.modules if name.startswith('sluicegate.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "source",
    [
        "from sluicegate.load import LoadOperator",
        "def late():\n    from sluicegate.load.load import load",
        "import sluicegate.load.load",
        "from sluicegate import load",
        "from ..load import plan",
        "from importlib import import_module\nimport_module(f'sluicegate.load.{1}')",
    ],
)
def test_a_wrong_import_is_found_in_any_form(source: str) -> None:
    assert wrong_imports(source, "sluicegate.faults.catalogue")
    assert not wrong_imports(source, "sluicegate.factory.steps")


def test_what_a_step_reports_needs_no_airflow() -> None:
    for module in ("marks", "step"):
        code = f"import sys, sluicegate.runtime.{module}; print('airflow' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
        assert done.stdout.strip() == "False", module


def test_the_engine_of_clusters_needs_neither_airflow_nor_aws() -> None:
    code = "import sys, sluicegate.emr.engine; print([n for n in ('airflow', 'boto3', 'botocore') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    assert done.stdout.strip() == "[]"


def test_pipelines_and_the_api_need_no_airflow() -> None:
    found = [
        f"{path.name}:{line} imports {name}"
        for room in ("pipeline", "graph", "api")
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for line, name in imported(path.read_text(encoding="utf-8"), module_of(path))
        if name.partition(".")[0] == "airflow"
    ]
    assert found == []


def test_what_tests_of_pipelines_use_needs_no_pytest_but_for_its_fixtures() -> None:
    found = {
        path.stem
        for path in sorted((PACKAGE / "testing").rglob("*.py"))
        for _, name in imported(path.read_text(encoding="utf-8"), module_of(path))
        if name.partition(".")[0] == "pytest"
    }
    assert found == {"fixtures"}


BUILD = """
import sys
from importlib import import_module

for name in {modules!r}:
    import_module(name)
    print(name, [heavy for heavy in {heavy!r} if heavy in sys.modules])
from pathlib import Path
from sluicegate.factory.attempt import attempt
from sluicegate.factory.code_path import find_code
from sluicegate.pipeline import read_together

root = Path({dags!r})
find_code(root)
for file in {files!r}:
    together = read_together(root / file, root)
    assert all(attempt(pipeline, together.upstreams)[0] for pipeline in together.pipelines)
    print(file, [heavy for heavy in {heavy!r} if heavy in sys.modules])
"""


def test_what_builds_a_dag_imports_nothing_that_only_a_task_needs(fresh: FreshAirflow) -> None:
    files = ["delays.yaml", "flights.yaml", "inbox.yaml"]
    code = BUILD.format(modules=PARSE_TIME, heavy=HEAVY, files=files, dags=str(ROOT / "dags"))
    done = fresh.run(code)
    done.check_returncode()
    assert [line for line in done.stdout.splitlines() if line.partition(" ")[0] in {*PARSE_TIME, *files}] == [
        f"{name} []" for name in (*PARSE_TIME, *files)
    ]
