"""What a recipe is: a row of differences over the default settings, with the numbers that its source published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL.Image import Image

from condvae.data import Collection, Part
from condvae.judges import Judge
from condvae.results import read
from condvae.settings import Settings
from condvae.tasks import Learned

History = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """A finished reproduction, as a recipe's measure reads it. `snapshots`: epoch -> pictures drawn then; `settings`:
    those of the training; `labelled`: the rows whose inferred label was known in it; `minutes`: of training, on the
    clock; `features`: where deep features of the data lie, which are trained where there are none; `cpu_minutes`: of
    training, summed over the processor's cores."""

    learned: Learned
    history: History
    collection: Collection
    judge: Callable[[], Judge]
    snapshots: Mapping[int, Image] = field(default_factory=dict)
    seed: int = 0
    variant: str = ""
    results: Path | None = None
    settings: Settings | None = None
    labelled: Part | None = None
    minutes: float = 0.0
    features: Callable[[], str] | None = None
    cpu_minutes: float = 0.0

    def reference(self, name: str, variant: str) -> Mapping[str, Any] | None:
        """The values of another recipe's first committed run of a variant; None where it has not been run."""
        found = read(self.results / f"{name}.json") if self.results is not None else []
        return next((run["values"] for run in found if run["variant"] == variant), None)


@dataclass(frozen=True)
class Line:
    """One published number beside ours: what, published (None = the source gives none), obtained, the goal in words
    and whether it was met (None = no goal)."""

    what: str
    published: float | None
    obtained: float
    goal: str = ""
    met: bool | None = None


Measure = Callable[[Outcome], tuple[dict[str, Any], list[Line]]]
Draw = Callable[[Outcome], dict[str, Image]]
Subset = Callable[[Collection, str], Collection]
Follow = Callable[[Learned, Collection], dict[str, Any]]
Snapshot = Callable[[Learned, Collection], Image]


@dataclass(frozen=True)
class Recipe:
    """One published experiment.

    settings: differences over the defaults; variants: name -> further differences, the first being the default;
    unconditional: variants trained without the condition; collections: variants on other data; subset: (data, variant)
    -> the rows of it that the variant is trained and measured on; watch_test: the source prints the test loss of each
    epoch; half: weights are kept, and measured, in half precision; features: variants that compare deep features of the
    data, trained before on its training images; snapshots: epochs after which a picture is drawn, by `snapshot`, or
    else a row a label; follow: plain numbers of the model as it stands, which are put into the history under "followed"
    `looks` times, evenly over the training; seeds: those of the committed results.
    """

    name: str
    title: str
    source: str
    data: str
    settings: Mapping[str, Any]
    protocol: str
    measure: Measure
    draw: Draw
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"cvae": {}})
    unconditional: frozenset[str] = frozenset()
    collections: Mapping[str, str] = field(default_factory=dict)
    watch_test: bool = False
    subset: Subset | None = None
    half: bool = False
    features: frozenset[str] = frozenset()
    snapshots: tuple[int, ...] = ()
    snapshot: Snapshot | None = None
    follow: Follow | None = None
    looks: int = 24
    seeds: tuple[int, ...] = (0, 1)

    def settings_for(self, variant: str) -> dict[str, Any]:
        """All differences over the defaults for a variant."""
        return {**self.settings, **self.variants[variant]}

    def follows(self, epoch: int, epochs: int) -> bool:
        """Whether numbers are taken after that epoch of so many; after the last one always."""
        return self.follow is not None and epoch * self.looks // epochs > (epoch - 1) * self.looks // epochs
