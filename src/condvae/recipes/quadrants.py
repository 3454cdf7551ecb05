"""quadrants: what is hidden of a digit, given a quarter, half or three quarters of it; and one model for every hole.

Geometry and networks: Sohn, Lee, Yan, "Learning Structured Output Representation using Deep Conditional Generative
Models", 2015, and the tutorial on conditional VAEs of the library Pyro: grey MNIST, dense layers of 500 and 500, 200
latents, Adam at 1e-3. Only hidden pixels are scored, in training and in the test. Unlike the tutorial, nothing is
chosen by the test set, and the likelihood is importance-weighted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condvae.data import unit
from condvae.fills import fill
from condvae.holes import seen_masks
from condvae.noise import RowNoise
from condvae.partials import partial
from condvae.recipes.base import Line, Outcome, Recipe
from condvae.recipes.drawing import standard_pictures
from condvae.tasks import importance

SAMPLES = 1000
BESIDE = 1000  # first test images on which the model of every hole stands beside the specialists: it is 15 times slower
MEANS = 10  # completions whose mean is compared with the real pixels
TUTORIAL = {"quadrants-1": 71.8, "quadrants-2": 51.0, "quadrants-3": 24.2}  # in truth -ELBO, stopped on the test set
GOALS = {"quadrants-1": 63.0, "quadrants-2": 44.0, "quadrants-3": 20.5}
NEAR = 1.02  # the any-mask model beside a specialist


def seen_of(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """What is seen of pictures [N, C, H, W] through a fixed hole, bool [N, 1, H, W]."""
    rows = np.arange(shape[0])
    return seen_masks(kind, shape[0], shape[2], shape[3], RowNoise(0, rows)).numpy()


def completed(outcome: Outcome, kind: str, limit: int | None = None) -> dict[str, Any]:
    """One hole on the test images: likelihood of what is hidden, PSNR of the mean completion, what a judge reads.

    limit: images whose likelihood is weighed, the first ones.
    """
    part = outcome.collection.test
    assert part is not None
    x = unit(part.x[slice(None)]).numpy()
    seen = seen_of(kind, x.shape)
    given = {"picture": partial(x[:limit], seen[:limit])}
    found = importance(outcome.learned, x[:limit], given, k=SAMPLES, seed=0, prior="model")
    nats = -found.log_prob
    error, right, rows = 0.0, 0, np.asarray(part.labels["digit"])
    names = np.asarray(outcome.judge().values)
    for start in range(0, len(x), 1000):
        some = slice(start, start + 1000)
        drawn = fill(outcome.learned, x[some], seen[some], n=MEANS, seed=start)
        hidden = ~seen[some]
        error += float((np.square(drawn.mean(1) - x[some]) * hidden).sum())
        right += int((names[outcome.judge().read(drawn[:, 0]).index] == rows[some]).sum())
    mean_square = error / float((~seen).sum())
    return {
        "nll": float(nats.mean()),
        "nll_standard_error": float(nats.std(ddof=1) / np.sqrt(len(nats))),
        "minus_elbo": float(-found.elbo.mean()),
        "k": SAMPLES,
        "effective_samples": float(found.effective.mean()),
        "images": len(nats),
        "nll_first_1000": float(nats[:BESIDE].mean()),
        "psnr_of_mean_completion": float(-10 * np.log10(mean_square)),
        "completions_read_as_the_digit": right / len(x),
        "judge_accuracy": outcome.judge().accuracy,
    }


def measure(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """The hole that a specialist was trained on; all three for the model of every hole."""
    kinds = [outcome.variant] if outcome.variant in GOALS else list(GOALS)
    values: dict[str, Any] = {"validation": outcome.history[-1]["validation"]}
    lines: list[Line] = []
    for place, kind in enumerate(kinds, 1 if len(kinds) > 1 else list(GOALS).index(outcome.variant) + 1):
        values[kind] = found = completed(outcome, kind, None if outcome.variant in GOALS else BESIDE)
        lines += lines_of(outcome, kind, place, found)
    return values, lines


def lines_of(outcome: Outcome, kind: str, quadrants: int, found: dict[str, Any]) -> list[Line]:
    """Published beside obtained for one hole."""
    what = f"{quadrants} seen: "
    nats, goal = found["nll"], GOALS[kind]
    if outcome.variant in GOALS:
        first = Line(f"{what}-log p(hidden | seen), K = 1000", TUTORIAL[kind], nats, f"<= {goal}", nats <= goal)
    else:
        other = outcome.reference("quadrants", kind)
        limit = None if other is None else other[kind]["nll_first_1000"] * NEAR
        asked = "" if limit is None else f"<= {limit:.2f} (specialist + 2 %)"
        first = Line(
            f"{what}-log p(hidden | seen), K = 1000", None, nats, asked, None if limit is None else nats <= limit
        )
    return [
        first,
        Line(f"{what}-ELBO", None, found["minus_elbo"]),
        Line(f"{what}PSNR of the mean completion, hidden pixels, dB", None, found["psnr_of_mean_completion"]),
        Line(f"{what}completions read as the digit, share", None, found["completions_read_as_the_digit"]),
    ]


RECIPES = [
    Recipe(
        name="quadrants",
        title="A digit's hidden quadrants, given one, two or three",
        source='Sohn, Lee, Yan, "Learning Structured Output Representation using Deep Conditional Generative Models", '
        "2015, in the form of Pyro's tutorial on conditional VAEs",
        data="mnist",
        settings={
            "network": "mlp",
            "hidden": (500, 500),
            "z": 200,
            "activation": "relu",
            "likelihood": "bernoulli",
            "batch": 128,
            "lr": 1e-3,
            "schedule": "cosine",
            "average": 0.999,
            "warm_up": 0.4,
            "hold_out": 5000,
            "density": "none",
            "epochs": 24,
        },
        protocol="grey MNIST, 55,000 training images, 5,000 held out for choices; seen: bottom left quadrant / left "
        "half / all but the bottom right; only hidden pixels are scored, by grey BCE, an unnormalised score: "
        "values are bounds on it, not on a density; all 10,000 test images once, 1,000 importance samples an "
        "image, nats",
        measure=measure,
        draw=standard_pictures,
        variants={kind: {"holes": kind} for kind in GOALS},
        unconditional=frozenset(GOALS),
        seeds=(0,),
    )
]
