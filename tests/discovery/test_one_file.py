"""One Python file that shows Airflow all pipelines beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import BundleDagBag

from sluicegate.discovery.one_file import BROKEN
from tests.discovery.bundles import OPERATORS, STORAGE, custom, small
from tests.factory.files import MISSPELT, write


@pytest.fixture
def stub(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(STORAGE, str(tmp_path / "bundles"))
    (root / "pipelines.py").write_text(
        "# airflow dag\nfrom sluicegate import load_pipelines\nload_pipelines(__file__)\n"
    )
    return root / "pipelines.py"


def bag_of(stub: Path) -> BundleDagBag:
    return BundleDagBag(dag_folder=stub, bundle_path=stub.parent, bundle_name="dags-folder")


def test_an_older_version_goes_on_and_shows_what_is_wrong_now(root: Path, stub: Path) -> None:
    write(root, a=small("a"), b=small("b"))
    assert set(bag_of(stub).dag_ids) == {"a", "b"}
    write(root, a=MISSPELT)
    bag = bag_of(stub)
    assert (set(bag.dag_ids), bag.import_errors) == ({"a", "b"}, {})
    assert any(tag.startswith("older version") for tag in bag.dags["a"].tags)
    assert "a.yaml:2:1" in (bag.dags["a"].doc_md or ""), "there is no other place for the error"
    assert "a.yaml" not in (bag.dags["b"].doc_md or "").replace("`b.yaml`", "")


def test_an_older_version_that_would_end_the_process_does_not_take_the_others_along(root: Path, stub: Path) -> None:
    (root / "mine.py").write_text(OPERATORS)
    write(root, a=custom("mine"), b=small("b"))
    bag_of(stub)
    del sys.modules["mine"]  # the next parse is in another process
    (root / "mine.py").write_text(f"import os; os._exit(3)\n{OPERATORS}")
    bag = bag_of(stub)
    assert "b" in bag.dag_ids
    assert bag.import_errors == {}


def test_a_bad_file_is_shown_beside_a_good_one_whose_name_begins_as_its_own(root: Path, stub: Path) -> None:
    write(root, orders=MISSPELT, orders_eu=small("orders_eu"))
    bag = bag_of(stub)
    assert set(bag.dag_ids) == {"orders", "orders_eu"}
    assert BROKEN in bag.dags["orders"].tags
    assert "orders.yaml:2:1" in (bag.dags["orders"].doc_md or "")


def test_a_bad_file_takes_no_name_from_a_good_one(root: Path, stub: Path) -> None:
    write(root, orders_eu=small("orders_eu"))
    (root / "orders eu.yaml").write_text(small("x"))
    dag = bag_of(stub).dags["orders_eu"]
    assert BROKEN not in dag.tags, "the good pipeline is gone"
    assert "orders eu.yaml" in (dag.doc_md or ""), "the mistake is told nowhere"
