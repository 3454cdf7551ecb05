"""What an evaluation is of: a model under one prior, images and their labels; what all measures share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import nn

from condvae.conditions import Label
from condvae.errors import Refused
from condvae.evaluation import Estimate
from condvae.images import Images
from condvae.judges import Judge
from condvae.learned import Columns, Learned
from condvae.noise import seed_of

Progress = Callable[[str, int, int], None]  # (what is measured, done, total)


@dataclass(frozen=True)
class Subject:
    """What is measured: the model under its prior, the images, their labels as given (-1 = unknown) and settled."""

    learned: Learned
    model: nn.Module
    images: Images
    given: Columns
    settled: Columns
    seed: int
    progress: Progress | None

    def tell(self, what: str) -> Callable[[int, int], None] | None:
        """A progress of rows for one measure."""
        progress = self.progress
        return None if progress is None else lambda done, total: progress(what, done, total)


def estimate(values: np.ndarray) -> Estimate:
    """Mean and standard error of values [N]."""
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
    return Estimate(mean=float(values.mean()), standard_error=error, images=len(values))


def chosen(total: int, count: int, seed: int) -> np.ndarray:
    """`count` of `total` rows at random, rising; all where there are no more."""
    if count >= total:
        return np.arange(total)
    order = np.random.default_rng(seed_of(seed, 11)).permutation(total)
    return np.sort(order[:count])


def judged_field(learned: Learned, judge: Judge | None, name: str | None) -> Label | None:
    """The field that is read back, None for a model without one; Refused where the judge does not fit it."""
    fields = learned.schema.fields
    if not fields:
        return None
    if name is None and len(fields) > 1:
        raise Refused(f"field must name what the judge reads, one of {', '.join(f.name for f in fields)}; got None")
    target = learned.schema.field(name) if name is not None else next(iter(fields))
    strange = sorted(set(target.values) - set(judge.values)) if judge is not None else []
    if strange:
        raise Refused(
            f"judge must know all values of {target.name}, but {', '.join(strange[:5])} it does not; train one with "
            "condvae.judges.judge_for on the model's own data"
        )
    return target
