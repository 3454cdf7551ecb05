"""Images [..., C, H, W] as bytes, and how they are laid out on a sheet of paper."""

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from condvae import fonts
from condvae.errors import Refused

__all__ = ["Images", "balanced", "checked_count", "in_rows", "pixels", "reduced", "sheet"]

Images = np.ndarray | torch.Tensor

PAPER = (255, 255, 255)
INK = (38, 38, 38)
TARGET = 720  # pixels on the longer side of an enlarged picture: fills a page, and a phone after reduction
LARGEST_FACTOR = 16
SMALLEST = 12  # pixels of a letter that is still read
LARGEST_PICTURE = 150_000_000  # pixels; past this the picture is a mistake, and would take gigabytes


def pixels(images: Images, argument: str = "images") -> np.ndarray:
    """The images [..., C, H, W] as uint8 [..., H, W, 3].

    Args:
        images: uint8, bool, or floats in [0, 1] (one thousandth outside is taken for rounding, and clipped).
        argument: the name by which a refusal calls them.

    Raises:
        Refused: where the shape, the kind of number or the range is another, or a value is not a number.
    """
    array = images.detach().cpu() if isinstance(images, torch.Tensor) else np.asarray(images)
    if isinstance(array, torch.Tensor):
        array = (array.float() if array.is_floating_point() else array).numpy()
    if array.ndim < 3 or array.shape[-3] not in (1, 3):
        raise Refused(
            f"{argument} must be [..., C, H, W] with C = 1 or 3, but came with the shape {list(array.shape)};"
            " put the channel axis third from the end."
        )
    if array.size == 0:
        raise Refused(f"{argument} holds no image (shape {list(array.shape)}); give at least one.")
    array = _bytes_of(array, argument)
    array = np.moveaxis(array, -3, -1)
    return np.array(np.broadcast_to(array, (*array.shape[:-1], 3)), order="C")  # never the given memory itself


def _bytes_of(array: np.ndarray, argument: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(array.dtype, np.floating):
        raise Refused(f"{argument} must be uint8 or floats in [0, 1], but came as {array.dtype}; convert it first.")
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):  # the minimum of anything with a NaN is NaN
        raise Refused(f"{argument} holds values that are not finite numbers; replace or drop them first.")
    if low < -1e-3 or high > 1 + 1e-3:
        raise Refused(
            f"{argument} must lie in [0, 1], but runs from {low:.4g} to {high:.4g}; rescale or clip it first."
        )
    return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)


def reduced(images: Images, most: int) -> np.ndarray:
    """Images [N, C, H, W] as uint8 whose longer side is at most `most` pixels, as means over areas; small ones stay.

    Refused as in `pixels`.
    """
    height, width = images.shape[-2:]
    share = min(1.0, most / max(height, width))
    size = (max(1, round(share * height)), max(1, round(share * width)))
    tiles = torch.from_numpy(pixels(images)[..., : images.shape[1]]).movedim(-1, 1)
    small = tiles if share == 1 else torch.nn.functional.adaptive_avg_pool2d(tiles.float(), size).round().byte()
    return small.numpy()


def in_rows(tiles: np.ndarray, columns: int | None) -> np.ndarray:
    across = checked_count(columns, "columns") or balanced(len(tiles), 16)
    down = ceil(len(tiles) / across)
    rows = np.full((down * across, *tiles.shape[1:]), PAPER, np.uint8)
    rows[: len(tiles)] = tiles
    return rows.reshape(down, across, *tiles.shape[1:])


def balanced(count: int, most: int) -> int:
    """Images per row: a divisor of `count` near its root where there is one, so that no row is left short."""
    if count <= 6:
        return count
    low, high = ceil(sqrt(count)), min(most, int(2.5 * sqrt(count)))
    return next((across for across in range(low, high + 1) if count % across == 0), min(low, most))


def checked_count(value: int | None, name: str) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
        raise Refused(f"{name} must be a whole number of at least 1, but is {value!r}; leave it out to choose.")
    return value


def _factor(scale: int | str, height: int, width: int) -> int:
    if scale == "auto":
        return min(LARGEST_FACTOR, max(1, round(TARGET / max(height, width))))
    if isinstance(scale, str):
        raise Refused(f'scale must be "auto" or a whole number of at least 1, but is {scale!r}; use "auto".')
    return checked_count(scale, "scale") or 1


def fitted(names: Sequence[str], size: float) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """Names with one size of font for all, smaller where one is wider than a third of a sheet; cut where none fits."""
    wide = max((fonts.width(name, size) for name in names), default=0.0)
    fits = max(SMALLEST, min(size, size * TARGET / 3 / max(wide, 1.0) - 0.5)) if wide > TARGET / 3 else size
    return [fonts.fit(name, fits, TARGET / 3) for name in names]


def sheet(
    blocks: list[np.ndarray],
    names: Sequence[str] | None,
    scale: int | str,
    pad: int | None,
    heads: Sequence[str] = (),
) -> Image.Image:
    """Lay out blocks of [R, S, H, W, 3] under each other, the same R names beside each block's rows, and S heads, or
    none, over the columns of the first."""
    rows, across, height, width, _ = blocks[0].shape
    factor = _factor(scale, rows * height * len(blocks), across * width)
    tall, wide = height * factor, width * factor
    gap = max(1, round(min(tall, wide) / 24)) if pad is None else pad
    if isinstance(gap, bool) or gap < 0:
        raise Refused(f"pad must be 0 or more pixels, but is {pad!r}; leave it out to choose.")
    between = 4 * gap  # blocks stand further apart than rows
    letter = min(26, max(SMALLEST, tall * 0.3))
    drawn, above = fitted(names or (), letter), ceil(1.4 * letter) if heads else 0
    margin = ceil(max(font.getlength(text) for text, font in drawn) + 14) if drawn else 0
    block = rows * (tall + gap) - gap
    size = (margin + across * (wide + gap) - gap, above + len(blocks) * (block + between) - between)
    if size[0] * size[1] > LARGEST_PICTURE:
        raise Refused(f"images would make a picture of {size[0]} x {size[1]} pixels; ask for fewer at a time.")
    drawing = Image.new("RGB", (size[0] + 2 * gap, size[1] + 2 * gap), PAPER)
    pen = ImageDraw.Draw(drawing)
    for s, head in enumerate(heads):
        text, font = fonts.fit(head, letter, wide)
        pen.text((gap + margin + s * (wide + gap) + wide / 2, gap + above / 2), text, fill=INK, font=font, anchor="mm")
    for b, tiles in enumerate(blocks):
        for r in range(rows):
            top = gap + above + b * (block + between) + r * (tall + gap)
            if drawn:
                text, font = drawn[r]
                pen.text((gap + margin - 14, top + tall / 2), text, fill=INK, font=font, anchor="rm")
            for s in range(tiles.shape[1]):
                tile = tiles[r, s].repeat(factor, axis=0).repeat(factor, axis=1)
                drawing.paste(Image.fromarray(tile), (gap + margin + s * (wide + gap), top))
    return drawing
