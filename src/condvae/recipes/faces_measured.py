"""What the recipe `faces` measures: how training and unseen faces are recovered, bounds, latents, restyled faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log, pi, prod
from typing import Any

import numpy as np
import torch
from PIL.Image import Image

from condvae import pictures, plots
from condvae.data import Collection, Part, unit
from condvae.distances import wilson
from condvae.gallery import gallery, known_labels, spread_rows
from condvae.latent_maps import Shade, plane
from condvae.learned import Learned, chunks, pictures_of
from condvae.likelihoods import observed_pass
from condvae.nets import evaluating
from condvae.objectives import elbo, rate
from condvae.recipes.base import Line, Outcome
from condvae.recipes.proof import proof
from condvae.similarity import ssim
from condvae.structure import of_label
from condvae.subject import subject_of
from condvae.tasks import embed, reconstruct, restyle

EXPRESSION = "expression"
NEUTRAL, HAPPY, ANGRY = ("neutral",), ("happiness", "happy"), ("anger", "angry")  # of photographs, of drawn faces
MOMENTS = (400, 800, 1200)  # epochs at which the lecture looks
# (epoch, part) -> whether the lecture claims that it is recovered
CLAIMS = {(400, "train"): True, (400, "test"): False, (800, "test"): True}
LOOKED = 128  # images of each part that are followed: both parts together are one pass
SHOWN = 16  # of each part, in pictures
ALIKE, LESS = 0.8, 0.5  # recovered: SSIM at least, and squared error against that of the mean training image at most
Numbers = dict[str, float]


def spread(part: Part) -> Part:
    """At most 128 rows, evenly spread."""
    rows = np.unique(np.linspace(0, len(part) - 1, min(LOOKED, len(part))).round().astype(np.int64))
    return part.take(torch.from_numpy(rows))


def floats(part: Part) -> np.ndarray:
    """The part's pictures, float32 [N, C, H, W] in [0, 1]."""
    return unit(part.x[slice(None)]).numpy()


def restored(learned: Learned, *parts: Part) -> list[np.ndarray]:
    """The reconstructions of parts from the posterior's mean, in one pass of all."""
    known = [known_labels(learned.schema, part) for part in parts]
    given = {name: [one for labels in known for one in labels[name]] for name in known[0]}
    made = reconstruct(learned, np.concatenate([floats(part) for part in parts]), given)
    return np.split(made, np.cumsum([len(part) for part in parts])[:-1])


def likeness(x: np.ndarray, made: np.ndarray) -> Numbers:
    """Squared error, summed over pixels and channels, and SSIM; means over images."""
    error = np.square(made.astype(np.float64) - x).sum((1, 2, 3)).mean()
    return {"squared_error": float(error), "ssim": float(ssim(torch.from_numpy(x), torch.from_numpy(made)).mean())}


def followed(learned: Learned, collection: Collection) -> dict[str, Numbers]:
    """What stands in the history: likeness of training and of unseen images to their reconstructions."""
    assert collection.test is not None
    parts = {"train": spread(collection.train), "test": spread(collection.test)}
    made = restored(learned, *parts.values())
    return {name: likeness(floats(part), one) for (name, part), one in zip(parts.items(), made, strict=True)}


def shown(learned: Learned, collection: Collection) -> Image:
    """Training images above their reconstructions, and unseen ones above theirs; the expressions in turn."""
    assert collection.test is not None
    parts = [
        part.take(torch.from_numpy(spread_rows(part, EXPRESSION, SHOWN)))
        for part in (collection.train, collection.test)
    ]
    count = min(map(len, parts))
    (seen, unseen), (from_seen, from_unseen) = map(floats, parts), restored(learned, *parts)
    rows = {"training": seen, "from its code": from_seen, "unseen": unseen, "from its code ": from_unseen}
    return pictures.before_after({name: images[:count] for name, images in rows.items()}, columns=8)


def without_codes(collection: Collection) -> dict[str, Numbers]:
    """Squared errors that a code must beat: of the mean training image, and of the one nearest to each unseen image."""
    assert collection.test is not None
    train = collection.train.x
    seen, unseen = (torch.from_numpy(floats(spread(part))) for part in (collection.train, collection.test))
    mean = sum(unit(chunk).double().sum(0) for chunk in train.chunks()) / len(train)
    apart = [torch.cdist(unseen.flatten(1), unit(chunk).flatten(1)).min(1).values for chunk in train.chunks()]
    return {
        "mean_image": {
            name: float((x - mean).square().sum((1, 2, 3)).mean()) for name, x in (("train", seen), ("test", unseen))
        },
        "nearest_training_image": {"test": float(torch.stack(apart).min(0).values.double().square().mean())},
    }


def recovered(found: Mapping[str, float], mean_image: float) -> bool:
    """The criterion that was fixed beforehand."""
    return found["ssim"] >= ALIKE and found["squared_error"] <= LESS * mean_image


def bounds(learned: Learned, part: Part) -> Numbers:
    """ELBO and KL in nats, and squared error of the decoded sample (not clamped: as the loss has it).

    Means over images, one sample each, under the prior of the training.
    """
    part = spread(part)
    subject = subject_of(learned, pictures_of(learned, part.x), known_labels(learned.schema, part), "model", 0)
    found = np.empty((3, len(part)))
    with evaluating(subject.model):
        for rows, kept in chunks(len(part)):
            x, trace = observed_pass(subject, rows, subject.settled)
            error = (trace.x.parameters - x).double().square().sum((1, 2, 3))  # pyright: ignore
            values = torch.stack([elbo(trace, x).double(), rate(trace).mean(0).double(), error])
            found[:, kept] = values[:, : kept.stop - kept.start].cpu().numpy()
    return dict(zip(("elbo", "kl", "squared_error_of_a_sample"), map(float, found.mean(1)), strict=True))


def printed_loss(found: Mapping[str, float], batch: int, z: int, entries: int) -> Numbers:
    """The loss as printed for a batch of such images, and the ELBO of the noise for which it is one.

    That noise has sigma^2 = 1 / (2 batch z). entries: pixels times channels of an image.
    """
    error, divergence, weight = found["squared_error_of_a_sample"], found["kl"], batch * z
    return {
        "printed_loss": batch * error + divergence / z,
        "elbo_at_the_noise_of_the_loss": -weight * error - entries / 2 * log(pi / weight) - divergence,
    }


def measure(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """How well faces are recovered, and at what moments; bounds; and what the variant is for."""
    values, lines = recovery(outcome)
    more, further = bounded(outcome)
    values |= more
    lines += further
    for kind, of in (("homework", homework), ("conditional", conditional)):
        if outcome.variant.startswith(kind):
            more, further = of(outcome)
            values |= more
            lines += further
    return values, lines


def recovery(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """Likeness at the lecture's moments that the training reached, or else at its end; the claim's halves as found."""
    rows = {row["epoch"]: row["followed"] for row in outcome.history if "followed" in row}
    moments = [epoch for epoch in MOMENTS if epoch in rows] or [max(rows)]
    plain = without_codes(outcome.collection)
    claims = CLAIMS if outcome.settings is not None and outcome.settings.beta != 1 else {}
    at: dict[str, Any] = {}
    lines: list[Line] = []
    for epoch in moments:
        found = at[str(epoch)] = {}
        for name, what in (("train", "training"), ("test", "unseen")):
            one = rows[epoch][name]
            held = recovered(one, plain["mean_image"][name])
            found[name] = {**one, "recovered": held}
            claim = claims.get((epoch, name))
            goal = "" if claim is None else f"{'' if claim else 'not '}recovered, as claimed"
            met = None if claim is None else held == claim
            lines.append(Line(f"epoch {epoch}, {what}: SSIM", None, one["ssim"], goal, met))
            lines.append(Line(f"epoch {epoch}, {what}: squared error an image", None, one["squared_error"]))
    for name, what in (("train", "training"), ("test", "unseen")):
        lines.append(Line(f"{what}: squared error of the mean training image", None, plain["mean_image"][name]))
    nearest = plain["nearest_training_image"]["test"]
    lines.append(Line("unseen: squared error of the nearest training image", None, nearest))
    counts = {"train": len(outcome.collection.train), "test": len(outcome.collection.test or ())}
    return {"images": counts, "at": at, **plain}, lines


def bounded(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """The true ELBO beside the loss as printed."""
    learned, settings = outcome.learned, outcome.settings
    assert settings is not None and outcome.collection.test is not None
    decoder: Any = learned.model.decoder
    values: dict[str, Any] = {"sigma": float(decoder.head.log_sigma.exp().mean()), "bounds": {}}
    lines = [Line("sigma of the decoder", None, values["sigma"])]
    for name, what, part in (
        ("train", "training", outcome.collection.train),
        ("test", "unseen", outcome.collection.test),
    ):
        found = bounds(learned, part)
        lines += [Line(f"{what}: ELBO, nats", None, found["elbo"]), Line(f"{what}: KL, nats", None, found["kl"])]
        if settings.beta != 1:
            assert settings.batch is not None and settings.z is not None
            found |= printed_loss(found, settings.batch, settings.z, prod(learned.shape))
            lines.append(Line(f"{what}: loss as printed, a batch of {settings.batch}", None, found["printed_loss"]))
            sharp = found["elbo_at_the_noise_of_the_loss"]
            lines.append(Line(f"{what}: ELBO at the noise for which the loss is one, nats", None, sharp))
        values["bounds"][name] = found
    return values, lines


def homework(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """Likeness of unseen happy and of unseen angry faces apart, and how the two separate in the latents."""
    part = outcome.collection.test
    assert part is not None
    names, x, (made,) = np.asarray(part.labels[EXPRESSION]), floats(part), restored(outcome.learned, part)
    values: dict[str, Any] = {"unseen": {}}
    lines: list[Line] = []
    for name in sorted(set(names.tolist())):
        rows = names == name
        found = values["unseen"][name] = likeness(x[rows], made[rows]) | {"images": int(rows.sum())}
        lines.append(Line(f"unseen {name}: squared error an image", None, found["squared_error"]))
        lines.append(Line(f"unseen {name}: SSIM", None, found["ssim"]))
    found = of_label(embed(outcome.learned, x), names.tolist())
    values["structure"] = {"silhouette": found.silhouette, "accuracy": found.accuracy, "chance": found.chance}
    if found.silhouette is not None and found.accuracy is not None:
        lines.append(Line("unseen happy and angry in the latents: silhouette", None, found.silhouette))
        lines.append(Line(f"the same: expression read from {found.k} neighbours, share", None, found.accuracy))
    return values, lines


def targets(names: Sequence[str]) -> list[str]:
    """The expressions that a neutral face is restyled to, as these data name them."""
    return [next(name for name in names if name in kind) for kind in (HAPPY, ANGRY)]


def restyled(outcome: Outcome, limit: int | None = None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(neutral test faces [N, C, H, W], the same happy and angry [N, 2, C, H, W], what those are called)."""
    part = outcome.collection.test
    assert part is not None
    rows = np.flatnonzero(np.isin(part.labels[EXPRESSION], NEUTRAL))[:limit]  # pyright: ignore
    x = floats(part.take(torch.from_numpy(rows)))
    to = targets(outcome.learned.schema.labels[0].values)
    return x, restyle(outcome.learned, x, {EXPRESSION: NEUTRAL[0]}, {EXPRESSION: to}), to


def conditional(outcome: Outcome) -> tuple[dict[str, Any], list[Line]]:
    """Drawings read by the judge, and neutral test faces restyled to happy and to angry, read by it, too."""
    judge = outcome.judge()
    drawn = proof(outcome, "fitted")
    x, changed, to = restyled(outcome)
    lines = [
        Line("asked expression read back in drawings, share", None, drawn["obedience"]),
        Line("judge on real unseen faces, share read right", None, drawn["judge_accuracy"]),
        Line("Frechet distance in the judge's features", None, drawn["frechet"]),
    ]
    values: dict[str, Any] = {"drawn": drawn, "restyled": {}}
    values_of = np.asarray(judge.values)
    for place, name in enumerate(to):
        right = int((values_of[judge.read(changed[:, place]).index] == name).sum())
        alike = likeness(x, changed[:, place])["ssim"]
        values["restyled"][name] = {
            "read_back": right / len(x),
            "interval": list(wilson(right, len(x))),
            "images": len(x),
            "ssim_with_the_original": alike,
        }
        lines.append(Line(f"neutral restyled to {name}: read back, share", None, right / len(x)))
    return values, lines


def draw(outcome: Outcome) -> dict[str, Image]:
    """The pictures of any run, faces and their reconstructions at the moments and at the end, likeness over epochs."""
    part = outcome.collection.test
    assert part is not None
    drawn = gallery(outcome.learned, part, outcome.history)
    drawn |= {f"recovered-{epoch:04d}": image for epoch, image in outcome.snapshots.items()}
    drawn["recovered"] = shown(outcome.learned, outcome.collection)
    drawn["likeness"] = curves(outcome.history)
    if outcome.variant.startswith("homework"):
        names = list(part.labels[EXPRESSION])
        flat, said = plane(embed(outcome.learned, part.x), "tsne")
        drawn["latents-expression"] = Shade(EXPRESSION, names, tuple(sorted(set(names)))).drawn(  # pyright: ignore
            flat, said, circles=False
        )
    if outcome.variant.startswith("conditional"):
        x, changed, to = restyled(outcome, SHOWN)
        drawn["restyled"] = pictures.before_after({"neutral": x, **{name: changed[:, i] for i, name in enumerate(to)}})
    return drawn


def curves(history: Sequence[Mapping[str, Any]]) -> Image:
    """Squared error and SSIM of training and of unseen images over the epochs at which they were taken."""
    rows = [row for row in history if "followed" in row]
    panels = {"squared_error": "squared error", "ssim": "structural similarity"}
    keys = {f"followed.{part}.{key}": (name, part) for key, name in panels.items() for part in ("train", "test")}
    unit = {"squared error": "sum over an image", "": "mean over images"}
    return plots.curves(rows, keys, unit=unit, title="Training and unseen faces and their reconstructions")
