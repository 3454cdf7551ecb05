"""What is typical of a run's images: statistics and ranges recomputed, the file, the verdict, the runs of the zoo."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_api import SMALL, tiny

import condvae
from condvae import datasets, judges, studio, typical_statistics
from condvae.errors import Refused
from condvae.fitting import OURS
from condvae.jobs import noted
from condvae.reporting import unseen_part
from condvae.runs import Run, load
from condvae.storage import read_json, write_json
from condvae.subject import chosen
from condvae.typical import Range, Typical
from condvae.typical_record import FILE, fingerprint, judged, recorded, write_typical
from condvae.typical_statistics import LEAST, MOST, SAMPLES, images_for, roughness, statistics, typical_of

ZOO = Path(__file__).resolve().parent.parent / "zoo"
RUNS = sorted(path.name for path in ZOO.iterdir())
DATA = os.environ.get("CONDVAE_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="needs real data")


@pytest.fixture(scope="module", autouse=True)
def quick_judge(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judges, "LEAST_PASSES", 200)
        patch.setattr(judges, "EPOCHS", 1)
        patch.setenv("CONDVAE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def test_images():
    return tiny(60, seed=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory, test_images):
    """A trained run whose test images are known."""
    x, y = tiny()
    test = (test_images[0], {"digit": test_images[1]})
    return condvae.fit(
        x, {"digit": y}, test=test, out=tmp_path_factory.mktemp("typical") / "run", progress=False, **SMALL
    )


@pytest.fixture
def copied(run, tmp_path):
    """The same in a folder of its own, with its record."""
    found = load(run.path)
    found.save(tmp_path / "copy")
    write_json(tmp_path / "copy" / FILE, read_json(run.path / FILE))
    return load(tmp_path / "copy")


def test_training_images_are_called_so(tmp_path):
    x, y = tiny(40)
    made = condvae.fit(x, {"digit": y}, out=tmp_path / "run", progress=False, **{**SMALL, "hold_out": 0})
    found = recorded(made)
    assert found.among == "training images" and "these numbers flatter" in found.whence and found.images == 40


def steps(x: np.ndarray) -> np.ndarray:
    """Roughness, once more, of pictures [N, H, W]."""
    return np.asarray([(np.abs(np.diff(one, axis=0)).mean() + np.abs(np.diff(one, axis=1)).mean()) / 2 for one in x])


def test_training_writes_the_ranges_of_its_test_images(run, test_images):
    data, x = read_json(run.path / FILE), test_images[0]
    assert (data["images"], data["whence"], data["k"], data["seed"]) == (60, "the test images", SAMPLES, 0)
    assert data["of"] == "p(x), summed over digit" and data["among"] == "test images" and data["version"] == 1
    found = load(run.path)
    log_prob = found.log_prob(x[:, None], k=SAMPLES)
    for name, values in (("log_prob", log_prob), ("roughness", steps(x.astype(np.float64)))):
        one = data["statistics"][name]
        tail = {"log_prob": 0.01, "roughness": 0.001}[name]
        assert np.allclose([one["low"], one["high"]], np.quantile(values, [tail, 1 - tail]), rtol=1e-4, atol=1e-4)
        levels = np.percentile(values, range(101))
        assert np.allclose([one["quantiles"][str(at)] for at in range(101)], levels, rtol=1e-4, atol=1e-4)
    assert FILE in OURS


def test_the_rate_is_what_the_posterior_costs(test_images):
    from condvae.nets import evaluating
    from condvae.noise import RowNoise
    from condvae.trace import Draw

    x = test_images[0][:7]
    made = condvae.fit(tiny()[0], None, progress=False, **SMALL)
    found = statistics(made.learned, x[:, None], k=3)
    model = made.learned.using()
    with evaluating(model):
        for row in range(7):
            noise = RowNoise(0, np.asarray([[row, 0]]))
            c = made.learned.condition({}, np.zeros(1, int))
            trace: Any = model(c, made_tensor(x[row]), draw=Draw(noise, k=3))
            (latent,) = trace.latents
            each = latent.q.log_prob(latent.z) - latent.p.log_prob(latent.z)
            assert found["rate"][row] == pytest.approx(float(each.mean()), rel=1e-4, abs=1e-4)
    assert typical_of(made.learned, test_images[0][:, None]).of == "p(x)"


def made_tensor(x: np.ndarray):
    return torch.from_numpy(np.ascontiguousarray(x, np.float32))[None, None]


def test_row_i_does_not_depend_on_the_others(run, test_images):
    x = test_images[0][:9, None]
    whole, part = statistics(run.learned, x), statistics(run.learned, x[:4])
    assert all(np.allclose(whole[name][:4], part[name], rtol=1e-4, atol=1e-4) for name in whole)


def many_fields(n: int, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    x, y = tiny(n, seed)
    age = np.linspace(0.05, 0.95, n)
    return x, {"digit": y, "even": y % 2 == 0, "age": age}


def test_many_fields_are_read_one_after_another():
    x, c = many_fields(80, 0)
    made = condvae.fit(x, c, progress=False, **SMALL)
    learned, some = made.learned, x[:2, None]
    found = statistics(learned, some, k=4)
    for row in range(len(some)):
        read: dict[str, Any] = {}
        for field in made.schema.fields:  # at first the likeliest values, the middle one of several
            entries, shares = field.support()  # pyright: ignore
            likeliest = np.flatnonzero(shares == shares.max())
            read[field.name] = entries[likeliest[len(likeliest) // 2]]
        for field in list(made.schema.fields) * 2:
            entries, shares = field.support()  # pyright: ignore
            scores = [
                made.log_prob(some[: row + 1], asked(made, {**read, field.name: entry}), k=1)[row] + share
                for entry, share in zip(entries, shares, strict=True)
            ]
            read[field.name] = entries[int(np.argmax(scores))]
        assert found["log_prob"][row] == pytest.approx(
            made.log_prob(some[: row + 1], asked(made, read), k=4)[row], rel=1e-4, abs=1e-3
        )
    told = typical_of(learned, x[:, None], "the images held out of training, as there are no test images")
    assert (
        told.of == "p(x), the model's own reading of digit, even, age" and told.among == "images held out of training"
    )


def asked(run: Run, read: dict[str, Any]) -> dict[str, Any]:
    """Entries of columns as a user says them."""
    fields: dict[str, Any] = {name: run.schema.field(name) for name in read}
    return {
        name: fields[name].values[int(entry)] if fields[name] in run.schema.labels else float(entry[0])
        for name, entry in read.items()
    }


def test_a_blank_input_is_left_blank():
    x, y = tiny()
    made = condvae.fit(x, {"digit": y}, progress=False, **{**SMALL, "drop": 0.3})
    found = typical_of(made.learned, x[:, None])
    assert found.of == "p(x), blank input for digit"
    own = statistics(made.learned, x[:8, None])["log_prob"]
    assert np.allclose(own, made.log_prob(x[:8, None], k=SAMPLES), rtol=1e-4, atol=1e-3)


def test_how_many_images_a_range_takes(run):
    assert images_for(run.learned, 1) == LEAST and images_for(run.learned, 1e18) == MOST
    each = 8 * 8 * 4 * SAMPLES
    assert images_for(run.learned, each * 300) == 300


def made_ranges(**bounds: tuple[float, float]) -> Typical:
    levels = {name: tuple(np.linspace(low, high, 101)) for name, (low, high) in bounds.items()}
    ranges = {name: Range(*bound, levels[name]) for name, bound in bounds.items()}
    return Typical(ranges, "p(x)", 5, 0, 100, "test images", "the test images")


SPAN = made_ranges(log_prob=(-140.0, -60.0), rate=(5.0, 25.0), roughness=(0.03, 0.1))
INSIDE = {"log_prob": -100.0, "rate": 10.0, "roughness": 0.05}


def test_the_verdict_in_words():
    found = SPAN.verdict(INSIDE)
    assert found["words"] == "typical: more likely than 50 % of test images" and found["verdict"] == "typical"
    assert not found["flagged"] and found["share_below"] == 0.5 and (found["low"], found["high"]) == (-140, -60)
    low = SPAN.verdict({**INSIDE, "log_prob": -912.3})
    assert low["words"] == (
        "it looks like nothing the model knows: log p(x) = -912.3 nats, below the 1-99 % range of test images, "
        "-140.0 to -60.0; what it is read as means little"
    )
    high = SPAN.verdict({**INSIDE, "log_prob": -1.0})
    assert high["verdict"] == "smoother" and high["flagged"] and high["share_below"] == 1
    assert high["words"].startswith("more likely than 99 % of test images: log p(x) = -1.0 nats, above")
    assert "emptier or smoother than what it knows" in high["words"] and "means little" not in high["words"]
    empty = SPAN.verdict({"log_prob": -1.0, "rate": 30.0, "roughness": 0.0})
    assert empty["verdict"] == "strange" and empty["statistics"]["rate"]["side"] == "above"
    assert "; the mean step between neighbouring pixels = 0.000, below the 0.1-99.9 % range" in empty["words"]


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_what_is_no_number_is_flagged_and_no_number_in_json(value):
    found = SPAN.verdict({**INSIDE, "log_prob": value})
    assert found["flagged"] and found["value"] is None and found["share_below"] == 0
    assert "log p(x) = beyond all numbers, below" in found["words"]
    json.dumps(found, allow_nan=False)
    assert SPAN.verdict({**INSIDE, "rate": float("inf")})["statistics"]["rate"]["side"] == "above"


def test_the_bounds_themselves_are_within():
    assert [SPAN.ranges["rate"].side(value) for value in (5.0, 25.0, 4.99, 25.01)] == [
        "within",
        "within",
        "below",
        "above",
    ]


def test_roughness_of_known_pictures():
    x = torch.zeros(3, 1, 4, 4)
    x[1] = 1
    x[2, :, ::2] = 1  # rows in turn white and black: steps of 1 down, of 0 across
    assert roughness(x).tolist() == [0, 0, 0.5]
    assert roughness(torch.ones(2, 1, 1, 1)).tolist() == [0, 0]
    assert roughness(torch.tensor([[[[0.0, 1.0]]]])).tolist() == [1]


def picture(path: Path, x: np.ndarray) -> str:
    Image.fromarray((255 * np.clip(x, 0, 1)).round().astype(np.uint8)).save(path)
    return str(path)


def test_classify_says_it_of_one_picture(copied, test_images, tmp_path, capsys):
    from condvae.cli import main

    reply = studio.classify(copied, picture(tmp_path / "a.png", test_images[0][3]))
    told = reply.data["typical"]
    assert reply.lines[1] == told["words"] and told["k"] == SAMPLES and told["of"] == "p(x), summed over digit"
    assert told["statistics"]["log_prob"]["value"] == told["value"] and 0 <= told["share_below"] <= 1
    assert not reply.notes or "typical" not in " ".join(reply.notes)
    blank = picture(tmp_path / "b.png", np.zeros((8, 8)))
    assert main(["classify", str(copied.path), blank, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["typical"]["flagged"] and data["typical"]["verdict"] == "strange"
    assert main(["classify", str(copied.path), blank]) == 0
    assert "it looks like nothing the model knows: " in capsys.readouterr().out


def test_a_collection_and_a_missing_record_say_nothing_of_it(copied, test_images, tmp_path):
    np.savez(tmp_path / "own.npz", x=test_images[0], y=test_images[1])
    assert "typical" not in studio.classify(copied, str(tmp_path / "own.npz")).data
    one = picture(tmp_path / "a.png", test_images[0][0])
    before = studio.classify(copied, one)
    (copied.path / FILE).unlink()
    reply = studio.classify(copied, one)
    assert "typical" not in reply.data and reply.lines == before.lines[:1]
    assert [note for note in reply.notes if f"condvae evaluate {copied.path} records it" in note]
    reply = studio.classify(Run(copied.model, copied.schema, copied.settings, copied.shape), one)
    assert "in memory" in " ".join(reply.notes) and "typical" not in reply.data


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: "no json", "cannot be read as JSON"),
        (lambda data: [], "is damaged"),
        (lambda data: {**data, "version": 2}, "another version"),
        (lambda data: {**data, "fingerprint": "0" * 32}, "other weights"),
        (lambda data: {**data, "statistics": {}}, "is damaged"),
        (lambda data: {**data, "k": "many"}, "is damaged"),
        (lambda data: {**data, "k": 10**9}, "is damaged"),
        (lambda data: with_quantile(data, "50", None), "is damaged"),
        (lambda data: with_quantile(data, "50", 1e30), "is damaged"),
    ],
)
def test_a_record_that_is_of_no_use_is_a_note(copied, test_images, tmp_path, damage, said):
    data = damage(read_json(copied.path / FILE))
    (copied.path / FILE).write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    reply = studio.classify(copied, picture(tmp_path / "a.png", test_images[0][0]))
    (note,) = [one for one in reply.notes if said in one]
    assert f"condvae evaluate {copied.path} records it" in note and "typical" not in reply.data


def with_quantile(data: dict[str, Any], at: str, value: Any) -> dict[str, Any]:
    held = data["statistics"]["rate"]
    return {
        **data,
        "statistics": {**data["statistics"], "rate": {**held, "quantiles": {**held["quantiles"], at: value}}},
    }


def test_changed_weights_are_other_weights(copied):
    with torch.no_grad():
        next(copied.model.parameters()).add_(0.01)
    with pytest.raises(Refused, match="other weights"):
        recorded(copied)


def test_an_evaluation_records_what_is_missing(copied, run):
    part, whence = unseen_part(run, run.collection)
    assert noted(copied, part, whence) == ()  # it stands there
    before = read_json(copied.path / FILE)
    (copied.path / FILE).write_text("{", encoding="utf-8")
    assert noted(copied, part, whence) == ()
    assert read_json(copied.path / FILE) == before
    (copied.path / FILE).unlink()
    (note,) = noted(copied, part.take(torch.arange(19)), whence)
    assert "at least 20 images" in note and not (copied.path / FILE).exists()


def test_where_nothing_can_be_recorded(copied, test_images, monkeypatch):
    few = condvae.data.collect(test_images[0][:19], None).train
    with pytest.raises(Refused, match=r"at least 20 images are needed.*got 19"):
        write_typical(copied, few.x, "the test images")
    part = condvae.data.collect(test_images[0], None).train
    monkeypatch.setattr(typical_statistics, "roughness", lambda x: np.full(len(x), np.nan))
    with pytest.raises(Refused, match="the roughness of 60 of 60 images is no number"):
        write_typical(copied, part.x, "the test images")
    monkeypatch.undo()
    assert write_typical(Run(copied.model, copied.schema, copied.settings, copied.shape), part.x, "") is None
    copied.path = copied.path / "model.safetensors"  # a file, in which nothing can be written
    with pytest.raises(Refused, match="cannot be written"):
        write_typical(copied, part.x, "the test images")


def test_a_run_of_deep_features_has_no_likelihood(copied, monkeypatch):
    monkeypatch.setattr(type(copied.learned), "likely", False)
    assert write_typical(copied, condvae.data.collect(tiny()[0], None).train.x, "") is None
    told, why = judged(copied, np.zeros((1, 1, 8, 8), np.float32))
    assert told is None and "deep features" in why and "not told" in why
    with pytest.raises(Refused, match="deep features"):
        statistics(copied.learned, np.zeros((1, 1, 8, 8), np.float32))


def test_rows_of_a_table_are_no_pictures(run):
    with pytest.raises(Refused, match="rows of a table"):
        statistics(replace(run.learned, outputs=run.schema), np.zeros((1, 1, 8, 8), np.float32))


# --- the zoo -------------------------------------------------------------------------------------------------


def strange_pages(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    pages = {f"page of {shade}": np.full(shape, shade, np.float32) for shade in (0, 0.2, 0.5, 0.8, 1)}
    noise = np.clip(rng.normal(0.5, 0.2, shape), 0, 1).astype(np.float32)
    return {**pages, "uniform": rng.random(shape).astype(np.float32), "gaussian": noise}


@pytest.mark.parametrize("name", RUNS)
def test_every_run_of_the_zoo_flags_pages_and_noise(name):
    run = load(ZOO / name)
    assert read_json(ZOO / name / FILE)["fingerprint"] == fingerprint(run.learned)
    pages = strange_pages(run.shape)
    found = recorded(run)
    values = statistics(run.learned, np.stack(list(pages.values())), found.k, found.seed)
    for place, page in enumerate(pages):
        verdict = found.verdict({key: float(column[place]) for key, column in values.items()})
        assert verdict["verdict"] == "strange", page
        json.dumps(verdict, allow_nan=False)


def test_drawings_of_the_zoo_are_not_called_strange():
    run = load(ZOO / "mnist-cvae")
    found = recorded(run)
    drawn = run.generate({"digit": list("0123456789")}, n=3, seed=0).reshape(-1, 1, 28, 28)
    values = statistics(run.learned, drawn, found.k, found.seed)
    verdicts = [
        found.verdict({key: float(column[row]) for key, column in values.items()})["verdict"]
        for row in range(len(drawn))
    ]
    assert verdicts.count("strange") == 0  # means have no noise of their own, so that some are too likely
    assert verdicts.count("typical") >= len(drawn) / 2


@needs_data
@pytest.mark.parametrize("name", ["mnist-cvae", "mnist-holes", "mnist-100-labels"])
def test_the_range_holds_fresh_test_images(name):
    run = load(ZOO / name)
    found, test = recorded(run), datasets.load("mnist").test
    assert test is not None and found.images == 1000 and found.whence == "the test images"
    rest = np.setdiff1d(np.arange(len(test)), chosen(len(test), found.images, found.seed))[::12][:700]
    values = statistics(run.learned, test.take(torch.from_numpy(rest)).x, found.k, found.seed)
    inside = {
        key: np.asarray([found.ranges[key].side(value) == "within" for value in column])
        for key, column in values.items()
    }
    # a binomial's deviation is 0.5 % here, and the bounds of 1,000 images are as far off
    assert inside["log_prob"].mean() == pytest.approx(0.98, abs=0.02)
    assert np.stack(list(inside.values())).all(0).mean() > 0.94
