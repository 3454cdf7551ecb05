"""The perceptual head: pictures compared by the features of a fixed network, in place of their pixels.

Source: Hou, Shen, Sun, Qiu, "Deep Feature Consistent Variational Autoencoder", 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from condvae.errors import Refused
from condvae.feature_files import TRAIN, network_at
from condvae.features import LEAST_SIDE, Features, kind_of, network_of
from condvae.heads import Pixels
from condvae.settings import Settings
from condvae.trace import Condition

__all__ = ["Perceptual", "PerceptualHead", "compared"]


class Perceptual(Pixels):
    """exp(-weight * sum over layers l of |Phi_l(x) - Phi_l(x')|^2 / (2 C_l H_l W_l)): no density, for nothing says what
    it integrates to.

    x' is the sigmoid of the parameters [B, C, H, W]: what is compared is what is shown. Phi_l are the features of layer
    l, [C_l, H_l, W_l] of one picture.
    """

    def __init__(self, logits: Tensor, network: Features, weight: float) -> None:
        super().__init__(logits)
        self.network = network
        self.weight = weight

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(self.parameters)

    def costs(self, x: Tensor) -> Tensor:
        raise TypeError("features are of whole pictures: a single pixel costs nothing of its own")

    def log_prob(self, value: Tensor, seen: Tensor | None = None) -> Tensor:
        """-weight * the difference of the features, [K * B] for x [B, C, H, W]; features of x are taken once a row."""
        if seen is not None:
            raise ValueError("features are of whole pictures: seen must be None")
        total = self.parameters.new_zeros(())
        # small differences of features that are large: in half the precision nothing would be left of them
        with torch.autocast(value.device.type, enabled=False):
            pairs = zip(self.network.each(value.float()), self.network.each(self.mean), strict=True)
            for (layer, real), (_, made) in pairs:
                if layer in self.network.layers:
                    total = total + 0.5 * (self.split(made, value) - real).square().flatten(2).mean(2)
        return -self.weight * total.flatten()


class PerceptualHead(nn.Module):
    """Feature map [B, C, H, W] -> Perceptual: the map holds the logits of the picture.

    channels: C; layers: of the network that compares, "conv1" or "relu1_1" and others; weight: of the difference of
    features against the KL. The network's weights are random until others are poured in (`feature_files.poured`).
    """

    normalised = "no"

    def __init__(self, channels: int, layers: Sequence[str], weight: float) -> None:
        super().__init__()
        self.network = network_of(layers, channels)
        self.weight = weight

    def forward(self, features: Tensor, c: Condition) -> Pixels:
        return Perceptual(features.float(), self.network, self.weight)


def compared(settings: Settings, likelihood: str, sides: tuple[int, int]) -> tuple[str, ...]:
    """The layers whose features are compared, none of another likelihood than "perceptual".

    likelihood: that of the settings, or what "auto" has found; sides: height and width of the pictures. Refused where
    settings or pictures do not go with features.

    Layers that are given tell by their names what network they are of, so that a run that has its weights is built
    without the place where they once came from.
    """
    if likelihood != "perceptual":
        for name in ("perceptual", "layers"):
            if getattr(settings, name):
                raise Refused(
                    f"{name}={getattr(settings, name)!r} goes with likelihood='perceptual' (--likelihood perceptual); "
                    f"got {likelihood!r}"
                )
        return ()
    if settings.perceptual is None:
        raise Refused(
            "likelihood='perceptual' needs features: perceptual (--perceptual) names a folder that "
            f"`{TRAIN}` wrote, or a file of VGG-19's weights"
        )
    for name, plain, why in (
        ("holes", "none", "features are of whole pictures, not of what is hidden"),
        ("importance", False, "deep features have no likelihood to bound"),
    ):
        if getattr(settings, name) != plain:
            raise Refused(f"{name} must be {plain!r} with likelihood='perceptual', for {why}")
    if min(sides) < LEAST_SIDE:
        raise Refused(f"features need pictures of at least 8 x 8 pixels; these have {sides[0]} x {sides[1]}")
    network = kind_of(settings.layers) if settings.layers else network_at(settings.perceptual)
    return settings.layers or network.usual
