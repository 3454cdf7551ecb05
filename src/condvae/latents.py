"""The latents of a part under a model: its posterior passes and bound, samples, and the densities fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from condvae.conditions import Label, Schema
from condvae.data import Part
from condvae.density_fit import fit_for
from condvae.errors import Refused
from condvae.learned import observe
from condvae.nets import evaluating
from condvae.noise import RowNoise, seed_of
from condvae.objectives import distortion, rate
from condvae.preparing import columns_in, conditions
from condvae.settings import Settings
from condvae.trace import Condition, Draw
from condvae.train import as_float, with_holes

PARTIAL_ROWS = 20_000  # rows whose partial pictures are held in memory to fit a flow to them
ROWS = 1000  # rows of one pass when no gradient is needed
DENSITY_ROWS = 60_000  # rows whose latents a density is fitted to
SAMPLES = 40_000  # posterior samples that it is fitted to where rows are fewer: up to five of each


def passes(
    model: Any, part: Part, c: Condition, settings: Settings, seed: int
) -> Iterator[tuple[Any, Tensor, Condition]]:
    """The posterior passes over a part in chunks: (trace, x and condition as the model saw them), with noise of the
    row alone."""
    device = next(model.parameters()).device
    with evaluating(model):
        for start in range(0, len(part), ROWS):
            rows = np.arange(start, min(start + ROWS, len(part)))
            noise = RowNoise(seed, rows, device)
            x = observe(as_float(part.x[slice(start, start + ROWS)]).to(device), settings.binarise, noise)
            told = c[slice(start, start + ROWS)].to(device)
            told = told if settings.holes == "none" else with_holes(told, x, settings.holes, noise)
            yield model(told, x, draw=Draw(noise)), x, told


def bound(model: Any, part: Part, c: Condition, settings: Settings) -> dict[str, float]:
    """The unweighted bound of a part, one sample a row: means in nats."""
    errors, rates = [], []
    for trace, x, _ in passes(model, part, c, settings, seed=seed_of(settings.seed, 5)):
        errors.append(distortion(trace, x).mean(0))
        rates.append(rate(trace).mean(0))
    error, divergence = float(torch.cat(errors).double().mean()), float(torch.cat(rates).double().mean())
    return {"loss": error + divergence, "reconstruction": error, "rate": divergence}


def misread(model: Any, part: Part, c: Condition, schema: Schema, settings: Settings) -> dict[str, float]:
    """{"error": the share of a part's known labels that the classifier reads wrongly}; empty where none is known."""
    assert settings.infer is not None
    given = c.vector[:, schema.span(settings.infer)].cpu()
    known = given.sum(1) > 0
    if not bool(known.any()):
        return {}
    wrong = readings(model, part, c, settings).argmax(1) != given.argmax(1)
    return {"error": float(wrong[known].double().mean())}


def readings(model: Any, part: Part, c: Condition, settings: Settings) -> Tensor:
    """q(label | x) of every row of a part, [N, K] on the CPU."""
    device = next(model.parameters()).device
    found = []
    with evaluating(model):
        for start in range(0, len(part), ROWS):
            some = slice(start, start + ROWS)
            noise = RowNoise(seed_of(settings.seed, 5), np.arange(start, min(start + ROWS, len(part))), device)
            x = observe(as_float(part.x[some]).to(device), settings.binarise, noise)
            found.append(model.read(x, c[some].to(device)).probs.cpu())
    return torch.cat(found)


def completed(model: Any, part: Part, schema: Schema, settings: Settings) -> Part:
    """The part with an inferred label, where it is blank, as the classifier reads it."""
    name = settings.infer
    if name is None or all(value is not None for value in part.labels[name]):
        return part
    field = schema.field(name)
    assert isinstance(field, Label)
    read = readings(model, part, conditions(schema, part), settings).argmax(1).tolist()
    names = tuple(
        field.values[place] if value is None else value for value, place in zip(part.labels[name], read, strict=True)
    )
    return replace(part, labels={**part.labels, name: names})


def posterior_samples(model: Any, part: Part, c: Condition, settings: Settings, number: int = 0) -> np.ndarray:
    """Posterior sample `number` of each row's code, float32 [N, Z]: of several the first, whose prior `with_prior`
    replaces."""
    traces = passes(model, part, c, settings, seed=seed_of(settings.seed, 7, number))
    return np.concatenate([trace.codes[0].z.flatten(1).cpu().numpy() for trace, _, _ in traces])


def sampled(model: Any, part: Part, schema: Schema, settings: Settings) -> tuple[Part, Condition, np.ndarray]:
    """(up to 60,000 of the part's rows, their condition, posterior samples [S, N, Z] of each)."""
    if len(part) > DENSITY_ROWS:
        order = np.random.Generator(np.random.PCG64(settings.seed)).permutation(len(part))
        part = part.take(torch.from_numpy(np.sort(order[:DENSITY_ROWS])))
    part = completed(model, part, schema, settings)
    c, draws = conditions(schema, part), min(5, max(1, SAMPLES // len(part)))
    return part, c, np.stack([posterior_samples(model, part, c, settings, draw) for draw in range(draws)])


def fit_mixture(model: Any, part: Part, schema: Schema, settings: Settings) -> nn.Module | None:
    """The mixture fitted to the latents of a part; None where the model's own prior must stay.

    Of a model of holes it is that of pictures of which nothing is seen (see `unseen`), where training had such.
    """
    s = settings
    if schema.picture is not None:
        if s.holes not in ("any", "nothing"):
            return None
        s = s.model_copy(update={"holes": "nothing"})
    part, c, z = sampled(model, part, schema, s)
    kind = "auto" if s.density == "flow" else s.density
    plain = Schema(tuple(field for field in schema.fields if field is not schema.picture))
    return fit_for(plain, columns_in(plain, part), c, z, kind, s.seed, s.density_components)


def flow_of(
    model: Any,
    part: Part,
    schema: Schema,
    settings: Settings,
    progress: Callable[[int, int], None] | None = None,
) -> nn.Module:
    """The flow fitted to the latents of a part; Refused where zuko is not installed, or none can take the prior's
    place."""
    if not hasattr(model, "with_prior"):
        raise Refused("a flow is fitted to one latent, and of this model's each depends on those before; leave it out")
    from condvae.flow_fit import fit_flow

    prior = None
    if schema.picture is None:
        part, c, z = sampled(model, part, schema, settings)
    else:  # what is seen says much of z: the flow stands on the prior that reads it
        part, prior = part.take(torch.arange(min(len(part), PARTIAL_ROWS))), model.prior
        passed = list(passes(model, part, conditions(schema, part), settings, seed_of(settings.seed, 7, 0)))
        z = torch.cat([trace.codes[0].z for trace, _, _ in passed]).cpu()
        c = Condition(*(torch.cat([getattr(c, name).cpu() for *_, c in passed]) for name in ("vector", "picture")))
    watch = None if progress is None else lambda _, done, total: progress(done, total)
    return fit_flow(z, c, schema, settings.seed, prior, progress=watch)
