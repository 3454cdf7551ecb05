"""A run: a trained model with all that is needed to ask it, on disk or in memory. JSON, safetensors, JSONL; no pickle.

run.json               recipe, schema, settings, seed, data, versions, status
model.safetensors      the weights used after training (the averaged ones where there are any)
density.safetensors    the mixture fitted to the latents
flow.safetensors       the flow fitted to them, where there is one
checkpoint.safetensors what resuming needs: raw weights, averaged weights, the optimiser's moments
history.jsonl          one line an epoch
measures.json          what was measured last of it; typical.json: the ranges of what is typical of the images
pictures/, report.html what to look at
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from condvae import mixtures, tasks, walks
from condvae.canvases import Canvases, canvases, canvases_of
from condvae.conditions import Schema
from condvae.data import Collection, collect
from condvae.density_io import load_density, save_density
from condvae.errors import Refused
from condvae.fills import fill
from condvae.flows import FlowDensity
from condvae.learned import pictures_of, temperature_in
from condvae.models.base import Model
from condvae.models.build import build
from condvae.names import counted
from condvae.nets import Shape
from condvae.panel import Panel, Reader, panel_of
from condvae.scores import CLASSIFY_SAMPLES, label_field
from condvae.settings import Settings
from condvae.storage import (
    half_precision,
    kept,
    pour,
    read_history,
    read_json,
    write_json,
    write_tensors,
    write_text,
)
from condvae.table_tasks import FEW, as_learnt, impute, no_pictures, part_of_table, rows_given
from condvae.tables import decode_rows
from condvae.tasks import Classified, Learned
from condvae.temperatures import Temperature

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
        density: nn.Module | None = None,
        history: Sequence[Mapping[str, Any]] = (),
        facts: Mapping[str, Any] | None = None,
        path: Path | None = None,
        outputs: Schema | None = None,
        flow: nn.Module | None = None,
    ) -> None:
        self.model = model
        self.schema = schema
        self.settings = settings
        self.shape = shape
        self.density = density
        self.flow = flow
        self.outputs = outputs
        self.history = [dict(row) for row in history]
        self.facts = dict(facts or {})
        self.path = path
        self.collection: Collection | None = None  # what it was trained on, while that is in memory

    def __repr__(self) -> str:
        fields = ", ".join(f"{f.name}: {f.kind}" for f in self.schema.fields) or "nothing to ask for"
        place = f" at {self.path}" if self.path else ""
        name = self.facts.get("data", {}).get("name")
        return f"Run({self.facts.get('recipe') or 'defaults'} on {name}; {fields}{place})"

    @property
    def learned(self) -> Learned:
        """What the tasks and measures need of the run."""
        s = self.settings
        return Learned(
            self.model,
            self.schema,
            self.shape,
            s.binarise,
            self.density,
            s.precision,
            self.flow,
            s.holes,
            self.outputs,
            s.infer,
        )

    def generate(
        self,
        asked: Asked | None = None,
        n: int = 1,
        seed: int = 0,
        temperature: Temperature = 1.0,
        prior: str | None = None,
        guidance: float = 1.0,
    ) -> Any:
        """Pictures of what is asked: float32 [n, C, H, W] in [0, 1], or [N, n, C, H, W] for a list of N values.

        Of a table: column name -> values [n] or [N, n], in the table's own names and units.

        asked: field name -> value, or a list of values; None or an absent field = unknown. temperature: of the noise, 0
        = the mean; one number, or one a latent in order. prior: "fitted" (default where a density was fitted), "flow"
        where one was fitted (`fit_flow`), or "model". guidance: above 1, what is asked is exaggerated (needs fields
        that may be left out). Picture i depends on (seed, i) alone. Raises Refused.
        """
        drawn = tasks.generate(self.learned, asked, n, seed, temperature, prior, guidance)
        return drawn if self.outputs is None else decode_rows(self.outputs, drawn)

    def canvases(
        self, asked: Asked | None = None, n: int = 1, seed: int = 0, temperature: Temperature = 1.0
    ) -> Canvases:
        """What `generate` draws, glimpse by glimpse, by a run trained with network="draw": `.images` [n, T, C, H, W],
        or [N, n, T, C, H, W], the last of T being generate's; `.written`: the windows. Raises Refused as generate does,
        and where the model draws a picture at once."""
        no_pictures(self.outputs, "canvases")
        return canvases(self.learned, asked, n, seed, temperature)

    def canvases_of(self, x: Any, given: Asked | None = None, seed: int | None = None) -> Canvases:
        """What `reconstruct` makes of x in the same way, [N, T, C, H, W]; `.read`: the windows read through, too."""
        no_pictures(self.outputs, "canvases_of")
        return canvases_of(self.learned, x, given, seed)

    def fill(
        self,
        x: Any,
        seen: Any,
        given: Asked | None = None,
        n: int = 5,
        seed: int = 0,
        temperature: Temperature = 1.0,
        prior: str | None = None,
    ) -> np.ndarray:
        """n completions of the hidden parts of x, float32 [N, n, C, H, W]; seen pixels come back bit-identical.

        x: [N, C, H, W] float in [0, 1]; seen: bool [N, C, H, W] or [N, 1, H, W], True where a pixel is given; given:
        what else is known; temperature, prior: as in `generate`. Raises Refused, also where the model was not trained
        with holes.
        """
        no_pictures(self.outputs, "fill")
        return fill(self.learned, x, seen, given, n, seed, temperature, prior=prior)

    def impute(self, table: Any, n: int = 1, seed: int = 0, prior: str | None = None) -> dict[str, np.ndarray]:
        """The generated columns of a table with their blanks drawn given the row's known cells and condition.

        table: a data frame, a dict of columns or a file; cells that are generated may be blank in any row. Column name
        -> values [N], or [N, n] for n > 1 draws of each blank; known cells come back as they were, in every draw. From
        p(blank | known, condition) by importance resampling; row i depends on (seed, i) alone. Raises Refused, also for
        a run that generates pictures.
        """
        if self.outputs is None:
            raise Refused("impute is for tables, and this run generates pictures; fill completes a picture")
        found = impute(self.learned, table, n, seed=seed, prior=prior)
        weak = int((found.effective < FEW).sum())
        if weak:
            rows = counted(weak, "row")
            warnings.warn(f"the known cells of {rows} are unlikely, so that their draws are alike", stacklevel=2)
        return {name: values[:, 0] if n == 1 else values for name, values in found.columns.items()}

    def fit_flow(
        self, x: Any = None, given: Asked | None = None, progress: Callable[[int, int], None] | None = None
    ) -> nn.Module:
        """Fit a conditional flow to the latents, for generate(..., prior="flow"); kept in the run's folder.

        x, given: the training images and what is known of them, by default those in memory. Raises Refused where there
        are none, or zuko is not installed.
        """
        from condvae.latents import flow_of

        if x is not None:
            part = collect(x, given).train if self.outputs is None else part_of_table(self.learned, x)
        elif self.collection is not None:
            part = self.collection.train
        else:
            raise Refused("x must be given to fit a flow, for this run's training images are not in memory")
        self.flow = flow_of(self.model, part, self.schema, self.settings, progress)
        if self.path is not None:
            save_density(self.path / "flow.safetensors", self.flow, False)
        return self.flow

    def reconstruct(self, x: Any, given: Asked | None = None, seed: int | None = None) -> Any:
        """x through posterior and decoder, [N, C, H, W]; deterministic unless seeded.

        Of a table: column name -> values [N], the likeliest names and mean numbers.
        """
        if self.outputs is None:
            return tasks.reconstruct(self.learned, x, given, seed)
        rows, told = rows_given(self.learned, x, given)
        return decode_rows(self.outputs, tasks.reconstruct(self.learned, rows, told, seed))

    def restyle(self, x: Any, given: Asked | None, to: Asked, seed: int | None = None) -> np.ndarray:
        """x in its own style under other conditions, [N, C, H, W]; a list of K labels gives [N, K, C, H, W]."""
        no_pictures(self.outputs, "restyle")
        return tasks.restyle(self.learned, x, given, to, seed)

    def interpolate(self, a: Any, b: Any, given_a: Asked | None = None, given_b: Asked | None = None, steps: int = 9):
        """From pictures a to pictures b through the latents: [N, steps, C, H, W]."""
        no_pictures(self.outputs, "interpolate")
        return tasks.interpolate(self.learned, a, b, given_a, given_b, steps)

    def manifold(self, asked: Asked | None = None, size: int = 15, units: tuple[int, int] = (0, 1)) -> np.ndarray:
        """The latent plane of one condition as pictures, [size, size, C, H, W]."""
        no_pictures(self.outputs, "manifold")
        return tasks.manifold(self.learned, asked, size, units)

    def traverse(
        self,
        x: Any = None,
        given: Asked | None = None,
        units: Sequence[int] | None = None,
        field: str | None = None,
        steps: int = 9,
        reach: float = walks.REACH,
        seed: int = 0,
    ) -> walks.Walk:
        """Each latent unit moved by itself, from a picture x [1, C, H, W] or from a drawing of what is given: a `Walk`
        whose `.images` are [units, steps, C, H, W].

        units: by default the active ones, the most active first, at most 10; reach: how many deviations to each side.
        field: a number or label of the condition is moved instead, z kept. Raises Refused.
        """
        no_pictures(self.outputs, "traverse")
        return walks.traverse(self.learned, x, given, units, field, steps, reach, seed)

    def components(self, asked: Asked | None = None, n: int = 8, most: int = 8, seed: int = 0) -> mixtures.Components:
        """The heaviest components of the mixture fitted to the latents, under what is asked: the picture of each mean,
        and n draws from each. Raises Refused, also where the run has no such mixture."""
        no_pictures(self.outputs, "components")
        return mixtures.components(self.learned, asked, n, most, seed)

    def classify(
        self, x: Any, field: str | None = None, given: Asked | None = None, k: int | None = None
    ) -> Classified:
        """Which label x has, by Bayes' rule on the bound: `.names` [N], `.probabilities` [N, K].

        Of a table, the label is one that is asked for; the table's own column of it is not looked at.
        """
        if self.outputs is not None:
            x, told = rows_given(self.learned, x, given)
            given = {name: told[name] for name in told if name != label_field(self.learned, field).name}
        return tasks.classify(self.learned, x, field, given, CLASSIFY_SAMPLES if k is None else k)

    def log_prob(
        self,
        x: Any,
        given: Asked | None = None,
        k: int = 500,
        seed: int = 0,
        prior: str | None = None,
        unknown: str | None = None,
    ) -> np.ndarray:
        """log p(x | c) by k importance samples, float64 [N] nats, under the run's protocol of grey pixels.

        unknown: what is done with fields that are not given, so with given=None all: "sum" over their values, or
        "blank" input, by default the latter where training saw one.

        Of a table, which holds the columns of x and those of c: of standardised numbers (densities) and names
        (probabilities) together; unknown cells are not scored. Raises Refused, also where a run has no likelihood:
        it was trained on deep features.
        """
        if self.outputs is not None:
            x, given = rows_given(self.learned, x, given)
        return tasks.log_prob(self.learned, x, given, k, seed, prior, unknown=unknown)

    def embed(self, x: Any, given: Asked | None = None, seed: int | None = None) -> np.ndarray:
        """Posterior means of x's latents [N, Z]; a posterior draw where seeded. x may be a table, where it was one."""
        if self.outputs is not None:
            x, given = rows_given(self.learned, x, given)
        return tasks.embed(self.learned, x, given, seed)

    def evaluate(
        self,
        x: Any,
        given: Asked | None = None,
        judge: Reader | Mapping[str, Reader] | None = None,
        k: int | None = None,
        limit: int | None = None,
        prior: str | None = None,
        progress: Callable[[str, int, int], None] | None = None,
        temperature: Temperature = 1.0,
        unknown: str | None = None,
    ) -> Any:
        """How good the model is on x [N, C, H, W] with what is given of it, in numbers and words: an `Evaluation`.

        Of a table x, which holds the columns that are generated and those that are asked for, a `TableEvaluation`;
        judge is not looked at, and limit is that of all that is measured.

        judge: what reads the drawings back: field name -> a label's judge or a number's regressor; a judge alone is the
        first label's. By default each is the one pinned for the data, else one trained once on the run's training
        images where they are in memory and x is not of them, else on half of x, and kept in the user's cache; drawings
        are then like the other half. k: importance samples an image (100); limit: images whose likelihood is
        weighed (1,000; 0 = all); temperature: of the drawings, chosen on other images (`condvae.warmth`); of a table 1;
        unknown: of fields that are not given, as in `log_prob`. Raises Refused.
        """
        temperature = temperature_in(self.learned, temperature)
        if self.outputs is not None:
            from condvae.table_measures import evaluate_rows

            as_learnt(temperature)
            rows, told = rows_given(self.learned, x, given)
            return evaluate_rows(self.learned, rows, told, k, limit, prior, progress=progress, unknown=unknown)
        from condvae.measures import evaluate

        real = self.collection.train if self.collection is not None and self.schema.fields else None
        panel = Panel()
        if judge is None and given:
            name = str(self.facts.get("data", {}).get("name"))
            panel = panel_of(self.learned, pictures_of(self.learned, x), given, name, self.collection)
        readers = panel.readers if judge is None else judge
        if panel.unseen is not None:
            real = None  # the images at hand may be among them, and would be near to themselves
        return evaluate(
            self.learned, x, given, readers, real, k, limit, prior, progress=progress,
            unjudged=panel.missing, unseen=panel.unseen, temperature=temperature, unknown=unknown,
        )  # fmt: skip

    def save(self, path: str | Path, half: bool = False) -> Path:
        """Write the run into a folder; `half` stores the weights in half precision."""
        folder = Path(path)
        weights = kept(self.model, self.model.state_dict())
        write_tensors(folder / "model.safetensors", half_precision(weights) if half else weights)
        if self.density is not None:
            save_density(folder / "density.safetensors", self.density, half)
        if self.flow is not None:
            save_density(folder / "flow.safetensors", self.flow, half)
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
            **({"outputs": self.outputs.to_json()} if self.outputs is not None else {}),
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
        outputs = Schema.from_json(data.pop("outputs")) if "outputs" in data else None
        settings = Settings.model_validate(data.pop("settings"))
        channels, height, width = data.pop("shape")
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"{folder / 'run.json'} lacks or garbles what a run needs ({error})") from None
    shape = (int(channels), int(height), int(width))
    model = build(settings, schema, shape, outputs, helpers=False)
    pour(model, folder / "model.safetensors")
    density, flow = (
        load_density(folder / name) if (folder / name).is_file() else None
        for name in ("density.safetensors", "flow.safetensors")
    )
    if isinstance(flow, FlowDensity) and flow.based:
        flow.attach(model.prior)
    data.pop("format")
    return Run(model, schema, settings, shape, density, read_history(folder), data, folder, outputs, flow)


def opened(run: str | Path | Run) -> Run:
    """The run itself where it is at hand, else that in the folder; Refused as by `load`."""
    return run if isinstance(run, Run) else load(run)
