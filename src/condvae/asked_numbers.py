"""Numbers that were asked for beside those that a regressor reads off the drawings, and off the real images."""

from __future__ import annotations

import math

import numpy as np

from condvae.conditions import Number
from condvae.drawings import Drawn
from condvae.evaluation import Numbers, Read
from condvae.regress_net import Regressor
from condvae.subject import Subject, real_images

POINTS = 200  # pairs of asked and read that are kept for a picture
PAIRS = 2_000  # values of each whose differences say what unheeded numbers would give


def numbers_obeyed(subject: Subject, drawn: Drawn, field: Number, regressor: Regressor) -> Numbers | None:
    """How near the numbers read come to those asked for, entry by entry; None where an entry was asked of none."""
    asked = subject.given[field.name][drawn.rows]
    if (~np.isnan(asked)).sum(0).min() == 0:
        return None
    real = regressor.read(real_images(subject, drawn.rows)).numbers
    made = drawn.read[field.name]
    entries = [apart(asked[:, place], made[:, place], real[:, place]) for place in range(field.size)]
    return Numbers(field=field.name, entries=entries, regressor=regressor.card.sentence())


def apart(asked: np.ndarray, read: np.ndarray, real: np.ndarray) -> Read:
    """Numbers asked for [M], NaN = not asked, beside those read off the drawings and off the real images [M]."""
    known = ~np.isnan(asked)
    asked, read, real = asked[known], read[known], real[known]
    far = np.abs(read - asked)
    shown = np.linspace(0, len(asked) - 1, min(POINTS, len(asked))).round().astype(int)
    return Read(
        mean=float(far.mean()),
        standard_error=float(far.std(ddof=1) / math.sqrt(len(far))) if len(far) > 1 else None,
        square=root_mean_square(read - asked),
        correlation=correlation(asked, read),
        skill=skill(asked, read),
        real_mean=float(np.abs(real - asked).mean()),
        real_square=root_mean_square(real - asked),
        real_skill=skill(asked, real),
        unheeded=unheeded(asked, read),
        drawings=len(asked),
        points=[(float(asked[i]), float(read[i]), float(real[i])) for i in shown],
    )


def root_mean_square(error: np.ndarray) -> float:
    return math.sqrt(float(np.square(error).mean()))


def skill(asked: np.ndarray, read: np.ndarray) -> float | None:
    """1 - mean squared difference / variance of what was asked; None where that does not vary."""
    variance = float(asked.var())
    return 1 - float(np.square(read - asked).mean()) / variance if variance > 0 else None


def correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Pearson's correlation of [M] and [M]; None where one does not vary."""
    spread = float(a.std() * b.std())
    return float(np.mean((a - a.mean()) * (b - b.mean())) / spread) if spread > 0 else None


def unheeded(asked: np.ndarray, read: np.ndarray) -> float:
    """Mean absolute difference of all pairs of an asked and a read number, related or not (of 2,000 each at most)."""
    few = np.linspace(0, len(asked) - 1, min(PAIRS, len(asked))).round().astype(int)
    return float(np.abs(asked[few][:, None] - read[few][None]).mean())
