"""Obedience of labels, attributes, numbers and partial pictures: of models that are known to be good, deaf or wrong."""

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import condvae
from condvae import judges, regressors
from condvae.asked_numbers import apart
from condvae.conditions import Attribute, Label, Number, Picture, Schema
from condvae.data import Collection, Part, collect
from condvae.errors import Refused
from condvae.evaluation import Evaluation
from condvae.field_pictures import completions, effects, first_request, rising, samples
from condvae.gallery import gallery
from condvae.heads import Bernoulli, diagonal
from condvae.images import as_images
from condvae.judges import Judge, JudgeCard, JudgeReading, make_judge
from condvae.latent_maps import shade_of, shades
from condvae.learned import Learned
from condvae.likelihoods import conditions_of
from condvae.measures import evaluate
from condvae.models.vae import VAE
from condvae.panel import judges_for
from condvae.plots_numbers import asked_and_read
from condvae.priors import StandardNormal
from condvae.regress_net import Regressor, RegressorCard, RegressorReading
from condvae.regressors import make_regressor, regressor_for, train_regressor
from condvae.scores import log_prob
from condvae.subject import cut, subject_of

SIDE, ROWS = 12, 240
LIGHT = Label("light", ("bright", "dim"), (0.5, 0.5))
FRAMED = Attribute("framed", ("no", "yes"), (0.7, 0.3))
PLACES = np.random.default_rng(7).uniform(2, 9, (500, 1))
PLACE = Number.learn("place", PLACES)
PARTIAL = Picture("picture", (1, SIDE, SIDE))
FULL = Schema((LIGHT, FRAMED, PLACE))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(place, dim, framed, style):
    """Pictures [N, 1, 12, 12]: an upright bar at a place, bright or dim, perhaps framed; style dims the lower rows."""
    across, down = torch.arange(SIDE), torch.arange(SIDE) / SIDE
    bar = torch.exp(-0.5 * ((across - place[:, None]) / 0.8) ** 2)[:, None, :] * (1 - 0.45 * dim)[:, None, None]
    picture = bar * (0.75 + 0.2 * torch.tanh(style)[:, None] * down)[:, :, None]
    picture[:, 0] = torch.maximum(picture[:, 0], 0.9 * framed[:, None])
    return picture[:, None].clamp(0.01, 0.99)


def told(n: int = ROWS, seed: int = 0) -> tuple[np.ndarray, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    place, dim, framed = rng.uniform(2, 9, n), rng.integers(0, 2, n), (rng.random(n) < 0.3).astype(int)
    style = torch.from_numpy(rng.normal(size=n)).float()
    x = drawn(torch.from_numpy(place).float(), torch.from_numpy(dim).float(), torch.from_numpy(framed).float(), style)
    names = {"light": [LIGHT.values[i] for i in dim], "framed": [FRAMED.values[i] for i in framed]}
    return x.numpy(), {**names, "place": place}


class Bars(nn.Module):
    """Decoder of those bars by the condition's columns, but for what it is deaf to; noise: of the place drawn."""

    def __init__(self, schema: Schema, deaf: str = "", noise: float = 0.0) -> None:
        super().__init__()
        self.schema, self.deaf, self.noise = schema, deaf, noise

    def value(self, c, name: str):
        if name == self.deaf or name not in [field.name for field in self.schema.fields]:
            return torch.full((len(c.vector),), 5.5 if name == "place" else 0.0)
        columns = c.vector[:, self.schema.slice(name)]
        return columns[:, 0] * PLACE.deviation[0] + PLACE.mean[0] if name == "place" else columns[:, 1]

    def forward(self, z, c):
        place = self.value(c, "place") + self.noise * z[:, 1]
        mean = drawn(place, self.value(c, "light"), self.value(c, "framed"), z[:, 0])
        return Bernoulli(torch.logit(mean))


class Reader(nn.Module):
    """Encoder: the slope along the bar as the mean of unit 0; unit 1 asleep."""

    def forward(self, x, c):
        profile = x[:, 0].amax(2)
        style = torch.atanh(((profile[:, -1] / profile[:, 1].clamp_min(0.05) - 1) * 3).clamp(-0.9, 0.9))
        return diagonal(torch.stack([style, torch.zeros_like(style)], 1), torch.tensor([-1.0, 0.0]).expand(len(x), 2))


def learned(schema: Schema = FULL, deaf: str = "", noise: float = 0.0, holes: str = "none") -> Learned:
    model = VAE(Reader(), StandardNormal(2), Bars(schema, deaf, noise))
    return Learned(model, schema, (1, SIDE, SIDE), holes=holes)


class Ruler(Regressor):
    """A regressor that measures where the bar stands, by the middle of its light below the frame."""

    def __init__(self, off: float = 0.0, field: str = "place") -> None:
        super().__init__(RegressorCard("bars", field, PLACE.mean, PLACE.deviation, (1, SIDE, SIDE)))
        self.off = off

    def read(self, x: object) -> RegressorReading:
        pictures = as_images(x)[0][:].float()[:, 0, 1:] - 0.01
        light = pictures.sum(1).clamp_min(0)
        place = (light * torch.arange(SIDE)).sum(1) / light.sum(1)
        return RegressorReading((place + self.off).double()[:, None].numpy(), np.zeros((len(place), 128), np.float32))


class Eye(Judge):
    """A judge of the light of the bar, or of the frame."""

    def __init__(self, field: Label) -> None:
        super().__init__(JudgeCard("bars", field.values, (1, SIDE, SIDE), right=990, tested=1000))
        self.frame = field is FRAMED

    def read(self, x: object) -> JudgeReading:
        pictures = as_images(x)[0][:].float()[:, 0]
        found = pictures[:, 0].amin(1) > 0.5 if self.frame else pictures[:, 1].amax(1) < 0.57
        return JudgeReading(
            found.long().numpy(), np.eye(2, dtype=np.float32)[found.long()], pictures.flatten(1).numpy()
        )


PANEL = {"light": Eye(LIGHT), "framed": Eye(FRAMED), "place": Ruler()}


def measured(subject: Learned, judge: Any = None, **settings: Any) -> Evaluation:
    x, given = told()
    given = {name: given[name] for name in given if name in [field.name for field in subject.schema.fields]}
    panel = {name: reader for name, reader in PANEL.items() if name in given}
    options: dict[str, Any] = {"k": 4, "limit": 60, **settings}
    return evaluate(subject, x, given, panel if judge is None else judge, **options)


def said(found: Evaluation, words: str) -> bool:
    return any(re.search(words, sentence) for sentence in found.sentences())


# --- obedience, field by field ---------------------------------------------------------------------------------------


def test_every_field_of_a_good_model_is_found_to_be_obeyed():
    found = measured(learned(noise=0.3))
    assert list(found.obediences) == ["light", "framed"] and found.obedience == found.obediences["light"]
    assert all(one.overall.share == 1 and one.overall.of == ROWS for one in found.obediences.values())
    assert set(found.obediences["framed"].per_label) == {"no", "yes"}
    (entry,) = found.numbers["place"].entries
    assert entry.mean == pytest.approx(0.3 * np.sqrt(2 / np.pi), rel=0.2)  # of a Normal of deviation 0.3
    assert entry.square == pytest.approx(0.3, rel=0.2) and entry.real_mean < 0.05 and entry.drawings == ROWS
    assert entry.skill == pytest.approx(1 - 0.09 / np.var(told()[1]["place"]), abs=0.01)
    assert entry.unheeded == pytest.approx(7 / 3, rel=0.1)  # of two uniforms over 7
    assert not found.unmeasured
    for words in ("light is obeyed:", "framed is obeyed:", "place is obeyed: asked place and place read differ by 0.2"):
        assert said(found, words), words
    rows = {name: (value, beside) for name, value, beside in found.table()}
    assert {"asked light = light read", "  asked for framed yes", "asked place to place read, apart"} <= set(rows)
    data = json.loads(json.dumps(found.model_dump(), allow_nan=False))
    assert Evaluation.model_validate(data) == found


@pytest.mark.parametrize("deaf", ["light", "framed", "place"])
def test_the_field_that_is_not_heeded_is_named_and_no_other(deaf):
    found = measured(learned(deaf=deaf))
    for name in ("light", "framed", "place"):
        assert said(found, f"{name} is ignored") == (name == deaf)
        assert said(found, f"{name} is obeyed:") == (name != deaf)
    if deaf == "place":
        (entry,) = found.numbers["place"].entries
        assert entry.mean == pytest.approx(7 / 4, rel=0.1)  # a uniform over 7, to its middle
        assert entry.skill is not None and entry.skill < 0.05


def test_a_regressor_that_errs_on_real_images_cannot_tell():
    found = measured(learned(), {"place": Ruler(off=4.0)})
    assert said(found, "regressor is too weak to tell whether place") and not said(
        found, "place is (obeyed: asked|ignored)"
    )


def test_the_numbers_found_are_the_closed_forms():
    asked, read = np.array([0.0, 1, 2, np.nan]), np.array([1.0, 1, 4, 9])
    found = apart(asked, read, asked)
    assert (found.mean, found.square, found.drawings) == (pytest.approx(1), pytest.approx(np.sqrt(5 / 3)), 3)
    assert found.skill == pytest.approx(1 - (5 / 3) / (2 / 3)) and found.real_skill == 1 and found.real_mean == 0
    assert found.correlation == pytest.approx(np.corrcoef(asked[:3], read[:3])[0, 1])
    assert found.standard_error == pytest.approx(np.std([1, 0, 2], ddof=1) / np.sqrt(3))
    assert found.points == [(0, 1, 0), (1, 1, 1), (2, 4, 2)]
    alike = apart(np.ones(5), np.arange(5.0), np.ones(5))
    assert alike.skill is None and alike.correlation is None


def test_fields_without_a_judge_are_named_with_the_reason():
    found = measured(learned(), {"framed": Eye(FRAMED)}, unjudged={"light": "a judge takes minutes"})
    assert found.obedience is None and list(found.obediences) == ["framed"]
    assert found.unmeasured == {"light": "a judge takes minutes", "place": "no regressor of it was given"}
    assert said(found, "Whether light is obeyed was not measured: a judge takes minutes.")
    single = measured(learned(), Eye(LIGHT))
    assert single.obedience is not None and set(single.unmeasured) == {"framed", "place"}
    alone = measured(learned(), Ruler())
    assert set(alone.numbers) == {"place"} and alone.frechet is None


def test_rows_whose_field_is_unknown_are_passed_over_in_that_field_alone():
    x, given = told()
    given["light"] = [None if i < 40 else name for i, name in enumerate(given["light"])]
    given["place"] = np.where(np.arange(ROWS) % 2 == 0, given["place"], np.nan)
    found = evaluate(learned(), x, given, PANEL, k=2, limit=10)
    assert found.obedience is not None and found.obedience.overall.of == ROWS - 40
    assert found.obediences["framed"].overall.of == ROWS and found.numbers["place"].entries[0].drawings == ROWS // 2
    assert "light: summed over in the likelihood, classified in the bound" in found.unknown
    assert "place: summed over 16 equally likely values in the likelihood, the likeliest of them" in found.unknown
    assert "drawn as in training in drawings (120 images)" in found.unknown
    none = evaluate(learned(), x, {"light": given["light"]}, PANEL, k=1, limit=5)
    assert none.unmeasured == {name: "it is known of none of the images" for name in ("framed", "place")}


def test_a_number_that_is_unknown_is_read_as_the_likeliest_of_its_support():
    x, given = told(30)
    known = subject_of(learned(), as_images(x)[0], given, None, 0)
    read = subject_of(learned(), as_images(x)[0], {**given, "place": [None] * 30}, None, 0)
    step = np.diff(PLACE.support()[0][:, 0]).max()
    assert np.abs(read.settled["place"] - known.settled["place"]).max() < step
    optional = replace(PLACE, optional=True)
    blank = evaluate(learned(Schema((LIGHT, optional))), x, {"light": given["light"]}, k=1, limit=5)
    assert "place: blank input (30 images)" in blank.unknown


def test_a_model_of_numbers_alone_is_measured():
    found = measured(learned(Schema((PLACE,))))
    assert found.obedience is None and found.label_gain is None and found.classification is None
    assert found.numbers["place"].entries[0].skill is not None and said(found, "place is obeyed")
    assert said(found, "The pictures vary|The pictures differ|The pictures are") and not said(found, "a label")
    assert measured(learned(Schema((PLACE,)), deaf="place")).active_units == 1


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        ({"place": Eye(LIGHT)}, "place is a number and is read by a regressor; got a Eye"),
        ({"light": Ruler()}, "light is a label and is read by a judge"),
        ({"colour": Eye(LIGHT)}, "what may be asked is light, framed, place; got 'colour'"),
        ({"framed": Eye(LIGHT)}, "judge must know all values of framed"),
    ],
)
def test_what_reads_another_kind_of_field_is_refused(judge, words):
    with pytest.raises(Refused, match=words):
        measured(learned(), judge)
    with pytest.raises(Refused, match="field must be a label"):
        measured(learned(), field="place")


def test_conditions_are_labels_with_numbers_in_bins_and_coarser_where_most_images_would_be_alone():
    x, given = told(400)
    groups = conditions_of(subject_of(learned(), as_images(x)[0], given, None, 0))
    assert 50 < groups.max() + 1 <= 64  # 2 x 2 labels x 16 bins
    x, given = told(40)
    few = conditions_of(subject_of(learned(), as_images(x)[0], given, None, 0))
    assert few.max() + 1 <= 16
    light = np.asarray(given["light"])
    assert all(len(set(light[few == group])) == 1 for group in np.unique(few))
    only = conditions_of(
        subject_of(learned(Schema((PLACE,))), as_images(x[:10])[0], {"place": given["place"][:10]}, None, 0)
    )
    assert only.max() + 1 <= 4


# --- holes -----------------------------------------------------------------------------------------------------------

HOLED = Schema((replace(LIGHT, optional=True), FRAMED, PLACE, PARTIAL))


def test_only_hidden_pixels_are_scored_and_the_protocol_says_so():
    x, given = told(50)
    subject = learned(HOLED, holes="halves")
    found = evaluate(subject, x, given, k=3, limit=0)
    assert "of the hidden pixels alone, 50 % of all (holes of the kind 'halves', cut with seed 0)" in found.protocol
    assert "picture: what is seen through holes of the kind 'halves'" in found.unknown
    assert "the same in drawings" in found.unknown  # the model never saw a picture of which nothing is seen
    told_pictures = cut(subject, as_images(x)[0], "halves", 0)
    assert (told_pictures[:, 1].mean((1, 2)) == 0.5).all()
    seen = told_pictures[:, 1:] > 0
    assert (told_pictures[:, :1] == x * seen).all()
    expected = -log_prob(subject, x, {**given, "picture": told_pictures}, k=3).mean()
    whole = measured(learned(), limit=0)
    assert found.likelihood is not None and whole.likelihood is not None
    assert found.likelihood.mean == pytest.approx(expected)
    assert found.likelihood.mean < 0.7 * whole.likelihood.mean
    as_given = evaluate(subject, x, {**given, "picture": told_pictures}, k=3, limit=0)
    assert as_given.likelihood == found.likelihood and "as it was given" in as_given.protocol


def test_holes_filled_by_a_model_that_knows_are_near_and_keep_what_is_seen():
    found = measured(learned(HOLED, holes="any"))
    filled = found.completion
    assert filled is not None and filled.kept is not None and filled.psnr is not None and filled.plain_psnr is not None
    assert filled.kept.right == filled.kept.of > 0 and filled.images == ROWS
    assert filled.psnr.mean > filled.plain_psnr.mean + 8
    assert filled.asked is not None and filled.asked.share == 1 and filled.real is not None and filled.real.share == 1
    # without the label the decoder draws bright bars; what is seen of the second row tells some of the dim ones
    assert filled.unasked is not None and 0.4 < filled.unasked.share < 0.95
    assert "nothing seen in drawings" in found.unknown and found.obediences["light"].overall.share == 1
    assert said(found, "Holes are filled:.* is kept exactly") and found.words[-2].startswith("Holes are filled")
    rows = {name for name, _, _ in found.table()}
    assert {"seen values kept exactly", "hidden pixels, PSNR", "completed, asked label = label read"} <= rows


def test_a_model_that_changes_what_is_seen_or_fills_nothing_in_is_caught(monkeypatch):
    real = condvae.subject.generate

    def careless(*args: Any, **options: Any) -> np.ndarray:
        return np.full_like(real(*args, **options), 0.3)

    monkeypatch.setattr("condvae.subject.generate", careless)
    found = measured(learned(HOLED, holes="any"))
    assert found.completion is not None and found.completion.kept is not None and found.completion.kept.right == 0
    assert said(found, "Seen pixels are changed: only 0 %")
    assert said(found, "hardly better than by the mean image")


# --- regressors ------------------------------------------------------------------------------------------------------


def bars(n: int = 500, seed: int = 3) -> Collection:
    x, given = told(n, seed)
    x_test, test = told(120, seed + 100)
    return collect(x, given, x_test, test, name="bars", kinds={"framed": "attribute"})


@pytest.fixture
def counted(monkeypatch):
    """Regressors are not trained, only counted: the numbers of rows that they would have learnt from."""
    counts: list[int] = []

    def count(x, column, data="data", field="number", progress=None):
        counts.append(int((~np.isnan(column)).any(1).sum()))
        return Ruler(field=field)

    monkeypatch.setattr(regressors, "train_regressor", count)
    return counts


def test_a_regressor_learns_numbers_that_are_partly_unknown_and_leaves_the_random_state_alone(tmp_path):
    data = bars()
    assert data.test is not None
    two = np.concatenate([data.train.numbers["place"], 100 - 3 * data.train.numbers["place"]], 1)
    two[::3, 0], two[1::3, 1] = np.nan, np.nan
    torch.manual_seed(5)
    state = torch.get_rng_state()
    made = train_regressor(data.train.x, two, epochs=12, field="two")
    assert torch.equal(torch.get_rng_state(), state) and not made.training
    truth = np.concatenate([data.test.numbers["place"], 100 - 3 * data.test.numbers["place"]], 1)
    error = np.abs(made.read(data.test.x).numbers - truth).mean(0)
    assert error[0] < 0.3 and error[1] < 0.9
    made.tested(data.test.x, truth)
    assert made.card.absolute == pytest.approx(tuple(error)) and made.card.tested == 120
    made.save(tmp_path / "r.safetensors")
    again = Regressor.load(tmp_path / "r.safetensors")
    assert again.card == made.card
    np.testing.assert_array_equal(again.read(data.test.x).numbers, made.read(data.test.x).numbers)
    with pytest.raises(Refused, match="must be a judge as saved by this version"):
        Judge.load(tmp_path / "r.safetensors")
    with pytest.raises(Refused, match="at least two known"):
        train_regressor(data.train.x, np.full((500, 1), np.nan))
    with pytest.raises(Refused, match=r"pictures of \[1, 12, 12\].*regressor's training"):
        made.read(np.zeros((2, 1, 9, 9), np.float32))


def test_a_regressor_is_kept_for_its_own_data_and_tested_on_what_it_never_saw(tmp_path, counted):
    data = bars(60)
    first = regressor_for(data, cache_dir=tmp_path)
    regressor_for(data, "place", tmp_path)
    assert counted == [60] and first.card.tested == 120 and "120 real test images" in first.card.sentence()
    other = data.train.numbers["place"].copy()
    other[5] += 1
    regressor_for(replace(data, train=replace(data.train, numbers={"place": other})), cache_dir=tmp_path)
    assert counted == [60, 60]
    held = make_regressor("bars", data.train, "place")
    assert counted == [60, 60, 54] and held.card.held_out and held.card.tested == 6
    (path, *_) = sorted((tmp_path / "judges").iterdir())
    for kept in (tmp_path / "judges").iterdir():
        kept.write_bytes(b"\xff" * 500)
    regressor_for(data, cache_dir=tmp_path)
    assert len(counted) == 4 and path.exists()
    with pytest.raises(Refused, match="of place; got 'age'"):
        regressor_for(data, "age", tmp_path)


def test_a_panel_has_a_reader_for_every_field_that_is_affordable(tmp_path, monkeypatch, counted):
    monkeypatch.setattr(judges, "LEAST_PASSES", 500)
    monkeypatch.setattr(judges, "EPOCHS", 1)
    data, begun = bars(200), []
    panel = judges_for(data, cache_dir=tmp_path, starting=begun.append)
    assert {name: type(one).__name__ for name, one in panel.readers.items()} == {
        "light": "Judge",
        "framed": "Judge",
        "place": "Ruler",
    }
    assert begun == ["light", "framed", "place"] and not panel.missing
    begun.clear()
    again = judges_for(data, FULL.fields, 0.0, tmp_path, starting=begun.append)
    assert set(again.readers) == {"light", "framed", "place"} and begun == []  # what is kept costs nothing
    dear = judges_for(data, (*FULL.fields, Number.learn("age", PLACES)), 0.0, tmp_path / "empty")
    assert not dear.readers and dear.missing["age"] == "bars does not hold it"
    assert dear.missing["place"] == "a judge for 200 images takes minutes to train"
    cost = 500 * SIDE * SIDE
    assert set(judges_for(data, None, cost, tmp_path / "some").readers) == {"light", "framed"}  # twice the cost in all
    table = replace(data, outputs=Schema((PLACE,)))
    assert set(judges_for(table, cache_dir=tmp_path).missing.values()) == {"rows of a table are not read by a judge"}


# --- runs, reports, pictures -----------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {"network": "mlp", "hidden": (12,), "z": 3, "epochs": 1, "batch": 20, "average": 0.0}


def test_a_report_shows_every_field_and_holes_filled(tmp_path, monkeypatch):
    monkeypatch.setattr(judges, "LEAST_PASSES", 300)
    monkeypatch.setattr(judges, "EPOCHS", 1)
    monkeypatch.setenv("CONDVAE_CACHE", str(tmp_path / "cache"))
    x, given = told(80)
    run = condvae.fit(
        x, {**given, "framed": np.asarray(given["framed"]) == "yes"}, out=tmp_path / "run", progress=False, holes="any",
        threads=1, **SMALL,
    )  # fmt: skip
    there = {path.stem for path in (tmp_path / "run" / "pictures").iterdir()}
    assert {"asked", "samples", "effects", "completions", "obedience", "numbers", "latents", "curves"} <= there
    assert {"traversal", "components"} <= there
    html = (tmp_path / "run" / "report.html").read_text()
    for words in (
        "Holes filled",
        "Numbers asked and read",
        "The mixture of the latents",
        "seen values kept exactly",
        "asked framed = framed read",
    ):
        assert words in html
    found = run.evaluate(x, given, k=2, limit=5)
    assert isinstance(found, Evaluation)
    assert set(found.obediences) == {"light", "framed"} and set(found.numbers) == {"place"}


def test_what_costs_too_much_is_said_in_the_report(tmp_path, monkeypatch):
    monkeypatch.setattr("condvae.reporting.CHEAP", 0)
    monkeypatch.setenv("CONDVAE_CACHE", str(tmp_path / "cache"))
    x, given = told(60)
    run = condvae.fit(x, {"place": given["place"]}, out=tmp_path / "n", progress=False, threads=1, **SMALL)
    html = (tmp_path / "n" / "report.html").read_text()
    assert "Whether numbers are obeyed was not measured, as a judge for 57 images takes minutes to train" in html
    assert {path.stem for path in (tmp_path / "n" / "pictures").iterdir()} >= {"asked", "samples", "latents"}
    assert run.schema.labels == ()


def test_rows_of_a_picture_are_what_was_asked():
    assert first_request(FULL) == {"light": "bright", "framed": "no", "place": f"{np.median(PLACES):.2f}"}
    values = [float(value) for value in rising(PLACE, 8)]
    assert values == sorted(values) and len(values) == 8
    assert PLACE.low[0] <= values[0] < 2.5 and 8.5 < values[-1] <= PLACE.high[0]
    ages = Number.learn("year", np.arange(1990.0, 1994.0)[:, None].repeat(5, 1).reshape(-1, 1))
    assert rising(ages, 8) == ["1990", "1991", "1992", "1993"]  # whole years, each once
    only = learned(Schema((PLACE,)))
    picture = np.asarray(samples(only))
    rows = np.array_split(picture[..., 0].astype(float), 8)
    middles = [(row.sum(0)[150:] * (row.sum(0)[150:] < 250 * len(row))).argmax() for row in rows]
    assert len(middles) == 8 and effects(only) is None and effects(learned()) is not None
    assert completions(only, Part(as_images(told(8)[0])[0]), np.arange(8)) is None


def test_maps_are_coloured_by_labels_and_by_each_entry_of_a_number():
    spot = Number.learn("spot", np.array([[0.0, 5.0], [1.0, 6.0]]))
    schema = Schema((spot, PLACE, LIGHT, Picture("part", (1, 8, 8))))
    found = shades(schema, {"light": ["dim", None], "spot": [(1.0, 2.0), (3.0, np.nan)]}, 2)
    assert [one.name for one in found] == ["light", "spot 1", "spot 2", "place"]
    assert found[0].values == LIGHT.values and list(found[0].column) == ["dim", None]
    assert np.array_equal(np.asarray(found[2].column), [2.0, np.nan], equal_nan=True)
    assert np.isnan(np.asarray(found[3].column, float)).all()
    first = shade_of(schema, {}, 2)
    assert first is not None and first.name == "light" and shade_of(Schema(), {}, 2) is None
    chosen = shade_of(schema, {}, 2, "spot")
    assert chosen is not None and chosen.name == "spot 1"


def test_a_gallery_leaves_out_rows_whose_number_cannot_be_left_open():
    x, given = told(20)
    column = np.where(np.arange(20) < 15, np.nan, given["place"])[:, None]
    part = Part(as_images(x)[0], {}, {"place": column})
    assert {"asked", "samples", "reconstructions", "latents"} <= set(gallery(learned(Schema((PLACE,))), part))
    nothing = replace(part, numbers={"place": np.full((20, 1), np.nan)})
    assert set(gallery(learned(Schema((PLACE,))), nothing)) == {"asked", "samples", "traversal"}


def test_the_plot_of_asked_and_read_takes_any_finite_pairs():
    pairs = [(float(i), float(i) + 0.1) for i in range(20)]
    assert asked_and_read({"age": pairs}, {"age": 0.5}).width > 600
    assert asked_and_read({"a": [(1.0, 1.0)], "$b$": pairs}).height > 300
    for wrong in ({}, {"age": []}, {"age": [(0.0, float("nan"))]}, {str(i): pairs for i in range(7)}):
        with pytest.raises(Refused):
            asked_and_read(wrong)


def test_the_judge_of_an_attribute_is_one_of_no_and_yes(monkeypatch):
    monkeypatch.setattr(judges, "LEAST_PASSES", 1_000)
    data = bars(150)
    judge = make_judge("bars", data.train, judges.learnt(data.train, "framed"), data.test)
    assert judge.values == ("no", "yes") and judge.card.tested == 120
