"""The classifier of an M2 by itself: what the known labels alone teach the same network, for comparison."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from condvae.consistency import strongly
from condvae.models.base import Model, Terms
from condvae.models.m2 import M2
from condvae.trace import Batch, Condition, Draw, Shown, Trace


class Supervised(Model):
    """The classifier of `whole`, trained on rows whose label is known; where `whole` is trained with changed views of
    pictures, so is this one. All else of `whole` stays as it is."""

    def __init__(self, whole: M2) -> None:
        super().__init__()
        self.whole = whole
        for part in whole.children():
            part.requires_grad_(part is whole.classifier)

    def forward(
        self,
        c: Condition,
        x: Shown | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Trace:
        return self.whole(c, x, z, draw)

    def look(self, c: Condition, x: Shown) -> Shown:
        return self.whole.look(c, x)

    def loss(self, batch: Batch, progress: float, draw: Draw) -> tuple[Terms, Terms]:
        """Term: classifier, the cross entropy of labels [B] that are all known; nats a row."""
        blank, given = self.whole.blank(batch.c), batch.c.vector[:, self.whole.span]
        views = [batch.x]
        if self.whole.reading.in_pairs:
            views.append(strongly(batch.x, draw.noise))
        costs = [-one.log_prob(given).mean() for one in self.whole.viewed(views, blank)]
        return {"classifier": torch.stack(costs).mean()}, {}
