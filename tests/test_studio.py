"""Words in: requests as typed, image files of every kind; pictures out."""

import numpy as np
import pytest
from PIL import Image
from test_api import SMALL, tiny

import condvae
from condvae import gallery, judges, studio
from condvae.conditions import Label, Schema
from condvae.errors import Refused
from condvae.intake import combinations, parse, read_image

SCHEMA = Schema(
    (
        Label("digit", ("3", "6", "7"), (0.4, 0.3, 0.3)),
        Label("style", ("bold", "red, thin", "?"), (0.4, 0.3, 0.3)),
    )
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    x, y = tiny()
    folder = tmp_path_factory.mktemp("studio") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judges, "LEAST_PASSES", 200)
        patch.setattr(judges, "EPOCHS", 1)
        patch.setenv("CONDVAE_CACHE", str(folder.parent))
        condvae.fit(x, {"digit": y}, out=folder, progress=False, **SMALL)
    return str(folder)


@pytest.fixture
def data(tmp_path):
    x, y = tiny(20, seed=1)
    path = tmp_path / "own.npz"
    np.savez(path, x=x, y=y)
    return str(path)


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("digit=6", ["6"]),
        ("digit=6,7", ["6", "7"]),
        ("digit= 7 , 3", ["7", "3"]),
        ("digit=", [None]),
        ("digit=?,6", [None, "6"]),
        ("digit=none", [None]),
    ],
)
def test_parse(word, values):
    assert parse([word], SCHEMA) == {"digit": values}


def test_parse_values_that_look_special():
    assert parse(["style=red, thin"], SCHEMA) == {"style": ["red, thin"]}
    assert parse(["style=?"], SCHEMA) == {"style": ["?"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["digit=six"], "did you mean '6'"),
        (["digi=6"], "did you mean 'digit'"),
        (["6"], "written FIELD=VALUE, such as digit=3"),
        (["digit=6", "digit=7"], "asked for twice"),
        (["digit=6,9"], "digit is one of 3, 6, 7; got '9'"),
    ],
)
def test_parse_refuses_with_what_may_be_asked(words, said):
    with pytest.raises(Refused, match=said):
        parse(words, SCHEMA)


def test_every_combination():
    columns, names = combinations({"digit": ["6", None], "style": ["bold", "?"]})
    assert columns == {"digit": ["6", "6", None, None], "style": ["bold", "?", "bold", "?"]}
    assert names == ["6, bold", "6, ?", "?, bold", "?, ?"]
    assert combinations({}) == ({}, [""])


def half(mode):
    """A picture of 16 x 8, its left half white, its right half black."""
    image = Image.new("L", (16, 8), 0)
    image.paste(255, (0, 0, 8, 8))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_read_image_of_every_mode(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    half(mode).save(path)
    for channels in (1, 3):
        x, notes = read_image(path, (channels, 8, 16))
        assert x.shape == (channels, 8, 16) and x.dtype == np.float32
        assert (x[..., :8] > 0.99).all() and (x[..., 8:] < 0.01).all()
        assert not any("resized" in note for note in notes)


def test_read_image_of_16_bits(tmp_path):
    deep = np.zeros((8, 16), np.uint16)
    deep[:, :8] = 65535
    deep[0, 15] = 32768
    Image.fromarray(deep).save(tmp_path / "deep.png")
    x, notes = read_image(tmp_path / "deep.png", (1, 8, 16))
    assert x[0, 5, 3] == 1 and x[0, 5, 12] == 0 and abs(x[0, 0, 15] - 0.5) < 1e-4
    assert "more than 8 bits" in notes[0]


def test_read_image_turns_by_exif_resizes_and_takes_the_first_frame(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    half("L").save(tmp_path / "turned.png", exif=exif)
    x, _ = read_image(tmp_path / "turned.png", (1, 16, 8))
    assert (x[0, :8] > 0.99).all() and (x[0, 8:] < 0.01).all()
    x, notes = read_image(tmp_path / "turned.png", (1, 4, 4))
    assert x.shape == (1, 4, 4) and "resized from 8 x 16 to 4 x 4" in notes[-1]
    frames = [half("L"), Image.new("L", (16, 8), 128)]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    x, notes = read_image(tmp_path / "two.gif", (1, 8, 16))
    assert x[0, 0, 0] > 0.99 and "2 frames" in notes[0]


def test_read_image_lays_transparency_where_it_shows(tmp_path):
    ink = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    ink.putpixel((3, 3), (0, 0, 0, 255))
    ink.save(tmp_path / "ink.png")
    x, notes = read_image(tmp_path / "ink.png", (1, 8, 8))
    assert x[0, 3, 3] == 0 and x[0, 0, 0] == 1 and "laid on white" in notes[0]


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"0" * 40])
def test_read_image_refuses_what_is_none(tmp_path, content):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(Refused, match=r"bad\.png cannot be read"):
        read_image(tmp_path / "bad.png", (1, 8, 8))
    with pytest.raises(Refused, match="there is no file"):
        read_image(tmp_path / "absent.png", (1, 8, 8))


def test_a_picture_cut_off_is_refused(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    noise.save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Refused, match="cut off"):
        read_image(tmp_path / "cut.png", (1, 8, 8))


def test_generate_writes_every_combination_with_its_names(run, tmp_path):
    reply = studio.generate(run, ["digit=1,?"], 5, str(tmp_path / "deep/a.png"), str(tmp_path / "a.npz"), seed=4)
    assert all(path.is_file() for path in reply.files) and len(reply.files) == 2
    with np.load(tmp_path / "a.npz", allow_pickle=False) as held:
        assert held["images"].shape == (2, 5, 1, 8, 8) and held["digit"].tolist() == ["1", ""]
        asked = {"digit": ["1", None]}
        assert np.array_equal(held["images"], condvae.load(run).generate(asked, 5, seed=4))


def test_targets_are_refused_before_the_work(tmp_path):
    for out, said in ((None, "say where"), ("a.foo", "must end in"), ("noending", "must end in")):
        with pytest.raises(Refused, match=said):
            studio.generate("no run", [], 1, out)


def test_reconstruct_restyle_classify_of_a_collection(run, data, tmp_path):
    target = str(tmp_path / "r.npz")
    reply = studio.reconstruct(run, data, out=target)
    assert "labels 'label' of own are read as 'digit'" in " ".join(reply.notes)
    with np.load(target) as held:
        assert held["images"].shape == held["real"].shape == (20, 1, 8, 8) and held["digit"][1] == "1"
    studio.restyle(run, data, to=["digit=0,2"], out=target)
    with np.load(target) as held:
        assert held["images"].shape == (12, 2, 1, 8, 8) and held["to_digit"].tolist() == ["0", "2"]
    reply = studio.classify(run, data)
    assert 0 <= reply.data["accuracy"] <= 1 and len(reply.data["names"]) == 20
    assert np.allclose(np.sum(reply.data["probabilities"], 1), 1, atol=1e-4)


def test_an_image_is_restyled_and_its_ground_remarked(run, tmp_path):
    path = tmp_path / "white.png"
    Image.new("L", (8, 8), 255).save(path)
    reply = studio.restyle(run, str(path), ["digit=1"], [], str(tmp_path / "o.png"))
    assert "under 4 labels" in reply.lines[0]
    assert any("ground is light" in note for note in reply.notes)
    with pytest.raises(Refused, match="one value a field"):
        studio.restyle(run, str(path), ["digit=1,2"], [], str(tmp_path / "o.png"))


def test_embed_writes_maps_and_numbers(run, data, tmp_path):
    studio.embed(run, data, out=str(tmp_path / "m.png"))
    studio.embed(run, data, "tsne", str(tmp_path / "m.csv"))
    lines = (tmp_path / "m.csv").read_text().splitlines()
    assert lines[0] == "row,digit,x,y,z0,z1,z2" and len(lines) == 21
    with pytest.raises(Refused, match="pca or tsne"):
        studio.embed(run, data, "umap", str(tmp_path / "m.png"))


def test_data_of_another_shape_or_other_labels(run, tmp_path):
    np.savez(tmp_path / "wide.npz", x=np.random.default_rng(0).random((4, 8, 9)), y=[0, 1, 2, 3])
    with pytest.raises(Refused, match=r"\[1, 8, 9\].*\[1, 8, 8\]"):
        studio.classify(run, str(tmp_path / "wide.npz"))
    np.savez(tmp_path / "words.npz", x=tiny(4)[0], y=["ant", "bee", "cow", "dog"])
    with pytest.raises(Refused, match="'ant' for example"):
        studio.classify(run, str(tmp_path / "words.npz"))


def test_plane_keeps_two_latents_and_finds_the_principal_ones():
    z = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    assert gallery.plane(z, "pca")[0] is z
    wide = np.concatenate([z[:, :1] * 0.01, z * [9, 4]], 1).astype(np.float32)
    flat, said = gallery.plane(wide, "pca")
    assert abs(np.corrcoef(flat[:, 0], z[:, 0])[0, 1]) > 0.99 and "100 %" in said


def test_known_labels_forget_what_the_model_never_saw():
    from condvae.data import collect

    part = collect(tiny(4)[0], {"digit": ["3", "9", None, "6"]}).train
    assert gallery.known_labels(SCHEMA, part) == {"digit": ["3", None, None, "6"], "style": [None] * 4}
