"""What a request gives back: words to show, data for a program, files that were written; and how they are written."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from condvae import pictures
from condvae.errors import Refused
from condvae.intake import shown
from condvae.names import counted

__all__ = ["Reply", "aligned", "cell", "check_amount", "counted", "is_arrays", "texts", "write_npz"]


@dataclass(frozen=True)
class Reply:
    """What a request gave: lines of words, `data` for a program (JSON), the files written, and notes on the way.

    arrays: what an npz of it holds, by name, where there is one.
    """

    lines: tuple[str, ...] = ()
    data: Any = None
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    arrays: Mapping[str, np.ndarray] | None = None


def check_amount(n: int, each: int, most: int) -> None:
    """Refuse n draws of `each` values that are more than `most` together, before any work is done."""
    if n >= 1 and n * each > most:
        raise Refused(f"n may be at most {most // each:,} here; got {n:,}")


def is_arrays(target: str) -> bool:
    """Whether a file to write holds arrays, not a picture."""
    return Path(target).suffix.lower() == ".npz"


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as lines, its columns aligned by blanks."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]


def texts(columns: Mapping[str, Sequence[Any] | np.ndarray]) -> dict[str, np.ndarray]:
    """Columns as arrays that need no pickle to be read: names as text, "" where unknown; numbers as float64."""
    return {name: plain(values) for name, values in columns.items()}


def plain(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """N values of a field as an array: text [N]; or float64 [N], of vectors [N, D], NaN where unknown."""
    if any(isinstance(value, float | tuple | np.ndarray) for value in values):
        numbers = np.asarray(values, np.float64)
        return numbers[:, 0] if numbers.ndim == 2 and numbers.shape[1] == 1 else numbers
    return np.asarray([value or "" for value in values], np.str_)


def write_npz(target: str, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write arrays as an npz file, whole or not at all."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:  # numpy.savez takes no array called "file"
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(values), allow_pickle=False)
    return pictures.write_bytes(memory.getvalue(), target)


def cell(value: Any) -> str:
    """A value as a table holds it, "" where it is unknown."""
    if isinstance(value, str):
        return value
    word = shown(value).replace("?", "")
    return word if word.strip(":") else ""
