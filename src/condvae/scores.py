"""How likely pictures are under a model, and which label makes them likeliest: log_prob and classify.

log p(x | c) is bounded from below by importance-weighted samples of the posterior (Burda, Grosse, Salakhutdinov,
"Importance Weighted Autoencoders", 2016); the bound rises with their number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

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
    open_fields,
    pictures_of,
    seed_in,
    take,
    whole,
)
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.objectives import log_weights
from condvae.trace import Condition, Draw

ENTRIES = 2**20  # pixels scored at once, samples included: bounds the memory
SMALL = 64  # a table's row counts as so many: its latents cost more than its few entries, and a chunk is padded
CLASSIFY_SAMPLES = 10  # beyond it, the error of reading the label falls by less than a tenth of itself
UNLIKELY = "this run was trained on deep features (likelihood 'perceptual'), whose loss is no density"
COMBINATIONS = 1000  # of values of unknown fields that are summed over at most


@dataclass(frozen=True)
class Importance:
    """log_prob [N] float64 nats, the effective number of the k samples behind each, [N] float64 in [1, k], and the ELBO
    of the same samples, [N] float64 nats, NaN where labels were summed over."""

    log_prob: np.ndarray
    effective: np.ndarray
    elbo: np.ndarray


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
) -> np.ndarray:
    """log p(x | c) by k importance samples a row, [N] float64 nats: a lower bound that rises with k.

    x: images as in `reconstruct`; binarised with the seed first where the model was trained on binarised pixels.
    given: field -> one value, or one a row. An unknown label is summed over with the labels' shares where the model
    has no blank input for it, and enters as that blank input where it has one. Row i depends on (seed, i) and x[i].

    Refused for names, values, shapes or numbers that cannot be used, and for a model that has no likelihood.
    """
    return importance(learned, x, given, k, seed, prior, progress).log_prob


def importance(
    learned: Learned,
    x: Any,
    given: Asked | None = None,
    k: int = 500,
    seed: int = 0,
    prior: str | None = None,
    progress: Progress | None = None,
) -> Importance:
    """`log_prob` with the effective sample size of each row; of rows summed over labels, the likeliest label's."""
    if not learned.likely:
        raise Refused(f"log_prob needs a normalised likelihood; {UNLIKELY}; classify, generate and evaluate work")
    k, seed, model = whole(k, "k", 1), seed_in(seed), learned.using(prior)
    images = pictures_of(learned, x)
    columns = columns_of(learned, given, len(images))
    return marginal(learned, model, images, columns, k, seed, progress)


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
    total = len(rows) * len(target.values)
    joint = np.empty((len(rows), len(target.values)))
    for place, share in enumerate(target.shares):
        told = shifted(progress, place * len(rows), total)
        asked = {**columns, target.name: np.full(len(images), place)}
        found = marginal(learned, model, images, asked, k, seed, told, rows)
        joint[:, place] = found.log_prob + math.log(max(share, 1e-300))
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


def marginal(
    learned: Learned,
    model: nn.Module,
    images: Images,
    columns: Columns,
    k: int,
    seed: int,
    progress: Progress | None = None,
    rows: np.ndarray | None = None,
) -> Importance:
    """log p(x | what is known), the fields that are unknown and have no blank input summed over by their shares.

    A number is summed over 16 equally likely values.
    """
    rows = np.arange(len(images)) if rows is None else rows
    schema = learned.schema
    fields = open_fields(schema, columns, rows)
    blanks = np.stack([field.unknown(columns[field.name][rows]) for field in fields], 1) if fields else None
    patterns = [()] if blanks is None else [tuple(bool(one) for one in row) for row in np.unique(blanks, axis=0)]
    supports = {field.name: field.support() for field in fields}  # pyright: ignore
    sums = [[field for field, blank in zip(fields, pattern, strict=False) if blank] for pattern in patterns]
    ways = [math.prod(len(supports[field.name][1]) for field in some) for some in sums]
    if max(ways) > COMBINATIONS:
        raise Refused(
            f"unknown fields may be summed over {COMBINATIONS} combinations of their values, here they have "
            f"{max(ways)}; give more of {', '.join(field.name for field in fields)}"
        )
    members = [
        np.arange(len(rows)) if blanks is None else np.flatnonzero((blanks == pattern).all(1)) for pattern in patterns
    ]
    out = Importance(np.full(len(rows), -np.inf), np.zeros(len(rows)), np.full(len(rows), np.nan))
    best = np.full(len(rows), -np.inf)
    total = sum(len(some) * way for some, way in zip(members, ways, strict=True))
    done = 0
    for some, own in zip(sums, members, strict=True):
        for places in product(*(range(len(supports[field.name][1])) for field in some)):
            asked, share = dict(columns), 0.0
            for field, place in zip(some, places, strict=True):
                entries, shares = supports[field.name]
                asked[field.name] = field.filled(asked[field.name], entries[place])
                share += float(shares[place])
            found = settled(learned, model, images, asked, rows[own], k, seed, shifted(progress, done, total))
            done += len(own)
            joint = found.log_prob + share
            out.log_prob[own] = np.logaddexp(out.log_prob[own], joint)
            out.effective[own] = np.where(joint > best[own], found.effective, out.effective[own])
            best[own] = np.maximum(best[own], joint)
            if not some:
                out.elbo[own] = found.elbo
    return out


def settled(
    learned: Learned,
    model: nn.Module,
    images: Images,
    columns: Columns,
    rows: np.ndarray,
    k: int,
    seed: int,
    progress: Progress | None = None,
) -> Importance:
    """The importance-weighted bound of these rows under columns that leave nothing open."""
    entries = math.prod(learned.shape) if learned.outputs is None else max(SMALL, math.prod(learned.shape))
    most = max(1, ENTRIES // entries)
    samples = min(k, 2 ** int(math.log2(most)))
    size = 2 ** int(math.log2(max(1, most // samples)))
    out = Importance(np.empty(len(rows)), np.empty(len(rows)), np.empty(len(rows)))
    with evaluating(model):
        for places, kept in chunks(len(rows), size):
            chunk = rows[places]
            x = observe(take(learned, images, chunk), learned.binarise, RowNoise(seed, chunk, learned.device))
            first = torch.full((size,), -math.inf, dtype=torch.float64, device=learned.device)
            second, total = first.clone(), torch.zeros_like(first)
            for weights in weight_blocks(model, learned.condition(columns, chunk), x, chunk, k, samples, seed):
                first = torch.logaddexp(first, torch.logsumexp(weights, 0))
                second = torch.logaddexp(second, torch.logsumexp(2 * weights, 0))
                total += weights.sum(0)
            number = kept.stop - kept.start
            out.log_prob[kept] = (first - math.log(k))[:number].cpu().numpy()
            out.effective[kept] = torch.exp(2 * first - second)[:number].cpu().numpy()
            out.elbo[kept] = (total / k)[:number].cpu().numpy()
            if progress is not None:
                progress(kept.stop, len(rows))
    return out


def weight_blocks(
    model: nn.Module, c: Condition, x: Tensor, rows: np.ndarray, k: int, samples: int, seed: int
) -> Iterator[Tensor]:
    """log weights of k samples a row in blocks [<= samples, B], float64. The first k samples do not depend on k.

    What the model reads of x whatever the noise (`Model.look`) it reads once; each block is a pass.
    """
    looked = cast(Any, model).look(c, x)
    for block in range(-(-k // samples)):
        draw = Draw(RowNoise(seed, np.stack([rows, np.full_like(rows, block)], 1), x.device), k=samples)
        yield log_weights(model(c, looked, draw=draw), x).double()[: k - block * samples]


def shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    """`progress` for a part of a longer task: `before` rows are done, of `total`."""
    return None if progress is None else lambda done, _: progress(before + done, total)
