"""The worst words stay out of comments, docstrings, messages and documentation."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROVIDER = ROOT / "provider" / "sluicegate"

BETTER = {
    r"(?<!\bthere )\b(?:is|are) no (?!longer\b|more\b)(?=[\w`'{])": "is not a",
    r"\bwhoever\b": "the actor: the author, the operator, the process",
    r"\b(?:for|to|by) who\b": "the actor: for authors, to the operator",
    r"\bas (?:it was\b(?! \w+ed\b)|they were\b)": "keeps its last good version, unchanged",
    r"\b(?:shortcoming|contradiction|complaint)s?\b": "error in a message, diagnostic in code",
    r"\bmistakes?\b": "error in a message, diagnostic in code",
    r"\bst(?:and|ands|ood|anding)\b(?! for\b)(?!-)": "is, be, contains",
    r"\b(?:tells?|told)\b": "report, say, give, distinguish",
    r"(?<!user )(?<!like )\bnobody\b(?=[ ,.:;)])": "the actor: no step, no process",
    r"\bmay not\b(?! be modified)": "must not, cannot, might not",
}

_FIELD = re.compile(r"\{\w[\w.]*[^{}\s]*\}")

_BETWEEN = ("NL", "FSTRING_START", "FSTRING_END")


def _comments_and_strings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each run of comments, and of strings that Python joins."""
    kind, line, texts = 0, 0, list[str]()
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            name = tokenize.tok_name[token.type]
            if name in _BETWEEN or (name == "NEWLINE" and kind == tokenize.COMMENT):
                continue
            found = token.type if name in ("COMMENT", "STRING", "FSTRING_MIDDLE") else 0
            if texts and found != kind:
                yield line, " ".join(texts)
                texts = []
            if found:
                line = line if texts else token.start[0]
                texts.append(token.string.strip("#rfbRFB\"'\n "))
            kind = found


def _prose(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each paragraph outside code blocks; of a YAML file, of each comment."""
    line, texts, is_code = 0, list[str](), False
    for number, text in enumerate([*path.read_text().splitlines(), ""], 1):
        if text.lstrip().startswith("```"):
            is_code = not is_code
        is_prose = text.lstrip().startswith("#") if path.suffix == ".yaml" else not is_code
        if is_prose and text.strip():
            line = line if texts else number
            texts.append(text.strip("# "))
        elif texts:
            yield line, " ".join(texts)
            texts = []


def _room(path: Path) -> str:
    if PROVIDER not in path.parents:
        return str(path.relative_to(ROOT))
    return path.relative_to(PROVIDER).parts[0]


def _files() -> Iterator[Path]:
    yield from PROVIDER.rglob("*.py")
    yield ROOT / "README.md"
    for pattern in ("docs/*.md", "playbooks/*.md", "dags/*.yaml"):
        yield from ROOT.glob(pattern)


def _bad(path: Path) -> Iterator[str]:
    for line, text in _comments_and_strings(path) if path.suffix == ".py" else _prose(path):
        spaced = " ".join(_FIELD.sub("{}", text).split())
        for pattern, better in BETTER.items():
            for found in re.finditer(pattern, spaced, re.IGNORECASE):
                around = spaced[max(0, found.start() - 50) : found.end() + 40]
                yield f"{path.relative_to(ROOT)}:{line}: {found[0]!r} (better: {better}) in: ...{around}..."


_ROOMS = {room: list(paths) for room, paths in groupby(sorted(_files(), key=lambda path: (_room(path), path)), _room)}


@pytest.mark.parametrize("room", _ROOMS)
def test_the_worst_words_do_not_come_back(room: str) -> None:
    bad = [line for path in _ROOMS[room] for line in _bad(path)]
    assert not bad, "\n" + "\n".join(bad)
