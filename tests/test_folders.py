"""Folders of images: classes, tables of attributes, sizes, modes, and all that may be wrong with them."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from condvae import datasets
from condvae.api import prepare, recorded_data, stripped
from condvae.cli import main
from condvae.data import Collection, describe
from condvae.errors import Refused
from condvae.folders import load_folder, size_of
from condvae.images_files import cut_to, read_bytes, resized

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONDVAE_DATA", raising=False)
    monkeypatch.setenv("CONDVAE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def pixels(name: str, height: int = 6, width: int = 5, channels: int = 1) -> np.ndarray:
    """Pixels that a file's name determines, [H, W] or [H, W, C]."""
    found = np.random.default_rng(list(name.encode())).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return found[..., 0] if channels == 1 else found


def save(folder: Path, *names: str, height: int = 6, width: int = 5, channels: int = 1) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(Path(name).name, height, width, channels)).save(folder / name)


def first_pixels(made: Collection) -> list[list[int]]:
    return made.train.x[:][:, 0, 0].tolist()


def table(folder: Path, *rows: str, name: str = "labels.csv") -> Path:
    (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / name


# --- classes ----------------------------------------------------------------------------------------------


def test_sub_folders_are_classes(photos: Path):
    save(photos, "dog/b.png", "cat/a.png", "cat/deep/c.png", "é/d.bmp")
    save(photos, ".hidden/x.png", "__MACOSX/cat/a.png", "cat/._a.png", height=3)
    (photos / "Thumbs.db").write_bytes(b"no")
    (photos / "empty").mkdir()
    made = datasets.load(photos)
    assert made.fields == ("class",) and made.train.labels["class"] == ("cat", "cat", "dog", "é") and made.test is None
    assert made.train.x.shape == (4, 1, 6, 5) and made.train.x.dtype == torch.uint8 and made.train.x.memory is not None
    assert first_pixels(made) == [pixels(name)[0].tolist() for name in ("a.png", "c.png", "b.png", "d.bmp")]
    assert (made.train.x.low, made.train.x.high) == (made.train.x[:].min(), made.train.x[:].max())
    assert made.name == "photos" and made.source == str(photos) and made.reading == {"skip_bad": False}
    assert "The 3 sub-folders of photos are the classes, the field 'class'." in made.notes
    save(photos, "loose.png")
    made = datasets.load(photos)
    assert made.train.labels["class"][-2:] == (None, "é") and any("1 image lies beside" in note for note in made.notes)


def test_train_and_test_are_two_parts(photos: Path):
    save(photos, "Train/cat/a.png", "Train/dog/b.png", "test/dog/c.png", "val/cat/d.png", "val/owl/e.png")
    made = datasets.load(photos)
    assert made.train.labels["class"] == ("cat", "dog") and made.test is not None
    assert made.test.labels["class"] == ("dog",) and made.test.x[0][0, 0].tolist() == pixels("c.png")[0].tolist()
    assert any("2 images in val left unread" in note for note in made.notes)
    for one in (photos / "test" / "dog" / "c.png", photos / "test" / "dog", photos / "test"):
        one.unlink() if one.is_file() else one.rmdir()
    made = datasets.load(photos)
    assert made.train.labels["class"] == ("cat", "dog") and made.test is None


def test_folders_within_one_folder_are_found(photos: Path):
    save(photos, "unpacked/images/cat/a.png", "unpacked/images/dog/b.png")
    assert datasets.load(photos).train.labels["class"] == ("cat", "dog")


def test_a_flat_folder_is_for_a_plain_vae_and_that_is_said(photos: Path):
    save(photos, "b.png", "a.png", "B.JPG")
    made = datasets.load(photos)
    assert made.fields == () and len(made.train) == 3
    said = " ".join(describe(made.train, None, "gaussian", "so", made.notes))
    assert "photos holds no classes" in said and "(--attributes)" in said and "a plain VAE is trained" in said


def test_links_are_followed_once(photos: Path, tmp_path: Path):
    save(tmp_path / "else", "b.png", "c.png")
    save(photos, "cat/a.png")
    (photos / "dog").symlink_to(tmp_path / "else")
    (photos / "dog" / "loop").symlink_to(photos)
    (photos / "cat" / "x.png").symlink_to(tmp_path / "else" / "b.png")
    made = datasets.load(photos)
    assert made.train.labels["class"] == ("cat", "cat", "dog", "dog")


def test_classes_may_be_numbers(photos: Path):
    save(photos, "20/a.png", "31/b.png", "32/c.png")
    assert datasets.load(photos).train.labels["class"] == ("20", "31", "32")
    assert datasets.load(photos, kinds={"class": "number"}).train.numbers["class"].tolist() == [[20], [31], [32]]


# --- pixels -----------------------------------------------------------------------------------------------


def test_one_image_in_colour_makes_all_colour(photos: Path):
    save(photos, "a.png", "b.png")
    Image.fromarray(np.stack([pixels("c.png")] * 3, -1)).save(photos / "c.png")  # grey, kept as colour
    made = load_folder(photos)
    assert made.train.x.shape[1] == 1 and first_pixels(made)[2] == pixels("c.png")[0].tolist()
    save(photos, "d.png", channels=3)
    made = load_folder(photos)
    assert made.train.x.shape == (4, 3, 6, 5)
    assert "1 image is in colour and 3 grey; all are kept in colour." in made.notes
    np.testing.assert_array_equal(made.train.x[3].numpy(), pixels("d.png", channels=3).transpose(2, 0, 1))
    np.testing.assert_array_equal(made.train.x[0].numpy(), np.stack([pixels("a.png")] * 3))


def test_every_mode_is_read_and_what_was_done_is_said(photos: Path):
    deep = RNG.integers(0, 65536, (6, 5), dtype=np.uint16)
    Image.fromarray(deep).save(photos / "a.png")
    alpha = np.full((6, 5, 4), 200, np.uint8)
    alpha[..., 3] = np.arange(30).reshape(6, 5) * 8
    alpha[0, 0, 3], alpha[0, 1, 3] = 0, 255
    Image.fromarray(alpha).save(photos / "b.png")
    Image.fromarray(pixels("c") > 128).save(photos / "c.png")
    Image.fromarray(pixels("d")).convert("P").save(photos / "d.gif")
    made = load_folder(photos)
    x = made.train.x[:].numpy()
    assert x.shape == (4, 1, 6, 5)
    np.testing.assert_array_equal(x[0, 0], np.rint(deep / 65535 * 255))
    assert x[1, 0, 0, 0] == 0 and x[1, 0, 0, 1] == 200  # laid on black, for what shows is bright
    np.testing.assert_array_equal(x[2, 0], (pixels("c") > 128) * 255)
    np.testing.assert_array_equal(x[3, 0], pixels("d"))
    assert "1 image (a.png): each has more than 8 bits a pixel; it was scaled to 0..1." in made.notes
    assert "1 image (b.png): each is transparent in places; it was laid on black." in made.notes


def test_many_images_are_treated_in_one_sentence(photos: Path):
    frames = [Image.fromarray(pixels(str(i))) for i in range(2)]
    for i in range(5):
        frames[0].save(photos / f"{i}.gif", save_all=True, append_images=frames[1:])
    notes = load_folder(photos).notes
    assert "5 images (0.gif, 1.gif, 2.gif, ...): each holds 2 frames; the first is taken." in notes


def test_an_image_is_turned_as_it_says(photos: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels("a")).save(photos / "a.png", exif=exif)
    np.testing.assert_array_equal(read_bytes(photos / "a.png", None, [])[0], np.rot90(pixels("a"), -1))


def test_images_of_several_sizes_are_refused_with_a_size_that_helps(photos: Path):
    save(photos, "a.png", "sub/b.png", height=20, width=30)
    save(photos, "c.png", height=40, width=30)
    words = "got a.png of 20 x 30 and c.png of 40 x 30 pixels (height x width); give the size that all are brought to"
    with pytest.raises(Refused, match=re.escape(words)) as refused:
        load_folder(photos)
    assert "size=20 or size='20x20', height x width (--size 20)" in str(refused.value)
    made = load_folder(photos, size="10x15")
    assert made.train.x.shape == (3, 1, 10, 15)
    assert "Images are cut around their middle and resized to 10 x 15 pixels, height x width." in made.notes
    expected = pixels("a.png", 20, 30).astype(float).reshape(10, 2, 15, 2).mean((1, 3))
    assert np.abs(made.train.x[0][0].numpy() - expected).max() <= 1
    middle = pixels("c.png", 40, 30)[10:30].astype(float).reshape(10, 2, 15, 2).mean((1, 3))
    assert np.abs(made.train.x[1][0].numpy() - middle).max() <= 1


def test_cutting_keeps_the_middle_and_the_aspect():
    image = Image.fromarray(np.tile(np.arange(40, dtype=np.uint8), (10, 1)))
    assert np.asarray(cut_to(image, 10, 10))[0].tolist() == list(range(15, 25))
    assert np.asarray(cut_to(image.transpose(Image.Transpose.ROTATE_270), 5, 5)).shape == (5, 5)
    grown = resized(np.full((3, 4, 4), 0.25, np.float32), 8, 12)
    assert grown.shape == (3, 8, 12) and np.allclose(grown, 0.25)


@pytest.mark.parametrize(
    ("size", "found"),
    [
        (64, (64, 64)),
        ("64", (64, 64)),
        ("64x48", (64, 48)),
        ("8X16", (8, 16)),
        ((32, 16), (32, 16)),
        (np.int64(64), (64, 64)),
        (np.array([32, 16]), (32, 16)),
    ],
)
def test_sizes_are_height_by_width(size: object, found: tuple[int, int]):
    assert size_of(size) == found  # type: ignore[arg-type]


@pytest.mark.parametrize("size", ["", "64x", "a", "64x48x3", 0, 3, "5000", (64, None), (), 1.5, {64}, 1j])
def test_other_sizes_are_refused(size: object):
    with pytest.raises(Refused, match="size must be a side of 4 to 4096 pixels"):
        size_of(size)  # type: ignore[arg-type]


def test_large_images_and_black_ones_are_spoken_of(photos: Path):
    save(photos, "a.png", height=150, width=150)
    assert any("150 x 150 pixels are many: size=64" in note for note in load_folder(photos).notes)
    assert not any("are many" in note for note in load_folder(photos, size=64).notes)
    Image.fromarray(np.eye(150, dtype=np.uint8)).save(photos / "a.png")
    with pytest.raises(Refused, match="0 or 1, where 255 is white"):
        load_folder(photos)


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "link"])
def test_images_that_cannot_be_read_are_refused_or_skipped(photos: Path, damage: str):
    save(photos, "x/a.png", "x/b.png", "y/c.png", "y/d.png", height=40, width=40)
    bad = photos / "x" / "b.png"
    raw = bad.read_bytes()
    bad.unlink()
    if damage == "link":
        bad.symlink_to(photos / "gone.png")
    else:
        bad.write_bytes({"cut": raw[: len(raw) // 2], "text": b"no image", "empty": b""}[damage])
    with pytest.raises(Refused, match=re.escape("mend or remove it, or leave such files out with skip_bad=True")) as e:
        load_folder(photos)
    assert str(bad) in str(e.value) and "\n" not in str(e.value)
    made = load_folder(photos, skip_bad=True)
    assert made.train.labels["class"] == ("x", "y", "y") and len(made.train) == 3
    assert "1 image skipped, unreadable: x/b.png." in made.notes


def test_skipping_leaves_enough(photos: Path):
    save(photos, "x/a.png", "y/b.png")
    (photos / "x" / "a.png").write_bytes(b"")
    with pytest.raises(Refused, match="'class' must hold at least two values, got only 'y'"):
        load_folder(photos, skip_bad=True)
    (photos / "y" / "b.png").write_bytes(b"")
    with pytest.raises(Refused, match=r"none of the 2 images of .* can be read; the first: .*a.png cannot"):
        load_folder(photos, skip_bad=True)


def test_a_folder_without_images_is_refused(photos: Path):
    (photos / "notes.txt").write_text("x")
    with pytest.raises(Refused, match=r"photos holds no images; files that end in \.bmp, \.gif, .* are read"):
        datasets.load(photos)


def test_progress_is_told_for_each_image(photos: Path):
    save(photos, *(f"{i}.png" for i in range(300)))
    told: list[tuple[int, int]] = []
    datasets.load(photos, progress=lambda done, total: told.append((done, total)))
    assert told == [(i + 1, 300) for i in range(300)]


# --- tables of attributes ---------------------------------------------------------------------------------


ROWS = ("file,age,smiling,town", "a.png,20.5,1,Oslo", "b.png,31,0,Bergen", "c.png,?,1,")


@pytest.mark.parametrize("place", ["inside", "named", "elsewhere"])
def test_a_table_tells_of_each_file(photos: Path, tmp_path: Path, place: str):
    save(photos, "c.png", "a.png", "b.png")
    where = table(tmp_path if place == "elsewhere" else photos, *ROWS)
    given = {"inside": None, "named": "labels.csv", "elsewhere": where}[place]
    made = datasets.load(photos, attributes=given)
    assert made.fields == ("smiling", "town", "age")
    assert made.train.labels == {"smiling": ("yes", "no", "yes"), "town": ("Oslo", "Bergen", None)}
    np.testing.assert_array_equal(made.train.numbers["age"], [[20.5], [31], [np.nan]])
    assert first_pixels(made) == [pixels(name)[0].tolist() for name in ("a.png", "b.png", "c.png")]
    assert "File names are in the column 'file' of labels.csv, which tells of 3 images." in made.notes
    assert any("'smiling' is read as an attribute" in note for note in made.notes)
    facts = {"data": {"name": made.name, "source": made.source, "reading": json.loads(json.dumps(made.reading))}}
    assert recorded_data(facts).train.labels == made.train.labels


@pytest.mark.parametrize(
    "written", ["{}", "{}.png", "./{}.png", "photos/{}.png", "sub/{}.png", "sub\\{}.png", "sub/{}", "/"]
)
def test_files_may_be_named_in_several_ways(photos: Path, written: str):
    save(photos, "sub/x1.png", "sub/x2.png", "sub/x3.png")
    names = [f"{photos.resolve()}/sub/x{i}.png" if written == "/" else written.format(f"x{i}") for i in (3, 1, 2)]
    if written.startswith("photos"):
        names = [name.replace("photos/", "photos/sub/") for name in names]
    table(photos, "n,who", *(f"{i},{name}" for i, name in enumerate(names)), name="t.CSV")
    assert datasets.load(photos).train.labels["n"] == ("1", "2", "0")


def test_names_that_a_system_writes_decomposed_are_found(photos: Path):
    save(photos, "e\u0301tude/u\u0308.png", "a.png", "o.png")
    rows = ("\u00e9tude/\u00fc.png,x", "a.png,y", "o.png,x")
    table(photos, "file,kind", *rows)
    assert datasets.load(photos).train.labels["kind"] == ("y", "x", "x")
    table(photos, "file,kind", "\u00fc,x", *rows[1:])
    assert datasets.load(photos).train.labels["kind"] == ("y", "x", "x")


def test_an_age_that_could_be_a_file_is_not_taken_for_one(photos: Path):
    save(photos, *(f"{i}.png" for i in range(40)))
    table(photos, "age,id", *(f"{20 + i % 10},{i}" for i in range(40)))
    made = datasets.load(photos)
    assert made.fields == ("age",) and made.train.labels["age"][:2] == ("20", "21")
    assert datasets.load(photos, kinds={"age": "number"}).train.numbers["age"][0] == 20


def test_fields_and_the_column_of_files_may_be_named(photos: Path):
    save(photos, "a.png", "b.png", "c.png")
    table(photos, "copy,name,who,x", "a.png,b,p,u", "b.png,c,q,u", "c.png,a,p,u")
    made = datasets.load(photos, file_column="name", fields=["who"])
    assert made.fields == ("who",) and made.train.labels["who"] == ("p", "p", "q")
    assert datasets.load(photos, fields="who").train.labels["who"] == ("p", "q", "p")  # type: ignore[arg-type]
    assert made.reading == {"file_column": "name", "fields": ["who"], "skip_bad": False}


def test_images_that_the_table_does_not_name_are_unknown(photos: Path):
    save(photos, "a.png", "b.png", "c.png", "d.png", "e.png")
    table(photos, *ROWS)
    made = datasets.load(photos)
    assert (
        made.train.labels["smiling"] == ("yes", "no", "yes", None, None)
        and np.isnan(made.train.numbers["age"][3:]).all()
    )
    assert (
        "2 of 5 images are not in labels.csv (d.png, e.png); they are trained on with every field unknown."
        in made.notes
    )


def test_a_table_goes_with_train_and_test(photos: Path):
    save(photos, "train/a.png", "train/b.png", "test/c.png")
    table(photos, "file,who", "a.png,x", "b.png,y", "test/c.png,x")
    made = datasets.load(photos)
    assert made.train.labels["who"] == ("x", "y") and made.test is not None and made.test.labels["who"] == ("x",)


def test_names_that_several_files_have_need_their_folder(photos: Path):
    save(photos, "p/a.png", "q/a.png", "a.png", "q/b.png")
    table(photos, "file,who", "p/a.png,x", "q/a.png,y", "a.png,z", "b.png,z")
    assert datasets.load(photos).train.labels["who"] == ("z", "x", "y", "z")
    (photos / "a.png").unlink()
    with pytest.raises(
        Refused, match=r"row 3 of .* names 'a.png', and several files of .* are called so; write the sub"
    ):
        datasets.load(photos)


def test_rows_without_an_image_are_refused_or_skipped(photos: Path):
    save(photos, "a.png", "b.png", "c.png")
    table(photos, *ROWS[:2], "gone.png,9,1,Bodø", *ROWS[2:], ",9,0,Bodø")
    with pytest.raises(Refused, match=r"2 of 5 rows of .*labels.csv name no image of .*, first 'gone.png' \(row 2\)"):
        datasets.load(photos)
    made = datasets.load(photos, skip_bad=True)
    assert made.train.labels["town"] == ("Oslo", "Bergen", None) and len(made.train) == 3
    assert "2 rows of labels.csv without an image, skipped: 'gone.png' (row 2), nothing (row 5)." in made.notes


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (
            ROWS,
            {"fields": ["agee"]},
            "fields names 'agee'; the columns of labels.csv beside the file names are age, smi",
        ),
        (ROWS, {"fields": ["file"]}, "fields names 'file'"),
        (
            ROWS,
            {"file_column": "fil"},
            "file_column names 'fil'; the columns of labels.csv are file, age, smiling, town, ",
        ),
        (ROWS, {"kinds": {"town": "numbers"}}, "the kind of 'town' must be one of"),
        (ROWS, {"fields": ["age"], "kinds": {"town": "label"}}, "kinds names 'town'; the fields read are age"),
        (ROWS, {"condition": ["age"]}, "condition (--condition) goes with a table, not with the folder"),
        (ROWS, {"attributes": "lables.csv"}, "there is no file 'lables.csv', did you mean 'labels.csv'?"),
        (ROWS, {"attributes": "a.png"}, "attributes must be a table, .csv, .parquet, .tsv; got 'a.png'"),
        ((*ROWS, "b.png,1,1,x"), {}, "rows 2 and 4 of"),
        (("who,town", "u,x", "v,y"), {}, "no column of"),
        (
            ("who,town", "u,x", "v,y"),
            {},
            "its first cell is 'u', and the first image is 'a.png'; write the files' names",
        ),
        (("file,one", "a.png,x", "b.png,x"), {}, "'one' must hold at least two values, got only 'x', so there is"),
        (("file,one", "a.png,x", "b.png,x"), {}, "name the other columns with fields (--fields)"),
        (("file,n", "a.png,x", "b.png,1.5"), {"kinds": {"n": "number"}}, "got 'x' in row 1"),
        (("file,n", "a.png"), {}, "row 1 of"),
    ],
)
def test_unusable_tables_are_refused(photos: Path, rows: tuple[str, ...], options: dict, words: str):
    save(photos, "a.png", "b.png", "c.png")
    table(photos, *rows)
    with pytest.raises(Refused, match=re.escape(words)) as refused:
        datasets.load(photos, **options)
    assert "\n" not in str(refused.value)


def test_options_of_a_table_need_one(photos: Path):
    save(photos, "a.png", "b.png")
    for option in ({"fields": ["x"]}, {"file_column": "x"}):
        with pytest.raises(
            Refused, match=f"{next(iter(option))} goes with a table of attributes, and .* holds no single"
        ):
            datasets.load(photos, **option)  # type: ignore[arg-type]
    table(photos, "a,b", "1,2", name="one.csv")
    table(photos, "a,b", "1,2", name="two.csv")
    assert datasets.load(photos).fields == ()


def test_identifiers_in_a_table_are_refused_by_name(photos: Path):
    save(photos, *(f"{i}.png" for i in range(60)))
    table(photos, "file,serial,who", *(f"{i}.png,s{i},{i % 2}" for i in range(60)))
    with pytest.raises(
        Refused, match="'serial' looks like an identifier: 60 different values in 60 rows; leave it out:"
    ):
        datasets.load(photos)
    assert datasets.load(photos, fields=["who"]).fields == ("who",)
    assert datasets.load(photos, kinds={"serial": "label"}).fields == ("serial", "who")


# --- by path ----------------------------------------------------------------------------------------------


def test_folders_are_looked_for_as_files_are(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save(photos, "a/a.png", "b/b.png")
    save(tmp_path / "here", "mnist/x/a.png", "mnist/y/b.png")
    assert datasets.load("photos", tmp_path).source == str(photos)
    monkeypatch.setenv("CONDVAE_DATA", str(tmp_path))
    assert datasets.load("photos").source == str(photos)
    monkeypatch.chdir(tmp_path / "here")
    made = datasets.load("./mnist")
    assert made.name == "mnist-folder" and made.source == "mnist" and made.train.labels["class"] == ("x", "y")
    monkeypatch.chdir(photos)
    assert datasets.load(os.curdir).name == "photos"
    with pytest.raises(Refused, match="did you mean 'photos'"):
        datasets.load("photo")


def test_options_that_do_not_go_with_the_data_are_refused(tmp_path: Path):
    with pytest.raises(Refused, match=re.escape("size (--size) goes with a folder of images, not with digits")):
        datasets.load("digits", size=32)
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 4, 4), np.uint8), y=[1.5, 2, 3, 4])
    with pytest.raises(
        Refused, match=re.escape("skip_bad (--skip-bad) goes with a folder of images or a table, not w")
    ):
        datasets.load("x.npz", tmp_path, skip_bad=True)
    assert datasets.load("x.npz", tmp_path).train.numbers["label"].tolist() == [[1.5], [2], [3], [4]]
    made = datasets.load("x.npz", tmp_path, kinds={"label": "label"})
    assert made.train.labels["label"] == ("1.5", "2", "3", "4") and made.reading == {"kinds": {"label": "label"}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fields", ","], "--fields takes names at commas, A,B; got ','"),
        (
            ["--number", "age,town", "--label", "town"],
            "'town' is named as number and as label; name it in one of",
        ),
        (["--yes-no", "age"], "'age' must be yes or no, or blank where it is unknown, got '20.5' in row 1"),
        (["--condition", "age"], "condition (--condition) goes with a table"),
        (
            ["--fields", "twon, age"],
            "fields names 'twon'; the columns of labels.csv beside the file names are age, smi",
        ),
        (["--size", "x"], "size must be a side"),
        (["--resume", "runs/photos"], "beside it only --epochs, --data-dir and --quiet may be given"),
        (["--file-column", "fil"], "did you mean 'file'?"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(
    photos: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    save(photos, "a.png", "b.png", "c.png")
    table(photos, *ROWS)
    assert main(["train", str(photos), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_training_is_prepared_from_a_folder(photos: Path):
    save(photos, *(f"{i}.png" for i in range(20)))
    table(photos, "file,age,smiling", *(f"{i}.png,{i}.5,{i % 2}" for i in range(20)))
    made = datasets.load(photos)
    fitting = prepare(made, {"width": 2, "features": 4, "blocks": 1})
    assert [field.name for field in fitting.schema.fields] == ["smiling", "age"]
    assert any("'age' is a number from" in line for line in fitting.lines)
    assert fitting.facts("training")["data"]["reading"] == {"skip_bad": False}
    assert prepare(stripped(made), {"width": 2, "features": 4, "blocks": 1}).schema.fields == ()
