"""What the options of few labels give on other data than MNIST: no label of MNIST is read for a choice.

`python benchmarks/few_labels_choices.py OPTION... [--draws 6]` trains each option on 50 labels of scikit-learn's 1,797
digits, enlarged to 28 x 28, once for each draw of labels (the same draws for all), reads all of them, and puts the
errors into results/benchmarks/few-labels-choices.json. Without OPTION it says what there is.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from condvae import consistency
from condvae.data import Collection, collect
from condvae.fitting import Fitting
from condvae.recipes import recipe
from condvae.results import entry, record
from condvae.settings import settings_of

ROOT = Path(__file__).resolve().parent.parent
LABELS, EPOCHS = 50, 60
# The networks of z are small: what is measured is the reading.
SMALL: dict[str, Any] = {"hidden": (32, 32), "z": 10, "width": 24, "epochs": EPOCHS, "density": "none"}
OPTIONS: dict[str, dict[str, Any]] = {
    "as-it-is": {},
    "no-guide": {"guide": 0.0},
    "no-information": {"information": 0.0, "guide": 0.0},
    "no-consistency": {"consistency": 0.0, "guide": 0.0},
    "neither": {"consistency": 0.0, "information": 0.0, "guide": 0.0},
    "teacher": {"teacher": 0.99},
    "mixup": {"mixup": 25.0},
    "less-labelled": {"labelled_share": 0.125},
    "slower": {"lr": 1e-3},
    "longer": {"epochs": 2 * EPOCHS},
    "generative": {"classify": 5.0, "consistency": 5.0, "information": 5.0},
    "auxiliary": {"auxiliary": 10},
    "no-cut": {},
    "stronger": {},
    "bent": {},
    "bent-stronger": {},
}
VIEWS = {
    "stronger": replace(consistency.STRONG, turn=0.44, scale=0.25, shear=0.3),
    "bent": replace(consistency.STRONG, bend=0.06),
    "bent-stronger": replace(consistency.STRONG, turn=0.44, scale=0.25, shear=0.3, bend=0.06),
}


def digits() -> Collection:
    """The 1,797 digits of 8 x 8 pixels on 20 x 20, a margin of 4 around them; they are their own test part, as only 50
    labels are known in training."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    x = torch.from_numpy(found.images / 16).float()[:, None]
    x = F.pad(F.interpolate(x, size=20, mode="bicubic", align_corners=False).clamp(0, 1), (4, 4, 4, 4)).numpy()
    labels = {"digit": np.asarray(found.target)}
    return collect(x, labels, x, labels, name="digits-28")


def error_of(collection: Collection, option: str, draw: int) -> float:
    """Per cent of all digits that are read wrongly after the last epoch."""
    basis = recipe("best-few-labels").settings_for("100")
    views = consistency.STRONG, consistency.CUT
    consistency.STRONG = VIEWS.get(option, consistency.STRONG)
    consistency.CUT = 0.0 if option == "no-cut" else consistency.CUT
    try:
        settings = settings_of(basis, SMALL, {"labels": LABELS, "seed": draw}, OPTIONS[option])
        fitting = Fitting(collection, settings, watch_test=True)
        for _ in fitting.steps():
            pass
    finally:
        consistency.STRONG, consistency.CUT = views
    return 100 * fitting.history[-1]["test"]["error"]


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("options", nargs="*")
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "benchmarks")
    told = parser.parse_args()
    wrong = [name for name in told.options if name not in OPTIONS]
    if wrong or not told.options:
        sys.exit(f"options are {', '.join(OPTIONS)}" + (f"; got {wrong[0]!r}" if wrong else ""))
    torch.set_num_threads(1)
    collection = digits()
    for name in told.options:
        begun, errors = time.perf_counter(), []
        for draw in range(told.draws):
            errors.append(error_of(collection, name, draw))
            print(f"{name}, draw {draw}: {errors[-1]:.2f} %", file=sys.stderr, flush=True)
        values = {"errors": errors, "mean": statistics.mean(errors), "labels": LABELS}
        words = (
            f"{LABELS} labels of scikit-learn's 1,797 digits, enlarged to 28 x 28; error on all of them in per cent, "
            "one number a draw of labels"
        )
        made = entry(name, 0, values, words, (time.perf_counter() - begun) / 60, OPTIONS[name])
        about = {"name": "few-labels-choices", "title": "What options of few labels give on other data than MNIST"}
        record(told.results / "few-labels-choices.json", made, about)
        print(f"{name}: {values['mean']:.2f} %")


if __name__ == "__main__":
    main()
