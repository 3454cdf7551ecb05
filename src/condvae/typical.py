"""What is typical of the images that a model learned: the ranges of three statistics, and where a picture lies in them.

log p(x), nothing given, is the first. By itself it is not enough, for an empty page may be likelier than any image
(Nalisnick et al., "Do Deep Generative Models Know What They Don't Know?", 2019), and an even grey as likely as most. So
the cost of the code and the roughness of the picture stand beside it. All are two-sided: too likely is strange, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from condvae.conditionals import bound_of, likelihood_of
from condvae.conditions import Field
from condvae.errors import Refused
from condvae.learned import Columns, Learned, columns_of, observe, open_fields, pictures_of, take
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.objectives import distortion
from condvae.scores import UNLIKELY
from condvae.subject import chosen
from condvae.trace import Draw
from condvae.weighing import ENTRIES

SAMPLES = 5  # importance samples a sum: the range is of the same few, so that what they lack cancels
SUMMED = 32  # combinations of values that are summed over; of more, fields are read one after another
SWEEPS = 2  # how often each field is read, the others as they were read last
LEAST, MOST = 200, 1000  # images behind a range
QUICK, THOROUGH = 2e7, 1e9  # drawn pixels that a range may cost, if LEAST images do not cost more
ENOUGH = 20  # images without which nothing is called typical
LEVELS = tuple(range(101))  # per cent of the images below


@dataclass(frozen=True)
class Statistic:
    """name; what: as a sentence calls it; unit; tail: the share of images on each side that count as strange.

    above: what a value beyond the range says of the picture.
    """

    name: str
    what: str
    unit: str
    tail: float
    above: str = ""


STATISTICS = (
    Statistic("log_prob", "log p(x)", "nats", 0.01, "emptier or smoother than what it knows"),
    # the tails of the further ones are short, so that of real images little more than those of the first is flagged
    Statistic("rate", "the cost of its code", "nats", 0.0025),
    Statistic("roughness", "the mean step between neighbouring pixels", "", 0.001),
)


@dataclass(frozen=True)
class Range:
    """How a statistic is spread over images: `levels`, its 0, 1, ..., 100 % quantiles, and the bounds low and high."""

    low: float
    high: float
    levels: tuple[float, ...]

    def share_below(self, value: float) -> float:
        """The share of the images whose value is smaller, in [0, 1]; of what is no number 0."""
        if math.isnan(value):
            return 0.0
        return float(np.interp(value, self.levels, np.asarray(LEVELS) / 100))

    def side(self, value: float) -> str:
        """ "within", "below" or "above" of the bounds; what is no number is below."""
        if not value >= self.low:
            return "below"
        return "above" if value > self.high else "within"


@dataclass(frozen=True)
class Typical:
    """The ranges of all statistics, by name, and how they were come by.

    of: what the likelihood is of, in words; k: importance samples; images: how many; among: which they are, such as
    "test images"; whence: the same in full.
    """

    ranges: Mapping[str, Range]
    of: str
    k: int
    seed: int
    images: int
    among: str
    whence: str

    def verdict(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Where a picture lies whose statistics are these: JSON without a number that is none.

        value, low, high, share_below are log p(x)'s; "statistics" holds them of each; "typical" is whether all are
        within their ranges, and "words" a sentence.
        """
        found: dict[str, dict[str, Any]] = {}
        for one in STATISTICS:
            value, spread = float(values[one.name]), self.ranges[one.name]
            found[one.name] = {
                "value": value if math.isfinite(value) else None,
                "low": spread.low,
                "high": spread.high,
                "share_below": round(spread.share_below(value), 4),
                "side": spread.side(value),
            }
        strange = [one for one in STATISTICS if found[one.name]["side"] != "within"]
        first = found[STATISTICS[0].name]
        return {
            **{name: first[name] for name in ("value", "low", "high", "share_below")},
            "typical": not strange,
            "words": self.words(found, strange),
            "of": self.of,
            "k": self.k,
            "images": self.images,
            "whence": self.whence,
            "statistics": found,
        }

    def words(self, found: Mapping[str, Mapping[str, Any]], strange: list[Statistic]) -> str:
        """The verdict as a sentence."""
        if not strange:
            below = 100 * found[STATISTICS[0].name]["share_below"]
            return f"typical: more likely than {below:.0f} % of {self.among}"
        told = " and ".join(self.beyond(one, found[one.name]) for one in strange)
        return f"it looks like nothing the model knows: {told}; what it is read as means little"

    def beyond(self, one: Statistic, found: Mapping[str, Any]) -> str:
        """One statistic that is beyond its range, in words."""
        digits = 1 if one.unit else 3
        unit = f" {one.unit}" if one.unit else ""
        value = "beyond all numbers" if found["value"] is None else f"{found['value']:,.{digits}f}{unit}"
        lowest, highest = (f"{100 * share:g}" for share in (one.tail, 1 - one.tail))
        span = (
            f"the {lowest}-{highest} % range of {self.among}, {found['low']:,.{digits}f} to {found['high']:,.{digits}f}"
        )
        said = f"{one.what} = {value}, {found['side']} {span}"
        if found["side"] == "above" and one.above:
            said += f" (more likely than {highest} % of {self.among}: {one.above})"
        return said


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


def range_of(values: np.ndarray, tail: float) -> Range:
    """The range of values [N] without so large a share on each side."""
    low, high = np.quantile(values, [tail, 1 - tail])
    return Range(float(low), float(high), tuple(np.quantile(values, np.asarray(LEVELS) / 100).tolist()))


def images_for(learned: Learned, pixels: float) -> int:
    """How many images a range may take that draws so many pixels, from 200 to 1,000."""
    fields = open_fields(learned.schema, columns_of(learned, None, 1), [0])
    drawn = SAMPLES * combinations(fields)
    if combinations(fields) > SUMMED:
        drawn = SAMPLES + SWEEPS * sum(len(field.support()[1]) for field in fields)  # pyright: ignore
    return int(min(MOST, max(LEAST, pixels / (math.prod(learned.shape) * drawn))))


def combinations(fields: tuple[Field, ...]) -> int:
    """How many values these fields have together."""
    return math.prod(len(field.support()[1]) for field in fields)  # pyright: ignore


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


@dataclass(frozen=True)
class Weigher:
    """Pictures x [B, C, H, W] as the protocol sees them, rows [B] to name their noise, and what weighs them."""

    learned: Learned
    model: nn.Module
    x: Tensor
    rows: np.ndarray
    k: int
    seed: int

    def weighed(self, columns: Columns, ways: int, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(log p(x | c), rate), [B, ways] each, of columns of B * ways rows, those of a picture side by side.

        The ways of one picture share its noise, so that it cancels where they are compared.
        """
        names, k = np.repeat(self.rows, ways), k or self.k
        c, x = self.learned.condition(columns, np.arange(len(names))), self.x.repeat_interleave(ways, 0)
        noise = RowNoise(self.seed, np.stack([names, np.zeros_like(names)], 1), x.device)
        trace = self.model(c, x, draw=Draw(noise, k=k))
        fit = -distortion(trace, x).double()
        ratio = torch.zeros_like(fit)
        for latent in trace.latents:
            assert latent.q is not None
            ratio += (latent.p.log_prob(latent.z) - latent.q.log_prob(latent.z)).reshape(trace.k, -1)
        found = torch.logsumexp(fit + ratio, 0) - math.log(k)
        return tuple(one.reshape(-1, ways).cpu().numpy() for one in (found, -ratio.mean(0)))  # pyright: ignore


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
    """(log p(x | c) [B], rate [B]) under what is read of the fields, each in turn, the others as they were read last.

    At first each stands at its likeliest value, a number at its middle one.
    """
    settled, rows = dict(columns), len(weigh.rows)
    supports = {field.name: field.support() for field in fields}  # pyright: ignore
    for name, (entries, shares) in supports.items():
        likeliest = np.flatnonzero(shares == shares.max())
        settled[name] = np.repeat(entries[likeliest[len(likeliest) // 2]][None], rows, 0)
    for field in list(fields) * SWEEPS:
        entries, shares = supports[field.name]
        asked = {name: np.repeat(column, len(shares), 0) for name, column in settled.items()}
        each, _ = weigh.weighed({**asked, field.name: tiled(entries, rows)}, len(shares), 1)
        settled[field.name] = entries[best(each + shares)]
    found, rate = weigh.weighed(settled, 1)
    return found[:, 0], rate[:, 0]


def best(joint: np.ndarray) -> np.ndarray:
    """The place of the largest of each row [B, W], where some may be no numbers."""
    return np.nan_to_num(joint, nan=-np.inf).argmax(1)


def tiled(entries: np.ndarray, rows: int) -> np.ndarray:
    """A column [W, ...] repeated as a whole, [rows * W, ...]."""
    return np.tile(entries, (rows, *(1,) * (entries.ndim - 1)))


def roughness(x: Tensor) -> np.ndarray:
    """Mean absolute difference of neighbouring pixels of pictures [B, C, H, W] in [0, 1]: [B] float64; 0 of an even
    page, 1 / 3 of uniform noise."""
    x = x.double()
    steps = [(x[:, :, 1:] - x[:, :, :-1]).abs().flatten(1), (x[..., 1:] - x[..., :-1]).abs().flatten(1)]
    steps = [step for step in steps if step.shape[1]]
    if not steps:
        return np.zeros(len(x))
    return torch.stack([step.mean(1) for step in steps]).mean(0).cpu().numpy()
