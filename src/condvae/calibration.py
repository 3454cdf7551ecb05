"""Whether the probabilities with which labels are read mean what they say: calibration and proper scores.

A reader is calibrated where, of all images whose label it reads with a confidence of 80 %, it reads 80 % rightly.
"""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field

from condvae.errors import Refused
from condvae.findings import Finding, Share

__all__ = ["BAYES", "BINS", "CLASSIFIER", "Bin", "Calibration", "calibration"]

BINS = 15  # equally wide, as in the paper; another number gives another error
LEAST = 1e-12  # a probability of zero costs 27.6 nats and not infinitely many
SLACK = 1e-3  # by which the probabilities of a row may miss a sum of 1
BAYES = "Bayes' rule"
CLASSIFIER = "the model's classifier, q(label | x)"


class Bin(Finding):
    """The images whose labels are read with about the same confidence."""

    confidence: float
    """Mean probability of the label that is read, in [0, 1]."""
    right: Share
    """Those of the images that are read rightly."""

    @property
    def accuracy(self) -> float:
        """Share of its images that are read rightly, in [0, 1]."""
        return self.right.share

    @property
    def count(self) -> int:
        """How many images it holds, 1 or more."""
        return self.right.of


class Calibration(Finding):
    """How rightly labels are read, and whether the reader is as often right as it is sure."""

    reader: str = BAYES
    """What reads: `BAYES`, the rule on the bound, or `CLASSIFIER`, the model's own."""
    values: int = Field(ge=1)
    """How many labels there are, K."""
    error: Share
    """The images whose likeliest label is not the true one."""
    confidence: float
    """Mean probability of the likeliest label, in [1 / K, 1]; calibrated it is about the share read rightly."""
    ece: float
    """Expected calibration error, in [0, 1], 0 = calibrated: |accuracy - confidence| of 15 equally wide bins of
    confidence, weighted by their images (Guo et al., "On Calibration of Modern Neural Networks", 2017)."""
    chance: float
    """What that error is on average, about, where a reader of the same confidences is calibrated; few images, more."""
    nll: float
    """Mean of -log probability of the true label, nats, 0 or more; ln K where all labels are equally likely."""
    nll_error: float | None
    """Standard error of `nll`; None for a single image."""
    brier: float
    """Mean over the images of the summed squares of what each label's probability is off, in [0, 2]; 1 - 1 / K where
    all labels are equally likely (Brier, "Verification of Forecasts Expressed in Terms of Probability", 1950)."""
    brier_error: float | None
    """Standard error of `brier`; None for a single image."""
    bins: list[Bin]
    """The bins that hold an image, by rising confidence; `BINS` at most."""

    @property
    def right(self) -> Share:
        """The images whose likeliest label is the true one."""
        return Share(right=self.error.of - self.error.right, of=self.error.of)


def calibration(probabilities: np.ndarray, truth: np.ndarray, reader: str = BAYES) -> Calibration:
    """What probabilities [N, K] of the labels are worth beside the true labels' positions [N], each in 0..K-1.

    Each row of probabilities sums to 1; no label is unknown. Of equally likely labels the first counts as read.

    Raises:
        Refused: arrays of other shapes, no row, what is no probability, or a position outside 0..K-1.
    """
    given, places = np.asarray(probabilities, np.float64), np.asarray(truth)
    if given.ndim != 2 or not given.size:
        raise Refused(f"probabilities must be [N, K] with a row at least, but came with the shape {list(given.shape)}")
    if places.shape != given.shape[:1] or not np.issubdtype(places.dtype, np.integer):
        raise Refused(f"truth must hold {len(given)} whole positions; got {places.dtype} {list(places.shape)}")
    if not (given >= 0).all() or not (np.abs(given.sum(1) - 1) <= SLACK).all():
        raise Refused("probabilities must be 0 or more and sum to 1 in each row; normalise them")
    if places.min() < 0 or places.max() >= given.shape[1]:
        raise Refused(
            f"truth must be from 0 to {given.shape[1] - 1}, but runs from {places.min()} to {places.max()}; leave "
            "unknown labels out"
        )
    rows = np.arange(len(given))
    sure = given.max(1).clip(max=1.0)
    right = given.argmax(1) == places
    told = -np.log(given[rows, places].clip(LEAST, 1.0))
    apart = given.copy()
    apart[rows, places] -= 1
    squares = (apart**2).sum(1)

    # Bin m holds ((m - 1) / 15, m / 15], as in the paper
    own = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    count, hits, trust, spread = (
        np.bincount(own, weights, BINS) for weights in (None, right, sure, sure * (1 - sure))
    )  # fmt: skip
    # Mean |hits - expected hits| is that of a bell curve where many hits and misses are expected, and 2 p (1 - p) of
    # a single image; where hardly a miss is expected the bell curve would say far too much.
    by_chance = np.minimum(np.sqrt(2 * spread / math.pi), 2 * spread)
    return Calibration(
        reader=reader,
        values=given.shape[1],
        error=Share(right=int((~right).sum()), of=len(given)),
        confidence=float(sure.mean()),
        ece=float(np.abs(hits - trust).sum() / len(given)),
        chance=float(by_chance.sum() / len(given)),
        nll=float(told.mean()),
        nll_error=standard_error(told),
        brier=float(squares.mean()),
        brier_error=standard_error(squares),
        bins=[
            Bin(confidence=float(trust[m] / count[m]), right=Share(right=int(hits[m]), of=int(count[m])))
            for m in np.flatnonzero(count)
        ],
    )


def standard_error(values: np.ndarray) -> float | None:
    """Of the mean of values [N]; None for a single one."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
