"""A shallow autoregressive last layer: p(x | z, c) = product over pixels of p(x_i | x_{<i} near i, z, c).

The decoder's feature map is met by one masked convolution of the pixels already drawn (rows above and to the left), or
by several, then by two 1x1 convolutions. It spares the latents the texture of strokes, so that they hold what is
global. Sources: van den Oord et al., "Pixel Recurrent Neural Networks", 2016; Gulrajani et al., "PixelVAE", 2017.

The masked convolutions depend on x alone: with K samples a row they are computed once, not K times.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condvae.errors import Refused
from condvae.heads import Pixels
from condvae.painting import Brush, Layer, painted
from condvae.trace import Condition, Draw

FEATURES = 24  # channels of the feature map that the head reads
PIXELS = 900  # level of the noise that pixels are drawn with: no latent has it


class Autoregressive(Pixels):
    """Bernoulli pixels in raster order, each given the features [B, F, H, W] and its drawn neighbourhood."""

    def __init__(self, features: Tensor, head: AutoregressiveHead, sight: float) -> None:
        super().__init__(features)
        self.head = head
        self.sight = sight

    def costs(self, x: Tensor) -> Tensor:
        context = self.head.context(x)
        if self.sight < 1:  # the rows of a batch come in random order, so the first are a random share
            context = context * (torch.arange(len(x), device=x.device) < self.sight * len(x))[:, None, None, None]
        features = self.split(self.parameters, x)
        logits = self.head.mix((features + context).flatten(0, 1)).unflatten(0, features.shape[:2]).float()
        return F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")

    @property
    def mean(self) -> Tensor:
        raise Refused("an autoregressive picture has no mean in closed form; ask picture(draw)")

    def picture(self, draw: Draw) -> Tensor:
        """Each pixel's probability given the pixels drawn before it, [B, 1, H, W]: a draw with its edges kept grey.

        The pixels before it are drawn as the model has them, whatever the temperature of the codes, but at 0, where
        they are the more probable ones. Of several codes that of the last one decides, which is nearest to the pixels.
        """
        return self.head.paint(self.parameters, draw)[1]

    def guided(self, other: Pixels, strength: float) -> Pixels:
        """Refused but for strength 1: its logits depend on the pixels drawn before."""
        if strength == 1:
            return self
        raise Refused("guidance must be 1 for an autoregressive likelihood, whose logits exist pixel by pixel only")

    def sample_pixels(self, draw: Draw) -> Tensor:
        """A draw of the binary pixels, [B, 1, H, W]."""
        return self.head.paint(self.parameters, draw)[0]


class Masked(nn.Module):
    """h + conv(relu(h)) over what was read at the pixel itself, left of it and in the row above, [B, F, H, W]: of
    features that know no more than the pixels before theirs, features of the same kind that know more of them."""

    def __init__(self, features: int) -> None:
        super().__init__()
        scale = 0.5 * (5 * features) ** -0.5
        self.up = nn.Parameter(torch.randn(features, features, 1, 3) * scale)
        self.left = nn.Parameter(torch.randn(features, features, 1, 2) * scale)
        self.bias = nn.Parameter(torch.zeros(features))

    def kernel(self) -> Tensor:
        """[F, F, 2, 3], zero right of the pixel."""
        return torch.cat([self.up, F.pad(self.left, (0, 1))], 2)

    def forward(self, h: Tensor) -> Tensor:
        padded = F.pad(torch.relu(h), (1, 1, 1, 0))
        return h + F.conv2d(padded, self.kernel().to(h.dtype), self.bias.to(h.dtype))


class AutoregressiveHead(nn.Module):
    """Feature map [B, F, H, W] -> Autoregressive over one-channel binary pictures.

    above, aside: rows above and columns to each side that a pixel sees; layers: masked convolutions, each beyond the
    first (`Masked`) sees a row and a column further. Until the share `blind` of the training is
    over, a shrinking part of each batch sees no pixel at all: otherwise the last layer learns first, and the latents
    are never used.
    """

    normalised = "binary"

    def __init__(self, features: int, above: int = 4, aside: int = 4, blind: float = 0.15, layers: int = 1) -> None:
        super().__init__()
        self.above, self.aside, self.blind = above, aside, blind
        self.progress = 1.0
        seen = above * (2 * aside + 1) + aside
        self.up = nn.Parameter(torch.randn(features, 1, above, 2 * aside + 1) * seen**-0.5)
        self.left = nn.Parameter(torch.randn(features, 1, 1, aside) * seen**-0.5)
        self.bias = nn.Parameter(torch.zeros(features))
        self.deeper = nn.ModuleList(Masked(features) for _ in range(layers - 1))
        self.hidden = nn.Conv2d(features, features, 1)
        self.out = nn.Conv2d(features, 1, 1)
        nn.init.kaiming_normal_(self.hidden.weight, nonlinearity="relu")
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.constant_(self.out.bias, -1.5)  # most pixels of a drawing are background

    def begin(self, progress: float) -> None:
        """Before a training pass: how far the training is, in [0, 1]."""
        self.progress = progress

    def forward(self, features: Tensor, c: Condition) -> Pixels:
        ramp = (self.progress - self.blind / 4) / (self.blind * 0.75) if self.blind else 1.0
        return Autoregressive(features, self, min(1.0, max(0.0, ramp)) if self.training else 1.0)

    def kernel(self) -> Tensor:
        """[F, 1, above + 1, 2 aside + 1], zero at the pixel itself and right of it."""
        return torch.cat([self.up, F.pad(self.left, (0, self.aside + 1))], 2)

    def context(self, x: Tensor) -> Tensor:
        """What the pixels before each pixel of x [B, 1, H, W] say: [B, F, H, W]; outside the picture is background."""
        padded = F.pad(x * 2 - 1, (self.aside, self.aside, self.above, 0), value=-1.0)
        # of one channel either layout is the same to torch: without a word the wide maps come in the slow one
        padded = padded.contiguous(memory_format=torch.channels_last)
        context = F.conv2d(padded, self.kernel().to(padded.dtype), self.bias.to(padded.dtype))
        for layer in self.deeper:
            context = layer(context)
        return context

    def mix(self, features: Tensor) -> Tensor:
        """Features and context, summed -> logits [B, 1, H, W]."""
        return self.out(torch.relu(self.hidden(torch.relu(features))))

    @torch.no_grad()
    def paint(self, features: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Pixel by pixel: (drawn pixels, their probabilities), both [B, 1, H, W]. On the CPU, whatever the device: a
        pixel's few thousand products take less time there than a device takes to be told of them."""
        rows, _, height, width = features.shape
        levels = np.full((rows, height, width), 0.5, np.float32)
        if draw.heat(PIXELS) > 0:
            levels = draw.noise.uniform((rows, 1, height, width), PIXELS)[:, 0].float().cpu().numpy()
        drawn, shown = painted(self.brush(), features.float().cpu().numpy(), levels)
        return torch.from_numpy(drawn)[:, None].to(features), torch.from_numpy(shown)[:, None].to(features)

    def brush(self) -> Brush:
        """The weights as painting reads them: of pixels that are 0 or 1, where `context` reads -1 or 1."""
        above = by_input(self.up)
        beside, outside = by_input(self.left), by_input(self.kernel()).sum(0)
        first = Layer(2 * above, 2 * beside, numbers(self.bias) - outside)
        masked: list[Any] = list(self.deeper)
        deeper = [Layer(by_input(layer.up), by_input(layer.left), numbers(layer.bias)) for layer in masked]
        hidden, out = ((by_input(one.weight), numbers(one.bias)) for one in (self.hidden, self.out))  # type: ignore[arg-type]
        return Brush(first, self.above, self.aside, deeper, hidden, out)


def numbers(values: Tensor) -> np.ndarray:
    """A tensor as float32 in numpy."""
    return values.detach().float().cpu().numpy()


def by_input(kernel: Tensor) -> np.ndarray:
    """A convolution's kernel [F, I, h, w] as a matrix [h * w * I, F]: window by window, their features innermost."""
    return np.ascontiguousarray(numbers(kernel).transpose(2, 3, 1, 0).reshape(-1, len(kernel)))
