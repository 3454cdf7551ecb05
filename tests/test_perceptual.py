"""Models that compare deep features: the formula, weights that never move, runs that hold all they need, refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shrunk import FEATURES, SMALL
from test_features import vgg_state
from test_measures import Known

import condvae
from condvae import judges
from condvae.cli import main
from condvae.data import collect
from condvae.errors import Refused
from condvae.evaluation import Evaluation
from condvae.feature_files import load_features
from condvae.features import network_of
from condvae.fitting import Fitting, resumed
from condvae.noise import Stream
from condvae.perceptual import Perceptual, PerceptualHead
from condvae.runs import load
from condvae.settings import settings_of
from condvae.tables import table_collection
from condvae.trace import Condition
from condvae.train import Work

FLAGS = "--width 4 --features 12 --z 2 --batch 16 --epochs 1 --quiet --likelihood perceptual"
SETTINGS: dict[str, Any] = {**SMALL, "likelihood": "perceptual", "perceptual": FEATURES}


def data(rows: int = 48, side: int = 8, colour: bool = False):
    rng = np.random.default_rng(1)
    x = rng.random((rows, 3 if colour else 1, side, side)).astype(np.float32)
    return collect(x, {"sign": [*"abc"] * (rows // 3)})


def trained(collection, out: Path | None = None, **settings: Any) -> Fitting:
    fitting = Fitting(collection, settings_of(SETTINGS, settings), out)
    for _ in fitting.steps():
        pass
    return fitting


def by_loops(network, x: torch.Tensor, made: torch.Tensor, weight: float) -> float:
    """The loss of one picture, entry by entry: weight * sum_l 1 / (2 C H W) * sum (Phi_l(x) - Phi_l(x'))^2."""
    total = 0.0
    for real, drawn in zip(network(x[None]), network(made[None]), strict=True):
        _, channels, height, width = real.shape
        square = 0.0
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    square += float(real[0, c, i, j] - drawn[0, c, i, j]) ** 2
        total += square / (2 * channels * height * width)
    return weight * total


@pytest.mark.parametrize("layers", [("conv1", "conv3"), ("relu1_1", "relu2_1")])
def test_the_loss_is_that_of_the_paper(layers: tuple[str, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    network = network_of(layers, 3)
    x, logits = (torch.rand(2, 3, 8, 9, generator=generator), torch.randn(6, 3, 8, 9, generator=generator))
    pixels = Perceptual(logits, network, 7.0)
    found = pixels.log_prob(x)
    assert found.shape == (6,)  # three samples of each of two rows
    for row in range(6):
        assert -float(found[row]) == pytest.approx(by_loops(network, x[row % 2], pixels.mean[row], 7.0), rel=1e-4)
    same = Perceptual(torch.logit(x), network, 7.0)
    assert torch.allclose(same.log_prob(x), torch.zeros(2), atol=1e-4)


def test_features_of_x_are_taken_once_however_many_samples(monkeypatch) -> None:
    network = network_of(("conv2",), 1)
    rows: list[int] = []
    each = network.each
    monkeypatch.setattr(network, "each", lambda x: (rows.append(len(x)), each(x))[1])
    Perceptual(torch.zeros(12, 1, 8, 8), network, 1.0).log_prob(torch.rand(3, 1, 8, 8))
    assert rows == [3, 12]


def test_the_gradient_reaches_the_picture_and_not_the_features() -> None:
    head = PerceptualHead(1, ("conv2",), 3.0)
    logits = torch.zeros(2, 1, 8, 8, requires_grad=True)
    head(logits, Condition(torch.zeros(2, 0))).log_prob(torch.rand(2, 1, 8, 8)).sum().backward()
    assert logits.grad is not None and bool(logits.grad.any())
    assert all(weight.grad is None and not weight.requires_grad for weight in head.network.state_dict().values())


def test_in_bfloat16_features_are_still_taken_in_full() -> None:
    head = PerceptualHead(1, ("conv1", "conv2"), 3.0)
    logits, x = torch.randn(4, 1, 8, 8), torch.rand(4, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        half = head(logits, Condition(torch.zeros(4, 0))).log_prob(x)
    assert half.dtype == torch.float32
    assert torch.equal(half, head(logits, Condition(torch.zeros(4, 0))).log_prob(x))


def test_no_feature_weight_moves_in_training() -> None:
    fitting = Fitting(data(), settings_of(SETTINGS, {"optimiser": "adamw", "average": 0.9}))
    given, _ = load_features(FEATURES)
    averaged = fitting.training.averaged
    assert averaged is not None
    raw = {name: value.clone() for name, value in fitting.training.model.named_parameters()}
    for _ in fitting.steps():
        pass
    for model in (fitting.training.model, averaged):
        mine = model.decoder.head.network.state_dict()  # pyright: ignore
        assert mine and all(torch.equal(value, given.state_dict()[name]) for name, value in mine.items())
    assert any(not torch.equal(raw[name], value) for name, value in fitting.training.model.named_parameters())
    assert not any("network" in name for name, _ in fitting.training.model.named_parameters())
    assert fitting.facts("training")["parameters"] == sum(value.numel() for value in raw.values())


def test_features_learn_what_pixels_show() -> None:
    """One z per picture suffices to tell two pictures apart: after training the loss is a small part of its start."""
    x = np.zeros((40, 1, 8, 8), np.float32)
    x[::2, :, :4], x[1::2, :, 4:] = 1.0, 1.0
    fitting = Fitting(collect(x, None), settings_of(SETTINGS, {"epochs": 30, "lr": 1e-2, "batch": 10, "blocks": 1}))
    losses = [float(step.terms["reconstruction"]) for step in fitting.steps()]
    assert losses[-1] < 0.1 * losses[0]
    drawn = fitting.run().reconstruct(x[:2])
    assert np.abs(drawn - x[:2]).mean() < 0.2 and drawn.min() >= 0 and drawn.max() <= 1


def test_a_run_holds_its_features_and_goes_on_without_their_folder(tmp_path: Path) -> None:
    shutil.copytree(FEATURES, tmp_path / "features")
    there = {"perceptual": str(tmp_path / "features"), "layers": ("conv2", "conv1")}
    whole = trained(data(), tmp_path / "whole", **there).finish()
    broken = Fitting(data(), settings_of(SETTINGS, there), tmp_path / "run")
    next(iter(broken.steps()))
    broken.save("interrupted")
    shutil.rmtree(tmp_path / "features")
    assert np.array_equal(load(tmp_path / "whole").generate({"sign": "a"}, n=2), whole.generate({"sign": "a"}, n=2))
    found = load(tmp_path / "whole").evaluate(data(24).train.x[:].numpy(), {"sign": [*"abc"] * 8}, judge={}, k=2)
    assert found.likelihood is None and np.isfinite(found.rate.mean)
    again = resumed(data(), tmp_path / "run")
    for _ in again.steps():
        pass
    for name, value in again.finish().model.state_dict().items():
        assert torch.equal(value, whole.model.state_dict()[name]), name
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["features"]["task"] == "label" and facts["settings"]["layers"] == ["conv2", "conv1"]


def test_vgg_in_colour_and_the_layers_it_is_read_at(tmp_path: Path) -> None:
    torch.save(vgg_state(), tmp_path / "vgg19.pth")
    there = {"perceptual": str(tmp_path / "vgg19.pth"), "epochs": 1}
    fitting = trained(data(24, colour=True), **there)
    assert fitting.settings.layers == ("relu1_1", "relu2_1", "relu3_1")
    assert any("VGG-19" in line for line in fitting.lines)
    grey = trained(data(24), layers=("relu1_2",), **there)
    assert fitting.run().generate({"sign": "a"}, n=2).shape == (2, 3, 8, 8)
    assert list(grey.training.model.decoder.head.network.convs) == ["relu1_1", "relu1_2"]  # pyright: ignore


# --- what is measured, and what is not -------------------------------------------------------------------------------


def test_measures_without_a_likelihood_say_so() -> None:
    run = trained(data(side=8)).finish()
    x, names = np.random.default_rng(3).random((30, 1, 8, 8), np.float32), [*"abc"] * 10

    class Small(Known):
        def read(self, x: object):
            return super().read(np.asarray(x)[..., :6, :6])

    found = run.evaluate(x, {"sign": names}, judge=Small(), k=3)
    assert found.bound is None and found.likelihood is None and found.bits_per_dimension is None
    assert found.label_gain is None
    assert found.obedience is not None and found.diversity is not None and found.frechet is not None
    assert found.classification is not None and len(found.kl_per_unit) == 3
    rows = [name for name, _, _ in found.table()]
    assert "KL of the latents" in rows and not any("log p" in name or "bits" in name for name in rows)
    assert any("no density" in sentence and "'perceptual'" in sentence for sentence in found.sentences())
    assert "distance within a label, pixels" in rows
    assert Evaluation.model_validate_json(found.model_dump_json()) == found


def test_log_prob_refuses_and_classify_reads() -> None:
    run = trained(data()).finish()
    x = data().train.x[:].numpy()
    with pytest.raises(Refused, match=r"log_prob needs a normalised likelihood.*'perceptual'.*no density"):
        run.log_prob(x[:3], {"sign": [*"abc"]}, k=3)
    assert run.classify(x[:3]).probabilities.sum(1) == pytest.approx(np.ones(3))
    settings: dict[str, Any] = {**SMALL, "likelihood": "gaussian"}
    assert condvae.fit(x, None, progress=False, **settings).log_prob(x[:2], k=2).shape == (2,)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"perceptual": None}, "needs features.*condvae train-features"),
        ({"perceptual": "nowhere"}, "nowhere holds no features"),
        ({"holes": "any"}, "holes must be 'none' with likelihood='perceptual'"),
        ({"importance": True, "samples": 3}, "importance must be False"),
        ({"binarise": "dynamic"}, "binary pixels"),
        ({"layers": ("conv9",)}, "did you mean 'conv"),
        ({"layers": ("relu1_1",)}, "layers=relu1_1"),
        ({"likelihood": "gaussian"}, "goes with likelihood='perceptual'"),
        ({"perceptual_weight": 0}, "perceptual_weight"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=words) as refused:
        Fitting(data(), settings_of(SETTINGS, settings), tmp_path / "run")
    assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()


def test_pictures_that_do_not_go_with_the_features_are_refused() -> None:
    with pytest.raises(Refused, match="grey pictures, these are colour"):
        Fitting(data(colour=True), settings_of(SETTINGS))
    with pytest.raises(Refused, match="at least 8 x 8"):
        Fitting(data(side=6), settings_of(SETTINGS))
    with pytest.raises(Refused, match="compares pictures"):
        Fitting(table_collection({"a": [1.5, 2.0, 3.0], "b": [*"xyx"]}, ["b"], None, "t"), settings_of(SETTINGS))


def test_the_command_trains_and_refuses_in_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONDVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(judges, "LEAST_PASSES", 200)
    monkeypatch.setattr(judges, "EPOCHS", 1)
    part = data().train
    np.savez("own.npz", x=part.x[:].numpy(), y=np.asarray(part.labels["sign"]))
    small = FLAGS.split(" ")
    assert main(["train", "own.npz", *small]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "condvae train-features" in err
    Path("words.pth").write_text("words")
    assert main(["train", "own.npz", *small, "--perceptual", "words.pth"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["train", "own.npz", *small, "--perceptual", FEATURES, "--layers", "conv1, conv2"]) == 0
    assert json.loads(Path("runs/own/run.json").read_text())["settings"]["layers"] == ["conv1", "conv2"]
    assert "no density" in Path("runs/own/report.html").read_text()
    assert main(["evaluate", "runs/own", "--k", "2", "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["likelihood"] is None


def test_a_pass_through_the_trainer_is_finite_in_bfloat16() -> None:
    fitting = Fitting(data(), settings_of(SETTINGS, {"precision": "bf16"}))
    batch = next(iter(fitting.batches.epoch(0)))
    loss, terms, _ = fitting.training.learner(Work(batch, 1.0, Stream(seed=0)))
    assert bool(torch.isfinite(loss)) and terms["reconstruction"].dtype == torch.float32
