"""Walks: one thing moves and the rest stays; components: the Gaussians of the mixture, and nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from shrunk import EVERY, SHAPE, model_of, schema_of
from test_densities import condition, table
from test_joint import SCHEMA, asked, made
from test_tasks import DIGIT, linear, scene, small
from torch import nn

from condvae import strolls, tasks
from condvae.conditions import Label, Number, Schema
from condvae.densities import LabelMixture
from condvae.errors import Refused
from condvae.heads import BernoulliHead
from condvae.learned import Learned
from condvae.mixtures import components
from condvae.models.vae import VAE
from condvae.nets import DenseDecoder
from condvae.priors import StandardNormal
from condvae.walks import activity, line_of, most_active, traverse, vary

ZOO = str(Path(__file__).parents[1] / "zoo" / "mnist-cvae")
KINDS = [
    "defaults",
    "gaussian",
    "learned-prior",
    "mixture-prior",
    "autoregressive",
    "m2",
    "m2-auxiliary",
    "m1-m2",
    "holes",
]
GIVEN: dict[str, Any] = {"sign": "b", "size": 1.5}


class Watch:
    """What a decoder is given: z [N, Z] of every pass, one after the other."""

    def __init__(self, decoder: nn.Module) -> None:
        self.passes: list[torch.Tensor] = []
        self.hook = decoder.register_forward_pre_hook(lambda module, inputs: self.passes.append(inputs[0].clone()))

    def last(self, rows: int) -> np.ndarray:
        self.hook.remove()
        return self.passes[-1][:rows].double().numpy()


def shrunk(name: str) -> Learned:
    case = EVERY[name]
    return Learned(model_of(case).eval(), schema_of(case), SHAPE, case.binarise, holes=case.holes, infers=case.infer)


# --- units


@pytest.mark.parametrize("name", KINDS)
def test_the_middle_is_where_the_walk_began(name: str) -> None:
    learned = shrunk(name)
    x = (torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(1)) < 0.4).float().numpy()
    units = list(range(sum(code.z.shape[1] for code in learned.model(learned.condition(blank(learned), ONE)).codes)))
    seen = traverse(learned, x, GIVEN, units, steps=5)
    assert seen.images.shape == (len(units), 5, *SHAPE) and seen.images.dtype == np.float32
    real = tasks.reconstruct(learned, x, GIVEN)[0]
    assert all(np.allclose(row[2], real, atol=1e-5) for row in seen.images)
    assert np.array_equal(seen.images, traverse(learned, x, GIVEN, units, steps=5).images)
    free = traverse(learned, None, GIVEN, units, steps=3, seed=4)
    drawing = tasks.generate(learned, GIVEN, n=2, seed=4)[0]
    assert all(np.allclose(row[1], drawing, atol=1e-5) for row in free.images)
    assert not np.allclose(free.images, free.images[:, 1:2], atol=1e-4)  # and something moves
    assert np.array_equal(free.images[-1:], traverse(learned, None, GIVEN, units[-1:], steps=3, seed=4).images)


ONE = np.zeros(1, int)


def blank(learned: Learned) -> dict[str, np.ndarray]:
    return learned.schema.index(None, 1)


def test_only_the_named_unit_moves_by_the_deviations_of_the_prior() -> None:
    learned, _ = linear()
    x = scene()[:1].numpy()
    watch = Watch(learned.model.decoder)  # type: ignore[arg-type]
    walk = traverse(learned, x, {"digit": "1"}, units=[1], steps=5, reach=3)
    z = watch.last(5)
    own = tasks.embed(learned, x, {"digit": "1"})[0]
    assert np.allclose(z[:, 0], own[0], atol=1e-6)
    assert np.allclose(z[:, 1], own[1] + np.asarray([-3, -1.5, 0, 1.5, 3]), atol=1e-5)
    assert np.allclose(walk.at[0], z[:, 1], atol=1e-5) and walk.units == (1,) and walk.names == ("unit 1",)


def test_a_fitted_density_says_how_far_a_unit_goes() -> None:
    learned = small(fitted=True)
    walk = traverse(learned, None, {"digit": "2"}, units=[0, 2], steps=3, reach=1)
    c = learned.condition(learned.schema.index({"digit": ["2"]}, 1), ONE)
    deviation = learned.fitted(c).stddev[0].numpy()  # type: ignore[misc]
    assert np.allclose(walk.at[:, 2] - walk.at[:, 1], deviation[[0, 2]], atol=1e-5)


def test_a_code_below_the_moved_one_follows_with_its_noise() -> None:
    learned = shrunk("m1-m2")
    upper = learned.model(learned.condition(blank(learned), ONE)).codes[0].z.shape[1]
    watch = Watch(learned.model.decoder)  # type: ignore[arg-type]
    traverse(learned, None, GIVEN, units=[0], steps=3)
    assert np.ptp(watch.last(3), axis=0).min() > 0  # all of the features change with the code above
    watch = Watch(learned.model.decoder)  # type: ignore[arg-type]
    traverse(learned, None, GIVEN, units=[upper + 1], steps=3)
    assert (np.ptp(watch.last(3), axis=0) > 0).tolist() == [place == 1 for place in range(len(watch.last(3)[0]))]


def test_units_that_say_nothing_are_left_out() -> None:
    learned, _ = linear()
    with torch.no_grad():
        nats = activity(learned)
    assert nats.shape == (2,) and nats[0] > nats[1] > 0.01  # the first column is 2.5 times as long
    assert traverse(learned, None, {"digit": "1"}, steps=2).units == (0, 1)
    for module in (learned.model.encoder, learned.model.decoder):
        module.weight[:, 0] = 0  # type: ignore[index,operator]
    assert activity(learned)[0] == pytest.approx(0, abs=1e-6)
    assert traverse(learned, None, {"digit": "1"}, steps=2).units == (1,)
    assert most_active(np.asarray([0.005, 2.0, 0.3, 2.0]), most=2) == [1, 3]
    assert most_active(np.asarray([0.001, 0.002])) == [1]


# --- fields


def test_a_label_is_walked_with_z_kept() -> None:
    learned, _ = linear()
    walk = traverse(learned, scene()[:1].numpy(), {"digit": "1"}, field="digit")
    assert walk.images.shape == (1, 3, 1, 3, 4) and walk.at.tolist() == [["0", "1", "2"]] and walk.units == ()
    styled = tasks.restyle(learned, scene()[:1].numpy(), {"digit": "1"}, {"digit": ["0", "1", "2"]})
    assert np.array_equal(walk.images, styled)
    fitted = small(fitted=True)
    x = np.random.default_rng(0).random((1, 1, 5, 4)).astype(np.float32)
    styled = tasks.restyle(fitted, x, {"digit": "1"}, {"digit": ["0", "1", "2"]})
    assert np.array_equal(vary(fitted, "digit", x, {"digit": "1"}).images, styled)


def test_a_number_is_walked_with_z_kept() -> None:
    learned = shrunk("gaussian")
    watch = Watch(learned.model.decoder)  # type: ignore[arg-type]
    walk = vary(learned, "size", None, GIVEN, steps=5, seed=2)
    assert np.ptp(watch.last(5), axis=0).max() == 0
    field = learned.schema.field("size")
    assert isinstance(field, Number) and np.allclose(walk.at[0], np.linspace(field.low[0], field.high[0], 5))
    near = vary(learned, "size", None, {**GIVEN, "size": -1.0}, steps=5, seed=2)
    assert walk.names == ("size",) and np.allclose(near.images, walk.images, atol=1e-6)  # N(0, I): z is the seed's
    assert len(np.unique(walk.images.reshape(5, -1), axis=0)) == 5


def test_entries_of_a_vector_have_a_row_each_and_whole_numbers_stay_whole() -> None:
    pair = Number.learn("pair", np.asarray([[0.0, 10.0], [2.0, 12.0], [1.0, 11.0]]))
    column, names, at = line_of(pair, np.asarray([1.0, np.nan]), 9)
    assert names == ("pair[0]", "pair[1]") and at.tolist() == [[0, 1, 2], [10, 11, 12]]
    assert column.tolist() == [[0, 11], [1, 11], [2, 11], [1, 10], [1, 11], [1, 12]]


# --- what is refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"units": [0, 3]}, "units must be different numbers from 0 to 2"),
        ({"units": [1, 1]}, "units must be different"),
        ({"units": []}, "one or more"),
        ({"steps": 1}, "steps must be a whole number of at least 2"),
        ({"reach": 0}, "reach must be a number of deviations above 0"),
        ({"field": "digit", "units": [0]}, "give units or field, not both"),
        ({"field": "digt"}, "did you mean 'digit'"),
        ({"given": {"digit": ["0", "1"]}}, "one value a field"),
        ({"x": np.zeros((2, 1, 5, 4), np.float32)}, "x holds 2, give x\\[:1\\]"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_refusals(options: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        traverse(small(), **{"given": {"digit": "1"}, **options})


# --- components


def mixed(fitted: nn.Module, schema: Schema, z: int = 3) -> Learned:
    torch.manual_seed(0)
    decoder = DenseDecoder(z, schema.width, (8,), (1, 5, 4), BernoulliHead(), "silu")
    return Learned(VAE(nn.Identity(), StandardNormal(z), decoder).eval(), schema, (1, 5, 4), fitted=fitted)


@pytest.mark.parametrize("full", [True, False])
def test_components_are_those_of_the_label_heaviest_first(full: bool) -> None:
    density = table(full)
    learned = mixed(density, Schema((Label("digit", ("0", "1", "2"), (0.2, 0.3, 0.5)),)))
    found = components(learned, {"digit": "0"}, n=3, most=9)
    own = torch.nonzero(density.owner == 0)[:, 0]
    weight, order = density.log_weight[own].softmax(0).sort(descending=True)
    assert found.count == 3 and np.allclose(found.weights, weight) and found.weights.sum() == pytest.approx(1)
    assert np.allclose(found.z[:, 0], density.mean[own][order])
    few = components(learned, {"digit": "0"}, n=1, most=2)
    assert few.count == 3 and few.weights.sum() < 1 and np.array_equal(few.weights, found.weights[:2])
    assert np.array_equal(few.z[0], components(learned, {"digit": "0"}, n=1, most=1).z[0])
    c = learned.condition(learned.schema.index({"digit": ["0"]}, 1), ONE)
    shown = [learned.model(c, z=(torch.from_numpy(z[None]),)).x.mean[0].detach().numpy() for z in found.z[:, 0]]
    assert np.allclose(found.means, shown, atol=1e-6)
    shown = [learned.model(c, z=(torch.from_numpy(z[None]),)).x.mean[0].detach().numpy() for z in found.z[1, 1:]]
    assert np.allclose(found.images[1], shown, atol=1e-6)


@pytest.mark.parametrize("full", [True, False])
def test_together_they_are_the_mixture(full: bool) -> None:
    p = table(full)(condition([2, -1]))
    for row in (0, 1):
        weight, mean, scale = p.components(row)  # type: ignore[attr-defined]
        centre = (weight[:, None] * mean).sum(0)
        spread = scale @ scale.mT + (mean - centre)[:, :, None] * (mean - centre)[:, None]
        assert torch.allclose(centre, p.mean[row], atol=1e-5)
        assert torch.allclose((weight[:, None, None] * spread).sum(0), p.covariance[row], atol=1e-4)


def test_joint_components_are_conditioned_on_what_is_known() -> None:
    density, nan = made(), float("nan")
    p = density(asked([1, -1, 2], [[0.5, nan], [nan, nan], [0.2, -1.0]], [0, -1, 1]))
    for row in range(3):
        weight, mean, scale = p.components(row)
        centre = (weight[:, None] * mean).sum(0)
        spread = scale.square().sum(-1) + (mean - centre).square()
        assert weight.sum() == pytest.approx(1, abs=1e-5) and torch.allclose(centre, p.mean[row], atol=1e-5)
        assert torch.allclose((weight[:, None] * spread).sum(0), p.variance[row], atol=1e-4)
    found = components(mixed(density, SCHEMA), {"shape": "b", "pair": [0.5, None], "bold": None}, n=2)
    assert np.all(np.diff(found.weights) <= 0) and found.count == 6


def test_draws_from_a_component_have_its_mean_and_covariance() -> None:
    density = table()
    found = components(mixed(density, Schema((DIGIT,))), {"digit": "1"}, n=4000, most=1, seed=3)
    own = torch.nonzero(density.owner == 1)[:, 0]
    best = own[density.log_weight[own].argmax()]
    root = density.scale[best].double().numpy()
    white = np.linalg.solve(root, (found.z[0, 1:] - found.z[0, 0]).T.astype(float))
    assert np.abs(white.mean(1)).max() < 0.06 and np.abs(np.cov(white) - np.eye(3)).max() < 0.08


def test_components_are_refused_where_there_are_none() -> None:
    with pytest.raises(Refused, match="this run has none; train with density='auto'"):
        components(small(), {"digit": "1"})
    learned = small(fitted=True)
    with pytest.raises(Refused, match="components need digit"):
        components(learned)
    with pytest.raises(Refused, match="one value a field, not a list"):
        components(learned, {"digit": ["0", "1"]})
    assert components(mixed(table(), Schema((Label("digit", ("0", "1", "2"), (0.2, 0.3, 0.5), True),)))).count == 7


@pytest.mark.parametrize("name", KINDS)
def test_every_model_has_its_components_drawn(name: str) -> None:
    learned = shrunk(name)
    width = learned.model(learned.condition(blank(learned), ONE)).codes[0].z.shape[1]
    fitted = replace(learned, fitted=LabelMixture(width, 0, 3))
    found = components(fitted, GIVEN, n=4, seed=2)
    assert found.images.shape == (3, 4, *SHAPE) and 0 <= found.images.min() <= found.images.max() <= 1
    assert np.array_equal(found.images, components(fitted, GIVEN, n=4, seed=2).images)
    assert np.ptp(found.images, axis=1).max() > 1e-4 and np.allclose(found.means, found.means[:1], atol=1e-6)


def test_a_mixture_of_no_label_has_components_too() -> None:
    density = LabelMixture(3, 0, 4)
    found = components(mixed(density, Schema()), None, n=1)
    assert found.count == 4 and np.allclose(found.weights, 0.25)


# --- in words


@pytest.fixture
def seven(tmp_path: Path) -> str:
    path = tmp_path / "seven.png"
    picture = np.zeros((28, 28), np.uint8)
    picture[6:9, 8:20] = 255
    picture[6:23, 17:20] = 255
    Image.fromarray(picture).save(path)
    return str(path)


def test_strips_go_from_one_to_the_other(seven: str, tmp_path: Path) -> None:
    target = str(tmp_path / "i.npz")
    reply = strolls.interpolate(ZOO, seven, seven, begin=["digit=7"], end=["digit=1"], steps=4, out=target)
    assert reply.lines[0].startswith("4 steps from seven.png to seven.png: ") and not reply.notes
    with np.load(target) as held:
        assert held["images"].shape == (4, 1, 28, 28)
    reply = strolls.interpolate(ZOO, begin=["digit=3"], end=["digit=8"], out=str(tmp_path / "i.gif"), seed=2)
    assert "9 steps from digit 3 to digit 8" in reply.lines[0]
    with Image.open(reply.files[0]) as image:
        assert getattr(image, "n_frames", 1) == 16  # there and back, no frame twice in a row


def test_units_are_walked_in_words(seven: str, tmp_path: Path) -> None:
    target = str(tmp_path / "t.npz")
    reply = strolls.traverse(ZOO, image=seven, given=["digit=7"], units="3, 0", steps=3, out=target)
    assert reply.lines[0].startswith("2 units in 3 steps from seven.png") and reply.lines[1].startswith("unit 3: ")
    with np.load(target) as held:
        assert held["images"].shape == (2, 3, 1, 28, 28) and held["units"].tolist() == [3, 0]
        assert held["at"].shape == (2, 3)
    reply = strolls.traverse(ZOO, ["digit=2"], field="digit", out=str(tmp_path / "t.png"))
    assert reply.lines[1] == "digit: 0 to 9"
    reply = strolls.traverse(ZOO, ["digit=2"], steps=3, out=str(tmp_path / "t.gif"))
    with Image.open(reply.files[0]) as image:
        assert getattr(image, "n_frames", 1) == 4 and len(reply.lines) == 11


def test_components_in_words(tmp_path: Path) -> None:
    target = str(tmp_path / "c.npz")
    reply = strolls.components(ZOO, ["digit=4"], n=2, most=3, out=target)
    assert "80 components; shown: the heaviest 3, " in reply.lines[0]
    with np.load(target) as held:
        assert held["images"].shape == (3, 2, 1, 28, 28) and held["weights"].shape == (3,)
    reply = strolls.components(ZOO, ["digit=4"], n=2, most=99, out=str(tmp_path / "c.png"))
    assert "shown: all, 100.0 % of the weight" in reply.lines[0]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda out: strolls.traverse(ZOO, ["digit=2"], given=["digit=3"], out=out), "no image came"),
        (lambda out: strolls.traverse(ZOO, ["digit=2"], image="x.png", out=out), "--given FIELD=VALUE"),
        (lambda out: strolls.traverse(ZOO, ["digit=2"], units="0;1", out=out), "written 0,3,7"),
        (lambda out: strolls.traverse(ZOO, ["digit=2,3"], out=out), "one value a field"),
        (lambda out: strolls.traverse(ZOO, ["digit=2"]), "say where to write"),
        (lambda out: strolls.interpolate(ZOO, "a.png", out=out), "one came"),
        (
            lambda out: strolls.traverse(ZOO, ["digit=2"], steps=10**6, out=out),
            "steps must be a whole number from 2 to 63775",
        ),
        (lambda out: strolls.interpolate(ZOO, out=out), "say what to go between"),
        (lambda out: strolls.components(ZOO, out=out), "components need digit"),
    ],
)
def test_words_that_cannot_be_used(call: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=said):
        call(str(tmp_path / "a.png"))
