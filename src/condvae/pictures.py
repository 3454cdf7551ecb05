"""Arrays of images in, pictures for people out: grids, comparisons, manifolds, animations.

Images are arrays or tensors whose last axes are [C, H, W], C = 1 (grey) or 3 (red, green, blue), either uint8
or floats in [0, 1]. Every function returns a PIL image in mode RGB; `save` writes one, `png` turns one into
bytes. Curves live in `condvae.plots`, maps of latents in `condvae.maps`.
"""

import io
import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import ceil
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from condvae.errors import Refused
from condvae.sheets import LARGEST_FACTOR, PAPER, TARGET, Images, checked_count, in_rows, pixels, sheet

__all__ = [
    "animation",
    "before_after",
    "captioned",
    "grid",
    "manifold",
    "pixels",
    "png",
    "save",
    "write_bytes",
]

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".tif": "TIFF"}
FORMATS[".tiff"] = "TIFF"


def grid(
    images: Images,
    columns: int | None = None,
    labels: Sequence[object] | None = None,
    scale: int | str = "auto",
    pad: int | None = None,
) -> Image.Image:
    """A grid of images on white paper, small ones enlarged by a whole factor without smoothing.

    Args:
        images: [R, S, C, H, W], R rows of S images, or [N, C, H, W], laid out in reading order.
        columns: images per row for [N, C, H, W]; None chooses a pleasing number. Not for [R, S, C, H, W].
        labels: one name per row, written at its left: any text; what no installed font draws becomes a box.
        scale: the factor, a whole number, or "auto": the grid's longer side comes near 720 pixels.
        pad: pixels of paper between images; None chooses a thin line, 0 joins the images.

    Raises:
        Refused: for images as in `pixels`, a wrong number of labels, or columns, scale or pad out of range.
    """
    tiles = pixels(images)
    if tiles.ndim == 4:
        tiles = in_rows(tiles, columns)
    elif tiles.ndim == 5 and columns is not None:
        raise Refused("columns is only for images [N, C, H, W], but these came in rows [R, S, C, H, W]; leave it out.")
    elif tiles.ndim != 5:
        raise Refused(f"images must be [N, C, H, W] or [R, S, C, H, W], but came with {tiles.ndim} axes; reshape it.")
    names = None if labels is None else [str(label) for label in labels]
    if names is not None and len(names) != len(tiles):
        raise Refused(f"labels must name each of the {len(tiles)} rows, but {len(names)} came; give one per row.")
    return sheet([tiles], names, scale, pad)


def before_after(rows: Mapping[str, Images], columns: int | None = None) -> Image.Image:
    """Rows of images under each other, named at the left: what came in, what came out.

    Args:
        rows: name -> images [N, C, H, W], all of one shape; drawn in the given order. More than fit in a line
            go on in a further block of all rows.
        columns: images per line; None chooses up to 12.

    Raises:
        Refused: where rows is empty or its shapes differ, and as in `grid`.
    """
    if not rows:
        raise Refused("rows must hold at least one name with its images, but came empty; give the input row.")
    parts = {name: pixels(images, f"rows[{name!r}]") for name, images in rows.items()}
    shapes = {name: part.shape for name, part in parts.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name!r}: {list(shape)}" for name, shape in shapes.items())
        raise Refused(f"rows must all be [N, C, H, W] of one shape, but came, channels last, as {found}; match them.")
    stack = np.stack(list(parts.values()))  # [R, N, H, W, 3]
    if stack.ndim != 5:
        raise Refused(f"rows must be [N, C, H, W], but came with {stack.ndim - 1} axes; reshape them.")
    count = stack.shape[1]
    across = checked_count(columns, "columns") or ceil(count / ceil(count / 12))
    blocks = [stack[:, start : start + across] for start in range(0, count, across)]
    return sheet(blocks, [str(name) for name in parts], "auto", None)


def captioned(images: Images, captions: Sequence[object], columns: int = 6) -> Image.Image:
    """Images [N, C, H, W] in lines of `columns`, each with its caption above it.

    Raises:
        Refused: as in `grid`, and for another number of captions than of images.
    """
    tiles, names = pixels(images), [str(caption) for caption in captions]
    if tiles.ndim != 4 or len(names) != len(tiles):
        raise Refused(f"captions must name each image [N, C, H, W]; got {len(names)} for the shape {np.shape(images)}.")
    across = min(checked_count(columns, "columns") or 1, len(tiles))
    rows = in_rows(tiles, across)
    scale = max(1, round(TARGET / max(across * tiles.shape[2], len(rows) * tiles.shape[1])))
    lines = [
        sheet([row[None]], None, min(scale, LARGEST_FACTOR), None, [*names[i * across : (i + 1) * across]])
        for i, row in enumerate(rows)
    ]
    drawn = Image.new("RGB", (lines[0].width, sum(line.height for line in lines)), PAPER)
    for i, line in enumerate(lines):
        drawn.paste(line, (0, i * line.height))
    return drawn


def manifold(images: Images, scale: int | str = "auto") -> Image.Image:
    """The decoded plane of latents: images [R, S, C, H, W] side by side without a gap.

    Raises:
        Refused: as in `grid`, and where images has not five axes.
    """
    if np.ndim(images) != 5:
        raise Refused(f"images must be [R, S, C, H, W], but came with {np.ndim(images)} axes; reshape it.")
    return grid(images, scale=scale, pad=0)


def animation(
    frames: Sequence[Image.Image] | Images, path: str | os.PathLike[str], fps: float = 8, hold: float = 0.6
) -> Path:
    """Write frames as a GIF that repeats for ever, and return its path.

    Args:
        frames: PIL images of one size, or an array [T, C, H, W] (enlarged as by `grid`).
        path: ends in .gif; missing folders are made.
        fps: frames a second, above 0 and at most 50 (browsers slow down what is faster).
        hold: further seconds for which the last frame stays.

    Raises:
        Refused: without frames, with frames of several sizes, another ending, or an fps or hold out of range.
    """
    target = Path(path)
    if target.suffix.lower() != ".gif":
        raise Refused(f"path must end in .gif for an animation, but is {target.name!r}; rename it.")
    if not 0 < fps <= 50 or not 0 <= hold <= 600:
        raise Refused(f"fps must be above 0 and at most 50 and hold within 0 to 600, but came {fps} and {hold}.")
    pictures = _frames(frames)
    if len({picture.size for picture in pictures}) != 1:
        raise Refused("frames must hold one or more pictures, all of one size; none or several sizes came.")
    step = max(2, round(100 / fps)) * 10  # GIF counts time in hundredths of a second
    times = [step] * (len(pictures) - 1) + [step + round(hold * 100) * 10]
    memory = io.BytesIO()
    pictures[0].save(
        memory,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=times if len(times) > 1 else times[0],
        loop=0,
    )
    return write_bytes(memory.getvalue(), target)


def _frames(frames: Sequence[Image.Image] | Images) -> list[Image.Image]:
    if not isinstance(frames, (np.ndarray, torch.Tensor)):
        return [frame.convert("RGB") for frame in frames]
    tiles = pixels(frames, "frames")
    if tiles.ndim != 4:
        raise Refused(f"frames must be pictures or [T, C, H, W], but came with {tiles.ndim} axes; reshape it.")
    return [sheet([tile[None, None]], None, "auto", 0) for tile in tiles]


def png(image: Image.Image) -> bytes:
    """The image as the bytes of a PNG file."""
    memory = io.BytesIO()
    image.save(memory, format="PNG", optimize=True)
    return memory.getvalue()


def save(image: Image.Image | bytes, path: str | os.PathLike[str]) -> Path:
    """Write a picture, whole or not at all, and return its path.

    Args:
        image: a PIL image, or the bytes of an image file.
        path: its ending names the format: .png, .jpg, .jpeg, .webp, .gif, .tif or .tiff. Missing folders are
            made; a file that stands there is replaced.

    Raises:
        Refused: for another ending, for bytes that are no image, and where the path cannot be written.
    """
    target = Path(path)
    form = FORMATS.get(target.suffix.lower())
    if form is None:
        raise Refused(f"path must end in one of {', '.join(FORMATS)}, but is {target.name!r}; rename it.")
    if isinstance(image, bytes):
        image = _opened(image)
    memory = io.BytesIO()
    image.convert("RGB").save(memory, format=form, quality=92)
    return write_bytes(memory.getvalue(), target)


def _opened(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, ValueError, SyntaxError) as reason:
        raise Refused(
            f"image must hold the bytes of an image file, but these {len(data)} bytes cannot be read as one."
        ) from reason
    return image


def write_bytes(data: bytes, path: str | os.PathLike[str]) -> Path:
    """Write a file under a temporary name beside its place and move it there, so that it is whole or absent.

    Raises:
        Refused: where the folder cannot be made or the file cannot be written.
    """
    target = Path(path)
    part = target.parent / f".{uuid.uuid4().hex}.part"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, target)
    except (OSError, ValueError) as reason:
        why = getattr(reason, "strerror", None) or reason
        raise Refused(f"path {str(target)!r} cannot be written ({why}); choose another place.") from reason
    finally:
        with suppress(OSError, ValueError):
            part.unlink(missing_ok=True)
    return target
