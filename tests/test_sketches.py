"""Drawings by hand: where their ink ends up, how thick and how dark, and that the model reads them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter

import condvae
from condvae import datasets, hands, sketches, studio
from condvae.conditions import Label, Schema
from condvae.data import unit
from condvae.errors import Refused
from condvae.inks import FINER, cleaned, extent_of, ground_of, laid, levelled, thicker
from condvae.runs import load

ZOO = str(Path(__file__).parents[1] / "zoo" / "mnist-cvae")
DIGIT = Label("digit", tuple("0123456789"), (0.1,) * 10)
LINES = {  # of a digit's box, as a hand goes
    "0": [[(0.5, 0), (0.2, 0.1), (0.05, 0.5), (0.2, 0.9), (0.5, 1), (0.8, 0.9), (0.95, 0.5), (0.8, 0.1), (0.5, 0)]],
    "1": [[(0.5, 0), (0.5, 1)]],
    "2": [[(0.1, 0.25), (0.25, 0.05), (0.55, 0), (0.85, 0.2), (0.8, 0.45), (0.1, 1), (0.95, 1)]],
    "3": [[(0.1, 0.1), (0.5, 0), (0.85, 0.2), (0.75, 0.42), (0.4, 0.48), (0.9, 0.65), (0.6, 1), (0.1, 0.92)]],
    "4": [[(0.1, 0), (0.1, 0.5), (0.9, 0.5)], [(0.8, 0), (0.8, 1)]],
    "5": [[(0.9, 0), (0.2, 0), (0.15, 0.45), (0.5, 0.38), (0.9, 0.6), (0.85, 0.9), (0.5, 1), (0.1, 0.9)]],
    "6": [[(0.75, 0), (0.35, 0.2), (0.1, 0.6), (0.2, 0.9), (0.5, 1), (0.8, 0.9), (0.8, 0.6), (0.5, 0.5), (0.1, 0.6)]],
    "7": [[(0.05, 0), (0.95, 0), (0.4, 1)]],
    "8": [[(0.8, 0.1), (0.5, 0), (0.2, 0.1), (0.2, 0.4), (0.8, 0.6), (0.8, 0.9), (0.5, 1), (0.2, 0.9)],
          [(0.2, 0.9), (0.2, 0.6), (0.8, 0.4), (0.8, 0.1)]],
    "9": [[(0.85, 0.2), (0.5, 0), (0.15, 0.15), (0.2, 0.42), (0.5, 0.5), (0.9, 0.3), (0.9, 0.1), (0.8, 0.6), (0.7, 1)]],
}  # fmt: skip


def drawn(name, pen=8, box=(60, 50, 120, 180), size=(280, 280), paper=255, ink=20):
    """A digit drawn with a round pen: its box is (left, top, wide, tall)."""
    canvas = Image.new("L", size, paper)
    brush = ImageDraw.Draw(canvas)
    left, top, wide, tall = box
    for line in LINES[name]:
        points = [(left + x * wide, top + y * tall) for x, y in line]
        brush.line(points, fill=ink, width=pen, joint="curve")
        for x, y in points:
            brush.ellipse([x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2], fill=ink)
    return canvas


class Upright:
    """A run that draws upright strokes of 3 x 16 pixels, whose middle is a column left of that of its pictures."""

    outputs = None

    def __init__(self, shape=(1, 20, 20), ground=0.0, ink=0.8, seen=True):
        self.shape, self.schema, self.asked = shape, Schema((DIGIT,)), 0
        self.ground, self.ink, self.seen = ground, ink, seen

    def generate(self, asked=None, n=1, seed=0):
        self.asked += 1
        x = np.full((n, *self.shape), self.ground, np.float32)
        x[:, :, 2:18, 7:10] = self.ink
        return x if self.seen else np.random.default_rng(seed).random(x.shape).astype(np.float32)


Fake: Any = Upright


@pytest.fixture
def saved(tmp_path):
    def save(image, name="a.png"):
        image.save(tmp_path / name)
        return str(tmp_path / name)

    return save


def upright(pen, tall, left=30, top=90, size=(200, 240)):
    """A stroke, pen wide and as tall as said, black on white."""
    canvas = Image.new("L", size, 255)
    ImageDraw.Draw(canvas).rectangle([left, top, left + pen - 1, top + tall - 1], fill=0)
    return canvas


# --- ink


def test_ink_is_measured_within_pixels():
    ink = np.zeros((40, 60), np.float32)
    ink[10:34, 20:26] = 1
    found = extent_of(ink, 2)
    assert found is not None and found.box == (5, 10, 17, 13) and found.longer == 12
    assert found.mass == pytest.approx((11, 11.5)) and found.middle == (11, 11.5)
    assert found.stroke == pytest.approx(3, abs=0.35)
    assert extent_of(np.zeros((5, 5))) is None


def test_light_that_falls_from_one_side_is_levelled():
    slope = np.linspace(0.4, 0.8, 30)[:, None] - np.linspace(0, 0.2, 40)
    x = np.stack([slope, np.full_like(slope, 0.3)]).astype(np.float32)
    x[:, 10:30, 12:20] = 0.1  # ink that runs into an edge
    level = levelled(x)
    assert ground_of(x[None]) is None and ground_of(level[None]) is not None
    assert np.ptp(level[:, :, 30:], (1, 2)).max() < 0.1 and np.array_equal(level[1, :, 30:].round(3), x[1, :, 30:])
    assert np.allclose(levelled(np.full((1, 5, 6), 0.25)), 0.25)


def test_ink_grows_by_as_much_on_every_side():
    ink = np.zeros((30, 30), np.float32)
    ink[10:20, 12:14] = 1
    wide = thicker(ink, 3)
    assert (wide >= 0.5).any(0).sum() == 8 and (wide >= 0.5).any(1).sum() == 16
    assert wide.min() >= 0 and wide.max() == 1


def test_dust_goes_and_the_dot_of_an_i_stays():
    ink = np.zeros((100, 100), np.float32)
    ink[30:90, 48:54], ink[15:21, 48:54], ink[5, 5], ink[80, 80] = 1, 1, 1, 0.3
    kept = cleaned(ink)
    assert kept[5, 5] == kept[80, 80] == 0 and (kept[15:21, 48:54] == 1).all() and (kept[30:90, 48:54] == 1).all()


def test_ink_is_laid_as_means_over_areas_and_cut_at_the_edges():
    ink = np.ones((2 * FINER, FINER), np.float32)
    x = laid(ink, (4, 5), (1.5, 2))
    assert x[:, 2].tolist() == [0, 0.5, 1, 0.5] and x.sum() == 2
    assert laid(ink, (4, 5), (-1, 4.5))[0].tolist() == [0, 0, 0, 0, 0.5]


# --- how a run draws


def test_the_habit_is_learnt_once_from_the_runs_own_drawings():
    run = Fake()
    habit = sketches.habit_of(run)
    assert habit is sketches.habit_of(run) and run.asked == 1
    assert habit is not None and habit.ground == 0 and np.allclose(habit.ink, 0.8)
    assert habit.longer == pytest.approx(16, abs=0.3) and habit.stroke == pytest.approx(3, abs=0.3)
    assert habit.centre == pytest.approx((10, 8.5), abs=0.1) and habit.lines and not habit.dark


def test_runs_without_ground_or_ink_have_no_habit():
    assert sketches.learnt(np.random.default_rng(0).random((9, 3, 8, 8))) is None
    assert sketches.learnt(np.full((9, 1, 8, 8), 0.5)) is None
    several = Fake((3, 20, 20)).generate(None, 9)
    assert sketches.learnt(several) is not None
    several[:, 1, 10:18], several[:, 2, 2:10] = 0, 0  # two inks
    assert sketches.learnt(several) is None


@pytest.mark.parametrize(("ground", "ink"), [(0.0, 0.8), (1.0, 0.1)])
@pytest.mark.parametrize("pen", [3, 19])
def test_a_stroke_becomes_one_of_the_runs_own(saved, ground, ink, pen):
    run = Fake(ground=ground, ink=ink)
    x, notes = sketches.sketch(run, saved(upright(pen, 100)))
    own = run.generate(None, 1)[0]
    assert x.dtype == np.float32 and x.shape == own.shape
    assert np.abs(x - own).mean() < 0.02 and np.abs(x - own).max() < 0.55  # an edge may lie within a pixel
    (note,) = notes
    assert ("inverted" in note) == (ground == 0) and ("thicker" in note) == (pen == 3) and "placed as" in note


def test_where_and_how_large_it_was_drawn_does_not_matter(saved):
    run = Fake()
    first, _ = sketches.sketch(run, saved(upright(20, 80)))
    moved, _ = sketches.sketch(run, saved(upright(40, 160, 120, 20)))
    assert np.abs(first - moved).max() < 0.1


def test_wide_ink_is_made_to_fit(saved):
    run = Fake((1, 20, 11))
    flat = upright(20, 200, size=(240, 240), left=20, top=20).rotate(90, fillcolor=255)
    x, _ = sketches.sketch(run, saved(flat))
    assert (x[0] > 0.4).any(0).all() and (x[0] > 0.4).any(1).sum() <= 4


def test_a_file_of_the_runs_own_size_and_ground_stays_as_it_is(saved):
    run = Fake()
    own = np.zeros((20, 20), np.uint8)
    own[2:5, 2:9] = 90
    x, notes = sketches.sketch(run, saved(Image.fromarray(own)))
    assert np.array_equal(x[0], (own / np.float32(255)).astype(np.float32)) and notes == ()
    turned, notes = sketches.sketch(run, saved(Image.fromarray(255 - own)))
    assert "inverted" in notes[0] and turned[0, :3].max() < 0.1


def test_runs_and_files_without_a_ground_are_resized_alone(saved):
    path = saved(upright(20, 80))
    x, notes = sketches.sketch(Fake(seen=False), path)
    assert x.shape == (1, 20, 20) and notes == ("a.png was resized from 200 x 240 to 20 x 20 pixels",)
    noise = np.random.default_rng(0).integers(0, 255, (50, 50), np.uint8)
    x, notes = sketches.sketch(Fake(), saved(Image.fromarray(noise)))
    assert x.std() > 0.01 and "no ground of one colour" in notes[-1]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1"])
@pytest.mark.parametrize("size", [(280, 280), (20, 20)])
def test_an_empty_canvas_is_refused(saved, mode, size):
    for colour in (0, 255):
        bare = Image.new("L", size, colour).convert(mode)
        if mode == "RGBA":
            bare.putalpha(colour)
        with pytest.raises(Refused, match="the drawing is empty: no ink was found on it; draw something"):
            sketches.sketch(Fake(), saved(bare))


def test_a_transparent_canvas_and_colour_models(saved):
    canvas = Image.new("RGBA", (200, 240), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).rectangle([30, 90, 44, 169], fill=(0, 0, 0, 255))
    run = Fake((3, 20, 20))
    x, _ = sketches.sketch(run, saved(canvas))
    assert np.abs(x - run.generate(None, 1)[0]).mean() < 0.03


def test_collections_and_tables_are_no_drawings(monkeypatch, tmp_path):
    monkeypatch.setattr(studio, "opened", lambda run: run)
    monkeypatch.setattr(hands, "opened", lambda run: run)
    with pytest.raises(Refused, match="leave out --sketched"):
        studio.classify(Fake(), "digits", sketched=True)
    rows = Fake()
    rows.outputs = Schema((DIGIT,))
    with pytest.raises(Refused, match="sketch"):
        sketches.sketch(rows, "a.png")
    with pytest.raises(Refused, match="--style FILE"):
        hands.write(Fake(), "1", sketched=True, out=str(tmp_path / "w.png"))


# --- real runs


@pytest.fixture(scope="module")
def mnist():
    return load(ZOO)


@pytest.mark.parametrize("pen", [3, 20])
def test_digits_drawn_with_any_pen_are_read(mnist, saved, pen):
    x = [sketches.sketch(mnist, saved(drawn(name, pen)))[0] for name in LINES]
    wrong = [name for name, read in zip(LINES, mnist.classify(np.stack(x)).names, strict=True) if name != read]
    assert len(wrong) <= 1, wrong


def test_a_scan_is_read(mnist, saved):
    """Uneven light, grain and a speck, in grey on grey, turned by nothing: a page before a camera."""
    rng = np.random.default_rng(0)
    scan = np.asarray(drawn("3", 9, paper=215, ink=70).filter(ImageFilter.GaussianBlur(2)), float)
    scan += np.linspace(-40, 30, 280)[:, None] + rng.normal(0, 5, scan.shape)
    scan[15:18, 15:18] = 60
    reply = studio.classify(mnist, saved(Image.fromarray(scan.clip(0, 255).astype(np.uint8)), "s.jpg"), sketched=True)
    assert reply.data["names"] == ["3"] and "inverted" in reply.notes[0] and len(reply.notes) == 1


def test_the_requests_that_take_a_drawing(mnist, saved, tmp_path):
    path = saved(drawn("2"))
    studio.restyle(mnist, path, to=["digit=7"], out=str(tmp_path / "r.npz"), sketched=True)
    hands.write(mnist, "7", path, out=str(tmp_path / "w.npz"), sketched=True)
    with np.load(tmp_path / "r.npz") as restyled, np.load(tmp_path / "w.npz") as written:
        assert np.array_equal(restyled["images"][0, 0], written["images"][0])
        assert np.array_equal(restyled["real"][0], sketches.sketch(mnist, path)[0])
        assert mnist.classify(written["images"]).names.tolist() == ["7"]


@pytest.mark.skipif("CONDVAE_DATA" not in os.environ, reason="needs MNIST's files")
def test_real_digits_on_a_canvas_are_read_nearly_as_well(mnist, saved):
    part, rng = datasets.load("mnist").test, np.random.default_rng(0)
    assert part is not None
    x, truth = unit(part.x[slice(0, 100)]).numpy(), part.labels["digit"][:100]
    laid_out = []
    for picture in x:
        side = round(200 * rng.uniform(0.5, 1.5))
        large = Image.fromarray((255 * picture[0]).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
        ink = np.asarray(large) > 40
        (top, *_, bottom), (left, *_, right) = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
        canvas = Image.new("L", (280, 280))
        canvas.paste(large, (int(rng.integers(-left, 279 - right)), int(rng.integers(-top, 279 - bottom))))
        laid_out.append(sketches.sketch(mnist, saved(ImageChops.invert(canvas)))[0])
    real, found = (sum(a == b for a, b in zip(mnist.classify(z).names, truth, strict=True)) for z in (x, laid_out))
    assert found >= real - 3 and np.abs(np.stack(laid_out) - x).mean() < 0.04


def test_small_pictures_of_another_collection(saved):
    """scikit-learn's digits, 8 x 8, whose ink is cut close: read by a run of a few passes."""
    part = datasets.load("digits").train
    x, y = unit(part.x[slice(0, 1000)]).numpy(), part.labels["digit"][:1000]
    run = condvae.fit(x, {"digit": y}, progress=False, network="mlp", z=6, epochs=12, batch=20, threads=1)
    habit = sketches.habit_of(run)
    assert habit is not None and habit.lines and not habit.dark and habit.longer > 7
    small = np.stack([sketches.sketch(run, saved(drawn(name)))[0] for name in LINES])
    right = [name == read for name, read in zip(LINES, run.classify(small).names, strict=True)]
    assert small.shape == (10, 1, 8, 8) and sum(right) >= 7


def test_ground_is_that_of_the_edges():
    x = np.zeros((2, 3, 6, 6), np.float32)
    x[:, 0] = 0.5
    ground = ground_of(x)
    assert ground is not None and ground.ravel().tolist() == [0.5, 0, 0] and hands.ground_of is ground_of
