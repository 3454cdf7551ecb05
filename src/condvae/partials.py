"""The field of a partial image that may be asked for: what is seen of a picture, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from condvae.errors import Refused


@dataclass(frozen=True)
class Picture:
    """A partial image: what is seen of it, and where. Encoded as C + 1 channels beside the vector; always optional.

    name: the field's name; shape: [C, H, W] of the pictures.
    """

    kind: ClassVar[str] = "picture"
    name: str
    shape: tuple[int, int, int]
    optional: ClassVar[bool] = True
    width: ClassVar[int] = 0
    example: ClassVar[str] = "(x, seen)"

    def many(self, asked: Any) -> bool:
        """Whether `asked` is a list of (x, seen) pairs, or a column as `index` gives it."""
        return isinstance(asked, list) or getattr(asked, "ndim", 0) == 4

    def index(self, asked: Sequence[Any]) -> np.ndarray:
        """Pairs (x [C, H, W] in [0, 1], seen bool [C, H, W], [1, H, W] or [H, W]), None = nothing seen."""
        if isinstance(asked, np.ndarray) and asked.ndim == 4 and asked.shape[1] == self.shape[0] + 1:
            return asked.astype(np.float32)
        out = self.blank(len(asked))
        for row, one in enumerate(asked):
            if one is not None:
                out[row] = self.entry(one)
        return out

    def entry(self, pair: Any) -> np.ndarray:
        """One entry, float32 [C + 1, H, W]; Refused where it is no pair of a picture and what is seen of it."""
        if isinstance(pair, np.ndarray) and pair.shape == (self.shape[0] + 1, *self.shape[1:]):
            return pair.astype(np.float32)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise Refused(f"{self.name} is a pair (x, seen) of a picture and what is seen of it; got {pair!r:.60}")
        x, seen = np.asarray(pair[0], np.float32), np.asarray(pair[1])
        x = x[None] if x.ndim == 2 else x
        if x.shape != tuple(self.shape):
            raise Refused(f"{self.name} must be of the shape [C, H, W] = {list(self.shape)}; got {list(x.shape)}")
        return partial(x[None], seen.reshape(-1, *self.shape[1:])[None].astype(bool))[0]

    def blank(self, rows: int) -> np.ndarray:
        return np.zeros((rows, self.shape[0] + 1, *self.shape[1:]), np.float32)

    def unknown(self, column: np.ndarray) -> np.ndarray:
        return ~column[:, -1].any(axis=(1, 2))  # pyright: ignore[reportReturnType]

    def filled(self, column: np.ndarray, by: np.ndarray) -> np.ndarray:
        return column

    def encode(self, column: np.ndarray) -> torch.Tensor:
        return torch.zeros(len(column), 0)

    def text(self, column: np.ndarray) -> list[str]:
        return [f"{100 * share:.0f} % seen" for share in column[:, -1].mean((1, 2))]

    def control(self) -> dict[str, Any]:
        """What a page shows: a picture to paint a hole in."""
        return {"kind": "paint", "name": self.name, "shape": list(self.shape), "optional": True}

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Picture:
        channels, height, width = data["shape"]
        return cls(data["name"], (int(channels), int(height), int(width)))


def partial(x: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """x [N, C, H, W] and seen [N, 1 or C, H, W] -> what a model is told, [N, C + 1, H, W]: hidden pixels are zeroed.

    A pixel counts as seen where all of its channels are.
    """
    whole = seen.all(1, keepdims=True)
    return np.concatenate([x * whole, whole], 1).astype(np.float32)
