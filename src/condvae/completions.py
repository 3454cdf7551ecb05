"""The hidden parts of real images, completed several times: what is kept, how near it comes, and what it shows."""

from __future__ import annotations

import math

import numpy as np
import torch

from condvae.conditions import Label
from condvae.evaluation import Completion, Decibels, Share
from condvae.images import unit
from condvae.judges import Judge
from condvae.noise import seed_of
from condvae.subject import Subject, chosen, estimate

__all__ = ["TIMES", "completed"]

TIMES = 5  # completions an image
LEAST_ERROR = 1e-10  # of a mean square: at most 100 dB
AT_ONCE = 2**25  # pixels drawn at once


def completed(
    subject: Subject, target: Label | None, judge: Judge | None, draws: int, prior: str | None
) -> Completion | None:
    """What the model makes of the hidden parts of up to draws / 5 images; None for a model that fills no holes."""
    field = subject.learned.schema.picture
    if field is None:
        return None
    rows = subject.judged[chosen(len(subject.judged), max(1, draws // TIMES), seed_of(subject.seed, 15))]
    told = subject.given[field.name][rows]
    x = unit(subject.images[torch.from_numpy(rows)]).cpu().numpy()
    hidden = np.broadcast_to(told[:, -1:] == 0, x.shape)
    first, mean, kept = drawn_over(subject, rows, told, prior)
    seen = TIMES * int((~hidden).sum())
    asked = unasked = real = None
    if target is not None and judge is not None:
        own = positions_for(judge, target, subject.given[target.name][rows])
        asked, real = agreed(judge, first, own), agreed(judge, x, own)
        if target.optional and asked is not None:
            unasked = agreed(judge, drawn_over(subject, rows, told, prior, target.name, 1)[0], own)
    return Completion(
        field=field.name,
        images=len(rows),
        times=TIMES,
        hidden=float(hidden.mean()),
        kept=Share(right=kept, of=seen) if seen else None,
        psnr=decibels(mean, x, hidden),
        plain_psnr=decibels(np.broadcast_to(x.mean(0), x.shape), x, hidden),
        asked=asked,
        unasked=unasked,
        real=real,
    )


def drawn_over(
    subject: Subject,
    rows: np.ndarray,
    told: np.ndarray,
    prior: str | None,
    without: str | None = None,
    times: int = TIMES,
) -> tuple[np.ndarray, np.ndarray, int]:
    """(first completion of each row, mean of all of them, [N, C, H, W] each, seen values kept exactly in all of them).

    told: what is seen of the rows [N, C + 1, H, W]; all else that is known of them is asked for, but for `without`.
    """
    first, mean, kept = np.empty_like(told[:, :-1]), np.empty_like(told[:, :-1]), 0
    step = max(1, AT_ONCE // (times * first[0].size))
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        asked = subject.asked_of(rows[block], picture=True)
        asked.pop(without or "", None)
        seed = seed_of(subject.seed, 16, start)
        made = subject.drawn(asked, times, seed, prior)
        first[block], mean[block] = made[:, 0], made.mean(1)
        seen = np.broadcast_to(told[block, None, -1:] > 0, made.shape)
        kept += int(((made == told[block, None, :-1]) & seen).sum())
        if subject.progress is not None:
            subject.progress("completions", min(start + step, len(rows)), len(rows))
    return first, mean, kept


def positions_for(judge: Judge, target: Label, column: np.ndarray) -> np.ndarray:
    """A label's column [N] as positions in the judge's own values, -1 where unknown."""
    places = {value: place for place, value in enumerate(judge.values)}
    return np.asarray([*(places[value] for value in target.values), -1])[column]


def agreed(judge: Judge, pictures: np.ndarray, own: np.ndarray) -> Share | None:
    """How often the judge reads from the pictures what they should show; None where nothing of that is known."""
    known = own >= 0
    if not known.any():
        return None
    right = judge.read(np.ascontiguousarray(pictures[known])).index == own[known]
    return Share(right=int(right.sum()), of=int(known.sum()))


def decibels(made: np.ndarray, x: np.ndarray, hidden: np.ndarray) -> Decibels | None:
    """Peak signal-to-noise ratio of the hidden values of each picture, on average; None where nothing is hidden."""
    count = hidden.sum((1, 2, 3))
    some = count > 0
    if not some.any():
        return None
    error = (np.square(made.astype(np.float64) - x) * hidden).sum((1, 2, 3))[some] / count[some]
    found = estimate(np.asarray([-10 * math.log10(max(LEAST_ERROR, one)) for one in error]))
    return Decibels(**found.model_dump())
