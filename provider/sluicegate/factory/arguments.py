"""Operators by import path, and their arguments checked against their own signatures.

No list of operators is kept: whatever Airflow and the installed providers have can be named.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from airflow.sdk import DAG, BaseOperator

from sluicegate.factory.problems import BuildError, Problem
from sluicegate.pipeline.errors import Where, did_you_mean

__all__ = ["argument_problems", "arguments_of", "dag_argument_problems", "operator_class"]

_OURS_IN_A_STEP = {
    "task_id": "the step's own key is its task id",
    "dag": "a step belongs to the DAG of its file",
    "task_group": "a step belongs to the DAG of its file",
    "default_args": "defaults of steps stand in the file or in defaults.yaml",
}
_OURS_IN_A_DAG = {
    "dag_id": "the file's name is the DAG id",
    "schedule": "`schedule` says it",
    "start_date": "`schedule.start` says it",
    "end_date": "`schedule.end` says it",
    "catchup": "`schedule.catchup` says it",
    "description": "`description` says it",
    "tags": "`tags` says it",
    "params": "`params` says it",
    "max_active_runs": "`max_active_runs` says it",
    "is_paused_upon_creation": "`paused` says it",
    "default_args": "`owner` and `retries` say it, and `with` for each step",
    "doc_md": "`description` and the playbook make it",
    "auto_register": "the file is the DAG",
    "task_group": "the steps make it",
}


def operator_class(path: str, where: Where) -> type[BaseOperator]:
    """The operator at the import path `path`.

    :raises BuildError: when there is none, with what was probably meant.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise BuildError([Problem(where, "import", f"`{path}` is no import path: expected module.Class")])
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise BuildError([_no_module(module_name, error, where)]) from error
    except Exception as error:
        message = f"importing `{module_name}` failed: {type(error).__name__}: {error}"
        raise BuildError([Problem(where, "import", message)]) from error
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, BaseOperator):
        return found
    operators = {key: f"{module_name}.{key}" for key in sorted(vars(module)) if _is_operator(module, key)}
    meant = did_you_mean(name, operators)
    if found is None:
        message = f"`{module_name}` has no `{name}`"
    else:
        message = f"`{path}` is no operator of Airflow, but {_kind(found)}"
    raise BuildError([Problem(where, "import", message, suggestion=operators.get(meant or ""))])


def argument_problems(operator: type[BaseOperator], given: Mapping[str, Any], where: Where) -> list[Problem]:
    """What is wrong with the names in `given` as arguments of `operator`; `where` is the place of `given`."""
    known = arguments_of(operator)
    problems = []
    for name in given:
        if name in _OURS_IN_A_STEP:
            message = f"`{name}` cannot be given: {_OURS_IN_A_STEP[name]}"
            problems.append(Problem((*where, name), "argument", message, key=True))
        elif name not in known:
            message = f"{operator.__name__} takes no argument `{name}`"
            suggestion = did_you_mean(name, sorted(known - _OURS_IN_A_STEP.keys()))
            problems.append(Problem((*where, name), "argument", message, key=True, suggestion=suggestion))
    # One that is only misspelt has its problem already.
    meant = {problem.suggestion for problem in problems}
    missing = [name for name in _required(operator) if name not in given and name not in meant]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        problems.append(Problem(where, "argument", f"{operator.__name__} needs {names}", key=True))
    return problems


def dag_argument_problems(given: Mapping[str, Any], where: Where) -> list[Problem]:
    """What is wrong with the names in `given` as further arguments of Airflow's DAG."""
    if not given:
        return []
    known = set(inspect.signature(DAG).parameters)
    problems = []
    for name in given:
        if name in _OURS_IN_A_DAG:
            message = f"`{name}` cannot be given here: {_OURS_IN_A_DAG[name]}"
            problems.append(Problem((*where, name), "argument", message, key=True))
        elif name not in known:
            suggestion = did_you_mean(name, sorted(known - _OURS_IN_A_DAG.keys()))
            message = f"Airflow's DAG takes no argument `{name}`"
            problems.append(Problem((*where, name), "argument", message, key=True, suggestion=suggestion))
    return problems


@lru_cache(maxsize=1024)
def arguments_of(operator: type[BaseOperator]) -> frozenset[str]:
    """The names that `operator` takes itself or hands on to its bases."""
    names: set[str] = set()
    for parameters in _signatures(operator):
        names |= {parameter.name for parameter in parameters if parameter.kind in _NAMED}
        if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            break
    return frozenset(names)


@lru_cache(maxsize=1024)
def _required(operator: type[BaseOperator]) -> tuple[str, ...]:
    """Those without a default in its own constructor. (What its bases need, it may give itself.)"""
    own = next(_signatures(operator))
    return tuple(
        parameter.name
        for parameter in own
        if parameter.kind in _NAMED and parameter.default is inspect.Parameter.empty
        if parameter.name not in _OURS_IN_A_STEP
    )


_NAMED = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _signatures(operator: type[BaseOperator]) -> Iterator[Sequence[inspect.Parameter]]:
    """The parameters of each constructor that a call passes through, the operator's own first."""
    for each in operator.__mro__:
        if "__init__" in vars(each) and each is not object:
            yield list(inspect.signature(vars(each)["__init__"]).parameters.values())[1:]


def _no_module(module: str, error: ImportError, where: Where) -> Problem:
    parent = module.rpartition(".")[0]
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None or not f"{module}.".startswith(f"{missing}."):
        # The module is there; what it needs is not.
        return Problem(where, "import", f"importing `{module}` failed: {error}")
    hint = ", or its provider is not installed" if module.startswith("airflow.providers.") else ""
    return Problem(where, "import", f"there is no module `{missing}`{hint}", suggestion=_near(parent, module))


def _near(parent: str, module: str) -> str | None:
    """A module beside the missing one that is called nearly the same."""
    import pkgutil

    try:
        package = importlib.import_module(parent)
    except Exception:
        return None
    names = [each.name for each in pkgutil.iter_modules(getattr(package, "__path__", []))]
    meant = did_you_mean(module.rpartition(".")[2], names)
    return f"{parent}.{meant}" if meant else None


def _is_operator(module: object, name: str) -> bool:
    value = getattr(module, name, None)
    return isinstance(value, type) and issubclass(value, BaseOperator)


def _kind(value: object) -> str:
    return f"the class {value.__qualname__}" if isinstance(value, type) else f"a {type(value).__name__}"
