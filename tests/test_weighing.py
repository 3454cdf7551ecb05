"""Importance weights in blocks: what is computed once, what is bounded, and what the numbers are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from shrunk import EVERY, SHAPE, batch_of, columns_of, model_of, schema_of
from torch import nn

from condvae.convs import ConvEncoder
from condvae.learned import Learned
from condvae.models.base import Model
from condvae.models.ladder import Ladder
from condvae.nets import DenseEncoder
from condvae.noise import RowNoise
from condvae.objectives import log_weights
from condvae.rungs import Reader
from condvae.scores import importance
from condvae.trace import Draw, Looked

ENTRIES = 32 * math.prod(SHAPE)  # 32 rows a pass
LIKELY = [name for name, case in EVERY.items() if case.likelihood != "perceptual"]
DRAWS = [name for name, case in EVERY.items() if case.network == "draw"]
ONE = [name for name in LIKELY if EVERY[name].network in ("conv", "mlp") and EVERY[name].infer is None]  # of one latent


def learned_of(name: str) -> Learned:
    settings = EVERY[name]
    return Learned(model_of(settings), schema_of(settings), SHAPE, settings.binarise, infers=settings.infer)


def told(learned: Learned, x: torch.Tensor) -> dict[str, Any]:
    """All fields of pictures x, as they are given; every label and number known."""
    columns = columns_of(learned.schema, x)
    rows = np.arange(len(x))
    given = {"sign": [*np.asarray(["a", "b", "c"])[rows % 3]], "size": np.linspace(-2, 5, len(x))}
    return given | ({"picture": list(columns["picture"])} if "picture" in columns else {})


@pytest.mark.parametrize("name", list(EVERY))
@pytest.mark.parametrize("k", [1, 4])
def test_what_was_looked_at_takes_the_pictures_place_bitwise(name: str, k: int) -> None:
    """Whether the labels are known or not, some of each."""
    model = model_of(EVERY[name])
    x, c = batch_of(schema_of(EVERY[name]))
    noise = Draw(RowNoise(3, np.arange(len(x))), k=k)
    with torch.no_grad():
        looked = model.look(c, x)
        plain, again = model(c, x, draw=noise), model(c, looked, draw=noise)
        assert model.look(c, looked) is looked
        assert isinstance(looked, Looked) == (name not in DRAWS)
        assert torch.equal(plain.x.parameters, again.x.parameters)  # type: ignore[attr-defined]
        for one, other in zip(plain.latents, again.latents, strict=True):
            assert torch.equal(one.z, other.z) and one.q is not None and other.q is not None
            assert torch.equal(one.q.log_prob(one.z), other.q.log_prob(one.z))
        assert torch.equal(log_weights(plain, x), log_weights(again, x))


def readers(model: Model) -> list[nn.Module]:
    """The networks that read the pictures themselves, but for those of DRAW, which read the canvas, too."""
    parts: Any = model
    if isinstance(parts, Ladder):
        return [parts.reader]
    inner = getattr(parts, "bottom", getattr(parts, "vae", parts))
    side = getattr(parts, "auxiliary", None)
    return [inner.encoder, *([side.posterior, side.prior] if side is not None else [])]


@pytest.mark.parametrize("name", [name for name in LIKELY if name not in DRAWS])
def test_the_encoder_runs_once_a_chunk_of_images_however_many_samples(name: str, monkeypatch) -> None:
    monkeypatch.setattr("condvae.weighing.ENTRIES", ENTRIES)
    learned = learned_of(name)
    model: Any = learned.model
    seen: dict[nn.Module, int] = {}
    for kind, reads in ((DenseEncoder, "flat"), (ConvEncoder, "convolved"), (Reader, "forward")):
        plain = getattr(kind, reads)

        def counted(self, x, c, plain=plain):
            seen[self] = seen.get(self, 0) + 1
            return plain(self, x, c)

        monkeypatch.setattr(kind, reads, counted)
    classified: list[object] = []
    if EVERY[name].infer is not None:
        (model.top if EVERY[name].features_first else model).classifier.register_forward_hook(
            lambda *_: classified.append(_)
        )
    x, _ = batch_of(learned.schema, rows=3)
    found = importance(learned, x.numpy(), told(learned, x), k=100)
    assert np.isfinite(found.log_prob).all()
    assert [seen[part] for part in readers(model)] == [3] * len(readers(model))  # 32 samples a pass of 1 image
    assert not classified or EVERY[name].features_first  # a label that is told is not inferred
    seen.clear()
    importance(learned, x.numpy(), told(learned, x), k=8)
    assert [seen[part] for part in readers(model)] == [1] * len(readers(model))  # 8 samples a pass of 4 images


@pytest.mark.parametrize("name", LIKELY)
def test_no_pass_holds_more_than_a_fixed_number_of_entries(name: str, monkeypatch) -> None:
    monkeypatch.setattr("condvae.weighing.ENTRIES", ENTRIES)
    learned = learned_of(name)
    passed: list[int] = []
    head = learned.model.head  # type: ignore[union-attr]
    assert isinstance(head, nn.Module)
    head.register_forward_pre_hook(lambda _, inputs: passed.append(len(inputs[0])))
    for count, k in ((1, 1), (1, 70), (40, 1), (5, 33), (7, 9)):
        x, _ = batch_of(learned.schema, rows=count)
        passed.clear()
        importance(learned, x.numpy(), told(learned, x), k=k)
        assert max(passed) * math.prod(SHAPE) <= ENTRIES
        assert sum(passed) >= count * k
    assert max(passed) > 16  # and a pass is no smaller than it need be


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("k", [5, 32, 100])
def test_the_bound_is_the_mean_weight_computed_step_by_step(name: str, k: int, monkeypatch) -> None:
    """z = mean + sigma * noise, that of block b being (row, b)'s; then p(x | z, c) p(z | c) / q(z | x, c)."""
    monkeypatch.setattr("condvae.weighing.ENTRIES", ENTRIES)
    learned = learned_of(name)
    parts: Any = getattr(learned.model, "vae", learned.model)
    x, _ = batch_of(learned.schema, rows=2)
    given = told(learned, x)
    columns = learned.schema.index(given, 2)
    found = importance(learned, x.numpy(), given, k, seed=6)
    samples = min(k, 32)
    size = {5: 4, 32: 1, 100: 1}[k]
    with torch.inference_mode():
        for start in range(0, 2, size):
            rows = np.minimum(np.arange(start, start + size), 1)
            c, pictures = learned.condition(columns, rows), x[rows]
            q, p = parts.encoder(pictures, c).base_dist, parts.prior(c)
            weights = []
            for block in range(-(-k // samples)):
                noise = RowNoise(6, np.stack([rows, np.full_like(rows, block)], 1))
                z = q.loc + q.scale * noise.normal([samples, size, q.loc.shape[1]], 0)
                pixels = parts.decoder(z.flatten(0, 1), c.repeat(samples))
                fit = pixels.log_prob(pictures, c.hidden).reshape(samples, size)
                prior = p.expand((samples, size)).log_prob(z)
                weights.append(
                    (fit + (prior - torch.distributions.Normal(q.loc, q.scale).log_prob(z).sum(-1))).double()
                )
            total = torch.full((size,), -math.inf, dtype=torch.float64)
            for block, part in enumerate(weights):
                total = torch.logaddexp(total, torch.logsumexp(part[: k - block * samples], 0))
            number = min(size, 2 - start)
            assert np.array_equal(found.log_prob[start : start + number], (total - math.log(k))[:number].numpy())
            whole = torch.cat(weights)[:k]
            effective = torch.exp(2 * torch.logsumexp(whole, 0) - torch.logsumexp(2 * whole, 0))[:number]
            assert np.allclose(found.effective[start : start + number], effective, rtol=1e-6)
            assert np.allclose(found.elbo[start : start + number], whole.mean(0)[:number])
