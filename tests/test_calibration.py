"""Calibration of the labels that a model reads: closed forms, what is said of it, and what evaluations hold of it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from condvae import fit
from condvae.calibration import BAYES, BINS, CLASSIFIER, Calibration, calibration
from condvae.errors import Refused
from condvae.evaluation import Evaluation
from condvae.plots_calibration import reliability
from condvae.reporting import CAPTIONS, TITLES, calibration_picture
from condvae.verdicts import about_reading

TINY: dict[str, Any] = {
    "network": "mlp",
    "hidden": (24,),
    "z": 2,
    "batch": 16,
    "likelihood": "bernoulli",
    "infer": "auto",
    "hold_out": 0,
    "progress": False,
    "threads": 1,
}


def drawn(rows: int, sharpness: float, power: float = 1.0, labels: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and truths that are drawn from their `power`: 1 is calibrated, below it they are too sure."""
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(labels, 1 / sharpness), rows)
    real = probabilities**power
    real /= real.sum(1, keepdims=True)
    return probabilities, np.minimum((real.cumsum(1) < rng.random((rows, 1))).sum(1), labels - 1)


# --- closed forms ----------------------------------------------------------------------------------------------------


def test_a_perfect_prediction_costs_nothing() -> None:
    truth = np.asarray([0, 2, 1, 2])
    found = calibration(np.eye(3)[truth], truth)
    assert (found.ece, found.nll, found.brier, found.error.share, found.chance) == (0, 0, 0, 0, 0)
    assert found.confidence == 1 and found.right.share == 1 and found.values == 3
    assert [(one.confidence, one.accuracy, one.count) for one in found.bins] == [(1, 1, 4)]


@pytest.mark.parametrize("labels", [2, 3, 10])
def test_a_uniform_prediction_costs_what_chance_does(labels: int) -> None:
    truth = np.arange(4 * labels) % labels
    found = calibration(np.full((len(truth), labels), 1 / labels), truth)
    assert found.nll == pytest.approx(math.log(labels))
    assert found.brier == pytest.approx(1 - 1 / labels)
    assert found.ece == pytest.approx(0, abs=1e-12) and found.right.share == 1 / labels  # the first of equals is read
    assert found.nll_error == pytest.approx(0) and found.brier_error == pytest.approx(0)


def test_sure_and_wrong_is_finite_and_the_worst() -> None:
    found = calibration(np.eye(2)[[0, 1]], np.asarray([1, 0]))
    assert found.brier == 2 and found.ece == 1 and found.error.right == 2
    assert found.nll == pytest.approx(-math.log(1e-12))


def test_a_few_rows_by_hand() -> None:
    probabilities = np.asarray([[0.9, 0.1], [0.92, 0.08], [0.3, 0.7], [0.45, 0.55]])
    found = calibration(probabilities, np.asarray([0, 1, 1, 1]), CLASSIFIER)
    # bins of 1/15: 0.9 and 0.92 share (13/15, 14/15], 0.7 and 0.55 stand alone
    by_hand = (abs(1 - 1.82) + abs(1 - 0.7) + abs(1 - 0.55)) / 4
    assert found.ece == pytest.approx(by_hand)
    assert found.nll == pytest.approx(-np.log([0.9, 0.08, 0.7, 0.55]).mean())
    assert found.brier == pytest.approx((2 * 0.1**2 + 2 * 0.92**2 + 2 * 0.3**2 + 2 * 0.45**2) / 4)
    assert found.error.right == 1 and found.error.of == 4 and found.confidence == pytest.approx(3.07 / 4)
    assert [one.count for one in found.bins] == [1, 1, 2]
    assert [one.confidence for one in found.bins] == pytest.approx([0.55, 0.7, 0.91])
    assert [one.accuracy for one in found.bins] == [1, 1, 0.5] and found.reader == CLASSIFIER


def test_an_image_on_an_edge_belongs_to_the_bin_below() -> None:
    found = calibration(np.asarray([[0.6, 0.4], [0.59, 0.41], [0.61, 0.39]]), np.zeros(3, np.int64))
    assert [one.count for one in found.bins] == [2, 1]  # 0.6 = 9/15


@pytest.mark.parametrize("sharpness", [0.5, 2.0, 20.0])
def test_a_calibrated_reader_errs_by_chance_alone(sharpness: float) -> None:
    many = calibration(*drawn(40_000, sharpness))
    assert many.ece < 0.01 and many.confidence == pytest.approx(many.right.share, abs=0.01)
    probabilities, truth = drawn(5_000, sharpness)
    few = [calibration(probabilities[row : row + 50], truth[row : row + 50]) for row in range(0, 5_000, 50)]
    off, told = (np.mean([getattr(one, name) for one in few]) for name in ("ece", "chance"))
    assert told == pytest.approx(off, rel=0.25)  # what is said of chance is about what chance gives


@pytest.mark.parametrize(
    ("probabilities", "truth", "words"),
    [
        (np.ones(3), np.zeros(3, int), "probabilities must be .N, K."),
        (np.ones((0, 3)), np.zeros(0, int), "with a row at least"),
        (np.full((2, 2), 0.5), np.zeros(3, int), "truth must hold 2 whole positions"),
        (np.full((2, 2), 0.5), np.zeros(2), "whole positions"),
        (np.full((2, 2), 0.4), np.zeros(2, int), "sum to 1"),
        (np.full((2, 2), np.nan), np.zeros(2, int), "sum to 1"),
        (np.asarray([[1.5, -0.5]]), np.zeros(1, int), "0 or more"),
        (np.full((2, 2), 0.5), np.asarray([0, -1]), "truth must be from 0 to 1"),
        (np.full((2, 2), 0.5), np.asarray([0, 2]), "leave unknown labels out"),
    ],
)
def test_what_cannot_be_used_is_refused(probabilities: np.ndarray, truth: np.ndarray, words: str) -> None:
    with pytest.raises(Refused, match=words):
        calibration(probabilities, truth)


def test_it_is_plain_json_that_can_be_read_again() -> None:
    found = calibration(*drawn(200, 2.0), CLASSIFIER)
    assert Calibration.model_validate(json.loads(json.dumps(found.model_dump(), allow_nan=False))) == found


# --- in words --------------------------------------------------------------------------------------------------------


def test_a_reader_that_is_too_sure_is_told_so_with_a_remedy() -> None:
    (said,), well = about_reading(calibration(*drawn(2_000, 4.0, 0.5), CLASSIFIER))
    assert well is None and said.startswith("The model's classifier, q(label | x), is over-confident: it is right in ")
    assert "too sure" in said and "mixup" in said and "of 2,000 images" in said
    (bayes,), _ = about_reading(calibration(*drawn(2_000, 4.0, 0.5), BAYES))
    assert bayes.startswith("Reading labels by Bayes' rule is over-confident") and "mixup" not in bayes


def test_a_reader_that_is_not_sure_enough_is_told_so() -> None:
    (said,), well = about_reading(calibration(*drawn(2_000, 0.5, 3.0), CLASSIFIER))
    assert well is None and "is under-confident" in said and "train longer" in said


def test_errors_of_both_kinds_are_named_though_they_cancel() -> None:
    sure, unsure = np.asarray([[0.95, 0.05]] * 400), np.asarray([[0.65, 0.35]] * 400)
    truth = np.concatenate([np.arange(400) % 5 == 0, np.arange(400) % 5 == 0]).astype(int)  # 80 % right in both
    (said,), _ = about_reading(calibration(np.concatenate([sure, unsure]), truth))
    assert "too sure of some images and not sure enough of others" in said


def test_a_calibrated_reader_is_praised_and_of_few_images_nothing_is_said() -> None:
    bad, well = about_reading(calibration(*drawn(5_000, 4.0)))
    assert bad == [] and well is not None and "about as sure as it should be" in well
    probabilities, truth = drawn(2_000, 1.0)
    said = [
        about_reading(calibration(probabilities[row : row + 20], truth[row : row + 20])) for row in range(0, 2000, 20)
    ]
    assert sum(one == ([], None) for one in said) > 95


# --- of a model ------------------------------------------------------------------------------------------------------


def signs(rows: int = 240, labelled: int = 24) -> tuple[np.ndarray, list[str | None], list[str]]:
    """Three bars on 8 x 8, with noise; most labels are blank."""
    rng = np.random.default_rng(0)
    truth = [*"abc"] * (rows // 3)
    x = 0.2 * rng.random((rows, 1, 8, 8)).astype(np.float32)
    for row, name in enumerate(truth):
        place = 1 + 2 * "abc".index(name)
        x[row, 0, :, place : place + 2] += 0.7
    return x, [name if row < labelled else None for row, name in enumerate(truth)], truth


def test_the_models_own_classifier_is_measured_on_every_known_image(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CONDVAE_CACHE", str(tmp_path / "cache"))
    x, few, truth = signs()
    run = fit(x, {"sign": few}, test=(x, {"sign": truth}), out=tmp_path / "run", epochs=4, **TINY)
    given = {"sign": [None if row < 40 else name for row, name in enumerate(truth)]}
    found = run.evaluate(x, given, judge={}, k=2, limit=20)
    assert isinstance(found, Evaluation) and found.calibration is not None and found.classification is not None
    read = run.classify(x[40:])
    by_hand = calibration(np.asarray(read.probabilities), np.asarray(["abc".index(name) for name in truth[40:]]))
    assert found.calibration.reader == CLASSIFIER and found.calibration.error == by_hand.error
    assert found.calibration.nll == pytest.approx(by_hand.nll) and found.calibration.ece == pytest.approx(by_hand.ece)
    assert found.classification == found.calibration.right and found.classification.of == 200
    table = {name: (value, beside) for name, value, beside in found.table()}
    assert "labels read by the model's classifier, q(label | x)" in table and "labels read by Bayes' rule" not in table
    assert {"  expected calibration error", "  negative log-likelihood of the label", "  Brier score"} <= set(table)
    assert Evaluation.model_validate(json.loads(json.dumps(found.model_dump(), allow_nan=False))) == found
    assert (tmp_path / "run" / "pictures" / "calibration.png").is_file()
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert TITLES["calibration"] in html and CAPTIONS["calibration"] in html


def test_bayes_rule_is_named_as_such_and_old_evaluations_are_read(tmp_path) -> None:
    x, _, truth = signs()
    plain: dict[str, Any] = {**TINY, "infer": None}
    run = fit(x, {"sign": truth}, epochs=1, **plain)
    found = run.evaluate(x, {"sign": truth}, judge={}, k=2, limit=20)
    assert isinstance(found, Evaluation) and found.calibration is not None and found.classification is not None
    assert found.calibration.reader == BAYES and found.classification.of == 20
    rows = [name for name, _, _ in found.table()]
    place = rows.index("labels read by Bayes' rule")
    assert rows[place + 1 : place + 4] == [
        "  expected calibration error",
        "  negative log-likelihood of the label",
        "  Brier score",
    ]
    old = {name: value for name, value in found.model_dump().items() if name != "calibration"}
    before = Evaluation.model_validate(old)
    assert before.calibration is None and "labels read by Bayes' rule" in [name for name, _, _ in before.table()]
    assert calibration_picture(before) == {} and set(calibration_picture(found)) == {"calibration"}


# --- drawn -----------------------------------------------------------------------------------------------------------


def test_the_diagram_is_drawn_of_one_bin_and_of_all() -> None:
    edges = (np.arange(BINS) + 0.5) / BINS
    ends = [(max(0.0, one - 0.1), min(1.0, one + 0.1)) for one in edges]
    full = reliability(edges.tolist(), edges.tolist(), [10_000] * BINS, ends, name="labels read by $x$")
    one = reliability([1.0], [1.0], [3], [(0.4, 1.0)])
    assert full.mode == "RGB" and full.size == one.size and np.asarray(full).std() > 5


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(Refused, match="one entry a bin"):
        reliability([], [], [], [])
    with pytest.raises(Refused, match="one entry a bin"):
        reliability([0.5], [0.5, 0.6], [1, 2], [(0, 1), (0, 1)])
    with pytest.raises(Refused, match="divide percentages"):
        reliability([50.0], [0.5], [1], [(0, 1)])
