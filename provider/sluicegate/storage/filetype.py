"""What kind of file something is: by the format that the pipeline says, else by the suffix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sluicegate.faults.errors import fault
from sluicegate.pipeline.keys.model import Format

__all__ = ["FileType", "file_type"]

_SUFFIXES: dict[str, Literal["csv", "jsonl", "parquet"]] = {
    "csv": "csv",
    "tsv": "csv",
    "txt": "csv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "jsonl",
    "parquet": "parquet",
    "pq": "parquet",
}


@dataclass(frozen=True)
class FileType:
    """`kind` of the records, and whether the file is compressed with gzip. `tab`: the suffix says so."""

    kind: Literal["csv", "jsonl", "parquet"]
    gzip: bool = False
    tab: bool = False

    @property
    def suffix(self) -> str:
        """With the dot: what a file of this type is called."""
        return f".{self.kind}.gz" if self.gzip else f".{self.kind}"

    def delimiter(self, format: Format) -> str:  # noqa: A002 - the word of the pipeline file
        """Between the values of a CSV file: what `format` says, and a tab where only the suffix says something."""
        return "\t" if self.tab and format.delimiter == Format().delimiter else format.delimiter


def file_type(name: str, format: Format | None = None) -> FileType:  # noqa: A002 - the word of the pipeline file
    """The type of the file called `name` (a name, path or URI).

    :raises FaultError: WRONG_USE when neither `format` nor the suffix says it.
    """
    if name.startswith(("http://", "https://")):
        name = name.partition("#")[0].partition("?")[0]
    words = name.rpartition("/")[2].lower().split(".")
    gzip = words[-1] in {"gz", "gzip"}
    if gzip:
        words.pop()
    suffix = words[-1] if len(words) > 1 else ""
    kind = format.type if format is not None and format.type is not None else _SUFFIXES.get(suffix)
    if kind is None:
        raise fault(
            "WRONG_USE",
            f"{name}: its name does not say what kind of file it is; "
            "end it in .csv, .csv.gz, .jsonl or .parquet, or say `format: {type: csv}`",
        )
    if kind == "parquet" and gzip:
        raise fault("WRONG_USE", f"{name}: Parquet compresses by itself; leave the .gz away")
    return FileType(kind, gzip, tab=suffix == "tsv")
