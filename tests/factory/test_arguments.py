from __future__ import annotations

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.filesystem import FileSensor

from sluicegate.factory.arguments.operators import argument_problems, dag_argument_problems, operator_class
from sluicegate.factory.arguments.signatures import arguments_of
from sluicegate.factory.problems import BuildError, Problem

BASH = "airflow.providers.standard.operators.bash.BashOperator"
WHERE = ("steps", "x", "operator")


def problem_of(path: str) -> Problem:
    with pytest.raises(BuildError) as error:
        operator_class(path, WHERE)
    [problem] = error.value.problems
    assert problem.where == WHERE
    return problem


def test_an_operator_is_found_by_its_import_path() -> None:
    assert operator_class(BASH, WHERE) is BashOperator


def test_a_misspelt_class_is_told_which_was_meant() -> None:
    assert problem_of("airflow.providers.standard.operators.bash.BashOperater").suggestion == BASH


def test_a_misspelt_module_is_told_which_was_meant() -> None:
    problem = problem_of("airflow.providers.standard.operators.bsah.BashOperator")
    assert "there is no module" in problem.message
    assert problem.suggestion == "airflow.providers.standard.operators.bash"


def test_a_provider_that_is_not_installed_is_said_to_be() -> None:
    assert "not installed" in problem_of("airflow.providers.nowhere.operators.x.XOperator").message


@pytest.mark.parametrize("path", ["pathlib.Path", "os.getcwd", "Nothing"])
def test_what_is_no_operator_is_refused(path: str) -> None:
    assert problem_of(path).message


def test_an_unknown_argument_is_placed_at_its_key_with_a_suggestion() -> None:
    [problem] = argument_problems(BashOperator, {"bash_command": "x", "evn": {}}, ("steps", "x", "with"))
    assert problem.where == ("steps", "x", "with", "evn")
    assert problem.key
    assert problem.suggestion == "env"


def test_arguments_of_bases_are_known() -> None:
    given = {"filepath": "x", "poke_interval": 3, "retries": 1, "deferrable": True}
    assert argument_problems(FileSensor, given, ()) == []


def test_all_problems_are_told_at_once() -> None:
    problems = argument_problems(BashOperator, {"evn": "x", "dag": "y"}, ("with",))
    assert [problem.where for problem in problems] == [("with", "evn"), ("with", "dag"), ("with",)]
    assert "needs `bash_command`" in problems[-1].message


def test_a_misspelt_argument_is_not_missing_as_well() -> None:
    [problem] = argument_problems(BashOperator, {"bash_comand": "x"}, ("with",))
    assert problem.suggestion == "bash_command"


def test_arguments_of_bases_end_where_nothing_is_handed_on() -> None:
    class Closed(EmptyOperator):
        def __init__(self, task_id: str, only: int) -> None:
            super().__init__(task_id=task_id)

    assert arguments_of(Closed) == {"task_id", "only"}


def test_the_dags_own_arguments_are_checked_against_airflows_signature() -> None:
    problems = dag_argument_problems({"fail_fast": True, "fail_fats": True, "start_date": 1}, ("dag",))
    assert [(problem.where, problem.suggestion) for problem in problems] == [
        (("dag", "fail_fats"), "fail_fast"),
        (("dag", "start_date"), None),
    ]
    assert "schedule.start" in problems[1].message
