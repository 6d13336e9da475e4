"""The table of keys, read off the models: what each means, what it may be, what holds without it, and examples.

Nothing here is imported when a pipeline is read. The words are the docstrings below the models' attributes.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator

from sluicegate.pipeline.keys import shapes
from sluicegate.pipeline.keys.base import Mark, Model, Part, hints_of, keys_of, one_or_more
from sluicegate.pipeline.keys.model import Defaults, Pipeline, Step, StepBase
from sluicegate.pipeline.keys.shapes import Shape, choice, either, exactly, list_of, mapping_of, section
from sluicegate.pipeline.text.quantities import Limit, format_duration
from sluicegate.pipeline.text.yaml import parse

__all__ = ["UNSAID", "Section", "Table", "Word", "section_of", "table"]

UNSAID = object()
"""The default of a key that has none which a file could say."""
_DOCSTRING = re.compile(
    r"(?P<meaning>.*?)(?: Default: (?P<usual>.*?)\.(?= Examples?: |$))?(?: Examples?: (?P<examples>.*))?", re.DOTALL
)
_PLAIN = {
    str: shapes.TEXT, bool: shapes.FLAG, int: shapes.INTEGER, float: shapes.NUMBER, timedelta: shapes.DURATION,
    datetime: shapes.INSTANT, Limit: shapes.LIMIT, Any: shapes.ANYTHING,
}  # fmt: skip


@dataclass(frozen=True)
class Word:
    """One key. `default` is the value that holds without it, `usual` the same in words where it is not a value.

    `empty`: the key may be without a value, which says nothing. `shared`: it may be in `defaults.yaml` too.
    """

    shape: Shape
    meaning: str
    default: Any
    usual: str
    examples: tuple[Any, ...]
    required: bool
    empty: bool
    shared: bool


@dataclass(frozen=True)
class Section:
    """The keys of one place; `more` is what any other key is, None if there is none."""

    title: str
    intro: str
    words: Mapping[str, Word]
    more: str | None = None


@dataclass(frozen=True)
class Table:
    """All keys. `kinds` are the steps by kind, without the keys that `any_step` has; `parts` all other sections."""

    pipeline: Section
    defaults: Section
    any_step: Section
    kinds: Mapping[str, Section]
    parts: Mapping[str, Section]

    @property
    def sections(self) -> tuple[Section, ...]:
        return (self.pipeline, self.any_step, *self.kinds.values(), *self.parts.values(), self.defaults)


@cache
def table(pipeline: type[Model] = Pipeline, step: Any = Step) -> Table:
    """The table of the models; those of a step are the members of the union `step`."""
    steps: tuple[type[Model], ...] = get_args(get_args(step)[0])
    common, shared = frozenset(keys_of(StepBase)), frozenset(keys_of(Defaults))
    met = _within([pipeline, *steps], {})
    parts = {_name(each): section_of(each) for each in met if each not in {pipeline, StepBase, *steps}}
    return Table(
        section_of(pipeline, without=shared),
        section_of(Defaults),
        section_of(StepBase),
        {each.model_fields["kind"].default: section_of(each, without=common) for each in steps},
        {name: each for name, each in parts.items() if each.words},
    )


def section_of(model: type[BaseModel], without: frozenset[str] = frozenset()) -> Section:
    """The keys of a model, those first that have to be there."""
    title, _, intro = _tidy(model.__doc__ or "").partition(": ")
    words = {key: _word(model, key) for key in keys_of(model) if key not in without}
    ordered = dict(sorted(words.items(), key=lambda item: not item[1].required))
    return Section(title, intro[:1].upper() + intro[1:], ordered, getattr(model, "_more", None))


def _word(model: type[BaseModel], key: str) -> Word:
    name, field = next(
        ((name, field) for name, field in model.model_fields.items() if key in (name, field.alias)), (key, None)
    )
    hint = hints_of(model)[name]
    marks = set(_marks(hint))
    required = Mark.NEEDED in marks or (field is not None and field.is_required())
    told = _DOCSTRING.fullmatch(_docstrings(model).get(name, ""))
    assert told is not None
    default = UNSAID if field is None or required or told["usual"] else field.get_default(call_default_factory=True)
    if (said := re.fullmatch("`([^`]*)`", told["usual"] or "")) is not None:
        default = _value(said[1])
    may_be_none = _allows_none(hint) or Mark.ARGUMENTS in marks or getattr(model, "_blank", False)
    return Word(
        shape_of(hint, key),
        told["meaning"],
        _as_written(default),
        "" if said else told["usual"] or "",
        tuple(_value(text) for text in re.findall(r"`([^`]*)`", told["examples"] or "")),
        required,
        may_be_none and not required and Mark.FILLED not in marks,
        Mark.FILE_ONLY not in marks,
    )


def _as_written(value: Any) -> Any:
    """A default as a file would say it; what is empty has none."""
    if value in (UNSAID, None, (), {}) or isinstance(value, BaseModel):
        return UNSAID
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, bool | int | list | dict) else str(value)


def _value(text: str) -> Any:
    return parse(f"x: {text}".encode(), Path("example.yaml")).value["x"]


# --- the words ----------------------------------------------------------------------------------------------------


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """By attribute, its own and those of the models it is made of."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        body = _bodies(each.__module__).get(each.__qualname__, []) if issubclass(each, Model) else []
        for statement, below in pairwise(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                match below:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found[statement.target.id] = _tidy(text)
    return found


@cache
def _bodies(module: str) -> Mapping[str, list[ast.stmt]]:
    """The docstrings in the classes of a module."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {each.name: each.body for each in tree.body if isinstance(each, ast.ClassDef)}


def _tidy(text: str) -> str:
    return " ".join(text.split())


# --- what a value may be ------------------------------------------------------------------------------------------


def shape_of(hint: Any, key: str = "") -> Shape:
    """What a file may say where the models have `hint`."""
    hint, metadata = _taken_apart(hint)
    marks = [mark for mark in metadata if isinstance(mark, Mark)]
    for mark in marks:
        if isinstance(shape := getattr(shapes, mark.name, None), Shape):
            return shape
    least = int(Mark.SOME in marks)
    if get_origin(hint) is Literal or (isinstance(hint, type) and issubclass(hint, str) and hint is not str):
        options = list(get_args(hint) or hint)
        return choice(*map(str, options)) if isinstance(options[0], str) else exactly(options[0])
    if get_origin(hint) in (Union, UnionType):
        return either(*(shape_of(each, key) for each in get_args(hint)))
    if get_origin(hint) is tuple:
        return _list(shape_of(get_args(hint)[0]), least, alone=BeforeValidator(one_or_more) in metadata)
    if _is_model(hint):
        return _model(hint)
    if get_origin(hint) is not None:
        return _mapping(get_args(hint)[1], key, marks, least)
    limits = [limit for each in metadata for limit in getattr(each, "metadata", ())]
    lowest = next((limit.ge for limit in limits if hasattr(limit, "ge")), None)
    return shapes.COUNT if lowest == 0 else shapes.POSITIVE if lowest == 1 else _PLAIN[hint]


def _list(item: Shape, least: int, *, alone: bool) -> Shape:
    words = {"text": "texts", "anything": "values"}.get(item.words, "these" if alone else f"{item.words}")
    several = list_of(item, f"list of {words}", least)
    return either(item, several) if alone else several


def _mapping(item: Any, key: str, marks: list[Mark], least: int) -> Shape:
    if item is Any:
        return shapes.FREE
    shape = shape_of(item)
    if Mark.BINDINGS in marks:
        return either(shape, list_of(shape, "list of these"), mapping_of(shape, "`{binding: dataset}`"))
    names = shapes.NAME_PATTERN if Mark.NAMES in marks else ""
    model, _ = _taken_apart(item)
    if not _is_model(model):
        return mapping_of(shape, f"{shape.words}s by name", names, least)
    if _allows_none(item) or not any(field.is_required() for field in model.model_fields.values()):
        shape = either(shape, shapes.NOTHING)
    return mapping_of(shape, f"[{key}](#{_anchor(model)}) by name", names, least)


def _model(model: type[BaseModel]) -> Shape:
    title = section_title(model)
    keys = section(_name(model), f"keys of [{title[:1].lower()}{title[1:]}](#{_anchor(model)})")
    if not issubclass(model, Part) or model._short is None:
        return keys
    short = shape_of(hints_of(model)[model._short], model._short)
    return either(shapes.VALUE if short is shapes.ANYTHING else short, keys)


def section_title(model: type[BaseModel]) -> str:
    return _tidy(model.__doc__ or "").partition(": ")[0]


def _anchor(model: type[BaseModel]) -> str:
    return section_title(model).lower().replace(" ", "-")


def _name(model: type[BaseModel]) -> str:
    """`dead_letters`."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", model.__name__.removesuffix("Base")).lower()


def _is_model(hint: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def _taken_apart(hint: Any) -> tuple[Any, list[Any]]:
    """The type without `None`, `Annotated` and `ClassVar`, and all that was said about it."""
    metadata: list[Any] = []
    while True:
        if get_origin(hint) is Annotated:
            metadata += hint.__metadata__
            hint = hint.__origin__
        elif get_origin(hint) is ClassVar:
            (hint,) = get_args(hint)
        elif _allows_none(hint) and len(get_args(hint)) == 2:
            hint = next(each for each in get_args(hint) if each is not type(None))
        else:
            is_step = all(_is_model(each) and issubclass(each, StepBase) for each in get_args(hint))
            return (StepBase if get_args(hint) and is_step else hint), metadata


def _marks(hint: Any) -> Iterator[Mark]:
    return (each for each in _taken_apart(hint)[1] if isinstance(each, Mark))


def _allows_none(hint: Any) -> bool:
    """Whether the value itself may be None."""
    if get_origin(hint) in (Annotated, ClassVar):
        return _allows_none(get_args(hint)[0])
    return hint is Any or (get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint))


def _within(models: list[type[Model]], seen: dict[type[Model], None]) -> dict[type[Model], None]:
    """The models that are met from these, in the order in which they are."""
    for model in models:
        if model not in seen:
            seen[model] = None
            met = (hint for hint in hints_of(model).values() if Mark.MADE not in _marks(hint))
            _within([each for hint in met for each in _models_in(hint)], seen)
    return seen


def _models_in(hint: Any) -> Iterator[type[Model]]:
    if isinstance(hint, type) and issubclass(hint, Model):
        yield hint
    for each in get_args(hint):
        yield from _models_in(each)
