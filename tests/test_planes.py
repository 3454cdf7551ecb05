"""The plane of two units: its middle is a drawing, a point is its cell bit by bit; a map of drawings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_api import SMALL, tiny
from test_tasks import linear, small
from test_walks import GIVEN, Watch, shrunk

import condvae
from condvae import planes, studio, tasks
from condvae.cli import main
from condvae.crossings import crossed, origin_of, two_units
from condvae.errors import Refused
from condvae.intake import drawings_of
from condvae.runs import Run, load

ZOO = Path(__file__).parents[1] / "zoo"
KINDS = [
    "defaults",
    "gaussian",
    "learned-prior",
    "mixture-prior",
    "autoregressive",
    "m2",
    "m2-auxiliary",
    "m1-m2",
    "holes",
    "ladder",
    "ladder-painting",
    "ladder-holes",
]


@pytest.fixture(scope="module")
def run() -> Run:
    x, y = tiny()
    return condvae.fit(x, {"digit": y}, progress=False, **SMALL)


@pytest.mark.parametrize("name", KINDS)
def test_the_middle_is_a_drawing_and_every_point_is_bitwise_that_of_any_plane(name: str) -> None:
    learned = shrunk(name)
    origin = origin_of(learned, GIVEN, 4)
    units = two_units(learned, origin.width)
    spots = np.random.default_rng(0).uniform(-2.5, 2.5, (300, 2))  # more than a chunk of rows
    spots[7] = 0
    images = crossed(learned, origin, units, spots)
    drawing = tasks.generate(learned, GIVEN, n=2, seed=4)[0]
    assert images.shape == (300, *learned.shape) and np.allclose(images[7], drawing, atol=1e-5)
    for place in (0, 7, 131, 255, 256, 299):
        assert np.array_equal(images[place], crossed(learned, origin, units, spots[place : place + 1])[0])
    again = crossed(learned, origin_of(learned, GIVEN, 4), units, spots[:9])
    assert np.array_equal(again, images[:9]) and not np.allclose(images, drawing, atol=1e-3)


def test_the_two_units_alone_move_by_deviations_of_the_density() -> None:
    learned = small(fitted=True)
    origin = origin_of(learned, {"digit": "2"}, 0)
    c = learned.condition(learned.schema.index({"digit": ["2"]}, 1), np.zeros(1, int))
    assert np.allclose(origin.deviations, learned.fitted(c).stddev[0].numpy(), atol=1e-6)  # type: ignore[misc]
    plain, _ = linear()
    origin = origin_of(plain, {"digit": "1"}, 3)
    watch = Watch(plain.model.decoder)  # type: ignore[arg-type]
    crossed(plain, origin, (1, 0), np.asarray([[0.0, 0], [1, 0], [0, -2]]))
    assert np.allclose(watch.last(3) - origin.z, [[0, 0], [0, 1], [-2, 0]], atol=1e-6)


def test_what_has_no_plane() -> None:
    with pytest.raises(Refused, match="a latent for each of its glimpses"):
        origin_of(shrunk("draw"), GIVEN)
    with pytest.raises(Refused, match="one value a field"):
        origin_of(shrunk("defaults"), {"sign": ["a", "b"]})
    x, y = tiny()
    single = condvae.fit(x, {"digit": y}, progress=False, **{**SMALL, "z": 1})
    with pytest.raises(Refused, match="this model has one; walk along it with traverse"):
        planes.plane(single, out="p.png")


def test_a_click_on_the_sheet_is_a_point(run: Run, tmp_path: Path) -> None:
    reply = planes.plane(run, ["digit=2"], 5, out=str(tmp_path / "p.png"), seed=6, reach=1.5)
    data = json.loads(json.dumps(reply.data))
    assert data["size"] == 5 and data["reach"] == 1.5 and data["given"] == "digit 2" and len(set(data["units"])) == 2
    assert data["at"] == [-1.5, -0.75, 0, 0.75, 1.5]
    sheet = np.asarray(Image.open(tmp_path / "p.png").convert("RGB"))
    wide, tall = data["cell"]
    assert sheet.shape == (5 * tall, 5 * wide, 3)
    planes.plane(run, ["digit=2"], 5, out=str(tmp_path / "p.npz"), seed=6, reach=1.5)
    with np.load(tmp_path / "p.npz") as held:
        images, units = held["images"], held["units"]
    assert images.shape == (5, 5, 1, 8, 8) and units.tolist() == data["units"]
    for r, c in ((0, 3), (4, 1), (2, 2)):
        place = [data["at"][c], data["at"][r]]
        one = planes.point(run, ["digit=2"], place, data["units"], out=str(tmp_path / "o.npz"), seed=6)
        with np.load(tmp_path / "o.npz") as held:
            assert np.array_equal(held["images"][0], images[r, c])
        assert one.data["at"] == place and one.data["units"] == data["units"]
        cell = sheet[r * tall : (r + 1) * tall, c * wide : (c + 1) * wide]
        assert np.array_equal(cell[tall // 16 :: tall // 8, wide // 16 :: wide // 8, 0], np.rint(images[r, c, 0] * 255))
    drawing = run.generate({"digit": "2"}, 1, 6)[0]
    assert np.allclose(images[2, 2], drawing, atol=1e-5)


def test_columns_go_along_the_first_unit(run: Run, tmp_path: Path) -> None:
    sheets = {}
    for units in ("0,2", "2,0"):
        planes.plane(run, ["digit=2"], 3, units, out=str(tmp_path / "p.npz"))
        with np.load(tmp_path / "p.npz") as held:
            sheets[units] = held["images"]
    assert np.array_equal(sheets["0,2"], sheets["2,0"].swapaxes(0, 1)) and not np.array_equal(*sheets.values())


def test_a_page_that_asks_point_after_point_settles_the_middle_once(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    made = []
    monkeypatch.setattr(planes, "origin_of", lambda *rest: made.append(rest[1:]) or origin_of(*rest))
    target = str(tmp_path / "o.png")
    for seed in (50, 50, 51, 50):
        planes.point(run, ["digit=1"], "0.5,-1", out=target, seed=seed)
    assert made == [({"digit": "1"}, 50), ({"digit": "1"}, 51)]
    for seed in range(60, 75):
        planes.point(run, ["digit=1"], "0.5,-1", out=target, seed=seed)
    assert len(planes.HELD[run]) <= planes.KEPT + 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"at": "1"}, "written 0.5,-1; got '1'"),
        ({"at": "a,b"}, "two numbers"),
        ({"at": (1, 2, 3)}, "two numbers"),
        ({"at": "nan,0"}, "less than 20 deviations"),
        ({"at": (0, 25)}, "less than 20 deviations"),
        ({"units": "1"}, "two units, such as 0,1; got 1 unit"),
        ({"units": "0,1,2"}, "got 3 units"),
        ({"units": "0,9"}, "numbers from 0 to 2"),
        ({"units": "x"}, "written 0,3,7"),
        ({"words": ["digit=1,2"]}, "one value a field"),
        ({"seed": -1}, "seed must be"),
        ({"out": "a.txt"}, "must end in"),
    ],
)
def test_points_that_cannot_be_drawn(run: Run, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        planes.point(run, **{"out": str(tmp_path / "o.png"), **options})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("options", "said"), [({"size": 1}, "size"), ({"size": 51}, "size"), ({"reach": 0}, "reach")])
def test_planes_that_cannot_be_drawn(run: Run, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        planes.plane(run, out=str(tmp_path / "o.png"), **options)


def test_the_command_draws_a_plane_or_a_point(run: Run, tmp_path: Path, capsys: Any) -> None:
    folder = str(run.save(tmp_path / "run"))
    sheet, one = str(tmp_path / "p.png"), str(tmp_path / "o.png")
    assert main(["plane", folder, "digit=3", "--size", "3", "-o", sheet, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size"] == 3
    assert main(["plane", folder, "digit=3", "--at=-1,0.5", "-o", one]) == 0
    assert "at -1 and unit" in capsys.readouterr().out.replace(" deviations", "") and Path(one).is_file()
    assert main(["plane", folder, "--at", "a", "-o", one]) == 2


# --- a map of the model's own drawings


def test_the_models_own_drawings_of_each_label_equally_many(run: Run) -> None:
    found = drawings_of(run, 50, 3)
    assert found.x.shape == (50, 1, 8, 8)
    assert sorted(list(found.given["digit"]).count(name) for name in "0123") == [12, 12, 13, 13]
    assert np.array_equal(found.x[1], run.generate({"digit": ["0", "1"]}, 1, 3)[1, 0])
    assert "50 drawings by the model itself, seed 3, not of data" in found.notes[0]


def test_numbers_are_drawn_as_they_were_in_training() -> None:
    x, y = tiny()
    made = condvae.fit(x, {"size": np.linspace(2, 4, 80), "digit": y}, progress=False, **SMALL)
    found = drawings_of(made, 40, 0)
    sizes = np.asarray(found.given["size"])
    assert (
        sizes.min() >= 2 and sizes.max() <= 4 and np.ptp(sizes) > 1 and made.embed(found.x, found.given).shape[0] == 40
    )
    bare = condvae.fit(x, progress=False, **SMALL)
    assert drawings_of(bare, 6).x.shape == (6, 1, 8, 8)


def test_a_map_of_drawings_says_what_it_is_of(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    reply = studio.embed(run, "drawings", out="m.png", limit=60, thumbnails=True)
    assert reply.lines[0].startswith("60 drawings, ") and "by the model itself" in reply.notes[0]
    assert Image.open("m.png").width > 300
    with pytest.raises(Refused, match="leave it out"):
        studio.embed(run, "drawings", out="m.png", given=["digit=1"])
    studio.embed(run, "drawings", out="m.npz")
    with np.load("m.npz") as held:
        assert held["z"].shape == (500, 3)
    np.savez("real.npz", x=tiny()[0], digit=tiny()[1])
    Path("real.npz").rename("drawings")
    with pytest.raises(Refused):  # a file of that name is meant, and this one is no image
        studio.embed(run, "drawings", out="m.png")


def test_a_point_of_the_zoo_is_a_cell_of_its_plane(tmp_path: Path) -> None:
    made = load(ZOO / "mnist-cvae")
    reply = planes.plane(made, ["digit=3"], 4, out=str(tmp_path / "p.npz"))
    planes.point(made, ["digit=3"], (reply.data["at"][3], reply.data["at"][0]), out=str(tmp_path / "o.npz"))
    with np.load(tmp_path / "p.npz") as held, np.load(tmp_path / "o.npz") as one:
        assert np.array_equal(held["images"][0, 3], one["images"][0])
        assert made.classify(held["images"][1:3, 1:3].reshape(4, 1, 28, 28)).names.tolist() == ["3"] * 4
