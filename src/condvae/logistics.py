"""A mixture of discretised logistics a pixel, for 8-bit pictures in colour.

Source: Salimans, Karpathy, Chen, Kingma, "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture
Likelihood and Other Modifications", 2017. A pixel's channels share the choice of the component; within a component a
channel's mean is moved, linearly, by the channels before it, so that red tells of green, and both of blue.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condvae.heads import DiscretisedLogistic, Pixels, logistic_costs, within
from condvae.trace import Condition

LOG_SCALES = (-5.5, 1.5)  # of a logistic, in [0, 1]: from a bin's own width to all of the range
START = -2.0  # where the log scales start


class LogisticMixture(DiscretisedLogistic):
    """8-bit entries [B, C, H, W] by mixtures of M logistics a pixel.

    parameters [B, M * (1 + 2 C + C (C - 1) / 2), H, W]: of each component the weight's logit, means, log scales, and
    how far each channel's mean is moved by each channel before it.
    """

    def __init__(self, parameters: Tensor, channels: int) -> None:
        Pixels.__init__(self, parameters)
        self.channels = channels

    def parts(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(log weights [..., M, H, W], means, log scales [..., M, C, H, W], moves [..., M, C (C - 1) / 2, H, W])."""
        c = self.channels
        each = 1 + 2 * c + c * (c - 1) // 2
        whole = parameters.unflatten(-3, (-1, each))
        weight, mean, scale, moves = whole.split((1, c, c, each - 1 - 2 * c), -3)
        scale = (scale + START).clamp(*LOG_SCALES)
        return F.log_softmax(weight.squeeze(-3), -3), mean, scale, torch.tanh(moves)

    def moved(self, mean: Tensor, moves: Tensor, before: Tensor) -> Tensor:
        """The means [..., M, C, H, W], in [0, 1], given the channels before each one; before: theirs, [..., C, H, W] of
        any shape that fits. A mean counts from the middle of the range."""
        out, place = [], 0
        for channel in range(self.channels):
            one = mean[..., channel, :, :] + 0.5
            for earlier in range(channel):
                one = one + moves[..., place, :, :] * (before[..., earlier, :, :] - 0.5)
                place += 1
            out.append(one)
        return torch.stack(out, -3)

    @property
    def mean(self) -> Tensor:
        weight, mean, _, moves = self.parts(self.parameters)
        expected: list[Tensor] = []
        for channel in range(self.channels):  # within a component the expectation passes through the linear moves
            known = [*expected, *[mean[..., 0, :, :]] * (self.channels - channel)]
            expected.append(self.moved(mean, moves, torch.stack(known, -3))[..., channel, :, :])
        return within((weight.exp()[:, :, None] * torch.stack(expected, -3)).sum(1))

    def costs(self, x: Tensor) -> Tensor:
        """-log p of each pixel, all channels together, spread evenly over them: [K, B, C, H, W]."""
        weight, mean, scale, moves = self.parts(self.split(self.parameters, x))
        seen = x[:, None]  # beside the components
        each = logistic_costs(seen, self.moved(mean, moves, seen), scale).sum(-3)
        pixel = -torch.logsumexp(weight - each, -3)
        return (pixel / self.channels)[:, :, None].expand(*pixel.shape[:2], self.channels, *pixel.shape[2:])


class LogisticMixtureHead(nn.Module):
    """Feature map [B, `features`, H, W] -> LogisticMixture of `components` logistics a pixel."""

    normalised = "8-bit"

    def __init__(self, channels: int, components: int) -> None:
        super().__init__()
        self.channels = channels
        self.features = components * (1 + 2 * channels + channels * (channels - 1) // 2)
        # components start apart, over the range: of equal ones none would ever part
        offset = torch.zeros(components, self.features // components)
        offset[:, 1 : 1 + channels] = torch.linspace(-0.35, 0.35, components)[:, None] if components > 1 else 0.0
        self.offset = nn.Parameter(offset.flatten()[:, None, None])

    def forward(self, features: Tensor, c: Condition) -> Pixels:
        return LogisticMixture(features.float() + self.offset, self.channels)
