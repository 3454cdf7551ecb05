"""A run: a trained model with all that is needed to ask it, on disk or in memory. JSON, safetensors, JSONL; no pickle.

run.json               recipe, schema, settings, seed, data, versions, status
model.safetensors      the weights used after training (the averaged ones where there are any)
density.safetensors    the density fitted to the latents
checkpoint.safetensors what resuming needs: raw weights, averaged weights, the optimiser's moments
history.jsonl          one line an epoch
pictures/, report.html what to look at
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from condvae import judges, tasks
from condvae.conditions import Schema
from condvae.data import Collection, collect
from condvae.densities import LabelMixture
from condvae.errors import Refused
from condvae.judges import Judge
from condvae.models.base import Model
from condvae.models.build import build
from condvae.nets import Shape
from condvae.scores import CLASSIFY_SAMPLES
from condvae.settings import Settings
from condvae.storage import (
    full_precision,
    half_precision,
    read_json,
    read_tensors,
    write_json,
    write_tensors,
    write_text,
)
from condvae.tasks import Classified, Learned

if TYPE_CHECKING:
    from condvae.measures import Evaluation

FORMAT = 1  # of run.json; a later reader knows what it meets
Asked = Mapping[str, Any]


class Run:
    """A trained model and what may be asked of it.

    Attributes: `model` (the torch module), `schema` (what may be asked), `settings`, `shape` [C, H, W], `history`
    (one dict an epoch), `facts` (recipe, data, versions), `path` (None while in memory), `notes` (what was decided,
    in words).
    """

    def __init__(
        self,
        model: Model,
        schema: Schema,
        settings: Settings,
        shape: Shape,
        density: LabelMixture | None = None,
        history: Sequence[Mapping[str, Any]] = (),
        facts: Mapping[str, Any] | None = None,
        path: Path | None = None,
    ) -> None:
        self.model = model
        self.schema = schema
        self.settings = settings
        self.shape = shape
        self.density = density
        self.history = [dict(row) for row in history]
        self.facts = dict(facts or {})
        self.path = path
        self.collection: Collection | None = None  # what it was trained on, while that is in memory

    def __repr__(self) -> str:
        fields = ", ".join(f"{f.name}: {len(f.values)} values" for f in self.schema.fields) or "nothing to ask for"
        place = f" at {self.path}" if self.path else ""
        name = self.facts.get("data", {}).get("name")
        return f"Run({self.facts.get('recipe') or 'defaults'} on {name}; {fields}{place})"

    @property
    def learned(self) -> Learned:
        """What the tasks and measures need of the run."""
        s = self.settings
        return Learned(self.model, self.schema, self.shape, s.binarise, self.density, s.precision)

    def generate(
        self,
        asked: Asked | None = None,
        n: int = 1,
        seed: int = 0,
        temperature: float = 1.0,
        prior: str | None = None,
    ) -> np.ndarray:
        """Pictures of what is asked: float32 [n, C, H, W] in [0, 1], or [N, n, C, H, W] for a list of N values.

        asked: field name -> value, or a list of values; None or an absent field = unknown. prior: "fitted" (default
        where a density was fitted), or "model". Picture i depends on (seed, i) alone. Raises Refused.
        """
        return tasks.generate(self.learned, asked, n, seed, temperature, prior)

    def reconstruct(self, x: Any, given: Asked | None = None, seed: int | None = None) -> np.ndarray:
        """x through posterior and decoder, [N, C, H, W]; deterministic unless seeded."""
        return tasks.reconstruct(self.learned, x, given, seed)

    def restyle(self, x: Any, given: Asked | None, to: Asked, seed: int | None = None) -> np.ndarray:
        """x in its own style under other conditions, [N, C, H, W]; a list of K labels gives [N, K, C, H, W]."""
        return tasks.restyle(self.learned, x, given, to, seed)

    def interpolate(self, a: Any, b: Any, given_a: Asked | None = None, given_b: Asked | None = None, steps: int = 9):
        """From pictures a to pictures b through the latents: [N, steps, C, H, W]."""
        return tasks.interpolate(self.learned, a, b, given_a, given_b, steps)

    def manifold(self, asked: Asked | None = None, size: int = 15, units: tuple[int, int] = (0, 1)) -> np.ndarray:
        """The latent plane of one condition as pictures, [size, size, C, H, W]."""
        return tasks.manifold(self.learned, asked, size, units)

    def classify(
        self, x: Any, field: str | None = None, given: Asked | None = None, k: int | None = None
    ) -> Classified:
        """Which label x has, by Bayes' rule on the bound: `.names` [N], `.probabilities` [N, K]."""
        return tasks.classify(self.learned, x, field, given, CLASSIFY_SAMPLES if k is None else k)

    def log_prob(
        self, x: Any, given: Asked | None = None, k: int = 500, seed: int = 0, prior: str | None = None
    ) -> np.ndarray:
        """log p(x | c) by k importance samples, float64 [N] nats, under the run's protocol of grey pixels."""
        return tasks.log_prob(self.learned, x, given, k, seed, prior)

    def embed(self, x: Any, given: Asked | None = None, seed: int | None = None) -> np.ndarray:
        """Posterior means of x's latents [N, Z]; a posterior draw where seeded."""
        return tasks.embed(self.learned, x, given, seed)

    def evaluate(
        self,
        x: Any,
        given: Asked | None = None,
        judge: Judge | None = None,
        k: int | None = None,
        limit: int | None = None,
        prior: str | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Evaluation:
        """How good the model is on x [N, C, H, W] with its labels, in numbers and words.

        judge: reads the labels of what the model draws; by default the one pinned for the data, else one trained once
        on the run's training images where they are in memory, else on half of x, and kept in the user's cache. k:
        importance samples an image (100); limit: images whose likelihood is weighed (1,000; 0 = all). Raises Refused.
        """
        from condvae.measures import evaluate

        real = self.collection.train if self.collection is not None and self.schema.fields else None
        if judge is None and self.schema.fields and given:
            judge = self._judge(x, given)
        return evaluate(self.learned, x, given, judge, real, k, limit, prior, progress=progress)

    def _judge(self, x: Any, given: Asked) -> Judge | None:
        """The judge of what is asked: pinned, or trained on images that the model is not measured on."""
        field = self.schema.fields[0]
        if len(self.schema.fields) != 1 or field.name not in given:
            return None
        pinned = judges.pinned(str(self.facts.get("data", {}).get("name")), field.values, self.shape)
        if pinned is not None:
            return pinned
        shown = collect(x, {field.name: given[field.name]})
        if self.collection is not None:
            return judges.judge_for(replace(self.collection, test=shown.train), field.name)
        return judges.judge_for(shown, field.name)

    def save(self, path: str | Path, half: bool = False) -> Path:
        """Write the run into a folder; `half` stores the weights in half precision."""
        folder = Path(path)
        weights = self.model.state_dict()
        write_tensors(folder / "model.safetensors", half_precision(weights) if half else weights)
        if self.density is not None:
            table = self.density.state_dict()
            sizes = {"sizes": json.dumps(self.density.sizes)}
            write_tensors(folder / "density.safetensors", half_precision(table) if half else table, sizes)
        write_text(folder / "history.jsonl", "".join(json.dumps(row) + "\n" for row in self.history))
        write_json(folder / "run.json", self.to_json())
        self.path = folder
        return folder

    def to_json(self) -> dict[str, Any]:
        """All but the weights."""
        return {
            "format": FORMAT,
            **self.facts,
            "shape": list(self.shape),
            "schema": self.schema.to_json(),
            "settings": self.settings.model_dump(mode="json"),
        }


def load(path: str | Path) -> Run:
    """The run in a folder, on the CPU. Refused in one sentence where there is none or a file is damaged."""
    folder = Path(path)
    if not (folder / "run.json").is_file():
        hint = "" if folder.is_dir() else ", and no such folder"
        raise Refused(f"{folder} is no run: it holds no run.json{hint}; name a folder that `condvae train` wrote")
    data = read_json(folder / "run.json")
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise Refused(f"{folder / 'run.json'} is not of format {FORMAT}; it was written by another version of condvae")
    try:
        schema = Schema.from_json(data.pop("schema"))
        settings = Settings.model_validate(data.pop("settings"))
        channels, height, width = data.pop("shape")
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"{folder / 'run.json'} lacks or garbles what a run needs ({error})") from None
    shape = (int(channels), int(height), int(width))
    model = build(settings, schema, shape)
    pour(model, folder / "model.safetensors")
    density = None
    if (folder / "density.safetensors").is_file():
        table, sizes = read_tensors(folder / "density.safetensors")
        density = read_density(folder / "density.safetensors", table, sizes)
    data.pop("format")
    return Run(model, schema, settings, shape, density, read_history(folder), data, folder)


def read_density(path: Path, table: Mapping[str, Tensor], facts: Mapping[str, str]) -> LabelMixture:
    """The density of a file; Refused where the file holds something else."""
    try:
        density = LabelMixture(**json.loads(facts["sizes"]))
        density.load_state_dict(full_precision(table))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise Refused(f"{path} does not hold a density of condvae's ({first}); remove it, or train anew") from None
    return density


def pour(model: nn.Module, path: Path) -> None:
    """Weights of a file into a model; Refused where they are another model's."""
    weights, _ = read_tensors(path)
    try:
        model.load_state_dict(full_precision(weights))
    except RuntimeError as error:
        raise Refused(f"{path} does not fit the model that run.json describes ({str(error).splitlines()[0]})") from None


def read_history(folder: Path) -> list[dict[str, Any]]:
    """One dict an epoch; a last line that was cut off is left out."""
    rows: list[dict[str, Any]] = []
    path = folder / "history.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
