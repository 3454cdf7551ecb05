"""How a model draws, in words: an animation, a strip, or the canvases and windows of every glimpse.

As in `condvae.studio`, words come in as a person types them, and a `Reply` goes out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from condvae import pictures, strokes
from condvae.canvases import Canvases, in_glimpses, row_by_row
from condvae.intake import Heat, combinations, heat_of, parse
from condvae.replies import Reply, check_amount, counted, is_arrays, texts, write_npz
from condvae.runs import Run, opened
from condvae.studio import MOST_VALUES, check_targets
from condvae.table_tasks import no_pictures

__all__ = ["draw"]

SEVERAL = 4  # drawings of a request, where only one row would else be shown


def draw(
    run: str | Run,
    words: Sequence[str] = (),
    n: int | None = None,
    out: str | None = None,
    seed: int = 0,
    temperature: Heat = 1.0,
) -> Reply:
    """n drawings of each combination of what is asked, all values of the first label where it is not asked for: growing
    glimpse by glimpse (.gif), a row each of a strip (.png, ...), or as arrays (.npz).

    Every request has the same noise: a row shows what `generate` draws of that request alone. n: by default 1 in a
    strip of several requests, else 4. An npz holds `images` [R, n, T, C, H, W] float32 in [0, 1], where there are any
    `windows` [R, n, T, 4] (centre's row and column, side, deviation of the filters, in pixels), and, a field, the R
    values asked, as `generate` writes them.
    """
    drawer = opened(run)
    no_pictures(drawer.outputs, "draw")
    steps = in_glimpses(drawer.learned).steps
    asked = parse(words, drawer.schema)
    for field in drawer.schema.labels[:1]:
        asked = asked if field.name in asked else {field.name: list(field.values), **asked}
    columns, names = combinations(asked)
    target = check_targets(out)
    animated = Path(target).suffix.lower() == ".gif"
    if n is None:
        n = 1 if len(names) > 1 and not animated and not is_arrays(target) else SEVERAL
    check_amount(n, len(names) * steps * math.prod(drawer.shape), MOST_VALUES)
    requests = [{name: column[row] for name, column in columns.items()} for row in range(len(names))]
    found = row_by_row(drawer.learned, requests, n, seed, heat_of(temperature))
    there = {} if found.written is None else {"windows": found.written}
    arrays = {"images": found.images, **there, **texts(columns), "seed": np.asarray(seed)}
    path = write_npz(target, arrays) if is_arrays(target) else shown(target, found, names if len(names) > 1 else None)
    what = "no label" if not columns else " and ".join(names) if len(names) <= 3 else f"{len(names)} requests"
    each = " each" if len(names) > 1 else ""
    lines = [f"{counted(n, 'drawing')}{each} of {what}, in {counted(steps, 'glimpse')}: {path}"]
    if found.written is not None and not is_arrays(target):
        lines.append("red: the window drawn through; the wider its line, the more it blurs")
    return Reply(tuple(lines), None, (path,), (), arrays)


def shown(target: str, found: Canvases, names: Sequence[str] | None) -> Path:
    """The picture, by its ending: an animation, or a strip."""
    images, windows = found.images, found.written
    if Path(target).suffix.lower() == ".gif":
        return strokes.animate(images, windows, target, names)
    rows = [name if i == 0 else "" for name in names for i in range(images.shape[1])] if names else None
    flat = None if windows is None else windows.reshape(-1, *windows.shape[2:])
    return pictures.save(strokes.strip(images.reshape(-1, *images.shape[2:]), flat, rows), target)
