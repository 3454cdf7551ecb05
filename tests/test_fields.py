"""Fields: words to columns, columns to tensors; unknown is a value; what may be asked is said."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from condvae.conditions import Attribute, Label, Number, Picture, Schema
from condvae.errors import Refused
from condvae.partials import partial

SHAPE = (1, 4, 6)


def number(optional: bool = False) -> Number:
    values = np.array([[18.0], [30], [42], [90], [np.nan if optional else 20]])
    return Number.learn("age", values)


def test_a_number_is_standardised_and_remembers_its_range() -> None:
    field = number()
    assert (field.low, field.high, field.whole, field.optional) == ((18,), (90,), True, False)
    column = field.index([18, "42", 90.0])
    assert column.tolist() == [[18], [42], [90]]
    encoded = field.encode(column).numpy()[:, 0]
    known = np.array([18, 30, 42, 90, 20.0])
    assert np.allclose(encoded, (np.array([18, 42, 90]) - known.mean()) / known.std(), atol=1e-6)
    assert field.beyond(column) is None
    one, all_five = (str(field.beyond(field.index(ages))) for ages in ([17, 20, 17], [17, 95, 96, 97, 30, 98]))
    assert "18 to 90" in one and "; 17 lies outside" in one
    assert "; 17, 95, 96 and 2 more lie outside" in all_five


@pytest.mark.parametrize("blank", [None, float("nan"), "", "?", np.float32("nan")])
def test_unknown_is_a_value_of_a_number(blank: object) -> None:
    field = number(optional=True)
    column = field.index([blank, 30])
    assert field.unknown(column).tolist() == [True, False]
    encoded = field.encode(column)
    assert encoded[0].tolist() == [0, 0] and encoded[1, 1] == 1  # zeroed with its flag
    zero = field.encode(np.array([[field.mean[0]]]))
    assert zero.tolist() == [[0, 1]]  # the mean is no blank


@pytest.mark.parametrize("bad", ["old", [1, 2], {"a": 1}])
def test_what_is_no_number_is_refused(bad: object) -> None:
    with pytest.raises(Refused, match="age"):
        number().index([bad])
    with pytest.raises(Refused, match="finite"):
        number().index([math.inf])


def test_a_vector_of_numbers() -> None:
    field = Number.learn("pose", np.array([[0.0, 1], [1, 3], [2, 5], [np.nan, 1]]))
    assert field.size == 2 and field.width == 4
    column = field.index(["0.5:2", [1, None], None])
    assert column[0].tolist() == [0.5, 2] and column[1, 0] == 1 and np.isnan(column[1, 1]) and np.isnan(column[2]).all()
    assert field.encode(column)[1].tolist()[1:] == [0, 1, 0]
    assert not field.many([0.5, 2]) and field.many([[0.5, 2]]) and field.many(np.zeros((3, 2)))
    with pytest.raises(Refused, match="2 number"):
        field.index([[1, 2, 3]])
    outside = str(field.beyond(field.index([[5, 2], [6, 9]])))
    assert "pose[0] was within 0 to 2 in training; 5, 6 lie outside" in outside and "pose[1]" in outside


@pytest.mark.parametrize(
    ("asked", "many"),
    [
        ([0.3, None], False),
        ([None, 0.3], False),
        (["0.3", "?"], False),
        ([None, None], False),
        (np.array([0.3, 1.0]), False),
        ([0.3, 0.5, 0.7], False),  # refused, as it holds three
        ([[0.3, None]], True),
        ([[0.3, 1], None], True),
        (["0.3:1", "0.5:2"], True),
        (["0.3:1", None], True),
        ([None], True),
        ([None, None, None], True),
    ],
)
def test_a_list_for_a_vector_is_one_value_or_a_list_of_values(asked: Any, many: bool) -> None:
    field = Number.learn("pose", np.array([[0.0, 1], [1, 3], [2, 5], [np.nan, 1]]))
    assert field.many(asked) == many
    if not many and len(asked) == 2:
        one = field.index([asked])
        told = [None if entry is None or entry == "?" else float(entry) for entry in asked]
        assert [None if np.isnan(entry) else entry for entry in one[0]] == told


def test_a_constant_number_is_refused() -> None:
    with pytest.raises(Refused, match="at least two different numbers"):
        Number.learn("age", np.array([[3.0], [3.0], [np.nan]]))


def test_unknown_numbers_are_drawn_as_in_training() -> None:
    values = np.random.default_rng(0).gamma(2.0, 3.0, (5000, 1))
    field = Number.learn("income", values)
    drawn = field.drawn(np.random.default_rng(1).random((5000, 1)))
    assert np.allclose(np.quantile(drawn, [0.1, 0.5, 0.9]), np.quantile(values, [0.1, 0.5, 0.9]), rtol=0.06)
    entries, shares = field.support()
    assert math.isclose(np.exp(shares).sum(), 1) and math.isclose(float(entries.mean()), values.mean(), rel_tol=0.05)


def test_an_attribute_is_yes_or_no() -> None:
    field = Label.learn("smiling", ["yes", "no", None, "yes"])
    assert isinstance(field, Attribute) and field.optional
    assert field.index([True, "false", 1, "off", None, "Yes"]).tolist() == [1, 0, 1, 0, -1, 1]
    with pytest.raises(Refused, match="yes or no; got 'maybe'"):
        field.index(["maybe"])


def test_a_partial_picture_zeroes_what_is_hidden() -> None:
    field = Picture("picture", SHAPE)
    x, seen = np.random.default_rng(0).random(SHAPE), np.zeros((4, 6), bool)
    seen[:, :3] = True
    column = field.index([(x, seen), None])
    assert field.unknown(column).tolist() == [False, True]
    assert np.array_equal(column[0, 0, :, :3], x[0, :, :3].astype(np.float32)) and not column[0, 0, :, 3:].any()
    assert not column[1].any() and column[0, 1].sum() == 12
    with pytest.raises(Refused, match="shape"):
        field.index([(x[:, :2], seen)])
    with pytest.raises(Refused, match="pair"):
        field.index([x])


def test_a_pixel_is_seen_where_all_its_channels_are() -> None:
    seen = np.ones((1, 3, 2, 2), bool)
    seen[0, 1, 0, 0] = False
    told = partial(np.ones((1, 3, 2, 2), np.float32), seen)
    assert told[0, :, 0, 0].tolist() == [0, 0, 0, 0] and told[0, :, 1, 1].tolist() == [1, 1, 1, 1]


def mixed() -> Schema:
    return Schema((Label.learn("digit", ["1", "2", None]), number(True), Picture("picture", SHAPE)))


def test_a_schema_mixes_fields_and_survives_json() -> None:
    schema = mixed()
    assert schema.width == 3 + 2
    assert (schema.slice("age"), schema.span("age")) == (slice(3, 4), slice(3, 5))
    columns = schema.index({"digit": ["2", None], "age": [30, 18]}, 2)
    c = schema.encode(columns, 2)
    assert c.vector.shape == (2, 5) and c.picture is not None and c.picture.shape == (2, 2, 4, 6)
    assert c.hidden is not None and bool((c.hidden == 1).all())
    again = Schema.from_json(schema.to_json())
    assert again == schema
    assert torch.equal(again.encode(columns, 2).vector, c.vector)
    with pytest.raises(Refused, match="did you mean 'digit'"):
        schema.index({"digits": [1]}, 1)


def test_labels_that_training_never_saw_are_unknown_in_a_part() -> None:
    told = mixed().told({"digit": ("1", "9")}, {"age": np.array([[20.0], [np.nan]])}, 2)
    assert told["digit"] == ["1", None] and told["age"].shape == (2, 1)


def test_a_number_shows_a_year_as_one_writes_it() -> None:
    assert Number.learn("year", np.asarray([[2018.0], [2021.0], [2022.0]])).example == "2020"
    assert Number.learn("weight", np.asarray([[0.5], [1.25]])).example == "0.875"
