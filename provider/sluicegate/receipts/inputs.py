"""What differs of the inputs of a step between two runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sluicegate.receipts.reason import Kind, Reason

__all__ = ["input_reasons", "size_words"]

Input = Mapping[str, Any]
_SHOWN = 5


def input_reasons(step: str, before: Sequence[Input], after: Sequence[Input]) -> Iterator[Reason]:
    """By the names of datasets; what has a name twice (in a mapped step) is compared by place."""
    names = [str(source.get("name")) for source in (*before, *after)]
    by_place = any(len([s for s in some if s.get("name") == name]) > 1 for some in (before, after) for name in names)
    old, new = (_keyed(some, "uri" if by_place else "name") for some in (before, after))
    both = [reason for name in old if name in new for reason in _pair(step, old[name], new[name])]
    more = [Reason(Kind.INPUT, f"{step} reads {_place(new[name])} besides", step) for name in new if name not in old]
    less = [
        Reason(Kind.INPUT, f"{step} does not read {_place(old[name])} any more", step)
        for name in old
        if name not in new
    ]
    yield from _few(both, f"{step} read {{}} more inputs in another version, or from another place")
    yield from _few(more, f"{step} reads {{}} more inputs besides")
    yield from _few(less, f"{step} does not read {{}} more inputs any more")


def _few(reasons: Sequence[Reason], words: str) -> Iterator[Reason]:
    """Some of them, and how many more there are: a mapped step may have a thousand."""
    yield from reasons[:_SHOWN]
    if rest := reasons[_SHOWN:]:
        yield Reason(rest[0].kind, words.format(f"{len(rest):,}"), rest[0].step)


def _keyed(sources: Sequence[Input], by: str) -> dict[str, Input]:
    return {str(source.get(by)): source for source in sources}


def _pair(step: str, old: Input, new: Input) -> Iterator[Reason]:
    same_place = old.get("uri") == new.get("uri") and old.get("uris") == new.get("uris")
    versions = old.get("version"), new.get("version")
    if None not in versions and versions[0] == versions[1]:
        return  # Equal content; that it is called otherwise explains nothing.
    if None in versions:  # of one that was not read, only its place is known
        if not same_place:
            yield Reason(Kind.INPUT, f"{step} read {_place(old)} and then {_place(new)}", step)
        return
    if same_place and "time" in (old.get("by"), new.get("by")):
        words = f"{step} read {_place(new)}, which was written anew: {_sizes(old, new)}{_files(old, new)}"
        yield Reason(Kind.CONTENT, words, step)
        return
    if same_place:
        words = f"{step} read another version of {_place(new)}: {_sizes(old, new)}{_files(old, new)}"
        yield Reason(Kind.CONTENT, words, step)
        return
    yield Reason(Kind.INPUT, f"{step} read {_place(old)} and then {_place(new)}: {_sizes(old, new)}", step)


def _place(source: Input) -> str:
    uri, name, more = str(source.get("uri")), source.get("name"), len(source.get("uris") or ()) - 1
    words = uri + (f" and {more:,} more" if more > 0 else "")
    return words if not name or name == uri or "/" in str(name) else f"{name} ({words})"


def _sizes(old: Input, new: Input) -> str:
    parts = [
        f"{words(old.get(key))} → {words(new.get(key))} {unit}".strip()
        for key, words, unit in (("rows", _number, "records"), ("bytes", size_words, ""), ("parts", _number, "files"))
        if old.get(key) is not None and new.get(key) is not None and old.get(key) != new.get(key)
    ]
    return ", ".join(parts) or "of the same size"


def _files(old: Input, new: Input) -> str:
    """Which of several files differ, where they are named."""
    was, now = ({one["uri"]: one["version"] for one in source.get("files") or ()} for source in (old, new))
    if not was or not now or any(len(files) < (one.get("parts") or 0) for files, one in ((was, old), (now, new))):
        return ""  # Of more files than a receipt names, one that is not named need not be gone.
    lists = {
        "new": sorted(now.keys() - was.keys()),
        "gone": sorted(was.keys() - now.keys()),
        "changed": sorted(uri for uri in now.keys() & was.keys() if now[uri] != was[uri]),
    }
    words = [
        f"{word}: {', '.join(uri.rpartition('/')[2] for uri in uris[:3])}{_more(uris)}"
        for word, uris in lists.items()
        if uris
    ]
    return f" ({'; '.join(words)})" if words else ""


def _more(uris: Sequence[str]) -> str:
    return f" and {len(uris) - 3:,} more" if len(uris) > 3 else ""


def _number(value: Any) -> str:
    return f"{value:,}"


def size_words(value: Any) -> str:
    """`12.3 kB`."""
    size = float(value)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} bytes" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
