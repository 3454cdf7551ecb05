"""Training as a generator of Steps: the command line, the page and the tests consume it, so there are no callbacks.

Nothing here knows the model: the trainer minimises the sum of the terms that `model.loss` names, and logs them.
The randomness of step t is a function of (seed, t, rank), so that a training that was interrupted and resumed gives
the weights of one that was not. No precision, grad mode or global flag stays set across a `yield`.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from condvae.balance import balanced_order
from condvae.holes import seen_masks
from condvae.models.base import Model, Terms
from condvae.noise import Noise, Stream, seed_of
from condvae.settings import Settings
from condvae.trace import Batch, Condition, Draw
from condvae.watch import Watch, check_finite, lost

DROP_LEVEL = -2  # the level of noise that hides fields
EARLY = 0.04  # share of the training over which a cosine schedule first rises


@dataclass(frozen=True, slots=True)
class Step:
    """What one step leaves: detached tensors, read only where they are shown. `epoch` counts from 1, `step` from 1."""

    epoch: int
    batch: int
    batches: int
    step: int
    rows: int
    terms: Terms
    notes: Terms

    @property
    def last(self) -> bool:
        """Whether the epoch ends with this step."""
        return self.batch == self.batches


@dataclass(frozen=True)
class Batches:
    """Training rows in memory and the order in which an epoch reads them.

    x: gives the rows of an index [B] as a tensor [B, C, H, W], uint8 or float32; c: all rows' condition [N, D]; of each
    batch, process `rank` of `world` takes its share. groups: a class a row [N], -1 = unknown; where given, batches are
    balanced over the classes. order: (epoch -> row numbers [N]) where the epochs have one of their own.
    """

    x: Callable[[Tensor], Tensor]
    c: Condition
    size: int
    seed: int
    rank: int = 0
    world: int = 1
    weight: Tensor | None = None
    groups: Tensor | None = None
    order: Callable[[int], Tensor] | None = None

    @property
    def rows(self) -> int:
        return self.c.rows

    def __len__(self) -> int:
        return math.ceil(self.rows / self.size)

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch in its own order, without the first `skip`; a short last batch is kept."""
        order = self.ordered(epoch)
        for start in range(skip * self.size, self.rows, self.size):
            index = order[start : start + self.size][self.rank :: self.world]
            yield Batch(self.x(index), self.c[index], None if self.weight is None else self.weight[index])

    def ordered(self, epoch: int) -> Tensor:
        """The row numbers of an epoch, [N]."""
        if self.order is not None:
            return self.order(epoch)
        if self.groups is not None:
            return balanced_order(self.groups, epoch, self.seed)
        return torch.randperm(self.rows, generator=torch.Generator().manual_seed(seed_of(self.seed, epoch, 17)))


def as_float(x: Tensor) -> Tensor:
    """uint8 [0, 255] or float32 [0, 1] -> float32 [0, 1]."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x


class Work:
    """What a step works on. Opaque on purpose: Fabric walks through arguments that it can look into, at every step."""

    __slots__ = ("batch", "progress", "stream")

    def __init__(self, batch: Batch, progress: float, stream: Stream) -> None:
        self.batch, self.progress, self.stream = batch, progress, stream


@dataclass(frozen=True)
class Hiding:
    """What is hidden from the model in training, anew at each step.

    holes: the kind of hole that is cut into the pictures, "none" for a model without; drop: the share of rows from
    which each field is hidden; spans: the columns of the condition's vector of each field that may be.
    """

    holes: str = "none"
    drop: tuple[float, ...] = ()
    spans: tuple[slice, ...] = ()

    def __call__(self, c: Condition, x: Tensor, noise: Noise) -> Condition:
        """The condition as the model is told it, for pictures x [B, C, H, W] as the model sees them."""
        vector = c.vector
        if self.spans:
            uniform = noise.uniform([len(x), len(self.spans)], DROP_LEVEL).to(vector)
            vector = vector.clone()
            for place, (span, share) in enumerate(zip(self.spans, self.drop, strict=True)):
                vector[:, span] *= (uniform[:, place] >= share).to(vector)[:, None]
        return (
            Condition(vector, c.picture)
            if self.holes == "none"
            else with_holes(Condition(vector), x, self.holes, noise)
        )


def with_holes(c: Condition, x: Tensor, holes: str, noise: Noise) -> Condition:
    """The condition with what is seen of x [B, C, H, W] through holes of that kind."""
    seen = seen_masks(holes, len(x), x.shape[2], x.shape[3], noise, x.device).to(x)
    return Condition(c.vector, torch.cat([x * seen, seen], 1))


class Learner(nn.Module):
    """What Fabric, DDP and compilation wrap: its forward is the model's loss on one batch of stored pixels."""

    def __init__(self, model: Model, binarise: str, hiding: Hiding | None = None) -> None:
        super().__init__()
        self.model = model
        self.binarise = binarise
        self.hiding = hiding or Hiding()

    def forward(self, work: Work) -> tuple[Tensor, Terms, Terms]:
        """(sum of the terms, terms, notes) of a batch as it is stored."""
        batch, stream = work.batch, work.stream
        x = as_float(batch.x)
        if self.binarise == "dynamic":
            x = (stream.uniform(x.shape, -1) < x).float()
        c = self.hiding(batch.c, x, stream)
        terms, notes = self.model.loss(Batch(x, c, batch.weight), work.progress, Draw(stream))
        first, *rest = terms.values()
        return sum(rest, start=first), terms, notes


class Training:
    """A model, its optimiser and its averaged weights on a device, at some step."""

    def __init__(self, model: Model, settings: Settings, hiding: Hiding | None = None) -> None:
        from lightning_fabric import Fabric  # takes a second or two to import: who only asks a run need not wait

        self.settings = settings
        precision = {"32": "32-true", "bf16": "bf16-mixed"}[settings.precision]
        accelerator = {"mps": "mps", "cpu": "cpu", "cuda": "cuda"}.get(settings.device, "auto")
        with quiet():
            self.fabric = Fabric(accelerator=accelerator, devices=settings.devices, precision=precision)  # type: ignore[arg-type]
        self.model = model
        self.device = self.fabric.device
        learner = Learner(model.to(self.device), settings.binarise, hiding)
        self.optimiser = make_optimiser(model, settings, fused=self.device.type in ("cpu", "cuda"))
        self.learner, self.wrapped = self.fabric.setup(learner, self.optimiser)
        self.averaged: Model | None = None
        if settings.average:
            self.averaged = copy.deepcopy(model).eval().requires_grad_(False)
        self.step = 0

    def trained(self) -> Model:
        """The weights that are used after training: the averaged ones where there are any."""
        return self.averaged if self.averaged is not None else self.model

    def average(self) -> None:
        """Let the averaged weights follow: decay rises from 0 so that a short training is not held back."""
        if self.averaged is not None:
            decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
                    list(self.averaged.parameters()), list(self.model.parameters()), 1 - decay
                )
                for mine, theirs in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
                    mine.copy_(theirs)


def make_optimiser(model: Model, settings: Settings, fused: bool) -> torch.optim.Optimizer:
    """One optimiser, one group a player, each with its own multiple of the learning rate.

    Adam acts on each parameter alone: one step on the sum of the players' terms is a step of each on its own, as long
    as no term's gradient reaches another player's parameters.
    """
    groups = [
        {
            "params": [p for p in player.parameters if p.requires_grad],
            "lr": settings.lr * player.rate,
            "rate": player.rate,
            "betas": player.betas,
        }
        for player in model.players()
    ]
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(groups, settings.lr, weight_decay=0.01, fused=fused)
    return torch.optim.Adam(groups, settings.lr, fused=fused)


def rate_at(progress: float, settings: Settings) -> float:
    """Learning rate at a progress in [0, 1) of the training."""
    if settings.schedule == "constant":
        return settings.lr
    return settings.lr * min(1.0, (progress + 1e-4) / EARLY) * 0.5 * (1 + math.cos(math.pi * progress))


@contextmanager
def quiet() -> Iterator[None]:
    """Fabric's notes on precision and devices are no news to a user: only its warnings are let through."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def arithmetic(settings: Settings) -> Iterator[None]:
    """The flags of one step: products through oneDNN where that is float32 still, the run's own thread count."""
    matmul, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    torch.set_float32_matmul_precision("medium")
    if settings.threads and settings.threads != threads:
        torch.set_num_threads(settings.threads)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        if settings.threads and settings.threads != threads:
            torch.set_num_threads(threads)


def train(training: Training, batches: Batches, epochs: int) -> Iterator[Step]:
    """Train from the step that `training` is at until `epochs` epochs are done; one Step a batch.

    Raises Diverged where a term is not finite: the weights are then those before the faulty step.
    """
    settings, total = training.settings, epochs * len(batches)
    fabric = training.fabric
    learner, optimiser, backward = training.learner, training.wrapped, fabric.backward
    if fabric.world_size == 1 and settings.precision == "32":  # its hooks would do nothing, and take time
        learner, optimiser, backward = learner.module, training.optimiser, torch.Tensor.backward
    generator = torch.Generator(device=training.device)
    watch = Watch(training.model, training.averaged)
    while training.step < total:
        epoch, done = divmod(training.step, len(batches))
        for number, batch in enumerate(batches.epoch(epoch, skip=done), start=done + 1):
            with arithmetic(settings):
                if not training.model.training:
                    learner.train()
                progress = training.step / total
                generator.manual_seed(seed_of(settings.seed, training.step, fabric.global_rank))
                loss, terms, notes = learner(Work(batch, progress, Stream(generator)))
                check_finite(loss, terms, epoch + 1, number, settings)
                backward(loss)
                for player in optimiser.param_groups:
                    if settings.clip:
                        nn.utils.clip_grad_norm_(player["params"], settings.clip)
                    player["lr"] = rate_at(progress, settings) * player["rate"]
                optimiser.step()
                optimiser.zero_grad()
                training.step += 1
                training.average()
                stuck = watch(terms)
                if stuck is not None:
                    raise lost(stuck, epoch + 1, number, settings)
            detached = {name: term.detach() for name, term in terms.items()}
            yield Step(epoch + 1, number, len(batches), training.step, batch.x.shape[0], detached, notes)
    training.model.eval()
