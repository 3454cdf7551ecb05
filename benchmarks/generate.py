"""Seconds that 10,000 sixes take after a run is loaded: run.generate against a bare loop over its networks.

The bare loop asks the model itself, on noise from torch's generator, and keeps the pictures in one
array. It skips what generate adds: noise that depends on (seed, row) alone, the density fitted to the
latents, and all checks.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
import torch
from bench import RESULTS, ROOT, load_average, publish

PROTOCOL = "{n} pictures of {field}={value} from {run}, {rounds} rounds in turn after the first call; {threads} threads"


def bare(run: Any, asked: dict[str, str], n: int, chunk: int) -> np.ndarray:
    """The model's pass and nothing else: float32 [n, C, H, W]."""
    from condvae.noise import Stream
    from condvae.trace import Draw

    rows = {name: [value] * min(chunk, n) for name, value in asked.items()}
    condition = run.schema.encode(run.schema.index(rows, min(chunk, n)), min(chunk, n))
    draw = Draw(Stream(seed=0))
    pictures = []
    with torch.inference_mode():
        for start in range(0, n, chunk):
            part = condition[slice(0, min(chunk, n - start))]
            pictures.append(run.model(part, draw=draw).x.picture(draw).numpy())
    return np.concatenate(pictures)


def timed(work: Callable[[], np.ndarray]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(
    folder: Path = ROOT / "zoo" / "mnist-cvae",
    *,
    n: int = 10_000,
    field: str = "digit",
    value: str = "6",
    rounds: int = 7,
    chunk: int = 1_000,
    threads: int | None = None,
    out: Path = RESULTS / "generate.json",
    dry: bool = False,
) -> None:
    """Measure and add the run to the results file.

    Parameters
    ----------
    folder: the run that is asked
    n: pictures asked for
    field: field of the schema
    value: its value
    rounds: counted rounds
    chunk: pictures that the bare loop draws at once
    threads: torch's own choice where it is not given
    out: the results file
    dry: print only
    """
    import condvae

    if threads is not None:
        torch.set_num_threads(threads)
    load, start, asked = load_average(), time.perf_counter(), {field: value}
    began = time.perf_counter()
    run = condvae.load(str(folder))
    loading = time.perf_counter() - began
    work = {
        "condvae": lambda: run.generate(asked, n=n, seed=0),
        "bare": lambda: bare(run, asked, n, chunk),
    }
    first = {name: round(timed(call), 3) for name, call in work.items()}
    laps: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, call in work.items():
            laps[name].append(timed(call))
    values: dict[str, Any] = {"unit": "seconds", "loading": round(loading, 3)}
    for name, row in laps.items():
        found = {
            "first_call": first[name],
            "median": statistics.median(row),
            "least": min(row),
            "greatest": max(row),
        }
        values[name] = {key: round(number, 3) for key, number in found.items()}
    print(values)
    if not dry:
        shown = folder.resolve()
        name = str(shown.relative_to(ROOT)) if shown.is_relative_to(ROOT) else shown.name
        protocol = PROTOCOL.format(
            n=n, field=field, value=value, run=name, rounds=rounds, threads=torch.get_num_threads()
        )
        publish(out, values, protocol, start, load, torch.get_num_threads())


if __name__ == "__main__":
    cyclopts.run(main)
