"""Training time until zhang-cai's published test loss is reached: the tutorial loop against condvae's best
settings.

The loss is BCE + KL in nats an image over the 10,000 grey test images, one seeded sample of z,
deterministic weights; published: 127.52 after epoch 50. Both have the same network sizes. Measuring the
loss is never in the timed part.

The tutorial loop is measured after every epoch and stops at the first that reaches the loss, a lucky one
included. condvae's schedule ends where its training ends, so it is measured once, at the end: a run that
misses counts as null.
"""

from __future__ import annotations

import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

import cyclopts
import torch
from bench import RESULTS, Mnist, load_average, mnist, publish, test_loss
from contenders import public_api, tutorial

PUBLISHED = 127.52
PROTOCOL = (
    "zhang-cai networks, grey MNIST, 60,000 training images; seconds of training until the test loss "
    "(BCE + KL, 10,000 images, one seeded sample) is at most {goal}; tutorial loop: first of {limit} epochs "
    "at most; condvae: settings {settings}, end of training; seeds {seeds}, in turn; "
    "{threads} threads at the start"
)
SETTINGS: dict[str, Any] = {"epochs": 12, "batch": 200, "schedule": "cosine"}
"""Keywords of condvae.fit over the recipe's; to be chosen on held-out training images, then run once."""


def tutorial_time(data: Mnist, goal: float, limit: int, seed: int, threads: int) -> dict[str, Any]:
    """Seconds and epochs of the tutorial loop up to the goal, null where `limit` epochs do not reach it."""
    torch.manual_seed(seed)
    spent, losses = 0.0, []
    for seconds, networks in islice(tutorial(data.x_train, data.y_train, threads), limit):
        spent += seconds
        losses.append(round(test_loss(networks, data), 3))
        print(f"tutorial, seed {seed}, epoch {len(losses)}: {spent:.1f} s, test {losses[-1]:.2f}", flush=True)
        if losses[-1] <= goal:
            return {"seconds": round(spent, 2), "epochs": len(losses), "losses": losses}
    return {"seconds": None, "spent": round(spent, 2), "epochs": len(losses), "losses": losses}


def bound_loss(run: Any, data: Mnist) -> float:
    """The same loss of a run, read from the Trace: minus the ELBO in nats an image."""
    from condvae.noise import Stream
    from condvae.objectives import elbo
    from condvae.trace import Draw

    names = [str(digit) for digit in data.y_test]
    condition = run.schema.encode(run.schema.index({"digit": names}, len(names)), len(names))
    x = torch.from_numpy(data.x_test)[:, None].float() / 255
    with torch.no_grad():
        trace = run.model(condition, x, draw=Draw(Stream(seed=0)))
        return -elbo(trace, x).mean().item()


def condvae_time(data: Mnist, goal: float, chosen: dict[str, Any], seed: int, threads: int) -> dict[str, Any]:
    """Seconds of training with these settings, and the test loss at the end; null where that misses."""
    fit = public_api(data.x_train, data.y_train, threads, {**chosen, "seed": seed})
    loss, spent = bound_loss(fit.run, data), round(fit.training, 2)
    print(f"condvae, seed {seed}: {spent:.1f} s, test {loss:.2f}", flush=True)
    return {"seconds": spent if loss <= goal else None, "spent": spent, "loss": round(loss, 3)}


def times_faster(slow: list[dict[str, Any]], fast: list[dict[str, Any]]) -> float | None:
    """Ratio of the summed seconds; None where a training is missing or missed the goal."""
    seconds = [[row["seconds"] for row in rows] for rows in (slow, fast)]
    if any(not row or None in row for row in seconds):
        return None
    return round(sum(seconds[0]) / sum(seconds[1]), 2)


def main(
    *,
    data_dir: Path | None = None,
    goal: float = PUBLISHED,
    limit: int = 100,
    seeds: tuple[int, ...] = (0, 1),
    threads: int | None = None,
    settings: str = json.dumps(SETTINGS),
    only: str | None = None,
    out: Path = RESULTS / "time_to_quality.json",
    dry: bool = False,
) -> None:
    """Measure and add the run to the results file.

    Parameters
    ----------
    data_dir: folder of MNIST's files; where it is not given, as condvae finds them
    goal: the test loss to reach, nats an image
    limit: epochs after which the tutorial loop gives up
    seeds: seeds, one training of each contender a seed
    threads: threads that each contender starts with; torch's own choice where it is not given
    settings: settings of condvae.fit, as JSON
    only: "tutorial" or "condvae" alone
    out: the results file
    dry: print only
    """
    load, start = load_average(), time.perf_counter()
    data, count = mnist(data_dir), threads or torch.get_num_threads()
    chosen = json.loads(settings)
    values: dict[str, Any] = {"goal": goal, "settings": chosen, "tutorial": [], "condvae": []}
    for seed in seeds:
        if only != "condvae":
            values["tutorial"].append(tutorial_time(data, goal, limit, seed, count))
        if only != "tutorial":
            values["condvae"].append(condvae_time(data, goal, chosen, seed, count))
    values["times_faster"] = times_faster(values["tutorial"], values["condvae"])
    print("times faster:", values["times_faster"])
    if not dry:
        protocol = PROTOCOL.format(goal=goal, limit=limit, settings=chosen, seeds=list(seeds), threads=count)
        publish(out, values, protocol, start, load, count)


if __name__ == "__main__":
    cyclopts.run(main)
