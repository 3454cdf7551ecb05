"""Pictures of what may be asked: a row a value of each field, and the hidden parts of real pictures completed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL.Image import Image

from condvae import pictures, strokes
from condvae.canvases import canvases, row_by_row
from condvae.conditions import Attribute, Field, Label, Number, Schema
from condvae.data import Part
from condvae.fills import fill
from condvae.holes import seen_masks
from condvae.images import unit
from condvae.learned import observe
from condvae.noise import RowNoise
from condvae.subject import beyond_training
from condvae.tasks import Learned, generate
from condvae.tints import coloured, tinted

__all__ = ["completions", "drawing", "effects", "first_request", "samples", "shown_values"]

ROWS = 12  # rows of a grid, at most
SAMPLES = 10  # pictures a row
DRAWINGS = 8  # shown glimpse by glimpse, of no label
STEPS = 8  # values of the number that a grid of numbers shows
FEW = 4  # values of a further field
EDGE = 1 / 32  # share of the rows beyond the least and the greatest number that is shown
COMPLETED, TIMES = 8, 5  # pictures whose holes are filled, and how often
HOLES = (
    "quadrants-1",
    "quadrants-2",
    "quadrants-3",
    "boxes",
    "strokes",
    "outpainting",
    "pixels",
    "nothing",
)  # of a model that fills any


def first_request(schema: Schema) -> dict[str, Any]:
    """What a picture of one request shows: of the first label "6" where there is one, else its first value.

    Of further labels the commonest value, of numbers the median.
    """
    asked: dict[str, Any] = {}
    for field in schema.fields:
        if isinstance(field, Number):
            asked[field.name] = number_text(field, [float(np.quantile(knots, 0.5)) for knots in field.quantiles])
        elif isinstance(field, Label):
            first = field is schema.labels[0]
            commonest = field.values[int(np.argmax(field.shares))]
            asked[field.name] = ("6" if "6" in field.values else field.values[0]) if first else commonest
    return asked


def number_text(field: Number, entry: Sequence[float]) -> str:
    """An entry of a number as it may be asked for, to about a hundredth of its range."""
    parts: list[str] = []
    for one, low, high in zip(field.rounded(np.asarray(entry, np.float64)), field.low, field.high, strict=True):
        digits = 0 if field.whole else max(0, 2 - math.floor(math.log10(high - low)))
        parts.append(f"{one:.{min(digits, 12)}f}")
    return ":".join(parts)


def shown_values(values: Sequence[str], most: int = ROWS) -> list[str]:
    """The values, or `most` of them, evenly spread."""
    places = np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)
    return [str(values[int(place)]) for place in places]


def rising(field: Number, count: int, place: int = 0) -> list[str]:
    """`count` entries of a number from low to high, as they may be asked for; of a vector in one place, the others at
    their mean.
    """
    low, high = np.quantile(field.quantiles[place], [EDGE, 1 - EDGE])
    entries = np.tile(np.asarray(field.mean), (count, 1))
    entries[:, place] = np.linspace(low, high, count)
    return list(dict.fromkeys(number_text(field, entry) for entry in entries))


def samples(learned: Learned, seed: int = 0) -> Image:
    """A row of pictures a value of the first label; without labels, of the first number from low to high.

    A plain grid where nothing can be asked for. Further fields are left unknown.
    """
    schema = learned.schema
    if schema.labels:
        field = schema.labels[0]
        values = shown_values(field.values)
        names = [f"{field.name} = {value}" for value in values] if isinstance(field, Attribute) else values
        return pictures.grid(generate(learned, {field.name: values}, SAMPLES, seed), labels=names)
    if schema.numbers:
        field = schema.numbers[0]
        return rows_of(learned, [(field, value) for value in rising(field, STEPS)], seed)
    return pictures.grid(generate(learned, None, SAMPLES * SAMPLES, seed), columns=SAMPLES)


def effects(learned: Learned, seed: int = 0) -> Image | None:
    """A row of pictures a value of each further field than the one that `samples` shows; None without any.

    All else is asked alike, with the same noise in each row: what differs between two rows is what the field does.
    """
    schema = learned.schema
    alike = first_request(schema)
    shown = schema.labels[0] if schema.labels else next(iter(schema.numbers), None)
    asked: list[tuple[Field, str]] = []
    for field in (*schema.labels, *schema.numbers):
        if isinstance(field, Label) and field is not shown:
            asked += [(field, value) for value in shown_values(field.values, FEW)]
        elif isinstance(field, Number):
            places = range(1 if field is shown else 0, field.size)
            asked += [(field, value) for place in places for value in rising(field, FEW, place)]
    return rows_of(learned, asked[: 2 * ROWS], seed, alike) if asked else None


def drawing(learned: Learned, seed: int = 0) -> Image | None:
    """The canvas after each glimpse, windows drawn in, a row a value of the first label, with the same noise in every
    row; of no label, some drawings. None for a model that draws a picture at once.
    """
    if not hasattr(learned.model, "glimpses"):
        return None
    if not learned.schema.labels:
        free = canvases(learned, None, DRAWINGS, seed)
        return strokes.strip(free.images, free.written)
    field = learned.schema.labels[0]
    values = shown_values(field.values)
    found = row_by_row(learned, [{field.name: value} for value in values], seed=seed)
    return strokes.strip(found.images[:, 0], None if found.written is None else found.written[:, 0], values)


def rows_of(
    learned: Learned, asked: Sequence[tuple[Field, str]], seed: int, alike: Mapping[str, Any] | None = None
) -> Image:
    """A row of pictures a request, all rows with the same noise; `alike` is asked in every row, too."""
    drawn = np.stack([generate(learned, {**(alike or {}), field.name: value}, SAMPLES, seed) for field, value in asked])
    return pictures.grid(drawn, labels=[f"{field.name} = {value}" for field, value in asked])


def completions(learned: Learned, part: Part, rows: np.ndarray, seed: int = 0) -> Image | None:
    """Real pictures, what is seen of them, and 5 completions of what is hidden; None for a model that fills no holes.

    rows: the pictures of the part to choose from, the first 8 are taken. What is known of them is told only where it
    cannot be left out: the completions show what the seen pixels say.
    """
    if learned.schema.picture is None or not len(rows):
        return None
    kind = "any" if learned.holes == "none" else learned.holes
    rows = rows[:COMPLETED]
    noise = RowNoise(seed, rows)
    x = observe(unit(part.x[torch.from_numpy(rows)]), learned.binarise, noise)
    kinds = [HOLES[place % len(HOLES)] if kind == "any" else kind for place in range(len(rows))]
    _, height, width = learned.shape
    seen = torch.cat(
        [seen_masks(one, 1, height, width, RowNoise(seed, rows[i : i + 1])) for i, one in enumerate(kinds)]
    )
    few = part.take(torch.from_numpy(rows))
    known = learned.schema.told(few.labels, few.numbers, len(rows))
    firm = {field.name: known[field.name] for field in learned.schema.fields if not field.optional}
    with beyond_training():
        made = fill(learned, x.numpy(), seen.numpy(), firm, TIMES, seed)
    original = x.numpy()
    lines = {"real": coloured(original), "seen": tinted(original * seen.numpy(), seen.numpy())}
    lines |= {f"completion {number + 1}": coloured(made[:, number]) for number in range(TIMES)}
    return pictures.before_after(lines)
