"""What a file names by an import path, imported; or what was probably meant."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from sluicegate.factory.unplaced import BuildError, UnplacedDiagnostic
from sluicegate.pipeline.diagnostics import Where, did_you_mean

__all__ = ["imported"]


def imported(path: str, where: Where, *, fits: Callable[[Any], bool] = callable, what: str = "class") -> Any:
    """What is at the import path `path`.

    :param fits: whether something may be meant; others are not suggested
    :raises BuildError: when there is nothing that fits, with what was probably meant.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise BuildError(
            [UnplacedDiagnostic(where, "import", f"not an import path: `{path}` (expected `module.Class`)")]
        )
    try:
        module = sys.modules.get(module_name) or importlib.import_module(module_name)
    except ImportError as error:
        raise BuildError([_no_module(module_name, error, where)]) from error
    except Exception as error:
        message = f"importing `{module_name}` failed: {type(error).__name__}: {error}"
        raise BuildError([UnplacedDiagnostic(where, "import", message)]) from error
    found = getattr(module, name, None)
    if found is not None and fits(found):
        return found
    fitting = {key: f"{module_name}.{key}" for key in sorted(vars(module)) if fits(getattr(module, key))}
    meant = did_you_mean(name, fitting)
    message = f"`{module_name}` has no `{name}`" if found is None else f"`{path}` is not a {what}, but {_kind(found)}"
    raise BuildError([UnplacedDiagnostic(where, "import", message, suggestion=fitting.get(meant or ""))])


def _no_module(module: str, error: ImportError, where: Where) -> UnplacedDiagnostic:
    parent = module.rpartition(".")[0]
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None or not f"{module}.".startswith(f"{missing}."):
        # The module is there; what it needs is not.
        return UnplacedDiagnostic(where, "import", f"importing `{module}` failed: {error}")
    hint = ", or its provider is not installed" if module.startswith("airflow.providers.") else ""
    return UnplacedDiagnostic(
        where, "import", f"there is no module `{missing}`{hint}", suggestion=_near(parent, module)
    )


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


def _kind(value: object) -> str:
    return f"the class {value.__qualname__}" if isinstance(value, type) else f"a {type(value).__name__}"
