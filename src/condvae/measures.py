"""How good a conditional model is, and how honestly that can be said: likelihood, obedience, diversity, collapse.

Everything is measured under one prior, on images that the model was not trained on, by noise that is a function of
the seed and the row. The judge is independent of the model; its own accuracy on real images stands beside whatever
it says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from condvae.asked_numbers import numbers_obeyed
from condvae.completions import completed
from condvae.conditionals import bound_of
from condvae.conditions import Label, Number
from condvae.data import Part
from condvae.distances import frechet, frechet_from_moments, wilson
from condvae.drawings import Drawn, drawings, near, obeyed, overlap, real_features, varied
from condvae.evaluation import Evaluation, Manifolds, Nearness, Numbers, Obedience, Sharpness
from condvae.judges import Judge
from condvae.learned import Asked, Learned, pictures_of, seed_in, temperature_in, whole
from condvae.ledger import Ledger
from condvae.likelihoods import classified, inferred, label_gain, unknown_words, weighed
from condvae.nearness import nearness
from condvae.noise import seed_of
from condvae.panel import Reader
from condvae.regress_net import Regressor
from condvae.sharpness import sharpness
from condvae.subject import Progress, Subject, chosen, estimate, readers_of, subject_of, target_of
from condvae.temperatures import Temperature, cooled
from condvae.verdicts import verdicts

__all__ = ["Evaluation", "evaluate", "frechet", "frechet_from_moments", "wilson"]

K, LIMIT, DRAWS = 100, 1_000, 10_000


def evaluate(
    learned: Learned,
    x: Any,
    given: Asked | None = None,
    judge: Reader | Mapping[str, Reader] | None = None,
    real_train: Part | None = None,
    k: int | None = None,
    limit: int | None = None,
    prior: str | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    field: str | None = None,
    progress: Progress | None = None,
    unjudged: Mapping[str, str] | None = None,
    unseen: np.ndarray | None = None,
    temperature: Temperature = 1.0,
    unknown: str | None = None,
    ledger: Ledger | None = None,
) -> Evaluation:
    """Measure a model on images that it was not trained on.

    With the defaults, 10,000 images of 28 x 28 and dense networks take well under a minute on two cores: the bound is
    taken on all images, the importance-weighted likelihood on 1,000 drawn at random, with 100 samples each.

    Of a model that compares deep features, which has no likelihood, bound, likelihood and label gain are left out.

    Args:
        x: images [N, C, H, W], as the tasks take them. given: field -> one value a row; what is unknown is summed over
            in the likelihood and read from the image elsewhere, or a blank input where the model has one. Into images
            of which no partial picture is given, holes of the kind that the model learned to fill are cut.
        judge: field name -> the judge of that label, or the regressor of that number (`condvae.panel.judges_for`); a
            judge alone is that of `field`. Fields without one are named as not measured; without a judge of the first
            label there is no Frechet distance.
        real_train: real training images (with labels), which take the drawings' place in the Frechet distance, ten
            times, to show what it is at best, and to which the drawings' nearness is measured.
        k: importance samples an image, 100 by default. limit: images whose likelihood is weighed and that are
            classified, 1,000 by default; 0 = all; a label that the model itself infers is read of all. prior: as
            `Learned.using`.
        draws: drawings, one for each image and at most this many (images drawn at random where there are more).
        field: the label that label gain, classification, diversity and Frechet distance are of; by default the first.
        progress: called with (what is measured, done, total). unjudged: field name -> why it has no judge. unseen: rows
            of the images that no judge was trained on, whose like is drawn and completed; by default all.
        temperature: of drawings and completions, as in `tasks.generate`; chosen elsewhere (`condvae.warmth`), not on
            these images. Bound, KL and likelihood are of the model as it is.
        unknown: what the likelihood does with what is not given, "sum" or "blank", as in `log_prob`; given=None asks
            for p(x). ledger: where what is weighed is kept against interruption.

    Raises:
        Refused: arguments that cannot be used, or a judge of other labels or pictures.
    """
    k, limit = whole(K if k is None else k, "k", 1), whole(LIMIT if limit is None else limit, "limit", 0)
    seed, draws = seed_in(seed), whole(draws, "draws", 1)
    images = pictures_of(learned, x)
    target = target_of(learned, field)
    readers = readers_of(learned, judge, target)
    temperature = temperature_in(learned, temperature)
    subject = subject_of(learned, images, given, prior, seed, progress, unseen, temperature, unknown, ledger)

    passes = inferred(subject)
    sample = chosen(len(subject.images), limit or len(subject.images), seed)
    likely = learned.likely
    gain = label_gain(subject, target, passes.elbo, sample) if target is not None and likely else None
    likelihood = weighed(subject, sample, k) if likely else None
    reading = classified(subject, target, sample) if target is not None else None
    looking = readers.get(target.name) if target is not None else judge
    first = looking if isinstance(looking, Judge) else None
    drawn = drawings(subject, target, draws, prior, readers, first)
    obediences, numbers = read_back(subject, drawn, readers)
    obedience = obediences.get(target.name) if target is not None else None
    completion = completed(subject, target, first, draws, prior)
    unmeasured = missing(learned, {**obediences, **numbers}, readers, unjudged or {})
    diversity = varied(drawn)
    real = real_features(drawn, real_train, first, target, seed)
    sharp, manifolds, distance = likeness(drawn, real, real_train, seed)
    used = "flow" if prior == "flow" else "fitted" if learned.fitted is not None and prior != "model" else "model"
    dimensions = passes.hidden * math.prod(learned.shape) * math.log(2)
    return Evaluation(
        protocol=passes.protocol,
        prior=used,
        temperature=list(temperature) if isinstance(temperature, tuple) else temperature,
        unknown=unknown_words(subject),
        images=len(subject.images),
        seed=seed,
        bound_of=bound_of(learned.schema, subject.given, np.arange(len(subject.images))),
        bound=estimate(passes.elbo) if likely else None,
        rate=estimate(passes.rate),
        likelihood=likelihood,
        bits_per_dimension=likelihood.mean / dimensions if likelihood is not None and passes.eight_bit else None,
        kl_per_unit=passes.units.tolist(),
        active_units=passes.active,
        label_gain=gain,
        classification=reading.right if reading is not None else None,
        calibration=reading,
        obedience=obedience,
        obediences=obediences,
        numbers=numbers,
        completion=completion,
        unmeasured=unmeasured,
        diversity=diversity,
        frechet=near(drawn, real),
        sharpness=sharp,
        manifolds=manifolds,
        nearness=distance,
        words=verdicts(
            float(passes.rate.mean()),
            passes.active,
            len(passes.units),
            gain,
            obedience,
            diversity,
            likelihood,
            target.shares if target is not None else (),
            used,
            [found for name, found in obediences.items() if target is None or name != target.name],
            list(numbers.values()),
            completion,
            {field.name: field.shares for field in learned.schema.labels},
            reading,
            sharp,
            manifolds,
            distance,
            passes.codes,
            cooled(temperature),
        ),
    )


def likeness(
    drawn: Drawn, real: Sequence[np.ndarray], real_train: Part | None, seed: int
) -> tuple[Sharpness | None, Manifolds | None, Nearness | None]:
    """Whether drawings are as sharp as real images, look real, show all of them, and are no copies."""
    distance = None
    if real_train is not None:
        kept, beside = torch.from_numpy(drawn.pictures), torch.from_numpy(drawn.real)
        distance = nearness(kept, beside, real_train.x, seed_of(seed, 17))
    return sharpness(drawn.energy, drawn.real_energy), overlap(drawn, real, seed), distance


def read_back(
    subject: Subject, drawn: Drawn, readers: Mapping[str, Reader]
) -> tuple[dict[str, Obedience], dict[str, Numbers]]:
    """What judges and regressors find of each field that was asked for: (labels, numbers) in the schema's order."""
    labels: dict[str, Obedience] = {}
    numbers: dict[str, Numbers] = {}
    for field in subject.learned.schema.fields:
        reader = readers.get(field.name)
        if isinstance(field, Label) and isinstance(reader, Judge):
            obedience = obeyed(subject, drawn, field, reader)
            if obedience is not None:
                labels[field.name] = obedience
        elif isinstance(field, Number) and isinstance(reader, Regressor):
            found = numbers_obeyed(subject, drawn, field, reader)
            if found is not None:
                numbers[field.name] = found
    return labels, numbers


def missing(
    learned: Learned, found: Mapping[str, object], readers: Mapping[str, Reader], unjudged: Mapping[str, str]
) -> dict[str, str]:
    """The labels and numbers whose obedience was not measured, and why."""
    why: dict[str, str] = {}
    for field in (*learned.schema.labels, *learned.schema.numbers):
        if field.name in readers and field.name not in found:
            why[field.name] = "it is known of none of the images"
        elif field.name not in found:
            wanted = "judge" if isinstance(field, Label) else "regressor"
            why[field.name] = unjudged.get(field.name, f"no {wanted} of it was given")
    return why
