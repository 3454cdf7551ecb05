"""What a file is by its first bytes, whatever its name says, and what it is called before people."""

from __future__ import annotations

import re
from os import PathLike

from condvae.names import printable

__all__ = ["HEAD", "PICTURE", "is_archive", "named_kind", "shown_name"]

HEAD = 1024  # bytes by which a file is known
LONGEST = 60  # characters of a file's name in a sentence

PICTURE = "a picture"

# Where a mark stands, the mark, and what to say of a file that has it.
MARKS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG", PICTURE),
    (0, b"\xff\xd8\xff", PICTURE),
    (0, b"GIF8", PICTURE),
    (8, b"WEBP", PICTURE),
    (0, b"II*\x00", PICTURE),
    (0, b"MM\x00*", PICTURE),
    (0, b"BM", PICTURE),
    (0, b"%PDF", "a PDF; save the picture in it as PNG"),
    (0, b"PK\x03\x04", "a zip archive, or an npz or office file, which is one inside"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "an xz archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x93NUMPY", "an array of numpy; save it as a picture, or data as an npz file"),
    (0, b"%!PS", "PostScript, which holds drawing commands, not pixels; export it as PNG"),
    (0, b"8BPS", "a Photoshop file; export it as PNG"),
    (4, b"ftypavif", "an AVIF; save it as PNG or JPEG"),
    (4, b"ftyphei", "a HEIC, as telephones make it; save it as PNG or JPEG"),
    (4, b"ftypmif1", "a HEIC, as telephones make it; save it as PNG or JPEG"),
    (4, b"ftyp", "a film; save a picture of it as PNG"),
    (0, b"\x1aE\xdf\xa3", "a film; save a picture of it as PNG"),
    (0, b"\x00\x00\x01\x00", "an icon; save it as PNG"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000; save it as PNG or JPEG"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000; save it as PNG or JPEG"),
    (0, b"MZ", "a program"),
    (0, b"\x7fELF", "a program"),
)
SVG = "an SVG, which holds drawing commands, not pixels; export it as PNG"
ARCHIVES = ("a zip", "an empty zip", "a RAR", "a 7z", "a gzip", "a bzip2", "an xz", "a zstd", "a tar")
UNSEEN = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def named_kind(head: bytes) -> str:
    """What a file that begins so is, in words that go on "it is ...": "an SVG, ...", "a text", "no known kind"."""
    if not head:
        return "empty"
    text = as_text(head)
    marks = (
        MARKS if text is None else [one for one in MARKS if len(one[1]) > 2]
    )  # a text may begin with any two letters
    known = next((said for place, mark, said in marks if head.startswith(mark, place)), None)
    if known is not None:
        return known
    if text is None:
        return "of no kind that is known here"
    lower = text.lstrip("\ufeff \t\r\n").lower()
    if "<svg" in lower:
        return SVG
    if lower.startswith(("<!doctype html", "<html", "<head", "<body", "<script")) or "<html" in lower:
        return "a page of HTML; save the picture itself"
    return "XML" if lower.startswith("<?xml") else "a text"


def as_text(head: bytes) -> str | None:
    """The bytes as text; None where they are none. A character that is cut off at the end does no harm."""
    wide = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    try:
        text = head.decode(wide)
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return None
        text = head[: error.start].decode(wide)
    return None if UNSEEN.search(text) else text


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so packs others."""
    return named_kind(head).startswith(ARCHIVES)


def shown_name(path: str | PathLike[str]) -> str:
    """A file's own name as a sentence may hold it, without folders, control characters and excess."""
    name = printable(str(path).replace("\\", "/").rstrip("/").rpartition("/")[2]).replace("\n", " ")
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}...{name[-LONGEST // 4 :]}"
