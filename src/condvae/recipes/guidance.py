"""guidance: what it costs to let a label be left out, what guidance gives back, and three priors side by side.

Source of the idea: Ho & Salimans, "Classifier-Free Diffusion Guidance", 2022, carried over to the likelihood of a
variational autoencoder: natural parameters (logits; means of a Gaussian) extrapolated from those of the blank
condition, with the same z. The densities are fitted to the same latents after one training: N(0, I) as trained, a
mixture of Gaussians a label, and a conditional coupling flow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL.Image import Image

from condvae import pictures, plots
from condvae.distances import frechet, wilson
from condvae.images import unit
from condvae.recipes.base import Line, Outcome, Recipe
from condvae.recipes.drawing import standard_pictures
from condvae.tasks import generate

STRENGTHS = (0.0, 0.5, 1.0, 1.25, 1.5, 2.0, 3.0)
PRIORS = ("model", "fitted", "flow")
SHARE = 0.4  # of the Frechet distance under N(0, I), at most
POINT = 0.01  # of obedience that a label which may be left out may cost at most


def judged(outcome: Outcome, prior: str, strength: float) -> dict[str, Any]:
    """Obedience and Frechet distance of 10,000 draws with the test images' labels."""
    part = outcome.collection.test
    assert part is not None
    field = outcome.learned.schema.labels[0]
    names = list(part.labels[field.name])
    drawn = generate(outcome.learned, {field.name: names}, 1, 0, prior=prior, guidance=strength)[:, 0]
    judge = outcome.judge()
    reading, real = judge.read(drawn), judge.read(unit(part.x[slice(None)]))
    right = int((np.asarray(judge.values)[reading.index] == np.asarray(names)).sum())
    return {
        "obedience": right / len(names),
        "obedience_interval": list(wilson(right, len(names))),
        "frechet": frechet(reading.features, real.features),
        "draws": len(names),
    }


def measure(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """The priors at strength 1; where the label may be left out, the mixture at every strength."""
    optional = outcome.learned.schema.labels[0].optional
    values: dict[str, Any] = {"judge_accuracy": outcome.judge().accuracy, "priors": {}, "strengths": []}
    for prior in PRIORS:
        values["priors"][prior] = judged(outcome, prior, 1.0)
    for strength in STRENGTHS if optional else (1.0,):
        values["strengths"].append({"strength": strength, **judged(outcome, "fitted", strength)})
    plain, mixed, flow = (values["priors"][prior] for prior in PRIORS)
    goal = SHARE * plain["frechet"]
    met = flow["frechet"] <= goal and flow["obedience"] >= plain["obedience"]
    lines = [
        Line("asked label read back, N(0, I)", None, plain["obedience"]),
        Line("asked label read back, mixture", None, mixed["obedience"]),
        Line("asked label read back, flow", None, flow["obedience"], "not below N(0, I)", met),
        Line("Frechet distance, N(0, I)", None, plain["frechet"]),
        Line("Frechet distance, mixture", None, mixed["frechet"]),
        Line(
            "Frechet distance, flow", None, flow["frechet"], f"<= {goal:.3g}, 0.4 of N(0, I)", flow["frechet"] <= goal
        ),
    ]
    other = outcome.reference("guidance", "always-asked")
    if optional and other is not None:
        lost = other["priors"]["fitted"]["obedience"] - mixed["obedience"]
        values["obedience_lost_by_dropping"] = lost
        lines.append(Line("obedience lost to dropping, guidance 1", None, lost, "<= 0.01", lost <= POINT))
    return values, lines


def draw(outcome: Outcome) -> dict[str, Image]:
    """The standard pictures, and one label at every strength, a row each with the same latents."""
    drawn = standard_pictures(outcome)
    field = outcome.learned.schema.labels[0]
    if field.optional:
        asked = {field.name: "8" if "8" in field.values else field.values[0]}
        rows = np.stack([generate(outcome.learned, asked, 14, 1, guidance=strength) for strength in STRENGTHS])
        drawn["strengths"] = pictures.grid(rows, labels=[f"{strength:g}" for strength in STRENGTHS], scale=2)
    return drawn


def plotted(strengths: list[dict[str, Any]]) -> Image:
    """Obedience and Frechet distance against the strength of guidance above 0."""
    rows = [{**row, "percent": 100 * row["obedience"]} for row in strengths if row["strength"] > 0]
    keys = {"percent": ("asked label read back, %", ""), "frechet": ("Frechet distance", "")}
    return plots.curves(rows, keys, x="strength", unit="", title="Strength of guidance")


RECIPES = [
    Recipe(
        name="guidance",
        title="A label that may be left out, guidance, and three priors",
        source="a recipe of this project",
        data="mnist",
        settings={
            "network": "conv",
            "width": 24,
            "blocks": 1,
            "z": 16,
            "batch": 64,
            "hold_out": 1000,
            "precision": "bf16",
            "density": "flow",
            "density_components": 80,
            "epochs": 6,
        },
        protocol="trained on 59,000 training images, 1,000 held out; 10,000 draws with the test images' labels, "
        "decoder means, temperature 1, densities fitted to training latents; judge trained on real training "
        "images alone; the label is hidden from 10 % of the rows (variant may-be-left-out) or from none "
        "(always-asked)",
        measure=measure,
        draw=draw,
        variants={"always-asked": {}, "may-be-left-out": {"drop": 0.1}},
        seeds=(0,),
    )
]
