"""From dead letters to what is read in their place: their records, mended or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sluicegate.ledger.letters import Letter
from sluicegate.load.letters import MASK
from sluicegate.load.replay.mend import Mending
from sluicegate.load.replay.reread import Found
from sluicegate.load.replay.values import Record, columns_of, is_malformed, record_of, written
from sluicegate.pipeline.keys.load import Format
from sluicegate.storage.filetype import file_type

__all__ = ["Item", "Kind", "prepare"]

Kind = Literal["csv", "jsonl", "parquet"]
Reread = Callable[[Sequence[Letter]], Mapping[str, Found | str]]
_HEADLESS = "their line could not be split, and its columns are not known: export them and write the records out"
_MASKED = "they have *** for a sensitive value of a line that could not be split: write the value out"


@dataclass(frozen=True)
class Item:
    """What is read in place of one letter. `content` is a line (JSON lines, or a malformed one) or values by column.

    `columns` are all that its load brought. `edited` is what the ledger keeps of a mended record.
    """

    letter: Letter
    kind: Kind
    content: Record
    columns: tuple[str, ...]
    edited: str | None = None

    @property
    def shape(self) -> tuple[str, Kind, frozenset[str]]:
        """Items of one shape go in together: a column that is missing in one of them is missing in all."""
        return self.letter.target, self.kind, frozenset(self.columns)


def prepare(
    letters: Sequence[Letter], form: Format, mending: Mending, reread: Reread, sensitive: frozenset[str] = frozenset()
) -> tuple[list[Item], Counter[str]]:
    """The items of `letters`, in their order, and why others of them cannot be replayed, with how many."""
    lacking = [letter for letter in letters if not _is_whole(letter, sensitive) and mending.needs_record(letter)]
    found = reread(lacking) if lacking else {}
    items: list[Item] = []
    left: Counter[str] = Counter()
    for letter in letters:
        read = found.get(letter.id)
        item = read if isinstance(read, str) else _item(letter, form, mending, read, sensitive)
        if isinstance(item, str):
            left[item] += 1
        else:
            items.append(item)
    return items, left


def _is_whole(letter: Letter, sensitive: frozenset[str]) -> bool:
    # Letters of the first release do not say whether values of theirs are masked.
    return letter.complete and not (sensitive and MASK in letter.record)


def _item(letter: Letter, form: Format, mending: Mending, found: Found | None, sensitive: frozenset[str]) -> Item | str:
    kind = file_type(letter.source, form).kind
    record: Record | None = found.record if found else record_of(letter) if _is_whole(letter, sensitive) else None
    mended = mending.mend(letter, record)
    columns = columns_of(letter)
    if mended is not None:
        if _is_masked(mended, sensitive):
            return _MASKED
        named = tuple(mended) if isinstance(mended, Mapping) else ()
        content = written(mended) if kind == "jsonl" and isinstance(mended, Mapping) else mended
        item = Item(letter, kind, content, tuple(dict.fromkeys([*columns, *named])), _kept(mended, sensitive))
    else:
        assert record is not None
        line = found.line if found else letter.record
        as_line = kind == "jsonl" or isinstance(record, str)
        item = Item(letter, kind, (line or "") if as_line else record, columns)
    is_line = kind != "jsonl" and isinstance(item.content, str)
    return _HEADLESS if is_line and not letter.header and is_malformed(letter) else item


def _is_masked(mended: Record, sensitive: frozenset[str]) -> bool:
    """Whether a mended record still has the mask where a sensitive value belongs."""
    if isinstance(mended, str):
        return bool(sensitive) and MASK in mended
    return any(mended.get(name) == MASK for name in sensitive)


def _kept(mended: Record, sensitive: frozenset[str]) -> str:
    """What the ledger keeps of a mended record: no more of a sensitive column than of the record itself."""
    if isinstance(mended, str):
        return MASK if sensitive else mended
    return written({name: MASK if name in sensitive and value is not None else value for name, value in mended.items()})
