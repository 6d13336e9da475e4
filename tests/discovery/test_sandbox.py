"""What only building shows costs its own pipeline alone."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sluicegate.discovery import sandbox as sandbox_module
from sluicegate.discovery import scan as scan_module
from sluicegate.discovery.bundle import PipelineBundle
from sluicegate.discovery.compiled import CompiledPipeline
from sluicegate.discovery.sandbox import sandbox_diagnostics
from sluicegate.discovery.store import BundleStore
from sluicegate.factory.attempt import build_diagnostics
from sluicegate.pipeline import read_tree
from tests.discovery.bundles import OPERATORS, bag_of, custom, small, told
from tests.factory.files import BAD_ARGUMENT, write

HANGS = "import os, pathlib; pathlib.Path(os.environ['HANGS']).write_text(str(os.getpid()))"
AT_IMPORT = {
    "raises": ("raise RuntimeError('no licence')", "no licence"),
    "exits": ("import sys; sys.exit(7)", "exit code 7"),
    "leaves": ("import os; os._exit(3)", "exit code 3"),
    "kills": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    "hangs": (f"{HANGS}; import time; time.sleep(3600)", "did not end within"),
    "prints": ("print('x' * 100_000); raise SystemExit('enough')", "exit code 1"),
}


class Hasty:
    """Waits for a short time, and that only for a process that has said that it hangs: others may take as they must."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark
        self.patience: list[float] = []
        self.tried: list[str] = []

    def diagnostics(self, entries: Sequence[CompiledPipeline]) -> Any:
        self.tried += [entry.name for entry in entries]
        return sandbox_diagnostics(entries, seconds=1.0)

    def select(self, reading: Any, writing: Any, failing: Any, timeout: float) -> Any:
        while True:
            if (ready := select.select(reading, writing, failing, 0.02))[0]:
                return ready
            if self.mark.exists() and (pid := self.mark.read_text()) and Path(f"/proc/{pid}").exists():
                self.patience.append(round(timeout, 1))
                return select.select(reading, writing, failing, timeout)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hasty:
    found = Hasty(tmp_path / "hangs")
    monkeypatch.setenv("HANGS", str(found.mark))
    monkeypatch.setattr(scan_module, "sandbox_diagnostics", found.diagnostics)
    monkeypatch.setattr(sandbox_module, "select", found)
    monkeypatch.setattr(sandbox_module, "_LEAST_SECONDS", 0.2)
    monkeypatch.setattr(sandbox_module, "_GRACE", 60.0)
    return found


def test_a_module_that_does_what_it_wants_at_import_costs_its_own_pipeline(
    root: Path, bundle: PipelineBundle, hasty: Hasty
) -> None:
    write(root, good=small("good"), zebra=custom("fine"))
    (root / "fine.py").write_text(OPERATORS)
    for name, (code, _) in AT_IMPORT.items():
        (root / f"{name}_module.py").write_text(f"{code}\n{OPERATORS}")
        write(root, **{name: custom(f"{name}_module")})
    bundle.refresh()
    bag = bag_of(bundle)
    assert set(bag.dag_ids) == {"good", "zebra"}
    assert set(bag.import_errors) == {f"{name}.yaml.py" for name in AT_IMPORT}
    for name, (_, words) in AT_IMPORT.items():
        assert words in bag.import_errors[f"{name}.yaml.py"]
        assert f"{name}.yaml:" in bag.import_errors[f"{name}.yaml.py"]


@pytest.mark.system
def test_who_shares_code_with_what_hangs_is_not_waited_for_as_long_and_not_tried_again(
    root: Path, bundle: PipelineBundle, hasty: Hasty
) -> None:
    (root / "spins.py").write_text(f"{HANGS}\nwhile True: pass\n{OPERATORS}")
    write(root, zebra=small("zebra"), **{f"p{number}": custom("spins") for number in range(6)})
    bundle.refresh()
    assert hasty.patience[0] > 0.5
    assert len(hasty.patience) == 6
    assert max(hasty.patience[1:]) <= 0.2
    assert told(bundle).keys() == {"zebra"}
    write(root, lion=small("lion"))
    hasty.tried.clear()
    bundle.refresh()
    assert hasty.tried == ["lion"]
    assert told(bundle).keys() == {"lion", "zebra"}


def test_a_child_whose_parent_is_killed_ends_by_itself(
    root: Path, bundle: PipelineBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It holds the lock of the bundle, which all others wait for.
    monkeypatch.setattr(sandbox_module, "_GRACE", 0.2)
    write(root, a=small("a"))
    bundle.refresh()
    entry = BundleStore(bundle.home).pipeline("a")
    assert isinstance(entry, CompiledPipeline)
    monkeypatch.setattr(sandbox_module, "_diagnostics", lambda entry: time.sleep(3600))
    with sandbox_module._Child((entry,), 0.1) as child:
        pid, _ = os.waitpid(child.pid, 0)
        child.pid = 0
    assert pid


def test_a_wrong_argument_is_found_where_it_stands(root: Path, bundle: PipelineBundle) -> None:
    write(root, argument=BAD_ARGUMENT, good=small("good"))
    bundle.refresh()
    bag = bag_of(bundle)
    assert bag.dag_ids == ["good"]
    assert re.search(r"^argument\.yaml:5:12: error", bag.import_errors["argument.yaml.py"], re.MULTILINE)


REFUSED_LATER = {
    "executor": "  a:\n    operator: airflow.providers.standard.operators.empty.EmptyOperator\n"
    "    with: {executor: NoSuchExecutor}\n",
    "serialization": "  a: {operator: secretive.Op}\n",
    "validate": "  a: {operator: picky.Op}\n",
}


def test_what_airflow_refuses_after_the_dag_was_made_is_set_apart(root: Path, bundle: PipelineBundle) -> None:
    (root / "secretive.py").write_text(
        OPERATORS + "    template_fields = ('what',)\n    what = property(lambda self: 1 / 0)\n"
    )
    (root / "picky.py").write_text(
        OPERATORS + "    @property\n    def task_type(self): raise ValueError('not this one')\n"
    )
    write(
        root, good=small("good"), **{name: f"sluicegate: 1\nsteps:\n{steps}" for name, steps in REFUSED_LATER.items()}
    )
    bundle.refresh()
    bag = bag_of(bundle)
    assert bag.dag_ids == ["good"]
    assert set(bag.import_errors) == {f"{name}.yaml.py" for name in REFUSED_LATER}


def test_the_code_of_pipelines_leaves_nothing_in_the_process_that_looks(root: Path, bundle: PipelineBundle) -> None:
    (root / "lasting.py").write_text("import os; os.environ['SLUICEGATE_LASTING'] = 'yes'\n" + OPERATORS)
    write(root, a=custom("lasting"))
    bundle.refresh()
    assert told(bundle).keys() == {"a"}
    assert "SLUICEGATE_LASTING" not in os.environ


# What builds in the trial and not any more when Airflow parses it.


def test_what_breaks_between_the_trial_and_the_parse_is_left_out_told_and_comes_back(
    root: Path, bundle: PipelineBundle
) -> None:
    (root / "helper.py").write_text("LIMIT = 1\n")
    (root / "helped.py").write_text("import helper\nhelper.LIMIT\n" + OPERATORS)
    write(root, fragile=custom("helped"), **{f"p{number}": small(f"p{number}") for number in range(5)})
    bundle.refresh()
    assert "fragile" in told(bundle)

    (root / "helper.py").write_text("raise SystemExit(3)\n")
    bag = bag_of(bundle)
    assert set(bag.dag_ids) == {f"p{number}" for number in range(5)}
    assert bag.import_errors == {}, "one pipeline took its shard along"
    assert [each.name for each in BundleStore(bundle.home).build_failures().values() if each] == ["fragile"]

    bundle.refresh()
    bag = bag_of(bundle)
    assert set(bag.import_errors) == {"fragile.yaml.py"}
    assert (
        "SystemExit: 3" in bag.import_errors["fragile.yaml.py"] or "exit code 3" in bag.import_errors["fragile.yaml.py"]
    )

    (root / "helper.py").write_text("LIMIT = 2\n")
    bundle.refresh()
    bag = bag_of(bundle)
    assert (set(bag.dag_ids), bag.import_errors) == ({"fragile", *(f"p{number}" for number in range(5))}, {})
    assert BundleStore(bundle.home).build_failures() == {}


def test_code_mended_before_anybody_looked_is_no_reason_to_complain(root: Path, bundle: PipelineBundle) -> None:
    (root / "helper.py").write_text("LIMIT = 1\n")
    (root / "helped.py").write_text("import helper\nhelper.LIMIT\n" + OPERATORS)
    write(root, fragile=custom("helped"))
    bundle.refresh()
    (root / "helper.py").write_text("raise RuntimeError\n")
    assert bag_of(bundle).dag_ids == []
    time.sleep(0.02)  # a tick of the file system's clock
    (root / "helper.py").write_text("LIMIT = 2\n")
    bundle.refresh()
    bag = bag_of(bundle)
    assert (bag.dag_ids, bag.import_errors) == (["fragile"], {})


@pytest.mark.parametrize(
    "code",
    ["import os; os._exit(3)", f"{HANGS}\nwhile True: pass", "raise RuntimeError('no')"],
    ids=["leaves", "hangs", "raises"],
)
def test_a_helper_that_breaks_is_found_before_airflow_parses_it(
    root: Path, bundle: PipelineBundle, hasty: Hasty, code: str
) -> None:
    # Whatever ends the process would take the whole shard along.
    (root / "lib").mkdir()
    (root / "lib" / "helper.py").write_text("LIMIT = 1\n")
    (root / "helped.py").write_text("from lib.helper import LIMIT\n" + OPERATORS)
    write(root, fragile=custom("helped"), good=small("good"))
    bundle.refresh()
    (root / "lib" / "helper.py").write_text(f"{code}\n")
    bundle.refresh()
    assert told(bundle).keys() == {"good"}
    bag = bag_of(bundle)
    assert (bag.dag_ids, list(bag.import_errors)) == (["good"], ["fragile.yaml.py"])
    (root / "lib" / "helper.py").write_text("LIMIT = 2\n")
    bundle.refresh()
    assert set(bag_of(bundle).dag_ids) == {"fragile", "good"}


def test_a_helper_that_is_mended_mends_the_pipeline(root: Path, bundle: PipelineBundle) -> None:
    (root / "helped.py").write_text("import helper\nhelper.LIMIT\n" + OPERATORS)
    (root / "helper.py").write_text("")
    write(root, fragile=custom("helped"))
    bundle.refresh()
    assert told(bundle) == {}
    (root / "helper.py").write_text("LIMIT = 2\n")
    bundle.refresh()
    assert told(bundle).keys() == {"fragile"}


def test_a_module_that_would_end_the_process_is_a_mistake_where_files_are_checked_without_a_trial(root: Path) -> None:
    # `sluicegate check` would say nothing of any file, and end with 0.
    (root / "leaves.py").write_text(f"{OPERATORS}\nimport sys\nsys.exit(0)\n")
    write(root, a=custom("leaves"))
    [diagnostic] = build_diagnostics(read_tree(root).pipelines["a"], {})
    assert (diagnostic.code, diagnostic.is_error) == ("build", True)
    assert "exit code 0" in diagnostic.message
