"""What a training begins with: rows held out, settings that depend on the data, the schema, batches, what is hidden."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial as partial_of
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condvae.balance import UNEVEN
from condvae.conditions import Label, Number, Picture, Schema
from condvae.data import Collection, Part, choose_likelihood, hold_out
from condvae.errors import Refused
from condvae.few import inferred_label, keep_few, mixed_order, mixed_weights, named_label, share_of, with_label
from condvae.learned import observe
from condvae.models.build import LATENTS
from condvae.names import counted
from condvae.noise import RowNoise, seed_of
from condvae.perceptual import compared
from condvae.rungs import shrinking
from condvae.settings import Settings
from condvae.trace import Condition
from condvae.train import Batches, Hiding, Training, as_float

TABLE_SEED = 0x7461626C65  # "table"
DROP = 0.1  # share of the rows from which a field with blanks is hidden in training
PARTIAL = "picture"  # the field of what is seen


@dataclass(frozen=True)
class Rows:
    """The training part's rows: those to learn from, those held out for the validation bound, and of the first the
    numbers within the training part [N], and of those whose labels were kept, where few were drawn [M]."""

    kept: Part
    held: Part | None
    index: np.ndarray
    drawn: np.ndarray | None = None


def split(collection: Collection, settings: Settings) -> Rows:
    """Rows to learn from and rows held out, stratified by the first field, or by the label that is inferred.

    Of a label that is inferred and blank in places, labelled rows are few, and all are learned from: unlabelled ones
    are held out. Where a number of labels is to be drawn, that happens among the rows to learn from.

    Rows of tables are ordered by a seed of their own: seed 0 would order them as `numpy.random.default_rng(0)` does,
    by which a user may have drawn the very columns.
    """
    part, seed = with_label(collection.train, settings), 0 if collection.outputs is None else TABLE_SEED
    infer = named_label(part, settings)
    count = round(settings.hold_out * len(part)) if settings.hold_out < 1 else int(settings.hold_out)
    if count >= len(part):
        raise Refused(f"hold_out must leave rows to learn from; got {count} of {len(part)} rows")
    by = next(iter(part.labels.values()), None) if infer is None else part.labels[infer]
    rows, held = np.arange(len(part)), None
    blanks = np.asarray([] if infer is None else [one is None for one in part.labels[infer]], bool)
    if count and blanks.any() and not blanks.all():
        count = min(count, int(blanks.sum()) - 1)
        left, out = hold_out(int(blanks.sum()), None, count, seed) if count > 0 else (None, None)
        if left is not None and out is not None:
            free = np.flatnonzero(blanks)
            held = free[out.numpy()]
    elif count:
        held = hold_out(len(part), by, count, seed)[1].numpy()
    if held is not None:
        rows = np.setdiff1d(rows, held)
    kept = part if held is None else part.take(torch.from_numpy(rows))
    other = None if held is None else part.take(torch.from_numpy(held))
    if infer is None or settings.labels is None:
        return Rows(kept, other, rows)
    kept, drawn = keep_few(kept, infer, settings.labels, settings.seed)
    return Rows(kept, other, rows, rows[drawn])


def resolve(settings: Settings, part: Part, outputs: Schema | None = None) -> tuple[Settings, str]:
    """(settings with what depends on the data filled in, why the likelihood was chosen)."""
    if settings.beta_start and not settings.warm_up:
        raise Refused("beta_start goes to beta over the share warm_up of the training, which is 0; give both, 0.5 say")
    if outputs is not None:
        return resolved_table(settings, part)
    likelihood, why = choose_likelihood(part.x)
    if settings.likelihood != "auto":
        likelihood, why = (
            settings.likelihood,
            "you asked for it" if settings.likelihood != likelihood else why,
        )
    batch = settings.batch or min(128, max(16, 2 ** round(math.log2(max(1, len(part) / 550)))))
    z = settings.z or LATENTS
    if settings.binarise != "grey" and likelihood not in ("bernoulli", "autoregressive"):
        raise Refused(
            f"binarise={settings.binarise!r} needs a likelihood of binary pixels, got {likelihood!r}; use 'grey'"
        )
    if settings.adversarial:
        check_adversarial(settings, likelihood)
    if settings.network == "draw":
        check_drawing(settings, likelihood)
        settings = settings.model_copy(update={"density": "none"})  # see `drawn_lines`
    if settings.network == "ladder":
        check_climbing(settings, part.x.shape[2:])
        if settings.density == "auto":
            settings = settings.model_copy(update={"density": "none"})
    layers = compared(settings, likelihood, part.x.shape[2:])
    prior = "learned" if settings.holes != "none" else settings.prior  # what is seen tells much of what is hidden
    if settings.adversarial and "prior" not in settings.model_fields_set:
        prior = "mixture"  # draws under N(0, I) from a calibrated model are not worth a critic's look
    found = {"likelihood": likelihood, "batch": min(batch, len(part)), "z": z, "prior": prior, "layers": layers}
    found["infer"] = inferring(settings, part)
    return settings.model_copy(update=found), why


def check_adversarial(settings: Settings, likelihood: str) -> None:
    """Refused where a critic does not go with the other settings."""
    for name, plain in (("holes", "none"), ("infer", None), ("samples", 1), ("importance", False)):
        if getattr(settings, name) != plain:
            raise Refused(f"{name} must be {plain!r} with adversarial; got {getattr(settings, name)!r}: leave one out")
    if likelihood == "autoregressive":
        raise Refused(
            "adversarial pulls at the picture that a likelihood expects, and 'autoregressive' has none; use 'gaussian'"
        )


def check_drawing(settings: Settings, likelihood: str) -> None:
    """Refused where drawing in steps does not go with the other settings."""
    for name, plain, why in (
        ("infer", None, "which infers no label"),
        ("adversarial", 0.0, "which has no critic"),
    ):
        if getattr(settings, name) != plain:
            raise Refused(f"{name} must be {plain!r} with network='draw', {why}; got {getattr(settings, name)!r}")
    if settings.prior == "mixture":
        raise Refused("prior must be 'standard' or 'learned' with network='draw', a Normal a step; got 'mixture'")
    if settings.density not in ("auto", "none"):
        raise Refused(
            "density must be 'none' with network='draw', for the latents of each step depend on those before it, and "
            f"a density is fitted to one; got {settings.density!r}"
        )
    if likelihood == "autoregressive":
        raise Refused(
            "network='draw' reads how a picture differs from the one that the likelihood expects, and 'autoregressive' "
            "expects none; use 'bernoulli' or 'gaussian'"
        )
    if likelihood == "logistic-mixture":
        raise Refused(
            "network='draw' draws on a canvas with the picture's own channels, and 'logistic-mixture' needs more; "
            "use 'logistic' or 'gaussian'"
        )


def check_climbing(settings: Settings, size: Sequence[int]) -> None:
    """Refused where latents on many levels do not go with the other settings, or with pictures of that size."""
    for name, plain, why in (("infer", None, "which infers no label"), ("adversarial", 0.0, "which has no critic")):
        if getattr(settings, name) != plain:
            raise Refused(f"{name} must be {plain!r} with network='ladder', {why}; got {getattr(settings, name)!r}")
    sizes = [f"{height} x {width}" for height, width in shrinking(int(size[0]), int(size[1]))]
    if settings.levels[0] < 1 or min(settings.levels) < 0 or len(settings.levels) > len(sizes):
        raise Refused(
            f"levels must name how many levels of latents stand at each of the sizes {', '.join(sizes)}, at least one "
            f"at the first, and may end early; got {','.join(str(one) for one in settings.levels)}"
        )


def drawn_lines(settings: Settings) -> list[str]:
    """In words: of how many latents in a row a picture is made, and that no density is fitted where that is so; nothing
    of networks with one."""
    if settings.network == "ladder":
        end = "" if settings.density != "none" else ", from the model's own prior"
        return [f"A picture is made from {counted(sum(settings.levels), 'level')} of latents{end}."]
    if settings.network != "draw":
        return []
    return [
        f"A picture is drawn in {counted(settings.glimpses, 'step')} of {counted(settings.z or LATENTS, 'latent')}, "
        "from the model's own prior: no density is fitted to latents of which each depends on those before."
    ]


def resolved_table(settings: Settings, part: Part) -> tuple[Settings, str]:
    """The settings of a table's rows: dense networks, and few latents for few columns."""
    if settings.network in ("draw", "ladder"):
        raise Refused(
            f"network={settings.network!r} draws pictures; a table's rows are learned by dense layers, leave it out"
        )
    if settings.adversarial:
        raise Refused("adversarial has a critic judge pictures; of a table's rows leave it at 0")
    if settings.likelihood == "perceptual":
        raise Refused("likelihood='perceptual' compares pictures; a table's rows have a likelihood of their own")
    if settings.holes != "none":
        raise Refused(f"holes are for pictures; got holes={settings.holes!r} for a table: leave cells blank instead")
    batch = settings.batch or min(128, max(16, 2 ** round(math.log2(max(1, len(part) / 100)))))
    z = settings.z or min(LATENTS, max(2, 2 * part.x.shape[-1]))
    hidden = settings.hidden if "hidden" in settings.model_fields_set else (128, 128)
    found = {
        "likelihood": "gaussian",
        "binarise": "grey",
        "network": "mlp",
        "hidden": hidden,
        "batch": min(batch, len(part)),
        "z": z,
        "infer": inferring(settings, part, table=True),
    }
    if settings.consistency or settings.mixup or settings.information:
        raise Refused("consistency, information and mixup change pictures; of a table's rows leave them at 0")
    return settings.model_copy(update=found), "each column of a table has a likelihood of its own"


def inferring(settings: Settings, part: Part, table: bool = False) -> str | None:
    """The name of the inferred label; Refused where the settings do not go with one."""
    infer = named_label(part, settings)
    if infer is None:
        return None
    for name, plain in (("holes", "none"), ("samples", 1), ("importance", False), ("free_bits", 0.0)):
        if getattr(settings, name) != plain:
            raise Refused(f"{name} must be {plain!r} where a label is inferred; got {getattr(settings, name)!r}")
    if settings.mixup and not settings.consistency:
        raise Refused("mixup mixes the readings that consistency makes sure of; give consistency, too, 1 for example")
    if settings.guide and not (settings.consistency and settings.information):
        raise Refused("guide leads by consistency and information; give both, too, 10 for example")
    if not settings.features_first:
        return infer
    if table:
        raise Refused("features_first learns features of pictures; of a table's rows leave it at 0")
    for name, plain, why in (
        ("auxiliary", 0, "which M2 reads in place of pictures, have no auxiliary latent"),
        ("consistency", 0.0, "which M2 reads in place of pictures, cannot be turned or cut"),
        ("information", 0.0, "which M2 reads in place of pictures, cannot be turned or cut"),
        ("mixup", 0.0, "which M2 reads in place of pictures, are not mixed"),
        ("devices", 1, "and what reads them, learn one after the other, on one device alone"),
    ):
        if getattr(settings, name) != plain:
            raise Refused(
                f"{name} must be {plain!r} with features_first, for features, {why}; got {getattr(settings, name)!r}"
            )
    if settings.classifier == "residual":
        raise Refused("classifier must be 'dense' with features_first, for features are no picture; got 'residual'")
    return infer


def learn_schema(
    part: Part, settings: Settings, shape: tuple[int, ...], more: Mapping[str, Sequence[str]] | None = None
) -> Schema:
    """What may be asked of a model of this part: its labels, numbers and, with holes, a partial picture.

    more: field -> values that are known to exist, though no row of this part may have them.
    """
    optional = bool(settings.drop)
    fields: list[Any] = [
        inferred_label(name, labels, (more or {}).get(name, ()), settings)
        if name == settings.infer
        else Label.learn(name, labels, optional)
        for name, labels in part.labels.items()
    ]
    fields += [Number.learn(name, values, optional) for name, values in part.numbers.items()]
    if settings.holes != "none":
        if PARTIAL in (field.name for field in fields):
            raise Refused(f"a field may not be called {PARTIAL!r} where holes are learned, which go by it; rename it")
        channels, height, width = shape
        fields.append(Picture(PARTIAL, (channels, height, width)))
    return Schema(tuple(fields))


def hidings(schema: Schema, settings: Settings) -> tuple[Hiding, list[str]]:
    """What training hides from the model, and in words: holes, and fields that have blanks or are to be dropped."""
    some = [field for field in schema.fields if field.optional and field.width]
    share = DROP if settings.drop is None else settings.drop
    said = []
    if some and share:
        why = "they have blanks" if settings.drop is None else "you asked for it"
        named = ", ".join(repr(field.name) for field in some)
        said.append(f"{named}: hidden from {100 * share:g} % of the rows in training, as {why}: may be left out.")
    if settings.holes != "none":
        said.append(f"Holes of the kind {settings.holes!r} are cut anew at each step; only hidden pixels are scored.")
    if not share:
        some = []
    return Hiding(settings.holes, tuple(share for _ in some), tuple(schema.span(field.name) for field in some)), said


def uneven(part: Part, schema: Schema, settings: Settings) -> tuple[Tensor | None, list[str]]:
    """(the class of each row by the most uneven label, or None where batches are as the data are; what to say)."""
    worst: tuple[float, Label, np.ndarray] | None = None
    for field in schema.labels:
        if field.name == settings.infer:
            continue
        column = field.index(part.labels[field.name])
        counts = np.bincount(column[column >= 0], minlength=len(field.values))
        ratio = counts.max() / max(1, counts.min())
        if worst is None or ratio > worst[0]:
            worst = ratio, field, column
    if worst is None or settings.balance == "never":
        return None, []
    ratio, field, column = worst
    if settings.balance == "auto" and ratio < UNEVEN:
        return None, []
    words = (
        f"{field.name!r} is uneven, {ratio:.0f} to 1: batches are balanced, each value comes equally often, no row "
        "more than ten times an epoch; balance='never' leaves them as the data are."
    )
    return torch.from_numpy(column), [words]


def mean_pixel(part: Part) -> float:
    """The mean of up to 2,000 pictures, evenly spread, in [0, 1]."""
    return float(as_float(part.x[slice(None, None, max(1, len(part) // 2000))]).mean())


def conditions(schema: Schema, part: Part) -> Condition:
    """The part's labels and numbers as a condition; a label that training never saw is unknown.

    What is seen of pictures is no part of it: it is cut from x where x is read.
    """
    columns = columns_in(schema, part)
    told = [field.encode(columns[field.name]) for field in schema.fields if field.width]
    return Condition(torch.cat(told, 1) if told else torch.zeros(len(part), 0))


def columns_in(schema: Schema, part: Part) -> dict[str, np.ndarray]:
    """A part's columns, without that of a partial picture."""
    plain = Schema(tuple(field for field in schema.fields if not isinstance(field, Picture)))
    return plain.index(plain.told(part.labels, part.numbers, len(part)), len(part))


def make_batches(part: Part, schema: Schema, settings: Settings, training: Training) -> Batches:
    """The training rows, on the training device where they are in memory."""
    c = conditions(schema, part).to(training.device)
    memory = part.x.memory
    rank, world = training.fabric.global_rank, training.fabric.world_size
    assert settings.batch is not None
    plan = Batches(lambda index: part.x[index].to(training.device), c, settings.batch, settings.seed, rank, world)
    plan = mixing(plan, schema, settings)
    if memory is None:
        return plan
    x = memory
    if settings.binarise == "static":
        x = (
            observe(as_float(memory), "static", RowNoise(seed_of(settings.seed, 3), np.arange(len(part)))) * 255
        ).byte()
    x = x.to(training.device)
    return replace(plan, x=lambda index: x[index])


def mixing(plan: Batches, schema: Schema, settings: Settings) -> Batches:
    """The plan with a share of each batch labelled, where a label is inferred and only some rows have it."""
    if settings.infer is None:
        return plan
    known = (plan.c.vector[:, schema.span(settings.infer)].sum(1) > 0).cpu()
    share = share_of(known, settings)
    if share is None or plan.size < 2:
        return plan
    return replace(
        plan,
        weight=mixed_weights(known, plan.size, share).to(plan.c.vector.device),
        order=partial_of(mixed_order, known, plan.size, share, seed=plan.seed),
    )
