"""Networks of dense layers, and what all networks share. Those of convolutions are in convs.py.

The condition enters once a network, through `Fuse`: a linear map of the condition's vector added to the features.
For a one-hot label that is the same as concatenating it before a linear layer, and costs one look-up.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condvae.trace import Condition

Shape = tuple[int, int, int]  # [C, H, W] of one picture
ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh, "gelu": nn.GELU}


class Fuse(nn.Module):
    """Linear layer of features and condition together: [B, F], c [B, D] -> [B, out]."""

    def __init__(self, features: int, condition: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features + condition, out)
        self.condition = condition

    def forward(self, features: Tensor, c: Condition) -> Tensor:
        return self.linear(torch.cat([features, c.vector.to(features.dtype)], 1) if self.condition else features)

    def part(self, features: Tensor) -> Tensor:
        """What the features alone contribute, [B, out]."""
        return F.linear(features, self.linear.weight[:, : self.linear.in_features - self.condition], self.linear.bias)

    def joined(self, part: Tensor, c: Condition) -> Tensor:
        """The layer's output for features of which `part` was made; part and c of equally many rows."""
        if not self.condition:
            return part
        return part + F.linear(c.vector.to(part.dtype), self.linear.weight[:, -self.condition :])


class MLP(nn.Module):
    """Dense layers, each followed by its activation, the condition beside the input: [B, F], c -> [B, sizes[-1]]."""

    def __init__(self, features: int, condition: int, sizes: Sequence[int], activation: str = "relu") -> None:
        super().__init__()
        self.first = Fuse(features, condition, sizes[0])
        act = ACTIVATIONS[activation]
        layers: list[nn.Module] = [act()]
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), act()]
        self.rest = nn.Sequential(*layers)

    def forward(self, features: Tensor, c: Condition, more: Tensor | None = None) -> Tensor:
        """more: what else is added to the first layer's sum, [B, sizes[0]]."""
        first = self.first(features, c)
        return self.rest(first if more is None else first + more)

    def joined(self, part: Tensor, c: Condition) -> Tensor:
        """The output for inputs of which `part` = first.part(inputs) was made."""
        return self.rest(self.first.joined(part, c))


def repeated(rows: Tensor, like: Tensor) -> Tensor:
    """What was made of B rows, for K samples of each: [B, ...] -> [K * B, ...], the rows of `like`."""
    k = like.shape[0] // rows.shape[0]
    return rows if k == 1 else rows.repeat(k, *[1] * (rows.dim() - 1))


def seen_channels(picture: Tensor) -> Tensor:
    """A partial picture [B, C + 1, H, W] as a network reads it: seen pixels in [-1, 1], hidden ones 0; the mask."""
    seen = picture[:, -1:]
    return torch.cat([(picture[:, :-1] * 2 - 1) * seen, seen], 1)


class DenseEncoder(nn.Module):
    """Picture x [B, C, H, W] and condition -> head's distribution, by dense layers.

    partial: the condition holds a partial picture, which is read beside x.
    """

    def __init__(
        self,
        shape: Shape,
        condition: int,
        hidden: Sequence[int],
        head: nn.Module,
        activation: str,
        partial: bool = False,
    ) -> None:
        super().__init__()
        self.partial = partial
        self.body = MLP(
            math.prod(shape) + partial * (shape[0] + 1) * shape[1] * shape[2], condition, hidden, activation
        )
        self.head = head

    def forward(self, x: Tensor, c: Condition):
        return self.head(self.body(self.flat(x, c), c))

    def flat(self, x: Tensor, c: Condition) -> Tensor:
        """All that is read of pictures, side by side."""
        if self.partial and c.picture is not None:
            return torch.cat([x.flatten(1), seen_channels(c.picture).flatten(1)], 1)
        return x.flatten(1)

    def look(self, x: Tensor, c: Condition) -> Tensor:
        """What does not depend on the condition's vector, [B, features]: read once where many conditions follow."""
        return self.body.first.part(self.flat(x, c))

    def conclude(self, looked: Tensor, c: Condition):
        """The distribution for rows of what `look` gave and as many conditions: look, then conclude = forward."""
        return self.head(self.body.joined(looked, c))


class DenseDecoder(nn.Module):
    """Latent z [B, Z] and condition -> distribution over pictures [B, C, H, W], by dense layers."""

    def __init__(
        self,
        z: int,
        condition: int,
        hidden: Sequence[int],
        shape: Shape,
        head: nn.Module,
        activation: str,
        partial: int = 0,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.body = MLP(z, condition, hidden, activation)
        # what is seen of a picture is read once a row, however many samples of z it has
        self.sight = nn.Linear(partial, hidden[0], bias=False) if partial else None
        self.out = nn.Linear(hidden[-1], math.prod(shape))
        self.head = head

    def forward(self, z: Tensor, c: Condition):
        more = None
        if self.sight is not None and c.picture is not None:
            more = repeated(self.sight(seen_channels(c.picture).flatten(1)), z)
        return self.head(self.out(self.body(z, c, more)).unflatten(1, self.shape), c)


held: WeakKeyDictionary[nn.Module, tuple[int, bool]] = WeakKeyDictionary()  # module -> (how often, its own mode)
holding = Lock()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode and without gradients; every module gets its own mode back afterwards.

    Counted, for several threads may ask one model at once: the last to leave gives the modes back.
    """
    modules = list(model.modules())
    with holding:
        for module in modules:
            times, mode = held.get(module, (0, module.training))
            held[module] = (times + 1, mode)
            module.training = False
    try:
        with torch.inference_mode():
            yield model
    finally:
        with holding:
            for module in modules:
                times, mode = held.pop(module)
                if times > 1:
                    held[module] = (times - 1, mode)
                else:
                    module.training = mode
