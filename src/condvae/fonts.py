"""Which font can draw a text: labels are any Unicode, fonts are not.

DejaVu Sans, which comes with matplotlib, draws Latin, Greek, Cyrillic, Arabic, Hebrew and much else. A text
that it cannot draw gets the installed font that covers most of it; what no font covers is drawn as a box.
"""

import unicodedata
from functools import lru_cache
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

__all__ = ["fit", "font", "readable", "width"]

BOX = "□"


def readable(text: object) -> tuple[str, str]:
    """The text in one line as it can be drawn, and the path of the font that draws it.

    Control characters and line ends become spaces; halves of surrogate pairs, and letters that no font holds,
    become boxes.
    """
    line = " ".join("".join(_plain(letter) for letter in str(text)).split())
    wanted = frozenset(line) - {" "}
    path = _font_for(wanted)
    covered = _letters(path)
    return "".join(letter if letter == " " or ord(letter) in covered else BOX for letter in line), path


def font(path: str, size: float) -> ImageFont.FreeTypeFont:
    """The font at this path, in pixels, for drawing with Pillow."""
    return ImageFont.truetype(path, size)


def width(text: object, size: float) -> float:
    """How many pixels wide the text is at this size."""
    line, path = readable(text)
    return font(path, size).getlength(line)


def fit(text: object, size: float, width: float) -> tuple[str, ImageFont.FreeTypeFont]:
    """The text and its font, cut with an ellipsis where it is wider than `width` pixels."""
    line, path = readable(text)
    drawn = font(path, size)
    if drawn.getlength(line) <= width:
        return line, drawn
    low, high = 0, len(line)
    while low < high:  # bisection, since a label may be a whole paragraph
        middle = (low + high + 1) // 2
        if drawn.getlength(line[:middle].rstrip() + "…") <= width:
            low = middle
        else:
            high = middle - 1
    return line[:low].rstrip() + "…", drawn


def _plain(letter: str) -> str:
    kind = unicodedata.category(letter)
    return {"Cc": " ", "Zl": " ", "Zp": " ", "Cf": "", "Cs": BOX}.get(kind, letter)


@lru_cache(maxsize=1)
def _standard() -> str:
    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


@lru_cache(maxsize=64)
def _letters(path: str) -> frozenset[int]:
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):  # an installed font may be damaged, or of a kind that cannot be read
        return frozenset()


@lru_cache(maxsize=256)
def _font_for(wanted: frozenset[str]) -> str:
    codes = {ord(letter) for letter in wanted}
    best, covered = _standard(), len(codes & _letters(_standard()))
    if covered == len(codes):
        return best
    installed = (entry for entry in font_manager.fontManager.ttflist if "LastResort" not in entry.fname)
    upright = {entry.fname for entry in installed if entry.style == "normal" and entry.weight in (400, "normal")}
    for path in sorted(upright):
        found = len(codes & _letters(path))
        if found > covered:
            best, covered = path, found
    return best
