"""A text file has one grammar, whichever of the two readers takes it and whatever other lines are in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sluicegate.faults import FaultError
from sluicegate.pipeline.keys.model import Format
from sluicegate.records.engine import open_duckdb
from sluicegate.records.jsonlines import JsonReader
from sluicegate.records.look import look_through
from sluicegate.records.open import open_part
from sluicegate.records.reader import LocalPart
from sluicegate.records.textfile import TextReader
from sluicegate.targets.postgres.dialect import PostgresDialect

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Found = tuple[tuple[str, ...], list[tuple[Any, ...]]]
"""The columns, and line, why, text and values of each record."""


class Files:
    """Reads texts as files, the usual way or by the careful reader alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.duck: DuckDBPyConnection = open_duckdb(folder, "400MB")
        self.quick = 0

    def read(self, content: bytes, form: Format, *, careful: bool = False, name: str = "a.csv") -> Found | str:
        path = self.folder / name
        path.write_bytes(content)
        try:
            reader = open_part(self.duck, LocalPart(0, name, "v", path), form, self.folder, (), PostgresDialect())
        except FaultError as error:
            return error.code
        assert isinstance(reader, TextReader)
        found: list[tuple[Any, ...]] = []

        def use(relation: str) -> int:
            found[:] = self.duck.execute(f"SELECT * FROM ({relation}) ORDER BY line").fetchall()
            return len(found)

        with pytest.MonkeyPatch.context() as patch:
            if careful:
                patch.setattr(type(reader), "_is_regular", lambda self: False)
            reader.read(use)
        self.quick += not reader._careful
        return reader.names, found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    files = Files(tmp_path_factory.mktemp("files"))
    yield files
    files.duck.close()


FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FORMS = [
    Format(), Format(null=("", "NA"), header=False), Format(null=()), Format(delimiter=";"), Format(delimiter="||"),
    Format(delimiter=" "), Format(encoding="ascii"), Format(encoding="cp1252"),
]  # fmt: skip
PIECES = [
    b"1", b"a", b'"', b'"', b'""', b",", b",", b" ", b"\n", b"\n", b"\r\n", b"\r", b"NA", b"\xc3\xa4", b"\xff", b"\0",
    b'","', b'" "', b'\n"', b'"\n', b"\n\n", b"sep=;\n",
]  # fmt: skip


@FAST
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=14), form=st.sampled_from(FORMS), crlf=st.booleans())
@example(pieces=[b"1,a,\n", b"2,b,\n"], form=Format(), crlf=False)
@example(pieces=[b'1,"a" "b"\n'], form=Format(), crlf=False)
@example(pieces=[b'1,  "\n'], form=Format(), crlf=False)
@example(pieces=[b"\n\n1,a\n"], form=Format(), crlf=False)
@example(pieces=[b'1||"a"|\n'], form=Format(delimiter="||"), crlf=False)
@example(pieces=[b"1,\xc3\xa4\n"], form=Format(encoding="ascii"), crlf=False)
@example(pieces=[b"1,a\n2,b\n"], form=Format(), crlf=True)
def test_csv_gives_the_same_records_whichever_reader_took_it(
    files: Files, pieces: list[bytes], form: Format, crlf: bool
) -> None:
    comma = form.delimiter.encode()
    content = b"id" + comma + b"n\n" + b"".join(pieces).replace(b",", comma)
    if crlf:
        content = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert files.read(content, form) == files.read(content, form, careful=True)


@FAST
@given(
    lines=st.lists(
        st.sampled_from(
            [
                b'{"a": 1}', b'{"b": "x", "a": null}', b'{"a": 1, "a": 2}', b"", b" ", b"\t", b"[1]", b"x", b"\0",
                b'{"a": 1}\x01', b'{"a": "\xff"}', b'{"a": "\\u0000"}', b"\xc2\xa0", b'{"a": 1}\r',
            ]
        ),
        max_size=6,
    ),
    end=st.sampled_from([b"\n", b"\r\n"]),
)  # fmt: skip
def test_json_lines_give_the_same_records_whichever_reader_took_them(
    files: Files, lines: list[bytes], end: bytes
) -> None:
    content, form = end.join(lines), Format(type="jsonl")
    assert files.read(content, form) == files.read(content, form, careful=True)


TEXT = st.text(st.one_of(st.sampled_from('"\\/{}[]:,\n\0 \x7f\u2028'), st.characters(codec="utf-8")), max_size=5)
JSON_VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.sampled_from([10**400, 1e308])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXT, inner, max_size=2)),
    max_leaves=4,
)
JSON_LINE = st.one_of(
    st.builds(
        lambda value, plain: json.dumps(value, ensure_ascii=plain),
        st.dictionaries(TEXT, JSON_VALUE, max_size=3), st.booleans(),
    ),
    st.sampled_from(
        ['{"a":1e999}', '{"a":1,}', '{"\\ud800":1}', '{"a":"\\ud800"}', ' {"a" : 1}\t', '{"a":01}', "", " ", "[]", "{}",
         '{"a":1,"a":2}', '{"b":{"c":1,"c":2}}', '{"a":-0.0}', '{"\\n":1}', '{"\\/":1}', "[" * 2000, '{"a":.5}',
         "{'a':1}", '{"a":"\t"}', '{"a":1}//', '\ufeff{"z":1}', '{"\x0b":1}', '\x0b{"a":1}', '{"x":"\x7f"}']
    ),
)  # fmt: skip


@FAST
@given(lines=st.lists(JSON_LINE, min_size=1, max_size=4))
def test_the_names_of_json_lines_are_the_same_whether_python_or_duckdb_finds_them(
    files: Files, lines: list[str]
) -> None:
    found = files.read("\n".join(lines).encode(), Format(type="jsonl"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JsonReader, "_plain_names", lambda self: None)
        assert files.read("\n".join(lines).encode(), Format(type="jsonl")) == found


VALUE = st.one_of(
    st.sampled_from(["", "a", " a ", "NA", "ä", 'a"b', '"a,b"', '"a ""b"""', '""', ' "a" ', '"a\nb"', '"a\r\n\n"']),
    st.text("ab ", max_size=3),
)
RECORD = st.lists(VALUE, min_size=1, max_size=4).map(",".join)


@FAST
@given(records=st.lists(RECORD, min_size=1, max_size=6), end=st.sampled_from(["\n", "\r\n"]))
@example(records=["1,a,", "2,b,", "3"], end="\n")
def test_a_record_comes_out_the_same_whatever_other_lines_are_in_the_file(
    files: Files, records: list[str], end: str
) -> None:
    alone: list[tuple[Any, ...]] = []
    line = 2
    for record in records:
        found = files.read(f"id,n{end}{record}{end}".encode(), Format())
        assert isinstance(found, tuple)
        alone += [(line + number - 2, *rest) for number, *rest in found[1]]
        line += record.count("\n") + 1
    together = files.read(f"id,n{end}{end.join(records)}".encode(), Format())
    assert together == (("id", "n"), alone)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_regular_file_is_left_to_the_quick_reader(files: Files, end: str) -> None:
    rows = [f'{number},"a, {number}",' for number in range(200)]
    before = files.quick
    found = files.read(f"id,n{end}{end.join(rows)}{end}".encode(), Format())
    assert isinstance(found, tuple)
    assert found[1][-1] == (201, None, None, "199", "a, 199")
    assert files.quick == before + 1


@pytest.mark.parametrize("spaces", [1, 2, 70])
def test_a_gap_between_quotes_is_seen_wherever_blocks_of_the_file_end(tmp_path: Path, spaces: int) -> None:
    gap = b'"' + b" " * spaces + b'"'
    for before in range(len(gap) + 1):
        (tmp_path / "a.csv").write_bytes(b"x" * ((1 << 20) - before) + gap + b"y")
        assert look_through(tmp_path / "a.csv", tmp_path / "b", uri="a.csv").gap, before


def test_line_ends_within_quotes_are_kept(files: Files) -> None:
    for end in ("\n", "\r\n", "\r"):
        found = files.read(f'id,n{end}1,"a{end}b"{end}x{end}'.encode(), Format())
        assert isinstance(found, tuple)
        assert found[1] == [
            (2, None, None, "1", f"a{end}b"), (4, "2 fields expected, 1 found", "x", None, None),
        ], repr(end)  # fmt: skip


@pytest.mark.parametrize(
    ("content", "size"),
    [(b"x" * 2_097_150, 2_097_150), (b"\xc3\xa4" * 1_048_575, 1_048_575), (b'"' + b'""' * 1_048_573 + b'"', 1_048_573)],
)
def test_a_record_of_two_mebibytes_is_read_and_a_longer_one_is_set_aside(
    files: Files, content: bytes, size: int
) -> None:
    found = files.read(b"id,n\n1," + content + b"\n2,b\n", Format())
    assert isinstance(found, tuple)
    assert [(line, why, len(value)) for line, why, _, _, value in found[1]] == [(2, None, size), (3, None, 1)]
    longer = files.read(b"id,n\n1," + content[:-1] + b"xxx" + content[-1:] + b"\n2,b\n", Format())
    assert isinstance(longer, tuple)
    assert [bool(why) for _, why, *_ in longer[1]] == [True, False]
