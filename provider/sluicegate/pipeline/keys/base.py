"""What the models of a pipeline file are made of. The models are the table of its keys: one attribute, one key.

To add a key, add an attribute to its model, with its type, its default and a docstring below it:

    newest_by: str | None = None
    \"\"\"The column by which the newest of several records with one key stays. Example: `changed_at`.\"\"\"

The type says what the reader takes, and what an editor offers; `Default: …` in the docstring says in words what holds
without the key where the attribute's default does not. The JSON Schema, docs/yaml.md and the reader follow, for the
keys of a load its operator, its request and the ledger's digest as well. What the key does is all that is left to
write; `sluicegate schema` makes the files in docs/ anew.

The docstrings are read when a schema or a page is made (`table`), and cost nothing when a file is read. No module of
models has `from __future__ import annotations`: pydantic would compile each annotation again, at every task start.
"""

from collections.abc import Mapping
from enum import Enum, auto
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictBool,
    model_validator,
)
from pydantic_core import PydanticCustomError

from sluicegate.pipeline.text.quantities import Duration, Limit, Rate

__all__ = [
    "Arguments",
    "Count",
    "DatasetName",
    "Duration",
    "Flag",
    "LimitField",
    "Mark",
    "Model",
    "Name",
    "Named",
    "Part",
    "Positive",
    "RateField",
    "SomeOf",
    "StepName",
    "Uri",
    "hints_of",
    "keys_of",
    "marks_of",
    "one_or_more",
]  # fmt: skip

Item = TypeVar("Item")


class Mark(Enum):
    """What an annotation cannot say of a key otherwise. One that is called as a shape in `shapes` has that shape."""

    MADE = auto()
    """The reader makes it: it is not a key."""
    NEEDED = auto()
    """The file has to say it, though the model has a default."""
    FILLED = auto()
    """It must have a value."""
    FILE_ONLY = auto()
    """It is not for `defaults.yaml`."""
    UNCOUNTED = auto()
    """It does not change what becomes of a load's records: the digest in the ledger leaves it out."""
    NAMES = auto()
    """The keys of the mapping are names."""
    SOME = auto()
    """At least one."""
    BINDINGS = auto()
    """A mapping by binding, or a list whose bindings are the datasets' own names."""
    READS = auto()
    """A dataset that the step reads, bound under the key's name."""
    WRITES = auto()
    """A dataset that the step writes, bound under the key's name."""
    FILE = auto()
    """A file below the dags root, which has to be there."""

    CLUSTER = auto()
    NAME = auto()
    URI = auto()
    CRON = auto()
    GROUP = auto()
    DATASET = auto()
    STEP = auto()
    PATH = auto()
    ARGUMENTS = auto()
    AXES = auto()
    PARAM_TYPE = auto()
    SCALARS = auto()
    COLUMN_TYPE = auto()
    BOUNDS = auto()
    CHECKS = auto()
    SCHEDULE = auto()
    SCOPE = auto()
    BYTES = auto()
    RATE = auto()
    CONFIGURATIONS = auto()
    PROPERTIES = auto()


def one_or_more(value: object) -> object:
    """A value alone as a list."""
    return value if value is None or isinstance(value, list | tuple) else [value]


def _says_something(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("string_type", "expected text")
    return value


RateField = Annotated[Rate, Mark.RATE, PlainValidator(Rate.parse), PlainSerializer(str)]
LimitField = Annotated[Limit, PlainValidator(Limit.parse), PlainSerializer(str)]
Flag = StrictBool
Count = Annotated[int, Field(ge=0, strict=True)]
Positive = Annotated[int, Field(ge=1, strict=True)]
Name = Annotated[str, Mark.NAME, AfterValidator(_says_something)]
"""A text that says something."""
Uri = Annotated[str, Mark.URI]
DatasetName = Annotated[str, Mark.DATASET]
StepName = Annotated[str, Mark.STEP]
Arguments = Annotated[Mapping[str, Any], Mark.ARGUMENTS]
Named = Annotated[Mapping[str, Item], Mark.NAMES]
SomeOf = Annotated[tuple[Item, ...], BeforeValidator(one_or_more)]
"""One, or a list of them."""


class Model(BaseModel):
    """Frozen, and closed: an unknown key is an error."""

    # What validates is built when something is first validated: a task that starts validates nothing.
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    _blank: ClassVar[bool] = False
    """Whether a key may be without a value, which says nothing; else only what may be None may."""
    _more: ClassVar[str | None] = None
    """What any other key is, in the page of reference."""


class Part(Model):
    """A part of a file. `_short` is the key that a value alone is, if there is one."""

    _short: ClassVar[str | None] = None

    @model_validator(mode="before")
    @classmethod
    def _in_full(cls, value: object) -> object:
        if isinstance(value, Mapping):
            return {key: item for key, item in value.items() if item is not None} if cls._blank else value
        if cls._short is None or isinstance(value, BaseModel):
            return value
        return {} if value is None else {cls._short: value}


@cache
def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys that a file may give to `model`: its fields, and those that the reader makes something else of."""
    kept = [field.alias or name for name, field in model.model_fields.items() if Mark.MADE not in field.metadata]
    return (*kept, *(name for name in model.__class_vars__ if not name.startswith("_") and name != "model_config"))


def marks_of(model: type[BaseModel], key: str) -> tuple[Mark, ...]:
    """The marks of a key that the model keeps."""
    metadata = _fields_by_key(model).get(key, ())
    return tuple(mark for mark in metadata if isinstance(mark, Mark))


@cache
def _fields_by_key(model: type[BaseModel]) -> Mapping[str, list[Any]]:
    return {field.alias or name: field.metadata for name, field in model.model_fields.items()}


@cache
def hints_of(model: type[BaseModel]) -> Mapping[str, Any]:
    """The annotations of a model and of what it is made of, as they are written."""
    return get_type_hints(model, include_extras=True)
