"""A folder of images as a collection: a class a sub-folder, or a table that tells of each file, or neither.

Images are kept as uint8 in memory: one channel where every image is grey, else three.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from condvae.data import Collection, Part, part_with
from condvae.downloads import Progress
from condvae.errors import Refused
from condvae.fields import listed
from condvae.folder_labels import labels_of_files
from condvae.images import Images
from condvae.images_files import SUFFIXES, read_bytes
from condvae.kinds import Column, check_column, check_kinds, check_named, kinds_words, read_cells
from condvae.names import counted, label_name

__all__ = ["image_files", "load_folder", "size_of"]

CLASS = "class"
TRAIN, TEST = {"train", "training"}, {"test", "testing"}
UNREAD = {"val", "valid", "validation"}
AT_ONCE = 256  # files that are read side by side
LARGE = 128 * 128  # pixels, above which a smaller size is proposed
SKIP = "leave such files out with skip_bad=True (--skip-bad)"


@dataclass
class Read:
    """The pixels of the files that could be read, and which files they are."""

    pixels: np.ndarray
    rows: np.ndarray


def load_folder(
    folder: Path,
    attributes: Path | None = None,
    file_column: str | None = None,
    fields: Sequence[str] | None = None,
    size: int | str | Sequence[int] | None = None,
    skip_bad: bool = False,
    kinds: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Collection:
    """Return the collection in a folder of images; its notes say in words what was decided.

    With a table (`attributes`, or the only .csv in the folder) its columns are the fields; without, sub-folders are
    classes, the field "class"; without either it is a collection for a plain VAE. Sub-folders "train" and "test" are
    the two parts. Hidden files and __MACOSX are passed over.

    Args:
        attributes, file_column, fields: see `condvae.folder_labels.labels_of_files`. size: see `size_of`; images are
            cut around their middle to its aspect, and resized. skip_bad: leave out images that cannot be read, and
            rows that name none, and say so. kinds: field -> what it is. progress: called as progress(done, total).

    Raises:
        Refused: a folder without images, images that cannot be read or differ in size, an unusable table.
    """
    target, told = size_of(size), check_kinds(kinds)
    files = image_files(folder)
    table, notes = attributes or found_table(folder), []
    if table is None and (file_column is not None or fields is not None):
        word = "file_column" if file_column is not None else "fields"
        raise Refused(
            f"{word} goes with a table of attributes, and {folder} holds no single .csv; name one with attributes "
            "(--attributes)"
        )
    parts, inner = split_parts(files, notes)
    columns = []
    if table is not None:
        columns, said = labels_of_files(table, folder, files, file_column, fields, told, skip_bad)
        notes += said
    else:
        columns = classes(inner, parts, folder, notes)
        check_named(list(told), [one.name for one in columns], "kinds")
        columns = [read_cells(one.name, one.names, told.get(one.name, "label")) for one in columns]
    remedy = "leave it out: name the other columns with fields (--fields)" if table else "leave it out"
    check_all(columns, parts == 0, remedy, told)
    wanted = np.flatnonzero(parts >= 0)
    read = read_all(folder, [files[i] for i in wanted], target, skip_bad, notes, progress)
    rows = wanted[read.rows]
    train, test = (cut(read.pixels, columns, rows, parts[rows] == part) for part in (0, 1))
    if train is None:
        raise Refused(f"no image of the train part of {folder} can be read; mend them")
    if len(rows) < len(wanted):
        check_all(columns, np.isin(np.arange(len(files)), rows) & (parts == 0), remedy, told)
    notes += kinds_words(columns)
    return Collection(folder.resolve().name, train, test, tuple(notes), str(folder))


def check_all(columns: Sequence[Column], here: np.ndarray, remedy: str, told: Mapping[str, str]) -> None:
    """Refuse columns from which nothing can be learned in the files where `here` is true; before images are read."""
    for one in columns:
        check_column(one.take(np.flatnonzero(here)), remedy, meant=one.name in told)


def cut(pixels: np.ndarray, columns: Sequence[Column], rows: np.ndarray, here: np.ndarray) -> Part | None:
    """The part of the images where `here` [N] is true, `rows` their files' numbers; None where there is none."""
    if not here.any():
        return None
    own = pixels if here.all() else pixels[here]
    images = Images(torch.from_numpy(own), "NCHW", float(own.min()), float(own.max()))
    return part_with(images, [column.take(rows[here]) for column in columns])


def size_of(size: int | str | Sequence[int] | None) -> tuple[int, int] | None:
    """(height, width) from 64, "64", "64x48" (height x width) or (64, 48); None stays None."""
    if size is None:
        return None
    one: Any = size
    parts = re.split(r"[x×]", one.lower()) if isinstance(one, str) else [*one] if listed(one) else [one]
    try:
        numbers = [int(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if not 1 <= len(numbers) <= 2 or not all(4 <= number <= 4096 for number in numbers):
        raise Refused(f"size must be a side of 4 to 4096 pixels, 64, or height x width, '64x48'; got {size!r}")
    return numbers[0], numbers[-1]


def image_files(folder: Path) -> list[str]:
    """The image files in a folder and its sub-folders, as paths in it with "/", in order; Refused where none is."""
    found = sorted(_walk(folder))
    if not found:
        raise Refused(
            f"{folder} holds no images; files that end in {', '.join(sorted(SUFFIXES))} are read, in it and in its "
            "sub-folders"
        )
    return found


def _walk(folder: Path) -> Iterator[str]:
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [one for one in folders if not one.startswith(".") and one != "__MACOSX"]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield (Path(root) / name).relative_to(folder).as_posix()


def found_table(folder: Path) -> Path | None:
    """The only .csv that lies in the folder itself."""
    tables = [one for one in sorted(folder.glob("*.[cC][sS][vV]")) if one.is_file() and not one.name.startswith(".")]
    return tables[0] if len(tables) == 1 else None


def split_parts(files: Sequence[str], notes: list[str]) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """Of each file: its part (0 train, 1 test, -1 not read), and the sub-folders it lies in below its part.

    Folders that all files share are stepped into first.
    """
    inner = [tuple(name.split("/")[:-1]) for name in files]
    levels = zip(*inner, strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    inner = [folders[shared:] for folders in inner]
    tops = {folders[0].lower() if folders else "" for folders in inner}
    if not tops & TRAIN or not tops - TRAIN or not tops <= TRAIN | TEST | UNREAD:
        return np.zeros(len(files), np.int64), inner
    parts = np.asarray([0 if f[0].lower() in TRAIN else 1 if f[0].lower() in TEST else -1 for f in inner])
    if tops & TEST:
        notes.append("The sub-folders train and test are the two parts.")
    if (parts < 0).any():
        notes.append(
            f"{counted(int((parts < 0).sum()), 'image')} in {', '.join(sorted(tops & UNREAD))} left unread; for "
            "validation, rows are held out of train."
        )
    return parts, [folders[1:] for folders in inner]


def classes(inner: Sequence[tuple[str, ...]], parts: np.ndarray, folder: Path, notes: list[str]) -> list[Column]:
    """The field "class", from the first sub-folder of each file; none where the training images lie in fewer than two.

    What lies beside the sub-folders is of unknown class.
    """
    names = [label_name(folders[0]) if folders else None for folders in inner]
    found = sorted({name for name, part in zip(names, parts, strict=True) if name is not None and part == 0})
    if len(found) < 2:
        notes.append(
            f"{folder.resolve().name} holds no classes, as two or more sub-folders would be, and no single .csv that "
            "tells of its images, which attributes (--attributes) would name."
        )
        return []
    notes.append(f"The {len(found):,} sub-folders of {folder.resolve().name} are the classes, the field {CLASS!r}.")
    loose = sum(name is None for name in names)
    if loose:
        notes.append(f"{counted(loose, 'image lies', 'images lie')} beside the sub-folders, of unknown class.")
    return [Column(CLASS, "label", tuple(names))]


def read_all(
    folder: Path,
    files: Sequence[str],
    size: tuple[int, int] | None,
    skip_bad: bool,
    notes: list[str],
    progress: Progress | None,
) -> Read:
    """The images as uint8 [N, C, H, W] and the numbers of their files; Refused where they differ in size."""
    images: list[np.ndarray] = []
    rows: list[int] = []
    bad: list[tuple[str, str]] = []
    done_to: dict[str, list[str]] = {}
    for number, (pixels, why, said) in enumerate(_each(folder, files, size)):
        if progress is not None:
            progress(number + 1, len(files))
        if pixels is None:
            if not skip_bad:
                raise Refused(f"{why}; mend or remove it, or {SKIP}")
            bad.append((files[number], why))
            continue
        for one in said:
            done_to.setdefault(one, []).append(files[number])
        if images and pixels.shape[1:] != images[0].shape[1:]:
            raise Refused(_differ(folder, files[rows[0]], images[0], files[number], pixels))
        images.append(pixels)
        rows.append(number)
    if not images:
        raise Refused(f"none of the {len(files):,} images of {folder} can be read; the first: {bad[0][1]}")
    if bad:
        notes.append(f"{counted(len(bad), 'image')} skipped, unreadable: {_few([name for name, _ in bad])}.")
    notes += [f"{counted(len(names), 'image')} ({_few(names)}): {what}." for what, names in done_to.items()]
    stacked = _stacked(images, notes)
    if size is not None:
        notes.append(f"Images are cut around their middle and resized to {size[0]} x {size[1]} pixels, height x width.")
    elif stacked.shape[2] * stacked.shape[3] > LARGE:
        notes.append(
            f"{stacked.shape[2]} x {stacked.shape[3]} pixels are many: size=64 (--size 64) makes the images smaller, "
            "and training faster."
        )
    return Read(stacked, np.asarray(rows))


def _each(
    folder: Path, files: Sequence[str], size: tuple[int, int] | None
) -> Iterator[tuple[np.ndarray | None, str, list[str]]]:
    """Of each file in order: its pixels or None, why it cannot be read, and what was done to it."""

    def one(name: str) -> tuple[np.ndarray | None, str, list[str]]:
        said: list[str] = []
        try:
            return read_bytes(folder / name, size, said), "", said
        except Refused as refused:
            return None, str(refused), []

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(files), AT_ONCE):
            yield from pool.map(one, files[start : start + AT_ONCE])


def _stacked(images: list[np.ndarray], notes: list[str]) -> np.ndarray:
    """All images as one array, of one channel where none is coloured, else three; the list is emptied on the way."""
    counts = Counter(len(one) for one in images)
    channels = 3 if counts[3] else 1
    if counts[3] and counts[1]:
        notes.append(
            f"{counted(counts[3], 'image is', 'images are')} in colour and {counts[1]:,} grey; all are kept in colour."
        )
    stacked = np.empty((len(images), channels, *images[0].shape[1:]), np.uint8)
    done = np.empty(0, np.uint8)
    for number in range(len(images)):
        stacked[number] = images[number]
        images[number] = done
    if stacked.max() == 1:
        raise Refused(
            "every pixel of the images is 0 or 1, where 255 is white: almost all black; save them with 255 for white"
        )
    return stacked


def _differ(folder: Path, first: str, one: np.ndarray, second: str, other: np.ndarray) -> str:
    (high, wide), (high2, wide2) = one.shape[1:], other.shape[1:]
    side = min(64, high, wide, high2, wide2)
    return (
        f"the images of {folder} must be of one size, got {first} of {high} x {wide} and {second} of {high2} x {wide2} "
        f"pixels (height x width); give the size that all are brought to, as size={side} or size='{side}x{side}', "
        f"height x width (--size {side})"
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
