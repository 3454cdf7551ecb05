"""What every model of the house is: one pass that returns a Trace, and the loss that reads it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor, nn

from condvae.objectives import warm_up
from condvae.trace import Batch, Condition, Draw, Settled, Shown, Trace

Terms = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Player:
    """Parameters that are trained for an end of their own: their learning rate as a multiple of the settings', and
    Adam's decays of the gradient's mean and square."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    rate: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True, slots=True)
class Objective:
    """What the trainer asks of the ELBO.

    beta: weight of the KL, reached from `beta_start` along a line over the share `warm_up` of the training; free_bits:
    nats a unit that are not charged; samples: Monte-Carlo samples a row; importance: their importance-weighted bound in
    place of the ELBO.
    """

    beta: float = 1.0
    warm_up: float = 0.0
    beta_start: float = 0.0
    free_bits: float = 0.0
    samples: int = 1
    importance: bool = False

    def weight(self, progress: float) -> float:
        """Weight of the KL at a progress in [0, 1] of the training."""
        return self.beta_start + (self.beta - self.beta_start) * warm_up(progress, self.warm_up)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is asked of a classifier within a model, beside the bound; weights in nats a row.

    classify: of the cross entropy of known labels; consistency: of that of strongly changed pictures with what is
    surely read in them as they are; mixup: of that of mixed pictures with their mixed readings; information: of what
    the readings of a picture and of its changed twin fail to tell of one another. teacher: decay of the averaged
    classifier that reads pictures as they are, 0 = the classifier itself. guide: share of the training in which a dense
    classifier reads them, from whose sure readings the other learns.
    """

    classify: float = 1.0
    consistency: float = 0.0
    mixup: float = 0.0
    information: float = 0.0
    teacher: float = 0.0
    guide: float = 0.0

    @property
    def in_pairs(self) -> bool:
        """Whether the classifier reads each picture with a changed twin."""
        return bool(self.consistency or self.mixup or self.information)


class Model(nn.Module, ABC):
    """A conditional model p(x | c) with latents.

    model(c)         generates: z from the prior, x from the decoder
    model(c, x)      infers: z from the posterior
    model(c, z=z)    decodes: z as given

    In x's place may stand what `look(c, x)` gave.
    """

    objective = Objective()
    helpers: tuple[str, ...] = ()  # how the weights are named that only training needs: a run's file is without them
    floors: Mapping[str, float] = MappingProxyType({})  # terms that no sound training leaves below these for long

    @property
    def head(self) -> nn.Module | None:
        """The last step, from features to the distribution of the pixels; the decoder's, where it has one."""
        return getattr(getattr(self, "decoder", None), "head", None)

    def players(self) -> tuple[Player, ...]:
        """The parameters by player; most models have one."""
        return (Player("model", tuple(self.parameters())),)

    @abstractmethod
    def forward(
        self,
        c: Condition,
        x: Shown | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Trace: ...

    def look(self, c: Condition, x: Shown) -> Shown:
        """What a pass reads of x under c that no noise changes: computed once where many passes over the same pictures
        follow. `model(c, looked)` is bitwise `model(c, x)` with the same noise; looked comes back as it is.

        By default x itself: nothing is spared.
        """
        return x

    def settle(
        self,
        c: Condition,
        x: Shown | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Settled:
        """The latents of the pass alone, bitwise those of `model(c, x, z, draw)`, without p(x | z, c) where that is
        spared. By default the whole Trace: nothing is spared.
        """
        return self(c, x, z, draw)

    @abstractmethod
    def loss(self, batch: Batch, progress: float, draw: Draw) -> tuple[Terms, Terms]:
        """(terms, notes): named terms whose sum is minimised, and detached notes; means over the batch, in nats."""
