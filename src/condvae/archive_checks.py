"""What of a stranger's zip is taken, told by its table of contents alone: before anything is unpacked."""

from __future__ import annotations

import re
import stat
import unicodedata
import zipfile
from collections.abc import Sequence
from pathlib import Path

from condvae.columns import SUFFIXES as TABLES
from condvae.errors import Refused
from condvae.images_files import SUFFIXES as PICTURES
from condvae.limits import DENSEST, ENTRIES, FREE, LARGEST_FILE, LARGEST_ZIP
from condvae.names import counted, printable

__all__ = ["chosen", "suffix"]

READ = PICTURES | TABLES
PACKED = {".zip", ".npz", ".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".jar"}
JUNK = {"__macosx", "thumbs.db", "desktop.ini"}
DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
UNSAFE = re.compile(r"[\x00-\x1f\x7f]")
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}  # LZMA would name the memory that it takes


def chosen(
    entries: Sequence[zipfile.ZipInfo], packed: int, called: str
) -> tuple[dict[str, zipfile.ZipInfo], list[str]]:
    """(place in the folder -> entry, notes) of what is taken of a zip of `packed` bytes; Refused as `unpacked`."""
    if len(entries) > ENTRIES:
        raise Refused(f"{called} holds {len(entries):,} files, and a zip may hold {ENTRIES:,}; pack fewer")
    for entry in entries:
        check_name(entry.orig_filename, called)
        check_entry(entry, called)
    check_sums(entries, packed, called)
    files = [entry for entry in entries if not entry.is_dir()]
    junk = [entry for entry in files if is_junk(entry.filename)]
    rest = [entry for entry in files if not is_junk(entry.filename)]
    taken = [entry for entry in rest if suffix(entry) in READ]
    check_holding(rest, called)
    places = stripped([entry.filename for entry in taken])
    check_places(places, called)
    notes = []
    if junk:
        what = counted(len(junk), "file that a system left", "files that systems left")
        notes.append(f"{what} in {called} passed over: {few(junk)}")
    if others := [entry for entry in rest if suffix(entry) not in READ]:
        what = counted(len(others), "file that is no picture", "files that are no pictures")
        notes.append(f"{what} in {called} passed over: {few(others)}")
    return dict(zip(places, taken, strict=True)), notes


def check_name(name: str, called: str) -> None:
    """Refuse a name by which a file would lie outside of the folder, or nowhere on some system."""
    shown = printable(name)[:80]
    parts = name.rstrip("/").split("/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in parts or "\\" in name or "\0" in name:
        raise Refused(f"{called} holds {shown!r}, a name that leads out of its folder; pack it anew")
    if UNSAFE.search(name) or any(part in ("", ".") or DEVICE.fullmatch(part.strip(" .")) for part in parts):
        raise Refused(f"{called} holds {shown!r}, a name that not every system takes; rename it and pack it anew")
    if len(parts) > 20 or any(len(part.encode("utf-8", "replace")) > 200 for part in parts):
        raise Refused(f"{called} holds {shown!r}, a name that is too long or too deep; rename it and pack it anew")


def check_entry(entry: zipfile.ZipInfo, called: str) -> None:
    """Refuse an entry that is encrypted, no file or folder, too large, or packed too densely."""
    shown = printable(entry.filename)[:80]
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "no file"
        raise Refused(f"{called} holds {shown!r}, which is {what}; pack the files themselves")
    if entry.flag_bits & 0x41:
        raise Refused(f"{called} is encrypted ({shown}); pack it without a password")
    if entry.compress_type not in METHODS:
        raise Refused(f"{called} is packed by a method that is not known here ({shown}); pack it as a plain zip")
    if entry.file_size > LARGEST_FILE:
        raise Refused(
            f"{called} holds {shown!r} of {entry.file_size / 1e6:,.0f} MB, and a file in it may have "
            f"{LARGEST_FILE // 10**6}; scale it down"
        )
    if entry.file_size > FREE and entry.file_size > DENSEST * entry.compress_size:
        raise Refused(bomb(called, shown, entry.file_size, entry.compress_size))


def check_sums(entries: Sequence[zipfile.ZipInfo], packed: int, called: str) -> None:
    """Refuse what is too large, or too densely packed, together; or of which several entries share their bytes."""
    whole = sum(entry.file_size for entry in entries)
    if whole > LARGEST_ZIP:
        raise Refused(
            f"{called} unpacks to {whole / 1e6:,.0f} MB, and {LARGEST_ZIP // 10**6:,} is the most; pack fewer or "
            "smaller pictures"
        )
    within = sum(entry.compress_size for entry in entries)
    if within > packed:
        raise Refused(f"{called} holds files that overlap, as no zip of pictures does; pack it anew")
    if whole > FREE and whole > DENSEST * within:
        raise Refused(bomb(called, "all of it", whole, within))


def bomb(called: str, what: str, size: int, packed: int) -> str:
    return (
        f"{called} is packed more densely than pictures are: {what} would grow from {packed:,} to {size:,} bytes, and "
        f"{DENSEST} times is the most"
    )


def check_holding(files: Sequence[zipfile.ZipInfo], called: str) -> None:
    """Refuse a zip in which another is packed, or that holds no picture."""
    pictures = any(suffix(entry) in PICTURES for entry in files)
    if not pictures and files and all(suffix(entry) == ".npy" for entry in files):
        raise Refused(f"{called} is an npz file of arrays; give it with its own ending, .npz")
    within = [entry for entry in files if suffix(entry) in PACKED]
    table = next((entry for entry in files if suffix(entry) in TABLES | {".npz"}), None)
    if not pictures and table is not None and len(within) <= (suffix(table) == ".npz"):
        raise Refused(
            f"{called} holds no pictures but {printable(table.filename)[:80]}; give that file itself, unpacked"
        )
    if within:
        shown = printable(within[0].filename)[:80]
        raise Refused(f"{called} holds another archive, {shown!r}; unpack that, and pack the pictures alone")
    if not pictures:
        raise Refused(f"{called} holds no pictures; files that end in {', '.join(sorted(PICTURES))} are read")


def check_places(places: Sequence[str], called: str) -> None:
    """Refuse two files of one name, also where only upper and lower case differ, and a file that is a folder, too."""
    seen: dict[str, str] = {}
    for place in places:
        key = unicodedata.normalize("NFC", place).casefold()
        if key in seen:
            both = f"{printable(seen[key])[:80]!r} and {printable(place)[:80]!r}"
            raise Refused(f"{called} holds {both}, one name on some systems; rename one and pack it anew")
        seen[key] = place
    for place in places:
        parts = unicodedata.normalize("NFC", place).casefold().split("/")
        for deep in range(1, len(parts)):
            if "/".join(parts[:deep]) in seen:
                raise Refused(f"{called} holds {printable(place)[:80]!r} within a file, not a folder; pack it anew")


def stripped(names: Sequence[str]) -> list[str]:
    """The names without the folders that all of them share."""
    parts = [name.split("/") for name in names]
    while parts and all(len(one) > 1 and one[0] == parts[0][0] for one in parts):
        parts = [one[1:] for one in parts]
    return ["/".join(one) for one in parts]


def is_junk(name: str) -> bool:
    """Whether a file is what a system left behind, or hidden."""
    return any(part.startswith(".") or part.casefold() in JUNK for part in name.split("/"))


def suffix(entry: zipfile.ZipInfo) -> str:
    return Path(entry.filename).suffix.lower()


def few(entries: Sequence[zipfile.ZipInfo]) -> str:
    return ", ".join(printable(entry.filename)[:60] for entry in entries[:3]) + (", ..." if len(entries) > 3 else "")
