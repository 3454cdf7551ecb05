"""What comes in as images and labels: read rightly, said aloud, or refused in one sentence."""

import math
import os
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from condvae.data import (
    Part,
    as_images,
    choose_likelihood,
    clean_labels,
    collect,
    describe,
    hold_out,
    label_values,
    stratified_split,
    unit,
)
from condvae.errors import Refused, suggest
from condvae.names import label_name, sort_names

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (7, 5, 4), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (7, 5, 4, 3), dtype=np.uint8)


class NAType:
    """Stands for pandas.NA, whose type bears this name."""


# --- images -----------------------------------------------------------------------------------------------


def test_every_layout_gives_the_same_pixels():
    grey, notes = as_images(GREY)
    assert notes == []
    assert grey.shape == (7, 1, 5, 4) and grey.dtype == torch.uint8
    for other in (
        GREY[:, None],
        GREY[..., None],
        list(GREY),
        torch.from_numpy(GREY),
        [torch.from_numpy(a) for a in GREY],
    ):
        assert torch.equal(as_images(other)[0][:], grey[:])
    last, said = as_images(COLOUR)
    first, _ = as_images(COLOUR.transpose(0, 3, 1, 2))
    assert torch.equal(last[:], first[:]) and last.shape == (7, 3, 5, 4)
    assert "[N, H, W, C]" in said[0]


def test_an_ambiguous_layout_is_read_channels_first_and_said():
    x = RNG.integers(0, 256, (6, 3, 8, 1), dtype=np.uint8)
    images, notes = as_images(x)
    assert images.shape == (6, 3, 8, 1) and "channels first" in notes[0]
    images, notes = as_images(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    assert images.shape == (8, 1, 8, 3) and "x[None]" in notes[0]


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", ">f4"])
def test_floats_become_float32(kind: str):
    x = np.linspace(0, 1, 60).reshape(3, 5, 4).astype(kind)
    images, notes = as_images(x)
    assert images.dtype == torch.float32 and len(notes) == (kind not in ("float32", ">f4"))
    np.testing.assert_array_equal(images[:].numpy()[:, 0], x.astype(np.float32))
    assert (images.low, images.high) == (0, 1)


def test_other_kinds_are_converted_and_said():
    images, notes = as_images(GREY.astype(np.int64))
    assert torch.equal(images[:], torch.from_numpy(GREY)[:, None]) and "int64" in notes[0]
    images, notes = as_images(GREY > 100)
    assert torch.equal(images[:], torch.from_numpy((GREY > 100) * np.uint8(255))[:, None])
    assert images.high == 255 and "boolean" in notes[0]
    images, notes = as_images(torch.rand(3, 4, 4).bfloat16())
    assert images.dtype == torch.float32
    # Rounding that vanishes in float32 is no reason to refuse.
    assert as_images(np.full((2, 4, 4), 1.0000000000000002))[0].high >= 1


def test_unusual_memory_is_read_rightly():
    for x in (GREY[::-1], GREY[:, ::-1, ::2], np.asfortranarray(GREY), GREY.transpose(0, 2, 1)):
        np.testing.assert_array_equal(as_images(x)[0][:].numpy()[:, 0], x)
    frozen = GREY.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(as_images(frozen)[0][:].numpy()[:, 0], GREY)


def test_arrays_in_memory_are_shared_and_passing_through_changes_nothing():
    x = GREY.copy()
    images, _ = as_images(x)
    assert images.memory is not None
    x[0, 0, 0] ^= 255
    assert images[0][0, 0, 0] == x[0, 0, 0]
    assert as_images(images) == (images, [])


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((0, 28, 28), np.uint8), "at least one image"),
        (np.zeros((5, 0, 28), np.uint8), "at least one image"),
        ([], "at least one image"),
        (np.zeros((10, 784), np.float32), "x.reshape(-1, 28, 28)"),
        (np.zeros((2, 3, 4, 5, 6), np.float32), "shape [2, 3, 4, 5, 6]"),
        (np.zeros((2, 28, 28, 4), np.float32), "1 or 3 channels"),
        (np.array([None, None]), "dtype object"),
        (np.zeros((2, 4, 4), complex), "dtype complex128"),
        (torch.zeros(2, 4, 4, dtype=torch.complex64), "dtype complex64"),
        ([np.zeros((4, 4)), np.zeros((4, 5))], "of one size"),
        ("six.png", "got str"),
        (6, "got int"),
        (np.full((2, 4, 4), 255.0), "got 255 to 255; bring 0..255 to [0, 1] with x / 255"),
        (np.linspace(-1, 1, 32).reshape(2, 4, 4), "got -1 to 1; bring [-1, 1] to [0, 1] with (x + 1) / 2"),
        (np.linspace(0, 1.001, 32).reshape(2, 4, 4), "got 0 to 1.001; cut"),
        (np.linspace(-0.3, 700, 32).reshape(2, 4, 4), "got -0.3 to 700"),
        (np.full((2, 4, 4), 256), "got 256 to 256"),
        (np.full((2, 4, 4), -1), "got -1 to -1"),
        (np.eye(4, dtype=np.uint8)[None], "multiply by 255 or convert to float"),
        (np.eye(4, dtype=np.int64)[None], "multiply by 255 or convert to float"),
        (np.ma.masked_equal(GREY, GREY[0, 0, 0]), "masked"),
    ],
)
def test_what_cannot_be_images_is_refused_in_one_sentence(x: object, words: str):
    with pytest.raises(Refused, match=re.escape(words)) as refused:
        as_images(x)
    assert "\n" not in str(refused.value) and "x" in str(refused.value)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_refused_with_the_first_image(bad: float):
    x = np.full((9, 4, 4), 0.5, np.float32)
    x[6, 1, 2] = x[8, 0, 0] = bad
    with pytest.raises(Refused, match="first in image 6"):
        as_images(x)


def test_a_black_image_is_an_image():
    assert as_images(np.zeros((1, 4, 4), np.uint8))[0].high == 0


@pytest.mark.parametrize("kind", ["uint8", "float64", "bool", "int32"])
def test_a_memory_mapped_array_stays_on_disk(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("condvae.images.CHUNK_BYTES", 200)  # so that the check goes through several pieces
    x = (COLOUR / 255).astype(kind) if kind == "float64" else (COLOUR > 99 if kind == "bool" else COLOUR.astype(kind))
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    held, _ = as_images(x)
    for given_view in (mapped, mapped[::2], np.asarray(mapped)):
        images, notes = as_images(given_view)
        assert images.memory is None and "stays on disk" in notes[-1]
    images, _ = as_images(mapped)
    assert images.shape == held.shape and images.dtype == held.dtype
    assert (images.low, images.high) == pytest.approx((held.low, held.high))
    for index in (torch.tensor([5, 0, 5]), [1, -1], np.array([2]), slice(1, 6, 2), torch.arange(7) > 3, 4):
        assert torch.equal(images[index], held[index])
    assert torch.equal(torch.cat(list(images.chunks())), held[:])
    images[0].zero_()
    assert torch.equal(images[:], held[:])


def test_a_mapped_array_is_never_read_whole(tmp_path: Path):
    # 64 GB of zeros in a sparse file: reading it whole could not end well.
    mapped = np.memmap(tmp_path / "big", np.uint8, "w+", shape=(1 << 16, 1000, 1000))
    from condvae.images import Images

    images = Images(mapped, "NHW", 0, 255)
    mapped[54_321, 3, 4] = 77
    assert images[torch.tensor([54_321, 2])].sum() == 77


def test_nan_in_a_late_piece_of_a_mapped_array_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("condvae.images.CHUNK_BYTES", 128)
    x = np.full((40, 4, 4), 0.5, np.float32)
    x[37, 3, 3] = math.nan
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(Refused, match="first in image 37"):
        as_images(np.load(tmp_path / "x.npy", mmap_mode="r"))


def test_unit_scales_bytes_and_leaves_floats():
    assert torch.equal(unit(torch.tensor([0, 51, 255], dtype=torch.uint8)), torch.tensor([0, 0.2, 1]))
    x = torch.rand(3)
    assert torch.equal(unit(x), x)


# --- names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "six",
    [
        6,
        np.int64(6),
        np.uint8(6),
        6.0,
        np.float32(6),
        "6",
        " 6 ",
        b"6",
        np.array(6),
        torch.tensor(6.0),
        Decimal(6),
    ],
)
def test_six_has_one_name(six: object):
    assert label_name(six) == "6"


@pytest.mark.parametrize(
    "missing", [None, math.nan, np.float32("nan"), np.ma.masked, NAType(), "", "  ", torch.tensor(math.nan)]
)
def test_unknown_has_no_name(missing: object):
    assert label_name(missing) is None


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (6.5, "6.5"),
        (np.float32(6.1), "6.1"),
        (torch.tensor(6.1), "6.1"),
        (-0.0, "0"),
        (1e20, "100000000000000000000"),
        (2**70, str(2**70)),
        (True, "True"),
        (np.False_, "False"),
        ("06", "06"),
        ("6.0", "6.0"),
        ("nan", "nan"),
        ("e\u0301", "\u00e9"),
        ("\u516d\n", "\u516d"),
    ],
)
def test_other_names(value: object, name: str):
    assert label_name(value) == name


@pytest.mark.parametrize("bad", [math.inf, [6], {"a": 1}, object(), "\ud800", np.array([6, 7]), 1j])
def test_what_is_no_label_is_refused(bad: object):
    with pytest.raises(Refused, match="a label must be"):
        label_name(bad)


def test_numbers_sort_as_numbers_before_text():
    assert sort_names(["10", "9", "b", "-1", "2.5", "a", "1e1", "1_0", "inf", "9"]) == (
        *("-1", "2.5", "9", "10", "1e1"),
        *("1_0", "a", "b", "inf"),
    )


@given(st.lists(st.text(max_size=6) | st.integers().map(str) | st.floats().map(str)))
def test_sorting_is_an_order(names: list[str]):
    once = sort_names(names)
    assert sort_names(reversed(once)) == once and set(once) == set(names)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
def test_a_name_names_itself(text: str):
    name = label_name(text)
    assert name is None or label_name(name) == name


# --- labels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "six_seven_unknown",
    [
        [6, "7", None],
        (6.0, np.int8(7), math.nan),
        np.array([6, 7, np.nan], np.float32),
        np.array([[6], [7], [np.nan]]),
        np.array(["6", "7", ""]),
        np.array([6, "7", None], object),
        np.ma.array([6, 7, 8], mask=[False, False, True]),
        torch.tensor([6, 7, math.nan]),
        [torch.tensor(6), torch.tensor(7), NAType()],
        [[6], [7], [math.nan]],
        iter([6, 7, None]),
    ],
)
def test_labels_of_any_kind_become_names(six_seven_unknown: object):
    assert clean_labels(six_seven_unknown, 3, "digit") == ["6", "7", None]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([1, 2], "2 labels for 3 images"),
        (np.eye(3), "one-hot; give the class numbers with y.argmax(1)"),
        (torch.eye(3)[[2, 2, 0]], "one-hot"),
        ([[0, 1], [1, 0], [0, 1]], "one-hot"),
        (np.full((3, 2), 0.5), "shape [3, 2]"),
        ([[1, 2], [3], [4]], "rows of different lengths"),
        (np.zeros((3, 1, 1)), "shape [3, 1, 1]"),
        (np.array(6), "one label per image"),
        ("678", "one label per image"),
        (None, "one label per image"),
        ({"a": 1}, "one label per image"),
        (6, "one label per image"),
        ([1, 2, math.inf], "finite number"),
        ([1, 2, object()], "got object"),
    ],
)
def test_unusable_labels_are_refused(labels: object, words: str):
    with pytest.raises(Refused, match=re.escape(words)) as refused:
        clean_labels(labels, 3, "digit")
    assert "'digit'" in str(refused.value) and "\n" not in str(refused.value)


def test_values_are_in_order_without_the_unknown():
    assert label_values(["10", None, "9", "a", "9"]) == ("9", "10", "a")


def test_a_collection_checks_images_and_labels_together():
    made = collect(GREY, {"digit": [0, 1, 0, 1, 0, None, "1"]}, COLOUR[..., 0], name="mine")
    assert made.fields == ("digit",) and made.train.labels["digit"][-2:] == (None, "1")
    assert made.test is not None and made.test.labels["digit"] == (None,) * 7
    part = made.train.take(torch.tensor([6, 1]))
    assert part.labels["digit"] == ("1", "1") and torch.equal(part.x[:], made.train.x[[6, 1]])
    assert collect(GREY, None).fields == ()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (
            {"digit": [3] * 7},
            "got only '3', so there is nothing to ask for; train a plain VAE with condvae.fit(x, None)",
        ),
        ({"digit": [None] * 7}, "no known label at all"),
        ({"digit": range(6)}, "6 labels for 7 images"),
        ({3: range(7)}, "a field's name"),
        (list(range(7)), "a dict of field name and labels"),
    ],
)
def test_a_collection_is_refused(labels: object, words: str):
    with pytest.raises(Refused, match=re.escape(words)):
        collect(GREY, labels)  # type: ignore[arg-type]


def test_a_test_part_of_another_size_is_refused():
    with pytest.raises(Refused, match=re.escape("[1, 5, 4] as [C, H, W], got [1, 4, 4]")):
        collect(GREY, {"digit": range(7)}, GREY[:, :4])


PINNED = [1, 3, 11, 13, 20, 21]

# --- likelihood, description, splits ----------------------------------------------------------------------


def test_likelihood_follows_the_kind_of_picture():
    drawing = np.zeros((50, 8, 8), np.float32)
    drawing[:, 2:6, 2:6] = RNG.random((50, 4, 4))
    assert choose_likelihood(as_images(drawing)[0])[0] == "gaussian"
    two_tones = (drawing > 0.5).astype(np.float32)
    assert choose_likelihood(as_images(two_tones)[0])[0] == "bernoulli"
    assert choose_likelihood(as_images(1 - two_tones)[0])[0] == "bernoulli"
    assert choose_likelihood(as_images(RNG.random((50, 8, 8)))[0])[0] == "gaussian"
    assert choose_likelihood(as_images(RNG.random((50, 3, 8, 8)) > 0.5)[0])[0] == "bernoulli"


@pytest.mark.skipif("CONDVAE_DATA" not in os.environ, reason="needs real data")
@pytest.mark.parametrize(
    ("file", "key", "likelihood"),
    [
        ("omniglot_small_28", "x", "gaussian"),
        ("frey_faces", "x", "gaussian"),
        ("orl_faces", "x", "gaussian"),
        ("svhn_10k", "x_test", "gaussian"),
    ],
)
def test_likelihood_of_real_data(file: str, key: str, likelihood: str):
    with np.load(Path(os.environ["CONDVAE_DATA"]) / f"{file}.npz") as held:
        assert choose_likelihood(as_images(held[key])[0])[0] == likelihood


def test_the_data_check_says_all_that_matters():
    labels = ["a"] * 60 + ["b"] * 5 + [None] * 15
    made = collect(np.repeat(GREY[:1], 80, 0), {"sign": labels}, GREY, {"sign": ["a", "c", *"aaaab"]})
    said = describe(made.train, made.test, "gaussian", "as asked for", ["A note."])
    text = " ".join(said)
    for words in (
        "80 training images and 7 test images, grey, 5 x 4 pixels",
        "([N, C, H, W] = [80, 1, 5, 4], uint8, in memory)",
        "A note.",
        f"Pixels lie within {GREY[0].min()} to {GREY[0].max()} (of 0 to 255)",
        "'sign' has 2 values (images): a (60), b (5)",
        "15 of 80 images (19 %) have no known 'sign'",
        "'a' has 12 times as many images as 'b'",
        "1 of the 2 values of 'sign' have fewer than 10 images",
        "training lacks: c",
        "Likelihood: gaussian, because as asked for; likelihood='bernoulli' overrides it",
    ):
        assert words in text
    assert all(line.endswith(".") and "\n" not in line for line in said)
    plain = describe(Part(as_images(np.zeros((3, 4, 4), np.uint8))[0]), None, "bernoulli", "so")
    assert "plain VAE" in " ".join(plain) and "nothing to learn" in " ".join(plain)
    pairs = [i // 2 for i in range(140)]
    many = collect(np.repeat(GREY, 20, 0), {"label": pairs})
    assert "70 values with 2 images each: 0, 1, 2, ..., 69" in " ".join(describe(many.train, None, "gaussian", ""))


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=2, max_size=60), st.data())
def test_held_rows_are_a_partition_in_proportion(labels: list[str | None], data: st.DataObject):
    n = len(labels)
    count = data.draw(st.integers(1, n - 1))
    kept, held = hold_out(n, labels, count, seed=3)
    assert len(held) == count and sorted([*kept.tolist(), *held.tolist()]) == list(range(n))
    assert kept.tolist() == sorted(kept.tolist()) and held.tolist() == sorted(held.tolist())
    sizes, taken = Counter(labels), Counter(labels[i] for i in held.tolist())
    if count <= n - len(sizes):  # a row of each can stay
        assert all(taken[name] < size for name, size in sizes.items())
    if min(sizes.values()) * (n - count) >= n:  # no class is small enough to be spared
        assert all(abs(taken[name] - count * size / n) < 1 for name, size in sizes.items())


def test_a_split_depends_on_the_seed_alone_and_is_pinned():
    labels = [str(i % 3) for i in range(30)]
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    _, held = hold_out(30, labels, 6, seed=0)
    assert torch.equal(state, torch.random.get_rng_state())
    assert held.tolist() == PINNED
    assert hold_out(30, labels, 6, seed=1)[1].tolist() != PINNED
    assert torch.equal(stratified_split(labels, 0.2)[1], held)
    assert hold_out(30, None, 29)[0].shape == (1,)


@pytest.mark.parametrize("count", [0, 10, -1])
def test_impossible_splits_are_refused(count: int):
    with pytest.raises(Refused, match="1 to 9 of 10"):
        hold_out(10, None, count)
    with pytest.raises(Refused, match="between 0 and 1"):
        stratified_split(["a", "b"], 1.0)
    with pytest.raises(Refused, match="one per row"):
        hold_out(10, ["a"], 3)


def test_suggestions_help_only_where_something_is_near():
    assert suggest("MNSIT", ["mnist", "svhn"]) == ", did you mean 'mnist'?"
    assert suggest("zebra", ["mnist", "svhn"]) == "" and suggest("x", []) == ""
    assert issubclass(Refused, ValueError)
