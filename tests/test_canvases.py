"""Drawing glimpse by glimpse: canvases and windows of a pass, the strip, the animation, and the command's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from shrunk import EVERY, SHAPE, SMALL, model_of, schema_of
from test_tasks import small

from condvae import draw_studio, strokes, tasks
from condvae.canvases import Canvases, canvases, canvases_of, row_by_row
from condvae.cli import main
from condvae.conditions import Label, Schema
from condvae.errors import Refused
from condvae.field_pictures import drawing
from condvae.learned import Learned
from condvae.models.build import build
from condvae.models.draw import DRAW
from condvae.runs import Run
from condvae.settings import Settings, settings_of

NAMES = ("draw", "draw-plain", "draw-holes")
ASKED: dict[str, Any] = {"sign": ["b", "c", None], "size": 1.5}
SIGN = Schema((Label("sign", ("a", "b", "c"), (0.5, 0.25, 0.25)),))
ZOO = str(Path(__file__).parents[1] / "zoo" / "mnist-cvae")


def learned_of(settings: Settings, precision: str = "32") -> Learned:
    model, schema = model_of(settings).eval(), schema_of(settings)
    return Learned(model, schema, SHAPE, settings.binarise, precision=precision, holes=settings.holes)


def shrunk(name: str) -> Learned:
    return learned_of(EVERY[name])


def pictures_of(rows: int) -> np.ndarray:
    return np.random.default_rng(3).random((rows, *SHAPE)).astype(np.float32)


# --- canvases


@pytest.mark.parametrize("name", NAMES)
def test_the_last_canvas_is_what_generate_draws(name: str) -> None:
    learned = shrunk(name)
    for asked in (ASKED, {"sign": "a"}, None):
        found = canvases(learned, asked, n=3, seed=5, temperature=0.8)
        drawn = tasks.generate(learned, asked, n=3, seed=5, temperature=0.8)
        assert np.array_equal(found.images[..., -1, :, :, :], drawn) and found.read is None
        assert found.images.shape == (*drawn.shape[:-3], 3, *SHAPE) and found.images.dtype == np.float32
        assert 0 <= found.images.min() <= found.images.max() <= 1
        assert all(np.abs(np.diff(found.images, axis=-4)).max(axis=(-3, -2, -1)).ravel() > 1e-6)
    fewer = canvases(learned, {"sign": "c"}, n=2, seed=5)
    assert np.array_equal(fewer.images, canvases(learned, {"sign": "c"}, n=3, seed=5).images[:2])


def test_half_precision_and_more_rows_than_a_chunk() -> None:
    learned = learned_of(EVERY["draw"], "bf16")
    found = canvases(learned, {"sign": "b"}, n=300, seed=2)
    assert np.array_equal(found.images[:, -1], tasks.generate(learned, {"sign": "b"}, n=300, seed=2))
    assert found.written is not None and found.written.shape == (300, 3, 4) and found.written.dtype == np.float32


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [None, 4])
def test_the_last_canvas_is_what_reconstruct_makes(name: str, seed: int | None) -> None:
    learned, x, given = shrunk(name), pictures_of(5), {"sign": ["a", "b", "c", None, "a"]}
    found = canvases_of(learned, x, given, seed)
    assert np.array_equal(found.images[:, -1], tasks.reconstruct(learned, x, given, seed))
    with_windows = name != "draw-plain"
    assert (found.written is not None) == (found.read is not None) == with_windows


def windowed(asked: tuple[float, ...], shape: tuple[int, int, int] = (1, 9, 13)) -> Learned:
    """A model of 3 x 3 filters that writes and reads through one window, whatever comes."""
    changed: dict[str, Any] = {"network": "draw", "likelihood": "bernoulli", "read": 3, "write": 3}
    model: Any = build(settings_of(SMALL, changed), SIGN, shape)
    with torch.no_grad():
        for linear in (model.reader.window, model.writer.linear):
            linear.weight[:5] = 0
            linear.bias[:5] = torch.tensor(asked)
    return Learned(model, SIGN, shape)


def test_windows_are_told_of_in_pixels() -> None:
    middle = windowed((0, 0, 2 * np.log(0.5), np.log(0.25), 3))
    found = canvases_of(middle, np.random.default_rng(0).random((2, 1, 9, 13)).astype(np.float32), {"sign": "a"})
    for windows in (found.written, found.read, canvases(middle, {"sign": "a"}, n=2).written):
        assert windows is not None and windows.shape == (2, 3, 4)
        assert np.allclose(windows, [4, 6, 3 * 6 * 0.25, 0.5], atol=1e-5)  # the longer side has 12 strides of a pixel
    corner = canvases(windowed((-1, 1, 0, 0, 0)), {"sign": "a"}).written
    assert corner is not None and np.allclose(corner, [-1, 13, 18, 1], atol=1e-5)


def test_rows_of_requests_share_their_noise() -> None:
    learned = shrunk("draw")
    found = row_by_row(learned, [{"sign": "a"}, {"sign": "a"}, {"sign": "b"}], n=2, seed=1)
    assert found.images.shape == (3, 2, 3, *SHAPE) and found.written is not None and found.written.shape == (3, 2, 3, 4)
    assert np.array_equal(found.images[0], found.images[1]) and not np.array_equal(found.images[0], found.images[2])
    assert np.array_equal(found.images[2, :, -1], tasks.generate(learned, {"sign": "b"}, n=2, seed=1))


@pytest.mark.parametrize("call", [lambda one: canvases(one), lambda one: canvases_of(one, pictures_of(1))])
def test_a_model_that_draws_at_once_has_none(call: Any) -> None:
    with pytest.raises(Refused, match="this one draws a picture at once; train one with network='draw'"):
        call(small())


# --- pictures


def where(tile: np.ndarray) -> np.ndarray:
    """Which pixels of [H, W, 3] are of the window's colour."""
    return (tile == np.asarray(strokes.RED)).all(-1)


def test_a_window_is_drawn_at_its_place_and_size() -> None:
    images = np.full((3, 10, 20), 0.5, np.float32)
    red = where(strokes.framed(images, np.asarray([4.5, 9.5, 6, 0.1]), 10))
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    assert red.shape == (100, 200) and not red[50, 100]
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (20, 79, 70, 129)  # the middle, 60 to each side
    assert red[20:80, 70:72].all() and not red[22:78, 72:128].any()  # two pixels thick
    blurred = where(strokes.framed(images, np.asarray([4.5, 9.5, 6, 0.5]), 10))
    assert red.sum() < blurred.sum() and not (red & ~blurred).any()


def test_a_window_beyond_the_edge_is_cut() -> None:
    images = np.zeros((5, 1, 10, 10), np.uint8)
    beyond = np.asarray([[0, 0, 6, 0], [-20, 4, 6, 0], [4.5, 4.5, 1e9, 1e9], [5, 5, 1e-9, 9], [4, 4, 2, 1e9]])
    red = where(strokes.framed(images, beyond, 8))
    assert red[0, :2, :28].all() and red[0, :28, 26:28].all() and not red[0, 29:].any()
    assert not red[1].any()
    assert red[2, :3].all() and red[2, -3:].all() and not red[2, 10:70, 10:70].any()
    assert not red[3].any() and not red[4, 36, 36] and red[4].any()
    assert not np.any(strokes.framed(images, None, 3))


def canvases_like(rows: int, n: int, steps: int, channels: int = 1) -> Canvases:
    generator = np.random.default_rng(1)
    images = generator.random((rows, n, steps, channels, 28, 28)).astype(np.float32)
    windows = generator.uniform(4, 20, (rows, n, steps, 4)).astype(np.float32)
    return Canvases(images, windows, None)


def test_a_strip_has_a_row_a_drawing_and_a_column_a_glimpse(monkeypatch: pytest.MonkeyPatch) -> None:
    laid: list[Any] = []
    sheet = strokes.sheet
    monkeypatch.setattr(strokes, "sheet", lambda *args: laid.append(args) or sheet(*args))
    found = canvases_like(3, 1, 5)
    picture = strokes.strip(found.images[:, 0], found.written[:, 0], ["a", "b", "c"])  # type: ignore[index]
    blocks, names, scale, _, heads = laid[0]
    assert blocks[0].shape[:2] == (3, 5) and names == ["a", "b", "c"] and heads == ["1", "2", "3", "4", "5"]
    assert scale == 1 and blocks[0].shape[2] >= strokes.SIDE and picture.width > picture.height
    many = canvases_like(2, 1, 64, 3)
    strokes.strip(many.images[:, 0], None)
    heads = laid[1][4]
    assert len(heads) == 12 and (heads[0], heads[-1]) == ("1", "64") and laid[1][0][0].shape[:2] == (2, 12)
    tiles = laid[1][0][0]
    assert np.array_equal(tiles[0, -1, :: tiles.shape[2] // 28, :: tiles.shape[3] // 28], shown(many.images[0, 0, -1]))


def shown(image: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.rint(image * 255).astype(np.uint8), 0, -1)


def test_an_animation_ends_without_windows(tmp_path: Path) -> None:
    found = canvases_like(2, 3, 4)
    drawn = strokes.frames(found.images, found.written, ["a", "b"])
    assert len(drawn) == 5 and len({one.size for one in drawn}) == 1
    assert [where(np.asarray(one)).any() for one in drawn] == [True] * 4 + [False]
    path = strokes.animate(found.images, found.written, tmp_path / "a.gif", ["a", "b"])
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == 5
        times = []
        for frame in range(5):
            image.seek(frame)
            times.append(image.info["duration"])
        assert len(set(times[:4])) == 1 and times[4] > times[0] + 1000
    assert len(strokes.frames(found.images, None)) == 4
    alone = strokes.frames(found.images[:1], None)[0]
    assert 2.8 < alone.width / alone.height < 3.2  # three in a line


@pytest.mark.parametrize("name", NAMES)
def test_the_report_shows_how_it_draws(name: str) -> None:
    picture = drawing(shrunk(name))
    assert picture is not None and where(np.asarray(picture)).any() == (name != "draw-plain")
    assert drawing(small()) is None


# --- in words


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    settings = settings_of(SMALL, {"network": "draw", "likelihood": "bernoulli"})
    model = build(settings, SIGN, SHAPE)
    assert isinstance(model, DRAW)
    return str(Run(model, SIGN, settings, SHAPE).save(tmp_path_factory.mktemp("runs") / "drawn"))


def test_the_command_writes_what_its_ending_says(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", run, "sign=b", "-o", str(tmp_path / "b.gif"), "--seed", "3"]) == 0
    assert capsys.readouterr().out.startswith(f"4 drawings of b, in 3 glimpses: {tmp_path}")
    with Image.open(tmp_path / "b.gif") as image:
        assert getattr(image, "n_frames", 1) == 4
    reply = draw_studio.draw(run, out=str(tmp_path / "all.png"))
    assert reply.lines[0].startswith("1 drawing each of a and b and c, in 3 glimpses: ") and "red: " in reply.lines[1]
    with Image.open(tmp_path / "all.png") as strip:
        assert strip.height > 3 * strokes.SIDE
    reply = draw_studio.draw(run, ["sign=a,c"], n=2, out=str(tmp_path / "two.npz"), seed=3, temperature=0.5)
    assert len(reply.lines) == 1
    with np.load(tmp_path / "two.npz") as held:
        assert held["images"].shape == (2, 2, 3, *SHAPE) and held["windows"].shape == (2, 2, 3, 4)
        assert held["sign"].tolist() == ["a", "c"] and held["seed"] == 3
        npz = str(tmp_path / "g.npz")
        assert main(["generate", run, "sign=c", "-n", "2", "-o", npz, "--seed", "3", "--temperature", "0.5"]) == 0
        with np.load(npz) as drawn:
            assert np.array_equal(held["images"][1, :, -1], drawn["images"][0])


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        ((), {}, "say where to write"),
        ((), {"out": "a.csv"}, "must end in one of"),
        (("sgn=a",), {"out": "a.png"}, "did you mean 'sign'"),
        ((), {"out": "a.png", "n": 0}, "n must be a whole number of at least 1"),
        ((), {"out": "a.gif", "n": 10**9}, "n may be at most"),
        ((), {"out": "a.gif", "temperature": -1.0}, "temperature must be"),
    ],
)
def test_words_that_cannot_be_used(run: str, words: tuple[str, ...], options: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        draw_studio.draw(run, words, **options)


def test_a_run_that_draws_at_once_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", ZOO, "digit=6", "-o", str(tmp_path / "six.gif")]) == 2
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1 and "train one with network='draw' (--network draw)" in err
