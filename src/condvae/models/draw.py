"""DRAW: a picture is drawn on a canvas in many steps, each with a latent of its own, and read in glimpses; conditional,
where there is something to ask for.

Sources: Gregor, Danihelka, Graves, Rezende, Wierstra, "DRAW: A Recurrent Neural Network For Image Generation", 2015;
of a learned prior: Gregor, Besse, Rezende, Danihelka, Wierstra, "Towards Conceptual Compression", 2016. What is asked
for, and what is seen of a partial picture, is told to both recurrent networks at every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from condvae.glimpses import Window
from condvae.models.bound import Bounded
from condvae.models.m2 import copies
from condvae.nets import Shape
from condvae.recurrent import Memory
from condvae.trace import Condition, Draw, Latent, Shown, Trace, given_z, settle


@dataclass(frozen=True, slots=True)
class Glimpse:
    """One step of drawing: the canvas after it [K * B, C, H, W] (the pixel head's features), the latent that it was
    drawn from, and the windows: the one written through, and the one read through before; None where there is none."""

    canvas: Tensor
    latent: Latent
    written: Window | None
    read: Window | None


class DRAW(Bounded):
    """Networks of the T steps: reader(x, error, decoder's output) -> what is read; encoder and decoder: `Memory`s;
    posterior(encoder's output) -> q(z_t | x, z_<t, c); prior, a head of (what is told beside the decoder's output) ->
    p(z_t | z_<t, c); writer(decoder's output) -> what is added to the canvas; pixels(canvas) -> p(x | z, c).

    sight: partial pictures [B, C + 1, H, W], condition -> features [B, F], where the condition holds them.

    `look` gives x itself: the encoder reads x beside the canvas, which is another in every sample, so that many passes
    over the same pictures have little in common (what `Looking` computes once costs as much as one row of K).
    """

    def __init__(
        self,
        steps: int,
        shape: Shape,
        reader: nn.Module,
        encoder: Memory,
        posterior: nn.Module,
        prior: nn.Module,
        decoder: Memory,
        writer: nn.Module,
        pixels: nn.Module,
        sight: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.reader = reader
        self.encoder = encoder
        self.posterior = posterior
        self.prior = prior
        self.decoder = decoder
        self.writer = writer
        self.pixels = pixels
        self.sight = sight
        self.canvas = nn.Parameter(torch.zeros(shape))

    @property
    def head(self) -> nn.Module:
        return self.pixels

    def forward(
        self,
        c: Condition,
        x: Shown | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Trace:
        """Latents: that of step t has the noise of level t."""
        drawn = list(self.glimpses(c, x, z, draw))
        k = len(drawn[-1].canvas) // max(1, c.rows)
        pixels = self.pixels(drawn[-1].canvas, c.repeat(k))
        return Trace(tuple(one.latent for one in drawn), pixels, k, c.hidden)

    def glimpses(
        self,
        c: Condition,
        x: Shown | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Iterator[Glimpse]:
        """The steps of one pass; arguments as in `forward`. Without x nothing is read, and the encoder rests.

        K samples of a row part at the first latent: from there on all is of K * B rows, and what depends on x and c
        alone is computed once.
        """
        assert x is None or isinstance(x, Tensor), "this model looks at pictures anew in every pass"
        draw = draw or Draw()
        k = samples_in(z) or draw.k
        rows, single = k * c.rows, Draw(draw.noise, draw.temperature)
        told = self.told(c)
        canvas, told_each = self.canvas.expand(rows, *self.canvas.shape), told.repeat(k, 1)
        state, stayed = self.decoder.begin(rows), self.decoder.stay(told).repeat(k, 1)
        looking = None if x is None else Looking(self, c, x, told, k)
        for step in range(self.steps):
            prior = self.prior(Condition(told_each).beside(state[0]))
            posterior = None if looking is None else looking(canvas, state[0])
            if k > 1:
                prior, posterior = copies(prior, k), None if posterior is None else copies(posterior, k)
            latent = settle(prior, posterior, given_z(z, step), single, step)
            state = self.decoder(stayed, latent.z.flatten(0, -2), state)
            ink, written = self.writer(state[0])
            canvas = canvas + ink
            yield Glimpse(canvas, latent, written, None if looking is None else looking.window)

    def told(self, c: Condition) -> Tensor:
        """What both networks are told at every step, [B, D]."""
        if self.sight is None:
            return c.vector
        assert c.picture is not None, "this model reads what is seen of a picture"
        return torch.cat([c.vector, self.sight(c.picture, Condition(c.vector)).float()], 1)


class Looking:
    """What the encoder of a model sees of pictures x [B, C, H, W] in one pass of k samples each, step by step."""

    def __init__(self, model: DRAW, c: Condition, x: Tensor, told: Tensor, k: int) -> None:
        self.model = model
        self.c, self.x = c.repeat(k), x.repeat(k, 1, 1, 1)
        reader: Any = model.reader
        self.stayed = model.encoder.stay(torch.cat([told, reader.stay(x)], 1)).repeat(k, 1)
        self.state = model.encoder.begin(len(self.x))
        self.window: Window | None = None

    def __call__(self, canvas: Tensor, output: Tensor) -> Any:
        """q(z_t | x, z_<t, c) of K * B rows, for the canvas and the decoder's output before step t."""
        model = self.model
        error = self.x - model.pixels(canvas, self.c).mean
        seen, self.window = model.reader(self.x, error, output)
        self.state = model.encoder(self.stayed, torch.cat([seen, output], 1), self.state)
        return model.posterior(self.state[0])


def samples_in(z: Sequence[Tensor | None] | None) -> int | None:
    """How many samples a row are given, K of z [K, B, Z]; None where nothing is given, or one a row."""
    first = next((one for one in z or () if one is not None), None)
    return None if first is None or first.dim() < 3 else len(first)
