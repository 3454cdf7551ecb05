"""The named data of drawn faces: 5,000 + 1,000 pictures of 64 or 128 pixels, drawn once and kept in the cache.

The cached file is named by what its first faces look like now, so that pictures of an earlier generator are never read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError

from condvae.data import Collection, collect
from condvae.drawn_faces import FACTORS, Factors, draw_faces, random_factors
from condvae.errors import Refused
from condvae.storage import read_tensors, write_tensors

__all__ = ["DRAWN", "HELD", "KEPT", "drawn_collection", "drawn_pictures"]

DRAWN = {"faces-drawn": 64, "faces-drawn-128": 128}  # pixels a side
KEPT, HELD = 5_000, 1_000  # training and test faces; every combination of labels comes equally often in each
SEED = 0
PIECE = 500  # faces drawn between two words of progress
PROBE = 48  # faces by which a generator is known again

NOTE = "Cartoon faces drawn by condvae itself, of no real person; every combination of the labels comes equally often."


def drawn_collection(name: str, cache: Path, progress: Callable[[int, int], None] | None = None) -> Collection:
    """The collection `name` of `DRAWN`; progress: called with (done, total) faces while they are drawn."""
    factors = random_factors(KEPT + HELD, SEED)
    x = drawn_pictures(factors, DRAWN[name], cache, progress)
    kept, held = slice(0, KEPT), slice(KEPT, None)
    kinds = {**dict.fromkeys(FACTORS, "label"), "pose": "number"}
    made = collect(x[kept], _fields(factors.take(kept)), x[held], _fields(factors.take(held)), name, "embedded", kinds)
    return replace(made, notes=(NOTE, *made.notes))


def drawn_pictures(
    factors: Factors, size: int, cache: Path, progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """The faces as uint8 [N, 3, size, size]: from the cache, else drawn and kept there where it can be written to."""
    probe = draw_faces(factors.take(slice(0, PROBE)), size)
    key = hashlib.sha256(probe.tobytes()).hexdigest()[:16]
    path = cache / "drawn" / f"faces-{size}-{key}.safetensors"
    with suppress(Refused, KeyError):  # what is missing or damaged is drawn anew
        found = read_tensors(path)[0]["x"].numpy()
        if found.shape == (len(factors), *probe.shape[1:]):
            return found
    pieces = []
    for start in range(0, len(factors), PIECE):
        pieces.append(draw_faces(factors.take(slice(start, start + PIECE)), size))
        if progress is not None:
            progress(min(start + PIECE, len(factors)), len(factors))
    x = np.concatenate(pieces)
    with suppress(OSError, SafetensorError):
        write_tensors(path, {"x": torch.from_numpy(x)})
        for other in path.parent.glob(f"faces-{size}-*.safetensors"):
            if other != path:
                other.unlink()
    return x


def _fields(factors: Factors) -> dict[str, np.ndarray]:
    """What may be asked for."""
    return {**{name: getattr(factors, name) for name in FACTORS}, "pose": np.round(factors.pose.astype(np.float64), 2)}
