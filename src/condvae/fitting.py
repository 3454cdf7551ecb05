"""From a collection to a run: check, train, save on the way, fit the density, draw the report.

`Fitting.steps()` is the training, a generator; whoever consumes it shows the bar, stops it, or looks at the run of
the moment with `Fitting.run()`. An interrupted training is saved by `Fitting.save()` and goes on with `resume`.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from condvae.checkpoints import restore, store
from condvae.conditions import Label, Schema
from condvae.data import Collection, Part, describe
from condvae.errors import Refused
from condvae.feature_files import CARD, WEIGHTS, poured
from condvae.few import said_of
from condvae.latents import bound, fit_mixture, flow_of, misread
from condvae.models.build import build, centre
from condvae.preparing import (
    conditions,
    drawn_lines,
    hidings,
    learn_schema,
    make_batches,
    mean_pixel,
    resolve,
    split,
    uneven,
)
from condvae.runs import Run
from condvae.settings import Settings
from condvae.sources import KNOWN
from condvae.storage import read_history, read_json
from condvae.trace import Condition
from condvae.train import Step, Training, train
from condvae.typical_record import FILE as TYPICAL

OURS = (
    "run.json",
    "model.safetensors",
    "density.safetensors",
    "flow.safetensors",
    "checkpoint.safetensors",
    "history.jsonl",
    "report.html",
    "measures.json",
    TYPICAL,
    CARD,
    WEIGHTS,
)
SAVE_EVERY = 20.0  # seconds between checkpoints at the ends of epochs


class Fitting:
    """One training: a collection, settings, and where the run goes (`out` None = memory).

    recipe: the recipe's name for the record. watch_test: the test part's bound is logged after each epoch, for
    recipes that publish it; nothing is ever chosen by it. again: the weights are restored afterwards, those of the
    features, too, whose folder may be gone. Raises Refused for data or settings that cannot be trained.
    """

    def __init__(
        self,
        collection: Collection,
        settings: Settings,
        out: str | Path | None = None,
        overwrite: bool = False,
        recipe: str | None = None,
        watch_test: bool = False,
        again: bool = False,
    ) -> None:
        self.collection = collection
        self.out = Path(out) if out is not None else None
        self.recipe = recipe
        self.watch_test = watch_test
        rows = split(collection, settings)
        self.kept, self.held, self.drawn = rows.kept, rows.held, rows.drawn
        self.outputs = collection.outputs
        self.settings, why = resolve(settings, self.kept, self.outputs)
        self.shape = collection.train.x.shape[1:]
        self.schema = learn_schema(self.kept, self.settings, self.shape, known_values(collection))
        told = (self.settings.likelihood, why, collection.notes, self.outputs, self.schema.picture is not None)
        self.lines = describe(self.kept, collection.test, *told)
        groups, said = uneven(self.kept, self.schema, self.settings)
        hiding, more = hidings(self.schema, self.settings)
        self.lines += said + more + drawn_lines(self.settings)
        if self.settings.infer is not None:
            field = self.schema.field(self.settings.infer)
            assert isinstance(field, Label)
            self.lines += said_of(field, self.kept.labels[field.name], self.settings.labels)
        model = build(self.settings, self.schema, self.shape, self.outputs)
        self.features: dict[str, Any] | None = None
        if self.settings.likelihood == "perceptual" and not again:
            head: Any = model.head
            card = poured(head.network, str(self.settings.perceptual), self.shape[0])
            self.features = asdict(card)
            self.lines.append(f"{card.sentence()} Compared are {', '.join(self.settings.layers)}.")
        if self.out is not None:
            claim(self.out, overwrite)
        if self.outputs is None:
            centre(model, mean_pixel(self.kept), self.settings.likelihood)
        self.training = Training(model, self.settings, hiding)
        self.batches = replace(make_batches(self.kept, self.schema, self.settings, self.training), groups=groups)
        self.history: list[dict[str, Any]] = []
        self.tally = Tally({})
        self.seconds = 0.0  # of training alone, on the clock
        self.cpu_seconds = 0.0  # and summed over the processor's cores: what a busy machine does not stretch
        self.watched = self._watched()
        self.density: nn.Module | None = None
        self.flow: nn.Module | None = None

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
            yield step
            begun = time.perf_counter()
            if step.last:
                cpu = time.process_time()  # once an epoch: on some machines the question costs a millisecond

    def _end_epoch(self, step: Step) -> None:
        row: dict[str, Any] = {"epoch": step.epoch, "step": step.step, "train": self.tally.means()}
        self.tally.clear()
        row["train"]["loss"] = sum(row["train"][name] for name in step.terms)
        row["seconds"] = round(self.seconds, 3)
        for name, (part, c) in self.watched.items():
            row[name] = bound(self.training.trained(), part, c, self.settings)
            if self.settings.infer is not None:
                row[name] |= misread(self.training.trained(), part, c, self.schema, self.settings)
        self.history.append(row)

    def run(self) -> Run:
        """The run as it stands now."""
        return Run(
            self.training.trained(),
            self.schema_now(),
            self.settings,
            self.shape,
            self.density,
            self.history,
            self.facts("complete" if self.density is not None else "training"),
            self.out,
            self.outputs,
            self.flow,
        )

    def labelled(self) -> Part | None:
        """The training rows whose inferred label is known; None where no label is inferred."""
        name = self.settings.infer
        if name is None:
            return None
        rows = [row for row, value in enumerate(self.kept.labels[name]) if value is not None]
        return self.kept.take(torch.tensor(rows, dtype=torch.int64))

    def schema_now(self) -> Schema:
        """The schema, with the shares of an inferred label as they have been learned, where they are."""
        name = self.settings.infer
        if name is None or self.settings.class_prior != "learned":
            return self.schema
        shares = tuple(self.training.trained().class_prior.shares.double().tolist())  # pyright: ignore
        fields = (
            replace(field, shares=shares) if isinstance(field, Label) and field.name == name else field
            for field in self.schema.fields
        )
        return Schema(tuple(fields))

    def facts(self, status: str) -> dict[str, Any]:
        """What run.json records beside schema and settings."""
        return {
            "status": status,
            "recipe": self.recipe,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": data_facts(self.collection, self.kept, self.held),
            **({} if self.drawn is None else {"labelled_rows": self.drawn.tolist()}),
            "threads": self.settings.threads or torch.get_num_threads(),
            "parameters": sum(p.numel() for p in self.training.model.parameters()),
            "watch_test": self.watch_test,
            **({} if self.features is None else {"features": self.features}),
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
            self.density, self.flow = self.fit_densities()
        run = self.run()
        run.facts["status"] = "complete"
        run.collection = self.collection
        if self.out is not None:
            self.save("complete")
        return run

    def fit_densities(self) -> tuple[nn.Module | None, nn.Module | None]:
        """(the mixture, the flow) fitted to posterior samples of the training rows; None where there is none."""
        s, model = self.settings, self.training.trained()
        mixture = fit_mixture(model, self.kept, self.schema, s)
        return mixture, flow_of(model, self.kept, self.schema, s) if s.density == "flow" else None


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


def data_facts(collection: Collection, kept: Part, held: Part | None) -> dict[str, Any]:
    """What run.json tells of the data, with a fingerprint by which a resumed training knows them again."""
    return {
        "name": collection.name,
        "source": collection.source if collection.name not in KNOWN else collection.name,
        "rows": len(kept),
        "held_out": 0 if held is None else len(held),
        "test_rows": 0 if collection.test is None else len(collection.test),
        "fingerprint": fingerprint(collection.train),
        **({"reading": dict(collection.reading)} if collection.reading else {}),
    }


def known_values(collection: Collection) -> dict[str, tuple[str, ...]]:
    """Field -> the values that the whole collection names, its test part, too."""
    parts = (collection.train, *(() if collection.test is None else (collection.test,)))
    found: dict[str, set[str]] = {}
    for part in parts:
        for name, values in part.labels.items():
            found.setdefault(name, set()).update(value for value in values if value is not None)
    return {name: tuple(values) for name, values in found.items()}


def fingerprint(part: Part) -> str:
    """A short hash of up to 512 pictures and all labels: tells one data set from another."""
    import hashlib

    digest = hashlib.sha256(json.dumps([part.x.shape, {k: list(v) for k, v in part.labels.items()}]).encode())
    for name, values in part.numbers.items():
        digest.update(name.encode() + np.ascontiguousarray(values, "<f8").tobytes())
    step = max(1, len(part) // 512)
    digest.update(part.x[slice(0, None, step)].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def vacant(out: Path, overwrite: bool) -> None:
    """Refuse what is no folder, and a folder that holds something, unless it is to be overwritten."""
    if out.exists() and not out.is_dir():
        raise Refused(f"out must be a folder; {out} is a file")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise Refused(f"the folder {out} is not empty; choose another, or overwrite it (overwrite=True, --overwrite)")


def claim(out: Path, overwrite: bool) -> None:
    """Make the folder ours: one that holds something is refused; overwriting clears only our own files."""
    vacant(out, overwrite)
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
    watched = bool(facts.get("watch_test"))
    fitting = Fitting(collection, settings, None, recipe=facts["recipe"], watch_test=watched, again=True)
    fitting.out, fitting.features = folder, facts.get("features")
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
