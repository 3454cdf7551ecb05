"""What a model is set beside: the same classifier taught by the known labels alone."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from condvae.conditions import Label
from condvae.data import Part
from condvae.models.build import build
from condvae.models.m2 import M2
from condvae.models.supervised import Supervised
from condvae.noise import seed_of
from condvae.settings import Settings
from condvae.tasks import Learned, classify
from condvae.train import Batches, Training, train

__all__ = ["Baseline", "errors_of", "supervised"]

STEPS = 3000  # of the supervised classifier: with a falling rate it has long learned its few labels by heart
SIZE = 100  # labelled rows a step, at most


@dataclass(frozen=True)
class Baseline:
    """A supervised classifier's error on a part, in [0, 1], and the minutes that its training took."""

    error: float
    minutes: float


def errors_of(learned: Learned, part: Part, field: Label) -> float:
    """The share of a part's known labels that the model's classifier reads wrongly, in [0, 1]."""
    truth = part.labels[field.name]
    rows = [row for row, name in enumerate(truth) if name is not None]
    names = classify(learned, part.x, field.name).names
    return sum(names[row] != truth[row] for row in rows) / len(rows)


def supervised(learned: Learned, settings: Settings, labelled: Part, test: Part, steps: int = STEPS) -> Baseline:
    """The classifier of these settings taught by the labelled rows alone, with the same optimiser, schedule, averaging
    and changes of pictures, and its error on the test part."""
    assert settings.infer is not None
    field = learned.schema.field(settings.infer)
    assert isinstance(field, Label)
    begun = time.perf_counter()
    whole = build(settings, learned.schema, learned.shape)
    assert isinstance(whole, M2)
    batch = min(SIZE, len(labelled))
    epochs = max(1, round(steps * batch / len(labelled)))
    training = Training(Supervised(whole), settings.model_copy(update={"batch": batch, "epochs": epochs}))
    columns = learned.schema.index(learned.schema.told(labelled.labels, labelled.numbers, len(labelled)), len(labelled))
    x = labelled.x[slice(None)]
    c = learned.schema.encode(columns, len(labelled))
    plan = Batches(lambda index: x[index].to(training.device), c.to(training.device), batch, seed_of(settings.seed, 31))
    for _ in train(training, plan, epochs):
        pass
    trained = training.trained()
    assert isinstance(trained, Supervised)
    alone = replace(learned, model=trained.whole.eval(), fitted=None, flow=None)
    return Baseline(errors_of(alone, test, field), (time.perf_counter() - begun) / 60)
