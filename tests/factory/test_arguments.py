from __future__ import annotations

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.filesystem import FileSensor

from sluicegate.factory.arguments.operators import argument_diagnostics, dag_argument_diagnostics, operator_class
from sluicegate.factory.unplaced import BuildError, UnplacedDiagnostic
from sluicegate.runtime.signatures import arguments_of

BASH = "airflow.providers.standard.operators.bash.BashOperator"
WHERE = ("steps", "x", "operator")


def diagnostic_of(path: str) -> UnplacedDiagnostic:
    with pytest.raises(BuildError) as error:
        operator_class(path, WHERE)
    [diagnostic] = error.value.diagnostics
    assert diagnostic.where == WHERE
    return diagnostic


def test_an_operator_is_found_by_its_import_path() -> None:
    assert operator_class(BASH, WHERE) is BashOperator


def test_a_misspelt_class_is_told_which_was_meant() -> None:
    assert diagnostic_of("airflow.providers.standard.operators.bash.BashOperater").suggestion == BASH


def test_a_misspelt_module_is_told_which_was_meant() -> None:
    diagnostic = diagnostic_of("airflow.providers.standard.operators.bsah.BashOperator")
    assert "there is no module" in diagnostic.message
    assert diagnostic.suggestion == "airflow.providers.standard.operators.bash"


def test_a_provider_that_is_not_installed_is_said_to_be() -> None:
    assert "not installed" in diagnostic_of("airflow.providers.nowhere.operators.x.XOperator").message


@pytest.mark.parametrize("path", ["pathlib.Path", "os.getcwd", "Nothing"])
def test_what_is_no_operator_is_refused(path: str) -> None:
    assert diagnostic_of(path).message


def test_an_unknown_argument_is_placed_at_its_key_with_a_suggestion() -> None:
    [diagnostic] = argument_diagnostics(BashOperator, {"bash_command": "x", "evn": {}}, ("steps", "x", "with"))
    assert diagnostic.where == ("steps", "x", "with", "evn")
    assert diagnostic.key
    assert diagnostic.suggestion == "env"


def test_arguments_of_bases_are_known() -> None:
    given = {"filepath": "x", "poke_interval": 3, "retries": 1, "deferrable": True}
    assert argument_diagnostics(FileSensor, given, ()) == []


def test_all_problems_are_told_at_once() -> None:
    unplaced = argument_diagnostics(BashOperator, {"evn": "x", "dag": "y"}, ("with",))
    assert [diagnostic.where for diagnostic in unplaced] == [("with", "evn"), ("with", "dag"), ("with",)]
    assert "needs `bash_command`" in unplaced[-1].message


def test_a_misspelt_argument_is_not_missing_as_well() -> None:
    [diagnostic] = argument_diagnostics(BashOperator, {"bash_comand": "x"}, ("with",))
    assert diagnostic.suggestion == "bash_command"


def test_arguments_of_bases_end_where_nothing_is_handed_on() -> None:
    class Closed(EmptyOperator):
        def __init__(self, task_id: str, only: int) -> None:
            super().__init__(task_id=task_id)

    assert arguments_of(Closed) == {"task_id", "only"}


def test_the_dags_own_arguments_are_checked_against_airflows_signature() -> None:
    unplaced = dag_argument_diagnostics({"fail_fast": True, "fail_fats": True, "start_date": 1}, ("dag",))
    assert [(diagnostic.where, diagnostic.suggestion) for diagnostic in unplaced] == [
        (("dag", "fail_fats"), "fail_fast"),
        (("dag", "start_date"), None),
    ]
    assert "schedule.start" in unplaced[1].message
