"""Pictures, plots and maps: what goes in comes out pixel for pixel; what cannot be drawn is refused in a sentence."""

import io
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from condvae import fonts, maps, maps_numbers, pictures, plots
from condvae.errors import Refused
from condvae.sheets import fitted, pixels

RNG = np.random.default_rng(0)


def state() -> bytes:
    """Numpy's global random state."""
    return np.random.get_state(legacy=False)["state"]["key"].tobytes()


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def test_pixels_round_trips_bytes_and_floats() -> None:
    x = noise(3, 1, 4, 5)
    wanted = np.repeat(np.moveaxis(x, 1, -1), 3, axis=-1)
    assert (pictures.pixels(x) == wanted).all()
    assert (pictures.pixels(x / 255.0) == wanted).all()
    assert (pictures.pixels(torch.from_numpy(x)) == wanted).all()
    assert (pictures.pixels(torch.from_numpy(x).float().div(255).requires_grad_()) == wanted).all()
    assert (pictures.pixels(torch.from_numpy(x > 99)) == (wanted > 99) * 255).all()
    assert pictures.pixels(torch.ones(1, 1, 2, 2, dtype=torch.bfloat16)).max() == 255


def test_pixels_keeps_the_order_of_colours() -> None:
    red = np.zeros((1, 3, 2, 2), np.uint8)
    red[:, 0] = 200
    assert pictures.pixels(red)[0, 0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((2, 2)), "shape"),
        (np.zeros((2, 4, 8, 8)), r"\[2, 4, 8, 8\]"),
        (np.zeros((0, 1, 8, 8)), "no image"),
        (np.zeros((1, 1, 0, 8)), "no image"),
        (np.full((1, 1, 2, 2), np.nan), "finite"),
        (np.full((1, 1, 2, 2), np.inf), "finite"),
        (np.full((1, 1, 2, 2), 1.5), "1.5"),
        (np.full((1, 1, 2, 2), -0.25), "-0.25"),
        (np.zeros((1, 1, 2, 2), np.int64), "int64"),
        (np.full((1, 1, 2, 2), None), "object"),
    ],
)
def test_what_is_no_image_is_refused(images: np.ndarray, said: str) -> None:
    with pytest.raises(Refused, match=said):
        pictures.grid(images)


def test_grid_holds_every_image_where_it_belongs() -> None:
    x = noise(2, 3, 3, 4, 5)
    drawn = np.asarray(pictures.grid(x, scale=2, pad=3))
    assert drawn.shape == (3 + 2 * (8 + 3), 3 + 3 * (10 + 3), 3)
    for r in range(2):
        for s in range(3):
            top, left = 3 + r * 11, 3 + s * 13
            tile = drawn[top : top + 8, left : left + 10]
            assert (tile == np.moveaxis(x[r, s], 0, -1).repeat(2, 0).repeat(2, 1)).all()
    assert (drawn[:3] == 255).all() and (drawn[11:14] == 255).all()


def test_grid_fills_the_last_row_with_paper() -> None:
    drawn = np.asarray(pictures.grid(np.zeros((5, 1, 4, 4)), columns=3, scale=1, pad=0))
    assert drawn.shape == (8, 12, 3)
    assert (drawn[4:, 8:] == 255).all() and (drawn[4:, :8] == 0).all()


def test_manifold_has_no_gaps() -> None:
    x = noise(3, 3, 1, 4, 4)
    drawn = np.asarray(pictures.manifold(x, scale=1))[..., 0]
    assert (drawn == x[:, :, 0].transpose(0, 2, 1, 3).reshape(12, 12)).all()
    with pytest.raises(Refused, match="4 axes"):
        pictures.manifold(x[0])


@pytest.mark.parametrize(("count", "side"), [(64, 28), (64, 8), (100, 28), (1, 28), (10, 32)])
def test_small_images_come_near_the_width_of_a_page(count: int, side: int) -> None:
    assert 400 <= max(pictures.grid(np.zeros((count, 1, side, side))).size) <= 950


def test_large_images_are_not_enlarged_and_absurd_ones_refused() -> None:
    assert max(pictures.grid(np.zeros((1, 1, 900, 900), np.uint8), pad=0).size) == 900
    with pytest.raises(Refused, match="fewer"):
        pictures.grid(np.zeros((100, 1, 28, 28), np.uint8), scale=100)


@pytest.mark.parametrize(
    ("name", "value"),
    [("columns", 0), ("columns", 2.5), ("columns", True), ("scale", 0), ("scale", "big"), ("pad", -1)],
)
def test_grid_refuses_numbers_out_of_range(name: str, value: object) -> None:
    with pytest.raises(Refused, match=name):
        pictures.grid(np.zeros((4, 1, 2, 2)), **{name: value})  # pyright: ignore[reportArgumentType]


def test_grid_refuses_columns_for_rows_and_labels_that_do_not_fit() -> None:
    rows = np.zeros((2, 3, 1, 4, 4))
    with pytest.raises(Refused, match="columns"):
        pictures.grid(rows, columns=2)
    with pytest.raises(Refused, match="2 rows, but 3"):
        pictures.grid(rows, labels=["a", "b", "c"])


STRANGE = [
    "<b>&",
    "ζήτα",
    "数字 6",
    "٣",
    "🙂",
    "a\nb\tc",
    "\x00",
    "\ud800",
    "$x^2$",
    "$\\frac{",
    "_hidden",
    "",
    "x" * 5000,
]


@pytest.mark.parametrize("label", STRANGE)
def test_any_text_can_be_a_label(label: str) -> None:
    with_name = np.asarray(pictures.grid(np.zeros((1, 2, 1, 8, 8)), labels=[label]))
    without = np.asarray(pictures.grid(np.zeros((1, 2, 1, 8, 8))))
    assert with_name.shape[0] == without.shape[0]
    assert without.shape[1] < with_name.shape[1] < without.shape[1] + 300
    assert (with_name[:, : with_name.shape[1] - without.shape[1]].min() < 128) == bool(label.strip("\x00"))


def test_text_is_one_line_of_letters_the_font_holds() -> None:
    line, path = fonts.readable("a\nb\x07c\ud83dd")
    assert line == "a b c□d"
    drawn, font = fonts.fit("long " * 100, 14, 120)
    assert drawn.endswith("…") and font.getlength(drawn) <= 120
    assert Path(path).name == "DejaVuSans.ttf"


def test_before_after_names_its_rows_and_goes_on_in_blocks() -> None:
    x = noise(20, 1, 28, 28)
    short, long = (
        pictures.before_after({"input": x[:10], "output": x[:10]}),
        pictures.before_after({"input": x, "output": x}),
    )
    assert long.width == short.width and long.height > 1.9 * short.height
    with pytest.raises(Refused, match="one shape"):
        pictures.before_after({"input": x, "output": x[:3]})
    with pytest.raises(Refused, match="empty"):
        pictures.before_after({})
    with pytest.raises(Refused, match="axes"):
        pictures.before_after({"input": x[0]})


def test_animation_keeps_frames_and_time(tmp_path: Path) -> None:
    frames = np.stack([np.full((1, 6, 6), value) for value in (0.0, 0.5, 1.0)])
    path = pictures.animation(frames, tmp_path / "deep" / "a.gif", fps=10, hold=0.5)
    with Image.open(path) as gif:
        assert gif.n_frames == 3 and gif.info["loop"] == 0  # pyright: ignore[reportAttributeAccessIssue]
        shown = []
        for i in range(3):
            gif.seek(i)
            shown.append((gif.convert("L").getpixel((3, 3)), gif.info["duration"]))
    assert shown == [(0, 100), (128, 100), (255, 600)]


def test_animation_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    one, other = Image.new("RGB", (4, 4)), Image.new("RGB", (5, 4))
    with pytest.raises(Refused, match=r"\.gif"):
        pictures.animation([one], tmp_path / "a.png")
    with pytest.raises(Refused, match="one size"):
        pictures.animation([one, other], tmp_path / "a.gif")
    with pytest.raises(Refused, match="none"):
        pictures.animation([], tmp_path / "a.gif")
    with pytest.raises(Refused, match="fps"):
        pictures.animation([one], tmp_path / "a.gif", fps=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".png", ".JPG", ".webp", ".gif", ".tiff"])
def test_save_writes_what_its_ending_says(tmp_path: Path, ending: str) -> None:
    image = pictures.grid(np.zeros((4, 1, 8, 8)))
    target = pictures.save(image, tmp_path / "new" / "folders" / f"six{ending}")
    with Image.open(target) as back:
        assert back.size == image.size
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_save_takes_bytes_and_loses_nothing_as_png(tmp_path: Path) -> None:
    image = pictures.grid(noise(4, 3, 8, 8))
    target = pictures.save(pictures.png(image), tmp_path / "a.png")
    assert (np.asarray(Image.open(target)) == np.asarray(image)).all()


def test_save_refuses_and_leaves_what_was_there(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4))
    old = tmp_path / "old.png"
    old.write_bytes(b"precious")
    for path in (
        tmp_path / "a.xyz",
        tmp_path / "a",
        old / "a.png",
        tmp_path / "a\0.png",
        tmp_path / ("n" * 400 + ".png"),
    ):
        with pytest.raises(Refused) as told:
            pictures.save(image, path)
        assert "\n" not in str(told.value)
    with pytest.raises(Refused, match="bytes"):
        pictures.save(b"no picture", old)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(Refused, match=r"folder\.png"):
        pictures.save(image, tmp_path / "folder.png")
    assert old.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.png", "old.png"]


def test_a_failed_move_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Refused, match="No space left"):
        pictures.write_bytes(b"x", tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


def history(epochs: int) -> list[dict[str, object]]:
    return [
        {"epoch": e, "train": {"loss": 120 + 80 / e, "kl": 6.0}, "test_loss": 125 + 60 / e, "note": "text"}
        for e in range(1, epochs + 1)
    ]


def test_the_view_leaves_out_a_steep_beginning_only() -> None:
    steep = np.array([900.0, 200.0, *np.linspace(130, 120, 28)])
    low, high = plots._window([steep], [])
    assert 115 < low <= 120 and 130 < high < 145
    flat = np.linspace(10, 9, 30)
    low, high = plots._window([flat], [])
    assert low < 9 and high > 10
    rising = np.array([-160.0, -97.0, -95.0, *np.linspace(-90, -88, 40)])
    low, high = plots._window([rising], [-87.0])
    assert -97 < low < -90 and high > -87
    assert plots._window([np.array([7.0])], [])[0] < 7 < plots._window([np.array([7.0])], [])[1]


def test_keys_name_their_panel_and_line() -> None:
    assert plots._place("train.loss") == ("loss", "train")
    assert plots._place("test_kl") == ("KL", "test")
    assert plots._place("kl_per_unit") == ("KL per unit", "")
    row = {"train": {"loss": 3}, "train.kl": 4}
    assert plots._value(row, "train.loss", -1.0) == 3 and plots._value(row, "train.kl", -1.0) == 4
    assert plots._value(row, "test.loss", -1.0) == -1 and np.isnan(plots._value({"a": np.inf}, "a", 0.0))


@pytest.mark.parametrize("epochs", [1, 2, 40])
def test_curves_draw_any_length(epochs: int) -> None:
    image = plots.curves(
        history(epochs), ["train.loss", "test_loss", "train.kl"], published={"train.loss": {epochs: 121.0}}, title="$"
    )
    assert image.mode == "RGB" and image.width > 800 and np.asarray(image).std() > 5


def test_curves_refuse_what_no_row_holds() -> None:
    with pytest.raises(Refused, match="train an epoch"):
        plots.curves([], ["train.loss"])
    with pytest.raises(Refused, match=r"'train\.los'"):
        plots.curves(history(3), ["train.los"])
    with pytest.raises(Refused, match="'text'"):
        plots.curves(history(3), ["note"])
    with pytest.raises(Refused, match="no row"):
        plots.curves([{"epoch": 1, "a": float("nan")}], ["a"])


@pytest.mark.parametrize("count", [1, 24])
def test_bars_grow_with_their_labels(count: int) -> None:
    shares = np.linspace(0.5, 1, count)
    ends = np.stack([shares - 0.1, np.minimum(shares + 0.1, 1)], axis=1)
    small = plots.bars(shares, STRANGE[:1] * count)
    for beside in (None, 0.99, list(shares)):
        image = plots.bars(shares, [f"${i}" for i in range(count)], ends, beside)
        assert image.width == small.width and image.height > 40 * count


def test_the_axis_of_shares_begins_where_there_is_something_to_see() -> None:
    assert plots._start(np.array([0.3, 0.99])) == 0
    assert plots._start(np.array([])) == 0
    assert plots._start(np.array([0.985, 1.0])) == pytest.approx(0.98)
    assert plots._start(np.array([1.0])) == pytest.approx(0.99)
    for least in np.linspace(0.51, 1, 50):
        assert 0 <= plots._start(np.array([least])) < min(least, 0.995)


def test_bars_refuse_what_is_no_share() -> None:
    with pytest.raises(Refused, match="divide"):
        plots.bars([99.0], ["a"])
    with pytest.raises(Refused, match="shape"):
        plots.bars([0.5], ["a", "b"])
    with pytest.raises(Refused, match="between"):
        plots.bars([0.5], ["a"], [(0.6, 0.7)])
    with pytest.raises(Refused, match="beside"):
        plots.bars([0.5] * 3, ["a", "b", "c"], None, [0.1, 0.2])
    assert plots.bars([float("nan"), 1.0], ["none", "all"]).width == plots.bars([0.0], ["zero"]).width


def test_labels_are_names_or_places_among_names() -> None:
    assert maps._codes([3, 5, None, "3"], None, 4)[0].tolist() == [0, 1, -1, 0]
    assert maps._codes([3.0, "10", np.int64(3)], None, 3)[1] == ("3", "10")
    assert maps._codes(np.array([1, -1, 0]), ["shoe", "bag"], 3)[0].tolist() == [1, -1, 0]
    assert maps._codes(["bag", "shoe"], ["shoe", "bag"], 2)[0].tolist() == [1, 0]
    with pytest.raises(Refused, match="did you mean 'shoe'"):
        maps._codes(["shoes"], ["shoe", "bag"], 1)
    with pytest.raises(Refused, match="2 names"):
        maps._codes([2], ["shoe", "bag"], 1)
    with pytest.raises(Refused, match="3 in all"):
        maps._codes([2], None, 3)


def test_colours_differ() -> None:
    for count in (1, 10, 11, 26, 60):
        assert len({tuple(round(255 * part) for part in colour) for colour in maps.colours(count)}) == count


def test_the_view_holds_the_points_but_not_a_stray_one() -> None:
    points = RNG.normal(size=(5000, 2))
    assert abs(maps.view(points, True)[2] - 3.2) < 0.6
    stray = np.concatenate([points, [[1e6, 0.0]]])
    assert maps.view(stray, True)[2] < 5
    assert maps.view(np.zeros((3, 2)), False)[2] > 0


@pytest.mark.parametrize("count", [1, 3, 17, 40, 100])
def test_maps_of_few_and_many_labels(count: int) -> None:
    z = RNG.normal(size=(120, 2))
    image = maps.latent_map(torch.from_numpy(z), [i % count for i in range(120)], title="_a $ b")
    assert image.mode == "RGB" and np.asarray(image).std() > 5


def test_a_map_shows_images_where_their_points_lie() -> None:
    green = np.zeros((2, 3, 8, 8), np.uint8)
    green[:, 1] = 250
    z = np.array([[-2.9, 2.9], [2.9, -2.9]])
    drawn = np.asarray(maps.latent_map(z, None, images=green)).astype(int)
    seen = (drawn[..., 1] > 220) & (drawn[..., 0] < 60)
    height, width = seen.shape
    assert seen[: height // 2, : width // 2].sum() > 300 and seen[height // 2 :, width // 2 :].sum() > 300
    assert seen[: height // 2, width // 2 :].sum() == 0


def test_a_map_of_numbers_is_coloured_from_low_to_high() -> None:
    z = np.array([[-2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    drawn = np.asarray(maps_numbers.number_map(z, np.array([1.0, 9.0, np.nan]), "_a $ b", "t", said="foot")).astype(int)
    left, right = drawn[:, : drawn.shape[1] // 3], drawn[:, drawn.shape[1] // 2 : int(0.85 * drawn.shape[1])]
    for part, colour in ((left, maps_numbers.scale()[0]), (right, maps_numbers.scale()[-1])):
        assert (np.abs(part - 255 * colour).max(2) < 60).sum() > 30  # of a point that paper shines through a little
    assert maps_numbers.bounds(np.array([3.0, 3.0])) == (3.0, 4.0)
    lightness = maps_numbers.scale() @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(lightness) >= 0).all() and lightness[0] < 0.15 and lightness[-1] < 0.85


def test_maps_of_numbers_take_what_is_missing_and_refuse_what_does_not_fit() -> None:
    z = RNG.normal(size=(30, 2))
    blank = np.full(30, np.nan)
    assert maps_numbers.number_map(z, blank, "a").width > 0 and maps_numbers.number_map(z[:, :1], blank, "a").width > 0
    assert maps_numbers.number_map(z[:, :1], np.where(z[:, 1] > 0, z[:, 1], np.nan), "a", said="x" * 500).width > 0
    with pytest.raises(Refused, match=r"one a point, 30 in all, but came as \[29\]"):
        maps_numbers.number_map(z, np.zeros(29), "a")
    with pytest.raises(Refused, match="no room on the map of one latent"):
        maps_numbers.number_map(z[:, :1], np.zeros(30), "a", images=np.zeros((30, 1, 4, 4)))
    with pytest.raises(Refused, match="N = 30, but 29 came"):
        maps.latent_map(z, images=np.zeros((29, 1, 4, 4)))


def test_one_dimensional_latents_and_pairs() -> None:
    z = RNG.normal(size=(50, 2))
    labels = ["3" if i % 2 else None for i in range(50)]
    assert maps.latent_map(z[:, :1], labels).width > 0
    assert maps.latent_map(z[:, :1]).width > 0
    assert maps.latent_scatter_pair(z, labels, 3).width > 0
    with pytest.raises(Refused, match="the labels are 3"):
        maps.latent_scatter_pair(z, labels, "4")
    with pytest.raises(Refused, match="latent_map"):
        maps.latent_scatter_pair(z[:, :1], labels, 3)


@pytest.mark.parametrize(
    ("z", "said"),
    [
        (np.zeros((0, 2)), "at least one"),
        (np.zeros((4, 3)), r"\[4, 3\]"),
        (np.zeros(4), r"\[4\]"),
        (np.full((2, 2), np.nan), "finite"),
    ],
)
def test_maps_refuse_what_is_no_plane(z: np.ndarray, said: str) -> None:
    with pytest.raises(Refused, match=said):
        maps.latent_map(z)


def test_drawing_is_repeatable_touches_no_pyplot_and_no_random_state() -> None:
    z, before = RNG.normal(size=(60, 2)), state()
    results: list[bytes] = []

    def draw() -> None:
        results.append(pictures.png(maps.latent_map(z, [i % 3 for i in range(60)])))

    threads = [threading.Thread(target=draw) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3 and len(set(results)) == 1
    assert state() == before
    assert "matplotlib.pyplot" not in sys.modules
    assert Image.open(io.BytesIO(results[0])).format == "PNG"


def test_names_of_rows_shrink_before_they_are_cut():
    names = ["digit 3, bold yes, ink 0.5", "digit 8, bold no, ink 0.9"]
    drawn = fitted(names, 26)
    assert [text for text, _ in drawn] == names and len({font.size for _, font in drawn}) == 1
    assert all(font.getlength(text) <= 240 and font.size < 26 for text, font in drawn)
    assert [font.size for _, font in fitted(["3", "8"], 26)] == [26, 26]
    assert fitted([", ".join(names * 3)], 26)[0][0].endswith("…")


def test_pixels_are_a_copy_of_their_own():
    given = np.zeros((2, 4, 4, 3), np.uint8)
    given.flags.writeable = False
    made = pixels(np.moveaxis(given, -1, 1))
    assert made.flags.writeable and not np.shares_memory(made, given)
