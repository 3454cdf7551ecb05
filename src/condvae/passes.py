"""What tasks share of a pass: pictures and what is given of them in, the posterior's pass of a chunk, pictures out."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from condvae.images import Images
from condvae.learned import Asked, Columns, Learned, observe, pictures_of, seed_in, take
from condvae.noise import RowNoise
from condvae.scores import columns_for
from condvae.trace import Condition, Draw, Settled, Trace

__all__ = ["inferred", "opened", "presented", "settled", "store", "store_folded"]


def opened(learned: Learned, x: Any, given: Asked | None, argument: str = "x") -> tuple[Images, Columns]:
    """Pictures and what is given of them, checked and settled."""
    images = pictures_of(learned, x, argument)
    return images, columns_for(learned, images, given)


def inferred(
    learned: Learned, images: Images, columns: Columns, rows: np.ndarray, seed: int | None
) -> tuple[Trace, Draw]:
    """The pass of these rows through the posterior: its mean, or one random pass where seeded."""
    c, x, draw = presented(learned, images, columns, rows, seed)
    return learned.model(c, x, draw=draw), draw


def settled(learned: Learned, images: Images, columns: Columns, rows: np.ndarray, seed: int | None) -> Settled:
    """The latents of that pass; nothing is decoded where the model can spare it."""
    c, x, draw = presented(learned, images, columns, rows, seed)
    return cast(Any, learned.model).settle(c, x, draw=draw)


def presented(
    learned: Learned, images: Images, columns: Columns, rows: np.ndarray, seed: int | None
) -> tuple[Condition, Tensor, Draw]:
    """What that pass is given: the condition, the pictures as the protocol sees them, and the noise."""
    x, c = take(learned, images, rows), learned.condition(columns, rows)
    if seed is None:
        return c, x, Draw(RowNoise(0, rows, learned.device), 0.0)
    draw = Draw(RowNoise(seed_in(seed), rows, learned.device))
    return c, observe(x, learned.binarise, draw.noise), draw


def store(out: np.ndarray, kept: slice, trace: Trace, draw: Draw, c: Condition | None = None) -> None:
    """Write the trace's pictures into their rows of `out`; what pads the chunk is dropped.

    c: where its partial picture is given, seen pixels are kept as they are.
    """
    pictures = trace.x.picture(draw)  # pyright: ignore[reportAttributeAccessIssue]
    if c is not None and c.picture is not None:
        pictures = torch.where(c.picture[:, -1:] > 0, c.picture[:, :-1], pictures.to(c.picture))
    out[kept] = pictures[: kept.stop - kept.start].float().cpu().numpy()


def store_folded(out: np.ndarray, trace: Trace, draw: Draw) -> None:
    """Write the trace's pictures, V of each row, the first one of all rows first, into out [N, V, ...]."""
    pictures = np.empty((out.shape[1] * len(out), *out.shape[2:]), np.float32)
    store(pictures, slice(0, len(pictures)), trace, draw)
    out[:] = pictures.reshape(out.shape[1], len(out), *out.shape[2:]).swapaxes(0, 1)
