"""Glimpses: how a picture is read and a canvas written through a small window of Gaussian filters, or as a whole.

Source: Gregor, Danihelka, Graves, Rezende, Wierstra, "DRAW: A Recurrent Neural Network For Image Generation", 2015,
section 3. Pixels are counted from 0 here, and from 1 there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from condvae.nets import Shape

__all__ = [
    "GlimpseReader",
    "GlimpseWriter",
    "PictureReader",
    "PictureWriter",
    "Window",
    "read",
    "tiling",
    "window_of",
    "write",
]

PARAMETERS = 5  # of a window
LOG_RANGE = (-8.0, 8.0)  # of logarithms: a filter from a fiftieth of a pixel to 54 pixels wide, and nothing overflows


@dataclass(frozen=True, slots=True)
class Window:
    """A grid of n x n Gaussian filters on each of B pictures; all float32 [B].

    y, x: its centre in pixels, 0 = the middle of the first row or column; stride: pixels from one filter to the next;
    variance: of the filters, square pixels; intensity: by which a reading is multiplied, and ink divided.
    """

    y: Tensor
    x: Tensor
    stride: Tensor
    variance: Tensor
    intensity: Tensor

    def filters(self, n: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        """The filter banks of rows [B, n, H] and columns [B, n, W]: each filter's weights sum to one."""
        return self.bank(self.y, n, height), self.bank(self.x, n, width)

    def bank(self, centre: Tensor, n: int, length: int) -> Tensor:
        """Filters along one axis [B, n, L]: filter i has its mean at centre + (i - (n - 1) / 2) stride, i from 0."""
        grid = torch.arange(n, device=centre.device) - (n - 1) / 2
        means = centre[:, None] + self.stride[:, None] * grid
        distance = torch.arange(length, device=centre.device) - means[..., None]
        # the softmax is exp(-distance^2 / (2 variance)) over its sum, which also holds where all of them underflow
        return torch.softmax(distance.square() * (-0.5 / self.variance)[:, None, None], -1)


def window_of(parameters: Tensor, n: int, height: int, width: int) -> Window:
    """The window of n x n filters that a network asks for: parameters [B, 5] on pictures [H, W].

    They are the centre, in which -1 and 1 are half a pixel beyond the edges, and the logarithms of variance, stride (0:
    the grid reaches from edge to edge of the longer side) and intensity, each within 8 of 0.
    """
    parameters = parameters.float()
    y, x = parameters[:, 0], parameters[:, 1]
    variance, stride, intensity = parameters[:, 2:].clamp(*LOG_RANGE).exp().unbind(1)
    whole = (max(height, width) - 1) / max(n - 1, 1)
    return Window((height + 1) / 2 * (y + 1) - 1, (width + 1) / 2 * (x + 1) - 1, whole * stride, variance, intensity)


def tiling(n: int, height: int, width: int) -> Tensor:
    """The parameters [5] of a window whose filters tile the picture from edge to edge, each as wide as its share.

    Where a network's windows start. Two filters to a side that start at the corners and a pixel wide, as the parameters
    0 have them, see nothing of a picture whose edges are empty, nor where to go.
    """
    side = max(height, width)
    stride, whole = side / n, (side - 1) / max(n - 1, 1)
    return torch.tensor([0.0, 0.0, 2 * math.log(stride / 2), math.log(stride / whole), 0.0]).clamp(*LOG_RANGE)


def read(pictures: Tensor, window: Window, n: int) -> Tensor:
    """What is seen of pictures [B, C, H, W] through a window, [B, C, n, n]: the channels share it."""
    with torch.autocast(pictures.device.type, enabled=False):  # half precision would blur where the window stands
        rows, columns = window.filters(n, *pictures.shape[2:])
        seen = rows[:, None] @ (pictures.float() @ columns[:, None].mT)
        return seen * window.intensity[:, None, None, None]


def write(patch: Tensor, window: Window, height: int, width: int) -> Tensor:
    """A patch of ink [B, C, n, n] spread on the whole canvas, [B, C, H, W]; at intensity 1 the adjoint of `read`."""
    with torch.autocast(patch.device.type, enabled=False):
        rows, columns = window.filters(patch.shape[-1], height, width)
        ink = patch.float() / window.intensity[:, None, None, None]
        return rows[:, None].mT @ (ink @ columns[:, None])


class GlimpseReader(nn.Module):
    """Reads picture and error image through a window that the decoder's output [B, hidden] asks for."""

    def __init__(self, hidden: int, shape: Shape, n: int) -> None:
        super().__init__()
        self.n = n
        self.window = nn.Linear(hidden, PARAMETERS)
        with torch.no_grad():
            self.window.bias.copy_(tiling(n, *shape[1:]))
        self.stays, self.moves = 0, 2 * shape[0] * n * n

    def stay(self, x: Tensor) -> Tensor:
        """What is read of pictures once and for all, [B, stays]: nothing."""
        return x.flatten(1)[:, :0]

    def forward(self, x: Tensor, error: Tensor, output: Tensor) -> tuple[Tensor, Window]:
        """(what is read at this step [B, moves], through which window)."""
        window = window_of(self.window(output), self.n, *x.shape[2:])
        return read(torch.cat([x, error], 1), window, self.n).flatten(1), window


class PictureReader(nn.Module):
    """Reads the whole picture, which stays, and at each step the whole error image."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.stays = self.moves = math.prod(shape)

    def stay(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def forward(self, x: Tensor, error: Tensor, output: Tensor) -> tuple[Tensor, None]:
        return error.flatten(1), None


class GlimpseWriter(nn.Module):
    """Writes a patch through a window, both of which the decoder's output [B, hidden] asks for."""

    def __init__(self, hidden: int, shape: Shape, n: int) -> None:
        super().__init__()
        self.shape, self.n = shape, n
        self.linear = nn.Linear(hidden, PARAMETERS + shape[0] * n * n)
        with torch.no_grad():
            self.linear.bias[:PARAMETERS] = tiling(n, *shape[1:])
            # filters so wide thin the ink out: a patch of ones is to darken the canvas by one
            self.linear.bias[PARAMETERS - 1] = -2 * math.log(max(shape[1:]) / n)

    def forward(self, output: Tensor) -> tuple[Tensor, Window]:
        """(what is added to the canvas [B, C, H, W], through which window)."""
        asked = self.linear(output)
        height, width = self.shape[1:]
        window = window_of(asked[:, :PARAMETERS], self.n, height, width)
        patch = asked[:, PARAMETERS:].unflatten(1, (self.shape[0], self.n, self.n))
        return write(patch, window, height, width), window


class PictureWriter(nn.Module):
    """Writes on the whole canvas."""

    def __init__(self, hidden: int, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.linear = nn.Linear(hidden, math.prod(shape))

    def forward(self, output: Tensor) -> tuple[Tensor, None]:
        return self.linear(output).float().unflatten(1, self.shape), None
