"""ladder-mnist: digits by latents on many levels; ladder-cifar: colour, beside a plain convolutional CVAE.

Recipes of our own. Sources of the model: Sonderby, Raiko, Maaloe, Sonderby, Winther, "Ladder Variational Autoencoders",
2016; Child, "Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images", 2021; Salimans,
Karpathy, Chen, Kingma, "PixelCNN++", 2017. `docs/ladder.md` tells what was tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from condvae.recipes.base import Line, Outcome, Recipe
from condvae.recipes.best_mnist import SAMPLES, choice
from condvae.recipes.draw import drawn_lines
from condvae.recipes.drawing import standard_pictures
from condvae.recipes.proof import proof
from condvae.recipes.warming import warmth_of
from condvae.tasks import importance

GOAL = 81.0  # nats, -log p(x|y), in 45 minutes on two cores
COLOUR_SAMPLES = 20  # importance samples an image of CIFAR-10


def likelihood(outcome: Outcome, k: int) -> dict[str, Any]:
    """-ELBO and -log p(x | c) of all test images once, by k importance samples each, with the labels told; nats."""
    part, schema = outcome.collection.test, outcome.learned.schema
    assert part is not None
    given = {field.name: list(part.labels[field.name]) for field in schema.labels}
    found = importance(outcome.learned, part.x, given, k=k, seed=0, prior="model")
    nats = -found.log_prob
    return {
        "nll": float(nats.mean()),
        "nll_standard_error": float(nats.std(ddof=1) / np.sqrt(len(nats))),
        "minus_elbo": float(-found.elbo.mean()),
        "k": k,
        "effective_samples": float(found.effective.mean()),
        "images": len(nats),
        "parameters": sum(one.numel() for one in outcome.learned.model.parameters()),
        "validation": outcome.history[-1]["validation"],
    }


def measure(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """-log p(x|y) of the 10,000 test images once, by 500 importance samples each; the drawings."""
    if outcome.variant.startswith("choice"):
        return choice(outcome)
    values = likelihood(outcome, SAMPLES)
    warm = warmth_of(outcome, prior="model")
    drawn, cool = proof(outcome, "model"), proof(outcome, "model", warm["chosen"])
    told = bool(outcome.learned.schema.labels)
    nats, what = values["nll"], "-log p(x|y)" if told else "-log p(x)"
    lines = [
        Line(f"{what}, K = {SAMPLES}, nats", None, nats, f"<= {GOAL:g}", nats <= GOAL),
        Line("-ELBO, nats", None, values["minus_elbo"]),
        Line("KL of the latents, held-out images, nats", None, values["validation"]["rate"]),
    ]
    lines += drawn_lines(drawn, None)
    at = f"at temperatures {', '.join(f'{one:g}' for one in warm['chosen'])}, chosen on training images"
    lines += [replace(line, what=f"{line.what}, {at}") for line in drawn_lines(cool, None)]
    return {**values, **warm, "proof_model": drawn, "proof_chosen": cool}, lines


def measure_colour(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """Bits per dimension of all test images, and the drawings."""
    values, drawn = likelihood(outcome, COLOUR_SAMPLES), proof(outcome, "model")
    each = math.prod(outcome.learned.shape) * math.log(2)
    bits, bound = values["nll"] / each, values["minus_elbo"] / each
    lines = [
        Line(f"-log p(x|y), K = {COLOUR_SAMPLES}, bits per dimension", None, bits),
        Line("-ELBO, bits per dimension", None, bound),
    ]
    return {**values, "bits_per_dimension": bits, "proof_model": drawn}, lines + drawn_lines(drawn, None)


LADDER: dict[str, Any] = {
    "network": "ladder",
    "levels": (1, 2, 2),
    "maps": 4,
    "z": 40,
    "width": 32,
    "blocks": 1,
    "features": 96,
    "activation": "silu",
    "prior": "mixture",
    "components": 20,
    "likelihood": "autoregressive",
    "head_features": 16,
    "context": 3,
    "blind": 0.06,
    "binarise": "dynamic",
    "batch": 64,
    "lr": 1.5e-3,
    "schedule": "cosine",
    "average": 0.999,
    "warm_up": 0.02,
    "hold_out": 1000,
    "epochs": 16,
}
SHORT: dict[str, Any] = {"epochs": 2, "blind": 0.3}
ONE_LEVEL: dict[str, Any] = {"network": "conv", "width": 24, "features": 256, "activation": "relu", "normalise": "none"}
CHOICES: dict[str, Mapping[str, Any]] = {
    "choice-all": SHORT,
    "choice-shallow-painting": {**SHORT, "context": 1},
    "choice-one-level": {**SHORT, **ONE_LEVEL},
    "choice-independent-pixels": {**SHORT, "likelihood": "bernoulli"},
}
COLOUR: dict[str, Any] = {
    "likelihood": "logistic-mixture",
    "logistics": 3,
    "prior": "standard",
    "z": 64,
    "batch": 64,
    "lr": 2e-3,
    "schedule": "cosine",
    "average": 0.999,
    "warm_up": 0.1,
    "hold_out": 500,
    "epochs": 5,
}

RECIPES = [
    Recipe(
        name="ladder-mnist",
        title="Digits by a ladder of five levels of latents, painted pixel by pixel",
        source="a recipe of this project",
        data="mnist",
        settings=LADDER,
        protocol="MNIST, 59,000 training images binarised anew each time they are read, 1,000 held out; -log p(x|y) of "
        "all 10,000 test images once, one seeded binarisation, 500 importance samples an image, nats, under the "
        "model's own prior, weights in half precision; drawings at the labels of the test images, temperature 1, read "
        "by a judge trained on real training images alone; choice-...: two epochs, -ELBO of the held-out images",
        measure=measure,
        draw=standard_pictures,
        variants={"full": {}, **CHOICES},
        half=True,
        seeds=(0,),
    ),
    Recipe(
        name="ladder-cifar",
        title="Small colour photographs: a ladder beside one level of latents",
        source="a recipe of this project",
        data="cifar10_jpeg_12k.npz",
        settings=COLOUR,
        protocol="10,000 images of a class-balanced subset of CIFAR-10 that went through JPEG, 500 of them held out: "
        "not comparable with published bits per dimension; 8-bit pixels, mixtures of three logistics; -log p(x|y) of "
        "all 2,000 test images, 20 importance samples each; drawings are expected pictures at the test images' "
        "labels, temperature 1, under the model's own prior",
        measure=measure_colour,
        draw=standard_pictures,
        variants={
            "ladder": {**COLOUR, "network": "ladder", "levels": (1, 2, 3, 2), "maps": 4, "width": 32, "blocks": 1},
            "one-level": {**COLOUR, "network": "conv", "width": 32, "blocks": 2},
        },
        seeds=(0,),
    ),
]
