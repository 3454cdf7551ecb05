"""Images/s of training zhang-cai's model on MNIST, batch 100, float32: four loops, in turn within each round.

(a) tutorial: DataLoader, one PIL image at a time, one-hot by a loop, default Adam, BCE on probabilities
(b) pythae:   pythae's VAE and BaseTrainer, in an environment and process of its own, idle out of its turn
(c) bare:     the barest loop on indexed tensors with the fastest settings known
(d) condvae:  condvae.fit with bar and logging on
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import cyclopts
import torch
from bench import RESULTS, Mnist, load_average, mnist, publish
from contenders import bare, public_api, tutorial
from peer import Pythae, Unavailable

PROTOCOL = (
    "zhang-cai networks, MNIST, batch 100, float32, Adam 1e-3; {images} images x {epochs} epochs a round and "
    "contender, {rounds} rounds, contenders in turn within a round, one uncounted warm-up, fresh weights in "
    "every round; {threads} threads at the start; medians over rounds, ratios within a round "
    "(median, least, greatest)"
)
RATIOS = {"condvae/tutorial": 2.5, "condvae/pythae": 2.0, "condvae/bare": 0.95}

Rate = Callable[[int, int], float]
"""(images, epochs) -> images/s."""


def contenders(data: Mnist, threads: int, pythae: Pythae | None) -> dict[str, Rate]:
    """The loops in their order in a round."""
    x, y = data.x_train, data.y_train

    def from_tutorial(images: int, epochs: int) -> float:
        laps = islice(tutorial(x[:images], y[:images], threads), epochs)
        return images * epochs / sum(seconds for seconds, _ in laps)

    def from_pythae(images: int, epochs: int) -> float:
        assert pythae is not None
        return images * epochs / pythae.train(images, epochs)

    def from_bare(images: int, epochs: int) -> float:
        laps = islice(bare(x[:images], y[:images], threads), epochs)
        return images * epochs / sum(seconds for seconds, _ in laps)

    def from_condvae(images: int, epochs: int) -> float:
        fit = public_api(x[:images], y[:images], threads, {"epochs": epochs})
        print(f"condvae: {fit.training:.2f} s, steps alone {fit.logged:.2f}, whole call {fit.whole:.2f}")
        return fit.images / fit.training

    loops: dict[str, Rate] = {"tutorial": from_tutorial}
    if pythae is not None:
        loops["pythae"] = from_pythae
    return loops | {"bare": from_bare, "condvae": from_condvae}


def measure(loops: dict[str, Rate], images: int, epochs: int, rounds: int) -> dict[str, list[float]]:
    """images/s of every round, contender by contender."""
    for loop in loops.values():
        loop(min(images, 6_000), 1)
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(rounds):
        for name, loop in loops.items():
            rates[name].append(loop(images, epochs))
        print(
            f"round {turn + 1}/{rounds}: " + ", ".join(f"{name} {r[-1]:,.0f}" for name, r in rates.items()),
            flush=True,
        )
    return rates


def summary(rates: dict[str, list[float]], reasons: dict[str, str]) -> dict[str, Any]:
    """The values of the results file; a contender that could not run is null, with the reason beside it."""
    values: dict[str, Any] = {"unit": "images/s"}
    for name, row in rates.items():
        values[name] = {"median": round(statistics.median(row)), "rounds": [round(rate) for rate in row]}
    values |= {name: None for name in reasons}
    ratios: dict[str, Any] = {}
    for pair, goal in RATIOS.items():
        above, below = pair.split("/")
        if above not in rates or below not in rates:
            ratios[pair] = None
            continue
        row = [a / b for a, b in zip(rates[above], rates[below], strict=True)]
        found = {"median": statistics.median(row), "least": min(row), "greatest": max(row)}
        ratios[pair] = {name: round(value, 3) for name, value in found.items()} | {"goal": goal}
    return values | {"ratios": ratios, "reasons": reasons}


def main(
    *,
    data_dir: Path | None = None,
    images: int = 60_000,
    epochs: int = 1,
    rounds: int = 7,
    threads: int | None = None,
    only: tuple[str, ...] = (),
    out: Path = RESULTS / "throughput.json",
    dry: bool = False,
) -> None:
    """Measure and add the run to the results file.

    Parameters
    ----------
    data_dir: folder of MNIST's files; where it is not given, as condvae finds them
    images: images an epoch, the first ones of the training set
    epochs: epochs a round
    rounds: counted rounds
    threads: threads that each contender starts with; torch's own choice where it is not given
    only: names of the contenders to run, all where it is not given
    out: the results file
    dry: print only
    """
    load, start = load_average(), time.perf_counter()
    data, count = mnist(data_dir), threads or torch.get_num_threads()
    reasons: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        pythae = None
        if not only or "pythae" in only:
            try:
                pythae = stack.enter_context(Pythae(data.x_train, count))
            except Unavailable as reason:
                reasons["pythae"] = str(reason)
                print(f"without pythae: {reason}")
        loops = contenders(data, count, pythae)
        chosen = {name: loop for name, loop in loops.items() if not only or name in only}
        values = summary(measure(chosen, images, epochs, rounds), reasons)
    for name, ratio in values["ratios"].items():
        print(name, ratio)
    if not dry:
        protocol = PROTOCOL.format(images=images, epochs=epochs, rounds=rounds, threads=count)
        publish(out, values, protocol, start, load, count)


if __name__ == "__main__":
    cyclopts.run(main)
