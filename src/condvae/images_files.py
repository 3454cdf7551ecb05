"""One image file in any of Pillow's modes: opened, made grey or coloured, cut and resized; what was done is noted."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from condvae.errors import Refused

__all__ = [
    "BROKEN",
    "FORMATS",
    "LARGEST",
    "SUFFIXES",
    "cut_to",
    "is_grey",
    "open_image",
    "read_bytes",
    "resized",
    "to_array",
]

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm"}
# Pillow's names of what those files hold, whatever they are called; no reader that starts another program.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM")
LARGEST = 50_000_000  # pixels of an image file
COUNTED = 2_000_000  # bytes of a file up to which its frames are counted, for each must be looked for
TURNED = range(2, 9)  # EXIF's orientations that are not upright
COLOURS = {"CMYK": "the colours of print (CMYK)", "LAB": "LAB colours", "YCbCr": "YCbCr colours", "HSV": "HSV colours"}
DEEP = ("I", "F")  # modes of more than 8 bits a pixel begin so

# What Pillow's readers raise for damaged files.
BROKEN = (
    UnidentifiedImageError,
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def open_image(path: Path, name: str, notes: list[str]) -> Image.Image:
    """The first frame of an image file, whole in memory, turned as its EXIF says.

    name: what the file is called in refusals and in `notes`, which take up what was done.

    Raises:
        Refused: a missing file, one that is no image, is cut off, or has more than 50 million pixels.
    """
    try:
        with Image.open(path, formats=FORMATS) as opened:
            if opened.width * opened.height > LARGEST:
                raise Refused(f"{name} has {opened.width} x {opened.height} pixels; scale it down first")
            if (frames := frames_of(opened, path)) is not None:
                notes.append(f"{name} holds {frames}; the first is taken")
            turned = opened.getexif().get(ExifTags.Base.Orientation) in TURNED
            image = ImageOps.exif_transpose(opened)
            image.load()
    except FileNotFoundError:
        raise Refused(f"there is no file '{path}'") from None
    except Image.DecompressionBombError:
        raise Refused(f"{name} has more than {LARGEST:,} pixels; scale it down first") from None
    except BROKEN as error:
        if isinstance(error, Refused):
            raise
        raise Refused(
            f"{name} cannot be read as an image ({type(error).__name__}); it is cut off or no image"
        ) from None
    if turned:
        notes.append(f"{name} was turned upright, as its EXIF says")
    return image


def frames_of(opened: Image.Image, path: Path) -> str | None:
    """How many frames an animation has, in words; None for a still picture."""
    if not getattr(opened, "is_animated", False):
        return None
    few = opened.format in ("PNG", "WEBP") or path.stat().st_size <= COUNTED  # whose headers tell, or soon counted
    return f"{getattr(opened, 'n_frames', 2)} frames" if few else "several frames"


def to_array(image: Image.Image, channels: int, name: str, notes: list[str]) -> np.ndarray:
    """float32 [C, H, W] in [0, 1] of a picture in any of Pillow's modes.

    Alpha is laid on black or white, whichever its transparent parts suit. Refused where a deep image holds values
    beyond 16 bits.
    """
    if image.mode.startswith(DEEP):
        deep = np.asarray(image, np.float32)
        top = 65535.0 if image.mode.startswith("I") else max(1.0, float(deep.max()))
        if not np.isfinite(deep).all() or deep.min() < 0 or deep.max() > top:
            raise Refused(
                f"{name} holds values from {deep.min():g} to {deep.max():g}; save it with 8 or 16 bits a pixel"
            )
        notes.append(f"{name} has more than 8 bits a pixel; it was scaled to 0..1")
        grey = deep / top
        return np.stack([grey] * channels)
    if image.mode in COLOURS:  # LAB is turned into RGB alone
        notes.append(f"{name} has {COLOURS[image.mode]}; they were turned into red, green and blue")
        image = image.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = _laid_on_ground(image, name, notes)
    grey = image.mode in ("1", "L", "LA")
    if channels == 1 and not grey:
        colour = np.asarray(image.convert("RGB"))
        if (colour != colour[..., :1]).any():
            notes.append(f"{name} is in colour; it was made grey")
    if channels == 3 and grey:
        notes.append(f"{name} is grey; its three colours are alike")
    array = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.float32) / 255
    return np.ascontiguousarray(array[None] if channels == 1 else array.transpose(2, 0, 1))


def _laid_on_ground(image: Image.Image, name: str, notes: list[str]) -> Image.Image:
    """A picture with alpha, laid on white where what shows of it is dark, else on black."""
    image = image.convert("RGBA")
    alpha = np.asarray(image)[..., 3]
    if not (alpha < 255).any():
        return image
    dark = float(np.asarray(image.convert("L"))[alpha >= 128].mean()) < 128 if (alpha >= 128).any() else False
    ground = Image.new("RGBA", image.size, (255, 255, 255, 255) if dark else (0, 0, 0, 255))
    notes.append(f"{name} is transparent in places; it was laid on {'white' if dark else 'black'}")
    return Image.alpha_composite(ground, image)


def resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """float32 [C, H, W] -> [C, height, width]: averaged over areas where it shrinks, between pixels where it grows."""
    rule = Image.Resampling.BOX if pixels.shape[2] > width else Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(one).resize((width, height), rule)) for one in pixels])


def read_bytes(path: Path, size: tuple[int, int] | None, notes: list[str]) -> np.ndarray:
    """An image file as uint8 [C, H, W], C = 1 where no pixel is coloured, else 3.

    size: (height, width) to which it is cut, around its middle, and resized; None = as it is. What was done is noted
    of "each", so that the notes of many files can be counted.

    Raises:
        Refused: as `open_image` and `to_array`.
    """
    name = str(path)
    said: list[str] = []
    image = open_image(path, name, said)
    if image.mode not in ("L", "RGB") or "transparency" in image.info:
        try:
            pixels = to_array(image, 1 if is_grey(image) else 3, name, said)
        except BROKEN as error:  # a mode that Pillow does not convert, or values beyond 16 bits
            raise Refused(f"{name} cannot be read: {str(error).removeprefix(f'{name} ')}") from None
        array = np.rint(pixels * 255).astype(np.uint8).transpose(1, 2, 0)
        image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    notes += [f"each{one.removeprefix(name)}" for one in said]
    if size is not None and (image.height, image.width) != size:
        image = cut_to(image, *size)
    array = np.asarray(image)
    if array.ndim == 2:
        return array[None]
    if (array == array[..., :1]).all():
        return array[None, ..., 0]
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def is_grey(image: Image.Image) -> bool:
    """Whether a picture's mode has no colour."""
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith(DEEP)


def cut_to(image: Image.Image, height: int, width: int) -> Image.Image:
    """The middle of a picture of the asked aspect, as large as it can be, resized."""
    wide = min(image.width, image.height * width / height)
    high = min(image.height, image.width * height / width)
    left, top = (image.width - wide) / 2, (image.height - high) / 2
    rule = Image.Resampling.BOX if wide > width else Image.Resampling.BILINEAR
    return image.resize((width, height), rule, (left, top, left + wide, top + high))
