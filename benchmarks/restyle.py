"""What restyling keeps: 2,000 test digits, each under another label, by the zoo's digits.

`python benchmarks/restyle.py [DATA_DIR]` writes results/benchmarks/restyle.json.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import condvae
from condvae.datasets import load
from condvae.judges import judge_for
from condvae.results import entry, record
from condvae.styles import style_kept

ROOT = Path(__file__).resolve().parent.parent
PICTURES = 2000
PROTOCOL = (
    "the first 2,000 MNIST test images, labels given, each restyled to one other label drawn at random; judge trained "
    "on real training images alone; correlations of source and restyled picture, labels' means taken out"
)


def main(data_dir: str | None) -> None:
    """Measure, print and record."""
    run, collection = condvae.load(ROOT / "zoo" / "mnist-cvae"), load("mnist", data_dir)
    part, judge = collection.test, judge_for(collection)
    assert part is not None
    x = part.x[slice(0, PICTURES)].float().div(255).numpy()
    begun = time.perf_counter()
    found = style_kept(run.learned, x, {"digit": list(part.labels["digit"][:PICTURES])}, judge)
    values = {
        "read_as_wanted": found.share,
        "interval": list(found.interval),
        "pictures": found.pictures,
        "thickness_correlation": found.thickness,
        "slant_correlation": found.slant,
        "ink_correlation": found.ink,
        "judge_accuracy": judge.accuracy,
        "goal": ">= 0.97",
        "met": found.share >= 0.97,
    }
    made = entry("zoo/mnist-cvae", 0, values, PROTOCOL, (time.perf_counter() - begun) / 60, {})
    record(ROOT / "results" / "benchmarks" / "restyle.json", made, {"name": "restyle", "title": "What restyling keeps"})
    print(values)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
