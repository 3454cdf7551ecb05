"""Drawings of a model beside the real images whose fields they were asked with: obedience, diversity, distance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from condvae.conditions import Label, Picture
from condvae.data import Part
from condvae.distances import frechet_from_moments, moments, pairwise
from condvae.evaluation import Diversity, Frechet, Manifolds, Obedience, Share, Spread
from condvae.images import unit
from condvae.judges import Judge, JudgeReading, positions
from condvae.learned import Columns, Learned
from condvae.manifolds import NEIGHBOURS, precision_recall
from condvae.noise import seed_of
from condvae.panel import Reader
from condvae.sharpness import gradient_energy
from condvae.subject import Subject, chosen, real_images

ALIKE_OF = 200  # pictures of a label whose distances are taken
REAL_DRAWS = 10
OVERLAP_OF = 5_000  # drawings, and real images, whose neighbourhoods are compared
ENTRIES_AT_ONCE = 2**27  # pixels drawn at once: half a gigabyte


@dataclass(frozen=True)
class Drawn:
    """Drawings, each beside a real image with which it shares what is known of it.

    rows: the images [M]. label: positions of their first labels [M], -1 = unknown; all 0 where the model has no label,
    None where all are unknown. few: the places among the rows, at most 200 a label, whose pictures are kept, drawn and
    real [len(few), C, H, W]. features, real_features [M, 128]: None without a judge of the first label. read: field
    name -> what its judge or regressor read, positions in its own values [M] or numbers [M, D]. energy, real_energy
    [M]: gradient energy.
    """

    rows: np.ndarray
    label: np.ndarray | None
    few: np.ndarray
    pictures: np.ndarray
    real: np.ndarray
    features: np.ndarray | None
    real_features: np.ndarray | None
    read: dict[str, np.ndarray]
    energy: np.ndarray
    real_energy: np.ndarray


def drawings(
    subject: Subject,
    target: Label | None,
    draws: int,
    prior: str | None,
    readers: Mapping[str, Reader],
    judge: Judge | None,
) -> Drawn:
    """One drawing for each image, `draws` at most, of what is known of it; images of which nothing is are passed over,
    as are those that a judge has learnt from.

    judge: the one whose features are taken, the target's where there is a target.
    """
    labels = np.zeros(len(subject.images), np.int64) if target is None else subject.given[target.name]
    known = subject.judged[known_rows(subject.learned, subject.given, len(subject.images))[subject.judged]]
    pool = known if len(known) else subject.judged
    rows = pool[chosen(len(pool), draws, subject.seed)]
    few = first_of_each(labels[rows], ALIKE_OF)
    at_once = max(1, ENTRIES_AT_ONCE // math.prod(subject.learned.shape))
    pictures: list[np.ndarray] = []
    features: list[np.ndarray] = []
    read: dict[str, list[np.ndarray]] = {name: [] for name in readers}
    energies: list[Tensor] = []
    real_energies: list[Tensor] = []
    for start in range(0, len(rows), at_once):
        block = slice(start, start + at_once)
        made = draw_block(subject, rows[block], prior, seed_of(subject.seed, 13, start) if start else subject.seed)
        pictures.append(made[few[(few >= start) & (few < start + at_once)] - start])
        energies.append(gradient_energy(torch.from_numpy(made)))
        real_energies.append(gradient_energy(unit(subject.images[torch.from_numpy(rows[block])]).cpu()))
        for name, reader in readers.items():
            reading = reader.read(made)
            read[name].append(reading.index if isinstance(reading, JudgeReading) else reading.numbers)
            if reader is judge:
                features.append(reading.features)
        if judge is not None and judge not in readers.values():
            features.append(judge.read(made).features)
        if subject.progress is not None:
            subject.progress("drawings", min(start + at_once, len(rows)), len(rows))
    return Drawn(
        rows,
        labels[rows] if target is None or (labels[rows] >= 0).any() else None,
        few,
        np.concatenate(pictures),
        unit(subject.images[torch.from_numpy(rows[few])]).cpu().numpy(),
        np.concatenate(features) if features else None,
        judge.read(real_images(subject, rows)).features if judge is not None else None,
        {name: np.concatenate(parts) for name, parts in read.items()},
        torch.cat(energies).numpy(),
        torch.cat(real_energies).numpy(),
    )


def known_rows(learned: Learned, given: Columns, images: int) -> np.ndarray:
    """Which of N images have a known label or number, bool [N]; all of them where nothing can be known."""
    fields = [field for field in learned.schema.fields if not isinstance(field, Picture)]
    if not fields:
        return np.ones(images, bool)
    return np.asarray(np.any([~field.unknown(given[field.name]) for field in fields], axis=0))


def draw_block(subject: Subject, rows: np.ndarray, prior: str | None, seed: int) -> np.ndarray:
    """A drawing for each of these images of what is known of it, [B, C, H, W]."""
    asked = subject.asked_of(rows, picture=not subject.blank_pictures)
    if not asked:
        return subject.drawn({}, len(rows), seed, prior)
    return subject.drawn(asked, 1, seed, prior)[:, 0]


def first_of_each(labels: np.ndarray, most: int) -> np.ndarray:
    """The rows, rising, of the first `most` of each label [N]."""
    kept = [np.flatnonzero(labels == label)[:most] for label in np.unique(labels)]
    return np.sort(np.concatenate(kept))


def obeyed(subject: Subject, drawn: Drawn, field: Label, judge: Judge) -> Obedience | None:
    """Asked label = label read, overall and for each label; None where no drawing was asked for one."""
    told = subject.given[field.name][drawn.rows]
    known = ~field.unknown(told)
    if not known.any():
        return None
    places = {value: place for place, value in enumerate(judge.values)}
    told, read = told[known], drawn.read[field.name][known]
    asked = np.asarray([places[value] for value in field.values])[told]
    right = asked == read
    per_label = {}
    for place, value in enumerate(field.values):
        of_label = told == place
        if of_label.any():
            per_label[value] = Share(right=int(right[of_label].sum()), of=int(of_label.sum()))
    counts = [np.bincount(which, minlength=len(judge.values)) / len(which) for which in (asked, read)]
    return Obedience(
        field=field.name,
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
    labels = np.unique(drawn.label[drawn.label >= 0])
    groups = [np.flatnonzero(drawn.label[drawn.few] == label) for label in labels]
    weights = np.asarray([(drawn.label == label).mean() for label in labels])
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


def near(drawn: Drawn, real: Sequence[np.ndarray]) -> Frechet | None:
    """Frechet distance of drawings to real images in the judge's features, beside that of draws of real training images
    [M, F] each."""
    if drawn.features is None or drawn.real_features is None or len(drawn.features) < 2:
        return None
    reference = moments(drawn.real_features)
    distances = [frechet_from_moments(*moments(features), *reference) for features in real]
    return Frechet(
        distance=frechet_from_moments(*moments(drawn.features), *reference),
        drawings=len(drawn.features),
        real_mean=float(np.mean(distances)) if distances else None,
        real_spread=float(np.std(distances, ddof=1)) if distances else None,
        real_draws=len(distances),
    )


def overlap(drawn: Drawn, real: Sequence[np.ndarray], seed: int) -> Manifolds | None:
    """Precision and recall of drawings in the judge's features, beside those of the first draw of real training images;
    of at most 5,000 of each."""
    if drawn.features is None or drawn.real_features is None or len(drawn.features) <= NEIGHBOURS:
        return None
    rows = chosen(len(drawn.features), OVERLAP_OF, seed)
    reference = drawn.real_features[rows]
    precision, recall = precision_recall(reference, drawn.features[rows])
    beside = precision_recall(reference, real[0][rows]) if len(real) else (None, None)
    return Manifolds(precision=precision, recall=recall, k=NEIGHBOURS, real_precision=beside[0], real_recall=beside[1])


def real_features(
    drawn: Drawn, real_train: Part | None, judge: Judge | None, target: Label | None, seed: int
) -> list[np.ndarray]:
    """The judge's features of ten draws of real training images in the drawings' place, [M, F] each; none without."""
    if real_train is None or judge is None or drawn.features is None or len(drawn.features) < 2:
        return []
    picked = real_draws(drawn, real_train, target, seed)
    rows, place = np.unique(picked, return_inverse=True)
    features = judge.read(unit(real_train.x[torch.from_numpy(rows)])).features
    return [features[draw] for draw in place.reshape(picked.shape)]


def real_draws(drawn: Drawn, real_train: Part, target: Label | None, seed: int) -> np.ndarray:
    """Rows of ten draws of real training images [10, M], each with the drawings' label frequencies.

    Without repetition within a draw, unless a label has fewer training images than drawings.
    """
    assert drawn.features is not None
    rng = np.random.default_rng(seed_of(seed, 14))
    pools = [(np.arange(len(real_train)), len(drawn.features))]
    if target is not None and drawn.label is not None and target.name in real_train.labels:
        labels = positions(real_train, target)
        counts = np.bincount(drawn.label[drawn.label >= 0], minlength=len(target.values))
        by_label = [(np.flatnonzero(labels == place), int(count)) for place, count in enumerate(counts) if count]
        if (drawn.label < 0).any():  # drawings whose label was left open take their like from all images
            by_label.append((np.arange(len(real_train)), int((drawn.label < 0).sum())))
        pools = by_label if all(len(pool) for pool, _ in by_label) else pools
    return np.stack(
        [
            np.concatenate([rng.choice(pool, count, replace=count > len(pool)) for pool, count in pools])
            for _ in range(REAL_DRAWS)
        ]
    )
