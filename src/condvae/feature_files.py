"""Feature networks on disk: the folder that `condvae train-features` writes, and VGG-19's weights as torchvision keeps
them, which are never downloaded: a user points to the file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from condvae.errors import Refused
from condvae.features import VGG19, FeatureNet, Features, fixed, kind_of
from condvae.names import counted
from condvae.storage import read_json, read_tensors, write_json, write_tensors

__all__ = ["FeatureCard", "load_features", "network_at", "poured", "save_features", "vgg19_weights"]

FORMAT = "condvae features 1"
CARD, WEIGHTS = "features.json", "features.safetensors"
TRAIN = "condvae train-features DATA"


@dataclass(frozen=True)
class FeatureCard:
    """What features were learnt from, and how well.

    kind: "trained" or "vgg19"; channels: of the pictures; layers: what there is to read; task: "label", "number" or
    "rotation"; of: the field's name; classes: the label's values, or the rotations in degrees; data: the collection's
    name; rows: how many pictures; seed, steps; held_out: pictures kept back; score: on them, the share read rightly, or
    of a number the share of the variance that is explained.
    """

    kind: str = FeatureNet.kind
    channels: int = 1
    layers: tuple[str, ...] = tuple(FeatureNet.plan)
    task: str = ""
    of: str = ""
    classes: tuple[str, ...] = ()
    data: str = ""
    rows: int = 0
    seed: int = 0
    steps: int = 0
    held_out: int = 0
    score: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def sentence(self) -> str:
        """What the features are, in words."""
        if self.kind == VGG19.kind:
            return "Features: VGG-19, from a file of weights."
        what = {"label": f"tell {self.of}", "number": f"tell {self.of}", "rotation": "tell how they are turned"}
        told = f"Features: learnt to {what[self.task]}, on {counted(self.rows, 'training picture')} of {self.data}"
        if self.score is None:
            return f"{told}."
        of = counted(self.held_out, "held-out picture")
        if self.task == "number":
            return f"{told}; {100 * self.score:.1f} % of the variance explained on {of}."
        return f"{told}; {100 * self.score:.2f} % of {of} told rightly."


def save_features(folder: Path, network: Features, card: FeatureCard) -> None:
    """Write network and card into a folder: the card comes last, and a folder without one holds no features."""
    write_tensors(folder / WEIGHTS, network.state_dict(), {"format": FORMAT})
    write_json(folder / CARD, {"format": FORMAT, **asdict(card)})


def load_features(path: str | Path) -> tuple[Features, FeatureCard]:
    """(the network with all its layers, fixed, its card) of a folder that `save_features` wrote.

    Raises:
        Refused: a folder that holds no features, or whose files are damaged.
    """
    folder = Path(path)
    if not (folder / CARD).is_file():
        hint = "" if folder.is_dir() else ", and no such folder"
        raise Refused(f"{folder} holds no features: no {CARD}{hint}; `{TRAIN}` writes such a folder")
    facts = read_json(folder / CARD)
    if not isinstance(facts, dict) or facts.pop("format", None) != FORMAT:
        raise Refused(f"{folder / CARD} is not of the format {FORMAT!r}; train the features anew: `{TRAIN}`")
    try:
        plain: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in facts.items()}
        card = FeatureCard(**plain)
        network = fixed(FeatureNet(card.channels, tuple(FeatureNet.plan)))
        network.load_state_dict(read_tensors(folder / WEIGHTS)[0])
    except (TypeError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        raise Refused(f"the features in {folder} are damaged ({said}); train them anew: `{TRAIN}`") from None
    return network, card


def vgg19_weights(path: str | Path) -> dict[str, Tensor]:
    """The first convolutions of torchvision's VGG-19, by the names of `VGG19`, from a file of its weights.

    The file is torchvision's state dict, whole or its beginning: `features.0.weight` [64, 3, 3, 3] and so on, each
    checked by name and shape. Nothing in it is executed (`weights_only`).

    Raises:
        Refused: no such file, one that cannot be read as weights alone, or weights of another network.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats: what matters is whether the weights are there
            held = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise Refused(f"there is no file {path}; perceptual names VGG-19's weights or a folder of features") from None
    except Exception as error:  # torch answers a file that is none of its own with whatever its parsers stumble over
        said = type(error).__name__
        raise Refused(f"{path} cannot be read as VGG-19's weights ({said}); save the state dict alone") from None
    if not isinstance(held, Mapping):
        raise Refused(f"{path} must hold VGG-19's state dict, names and tensors; it holds a {type(held).__name__}")
    found: dict[str, Tensor] = {}
    place = 0
    for name, conv in VGG19(3, tuple(VGG19.plan)).convs.items():
        place += VGG19.plan[name].halved
        for part, wanted in conv.named_parameters():
            key, shape = f"features.{place}.{part}", list(wanted.shape)
            weight = held.get(key)
            if not isinstance(weight, Tensor) or not weight.is_floating_point():
                raise Refused(f"{path} must hold VGG-19's weights under torchvision's names; {key!r} is missing")
            if list(weight.shape) != shape:
                raise Refused(f"{path} must hold VGG-19's weights; {key!r} is {list(weight.shape)}, not {shape}")
            found[f"convs.{name}.{part}"] = weight.detach().float()
        place += 2  # the convolution and its ReLU
    return found


def network_at(path: str | Path) -> type[Features]:
    """Which network a path holds: a file VGG-19's weights, all else features that were trained here."""
    return VGG19 if Path(path).is_file() else FeatureNet


def poured(network: Features, path: str | Path, channels: int) -> FeatureCard:
    """Pour the weights at `path`, a folder of features or a file of VGG-19's, into a network; what they are.

    channels: of the pictures that are to be compared. Raises Refused where they do not go with the network's layers.
    """
    if network_at(path) is not type(network):
        layers = ", ".join(network.layers)
        raise Refused(
            f"{path} holds features of the layers {', '.join(network_at(path).plan)}; got layers={layers}, which are "
            f"{'VGG-19' if kind_of(network.layers) is VGG19 else 'of features trained here'}"
        )
    if isinstance(network, VGG19):
        weights, card = vgg19_weights(path), FeatureCard(VGG19.kind, channels, tuple(VGG19.plan))
    else:
        whole, card = load_features(path)
        weights = whole.state_dict()
    if card.channels != channels:
        colours = {1: "grey", 3: "colour"}
        raise Refused(
            f"the features in {path} are of {colours.get(card.channels, card.channels)} pictures, these are "
            f"{colours.get(channels, channels)}; train features on these: `{TRAIN}`"
        )
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
    return card
