"""chen-fang-ju/completion: holes of any kind filled, and handwriting mimicked; on digits, and on numbers in colour.

Source: Chen, Fang, Ju, slides "Image representations for generation and classification": a conditional VAE completes
images and mimics styles, shown in pictures. Here one convolutional model learns every kind of hole, with the label
hidden from half of the rows, so that it completes with the label and without. Its MNIST run is zoo/mnist-holes; on the
holes of the recipe `quadrants` it stands beside the three specialists.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL.Image import Image

from condvae import pictures
from condvae.data import unit
from condvae.fills import fill
from condvae.holes import seen_masks
from condvae.noise import RowNoise
from condvae.recipes import quadrants
from condvae.recipes.base import Line, Outcome, Recipe
from condvae.recipes.drawing import standard_pictures
from condvae.tasks import restyle
from condvae.tints import coloured, tinted

SHOWN = ("quadrants-1", "quadrants-2", "quadrants-3", "halves", "boxes", "strokes", "pixels", "outpainting")


def measure(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """Digits: the three fixed holes beside the specialists. Colour: PSNR and the judge's reading for each kind."""
    if outcome.variant == "digits":
        return quadrants.measure(outcome)
    part = outcome.collection.test
    assert part is not None
    x, field = unit(part.x[slice(None)]).numpy(), outcome.learned.schema.labels[0].name
    names = np.asarray(outcome.judge().values)
    values: dict[str, Any] = {"judge_accuracy": outcome.judge().accuracy, "kinds": {}}
    lines: list[Line] = []
    for kind in SHOWN:
        seen = seen_masks(kind, len(x), x.shape[2], x.shape[3], RowNoise(1, np.arange(len(x)))).numpy()
        drawn = fill(outcome.learned, x, seen, {field: list(part.labels[field])}, n=5, seed=1)
        hidden = np.broadcast_to(~seen, x.shape)
        psnr = float(-10 * np.log10(np.square(drawn.mean(1) - x)[hidden].mean()))
        ground = float(-10 * np.log10(np.square(mean_of_seen(x, seen) - x)[hidden].mean()))
        right = float((names[outcome.judge().read(drawn[:, 0]).index] == np.asarray(part.labels[field])).mean())
        values["kinds"][kind] = {"psnr": psnr, "psnr_of_seen_mean": ground, "read_as_the_label": right}
        lines.append(Line(f"{kind}: PSNR of the mean completion, hidden pixels, dB", None, psnr))
        lines.append(Line(f"{kind}: the same of each picture's mean seen colour, dB", None, ground))
        lines.append(Line(f"{kind}: completions read as the label, share", None, right))
    return values, lines


def mean_of_seen(x: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Each picture's mean colour where it is seen, [N, C, 1, 1]: the plainest completion there is."""
    return (x * seen).sum((2, 3), keepdims=True) / seen.sum((2, 3), keepdims=True).clip(1)


def draw(outcome: Outcome) -> dict[str, Image]:
    """The standard pictures; a row a hole: real, what is seen, six completions; a row a hand: real, all labels."""
    drawn = standard_pictures(outcome)
    part = outcome.collection.test
    assert part is not None
    field = outcome.learned.schema.labels[0]
    x = unit(part.x[slice(0, len(SHOWN))]).numpy()
    masks = [
        seen_masks(kind, 1, x.shape[2], x.shape[3], RowNoise(7, np.asarray([row]))).numpy()[0]
        for row, kind in enumerate(SHOWN)
    ]
    seen = np.stack(masks)
    filled = fill(outcome.learned, x, seen, None, n=6, seed=2)
    drawn["completion"] = pictures.grid(
        np.concatenate([coloured(x)[:, None], tinted(x * seen, seen)[:, None], coloured(filled)], 1),
        labels=SHOWN,
        scale=2,
    )
    labels = list(part.labels[field.name][20:28])
    source = unit(part.x[slice(20, 28)]).numpy()
    styled = restyle(outcome.learned, source, {field.name: labels}, {field.name: list(field.values)})
    rows = np.concatenate([source[:, None], styled], 1)
    drawn["style"] = pictures.grid(rows, labels=[f"real {name}" for name in labels], scale=2)
    return drawn


RECIPES = [
    Recipe(
        name="chen-fang-ju/completion",
        title="Holes filled and handwriting mimicked",
        source='Chen, Fang, Ju, slides "Image representations for generation and classification"',
        data="mnist",
        settings={
            "network": "conv",
            "width": 24,
            "blocks": 1,
            "z": 32,
            "batch": 128,
            "hold_out": 1000,
            "holes": "any",
            "drop": 0.5,
            "warm_up": 0.3,
            "precision": "bf16",
        },
        protocol="one model of every kind of hole, the label hidden from half of the training rows; only hidden pixels"
        " are scored; digits: 59,000 training images, grey BCE (an unnormalised score: values are bounds on "
        "it, not on a density), the first 1,000 test images, 1,000 importance samples, the label unknown; "
        "colour: the 8,001 training and 1,999 test images of the SVHN subset, labels given",
        measure=measure,
        draw=draw,
        variants={
            "digits": {"likelihood": "bernoulli", "epochs": 16},
            "colour": {"likelihood": "gaussian", "epochs": 40, "hold_out": 400, "batch": 64},
        },
        collections={"colour": "svhn_10k.npz"},
        half=True,
        seeds=(0,),
    )
]
