"""zhang-cai: a conditional VAE with two latent units on grey MNIST, beside its plain twin.

Source: Zhang, Cai, slides "Conditional Variational Auto-encoder". Grey MNIST, dense layers (784 + 10)-512-256-(2, 2)
and (2 + 10)-256-512-784, ReLU, binary cross-entropy summed over pixels plus KL, Adam 1e-3, batch 100, 50 epochs.
The slides print train and test loss of epochs 48 to 50.
"""

from __future__ import annotations

from typing import Any

from condvae.recipes.base import Line, Outcome, Recipe
from condvae.recipes.drawing import standard_pictures

PUBLISHED = {48: (123.52, 127.49), 49: (123.45, 127.66), 50: (123.30, 127.52)}


def measure(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """Train and test loss of the last epochs beside the slides'; the goals hold for the conditional model only."""
    rows = {row["epoch"]: row for row in outcome.history}
    last = max(rows)
    conditional = outcome.learned.schema.width > 0
    lines = []
    for epoch, (train, test) in PUBLISHED.items():
        if epoch in rows:
            lines.append(
                Line(f"train loss, epoch {epoch}", train if conditional else None, rows[epoch]["train"]["loss"])
            )
            lines.append(Line(f"test loss, epoch {epoch}", test if conditional else None, rows[epoch]["test"]["loss"]))
    train_last = rows[last]["train"]["loss"]
    tests = [rows[epoch]["test"]["loss"] for epoch in sorted(rows)[-10:]]
    test_mean = sum(tests) / len(tests)
    if conditional:
        lines.append(
            Line("train loss, last epoch", 123.30, train_last, "123.30 +- 0.5", abs(train_last - 123.30) <= 0.5)
        )
        lines.append(
            Line(
                "test loss, mean of the last 10 epochs",
                127.52,
                test_mean,
                "<= 128.32",
                test_mean <= 127.52 + 0.8,
            )
        )
    else:
        lines.append(Line("test loss, mean of the last 10 epochs", None, test_mean))
    curve = {str(epoch): [row["train"]["loss"], row["test"]["loss"]] for epoch, row in rows.items()}
    return {"train_last": train_last, "test_mean_last_10": test_mean, "curve_train_test": curve}, lines


RECIPES = [
    Recipe(
        name="zhang-cai",
        title="Two latent units and a label on grey MNIST, beside the plain VAE",
        source='Zhang, Cai, slides "Conditional Variational Auto-encoder"',
        data="mnist",
        settings={
            "network": "mlp",
            "hidden": (512, 256),
            "z": 2,
            "activation": "relu",
            "likelihood": "bernoulli",
            "warm_up": 0.0,
            "batch": 100,
            "lr": 1e-3,
            "schedule": "constant",
            "average": 0.0,
            "hold_out": 0,
            "epochs": 50,
        },
        protocol="grey MNIST, 60,000 training and 10,000 test images; binary cross-entropy summed over pixels plus KL, "
        "one latent sample, nats; test loss after each epoch, no choice made by it",
        measure=measure,
        draw=standard_pictures,
        variants={"cvae": {}, "vae": {}, "z1": {"z": 1}},
        unconditional=frozenset({"vae"}),
        watch_test=True,
    )
]
