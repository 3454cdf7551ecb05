"""Stroke thickness and slant against strokes of known width and slant; and what restyling keeps."""

from __future__ import annotations

import numpy as np
import pytest

from condvae import styles
from condvae.errors import Refused
from condvae.styles import correlation, slant, thickness


def stroke(width: float, lean: float, size: int = 28) -> np.ndarray:
    """A stroke of that width, whose middle moves `lean` columns to the right a row upwards, [1, 1, H, W]."""
    rows, columns = np.mgrid[:size, :size].astype(float)
    middle = size / 2 - 0.5 + lean * (size / 2 - 0.5 - rows)
    across = np.abs(columns - middle) / np.sqrt(1 + lean**2)
    inside = np.clip(width / 2 + 0.5 - across, 0, 1) * ((rows > 3) & (rows < size - 4))
    return inside[None, None].astype(np.float32)


@pytest.mark.parametrize("width", [2.0, 3.0, 4.5])
@pytest.mark.parametrize("lean", [0.0, 0.4])
def test_thickness_is_the_width_of_a_stroke(width: float, lean: float) -> None:
    x = stroke(width, lean)
    assert thickness(x)[0] == pytest.approx(width, rel=0.15)
    assert thickness(1 - x)[0] == pytest.approx(width, rel=0.15)  # dark ink on light ground


@pytest.mark.parametrize("lean", [-0.3, 0.0, 0.2, 0.5])
def test_slant_is_the_lean_of_a_stroke(lean: float) -> None:
    assert slant(stroke(3, lean))[0] == pytest.approx(lean, abs=0.03)


def test_no_ink_has_no_thickness() -> None:
    assert np.isnan(thickness(np.zeros((1, 1, 9, 9), np.float32)))[0]
    with pytest.raises(Refused, match="grey"):
        thickness(np.zeros((1, 3, 9, 9), np.float32))


def test_a_correlation_is_within_labels() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, 3000)
    own, other = rng.normal(size=3000), rng.normal(size=3000)
    assert correlation(own + 9 * group, 2 * own - 5 * group, group, group) == pytest.approx(1, abs=1e-6)
    assert correlation(own + 9 * group, other + 9 * group, group, group) == pytest.approx(0, abs=0.06)


def test_a_restyling_that_changes_nothing_keeps_all_and_obeys_never(monkeypatch) -> None:
    from condvae import fit

    x = np.concatenate([stroke(2 + row % 4, 0.1 * (row % 5), 12) for row in range(40)])
    labels = ["a", "b"] * 20
    run = fit(x, {"sign": labels}, epochs=0, network="mlp", hidden=(8,), z=2, likelihood="bernoulli", progress=False)
    monkeypatch.setattr(styles, "restyle", lambda learned, pictures, given, to: pictures)

    class Reads:
        values = ("a", "b")

        def read(self, pictures):
            return type("Reading", (), {"index": np.asarray([0, 1] * 20)})

    found = styles.style_kept(run.learned, x, {"sign": labels}, Reads())  # pyright: ignore[reportArgumentType]
    assert (found.pictures, found.right) == (40, 0)
    assert found.slant == pytest.approx(1, abs=1e-6) and found.thickness == pytest.approx(1, abs=1e-6)
