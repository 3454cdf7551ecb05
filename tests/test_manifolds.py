"""Precision and recall by neighbours, and nearness to training images, against cases made by hand."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from condvae import manifolds, nearness
from condvae.errors import Refused
from condvae.findings import Manifolds, Nearness, Share
from condvae.images import as_images
from condvae.manifolds import precision_recall
from condvae.nearness import nearest
from condvae.verdicts_likeness import about_copies, about_recall


def shares(real: np.ndarray, drawn: np.ndarray, k: int = 3) -> tuple[float, float]:
    precision, recall = precision_recall(real, drawn, k)
    return precision.share, recall.share


def cloud(n: int, seed: int, around: float = 0.0, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(around, 1, (n, width)).astype(np.float32)


def test_a_line_of_points_worked_out_by_hand():
    real = np.asarray([[0.0], [1], [3], [10]])  # radii to the nearest other: 1, 1, 2, 7
    drawn = np.asarray([[-2.0], [2], [20]])  # radii: 4, 4, 18
    precision, recall = precision_recall(real, drawn, 1)
    assert (precision.right, precision.of) == (1, 3)  # 2 lies by 1 and by 3; -2 and 20 by none
    assert (recall.right, recall.of) == (4, 4)  # 0, 1 by -2 and 2; 3 by 2; 10 within 18 of 20


@pytest.mark.parametrize("k", [1, 3])
def test_it_is_what_brute_force_finds_in_blocks_too(k, monkeypatch):
    real, drawn = cloud(60, 0), cloud(45, 1, 0.7)

    def within(points: np.ndarray, centres: np.ndarray) -> float:
        radii = np.sort(cdist(centres, centres), 1)[:, k]
        return float((cdist(points, centres) <= radii).any(1).mean())

    expected = within(drawn, real), within(real, drawn)
    assert 0 < expected[0] < 1 and shares(real, drawn, k) == expected
    monkeypatch.setattr(manifolds, "ROWS_AT_ONCE", 7)
    assert shares(real, drawn, k) == expected


def test_the_same_are_wholly_precise_and_those_far_away_not_at_all():
    real = cloud(50, 0)
    assert shares(real, real) == (1, 1)
    assert shares(np.repeat(real[:5], 10, 0), np.repeat(real[:5], 10, 0)) == (1, 1)  # balls of no width
    assert shares(real, real + 100) == (0, 0)


def test_a_mode_that_is_never_drawn_costs_recall_alone():
    two = np.concatenate([cloud(300, 0), cloud(300, 1, 50)])
    one = np.concatenate([cloud(300, 2), cloud(300, 3)])
    whole = np.concatenate([cloud(300, 2), cloud(300, 3, 50)])
    (precision, recall), (all_precision, all_recall) = shares(two, one), shares(two, whole)
    assert precision == pytest.approx(all_precision, abs=0.1) and all_recall > 0.8
    assert recall == pytest.approx(all_recall / 2, abs=0.05)


def test_far_from_the_origin_nothing_is_lost_to_rounding():
    real, drawn = cloud(60, 0).astype(np.float64), cloud(45, 1, 0.7).astype(np.float64)
    assert shares(real + 1e5, drawn + 1e5) == shares(real, drawn)


def test_features_that_cannot_be_compared_are_refused():
    with pytest.raises(Refused, match="more than k = 3 rows"):
        precision_recall(cloud(3, 0), cloud(9, 0))
    with pytest.raises(Refused, match="rows each"):
        precision_recall(cloud(9, 0), cloud(9, 0, width=2))


def test_what_is_said_of_recall_depends_on_what_real_images_reach():
    def said(recall: int, real: int | None, precision: int = 90) -> list[str]:
        beside = None if real is None else Share(right=real, of=100)
        found = Manifolds(
            precision=Share(right=precision, of=100),
            recall=Share(right=recall, of=100),
            k=3,
            real_precision=beside,
            real_recall=beside,
        )
        return about_recall(found, "draw at a lower temperature")

    assert said(50, 60) == said(50, None) == about_recall(None, "") == []
    assert "Modes are missed" in said(40, 90)[0] and "90.0 %" in said(40, 90)[0]
    assert "Modes are missed" in said(20, None)[0]
    assert "not like real images" in said(20, 90, precision=5)[0]


# --- nearness --------------------------------------------------------------------------------------------------------


def rows(n: int, seed: int, side: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 1, side, side), np.float32)


def test_the_nearest_is_the_nearest_in_blocks_and_in_bytes_too(monkeypatch):
    train, x = (255 * rows(50, 0)).astype(np.uint8), rows(9, 1)
    expected = cdist(x.reshape(9, -1), train.reshape(50, -1) / 255).min(1)
    for at_once in (4_096, 7):
        monkeypatch.setattr(nearness, "AT_ONCE", at_once)
        np.testing.assert_allclose(nearest(torch.from_numpy(x), as_images(train)[0]), expected, rtol=1e-5)


def test_large_pictures_are_averaged_first():
    small = rows(4, 0, 32)
    large = as_images(small.repeat(2, 2).repeat(2, 3))[0]
    np.testing.assert_allclose(nearest(torch.from_numpy(small), large), 0, atol=1e-6)


def found(drawn: np.ndarray, real: np.ndarray, train: np.ndarray) -> Nearness | None:
    return nearness.nearness(torch.from_numpy(drawn), torch.from_numpy(real), as_images(train)[0], 0)


def test_copies_are_at_no_distance_and_what_is_new_as_far_as_real_images():
    train, real = rows(200, 0), rows(100, 1)
    copied, new = found(train[:100], real, train), found(rows(100, 2), real, train)
    assert copied is not None and new is not None
    assert copied.ratio == 0 and new.ratio == pytest.approx(1, abs=0.03)
    assert (new.pictures, new.training) == (100, 200) and 0 < (new.standard_error or 0) < 0.03
    assert "may be copies" in about_copies(copied)[0]
    assert about_copies(new) == about_copies(None) == []


def test_images_that_are_themselves_trained_on_say_nothing():
    train = rows(200, 0)
    assert found(rows(100, 2), train[:100], train) is None
    some = np.concatenate([train[:2], rows(98, 1)])  # data sets hold a picture twice now and then
    assert found(rows(100, 2), some, train) is not None


def test_fewer_are_looked_for_among_very_many(monkeypatch):
    monkeypatch.setattr(nearness, "WORK", 2 * 60 * 200 * 36)
    measured = found(rows(100, 2), rows(100, 1), rows(200, 0))
    assert measured is not None and measured.pictures == 60
