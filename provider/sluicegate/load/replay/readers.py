"""Records of dead letters as a part that a load reads, each known by its letter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluicegate.load.replay.prepare import Item
from sluicegate.load.replay.values import text_of
from sluicegate.pipeline.keys.load import Format
from sluicegate.records.csvlines import CsvShape, MalformedError, split_line
from sluicegate.records.jsonlines import JsonReader
from sluicegate.records.look import look_through
from sluicegate.records.notation import PLAIN, notation_of
from sluicegate.records.partitioned import PartitionedReader
from sluicegate.records.reader import LocalPart, Provenance, Reader
from sluicegate.storage.filetype import file_type
from sluicegate.storage.partitions import partition_values

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["LettersPart", "read_letters"]

_TABLE = "replayed_letters"


@dataclass(frozen=True)
class LettersPart(LocalPart):
    """Records of dead letters: line n is `items[n - 1]`."""

    items: tuple[Item, ...]

    def provenance(self, line: int) -> Provenance:
        letter = self.items[line - 1].letter
        return Provenance(letter.source, letter.source_version, letter.line, letter.id)


def read_letters(
    duck: DuckDBPyConnection, uri: str, version: str, items: Sequence[Item], form: Format, folder: Path
) -> Reader:
    """A reader of `items`, which are of one shape."""
    columns = tuple(dict.fromkeys(name for item in items for name in item.columns))
    path = folder / "letters.jsonl"
    part = LettersPart(0, uri, version, path, tuple(items))
    if items[0].kind != "jsonl":
        return _TextReader(duck, part, columns, form)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{item.content}\n" for item in items)
    form = form.model_copy(update={"encoding": "utf-8"})
    reader = JsonReader(duck, part, form, look_through(path, folder / "letters.unpacked", uri=uri, json=True), folder)
    absent = {name: None for name in columns if name not in reader.names}
    return PartitionedReader(reader, absent) if absent else reader


class _TextReader:
    """Records of CSV and Parquet files as texts. A line that could not be split is tried by itself: its neighbours
    were not its neighbours in the file.
    """

    is_text = True
    may_hold_nul = True
    written: str | None = None

    def __init__(self, duck: DuckDBPyConnection, part: LettersPart, names: tuple[str, ...], form: Format) -> None:
        import pyarrow as pa

        self.part: LocalPart = part
        self.names = names
        self.types: dict[str, str] = {}
        self.notation = notation_of(form) if part.items[0].kind == "csv" else PLAIN
        self._form = form
        rows = list(self._rows(part.items))
        texts = ["why", "text", *(f"r{number}" for number in range(len(names)))]
        columns: list[pa.Array[Any]] = [pa.array(range(1, len(rows) + 1), pa.int64())]
        columns += [pa.array([row[number] for row in rows], pa.string()) for number in range(len(texts))]
        duck.register(_TABLE, pa.table(columns, names=["line", *texts]))

    skipped = 0

    def read(self, use: Callable[[str], int], *, numbered: bool = True) -> None:
        use(f"SELECT * FROM {_TABLE}")

    @property
    def most(self) -> int | None:
        return None  # A replay does not stop early.

    def cut(self, most: int | None) -> None:
        raise NotImplementedError("a replay does not stop early")

    def _rows(self, items: Sequence[Item]) -> Iterator[list[str | None]]:
        nulls = self._form.null if items[0].kind == "csv" else ()
        for item in items:
            values: Mapping[str, object] = {}
            why = text = None
            if isinstance(item.content, str):
                try:
                    values = self._split(item)
                except MalformedError as error:
                    why, text = str(error), item.content
            else:
                values = item.content
            texts = [text_of(values.get(name)) for name in self.names]
            yield [why, text, *(None if value in nulls else value for value in texts)]

    def _split(self, item: Item) -> Mapping[str, object]:
        form, letter = self._form, item.letter
        assert isinstance(item.content, str)
        assert letter.header is not None
        shape = CsvShape(file_type(letter.source, form).delimiter(form), "utf-8", False, form.null)
        values = dict(zip(letter.header, split_line(item.content, shape, len(letter.header)), strict=True))
        return {**(partition_values(letter.source) if form.partitions else {}), **values}
