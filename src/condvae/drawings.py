"""Drawings of a model beside the real images whose labels they were asked with: obedience, diversity, distance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from condvae.conditions import Label
from condvae.data import Part
from condvae.distances import frechet_from_moments, moments, pairwise
from condvae.evaluation import Diversity, Frechet, Obedience, Share, Spread
from condvae.images import unit
from condvae.judges import Judge, positions
from condvae.noise import seed_of
from condvae.subject import Subject, chosen
from condvae.tasks import generate

ALIKE_OF = 200  # pictures of a label whose distances are taken
REAL_DRAWS = 10
ENTRIES_AT_ONCE = 2**27  # pixels drawn at once: half a gigabyte


@dataclass(frozen=True)
class Drawn:
    """Drawings, each beside a real image that shares its label.

    label: positions of the labels [M]; all 0 where nothing is asked, None where the labels are unknown. few: the
    rows, at most 200 a label, whose pictures are kept, drawn and real [len(few), C, H, W]. features, real_features
    [M, 128] and read, the position of what the judge read [M]: None without a judge.
    """

    label: np.ndarray | None
    few: np.ndarray
    pictures: np.ndarray
    real: np.ndarray
    features: np.ndarray | None
    real_features: np.ndarray | None
    read: np.ndarray | None


def drawings(subject: Subject, target: Label | None, draws: int, prior: str | None, judge: Judge | None) -> Drawn:
    """One drawing for each image, `draws` at most, with its labels; images of unknown label are passed over."""
    total = len(subject.images)
    labels = np.zeros(total, np.int64) if target is None else subject.given[target.name]
    known = np.flatnonzero(labels >= 0)
    pool = known if len(known) else np.arange(total)
    rows = pool[chosen(len(pool), draws, subject.seed)]
    few = first_of_each(labels[rows], ALIKE_OF)
    at_once = max(1, ENTRIES_AT_ONCE // math.prod(subject.learned.shape))
    pictures, features, read = [], [], []
    for start in range(0, len(rows), at_once):
        block = slice(start, start + at_once)
        made = draw_block(subject, rows[block], prior, seed_of(subject.seed, 13, start) if start else subject.seed)
        pictures.append(made[few[(few >= start) & (few < start + at_once)] - start])
        if judge is not None:
            reading = judge.read(made)
            features.append(reading.features)
            read.append(reading.index)
        if subject.progress is not None:
            subject.progress("drawings", min(start + at_once, len(rows)), len(rows))
    return Drawn(
        labels[rows] if len(known) else None,
        few,
        np.concatenate(pictures),
        unit(subject.images[torch.from_numpy(rows[few])]).cpu().numpy(),
        np.concatenate(features) if features else None,
        features_of(judge, subject, rows) if judge is not None else None,
        np.concatenate(read) if read else None,
    )


def draw_block(subject: Subject, rows: np.ndarray, prior: str | None, seed: int) -> np.ndarray:
    """A drawing for each of these images with the labels that are known of it, [B, C, H, W]."""
    asked = {}
    for field in subject.learned.schema.fields:
        names = [*field.values, None]
        asked[field.name] = [names[place] for place in subject.given[field.name][rows]]
    if not asked:
        return generate(subject.learned, None, len(rows), seed, prior=prior)
    return generate(subject.learned, asked, 1, seed, prior=prior)[:, 0]


def features_of(judge: Judge, subject: Subject, rows: np.ndarray) -> np.ndarray:
    """The judge's features of these real images."""
    everything = len(rows) == len(subject.images)
    return judge.read(subject.images if everything else unit(subject.images[torch.from_numpy(rows)])).features


def first_of_each(labels: np.ndarray, most: int) -> np.ndarray:
    """The rows, rising, of the first `most` of each label [N]."""
    kept = [np.flatnonzero(labels == label)[:most] for label in np.unique(labels)]
    return np.sort(np.concatenate(kept))


def obeyed(drawn: Drawn, target: Label, judge: Judge | None) -> Obedience | None:
    """Asked label = label read, overall and for each label."""
    if judge is None or drawn.read is None or drawn.label is None:
        return None
    places = {value: place for place, value in enumerate(judge.values)}
    asked = np.asarray([places[value] for value in target.values])[drawn.label]
    right = asked == drawn.read
    per_label = {}
    for place, value in enumerate(target.values):
        of_label = drawn.label == place
        if of_label.any():
            per_label[value] = Share(right=int(right[of_label].sum()), of=int(of_label.sum()))
    counts = [np.bincount(which, minlength=len(judge.values)) / len(which) for which in (asked, drawn.read)]
    return Obedience(
        field=target.name,
        overall=Share(right=int(right.sum()), of=len(right)),
        per_label=per_label,
        chance=float(counts[0] @ counts[1]),
        judge_accuracy=None if math.isnan(judge.accuracy) else judge.accuracy,
        judge=judge.card.sentence(),
    )


def varied(drawn: Drawn) -> Diversity | None:
    """Mean distance of two pictures of a label, drawn and real, the labels weighted by their frequencies."""
    if drawn.label is None:
        return None
    groups = [np.flatnonzero(drawn.label[drawn.few] == label) for label in np.unique(drawn.label)]
    weights = np.asarray([(drawn.label == label).mean() for label in np.unique(drawn.label)])
    some = [place for place, group in enumerate(groups) if len(group) > 1]
    if not some:
        return None

    def spread(made: np.ndarray, real: np.ndarray) -> Spread:
        means = [[pairwise(rows[groups[place]]) for place in some] for rows in (made, real)]
        drawn_mean, real_mean = np.asarray(means) @ weights[some] / weights[some].sum()
        return Spread(drawn=float(drawn_mean), real=float(real_mean))

    features = None
    if drawn.features is not None and drawn.real_features is not None:
        features = spread(drawn.features[drawn.few], drawn.real_features[drawn.few])
    return Diversity(pixels=spread(drawn.pictures, drawn.real), features=features)


def near(drawn: Drawn, real_train: Part | None, judge: Judge | None, target: Label | None, seed: int) -> Frechet | None:
    """Frechet distance of drawings to real images in the judge's features, beside that of real training images."""
    if judge is None or drawn.features is None or drawn.real_features is None or len(drawn.features) < 2:
        return None
    reference = moments(drawn.real_features)
    distances: list[float] = []
    if real_train is not None:
        picked = real_draws(drawn, real_train, target, seed)
        rows, place = np.unique(picked, return_inverse=True)
        features = judge.read(unit(real_train.x[torch.from_numpy(rows)])).features
        for draw in place.reshape(picked.shape):
            distances.append(frechet_from_moments(*moments(features[draw]), *reference))
    return Frechet(
        distance=frechet_from_moments(*moments(drawn.features), *reference),
        drawings=len(drawn.features),
        real_mean=float(np.mean(distances)) if distances else None,
        real_spread=float(np.std(distances, ddof=1)) if distances else None,
        real_draws=len(distances),
    )


def real_draws(drawn: Drawn, real_train: Part, target: Label | None, seed: int) -> np.ndarray:
    """Rows of ten draws of real training images [10, M], each with the drawings' label frequencies.

    Without repetition within a draw, unless a label has fewer training images than drawings.
    """
    assert drawn.features is not None
    rng = np.random.default_rng(seed_of(seed, 14))
    pools = [(np.arange(len(real_train)), len(drawn.features))]
    if target is not None and drawn.label is not None and target.name in real_train.labels:
        labels = positions(real_train, target)
        counts = np.bincount(drawn.label, minlength=len(target.values))
        by_label = [(np.flatnonzero(labels == place), int(count)) for place, count in enumerate(counts) if count]
        pools = by_label if all(len(pool) for pool, _ in by_label) else pools
    return np.stack(
        [
            np.concatenate([rng.choice(pool, count, replace=count > len(pool)) for pool, count in pools])
            for _ in range(REAL_DRAWS)
        ]
    )
