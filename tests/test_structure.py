"""How well fields separate in latents: against closed forms and cases counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from condvae.structure import MOST, Structure, elected, of_label, of_number

RNG = np.random.default_rng(0)


def clusters(labels: int, each: int, wide: int = 8) -> tuple[np.ndarray, list[str]]:
    """Points near one corner a label, 100 apart."""
    codes = np.repeat(np.arange(labels), each)
    return 100 * np.eye(labels, wide)[codes] + 0.1 * RNG.normal(size=(len(codes), wide)), [str(code) for code in codes]


def test_clusters_far_apart_are_told_apart() -> None:
    found = of_label(*clusters(4, 60))
    assert found.silhouette is not None and found.silhouette > 0.99
    assert (found.accuracy, found.chance, found.k, found.rows) == (1.0, 0.25, 15, 240)
    assert found.text() == "silhouette 1.00, 15-NN accuracy 100.0 % (chance 25.0 %), in the 8 latents"


def test_shuffled_labels_are_told_apart_by_chance_alone() -> None:
    z = RNG.normal(size=(1500, 4))
    found = of_label(z, RNG.permutation(["a"] * 500 + ["b"] * 500 + ["c"] * 500).tolist())
    assert found.silhouette is not None and abs(found.silhouette) < 0.02
    assert found.accuracy == pytest.approx(1 / 3, abs=0.05) and found.chance == pytest.approx(1 / 3)
    number = of_number(z, RNG.normal(size=1500))
    assert number.r2 is not None and -0.2 < number.r2 < 0.02  # the mean of 15 adds a fifteenth of the variance


def test_four_points_by_hand() -> None:
    # a at 0 and 1, b at 5 and 7: distances within 1 and 2, to the others 6, 5, 4.5 and 6.5
    by_hand = np.mean([1 - 1 / 6, 1 - 1 / 5, 1 - 2 / 4.5, 1 - 2 / 6.5])
    found = of_label(np.array([[0.0], [1.0], [5.0], [7.0]]), ["a", "a", "b", "b"])
    assert found.silhouette == pytest.approx(by_hand) and found.accuracy == 1.0 and found.k == 2
    assert found.text().endswith("in the one latent")
    # the two nearest of each have the mean 3, 2.5, 3, 2 where 1, 2, 3, 4 is right
    number = of_number(np.array([[0.0], [1.0], [2.2], [3.5]]), np.array([1.0, 2.0, 3.0, 4.0]))
    means = [2.5, 2.0, 3.0, 2.5]
    assert number.r2 == pytest.approx(1 - np.square(np.subtract(means, [1, 2, 3, 4])).sum() / 5)


def test_votes_and_ties() -> None:
    assert elected(np.array([[2, 0, 0], [1, 2, 0], [0, 1, 1]]), 3).tolist() == [0, 1, 1]
    assert elected(np.array([[1, 0, 0, 1]]), 2).tolist() == [1]  # 1 comes first
    assert elected(np.array([[1] * 7 + [0] * 8]), 2).tolist() == [0]  # eight votes are more than seven early ones


def test_a_number_that_the_latents_hold_is_read() -> None:
    z = RNG.uniform(size=(900, 2))
    found = of_number(z, 3 * z[:, 0] - 1)
    assert found.r2 is not None and found.r2 > 0.95
    assert found.text() == f"15-NN regression R² {found.r2:.2f}, in the 2 latents"


def test_latents_are_taken_as_they_are() -> None:
    z, labels = clusters(2, 50, 2)
    stretched = np.concatenate([z, 1e4 * RNG.normal(size=(100, 1))], 1)
    found = of_label(stretched, labels)
    assert found.silhouette is not None and found.silhouette < 0.1


def test_the_unknown_are_left_out() -> None:
    z, labels = clusters(3, 20)
    some = [label if i % 5 else None for i, label in enumerate(labels)]
    kept = [i for i in range(60) if i % 5]
    assert of_label(z, some) == of_label(z[kept], [labels[i] for i in kept])
    numbers = np.where(np.arange(60) % 5 == 0, np.nan, z[:, 0])
    assert of_number(z, numbers) == of_number(z[kept], z[kept, 0])


def test_of_many_rows_a_sample_of_the_seed_is_measured() -> None:
    z, labels = RNG.normal(size=(MOST + 500, 2)), ["a", "b"] * (MOST // 2 + 250)
    assert of_label(z, labels, 1) == of_label(z, labels, 1) != of_label(z, labels, 2)
    assert of_label(z, labels).rows == MOST


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a"] * 5, "all rows have the same label"),
        ([None] * 5, "the label is known of 0 rows, and it takes 3"),
        (["a", "b", None, None, None], "the label is known of 2 rows, and it takes 3"),
    ],
)
def test_what_cannot_be_measured_says_why(labels: list[str | None], said: str) -> None:
    found = of_label(RNG.normal(size=(5, 2)), labels)
    assert found == Structure(2, sum(label is not None for label in labels), why=said)
    assert found.text() == f"not measured in the 2 latents: {said}"


def test_further_hindrances() -> None:
    z = RNG.normal(size=(6, 2))
    assert "same number" in of_number(z, np.ones(6)).text()
    assert "known of 0 rows" in of_number(np.zeros((0, 4)), np.zeros(0)).text()
    z[2, 1] = np.nan
    assert "not finite" in of_label(z, ["a", "b"] * 3).text()


def test_labels_of_one_row_each_and_latents_all_alike() -> None:
    one_each = of_label(RNG.normal(size=(9, 2)), [str(i) for i in range(9)])
    assert one_each.silhouette is None and one_each.accuracy == 0 and "silhouette" not in one_each.text()
    alike = of_label(np.zeros((40, 3)), ["a", "b"] * 20)
    assert alike.silhouette == 0 and alike.accuracy is not None and alike.accuracy <= 0.6
