"""Rows with small images that differ, made as they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from vapo.errors import DataError


@dataclass(frozen=True)
class PaintedRow:
    """A row whose images are plain colours; the stamp is made of them unless it is given."""

    name: str
    colours: tuple[int, ...]
    source: str = "painted"
    stamp: str = "v1"

    def open(self) -> Sequence[Image.Image]:
        if not self.colours:
            raise DataError(f"{self.source}, {self.name}: image is truncated or broken")
        return [
            Image.new("RGB", (8, 6), (colour % 256, colour // 256 % 256, colour // 65536)) for colour in self.colours
        ]


def paint_rows(count: int, *, start: int = 0) -> list[PaintedRow]:
    return [PaintedRow(f"row-{number}", (number,)) for number in range(start, start + count)]
