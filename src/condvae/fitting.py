"""From a collection to a run: check, train, save on the way, fit the density, draw the report.

`Fitting.steps()` is the training, a generator; whoever consumes it shows the bar, stops it, or looks at the run of
the moment with `Fitting.run()`. An interrupted training is saved by `Fitting.save()` and goes on with `resume`.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condvae.checkpoints import restore, store
from condvae.conditions import Label, Schema
from condvae.data import Collection, Part, choose_likelihood, describe, hold_out
from condvae.density_fit import fit_density
from condvae.errors import Refused
from condvae.models.build import LATENTS, build, centre
from condvae.nets import evaluating
from condvae.noise import RowNoise, seed_of
from condvae.objectives import distortion, rate
from condvae.runs import Run, read_history
from condvae.settings import Settings
from condvae.sources import KNOWN
from condvae.storage import read_json
from condvae.tasks import observe
from condvae.trace import Condition, Draw
from condvae.train import Batches, Step, Training, as_float, train

OURS = (
    "run.json",
    "model.safetensors",
    "density.safetensors",
    "checkpoint.safetensors",
    "history.jsonl",
    "report.html",
)
SAVE_EVERY = 20.0  # seconds between checkpoints at the ends of epochs
ROWS = 1000  # rows of one pass when no gradient is needed
DENSITY_ROWS = 60_000  # rows whose latents a density is fitted to
SAMPLES = 40_000  # posterior samples that it is fitted to where rows are fewer: up to five of each


class Fitting:
    """One training: a collection, settings, and where the run goes (`out` None = memory).

    recipe: the recipe's name for the record. watch_test: the test part's bound is logged after each epoch, for
    recipes that publish it; nothing is ever chosen by it. Raises Refused for data or settings that cannot be trained.
    """

    def __init__(
        self,
        collection: Collection,
        settings: Settings,
        out: str | Path | None = None,
        overwrite: bool = False,
        recipe: str | None = None,
        watch_test: bool = False,
    ) -> None:
        self.collection = collection
        self.out = Path(out) if out is not None else None
        self.recipe = recipe
        self.watch_test = watch_test
        self.kept, self.held = split(collection.train, settings)
        self.settings, why = resolve(settings, self.kept)
        self.shape = collection.train.x.shape[1:]
        self.schema = Schema(tuple(Label.learn(name, labels) for name, labels in self.kept.labels.items()))
        self.lines = describe(self.kept, collection.test, self.settings.likelihood, why, collection.notes)
        if self.out is not None:
            claim(self.out, overwrite)
        model = build(self.settings, self.schema, self.shape)
        centre(model, mean_pixel(self.kept), self.settings.likelihood)
        self.training = Training(model, self.settings)
        self.batches = make_batches(self.kept, self.schema, self.settings, self.training)
        self.history: list[dict[str, Any]] = []
        self.tally = Tally({})
        self.seconds = 0.0  # of training alone, on the clock
        self.cpu_seconds = 0.0  # and summed over the processor's cores: what a busy machine does not stretch
        self.watched = self._watched()
        self.density = None

    def _watched(self) -> dict[str, tuple[Part, Condition]]:
        parts = {"validation": self.held, "test": self.collection.test if self.watch_test else None}
        return {name: (part, conditions(self.schema, part)) for name, part in parts.items() if part is not None}

    def steps(self) -> Iterator[Step]:
        """Train to the end of the settings' epochs; history grows and checkpoints are written at the ends of epochs."""
        saved = begun = time.perf_counter()
        cpu = time.process_time()
        for step in train(self.training, self.batches, self.settings.epochs):
            self.tally.add(step)
            self.seconds += time.perf_counter() - begun
            if step.last:
                self.cpu_seconds += time.process_time() - cpu
                self._end_epoch(step)
                if self.out is not None and time.perf_counter() - saved > SAVE_EVERY:
                    self.save("training")
                    saved = time.perf_counter()
                cpu = time.process_time()  # once an epoch: on some machines the question costs a millisecond
            yield step
            begun = time.perf_counter()

    def _end_epoch(self, step: Step) -> None:
        row: dict[str, Any] = {"epoch": step.epoch, "step": step.step, "train": self.tally.means()}
        self.tally.clear()
        row["train"]["loss"] = sum(row["train"][name] for name in step.terms)
        row["seconds"] = round(self.seconds, 3)
        for name, (part, c) in self.watched.items():
            row[name] = bound(self.training.trained(), part, c, self.settings)
        self.history.append(row)

    def run(self) -> Run:
        """The run as it stands now."""
        return Run(
            self.training.trained(),
            self.schema,
            self.settings,
            self.shape,
            self.density,
            self.history,
            self.facts("complete" if self.density is not None else "training"),
            self.out,
        )

    def facts(self, status: str) -> dict[str, Any]:
        """What run.json records beside schema and settings."""
        return {
            "status": status,
            "recipe": self.recipe,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": data_facts(self.collection, self.kept, self.held),
            "threads": self.settings.threads or torch.get_num_threads(),
            "parameters": sum(p.numel() for p in self.training.model.parameters()),
            "watch_test": self.watch_test,
            "versions": {name: version(name) for name in ("condvae", "torch", "numpy")}
            | {"python": platform.python_version()},
        }

    def save(self, status: str) -> None:
        """Write everything that going on needs; nothing is half-written at any moment."""
        assert self.out is not None, "a training in memory has no folder"
        run = self.run()
        run.facts["status"] = status
        run.save(self.out)
        clock = {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
        store(self.out / "checkpoint.safetensors", self.training, self.tally.settle(), clock)

    def finish(self) -> Run:
        """Fit the density to the latents, save, and return the run."""
        if self.settings.density != "none" and self.training.step > 0:
            self.density = self.fit_density()
        run = self.run()
        run.facts["status"] = "complete"
        run.collection = self.collection
        if self.out is not None:
            self.save("complete")
        return run

    def fit_density(self):
        """The density fitted to posterior samples of the training rows whose labels are known."""
        field = self.schema.fields[0] if len(self.schema.fields) == 1 else None
        part = self.kept
        if len(part) > DENSITY_ROWS:
            rows = np.sort(
                np.random.Generator(np.random.PCG64(self.settings.seed)).permutation(len(part))[:DENSITY_ROWS]
            )
            part = part.take(torch.from_numpy(rows))
        c, draws = conditions(self.schema, part), min(5, max(1, SAMPLES // len(part)))
        model = self.training.trained()
        z = np.stack([posterior_samples(model, part, c, self.settings, draw) for draw in range(draws)])
        index = field.index(part.labels[field.name]) if field is not None else None
        s = self.settings
        return fit_density(z, index, field, s.density, s.seed, s.density_components)


class Tally:
    """Sums of terms over an epoch, in rows; kept as tensors so that a step need not wait for its numbers."""

    def __init__(self, sums: dict[str, float]) -> None:
        self.sums = sums
        self.waiting: list[Step] = []

    def add(self, step: Step) -> None:
        self.waiting.append(step)
        if len(self.waiting) >= 64 or step.last:
            self.settle()

    def settle(self) -> dict[str, float]:
        """The sums with every step counted in."""
        for step in self.waiting:
            for name, value in {**step.terms, **step.notes}.items():
                self.sums[name] = self.sums.get(name, 0.0) + float(value) * step.rows
            self.sums["rows"] = self.sums.get("rows", 0.0) + step.rows
        self.waiting.clear()
        return self.sums

    def means(self) -> dict[str, float]:
        self.settle()
        return {name: value / self.sums["rows"] for name, value in self.sums.items() if name != "rows"}

    def clear(self) -> None:
        self.sums.clear()


def split(part: Part, settings: Settings) -> tuple[Part, Part | None]:
    """(rows to learn from, rows held out for the validation bound), stratified by the first field."""
    count = round(settings.hold_out * len(part)) if settings.hold_out < 1 else int(settings.hold_out)
    if count == 0:
        return part, None
    if count >= len(part):
        raise Refused(f"hold_out must leave rows to learn from; got {count} of {len(part)} rows")
    first = next(iter(part.labels.values()), None)
    kept, held = hold_out(len(part), first, count, 0)
    return part.take(kept), part.take(held)


def resolve(settings: Settings, part: Part) -> tuple[Settings, str]:
    """(settings with what depends on the data filled in, why the likelihood was chosen)."""
    likelihood, why = choose_likelihood(part.x)
    if settings.likelihood != "auto":
        likelihood, why = (
            settings.likelihood,
            "you asked for it" if settings.likelihood != likelihood else why,
        )
    batch = settings.batch or min(128, max(16, 2 ** round(math.log2(max(1, len(part) / 550)))))
    z = settings.z or LATENTS
    if settings.binarise != "grey" and likelihood not in ("bernoulli", "autoregressive"):
        raise Refused(
            f"binarise={settings.binarise!r} needs a likelihood of binary pixels, got {likelihood!r}; use 'grey'"
        )
    return settings.model_copy(update={"likelihood": likelihood, "batch": min(batch, len(part)), "z": z}), why


def mean_pixel(part: Part) -> float:
    """The mean of up to 2,000 pictures, evenly spread, in [0, 1]."""
    return float(as_float(part.x[slice(None, None, max(1, len(part) // 2000))]).mean())


def conditions(schema: Schema, part: Part) -> Condition:
    """The part's labels as a condition; a label that training never saw is unknown."""
    known = {field.name: set(field.values) for field in schema.fields}
    names = {
        name: [v if v in known[name] else None for v in part.labels.get(name, [None] * len(part))] for name in known
    }
    return schema.encode(schema.index(names, len(part)), len(part))


def make_batches(part: Part, schema: Schema, settings: Settings, training: Training) -> Batches:
    """The training rows, on the training device where they are in memory."""
    c = conditions(schema, part).to(training.device)
    memory = part.x.memory
    rank, world = training.fabric.global_rank, training.fabric.world_size
    assert settings.batch is not None
    if memory is None:
        return Batches(lambda index: part.x[index].to(training.device), c, settings.batch, settings.seed, rank, world)
    x = memory
    if settings.binarise == "static":
        x = (
            observe(as_float(memory), "static", RowNoise(seed_of(settings.seed, 3), np.arange(len(part)))) * 255
        ).byte()
    x = x.to(training.device)
    return Batches(lambda index: x[index], c, settings.batch, settings.seed, rank, world)


def passes(model: Any, part: Part, c: Condition, settings: Settings, seed: int) -> Iterator[tuple[Any, Tensor]]:
    """The posterior passes over a part in chunks: (trace, x as the model saw it), with noise of the row alone."""
    device = next(model.parameters()).device
    with evaluating(model):
        for start in range(0, len(part), ROWS):
            rows = np.arange(start, min(start + ROWS, len(part)))
            noise = RowNoise(seed, rows, device)
            x = observe(as_float(part.x[slice(start, start + ROWS)]).to(device), settings.binarise, noise)
            yield model(c[slice(start, start + ROWS)].to(device), x, draw=Draw(noise)), x


def bound(model: Any, part: Part, c: Condition, settings: Settings) -> dict[str, float]:
    """The unweighted bound of a part, one sample a row: means in nats."""
    errors, rates = [], []
    for trace, x in passes(model, part, c, settings, seed=seed_of(settings.seed, 5)):
        errors.append(distortion(trace, x).mean(0))
        rates.append(rate(trace).mean(0))
    error, divergence = float(torch.cat(errors).double().mean()), float(torch.cat(rates).double().mean())
    return {"loss": error + divergence, "reconstruction": error, "rate": divergence}


def posterior_samples(model: Any, part: Part, c: Condition, settings: Settings, number: int = 0) -> np.ndarray:
    """Posterior sample `number` of each row, all latents side by side, float32 [N, Z]."""
    traces = passes(model, part, c, settings, seed=seed_of(settings.seed, 7, number))
    return np.concatenate([torch.cat([z.flatten(1) for z in trace.z], 1).cpu().numpy() for trace, _ in traces])


def data_facts(collection: Collection, kept: Part, held: Part | None) -> dict[str, Any]:
    """What run.json tells of the data, with a fingerprint by which a resumed training knows them again."""
    return {
        "name": collection.name,
        "source": collection.source if collection.name not in KNOWN else collection.name,
        "rows": len(kept),
        "held_out": 0 if held is None else len(held),
        "test_rows": 0 if collection.test is None else len(collection.test),
        "fingerprint": fingerprint(collection.train),
    }


def fingerprint(part: Part) -> str:
    """A short hash of up to 512 pictures and all labels: tells one data set from another."""
    import hashlib

    digest = hashlib.sha256(json.dumps([part.x.shape, {k: list(v) for k, v in part.labels.items()}]).encode())
    step = max(1, len(part) // 512)
    digest.update(part.x[slice(0, None, step)].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def claim(out: Path, overwrite: bool) -> None:
    """Make the folder ours: one that holds something is refused; overwriting clears only a run's own files."""
    if out.exists() and not out.is_dir():
        raise Refused(f"out must be a folder; {out} is a file")
    if out.is_dir() and any(out.iterdir()):
        if not overwrite:
            raise Refused(
                f"the folder {out} is not empty; choose another, or overwrite it (overwrite=True, --overwrite)"
            )
        for name in OURS:
            (out / name).unlink(missing_ok=True)
        for picture in (out / "pictures").glob("*.png"):
            picture.unlink()
    out.mkdir(parents=True, exist_ok=True)


def resumed(collection: Collection, folder: str | Path, epochs: str | int | None = None) -> Fitting:
    """The training of a run folder, where it stopped. epochs: None = as planned, N = in all, "+N" = N more."""
    folder = Path(folder)
    if not (folder / "checkpoint.safetensors").is_file():
        raise Refused(f"{folder} holds no checkpoint.safetensors to resume from; train it anew")
    facts = read_json(folder / "run.json")
    settings = Settings.model_validate(facts["settings"])
    settings = settings.model_copy(update={"epochs": epochs_of(epochs, settings.epochs)})
    if facts["data"]["fingerprint"] != fingerprint(collection.train):
        raise Refused(f"the data differ from those that {folder} was trained on; resume with the same data")
    fitting = Fitting(collection, settings, None, recipe=facts["recipe"], watch_test=bool(facts.get("watch_test")))
    fitting.out = folder
    sums, clock = restore(folder / "checkpoint.safetensors", fitting.training)
    fitting.seconds, fitting.cpu_seconds = clock.get("seconds", 0.0), clock.get("cpu_seconds", 0.0)
    fitting.tally = Tally(sums)
    done = fitting.training.step // len(fitting.batches)
    if done > settings.epochs:
        raise Refused(
            f"epochs must be at least the {done} that {folder} has; got {settings.epochs}, or give +N for N more"
        )
    fitting.history = read_history(folder)[:done]
    if not clock and fitting.history:  # a checkpoint from before it kept the time
        fitting.seconds = float(fitting.history[-1]["seconds"])
    return fitting


def epochs_of(asked: str | int | None, planned: int) -> int:
    """Epochs in all from what was asked: None, N or "+N"."""
    if asked is None:
        return planned
    text = str(asked)
    if not text.removeprefix("+").isdigit():
        raise Refused(f"epochs must be a number N, or +N for N more; got {asked!r}")
    return planned + int(text[1:]) if text.startswith("+") else int(text)
