"""The runs of the zoo: they load, draw what is asked, and stay small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from condvae.runs import load

ZOO = Path(__file__).resolve().parent.parent / "zoo"
RUNS = sorted(path.name for path in ZOO.iterdir())


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_zoo_stays_small() -> None:
    assert size(ZOO) < 20_000_000


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_the_zoo_loads_and_draws(name: str) -> None:
    run = load(ZOO / name)
    field = next(iter(run.schema.labels))
    drawn = run.generate({field.name: field.values[3]}, n=2, seed=0)
    assert drawn.shape == (2, *run.shape) and np.isfinite(drawn).all()


def test_the_critic_stays_at_home() -> None:
    run = load(ZOO / "mnist-gan")
    assert run.settings.adversarial == 1 and run.model.critic is None
    assert size(ZOO / "mnist-gan") <= 3_000_000


def test_the_run_of_a_hundred_labels_reads_what_it_draws() -> None:
    run = load(ZOO / "mnist-100-labels")
    assert run.settings.infer == "digit" and len(run.facts["labelled_rows"]) == 100
    assert size(ZOO / "mnist-100-labels") <= 3_000_000
    values = next(iter(run.schema.labels)).values
    drawn = run.generate({"digit": list(values)}, n=20, seed=0)
    read = np.asarray(run.classify(drawn.reshape(-1, 1, 28, 28)).names).reshape(10, 20)
    assert np.mean(read == np.asarray(values)[:, None]) > 0.9
