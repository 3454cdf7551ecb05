"""Holes filled: the hidden parts of pictures drawn from p(x | what is seen, what is given)."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from condvae.conditions import Field, Label, partial
from condvae.errors import Refused
from condvae.learned import Asked, Learned, columns_of, whole
from condvae.tasks import generate
from condvae.temperatures import Temperature

__all__ = ["fill", "told_pictures"]


def fill(
    learned: Learned,
    x: Any,
    seen: Any,
    given: Asked | None = None,
    n: int = 5,
    seed: int = 0,
    temperature: Temperature = 1.0,
    guidance: float = 1.0,
    prior: str | None = None,
) -> np.ndarray:
    """n completions of the hidden parts of pictures x, [N, n, C, H, W] float32 in [0, 1].

    x: [N, C, H, W] float in [0, 1], what is hidden may hold anything finite; seen: bool [N, C, H, W] or [N, 1, H, W],
    True where a pixel is given: it comes back bit-identical. given: what else is known, field -> one value, or one a
    row; the rest is unknown. temperature, prior: as in `tasks.generate`. Completion j of picture i is a function of
    (seed, i, j).

    Refused where the model learned to fill no holes, or for arguments that cannot be used.
    """
    field, n = learned.schema.picture, whole(n, "n", 1)
    if field is None:
        raise Refused("this model fills no holes; train one with holes='any' (--holes any)")
    original, told, known = told_pictures(learned, x, seen)
    count = len(told)
    columns = columns_of(learned, given, count)
    asked: dict[str, Any] = {}
    for other in learned.schema.fields:
        column = columns[other.name]
        asked[other.name] = told if other is field else decoded(other, column)
    out = generate(learned, asked, n, seed, temperature, prior, guidance)
    return np.where(known[:, None], original[:, None], out)


def decoded(field: Field, column: np.ndarray) -> list[Any]:
    """A column back as a list of what may be asked."""
    if isinstance(field, Label):
        return [None if place < 0 else field.values[place] for place in column]
    return list(column)


def told_pictures(learned: Learned, x: Any, seen: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pictures float32, what the model is told [N, C + 1, H, W], seen [N, C, H, W] bool) of pictures and masks,
    checked."""
    x = np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x)
    seen = np.asarray(seen.detach().cpu() if isinstance(seen, Tensor) else seen)
    shape = tuple(learned.shape)
    if x.ndim != 4 or x.shape[1:] != shape or x.dtype.kind != "f" or not len(x):
        raise Refused(
            f"x must be float pictures [N, C, H, W] of the shape {list(shape)} that the model was trained on; got "
            f"{list(x.shape)} {x.dtype}"
        )
    if seen.dtype != bool or seen.shape not in (x.shape, (len(x), 1, *shape[1:])):
        shapes = " or ".join(dict.fromkeys(str([len(x), wide, *shape[1:]]) for wide in (shape[0], 1)))
        raise Refused(f"seen must be bool, {shapes}, True where a pixel is given; got {list(seen.shape)} {seen.dtype}")
    known = np.broadcast_to(seen, x.shape)
    inside = np.where(known, x, 0)
    if not np.isfinite(inside).all() or inside.min() < 0 or inside.max() > 1:
        raise Refused("x must lie within [0, 1] where it is seen; scale it, or mark what is not to be read as hidden")
    return x.astype(np.float32), partial(inside, known), known
