"""best-mnist: the most likely digits that half an hour on two cores buys. A recipe of our own.

Dynamically binarised MNIST, one label. Convolutions give each pixel a few features; a shallow autoregressive layer
reads them and the pixels above and to the left; the prior is a learned mixture for each label; weights are averaged
under a rate that falls to zero. `docs/best-mnist.md` tells what each choice gave.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condvae.recipes.base import Line, Outcome, Recipe
from condvae.recipes.drawing import standard_pictures
from condvae.tasks import importance

SAMPLES = 500  # published with K = 5000 for dense decoders and 500 for convolutional ones


def measure(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """-log p(x | y) of the 10,000 test images once, by 500 importance samples each, under the trained prior."""
    if outcome.variant.startswith("choice"):
        return choice(outcome)
    part = outcome.collection.test
    assert part is not None
    given = {"digit": list(part.labels["digit"])}
    found = importance(outcome.learned, part.x, given, k=SAMPLES, seed=0, prior="model")
    nats = -found.log_prob
    mean, error = float(nats.mean()), float(nats.std(ddof=1) / np.sqrt(len(nats)))
    values = {
        "nll": mean,
        "nll_standard_error": error,
        "minus_elbo": float(-found.elbo.mean()),
        "k": SAMPLES,
        "effective_samples": float(found.effective.mean()),
        "images": len(nats),
        "validation": outcome.history[-1]["validation"],
    }
    lines = [
        Line("-log p(x|y), K = 500, nats", None, mean, "<= 81.5", mean <= 81.5),
        Line("-ELBO, nats", None, values["minus_elbo"]),
    ]
    return values, lines


def choice(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """What a choice gives in five epochs, on the 1,000 held-out training images: the test set has no say in it."""
    held = outcome.history[-1]["validation"]
    lines = [
        Line("-ELBO of 1,000 held-out training images, 5 epochs", None, held["loss"]),
        Line("KL of the latents", None, held["rate"]),
    ]
    return {"held_out_minus_elbo": held["loss"], "held_out_kl": held["rate"]}, lines


SHORT: dict[str, Any] = {"epochs": 5, "blind": 0.3}
CHOICES: dict[str, dict[str, Any]] = {
    "choice-all": SHORT,
    "choice-no-autoregression": {**SHORT, "likelihood": "bernoulli"},
    "choice-standard-prior": {**SHORT, "prior": "standard"},
    "choice-sighted-from-the-start": {**SHORT, "blind": 0.0},
    "choice-no-averaging": {**SHORT, "average": 0.0},
    "choice-constant-rate": {**SHORT, "schedule": "constant"},
}

RECIPES = [
    Recipe(
        name="best-mnist",
        title="The best class-conditional model of half an hour on two cores",
        source="a recipe of this project",
        data="mnist",
        settings={
            "network": "conv",
            "width": 24,
            "blocks": 1,
            "features": 256,
            "activation": "relu",
            "normalise": "none",
            "z": 40,
            "prior": "mixture",
            "components": 20,
            "likelihood": "autoregressive",
            "binarise": "dynamic",
            "blind": 0.04,
            "batch": 128,
            "lr": 2e-3,
            "schedule": "cosine",
            "average": 0.999,
            "warm_up": 0.02,
            "precision": "bf16",
            "hold_out": 1000,
            "epochs": 42,
        },
        protocol="MNIST, 59,000 training images binarised anew each time they are read, 1,000 held out for choices; "
        "-log p(x|y) of all 10,000 test images, one seeded binarisation, 500 importance samples an image, nats",
        measure=measure,
        draw=standard_pictures,
        variants={"full": {}, **CHOICES},
        seeds=(0,),
    )
]
