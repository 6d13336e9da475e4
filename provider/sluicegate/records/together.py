"""Small CSV files of one form, read by one statement: planning it takes longer than reading a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sluicegate.checks.sql import literal
from sluicegate.records.csvfile import CsvReader
from sluicegate.records.reader import Reader

__all__ = ["expected_of", "in_groups", "relation_of"]

_FILES = 64
_SMALL = 1 << 20
"""Bytes."""


def in_groups(readers: Sequence[Reader], most: int) -> Iterator[Sequence[Reader]]:
    """The readers in their order, with those in one group that may be read together; `most` records in a group."""
    group: list[Reader] = []
    form: tuple[object, ...] | None = None
    records = 0
    for reader in readers:
        its_form, its_records = _form_of(reader), reader.most or 0
        if group and (its_form is None or its_form != form or len(group) == _FILES or records + its_records > most):
            yield group
            group, records = [], 0
        group.append(reader)
        form, records = its_form, records + its_records
    if group:
        yield group


def _form_of(reader: Reader) -> tuple[object, ...] | None:
    if not isinstance(reader, CsvReader) or reader.look.path.stat().st_size > _SMALL:
        return None
    return reader.form_alike


def relation_of(group: Sequence[Reader]) -> str:
    """SQL of the records of all files of a group, in their order: as of one, with the number of the `part` besides."""
    readers = [reader for reader in group if isinstance(reader, CsvReader)]
    paths = ", ".join(literal(str(reader.look.path)) for reader in readers)
    numbers = ", ".join(str(reader.part.number) for reader in readers)
    return (
        f"SELECT NULL::BIGINT AS line, NULL::VARCHAR AS why, NULL::VARCHAR AS text, "
        f"([{numbers}])[list_position([{paths}], filename)] AS part, * EXCLUDE (filename) "
        f"FROM {readers[0].scan(f'[{paths}], filename=true')}"
    )


def expected_of(group: Sequence[Reader]) -> list[tuple[int, int]]:
    """The number of each part of a group, and of its records if each of its lines is one."""
    return [(reader.part.number, reader.expected) for reader in group if isinstance(reader, CsvReader)]
