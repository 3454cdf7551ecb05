"""Holes filled and lines written: what is asked of the run, and what comes out as a picture and as arrays."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from test_api import SMALL

import condvae
from condvae import hands
from condvae.conditions import Attribute, Label, Number, Picture, Schema
from condvae.errors import Refused

ZOO = str(Path(__file__).parents[1] / "zoo" / "mnist-cvae")
DIGIT = Label("digit", tuple("0123456789"), (0.1,) * 10)
LETTER = Label("letter", ("A", "B", "b", "É", "e"), (0.2,) * 5)
SIZE = Number.learn("size", np.asarray([[1.0], [2.0], [5.0]]))


class Fake:
    """A run that remembers what it was asked; its pictures say which label they show by their brightness."""

    outputs = None  # pictures, not rows of a table

    def __init__(self, fields=(DIGIT,), shape=(1, 8, 8)):
        self.shape, self.schema, self.asked = shape, Schema((*fields, Picture("part", shape))), []

    def fill(self, x, seen, given=None, n=5, seed=0, temperature=1.0, prior=None):
        self.asked.append((x, seen, given, n, seed, temperature, prior))
        drawn = np.linspace(0.2, 0.8, n, dtype=np.float32)[None, :, None, None, None]
        return np.where(seen[:, None], x[:, None], drawn).astype(np.float32)

    def generate(self, asked=None, n=1, seed=0):
        self.asked.append(("generate", asked, n, seed))
        drawn = np.zeros((n, *self.shape), np.float32)
        drawn[..., 3] = 1
        return drawn if asked is None else drawn[None]

    def classify(self, x, field=None, given=None):
        self.asked.append(("classify", field, given))
        return type("Read", (), {"names": np.asarray(["7"])})

    def restyle(self, x, given, to):
        self.asked.append(("restyle", x, given, to))
        (values,) = to.values()
        out = np.zeros((1, len(values), *self.shape), np.float32)
        for place in range(len(values)):
            out[:, place, :, 2:-2, 2 : 4 + place % 3] = 1
        return out


@pytest.fixture
def fake(monkeypatch):
    made = Fake()
    monkeypatch.setattr(hands, "opened", lambda path: made)
    return made


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    return str(path)


def test_a_hole_is_filled_and_kept_as_arrays(fake, image, tmp_path):
    target = tmp_path / "f.npz"
    options: dict[str, Any] = {"given": ["digit=6"], "seed": 9, "temperature": 0.5, "prior": "model"}
    reply = hands.fill("r", image, hole="2,1,3,4", n=3, out=str(target), **options)
    x, seen, *rest = fake.asked[0]
    assert x.shape == (1, 1, 8, 8) and seen.shape == (1, 1, 8, 8) and rest == [{"digit": "6"}, 3, 9, 0.5, "model"]
    assert not seen[0, 0, 1:5, 2:5].any() and (~seen).sum() == 12
    with np.load(target, allow_pickle=False) as held:
        assert np.array_equal(held["x"], x[0]) and np.array_equal(held["seen"], seen[0])
        assert held["images"].shape == (3, 1, 8, 8) and np.allclose(held["images"][2, 0, 1, 2], 0.8)
    assert reply.files == (target,) and "3 completions of a.png, 19 % of it hidden" in reply.lines[0]


def test_mask_and_transparency_say_what_is_hidden(fake, image, tmp_path):
    white = np.zeros((8, 8), np.uint8)
    white[:, :2] = 255
    Image.fromarray(white).save(tmp_path / "m.png")
    hands.fill("r", image, str(tmp_path / "m.png"), out=str(tmp_path / "f.png"))
    assert not fake.asked[-1][1][..., :2].any() and fake.asked[-1][1][..., 2:].all()
    clear = Image.open(image)
    clear.putalpha(Image.fromarray(255 - white.T))
    clear.save(tmp_path / "clear.png")
    hands.fill("r", str(tmp_path / "clear.png"), out=str(tmp_path / "f.png"))
    assert not fake.asked[-1][1][..., :2, :].any() and fake.asked[-1][1][..., 2:, :].all()
    hands.fill("r", str(tmp_path / "clear.png"), hole="7,7,1,1", out=str(tmp_path / "f.png"))
    assert (~fake.asked[-1][1]).sum() == 1


def test_the_picture_shows_the_tinted_original_then_the_completions(fake, image, tmp_path):
    hands.fill("r", image, hole="0,0,4,8", n=4, out=str(tmp_path / "f.png"))
    drawn = np.asarray(Image.open(tmp_path / "f.png").convert("RGB")).astype(int)
    cell = drawn.shape[1] // 5
    coloured = (np.ptp(drawn, 2) > 20).any(0)
    assert coloured[: cell // 2].any() and not coloured[cell:].any() and drawn.shape[1] > 3 * drawn.shape[0]


def gaps(blank):
    """(first, last + 1) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], blank.astype(int), [0]])))
    return list(zip(edges[::2], edges[1::2], strict=True))


@pytest.mark.parametrize(
    ("shape", "n", "lines"),
    [((1, 8, 8), 5, (2, 3)), ((3, 8, 24), 5, (1, 5)), ((1, 24, 8), 6, (3, 2)), ((3, 8, 8), 1, (1, 1))],
)
def test_pairs_stand_apart_and_each_shows_the_original(monkeypatch, tmp_path, shape, n, lines):
    monkeypatch.setattr(hands, "opened", lambda path: Fake(shape=shape))
    grey = np.full((*shape[1:], 3), 60, np.uint8)
    Image.fromarray(grey if shape[0] == 3 else grey[..., 0]).save(tmp_path / "a.png")
    hands.fill("r", str(tmp_path / "a.png"), hole="0,0,4,8", n=n, out=str(tmp_path / "f.png"), pairs=True)
    drawn = np.asarray(Image.open(tmp_path / "f.png").convert("RGB")).astype(int)
    white = (drawn == 255).all(2)
    down = gaps(~white.all(1))
    assert len(down) == lines[1]
    first = ~white[slice(*down[0])].all(0)
    across = gaps(first)
    assert len(across) == 2 * lines[0]
    widths = [after[0] - before[1] for before, after in pairwise(across)]
    assert len(set(widths[::2])) == 1 and all(wide > 2 * widths[0] for wide in widths[1::2])
    for place, (left, right) in enumerate(across):
        tinted = (np.ptp(drawn[slice(*down[0]), left:right], 2) > 20).any()
        assert tinted == (place % 2 == 0)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 12, 30), (1, 30, 12)])
def test_a_mask_of_the_uploads_own_size(monkeypatch, tmp_path, shape):
    made = Fake(shape=shape)
    monkeypatch.setattr(hands, "opened", lambda path: made)
    Image.new("RGB", (640, 480), (200, 40, 90)).save(tmp_path / "photo.jpg")
    mask = Image.new("L", (640, 480))
    mask.paste(255, (320, 0, 640, 240))
    mask.save(tmp_path / "m.png")
    reply = hands.fill("r", str(tmp_path / "photo.jpg"), str(tmp_path / "m.png"), out=str(tmp_path / "f.png"))
    seen = made.asked[-1][1][0, 0]
    _, height, width = shape
    assert not seen[: height // 2, width // 2 :].any() and seen[height // 2 :].all() and seen[:, : width // 2].all()
    assert f"the mask of m.png was resized from 640 x 480 to {width} x {height} pixels" in reply.notes
    assert "25 % of it hidden" in reply.lines[0]


@pytest.mark.parametrize("shape", [(1, 6, 14), (3, 14, 6), (3, 8, 8)])
def test_a_tiny_run_of_holes_fills_any_shape(tmp_path, shape):
    x = np.random.default_rng(0).random((40, *shape)).astype(np.float32)
    settings: Any = {**SMALL, "holes": "any", "prior": "learned"}
    run = condvae.fit(x, {"digit": np.arange(40) % 4}, progress=False, **settings)
    photo = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    mask = Image.new("L", (640, 480))
    ImageDraw.Draw(mask).line([(60, 240), (580, 240)], fill=255, width=3)
    mask.save(tmp_path / "m.png")
    paths = [str(tmp_path / name) for name in ("photo.png", "m.png")]
    hands.fill(run, *paths, n=4, out=str(tmp_path / "f.npz"))
    with np.load(tmp_path / "f.npz") as held:
        hidden = ~np.broadcast_to(held["seen"], shape)
        assert held["images"].shape == (4, *shape) and 0 < hidden.mean() < 0.4
        assert (held["images"][:, ~hidden] == held["x"][~hidden]).all()
    (path,) = hands.fill(run, *paths, n=4, out=str(tmp_path / "f.png"), pairs=True).files
    assert Image.open(path).width > 300


def test_a_tint_is_hatched_where_nothing_is_seen():
    x, seen = np.full((1, 8, 8), 0.5, np.float32), np.ones((1, 8, 8), bool)
    seen[:, :, :4] = False
    shown = hands.tinted(x, seen)
    assert shown.shape == (3, 8, 8) and (shown[:, :, 4:] == 0.5).all()
    assert len(np.unique(shown[0, :, :4])) == 2 and (shown[0, :, :4] > shown[2, :, :4]).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "say what is hidden"),
        ({"mask": "m.png", "hole": "0,0,1,1"}, "not both"),
        ({"hole": "0,0,9,9"}, "must lie within"),
        ({"hole": "0,0,1,1", "given": ["part=1"]}, "condvae fill"),
        ({"hole": "0,0,1,1", "given": ["digit=1,2"]}, "one value a field"),
        ({"hole": "0,0,1,1", "n": 10**9}, "n may be at most"),
    ],
)
def test_holes_that_cannot_be_filled(fake, image, tmp_path, options, said):
    with pytest.raises(Refused, match=said):
        hands.fill("r", image, out=str(tmp_path / "f.png"), **options)
    with pytest.raises(Refused, match="say where to write"):
        hands.fill("no run", image, hole="0,0,1,1")
    assert fake.asked == []


def test_a_line_without_style_is_one_drawn_hand(fake, tmp_path):
    target = tmp_path / "w.npz"
    hands.write("r", " 31  13\t5 ", out=str(target), seed=4)
    first, (name, x, given, to) = fake.asked
    assert first == ("generate", {"digit": ["3"]}, 1, 4)
    assert name == "restyle" and x.shape == (1, 1, 8, 8) and given == {"digit": ["3"]}
    assert to == {"digit": ["3", "1", "5"]}
    with np.load(target, allow_pickle=False) as held:
        assert held["text"].tolist() == ["3", "1", "1", "3", "5"] and held["images"].shape == (5, 1, 8, 8)
        assert np.array_equal(held["images"][0], held["images"][3])
    hands.write("r", "31", given=["digit=8"], out=str(target))
    assert fake.asked[2][1] == {"digit": ["8"]} and fake.asked[3][2] == {"digit": ["8"]}


def test_a_style_is_read_or_given(fake, image, tmp_path):
    target = str(tmp_path / "w.png")
    reply = hands.write("r", "12", image, out=target)
    assert fake.asked[0] == ("classify", "digit", {}) and fake.asked[-1][2] == {"digit": ["7"]}
    assert any("a.png is read as digit 7" in note for note in reply.notes)
    grounds = [one[1:] for one in fake.asked if one[0] == "generate"]
    assert grounds == [(None, 64, 0)], "only the ground of the model's pictures is looked at, and once a run"
    assert np.isclose(fake.asked[-1][1][0, 0, 0, 5], 5 / 255)
    fake.asked.clear()
    reply = hands.write("r", "12", image, ["digit=2"], target)
    assert [one[0] for one in fake.asked] == ["restyle"] and fake.asked[-1][2] == {"digit": ["2"]}
    assert not reply.notes


def test_what_else_is_given_goes_with_the_hand(monkeypatch, tmp_path):
    made = Fake((SIZE, DIGIT))
    monkeypatch.setattr(hands, "opened", lambda path: made)
    hands.write("r", "12", given=["size=2"], out=str(tmp_path / "w.png"))
    assert made.asked[0][1] == {"digit": ["1"], "size": [2.0]} == made.asked[1][2]
    assert made.asked[1][3] == {"digit": ["1", "2"]}


def test_alphabets():
    smiling = Attribute("smiling", ("no", "yes"), (0.5, 0.5))
    both = Schema((smiling, DIGIT, SIZE, LETTER))
    assert hands.alphabet(both, "AB", None) is LETTER and hands.alphabet(both, "12", None) is DIGIT
    assert hands.alphabet(both, "AB", "digit") is DIGIT
    with pytest.raises(Refused, match="--field which label holds the characters: digit, letter"):
        hands.alphabet(both, "A1", None)
    with pytest.raises(Refused, match="size is no label"):
        hands.alphabet(both, "A1", "size")
    with pytest.raises(Refused, match="has no label"):
        hands.alphabet(Schema((SIZE, smiling)), "1", None)


def test_cases_fall_back_only_where_one_is_meant():
    names, notes = hands.spelled("aBb Éé", LETTER)
    assert names == ["A", "B", "b", None, "É", "É"]
    assert notes == ("'a' is written as 'A'", "'é' is written as 'É'")
    assert hands.spelled("E\u0301", LETTER)[0] == ["É"]
    several = Label("letter", ("\u01c4", "\u01c5"), (0.5, 0.5))  # two cases of one letter, the third is asked for
    with pytest.raises(Refused, match="holds no 'ǆ'"):
        hands.spelled("\u01c6", several)


@pytest.mark.parametrize(
    ("text", "said"),
    [("12x!x", r"digit holds no 'x', '!'; what can be written is 0, 1,"), ("  ", "got 0"), ("1" * 201, "got 201")],
)
def test_texts_that_cannot_be_written(fake, tmp_path, text, said):
    with pytest.raises(Refused, match=said):
        hands.write("r", text, out=str(tmp_path / "w.png"))


def glyph(left, right, ground=0.0):
    drawn = np.full((1, 28, 28), ground, np.float32)
    drawn[:, 5:20, left:right] = 1 - ground
    return drawn


@pytest.mark.parametrize("ground", [0.0, 1.0])
def test_characters_are_set_apart_by_their_ink(ground):
    row = hands.line({"1": glyph(12, 14, ground), "8": glyph(4, 24, ground)}, ["1", "8", None, "1"])
    assert row.shape[0] == 1 and row.shape[1] == 28 + 2 * (4 // 2)
    ink = (np.abs(row - ground) > 0.5).any((0, 1))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ink.astype(int), [0]])))
    widths, gaps = edges[1::2] - edges[::2], edges[2::2] - edges[1:-1:2]
    assert widths.tolist() == [2, 20, 2] and gaps[0] == 5 and gaps[1] > 15
    assert (row[:, :, 0] == ground).all() and (row[:, 0] == ground).all()


def test_pictures_without_a_ground_stand_edge_to_edge():
    noise = np.random.default_rng(0).random((2, 3, 8, 8)).astype(np.float32)
    row = hands.line({"a": noise[0], "b": noise[1]}, ["b", "a"])
    assert np.array_equal(row, np.concatenate([noise[1], noise[0]], 2))
    assert hands.trimmed(np.zeros((1, 9, 9)), np.zeros((1, 1, 1))).shape == (1, 9, 3)


def test_a_real_run_writes_legibly_and_repeatably(tmp_path):
    first, again, other = (str(tmp_path / f"{name}.npz") for name in ("a", "b", "c"))
    for target, seed in ((first, 0), (again, 0), (other, 1)):
        hands.write(ZOO, "31 13", out=target, seed=seed)
    held = [np.load(target)["images"] for target in (first, again, other)]
    assert np.array_equal(held[0], held[1]) and not np.allclose(held[0], held[2], atol=0.05)
    from condvae.runs import load

    assert load(ZOO).classify(held[0]).names.tolist() == ["3", "1", "1", "3"]
    (path,) = hands.write(ZOO, "31 13", out=str(tmp_path / "w.png")).files
    with Image.open(path) as drawn:
        assert drawn.height <= 280 and drawn.width > 2 * drawn.height
