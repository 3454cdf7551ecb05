"""Features of the pictures at hand: a small network learns to tell what is known of them, and is kept for comparing.

It takes minutes, in one go: Ctrl-C leaves nothing behind, and there is nothing to go on from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from condvae.columns import is_table
from condvae.data import Collection, Part, collect, hold_out, unit
from condvae.errors import Refused
from condvae.feature_files import FeatureCard, save_features
from condvae.feature_tasks import task_of
from condvae.features import LEAST_SIDE, FeatureNet
from condvae.fitting import claim, vacant
from condvae.judges import optimiser_of, row_batches
from condvae.noise import Stream, seed_of
from condvae.progress import Bar, interruptible, say, watch
from condvae.train import Step
from condvae.warps import Warp

__all__ = ["Learning", "train_features"]

SEED = 0x6665617475726573  # "features": no seed that a model or a judge is trained with leads to it
STEPS, BATCH = 1500, 64
AREA, LEAST_STEPS = 32 * 32, 400  # larger pictures take longer, and fewer steps: minutes all the same
HELD = 0.05  # share of the pictures kept back to see how well what is asked is told
SHIFT = Warp(0.0, 0.0, 0.0, 0.14)  # by up to 7 % of a side
LOOKED = 1000  # pictures by which the features are scaled


def train_features(
    x: Any,
    c: Mapping[str, Any] | None = None,
    *,
    out: str | PathLike[str],
    field: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
    name: str = "data",
) -> FeatureCard:
    """Train a feature network on pictures, write it into a folder, and return what it is and how well it tells.

    A model is then trained on deep features by `fit(..., likelihood="perceptual", perceptual=out)`.

    Args:
        x, c: images and what is known of them, as `condvae.fit` takes them, or a whole collection, of which the
            training part is taken. out: the folder.
        field: what the network learns to tell: a label, or a number; by default the first label, else the first number,
            else by how many quarters a picture is turned.
        epochs: passes over the pictures; by default as many as make about 1,500 steps of 64, of large pictures fewer.
        seed: of weights, order and shifts. overwrite: use a folder that is not empty. progress: show a bar on stderr.
        name: what the data are called in the record.

    Raises:
        Refused: data, field or folder that cannot be used. KeyboardInterrupt: Ctrl-C; nothing was written.
    """
    if is_table(x):
        raise Refused("features are of pictures; x is a table")
    collection = x if isinstance(x, Collection) else collect(x, c, name=name)
    if collection.outputs is not None:
        raise Refused(f"features are of pictures; {collection.name} is a table")
    folder = Path(out)
    vacant(folder, overwrite)
    learning = Learning(collection.train, field, epochs, seed)
    if progress:
        say([learning.sentence()])
    with interruptible() as stop:
        if not watch(learning.steps(), stop, Bar(learning.epochs) if progress else None):
            raise KeyboardInterrupt("stopped; nothing was written, for features are trained in one go")
    card = learning.card(collection.name)
    claim(folder, overwrite)
    save_features(folder, learning.network.cpu(), card)
    return card


class Learning:
    """The training of a feature network on a part. Raises Refused for pictures, a field or epochs that cannot be used.

    network: the features; task: what is told; kept, held: rows [N] to learn from, and kept back; epochs of `batches`
    steps each.
    """

    def __init__(self, part: Part, field: str | None = None, epochs: int | None = None, seed: int = 0) -> None:
        _, channels, height, width = part.x.shape
        if min(height, width) < LEAST_SIDE:
            raise Refused(f"features need pictures of at least 8 x 8 pixels; these have {height} x {width}")
        if epochs is not None and epochs < 1:
            raise Refused(f"epochs must be a number from 1 on; got {epochs}")
        self.part, self.seed = part, seed
        self.task = task_of(part, field)
        rows = self.task.rows
        # a seed of its own: seed 0 would order rows as numpy's default_rng(0) does, by which a user may have made them
        count, order = max(1, round(HELD * len(rows))), seed_of(SEED, seed, 3)
        kept, held = hold_out(len(rows), self.task.strata(rows), count, order)
        self.kept, self.held = rows[kept], rows[held]
        self.size = min(BATCH, len(self.kept))
        self.batches, self.epochs = len(self.kept) // self.size, epochs or 1
        if epochs is None:
            steps = max(LEAST_STEPS, round(STEPS * min(1.0, AREA / (height * width))))
            self.batches = min(self.batches, steps)
            self.epochs = max(1, round(steps / self.batches))
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(SEED, seed))
            self.network = FeatureNet(channels, tuple(FeatureNet.plan)).to(self.device)
            last = FeatureNet.plan["conv4"].channels
            self.teller = nn.Linear(last, self.task.outputs).to(self.device)

    def sentence(self) -> str:
        """What is about to be learnt, in words."""
        what = "by how much they are turned" if self.task.kind == "rotation" else self.task.of
        return f"Features learn to tell {what} of {len(self.kept):,} pictures, {self.epochs * self.batches:,} steps."

    def told(self, x: Tensor) -> Tensor:
        """What the network says of pictures x [B, C, H, W]: [B, outputs]."""
        return self.teller(self.network(x)[-1].mean((2, 3)))

    def pictures(self, rows: Tensor) -> Tensor:
        """The pictures of these rows, float32 [B, C, H, W] in [0, 1]."""
        return unit(self.part.x[rows])

    def steps(self) -> Iterator[Step]:
        """Train, then scale the features; one Step a batch. The randomness is a function of the seed alone."""
        both = nn.ModuleList([self.network, self.teller])
        total = self.epochs * self.batches
        optimiser, schedule = optimiser_of(both, total)
        generator = torch.Generator().manual_seed(seed_of(SEED, self.seed, 1))
        for number, rows in enumerate(row_batches(self.kept, self.size, total, generator)):
            x, wanted = self.task.posed(SHIFT(self.pictures(rows), Stream(generator)), rows, generator)
            loss = self.task.cost(self.told(x.to(self.device)), wanted.to(self.device))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(both.parameters(), 1.0)  # nothing is normalised: a rare step would throw it off
            optimiser.step()
            schedule.step()
            if number + 1 == total:
                self.scale()
            epoch, place = divmod(number, self.batches)
            terms = {"squares" if self.task.kind == "number" else "cross entropy": loss.detach()}
            yield Step(epoch + 1, place + 1, self.batches, number + 1, len(rows), terms, {})

    @torch.no_grad()
    def scale(self) -> None:
        """Scale each layer so that its features have a mean variance of 1 over the pictures: one weight suits them all.

        With ReLUs and averages alone that is an equal change of weights, and the network tells what it told, but for a
        factor that the last layer of all, which is not kept, would undo (after Gatys, Ecker, Bethge, "Image Style
        Transfer Using Convolutional Neural Networks", 2016).
        """
        chosen = self.kept[torch.linspace(0, len(self.kept) - 1, min(LOOKED, len(self.kept))).long()]
        x, before = self.pictures(chosen).to(self.device), 1.0
        spreads = [float(found.var(0, correction=0).mean().clamp_min(1e-12).sqrt()) for found in self.network(x)]
        for conv, spread in zip(self.network.convs.values(), spreads, strict=True):
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            conv.weight.mul_(before / spread)
            conv.bias.div_(spread)
            before = spread
        self.teller.weight.mul_(before)

    @torch.no_grad()
    def score(self) -> float:
        """How well the held-out pictures are told."""
        generator = torch.Generator().manual_seed(seed_of(SEED, self.seed, 2))
        told, wanted = [], []
        for rows in self.held.split(500):
            x, truth = self.task.posed(self.pictures(rows), rows, generator)
            told.append(self.told(x.to(self.device)).cpu())
            wanted.append(truth)
        return self.task.score(torch.cat(told), torch.cat(wanted))

    def card(self, data: str) -> FeatureCard:
        """What is written beside the weights; data: the collection's name."""
        return FeatureCard(
            channels=self.part.x.shape[1],
            task=self.task.kind,
            of=self.task.of,
            classes=self.task.classes,
            data=data,
            rows=len(self.kept),
            seed=self.seed,
            steps=self.epochs * self.batches,
            held_out=len(self.held),
            score=self.score(),
            versions={name: version(name) for name in ("condvae", "torch")},
        )
