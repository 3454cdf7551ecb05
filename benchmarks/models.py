"""Images/s of training each model of the recipe `models`, one thread, float32, batch 128: all of them in turn within a
round, so that a slow spell of the machine meets all, beside the convolutional CVAE of the same round.

What a step costs changes over a training (a critic joins, features are learned first), so each is timed at four
moments of it. Processor time: what else the machine does counts as far as it slows the steps.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cyclopts
import torch
from bench import RESULTS, load_average, publish

MOMENTS = (0.1, 0.35, 0.6, 0.85)  # shares of the training that are done
BESIDE = "conv"
PROTOCOL = (
    "recipe models, MNIST, batch 128, float32; models in turn within each of {rounds} rounds, {steps} steps at each of "
    "four moments of the training; images/s of one core by processor time, median over the rounds; ratio to {beside} "
    "within a round (median, least, greatest)"
)


class Contender:
    """A training that is timed at moments of its own choosing; what it learns is of no matter."""

    def __init__(self, collection: Any, variant: str) -> None:
        from condvae.fitting import Fitting
        from condvae.recipes import recipe
        from condvae.reproduce import features_of
        from condvae.settings import settings_of

        made = recipe("models")
        deep = {"perceptual": features_of(collection)} if variant in made.features else {}
        seen = collection
        if variant in made.unconditional:
            seen = replace(collection, train=replace(collection.train, labels={}))
        self.fitting = Fitting(seen, settings_of(made.settings_for(variant), deep))
        self.seconds(1)

    def seconds(self, count: int) -> float:
        """Processor seconds an image, over so many steps at each moment."""
        from condvae.train import train

        training, batches, epochs = self.fitting.training, self.fitting.batches, self.fitting.settings.epochs
        spent, rows = 0.0, 0
        for moment in MOMENTS:
            training.step = int(moment * epochs * len(batches))
            steps = train(training, batches, epochs)
            next(steps)
            begun = time.process_time()
            rows += sum(next(steps).rows for _ in range(count))
            spent += time.process_time() - begun
        return spent / rows


def main(
    *,
    data_dir: Path | None = None,
    steps: int = 4,
    rounds: int = 5,
    out: Path = RESULTS / "models.json",
    dry: bool = False,
) -> None:
    """Measure and put the run into the results file.

    Parameters
    ----------
    data_dir: folder of MNIST's files; where it is not given, as condvae finds them
    steps: counted steps a model, moment and round
    rounds: counted rounds
    out: the results file
    dry: print only
    """
    from condvae.datasets import load
    from condvae.recipes import recipe

    torch.set_num_threads(1)
    load_before, start = load_average(), time.perf_counter()
    collection = load("mnist", data_dir)
    contenders = {variant: Contender(collection, variant) for variant in recipe("models").variants}
    seconds: dict[str, list[float]] = {variant: [] for variant in contenders}
    for turn in range(rounds):
        for variant, one in contenders.items():
            seconds[variant].append(one.seconds(steps))
        told = ", ".join(f"{name} {1 / row[-1]:,.0f}" for name, row in seconds.items())
        print(f"round {turn + 1}: {told}", flush=True)
    values = {variant: found(row, seconds[BESIDE]) for variant, row in seconds.items()}
    print(values)
    if not dry:
        protocol = PROTOCOL.format(rounds=rounds, steps=steps, beside=BESIDE)
        publish(out, values, protocol, start, load_before, 1)


def found(row: list[float], beside: list[float]) -> dict[str, float]:
    """Images/s, and how many times those of the model beside."""
    ratios = [other / own for own, other in zip(row, beside, strict=True)]
    speeds = {"images_a_second": 1 / statistics.median(row), "ratio": statistics.median(ratios)}
    return {name: round(value, 4) for name, value in (speeds | {"least": min(ratios), "greatest": max(ratios)}).items()}


if __name__ == "__main__":
    cyclopts.run(main)
