"""The proof of a recipe's drawings: obedience and Frechet distance together, 10,000 draws at the test set's labels."""

from __future__ import annotations

from typing import Any

from condvae.evaluation import Evaluation
from condvae.measures import evaluate
from condvae.recipes.base import Outcome
from condvae.temperatures import Temperature

DRAWS = 10_000


def proof(outcome: Outcome, prior: str, temperature: Temperature = 1.0) -> dict[str, Any]:
    """Decoder means under one prior, read by the judge: plain numbers for a result file.

    temperature: 1, or one that was chosen on training images (`recipes.warming`). Of a model without a condition the
    same but obedience: the judge lends its features alone.
    """
    return drawn_of(evaluated(outcome, prior, temperature))


def evaluated(outcome: Outcome, prior: str, temperature: Temperature = 1.0) -> Evaluation:
    """All that is measured of drawings at the test set's labels, and the bound on all test images; hardly anything of
    the importance-weighted likelihood, which takes longest."""
    part, learned = outcome.collection.test, outcome.learned
    assert part is not None
    asked = {field.name: part.labels[field.name] for field in learned.schema.labels}
    asked |= {field.name: part.numbers[field.name] for field in learned.schema.numbers}
    judge, train = outcome.judge(), outcome.collection.train
    return evaluate(learned, part.x, asked, judge, train, 1, 10, prior, draws=DRAWS, temperature=temperature)


def drawn_of(found: Evaluation) -> dict[str, Any]:
    """What an evaluation says of drawings, as plain numbers."""
    assert found.frechet is not None and found.diversity is not None
    sharp, near, overlap = found.sharpness, found.nearness, found.manifolds
    return {
        "prior": found.prior,
        "temperature": found.temperature,
        "draws": found.frechet.drawings,
        **obedience_of(found),
        "frechet": found.frechet.distance,
        "frechet_real": found.frechet.real_mean,
        "frechet_real_spread": found.frechet.real_spread,
        "diversity_pixels": found.diversity.pixels.ratio,
        "diversity_features": found.diversity.features.ratio if found.diversity.features else None,
        "sharpness": sharp.ratio if sharp else None,
        "sharpness_error": sharp.standard_error if sharp else None,
        "precision": overlap.precision.share if overlap else None,
        "recall": overlap.recall.share if overlap else None,
        "precision_real": overlap.real_precision.share if overlap and overlap.real_precision else None,
        "recall_real": overlap.real_recall.share if overlap and overlap.real_recall else None,
        "nearness_to_training": near.ratio if near else None,
    }


def obedience_of(found: Evaluation) -> dict[str, Any]:
    """What the judge reads of the first label; nothing where none was asked for."""
    if found.obedience is None:
        return {}
    share = found.obedience.overall
    return {
        "obedience": share.share,
        "obedience_interval": [share.low, share.high],
        "obedience_per_label": {name: one.share for name, one in found.obedience.per_label.items()},
        "judge_accuracy": found.obedience.judge_accuracy,
    }
