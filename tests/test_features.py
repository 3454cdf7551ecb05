"""Feature networks: what they compute, what they are learnt by, how they are kept, and which files are refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import condvae
from condvae import feature_training
from condvae.cli import main
from condvae.data import collect
from condvae.errors import Refused
from condvae.feature_files import load_features, poured, vgg19_weights
from condvae.feature_tasks import task_of
from condvae.feature_training import Learning, train_features
from condvae.features import MEAN, VGG19, FeatureNet, fixed, network_of
from condvae.judge_net import Trunk

VGG_SHAPES = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128)}
VGG_SHAPES |= {12: (256, 256), 14: (256, 256), 16: (256, 256), 19: (512, 256)}


def vgg_state(scale: float = 0.05) -> dict[str, torch.Tensor]:
    """Random weights of VGG-19's shapes, up to the last convolution that is read, under torchvision's names."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, torch.Tensor] = {}
    for place, (out, into) in VGG_SHAPES.items():
        state[f"features.{place}.weight"] = scale * torch.randn(out, into, 3, 3, generator=generator)
        state[f"features.{place}.bias"] = scale * torch.randn(out, generator=generator)
    return {**state, "classifier.6.bias": torch.zeros(1000)}  # more than is needed does no harm


def bands(rows: int = 240) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pictures of 12 x 12, on which of three bands the light is, how bright it is)."""
    rng = np.random.default_rng(0)
    band, bright = np.arange(rows) % 3, rng.uniform(0.4, 1.0, rows)
    x = 0.1 * rng.random((rows, 12, 12))
    for row in range(rows):
        x[row, 4 * band[row] : 4 * band[row] + 4] += 0.85 * bright[row]
    return x.astype(np.float32), band, bright


# --- networks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 11, 29)])
def test_features_of_named_layers_at_any_size(shape: tuple[int, int, int]) -> None:
    x = torch.rand(2, *shape)
    for layers, sides in ((("conv1", "conv3"), (1, 4)), (("relu1_2", "relu2_1", "relu4_1"), (1, 2, 8))):
        network = network_of(layers, shape[0])
        found = network(x)
        assert [one.shape[2:] for one in found] == [(shape[1] // side, shape[2] // side) for side in sides]
        assert all(bool((one >= 0).all()) for one in found)
        assert not list(network.parameters()) and len(network.state_dict()) == 2 * len(network.convs)


def test_the_network_is_small_plain_and_not_a_judges() -> None:
    network = FeatureNet(1, tuple(FeatureNet.plan))
    assert 200_000 < sum(p.numel() for p in network.parameters()) < 400_000
    assert not any(isinstance(part, nn.modules.batchnorm._BatchNorm | nn.Dropout) for part in network.modules())
    judges = {tuple(p.shape) for p in Trunk((1, 28, 28), 10).parameters() if p.ndim == 4}
    assert not judges & {tuple(p.shape) for p in network.parameters()}
    assert not isinstance(network, Trunk)


def test_a_network_is_as_deep_as_what_is_read_of_it() -> None:
    assert list(network_of(("conv2",), 1).convs) == ["conv1", "conv2"]
    assert list(network_of((), 1).convs) == ["conv1", "conv2", "conv3"]
    with pytest.raises(Refused, match=r"conv9.*did you mean 'conv"):
        network_of(("conv9",), 1)
    with pytest.raises(Refused, match="all be of one network"):
        network_of(("conv1", "relu1_1"), 1)


def test_vgg_is_torchvisions_and_grey_is_repeated(tmp_path: Path) -> None:
    state = vgg_state()
    torch.save(state, tmp_path / "vgg19.pth")
    network = network_of(VGG19.usual, 3)
    assert poured(network, tmp_path / "vgg19.pth", 3).kind == "vgg19"
    x = torch.rand(2, 3, 16, 20)
    layers: list[nn.Module] = []  # torchvision's own list, configuration E, to its third block
    for place in range(12):
        if f"features.{place}.weight" in state:
            out, into = VGG_SHAPES[place]
            layers.append(nn.Conv2d(into, out, 3, padding=1))
        else:
            layers.append(nn.MaxPool2d(2) if place in (4, 9) else nn.ReLU())
    theirs = nn.Sequential(*layers)
    theirs.load_state_dict({name[9:]: value for name, value in state.items() if name[9:].split(".")[0] in "0 2 5 7 10"})
    normal = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor((0.229, 0.224, 0.225))[:, None, None]
    for mine, place in zip(network(x), (1, 6, 11), strict=True):
        assert torch.allclose(mine, theirs[: place + 1](normal), atol=1e-5)
    grey = network_of(VGG19.usual, 1)
    poured(grey, tmp_path / "vgg19.pth", 1)
    for mine, whole in zip(grey(x[:, :1]), network(x[:, :1].repeat(1, 3, 1, 1)), strict=True):
        assert torch.equal(mine, whole)


# --- files -----------------------------------------------------------------------------------------------------------


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("touched"),))


def damaged() -> dict[str, tuple[object, str]]:
    """Name -> (what is saved, words of the refusal)."""
    state = vgg_state()
    missing = {name: value for name, value in state.items() if name != "features.10.weight"}
    wrong = {**state, "features.5.weight": torch.zeros(128, 64, 1, 1)}
    return {
        "missing": (missing, "'features.10.weight' is missing"),
        "wrong": (wrong, r"'features.5.weight' is \[128, 64, 1, 1\], not \[128, 64, 3, 3\]"),
        "list": ([1, 2], "state dict.*list"),
        "words": ({**state, "features.0.bias": "words"}, "'features.0.bias' is missing"),
        "pickle": (Evil(), "cannot be read"),
        "network": (nn.Linear(2, 2), "cannot be read"),
    }


@pytest.mark.parametrize("name", list(damaged()))
def test_weights_of_another_network_are_refused(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    held, words = damaged()[name]
    torch.save(held, "weights.pth")
    with pytest.raises(Refused, match=words):
        vgg19_weights("weights.pth")
    assert not Path("touched").exists()


@pytest.mark.parametrize("content", [b"", b"words", b"PK\x03\x04 cut off", pickle.dumps({"a": 1}), b"\x80\x02" * 50])
def test_a_file_of_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(Refused, match=r"weights\.pth"):
        vgg19_weights(tmp_path / "weights.pth")
    with pytest.raises(Refused, match="no file"):
        vgg19_weights(tmp_path / "nowhere.pth")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(Refused, match=r"holds no features.*train-features"):
            load_features(path)
    x, band, _ = bands()
    train_features(x, {"band": band}, out=tmp_path / "f", epochs=1, progress=False)
    card = json.loads((tmp_path / "f" / "features.json").read_text())
    for change in ({"format": "another"}, {"channels": 3}, {"strange": 1}):
        (tmp_path / "f" / "features.json").write_text(json.dumps(card | change))
        with pytest.raises(Refused, match="train the"):
            load_features(tmp_path / "f")
    (tmp_path / "f" / "features.json").write_text(json.dumps(card))
    with pytest.raises(Refused, match=r"grey pictures, these are colour"):
        poured(network_of((), 3), tmp_path / "f", 3)
    with pytest.raises(Refused, match=r"layers=relu1_1"):
        poured(network_of(("relu1_1",), 1), tmp_path / "f", 1)
    (tmp_path / "f" / "features.safetensors").write_bytes(b"cut off")
    with pytest.raises(Refused, match="cut off or damaged"):
        load_features(tmp_path / "f")


# --- learning --------------------------------------------------------------------------------------------------------


def test_a_label_is_learnt_and_kept(tmp_path: Path) -> None:
    x, band, _ = bands()
    names = [None if row % 7 == 0 else f"band {place}" for row, place in enumerate(band)]
    state = torch.random.get_rng_state()
    card = condvae.train_features(x, {"band": names}, out=tmp_path / "f", epochs=12, progress=False)
    assert torch.equal(state, torch.random.get_rng_state())
    assert (card.task, card.of, card.classes) == ("label", "band", ("band 0", "band 1", "band 2"))
    assert card.rows + card.held_out == 205 and card.held_out == 10 and card.steps == 36  # the known rows alone
    assert card.score is not None and card.score >= 0.9
    network, kept = load_features(tmp_path / "f")
    assert kept == card and "told rightly" in kept.sentence()
    again = train_features(x, {"band": names}, out=tmp_path / "g", epochs=12, progress=False)
    assert again.score == card.score
    other, _ = load_features(tmp_path / "g")
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_features_are_scaled_and_tell_the_same() -> None:
    x, band, _ = bands()
    learning = Learning(collect(x, {"band": band}).train, epochs=3)
    steps = learning.steps()
    last = learning.epochs * learning.batches
    scaled: list[torch.Tensor] = []

    def before() -> None:
        scaled.append(learning.told(torch.from_numpy(x)[:, None]))
        Learning.scale(learning)

    learning.scale = before  # type: ignore[method-assign]
    assert sum(1 for _ in steps) == last
    seen = torch.from_numpy(x)[:, None]
    with torch.no_grad():
        assert torch.allclose(learning.told(seen), scaled[0], atol=1e-4)
        for found in learning.network(seen[learning.kept]):
            assert float(found.var(0, correction=0).mean()) == pytest.approx(1, rel=1e-3)


def test_a_number_and_rotation_are_learnt() -> None:
    x, _, bright = bands()
    part = collect(x, {"bright": bright}).train
    learning = Learning(part, epochs=25)
    before = learning.score()
    assert all(step.last == (step.batch == 3) for step in learning.steps())
    assert learning.task.kind == "number" and learning.score() > max(0.5, before)
    turned = Learning(collect(x, None).train, epochs=25)
    for _ in turned.steps():
        pass
    assert turned.task.classes == ("0", "90", "180", "270") and turned.score() > 0.4


def test_turned_pictures_are_turned_as_said() -> None:
    x = torch.rand(40, 1, 9, 9)
    task = task_of(collect(x.numpy(), None).train)
    posed, turn = task.posed(x, torch.arange(40), torch.Generator().manual_seed(0))
    for picture, quarter, own in zip(posed, turn.tolist(), x, strict=True):
        assert np.array_equal(picture[0].numpy(), np.rot90(own[0].numpy(), quarter))
    assert set(turn.tolist()) == {0, 1, 2, 3}
    wide = torch.rand(40, 1, 8, 10)
    task = task_of(collect(wide.numpy(), None).train)
    posed, turn = task.posed(wide, torch.arange(40), torch.Generator().manual_seed(0))
    assert task.classes == ("0", "180") and torch.equal(posed[turn == 1], wide[turn == 1].flip(2, 3))


def test_scores_against_their_definition() -> None:
    x, band, bright = bands()
    label = task_of(collect(x, {"band": band}).train)
    told = F.one_hot(torch.tensor([0, 1, 2, 2]), 3).float()
    assert label.score(told, torch.tensor([0, 1, 2, 1])) == 0.75
    number = task_of(collect(x, {"bright": bright}).train)
    wanted = torch.tensor([[1.0], [3.0]])
    assert number.score(wanted, wanted) == 1 and number.score(wanted.mean(0).expand(2, 1), wanted) == 0


def test_what_cannot_be_learnt_is_refused(tmp_path: Path) -> None:
    x, band, bright = bands(30)
    part = collect(x, {"band": band, "bright": bright}).train
    assert task_of(part).of == "band" and task_of(part, "bright").kind == "number"
    with pytest.raises(Refused, match="field must be one of band, bright; got 'brigt', did you mean 'bright'"):
        task_of(part, "brigt")
    with pytest.raises(Refused, match="have no labels"):
        task_of(collect(x, None).train, "band")
    with pytest.raises(Refused, match="at least 8 x 8"):
        train_features(x[:, :6, :6], None, out=tmp_path / "f")
    with pytest.raises(Refused, match="epochs"):
        train_features(x, None, out=tmp_path / "f", epochs=0)
    with pytest.raises(Refused, match="table"):
        train_features({"a": [1, 2]}, None, out=tmp_path / "f")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "own.txt").write_text("mine")
    with pytest.raises(Refused, match="not empty"):
        train_features(x, None, out=tmp_path / "full")
    assert not (tmp_path / "f").exists()


def test_the_command_trains_prints_and_refuses(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(feature_training, "STEPS", 6)
    monkeypatch.setattr(feature_training, "LEAST_STEPS", 3)
    x, band, _ = bands(60)
    np.savez("own.npz", x=x, y=band)
    assert main(["train-features", "own.npz"]) == 0
    out, err = capsys.readouterr()
    assert "the features: runs/features-own" in out and "told rightly" in out and "epoch 1/" in err
    assert "condvae train own.npz --likelihood perceptual --perceptual runs/features-own" in out
    assert main(["train-features", "own.npz", "--out", "runs/features-own"]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["train-features", "own.npz", "--out", "runs/features-own", "--overwrite", "--quiet"]) == 0
    assert main(["train-features", "own.npz", "--field", "strange"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "strange" in err


def test_ctrl_c_writes_nothing(tmp_path: Path, monkeypatch) -> None:
    x, band, _ = bands(60)
    monkeypatch.setattr(feature_training, "watch", lambda *_: False)
    with pytest.raises(KeyboardInterrupt, match="nothing was written"):
        train_features(x, {"band": band}, out=tmp_path / "f", progress=False)
    assert not (tmp_path / "f").exists()


def test_fixed_weights_are_no_parameters() -> None:
    network = fixed(FeatureNet(1, ("conv1",)))
    assert network.convs["conv1"].weight.requires_grad is False and not list(network.parameters())
