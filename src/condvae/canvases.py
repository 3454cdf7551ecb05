"""What DRAW's canvas looks like after every glimpse, and where its windows stand: as it draws, and as it redraws.

Source: Gregor, Danihelka, Graves, Rezende, Wierstra, "DRAW: A Recurrent Neural Network For Image Generation", 2015,
whose figures show the window as a rectangle on the canvas.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from condvae.errors import Refused
from condvae.glimpses import Window
from condvae.learned import Asked, Learned, chunks, repeated, requests, seed_in, temperature_in, whole
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.passes import opened, presented, store
from condvae.temperatures import Temperature
from condvae.trace import Condition, Draw, Trace

__all__ = ["Canvases", "canvases", "canvases_of", "in_glimpses", "row_by_row"]


@dataclass(frozen=True)
class Canvases:
    """How pictures came about in T glimpses; all float32.

    images [..., T, C, H, W] in [0, 1]: the expected picture of the canvas after each glimpse, the last being the
    picture itself. written [..., T, 4]: the window written through at each glimpse, in pixels: its centre's row and
    column (0 = the middle of the first one), its side (number of filters times their stride), and the deviation of its
    filters; None where the model writes without attention. read: the same of the window read through, where pictures
    are redrawn; None where they are drawn.
    """

    images: np.ndarray
    written: np.ndarray | None
    read: np.ndarray | None


def canvases(
    learned: Learned, asked: Asked | None = None, n: int = 1, seed: int = 0, temperature: Temperature = 1.0
) -> Canvases:
    """n drawings of what is asked, glimpse by glimpse: `Canvases` whose leading axes are [n], or [N, n] for a list of
    N values.

    Arguments, refusals and noise are those of `tasks.generate`, which gives the last canvases, bit by bit. Refused,
    too, where the model does not draw in glimpses.
    """
    n, seed, model = whole(n, "n", 1), seed_in(seed), in_glimpses(learned)
    temperature = temperature_in(learned, temperature)
    columns, count, listed = requests(learned.schema, asked)
    columns, names = repeated(learned.schema, columns, count, n, seed)
    out = blank(learned, model, len(names), False)
    with evaluating(model), learned.arithmetic():
        for rows, kept in chunks(len(names)):
            c = learned.condition(columns, rows)
            draw = Draw(RowNoise(seed, names[rows], learned.device), temperature)
            record(out, kept, model, model.glimpses(c, draw=draw), c, draw, c)
    return reshaped(out, count, n) if listed else out


def canvases_of(learned: Learned, x: Any, given: Asked | None = None, seed: int | None = None) -> Canvases:
    """Pictures x redrawn through the posterior, glimpse by glimpse: `Canvases` whose leading axis is [N].

    Arguments and refusals are those of `tasks.reconstruct`, which gives the last canvases, bit by bit. Refused, too,
    where the model does not draw in glimpses.
    """
    model = in_glimpses(learned)
    images, columns = opened(learned, x, given)
    out = blank(learned, model, len(images), True)
    with evaluating(model):
        for rows, kept in chunks(len(images)):
            c, seen, draw = presented(learned, images, columns, rows, seed)
            record(out, kept, model, model.glimpses(c, seen, draw=draw), c, draw)
    return out


def row_by_row(
    learned: Learned, asked: Sequence[Asked], n: int = 1, seed: int = 0, temperature: Temperature = 1.0
) -> Canvases:
    """The drawings of R requests, each as if it were the only one: [R, n, ...], all rows with the same noise."""
    found = [canvases(learned, one, n, seed, temperature) for one in asked]
    written = [one.written for one in found if one.written is not None]
    return Canvases(np.stack([one.images for one in found]), np.stack(written) if written else None, None)


def in_glimpses(learned: Learned) -> Any:
    """The model, which draws in glimpses; Refused where it does not."""
    if not hasattr(learned.model, "glimpses"):
        raise Refused(
            "canvases are those of a model that draws in glimpses, and this one draws a picture at once; train one "
            "with network='draw' (--network draw)"
        )
    return learned.model


def blank(learned: Learned, model: Any, count: int, reads: bool) -> Canvases:
    """Room for so many rows, and for windows where the model has them; reads: whether pictures are read."""
    images = np.empty((count, model.steps, *learned.shape), np.float32)
    written, read = (
        np.empty((count, model.steps, 4), np.float32) if wanted and hasattr(part, "n") else None
        for part, wanted in ((model.writer, True), (model.reader, reads))
    )
    return Canvases(images, written, read)


def record(
    out: Canvases,
    kept: slice,
    model: Any,
    glimpses: Iterable[Any],
    c: Condition,
    draw: Draw,
    given: Condition | None = None,
) -> None:
    """Write what the glimpses of a chunk leave into its rows of `out`; given: as c of `passes.store`."""
    for step, glimpse in enumerate(glimpses):
        store(out.images[:, step], kept, Trace((), model.pixels(glimpse.canvas, c)), draw, given)
        for windows, window, part in (
            (out.written, glimpse.written, model.writer),
            (out.read, glimpse.read, model.reader),
        ):
            if windows is not None:
                windows[kept, step] = placed(window, part.n)[: kept.stop - kept.start]


def placed(window: Window, n: int) -> np.ndarray:
    """A window of n filters to each side as [B, 4]: its centre's row and column, its side, the filters' deviation."""
    return torch.stack([window.y, window.x, n * window.stride, window.variance.sqrt()], 1).float().cpu().numpy()


def reshaped(found: Canvases, count: int, n: int) -> Canvases:
    """The same with the leading axis parted in requests and drawings of each."""
    parts = (found.images, found.written, found.read)
    return Canvases(*(None if one is None else one.reshape(count, n, *one.shape[1:]) for one in parts))  # pyright: ignore
