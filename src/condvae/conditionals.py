"""What a likelihood is of, in words: p(x | what is given), and how what is not given was treated.

One model has several: p(x | digit), p(x) summed over the digits, p(x) of a blank input. They differ by nats, and no
number of one kind may stand beside one of another unless each says which it is.
"""

from __future__ import annotations

import numpy as np

from condvae.conditions import Field, Label, Picture, Schema
from condvae.learned import Columns, open_fields
from condvae.names import counted
from condvae.numbers import POINTS

__all__ = ["bound_of", "head_and_rest", "likelihood_of"]


def likelihood_of(
    schema: Schema, columns: Columns, rows: np.ndarray, unknown: str | None = None, row: str = "image"
) -> str:
    """ "p(x | digit)", "p(x), summed over digit", "p(x), blank input for digit": of these rows under these columns.

    unknown: as in `open_fields`; row: what a row is called, "image" or "row".
    """
    summed = {field.name for field in open_fields(schema, columns, rows, unknown)}
    return worded(schema, columns, rows, row, {name: over(schema.field(name)) for name in summed})


def bound_of(schema: Schema, columns: Columns, rows: np.ndarray) -> str:
    """The same of the bound, where a value that is not given and has no blank input is read from the image."""
    read = {field.name: f"{field.name} as the model reads it" for field in open_fields(schema, columns, rows)}
    return worded(schema, columns, rows, "image", read)


def over(field: Field) -> str:
    """That a field is summed over."""
    return f"summed over {field.name}" if isinstance(field, Label) else f"summed over {POINTS} values of {field.name}"


def worded(schema: Schema, columns: Columns, rows: np.ndarray, row: str, instead: dict[str, str]) -> str:
    """instead: field -> what stands in for it where it is not given; of others the blank input does."""
    given: list[str] = []
    rest: list[str] = []
    for field in schema.fields:
        missing = 0 if isinstance(field, Picture) else int(field.unknown(columns[field.name][rows]).sum())
        if missing < len(rows):
            given.append("what is seen" if isinstance(field, Picture) else field.name)
        if missing:
            told = instead.get(field.name, f"blank input for {field.name}")
            rest.append(told if missing == len(rows) else f"{told} where it is unknown ({counted(missing, row)})")
    what = "row" if row == "row" else "x" if schema.picture is None else "what is hidden of x"
    head = f"p({what} | {', '.join(given)})" if given else f"p({what})"
    return ", ".join([head, *rest])


def head_and_rest(of: str) -> tuple[str, str]:
    """("p(x)", "summed over digit"): what is short, and what is to be said beside it."""
    head, _, rest = of.partition("), ")
    return (f"{head})", rest) if rest else (of, "")
