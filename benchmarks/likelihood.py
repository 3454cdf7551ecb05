"""What log p(x | c) by importance sampling costs, per kind of model: K = 500 and K = 5,000 samples an image, on one
thread and on two.

Weights and pictures are random: the cost depends on neither. A new kind of model is one line of CONTENDERS. Seconds on
the clock mean something on a quiet machine alone, seconds of a core on a busy one, too.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cyclopts

if TYPE_CHECKING:
    from condvae.learned import Learned

PROTOCOL = (
    "28 x 28 pictures, ten labels, the label given; {samples} images an evaluation at K = {ks}; contenders in turn "
    "within each of {rounds} rounds, one evaluation before them not counted; the allocator is set as by the command "
    "line; medians (least, greatest) over the rounds; minutes of 10,000 images are extrapolated from these few"
)
IMAGES = 10_000
SHAPE = (1, 28, 28)


@dataclass(frozen=True)
class Contender:
    """A kind of model: a recipe's first variant, or the defaults, with some settings changed."""

    name: str
    recipe: str | None = None
    changed: dict[str, Any] = field(default_factory=dict)

    def learned(self) -> Learned:
        """It, with random weights."""
        from condvae.conditions import Label, Schema
        from condvae.learned import Learned
        from condvae.models.build import build
        from condvae.recipes import recipe
        from condvae.settings import settings_of

        known = recipe(self.recipe) if self.recipe is not None else None
        settings = settings_of({} if known is None else known.settings_for(next(iter(known.variants))), self.changed)
        schema = Schema((Label("digit", tuple("0123456789"), (0.1,) * 10),))
        return Learned(build(settings, schema, SHAPE), schema, SHAPE, settings.binarise)


CONTENDERS = (
    Contender("dense 500-500 (sabour)", "sabour"),
    Contender("convolutions (the default)", None, {"likelihood": "gaussian"}),
    Contender("convolutions, autoregressive (best-mnist)", "best-mnist"),
    Contender("DRAW, ten glimpses (gregor-draw)", "gregor-draw", {"glimpses": 10}),
)


def evaluation(learned: Learned, images: int, k: int) -> tuple[float, float]:
    """(seconds on the clock, seconds of a core) an image."""
    import numpy as np

    from condvae.scores import importance

    x = (np.random.default_rng(0).random((images, *SHAPE)) < 0.2).astype(np.float32)
    clock, core = time.perf_counter(), time.process_time()
    importance(learned, x, {"digit": 1}, k)
    return (time.perf_counter() - clock) / images, (time.process_time() - core) / images


def measured(made: dict[str, Learned], counts: dict[int, int], rounds: int, threads: int) -> dict[str, Any]:
    """Contender -> K -> what it costs, on so many threads. counts: K -> images an evaluation."""
    import torch

    torch.set_num_threads(threads)
    taken: dict[str, dict[int, list[tuple[float, float]]]] = {name: {k: [] for k in counts} for name in made}
    for turn in range(rounds + 1):
        for name, learned in made.items():
            for k, images in counts.items() if turn else [(min(counts), 1)]:
                found = evaluation(learned, images, k)
                if turn:
                    taken[name][k].append(found)
        print(f"{threads} threads, round {turn} of {rounds}", flush=True)
    return {name: {str(k): cost(rows, k) for k, rows in found.items()} for name, found in taken.items()}


def cost(rows: Sequence[tuple[float, float]], k: int) -> dict[str, Any]:
    """What K samples an image cost: medians over the rounds."""
    found: dict[str, Any] = {}
    for place, what in enumerate(("on_the_clock", "of_a_core")):
        seconds = [one[place] for one in rows]
        middle = statistics.median(seconds)
        found[what] = {
            "seconds_an_image": round(middle, 4),
            "least": round(min(seconds), 4),
            "greatest": round(max(seconds), 4),
            "images_times_k_per_second": round(k / middle),
            "minutes_of_10000_images": round(IMAGES * middle / 60, 1),
        }
    return found


def main(*, rounds: int = 3, only: str = "", out: Path | None = None, dry: bool = False) -> None:
    """Measure and add the run to the results file.

    Parameters
    ----------
    rounds: counted rounds
    only: a part of the names of the contenders that are measured
    out: the results file
    dry: print only
    """
    from condvae.process import tune

    tune()  # before torch is loaded
    import torch
    from bench import RESULTS, load_average, publish

    load_before, start, most = load_average(), time.perf_counter(), max(2, torch.get_num_threads())
    made = {one.name: one.learned() for one in CONTENDERS if only in one.name}
    counts = {500: 2, 5_000: 1}
    values = {str(threads): measured(made, counts, rounds, threads) for threads in (1, most)}
    print(values)
    if not dry:
        told = {"samples": " and ".join(map(str, counts.values())), "ks": " and ".join(f"{k:,}" for k in counts)}
        publish(
            out or RESULTS / "likelihood.json", values, PROTOCOL.format(**told, rounds=rounds), start, load_before, most
        )


if __name__ == "__main__":
    cyclopts.run(main)
