"""What a column of a user's data is: a label, an attribute (yes or no) or a number; and its entries, read as such.

A column comes as names, one text an entry and None where it is unknown. What is decided by itself is said in words,
with how it is overridden; a column that cannot be learned from is refused by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from condvae.errors import Refused, suggest
from condvae.names import sort_names

__all__ = [
    "Column",
    "Kind",
    "Names",
    "as_numbers",
    "cells_kind",
    "check_column",
    "check_kinds",
    "check_named",
    "is_yes_no",
    "kinds_words",
    "label_values",
    "read_cells",
    "read_column",
]

Kind = Literal["label", "attribute", "number"]
Names = tuple[str | None, ...]
Place = Callable[[int], str]

KINDS: tuple[Kind, ...] = get_args(Kind)
FLAGS = {"label": "--label", "attribute": "--yes-no", "number": "--number"}
YES, NO = frozenset({"yes", "true", "y", "on"}), frozenset({"no", "false", "n", "off"})

MANY_WHOLE = 20  # different whole numbers of a table's column, above which it is a number
MANY_NAMES = 50  # different names, above which a label may be an identifier
SHOWN = 6  # columns whose kinds are said one by one

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_CODE = re.compile(r"[+-]?0[0-9]+")  # 007, 02134: what is written so is a name, not a quantity


@dataclass(frozen=True, eq=False)
class Column:
    """One field's entries. Of a label or attribute `names` [N], None = unknown; of a number `values` float64 [N, D],
    NaN = unknown. `why`: what decided the kind, as half a sentence; "" where the user said it or it is plain.
    """

    name: str
    kind: Kind
    names: Names = ()
    values: np.ndarray | None = None
    why: str = ""

    def __len__(self) -> int:
        return len(self.names) if self.values is None else len(self.values)

    def take(self, rows: np.ndarray) -> Column:
        """The entries of `rows` int64 [M], in their order; -1 gives an unknown entry."""
        if self.values is None:
            return Column(self.name, self.kind, tuple(None if i < 0 else self.names[i] for i in rows), None, self.why)
        values = np.where((rows < 0)[:, None], np.nan, self.values[rows])
        return Column(self.name, self.kind, (), values, self.why)

    @property
    def unknown(self) -> np.ndarray:
        """Which entries are unknown, bool [N]; of a vector, those of which every number is."""
        if self.values is not None:
            return np.asarray(np.isnan(self.values).all(1), bool)
        return np.asarray([name is None for name in self.names], bool)


def label_values(names: Sequence[str | None]) -> tuple[str, ...]:
    """Return the different known names in order: numbers by size, then text."""
    return sort_names({name for name in names if name is not None})


def check_kinds(kinds: Mapping[str, str] | None) -> dict[str, Kind]:
    """The kinds that the user gave by name; Refused where one is no kind."""
    if kinds is not None and not isinstance(kinds, Mapping):
        raise Refused(
            f"kinds must be a dict of field name and kind, such as {{'age': 'number'}}, got {type(kinds).__name__}"
        )
    found: dict[str, Kind] = {}
    for name, kind in (kinds or {}).items():
        if kind not in KINDS:
            raise Refused(
                f"the kind of {name!r} must be one of {', '.join(KINDS)}, got {kind!r}{suggest(str(kind), KINDS)}"
            )
        found[name] = kind
    return found


def check_named(asked: Sequence[str], there: Sequence[str], argument: str, what: str = "fields") -> None:
    """Refuse a name in `asked` that is not `there`."""
    for name in asked:
        if name not in there:
            shown = ", ".join(there[:20]) + (f", ... ({len(there)} in all)" if len(there) > 20 else "")
            raise Refused(f"{argument} names {name!r}; the {what} are {shown or 'none'}{suggest(name, there)}")


def is_yes_no(known: set[str]) -> bool:
    """Whether the different known names are words for yes and words for no, and some of each."""
    words = {name.lower() for name in known}
    return words <= YES | NO and bool(words & YES) and bool(words & NO)


def as_numbers(known: set[str]) -> dict[str, float] | None:
    """Each different name as a finite number; None where one is none."""
    found = {name: float(name) for name in known if _NUMBER.fullmatch(name)}
    return found if len(found) == len(known) and all(map(math.isfinite, found.values())) else None


def cells_kind(names: Sequence[str | None]) -> tuple[Kind, str]:
    """What the column of a table is, and why, as half a sentence; "" where it is plainly a label."""
    known = {name for name in names if name is not None}
    if is_yes_no(known):
        return "attribute", "it holds words for yes and no"
    numbers = as_numbers(known)
    if not numbers or any(_CODE.fullmatch(name) for name in known):
        return "label", ""
    different = set(numbers.values())
    if different in ({0.0, 1.0}, {-1.0, 1.0}):
        return "attribute", f"it holds {min(different):.0f} and 1 alone"
    if any(value != round(value) for value in different):
        return "number", "it holds values that are not whole"
    if len(different) > MANY_WHOLE:
        return "number", f"it holds {len(different):,} different whole numbers"
    return "label", f"it holds {len(different):,} different whole numbers"


def read_column(name: str, names: Sequence[str | None], kind: Kind, why: str, place: Place) -> Column:
    """The entries of a column as its kind has them; `place` says where entry i stands, for messages.

    Raises:
        Refused: an attribute's entry that is neither yes nor no, a number's that is no finite number.
    """
    known = {one for one in names if one is not None}
    if kind == "label":
        return Column(name, kind, tuple(names), None, why)
    if kind == "attribute":
        words = {one: _yes_or_no(one) for one in known}
        _refuse_first(name, names, {one for one, word in words.items() if not word}, "yes or no", place)
        return Column(name, kind, tuple(None if one is None else words[one] for one in names), None, why)
    numbers = {one: float(one) for one in known if _NUMBER.fullmatch(one) and math.isfinite(float(one))}
    _refuse_first(name, names, known - numbers.keys(), "a finite number", place)
    values = np.asarray([math.nan if one is None else numbers[one] for one in names], np.float64)
    return Column(name, kind, (), values[:, None], why)


def read_cells(name: str, cells: Sequence[str | None], kind: Kind | None, rows: Sequence[int] | None = None) -> Column:
    """A table's column, its kind decided here where the user said nothing; Refused as by `read_column`.

    rows: the number of each cell's row in the table, for messages; by default counted from 1.
    """
    decided, why = cells_kind(cells)
    given = _whole_names(cells) if (kind or decided) == "label" else cells
    place = (lambda i: f"row {i + 1}") if rows is None else (lambda i: f"row {rows[i]}")
    return read_column(name, given, kind or decided, "" if kind else why, place)


def _whole_names(names: Sequence[str | None]) -> Names:
    """Label names; "6.0" is "6" where all are whole numbers, as a program writes them that knew some as missing."""
    known = {name for name in names if name is not None}
    numbers = as_numbers(known)
    if not numbers or not any("." in name for name in known) or any(_CODE.fullmatch(name) for name in known):
        return tuple(names)
    if any(value != round(value) for value in numbers.values()):
        return tuple(names)
    return tuple(None if name is None else str(int(numbers[name])) for name in names)


def _yes_or_no(name: str) -> str:
    """ "yes", "no", or "" for what is neither."""
    word = name.lower()
    number = float(name) if _NUMBER.fullmatch(name) else None
    if word in YES or number == 1:
        return "yes"
    return "no" if word in NO or number in (0, -1) else ""


def _refuse_first(name: str, names: Sequence[str | None], bad: set[str], what: str, place: Place) -> None:
    if bad:
        row = next(i for i, one in enumerate(names) if one in bad)
        raise Refused(
            f"{name!r} must be {what}, or blank where it is unknown, got {names[row]!r} in {place(row)}; mend it, or "
            f"read the field as a label with kinds={{{name!r}: 'label'}} (--label {name})"
        )


def check_column(column: Column, remedy: str, meant: bool = False, table: bool = True) -> None:
    """Refuse a column from which nothing can be learned: of one value, an identifier, numbers beyond all measure.

    remedy: what to do without it, such as "leave it out". meant: the user said of what kind it is, so that a label of
    many values is no mistake. table: whether the column is one of a table, not labels given from Python.
    """
    if column.values is not None:
        _check_numbers(column.name, column.values, remedy)
        return
    values = label_values(column.names)
    if len(values) < 2:
        found = f"only {values[0]!r}" if values else "no known label at all"
        what = f"the column {column.name!r} must hold" if table else f"the labels of {column.name!r} must hold"
        raise Refused(
            f"{what} at least two {'values' if table else 'classes'}, got {found}, so there is nothing to ask for; "
            f"{remedy}"
        )
    known = len(column.names) - int(column.unknown.sum())
    if column.kind == "label" and not meant and len(values) > MANY_NAMES and len(values) > known / 2:
        raise Refused(
            f"{column.name!r} looks like an identifier: {len(values):,} different values in {known:,} rows"
            f"{_strangers(values)}; {remedy}, or say what it is with kinds={{{column.name!r}: 'label'}} "
            f"(--label {column.name})"
        )


def _check_numbers(name: str, values: np.ndarray, remedy: str) -> None:
    """Refuse numbers of which one never differs, or differs so much or so little that it cannot be standardised."""
    for place, column in enumerate(values.T):
        which = f"{name!r}" if values.shape[1] == 1 else f"entry {place} of {name!r}"
        known = column[~np.isnan(column)]
        if len(known) == 0 or known.min() == known.max():
            found = f"only {known[0]:g}" if len(known) else "no known value at all"
            raise Refused(f"{which} must hold at least two different numbers, got {found}; {remedy}")
        with np.errstate(over="ignore", invalid="ignore"):
            spread = float(known.std())
        if not 0 < spread < math.inf:
            raise Refused(
                f"{which} holds numbers from {known.min():g} to {known.max():g}, whose standard deviation no float "
                f"holds; give it in other units, or {remedy}"
            )


def _strangers(values: Sequence[str]) -> str:
    """What keeps a column from being a number, where that is little; "" otherwise."""
    words = [value for value in values if not _NUMBER.fullmatch(value)]
    return f", all of them numbers but {words[0]!r}" if 0 < len(words) <= 3 else ""


def kinds_words(columns: Sequence[Column]) -> list[str]:
    """What was decided about the columns by itself, and how it is overridden, in sentences; [] where nothing was."""
    decided = [column for column in columns if column.why]
    if len(decided) <= SHOWN:
        return [
            f"{one.name!r} is read as {_article(one.kind)}, for {one.why}; {_override(one.name, one.kind)}."
            for one in decided
        ]
    groups = []
    for kind in KINDS:
        names = [one.name for one in decided if one.kind == kind]
        if names:
            more = f" and {len(names) - 20} more" if len(names) > 20 else ""
            groups.append(f"{len(names)} as {_article(kind, many=True)} ({', '.join(names[:20])}{more})")
    return [f"Of the columns are read {', '.join(groups)}; {_override(decided[0].name, decided[0].kind)}."]


def _article(kind: Kind, many: bool = False) -> str:
    if many:
        return {"label": "labels", "attribute": "attributes, yes or no", "number": "numbers"}[kind]
    return {"label": "a label", "attribute": "an attribute, yes or no", "number": "a number"}[kind]


def _override(name: str, kind: Kind) -> str:
    other = "number" if kind == "label" else "label"
    return f"kinds={{{name!r}: {other!r}}} ({FLAGS[other]} {name}) reads {name!r} otherwise"
