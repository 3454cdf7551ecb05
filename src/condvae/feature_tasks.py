"""What features are learnt by: telling a label or a number of real pictures or, without either, how they are turned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from condvae.conditions import Label
from condvae.data import Part
from condvae.errors import Refused, suggest

__all__ = ["Task", "task_of"]

TURNS = {True: ("0", "90", "180", "270"), False: ("0", "180")}  # degrees that keep a picture's shape: square or not


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be told of a part's pictures.

    kind: "label" (cross entropy), "number" (mean square) or "rotation": each picture is turned by a random one of
    `classes`, in degrees, and the network is to tell which (Gidaris, Singh, Komodakis, "Unsupervised Representation
    Learning by Predicting Image Rotations", 2018). of: the field's name; classes: of a label or rotation; truth: [N]
    positions in `classes`, -1 = unknown, or standardised numbers [N, D], NaN = unknown.
    """

    kind: Literal["label", "number", "rotation"]
    of: str
    classes: tuple[str, ...]
    truth: Tensor

    @property
    def outputs(self) -> int:
        """How many numbers the network gives of a picture."""
        return self.truth.shape[1] if self.kind == "number" else len(self.classes)

    @property
    def rows(self) -> Tensor:
        """The rows of which the truth is known, [M] int64."""
        known = ~self.truth.isnan().any(1) if self.kind == "number" else self.truth >= 0
        return known.nonzero()[:, 0]

    def strata(self, rows: Tensor) -> list[str] | None:
        """The class of each of these rows, by which some are held out; None where there are none."""
        return [self.classes[place] for place in self.truth[rows].tolist()] if self.kind == "label" else None

    def posed(self, x: Tensor, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(pictures [B, C, H, W], what is to be told of them) for the pictures x of these rows."""
        wanted = self.truth[rows]
        if self.kind != "rotation":
            return x, wanted
        turn = torch.randint(len(self.classes), (len(x),), generator=generator)
        quarters = 4 // len(self.classes)
        turned = torch.empty_like(x)
        for place in range(len(self.classes)):
            turned[turn == place] = torch.rot90(x[turn == place], place * quarters, (2, 3))
        return turned, turn

    def cost(self, told: Tensor, wanted: Tensor) -> Tensor:
        """The loss [] of what was told [B, outputs]."""
        return F.mse_loss(told, wanted) if self.kind == "number" else F.cross_entropy(told, wanted)

    def score(self, told: Tensor, wanted: Tensor) -> float:
        """The share told rightly, in [0, 1]; of a number the share of the variance that is explained, at most 1."""
        if self.kind == "number":
            return 1 - float((told - wanted).square().mean() / wanted.var(0, correction=0).mean().clamp_min(1e-12))
        return float((told.argmax(1) == wanted).double().mean())


def task_of(part: Part, field: str | None = None) -> Task:
    """The task of a part: that field, by default the first label, else the first number, else rotation.

    Raises:
        Refused: a field that the part has not, or of which fewer than two pictures have a value.
    """
    names = (*part.labels, *part.numbers)
    if field is not None and field not in names:
        have = f"one of {', '.join(names)}" if names else "left out, for these pictures have no labels or numbers"
        raise Refused(f"field must be {have}; got {field!r}{suggest(field, names)}")
    chosen = field or next(iter(names), None)
    if chosen is None:
        task = Task(
            "rotation", "", TURNS[part.x.shape[2] == part.x.shape[3]], torch.zeros(len(part), dtype=torch.int64)
        )
    elif chosen in part.labels:
        known = [name for name in part.labels[chosen] if name is not None]
        if not known:
            raise Refused(f"{chosen!r} is known of no picture; name another field, or leave the labels out")
        label = Label.learn(chosen, known)
        places = {value: place for place, value in enumerate(label.values)}
        index = [-1 if name is None else places[name] for name in part.labels[chosen]]
        task = Task("label", chosen, label.values, torch.tensor(index))
    else:
        values = np.asarray(part.numbers[chosen], np.float64)
        spread = np.maximum(np.nanstd(values, 0), 1e-12)
        task = Task("number", chosen, (), torch.from_numpy((values - np.nanmean(values, 0)) / spread).float())
    if len(task.rows) < 2:
        raise Refused(f"features need at least two pictures to learn from; got {len(task.rows)}")
    return task
