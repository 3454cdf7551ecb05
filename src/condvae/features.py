"""Feature networks: what pictures are compared by where pixels are not. Plain convolutions, read at named layers.

`FeatureNet` is trained by `condvae train-features` on the pictures at hand; `VGG19` is the beginning of the network of
Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015, as torchvision keeps
its weights. Neither has a normalisation or a dropout, so that what a picture's features are depends on that picture
alone, in training and afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condvae.errors import Refused, suggest

__all__ = ["VGG19", "FeatureNet", "Features", "fixed", "kind_of", "network_of"]

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green, blue
LEAST_SIDE = 8  # pixels: three halvings leave one


class Stage(NamedTuple):
    """A convolution of 3 x 3 and a ReLU: so many channels out, the picture halved before it or not."""

    channels: int
    halved: bool = False


class Features(nn.Module):
    """Convolutions up to the deepest of the named layers; [B, C, H, W] in [0, 1], C of 1 or 3, any size from 8 x 8 on.

    layers: names of `plan`; the features of a layer are those after its ReLU. Raises Refused for others.
    """

    kind: str
    plan: dict[str, Stage]
    usual: tuple[str, ...]  # the layers that are read where nothing is said

    def __init__(self, channels: int, layers: Sequence[str] = ()) -> None:
        super().__init__()
        self.layers = tuple(layers) or self.usual
        for layer in self.layers:
            if layer not in self.plan:
                raise Refused(f"layers are some of {', '.join(self.plan)}; got {layer!r}{suggest(layer, self.plan)}")
        depth = 1 + max(list(self.plan).index(layer) for layer in self.layers)
        self.convs = nn.ModuleDict()
        before = self.entering(channels)
        for name, stage in list(self.plan.items())[:depth]:
            conv = nn.Conv2d(before, stage.channels, 3, padding=1)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
            self.convs[name] = conv
            before = stage.channels

    def entering(self, channels: int) -> int:
        """Channels of what the first convolution reads, of pictures of so many."""
        return channels

    def prepared(self, x: Tensor) -> Tensor:
        """What the first convolution reads."""
        return x

    def halve(self, x: Tensor) -> Tensor:
        """Every square of 2 x 2 as one."""
        return F.avg_pool2d(x, 2)

    def each(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """(layer, features [B, C', H', W']) of every layer in order; the reader keeps what it needs."""
        x = self.prepared(x)
        for name, conv in self.convs.items():
            x = torch.relu(conv(self.halve(x) if self.plan[name].halved else x))
            yield name, x

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features [B, C', H', W'] of the named layers, in the network's order."""
        return [found for name, found in self.each(x) if name in self.layers]


class FeatureNet(Features):
    """Four convolutions with averages of 2 x 2 between them: of one channel, 315,000 weights in all."""

    kind = "trained"
    plan = {"conv1": Stage(32), "conv2": Stage(64, True), "conv3": Stage(128, True), "conv4": Stage(192, True)}  # noqa: RUF012
    usual = ("conv1", "conv2", "conv3")


class VGG19(Features):
    """The first nine convolutions of VGG-19, on pictures normalised as ImageNet's were, grey ones in three channels."""

    kind = "vgg19"
    plan = {  # noqa: RUF012
        "relu1_1": Stage(64),
        "relu1_2": Stage(64),
        "relu2_1": Stage(128, True),
        "relu2_2": Stage(128),
        "relu3_1": Stage(256, True),
        "relu3_2": Stage(256),
        "relu3_3": Stage(256),
        "relu3_4": Stage(256),
        "relu4_1": Stage(512, True),
    }
    usual = ("relu1_1", "relu2_1", "relu3_1")

    def entering(self, channels: int) -> int:
        return 3

    def prepared(self, x: Tensor) -> Tensor:
        mean, deviation = (x.new_tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
        return (x.expand(-1, 3, -1, -1) - mean) / deviation

    def halve(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2)


NETWORKS: tuple[type[Features], ...] = (FeatureNet, VGG19)


def kind_of(layers: Sequence[str]) -> type[Features]:
    """The network whose layers have these names; Refused where none has all of them."""
    for network in NETWORKS:
        if all(layer in network.plan for layer in layers):
            return network
    every = [name for network in NETWORKS for name in network.plan]
    strange = next((layer for layer in layers if layer not in every), None)
    if strange is None:
        raise Refused(f"layers must all be of one network; got {', '.join(layers)}")
    ours, theirs = (", ".join(network.plan) for network in NETWORKS)
    raise Refused(
        f"layers are some of {ours} of features that were trained here, or of {theirs} of VGG-19; got {strange!r}"
        f"{suggest(strange, every)}"
    )


def network_of(layers: Sequence[str], channels: int) -> Features:
    """The network that has these layers, by default a `FeatureNet`, with random weights that no training moves."""
    return fixed(kind_of(layers)(channels, layers))


def fixed(network: Features) -> Features:
    """The network with its weights as buffers: saved and copied like weights, seen by no optimiser."""
    for module in network.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, weight.detach())
    return network.eval()
