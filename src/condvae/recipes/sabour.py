"""sabour: a class-conditional VAE with 40 latent units on dynamically binarised MNIST.

Source: Sabour, homework report, class-conditional VAE; the report prints the lower bound over the epoch's training
batches after epochs 1, 10, 25, 50 and 100, and a grid of digits per label after 1, 50 and 100. Sizes it does not
name are those of the well-known library example that it started from: 500-500, z = 40, batch 128, Adam 1e-3.
"""

from __future__ import annotations

from typing import Any

from condvae.recipes.base import Line, Outcome, Recipe
from condvae.recipes.drawing import standard_pictures
from condvae.recipes.proof import proof

PUBLISHED = {1: -167.45, 10: -97.954, 25: -92.546, 50: -90.108, 100: -88.361}


def measure(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """The bound over each printed epoch's training batches beside the report's, and the test bound."""
    rows = {row["epoch"]: row for row in outcome.history}
    lines = [
        Line(f"training bound, epoch {epoch}", published, -rows[epoch]["train"]["loss"])
        for epoch, published in PUBLISHED.items()
        if epoch in rows
    ]
    last = max(rows)
    final = -rows[last]["train"]["loss"]
    if outcome.collection.name == "mnist":
        lines.append(Line("training bound, last epoch", -88.361, final, ">= -88.36", final >= -88.36))
    else:  # the report knows no other data
        lines = [Line("training bound, last epoch", None, final)]
    lines.append(Line("test bound, last epoch", None, -rows[last]["test"]["loss"]))
    drawn = {f"proof_{prior}": proof(outcome, prior) for prior in ("model", "fitted")}
    for name, found in drawn.items():
        which = "N(0, I)" if name == "proof_model" else "fitted density"
        lines.append(Line(f"asked label read back, {which}", None, found["obedience"]))
        lines.append(Line(f"Frechet distance in the judge's features, {which}", None, found["frechet"]))
    curve = {str(epoch): [-row["train"]["loss"], -row["test"]["loss"]] for epoch, row in rows.items()}
    bounds = {"training_bound": final, "test_bound": -rows[last]["test"]["loss"], "curve_train_test": curve}
    return {**bounds, **drawn}, lines


SETTINGS: dict[str, Any] = {
    "network": "mlp",
    "hidden": (500, 500),
    "z": 40,
    "activation": "relu",
    "likelihood": "bernoulli",
    "warm_up": 0.0,
    "binarise": "dynamic",
    "batch": 128,
    "lr": 1e-3,
    "schedule": "constant",
    "average": 0.0,
    "hold_out": 0,
    "epochs": 100,
}

RECIPES = [
    Recipe(
        name="sabour",
        title="Forty latent units and a label on binarised MNIST: the lower bound",
        source="Sabour, homework report, class-conditional VAE",
        data="mnist",
        settings=SETTINGS,
        protocol="MNIST, 60,000 training images, pixels binarised anew each time they are read; bound = mean over the "
        "epoch's training batches, without log p(label), nats; test bound on one seeded binarisation of the 10,000 "
        "test images, no choice made by it",
        measure=measure,
        draw=standard_pictures,
        variants={"cvae": {}, "fashion": {}},
        collections={"fashion": "fashion-mnist"},
        watch_test=True,
        snapshots=(1, 50, 100),
    )
]
