"""What is not known of a picture is read, field by field, where all fields together have too many values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from condvae import load, pictures, studio
from condvae.desk import Desk
from condvae.settling import crowded, read_fields

ZOO = Path(__file__).parent.parent / "zoo"
ASKED = {
    "expression": ["happy", "sad", "angry", "neutral"],
    "hair": ["curly", "long", "bald", "bun"],
    "hair_colour": ["red", "black", "blond", "grey"],
    "skin": ["light", "dark", "tan", "brown"],
    "pose": [-0.6, 0.0, 0.5, 0.9],
}


@pytest.fixture(scope="module")
def faces():
    return load(ZOO / "faces-drawn")


def test_what_was_asked_is_read_back_off_the_drawings(faces) -> None:
    x = faces.generate(ASKED, 2, seed=1).reshape(-1, *faces.shape)
    found = read_fields(faces.learned, x, {})
    assert set(found) == set(ASKED)
    for name, values in ASKED.items():
        told = np.repeat(values, 2)
        if name == "pose":
            assert np.abs(np.asarray(found[name]) - told.astype(float)).max() < 0.25  # 16 values are tried
        elif name == "hair_colour":  # nobody can see that of a bald head
            assert (np.asarray(found[name])[told != "x"] == told)[np.repeat(ASKED["hair"], 2) != "bald"].all()
        else:
            assert list(found[name]) == list(told)


def test_what_is_given_stays_and_one_field_may_be_left_out(faces) -> None:
    x = faces.generate({name: values[:1] for name, values in ASKED.items()}, 1, seed=2)[0]
    given = {"skin": ["light"], "pose": [-0.6]}
    assert set(read_fields(faces.learned, x, given, but="hair")) == {"expression", "hair_colour"}
    assert crowded(faces.learned, given, 1) and not crowded(faces.learned, {**given, "hair": ["curly"]}, 1)


def test_a_number_that_nobody_told_is_read_and_the_face_keeps_its_pose(faces, tmp_path: Path) -> None:
    turned = {name: values[0] for name, values in ASKED.items()} | {"pose": 0.9}
    picture = tmp_path / "turned.png"
    pictures.save(Image.fromarray(pictures.pixels(faces.generate(turned, 1, seed=3)[0])), picture)
    told = [f"{name}={value}" for name, value in turned.items() if name not in ("pose", "expression")]
    reply = studio.restyle(faces, str(picture), told, ["expression=sad"], str(tmp_path / "sad.npz"))
    assert reply.arrays is not None and abs(reply.arrays["pose"][0] - 0.9) < 0.25
    wanted = faces.restyle(reply.arrays["real"], {**turned, "expression": "happy"}, {"expression": ["sad"]})
    straight = faces.restyle(
        reply.arrays["real"], {**turned, "pose": 0, "expression": "happy"}, {"expression": ["sad"]}
    )
    drawn = reply.arrays["images"].reshape(wanted.shape)
    assert np.abs(drawn - wanted).mean() < 0.5 * np.abs(drawn - straight).mean()


def test_few_values_are_summed_over_as_ever() -> None:
    digits = load(ZOO / "mnist-100-labels")
    assert not crowded(digits.learned, {}, 1)


def test_a_picture_of_many_fields_is_classified_and_restyled_and_told_what_was_read(faces, tmp_path: Path) -> None:
    desk = Desk([ZOO / "faces-drawn"])
    try:
        picture, _ = desk.example("faces-drawn", 0)  # an angry face
        read = studio.classify(faces, picture, "expression")
        assert read.data["names"] == ["angry"] and read.data["probabilities"][0][0] > 0.9
        assert any(note.startswith("read from it: hair ") and "expression" not in note for note in read.notes)
        reply = studio.restyle(faces, picture, out=str(tmp_path / "faces.npz"))
        assert any("expression angry" in note and "--given FIELD=VALUE" in note for note in reply.notes)
        assert reply.arrays is not None and reply.arrays["images"].shape == (1, 5, 3, 64, 64)
    finally:
        desk.close()
