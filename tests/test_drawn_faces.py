"""Drawn faces: functions of their factors alone, which can be read from the pictures; and the named data."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from condvae import datasets, drawn_data, drawn_faces, jobs
from condvae.data import choose_likelihood
from condvae.drawn_faces import FACTORS, STYLE, Factors, draw_faces, random_factors
from condvae.errors import Refused

TOP = 0.16  # of a picture's height: hair and wall alone


@pytest.fixture(scope="module")
def some() -> tuple[Factors, np.ndarray]:
    """1,500 faces of 32 pixels."""
    factors = random_factors(1500, 5)
    return factors, draw_faces(factors, 32)


def with_one(factors: Factors, name: str, value: str) -> Factors:
    return replace(factors, **{name: np.full(len(factors), value)})


def read_back(drawn: np.ndarray, labels: np.ndarray, name: str) -> float:
    """The share of the faces from the 1,000th on whose label a linear reader, fitted to those before, reads."""
    x, values = drawn.reshape(len(drawn), -1) / 255, np.asarray(FACTORS[name])
    targets = (labels[:, None] == values).astype(float)
    read = Ridge(30.0).fit(x[:1000], targets[:1000]).predict(x[1000:]).argmax(1)
    return float((values[read] == labels[1000:]).mean())


# --- functions of the factors ---------------------------------------------------------------------------------


def test_a_face_depends_on_seed_and_number_alone(monkeypatch: pytest.MonkeyPatch):
    many = random_factors(1200, 3)
    drawn = draw_faces(many.take(slice(0, 90)), 32)
    assert np.array_equal(drawn[:7], draw_faces(random_factors(7, 3), 32))
    last = random_factors(1100, 3).take(slice(1090, 1100))
    assert np.array_equal(draw_faces(last, 16), draw_faces(many.take(slice(1090, 1100)), 16))
    monkeypatch.setattr(drawn_faces, "PIXELS", 32 * 32)  # face by face
    assert np.array_equal(drawn, draw_faces(many.take(slice(0, 90)), 32))
    assert not np.array_equal(drawn[:7], draw_faces(random_factors(7, 4), 32))


@pytest.mark.parametrize("size", [16, 33, 64, 128])
def test_a_face_looks_alike_at_every_size(size: int):
    factors = random_factors(20, 1)
    drawn = draw_faces(factors, size)
    assert drawn.shape == (20, 3, size, size) and drawn.dtype == np.uint8
    fine = draw_faces(factors, 4 * size).reshape(20, 3, size, 4, size, 4).mean((3, 5))
    assert np.abs(fine - drawn).mean() < (4 if size > 16 else 8)
    near = [int(np.abs(fine[i] - drawn).mean((1, 2, 3)).argmin()) for i in range(20)]
    assert near == list(range(20))


def test_labels_are_balanced_and_independent():
    factors = random_factors(1500, 9)
    rows = list(zip(*(getattr(factors, name).tolist() for name in FACTORS), strict=True))
    for start in (0, 500, 1000):
        assert len(set(rows[start : start + 500])) == 500
    assert rows[:500] != rows[500:1000]
    assert abs(factors.pose.mean()) < 0.05 and abs(factors.pose.std() - 3**-0.5) < 0.03
    assert factors.style.min() >= 0 and factors.style.max() < 1
    assert np.abs(np.corrcoef(np.c_[factors.pose, factors.style].T) - np.eye(1 + len(STYLE))).max() < 0.12


# --- the factors are to be seen -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "least"), [("expression", 0.75), ("hair", 0.8), ("hair_colour", 0.65), ("skin", 0.8)])
def test_each_label_is_read_from_the_picture(some: tuple[Factors, np.ndarray], name: str, least: float):
    assert read_back(some[1], getattr(some[0], name), name) > least


def test_pose_is_read_from_the_picture(some: tuple[Factors, np.ndarray]):
    factors, drawn = some
    x = drawn.reshape(len(drawn), -1) / 255
    assert Ridge(30.0).fit(x[:1000], factors.pose[:1000]).score(x[1000:], factors.pose[1000:]) > 0.8


def test_the_eyebrows_of_a_bald_head_show_its_hair_colour(some: tuple[Factors, np.ndarray]):
    bald = with_one(some[0], "hair", "bald")
    assert read_back(draw_faces(bald, 32), bald.hair_colour, "hair_colour") > 0.6


# --- one factor changes what it should ------------------------------------------------------------------------


@pytest.mark.parametrize("mood", FACTORS["expression"][1:])
def test_an_expression_leaves_hair_wall_and_clothes(mood: str):
    factors = with_one(random_factors(60, 2), "expression", "neutral")
    change = draw_faces(factors, 64) != draw_faces(with_one(factors, "expression", mood), 64)
    assert change[:, :, 24:52, 12:52].any((1, 2, 3)).all()
    assert not change[:, :, : int(TOP * 64)].any() and not change[:, :, 58:].any()
    assert not change[:, :, :, :5].any() and not change[:, :, :, 59:].any()


def test_skin_leaves_the_wall_and_hair_colour_leaves_the_neck():
    factors = random_factors(60, 2)
    for name, value in (("skin", "dark"), ("hair_colour", "grey"), ("hair", "bald")):
        change = (draw_faces(factors, 64) != draw_faces(with_one(factors, name, value), 64)).any(1)
        assert not change[:, 2:4, :4].any()
    beardless = replace(factors, style=factors.style.copy())
    beardless.style[:, STYLE.index("beard")] = 0.99
    change = draw_faces(beardless, 64) != draw_faces(with_one(beardless, "hair_colour", "grey"), 64)
    assert not change[:, :, 56:, 28:36].any()


def test_a_mirrored_pose_mirrors_the_features():
    """A face without sweep, roll or shift, its two sides alike but for the shade: turned right it is turned left."""
    factors = random_factors(1, 0).take(np.zeros(2, np.int64))
    style = factors.style.copy()
    for name in ("sweep", "roll", "right"):
        style[:, STYLE.index(name)] = 0.5
    style[:, STYLE.index("parting")] = 0.0
    left, right = draw_faces(replace(factors, style=style, pose=np.array([0.8, -0.8])), 64).astype(int)
    middle = np.abs(left - right).mean()
    assert np.abs(left - right[:, :, ::-1]).mean() < 0.35 * middle


# --- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"expression": np.array(["hapy", "sad"])}, "expression must be one of .* got 'hapy', did you mean 'happy'"),
        ({"skin": np.array(["dark"])}, r"skin must be one label a face, 2, got the shape \[1\]"),
        ({"pose": np.array([0.0, 1.5])}, "pose must lie within -1 to 1, got 1.5"),
        ({"pose": np.array([np.nan, 0])}, "pose must lie within -1 to 1, got nan"),
        ({"style": np.zeros((2, 3))}, r"style must be \[2, 31\] numbers within 0 to 1"),
    ],
)
def test_factors_that_cannot_be_drawn_are_refused(change: dict[str, np.ndarray], words: str):
    with pytest.raises(Refused, match=words) as refused:
        draw_faces(replace(random_factors(2), **change))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("size", [15, 1025, 32.0, True])
def test_a_size_out_of_range_is_refused(size: int):
    with pytest.raises(Refused, match="size must be a whole number of pixels, 16 to 1024"):
        draw_faces(random_factors(1), size)


def test_numbers_of_faces_and_seeds_are_whole():
    with pytest.raises(Refused, match="n must be a whole number of at least 0, got -1"):
        random_factors(-1)
    with pytest.raises(Refused, match="seed must be a whole number"):
        random_factors(1, 0.5)  # pyright: ignore[reportArgumentType]
    assert draw_faces(random_factors(0), 16).shape == (0, 3, 16, 16)


# --- the named data -------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The named data at 16 pixels, in a cache of their own; tells of the cache's folder."""
    monkeypatch.setenv("CONDVAE_CACHE", str(tmp_path))
    monkeypatch.setitem(drawn_data.DRAWN, "faces-drawn", 16)
    return tmp_path / "drawn"


def test_the_collection_is_balanced_coloured_and_told_fields(small: Path):
    said: list[tuple[int, int]] = []
    made = datasets.load("faces-drawn", progress=lambda done, total: said.append((done, total)))
    assert made.test is not None and (len(made.train), len(made.test)) == (5000, 1000)
    assert made.fields == ("expression", "hair", "hair_colour", "skin", "pose") and made.source == "embedded"
    for part in (made.train, made.test):
        counts = Counter(zip(*part.labels.values(), strict=True))
        assert len(counts) == 500 and len(set(counts.values())) == 1
        assert part.numbers["pose"].shape == (len(part), 1)
    assert choose_likelihood(made.train.x)[0] == "gaussian"
    assert said[0] == (500, 6000) and said[-1] == (6000, 6000)
    assert np.array_equal(made.train.x[:3].numpy(), draw_faces(random_factors(3, drawn_data.SEED), 16))


def test_pictures_are_kept_and_those_of_another_generator_never_read(small: Path, monkeypatch: pytest.MonkeyPatch):
    factors = random_factors(60)
    first = drawn_data.drawn_pictures(factors, 16, small.parent)
    (kept,) = small.iterdir()
    monkeypatch.setattr(drawn_data, "PIECE", 0)  # nothing more can be drawn
    assert np.array_equal(drawn_data.drawn_pictures(factors, 16, small.parent), first)
    monkeypatch.undo()
    monkeypatch.setattr(drawn_data, "draw_faces", lambda factors, size: 255 - draw_faces(factors, size))
    assert np.array_equal(drawn_data.drawn_pictures(factors, 16, small.parent), 255 - first)
    (other,) = small.iterdir()
    assert other != kept


def test_a_damaged_or_forbidden_cache_costs_time_alone(tmp_path: Path):
    factors = random_factors(60)
    first = drawn_data.drawn_pictures(factors, 16, tmp_path)
    (kept,) = (tmp_path / "drawn").iterdir()
    kept.write_bytes(kept.read_bytes()[:-100])
    assert np.array_equal(drawn_data.drawn_pictures(factors, 16, tmp_path), first)
    assert np.array_equal(drawn_data.drawn_pictures(factors, 16, kept), first)  # no folder: a file


def test_the_data_are_listed_and_take_no_options(small: Path):
    lines = "\n".join(jobs.list_data().lines)
    assert "faces-drawn " in lines and "faces-drawn-128" in lines and "expression, hair" in lines
    with pytest.raises(Refused, match=r"size \(--size\) goes with a folder of images, not with faces-drawn"):
        datasets.load("faces-drawn", size=32)
    with pytest.raises(Refused, match="did you mean 'faces-drawn'"):
        datasets.load("face-drawn")
