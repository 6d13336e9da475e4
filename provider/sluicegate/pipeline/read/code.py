"""Finds the code that a file names without running any of it: modules by path, functions by their source."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from sluicegate.pipeline.diagnostics import did_you_mean

__all__ = ["CodeError", "Signature", "find_attribute", "find_exception", "find_function"]

_REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
_IMPORT_PATH = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\.([A-Za-z_]\w*)")
_CLASS = re.compile(r"^class\s+(\w+)", re.MULTILINE)


class CodeError(ValueError):
    """Code that is not there, and what was probably meant."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.suggestion = suggestion


@dataclass(frozen=True)
class Signature:
    """What a function takes by name. `takes_any`: it has `**kwargs`."""

    parameters: tuple[str, ...]
    required: frozenset[str]
    takes_any: bool
    is_async: bool = False


def find_function(reference: str, root: Path) -> Signature | None:
    """The signature of `module:function`, looked for below `root`, then on `sys.path`.

    None where it is there but its signature cannot be read off (imported, decorated, assigned, compiled).

    :raises CodeError: when the reference has another form, or the module or the function is not there.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        hint = reference.replace("/", ".").removesuffix(".py") if ":" not in reference else None
        raise CodeError(f"expected module:function, not {reference!r}", f"{hint}:function" if hint else None)
    module, name = match.groups()
    file = _own_or_installed(module, root)
    if file is None:
        return None
    state = file.stat()
    functions, whole = _functions(file, state.st_mtime_ns, state.st_size)
    if name in functions:
        return functions[name]
    if not whole:
        return None
    meant = did_you_mean(name, functions)
    raise CodeError(f"{_shown(file, root)} has no function `{name}`", f"{module}:{meant}" if meant else None)


def find_attribute(path: str, root: Path) -> None:
    """Check that `package.module.Name` is there, as far as its source shows.

    :raises CodeError: when the path has another form, or the module or the name is not there.
    """
    match = _IMPORT_PATH.fullmatch(path)
    if match is None:
        raise CodeError(f"expected an import path such as package.module.Operator, not {path!r}")
    module, name = match.groups()
    file = _own_or_installed(module, root)
    if file is None:
        return
    source = file.read_text("utf-8", "replace")
    if re.search(rf"\b{name}\b|^def __getattr__\b|import \*", source, re.MULTILINE):
        return
    meant = did_you_mean(name, _CLASS.findall(source))
    raise CodeError(f"`{module}` has no `{name}`", f"{module}.{meant}" if meant else None)


def find_exception(path: str, root: Path) -> None:
    """Check that `package.module.Name` is there and, as far as its module's own source shows, an exception.

    :raises CodeError: as `find_attribute`, or when it is a function, or a class that derives from nothing.
    """
    find_attribute(path, root)
    module, _, name = path.rpartition(".")
    file = _own_or_installed(module, root)
    if file is None:
        return
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError):
        return
    defined = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    kind = defined.get(name)
    while isinstance(kind, ast.ClassDef) and len(kind.bases) == 1 and isinstance(kind.bases[0], ast.Name):
        base = kind.bases[0].id
        if base == kind.name or base not in defined:
            return
        kind = defined[base]
    if isinstance(kind, ast.FunctionDef) or (kind is not None and not kind.bases and not kind.decorator_list):
        raise CodeError(f"`{path}` is not an exception: expected a class that derives from one")


def _own_or_installed(module: str, root: Path) -> Path | None:
    """The source of a module as `_module_file` has it.

    :raises CodeError: when there is none, or when one of that name below `root` would not be the one that is used
    """
    base = root.joinpath(*module.split("."))
    own = next((file for file in (base / "__init__.py", base.with_suffix(".py")) if file.is_file()), None)
    try:
        file = _module_file(module, root)
    except CodeError:
        if own is None:
            raise
        file = None
    if own is not None and (file is None or not file.samefile(own)):
        first = module.partition(".")[0]
        raise CodeError(f"`{first}` is an installed module, which comes before {_shown(own, root)}: rename yours")
    return file


def _module_file(module: str, root: Path) -> Path | None:
    """The source of a module; None when it is there without one (compiled, a namespace)."""
    parts = module.split(".")
    # As at run time: what is installed comes before what has the same name below the dags root.
    paths: Sequence[str] = [*sys.path, str(root)]
    for depth, part in enumerate(parts):
        name = ".".join(parts[: depth + 1])
        if depth == 0 and part in sys.builtin_module_names:
            return None
        # By its last part: a namespace (`airflow.providers`) would ask for its parent, which is not imported.
        spec = _find(part, tuple(paths))
        if spec is None:
            around = ".".join(parts[:depth])
            meant = did_you_mean(part, _modules_in([str(root)] if depth == 0 else paths))
            whole = ".".join(part for part in (around, meant) if part) if meant else None
            raise CodeError(f"there is no module `{name}` below the dags root or installed", whole)
        if depth == len(parts) - 1:
            return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
        if spec.submodule_search_locations is None:
            raise CodeError(f"`{name}` is a module, not a package")
        paths = list(spec.submodule_search_locations)
    return None


def _find(name: str, paths: tuple[str, ...]) -> ModuleSpec | None:
    # Path finders list folders once and look again when the folder's time has changed.
    return PathFinder.find_spec(name, list(paths))


def _modules_in(folders: Sequence[str]) -> Iterator[str]:
    for folder in folders:
        base = Path(folder)
        if base.is_dir():
            yield from (entry.stem for entry in base.iterdir() if entry.suffix in ("", ".py"))


@lru_cache(maxsize=512)
def _functions(file: Path, modified: int, size: int) -> tuple[dict[str, Signature | None], bool]:
    """What a module defines at its top level, and whether that is all that it can have.

    `modified` and `size` are in the key, so that an edited file is read again.
    """
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        place = f"{file.name}, line {line}" if line else file.name
        raise CodeError(f"{place}: {getattr(error, 'msg', error)}") from None
    found: dict[str, Signature | None] = {}
    whole = True
    for node in _top_level(tree.body):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                found[node.name] = None if node.decorator_list else _signature(node)
                whole = whole and node.name != "__getattr__"
            case ast.ClassDef():
                found[node.name] = None
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    found[(alias.asname or alias.name).partition(".")[0]] = None
                    whole = whole and alias.name != "*"
            case _:
                names = (name for name in ast.walk(node) if isinstance(name, ast.Name))
                found |= {name.id: None for name in names if isinstance(name.ctx, ast.Store)}
    return found, whole


def _top_level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those inside `if`, `try` and `with` too."""
    for node in body:
        yield node
        for inner in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _top_level(getattr(node, inner, ()))
        for handler in getattr(node, "handlers", ()):
            yield from _top_level(handler.body)


def _signature(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Signature:
    arguments = function.args
    positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    keyword = [argument.arg for argument in arguments.kwonlyargs]
    needed = positional[: len(positional) - len(arguments.defaults)]
    needed += [name for name, default in zip(keyword, arguments.kw_defaults, strict=True) if default is None]
    return Signature(
        parameters=(*positional, *keyword),
        required=frozenset(needed),
        takes_any=arguments.kwarg is not None,
        is_async=isinstance(function, ast.AsyncFunctionDef),
    )


def _shown(file: Path, root: Path) -> str:
    return str(file.relative_to(root)) if file.is_relative_to(root) else file.name
