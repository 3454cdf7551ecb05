"""Temperatures of a drawing, one for all latents or one a latent; and how one is chosen, without a test image."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shrunk import EVERY, SHAPE, SMALL, model_of, schema_of
from test_measures import FIELD, SIDE, Known, measured, said, signs
from test_measures import learned as plain_learned

from condvae import draw_studio, tasks
from condvae.canvases import canvases
from condvae.cli import main
from condvae.conditions import Attribute, Number, Schema
from condvae.data import Collection, Part
from condvae.errors import Refused
from condvae.evaluation import Evaluation, Share
from condvae.fills import fill
from condvae.images import as_images
from condvae.learned import Learned, codes_of, temperature_in
from condvae.models.build import build
from condvae.plots_warmth import warmth
from condvae.recipes.base import Outcome
from condvae.recipes.warming import warmth_of
from condvae.runs import Run
from condvae.settings import settings_of
from condvae.temperatures import cooled, shape_of, typed
from condvae.temperatures import said as in_words
from condvae.trace import Draw
from condvae.warmth import Warm, choice, curve, halves, searched

NAMES = ("defaults", "autoregressive", "mixture-prior", "m2", "m1-m2", "draw", "draw-plain", "draw-holes", "holes")
CODES = {"m1-m2": 2, "draw": 3, "draw-plain": 3, "draw-holes": 3}
DRAWN = settings_of(SMALL, {"network": "draw", "likelihood": "bernoulli"})


def shrunk(name: str) -> Learned:
    settings = EVERY[name]
    model, schema = model_of(settings).eval(), schema_of(settings)
    return Learned(model, schema, SHAPE, settings.binarise, holes=settings.holes, infers=settings.infer)


def drawer() -> Learned:
    """An untrained DRAW of three glimpses of the signs of `test_measures`, in which every latent matters."""
    schema = Schema((FIELD,))
    model = build(DRAWN, schema, (1, SIDE, SIDE)).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return Learned(model, schema, (1, SIDE, SIDE))


# --- one number, or one a latent


@pytest.mark.parametrize("name", NAMES)
def test_a_number_is_as_many_equal_ones(name: str) -> None:
    learned, codes = shrunk(name), CODES.get(name, 1)
    assert codes_of(learned) == codes
    for heat in (1.0, 0.6, 0.0):
        each: Any
        for each in ([heat] * codes, (heat,) * codes, np.full(codes, heat), torch.full((codes,), heat).double()):
            one = tasks.generate(learned, {"sign": ["a", None]}, n=3, seed=4, temperature=heat)
            assert np.array_equal(one, tasks.generate(learned, {"sign": ["a", None]}, n=3, seed=4, temperature=each))
    assert not np.array_equal(one, tasks.generate(learned, {"sign": ["a", None]}, n=3, seed=4))


def test_canvases_and_completions_take_one_a_latent() -> None:
    learned = shrunk("draw-holes")
    assert np.array_equal(
        canvases(learned, {"sign": "b"}, n=2, temperature=0.7).images,
        canvases(learned, {"sign": "b"}, n=2, temperature=[0.7] * 3).images,
    )
    x = np.random.default_rng(0).random((2, *SHAPE)).astype(np.float32)
    seen = np.ones((2, 1, *SHAPE[1:]), bool)
    seen[..., :4] = False
    filled = [fill(learned, x, seen, n=2, temperature=heat) for heat in (0.5, (0.5, 0.5, 0.5), (0.5, 0.5, 1))]
    assert np.array_equal(filled[0], filled[1]) and not np.array_equal(filled[0], filled[2])


@pytest.mark.parametrize("place", range(3))
def test_a_latents_temperature_changes_nothing_before_it(place: int) -> None:
    learned, changed = shrunk("draw"), [1.0] * 3
    changed[place] = 0.4
    before, after = (canvases(learned, {"sign": "a"}, n=2, temperature=heat).images for heat in (1.0, changed))
    same = [np.array_equal(before[:, step], after[:, step]) for step in range(3)]
    assert same == [step < place for step in range(3)]


def test_a_latent_at_0_has_no_noise() -> None:
    learned = shrunk("draw")
    still = [tasks.generate(learned, {"sign": "a"}, n=2, seed=seed, temperature=(0, 0, 0)) for seed in (0, 1)]
    assert np.array_equal(still[0], still[1]) and np.array_equal(still[0][0], still[0][1])
    first = [canvases(learned, {"sign": "a"}, n=2, seed=seed, temperature=(0, 1, 1)).images for seed in (0, 1)]
    assert np.array_equal(first[0][:, 0], first[1][:, 0]) and not np.array_equal(first[0][:, 1], first[1][:, 1])


def test_what_is_no_code_has_the_temperature_of_the_nearest_one() -> None:
    draw = Draw(temperature=(0.2, 0.5, 0.9))
    assert [draw.heat(level) for level in (0, 1, 2, 3, 900)] == [0.2, 0.5, 0.9, 0.9, 0.9]
    assert Draw(temperature=0.3).heat(900) == 0.3


# --- what is refused


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            [1.0, 0.9],
            "temperature must be one number of at least 0, or 3 of them, for this model has 3 latents; got 1.0",
        ),
        ([], "for this model has 3 latents; got none"),
        ([1, 1, -0.5], "has 3 latents; got 1, 1, -0.5"),
        ((1, 1, float("nan")), "has 3 latents; got 1, 1, nan"),
        ([[1, 1, 1]], "has 3 latents"),
        ("1,1,1", "temperature must be a number of at least 0"),
        (None, "temperature must be a number of at least 0"),
        ({"a": 1}, "temperature must be a number of at least 0"),
    ],
)
def test_what_cannot_be_a_temperature(value: Any, told: str) -> None:
    learned = shrunk("draw")
    for call in (tasks.generate, canvases):
        with pytest.raises(Refused, match=told.replace("(", r"\(")):
            call(learned, {"sign": "a"}, temperature=value)
    with pytest.raises(Refused, match="of at least 0, for this model has 1 latent; got 1, 1"):
        temperature_in(shrunk("defaults"), (1, 1))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    learned = drawer()
    made = Run(learned.model, learned.schema, DRAWN, learned.shape)  # type: ignore[arg-type]
    return str(made.save(tmp_path_factory.mktemp("runs") / "drawn"))


def test_the_command_line_takes_one_a_latent(run: str, tmp_path: Path) -> None:
    found = {}
    for name, heat in (("one", "0.5"), ("same", "0.5,0.5,0.5"), ("other", "1, 0.9,0.5")):
        path = tmp_path / f"{name}.npz"
        assert main(["generate", run, "sign=b", "-n", "2", "-o", str(path), "--temperature", heat]) == 0
        with np.load(path) as held:
            found[name] = held["images"][0]
    assert np.array_equal(found["one"], found["same"]) and not np.array_equal(found["one"], found["other"])
    path = tmp_path / "canvases.npz"
    draw_studio.draw(run, ["sign=b"], n=2, out=str(path), temperature="1,0.9,0.5")
    with np.load(path) as held:
        assert np.array_equal(held["images"][0, :, -1], found["other"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "generate RUN sign=a -o a.png --temperature 1,0.9",
            "or 3 of them, for this model has 3 latents; got 1.0, 0.9",
        ),
        ("generate RUN sign=a -o a.png --temperature hot", "temperature is one number, such as 0.8, or one for each"),
        ("generate RUN sign=a -o a.png --temperature 1,", "such as 1,0.9,0.7; got '1,'"),
        ("generate RUN sign=a -o a.png --temperature=-1", "temperature must be a number of at least 0"),
        ("draw RUN sign=a -o a.png --temperature 1,1,nan", "has 3 latents; got 1.0, 1.0, nan"),
        ("evaluate RUN --temperature 0.9,0.8", "has 3 latents; got 0.9, 0.8"),
    ],
)
def test_one_line_says_what_is_wrong(run: str, words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([run if word == "RUN" else word for word in words.split()]) == 2
    out, err = capsys.readouterr()
    assert not out and told in err and err.startswith("condvae: ") and err.count("\n") == 1


def test_a_temperature_in_words() -> None:
    assert typed("0.8") == 0.8 and typed(" 1, 0.9") == (1.0, 0.9)
    assert [in_words(heat) for heat in (0.8, (1, 1), [1])] == ["0.8", "1", "1"]
    assert in_words((1, 1, 0.7, 0.5, 0.5)) == "1 for latents 1 to 2, 0.7 for latent 3, 0.5 for latents 4 to 5"
    assert shape_of((0.8, 0.8)) == ("all latents", 0.8)
    assert shape_of((1, 0.8, 0.8)) == ("latents 2 to 3, the others at 1", 0.8)
    assert shape_of((0.8, 1, 1)) == ("latent 1, the others at 1", 0.8)
    assert shape_of((0.5, 0.9)) == ("0.5 for latent 1, 0.9 for latent 2", 0.7)
    assert not cooled(1.0) and not cooled((1, 1.2)) and cooled((1, 0.9))


# --- an evaluation at a temperature


def test_an_evaluation_is_of_drawings_at_that_temperature() -> None:
    warm, cold = measured(plain_learned()), measured(plain_learned(), temperature=0.3)
    assert (warm.bound, warm.likelihood, warm.rate) == (cold.bound, cold.likelihood, cold.rate)
    assert warm.diversity is not None and cold.diversity is not None and cold.frechet is not None
    assert cold.diversity.pixels.drawn < 0.5 * warm.diversity.pixels.drawn
    assert warm.frechet is not None and cold.frechet.distance > warm.frechet.distance
    told = "Temperature of the drawings: 0.3; all else is of the model as it is."
    assert cold.temperature == 0.3 and told in cold.sentences() and warm.temperature == 1
    assert not any("Temperature" in sentence for sentence in warm.sentences())
    assert Evaluation.model_validate_json(cold.model_dump_json()) == cold


def test_drawings_that_are_alike_because_they_are_cold_blame_no_training() -> None:
    cold = measured(plain_learned(), temperature=[0.0])
    assert cold.temperature == [0.0] and not said(cold, "ignores z")
    assert said(cold, "all alike") and said(cold, "Draw nearer to temperature 1.")
    assert said(measured(plain_learned(uses_z=False)), "ignores z")


def test_an_evaluation_refuses_as_generate_does() -> None:
    with pytest.raises(Refused, match="for this model has 1 latent; got 1, 1"):
        measured(plain_learned(), temperature=(1, 1))


def test_rows_of_a_table_are_measured_as_they_were_learnt() -> None:
    asked = Schema((Attribute("smoker", ("no", "yes"), (0.5, 0.5)),))
    outputs = Schema((Number.learn("age", np.linspace(0, 1, 9)[:, None]),))
    settings = settings_of(SMALL, {"network": "mlp"})
    shape = (1, 1, outputs.width)
    table = Run(build(settings, asked, shape, outputs), asked, settings, shape, outputs=outputs)
    with pytest.raises(Refused, match=r"temperature must be 1 where rows of a table are measured.*; got 0.5"):
        table.evaluate({"age": [0.5], "smoker": ["no"]}, temperature=0.5)
    drawn = [table.generate({"smoker": "no"}, n=4, temperature=heat)["age"] for heat in (0.5, [0.5], [1.0])]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


# --- the choice


def row(temperature: tuple[float, ...], right: int | None, frechet: float) -> Warm:
    read = None if right is None else Share(right=right, of=1000)
    return Warm(temperature=temperature, obedience=read, frechet=frechet, diversity=1, sharpness=1, drawings=1000)


def test_the_lowest_distance_wins_where_the_label_is_obeyed() -> None:
    rows = [row((1, 1), 950, 0.5), row((0.9, 0.9), 960, 0.3), row((0.8, 0.8), 970, 0.4), row((1, 0.5), 900, 0.1)]
    assert choice(rows) is rows[1]  # (1, 0.5) loses more labels than chance would
    half = (Share(right=950, of=1000).high - Share(right=950, of=1000).low) / 2
    just, below = (950 - int(1000 * half), 949 - int(1000 * half))
    assert choice([rows[0], row((1, 0.5), just, 0.1)]).frechet == 0.1
    assert choice([rows[0], row((1, 0.5), below, 0.1)]) is rows[0]


def test_without_labels_the_distance_alone_decides_and_ties_go_to_1() -> None:
    rows = [row((0.5,), None, 0.2), row((0.9,), None, 0.2), row((1.0,), None, 0.3)]
    assert choice(rows) is rows[1]
    assert choice([*rows, row((1.1,), None, 0.1)]).temperature == (1.1,)
    with pytest.raises(Refused, match="must hold temperature 1"):
        choice(rows[:2])


def landscape(codes: int, best: dict[int, float], tried: list[tuple[float, ...]]) -> Any:
    """A made-up measure whose distance is least at these temperatures of some latents, and 1 of all others."""

    def measure(temperature: tuple[float, ...]) -> Warm:
        if temperature not in tried:
            tried.append(temperature)
        apart = sum((heat - best.get(place, 1.0)) ** 2 for place, heat in enumerate(temperature))
        return row(temperature, 990, 0.1 + apart)

    return measure


def test_the_search_walks_to_the_best_temperature_of_the_best_cut() -> None:
    tried: list[tuple[float, ...]] = []
    measure = landscape(4, {2: 0.3, 3: 0.3}, tried)
    searched(4, measure)
    assert choice([measure(one) for one in tried]).temperature == (1, 1, 0.3, 0.3) and len(tried) <= 20
    upper: list[tuple[float, ...]] = []
    measure = landscape(4, {0: 0.8}, upper)
    searched(4, measure)
    assert choice([measure(one) for one in upper]).temperature == (0.8, 1, 1, 1)


def test_the_search_is_short_where_nothing_is_gained() -> None:
    for codes, most in ((1, 6), (2, 8), (10, 12)):
        tried: list[tuple[float, ...]] = []
        measure = landscape(codes, {}, tried)
        searched(codes, measure)
        assert len(tried) == most and all(len(one) == codes for one in tried)
        assert choice([measure(one) for one in tried]).temperature == (1.0,) * codes
    assert halves(1, 0.8) == [] and halves(2, 0.8) == [(1, 0.8), (0.8, 1)]
    assert halves(4, 0.5)[:2] == [(1, 0.5, 0.5, 0.5), (0.5, 1, 1, 1)]


# --- the curve


def test_the_curve_of_a_model_of_several_latents() -> None:
    x, names = signs()
    told: list[str] = []
    watch = lambda what, done, total: told.append(what)  # noqa: E731
    found = curve(drawer(), x, {"sign": names}, Known(), [0, (1, 1, 0), 1.0, (0, 0, 0)], draws=120, progress=watch)
    assert [one.temperature for one in found.rows] == [(1, 1, 1), (0, 0, 0), (1, 1, 0)]
    assert {"temperature 1", "temperature 0", "temperature 1 for latents 1 to 2, 0 for latent 3"} == set(told)
    plain, still, half = found.rows
    assert plain.diversity is not None and still.diversity is not None and half.diversity is not None
    assert still.diversity == pytest.approx(0, abs=1e-6) and 0 < half.diversity < plain.diversity
    assert all(one.drawings == 120 and one.obedience is not None and one.obedience.of == 120 for one in found.rows)
    assert found.chosen == choice(found.rows).temperature and found.field == "sign"
    assert len(found.table()) == 3 and found.table()[0][0] == "1"


def test_a_row_is_what_evaluate_finds_of_the_same_images() -> None:
    x, names = signs()
    found = curve(plain_learned(), x, {"sign": names}, Known(), [0.5])
    beside = measured(plain_learned(), temperature=0.5)
    assert beside.frechet is not None and beside.obedience is not None and beside.diversity is not None
    assert beside.diversity.features is not None and beside.sharpness is not None
    cold = found.rows[1]
    assert cold.frechet == beside.frechet.distance and cold.obedience == beside.obedience.overall
    assert cold.diversity == beside.diversity.features.ratio and cold.sharpness == beside.sharpness.ratio


def test_images_of_which_nothing_is_known_are_passed_over() -> None:
    x, names = signs()
    half: list[str | None] = [name if place % 2 else None for place, name in enumerate(names)]
    found = curve(plain_learned(), x, {"sign": half}, Known(), [1])
    assert found.rows[0].drawings == len(x) // 2
    again = curve(plain_learned(), x[1::2], {"sign": names[1::2]}, Known(), [1])
    assert found.rows[0] == again.rows[0]


def test_without_labels_there_is_a_distance_alone() -> None:
    x, _ = signs()
    model = build(DRAWN, Schema(()), (1, SIDE, SIDE)).eval()
    found = curve(Learned(model, Schema(()), (1, SIDE, SIDE)), x, None, Known(), [0.5], draws=50)
    assert [one.obedience for one in found.rows] == [None, None] and found.field is None
    assert "obedience" not in found.rows[0].plain() and found.rows[0].plain()["draws"] == 50


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"judge": None}, "judge must be a Judge"),
        ({"judge": Known(values=("a", "b"))}, "judge must know all values of sign"),
        ({"candidates": [(1, 0.5)]}, "for this model has 1 latent; got 1, 0.5"),
        ({"candidates": [0.5, -1]}, "temperature must be a number of at least 0"),
        ({"draws": 1}, "draws must be a whole number of at least 2"),
        ({"x": signs()[0][:1], "given": None}, "x must hold at least two images"),
        ({"prior": "fitted"}, "no density was fitted"),
    ],
)
def test_what_cannot_be_compared(changed: dict[str, Any], told: str) -> None:
    x, names = signs()
    arguments: dict[str, Any] = {"x": x, "given": {"sign": names}, "judge": Known(), "candidates": [1]} | changed
    with pytest.raises(Refused, match=told):
        curve(plain_learned(), **arguments)


# --- in a recipe


def outcome() -> Outcome:
    """A finished training whose collection has no test part at all."""
    x, names = signs()
    part = Part(as_images(x)[0], {"sign": tuple(names)})
    return Outcome(plain_learned(), [], Collection("signs", part), Known)


def test_no_test_image_is_needed() -> None:
    found = warmth_of(outcome(), [1, 0.5], draws=100)
    assert found["chosen_on"] == "100 of 300 training images" and json.loads(json.dumps(found)) == found
    assert [one["temperature"] for one in found["temperatures"]] == [[1.0], [0.5]]
    assert found["chosen"] in ([1.0], [0.5])
    low, high = found["temperatures"][0]["obedience_interval"]
    assert 0 <= low <= found["temperatures"][0]["obedience"] <= high <= 1


def tables_module() -> Any:
    path = Path(__file__).parents[1] / "docs" / "tables.py"
    spec = importlib.util.spec_from_file_location("tables", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_shows_every_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results").mkdir()
    values = warmth_of(outcome(), [0.5], draws=100)
    runs = [{"variant": "a", "seed": 0, "values": values}, {"variant": "b", "seed": 0, "values": {"nll": 1}}]
    (tmp_path / "results" / "it.json").write_text(json.dumps({"runs": runs}))
    tables = tables_module()
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    lines = tables.warmth("it").splitlines()
    assert len(lines) == 4 and lines[2].startswith("| a, seed 0 | 1 | ") and lines[3].startswith("| a, seed 0 | 0.5 | ")
    assert [line.endswith(" | yes |") for line in lines[2:]].count(True) == 1
    assert tables.warmth("absent") == ""


def test_the_plot_has_a_panel_a_measure() -> None:
    rows = [row((one, one), 990, one).plain() for one in (1.0, 0.8, 0.6)]
    rows += [row(one, 985, 0.5).plain() for one in ((1.0, 0.7), (1.0, 0.8), (0.7, 1.0), (0.4, 0.6))]
    both = warmth(rows, [1.0, 0.7], "Temperatures")
    assert both.mode == "RGB" and both.width > both.height
    alone = warmth([row((1.0,), None, 0.2).plain()])
    assert alone.mode == "RGB"
    ringed = np.asarray(warmth(rows, [1.0, 1.0]))
    assert ringed.shape != np.asarray(both).shape or not np.array_equal(ringed, np.asarray(both))
    with pytest.raises(Refused, match="rows must hold at least one temperature"):
        warmth([])
