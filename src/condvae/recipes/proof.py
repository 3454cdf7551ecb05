"""The proof of a recipe's drawings: obedience and Frechet distance together, 10,000 draws at the test set's labels."""

from __future__ import annotations

from typing import Any

from condvae.measures import evaluate
from condvae.recipes.base import Outcome

DRAWS = 10_000


def proof(outcome: Outcome, prior: str) -> dict[str, Any]:
    """Decoder means under one prior, untruncated, read by the judge: plain numbers for a result file."""
    part = outcome.collection.test
    assert part is not None
    found = evaluate(
        outcome.learned, part.x, part.labels, outcome.judge(), outcome.collection.train, 1, 10, prior, draws=DRAWS
    )
    assert found.obedience is not None and found.frechet is not None and found.diversity is not None
    share, sharp, near, overlap = found.obedience.overall, found.sharpness, found.nearness, found.manifolds
    return {
        "prior": prior,
        "draws": found.frechet.drawings,
        "obedience": share.share,
        "obedience_interval": [share.low, share.high],
        "obedience_per_label": {name: one.share for name, one in found.obedience.per_label.items()},
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
        "judge_accuracy": found.obedience.judge_accuracy,
    }
