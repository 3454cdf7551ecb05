"""Pixel by pixel: how an autoregressive head draws, in numpy, whose steps on small arrays cost less than torch's.

What the rows above say is computed a row at a time; what is left for each pixel is what stands beside it. Pictures are
painted in blocks of one size, the last padded, one thread each: the arithmetic of a picture is the same however many
are painted with it. What pads a request is not painted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

__all__ = ["BLOCK", "Brush", "Layer", "painted"]

BLOCK = 64  # pictures painted side by side: more fill no register better, fewer leave each step's own cost


@dataclass(frozen=True, eq=False)
class Layer:
    """What a layer of F features adds to each pixel: above [A, F] of what it reads in the rows above, beside [B, F] of
    what it reads left of the pixel (and at it, but for the first layer), and bias [F]; all float32."""

    above: np.ndarray
    beside: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True, eq=False)
class Brush:
    """The head's weights, input by output. first: of binary pixels, `rows` above and `aside` columns to each side;
    deeper: of the features before, a row above and a column to each side; hidden [F, F] and out [F, 1] with their
    biases [F] and [1]: from features and context to the logit."""

    first: Layer
    rows: int
    aside: int
    deeper: Sequence[Layer]
    hidden: tuple[np.ndarray, np.ndarray]
    out: tuple[np.ndarray, np.ndarray]


def painted(brush: Brush, features: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(drawn pixels, 0 or 1; their probabilities), both float32 [N, H, W], of features [N, F, H, W] float32.

    levels [N, H, W] in [0, 1): a pixel is 1 where its probability is above. Rows at the end that are copies of one row
    are painted once.
    """
    count = len(features)
    same = (features == features[-1:]).all((1, 2, 3)) & (levels == levels[-1:]).all((1, 2))
    last = int(np.flatnonzero(~same)[-1]) + 2 if not same.all() else 1  # the first copy is painted, too
    drawn, shown = (np.empty((count, *features.shape[2:]), np.float32) for _ in range(2))
    for start in range(0, last, BLOCK):
        rows = np.minimum(np.arange(start, start + BLOCK), last - 1)
        kept = min(BLOCK, last - start)
        block = _block(brush, features[rows], levels[rows])
        drawn[start : start + kept], shown[start : start + kept] = (values[:kept] for values in block)
    drawn[last:], shown[last:] = drawn[last - 1], shown[last - 1]
    return drawn, shown


def _block(brush: Brush, features: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`painted` of a block of rows."""
    count, wide, height, width = features.shape
    places = np.ascontiguousarray(features.transpose(2, 3, 0, 1))
    limits = _logit(np.ascontiguousarray(levels.transpose(1, 2, 0)))
    canvas = np.zeros((count, height + brush.rows, width + 2 * brush.aside), np.float32)
    logits = np.empty((height, width, count, 1), np.float32)
    reads = [np.zeros((count, width + 2, wide), np.float32) for _ in brush.deeper]
    beside = [_windows(read, 2) for read in reads]
    state, step, mixed = (np.empty((count, wide), np.float32) for _ in range(3))
    (hidden, bias), (out, shift) = brush.hidden, brush.out
    for i in range(height):
        above = _above(canvas, i, brush) @ brush.first.above + brush.first.bias
        deeper = [_windows(read, 3) @ layer.above + layer.bias for layer, read in zip(brush.deeper, reads, strict=True)]
        row, line = canvas[:, i + brush.rows], logits[i]
        for j in range(width):
            np.matmul(row[:, j : j + brush.aside], brush.first.beside, out=state)
            state += above[j]
            for layer, read, windows, up in zip(brush.deeper, reads, beside, deeper, strict=True):
                np.maximum(state, 0, out=read[:, j + 1])
                np.matmul(windows[j], layer.beside, out=step)
                step += up[j]
                np.add(state, step, out=state)
            state += places[i, j]
            np.maximum(state, 0, out=state)
            np.matmul(state, hidden, out=mixed)
            mixed += bias
            np.maximum(mixed, 0, out=mixed)
            np.matmul(mixed, out, out=line[j])
            line[j] += shift
            row[:, j + brush.aside] = line[j, :, 0] > limits[i, j]
    drawn = canvas[:, brush.rows :, brush.aside : brush.aside + width]
    with np.errstate(over="ignore"):
        shown = 1 / (1 + np.exp(-logits[..., 0]))
    return drawn, shown.transpose(2, 0, 1)


def _logit(levels: np.ndarray) -> np.ndarray:
    """The logits of probabilities in [0, 1), -inf at 0."""
    with np.errstate(divide="ignore"):
        exact = levels.astype(np.float64)
        return (np.log(exact) - np.log1p(-exact)).astype(np.float32)


def _above(canvas: np.ndarray, i: int, brush: Brush) -> np.ndarray:
    """What each pixel of row i sees in the rows above it, [W, N, rows * (2 aside + 1)]."""
    sight = 2 * brush.aside + 1
    seen = np.lib.stride_tricks.sliding_window_view(canvas[:, i : i + brush.rows], sight, 2)  # [N, rows, W, sight]
    return np.ascontiguousarray(seen.transpose(2, 0, 1, 3)).reshape(seen.shape[2], len(canvas), -1)


def _windows(read: np.ndarray, taps: int) -> np.ndarray:
    """Views of `read` [N, W + 2, F], a pixel's column, `taps` columns from that left of it: [W, N, taps * F]."""
    count, width, wide = read.shape
    by_row, by_column, by_feature = read.strides
    return as_strided(read, (width - 2, count, taps * wide), (by_column, by_row, by_feature))
