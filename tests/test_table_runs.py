"""Runs that generate rows of a table: asked, filled, measured and shown; against a model whose every law is known."""

from __future__ import annotations

import csv
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from condvae.api import fit
from condvae.cli import main
from condvae.conditions import Attribute, Label, Number, Schema
from condvae.errors import Refused
from condvae.findings import Share
from condvae.heads import diagonal
from condvae.learned import Learned
from condvae.learned import drawn as drawn_of
from condvae.models.vae import VAE
from condvae.noise import RowNoise
from condvae.preparing import split
from condvae.priors import StandardNormal
from condvae.replies import write_npz
from condvae.rows import Row, wide
from condvae.runs import Run, load
from condvae.settings import Settings
from condvae.table_draws import among, crps, plain_crps
from condvae.table_evaluation import LEVELS, Score, TableEvaluation, gained
from condvae.table_measures import by_chance, correlation, evaluate_rows, told_by
from condvae.table_plots import calibration, distributions
from condvae.table_report import contrasts
from condvae.table_tasks import impute
from condvae.table_verdicts import surely_below
from condvae.tables import encode_rows, table_collection
from condvae.trace import Condition, Draw

pandas = pytest.importorskip("pandas")

# The law of a row, in standardised units: z, noise ~ N(0, 1); a = 0.8 c + z + NOISE e; b = 0.5 c - 0.7 z + NOISE e';
# P(yes) = sigmoid(c + z).
NOISE = 0.5
KNOTS = tuple(float(v) for v in torch.special.ndtri(torch.linspace(1e-4, 1 - 1e-4, 33, dtype=torch.float64)))


def number(name: str, mean: float, deviation: float, optional: bool = False) -> Number:
    spread = 1.4 * deviation
    knots = tuple(mean + spread * knot for knot in KNOTS)
    return Number(name, (mean,), (deviation,), (-1e9,), (1e9,), (knots,), False, optional)


C = number("c", 0, 1)


class Encoder(nn.Module):
    """A posterior that is wrong on purpose: what rests on it must weigh it."""

    def forward(self, x: Tensor, c: Condition):
        flat = x.flatten(1)
        return diagonal(0.5 * flat[:, :1] - 0.3 * c.vector[:, :1], torch.full_like(flat[:, :1], math.log(0.8)))


class Decoder(nn.Module):
    """The law above, its noise times `noise`; blind: as if c were 0."""

    def __init__(self, outputs: Schema, noise: float = 1.0, blind: bool = False) -> None:
        super().__init__()
        self.outputs, self.noise, self.blind = outputs, noise, blind
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, z: Tensor, c: Condition) -> Row:
        told = torch.zeros_like(c.vector[:, :1]) if self.blind else c.vector[:, :1]
        sigma = torch.full_like(z, math.log(NOISE * self.noise))
        parts = {
            "a": [0.8 * told + z, sigma],
            "b": [0.5 * told - 0.7 * z, sigma],
            "yes": [-(told + z) / 2, (told + z) / 2],
        }
        row = torch.cat([torch.cat(parts[field.name], 1) for field in self.outputs.fields], 1)
        assert row.shape[1] == sum(wide(field) for field in self.outputs.fields)
        return Row(row[:, None, None], self.outputs)


def known_law(names: str = "a b yes", optional: bool = False, noise: float = 1.0, blind: bool = False) -> Learned:
    """A model that is the law itself."""
    made = {
        "a": number("a", 10, 3, optional),
        "b": number("b", -5, 2, optional),
        "yes": Attribute("yes", ("no", "yes"), (0.5, 0.5), optional),
    }
    outputs = Schema(tuple(made[name] for name in names.split()))
    model = VAE(Encoder(), StandardNormal(1), Decoder(outputs, noise, blind)).eval()
    return Learned(model, Schema((C,)), (1, 1, outputs.width), outputs=outputs)


def run_of(learned: Learned) -> Run:
    return Run(learned.model, learned.schema, Settings(), learned.shape, outputs=learned.outputs)  # type: ignore[arg-type]


def rows(n: int, seed: int = 3) -> dict[str, np.ndarray]:
    """Rows of the law, in the table's units."""
    random = np.random.default_rng(seed)
    c, z, e, f = random.standard_normal((4, n))
    yes = random.random(n) < 1 / (1 + np.exp(-(c + z)))
    a, b = 0.8 * c + z + NOISE * e, 0.5 * c - 0.7 * z + NOISE * f
    return {"c": c, "a": 10 + 3 * a, "b": -5 + 2 * b, "yes": np.where(yes, "yes", "no")}


# --- what is known of a row, and what fills its blanks ----------------------------------------------------


def test_blanks_are_drawn_from_the_exact_conditional():
    table = rows(40)
    holes = {**table, "b": [None] * 40, "yes": [None] * 40}
    found = impute(known_law(), holes, n=400)
    a = (table["a"] - 10) / 3
    z_mean, z_variance = (a - 0.8 * table["c"]) / (1 + NOISE**2), NOISE**2 / (1 + NOISE**2)
    mean = -5 + 2 * (0.5 * table["c"] - 0.7 * z_mean)
    deviation = 2 * math.sqrt(0.49 * z_variance + NOISE**2)
    drawn = found.columns["b"]
    off = (drawn.mean(1) - mean) / deviation
    assert np.abs(off).max() < 0.3 and abs(off.mean()) < 0.03  # the draws' own error is 0.05, and 0.008 over the rows
    assert drawn.std(1).mean() == pytest.approx(deviation, rel=0.05)
    assert np.array_equal(found.columns["a"], np.repeat(table["a"][:, None], 400, 1))
    z = z_mean[:, None] + math.sqrt(z_variance) * np.random.default_rng(0).standard_normal((40, 4000))
    likely = (1 / (1 + np.exp(-(table["c"][:, None] + z)))).mean(1)
    assert np.abs((found.columns["yes"] == "yes").mean(1) - likely).max() < 0.12
    assert (found.effective > 100).all()


def test_a_known_name_tells_of_a_number():
    rows_of_yes = {"c": [0.0] * 2, "a": [None] * 2, "b": [None] * 2, "yes": ["yes", "no"]}
    drawn = impute(known_law(), rows_of_yes, n=3000).columns["a"]
    z = np.linspace(-8, 8, 4001)
    weight = np.exp(-(z**2) / 2) / (1 + np.exp(-z))
    expected = 3 * (z * weight).sum() / weight.sum()
    assert drawn.mean(1) - 10 == pytest.approx([expected, -expected], abs=0.2)


def test_a_filling_depends_on_seed_and_row_alone():
    table = {**rows(20), "b": [None] * 20}
    law = known_law()
    many = impute(law, table, n=3, seed=5).columns["b"]
    few = impute(law, {name: list(column)[:7] for name, column in table.items()}, n=2, seed=5).columns["b"]
    assert np.array_equal(many[:7, :2], few)
    assert not np.array_equal(many, impute(law, table, n=3, seed=6).columns["b"])


def test_no_column_is_drawn_with_the_noise_of_a_label_that_was_not_asked_for():
    names = [f"n{place}" for place in range(70)]
    outputs = Schema(tuple(Attribute(name, ("no", "yes"), (0.5, 0.5)) for name in names))
    row, keys = Row(torch.zeros(500, 1, 1, 140), outputs), np.stack([np.zeros(500, int), np.arange(500)], 1)
    cells = row.picture(Draw(RowNoise(0, keys)))[:, 0, 0, 1::2].numpy()
    label = Attribute("asked", ("no", "yes"), (0.5, 0.5))
    told = drawn_of(Schema((label,)), {"asked": np.full(500, -1)}, keys, 0)["asked"]
    assert np.abs((cells == told[:, None]).mean(0) - 0.5).max() < 0.1


def test_a_run_fills_frames_and_says_what_it_cannot():
    run, table = run_of(known_law()), rows(6)
    frame = pandas.DataFrame(table)
    frame.loc[2, "a"] = None
    filled = run.impute(frame)
    assert filled["a"].shape == (6,) and np.isfinite(filled["a"]).all()
    assert np.array_equal(np.delete(filled["a"], 2), np.delete(table["a"], 2))
    assert filled["yes"].tolist() == list(table["yes"]) and run.impute(frame, n=4)["b"].shape == (6, 4)
    whole = run.impute(pandas.DataFrame(table))
    assert np.array_equal(whole["b"], table["b"])
    frame.loc[3, "c"] = None
    with pytest.raises(Refused, match="row 4 is blank in 'c', which is asked for; fill it in"):
        run.impute(frame)
    with pytest.raises(Refused, match="the table must hold the column 'c', which is asked for; add it"):
        run.impute(frame[["a", "b"]])
    with pytest.raises(Refused, match="must hold at least one of the columns a, b, yes"):
        run.impute(frame[["c"]])


@pytest.mark.parametrize("blank", [False, True])
def test_the_likelihood_is_the_exact_one_and_passes_over_blanks(blank: bool):
    table = rows(30)
    run = run_of(known_law("a b", optional=True))
    given = {**table, "b": [None] * 30} if blank else table
    found = run.log_prob(given, k=3000)
    covariance = np.array([[1, -0.7], [-0.7, 0.49]]) + NOISE**2 * np.eye(2)
    off = np.stack([(table["a"] - 10) / 3 - 0.8 * table["c"], (table["b"] + 5) / 2 - 0.5 * table["c"]], 1)
    if blank:
        covariance, off = covariance[:1, :1], off[:, :1]
    exact = -0.5 * np.einsum("ni,ij,nj->n", off, np.linalg.inv(covariance), off)
    exact -= 0.5 * np.linalg.slogdet(2 * math.pi * covariance)[1]
    assert np.abs(found - exact).max() < 0.15 and abs((found - exact).mean()) < 0.02


def test_only_entries_that_are_seen_are_scored():
    law = known_law()
    trace = law.model(law.schema.encode({"c": np.zeros((2, 1))}, 2), torch.randn(2, 1, 1, 4))
    x = torch.tensor([[[[0.3, -0.2, 0.0, 1.0]]]]).expand(2, -1, -1, -1)
    every, none = trace.x.log_prob(x), trace.x.log_prob(x, torch.zeros_like(x))
    parts = [
        trace.x.log_prob(x, torch.tensor([float(i == j) for j in (0, 1, 2, 2)]).expand(2, 1, 1, 4)) for i in range(3)
    ]
    assert (
        torch.allclose(torch.stack(parts).sum(0), every) and not none.any() and all((part != 0).all() for part in parts)
    )


def test_tasks_take_tables_or_are_refused():
    run, table = run_of(known_law()), rows(12)
    restored = run.reconstruct(table)
    assert set(restored) == {"a", "b", "yes"} and restored["a"].shape == (12,) and set(restored["yes"]) <= {"yes", "no"}
    assert run.embed(table).shape == (12, 1)
    for ask in (
        lambda: run.restyle(table, None, {"c": 1}),
        lambda: run.interpolate(table, table),
        lambda: run.manifold({"c": 1}),
        lambda: run.fill(table, None),
    ):
        with pytest.raises(Refused, match=r"is for pictures, and this run generates rows of a table \(a, b, yes\)$"):
            ask()
    with pytest.raises(Refused, match="trained without labels"):
        run.classify(table)
    with pytest.raises(Refused, match="the table must hold the column 'yes'"):
        run.log_prob({name: table[name] for name in "abc"})
    for what in (None, [[1, 2]], np.array([["1", "2"]])):
        with pytest.raises(Refused, match="the table must be a file, a data frame or a dict of columns"):
            run.log_prob(what)
    far = {**table, "c": [0.0] * 11 + [1e300]}
    with pytest.raises(Refused, match=r"row 12: c was .* in training; got 1e\+300, too far off"):
        run.impute({**far, "b": [None] * 12})


# --- measures ---------------------------------------------------------------------------------------------


def test_scores_are_the_known_ones():
    random = np.random.default_rng(0)
    real, drawn = random.standard_normal(4000), random.standard_normal((4000, 20))
    found = crps(real, drawn)
    assert found.mean() == pytest.approx(1 / math.sqrt(math.pi), abs=0.03)  # of N(0, 1) for itself
    at = 0.7
    exact = at * math.erf(at / math.sqrt(2)) + math.sqrt(2 / math.pi) * math.exp(-at * at / 2) - 1 / math.sqrt(math.pi)
    assert crps(np.full(4000, at), drawn).mean() == pytest.approx(exact, abs=0.02)
    assert plain_crps(number("a", 0, 1 / 1.4), np.array([at]))[0] == pytest.approx(exact, abs=0.02)
    places = among(real, drawn, random.random(4000))
    assert np.histogram(places, 10, (0, 1))[0].min() > 330
    ties = among(np.round(real), np.round(drawn), random.random(4000))
    assert abs((np.abs(ties - 0.5) <= 0.25).mean() - 0.5) < 0.03  # whole numbers, too


def test_values_pile_up_at_the_end_of_the_range_and_lie_beyond_it():
    random = np.random.default_rng(1)  # of these values float32 makes the least a little more
    rain = [np.maximum(random.normal(0, 3.3, n), 0) + 0.37 for n in (4000, 800)]
    field = Number.learn("a", rain[0][:, None])
    outputs = Schema((field,))
    inner, sigma = (0.37 - field.mean[0]) / field.deviation[0], math.log(3.3 / field.deviation[0])

    class Rain(nn.Module):
        def forward(self, z: Tensor, c: Condition) -> Row:
            return Row(torch.tensor([inner, sigma]).expand(len(z), 1, 1, 2).float(), outputs)

    model = VAE(lambda x, c: diagonal(0 * x.flatten(1), 0 * x.flatten(1)), StandardNormal(1), Rain()).eval()  # type: ignore[arg-type]
    law = Learned(model, Schema(), (1, 1, 1), outputs=outputs)
    found = evaluate_rows(law, encode_rows(outputs, {"a": rain[1]}), k=1, limit=0).numbers["a"]
    assert np.abs(np.array(found.curve) - LEVELS).max() < 0.06 and found.distance < 0.05
    beyond = evaluate_rows(law, encode_rows(outputs, {"a": [500.0] * 20}), k=1).numbers["a"]
    assert beyond.score.model > 490 and beyond.outer.right == 0


def test_the_analysis_of_variance_is_the_known_one():
    assert by_chance([np.array([1.0, 2, 3]), np.array([2.0, 3, 4])]) == pytest.approx(
        0.2878641, abs=1e-6
    )  # F(1, 4) = 1.5


def test_what_the_condition_settles_outright_is_told_by_it():
    group = np.arange(60) % 3
    x = np.eye(3, dtype=np.float32)[group][:, None, None]
    outputs = Schema((Label("town", ("a", "b", "c"), (0.3, 0.3, 0.4)),))
    asked = Label("land", ("x", "y", "z"), (0.3, 0.3, 0.4))
    assert told_by(outputs, asked, group, x) == ["town"]
    assert told_by(outputs, asked, group, x[:1].repeat(60, 0)) == []  # it does not vary at all
    assert told_by(outputs, asked, np.array([0, 0, 1, 1]), x[[0, 0, 1, 1]]) == []  # four rows do so by chance


def test_correlations_pass_over_blanks():
    random = np.random.default_rng(0)
    values = random.standard_normal((500, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.3], [0, 0, 1]])
    assert correlation(values) == pytest.approx(np.corrcoef(values.T))
    holes = values.copy()
    holes[:250, 0] = np.nan
    assert correlation(holes)[0, 1] == pytest.approx(np.corrcoef(values[250:, 0], values[250:, 1])[0, 1])
    assert correlation(holes)[1, 2] == pytest.approx(np.corrcoef(values[:, 1], values[:, 2])[0, 1])
    holes[:, 1] = 3
    assert np.isnan(correlation(holes)[0, 1])


@pytest.fixture(scope="module")
def calibrated() -> TableEvaluation:
    found = run_of(known_law()).evaluate(rows(600), k=50)
    assert isinstance(found, TableEvaluation)
    return found


def test_the_law_itself_is_calibrated_and_heeds_its_condition(calibrated: TableEvaluation):
    for one in calibrated.numbers.values():
        assert one.inner.low < 0.5 < one.inner.high and one.outer.low < 0.9 < one.outer.high
        assert np.abs(np.array(one.curve) - LEVELS).max() < 0.08 and one.distance < one.chance + 0.02
    # of a Normal of standard deviation s the CRPS is s / sqrt(pi)
    a, b = (calibrated.numbers[name].score.model for name in "ab")
    assert a == pytest.approx(3 * math.sqrt(1.25 / math.pi), rel=0.1)
    assert b == pytest.approx(2 * math.sqrt(0.74 / math.pi), rel=0.1)
    assert calibrated.numbers["a"].score.better and calibrated.names["yes"].score.better
    yes = calibrated.names["yes"]
    assert yes.right.low < yes.confidence < yes.right.high and yes.distance < 0.05
    assert calibrated.correlations is not None and calibrated.correlations.difference < 0.06
    assert calibrated.correlations.apart > 0.15 and calibrated.correlations.pairs == 3
    use = calibrated.conditions["c"]
    assert use.lost.mean > 0.5 and use.columns["a"] > 0.1 and set(use.told_by) == {"a", "b", "yes"}
    words = " ".join(calibrated.words)
    assert "The condition is heeded: a row becomes less likely under another row's c (" in words
    assert "Well calibrated" in words and "confident" not in words and "ignored" not in words
    assert TableEvaluation.model_validate_json(calibrated.model_dump_json()) == calibrated
    assert all(len(row) == 3 and all(isinstance(cell, str) for cell in row) for row in calibrated.table())
    assert calibrated.sentences()[: len(calibrated.words)] == calibrated.words


@pytest.mark.parametrize(
    ("noise", "blind", "said"),
    [
        (0.2, False, "a is over-confident: its 90 % intervals hold"),
        (3.0, False, "a is under-confident: its 90 % intervals hold"),
        (1.0, True, "c is ignored: another row's c costs"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_change(noise: float, blind: bool, said: str):
    found = run_of(known_law("a b", noise=noise, blind=blind)).evaluate(rows(400), k=100)
    assert any(word.startswith(said) for word in found.words), found.words
    if blind:
        assert abs(found.conditions["c"].lost.mean) < 0.03 and found.conditions["c"].told_by == ["a", "b"]


def test_a_condition_of_no_consequence_is_not_called_ignored():
    table = rows(400)
    table["c"] = np.random.default_rng(8).permutation(table["c"])
    found = run_of(known_law("b", blind=True)).evaluate(table, k=20)
    assert any(word.startswith("c changes nothing") for word in found.words) and found.correlations is None


def test_few_rows_are_not_called_wrong_by_chance():
    run, bad = run_of(known_law("a b")), [0, 0, 0]
    for seed in range(20):
        words = " ".join(run.evaluate(rows(6, seed), k=1).words)
        bad[0] += "hang together unlike" in words
        bad[1] += "c changes nothing" in words  # it changes much
        bad[2] += "distributed unlike" in " ".join(run_of(known_law("yes")).evaluate(rows(6, seed), k=1).words)
    assert bad[0] <= 3 and bad[1] == 0 and bad[2] <= 3
    assert not Score(model=1.0, unconditional=2.0, error=None, rows=1).better
    assert not Score(model=2.0, unconditional=1.0, error=None, rows=1).worse
    assert gained(0.159) == "15.9 % better" and gained(-0.012) == "1.2 % worse"
    few = run.evaluate(rows(6), k=1).words
    assert any(word.startswith("Whether c is heeded cannot be told from 6 rows: another row's c costs") for word in few)


def test_a_column_that_no_row_knows_is_passed_over():
    table = {**rows(20), "a": [None] * 20}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = run_of(known_law(optional=True)).evaluate(table, k=5)
    assert set(found.numbers) == {"b"} and set(found.conditions["c"].columns) == {"b", "yes"}


def test_rows_at_random_are_measured_and_few_rows_tell_nothing():
    law, table = known_law("a"), rows(40)
    run = run_of(law)
    found = run.evaluate(table, k=5, limit=12)
    assert isinstance(found, TableEvaluation) and (found.rows, found.drawn_rows) == (40, 12)
    assert any("cannot be told from 12 rows" in word for word in found.words)
    assert any("12 of 40 rows at random" in sentence for sentence in found.sentences())
    again = run.evaluate(table, k=5, limit=12)
    assert again == found
    with pytest.raises(Refused, match="draws must be a whole number of at least 2"):
        evaluate_rows(law, np.zeros((3, 1, 1, 1), np.float32), draws=1)
    with pytest.raises(Refused, match="x must hold rows"):
        evaluate_rows(law, np.zeros((3, 1, 1, 2), np.float32))
    assert not surely_below(Share(right=88, of=100), 0.9) and surely_below(Share(right=70, of=100), 0.9)


# --- pictures ---------------------------------------------------------------------------------------------


def test_pictures_of_tables_are_drawn():
    table = rows(50)
    half = [
        {"a": table["a"][:25], "yes": table["yes"][:25].astype(object)},
        {"a": table["a"][25:], "yes": table["yes"][25:]},
    ]
    drawn = distributions(half, half, ["c low", "c high"])
    three = distributions([half[0]] * 3, [half[1]] * 3, list("xyz"))
    assert drawn.mode == "RGB" and drawn.height > 500 and three.width > drawn.width
    nothing = {"a": np.empty(0), "yes": np.empty(0, object)}  # of a column that no row knows
    assert distributions([nothing], [nothing], ["x"]).height > 300
    huge = {"a": np.full(50, 1e17)}
    assert distributions([huge], [huge], ["x"]).height > 200
    with pytest.raises(Refused, match="one table a condition"):
        distributions(half, half[:1], ["x", "y"])
    assert calibration(LEVELS, {"a": LEVELS, "$b_1": LEVELS}, 100).width > 500
    with pytest.raises(Refused, match="9 shares a column"):
        calibration(LEVELS, {"a": [0.5]}, 100)


# --- the whole way, from a file ---------------------------------------------------------------------------


def people(path: Path, n: int = 160, blanks: bool = False) -> Path:
    random = np.random.default_rng(11)
    age, sex = random.uniform(18, 80, n).round(), random.choice(["f", "m"], n)
    height = 160 + 14 * (sex == "m") + random.normal(0, 5, n)
    smoker = np.where(random.random(n) < 0.3, "yes", "no")
    frame = pandas.DataFrame({"id": range(n), "age": age, "sex": sex, "height": height.round(1), "smoker": smoker})
    if blanks:
        frame.loc[: n // 4, "height"] = None
        frame.loc[n // 5 : n // 2, "smoker"] = None
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    table = people(folder / "people.csv")
    words = ["--condition", "age,sex", "--generate", "height,smoker", "--epochs", "25", "--density", "gaussian"]
    assert main(["train", str(table), "--out", str(folder / "run"), "--hidden", "32", "--quiet", *words]) == 0
    return folder / "run"


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[list[str], str, int]:
    """(lines of stdout, stderr, exit code) of a command."""
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, error = capsys.readouterr()
    return out.splitlines(), error, code


def test_training_a_table_ends_with_its_report_and_how_to_ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = people(tmp_path / "t.csv", 60)
    words = ["--condition", "age", "--generate", "height", "--epochs", "1", "--density", "none", "--hidden", "8"]
    lines, error, code = said(capsys, "train", table, "--out", tmp_path / "run", *words)
    assert code == 0 and "rows/s" in error and "images" not in error
    assert lines[-1].startswith("ask it: condvae generate") and lines[-1].endswith("-n 8 -o rows.csv")
    assert " age=" in lines[-1]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for word in ("Calibration", "Training", "Measures", "The data", "within 90 % intervals", "lost under another row"):
        assert word in page
    assert {path.stem for path in (tmp_path / "run" / "pictures").iterdir()} == {
        "distributions",
        "calibration",
        "curves",
    }


def test_rows_are_written_in_every_format(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    ask = ["generate", trained, "age=20,40", "sex=m", "-n", "3", "-o"]
    lines, _, code = said(capsys, *ask, tmp_path / "rows.csv", "--npz", tmp_path / "both.npz")
    assert code == 0 and lines[0] == f"3 rows each of age 20 and age 40: {tmp_path / 'rows.csv'}" and len(lines) == 2
    with (tmp_path / "rows.csv").open() as file:
        head, *body = list(csv.reader(file))
    assert head == ["age", "sex", "height", "smoker"] and len(body) == 6
    assert [row[0] for row in body] == ["20"] * 3 + ["40"] * 3 and {row[1] for row in body} == {"m"}
    drawn = load(trained).generate({"age": [20.0, 40.0], "sex": ["m", "m"]}, n=3)
    assert [float(row[2]) for row in body] == pytest.approx(drawn["height"].ravel(), rel=1e-4)
    held = np.load(tmp_path / "both.npz", allow_pickle=False)
    assert held["smoker"].tolist() == [row[3] for row in body] and held["height"].dtype == np.float64
    assert said(capsys, *ask, tmp_path / "rows.parquet")[2] == 0
    frame = pandas.read_parquet(tmp_path / "rows.parquet")
    assert list(frame.columns) == head and frame["height"].tolist() == held["height"].tolist()
    assert said(capsys, *ask, tmp_path / "rows.tsv")[2] == 0 and "\t" in (tmp_path / "rows.tsv").read_text()


def test_any_column_is_kept_in_an_npz(tmp_path: Path):
    columns = {"file": np.arange(3), "größe/m": np.array(["a", "b", ""])}
    with np.load(write_npz(str(tmp_path / "a.npz"), columns), allow_pickle=False) as held:
        assert list(held) == list(columns) and all(np.array_equal(held[name], columns[name]) for name in columns)


def test_the_report_stands_where_little_is_known_of_the_rows_held_out(tmp_path: Path):
    known = np.full(3100, None, object)
    known[:4] = ["x", "y", "x", "y"]
    table = {"k": known, "a": np.random.default_rng(0).normal(size=3100), "b": np.where(known == "x", "p", known)}
    run = fit(table, condition="k", out=tmp_path / "run", epochs=0, hold_out=310, progress=False, density="none")
    unseen = split(table_collection(table, "k"), run.settings).held
    assert unseen is not None and set(unseen.labels["k"]) == {None}  # so that there is nothing to contrast
    assert (tmp_path / "run" / "report.html").is_file()


def test_groups_of_years_are_told_apart():
    years = np.arange(2001.0, 2010.0)[:, None]
    found = contrasts(Number.learn("year", years), {"year": years.repeat(3, 0)})
    assert {name: int(rows.sum()) for name, rows in found.items()} == {
        "year 2001 to 2003": 9,
        "year 2004 to 2006": 9,
        "year 2007 to 2009": 9,
    }


def test_rows_are_shown_where_no_file_is_named(trained: Path, capsys: pytest.CaptureFixture[str]):
    lines, _, code = said(capsys, "generate", trained, "age=30", "-n", "25")
    assert code == 0 and lines[0].split() == ["age", "height", "smoker"] and len(lines) == 22
    assert (
        lines[-1] == "... 5 more rows; -o rows.csv writes all"
        and len({line.find(line.split()[2]) for line in lines[1:21]}) == 1
    )


def test_endings_and_requests_that_do_not_fit_are_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for words, hint in (
        (["generate", trained, "age=30", "-o", tmp_path / "a.png"], "must end in one of .csv, .tsv, .npz, .parquet"),
        (["generate", trained, "age=30", "--npz", tmp_path / "a.csv"], "must end in one of .npz"),
        (["generate", trained, "agee=30"], "did you mean 'age'?"),
        (["restyle", trained, tmp_path / "people.csv", "-o", "a.png"], "restyle is for pictures"),
        (["fill", trained, "a.png", "-o", "b.png"], "fill is for pictures"),
        (["write", trained, "abc", "-o", "b.png"], "write is for pictures"),
        (["evaluate", trained, "--data", people(tmp_path / "b.csv", 40, blanks=True)], "row 1 is blank in 'height'"),
        (["impute", trained, tmp_path / "none.csv"], "there is no file"),
        (
            ["embed", trained, people(tmp_path / "c.csv", 40), "--limit", "-1", "-o", tmp_path / "e.csv"],
            "limit must be",
        ),
        (["reconstruct", trained, tmp_path / "c.csv", "--limit", "0"], "limit must be a whole number of at least 1"),
    ):
        _, error, code = said(capsys, *words)
        assert code == 2 and hint in error and error.count("\n") == 1


def test_a_picture_run_refuses_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    x = np.random.default_rng(0).integers(0, 255, (30, 8, 8), dtype=np.uint8)
    run = fit(x, {"k": [0, 1] * 15}, epochs=0, progress=False, hidden=(8,), network="mlp", density="none")
    run.save(tmp_path / "run")
    _, error, code = said(capsys, "generate", tmp_path / "run", "k=1", "-o", tmp_path / "a.csv")
    assert code == 2 and "must end in one of .png" in error
    _, error, code = said(capsys, "impute", tmp_path / "run", people(tmp_path / "t.csv"))
    assert code == 2 and "generates pictures" in error
    with pytest.raises(Refused, match="impute is for tables"):
        run.impute({"a": [1]})


def test_blanks_are_filled_from_the_command_line(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = people(tmp_path / "gaps.csv", 40, blanks=True)
    lines, error, code = said(capsys, "impute", trained, table, "-o", tmp_path / "filled.csv")
    assert code == 0 and error == "" and lines == [f"24 blanks filled in 21 rows: {tmp_path / 'filled.csv'}"]
    before, after = (list(csv.reader(path.open())) for path in (table, tmp_path / "filled.csv"))
    assert before[0] == after[0] and len(after) == 41
    for old, new in zip(before[1:], after[1:], strict=True):
        assert all(new) and [one for one in old if one] == [two for one, two in zip(old, new, strict=True) if one]
    mens = [float(new[3]) for old, new in zip(before[1:], after[1:], strict=True) if not old[3] and new[2] == "m"]
    womens = [float(new[3]) for old, new in zip(before[1:], after[1:], strict=True) if not old[3] and new[2] == "f"]
    assert np.mean(mens) > np.mean(womens) + 4
    shown, _, code = said(capsys, "impute", trained, table)
    assert code == 0 and shown[0].split() == before[0] and shown[-1] == "24 blanks filled in 21 rows"
    assert said(capsys, "impute", trained, table, "-o", tmp_path / "filled.parquet")[2] == 0
    assert pandas.read_parquet(tmp_path / "filled.parquet")["height"].notna().all()


def test_names_are_filled_in_as_the_table_writes_them(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    frame = pandas.read_csv(people(tmp_path / "gaps.csv", 40))
    frame["smoker"] = ["1", "0", None, None] * 10
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    assert said(capsys, "impute", trained, tmp_path / "gaps.csv", "-o", tmp_path / "filled.csv")[2] == 0
    filled = pandas.read_csv(tmp_path / "filled.csv", dtype=str)["smoker"]
    assert set(filled) == {"0", "1"} and filled[::4].eq("1").all() and filled[1::4].eq("0").all()
    frame["smoker"] = ["1", "1", None, None] * 10  # how it would write no is not known
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    assert said(capsys, "impute", trained, tmp_path / "gaps.csv", "-o", tmp_path / "filled.csv")[2] == 0
    filled = pandas.read_csv(tmp_path / "filled.csv", dtype=str)["smoker"]
    assert set(filled) == {"yes", "no"} and filled[::4].eq("yes").all()


def test_a_run_is_measured_and_read_from_the_command_line(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    lines, _, code = said(capsys, "evaluate", trained, "--quiet", "--k", "10")
    assert code == 0 and "rows held out of training" in lines[0] and lines[1].split() == ["measure", "value", "beside"]
    table = people(tmp_path / "more.csv", 80)
    lines, _, code = said(capsys, "evaluate", trained, "--data", table, "--json", "--k", "10")
    found = TableEvaluation.model_validate(json.loads(lines[0]))
    assert found.rows == 80 and set(found.numbers) == {"height"} and set(found.conditions) == {"age", "sex"}
    lines, _, code = said(capsys, "classify", trained, table)
    assert code == 0 and lines[0].startswith("sex read rightly: ") and lines[-1].endswith("rows")
    right = int(lines[0].split()[3])
    assert right > 55
    assert said(capsys, "reconstruct", trained, table, "-o", tmp_path / "r.csv")[2] == 0
    assert said(capsys, "embed", trained, table, "-o", tmp_path / "e.npz")[2] == 0
    assert len(np.load(tmp_path / "e.npz")["z"]) == 80
    words = [
        "embed",
        trained,
        table,
        "--method",
        "tsne",
        "--perplexity",
        "8",
        "--field",
        "age",
        "-o",
        tmp_path / "e.png",
    ]
    lines, _, code = said(capsys, *words)
    assert code == 0 and "perplexity 8; age: 8-NN regression R² " in lines[0] and (tmp_path / "e.png").is_file()
    assert said(capsys, *words, "--thumbnails")[2] == 2


def test_data_that_changed_since_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = people(tmp_path / "t.csv", 60)
    words = [
        "--condition",
        "age",
        "--generate",
        "height",
        "--epochs",
        "0",
        "--density",
        "none",
        "--hidden",
        "8",
        "--quiet",
    ]
    assert main(["train", str(table), "--out", str(tmp_path / "run"), *words]) == 0
    people(table, 90)
    _, error, code = said(capsys, "evaluate", tmp_path / "run", "--quiet")
    assert code == 2 and "has changed since; name a table with --data FILE" in error


def test_a_training_with_blanks_is_measured_and_filled(tmp_path: Path):
    table = people(tmp_path / "t.csv", 120, blanks=True)
    frame = pandas.read_csv(table).drop(columns="id")
    frame = frame[frame["height"].notna() | frame["smoker"].notna()]
    run = fit(
        frame, condition="sex", generate=["height", "smoker"], epochs=2, progress=False, density="none", hidden=(16,)
    )
    found = run.evaluate(frame, k=5)
    assert found.numbers["height"].outer.of == int(frame["height"].notna().sum())
    assert found.names["smoker"].right.of == int(frame["smoker"].notna().sum())
    assert np.isfinite(run.log_prob(frame, k=5)).all()
    filled = run.impute(frame)
    assert np.isfinite(filled["height"]).all() and set(filled["smoker"]) == {"yes", "no"}
    known = frame["height"].notna().to_numpy()
    assert np.array_equal(filled["height"][known], frame["height"].to_numpy()[known])


def test_a_plain_model_of_rows_is_measured_too():
    table = rows(80)
    run = fit({"a": table["a"], "yes": table["yes"]}, generate=["a", "yes"], epochs=1, progress=False, hidden=(8,))
    found = run.evaluate({"a": table["a"], "yes": table["yes"]}, k=5)
    assert not found.conditions and set(found.numbers) == {"a"} and run.impute({"a": [None, 9.5]})["a"][1] == 9.5
