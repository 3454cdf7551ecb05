"""Images/s of training DRAW (gregor-draw's networks, MNIST, batch 128), eager and compiled, in float32 and bfloat16, on
one thread and on two; and seconds an image against the number of glimpses, which should grow as fast.

compiled: both recurrent cells, in place, by torch.compile; the seconds that compiling takes stand apart.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cyclopts
import torch
from bench import RESULTS, load_average, publish

PROTOCOL = (
    "gregor-draw's networks (z 100, LSTM 256, read 2 x 2, write 5 x 5), the label told, MNIST, batch {batch}; "
    "contenders in turn within each of {rounds} rounds, {steps} steps each (of more than 16 glimpses a quarter), "
    "none counted before the third; forms at {glimpses} glimpses; ratios within a round (median, least, greatest): "
    "forms to eager float32 on as many threads, {most} threads to one; lengths in eager float32 on {most} threads"
)
FORMS = {"eager": ("32", False), "compiled": ("32", True), "bf16": ("bf16", False), "bf16 compiled": ("bf16", True)}
LENGTHS = (4, 8, 16, 32, 64)


@dataclass
class Contender:
    """A training of its own that goes on by so many steps each time that it is asked."""

    steps: Iterator[Any]
    batch: int
    threads: int
    first: float = 0.0  # seconds of the first step: compiling, where there is any

    def rate(self, count: int) -> float:
        """Images/s over the next steps."""
        torch.set_num_threads(self.threads)
        start = time.perf_counter()
        for _ in range(count):
            next(self.steps)
        return count * self.batch / (time.perf_counter() - start)


def contender(collection: Any, batch: int, glimpses: int, precision: str, compiled: bool, threads: int) -> Contender:
    """DRAW of so many glimpses after its first steps."""
    from condvae.fitting import Fitting
    from condvae.recipes.draw import PAPER
    from condvae.settings import settings_of
    from condvae.train import train

    torch.set_num_threads(threads)
    asked = {**PAPER, "glimpses": glimpses, "precision": precision, "batch": batch, "device": "cpu"}
    fitting = Fitting(collection, settings_of(asked))
    model: Any = fitting.training.model
    if compiled:
        model.encoder.compile()
        model.decoder.compile()
    made = Contender(iter(train(fitting.training, fitting.batches, 10_000)), batch, threads)
    made.first = batch / made.rate(1)
    made.rate(1)
    return made


def measure(contenders: dict[str, Contender], counts: dict[str, int], rounds: int) -> dict[str, list[float]]:
    """images/s of every round, contender by contender."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name, one in contenders.items():
            rates[name].append(one.rate(counts[name]))
        print(f"round {turn + 1}: " + ", ".join(f"{name} {rate[-1]:,.0f}" for name, rate in rates.items()), flush=True)
    return rates


def ratio(above: list[float], below: list[float]) -> dict[str, float]:
    """Median, least and greatest of the ratios within a round."""
    row = [a / b for a, b in zip(above, below, strict=True)]
    found = {"median": statistics.median(row), "least": min(row), "greatest": max(row)}
    return {name: round(value, 3) for name, value in found.items()}


def forms(collection: Any, batch: int, glimpses: int, steps: int, rounds: int, most: int) -> dict[str, Any]:
    """What each form of the same model trains, on one thread and on all."""
    made = {
        (name, threads): contender(collection, batch, glimpses, *form, threads)
        for name, form in FORMS.items()
        for threads in sorted({1, most})
    }
    named = {f"{name} on {threads}": one for (name, threads), one in made.items()}
    rates = measure(named, dict.fromkeys(named, steps), rounds)
    return {
        key: {
            "form": name,
            "threads": threads,
            "images_per_second": round(statistics.median(rates[key])),
            "to_eager": ratio(rates[key], rates[f"eager on {threads}"]),
            "to_one_thread": ratio(rates[key], rates[f"{name} on 1"]),
            "seconds_of_the_first_step": round(one.first, 1),
        }
        for (key, one), (name, threads) in zip(named.items(), made, strict=True)
    }


def lengths(collection: Any, batch: int, steps: int, rounds: int, threads: int) -> dict[str, Any]:
    """Milliseconds an image and glimpse at each number of glimpses: the same number where time is linear in it."""
    made = {str(length): contender(collection, batch, length, "32", False, threads) for length in LENGTHS}
    counts = {name: steps if int(name) <= 16 else max(1, steps // 4) for name in made}
    rates = measure(made, counts, rounds)
    return {
        name: {
            "images_per_second": round(statistics.median(row), 1),
            "milliseconds_an_image_and_glimpse": round(1000 / statistics.median(row) / int(name), 4),
        }
        for name, row in rates.items()
    }


def main(
    *,
    data_dir: Path | None = None,
    batch: int = 128,
    glimpses: int = 10,
    steps: int = 12,
    rounds: int = 5,
    threads: int | None = None,
    out: Path = RESULTS / "draw.json",
    dry: bool = False,
) -> None:
    """Measure and add the run to the results file.

    Parameters
    ----------
    data_dir: folder of MNIST's files; where it is not given, as condvae finds them
    batch: images a step
    glimpses: of the forms that are compared
    steps: counted steps a contender and round
    rounds: counted rounds
    threads: the more of the two numbers of threads; torch's own choice where it is not given
    out: the results file
    dry: print only
    """
    from condvae.datasets import load

    torch._dynamo.config.recompile_limit = 64  # pyright: ignore  # each contender compiles the cell for itself
    load_before, start, most = load_average(), time.perf_counter(), threads or torch.get_num_threads()
    collection = load("mnist", data_dir)
    values = {
        "forms": forms(collection, batch, glimpses, steps, rounds, most),
        "lengths": lengths(collection, batch, steps, rounds, most),
    }
    print(values)
    if not dry:
        protocol = PROTOCOL.format(batch=batch, glimpses=glimpses, steps=steps, rounds=rounds, most=most)
        publish(out, values, protocol, start, load_before, most)


if __name__ == "__main__":
    cyclopts.run(main)
