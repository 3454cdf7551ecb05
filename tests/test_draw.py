"""DRAW: its steps against a pass by hand, samples of a row, what is told to both networks, every task, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from shrunk import EVERY, FEATURES, SMALL, batch_of, model_of, schema, schema_of
from test_m2 import signs
from torch import Tensor

from condvae import fit
from condvae.data import collect
from condvae.errors import Refused
from condvae.fitting import Fitting
from condvae.models.build import build, centre
from condvae.models.draw import DRAW
from condvae.noise import RowNoise, Stream
from condvae.objectives import elbo, kl, log_weights, rate
from condvae.runs import load
from condvae.settings import Settings, settings_of
from condvae.trace import Batch, Condition, Draw

NAMES = ("draw", "draw-plain", "draw-holes")
TINY: dict[str, Any] = {
    **{"network": "draw", "glimpses": 3, "lstm": 24, "z": 3, "read": 3, "write": 4, "likelihood": "bernoulli"},
    **{"epochs": 30, "batch": 30, "lr": 1e-2, "average": 0.9, "warm_up": 0.3, "hold_out": 0},
}


def noise(rows: int, k: int = 1) -> Draw:
    return Draw(RowNoise(7, np.arange(rows)), k=k)


def made(settings: Settings) -> DRAW:
    model = model_of(settings)
    assert isinstance(model, DRAW)
    return model


def case(name: str) -> tuple[DRAW, Tensor, Condition]:
    """A shrunk model, pictures and what is known of them."""
    return made(EVERY[name]), *batch_of(schema_of(EVERY[name]))


@pytest.mark.parametrize("name", NAMES)
def test_a_pass_is_its_steps_one_by_one(name: str) -> None:
    model, x, c = case(name)
    rows = len(x)
    with torch.no_grad():
        trace = model(c, x, draw=noise(rows))
        told = model.told(c)
        canvas = model.canvas.expand(rows, 1, 8, 8)
        encoder, decoder = model.encoder.begin(rows), model.decoder.begin(rows)
        for latent in trace.latents:
            parts = [x, x - torch.sigmoid(canvas) if name != "draw-plain" else x - canvas.clamp(0, 1)]
            seen: Any = model.reader(*parts, decoder[0])
            stays = model.encoder.stay(torch.cat([told, x.flatten(1)] if name == "draw-plain" else [told], 1))
            encoder = model.encoder(stays, torch.cat([seen[0], decoder[0]], 1), encoder)
            mean, log_variance = model.posterior.linear(encoder[0]).chunk(2, 1)  # pyright: ignore
            assert latent.q is not None and torch.allclose(latent.q.mean, mean, atol=1e-6)
            assert torch.allclose(latent.q.variance, log_variance.exp(), rtol=1e-5)
            assert torch.equal(latent.p.mean, model.prior(Condition(torch.cat([told, decoder[0]], 1))).mean)
            decoder = model.decoder(model.decoder.stay(told), latent.z, decoder)
            canvas = canvas + model.writer(decoder[0])[0]
        assert torch.allclose(trace.x.parameters, canvas, atol=1e-5)  # pyright: ignore
    assert len(trace.latents) == len(trace.codes) == 3


def test_the_cell_is_an_lstm() -> None:
    model, _, _ = case("draw")
    cell, hidden = model.decoder, 16
    stays, moves = torch.randn(5, cell.told.shape[1]), torch.randn(5, 3)
    other = torch.nn.LSTMCell(stays.shape[1] + 3, hidden)
    order = torch.cat(
        [torch.arange(2 * hidden), torch.arange(3 * hidden, 4 * hidden), torch.arange(2 * hidden, 3 * hidden)]
    )
    with torch.no_grad():  # torch has the proposal before the output gate
        other.weight_ih.copy_(torch.cat([cell.told, cell.weight[:, :3]], 1)[order])
        other.weight_hh.copy_(cell.weight[:, 3:][order])
        other.bias_ih.copy_(cell.bias[order])
        other.bias_hh.zero_()
        before = cell.begin(5)
        mine, theirs = cell(cell.stay(stays), moves, before), other(torch.cat([stays, moves], 1), before)
    for a, b in zip(mine, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_a_row_are_as_many_passes(name: str) -> None:
    model, x, c = case(name)
    with torch.no_grad():
        many = model(c, x, draw=noise(len(x), 4))
        assert [tuple(z.shape) for z in many.z] == [(4, len(x), 3)] * 3 and many.k == 4
        each = [log_weights(model(c, x, z=[z[k] for z in many.z]), x)[0] for k in range(4)]
        again, free = model(c, z=many.z), model(c, draw=noise(len(x), 4))
    assert torch.allclose(log_weights(many, x), torch.stack(each), rtol=1e-5, atol=1e-4)
    assert torch.equal(again.x.log_prob(x), many.x.log_prob(x))
    assert [tuple(z.shape) for z in free.z] == [(4, len(x), 3)] * 3
    assert torch.allclose(rate(many), sum(kl(latent) for latent in many.latents), rtol=1e-5)  # pyright: ignore


def test_what_is_read_and_written_is_told_of() -> None:
    model, x, c = case("draw")
    with torch.no_grad():
        steps = list(model.glimpses(c, x, draw=noise(len(x))))
        blind = list(model.glimpses(c, draw=noise(len(x))))
        plain, x_plain, c_plain = case("draw-plain")
        whole = list(plain.glimpses(c_plain, x_plain, draw=noise(len(x))))
    assert all(one.written is not None and one.read is not None for one in steps)
    assert all(one.written is not None and one.read is None and one.latent.q is None for one in blind)
    assert all(one.written is None and one.read is None for one in whole)
    assert torch.equal(steps[-1].canvas, model(c, x, draw=noise(len(x))).x.parameters)  # pyright: ignore
    assert not torch.equal(steps[0].canvas, steps[1].canvas)


def test_without_a_picture_the_encoder_rests() -> None:
    model, x, c = case("draw")
    model.encoder.forward = None  # type: ignore[assignment]
    model(c, draw=noise(len(x)))
    with pytest.raises(TypeError):
        model(c, x, draw=noise(len(x)))


def test_what_is_asked_reaches_both_networks() -> None:
    model, x, c = case("draw")
    terms, _ = model.loss(Batch(x, c), 1.0, noise(len(x)))
    torch.stack(list(terms.values())).sum().backward()
    for cell in (model.encoder, model.decoder):
        assert cell.told.grad is not None and bool(cell.told.grad.any(0).all())  # every column of the condition
    other = Condition(c.vector.roll(1, 0))
    with torch.no_grad():
        here, there = (model(told, x, draw=noise(len(x))) for told in (c, other))
        assert not torch.allclose(here.latents[0].q.mean, there.latents[0].q.mean)
        assert not torch.allclose(model(c, z=here.z).x.mean, model(other, z=here.z).x.mean)


@pytest.mark.parametrize("changed", [{}, {"attention": False}, {"prior": "learned"}])
def test_the_bound_rises_in_training(changed: dict[str, Any]) -> None:
    x = torch.zeros(32, 1, 8, 8)
    for row in range(32):  # a bar of two pixels' width, upright or level as the label says
        x[row, 0, :, row % 6 : row % 6 + 2] = 1
        x[row] = x[row].mT.clone() if row % 3 else x[row]
    told = schema(False)
    columns = {"sign": (np.arange(32) % 3 > 0).astype(int), "size": np.zeros((32, 1))}
    batch = Batch(x, told.encode(columns, 32))
    settings = settings_of(SMALL, {"network": "draw", "likelihood": "bernoulli", "warm_up": 0.0, **changed})
    model = build(settings, told, (1, 8, 8))
    assert isinstance(model, DRAW)
    model.train()
    optimiser, bounds = torch.optim.Adam(model.parameters(), 1e-2), []
    for step in range(80):
        terms, notes = model.loss(batch, 1.0, Draw(Stream(seed=step)))
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
        bounds.append(float(notes["elbo"]))
    assert bounds[-1] > 0.6 * bounds[0] > bounds[0]  # they are negative
    trace = model(batch.c, x, draw=noise(32))
    assert torch.allclose(elbo(trace, x), trace.x.log_prob(x) - sum(kl(one) for one in trace.latents), rtol=1e-4)  # pyright: ignore


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 1, 3)])
def test_colour_any_size_and_half_precision(shape: tuple[int, int, int]) -> None:
    for option in ({"attention": True, "read": 1}, {"attention": False, "prior": "learned"}):
        settings = settings_of(SMALL, {"network": "draw", "likelihood": "logistic", **option})
        model = build(settings, schema(), shape)
        x, c = batch_of(schema(), shape=shape)
        with torch.autocast("cpu", torch.bfloat16):
            half, _ = model.loss(Batch(x, c), 1.0, noise(len(x)))
            trace = model(c, x, draw=noise(len(x)))
        full, _ = model.loss(Batch(x, c), 1.0, noise(len(x)))
        assert {one.dtype for one in (*trace.z, trace.x.parameters)} == {torch.float32}  # pyright: ignore
        assert all(torch.allclose(half[name], full[name], rtol=0.02, atol=0.05) for name in full)


def test_deep_features_compare_the_drawn_picture() -> None:
    model = made(
        settings_of(
            SMALL, {"network": "draw", "likelihood": "perceptual", "perceptual": FEATURES, "layers": ("conv1",)}
        )
    )
    x, c = batch_of(schema())
    terms, _ = model.loss(Batch(x, c), 1.0, noise(len(x)))
    terms["reconstruction"].backward()
    assert model.canvas.grad is not None and bool(model.canvas.grad.any())


def test_the_canvas_starts_at_the_mean_pixel() -> None:
    for likelihood in ("bernoulli", "gaussian"):
        settings = settings_of(SMALL, {"network": "draw", "likelihood": likelihood})
        model = build(settings, schema(), (1, 8, 8))
        assert isinstance(model, DRAW)
        centre(model, 0.2, likelihood)
        start: Any = model.pixels(model.canvas[None], Condition(torch.zeros(1, 0)))
        assert torch.allclose(start.mean, torch.tensor(0.2))


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
    assert run.embed(x[:4], told).shape == (4, 9)  # the latents of all steps side by side
    own = run.reconstruct(x[:3], {"sign": truth[:3]})
    moved = run.restyle(x[:3], {"sign": truth[:3]}, asked)
    places = ["abc".index(one) for one in truth[:3]]
    assert np.allclose(moved[range(3), places], own, atol=1e-5)  # the noise of every step is carried
    between = run.interpolate(x[:2], x[2:4], {"sign": truth[:2]}, {"sign": truth[2:4]}, steps=3)
    assert np.allclose(between[:, 0], own[:2], atol=1e-5)
    walk = run.traverse(given={"sign": "a"}, units=[0, 8], steps=3)
    assert walk.images.shape == (2, 3, 1, 8, 8)
    assert run.manifold({"sign": "a"}, size=3).shape == (3, 3, 1, 8, 8)
    assert run.log_prob(x[:4], told, k=40).mean() > run.log_prob(x[:4], told, k=1).mean()
    assert "How it draws" in (tmp_path / "run" / "report.html").read_text()  # which measures the run, too
    assert (tmp_path / "run" / "pictures" / "drawing.png").is_file()
    with pytest.raises(Refused, match="a flow is fitted to one latent"):
        run.fit_flow()


def test_holes_are_filled(tmp_path) -> None:
    x, _, truth = signs(120)
    settings: dict[str, Any] = {**TINY, "holes": "halves", "width": 6, "features": 16}
    run = fit(x, {"sign": truth}, progress=False, **settings)
    pictures = np.asarray(x, np.float32).reshape(-1, 1, 8, 8)[:9]
    seen = np.zeros((9, 1, 8, 8), bool)
    seen[..., :4] = True
    found = run.fill(pictures, seen, {"sign": truth[:9]}, n=2)
    assert np.array_equal(found[..., :4], np.repeat(pictures[:, None, ..., :4], 2, 1))
    error = np.abs(found - pictures[:, None])[..., 4:].mean()
    guess = np.abs(pictures.mean() - pictures)[..., 4:].mean()
    assert error < 0.8 * guess


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"infer": "sign"}, "infer must be None with network='draw'"),
        ({"adversarial": 1.0}, "adversarial must be 0.0 with network='draw'"),
        ({"prior": "mixture"}, "prior must be 'standard' or 'learned' with network='draw'"),
        ({"density": "mixture"}, "density must be 'none' with network='draw'.* got 'mixture'"),
        ({"likelihood": "autoregressive"}, "network='draw' reads how a picture differs"),
        ({"likelihood": "logistic-mixture"}, "network='draw' draws on a canvas .* use 'logistic' or 'gaussian'"),
        ({"glimpses": 0}, "glimpses was given as 0"),
    ],
)
def test_what_does_not_go_together_is_refused(changed: dict[str, Any], words: str) -> None:
    x, few, _ = signs(24)
    with pytest.raises(Refused, match=words):
        Fitting(collect(x, {"sign": few}), settings_of({**TINY, **changed}))


def test_that_no_density_is_fitted_is_said() -> None:
    x, _, truth = signs(24)
    fitting = Fitting(collect(x, {"sign": truth}), settings_of(TINY))
    assert fitting.settings.density == "none"
    assert any(line.startswith("A picture is drawn in 3 steps of 3 latents") for line in fitting.lines)


def test_a_table_is_not_drawn() -> None:
    columns = {"sign": [*"ab"] * 20, "size": [*range(40)], "wide": [*range(40)]}
    with pytest.raises(Refused, match="network='draw' draws pictures"):
        fit(columns, condition=["sign"], progress=False, epochs=1, network="draw")
