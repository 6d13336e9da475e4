"""How wide text is by a font's own tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from struct import unpack_from

__all__ = ["Font"]


class Font:
    """A TrueType font whose letters of the basic plane are in a `cmap` of format 4."""

    def __init__(self, file: Path) -> None:
        self.data = file.read_bytes()
        (count,) = unpack_from(">H", self.data, 4)
        tables: Mapping[bytes, int] = {
            self.data[at : at + 4]: unpack_from(">I", self.data, at + 8)[0] for at in range(12, 12 + 16 * count, 16)
        }
        (self.units,) = unpack_from(">H", self.data, tables[b"head"] + 18)
        (self.metrics,) = unpack_from(">H", self.data, tables[b"hhea"] + 34)
        self.hmtx = tables[b"hmtx"]
        cmap = tables[b"cmap"]
        (subtables,) = unpack_from(">H", self.data, cmap + 2)
        starts = [cmap + unpack_from(">I", self.data, cmap + 8 + 8 * number)[0] for number in range(subtables)]
        self.segments = next(start for start in starts if unpack_from(">H", self.data, start)[0] == 4)

    def width(self, words: str, size: float) -> float:
        return sum(self._advance(self._glyph(ord(letter))) for letter in words) * size / self.units

    def _glyph(self, code: int) -> int:
        """
        :raises LookupError: when the font has no such letter
        """
        (double,) = unpack_from(">H", self.data, self.segments + 6)
        ends, starts = self.segments + 14, self.segments + 16 + double
        for at in range(0, double, 2):
            (end,) = unpack_from(">H", self.data, ends + at)
            (start,) = unpack_from(">H", self.data, starts + at)
            if start <= code <= end:
                (delta,) = unpack_from(">H", self.data, starts + double + at)
                place = starts + 2 * double + at
                (offset,) = unpack_from(">H", self.data, place)
                if not offset:
                    return int(code + delta) & 0xFFFF
                (glyph,) = unpack_from(">H", self.data, place + offset + 2 * (code - start))
                return int(glyph + delta) & 0xFFFF
        raise LookupError(f"no glyph for {code:x}")

    def _advance(self, glyph: int) -> int:
        return int(unpack_from(">H", self.data, self.hmtx + 4 * min(glyph, self.metrics - 1))[0])
