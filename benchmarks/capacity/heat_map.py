"""A picture of the load: one row per table or index, one cell per partition key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from benchmarks.capacity.keys import Place
from benchmarks.capacity.limits import PARTITION_WRITE_UNITS
from benchmarks.capacity.load import Usage

CELLS: Final = 128
"""Keys shown of a place: the hottest ones. Fewer keys have wider cells."""
_CELL, _ROW, _LEFT, _RIGHT, _HEADER = 6, 22, 250, 300, 34
_PALETTE: Final = 128
_WHITE, _BLACK, _GREY = (255, 255, 255), (30, 30, 30), (120, 120, 120)
_SCALE: Final[Sequence[tuple[float, tuple[int, int, int]]]] = (
    (0.0, (232, 240, 247)),
    (0.25, (166, 206, 227)),
    (0.5, (254, 224, 120)),
    (0.8, (253, 160, 70)),
    (1.0, (222, 45, 38)),
    (4.0, (103, 0, 13)),
    (100.0, (40, 0, 20)),
)
"""Colors by utilisation; between them they change evenly."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One layout's rows under a title."""

    title: str
    usage: Usage

    def rows(self) -> list[tuple[Place, list[float]]]:
        """Utilisation of the keys of each place, hottest first; the hottest place first."""
        rows = [
            (place, _ranked(keys))
            for place, keys in self.usage.writes.items()
            if any(keys.values())
        ]
        return sorted(rows, key=lambda row: (-row[1][0], str(row[0])))


def draw_heat_map(panels: Sequence[Panel], path: Path) -> None:
    """Write the picture as PNG. The same usage makes the same picture."""
    rows = [panel.rows() for panel in panels]
    height = sum(_HEADER + _ROW * len(each) for each in rows) + 2 * _ROW
    width = _LEFT + CELLS * _CELL + _RIGHT
    image = Image.new("RGB", (width, height), _WHITE)
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    top = 0
    for panel, of_panel in zip(panels, rows, strict=True):
        canvas.text((8, top + 10), panel.title, _BLACK, font=font)
        top += _HEADER
        for place, cells in of_panel:
            _draw_row(canvas, font, top, place, cells, len(panel.usage.writes[place]))
            top += _ROW
    _draw_scale(canvas, font, top + 6)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(_PALETTE).save(path, optimize=True)


def color_of(utilisation: float) -> tuple[int, int, int]:
    """The color of a key that is used to such a share of its limit."""
    for (low, cold), (high, hot) in pairwise(_SCALE):
        if utilisation <= high:
            part = (utilisation - low) / (high - low)
            red, green, blue = (round(a + (b - a) * part) for a, b in zip(cold, hot, strict=True))
            return red, green, blue
    return _SCALE[-1][1]


def _ranked(keys: Mapping[str, float]) -> list[float]:
    ranked = sorted((units / PARTITION_WRITE_UNITS for units in keys.values()), reverse=True)
    return ranked[:CELLS]


def _draw_row(
    canvas: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    top: int,
    place: Place,
    cells: Sequence[float],
    keys: int,
) -> None:
    canvas.text((8, top + 3), str(place), _BLACK, font=font)
    edges = [_LEFT + number * CELLS * _CELL // len(cells) for number in range(len(cells) + 1)]
    for (left, right), utilisation in zip(pairwise(edges), cells, strict=True):
        canvas.rectangle((left, top + 2, right - 2, top + _ROW - 4), fill=color_of(utilisation))
    shown = f"{keys:,} key{'s' if keys > 1 else ''}"
    if keys > CELLS:
        shown = f"the hottest of {shown}"
    words = f"{cells[0]:,.0%} of the limit, {shown}"
    canvas.text((_LEFT + CELLS * _CELL + 10, top + 3), words, _BLACK, font=font)


def _draw_scale(
    canvas: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    top: int,
) -> None:
    canvas.text((8, top), "write units of a key, of 1,000/s", _GREY, font=font)
    for number, utilisation in enumerate((0.0, 0.25, 0.5, 0.8, 1.0, 4.0)):
        left = _LEFT + number * 90
        canvas.rectangle((left, top, left + 24, top + 14), fill=color_of(utilisation))
        canvas.text((left + 30, top), f"{utilisation:.0%}", _GREY, font=font)
