"""Curves of a training: what stands beside what, where a label is inferred and where not."""

from __future__ import annotations

from condvae.plots_learning import BOUND, MISREAD, beside, learning_curves

TERMS = {"reconstruction": 90.0, "rate": 14.0, "label": 2.3}
TRAIN = TERMS | {"classifier": 3.0, "elbo": -106.3, "kl": 14.0, "loss": 109.3}
HELD = {"reconstruction": 91.0, "rate": 14.5, "loss": 105.5, "error": 0.0125}


def test_the_bound_of_training_is_that_of_held_out_rows() -> None:
    """Neither the classifier's term nor what the label costs is in a held-out row's loss."""
    found = beside({"epoch": 1, "train": TRAIN, "validation": HELD})
    assert abs(found["train"][BOUND] - (TERMS["reconstruction"] + TERMS["rate"])) < 1e-9
    assert found["validation"][BOUND] == HELD["loss"] and found["validation"][MISREAD] == 1.25
    assert MISREAD not in found["train"] and found["epoch"] == 1


def test_an_inferring_model_has_more_panels() -> None:
    rows = [{"epoch": epoch, "train": TRAIN, "validation": HELD} for epoch in (1, 2)]
    plain = [{"epoch": epoch, "train": TERMS | {"loss": 104.0}} for epoch in (1, 2)]
    assert learning_curves(rows).height > learning_curves(plain).height
