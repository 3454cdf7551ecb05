"""What is typical of a run's images, kept in its folder: typical.json. Written after training and by an evaluation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from condvae.errors import Refused
from condvae.images import Images
from condvae.learned import Learned
from condvae.ledger import digest
from condvae.runs import Run
from condvae.scores import UNLIKELY
from condvae.storage import kept, read_json, write_json
from condvae.typical import LEVELS, STATISTICS, Range, Typical
from condvae.typical_statistics import SAMPLES, THOROUGH, images_for, statistics, typical_of

__all__ = ["FILE", "judged", "recorded", "write_typical"]

FILE = "typical.json"
VERSION = 1  # of the file; a later reader knows what it meets
DIGITS = 7  # that numbers are rounded to: as many as float32 has


def write_typical(run: Run, x: Images, whence: str, pixels: float = THOROUGH) -> Path | None:
    """Measure what is typical of images x, which the run was not trained on, and write it into its folder; the file.

    whence: which images they are, in words. pixels: how many may be drawn for it, as `images_for` has it. None where
    there is nothing to write: a run in memory, of rows, or without a likelihood. Refused as by `typical_of`, and where
    the folder cannot be written.
    """
    learned = run.learned
    if run.path is None or run.outputs is not None or not learned.likely:
        return None
    found = typical_of(learned, x, whence, images_for(learned, pixels))
    try:
        write_json(run.path / FILE, to_json(found, fingerprint(learned)))
    except OSError as error:
        raise Refused(f"{run.path / FILE} cannot be written ({error.strerror or error})") from None
    return run.path / FILE


def recorded(run: Run) -> Typical:
    """What the run's folder says is typical. Refused where it says nothing that is of use: none, damaged, of other
    weights, of another version; the sentence says how to get it."""
    if run.path is None:
        raise Refused("what is typical was not recorded, for this run is in memory; train it with out=FOLDER")
    how = f"condvae evaluate {run.path} records it"
    if not (run.path / FILE).is_file():
        raise Refused(f"what is typical was not recorded for this run; {how}")
    try:
        data = read_json(run.path / FILE)
        if data["version"] != VERSION:
            raise Refused(f"what is typical was recorded by another version of condvae; {how}")
        found, weights = from_json(data), str(data["fingerprint"])
    except Refused as refused:  # a Refused is a ValueError, too
        text = str(refused)
        raise Refused(text if how in text else f"{text}; {how} anew") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Refused(f"{run.path / FILE} is damaged, so what is typical is not known; {how} anew") from None
    if weights != fingerprint(run.learned):
        raise Refused(f"what is typical was recorded of other weights than the run now has; {how} anew")
    return found


def judged(run: Run, x: np.ndarray) -> tuple[dict[str, Any] | None, str]:
    """(where one picture x [1, C, H, W] lies among what is typical, as `Typical.verdict` has it; ""), or (None, a
    sentence that says why it is not told)."""
    if not run.learned.likely:
        return None, f"whether the picture is typical is not told: {UNLIKELY}"
    try:
        found = recorded(run)
    except Refused as refused:
        return None, str(refused)
    values = statistics(run.learned, x, found.k, found.seed)
    return found.verdict({name: float(column[0]) for name, column in values.items()}), ""


def fingerprint(learned: Learned) -> str:
    """A hash of the weights behind a likelihood: the model's and its density's, without what only training needs."""
    model = learned.using()
    weights = kept(model, model.state_dict())
    return digest([weights[name] for name in sorted(weights)]).hex()


def to_json(found: Typical, weights: str) -> dict[str, Any]:
    """All of it, numbers rounded to seven digits; quantiles by per cent."""
    return {
        "version": VERSION,
        "of": found.of,
        "prior": "the run's default",
        "k": found.k,
        "seed": found.seed,
        "images": found.images,
        "among": found.among,
        "whence": found.whence,
        "fingerprint": weights,
        "statistics": {
            one.name: {
                "what": one.what,
                "unit": one.unit,
                "tail": one.tail,
                "low": rounded(found.ranges[one.name].low),
                "high": rounded(found.ranges[one.name].high),
                "quantiles": {str(at): rounded(found.ranges[one.name].levels[at]) for at in LEVELS},
            }
            for one in STATISTICS
        },
    }


def from_json(data: Any) -> Typical:
    """What `to_json` wrote; KeyError, TypeError or ValueError where it is garbled."""
    ranges: dict[str, Range] = {}
    for one in STATISTICS:
        held = data["statistics"][one.name]
        levels = tuple(float(held["quantiles"][str(at)]) for at in LEVELS)
        spread = Range(float(held["low"]), float(held["high"]), levels)
        if not all(map(math.isfinite, (spread.low, spread.high, *levels))) or list(levels) != sorted(levels):
            raise ValueError("quantiles must be finite and rise")
        if held["tail"] != one.tail or spread.low > spread.high:
            raise ValueError("the bounds are of another share, or cross")
        ranges[one.name] = spread
    k, seed, images = (int(data[name]) for name in ("k", "seed", "images"))
    if not (1 <= k <= 100 * SAMPLES and seed >= 0 and images >= 1):
        raise ValueError("k, seed and images must be whole numbers")
    return Typical(ranges, str(data["of"]), k, seed, images, str(data["among"]), str(data["whence"]))


def rounded(value: float) -> float:
    """The value to seven digits."""
    return float(f"{value:.{DIGITS}g}")
