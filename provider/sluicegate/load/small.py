"""The stage of a small file: where all of its records are good, they go from the file's text to the target.

How they are cast and checked is SQL that `Stage` makes. Only where a record is not good, or a table of DuckDB has to
answer, the records are staged as those of any other file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sluicegate.checks.expectations import TableVerdict
from sluicegate.checks.rule import Rule
from sluicegate.load.badfiles import BadFiles
from sluicegate.load.closing import Closing
from sluicegate.load.planned import planned
from sluicegate.load.prepared import Prepared, open_stream
from sluicegate.load.stage import Stage
from sluicegate.load.staged import Staged
from sluicegate.records.csvfile import CsvReader
from sluicegate.records.reader import Reader
from sluicegate.records.types import ColumnType
from sluicegate.targets.stream import ArrowStream
from sluicegate.targets.target import Broken

__all__ = ["SmallStage"]


class SmallStage(Stage):
    """See `Stage`. For what is read by one thread, and fits in memory many times."""

    def __init__(self, *given: Any, **words: Any) -> None:
        super().__init__(*given, **words)
        self._text: str | None = None
        """The lines of the only file while its records are not staged."""

    def fill(
        self,
        readers: Sequence[Reader],
        bad: BadFiles | None = None,
        allowed: Callable[[int | None], int | None] = lambda most: None,
    ) -> None:
        reader = readers[0] if len(readers) == 1 and not bad else None
        if isinstance(reader, CsvReader) and self._asks_each_alone():
            text = reader.plain_text()
            if text is not None and self._all_are_good(reader, text):
                self._readers, self._text, self.read = [reader], text, reader.expected
                return
        super().fill(readers, bad, allowed)

    def _asks_each_alone(self) -> bool:
        """Whether nothing is asked of the records but what each of them answers by itself."""
        asked = self._judge.asked
        others = (asked.warned, asked.table, asked.references, asked.expectations)
        is_plain = bool(self._staged.columns) and not (self._scope or self._delete_when)
        return is_plain and not any(others) and not any(compiled.unique for compiled in asked.rows)

    def _all_are_good(self, reader: CsvReader, text: str) -> bool:
        """Whether no record breaks a rule, and no two have the same key."""
        import duckdb

        key = ", ".join(self._staged.identity(name) for name in self._key)
        different = f"count(DISTINCT ({key}))" if key else "count(*)"
        query = f"SELECT count(*), count(failed), {different} FROM ({self._judged(reader.relation_of_text(), reader)})"
        try:
            found = self._duck.execute(planned(self._duck, query, text)).fetchone()
        except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.OutOfRangeException):
            return False
        return found == (reader.expected, 0, reader.expected)

    def _bring(self) -> None:
        """Stage the records after all: those that were read, whatever the file has become."""
        if self._text is None:
            return
        [reader] = self._readers
        assert isinstance(reader, CsvReader)
        reader.put_back()
        self._text, read, is_distinct = None, self.read, self._staged.is_distinct
        super().fill([reader], self._bad)
        assert (self.read, self.dead) == (read, 0), "the records that were staged are not those that were read"
        self._staged.is_distinct = is_distinct

    def dedupe(self) -> None:
        if self._text is None:
            super().dedupe()
        else:
            self._staged.is_distinct = bool(self._key)

    def prepared(self, unwritten: Collection[str] = ()) -> Prepared:
        if self._text is None:
            return super().prepared(unwritten)
        [reader] = self._readers
        assert isinstance(reader, CsvReader)
        query, *_ = self._made(reader.relation_of_text(), reader)
        self._unwritten = unwritten
        self._prepared = _Unstaged(self._staged, self.read, unwritten, query, lambda: self._text, self._bring)
        return self._prepared

    def leave_out(self, broken: Sequence[Broken], called: Mapping[str, str]) -> None:
        self._bring()
        super().leave_out(broken, called)

    def hold_back(self, rows: Sequence[int], rule: Rule) -> Prepared:
        self._bring()
        return super().hold_back(rows, rule)

    def closing(self) -> Closing:
        self._bring()
        return super().closing()

    def results(self, name: str, verdicts: Sequence[TableVerdict], meta: Mapping[str, Any]) -> dict[str, Any]:
        self._bring()
        return super().results(name, verdicts, meta)


class _Unstaged(Prepared):
    """The records of a text, all of which are good.

    :param query: the text's records with their values
    :param text: the text, None once its records are staged
    :param bring: stages them
    """

    def __init__(
        self,
        staged: Staged,
        rows: int,
        unwritten: Collection[str],
        query: str,
        text: Callable[[], str | None],
        bring: Callable[[], None],
    ) -> None:
        super().__init__(staged, rows, unwritten)
        self._query, self._text, self._bring = query, text, bring

    @contextmanager
    def read(
        self,
        types: Sequence[ColumnType],
        written: Callable[[ColumnType, str], str],
        between: tuple[int, int] | None = None,
        *,
        numbered: bool = False,
    ) -> Iterator[ArrowStream]:
        if between is None and (text := self._text()) is not None:
            order = ", ".join([*(self._staged.places[name] for name in self._staged.key), "n"])
            query = f"SELECT {self._values(types, written)} FROM ({self._query}) ORDER BY {order}"
            duck = self._staged.duck
            yield open_stream(duck, planned(duck, query, text))
            return
        self._bring()
        with super().read(types, written, between, numbered=numbered) as stream:
            yield stream

    def rows_at(self) -> str:
        self._bring()
        return super().rows_at()
