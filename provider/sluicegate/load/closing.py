"""Which open dead letters a load closes: those whose key came in with a record that takes their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sluicegate.ledger.ledger import OpenLetter
from sluicegate.load.staged import Staged
from sluicegate.records.reader import LocalPart

__all__ = ["Closing", "Kept", "Winner"]


@dataclass(frozen=True)
class Winner:
    """The record that came in with a letter's key: its part and line, and whether it is newer by `newest_by` (1), as
    new (0) or older (-1); None where that is not known.
    """

    part: int
    line: int
    newer: int | None

    def replaces(self, *, later: bool, by_version: bool) -> bool:
        """Whether a load of the mended letter would have given way to it.

        :param later: whether it comes after the letter in the order of loading
        """
        if not by_version:
            return later
        return self.newer == 1 or (self.newer == 0 and later)


@dataclass(frozen=True)
class Kept:
    """A record that stays: its row in the stage, its line, its key values as texts."""

    row: int
    line: int
    key: Mapping[str, str]


class Closing:
    """Asks the records that stay in a load's stage. `parts` are those that were read."""

    def __init__(self, staged: Staged, parts: Iterable[LocalPart]) -> None:
        self._staged = staged
        self._numbers = {part.uri: part.number for part in parts}

    @property
    def by_version(self) -> bool:
        return self._staged.newest_by is not None

    def replaced(self, letters: Sequence[OpenLetter]) -> list[str]:
        """The ids of those `letters` whose place a record of this load takes; of two in one load the later line."""
        found = self.winners(letters)
        return [
            letter.id
            for letter in letters
            if (winner := found.get(letter.id)) is not None
            and winner.replaces(later=self._is_later(winner, letter), by_version=self.by_version)
        ]

    def _is_later(self, winner: Winner, letter: OpenLetter) -> bool:
        if not letter.is_new:
            return True
        return (winner.part, winner.line) > (self._numbers.get(letter.source, -1), letter.line)

    def winners(self, letters: Sequence[OpenLetter]) -> dict[str, Winner]:
        """By letter, the record that stays with its key; nothing for letters whose key did not come in."""
        staged = self._staged
        asked = [letter for letter in letters if staged.key and set(letter.key) == set(staged.key)]
        if not asked:
            return {}
        places = {name: f"k{number}" for number, name in enumerate(staged.key)}
        columns = [[letter.id for letter in asked], [letter.version for letter in asked]]
        columns += [[letter.key[name] for letter in asked] for name in staged.key]
        names = ["id", "version", *places.values()]
        staged.duck.execute(f"CREATE TEMP TABLE asked ({', '.join(f'{name} VARCHAR' for name in names)})")
        unnested = ", ".join(f"unnest(${number + 1}::VARCHAR[])" for number in range(len(columns)))
        staged.duck.execute(f"INSERT INTO asked SELECT {unnested}", columns)
        same = " AND ".join(f"a.{place} = CAST({staged.identity(name)} AS VARCHAR)" for name, place in places.items())
        rows = staged.duck.execute(
            f"SELECT a.id, s.rowid, s.aside[1].line, {self._newer()} FROM asked a JOIN staged s ON {same} "
            f"WHERE {staged.kept()} ORDER BY s.rowid"
        ).fetchall()
        staged.duck.execute("DROP TABLE asked")
        return {str(identity): Winner(*staged.origin(row, line), newer) for identity, row, line, newer in rows}

    def kept(self) -> list[Kept]:
        """All records that stay. For few of them."""
        staged = self._staged
        if not staged.key:
            return []
        key = "".join(f", CAST({staged.identity(name)} AS VARCHAR)" for name in staged.key)
        rows = staged.duck.execute(f"SELECT s.rowid, s.aside[1].line{key} FROM staged s WHERE {staged.kept()}")
        return [
            Kept(row, staged.origin(row, line)[1], dict(zip(staged.key, values, strict=True)))
            for row, line, *values in rows.fetchall()
        ]

    def _newer(self) -> str:
        """SQL of how the version of `staged s` compares with that of the letter `asked a`."""
        staged = self._staged
        if staged.newest_by is None:
            return "NULL"
        typed = f"TRY_CAST(a.version AS {staged.columns[staged.newest_by].duck})"
        ours, theirs = (f"({', '.join(values)})" for values in (staged.newest(), staged.newest(typed)))
        known = f"{typed} IS NOT NULL AND {staged.places[staged.newest_by]} IS NOT NULL"
        return (
            f"CASE WHEN NOT ({known}) THEN NULL WHEN {ours} > {theirs} THEN 1 WHEN {ours} = {theirs} THEN 0 ELSE -1 END"
        )
