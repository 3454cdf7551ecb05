"""Points of a report that can be looked at one by one: a map of latents with its pictures, as HTML that loads nothing.

The page's data are JSON in an element that no browser runs; `scatter_script` draws them.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from PIL import Image

from condvae import maps, maps_numbers, pictures
from condvae.latent_maps import Shade
from condvae.names import printable
from condvae.scatter_script import FRAME
from condvae.sheets import reduced

__all__ = ["MOST", "Scatter", "markup", "sprite"]

MOST = 500  # points that a page should hold
SIDES = (48, 32, 24)  # pixels of a thumbnail's longer side, tried in turn
HEAVIEST = 400_000  # bytes of the sheet of thumbnails
FINE = 1000  # steps across a map
STOPS = 32  # colours of the scale of numbers


@dataclass(frozen=True, eq=False)
class Scatter:
    """N points on one or more maps.

    planes: (name, points [N, 2], how they were made) each. fields: what may colour the points, and how well it
    separates, in words. images: [N, C, H, W] as `sheets.pixels` takes them; None without pictures.
    """

    planes: Sequence[tuple[str, np.ndarray, str]]
    fields: Sequence[tuple[Shade, str]] = ()
    images: np.ndarray | None = None


def sprite(images: np.ndarray) -> tuple[bytes, int, int, int]:
    """(a PNG of all images in rows, at most about 400 KB, width and height of each in pixels, how many in a row).

    images: N <= 500 [N, C, H, W]. Their longer side is at most 48 pixels, or 32 or 24 where the file would be larger;
    where it still would be, all share 256 colours.
    """
    across, tiles, data = math.ceil(math.sqrt(len(images))), images, b""
    for side in SIDES:
        tiles = reduced(images, side)
        data = pictures.png(laid_out(tiles, across))
        if len(data) <= HEAVIEST:
            break
    else:
        data = pictures.png(laid_out(tiles, across).quantize(256))
    return data, tiles.shape[3], tiles.shape[2], across


def laid_out(tiles: np.ndarray, across: int) -> Image.Image:
    """Tiles uint8 [N, C, H, W] edge to edge, in rows of so many."""
    count, channels, height, width = tiles.shape
    sheet = np.zeros((across * math.ceil(count / across), channels, height, width), np.uint8)
    sheet[:count] = tiles
    rows = sheet.reshape(-1, across, channels, height, width).transpose(0, 3, 1, 4, 2)
    laid = rows.reshape(-1, across * width, channels)
    return Image.fromarray(laid[..., 0] if channels == 1 else laid)


def markup(scatter: Scatter) -> str:
    """The element of a page that `SCRIPT` fills; hidden until it does."""
    text = json.dumps(content(scatter), separators=(",", ":"), allow_nan=False)  # ASCII: no letter ends a line of it
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return FRAME.replace("DATA", text)


def content(scatter: Scatter) -> dict[str, Any]:
    """What the script reads."""
    return {
        "planes": [
            {"name": printable(name), "said": printable(said), "points": steps(points)}
            for name, points, said in scatter.planes
        ],
        "fields": [{"said": printable(said), **field(shade)} for shade, said in scatter.fields],
        "scale": [to_hex(colour) for colour in maps_numbers.scale()[:: 256 // STOPS]],
        "unknown": to_hex(maps.UNKNOWN),
        "sprite": None if scatter.images is None else tiles_of(scatter.images),
    }


def steps(points: np.ndarray) -> list[list[int]]:
    """Points as whole steps [x, y] from the upper left corner of a square that holds them, FINE steps wide."""
    middle = np.array(maps.view(points, False))
    share = (points - middle[:2]) / (2 * middle[2])
    return np.rint(FINE * (0.5 + share * (1, -1))).astype(int).tolist()


def field(shade: Shade) -> dict[str, Any]:
    """A field: of a label its names, their colours and a place among them a row, -1 = unknown; of a number the ends of
    the scale and a value a row, null = unknown."""
    if shade.values is None:
        values = np.asarray(shade.column, np.float64)
        known = np.isfinite(values)
        low, high = maps_numbers.bounds(values) if known.any() else (0.0, 1.0)
        column = [float(f"{value:.6g}") if there else None for value, there in zip(values, known, strict=True)]
        ends = [float(f"{end:.4g}") for end in (low, high)]
        return {"name": printable(shade.name), "names": None, "ends": ends, "column": column}
    places = {value: place for place, value in enumerate(shade.values)}
    return {
        "name": printable(shade.name),
        "names": [printable(value) for value in shade.values],
        "colours": [to_hex(colour) for colour in maps.colours(len(shade.values))],
        "column": [-1 if value is None else places[value] for value in shade.column],
    }


def tiles_of(images: np.ndarray) -> dict[str, Any]:
    """The sheet of thumbnails, and where each stands on it."""
    data, width, height, across = sprite(images)
    address = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return {"src": address, "width": width, "height": height, "across": across}
