"""The judge's network, which regressors share the body of, what it reads, its card, and the file it is kept in."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condvae.errors import Refused
from condvae.images import Images, as_images, unit
from condvae.names import counted
from condvae.nets import evaluating
from condvae.storage import read_tensors, write_tensors

__all__ = ["Judge", "JudgeCard", "JudgeReading", "Trunk", "fingerprint", "stored_network", "working_size"]

Network = TypeVar("Network", bound="Trunk")

FEATURES = 128
FORMAT = "condvae judge 1"
READ_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class JudgeReading:
    """What a judge read: position in `values` [N] int64, probabilities [N, K], features [N, 128], both
    float32.
    """

    index: np.ndarray
    probabilities: np.ndarray
    features: np.ndarray


@dataclass(frozen=True, slots=True)
class JudgeCard:
    """What a judge was trained on and how well it reads real pictures.

    data: the collection's name; values: the K labels in order; shape: [C, H, W]; fingerprint: of the
    training images and labels; right of tested: how many real images that it never saw it read rightly;
    tested_on: their fingerprint; held_out: whether they were kept back from the training part, for want of
    a test part.
    """

    data: str
    values: tuple[str, ...]
    shape: tuple[int, int, int]
    fingerprint: str = ""
    right: int = 0
    tested: int = 0
    tested_on: str = ""
    held_out: bool = False

    @property
    def accuracy(self) -> float:
        """Share of unseen real images read rightly, in [0, 1]; NaN where none was at hand."""
        return self.right / self.tested if self.tested else math.nan

    def sentence(self) -> str:
        which = "held-out training" if self.held_out else "test"
        if not self.tested:
            return f"judge: a classifier of the real images of {self.data}; how well it reads is not known"
        return (
            f"judge: a classifier trained on the real training images of {self.data} alone; it reads "
            f"{100 * self.accuracy:.2f} % of {counted(self.tested, f'real {which} image')} rightly"
        )


def _block(before: int, after: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(before, after, size, stride, size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def working_size(height: int, width: int) -> tuple[int, int]:
    """The size at which pictures are read: their own from 12 to 36 pixels a side, else 16 x 16 or 32 x 32."""
    if max(height, width) > 36:
        return (32, 32)
    return (16, 16) if min(height, width) < 12 else (height, width)


class Trunk(nn.Module):
    """A small convolutional network of pictures [N, C, H, W] in [0, 1], for any size and colour: 128 features, then
    `outputs` numbers. The body of a judge and of a regressor alike.
    """

    def __init__(self, shape: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        self.shape = shape
        channels, height, width = shape
        self.size = working_size(height, width)
        side = tuple(min(4, -(-length // 8)) for length in self.size)
        self.body = nn.Sequential(
            _block(channels, 32, 5, 2),
            _block(32, 48),
            _block(48, 96, 3, 2),
            _block(96, 96),
            _block(96, 128, 3, 2),
        )
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.dense = nn.Linear(128 * math.prod(side), FEATURES, bias=False)
        self.norm = nn.BatchNorm1d(FEATURES)
        self.out = nn.Linear(FEATURES, outputs)

    def resized(self, x: Tensor) -> Tensor:
        if tuple(x.shape[2:]) == self.size:
            return x
        shrink = x.shape[2] >= self.size[0] and x.shape[3] >= self.size[1]
        if shrink:
            return F.interpolate(x, size=self.size, mode="area")
        return F.interpolate(x, size=self.size, mode="bilinear", align_corners=False)

    def features(self, x: Tensor) -> Tensor:
        """Last hidden layer [B, 128] of pictures [B, C, H, W] in [0, 1]."""
        body = self.body((2 * self.resized(x) - 1).contiguous(memory_format=torch.channels_last))
        return F.relu(self.norm(self.dense(self.pool(body).flatten(1))))

    def forward(self, x: Tensor) -> Tensor:
        """What the network says of each picture [B, outputs]: logits, or standardised numbers."""
        return self.out(self.features(x))

    def looked(self, x: object) -> tuple[Tensor, Tensor]:
        """(outputs [N, outputs], features [N, 128]) of pictures, anything that `as_images` takes, a chunk at a time.

        Raises:
            Refused: pictures of another size or number of channels than those it was trained on.
        """
        images, _ = as_images(x)
        if tuple(images.shape[1:]) != tuple(self.shape):
            raise Refused(
                f"x must hold pictures of {list(self.shape)} as [C, H, W], as in the {type(self).__name__.lower()}'s "
                f"training; got {list(images.shape[1:])}"
            )
        device = self.out.weight.device
        outputs, features = [], []
        with evaluating(self):
            for start in range(0, len(images), READ_AT_ONCE):
                seen = self.features(unit(images[start : start + READ_AT_ONCE]).to(device))
                features.append(seen.cpu())
                outputs.append(self.out(seen).cpu())
        return torch.cat(outputs), torch.cat(features)

    def write(self, path: str | os.PathLike[str], facts: dict[str, str]) -> None:
        """Write weights and facts to `path` as safetensors, whole or not at all; matrices as float16."""
        tensors = {name: value.half() if value.ndim > 1 else value for name, value in self.state_dict().items()}
        write_tensors(Path(path), tensors, facts)


class Judge(Trunk):
    """A small convolutional classifier of pictures [N, C, H, W] in [0, 1], for any size, colour and number
    of labels.
    """

    def __init__(self, card: JudgeCard) -> None:
        super().__init__(card.shape, len(card.values))
        self.card = card

    @property
    def values(self) -> tuple[str, ...]:
        return self.card.values

    @property
    def accuracy(self) -> float:
        """Share of real images, none of them trained on, that it reads rightly, in [0, 1]; NaN if not known."""
        return self.card.accuracy

    def read(self, x: object) -> JudgeReading:
        """Read pictures, anything that `as_images` takes, a chunk at a time.

        Raises:
            Refused: pictures of another size or number of channels than those it was trained on.
        """
        logits, features = self.looked(x)
        return JudgeReading(logits.argmax(1).numpy(), logits.softmax(1).numpy(), features.numpy())

    def tested(self, x: Images, index: np.ndarray, held_out: bool = False) -> Judge:
        """The judge itself, its card renewed by its accuracy on real images that it never saw; -1 = label
        unknown.
        """
        known = index >= 0
        right = int((self.read(x).index == index)[known].sum())
        mark = fingerprint(x, index, self.values)
        self.card = replace(self.card, right=right, tested=int(known.sum()), tested_on=mark, held_out=held_out)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights and card to `path` as safetensors, whole or not at all; matrices as float16."""
        self.write(path, {"format": FORMAT, "card": json.dumps(asdict(self.card))})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Judge:
        """Read a judge that `save` wrote.

        Raises:
            Refused: the file is missing, truncated, or no judge of this version.
        """
        return stored_network(path, FORMAT, "judge", lambda card: cls(_card(card)))


def stored_network(
    path: str | os.PathLike[str], form: str, what: str, made: Callable[[dict[str, Any]], Network]
) -> Network:
    """The network whose card and weights `path` holds, `made` from its card; Refused as `Judge.load` says."""
    tensors, facts = read_tensors(Path(path))
    if facts.get("format") != form:
        raise Refused(f"{os.fspath(path)} must be a {what} as saved by this version; it is something else")
    try:
        network = made(json.loads(facts["card"]))
        network.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        raise Refused(
            f"{os.fspath(path)} must be a {what} saved whole; its parts do not fit ({type(error).__name__}), "
            "delete it and it is trained anew"
        ) from error
    return network.to(memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue]


def _card(data: dict) -> JudgeCard:
    return JudgeCard(**{**data, "values": tuple(data["values"]), "shape": tuple(data["shape"])})


def fingerprint(x: Images, index: np.ndarray, values: Sequence[str]) -> str:
    """SHA-256 of pictures, as 8 bits a pixel, and labels: the same for 0..255 and the same divided by 255."""
    digest = hashlib.sha256(json.dumps([list(x.shape), list(values)]).encode())
    for chunk in x.chunks():
        bits = chunk if chunk.dtype == torch.uint8 else (chunk * 255).round_().to(torch.uint8)
        digest.update(bits.contiguous().numpy().data)
    digest.update(np.ascontiguousarray(index, dtype="<i8").data)
    return digest.hexdigest()
