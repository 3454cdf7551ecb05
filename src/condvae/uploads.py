"""What a stranger uploads is bounded before it is opened: one picture here, a zip of pictures in `condvae.archives`."""

from __future__ import annotations

import shutil
from os import PathLike
from pathlib import Path

from PIL import Image

from condvae.archives import unpacked
from condvae.contents import HEAD, PICTURE, named_kind, shown_name
from condvae.errors import Refused
from condvae.images_files import BROKEN, FORMATS, SUFFIXES
from condvae.limits import LARGEST_FILE, LARGEST_PICTURE

__all__ = ["image_of", "shown_name", "unpacked"]

Notes = tuple[str, ...]


def image_of(path: str | PathLike[str], name: str | None = None) -> tuple[Path, Notes]:
    """The file of a picture that may be opened, and notes. Only its header is read, and nothing is unpacked.

    What it is is told by its contents. Where the name promises something else, a copy with the right ending is made
    beside it, so that every request takes it for the picture it is. The rest is done, and said, where the picture is
    read (`condvae.images_files`): the first frame of an animation is taken; print colours, more than 8 bits, palettes
    and transparency are converted; it is turned upright.

    Args:
        name: what the user calls it; by default the file's name. No sentence holds more of the path.

    Raises:
        Refused: more than 20 MB or 25 million pixels; what is no PNG, JPEG, WebP, GIF, BMP, TIFF or PPM, with what it
            is instead; a header that cannot be read.
    """
    path, called = Path(path), shown_name(name or path)
    head = first_bytes(path, called)
    size, kind = header(path, called, head)
    if size[0] * size[1] > LARGEST_PICTURE:
        raise Refused(f"{called} has {size[0]:,} x {size[1]:,} pixels{too_many()}")
    if path.suffix.lower() in SUFFIXES:
        return path, ()
    copy = path.with_name(f"{path.name}.{kind.lower()}")
    try:
        shutil.copyfile(path, copy)
    except OSError as error:
        raise Refused(f"{called} cannot be kept on the server ({error.strerror}); try again later") from None
    return copy, (f"{called} is read as the {kind} picture that it is",)


def first_bytes(path: Path, called: str) -> bytes:
    """The head of a file; Refused where it is none, empty, or larger than an image may be."""
    try:
        if not path.is_file():
            raise Refused(f"there is no file {called!r}; upload it again")
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise Refused(
                f"{called} has {size / 1e6:,.0f} MB, and a picture may have {LARGEST_FILE // 10**6}; scale it down or "
                "save it as JPEG"
            )
        with path.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError as error:
        raise Refused(f"{called} cannot be read ({error.strerror}); upload it again") from None
    if not head:
        raise Refused(f"{called} is empty; upload a picture, such as a PNG or JPEG")
    return head


def header(path: Path, called: str, head: bytes) -> tuple[tuple[int, int], str]:
    """((width, height), the format by its usual ending) of an image file; Refused where it is none."""
    try:
        with Image.open(path, formats=FORMATS) as opened:
            kind = {"MPO": "JPEG", "DIB": "BMP"}.get(str(opened.format), str(opened.format))
            return opened.size, kind
    except Image.DecompressionBombError:
        raise Refused(f"{called} has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels{too_many()}") from None
    except BROKEN:
        pass
    if named_kind(head) == PICTURE:
        raise Refused(f"{called} begins as a picture, and its header cannot be read: it is cut off or damaged")
    raise Refused(f"{called} is no picture that can be read here, as a PNG or JPEG is; it is {named_kind(head)}")


def too_many() -> str:
    """What is said of a picture with too many pixels, and what to do."""
    return f", and at most {LARGEST_PICTURE // 10**6} million are taken; scale it down"
