"""Words in: requests as typed, image files of every kind; pictures out."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image
from test_api import SMALL, tiny

import condvae
from condvae import gallery, judges, latent_maps, studio
from condvae.conditions import Attribute, Label, Number, Picture, Schema
from condvae.data import Part, collect
from condvae.datasets import Collection
from condvae.errors import Refused
from condvae.intake import Seen, combinations, one_request, parse, part_of, read_image, seen
from condvae.names import counted
from condvae.runs import Run
from condvae.structure import of_label

SCHEMA = Schema(
    (
        Label("digit", ("3", "6", "7"), (0.4, 0.3, 0.3)),
        Label("style", ("bold", "red, thin", "?"), (0.4, 0.3, 0.3)),
    )
)
AGE = Number.learn("age", np.asarray([[20.0], [40.5], [60.0]]))
LIGHT = Number.learn("light", np.asarray([[0.0, 1.0], [0.5, 2.0], [1.0, 3.0]]))
SMILING = Attribute("smiling", ("no", "yes"), (0.5, 0.5))
MIXED = Schema((AGE, SMILING, LIGHT, Picture("part", (1, 8, 8)), SCHEMA.fields[0]))


class Fake:
    """A run of a mixed schema that remembers what it was asked; its pictures are black."""

    outputs = None  # pictures, not rows of a table

    def __init__(self, schema=MIXED):
        self.schema, self.shape, self.asked = schema, (1, 8, 8), []

    def generate(self, asked=None, n=1, seed=0, temperature=1.0, prior=None, guidance=1.0):
        self.asked.append((asked, n, guidance))
        count = len(next(iter(asked.values()))) if asked else 0
        return np.zeros((count, n, 1, 8, 8) if asked else (n, 1, 8, 8), np.float32)

    def restyle(self, x, given, to):
        self.asked.append((given, to))
        return np.zeros((len(x), len(next(iter(to.values()))), 1, 8, 8), np.float32)

    def reconstruct(self, x, given):
        return x

    def classify(self, x, field=None, given=None):
        self.asked.append((field, given))
        shares = np.tile([0.2, 0.3, 0.5], (len(x), 1))
        return type("Read", (), {"names": ["7"] * len(x), "values": ("3", "6", "7"), "probabilities": shares})

    def embed(self, x, given):
        return np.random.default_rng(0).normal(size=(len(x), 3)).astype(np.float32)


@pytest.fixture
def fake(monkeypatch):
    made = Fake()
    monkeypatch.setattr(studio, "opened", lambda path: made)
    return made


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


def test_the_only_label_is_label_and_class_too():
    alone = Schema(SCHEMA.fields[:1])
    assert parse(["class=6"], alone) == parse(["label=6"], alone) == {"digit": ["6"]}
    other = Schema((Label("class", ("a", "b"), (0.5, 0.5)), SCHEMA.fields[0]))
    for schema in (SCHEMA, other):  # two labels: which is meant is not known
        with pytest.raises(Refused):
            parse(["label=6"], schema)


def test_parse_values_that_look_special():
    assert parse(["style=red, thin"], SCHEMA) == {"style": ["red, thin"]}
    assert parse(["style=?"], SCHEMA) == {"style": ["?"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["digit=six"], "did you mean '6'"),
        (["digi=6"], "did you mean 'digit'"),
        (["6"], "written FIELD=VALUE, such as digit=7"),
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
    assert names == ["digit 6, style bold", "digit 6, style ?", "digit ?, style bold", "digit ?, style ?"]
    assert combinations({"digit": ["6", None]})[1] == ["6", "?"]
    # what all of them share tells none from another
    assert combinations({"digit": ["6", None], "style": ["bold"]})[1] == ["digit 6", "digit ?"]
    assert combinations({"digit": ["6"], "style": ["bold"]})[1] == ["digit 6, style bold"]
    assert combinations({}) == ({}, [""])


def test_parse_numbers_and_attributes():
    asked = parse(["age=20, 40.5,?", "smiling=true,0,", "light=0.3:1,?"], MIXED)
    assert asked["age"][:2] == [20.0, 40.5] and np.isnan(asked["age"][2]) and len(asked["age"]) == 3
    assert asked["smiling"] == ["yes", "no", None]
    assert asked["light"][0] == (0.3, 1.0) and np.isnan(asked["light"][1]).all()
    columns, names = combinations(asked)
    assert len(names) == 18 and len(columns["age"]) == 18 and columns["light"][2] == (0.3, 1.0)
    assert names[0] == "age 20, smiling yes, light 0.3:1" and names[-1] == "age ?, smiling ?, light ?:?"
    assert one_request(["age=3"], MIXED, "--given") == {"age": 3.0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["age=old"], "age is a number, 20 to 60 in training; got 'old'"),
        (["age=inf"], "finite"),
        (["light=1"], r"light holds 2 number\(s\)"),
        (["smiling=maybe"], "smiling is yes or no"),
        (["part=1"], "part is a part of a picture.*condvae fill"),
        (["nothing"], r"such as age=40\.2"),
    ],
)
def test_parse_refuses_what_other_fields_cannot_be(words, said):
    with pytest.raises(Refused, match=said):
        parse(words, MIXED)


def test_parse_where_words_can_give_nothing():
    with pytest.raises(Refused, match="such as nothing"):
        parse(["6"], Schema((Picture("part", (1, 8, 8)),)))


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


def test_numbers_are_asked_as_numbers_and_kept_as_numbers(fake, tmp_path):
    target = str(tmp_path / "a.npz")
    reply = studio.generate("r", ["age=20,?", "smiling=yes", "light=0.3:1"], 3, target, guidance=2.5)
    ((asked, n, guidance),) = fake.asked
    assert asked["smiling"] == ["yes", "yes"] and asked["light"] == [(0.3, 1.0)] * 2 and (n, guidance) == (3, 2.5)
    with np.load(target, allow_pickle=False) as held:
        assert held["age"].dtype == np.float64 and held["age"][0] == 20 and np.isnan(held["age"][1])
        assert held["light"].tolist() == [[0.3, 1.0]] * 2 and held["smiling"].tolist() == ["yes", "yes"]
    assert "of age 20 and age ?: " in reply.lines[0]
    studio.generate("r", ["age=20,40", "smiling=yes,no"], 2, str(tmp_path / "a.png"))
    assert len(fake.asked[-1][0]["age"]) == 4


def test_columns_are_kept_as_what_they_are():
    kept = studio.texts({"d": ["3", None], "n": [1, np.nan], "v": np.ones((2, 1)), "w": np.ones((2, 2)), "u": [None]})
    assert kept["d"].tolist() == ["3", ""] and kept["u"].tolist() == [""]
    assert kept["n"].tolist()[0] == 1 and kept["n"].dtype == kept["v"].dtype == np.float64
    assert kept["v"].shape == (2,) and kept["w"].shape == (2, 2)


@pytest.fixture
def mixed(monkeypatch):
    """A collection of six pictures with ages, smiles and digits, as data of every request."""
    x = np.random.default_rng(0).random((6, 8, 8)).astype(np.float32)
    held = collect(x, {"digit": ["3", "6", "7"] * 2, "smiling": ["no", "yes", None] * 2}).train
    part = Part(held.x, held.labels, {"age": np.asarray([[20.0], [np.nan], [60.0]] * 2)})
    monkeypatch.setattr("condvae.datasets.load", lambda *_: Collection("toy", part))


def test_requests_of_a_mixed_schema(fake, mixed, tmp_path):
    target = str(tmp_path / "r.npz")
    reply = studio.restyle("r", "toy", ["light=0:2"], [], target)
    given, to = fake.asked[-1]
    assert to == {"smiling": ["no", "yes"]} and given["light"] == [(0.0, 2.0)] * 6 and given["age"].shape == (6, 1)
    assert "6 pictures under 2 labels" in reply.lines[0]
    with np.load(target) as held:
        assert held["age"].shape == (6,) and held["light"].shape == (6, 2) and held["to_smiling"].tolist()[1] == "yes"
    assert "under 3 conditions" in studio.restyle("r", "toy", [], ["age=20,30,40"], target).lines[0]
    studio.reconstruct("r", "toy", out=str(tmp_path / "r.png"))
    studio.embed("r", "toy", out=str(tmp_path / "m.png"))
    studio.embed("r", "toy", out=str(tmp_path / "m.csv"))
    lines = (tmp_path / "m.csv").read_text().splitlines()
    assert lines[0].startswith("row,age,smiling,light,digit,x,y") and lines[2].startswith("1,,yes,,6,")
    assert lines[1].startswith("0,20,no,,3,")


def test_a_run_of_numbers_alone(monkeypatch, mixed, tmp_path):
    made = Fake(Schema((AGE,)))
    monkeypatch.setattr(studio, "opened", lambda path: made)
    with pytest.raises(Refused, match=r"such as age=40\.2; this run has no label"):
        studio.restyle("r", "toy", [], [], str(tmp_path / "r.png"))
    studio.embed("r", "toy", out=str(tmp_path / "m.png"))
    found = seen(cast(Run, made), "toy")
    assert isinstance(found, Seen) and list(found.given) == ["age"] and np.isnan(found.given["age"][1])


def test_classify_reads_the_only_label(monkeypatch, mixed):
    made = Fake(Schema((AGE, SCHEMA.fields[0])))
    monkeypatch.setattr(studio, "opened", lambda path: made)
    reply = studio.classify("r", "toy")
    assert made.asked[0][0] == "digit" and list(made.asked[0][1]) == ["age"]
    assert "2 of 6" in reply.lines[0] and reply.data["field"] == "digit"


def test_one_field_of_a_kind_is_found_under_another_name():
    held = collect(tiny(3)[0], {"label": ["3", "6", "7"]}).train
    part = Part(held.x, held.labels, {"years": np.asarray([[1.0], [2.0], [3.0]])})
    made = Fake(Schema((AGE, SCHEMA.fields[0])))
    read, notes = part_of(Collection("toy", part, part), cast(Run, made))
    assert list(read.labels) == ["digit"] and list(read.numbers) == ["age"]
    assert notes == ("the labels 'label' of toy are read as 'digit'", "the numbers 'years' of toy are read as 'age'")


def test_targets_are_refused_before_the_work(run):
    for out, said in ((None, "say where"), ("a.foo", "must end in"), ("noending", "must end in")):
        with pytest.raises(Refused, match=said):
            studio.generate(run, [], 10**12, out)
    with pytest.raises(Refused, match="got 'six'"):  # what is asked is looked at first
        studio.generate(run, ["digit=six"])


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


@pytest.mark.parametrize("limit", [-1, 0])
def test_a_limit_below_one_is_refused(run, data, limit):
    with pytest.raises(Refused, match=f"limit must be a whole number of at least 1; got {limit}"):
        studio.classify(run, data, limit=limit)


def test_an_image_is_restyled_and_its_ground_remarked(run, tmp_path):
    path = tmp_path / "white.png"
    Image.new("L", (8, 8), 255).save(path)
    reply = studio.restyle(run, str(path), ["digit=1"], [], str(tmp_path / "o.png"))
    assert "under 4 labels" in reply.lines[0]
    assert any("ground is light" in note for note in reply.notes) and not any("read as" in note for note in reply.notes)
    read = studio.restyle(run, str(path), [], ["digit=1,2"], str(tmp_path / "o.npz"))
    label = condvae.load(run).classify(np.ones((1, 1, 8, 8), np.float32)).names[0]
    assert any(f"white.png is read as digit {label}; --given digit=..." in note for note in read.notes)
    with np.load(tmp_path / "o.npz") as held:
        same = condvae.load(run).restyle(np.ones((1, 1, 8, 8), np.float32), None, {"digit": ["1", "2"]})
        assert np.array_equal(held["images"], same) and held["digit"].tolist() == [label]
    with pytest.raises(Refused, match="one value a field"):
        studio.restyle(run, str(path), ["digit=1,2"], [], str(tmp_path / "o.png"))


def test_embed_writes_maps_and_numbers(run, data, tmp_path):
    studio.embed(run, data, out=str(tmp_path / "m.png"))
    studio.embed(run, data, "tsne", str(tmp_path / "m.csv"))
    lines = (tmp_path / "m.csv").read_text().splitlines()
    assert lines[0] == "row,digit,x,y,z0,z1,z2" and len(lines) == 21
    with pytest.raises(Refused, match="pca or tsne"):
        studio.embed(run, data, "umap", str(tmp_path / "m.png"))


def test_embed_says_how_a_map_was_made_and_what_the_latents_hold(run, data, tmp_path):
    target = str(tmp_path / "m.png")
    line = studio.embed(run, data, "tsne", target, perplexity=5, thumbnails=True).lines[0]
    found = of_label(condvae.load(run).embed(*opened(run, data)), list(opened(run, data)[1]["digit"]))
    assert line == f"20 pictures, t-SNE of 3 latents, perplexity 5; digit: {found.text()}: {target}"
    assert "4-NN accuracy" in line and "(chance 25.0 %), in the 3 latents" in line
    assert "perplexity 6.33;" in studio.embed(run, data, "tsne", target).lines[0]
    for perplexity in (20, 0.9, -1, float("nan"), float("inf")):
        with pytest.raises(Refused, match=f"at least 1 and less than the 20 rows that are mapped; got {perplexity:g}"):
            studio.embed(run, data, "tsne", target, perplexity=perplexity)
    with pytest.raises(Refused, match="of t-SNE alone"):
        studio.embed(run, data, "pca", target, perplexity=5)
    with pytest.raises(Refused, match="got 'digits', did you mean 'digit'"):
        studio.embed(run, data, out=target, field="digits")
    with pytest.raises(Refused, match="leave out --thumbnails"):
        studio.embed(run, data, out=str(tmp_path / "m.npz"), thumbnails=True)


def opened(run, data):
    """The pictures of a file and what is known of them."""
    found = seen(condvae.load(run), data)
    return found.x, found.given


def test_embed_colours_by_the_field_asked_for(fake, mixed, tmp_path):
    target = str(tmp_path / "m.png")
    said = {name: studio.embed("r", "toy", out=target, field=name).lines[0] for name in ("age", "light", "digit")}
    assert "age: 2-NN regression R² " in said["age"] and "digit: silhouette " in said["digit"]
    assert "light 1: not measured in the 3 latents: the number is known of 0 rows" in said["light"]
    with pytest.raises(Refused, match="part is a part of a picture"):
        studio.embed("r", "toy", out=target, field="part")
    told = studio.embed("r", "toy", out=target, field="smiling", given=["smiling=yes"]).lines[0]
    assert "smiling: not measured in the 3 latents: all rows have the same label" in told


def test_t_sne_of_one_latent_and_of_latents_all_alike():
    z = np.random.default_rng(0).normal(size=(12, 1))
    flat, said = latent_maps.plane(z, "tsne")
    assert flat.shape == (12, 2) and np.isfinite(flat).all() and said == "t-SNE of 1 latent, perplexity 3.67"
    tiny, huge = (latent_maps.plane(1e-25 + scale * z, "tsne")[0] for scale in (1e-25, 1e25))
    assert np.isfinite(tiny).all() and np.isfinite(huge).all()
    flat, said = latent_maps.plane(np.ones((6, 4), np.float32), "tsne")
    assert not flat.any() and "all alike" in said


def test_data_of_another_shape_or_other_labels(run, tmp_path):
    np.savez(tmp_path / "wide.npz", x=np.random.default_rng(0).random((4, 8, 9)), y=[0, 1, 2, 3])
    with pytest.raises(Refused, match=r"\[1, 8, 9\].*\[1, 8, 8\]"):
        studio.classify(run, str(tmp_path / "wide.npz"))
    np.savez(tmp_path / "words.npz", x=tiny(4)[0], y=["ant", "bee", "cow", "dog"])
    with pytest.raises(Refused, match="'ant' for example"):
        studio.classify(run, str(tmp_path / "words.npz"))


def test_plane_keeps_two_latents_and_finds_the_principal_ones():
    z = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    assert latent_maps.plane(z, "pca")[0] is z
    wide = np.concatenate([z[:, :1] * 0.01, z * [9, 4]], 1).astype(np.float32)
    flat, said = latent_maps.plane(wide, "pca")
    assert abs(np.corrcoef(flat[:, 0], z[:, 0])[0, 1]) > 0.99 and "100 %" in said


def test_known_labels_forget_what_the_model_never_saw():
    from condvae.data import collect

    part = collect(tiny(4)[0], {"digit": ["3", "9", None, "6"]}).train
    assert gallery.known_labels(SCHEMA, part) == {"digit": ["3", None, None, "6"], "style": [None] * 4}


def test_several_labels_are_told_apart_by_the_flag(monkeypatch, tmp_path):
    x, y = tiny(12)
    run = condvae.fit(x, {"digit": y, "even": y % 2 == 0}, progress=False, **SMALL)
    monkeypatch.setattr(studio, "opened", lambda path: run)
    Image.new("L", (8, 8), 0).save(tmp_path / "a.png")
    with pytest.raises(Refused, match=r"field='digit' \(--field digit\)"):
        studio.classify("r", str(tmp_path / "a.png"))


def test_one_is_one():
    assert [counted(number, "image") for number in (0, 1, 1234)] == ["0 images", "1 image", "1,234 images"]
    assert [counted(number, "image is", "images are") for number in (1, 3)] == ["1 image is", "3 images are"]


def test_one_picture_is_embedded_by_itself(tmp_path):
    from PIL import Image

    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "one.png")
    zoo = str(Path(__file__).parent.parent / "zoo" / "mnist-cvae")
    reply = studio.embed(zoo, str(tmp_path / "one.png"), out=str(tmp_path / "one.csv"))
    assert "1 picture" in reply.lines[0]
    assert len((tmp_path / "one.csv").read_text(encoding="utf-8").splitlines()) == 2
