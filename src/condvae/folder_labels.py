"""What a table says of the images of a folder: which column names the files, and which row belongs to which."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from condvae.columns import Cells, read_columns
from condvae.errors import Refused
from condvae.kinds import Column, Kind, check_named, read_cells
from condvae.names import counted

__all__ = ["labels_of_files"]

SEVERAL = -1  # a name that several files have


def labels_of_files(
    table: Path,
    folder: Path,
    files: Sequence[str],
    file_column: str | None = None,
    fields: Sequence[str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    skip_bad: bool = False,
) -> tuple[list[Column], list[str]]:
    """Read a table of attributes for the `files` of a folder, named by their paths in it, with "/".

    A cell names a file by its path in the folder or its name alone, with or without the suffix. A file that the table
    does not name is unknown in every field. Returns the fields, an entry a file, and what was done in words.

    Args:
        file_column: the column of file names; None = the one whose values are. fields: the columns that are read, None
            = every other. kinds: what they are, where it should not be decided here. skip_bad: leave out rows that
            name no image.

    Raises:
        Refused: a table without such columns, a row that names no image, two rows that name the same one.
    """
    notes: list[str] = []
    columns = read_columns(table, notes)
    index = names_of_files(files)
    where = found_column(columns, index, table, folder, file_column)
    rows = matched(columns[where], index, table, folder, files, skip_bad, notes)
    others = [name for name in columns if name != where]
    chosen = list(fields) if fields is not None else others
    check_named(chosen, others, "fields", f"columns of {table.name} beside the file names")
    check_named(list(kinds or {}), chosen, "kinds", "fields read")
    kept = np.flatnonzero(rows >= 0)
    numbers = (rows[kept] + 1).tolist()  # rows are counted from 1 below the header
    read = [
        read_cells(name, [columns[name][i] for i in rows[kept]], (kinds or {}).get(name), numbers) for name in chosen
    ]
    place = np.full(len(files), -1)
    place[kept] = np.arange(len(kept))
    notes.append(
        f"File names are in the column {where!r} of {table.name}, which tells of {counted(len(kept), 'image')}."
    )
    if len(kept) < len(files):
        absent = [name for name, row in zip(files, rows, strict=True) if row < 0]
        notes.append(
            f"{len(absent):,} of {len(files):,} images are not in {table.name} ({_first(absent[:3])}); they are "
            "trained on with every field unknown."
        )
    return [column.take(place) for column in read], notes


def names_of_files(files: Sequence[str]) -> dict[str, int]:
    """Every name by which a file may be called -> its number; SEVERAL where two may be meant.

    A longer name goes before a shorter: "a.png" means the one in the folder itself, if there is one. Names are in
    Unicode's composed form (NFC), as cells are: some systems write the files' decomposed.
    """
    found: dict[str, int] = {}
    called = [unicodedata.normalize("NFC", name) for name in files]
    depth = max((name.count("/") for name in files), default=0) + 1
    for kept in range(depth, 0, -1):
        for suffix in (True, False):
            fresh: dict[str, int] = {}
            for number, name in enumerate(called):
                parts = name.split("/")
                if kept > len(parts):
                    continue
                short = "/".join(parts[-kept:])
                short = short if suffix else str(PurePosixPath(short).with_suffix(""))
                if short in fresh and fresh[short] != number:
                    number = SEVERAL
                fresh[short] = number
            for short, number in fresh.items():
                found.setdefault(short, number)
    # A file's whole path is no other's short name.
    return found | {name: number for number, name in enumerate(called)}


def roots_of(folder: Path) -> tuple[str, ...]:
    """What may stand before a file's path in the folder."""
    whole = folder.resolve()
    return tuple(unicodedata.normalize("NFC", f"{one}/") for one in (whole.as_posix(), folder.as_posix(), whole.name))


def file_of(cell: str, index: Mapping[str, int], roots: Sequence[str]) -> int | None:
    """The number of the file that a cell names; None where there is none."""
    name = cell.replace("\\", "/").removeprefix("./")
    if name in index:
        return index[name]
    for root in roots:
        if name.startswith(root) and name.removeprefix(root) in index:
            return index[name.removeprefix(root)]
    return None


def found_column(columns: Cells, index: Mapping[str, int], table: Path, folder: Path, asked: str | None) -> str:
    """The column whose values are file names: the one asked for, else the one that names most files."""
    if asked is not None:
        check_named([asked], list(columns), "file_column", f"columns of {table.name}")
        return asked
    best, most, roots = "", 0, roots_of(folder)
    for name, cells in columns.items():
        known = {cell for cell in cells if cell is not None}
        hits = {number for cell in known if (number := file_of(cell, index, roots)) is not None}
        # Numbers may be files by accident, as an age of 20 is 20.png: most of a column's values must be.
        if len(hits) > most and len(hits) >= len(known) / 2:
            best, most = name, len(hits)
    if not best:
        example = next((cell for cell in next(iter(columns.values()), []) if cell), "nothing")
        raise Refused(
            f"no column of {table} names the images of {folder}: its columns are {', '.join(list(columns)[:20])}, its "
            f"first cell is {example!r}, and the first image is {next(iter(index), '')!r}; write the files' names into "
            "a column, or say which it is with file_column (--file-column)"
        )
    return best


def matched(
    cells: Sequence[str | None],
    index: Mapping[str, int],
    table: Path,
    folder: Path,
    files: Sequence[str],
    skip_bad: bool,
    notes: list[str],
) -> np.ndarray:
    """Which row of the table belongs to each file, int64 [files], -1 = none; rows without a file are refused."""
    rows = np.full(len(files), -1)
    missing: list[str] = []
    roots = roots_of(folder)
    for row, cell in enumerate(cells):
        number = None if cell is None else file_of(cell, index, roots)
        if number is None:
            missing.append(f"{cell!r} (row {row + 1})" if cell is not None else f"nothing (row {row + 1})")
            continue
        if number == SEVERAL:
            raise Refused(
                f"row {row + 1} of {table} names {cell!r}, and several files of {folder} are called so; write the "
                "sub-folder before the name"
            )
        if rows[number] >= 0:
            raise Refused(
                f"rows {rows[number] + 1} and {row + 1} of {table} both name {files[number]!r}; leave one of them out"
            )
        rows[number] = row
    if missing and not skip_bad:
        raise Refused(
            f"{len(missing):,} of {len(cells):,} rows of {table} name no image of {folder}, first {missing[0]}; mend "
            "the table, or leave such rows out with skip_bad=True (--skip-bad)"
        )
    if missing:
        notes.append(
            f"{counted(len(missing), 'row')} of {table.name} without an image, skipped: {_first(missing[:3])}."
        )
    return rows


def _first(shown: Sequence[str]) -> str:
    """At most three names, with dots where there may be more."""
    return ", ".join(shown) + (", ..." if len(shown) == 3 else "")
