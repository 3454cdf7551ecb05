"""A zip of pictures from a stranger as a folder: checked by its table of contents, counted while it is unpacked.

The folder is whole or not there: all is written beside it under another name, and renamed at the end.
"""

from __future__ import annotations

import io
import shutil
import struct
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from PIL import Image

from condvae.archive_checks import chosen, suffix
from condvae.contents import HEAD, is_archive, named_kind, shown_name
from condvae.errors import Refused
from condvae.images_files import BROKEN as UNREADABLE
from condvae.images_files import FORMATS
from condvae.images_files import SUFFIXES as PICTURES
from condvae.limits import ENTRIES, LARGEST_FOLDER, LARGEST_PICTURE, LARGEST_ZIP
from condvae.names import printable

__all__ = ["unpacked"]

Notes = tuple[str, ...]
SIGNATURE = b"PK\x01\x02"  # of an entry in the table of contents
CONTENTS = 600 * ENTRIES  # bytes of that table
CHUNK = 1 << 20

# What zipfile and its unpackers raise for damaged files.
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    struct.error,
    NotImplementedError,
    OverflowError,
)


def unpacked(path: str | PathLike[str], into: str | PathLike[str], name: str | None = None) -> tuple[Path, Notes]:
    """Unpack a zip of pictures into the new folder `into`, as `condvae.datasets.load` reads one; (the folder, notes).

    Taken are pictures, whose sub-folders are classes, and tables, which tell of them. What systems leave behind and
    other files are passed over with a note; folders that hold everything are stripped.

    Args:
        into: does not exist yet, or is empty. name: what the user calls the zip; by default the file's name.

    Raises:
        Refused: what is no zip, or one that is damaged, encrypted, too large in any way, packed more densely than
            200:1, holds another archive, a link, no picture, or a name that leads out of the folder or that some
            system does not take. Nothing is left behind then.
    """
    path, folder = Path(path), Path(into)
    called = shown_name(name or path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"the folder {folder.name} for {called} is not empty; give another")
    beside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    with broken_words(called):
        try:
            with opened(path, called) as archive:
                kept, notes = chosen(archive.infolist(), path.stat().st_size, called)
                beside.mkdir(parents=True)
                write_all(archive, kept, beside, called)
            if folder.exists():
                folder.rmdir()
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return folder, tuple(notes)


@contextmanager
def broken_words(called: str) -> Iterator[None]:
    """What zipfile and the disk raise, as a sentence."""
    try:
        yield
    except Refused:
        raise
    except BROKEN as error:
        why = str(error).splitlines()[0].rstrip(".")[:100] if str(error) else type(error).__name__
        raise Refused(f"{called} is cut off, damaged or no zip ({why}); pack it anew") from None
    except OSError as error:
        raise Refused(f"{called} cannot be unpacked ({error.strerror or error}); nothing of it was kept") from None


class Watched(io.FileIO):
    """A zip's file that gives no more of its table of contents than may be believed: zipfile reads it in one piece."""

    def read(self, size: int | None = -1, /) -> bytes | None:
        if size is not None and size > CONTENTS:
            raise Refused(f"it holds more than {ENTRIES:,} files")
        data = super().read(-1 if size is None else size)
        if data is not None and data.startswith(SIGNATURE) and data.count(SIGNATURE) > ENTRIES:
            raise Refused(f"it holds more than {ENTRIES:,} files")
        return data


@contextmanager
def opened(path: Path, called: str) -> Iterator[zipfile.ZipFile]:
    """The archive, its file's size and table of contents bounded before they are read."""
    if (size := path.stat().st_size) > LARGEST_ZIP:
        raise Refused(f"{called} has {size / 1e6:,.0f} MB, and a zip may have {LARGEST_ZIP // 10**6:,}")
    with Watched(path) as stream:
        head = stream.read(HEAD) or b""
        if not is_archive(head) or not named_kind(head).startswith(("a zip", "an empty zip")):
            raise Refused(f"{called} is no zip; it is {named_kind(head)}")
        try:
            archive = zipfile.ZipFile(stream)  # pyright: ignore[reportArgumentType]
        except Refused:
            raise Refused(f"{called} holds more than {ENTRIES:,} files, which a zip may; pack fewer") from None
        with archive:
            yield archive


def write_all(archive: zipfile.ZipFile, kept: dict[str, zipfile.ZipInfo], folder: Path, called: str) -> None:
    """Write the entries below the folder; Refused where one is not what the table of contents says, or too large."""
    pixels = 0
    for place, entry in kept.items():
        data = content(archive, entry, called)
        if is_archive(data[:HEAD]):
            raise Refused(f"{called} holds another archive, {printable(place)[:80]!r}; pack the pictures alone")
        if suffix(entry) in PICTURES:
            pixels += pixels_of(data, place, called)
        if pixels > LARGEST_FOLDER:
            raise Refused(
                f"the pictures of {called} have more than {LARGEST_FOLDER:,} pixels together; scale them down"
            )
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, called: str) -> bytes:
    """The bytes of an entry, at most as many as it declares, and no fewer."""
    pieces: list[bytes] = []
    done = 0
    with archive.open(entry) as stream:
        while piece := stream.read(CHUNK):
            done += len(piece)
            if done > entry.file_size:
                break
            pieces.append(piece)
    if done != entry.file_size:
        shown = printable(entry.filename)[:80]
        raise Refused(f"{called} says that {shown!r} has {entry.file_size:,} bytes, which is not so; pack it anew")
    return b"".join(pieces)


def pixels_of(data: bytes, place: str, called: str) -> int:
    """The pixels that a picture's header tells of; 0 where it cannot be read, which the reader of the folder says."""
    shown = printable(place)[:80]
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError:
        pixels = LARGEST_PICTURE + 1
    except UNREADABLE:
        return 0
    if pixels > LARGEST_PICTURE:
        most = LARGEST_PICTURE // 10**6
        raise Refused(f"{called} holds {shown!r} of more than {most} million pixels; scale it down")
    return pixels
