"""The ladder: its levels against a pass by hand, samples of a row, what is told to every level, tasks, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from shrunk import EVERY, SMALL, batch_of, model_of, schema, schema_of
from test_m2 import signs
from torch import Tensor

from condvae import fit
from condvae.cli import main
from condvae.data import collect
from condvae.errors import Refused
from condvae.fitting import Fitting
from condvae.models.build import build, centre
from condvae.models.ladder import Ladder
from condvae.noise import RowNoise, Stream
from condvae.objectives import kl, log_weights, rate
from condvae.rungs import MapPosterior, Rung, shrinking
from condvae.runs import load
from condvae.settings import settings_of
from condvae.trace import Batch, Condition, Draw

NAMES = ("ladder", "ladder-vectors", "ladder-mixture", "ladder-holes", "ladder-painting")
TINY: dict[str, Any] = {
    **{"network": "ladder", "levels": (1, 1), "maps": 2, "width": 8, "features": 24, "blocks": 1, "z": 3},
    **{"likelihood": "bernoulli", "epochs": 30, "batch": 30, "lr": 5e-3, "average": 0.9, "hold_out": 0},
}


def noise(rows: int, k: int = 1) -> Draw:
    return Draw(RowNoise(7, np.arange(rows)), k=k)


def case(name: str) -> tuple[Ladder, Tensor, Condition]:
    """A shrunk model, pictures and what is known of them."""
    model = model_of(EVERY[name])
    assert isinstance(model, Ladder)
    return model, *batch_of(schema_of(EVERY[name]))


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ((28, 28), [(1, 1), (4, 4), (7, 7), (14, 14), (28, 28)]),
        ((32, 32), [(1, 1), (4, 4), (8, 8), (16, 16), (32, 32)]),
        ((37, 53), [(1, 1), (3, 4), (5, 7), (10, 14), (19, 27), (37, 53)]),
        ((3, 5), [(1, 1), (3, 5)]),
    ],
)
def test_sizes(size: tuple[int, int], sizes: list[tuple[int, int]]) -> None:
    assert shrinking(*size) == sizes


def test_levels_stand_where_they_are_asked_for() -> None:
    model, x, c = case("ladder")
    trace = model(c, x, draw=noise(len(x)))
    assert [z.shape[1] for z in trace.z] == [3, 2 * 16, 2 * 16, 2 * 64]  # the vector; two of 4 x 4; one of 8 x 8
    vectors, x, c = case("ladder-vectors")
    assert [z.shape[1] for z in vectors(c, x, draw=noise(len(x))).z] == [3, 3, 3]
    assert len(trace.codes) == 4 and model.levels == (1, 2, 1) and vectors.levels[0] == 3


def test_a_level_knows_those_above_and_its_posterior_starts_as_its_prior() -> None:
    model, x, c = case("ladder")
    one, other = (model(c, x, draw=Draw(RowNoise(seed, np.arange(len(x))))) for seed in (0, 1))
    assert torch.equal(one.latents[0].q.mean, other.latents[0].q.mean)  # read off x alone
    for below in (1, 2, 3):
        assert not torch.allclose(one.latents[below].p.mean, other.latents[below].p.mean)
    free = model(c, draw=noise(len(x)))
    assert all(latent.q is None for latent in free.latents)
    given = model(c, x, z=free.z)
    for a, b in zip(free.latents, given.latents, strict=True):
        assert torch.allclose(a.p.mean, b.p.mean, atol=1e-5)  # the prior does not see x but through z
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, MapPosterior):
                module.out.weight.zero_()
                module.out.bias.zero_()  # pyright: ignore
    for latent in model(c, x, draw=noise(len(x))).latents[1:]:
        assert torch.allclose(kl(latent), torch.zeros(len(x)), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_a_row_are_as_many_passes(name: str) -> None:
    model, x, c = case(name)
    with torch.no_grad():
        many = model(c, x, draw=noise(len(x), 4))
        assert all(z.shape[:2] == (4, len(x)) for z in many.z) and many.k == 4
        each = [log_weights(model(c, x, z=[z[k] for z in many.z]), x)[0] for k in range(4)]
        again = model(c, z=many.z)
    assert torch.allclose(log_weights(many, x), torch.stack(each), rtol=1e-4, atol=1e-3)
    assert torch.allclose(again.x.log_prob(x), many.x.log_prob(x), atol=1e-3)
    assert torch.allclose(rate(many), sum(kl(latent) for latent in many.latents), rtol=1e-5)  # pyright: ignore


@pytest.mark.parametrize("name", NAMES)
def test_what_was_read_of_a_picture_stands_for_it(name: str) -> None:
    model, x, c = case(name)
    with torch.no_grad():
        whole, looked = model(c, x, draw=noise(len(x), 3)), model(c, model.look(c, x), draw=noise(len(x), 3))
    assert all(torch.equal(a, b) for a, b in zip(whole.z, looked.z, strict=True))
    assert torch.equal(whole.x.log_prob(x), looked.x.log_prob(x))


def test_without_a_picture_the_reader_rests() -> None:
    model, x, c = case("ladder")
    model.reader.forward = None  # type: ignore[assignment]
    model(c, draw=noise(len(x)))
    with pytest.raises(TypeError):
        model(c, x, draw=noise(len(x)))


def test_what_is_asked_is_told_to_every_level() -> None:
    model, x, c = case("ladder")
    other = Condition(c.vector.roll(1, 0))
    with torch.no_grad():
        here = model(c, x, draw=noise(len(x)))
        there = model(other, x, z=here.z)
    for latent, same in zip(here.latents[1:], there.latents[1:], strict=True):
        assert not torch.allclose(latent.p.mean, same.p.mean) and not torch.allclose(latent.q.mean, same.q.mean)
    rungs = [module for module in model.modules() if isinstance(module, Rung)]
    terms, _ = model.loss(Batch(x, c), 1.0, noise(len(x)))
    torch.stack(list(terms.values())).sum().backward()
    for rung in rungs:
        for told in (rung.prior.tell, rung.posterior.tell, rung.block.tell):
            assert told.weight.grad is not None and bool(told.weight.grad.any(0).all())  # every column


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 1, 3), (3, 9, 20)])
def test_colour_any_size_and_half_precision(shape: tuple[int, int, int]) -> None:
    for levels in ((1,), (1, 1), (2, 0, 1)):
        if len(levels) > len(shrinking(*shape[1:])):
            continue
        settings = settings_of(SMALL, {"network": "ladder", "likelihood": "logistic-mixture", "levels": levels})
        model = build(settings, schema(), shape)
        x, c = batch_of(schema(), shape=shape)
        with torch.autocast("cpu", torch.bfloat16):
            half, _ = model.loss(Batch(x, c), 1.0, noise(len(x)))
            trace = model(c, x, draw=noise(len(x)))
        full, _ = model.loss(Batch(x, c), 1.0, noise(len(x)))
        assert {one.dtype for one in (*trace.z, trace.x.parameters)} == {torch.float32}  # pyright: ignore
        assert trace.x.mean.shape == x.shape
        assert all(torch.allclose(half[name], full[name], rtol=0.03, atol=0.3) for name in full)


def test_the_picture_starts_at_the_mean_pixel() -> None:
    model = build(settings_of(SMALL, TINY), schema(), (1, 8, 8))
    assert isinstance(model, Ladder)
    centre(model, 0.2, "bernoulli")
    assert model.last.bias is not None and torch.allclose(torch.sigmoid(model.last.bias), torch.tensor(0.2))


def test_the_bound_rises_in_training() -> None:
    x = torch.zeros(32, 1, 8, 8)
    for row in range(32):  # a bar of two pixels' width, upright or level as the label says
        x[row, 0, :, row % 6 : row % 6 + 2] = 1
        x[row] = x[row].mT.clone() if row % 3 else x[row]
    columns = {"sign": (np.arange(32) % 3 > 0).astype(int), "size": np.zeros((32, 1))}
    told = schema(False)
    batch = Batch(x, told.encode(columns, 32))
    model = build(settings_of(SMALL, TINY, {"warm_up": 0.0}), told, (1, 8, 8)).train()
    optimiser, bounds = torch.optim.Adam(model.parameters(), 1e-2), []
    for step in range(60):
        terms, notes = model.loss(batch, 1.0, Draw(Stream(seed=step)))
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
        bounds.append(float(notes["elbo"]))
    assert bounds[-1] > 0.6 * bounds[0] > bounds[0]  # they are negative


def test_from_a_training_to_all_tasks(tmp_path) -> None:
    x, _, truth = signs(120)
    run = fit(x, {"sign": truth}, test=(x, {"sign": truth}), out=tmp_path / "run", progress=False, **TINY)
    assert run.density is None and run.facts["status"] == "complete"
    again, asked = load(tmp_path / "run"), {"sign": ["a", "b", "c"]}
    drawn = run.generate(asked, n=10, seed=1)
    assert np.array_equal(drawn, again.generate(asked, n=10, seed=1))
    assert np.array_equal(drawn[:, :7], run.generate(asked, n=7, seed=1))
    read = run.classify(x[:30])
    assert np.mean(np.asarray(read.names) == np.asarray(truth[:30])) > 0.9
    shown = np.asarray(run.classify(drawn.reshape(-1, 1, 8, 8)).names).reshape(3, 10)
    assert np.mean(shown == np.asarray([["a"], ["b"], ["c"]])) > 0.9
    told = {"sign": truth[:4]}
    assert run.embed(x[:4], told).shape == (4, 3 + 2 * 16)  # the latents of all levels side by side
    own = run.reconstruct(x[:3], {"sign": truth[:3]})
    moved = run.restyle(x[:3], {"sign": truth[:3]}, asked)
    places = ["abc".index(one) for one in truth[:3]]
    assert np.allclose(moved[range(3), places], own, atol=1e-4)  # the noise of every level is carried
    between = run.interpolate(x[:2], x[2:4], {"sign": truth[:2]}, {"sign": truth[2:4]}, steps=3)
    assert np.allclose(between[:, 0], own[:2], atol=1e-4)
    assert run.traverse(given={"sign": "a"}, units=[0, 8], steps=3).images.shape == (2, 3, 1, 8, 8)
    assert run.manifold({"sign": "a"}, size=3).shape == (3, 3, 1, 8, 8)
    assert run.log_prob(x[:4], told, k=40).mean() > run.log_prob(x[:4], told, k=1).mean()


def test_a_density_may_be_fitted_to_the_topmost_latents(tmp_path) -> None:
    x, _, truth = signs(120)
    settings: dict[str, Any] = {**TINY, "density": "gaussian", "epochs": 3}
    run = fit(x, {"sign": truth}, progress=False, out=tmp_path / "run", **settings)
    own, fitted = (run.generate({"sign": "a"}, n=6, prior=prior) for prior in ("model", "fitted"))
    assert not np.array_equal(own, fitted)
    assert np.array_equal(fitted, load(tmp_path / "run").generate({"sign": "a"}, n=6))


def test_holes_are_filled() -> None:
    x, _, truth = signs(120)
    settings: dict[str, Any] = {**TINY, "holes": "halves"}
    run = fit(x, {"sign": truth}, progress=False, **settings)
    pictures = np.asarray(x, np.float32).reshape(-1, 1, 8, 8)[:9]
    seen = np.zeros((9, 1, 8, 8), bool)
    seen[..., :4] = True
    found = run.fill(pictures, seen, {"sign": truth[:9]}, n=2)
    assert np.array_equal(found[..., :4], np.repeat(pictures[:, None, ..., :4], 2, 1))
    error = np.abs(found - pictures[:, None])[..., 4:].mean()
    guess = np.abs(pictures.mean() - pictures)[..., 4:].mean()
    assert error < 0.8 * guess


def test_levels_are_typed_with_commas(tmp_path, capsys) -> None:
    small = ["--width", "8", "--features", "24", "--epochs", "1", "--quiet"]
    asked = ["train", "digits", "--network", "ladder", *small, "--out", str(tmp_path / "run")]
    assert main([*asked, "--levels", "1,2"]) == 0
    assert load(tmp_path / "run").settings.levels == (1, 2)
    capsys.readouterr()
    assert main([*asked, "--levels", "0,2", "--overwrite"]) == 2
    assert capsys.readouterr().err.startswith("condvae: levels must name how many levels of latents stand at each")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"infer": "sign"}, "infer must be None with network='ladder'"),
        ({"adversarial": 1.0}, "adversarial must be 0.0 with network='ladder'"),
        ({"levels": (0, 2)}, "levels must name how many .* of the sizes 1 x 1, 4 x 4, 8 x 8, at least one .*got 0,2"),
        ({"levels": (1, 2, 3, 4)}, "got 1,2,3,4"),
        ({"levels": ()}, "levels was given as"),
        ({"likelihood": "logistic-mixture", "binarise": "dynamic"}, "needs a likelihood of binary pixels"),
    ],
)
def test_what_does_not_go_together_is_refused(changed: dict[str, Any], words: str) -> None:
    x, few, _ = signs(24)
    with pytest.raises(Refused, match=words):
        Fitting(collect(x, {"sign": few}), settings_of({**TINY, **changed}))
