"""The temperature at which a recipe's model draws, chosen on training images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from condvae.names import counted
from condvae.recipes.base import Outcome
from condvae.temperatures import Temperature
from condvae.warmth import DRAWS, curve

__all__ = ["warmth_of"]


def warmth_of(
    outcome: Outcome, candidates: Sequence[Temperature] | None = None, prior: str | None = None, draws: int = DRAWS
) -> dict[str, Any]:
    """Every candidate's obedience and Frechet distance, and the one chosen, on training images alone: plain values for
    a result file, of which `docs/tables.py` makes the table "warmth", and `plots_warmth.warmth` the plot.

    "temperatures": rows as `condvae.warmth.Warm.plain`; "chosen": one a latent, for `proof(outcome, prior, chosen)`,
    which reads the test images once. candidates, prior, draws: as in `condvae.warmth.curve`.
    """
    part, schema = outcome.collection.train, outcome.learned.schema
    given: dict[str, Any] = {field.name: part.labels[field.name] for field in schema.labels}
    given |= {field.name: part.numbers[field.name] for field in schema.numbers}
    found = curve(outcome.learned, part.x, given, outcome.judge(), candidates, draws, prior)
    return {
        "temperatures": [row.plain() for row in found.rows],
        "chosen": list(found.chosen),
        "chosen_on": f"{found.rows[0].drawings:,} of {counted(len(part), 'training image')}",
    }
