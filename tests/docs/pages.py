"""The docs as values: their code blocks, the dags folder that a page describes, its links and anchors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# (?:dags|tests|\$AIRFLOW_HOME)/(\S+)\n")
_HEREDOC = re.compile(r"^cat > (?P<path>\S+) <<'(?P<mark>\w+)'\n(?P<text>.*?)^(?P=mark)$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` is that of its fence, from 1."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """Where it is below the dags root or the folder of tests, if its first line says so."""
        named = _NAMED.match(self.text)
        return named[1] if named else None


@dataclass(frozen=True)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, *languages: str) -> list[Block]:
        return [
            Block(found[2], found[3], self.text.count("\n", 0, found.start()) + 1)
            for found in _FENCE.finditer(self.text)
            if not languages or found[2] in languages
        ]

    def files(self) -> dict[str, str]:
        """The files of the page's dags folder, those that a shell block writes included."""
        named = {block.file: block.text for block in self.blocks("yaml", "python") if block.file is not None}
        for block in self.blocks("sh"):
            for found in _HEREDOC.finditer(block.text):
                named[Path(found["path"]).name] = found["text"]
        return named

    def commands(self) -> list[tuple[int, list[str]]]:
        """The commands of the shell blocks, each with its line; heredocs and comments are left out."""
        found = []
        for block in self.blocks("sh"):
            quiet = _HEREDOC.sub(lambda match: "\n" * match[0].count("\n"), block.text)
            for number, line in enumerate(quiet.splitlines(), block.line + 1):
                if words := shlex.split(line, comments=True):
                    found.append((number, words))
        return found

    def links(self) -> Iterator[str]:
        yield from _LINK.findall(_FENCE.sub("", self.text))

    def anchors(self) -> set[str]:
        """As GitHub makes them out of headings."""
        headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", self.text), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = tuple(Page(path) for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))
GUIDES = tuple(
    page for page in PAGES if page.path.stem in {"author", "operator", "platform", "architecture", "dead-letters"}
)
PLAYBOOKS = tuple(Page(path) for path in sorted((ROOT / "playbooks").glob("*.md")))


def page(name: str) -> Page:
    return next(each for each in PAGES if each.path.name == name)


def write_dags(of: Page, folder: Path) -> Path:
    """The dags folder that a page describes."""
    root = folder / "dags"
    for name, text in of.files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
