"""Every likelihood says what it is of: p(x | what is given), and what was done about the rest."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from shrunk import EVERY, SHAPE, batch_of, model_of, schema_of

from condvae.conditionals import bound_of, head_and_rest, likelihood_of
from condvae.conditions import Label, Number, Picture, Schema
from condvae.errors import Refused
from condvae.evaluation import Evaluation
from condvae.findings import Likelihood
from condvae.learned import Learned
from condvae.measures import evaluate
from condvae.names import lasting
from condvae.tasks import log_prob

OWN = Label("digit", ("0", "1"), (0.5, 0.5))
FREE = Label("digit", ("0", "1"), (0.5, 0.5), optional=True)
INK = Number.learn("ink", np.linspace(0, 1, 9)[:, None])
ROWS = np.arange(4)


def columns(digit: list[int], ink: list[float] | None = None) -> dict[str, np.ndarray]:
    return {"digit": np.array(digit), **({} if ink is None else {"ink": np.array(ink)[:, None]})}


@pytest.mark.parametrize(
    ("field", "digit", "unknown", "said"),
    [
        (OWN, [0, 1, 0, 1], None, "p(x | digit)"),
        (OWN, [-1] * 4, None, "p(x), summed over digit"),
        (FREE, [-1] * 4, None, "p(x), blank input for digit"),
        (FREE, [-1] * 4, "blank", "p(x), blank input for digit"),
        (FREE, [-1] * 4, "sum", "p(x), summed over digit"),
        (FREE, [0, 1, 0, 1], "sum", "p(x | digit)"),
        (FREE, [0, -1, 0, 1], "sum", "p(x | digit), summed over digit where it is unknown (1 image)"),
        (OWN, [0, -1, -1, 1], None, "p(x | digit), summed over digit where it is unknown (2 images)"),
    ],
)
def test_of_one_label(field: Label, digit: list[int], unknown: str | None, said: str) -> None:
    assert likelihood_of(Schema((field,)), columns(digit), ROWS, unknown) == said


def test_of_several_fields_of_some_rows_and_of_pictures() -> None:
    both = Schema((FREE, INK))
    nan = float("nan")
    told = columns([-1] * 4, [0.1, 0.2, nan, 0.4])
    summed = "summed over 16 values of ink where it is unknown"
    assert likelihood_of(both, told, ROWS) == f"p(x | ink), blank input for digit, {summed} (1 image)"
    assert likelihood_of(both, told, np.array([0, 1])) == "p(x | ink), blank input for digit"
    assert likelihood_of(both, told, np.array([0]), "sum", "row") == "p(row | ink), summed over digit"
    assert likelihood_of(Schema(), {}, ROWS) == "p(x)"
    holed = Schema((OWN, Picture("picture", (1, 2, 2))))
    seen = {**columns([0, 1, 0, 1]), "picture": np.zeros((4, 2, 2, 2), np.float32)}
    assert likelihood_of(holed, seen, ROWS) == "p(what is hidden of x | digit, what is seen)"


def test_of_a_bound_what_has_no_blank_input_is_read_from_the_picture() -> None:
    assert bound_of(Schema((OWN,)), columns([-1] * 4), ROWS) == "p(x), digit as the model reads it"
    assert bound_of(Schema((FREE,)), columns([-1] * 4), ROWS) == "p(x), blank input for digit"
    assert head_and_rest("p(x), summed over digit") == ("p(x)", "summed over digit")
    assert head_and_rest("p(x | digit, ink)") == ("p(x | digit, ink)", "")
    assert head_and_rest("p(x | a, b), blank input for c, summed over d") == (
        "p(x | a, b)",
        "blank input for c, summed over d",
    )


def measured(optional: bool, given: dict[str, Any] | None, **options: Any) -> tuple[Learned, np.ndarray, Evaluation]:
    settings = EVERY["defaults"]
    learned = Learned(model_of(settings, optional), schema_of(settings, optional), SHAPE)
    x, _ = batch_of(learned.schema, rows=9)
    return learned, x.numpy(), evaluate(learned, x.numpy(), given, k=3, limit=0, draws=9, **options)


def test_an_evaluation_says_what_its_numbers_are_of() -> None:
    given = {"sign": [*"abc"] * 3, "size": np.linspace(-2, 5, 9)}
    learned, x, known = measured(True, given)
    assert known.likelihood is not None and known.likelihood.of == "p(x | sign, size)" == known.bound_of
    table = {name: beside for name, _, beside in known.table()}
    assert {"-log p(x | sign, size)", "bound on log p(x | sign, size)"} <= set(table)
    without = {"size": given["size"]}
    numbers = {}
    for unknown, told in (
        ("sum", "summed over sign"),
        ("blank", "blank input for sign"),
        (None, "blank input for sign"),
    ):
        found = measured(True, without, unknown=unknown)[2]
        assert found.likelihood is not None and found.likelihood.of == f"p(x | size), {told}"
        assert found.bound_of == "p(x | size), blank input for sign"
        assert found.likelihood.mean == pytest.approx(-log_prob(learned, x, without, k=3, unknown=unknown).mean())
        table = {name: beside for name, _, beside in found.table()}
        assert table["-log p(x | size)"].startswith(f"{told}; k = 3")
        assert table["bound on log p(x | size)"] == "9 images; blank input for sign"
        assert any(one.startswith(f"Likelihood: p(x | size), {told}; ") for one in found.sentences())
        numbers[unknown] = found.likelihood.mean
    assert numbers["sum"] != numbers["blank"] == numbers[None]
    summed = measured(True, without, unknown="sum")[2]
    assert summed.unknown.startswith("sign: summed over in the likelihood, blank input in the bound")


def test_nothing_given_is_p_of_x_and_what_has_no_blank_is_refused_as_blank() -> None:
    found = measured(False, None)[2]
    assert found.likelihood is not None
    assert found.likelihood.of == "p(x), summed over sign, summed over 16 values of size"
    assert found.bound_of == "p(x), sign as the model reads it, size as the model reads it"
    with pytest.raises(Refused, match="sign has no blank input"):
        measured(False, None, unknown="blank")


def test_what_a_likelihood_costs_is_said_in_words() -> None:
    found = measured(True, None)[2]
    assert found.likelihood is not None and found.likelihood.seconds is not None and found.likelihood.seconds > 0
    assert any("on this machine; 9 images take about" in one for one in found.sentences())
    numbers = {"mean": 90.0, "standard_error": 1.0, "effective_mean": 9.0, "effective_least": 1.0, "of": "p(x | digit)"}
    some = Likelihood(**numbers, images=1_000, k=100, seconds=8.0)
    assert some.cost(10_000) == (
        "-log p(x | digit) of 1,000 images with k = 100 took 8 seconds on this machine; 10,000 images take about "
        "7 minutes with k = 500 and about 67 minutes with k = 5,000."
    )
    every = Likelihood(**numbers, images=10_000, k=500, seconds=400.0)
    assert every.cost(10_000).endswith("10,000 images take about 67 minutes with k = 5,000.")
    assert some == some.model_copy(update={"seconds": 9.0}) and some != some.model_copy(update={"of": "p(x)"})


def test_evaluations_made_before_it_was_told_are_still_read() -> None:
    dump = json.loads(json.dumps(measured(True, None)[2].model_dump(), allow_nan=False))
    for name in ("of", "seconds"):
        del dump["likelihood"][name]
    del dump["bound_of"]
    old = Evaluation.model_validate(dump)
    assert old.likelihood is not None and old.likelihood.of == "p(x | c)" and old.likelihood.seconds is None
    assert {"bound on log p(x | c)", "-log p(x | c)"} <= {name for name, _, _ in old.table()}
    assert not any("on this machine" in one for one in old.sentences())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.3, "less than a second"),
        (1, "1 second"),
        (75, "75 seconds"),
        (150, "2 minutes"),
        (5_000, "83 minutes"),
        (9_000, "2.5 hours"),
        (360_000, "100 hours"),
    ],
)
def test_times_in_words(seconds: float, said: str) -> None:
    assert lasting(seconds) == said
