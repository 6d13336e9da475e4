"""Small text files of one form, read by one statement: planning it takes longer than reading a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sluicegate.checks.sql import literal
from sluicegate.records.notation import Notation
from sluicegate.records.partitioned import PartitionedReader, in_json, with_front
from sluicegate.records.reader import Reader
from sluicegate.records.textfile import TextReader

__all__ = ["SMALL", "Together", "in_groups"]

_FILES = 64
SMALL = 1 << 20
"""Bytes."""


def in_groups(
    readers: Sequence[Reader], most: int, size: int = _FILES * SMALL, *, same_names: bool = False
) -> Iterator[Sequence[Reader]]:
    """The readers in their order, with those in one group that may be read together.

    :param most: records of a group
    :param size: bytes of a group
    :param same_names: whether all of a group have the same columns, also where a record may leave some out
    """
    group: list[Reader] = []
    form: tuple[object, ...] | None = None
    records = bytes_ = 0
    for reader in readers:
        its_form, its_records, its_bytes = _form_of(reader), reader.most or 0, _size_of(reader)
        if its_form is not None and same_names:
            its_form += reader.names
        is_full = len(group) == _FILES or records + its_records > most or bytes_ + its_bytes > size
        if group and (its_form is None or its_form != form or is_full):
            yield group
            group, records, bytes_ = [], 0, 0
        group.append(reader)
        form, records, bytes_ = its_form, records + its_records, bytes_ + its_bytes
    if group:
        yield group


def _form_of(reader: Reader) -> tuple[object, ...] | None:
    inner = _file_of(reader)
    if not isinstance(inner, TextReader) or _size_of(inner) > SMALL or inner.form_alike is None:
        return None
    return (type(inner), *inner.form_alike, *_folders_of(reader))


def _size_of(reader: Reader) -> int:
    inner = _file_of(reader)
    return inner.look.path.stat().st_size if isinstance(inner, TextReader) else 0


def _file_of(reader: Reader) -> Reader:
    return reader.reader if isinstance(reader, PartitionedReader) else reader


def _folders_of(reader: Reader) -> Mapping[str, str | None]:
    return reader.values if isinstance(reader, PartitionedReader) else {}


class Together:
    """A group of several as one reader, but for the number of the `part` besides, which each record has."""

    is_text = True

    def __init__(self, group: Sequence[Reader]) -> None:
        self.group = group
        self._files = [file for reader in group if isinstance(file := _file_of(reader), TextReader)]
        own = dict.fromkeys(name for file in self._files for name in file.names)
        self._own = tuple(own)
        self._folders = [_folders_of(reader) for reader in group]
        self.names = (*own, *self._folders[0])
        self.types: Mapping[str, str] = {}

    @property
    def notation(self) -> Notation:
        return self._files[0].notation

    @property
    def may_hold_nul(self) -> bool:
        return any(file.may_hold_nul for file in self._files)

    @property
    def written(self) -> str | None:
        """See `Reader`."""
        text = self._files[0].written
        if text is None or not self._folders[0]:
            return text
        return with_front(text, self._of_part([in_json(folders) for folders in self._folders]))

    @property
    def expected(self) -> list[tuple[int, int]]:
        """The number of each part, and of its records if each of its lines is one."""
        return [(file.part.number, file.expected) for file in self._files]

    @property
    def relation(self) -> str:
        """SQL of the records of all files, in their order."""
        paths = ", ".join(literal(str(file.look.path)) for file in self._files)
        numbers = ", ".join(str(file.part.number) for file in self._files)
        source = self._files[0].scan(f"[{paths}], filename=true")
        rows = f"SELECT ([{numbers}])[list_position([{paths}], filename)] AS part, * EXCLUDE (filename) FROM {source}"
        shaped = self._files[0].together(rows, self._own)
        more = "".join(
            f", {self._of_part([folders[name] for folders in self._folders])} AS r{len(self._own) + number}"
            for number, name in enumerate(self._folders[0])
        )
        return f"SELECT *{more} FROM ({shaped})" if more else shaped

    def _of_part(self, values: Sequence[str | None]) -> str:
        """SQL of the text of each record's part."""
        numbers = ", ".join(str(file.part.number) for file in self._files)
        texts = ", ".join("NULL" if value is None else literal(value) for value in values)
        return f"([{texts}]::VARCHAR[])[list_position([{numbers}], part)]"
