"""kristiadi: a conditional VAE with two latent units, whose claims are made in pictures; here they are numbers.

Source: Kristiadi, "Conditional Variational Autoencoder: Intuition and Implementation", 2016. Grey MNIST (55,000
training images), one hidden layer of 512, z = 2, batch 50, 20 epochs, Adam 1e-3. Claims: q(z | x, c) looks like
N(0, 1) within each label; reconstructions are visibly better than the plain VAE's; digits of the asked label appear.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from condvae.data import unit
from condvae.recipes.base import Line, Outcome, Recipe
from condvae.recipes.drawing import standard_pictures
from condvae.tasks import embed, reconstruct


def moments(z: np.ndarray) -> dict[str, Any]:
    """Mean and covariance of z [N, Z] beside N(0, I): with the divergence of a Normal of these moments from it."""
    mean, covariance = z.mean(0), np.cov(z.T).reshape(z.shape[1], z.shape[1])
    divergence = 0.5 * (np.trace(covariance) + mean @ mean - len(mean) - np.linalg.slogdet(covariance)[1])
    return {
        "mean": mean.round(4).tolist(),
        "covariance": covariance.round(4).tolist(),
        "kl": float(divergence),
    }


def neighbours(z: np.ndarray, labels: np.ndarray) -> float:
    """Share of every second row whose 10 nearest others read its label: what z tells of the label."""
    return float(KNeighborsClassifier(10).fit(z[::2], labels[::2]).score(z[1::2], labels[1::2]))


def measure(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """The blog's claims as numbers on the test images."""
    part = outcome.collection.test
    assert part is not None
    labels = np.asarray(part.labels["digit"])
    x = unit(part.x[slice(None)]).numpy()
    given = {"digit": list(part.labels["digit"])} if outcome.learned.schema.width else None
    z = embed(outcome.learned, x, given, seed=outcome.seed)
    within = {name: moments(z[labels == name]) for name in sorted(set(labels))}
    restored = reconstruct(outcome.learned, x, given)
    p = restored.clip(1e-6, 1 - 1e-6)
    error = float(-(x * np.log(p) + (1 - x) * np.log(1 - p)).sum((1, 2, 3)).mean())
    read = np.asarray(outcome.judge().values)[outcome.judge().read(restored).index]
    right = {name: float((read == labels)[labels == name].mean()) for name in ("3", "5", "8")}
    overall = moments(z)
    values = {
        "overall": overall,
        "within": within,
        "mean_kl_within": float(np.mean([m["kl"] for m in within.values()])),
        "knn_accuracy": neighbours(z, labels),
        "reconstruction_bce": error,
        "read_right": float((read == labels).mean()),
        "read_right_by_label": right,
        "judge_accuracy": outcome.judge().accuracy,
    }
    lines = [
        Line("KL from N(0, I) of the latents' moments, overall", None, overall["kl"]),
        Line("the same within a label, mean over labels", None, values["mean_kl_within"]),
        Line("label read from z by 10 neighbours, share right", None, values["knn_accuracy"]),
        Line("reconstruction error, binary cross-entropy, nats", None, error),
        Line("reconstructions read as the right digit, share", None, values["read_right"]),
        *(Line(f"the same, images of {name}", None, share) for name, share in right.items()),
    ]
    return values, lines


RECIPES = [
    Recipe(
        name="kristiadi",
        title="The blog's claims as numbers, CVAE against VAE",
        source='Kristiadi, "Conditional Variational Autoencoder: Intuition and Implementation", 2016',
        data="mnist",
        settings={
            "network": "mlp",
            "hidden": (512,),
            "z": 2,
            "activation": "relu",
            "likelihood": "bernoulli",
            "warm_up": 0.0,
            "batch": 50,
            "lr": 1e-3,
            "schedule": "constant",
            "average": 0.0,
            "hold_out": 5000,
            "epochs": 20,
        },
        protocol="grey MNIST, 55,000 training images, 5,000 held out; numbers on the 10,000 test images; latents are "
        "posterior samples, reconstructions go through the posterior mean",
        measure=measure,
        draw=standard_pictures,
        variants={"cvae": {}, "vae": {}},
        unconditional=frozenset({"vae"}),
    )
]
