"""Rows drawn for the conditions of real ones, and how each real cell lies among its draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from torch import nn

from condvae.conditions import Label, Number, Schema
from condvae.learned import Columns, Learned, drawn
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.table_tasks import known_cells
from condvae.tables import decode_rows
from condvae.trace import Draw

__all__ = ["Compared", "compared", "crps", "plain_crps"]

SIZE = 4096  # rows drawn in one pass
POOLED = 20  # draws of a row that go into what is compared over all rows
TIES = 970  # level of the noise that breaks ties
SPOTS = 199  # points of a training distribution

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Compared:
    """Real rows beside n draws of each. Of N rows, per generated column:

    known: which rows know it, bool [N]; real: its values, [N] (names, or numbers); place: of a number, where the real
    value lies among the draws, in (0, 1), ties broken at random; score: [N] CRPS or log score, NaN where unknown;
    shares: of a label, p(name | condition) [N, K]; pooled: some of the draws, [N, P] in the table's units; encoded: the
    same rows as they are encoded, [N * P, W].
    """

    known: dict[str, np.ndarray]
    real: dict[str, np.ndarray]
    place: dict[str, np.ndarray]
    score: dict[str, np.ndarray]
    shares: dict[str, np.ndarray]
    pooled: dict[str, np.ndarray]
    encoded: np.ndarray


def compared(
    learned: Learned,
    model: nn.Module,
    x: np.ndarray,
    columns: Columns,
    n: int,
    seed: int,
    progress: Told | None = None,
) -> Compared:
    """n >= 2 draws for the condition of each real row x [N, 1, 1, W], and how x lies among them."""
    outputs, rows = learned.outputs, len(x)
    assert outputs is not None, "only a model of rows draws rows"
    real = decode_rows(outputs, x, bounded=False)  # a value that training did not reach counts as it is
    known = {field.name: mask for field, mask in known_cells(outputs, x)}
    labels = [field for field in outputs.fields if isinstance(field, Label)]
    place = {field.name: np.full(rows, np.nan) for field in outputs.fields if isinstance(field, Number)}
    score = {field.name: np.full(rows, np.nan) for field in outputs.fields}
    shares = {field.name: np.empty((rows, len(field.values))) for field in labels}
    kept_draws = min(n, POOLED)
    encoded = np.empty((rows, kept_draws, x.shape[-1]), np.float32)
    ties = RowNoise(seed, np.arange(rows)).uniform([rows, len(outputs.fields)], TIES).numpy()
    for kept, values, likely in draws(learned, model, columns, rows, n, seed):
        encoded[kept] = values[:, :kept_draws]
        cells = decode_rows(outputs, values[:, :, None, None])
        for number, field in enumerate(outputs.fields):
            name, own = field.name, real[field.name][kept]
            if isinstance(field, Label):
                shares[name][kept] = likely[name]
                chosen = likely[name][np.arange(len(own)), field.index(list(own))]
                found = -np.log(np.maximum(chosen, 1e-12))
            else:
                place[name][kept] = among(own, cells[name], ties[kept, number])
                found = crps(own, cells[name])
            score[name][kept] = np.where(known[name][kept], found, np.nan)
        if progress is not None:
            progress(kept.stop, rows)
    flat = encoded.reshape(rows * kept_draws, -1)
    pooled = decode_rows(outputs, encoded[:, :, None, None])
    return Compared(known, real, place, score, shares, pooled, flat)


def draws(
    learned: Learned, model: nn.Module, columns: Columns, rows: int, n: int, seed: int
) -> Iterator[tuple[slice, np.ndarray, dict[str, np.ndarray]]]:
    """(rows, their n draws [R, n, W] as encoded, p(name | condition) [R, K] of each label), in blocks.

    The names' probabilities are means over the n draws of z. Draw j of row i is a function of (seed, i, j).
    """
    outputs = cast(Schema, learned.outputs)
    block = max(1, SIZE // n)
    with evaluating(model):
        for start in range(0, rows, block):
            kept = slice(start, min(start + block, rows))
            which = np.arange(kept.start, kept.stop)
            names = np.stack([np.repeat(which, n), np.tile(np.arange(n), len(which))], 1)
            asked = {name: np.repeat(column[which], n, 0) for name, column in columns.items()}
            asked = drawn(learned.schema, asked, names, seed)
            draw = Draw(RowNoise(seed, names, learned.device))
            row: Any = model(learned.condition(asked, np.arange(len(names))), draw=draw).x
            values = row.picture(draw).reshape(len(which), n, -1).float().cpu().numpy()
            likely = {
                field.name: block.float().softmax(-1).reshape(len(which), n, -1).mean(1).double().cpu().numpy()
                for field, block, _ in row.blocks(row.parameters)
                if isinstance(field, Label)
            }
            assert values.shape[-1] == outputs.width
            yield kept, values, likely


def among(real: np.ndarray, drawn: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Where real [N] lies among n draws [N, n], uniform in (0, 1) where it is distributed as they are.

    The rank, ties broken by uniforms [N]: the randomised probability integral transform (Czado, Gneiting & Held,
    "Predictive Model Assessment for Count Data", 2009), which is exact for whole numbers, too.
    """
    below = (drawn < real[:, None]).sum(1)
    equal = (drawn == real[:, None]).sum(1)
    return (below + ties * (equal + 1)) / (drawn.shape[1] + 1)


def crps(real: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of n >= 2 draws [N, n] against real [N]: E|X - y| - E|X - X'| / 2, [N].

    Unbiased in the number of draws (Gneiting & Raftery 2007, equation 21; Ferro, "Fair scores for ensemble forecasts",
    2014).
    """
    n = drawn.shape[1]
    rise = np.sort(drawn, 1)
    spread = (rise * (2 * np.arange(1, n + 1) - n - 1)).sum(1) / (n * (n - 1))
    return np.abs(drawn - real[:, None]).mean(1) - spread


def plain_crps(field: Number, real: np.ndarray) -> np.ndarray:
    """The CRPS of a number's distribution in training, from its quantiles, against real [N]: [N]."""
    middle = (np.arange(SPOTS) + 0.5) / SPOTS
    points = np.sort(field.drawn(np.repeat(middle[:, None], field.size, 1))[:, 0])
    spread = (points * (2 * np.arange(1, SPOTS + 1) - SPOTS - 1)).sum() / SPOTS**2
    return np.abs(points[None] - real[:, None]).mean(1) - spread
