"""What columns are: labels, attributes and numbers, from Python and from tables; what cannot be learned from."""

import math
import re

import numpy as np
import pytest
import torch

from condvae.data import Collection, collect, describe
from condvae.errors import Refused
from condvae.fields import Attribute, Label
from condvae.kinds import Column, as_numbers, cells_kind, check_kinds, kinds_words, read_cells

RNG = np.random.default_rng(2)


def images(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, 4, 4), dtype=np.uint8)


def made(values: object, n: int | None = None, **more: object) -> Collection:
    """A collection with the one field "f"."""
    n = len(values) if n is None else n  # type: ignore[arg-type]
    return collect(images(n), {"f": values}, **more)  # type: ignore[arg-type]


# --- from Python ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        [True, False, None, True],
        np.array([True, False, True]),
        torch.tensor([True, False]),
        [np.bool_(True), np.bool_(False)],
        ["Yes", "no", ""],
        ["TRUE", "off", "y", None],
        [True, "no"],
    ],
)
def test_bools_and_words_for_yes_and_no_are_an_attribute(values: object):
    names = made(values).train.labels["f"]
    assert names[:2] == ("yes", "no") and set(names) <= {"yes", "no", None}
    assert type(Label.learn("f", names)) is Attribute


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([0, 1, 1], ("0", "1", "1")),
        (np.array([0, 1], np.uint8), ("0", "1")),
        ([0.0, 1.0, math.nan], ("0", "1", None)),
        (np.array([3.0, 4.0, np.nan], np.float32), ("3", "4", None)),
        (["0.5", "1.5"], ("0.5", "1.5")),
        (["6.0", "06"], ("6.0", "06")),
        (["y", "yes"], ("y", "yes")),
        (["y", "x"], ("y", "x")),
        ([1, "a", None], ("1", "a", None)),
        ([True, 3], ("True", "3")),
    ],
)
def test_whole_numbers_and_text_stay_labels(values: object, names: tuple[str | None, ...]):
    part = made(values).train
    assert part.labels["f"] == names and not part.numbers


@pytest.mark.parametrize(
    "values",
    [
        [0.5, 2, None],
        np.array([0.5, 2, np.nan]),
        torch.tensor([0.5, 2.0, math.nan]),
        [torch.tensor(0.5), np.float32(2), None],
        np.array([0.5, 2, None], object),
        np.array([[0.5], [2], [np.nan]], np.float32),
    ],
)
def test_floats_that_are_not_whole_are_numbers(values: object):
    one = made(values)
    assert one.fields == ("f",) and not one.train.labels
    np.testing.assert_array_equal(one.train.numbers["f"], [[0.5], [2], [np.nan]])
    assert one.train.numbers["f"].dtype == np.float64
    assert any("'f' is read as a number" in note and "kinds={'f': 'label'} (--label f)" in note for note in one.notes)


def test_a_matrix_of_floats_is_a_vector_and_one_of_bools_are_attributes():
    light = np.array([[0.1, 1.0], [0.2, np.nan], [0.3, -1.0]])
    one = collect(images(3), {"light": light.tolist(), "looks": np.array([[1, 1], [1, 0], [0, 1]], bool)})
    np.testing.assert_array_equal(one.train.numbers["light"], light)
    assert one.fields == ("looks 0", "looks 1", "light") and one.train.labels["looks 1"] == ("yes", "no", "yes")
    taken = one.train.take(torch.tensor([2, 0]))
    np.testing.assert_array_equal(taken.numbers["light"], light[[2, 0]])


def test_a_dict_of_columns_is_an_attribute_each():
    looks = {"smiling": [1, 0, None], "glasses": np.array([-1, 1, 1]), "hat": ["yes", "no", "no"]}
    part = collect(images(3), {"looks": looks}).train
    assert part.labels == {"smiling": ("yes", "no", None), "glasses": ("no", "yes", "yes"), "hat": ("yes", "no", "no")}
    told = collect(images(3), {"looks": looks}, kinds={"smiling": "label"}).train
    assert told.labels["smiling"] == ("1", "0", None) and told.labels["hat"] == ("yes", "no", "no")


def test_kinds_go_before_what_is_decided():
    assert made([20, 30, 40], kinds={"f": "number"}).train.numbers["f"].tolist() == [[20], [30], [40]]
    assert made(["1.5", "2", None], kinds={"f": "number"}).train.numbers["f"][:2].tolist() == [[1.5], [2]]
    assert made([0.5, 2.0], kinds={"f": "label"}).train.labels["f"] == ("0.5", "2")
    assert made([0, 1, 1], kinds={"f": "attribute"}).train.labels["f"] == ("no", "yes", "yes")
    assert made(np.array([[1, 2], [3, 5]]), kinds={"f": "number"}).train.numbers["f"].tolist() == [[1, 2], [3, 5]]
    hot = collect(images(3), {"f": np.eye(3, dtype=int)}, kinds={"f": "attribute"})
    assert hot.fields == ("f 0", "f 1", "f 2")
    assert made([0.5, 2.0], kinds={"f": "label"}).notes == ()  # what the user said is not said back


@pytest.mark.parametrize(
    ("labels", "kinds", "words"),
    [
        (
            {"f": [1, 2, 3]},
            {"f": "numbr"},
            "'f' must be one of label, attribute, number, got 'numbr', did you mean 'nu",
        ),
        ({"face": [1, 2, 3]}, {"fce": "label"}, "kinds names 'fce'; the fields are face, did you mean 'face'?"),
        ({"f": [1, 2, 3]}, ["f"], "kinds must be a dict of field name and kind"),
        (
            {"f": ["a", "2", "3"]},
            {"f": "number"},
            "'f' must be a finite number, or blank where it is unknown, got 'a' in",
        ),
        (
            {"f": [1, 0, 2]},
            {"f": "attribute"},
            "'f' must be yes or no, or blank where it is unknown, got '2' in entry 2",
        ),
        ({"f": {"g": ["a", "b", "a"]}}, None, "'g' must be yes or no"),
        ({"f": [0.5, 1.0, math.inf]}, None, "finite number"),
        ({"f": np.array([[0.5, 1], [2, math.inf], [3, 3]])}, None, "got infinity in entry 1"),
        ({"f": [[0.5, 1], [2, 3]]}, None, "2 labels for 3 images"),
        ({"f": np.eye(3)}, None, "one-hot; give the class numbers with y.argmax(1)"),
        ({"f": np.eye(3, dtype=bool)}, None, "one-hot"),
        ({"f": np.arange(6).reshape(3, 2)}, None, "attributes as bools and a vector of numbers as floats"),
        ({"f": np.array([[0.5, 1], [2, 1], [3, 1]])}, None, "entry 1 of 'f' must hold at least two different numbers"),
        (
            {"f": [1.5, 1.5, None]},
            None,
            "'f' must hold at least two different numbers, got only 1.5; train a plain VAE",
        ),
        (
            {"f": [7, 7, 7], "g": [1, 2, 3]},
            None,
            "'f' must hold at least two classes, got only '7', so there is nothing",
        ),
        ({"f": {" ": [1, 0, 1]}}, None, "a field's name must be text that is not blank"),
        ({"f": [1, 0, 1], "g": {"f": [1, 0, 1]}}, None, "two fields are called 'f'"),
    ],
)
def test_unusable_fields_are_refused_in_one_sentence(labels: dict, kinds: object, words: str):
    with pytest.raises(Refused, match=re.escape(words)) as refused:
        collect(images(3), labels, kinds=kinds)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_a_constant_field_among_others_is_to_be_left_out():
    with pytest.raises(Refused, match=r"nothing to ask for; leave it out$"):
        collect(images(3), {"f": [7, 7, 7], "g": [1, 2, 3]})


def test_an_identifier_is_refused_and_may_be_meant():
    names = [f"person {i}" for i in range(60)]
    with pytest.raises(
        Refused, match="'f' looks like an identifier: 60 different values in 60 rows; train a plain"
    ) as e:
        made(names)
    assert "kinds={'f': 'label'} (--label f)" in str(e.value)
    assert len(set(made(names, kinds={"f": "label"}).train.labels["f"])) == 60
    assert len(set(made([i // 2 for i in range(140)]).train.labels["f"])) == 70  # not more than half differ
    assert len(set(made(names[:50]).train.labels["f"])) == 50  # few
    with pytest.raises(Refused, match="all of them numbers but 'inf'"):
        read = read_cells("f", [*map(str, range(60)), "inf"], None)
        from condvae.kinds import check_column

        check_column(read, "leave it out")


def test_test_labels_are_read_as_the_training_ones():
    train = {
        "age": [20.5, 30.0, 41.0],
        "smiles": [True, False, True],
        "pose": [[0.5, 1.0], [1, 2], [2, 3]],
        "who": [0, 1, 1],
    }
    test = {"age": [30, 31], "smiles": [1, 0], "pose": np.array([[1, 1], [2, 2]])}
    part = collect(images(3), train, images(2), test).test
    assert part is not None
    assert part.numbers["age"].tolist() == [[30], [31]] and part.labels["smiles"] == ("yes", "no")
    assert part.numbers["pose"].tolist() == [[1, 1], [2, 2]] and part.labels["who"] == (None, None)
    part = collect(images(3), train, images(2), None).test
    assert part is not None and np.isnan(part.numbers["pose"]).all() and part.numbers["pose"].shape == (2, 2)
    looks = np.array([[1, 1], [1, 0], [0, 1]], bool)
    part = collect(images(3), {"looks": looks}, images(3), {"looks": np.eye(3, 2, dtype=bool)}).test
    assert part is not None and part.labels["looks 1"] == ("no", "yes", "no")


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ({"agee": [1, 2]}, "labels_test names 'agee'; the fields are age, pose, did you mean 'age'?"),
        ({"age": ["old", "new"]}, "'age' must be a finite number"),
        ({"pose": [[1.5, 2, 3], [1, 2, 3]]}, "'pose' holds 2 numbers an image in labels, and 3 in labels_test"),
        ({"age": [1]}, "1 labels for 2 images in x_test"),
    ],
)
def test_unusable_test_labels_are_refused(test: dict, words: str):
    with pytest.raises(Refused, match=re.escape(words)):
        collect(images(3), {"age": [20.5, 30.0, 41.0], "pose": [[0.5, 1.0], [1, 2], [2, 3]]}, images(2), test)


# --- from tables ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["Yes", None, "NO"], "attribute"),
        (["0", "1", None], "attribute"),
        (["0.0", "1.0"], "attribute"),
        (["-1", "1"], "attribute"),
        (["-1", "0", "1"], "label"),
        (["1", "2"], "label"),
        (["a", "1"], "label"),
        (["1.5", "2"], "number"),
        (["1e-3", ".5", "-2"], "number"),
        ([str(i) for i in range(20)], "label"),
        ([str(i) for i in range(21)], "number"),
        ([f"{i}.0" for i in range(21)], "number"),
        ([f"{i:03}" for i in range(99)], "label"),  # 007 is a name
        (["1_0", "2.5"], "label"),
        (["inf", "2.5"], "label"),
        (["1e999", "2.5"], "label"),
        ([None], "label"),
    ],
)
def test_a_tables_column_is_what_its_cells_are(cells: list[str | None], kind: str):
    assert cells_kind(cells)[0] == kind


def test_cells_are_read_as_their_kind():
    assert read_cells("f", ["6.0", "7.0", None], None).names == ("6", "7", None)
    assert read_cells("f", ["6.0", "a"], None).names == ("6.0", "a")
    assert read_cells("f", ["06", "7.0"], None).names == ("06", "7.0")
    assert read_cells("f", ["-1", "1", None], None).names == ("no", "yes", None)
    column = read_cells("f", ["1.5", None], None)
    assert column.kind == "number" and column.values is not None and len(column) == 2
    np.testing.assert_array_equal(column.values, [[1.5], [np.nan]])
    with pytest.raises(Refused, match="got 'x' in row 2"):
        read_cells("f", ["1", "x"], "number")
    with pytest.raises(Refused, match="got 'x' in row 77"):
        read_cells("f", ["1", "x"], "number", [5, 77])
    assert as_numbers({"1", "x"}) is None and as_numbers({"1", "2.5"}) == {"1": 1.0, "2.5": 2.5}


def test_rows_of_a_column_may_be_absent():
    names = Column("f", "label", ("a", None, "b"))
    assert names.take(np.array([2, -1, 0])).names == ("b", None, "a") and names.unknown.tolist() == [False, True, False]
    values = Column("f", "number", (), np.array([[1.0, np.nan], [np.nan, np.nan]]))
    np.testing.assert_array_equal(values.take(np.array([-1, 0])).values, [[np.nan, np.nan], [1, np.nan]])  # type: ignore[arg-type]
    assert values.unknown.tolist() == [False, True]


def test_what_was_decided_is_said_with_its_override():
    said = kinds_words([read_cells("zip", ["1", "2"], None), read_cells("town", ["a", "b"], None)])
    assert said == [
        "'zip' is read as a label, for it holds 2 different whole numbers; kinds={'zip': 'number'} (--number zip) "
        "reads 'zip' otherwise."
    ]
    many = [read_cells(f"a{i}", ["0", "1"], None) for i in range(30)] + [read_cells("age", ["1.5", "2"], None)]
    (one,) = kinds_words(many)
    assert "30 as attributes, yes or no (a0, a1," in one and "and 10 more), 1 as numbers (age)" in one
    assert kinds_words([read_cells("zip", ["1", "2"], "label")]) == []
    assert check_kinds(None) == {}


# --- what is said of them ---------------------------------------------------------------------------------


def test_the_data_check_speaks_of_numbers_and_attributes():
    age = [float(i % 40) + 0.5 for i in range(200)]
    age[:20] = [math.nan] * 20
    pile = [0.0] * 150 + [i + 0.5 for i in range(50)]
    smiles = [i % 2 == 0 for i in range(200)]
    hats: list[bool | None] = [i < 4 for i in range(200)]
    hats[-30:] = [None] * 30
    labels = {"age": age, "pile": pile, "smiles": smiles, "hat": hats}
    test = {"age": [99.0, 20.0], "hat": [None, True]}
    one = collect(images(200), labels, images(2), test)
    said = describe(one.train, one.test, "gaussian", "so")
    text = " ".join(said)
    for words in (
        "'age' is a number from 0.5 to 39.5, of mean 21.11; half of its values lie within 11.5 to 30.75.",
        "20 of 200 images (10 %) have no known 'age'; they are trained on as unknown.",
        "Uneven: 75 % of 'pile' are 0; rare values are learnt less well.",
        "1 test images hold values of 'age' outside the range of training.",
        "Yes or no (share of yes): smiles 50 %, hat 2.4 %.",
        "Uneven: rare are hat=yes (4 images)",
        "30 of 200 images (15 %) have no known 'hat'",
    ):
        assert words in text, words
    assert "plain VAE" not in text and all(line.endswith(".") and "\n" not in line for line in said)
    pose = collect(images(4), {"pose": RNG.random((4, 2))})
    assert "entry 1 of 'pose' is a number from" in " ".join(describe(pose.train, None, "gaussian", "so"))
