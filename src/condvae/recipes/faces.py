"""faces: a lecture's system on photographs of faces, its loss as printed, its small set, and its homework.

Source: a lecture on variational autoencoders, with homework. Colour pictures of 128 x 128, batches of 16, a
convolutional encoder to 1,024 features, two linear layers 1,024 -> J for mean and log-variance, a linear layer
J -> 1,024 into the decoder; J = 64, and 20, 30, 32, 50. Beside it the same networks with a calibrated decoder, and a
conditional model.

The loss as printed is the squared error *summed* over a batch of B pictures plus the KL *averaged* over batch and
latents:

    L = sum_b |x_b - y_b|^2 + 1 / (B J) sum_b KL_b

Of Normal pixels with sigma^2 = 1/2, -log p(x | z) is the squared error and a constant, so that the house's mean over
the batch, with the KL weighted by beta = 1 / (B J), is (L + constant) / B; Adam is indifferent to the factor. Seen so,
the KL has 1 / (16 J) of its weight in the ELBO. Seen otherwise, J L is up to a constant the negative ELBO of a decoder
of less noise, its mean over the batch: sigma^2 = 1 / (2 B J), sigma = 0.031 at J = 32. (The last batch of an epoch may
be shorter; beta stays that of 16 rows.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import torch

from condvae.data import Collection, Images, Part, hold_out
from condvae.errors import Refused
from condvae.names import counted
from condvae.recipes.base import Recipe
from condvae.recipes.faces_measured import ANGRY, EXPRESSION, HAPPY, MOMENTS, NEUTRAL, draw, followed, measure, shown

BATCH = 16
SMALL = 16  # neutral faces of the small set, and as many others
UNSEEN = 10  # happy faces of the homework, and as many angry ones
SEED = 0  # of the rows that are taken where there are more

Group = tuple[str, Callable[[str], bool], int | None]  # (what, whether a name belongs, how many; None = all)


def group(what: str, names: Sequence[str], count: int | None = None) -> Group:
    """The faces of these expressions."""
    return what, lambda name: name in names, count


OTHERS: Group = ("other than neutral", lambda name: name not in NEUTRAL, SMALL)
FEW = (group("neutral", NEUTRAL, SMALL), OTHERS)
PAIR = (group("happy", HAPPY), group("angry", ANGRY))
THREE = (group("neutral", NEUTRAL), *PAIR)
# The beginning of a variant's name -> the groups of its training part and of its test part; none = all faces
ROWS: dict[str, tuple[tuple[Group, ...], tuple[Group, ...]]] = {
    "photos": (FEW, FEW),
    "drawn": (FEW, FEW),
    "full": ((), ()),
    "homework": (PAIR, (group("happy", HAPPY, UNSEEN), group("angry", ANGRY, UNSEEN))),
    "conditional": (THREE, THREE),
}


def subset(collection: Collection, variant: str) -> Collection:
    """The rows that a variant is trained and measured on, in colour, their expression the only field.

    Grey pictures have their channel repeated. Rows are those of the collection's own parts, drawn by a seed of their
    own. Raises Refused where there is no test part, no label of the expression, or too few of a kind.
    """
    if collection.test is None:
        raise Refused(f"the recipe faces needs unseen faces, a test part; {collection.name} has none, give x_test")
    train, test = ROWS[variant.split("-")[0]]
    parts = taken(collection.train, train, "training"), taken(collection.test, test, "test")
    said = f"Taken are {counted(len(parts[0]), 'training image')} and {counted(len(parts[1]), 'unseen one')}."
    return Collection(f"faces-{variant}", *parts, notes=(*collection.notes, said))


def taken(part: Part, groups: Sequence[Group], which: str) -> Part:
    """The rows of these groups, all where there are none, in colour and with their expression alone."""
    names = part.labels.get(EXPRESSION, part.labels.get("label"))
    if names is None:
        fields = ", ".join(part.labels) or "no label"
        raise Refused(f"the recipe faces needs the label {EXPRESSION!r} or 'label'; the {which} part has {fields}")
    rows = sorted(row for group in groups for row in members(names, group, which))
    few = part.take(torch.tensor(rows)) if groups else part
    kept = tuple(names[row] for row in rows) if groups else tuple(names)
    return Part(coloured(few.x), {EXPRESSION: kept})


def members(names: Sequence[str | None], group: Group, which: str) -> list[int]:
    """The rows of one group, as many as it asks for."""
    what, belongs, count = group
    rows = [row for row, name in enumerate(names) if name is not None and belongs(name)]
    if len(rows) < (count or 1):
        raise Refused(
            f"the recipe faces needs {counted(count or 1, f'{what} face')} in the {which} part; got {len(rows)}"
        )
    if count is None or count == len(rows):
        return rows
    return [rows[place] for place in hold_out(len(rows), None, count, SEED)[1].tolist()]


def coloured(images: Images) -> Images:
    """Pictures [N, 3, H, W]: of grey ones the channel is repeated."""
    if images.shape[1] == 3:
        return images
    return Images(images[slice(None)].repeat(1, 3, 1, 1), "NCHW", images.low, images.high)


def printed(z: int, epochs: int) -> dict[str, Any]:
    """Differences of a variant with the loss as printed, for z latents: its weight of the KL depends on them."""
    return {"z": z, "beta": 1 / (BATCH * z), "epochs": epochs}


# The house's own knobs, on top of convolutions with a block at each size.
CONDITIONAL: dict[str, Any] = {
    "z": 64,
    "blocks": 1,
    "features": 256,
    "sigma": "optimal",
    "beta": 1.0,
    "warm_up": 0.15,
    "schedule": "cosine",
    "lr": 2e-3,
    "average": 0.999,
    "precision": "bf16",
    "density": "auto",
    "density_components": 40,
    "hold_out": 0.05,
}
CALIBRATED: dict[str, Any] = {"sigma": "optimal", "beta": 1.0, "z": 32, "epochs": 1200}
VARIANTS: dict[str, dict[str, Any]] = {
    "photos-32": printed(32, 1200),
    "drawn-32": printed(32, 1200),
    "photos-32-calibrated": CALIBRATED,
    "drawn-32-calibrated": CALIBRATED,
    "full-32": printed(32, 18),
    "full-64": printed(64, 18),
    "homework-20": printed(20, 40),
    "homework-30": printed(30, 40),
    "homework-50": printed(50, 40),
    "conditional": {**CONDITIONAL, "epochs": 25},
    "conditional-drawn": {**CONDITIONAL, "width": 16, "batch": 32, "epochs": 40},
}

RECIPES = [
    Recipe(
        name="faces",
        title="A lecture's autoencoder of faces",
        source="a lecture on variational autoencoders, with homework",
        data="faces_expression_128.npz",
        settings={
            "network": "conv",
            "width": 12,
            "blocks": 0,
            "features": 1024,
            "likelihood": "gaussian",
            "sigma": sqrt(0.5),
            "batch": BATCH,
            "lr": 1e-3,
            "schedule": "constant",
            "warm_up": 0.0,
            "average": 0.0,
            "hold_out": 0,
            "density": "none",
        },
        protocol="3 x 128 x 128 pixels in [0, 1], batches of 16; squared error summed over pixels and channels, SSIM "
        "with a Gaussian window of 11, both means over images (at most 128 of each part, evenly spread) of "
        "reconstructions from the posterior's mean; ELBO: one sample an image, density of pixels in [0, 1]. "
        "Small set: 16 neutral and 16 other faces, and as many of persons never trained on; 400 + 400 + 400 "
        "epochs are 1,200 (a constant rate: resumed bitwise). Recovered, fixed beforehand: mean SSIM at "
        "least 0.8 and mean squared error at most half of that of the mean training image. full-*: all "
        "2,525 training photographs, cut from 400 epochs to 18, about five minutes of one core; homework-*: "
        "happiness and anger, 40 epochs, 10 + 10 unseen; conditional: neutral, happiness and anger, 25 "
        "epochs (64 x 64 drawn faces: 40); as many drawings as test images, fitted density, read by a judge "
        "trained on the variant's real training images alone. Photographs: grey, repeated onto three "
        "channels; drawn-*, *-drawn: cartoons by condvae, of nobody",
        measure=measure,
        draw=draw,
        variants=VARIANTS,
        unconditional=frozenset(name for name in VARIANTS if not name.startswith("conditional")),
        collections={
            "drawn-32": "faces-drawn-128",
            "drawn-32-calibrated": "faces-drawn-128",
            "conditional-drawn": "faces-drawn",
        },
        subset=subset,
        snapshots=MOMENTS,
        snapshot=shown,
        follow=followed,
        seeds=(0,),
    )
]
