"""URIs with wildcards: where to look, and what matches. No I/O.

`*` is any name or part of one, `?` one character, `[ab]` one of these, `**` any folders; a pattern that ends in `/`
means the parts in each folder that matches. As in folders of parts, names that begin with `_` or `.` are not data,
unless the pattern says so itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Glob", "is_pattern"]

_WILD = re.compile(r"[*?[]")
_FOLDERS = "(?:(?![_.])[^/]+/)*"
_PART = "(?:(?![_.=])[^/=]+=[^/]*/)*(?![_.])[^/]+"


def is_pattern(uri: str) -> bool:
    """Whether `uri` may mean several files by wildcards. In an `https://` address a `?` begins a query."""
    return not uri.startswith(("http://", "https://", "table://", "iceberg://")) and _WILD.search(uri) is not None


@dataclass(frozen=True)
class Glob:
    uri: str

    @property
    def folder(self) -> str:
        """The folder below which all matches are, with its slash."""
        found = _WILD.search(self.uri)
        fixed = self.uri[: found.start()] if found else self.uri
        return fixed.rpartition("/")[0] + "/"

    @property
    def depth(self) -> int | None:
        """How many names deep below the folder a match is; None for any."""
        names = self.uri.removeprefix(self.folder).split("/")
        return None if "**" in names or not names[-1] else len(names)

    def matches(self, relative: str) -> bool:
        """Whether the file at `relative`, a path below the folder, is meant."""
        return self._pattern.fullmatch(relative) is not None

    def meets(self, written: str) -> bool:
        """Whether a file at the URI `written`, or one in it if that is a folder, may be meant."""
        if not written.endswith("/"):
            return written.startswith(self.folder) and self.matches(written.removeprefix(self.folder))
        folders = Glob(self.uri.rpartition("/")[0] + "/")
        return self.uri.startswith(written) or (
            written.startswith(folders.folder) and folders.matches(written.removeprefix(folders.folder) + "part")
        )

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        *folders, last = self.uri.removeprefix(self.folder).split("/")
        words = "".join(_FOLDERS if name == "**" else _name(name) + "/" for name in folders)
        return re.compile(words + (_FOLDERS + "[^_./][^/]*" if last == "**" else _name(last) if last else _PART))


def _name(pattern: str) -> str:
    words = "(?![_.])" if _WILD.match(pattern) else ""
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        end = pattern.find("]", at + 2) if sign == "[" else -1
        if end > 0:
            inside = pattern[at + 1 : end].replace("\\", r"\\").replace("[", r"\[").replace("&", r"\&")
            words += f"[^/{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
            at = end
        else:
            words += {"*": "[^/]*", "?": "[^/]"}.get(sign, re.escape(sign))
        at += 1
    return words
