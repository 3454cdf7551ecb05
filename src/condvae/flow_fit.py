"""Fitting a flow to the latents, given conditions of any kind; see `flows` for what is fitted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from condvae.conditions import Label, Picture, Schema
from condvae.errors import Refused
from condvae.flows import FlowDensity, log_normal
from condvae.trace import Condition

BATCH = 256
STEPS = 6000  # at most,
EPOCHS = 100  # and as many passes over the rows: of few rows more are learned by heart
RATE = 2e-3
WARM = 100  # steps in which the rate rises
HELD = 0.05, 2000  # share of the rows, and how many at most, that choose the best step
CHECKS = 20  # times at which the held rows are scored
FORGET = 0.1  # share of the entries of a field that may be left out which are left out
NORM = 10.0  # of the gradient at most
FEW = 4  # latents: of so few, affine layers that split them alone do not make several modes


def fit_flow(
    z: Tensor | np.ndarray,
    c: Condition,
    schema: Schema,
    seed: int = 0,
    prior: nn.Module | None = None,
    steps: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> FlowDensity:
    """Fit p(z | c) to samples of the posteriors by maximum likelihood.

    z: [S, N, Z] posterior samples (not means: those lack the posterior's own width) of N rows, or [N, Z]; c: their
    conditions. prior: the model's own, on whose noise the flow then works (`FlowDensity.attach`); None: z itself,
    standardised. steps: of Adam; None = STEPS, or EPOCHS passes where rows are few. progress: called with ("flow",
    done, steps). Fields that may be left out are so in a tenth of the rows; rows whose label is unknown although the
    model has no blank input for it are not used. The weights are those of the best check on rows held out.

    Randomness is of the seed alone, and the global random state stays as it was. Refused without zuko, where rows do
    not match, or with fewer than two rows.
    """
    z = torch.as_tensor(z).detach().cpu().float()
    z = z if z.ndim == 3 else z[None]
    if c.rows != z.shape[1]:
        raise Refused(f"c must hold one row for each of the {z.shape[1]} rows of z; got {c.rows}")
    rows = usable(c, schema)
    if len(rows) < 2:
        raise Refused(f"a density needs the latents of at least two rows with a label; got {len(rows)}")
    generator = torch.Generator().manual_seed(seed)
    rows = rows[torch.randperm(len(rows), generator=generator)]
    count = min(HELD[1], max(1, int(HELD[0] * len(rows))))
    held, rows = rows[:count], rows[count:]
    steps = steps or min(STEPS, max(CHECKS, EPOCHS * len(rows) // BATCH))
    splines = 2 if z.shape[2] <= FEW else 0
    flow = FlowDensity(z.shape[2], c.width, splines=splines, based=prior is not None, seed=seed)
    if prior is not None:
        flow.attach(prior)
    standardise(flow, z, c, rows)
    with torch.enable_grad():
        learn(flow, z, c, schema, rows, held, steps, generator, progress)
    return flow.eval().requires_grad_(False)


def usable(c: Condition, schema: Schema) -> Tensor:
    """Rows all of whose labels are known where the model has no blank input for them, [n]."""
    fits = torch.ones(c.rows, dtype=torch.bool)
    for field in schema.fields:
        if isinstance(field, Label) and not field.optional:
            fits &= c.vector[:, schema.slice(field.name)].cpu().amax(1) > 0
    return torch.nonzero(fits)[:, 0]


@torch.no_grad()
def standardise(flow: FlowDensity, z: Tensor, c: Condition, rows: Tensor) -> None:
    """Set loc and scale so that what enters the layers has mean 0 and deviation 1 over (at most 20,000) rows."""
    rows = rows[:20_000]
    mean, deviation = flow.base(c[rows])
    y = (z[:, rows] - mean) / deviation
    flow.loc.copy_(y.mean((0, 1)))
    y = y.flatten(0, 1)
    flow.scale.copy_(y.std(0, correction=int(len(y) > 1)).clamp_min(1e-3))


def learn(
    flow: FlowDensity,
    z: Tensor,
    c: Condition,
    schema: Schema,
    rows: Tensor,
    held: Tensor,
    steps: int,
    generator: torch.Generator,
    progress: Callable[[str, int, int], None] | None,
) -> None:
    """Adam with a cosine rate; in the end the weights of the check at which the held rows were likeliest."""
    optimiser = torch.optim.Adam(flow.layers.parameters(), RATE)
    best, kept = -math.inf, {name: value.clone() for name, value in flow.state_dict().items()}
    every = max(1, steps // CHECKS)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARM) * 0.5 * (1 + math.cos(math.pi * step / steps))
        picked = rows[torch.randint(len(rows), (min(BATCH, len(rows)),), generator=generator)]
        sample = torch.randint(len(z), (len(picked),), generator=generator)
        loss = -score(flow, z[sample, picked], forgetting(c[picked], schema, generator)).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(flow.layers.parameters(), NORM)
        optimiser.step()
        if (step + 1) % every == 0 or step + 1 == steps:
            with torch.no_grad():
                now = float(score(flow, z[0, held], c[held]).mean())
            if now > best:
                best, kept = now, {name: value.clone() for name, value in flow.state_dict().items()}
            if progress is not None:
                progress("flow", step + 1, steps)
    flow.load_state_dict(kept)


def score(flow: FlowDensity, z: Tensor, c: Condition) -> Tensor:
    """log p(z | c) of z [B, Z], for learning: no padded blocks."""
    with torch.no_grad():
        mean, deviation = flow.base(c)
    normal, jacobian = flow.encode((z - mean) / deviation, c.vector.float())
    return log_normal(normal) + jacobian - deviation.log().sum(-1)


def forgetting(c: Condition, schema: Schema, generator: torch.Generator) -> Condition:
    """The condition with a tenth of the entries of each field that may be left out made unknown."""
    vector = c.vector.clone()
    for field in schema.fields:
        if field.optional and not isinstance(field, Picture):
            gone = torch.rand(len(vector), generator=generator) < FORGET
            span = schema.span(field.name)
            vector[:, span] = vector[:, span].masked_fill(gone[:, None], 0.0)
    return Condition(vector, c.picture)
