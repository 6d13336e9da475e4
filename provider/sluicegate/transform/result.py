"""What a transform returned, whatever its shape, as a schema and a stream of batches for each bound write."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sluicegate.faults.errors import FaultError, fault

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["batches_of", "by_binding"]


def by_binding(returned: object, bindings: tuple[str, ...], reference: str) -> dict[str, object]:
    """What goes to which binding: a mapping by its keys, anything else to the only one.

    :raises FaultError: WRONG_USE when the keys are not exactly `bindings`.
    """
    if isinstance(returned, Mapping):
        if set(returned) != set(bindings):
            raise fault(
                "WRONG_USE",
                f"{reference} returned a mapping of {', '.join(map(str, returned)) or 'nothing'}; "
                f"the step writes {', '.join(bindings)}",
            )
        return {binding: returned[binding] for binding in bindings}
    if len(bindings) != 1:
        raise fault(
            "WRONG_USE",
            f"{reference} returned a {type(returned).__name__}; the step writes {', '.join(bindings)}, "
            "so it has to return a mapping of these to tables",
        )
    return {bindings[0]: returned}


def batches_of(returned: object, reference: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """A `pa.Table`, record batch, reader, iterator of batches, or any Arrow-capable frame, as a stream.

    :raises FaultError: WRONG_USE for anything else, and for an iterator that yields nothing.
    """
    import pyarrow as pa

    if isinstance(returned, pa.RecordBatch):
        return returned.schema, iter([returned])
    if isinstance(returned, pa.Table):
        return returned.schema, iter(returned.to_batches())
    if isinstance(returned, pa.RecordBatchReader):
        return returned.schema, iter(returned)
    if hasattr(returned, "__arrow_c_stream__"):  # pandas, polars, DuckDB
        reader = pa.RecordBatchReader.from_stream(returned)
        return reader.schema, iter(reader)
    if isinstance(returned, Iterable) and not isinstance(returned, str | bytes | Mapping):
        return _iterated(returned, reference)
    raise _no_table(returned, reference)


def _iterated(returned: Iterable[Any], reference: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    iterator = iter(returned)
    first = next(iterator, None)
    if first is None:
        raise fault(
            "WRONG_USE",
            f"{reference} yielded no batch, so its columns are not known; yield one, if need be without rows",
        )
    schema = getattr(first, "schema", None)
    if schema is None:
        raise _no_table(first, reference)
    return schema, _same_columns(itertools.chain([first], iterator), schema, reference)


def _same_columns(items: Iterable[Any], schema: pa.Schema, reference: str) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for item in items:
        if not isinstance(item, pa.RecordBatch | pa.Table):
            raise _no_table(item, reference)
        if not item.schema.equals(schema):
            raise fault(
                "WRONG_USE",
                f"{reference} yielded batches of different columns: first {_shown(schema)}, then {_shown(item.schema)}",
            )
        if isinstance(item, pa.Table):
            yield from item.to_batches()
        else:
            yield item


def _shown(schema: pa.Schema) -> str:
    return ", ".join(f"{column.name} {column.type}" for column in schema)


def _no_table(returned: object, reference: str) -> FaultError:
    return fault(
        "WRONG_USE",
        f"{reference} returned a {type(returned).__name__}; expected a pyarrow Table, a RecordBatchReader "
        "or an iterator of record batches",
    )
