"""What is typical of the images that a model learned: the ranges of three statistics, and where a picture lies in them.

log p(x), nothing given, is the first. By itself it is not enough, for an empty page may be likelier than any image
(Nalisnick et al., "Do Deep Generative Models Know What They Don't Know?", 2019), and an even grey as likely as most. So
the cost of the code and the roughness of the picture stand beside it. All are two-sided: too likely is strange, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVELS = tuple(range(101))  # per cent of the images below


@dataclass(frozen=True)
class Statistic:
    """name; what: as a sentence calls it; unit; tail: the share of images on each side that count as strange."""

    name: str
    what: str
    unit: str
    tail: float


STATISTICS = (
    Statistic("log_prob", "log p(x)", "nats", 0.01),
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
        """Where a picture lies whose statistics are these, JSON without a number that is none.

        verdict: "typical"; "smoother", where nothing is strange but that log p(x) is above its range; or "strange".
        flagged: whether it is not typical. words: a sentence. value, low, high, share_below: log p(x)'s; "statistics"
        holds them of each, with the side ("within", "below", "above") that the value is on.
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
        first, strange = STATISTICS[0], [one for one in STATISTICS if found[one.name]["side"] != "within"]
        if not strange:
            verdict = "typical"
        else:
            verdict = "smoother" if strange == [first] and found[first.name]["side"] == "above" else "strange"
        return {
            "verdict": verdict,
            "flagged": bool(strange),
            "words": self.words(verdict, found, strange),
            **{name: found[first.name][name] for name in ("value", "low", "high", "share_below")},
            "of": self.of,
            "k": self.k,
            "images": self.images,
            "whence": self.whence,
            "statistics": found,
        }

    def words(self, verdict: str, found: Mapping[str, Mapping[str, Any]], strange: list[Statistic]) -> str:
        """The verdict as a sentence."""
        told = "; ".join(self.beyond(one, found[one.name]) for one in strange)
        if verdict == "typical":
            return f"typical: more likely than {100 * found['log_prob']['share_below']:.0f} % of {self.among}"
        if verdict == "smoother":
            most = f"more likely than {100 * (1 - strange[0].tail):g} % of {self.among}"
            return f"{most}: {told}; emptier or smoother than what it knows, as its own drawings often are"
        return f"it looks like nothing the model knows: {told}; what it is read as means little"

    def beyond(self, one: Statistic, found: Mapping[str, Any]) -> str:
        """One statistic that is beyond its range, in words."""
        digits = 1 if one.unit else 3
        unit = f" {one.unit}" if one.unit else ""
        value = "beyond all numbers" if found["value"] is None else f"{found['value']:,.{digits}f}{unit}"
        tails = f"{100 * one.tail:g}-{100 * (1 - one.tail):g} % range of {self.among}"
        span = f"{found['low']:,.{digits}f} to {found['high']:,.{digits}f}"
        return f"{one.what} = {value}, {found['side']} the {tails}, {span}"


def range_of(values: np.ndarray, tail: float) -> Range:
    """The range of values [N] without so large a share on each side."""
    low, high = np.quantile(values, [tail, 1 - tail])
    return Range(float(low), float(high), tuple(np.quantile(values, np.asarray(LEVELS) / 100).tolist()))
