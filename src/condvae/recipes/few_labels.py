"""Few labels: kingma-m2, chen-fang-ju/few-labels and best-few-labels. Errors of q(label | x) in per cent.

Sources: Kingma, Rezende, Mohamed, Welling, "Semi-supervised Learning with Deep Generative Models", 2014 (M2: dense
networks of 500 units, 50 latents); Chen, Fang, Ju, slides "Image representations for generation and classification"
(semi-supervised VAE, dense and convolutional). Beside each error stands that of the same classifier, trained by the
same labels alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from condvae.baselines import supervised
from condvae.calibration import CLASSIFIER, calibration
from condvae.conditions import Label
from condvae.plots_few import errors_by_labels
from condvae.recipes.base import Line, Outcome, Recipe
from condvae.recipes.drawing import standard_pictures
from condvae.recipes.proof import proof
from condvae.results import read
from condvae.tasks import classify

PAPER = {"100": 11.97}  # test error of M2, per cent
SLIDES = {"dense-1000": (4.7, 5.1), "dense-600": (11.5, 12.0), "conv-1000": (4.2, 4.8), "conv-600": (7.0, 7.2)}
GOALS = {"100": 1.0, "600": 0.85, "1000": 0.8, "3000": 0.7}
GOALS_BY_COUNT = {int(count): goal for count, goal in GOALS.items()}
OBEDIENT = 0.97  # of what the model of 1,000 labels draws
LESS = 2 / 3  # of the supervised error, on SVHN


def readings(outcome: Outcome) -> dict[str, Any]:
    """Error and calibration of q(label | x) on the test images, the supervised error beside it; per cent."""
    part, settings = outcome.collection.test, outcome.settings
    assert part is not None and settings is not None and outcome.labelled is not None
    field = outcome.learned.schema.field(str(settings.infer))
    assert isinstance(field, Label)
    truth = field.index(part.labels[field.name])
    probabilities = classify(outcome.learned, part.x, field.name).probabilities
    found = calibration(probabilities, truth, CLASSIFIER)
    alone = supervised(outcome.learned, settings, outcome.labelled, part)
    held = outcome.history[-1].get("validation", {}).get("error")
    return {
        "labels": len(outcome.labelled),
        "test_error": 100 * found.error.share,
        "validation_error": None if held is None else 100 * held,
        "supervised_test_error": 100 * alone.error,
        "supervised_minutes": round(alone.minutes, 2),
        "expected_calibration_error": found.ece,
        "negative_log_likelihood": found.nll,
        "brier": found.brier,
        "images": len(truth),
    }


def standard_lines(
    outcome: Outcome, values: Mapping[str, Any], published: float | None, goal: float | None
) -> list[Line]:
    """Error, the supervised one, and calibration."""
    error = values["test_error"]
    asked, met = ("", None) if goal is None else (f"<= {goal:g}", error <= goal)
    return [
        Line("test error, %", published, error, asked, met),
        Line("test error of the same classifier, labels alone, %", None, values["supervised_test_error"]),
        Line("expected calibration error", None, values["expected_calibration_error"]),
        Line("negative log-likelihood of the label, nats", None, values["negative_log_likelihood"]),
        Line("Brier score", None, values["brier"]),
    ]


def measure_kingma(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """Test error beside the paper's."""
    values = readings(outcome)
    return values, standard_lines(outcome, values, PAPER.get(outcome.variant), None)


def measure_slides(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """Validation and test error beside the slides'."""
    values = readings(outcome)
    validation, test = SLIDES[outcome.variant]
    lines = standard_lines(outcome, values, test, test)
    return values, [Line("validation error, %", validation, values["validation_error"]), *lines]


def measure_best(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """Test error beside the goal; of the zoo's and of 1,000 labels, what is drawn is read, too."""
    values = readings(outcome)
    if outcome.collection.name != "mnist":
        limit = values["supervised_test_error"] * LESS
        return values, standard_lines(outcome, values, None, round(limit, 2))
    lines = standard_lines(outcome, values, None, GOALS.get(outcome.variant))
    if outcome.variant in ("100", "1000"):
        values["drawn"] = drawn = proof(outcome, "fitted")
        share, asked = drawn["obedience"], outcome.variant == "1000"
        goal, met = (f">= {OBEDIENT}", share >= OBEDIENT) if asked else ("", None)
        lines.append(Line("asked label read back in drawings, fitted density", None, share, goal, met))
        lines.append(Line("Frechet distance in the judge's features", None, drawn["frechet"]))
    return values, lines


def measure_choice(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """What an option gives: the error on 10,000 held-out training images, whose labels nothing else reads."""
    error = 100 * outcome.history[-1]["validation"]["error"]
    spread = 100 * float(np.sqrt(error / 100 * (1 - error / 100) / 10_000))
    return {"held_out_error": error, "standard_error": spread}, [Line("error on held-out images, %", None, error)]


def pictures(outcome: Outcome) -> dict[str, Image]:
    """Those of any run, and all committed errors over the number of labels."""
    drawn = standard_pictures(outcome)
    curves = {} if outcome.results is None else committed(outcome.results)
    return drawn | ({"few-labels": errors_by_labels(curves, "MNIST with few labels", GOALS_BY_COUNT)} if curves else {})


def committed(results: Path) -> dict[str, dict[int, list[float]]]:
    """Method -> labels -> test errors of the committed runs on MNIST, per cent; labels alone first."""
    best = [run for run in read(results / "best-few-labels.json") if run["variant"] in GOALS]
    paper = read(results / "kingma-m2.json")
    found: dict[str, dict[int, list[float]]] = {}
    for method, key, runs in (
        ("the dense classifier, labels alone", "supervised_test_error", paper),
        ("the convolutional classifier, labels alone", "supervised_test_error", best),
        ("kingma-m2, dense", "test_error", paper),
        ("best-few-labels", "test_error", best),
    ):
        for run in runs:
            found.setdefault(method, {}).setdefault(run["values"]["labels"], []).append(run["values"][key])
    return found


# With cheap latents the label is left to explain nothing: the weight of the KL falls from far above 1 to 1.
LABEL_FIRST: dict[str, Any] = {"beta_start": 8.0, "warm_up": 0.8, "binarise": "dynamic"}
DENSE: dict[str, Any] = {
    "network": "mlp",
    "hidden": (500, 500),
    "z": 50,
    "activation": "silu",
    "likelihood": "bernoulli",
    "infer": "auto",
    "batch": 128,
    "lr": 1e-3,
    "schedule": "cosine",
    "average": 0.999,
    "warm_up": 0.0,
    "density": "none",
}
# Light networks, for the sum over labels decodes each unlabelled picture ten times.
CONV: dict[str, Any] = {
    "network": "conv",
    "width": 8,
    "blocks": 1,
    "features": 64,
    "z": 20,
    "classifier": "residual",
    "batch": 64,
    "labelled_share": 0.5,
    "lr": 2e-3,
    "precision": "bf16",
    "epochs": 3,
}
# Weights of the classifier far above the bound's: it is the reading that is wanted, and the decoder follows it.
BEST: dict[str, Any] = {
    **DENSE,
    "hidden": (256, 256),
    "z": 32,
    "classifier": "residual",
    "width": 24,
    "blocks": 1,
    "class_prior": "uniform",
    "classify": 50.0,
    "consistency": 50.0,
    "information": 50.0,
    "guide": 0.3,
    "lr": 2e-3,
    "precision": "bf16",
    "density": "auto",
    "density_components": 50,
    "hold_out": 0,
    "epochs": 6,
}
PLAIN: dict[str, Any] = {"consistency": 0.0, "information": 0.0, "guide": 0.0}
CHOICES: dict[str, dict[str, Any]] = {
    "choice-all": {},
    "choice-no-guide": {"guide": 0.0},
    "choice-no-information": {"information": 0.0, "guide": 0.0},
    "choice-no-consistency": {"consistency": 0.0, "guide": 0.0},
    "choice-neither": PLAIN,
    "choice-bound-alone": PLAIN | {"classify": 0.1},
    "choice-teacher": {"teacher": 0.99},
    "choice-mixup": {"mixup": 10.0},
    "choice-auxiliary": {"auxiliary": 32},
    "choice-features-first": PLAIN | {"features_first": 0.3, "classifier": "dense"},
    "choice-no-averaging": {"average": 0.0},
    "choice-no-normalisation": {"normalise": "none"},
}
READ = "error of q(label | x) on all {images} test images after the last epoch; beside it that of the same classifier, "
READ += "trained by the same labels alone with the same changes of pictures, {steps} steps"
MNIST = READ.format(images="10,000 MNIST", steps="3,000")
DRAWN = "labels drawn by the seed, equally many a class"

RECIPES = [
    Recipe(
        name="kingma-m2",
        title="Few labels: a label that is a latent where it is not known",
        source='Kingma, Rezende, Mohamed, Welling, "Semi-supervised Learning with Deep Generative Models", 2014',
        data="mnist",
        settings={**DENSE, **LABEL_FIRST, "classify": 20.0, "hold_out": 0, "epochs": 10},
        protocol=f"60,000 training images, {DRAWN}; {MNIST}",
        measure=measure_kingma,
        draw=pictures,
        variants={str(count): {"labels": count} for count in (100, 600, 1000, 3000)},
        watch_test=True,
        seeds=(0,),
    ),
    Recipe(
        name="chen-fang-ju/few-labels",
        title="The semi-supervised VAE of the slides, dense and convolutional",
        source='Chen, Fang, Ju, slides "Image representations for generation and classification"',
        data="mnist",
        settings={**DENSE, "classify": 20.0, "consistency": 20.0, "hold_out": 5000, "epochs": 12},
        protocol=f"55,000 training images, {DRAWN}, 5,000 other ones for the validation error, which chooses nothing; "
        f"{MNIST}",
        measure=measure_slides,
        draw=pictures,
        variants={
            f"{kind}-{count}": {"labels": count, **(CONV if kind == "conv" else {})}
            for kind in ("dense", "conv")
            for count in (1000, 600)
        },
        watch_test=True,
        seeds=(0,),
    ),
    Recipe(
        name="best-few-labels",
        title="The fewest errors with few labels",
        source="a recipe of this project",
        data="mnist",
        settings=BEST,
        protocol=f"60,000 training images, {DRAWN}, no other label read for any choice; {MNIST}",
        measure=measure_best,
        draw=pictures,
        variants={
            **{count: {"labels": int(count)} for count in GOALS},
            "svhn-1000": {
                "labels": 1000,
                "likelihood": "gaussian",
                "class_prior": "learned",  # the draw is balanced, house numbers are not
                "classify": 500.0,
                "consistency": 500.0,
                "information": 500.0,
                "epochs": 30,
            },
        },
        collections={"svhn-1000": "svhn_10k.npz"},
        watch_test=True,
        half=True,
        seeds=(0, 1, 2),
    ),
    Recipe(
        name="few-labels-choices",
        title="What each option of the few-label model gives",
        source="a recipe of this project",
        data="mnist",
        settings={**BEST, "labels": 100, "hold_out": 10_000, "epochs": 2, "density": "none"},
        protocol="100 labels of 50,000 training images, two epochs; error on 10,000 other training images, whose "
        "labels nothing else reads",
        measure=measure_choice,
        draw=lambda outcome: {},
        variants=CHOICES,
        seeds=(0,),
    ),
]
