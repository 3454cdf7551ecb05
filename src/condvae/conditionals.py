"""What a likelihood is of, in words: p(x | what is given), and how what is not given was treated.

One model has several: p(x | digit), p(x) summed over the digits, p(x) of a blank input. They differ by nats, and no
number of one kind may stand beside one of another unless each says which it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from condvae.conditions import Field, Label, Picture, Schema
from condvae.learned import Columns, open_fields
from condvae.names import counted
from condvae.numbers import POINTS

__all__ = ["bound_of", "head_and_rest", "likelihood_of"]

NAMED = 3  # fields that are named one by one; of more, the first and how many
SUMMED, READ, BLANK = "summed over", "the model's own reading of", "blank input for"


def likelihood_of(
    schema: Schema, columns: Columns, rows: np.ndarray, unknown: str | None = None, row: str = "image"
) -> str:
    """ "p(x | digit)", "p(x), summed over digit", "p(x), blank input for digit": of these rows under these columns.

    unknown: as in `open_fields`; row: what a row is called, "image" or "row".
    """
    return worded(schema, columns, rows, row, open_fields(schema, columns, rows, unknown), SUMMED)


def bound_of(schema: Schema, columns: Columns, rows: np.ndarray) -> str:
    """The same of the bound, where a value that is not given and has no blank input is read from the image."""
    return worded(schema, columns, rows, "image", open_fields(schema, columns, rows), READ)


def worded(schema: Schema, columns: Columns, rows: np.ndarray, row: str, settled: Sequence[Field], how: str) -> str:
    """how: what is done with the fields `settled` where they are not given; others have a blank input there."""
    given: list[str] = []
    gaps: dict[str, list[str]] = {}  # what is done -> the fields that it is done with
    where: dict[str, np.ndarray] = {}  # and the rows
    partly: set[str] = set()  # what is done in some rows, while others know the field
    for field in schema.fields:
        if isinstance(field, Picture):
            given.append("seen x")
            continue
        missing = field.unknown(columns[field.name][rows])
        if not missing.all():
            given.append(field.name)
        if missing.any():
            done = how if field in settled else BLANK
            many = done == SUMMED and not isinstance(field, Label)
            gaps.setdefault(done, []).append(f"{POINTS} values of {field.name}" if many else field.name)
            where[done] = where.get(done, False) | missing
            partly |= set() if missing.all() else {done}
    what = "row" if row == "row" else "x" if schema.picture is None else "hidden x"
    told = [f"p({what} | {listed(given)})" if given else f"p({what})"]
    for done, names in gaps.items():
        rest = f" where unknown ({counted(int(where[done].sum()), row)})" if done in partly else ""
        told.append(f"{done} {listed(names)}{rest}")
    return ", ".join(told)


def listed(names: Sequence[str]) -> str:
    """Names side by side; of many the first ones, and how many more."""
    if len(names) <= NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: NAMED - 1])} and {len(names) - NAMED + 1} more fields"


def head_and_rest(of: str) -> tuple[str, str]:
    """("p(x)", "summed over digit"): what is short, and what is to be said beside it."""
    head, _, rest = of.partition("), ")
    return (f"{head})", rest) if rest else (of, "")
