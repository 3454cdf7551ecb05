"""Rows of a table as what is generated: one likelihood a column, in place of pixels.

A row is the encoding that a Schema gives it: one-hot blocks, standardised numbers, known-flags. Entries that are
unknown in the data are not scored.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from condvae.conditions import Label, Number, Schema
from condvae.heads import Pixels
from condvae.trace import Condition, Draw

CELLS, MORE = 950, 10_000  # levels of the noise that the first 50 columns, and all others, are drawn with
LEAST, MOST = -6.0, 3.0  # log of a number's noise, in its standard deviations
STEP = 0.29  # standard deviation of rounding to whole numbers, 1 / sqrt(12)


class RowHead(nn.Module):
    """Features [B, 1, 1, P] -> Row: of a label its K logits, of a number mean and log standard deviation."""

    normalised = "mixed"

    def __init__(self, outputs: Schema) -> None:
        super().__init__()
        self.outputs = outputs
        self.parameters_wide = sum(wide(field) for field in outputs.fields)

    def forward(self, features: Tensor, c: Condition) -> Row:
        return Row(features.float(), self.outputs)


def wide(field: Any) -> int:
    """Parameters of one column's distribution."""
    return len(field.values) if isinstance(field, Label) else 2 * field.size


def level_of(column: int) -> int:
    """The level of the noise that a column's cells are drawn with: no latent has it, nor a label that is drawn because
    it was not asked for."""
    return (CELLS if column < 50 else MORE) + column


class Row(Pixels):
    """Independent columns given z and c: a categorical a label, a Normal a number (in its standard deviations)."""

    def __init__(self, parameters: Tensor, outputs: Schema) -> None:
        super().__init__(parameters)
        self.outputs = outputs

    def blocks(self, parameters: Tensor):
        """(field, its parameters [..., p], where its entry begins in a row's encoding)."""
        start = place = 0
        flat = parameters.flatten(-3)
        for field in self.outputs.fields:
            yield field, flat[..., start : start + wide(field)], place
            start, place = start + wide(field), place + field.width

    @staticmethod
    def normal(field: Number, block: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, log standard deviation) of a number's Normal; whole numbers keep the noise of their rounding."""
        mean, log_sigma = block.chunk(2, -1)
        steps = torch.tensor(field.deviation, dtype=torch.float32, device=block.device)
        least = torch.log(STEP / steps).clamp(LEAST, 0.0) if field.whole else torch.full_like(steps, LEAST)
        return mean, torch.maximum(log_sigma.clamp_max(MOST), least)

    def costs(self, x: Tensor) -> Tensor:
        """-log p of the known entries of rows x [B, 1, 1, W], [K, B, 1, 1, W]: a label's in its first column."""
        rows, parts = x.flatten(1), []
        for field, block, place in self.blocks(self.split(self.parameters, x)):
            if isinstance(field, Label):
                hot = rows[:, place : place + len(field.values)]
                cost = -(hot * block.log_softmax(-1)).sum(-1, keepdim=True)
            else:
                assert isinstance(field, Number)
                mean, log_sigma = self.normal(field, block)
                entry = rows[:, place : place + field.size]
                known = rows[:, place + field.size : place + 2 * field.size] if field.optional else 1.0
                error = (entry - mean) * torch.exp(-log_sigma)
                cost = (0.5 * error.square() + log_sigma + 0.5 * math.log(2 * math.pi)) * known
            parts.append(nn.functional.pad(cost, (0, field.width - cost.shape[-1])))
        return torch.cat(parts, -1)[:, :, None, None]

    @property
    def mean(self) -> Tensor:
        """The row of likeliest labels and mean numbers, encoded, all of it known: [B, 1, 1, W]."""
        return self.assembled(None, 0.0)

    def picture(self, draw: Draw) -> Tensor:
        """A drawn row, encoded, [B, 1, 1, W]; at temperature 0 the mean row."""
        heat = draw.heat(level_of(0))
        return self.mean if heat == 0 else self.assembled(draw, heat)

    def assembled(self, draw: Draw | None, heat: float) -> Tensor:
        count = self.parameters.shape[0]
        parts: list[Tensor] = []
        for number, (field, block, _) in enumerate(self.blocks(self.parameters)):
            if isinstance(field, Label):
                index = block.argmax(-1)
                if draw is not None:
                    uniform = draw.noise.uniform([count, 1], level_of(number)).to(block)
                    share = (block / heat).softmax(-1).cumsum(-1)
                    index = (uniform >= share).sum(-1).clamp_max(block.shape[-1] - 1)
                parts.append(torch.nn.functional.one_hot(index, block.shape[-1]).to(block))
            else:
                assert isinstance(field, Number)
                mean, log_sigma = self.normal(field, block)
                if draw is not None:
                    noise = draw.noise.normal([count, field.size], level_of(number)).to(block)
                    mean = mean + heat * log_sigma.exp() * noise
                parts.append(mean)
            if field.optional:
                parts.append(block.new_ones(count, field.width - parts[-1].shape[-1]))
        return torch.cat(parts, -1)[:, None, None]

    def guided(self, other: Pixels, strength: float) -> Pixels:
        """As of pixels; of numbers the mean alone is extrapolated, their noise stays."""
        moved = copy.copy(self)
        mixed = torch.lerp(other.parameters, self.parameters, strength)
        start = 0
        for field in self.outputs.fields:
            if isinstance(field, Number):
                noise = slice(start + field.size, start + 2 * field.size)
                mixed[..., noise] = self.parameters[..., noise]
            start += wide(field)
        moved.parameters = mixed
        return moved
