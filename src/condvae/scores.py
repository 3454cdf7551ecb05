"""How likely pictures are under a model, and which label makes them likeliest: log_prob and classify.

How the samples behind both are weighed stands in weighing.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from torch import nn

from condvae.conditions import Label
from condvae.errors import Refused
from condvae.images import Images
from condvae.learned import (
    Asked,
    Columns,
    Learned,
    Progress,
    chunks,
    columns_of,
    drawn,
    named,
    observe,
    pictures_of,
    seed_in,
    take,
    whole,
)
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.weighing import Importance, by_value, marginal

CLASSIFY_SAMPLES = 10  # beyond it, the error of reading the label falls by less than a tenth of itself
UNLIKELY = "this run was trained on deep features (likelihood 'perceptual'), whose loss is no density"


@dataclass(frozen=True)
class Classified:
    """names [N], the likeliest value of each row; probabilities [N, K] float64, columns in the order of `values`."""

    names: np.ndarray
    probabilities: np.ndarray
    values: tuple[str, ...]


def log_prob(
    learned: Learned,
    x: Any,
    given: Asked | None = None,
    k: int = 500,
    seed: int = 0,
    prior: str | None = None,
    progress: Progress | None = None,
    unknown: str | None = None,
) -> np.ndarray:
    """log p(x | c) by k importance samples a row, [N] float64 nats: a lower bound that rises with k.

    x: images as in `reconstruct`; binarised with the seed first where the model was trained on binarised pixels.
    given: field -> one value, or one a row. Row i depends on (seed, i) and x[i].
    unknown: what is done with fields that are not given: "sum": p(x) is the sum over their values, each weighed by its
    share; "blank": they enter as the blank input that training saw where they were left out. By default blank where
    the model has such an input, else sum.

    Refused for names, values, shapes or numbers that cannot be used, and for a model that has no likelihood.
    """
    return importance(learned, x, given, k, seed, prior, progress, unknown).log_prob


def importance(
    learned: Learned,
    x: Any,
    given: Asked | None = None,
    k: int = 500,
    seed: int = 0,
    prior: str | None = None,
    progress: Progress | None = None,
    unknown: str | None = None,
) -> Importance:
    """`log_prob` with the effective sample size of each row; of rows summed over labels, the likeliest label's."""
    if not learned.likely:
        raise Refused(f"log_prob needs a normalised likelihood; {UNLIKELY}; classify, generate and evaluate work")
    k, seed, model = whole(k, "k", 1), seed_in(seed), learned.using(prior)
    images = pictures_of(learned, x)
    columns = columns_of(learned, given, len(images))
    return marginal(learned, model, images, columns, k, seed, progress, unknown=unknown)


def classify(
    learned: Learned,
    x: Any,
    field: str | None = None,
    given: Asked | None = None,
    k: int = CLASSIFY_SAMPLES,
    seed: int = 0,
    prior: str | None = None,
    progress: Progress | None = None,
) -> Classified:
    """Which value of a label field the pictures x have, by Bayes' rule: p(x | label) times the label's share.

    p(x | label) is importance-weighted with k samples, whose noise the labels share, so that it cancels where they
    are compared. A label that the model was trained to infer is read by its classifier instead, q(label | x). field:
    needed where the model has several; given: what is known of the other fields. Of a model that compares deep features
    p(x | label) is a score, its loss: which label is likeliest it tells, how likely it does not.

    Refused where the model has no field to read, or for arguments that cannot be used.
    """
    target = label_field(learned, field)
    k, seed, model = whole(k, "k", 1), seed_in(seed), learned.using(prior)
    images = pictures_of(learned, x)
    given = named(given, "what is given")
    if target.name in given:
        raise Refused(f"given must not hold {target.name}, the field that is asked for; leave it out")
    columns = columns_of(learned, given, len(images))
    return posterior(learned, model, images, columns, target, k, seed, progress)


def columns_for(learned: Learned, images: Images, given: Asked | None) -> Columns:
    """What is given of the pictures, as columns; labels that are unknown and have no blank input are classified."""
    columns = columns_of(learned, given, len(images))
    for field in learned.schema.fields:
        rows = np.flatnonzero(field.unknown(columns[field.name]))
        if field.optional or not len(rows):
            continue
        if not isinstance(field, Label):
            raise Refused(
                f"{field.name} must be given for every row (given={{{field.name!r}: ...}}, --given {field.name}=...), "
                "as training saw no row without one; train with drop=0.1 to leave it out"
            )
        read = posterior(learned, learned.using(), images, columns, field, CLASSIFY_SAMPLES, 0, rows=rows)
        column = columns[field.name].copy()
        column[rows] = read.probabilities.argmax(1)
        columns[field.name] = column
    return columns


def label_field(learned: Learned, name: str | None) -> Label:
    """The field of that name, or the only one."""
    fields = learned.schema.labels
    if not fields:
        raise Refused("this model was trained without labels, so it cannot classify; train it with labels")
    if name is not None:
        found = learned.schema.field(str(name))
        if not isinstance(found, Label):
            raise Refused(f"field must be a label to be read, one of {', '.join(f.name for f in fields)}; got {name!r}")
        return found
    if len(fields) > 1:
        raise Refused(
            f"field must name what to read, one of {', '.join(f.name for f in fields)}; got None: say "
            f"field={fields[0].name!r} (--field {fields[0].name})"
        )
    return next(iter(fields))


def posterior(
    learned: Learned,
    model: nn.Module,
    images: Images,
    columns: Columns,
    target: Label,
    k: int,
    seed: int,
    progress: Progress | None = None,
    rows: np.ndarray | None = None,
) -> Classified:
    """p(label | x) of these rows under columns whose target is overwritten by each value in turn.

    A label that the model itself infers is read by its classifier, q(label | x), whatever k and seed.
    """
    rows = np.arange(len(images)) if rows is None else rows
    if learned.infers == target.name:
        return inferred(learned, images, columns, target, progress, rows)
    found = by_value(learned, model, images, columns, k, seed, progress, rows, over=target)
    joint = found.log_prob.T + np.asarray([math.log(max(share, 1e-300)) for share in target.shares])
    probabilities = np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))
    return Classified(np.asarray(target.values)[probabilities.argmax(1)], probabilities, target.values)


def inferred(
    learned: Learned, images: Images, columns: Columns, target: Label, progress: Progress | None, rows: np.ndarray
) -> Classified:
    """What the model's own classifier reads of these rows; fields that are unknown and have no blank are drawn."""
    model = cast(Any, learned.model)
    probabilities = np.empty((len(rows), len(target.values)))
    told = drawn(learned.schema, {**columns, target.name: np.zeros(len(images), np.int64)}, np.arange(len(images)), 0)
    with evaluating(model):
        for places, kept in chunks(len(rows)):
            chunk = rows[places]
            x = observe(take(learned, images, chunk), learned.binarise, RowNoise(0, chunk, learned.device))
            read = model.read(x, learned.condition(told, chunk)).probs
            probabilities[kept] = read[: kept.stop - kept.start].double().cpu().numpy()
            if progress is not None:
                progress(kept.stop, len(rows))
    probabilities /= probabilities.sum(1, keepdims=True)
    return Classified(np.asarray(target.values)[probabilities.argmax(1)], probabilities, target.values)
