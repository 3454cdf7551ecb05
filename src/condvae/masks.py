"""What is hidden of a picture, as people say it: a mask in a file, a box, the transparent parts of the picture itself.

Every function gives what is seen, bool [1, H, W] with True = seen, in the size of the model's pictures.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from condvae.errors import Refused
from condvae.images_files import open_image, to_array
from condvae.nets import Shape

__all__ = ["alpha_mask", "has_alpha", "hole_box", "mask_from_image"]

OPAQUE = 128  # the least alpha of a pixel that is seen
HIDDEN = 0.25  # share of a pixel's area from which it is hidden
THIN = 0.02  # share from which the pixel that a thin line covers most is hidden


def mask_from_image(path: str | Path, shape: Shape) -> tuple[np.ndarray, tuple[str, ...]]:
    """What is seen under a mask, bool [1, H, W], and notes: white (from half on) is the hole, black is seen.

    A mask of another size is resized as `shares` are: a pixel is hidden of which a quarter is; and so that no thin line
    is lost, the one that a line covers most.

    Raises:
        Refused: a file that cannot be read as an image, or one without a white pixel: there is nothing to fill.
    """
    path = Path(path).expanduser()
    notes: list[str] = []
    image = open_image(path, path.name, notes)
    hidden = to_array(image, 1, path.name, notes)[0] >= 0.5
    return opened(hidden, shape, path.name, notes, "has no white pixel, and white is the hole")


def alpha_mask(path: str | Path, shape: Shape) -> tuple[np.ndarray, tuple[str, ...]]:
    """What is seen of a picture with transparent parts, bool [1, H, W], and notes: alpha below 128 is the hole.

    Raises:
        Refused: a file that cannot be read as an image, or one that is opaque everywhere.
    """
    path = Path(path).expanduser()
    notes: list[str] = []
    image = open_image(path, path.name, notes)
    hidden = np.asarray(image.convert("RGBA"))[..., 3] < OPAQUE
    return opened(hidden, shape, path.name, notes, "is opaque everywhere; give --mask FILE or --hole X,Y,W,H")


def has_alpha(path: str | Path) -> bool:
    """Whether a picture says which of its pixels are transparent. Refused where it cannot be read as an image."""
    image = open_image(Path(path).expanduser(), Path(path).name, [])
    return image.has_transparency_data


def hole_box(text: str, shape: Shape) -> np.ndarray:
    """What is seen around the box "X,Y,W,H", bool [1, H, W]: pixels of the model's picture, from its top left corner.

    Raises:
        Refused: what is not four whole numbers, an empty box, or one that reaches beyond the picture.
    """
    _, height, width = shape
    written = re.fullmatch(r"\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*", text, re.ASCII)
    if written is None:
        raise Refused(f"a hole is written X,Y,W,H in pixels from the top left corner, such as 0,0,4,4; got {text!r}")
    left, top, wide, tall = (int(number) for number in written.groups())
    if wide < 1 or tall < 1:
        raise Refused(f"a hole must be at least 1 pixel wide and tall; got {wide} x {tall}")
    if left < 0 or top < 0 or left + wide > width or top + tall > height:
        raise Refused(
            f"the hole must lie within the model's pictures of {width} x {height} pixels; X,Y,W,H = {text.strip()} "
            f"covers columns {left} to {left + wide - 1} and rows {top} to {top + tall - 1}"
        )
    seen = np.ones((1, height, width), bool)
    seen[:, top : top + tall, left : left + wide] = False
    return seen


def opened(
    hidden: np.ndarray, shape: Shape, name: str, notes: list[str], empty: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """What is seen, in the size of the model's pictures; Refused, saying `empty`, where nothing is hidden."""
    if not hidden.any():
        raise Refused(f"{name} {empty}")
    _, height, width = shape
    if hidden.shape != (height, width):
        tall, wide = hidden.shape
        notes.append(f"the mask of {name} was resized from {wide} x {tall} to {width} x {height} pixels")
        hidden = covered(shares(hidden, height, width))
        if not hidden.any():
            raise Refused(f"the holes of {name} are smaller than a pixel of the model's {width} x {height} pictures")
    if hidden.all():
        notes.append(f"{name} hides the whole picture")
    return ~hidden[None], tuple(notes)


def shares(hidden: np.ndarray, height: int, width: int) -> np.ndarray:
    """Which share of each pixel's area is hidden, [height, width] in [0, 1], by a mask [H, W] of another size."""
    whole = Image.fromarray(hidden.astype(np.float32))
    return np.asarray(whole.resize((width, height), Image.Resampling.BOX))


def covered(share: np.ndarray) -> np.ndarray:
    """Pixels that are hidden, bool [H, W], of shares: from a quarter on, or where a line runs that is thinner.

    A line shows as a pixel that is hidden more than its neighbours on both sides; the edge of an area does not.
    """
    found = share >= HIDDEN
    for axis in (0, 1):
        wide = np.pad(share, [(1, 1) if place == axis else (0, 0) for place in (0, 1)])
        before, after = (np.take(wide, np.arange(share.shape[axis]) + step, axis) for step in (0, 2))
        found |= (share > before) & (share >= after) & (share >= THIN)
    return found
