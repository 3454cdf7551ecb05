"""What a training begins with: rows held out, settings that depend on the data, the schema, batches, what is hidden."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condvae.balance import UNEVEN
from condvae.conditions import Label, Number, Picture, Schema
from condvae.data import Collection, Part, choose_likelihood, hold_out
from condvae.errors import Refused
from condvae.learned import observe
from condvae.models.build import LATENTS
from condvae.noise import RowNoise, seed_of
from condvae.settings import Settings
from condvae.trace import Condition
from condvae.train import Batches, Hiding, Training, as_float

TABLE_SEED = 0x7461626C65  # "table"
DROP = 0.1  # share of the rows from which a field with blanks is hidden in training
PARTIAL = "picture"  # the field of what is seen


def split(collection: Collection, settings: Settings) -> tuple[Part, Part | None]:
    """(rows to learn from, rows held out for the validation bound) of the training part, stratified by the first field.

    Rows of tables are ordered by a seed of their own: seed 0 would order them as `numpy.random.default_rng(0)` does,
    by which a user may have drawn the very columns.
    """
    part, seed = collection.train, 0 if collection.outputs is None else TABLE_SEED
    count = round(settings.hold_out * len(part)) if settings.hold_out < 1 else int(settings.hold_out)
    if count == 0:
        return part, None
    if count >= len(part):
        raise Refused(f"hold_out must leave rows to learn from; got {count} of {len(part)} rows")
    first = next(iter(part.labels.values()), None)
    kept, held = hold_out(len(part), first, count, seed)
    return part.take(kept), part.take(held)


def resolve(settings: Settings, part: Part, outputs: Schema | None = None) -> tuple[Settings, str]:
    """(settings with what depends on the data filled in, why the likelihood was chosen)."""
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
    if settings.warp and settings.binarise == "static":
        raise Refused("warp changes grey pixels, and binarise='static' fixes them once; use 'dynamic', or warp=0")
    prior = "learned" if settings.holes != "none" else settings.prior  # what is seen tells much of what is hidden
    found = {"likelihood": likelihood, "batch": min(batch, len(part)), "z": z, "prior": prior}
    return settings.model_copy(update=found), why


def resolved_table(settings: Settings, part: Part) -> tuple[Settings, str]:
    """The settings of a table's rows: dense networks, and few latents for few columns."""
    if settings.holes != "none":
        raise Refused(f"holes are for pictures; got holes={settings.holes!r} for a table: leave cells blank instead")
    if settings.warp:
        raise Refused(f"warp is for pictures; got warp={settings.warp:g} for a table: leave it at 0")
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
    }
    return settings.model_copy(update=found), "each column of a table has a likelihood of its own"


def learn_schema(part: Part, settings: Settings, shape: tuple[int, ...]) -> Schema:
    """What may be asked of a model of this part: its labels, numbers and, with holes, a partial picture."""
    optional = bool(settings.drop)
    fields: list[Any] = [Label.learn(name, labels, optional) for name, labels in part.labels.items()]
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
    if memory is None:
        return Batches(lambda index: part.x[index].to(training.device), c, settings.batch, settings.seed, rank, world)
    x = memory
    if settings.binarise == "static":
        x = (
            observe(as_float(memory), "static", RowNoise(seed_of(settings.seed, 3), np.arange(len(part)))) * 255
        ).byte()
    x = x.to(training.device)
    return Batches(lambda index: x[index], c, settings.batch, settings.seed, rank, world)
