"""A recovery is carried out on a person's word: nothing that Airflow loads or runs can reach it."""

from __future__ import annotations

import pytest

from tests.test_layers import PACKAGE, ROOT, imported, module_of

ON_A_PERSONS_WORD = ("cli", "recovery")
"""The rooms that may import `recovery`: the command, and itself."""


def imports_recovery(source: str, module: str) -> bool:
    return any(name.split(".")[:2] == ["sluicegate", "recovery"] for _, name in imported(source, module))


def test_no_dag_operator_trigger_plugin_or_callback_imports_recovery() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in ON_A_PERSONS_WORD]
    assert len(files) > 200
    found = [str(path) for path in files if imports_recovery(path.read_text(encoding="utf-8"), module_of(path))]
    assert found == []


def test_no_sample_pipelines_code_imports_recovery() -> None:
    files = list((ROOT / "dags").rglob("*.py"))
    assert files
    assert [str(path) for path in files if imports_recovery(path.read_text(encoding="utf-8"), path.stem)] == []


def test_no_entry_point_of_airflow_leads_to_recovery() -> None:
    from importlib.metadata import entry_points

    from sluicegate import get_provider_info

    found = [each for each in entry_points(group="airflow.plugins") if each.value.startswith("sluicegate.recovery")]
    assert found == []
    assert "recovery" not in str(get_provider_info())


@pytest.mark.parametrize(
    "source",
    [
        "from sluicegate.recovery.carry_out import carry_out",
        "def late():\n    import sluicegate.recovery.carry_out",
        "from sluicegate import recovery",
    ],
)
def test_an_import_is_found_in_any_form(source: str) -> None:
    assert imports_recovery(source, "sluicegate.wait.trigger")
