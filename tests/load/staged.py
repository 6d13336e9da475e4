"""What a stage makes of a file, without a database: the records it would bring, and its dead letters."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sluicegate.checks.rule import Rule
from sluicegate.ledger.entries import DeadLetter
from sluicegate.load.stage import Stage
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.casts import Cast
from sluicegate.records.engine import open_duckdb
from sluicegate.records.open import open_part
from sluicegate.records.reader import LocalPart
from sluicegate.records.types import parse_type
from sluicegate.targets.postgres.copy import as_csv
from sluicegate.targets.postgres.dialect import PostgresDialect


class Staged(NamedTuple):
    """`rows` are the lines of the CSV that goes to the target; `letters` those that were set aside."""

    rows: list[str]
    letters: list[DeadLetter]

    def rules(self, header: int = 0) -> list[tuple[int, list[str]]]:
        return [(one.line - header, [str(failure["rule"]) for failure in one.failures]) for one in self.letters]


def staged(path: Path, columns: Mapping[str, str | dict[str, Any]], rules: tuple[Rule, ...] = ()) -> Staged:
    casts = {}
    for name, said in columns.items():
        words = {"type": said} if isinstance(said, str) else dict(said)
        casts[name] = Cast(parse_type(words.pop("type")), **words)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_duckdb(folder, "200MB") as duck:
            reader = open_part(duck, LocalPart(0, str(path), "1", path), Format(), folder, (), PostgresDialect())
            stage = Stage(duck, casts, rules, PostgresDialect())
            stage.fill([reader])
            types = [cast.type for cast in casts.values()]
            with stage.prepared().read(types, PostgresDialect.text_form) as batches:
                rows = b"".join(as_csv(batches)).decode().splitlines()
            return Staged(rows, list(stage.dead_letters()))
