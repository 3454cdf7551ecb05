"""Run a published experiment as it was published, and set its numbers beside ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from PIL.Image import Image

from condvae import pictures
from condvae.data import Collection
from condvae.datasets import load as load_data
from condvae.errors import Refused, suggest
from condvae.feature_files import CARD
from condvae.feature_training import train_features
from condvae.fitting import Fitting, resumed
from condvae.judges import Judge, judge_for, user_cache
from condvae.recipes.base import Line, Outcome, Recipe
from condvae.results import entry, record
from condvae.runs import Run
from condvae.settings import settings_of
from condvae.storage import full_precision, half_precision
from condvae.train import Step


@dataclass
class Reproduction:
    """One recipe, variant and seed: its training, then its measures, pictures and result file."""

    recipe: Recipe
    variant: str
    seed: int
    fitting: Fitting
    collection: Collection
    snapshots: dict[int, Image]

    def steps(self) -> Iterator[Step]:
        """The training; after the epochs that the recipe names, it is looked at."""
        fitting = self.fitting
        if fitting.history and fitting.training.step == len(fitting.history) * len(fitting.batches):
            self.look(len(fitting.history))  # a checkpoint is written before the look: a kill between may have lost it
        for step in fitting.steps():
            if step.last:
                self.look(step.epoch)
            yield step

    def look(self, epoch: int) -> None:
        """What the recipe follows goes into that epoch's row of the history, what it shows into the snapshots."""
        row, recipe = self.fitting.history[epoch - 1], self.recipe
        if recipe.follow and recipe.follows(epoch, self.fitting.settings.epochs) and "followed" not in row:
            row["followed"] = recipe.follow(self.fitting.run().learned, self.collection)
        if epoch in recipe.snapshots and epoch not in self.snapshots:
            run = self.fitting.run()
            drawn = recipe.snapshot(run.learned, self.collection) if recipe.snapshot else label_grid(run)
            self.snapshots[epoch] = drawn
            if self.fitting.out is not None:
                pictures.save(drawn, self.fitting.out / "snapshots" / f"{epoch}.png")

    def finish(self, results: Path | None, judge: Callable[[], Judge] | None = None) -> tuple[Run, list[Line]]:
        """Fit the density, measure, draw into the run's pictures, and record in results/NAME.json."""
        run = self.fitting.finish()
        if self.recipe.half:
            run = halved(run)
        begun = time.perf_counter()
        outcome = Outcome(
            run.learned,
            run.history,
            self.collection,
            judge or self.judge,
            self.snapshots,
            self.seed,
            self.variant,
            results,
            self.fitting.settings,
            self.fitting.labelled(),
            self.fitting.seconds / 60,
            lambda: features_of(self.collection),
            self.fitting.cpu_seconds / 60,
        )
        values, lines = self.recipe.measure(outcome)
        measured = time.perf_counter() - begun
        if run.path is not None:
            for name, image in self.recipe.draw(outcome).items():
                pictures.save(image, run.path / "pictures" / f"{name}.png")
        if results is not None:
            values = {**values, "minutes_of_measuring": round(measured / 60, 2)}
            # those of the training: one that was begun earlier may have had others than the recipe now has
            trained = self.fitting.settings.model_dump(mode="json")
            settings = {name: trained[name] for name in self.recipe.settings_for(self.variant)}
            made = entry(self.variant, self.seed, values, self.recipe.protocol, self.fitting.seconds / 60, settings)
            made["cpu_minutes"] = round(self.fitting.cpu_seconds / 60, 2)
            made["published"] = [asdict(line) for line in lines]
            about = {"name": self.recipe.name, "title": self.recipe.title, "source": self.recipe.source}
            record(results / f"{self.recipe.name}.json", made, about)
        return run, lines

    def judge(self) -> Judge:
        """The judge of the recipe's data: pinned, cached, or trained once."""
        return judge_of(self.collection)


def features_of(collection: Collection) -> str:
    """Where deep features of a collection's training images lie: trained once, kept in the user's cache."""
    folder = user_cache() / "features" / collection.name
    if not (folder / CARD).is_file():
        train_features(collection, out=folder, overwrite=True)
    return str(folder)


def halved(run: Run) -> Run:
    """The run with weights and density rounded to half precision, and saved so: what travels is what is measured."""
    for module in (run.model, run.density):
        if module is not None:
            module.load_state_dict(full_precision(half_precision(module.state_dict())))
    if run.path is not None:
        run.save(run.path, half=True)
    return run


_judges: dict[str, Judge] = {}


def judge_of(collection: Collection) -> Judge:
    """The judge of a collection's first field, kept for the life of the process."""
    if collection.name not in _judges:
        _judges[collection.name] = judge_for(collection)
    return _judges[collection.name]


def reproduction(
    recipe: Recipe,
    variant: str | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    data_dir: str | None = None,
    overwrite: bool = False,
    collection: Collection | None = None,
) -> Reproduction:
    """Prepare a reproduction. One that was interrupted in the same folder goes on where it stopped."""
    variant = variant or next(iter(recipe.variants))
    if variant not in recipe.variants:
        raise Refused(
            f"variant of {recipe.name} is one of {', '.join(recipe.variants)}; got {variant!r}"
            f"{suggest(variant, recipe.variants)}"
        )
    whole = collection or load_data(recipe.collections.get(variant, recipe.data), data_dir)
    if recipe.subset is not None:
        whole = recipe.subset(whole, variant)
    seen = whole
    if variant in recipe.unconditional:
        seen = replace(whole, train=replace(whole.train, labels={}), test=whole.test and replace(whole.test, labels={}))
    if out is not None and not overwrite and (Path(out) / "checkpoint.safetensors").is_file():
        return Reproduction(recipe, variant, seed, resumed(seen, out), whole, saved_snapshots(Path(out)))
    here = {"perceptual": features_of(whole)} if variant in recipe.features else {}
    settings = settings_of(recipe.settings_for(variant), here, {"seed": seed})
    fitting = Fitting(seen, settings, out, overwrite, recipe.name, recipe.watch_test)
    return Reproduction(recipe, variant, seed, fitting, whole, {})


def saved_snapshots(out: Path) -> dict[int, Image]:
    """Pictures that an interrupted reproduction had drawn."""
    from PIL.Image import open as open_image

    return {int(path.stem): open_image(path).copy() for path in sorted((out / "snapshots").glob("*.png"))}


def label_grid(run: Run, columns: int = 10) -> Image:
    """A row of pictures a label, from the model's own prior."""
    field = next(iter(run.schema.labels), None)
    if field is None:
        return pictures.grid(run.generate(None, n=columns * columns, prior="model"), columns=columns)
    drawn = run.generate({field.name: list(field.values)}, n=columns, prior="model")
    return pictures.grid(drawn, labels=field.values)
