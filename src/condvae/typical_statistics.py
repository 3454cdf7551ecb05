"""The statistics by which a picture is typical or not: log p(x), the cost of its code, its roughness; and their ranges.

All are of few samples, so that one picture takes less than a second; the ranges are of the same few.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condvae.conditionals import bound_of, likelihood_of
from condvae.conditions import Field
from condvae.errors import Refused
from condvae.learned import Columns, Learned, columns_of, observe, open_fields, pictures_of, take
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.scores import UNLIKELY
from condvae.settling import SUMMED, SWEEPS, Weigher, best, combinations, settle, tiled
from condvae.subject import chosen
from condvae.typical import STATISTICS, Typical, range_of
from condvae.weighing import ENTRIES

SAMPLES = 5  # importance samples a sum: the range is of the same few, so that what they lack cancels
LEAST, MOST = 200, 1000  # images behind a range
QUICK, THOROUGH = 2e7, 5e8  # drawn pixels that a range may cost, if LEAST images do not cost more
ENOUGH = 20  # images without which nothing is called typical


def typical_of(
    learned: Learned, x: Any, whence: str = "the test images", limit: int = MOST, k: int = SAMPLES, seed: int = 0
) -> Typical:
    """The ranges over at most `limit` of the images x, drawn at random by the seed (`subject.chosen`).

    x: images as in `reconstruct`, none of which the model was trained on. whence: which they are, in words.
    Refused for a model without a likelihood or of rows, for fewer than 20 images, and where log p(x) of one is not
    finite.
    """
    images = pictures_of(learned, x)
    if len(images) < ENOUGH:
        raise Refused(f"at least {ENOUGH} images are needed to tell what is typical; got {len(images)}")
    rows = chosen(len(images), limit, seed)
    values = statistics(learned, take(learned, images, rows), k, seed)
    for name, column in values.items():
        lost = int((~np.isfinite(column)).sum())
        if lost:
            raise Refused(
                f"what is typical cannot be told, for the {name} of {lost} of {len(rows)} images is no number"
            )
    columns = columns_of(learned, None, len(images))
    summed = combinations(open_fields(learned.schema, columns, rows)) <= SUMMED
    of = likelihood_of(learned.schema, columns, rows) if summed else bound_of(learned.schema, columns, rows)
    ranges = {one.name: range_of(values[one.name], one.tail) for one in STATISTICS}
    among = whence.removeprefix("the ").partition(",")[0]
    return Typical(ranges, of, k, seed, len(rows), among, whence)


def images_for(learned: Learned, pixels: float) -> int:
    """How many images a range may take that draws so many pixels, from 200 to 1,000."""
    fields = open_fields(learned.schema, columns_of(learned, None, 1), [0])
    drawn = SAMPLES * combinations(fields)
    if combinations(fields) > SUMMED:
        drawn = SAMPLES + SWEEPS * sum(len(field.support()[1]) for field in fields)  # pyright: ignore
    return int(min(MOST, max(LEAST, pixels / (math.prod(learned.shape) * drawn))))


def statistics(learned: Learned, x: Any, k: int = SAMPLES, seed: int = 0) -> dict[str, np.ndarray]:
    """log_prob, rate and roughness of pictures x, [N] float64 each, under the run's default prior, nothing given.

    log_prob: log p(x) by k importance samples, as `scores.log_prob` has it: fields with a blank input are blank, others
    are summed over. Where they have more than 32 values together they are read instead, one after another, twice, each
    as the value that makes x likeliest by one sample while the others stay: then it is log p(x | what is read). rate:
    nats by which the code's posterior differs from its prior, mean over the samples, of the likeliest values.
    roughness: mean absolute difference of neighbouring pixels, in [0, 1]. Row i depends on (seed, i) and x[i].
    Refused as by `scores.log_prob`.
    """
    if learned.outputs is not None:
        raise Refused("what is typical is told of pictures, and this run generates rows of a table")
    if not learned.likely:
        raise Refused(f"what is typical is told by a likelihood; {UNLIKELY}")
    images = pictures_of(learned, x)
    model, total = learned.using(), len(images)
    columns = columns_of(learned, None, total)
    fields = open_fields(learned.schema, columns, np.arange(total))
    way, widest = summed, k * combinations(fields)
    if combinations(fields) > SUMMED:
        way, widest = read, max(k, *(len(field.support()[1]) for field in fields))  # pyright: ignore
    size = max(1, ENTRIES // (math.prod(learned.shape) * widest))
    out = np.empty((3, total))
    with evaluating(model):
        for start in range(0, total, size):
            rows = np.arange(start, min(start + size, total))
            own = take(learned, images, rows)
            seen = observe(own, learned.binarise, RowNoise(seed, rows, learned.device))
            weigh = Weigher(learned, model, seen, rows, k, seed)
            out[:2, rows] = way(weigh, {name: column[rows] for name, column in columns.items()}, fields)
            out[2, rows] = roughness(own)
    return {one.name: values for one, values in zip(STATISTICS, out, strict=True)}


def summed(weigh: Weigher, columns: Columns, fields: tuple[Field, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(log p(x) [B] summed over the fields by their shares, the rate [B] under the likeliest values)."""
    supports = [field.support() for field in fields]  # pyright: ignore
    places = np.asarray(list(product(*(range(len(shares)) for _, shares in supports))), np.int64)
    ways, rows = len(places), len(weigh.rows)
    asked = {name: np.repeat(column, ways, 0) for name, column in columns.items()}
    share = np.zeros(ways)
    for at, (field, (entries, shares)) in enumerate(zip(fields, supports, strict=True)):
        asked[field.name] = tiled(entries[places[:, at]], rows)
        share += shares[places[:, at]]
    found, rate = weigh.weighed(asked, ways)
    joint = found + share
    return np.logaddexp.reduce(joint, axis=1), rate[np.arange(rows), best(joint)]


def read(weigh: Weigher, columns: Columns, fields: tuple[Field, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(log p(x | c) [B], rate [B]) under what is read of the fields (`settling.settle`)."""
    found, rate = weigh.weighed(settle(weigh, columns, fields), 1)
    return found[:, 0], rate[:, 0]


def roughness(x: Tensor) -> np.ndarray:
    """Mean absolute difference of neighbouring pixels of pictures [B, C, H, W] in [0, 1]: [B] float64; 0 of an even
    page, 1 / 3 of uniform noise."""
    x = x.double()
    steps = [(x[:, :, 1:] - x[:, :, :-1]).abs().flatten(1), (x[..., 1:] - x[..., :-1]).abs().flatten(1)]
    steps = [step for step in steps if step.shape[1]]
    if not steps:
        return np.zeros(len(x))
    return torch.stack([step.mean(1) for step in steps]).mean(0).cpu().numpy()
