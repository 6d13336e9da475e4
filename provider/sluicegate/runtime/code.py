"""The author's function: found below the dags root, its signature held against what it is to get."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from sluicegate.faults.classify import classify
from sluicegate.faults.errors import FaultError, fault
from sluicegate.faults.system import is_bug
from sluicegate.pipeline.diagnostics import did_you_mean, hint

__all__ = [
    "arguments_for",
    "failure_of",
    "find_function",
    "is_meant",
    "names_parameter",
    "on_path",
    "streams",
]

_DOTTED = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_REFERENCE = re.compile(f"(?P<module>{_DOTTED}):(?P<function>{_DOTTED})")
_KEYWORD_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@contextmanager
def on_path(root: str | None) -> Iterator[None]:
    """With `root` on `sys.path`: the author's modules find each other, also when imported late.

    At the end, as where pipelines are parsed: a file of the author's hides no installed module.
    """
    if root is None or root in sys.path:
        yield
        return
    sys.path.append(root)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if root in sys.path:
            sys.path.remove(root)


def find_function(reference: str, root: str | None) -> Callable[..., Any]:
    """The function that `module:function` names; to be called within `on_path(root)`.

    :raises FaultError: WRONG_USE for a reference of another shape, CODE_MISSING when module or function
        do not exist, CODE_BROKEN when the module cannot be loaded.
    """
    shape = _REFERENCE.fullmatch(reference.strip())
    if shape is None:
        raise fault("WRONG_USE", f"{reference!r}: expected module:function, such as transforms.orders:clean")
    module = _load(shape["module"], root)
    found: Any = module
    for name in shape["function"].split("."):
        if not hasattr(found, name):
            raise _no_function(reference, name, found)
        found = getattr(found, name)
    if not callable(found):
        raise fault("WRONG_USE", f"{reference} is not a function but a {type(found).__name__}")
    if inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found):
        raise fault("WRONG_USE", f"{reference} is async; a step calls a plain function")
    return found  # type: ignore[no-any-return]


def names_parameter(function: Callable[..., Any], name: str) -> bool:
    """Whether `function` itself names `name`; a `**kwargs` does not count."""
    parameter = _parameters(function).get(name)
    return parameter is not None and parameter.kind in _KEYWORD_KINDS


def streams(function: Callable[..., Any], name: str) -> bool:
    """Whether the parameter's annotation asks for a `pa.RecordBatchReader` instead of a table."""
    parameter = _parameters(function).get(name)
    if parameter is None or parameter.annotation is inspect.Parameter.empty:
        return False
    # As text: an annotation may be a string, and what it names may be imported for type checkers only.
    annotation = parameter.annotation
    text = annotation if isinstance(annotation, str) else repr(annotation)
    return "RecordBatchReader" in text and "Table" not in text


def arguments_for(
    reference: str,
    function: Callable[..., Any],
    given: Mapping[str, Iterable[str]],
    offered: Iterable[str],
    *,
    all_to_kwargs: bool = False,
) -> tuple[str, ...]:
    """The names to call `function` with: all that are given, and those offered that it names.

    :param given: by where they come from (`reads`, `with`), the names that must be taken
    :param offered: names that may be left
    :param all_to_kwargs: a `**kwargs` takes everything that is offered
    :raises FaultError: WRONG_USE, with the function's signature, when they do not fit.
    """
    parameters = _parameters(function)
    open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    shown = f"{reference}{_signature(function) or '(...)'}"
    origin: dict[str, str] = {}
    for source, names in given.items():
        for name in names:
            if name in origin:
                raise fault("WRONG_USE", f"{shown}: {name!r} comes from both {origin[name]} and {source}")
            origin[name] = source
    for name, source in origin.items():
        parameter = parameters.get(name)
        if parameter is not None and parameter.kind not in _KEYWORD_KINDS and not open_ended:
            raise fault("WRONG_USE", f"{shown}: {name!r} cannot be given by name")
        if parameter is None and not open_ended and parameters is not _UNKNOWN:
            meant = hint(name, parameters)
            raise fault("WRONG_USE", f"{shown} takes no {name!r}, which comes from {source}{meant}")
    every_offer = open_ended and all_to_kwargs
    taken = [name for name in offered if name not in origin and (every_offer or _takes(parameters, name))]
    passed = (*origin, *taken)
    for name, parameter in parameters.items():
        required = parameter.default is inspect.Parameter.empty and parameter.kind not in (
            inspect.Parameter.VAR_KEYWORD,
            inspect.Parameter.VAR_POSITIONAL,
        )
        if required and name not in passed:
            got = ", ".join(passed) or "nothing"
            raise fault("WRONG_USE", f"{shown} wants {name!r}, but gets {got}{hint(name, passed)}")
    return passed


def failure_of(error: Exception, reference: str, root: str | None) -> FaultError:
    """What the author's function raised, as a fault: CODE_FAILED unless the catalogue knows better, as it knows a bug.

    A file that could not be parsed does not help here: which one it was only the function knows,
    and the step's own reads were reported before it.
    """
    found = classify(error)
    place = _place(error, root)
    code = found.code
    if code in {"UNKNOWN", "SOURCE_UNREADABLE"}:
        code = "CODE_BROKEN" if is_bug(error) else "CODE_FAILED"
    return fault(code, f"{reference}: {found.detail}{place}", **found.facts)


def is_meant(error: Exception) -> bool:
    """Whether the author skipped or failed the task, or raised a fault, on purpose."""
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    return isinstance(error, AirflowFailException | AirflowSkipException | FaultError)


def _load(name: str, root: str | None) -> ModuleType:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name and (name == missing.name or name.startswith(missing.name + ".")):
            raise fault("CODE_MISSING", f"there is no module {name} below {root or 'sys.path'}") from missing
        raise fault("CODE_MISSING", f"{name} imports {missing.name}, which is not installed") from missing
    except ImportError as broken:
        raise fault("CODE_MISSING", f"{name}: {broken}") from broken
    except Exception as broken:
        found = classify(broken)
        code = "CODE_BROKEN" if found.code == "UNKNOWN" else found.code
        detail = f"{name} cannot be loaded: {found.detail}{_place(broken, root)}"
        raise fault(code, detail, **found.facts) from broken
    _not_shadowed(module, name, root)
    return module


def _not_shadowed(module: ModuleType, name: str, root: str | None) -> None:
    """A file of the author's that is called like a module already loaded would silently not be used."""
    if root is None:
        return
    relative = Path(*name.split("."))
    wanted = [Path(root) / relative.with_suffix(".py"), Path(root) / relative / "__init__.py"]
    loaded = getattr(module, "__file__", None)
    ours = next((path for path in wanted if path.is_file()), None)
    if ours is not None and (loaded is None or Path(loaded).resolve() != ours.resolve()):
        taken = loaded or "built in"
        raise fault("CODE_MISSING", f"{name} is {taken}, not {ours}; give the file another name")


def _no_function(reference: str, name: str, owner: Any) -> FaultError:
    public = (each for each in dir(owner) if not each.startswith("_"))
    functions = [each for each in public if callable(getattr(owner, each, None))]
    meant = did_you_mean(name, functions)
    guess = f"; did you mean {meant}?" if meant else ""
    place = getattr(owner, "__file__", owner)
    return fault("CODE_MISSING", f"{reference}: there is no {name} in {place}{guess}")


_UNKNOWN: Mapping[str, inspect.Parameter] = {}
"""The parameters of what has no signature: some functions in C. They are called with what is given."""


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    signature = _signature(function)
    return _UNKNOWN if signature is None else signature.parameters


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except ValueError:
        return None


def _takes(parameters: Mapping[str, inspect.Parameter], name: str) -> bool:
    return name in parameters and parameters[name].kind in _KEYWORD_KINDS


def _place(error: BaseException, root: str | None) -> str:
    """Where the author's own code was when it happened, as ` (file:line)`."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if root is not None and frame.filename.startswith(root)] or frames
    return f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
