"""How good a conditional model is, and how honestly that can be said: likelihood, obedience, diversity, collapse.

Everything is measured under one prior, on images that the model was not trained on, by noise that is a function of
the seed and the row. The judge is independent of the model; its own accuracy on real images stands beside whatever
it says.
"""

from __future__ import annotations

import math
from typing import Any

from condvae.data import Part
from condvae.distances import frechet, frechet_from_moments, wilson
from condvae.drawings import drawings, near, obeyed, varied
from condvae.evaluation import Evaluation
from condvae.judges import Judge
from condvae.learned import Asked, Learned, columns_of, pictures_of, seed_in, whole
from condvae.likelihoods import classified, inferred, label_gain, unknown_words, weighed
from condvae.scores import columns_for
from condvae.subject import Progress, Subject, chosen, estimate, judged_field
from condvae.verdicts import verdicts

__all__ = ["Evaluation", "evaluate", "frechet", "frechet_from_moments", "wilson"]

K, LIMIT, DRAWS = 100, 1_000, 10_000


def evaluate(
    learned: Learned,
    x: Any,
    given: Asked | None = None,
    judge: Judge | None = None,
    real_train: Part | None = None,
    k: int | None = None,
    limit: int | None = None,
    prior: str | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    field: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model on images that it was not trained on.

    With the defaults, 10,000 images of 28 x 28 and dense networks take well under a minute on two cores: the bound is
    taken on all images, the importance-weighted likelihood on 1,000 drawn at random, with 100 samples each.

    Args:
        x: images [N, C, H, W], as the tasks take them. given: field -> one label a row; what is unknown is summed over
            in the likelihood and settled by `classify` elsewhere, or a blank input where the model has one.
        judge: reads the labels of drawings; without it there is neither obedience nor a Frechet distance.
        real_train: real training images (with labels), which take the drawings' place in the Frechet distance, ten
            times, to show what it is at best.
        k: importance samples an image, 100 by default. limit: images whose likelihood is weighed and that are
            classified, 1,000 by default; 0 = all. prior: as `Learned.using`.
        draws: drawings, one for each image and at most this many (images drawn at random where there are more).
        field: the field that the judge reads; by default the only one.
        progress: called with (what is measured, done, total).

    Raises:
        Refused: arguments that cannot be used, or a judge of other labels or pictures.
    """
    k, limit = whole(K if k is None else k, "k", 1), whole(LIMIT if limit is None else limit, "limit", 0)
    seed, draws = seed_in(seed), whole(draws, "draws", 1)
    model, images = learned.using(prior), pictures_of(learned, x)
    told = columns_of(learned, given, len(images))
    target = judged_field(learned, judge, field)
    subject = Subject(learned, model, images, told, columns_for(learned, images, given), seed, progress)

    passes = inferred(subject)
    sample = chosen(len(images), limit or len(images), seed)
    gain = label_gain(subject, target, passes.elbo, sample) if target is not None else None
    likelihood = weighed(subject, sample, k)
    reading = classified(subject, target, sample) if target is not None else None
    drawn = drawings(subject, target, draws, prior, judge)
    obedience = obeyed(drawn, target, judge) if target is not None else None
    diversity = varied(drawn)
    used = "fitted" if learned.fitted is not None and prior != "model" else "model"
    dimensions = math.prod(learned.shape) * math.log(2)
    return Evaluation(
        protocol=passes.protocol,
        prior=used,
        unknown=unknown_words(subject),
        images=len(images),
        seed=seed,
        bound=estimate(passes.elbo),
        rate=estimate(passes.rate),
        likelihood=likelihood,
        bits_per_dimension=likelihood.mean / dimensions if passes.eight_bit else None,
        kl_per_unit=passes.units.tolist(),
        active_units=passes.active,
        label_gain=gain,
        classification=reading,
        obedience=obedience,
        diversity=diversity,
        frechet=near(drawn, real_train, judge, target, seed),
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
        ),
    )
