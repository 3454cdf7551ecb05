"""What one sees of a training while it runs: what the weights of the moment draw, and the loss so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from PIL.Image import Image

from condvae import pictures, plots
from condvae.conditions import Label
from condvae.field_pictures import rising, shown_values
from condvae.gallery import tiles
from condvae.live import Status
from condvae.runs import Run
from condvae.table_studio import printed

__all__ = ["curves", "picture_of", "rows_of"]

ROWS, ACROSS = 10, 8  # of the picture
SEED = 0  # of every picture, so that one sees the same ones sharpen


def picture_of(run: Run) -> Image:
    """A row of pictures a value of the first label, else of the first number; a plain grid of nothing in particular."""
    schema = run.schema
    field = next(iter((*schema.labels, *schema.numbers)), None)
    if field is None:
        return pictures.grid(run.generate(None, ROWS * ACROSS, SEED), columns=ROWS)
    values = shown_values(field.values, ROWS) if isinstance(field, Label) else rising(field, ROWS)
    return tiles(run.generate({field.name: values}, ACROSS, SEED), [f"{field.name} {value}" for value in values])


def rows_of(run: Run) -> list[str]:
    """Rows of a table, one a value of the first label, as lines of text; of no label, some rows."""
    label = next(iter(run.schema.labels), None)
    if label is None:
        return printed(run.generate(None, ACROSS, SEED))
    values = shown_values(label.values, ROWS)
    drawn = run.generate({label.name: values}, 1, SEED)
    return printed({label.name: values, **{name: column[:, 0] for name, column in drawn.items()}})


def curves(status: Status) -> Image | None:
    """The loss so far, within epochs and at their ends, of training and held-out rows; None before the first step."""
    rows: list[dict[str, Any]] = [{"epoch": at, "train": {"loss": loss}} for at, loss in status.trace]
    for row in status.history:
        held = row.get("validation")
        if not status.trace:
            rows.append({"epoch": row["epoch"], "train": row["train"]})
        if held is not None:
            rows.append({"epoch": row["epoch"], "validation": held})
    rows.sort(key=lambda row: row["epoch"] or 0.0)
    lines = {name: (name, "loss") for name in ("train", "validation")}
    known = [f"{name}.loss" for name, path in lines.items() if any(number(row.get(path[0])) for row in rows)]
    return plots.curves(rows, known, unit=status.unit) if known else None


def number(terms: Mapping[str, Any] | None) -> bool:
    """Whether terms hold a finite loss."""
    loss = None if terms is None else terms.get("loss")
    return isinstance(loss, int | float) and math.isfinite(loss)
