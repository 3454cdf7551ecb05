"""What a page works with: the runs that it serves, held open, what each of them can do, and a place for files."""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from PIL import Image

from condvae import datasets
from condvae.conditions import Attribute, Schema
from condvae.data import unit
from condvae.drawn_data import DRAWN
from condvae.errors import Refused, suggest
from condvae.gallery import spread_rows
from condvae.intake import data_of, part_of
from condvae.pictures import pixels, save
from condvae.runs import Run, load

__all__ = ["PANELS", "Desk", "abilities", "characters", "has_plane"]

PANELS = ("ask", "fill", "hand", "restyle", "look", "read", "draw", "proof")
KEPT = 6 * 3600.0  # seconds for which what was made or uploaded stays
SWEPT = 300.0  # seconds between two looks for what is older
MOST = 4_000_000_000  # bytes that all of it takes; beyond them the oldest goes
EXAMPLES = 40  # pictures to pick from
EXAMPLE_SEED = 5


class Desk:
    """The runs that are served, by name, and a folder of its own for what comes in and goes out.

    A run's name is its folder's; a second one of that name is NAME-2. Raises Refused where a folder is no run.
    """

    def __init__(self, folders: Iterable[str | Path] = (), data_dir: str | None = None) -> None:
        self.data_dir = data_dir
        self.runs: dict[str, Run] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="condvae-page-"))
        self.made = self.folder / "made"
        self.made.mkdir()
        self.swept = time.monotonic()
        self.lock = Lock()
        self.shown: dict[str, tuple[np.ndarray, str]] = {}  # examples of a run, and what they are
        try:
            for folder in folders:
                self.add(folder)
        except Refused:
            self.close()
            raise

    def add(self, folder: str | Path) -> str:
        """Open one more run; its name."""
        run = load(folder)
        with self.lock:
            name = stem = Path(folder).resolve().name
            number = 1
            while name in self.runs:
                number += 1
                name = f"{stem}-{number}"
            self.runs[name] = run
        return name

    def adopt(self, folder: str | Path) -> str:
        """The name of the run in a folder, opened where it was not yet."""
        for name, run in self.runs.items():
            if run.path is not None and run.path.resolve() == Path(folder).resolve():
                self.runs[name] = load(folder)  # it may have been trained further
                self.shown.pop(name, None)
                return name
        return self.add(folder)

    def run(self, name: str) -> Run:
        """The run of that name; Refused, with the names there are, where there is none."""
        if name not in self.runs:
            names = ", ".join(self.runs) or "none yet"
            raise Refused(f"run is one of {names}; got {name!r:.60}{suggest(str(name), self.runs)}")
        return self.runs[name]

    def place(self, suffix: str, stem: str = "condvae") -> str:
        """A path for a file that does not stand yet, in a folder of its own, so that `stem` names the download."""
        self.sweep()
        folder = self.made / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return str(folder / f"{stem}{suffix}")

    def sweep(self) -> None:
        """Remove what was made or uploaded more than six hours ago, and the oldest where all has more than 4 GB."""
        now = time.monotonic()
        with self.lock:
            if now - self.swept < SWEPT:
                return
            self.swept = now
        folders = [one for one in (*self.made.iterdir(), *self.folder.iterdir()) if one != self.made and one.is_dir()]
        total = 0
        for folder in sorted(folders, key=changed, reverse=True):
            total += sum(size(file) for file in folder.rglob("*"))
            if time.time() - changed(folder) > KEPT or total > MOST:
                shutil.rmtree(folder, ignore_errors=True)

    def own_data(self, run: Run) -> str | None:
        """The name or file of a run's own data where they can be read here at once; else None.

        That is not so of data that would be downloaded, nor of those that are drawn anew each time.
        """
        data = run.facts.get("data") or {}
        name, source = str(data.get("name")), str(data.get("source"))
        if name in DRAWN:
            return None
        if datasets.is_path(source):
            return source if Path(source).expanduser().exists() else None
        places = {row.name: row.where for row in datasets.known(self.data_dir)}
        return name if name in places and not places[name].startswith("would be") and source != "memory" else None

    def example(self, name: str, number: int) -> tuple[str, str]:
        """The path of one of the run's examples, a picture of its own size, and what it is: test image or drawing."""
        run = self.run(name)
        if name not in self.shown:
            self.shown[name] = self.examples(run)
        images, what = self.shown[name]
        place = number % len(images)
        path = save(Image.fromarray(pixels(images[place])), self.place(".png", "example"))
        return str(path), f"{what} {place + 1} of {len(images)}"

    def examples(self, run: Run) -> tuple[np.ndarray, str]:
        """Pictures to show a run, [N, C, H, W], its labels in turn: of its own data, else its own drawings."""
        own = self.own_data(run)
        field = run.schema.labels[0] if run.schema.labels else None
        if own is not None:
            try:
                part, _ = part_of(data_of(run, own, self.data_dir), run)
            except Refused:
                pass  # the file is another one by now
            else:
                rows = spread_rows(part, field.name if field else None, EXAMPLES)
                return unit(part.take(torch.from_numpy(rows)).x[slice(None)]).numpy(), "test image"
        if field is None:
            return run.generate(None, EXAMPLES, EXAMPLE_SEED), "drawing of the model"
        drawn = run.generate({field.name: list(field.values)}, -(-EXAMPLES // len(field.values)), EXAMPLE_SEED)
        return drawn.swapaxes(0, 1).reshape(-1, *run.shape)[:EXAMPLES], "drawing of the model"

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def changed(folder: Path) -> float:
    """When a folder was last changed; 0 where it has gone by now."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def size(file: Path) -> int:
    """Bytes of a file; 0 where it has gone by now."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def abilities(run: Run) -> tuple[str, ...]:
    """What a run can do, of PANELS, in their order."""
    if run.outputs is not None:
        return ("ask", "proof")
    found = {
        "ask": True,
        "fill": run.schema.picture is not None,
        "hand": characters(run.schema),
        "restyle": bool(run.schema.labels) and not characters(run.schema),
        "look": True,
        "read": bool(run.schema.labels),
        "draw": run.settings.network == "draw",
        "proof": True,
    }
    return tuple(name for name in PANELS if found[name])


def has_plane(run: Run) -> bool:
    """Whether two latent units can be moved while all else stays: not where glimpses follow from one another."""
    return run.settings.network != "draw" and (run.settings.z or 0) > 1


def characters(schema: Schema) -> bool:
    """Whether the only label's values are characters, which can be written with."""
    labels = [field for field in schema.labels if not isinstance(field, Attribute)]
    return len(labels) == 1 and all(len(value) == 1 for value in labels[0].values)
