"""The columns of a user's table as text: CSV, TSV and Parquet files, data frames, dicts of columns.

Rows are counted from 1, below the header. pandas and pyarrow are needed for Parquet alone.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from condvae.errors import Refused
from condvae.fields import listed
from condvae.names import label_name

__all__ = ["SUFFIXES", "Cells", "is_table", "names_in", "read_columns"]

Cells = dict[str, list[str | None]]

SUFFIXES = {".csv", ".tsv", ".parquet"}
UNKNOWN = frozenset({"", "?", "na", "n/a", "nan", "none", "null"})  # in any case
DELIMITERS = (",", ";", "\t")
SNIFFED = 20  # rows looked at for the delimiter

_COMMA = re.compile(r"[+-]?[0-9]+(,[0-9]+)?")


def read_columns(table: Any, notes: list[str] | None = None) -> Cells:
    """The columns of a .csv, .tsv or .parquet file, a data frame or a dict of columns: name -> text, None = unknown.

    Blank, "?", "NA", "nan" and "none" are unknown. Numbers are text as Python writes them, bools "True" and "False".
    notes: takes up what was decided, in words.

    Raises:
        Refused: a file that is missing or cannot be read, a row of another number of cells, two columns of one name,
            columns of different lengths, a table without rows.
    """
    said = notes if notes is not None else []
    if isinstance(table, str | Path):
        path = Path(table)
        found = cells_of(_frame(path), path.name) if path.suffix.lower() == ".parquet" else _read_text(path, said)
        return _checked(found, str(path))
    return _checked(cells_of(table, "the table"), "the table")


def is_table(x: object) -> bool:
    """Whether x is a data frame or a dict of columns."""
    return isinstance(x, Mapping) or (hasattr(x, "columns") and hasattr(x, "__getitem__"))


def cells_of(table: Any, name: str) -> Cells:
    """A data frame, or a dict of equally long columns, as text."""
    if not is_table(table):
        raise Refused(f"{name} must be a file, a data frame or a dict of columns; got {type(table).__name__}")
    names = list(table) if isinstance(table, Mapping) else list(table.columns)
    called = [str(one) for one in names]
    doubled = next((one for one in called if called.count(one) > 1), None)
    if doubled is not None:
        raise Refused(f"two columns of {name} are called {doubled!r}; give each its own name")
    found: Cells = {}
    for one in names:
        values = table[one]
        if not listed(values):
            raise Refused(f"the column {one!r} of {name} must be a list or array of values, got {values!r:.60}")
        shape = tuple(getattr(values, "shape", ()))
        if shape[1:] == (1,):
            values = np.reshape(values, -1)
        elif len(shape) > 1:
            raise Refused(
                f"the column {one!r} of {name} must hold one value a row, got the shape {list(shape)}; give each of "
                "its numbers a column"
            )
        if str(getattr(values, "dtype", "")) in ("float16", "float32"):
            values = np.asarray(values)  # a data frame's own entries widen 0.1 to 0.10000000149011612
        found[str(one)] = [_cell(value, str(one), row) for row, value in enumerate(values)]
    return found


def _cell(value: object, column: str, row: int) -> str | None:
    try:
        text = label_name(value if not _dated(value) else None if str(value) == "NaT" else str(value))
    except Refused as refused:
        raise Refused(f"row {row + 1} of the column {column!r} cannot be read: {refused}") from None
    return _known(text)


class Memo(dict[str, str | None]):
    """Text as it stands in a file -> what it says; the same text is looked at once."""

    def __missing__(self, text: str) -> str | None:
        self[text] = _known(label_name(text))
        return self[text]


def _dated(value: object) -> bool:
    """Whether it is a date or a time, which is a name as it is written."""
    return hasattr(value, "isoformat") or isinstance(value, np.datetime64 | np.timedelta64)


def _known(text: str | None) -> str | None:
    return None if text is None or text.lower() in UNKNOWN else text


def _checked(cells: Cells, name: str) -> Cells:
    lengths = {len(column) for column in cells.values()}
    if not cells or lengths == {0}:
        raise Refused(f"{name} must hold a header and at least one row, got none; give it rows")
    if len(lengths) > 1:
        first, *others = cells
        other = next(one for one in others if len(cells[one]) != len(cells[first]))
        raise Refused(
            f"the columns of {name} must be equally long, got {len(cells[first]):,} values of {first!r} and "
            f"{len(cells[other]):,} of {other!r}"
        )
    return cells


def _frame(path: Path) -> Any:
    """The data frame in a Parquet file."""
    if not path.is_file():
        raise Refused(f"there is no file '{path}'")
    try:
        import pandas
        from pyarrow.lib import ArrowException
    except ImportError:
        raise Refused(
            f"{path} is Parquet, which needs pandas and pyarrow: pip install 'condvae[tables]'; or save it as CSV"
        ) from None
    try:
        return pandas.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError, KeyError, ArrowException) as error:
        raise Refused(f"{path} cannot be read as Parquet ({_short(error)}); write it anew") from None


def _read_text(path: Path, notes: list[str]) -> Cells:
    """The columns of a CSV or TSV file, its delimiter found; every row must have the header's number of cells."""
    text = _text(path)
    delimiter = _delimiter(text, path)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row]
    except csv.Error as error:
        raise Refused(f"{path} cannot be read as a table ({error}); save it as CSV anew") from None
    if not rows:
        raise Refused(f"{path} must hold a header and at least one row, got an empty file; give it rows")
    header, body = [name.strip() for name in rows[0]], rows[1:]
    for number, row in enumerate(body, 1):
        if len(row) != len(header):
            raise Refused(
                f"row {number} of {path} must have {len(header)} cells, as the header has, got {len(row)}; put a text "
                f"that holds {delimiter!r} in quotes"
            )
    doubled = next((name for name in header if name and header.count(name) > 1), None)
    if doubled is not None:
        raise Refused(f"two columns of {path} are called {doubled!r}; give each its own name")
    nameless = header.count("")
    if nameless:
        notes.append(f"{nameless} column(s) of {path.name} without a name were left out.")
    cells = Memo()
    found = {name: [cells[row[i]] for row in body] for i, name in enumerate(header) if name}
    if delimiter != ",":
        _decimal_points(found, path, notes)
    return found


def _text(path: Path) -> str:
    """A file's text: UTF-8, with or without its mark, or UTF-16 with its mark."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise Refused(f"there is no file '{path}'") from None
    except OSError as error:
        raise Refused(f"{path} cannot be read ({error.strerror}); give another file") from None
    coding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return raw.decode(coding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise Refused(f"{path} is not UTF-8 (line {line}); save it as CSV UTF-8") from None


def _delimiter(text: str, path: Path) -> str:
    """The delimiter under which the header has most cells and the first rows as many; a comma where none has two."""
    head = text.splitlines(keepends=True)[: SNIFFED + 1]
    best, most = "\t" if path.suffix.lower() == ".tsv" else ",", (False, 1)
    for delimiter in DELIMITERS:
        try:
            rows = [row for row in csv.reader(io.StringIO("".join(head), newline=""), delimiter=delimiter) if row]
        except csv.Error:
            continue
        if not rows or len(rows[0]) < 2:
            continue
        even = all(len(row) == len(rows[0]) for row in rows)
        if (even, len(rows[0])) > most:
            best, most = delimiter, (even, len(rows[0]))
    return best


def _decimal_points(cells: Cells, path: Path, notes: list[str]) -> None:
    """Numbers with a decimal comma, as in 1,5, with a point; said in words."""
    changed: list[str] = []
    for name, column in cells.items():
        known = [cell for cell in column if cell is not None]
        if any("," in cell for cell in known) and all(_COMMA.fullmatch(cell) for cell in known):
            cells[name] = [None if cell is None else cell.replace(",", ".") for cell in column]
            changed.append(name)
    if changed:
        notes.append(f"Commas in the numbers of {', '.join(changed)} in {path.name} are read as decimal points.")


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:100]


def names_in(columns: Sequence[str]) -> str:
    """Names as a list in words, at most 20 of them."""
    return ", ".join(columns[:20]) + (f", ... ({len(columns)} in all)" if len(columns) > 20 else "")
