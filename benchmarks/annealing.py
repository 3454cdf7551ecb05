"""How far the importance-weighted bound is below log p(x | c): annealed importance sampling beside it, on test images.

`python benchmarks/annealing.py runs/sabour` (docs/likelihood.md). What is annealed is stored part by part in
RUN/annealing; begun again after an interruption, it goes on there.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
import torch
from bench import RESULTS, load_average, publish

import condvae
from condvae.annealing import Annealed, Plan, annealing
from condvae.data import unit
from condvae.datasets import load
from condvae.images import as_images
from condvae.learned import Asked, Columns, Learned, chunks, columns_of, observe, take
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.storage import read_json, write_json
from condvae.subject import chosen
from condvae.weighing import weight_blocks

COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
BLOCK = 1024  # samples of one pass
PROTOCOL = (
    "{images} test images of {data}, drawn with seed {seed}, labels given, {binarise} binarisation with seed {seed}, "
    "the same for all rows; prior: {prior}; importance sampling: {most:,} samples of the posterior an image, drawn "
    "once, and at K the mean over disjoint blocks of K of them; annealed: {chains} chains an image from the prior, a "
    "sigmoidal schedule, {leapfrogs} leapfrog steps a transition, log of the chains' mean weight; standard errors over "
    "images, those of differences paired"
)


def importance_weights(learned: Learned, prior: str, x: np.ndarray, columns: Columns, k: int, seed: int) -> np.ndarray:
    """log weights of k samples of the posterior an image, [N, k] float64: those that `log_prob` takes the mean of."""
    model, (images, _) = learned.using(prior), as_images(x, "x")
    out = np.empty((len(x), k))
    with evaluating(model):
        for rows, kept in chunks(len(x), 1):
            seen = observe(take(learned, images, rows), learned.binarise, RowNoise(seed, rows, learned.device))
            c = learned.condition(columns, rows)
            blocks = list(weight_blocks(model, c, seen, rows, k, min(k, BLOCK), seed))
            out[kept] = torch.cat(blocks).T.cpu().numpy()
    return out


def bounds(weights: np.ndarray, k: int) -> np.ndarray:
    """The importance-weighted bound of k samples, [N] nats: its mean over disjoint blocks of k weights of [N, K]."""
    blocks = weights[:, : weights.shape[1] // k * k].reshape(len(weights), -1, k)
    return (np.logaddexp.reduce(blocks, 2) - math.log(k)).mean(1)


def over(values: np.ndarray) -> dict[str, float]:
    """Mean and its standard error over images."""
    return {
        "mean": round(float(values.mean()), 4),
        "standard_error": round(float(values.std(ddof=1) / math.sqrt(len(values))), 4),
    }


def fingerprint(learned: Learned, prior: str, x: np.ndarray, given: Asked, plan: Plan, seed: int) -> str:
    """What the parts of an annealing depend on: a part of anything else is not read."""
    found = hashlib.sha256(json.dumps([asdict(plan), prior, seed, dict(given)], sort_keys=True).encode())
    found.update(np.ascontiguousarray(x).tobytes())
    for name, weight in sorted(learned.using(prior).state_dict().items()):
        found.update(name.encode() + weight.cpu().numpy().tobytes())
    return found.hexdigest()


def annealed(
    learned: Learned, prior: str, x: np.ndarray, given: Asked, plan: Plan, seed: int, folder: Path
) -> tuple[Annealed, float]:
    """All rows of x by annealing, in their order, and the processor's seconds that they took; what lies in the folder
    is not run again."""
    key = fingerprint(learned, prior, x, given, plan, seed)
    parts = {}
    for path in sorted(folder.glob(f"{plan.temperatures}-*.json")):
        found = read_json(path)
        if found["key"] == key:
            parts[found["part"]["rows"][0]] = found
    done = {row for found in parts.values() for row in found["part"]["rows"]}
    left = [row for row in range(len(x)) if row not in done]
    begun = time.process_time()
    for part in annealing(learned, x, given, plan, seed, prior, left) if left else ():
        now = time.process_time()
        found = {"key": key, "part": {name: values.tolist() for name, values in vars(part).items()}}
        found["cpu_seconds"], begun = now - begun, now
        first = int(part.rows[0])
        write_json(folder / f"{plan.temperatures}-{first:05d}.json", found)
        parts[first] = json.loads(json.dumps(found))
        done.update(part.rows.tolist())
        print(f"{plan.temperatures} temperatures: {len(done)} of {len(x)} images", flush=True)
    whole = [parts[first]["part"] for first in sorted(parts)]
    joined = [np.concatenate([np.asarray(part[name]) for part in whole]) for name in whole[0]]
    return Annealed(*joined), sum(found["cpu_seconds"] for found in parts.values())


def summary(found: Annealed, bound: np.ndarray, best: np.ndarray, seconds: float) -> dict[str, Any]:
    """The estimate, how it stands to the bound of most samples [N] and to the best annealing [N], and how the chains
    went."""
    difference = found.log_prob - bound
    return {
        **over(found.log_prob),
        "below_annealing": over(best - found.log_prob),
        "above_importance": {
            **over(difference),
            "least": round(float(difference.min()), 3),
            "greatest": round(float(difference.max()), 3),
            "share_of_images_above": round(float((difference > 0).mean()), 3),
        },
        "acceptance": round(float(np.nanmean(found.acceptance)), 4),
        "effective_chains": {
            "mean": round(float(found.effective.mean()), 2),
            "least": round(float(found.effective.min()), 2),
        },
        "cpu_minutes": round(seconds / 60, 2),
    }


def main(
    run: Path,
    *,
    data: str = "mnist",
    data_dir: Path | None = None,
    images: int = 200,
    temperatures: tuple[int, ...] = (100, 1000),
    chains: int = 16,
    leapfrogs: int = 6,
    prior: str = "model",
    seed: int = 0,
    out: Path = RESULTS / "annealing.json",
    parts: Path | None = None,
    dry: bool = False,
) -> None:
    """Measure and add the run to the results file.

    Parameters
    ----------
    run: folder of a run of one code whose condition is one label
    data: the data whose test images are measured; they must be those of the run
    data_dir: folder of the data's files; where it is not given, as condvae finds them
    images: how many test images
    temperatures: of each annealing; the last is set against importance sampling
    chains: of each image
    leapfrogs: steps of a transition
    prior: "model", or "fitted" for the density that was fitted to the latents
    seed: of images, binarisation, samples and chains
    out: the results file
    parts: where parts of an annealing are kept; by default the run's folder
    dry: print only
    """
    load_before, start = load_average(), time.perf_counter()
    torch.set_num_threads(1)
    loaded, part = condvae.load(run), load(data, data_dir).test
    assert part is not None
    rows = chosen(len(part.x), images, seed)
    x = unit(part.x[torch.from_numpy(rows)]).numpy()
    field = loaded.learned.schema.labels[0].name
    given = {field: [str(part.labels[field][row]) for row in rows]}
    begun = time.process_time()
    columns = columns_of(loaded.learned, given, len(x))
    weights = importance_weights(loaded.learned, prior, x, columns, COUNTS[-1], seed)
    seconds = time.process_time() - begun
    most = bounds(weights, COUNTS[-1])
    effective = np.exp(2 * np.logaddexp.reduce(weights, 1) - np.logaddexp.reduce(2 * weights, 1))
    found = {
        str(count): annealed(
            loaded.learned,
            prior,
            x,
            given,
            Plan(chains, count, leapfrogs),
            seed,
            (parts or run / "annealing") / prior,
        )
        for count in temperatures
    }
    best = found[str(temperatures[-1])][0].log_prob
    curve = {str(k): {**over(bounds(weights, k)), "below_annealing": over(best - bounds(weights, k))} for k in COUNTS}
    apart = float((best - most).mean())
    values = {
        "images": images,
        "chains": chains,
        "leapfrogs": leapfrogs,
        "elbo": over(weights.mean(1)),
        "importance": curve,
        "effective_samples": {
            "mean": round(float(effective.mean()), 1),
            "median": round(float(np.median(effective)), 1),
            "least": round(float(effective.min()), 1),
        },
        "importance_cpu_minutes": round(seconds / 60, 2),
        "annealing": {count: summary(chain, most, best, spent) for count, (chain, spent) in found.items()},
        "goal": "annealed and importance-weighted means within 0.5 nat",
        "met": abs(apart) <= 0.5,
    }
    print(json.dumps(values, indent=2))
    if not dry:
        asked = {"images": images, "data": data, "seed": seed, "prior": prior, "chains": chains}
        asked |= {"leapfrogs": leapfrogs, "binarise": loaded.learned.binarise, "most": COUNTS[-1]}
        name = f"{loaded.facts.get('recipe') or run.name}, prior {prior}"
        publish(out, values, PROTOCOL.format(**asked), start, load_before, 1, name, seed)


if __name__ == "__main__":
    cyclopts.run(main)
