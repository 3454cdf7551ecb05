"""A table to learn rows of: some columns are generated, others asked for; rows as numbers, and back.

A row is generated as a `Schema` encodes it: one-hot blocks, standardised numbers, and known-flags where the training
rows had blanks; as a picture of one line, [1, 1, W], so that whatever holds pictures holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from condvae.columns import Cells, read_columns
from condvae.conditions import Field, Label, Number, Schema
from condvae.data import Collection, part_with
from condvae.errors import Refused, suggest
from condvae.images import Images
from condvae.kinds import Column, check_column, check_kinds, check_named, kinds_words, read_cells

__all__ = ["Cells", "cells_of_field", "decode_rows", "encode_rows", "read_columns", "table_collection"]

FARTHEST = 1e15  # standard deviations off the mean: further off, the square of a float32 is infinite


def table_collection(
    columns: Any,
    condition: Sequence[str] | str | None = None,
    generate: Sequence[str] | str | None = None,
    name: str = "data",
    source: str = "memory",
    kinds: Mapping[str, str] | None = None,
    skip_bad: bool = False,
) -> Collection:
    """Rows of a table as a `Collection`: the columns `generate` as x, given the columns `condition`.

    Args:
        columns: whatever `read_columns` takes. condition: the columns that are asked for; none = a plain VAE.
            generate: those that are generated; none = all others. kinds: column -> "label", "attribute" or "number",
            where it should not be decided here. skip_bad: leave out rows of which all that is generated is blank.

    Raises:
        Refused: an unreadable table; a column that is not there, in both lists or twice; one of a single value; a
            label that looks like an identifier; a row of which all that is generated is blank.
    """
    notes: list[str] = []
    cells = read_columns(columns, notes)
    asked, made = chosen(list(cells), condition, generate)
    told = check_kinds(kinds)
    check_named(list(told), [*asked, *made], "kinds", "columns that are used")
    outputs = [read_cells(one, cells[one], told.get(one)) for one in made]
    conditions = [read_cells(one, cells[one], told.get(one)) for one in asked]
    rows = filled_rows(outputs, made, skip_bad, notes)
    outputs, conditions = [one.take(rows) for one in outputs], [one.take(rows) for one in conditions]
    for role, group in (("generate", outputs), ("condition", conditions)):
        for one in group:
            check_column(one, f"leave it out of {role} (--{role})", meant=one.name in told)
    schema = Schema(tuple(learned(one) for one in outputs))
    x = encoded(schema, outputs)
    notes += kinds_words([*outputs, *conditions]) + blanks_words(outputs)
    images = Images(x, "NCHW", float(x.min()), float(x.max()))
    return Collection(name, part_with(images, conditions), None, tuple(notes), source, schema)


def chosen(
    there: Sequence[str], condition: Sequence[str] | str | None, generate: Sequence[str] | str | None
) -> tuple[list[str], list[str]]:
    """(columns asked for, columns generated), checked; by default all that are not asked for are generated."""
    asked, made = _listed(condition), _listed(generate)
    for argument, names in (("condition", asked), ("generate", made)):
        check_named(names, there, argument, "columns")
        doubled = next((one for one in names if names.count(one) > 1), None)
        if doubled is not None:
            raise Refused(f"{argument} names {doubled!r} twice; name each column once")
    both = next((one for one in asked if one in made), None)
    if both is not None:
        raise Refused(f"{both!r} is named in both condition and generate; a column is either asked for or generated")
    made = made or [one for one in there if one not in asked]
    if not made:
        raise Refused("condition names every column, so that none is left to generate; leave one out of condition")
    return asked, made


def _listed(names: Sequence[str] | str | None) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def filled_rows(outputs: Sequence[Column], made: Sequence[str], skip_bad: bool, notes: list[str]) -> np.ndarray:
    """The rows of which something is known that is generated, int64; the others are refused, or skipped and said."""
    blank = np.logical_and.reduce([one.unknown for one in outputs])
    if not blank.any():
        return np.arange(len(blank))
    count, first = int(blank.sum()), int(blank.argmax()) + 1
    if blank.all():
        raise Refused(f"every row is blank in {', '.join(made)}, so there is nothing to learn; give rows with values")
    if not skip_bad:
        raise Refused(
            f"{count:,} of {len(blank):,} rows are blank in all that is generated ({', '.join(made)}), first row "
            f"{first}; leave them out of the table, or with skip_bad=True (--skip-bad)"
        )
    notes.append(
        f"{count:,} of {len(blank):,} rows are blank in all that is generated and were skipped, first {first}."
    )
    return np.flatnonzero(~blank)


def learned(column: Column) -> Label | Number:
    """The field that a generated column describes."""
    if column.values is not None:
        return Number.learn(column.name, column.values)
    return Label.learn(column.name, column.names)


def encoded(outputs: Schema, columns: Sequence[Column]) -> torch.Tensor:
    """Columns of N entries -> float32 [N, 1, 1, W]."""
    index: dict[str, Any] = {one.name: one.values if one.values is not None else one.names for one in columns}
    rows = len(columns[0])
    return outputs.encode(outputs.index(index, rows), rows).vector[:, None, None]


def blanks_words(outputs: Sequence[Column]) -> list[str]:
    """How much of the generated columns is blank, in one sentence; [] where nothing is."""
    counts = {one.name: int(one.unknown.sum()) for one in outputs}
    shown = [f"{name} ({count:,})" for name, count in counts.items() if count]
    return [f"Blank, and so not learned from in those rows: {', '.join(shown)}."] if shown else []


def encode_rows(outputs: Schema, columns: Any) -> np.ndarray:
    """Rows of a table as a model of `outputs` takes them, float32 [N, 1, 1, W]; blanks where the training had blanks.

    columns: whatever `read_columns` takes; it must hold the fields of `outputs`, and may hold others.

    Raises:
        Refused: a column that is missing, a value that training never saw, a number that is none, a blank where
            training had none; with column and row.
    """
    cells = read_columns(columns)
    rows = len(next(iter(cells.values())))
    found: list[Column] = []
    for field in outputs.fields:
        if field.name not in cells:
            raise Refused(f"the table must hold the column {field.name!r}{suggest(field.name, cells)}; add it")
        column = cells_of_field(field, cells[field.name])
        if not field.optional and column.unknown.any():
            raise Refused(
                f"row {int(column.unknown.argmax()) + 1} is blank in {field.name!r}, which training always knew; fill "
                "it in, or leave the row out"
            )
        found.append(column)
    return encoded(outputs, found).numpy().reshape(rows, 1, 1, -1)


def cells_of_field(field: Field, cells: Sequence[str | None]) -> Column:
    """A later table's column as the field reads it; Refused, with the row, where training saw nothing of the kind: a
    name that is none of its own, a number beyond all measure."""
    if isinstance(field, Number):
        column = read_cells(field.name, cells, "number")
        assert column.values is not None
        with np.errstate(over="ignore"):
            far = np.abs(field.standardised(column.values)).max(1) > FARTHEST
        if far.any():
            row = int(far.argmax())
            got = f"{column.values[row, 0]:g}"
            raise Refused(f"row {row + 1}: {field.name} was {field.range_words()}; got {got}, too far off; mend it")
        return column
    assert isinstance(field, Label), "a table's columns are labels and numbers"
    column = read_cells(field.name, cells, "label" if field.kind == "label" else "attribute")
    known = {*field.values, None}
    if field.kind == "label":  # a name as it stands goes before what it is made of: 1.0 may be a name beside 2.5
        names = tuple(cell if cell in known else name for cell, name in zip(cells, column.names, strict=True))
        column = replace(column, names=names)
    row = next((i for i, one in enumerate(column.names) if one not in known), None)
    if row is not None:
        try:
            field.name_of(column.names[row])
        except Refused as refused:
            raise Refused(f"row {row + 1}: {refused}; training never saw it, so leave the row out") from None
    return column


def decode_rows(outputs: Schema, x: np.ndarray, bounded: bool = True) -> dict[str, np.ndarray]:
    """Encoded rows [..., W] or [..., 1, 1, W] -> column name -> values [...], in the table's own names and units.

    Labels are the names of the greatest entry of their block (dtype object). Numbers are float64, whole where training
    saw whole numbers alone, and, if `bounded`, kept within the least and greatest value of training: a Normal's tails
    reach beyond. Known-flags are not read: every entry gets a value. A vector of D numbers gives [..., D].
    """
    x = np.asarray(x)
    if x.ndim >= 3 and x.shape[-3:-1] == (1, 1):
        x = x.reshape(*x.shape[:-3], x.shape[-1])
    if x.shape[-1] != outputs.width:
        raise Refused(f"x must hold rows of {outputs.width} numbers, as encode_rows gives them, got {x.shape[-1]}")
    found: dict[str, np.ndarray] = {}
    for field in outputs.fields:
        block = x[..., outputs.slice(field.name)]
        if isinstance(field, Label):
            found[field.name] = np.asarray(field.values, object)[block.argmax(-1)]
        elif isinstance(field, Number):
            values = block.astype(np.float64) * np.asarray(field.deviation) + np.asarray(field.mean)
            values = field.rounded(values) + 0.0  # no -0
            ends = np.asarray([field.low, field.high])
            for end, entry in zip(ends, field.standardised(ends).astype(np.float32), strict=True):
                values = np.where(block == entry, end, values)  # exactly, whatever float32 lost: draws pile up there
            values = np.clip(values, *ends) if bounded else values
            found[field.name] = values[..., 0] if field.size == 1 else values
    return found
