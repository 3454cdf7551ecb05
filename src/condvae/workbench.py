"""A training in a process of its own, `python -m condvae.workbench FOLDER`: job.json says what, live.json how far.

It ends early where FOLDER/stop lies: the run is then whole, and may be asked. SIGTERM, and the end of the process that
began it, save what resuming needs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from condvae import api, datasets, pictures
from condvae.errors import Refused
from condvae.fitting import Fitting
from condvae.live import (
    DONE,
    FAILED,
    FINISHING,
    JOB,
    PICTURE,
    REFUSED,
    STOP,
    STOPPED,
    TRAINING,
    Status,
    Trace,
    write_status,
)
from condvae.live_pictures import picture_of, rows_of
from condvae.runs import Run
from condvae.storage import read_json
from condvae.train import Step
from condvae.watch import Diverged

LOOK, TELL, DRAW = 0.2, 1.0, 3.0  # seconds between two looks for a stop, two statuses, two pictures
SHARE = 10  # a picture may cost one part in so many of the time
PATIENCE = 20.0  # seconds that a step may take to end when the process must


class Ended(Exception):
    """The training ended without a finished run."""


class Asked:
    """What is asked of the process from outside, looked for by a thread of its own."""

    def __init__(self, folder: Path, parent: int) -> None:
        self.stop_file, self.parent = folder / STOP, parent
        self.gone = False  # whether the process must end
        self.steps = False  # whether a loop looks at `gone` between steps, and saves

    def begin(self) -> None:
        """Take SIGTERM, leave Ctrl-C to the parent, and watch it."""
        signal.signal(signal.SIGTERM, self.end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=self.watch, daemon=True).start()

    def end(self, number: int, frame: FrameType | None) -> None:
        self.gone = True

    def watch(self) -> None:
        """End the process where it must end and no step is there to save after."""
        while True:
            time.sleep(LOOK)
            self.gone = self.gone or os.getppid() != self.parent
            if self.gone:
                until = time.monotonic() + PATIENCE
                while self.steps and time.monotonic() < until:
                    time.sleep(LOOK / 4)
                os._exit(1)

    @property
    def stop(self) -> bool:
        return self.stop_file.exists()


class Bench:
    """One training, from job.json to its end, and what it tells on the way."""

    def __init__(self, folder: Path, job: dict[str, Any], asked: Asked) -> None:
        self.folder, self.job, self.asked = folder, job, asked
        self.out = Path(job["out"])
        self.status = Status(data=job["name"], run=str(self.out), said="reading the data")
        self.trace = Trace()
        self.waiting: list[Step] = []
        self.recent: dict[str, float] = {}
        self.rows = self.seen = self.recent_rows = 0
        self.stopped = False
        self.begun = self.looked = self.told = time.monotonic()
        self.draws_at = self.begun + TELL

    def tell(self, **news: Any) -> None:
        self.status = replace(self.status, **news)
        write_status(self.folder, self.status)
        self.told = time.monotonic()

    def work(self) -> None:
        """Train, and leave a status that says how it ended. Nothing is raised but what ends the process."""
        self.tell()
        try:
            fitting = self.prepared()
            api.complete(fitting, self.steps(fitting), progress=False, finish=lambda: self.finish(fitting))
            early = f"stopped in epoch {self.status.epoch} of {self.status.epochs}; " if self.stopped else ""
            said = f"{early}the run is at {self.out}"
            self.tell(state=STOPPED if self.stopped else DONE, said=said, left=0.0)
        except Ended as ended:
            self.tell(state=STOPPED, said=str(ended), left=None)
        except Refused as refused:
            self.tell(state=REFUSED, said=self.named(str(refused)), left=None)
        except Exception as error:
            traceback.print_exc()
            self.tell(state=FAILED, said=self.named(told(error)), left=None)
        finally:
            with suppress(OSError):
                self.out.rmdir()  # where it holds nothing

    def named(self, said: str) -> str:
        """A sentence with the name of the data's file or folder in place of where it lies on this machine."""
        place = self.job.get("place")
        for folder in () if place is None else {Path(place).parent, Path(place).resolve().parent}:
            if folder != Path("."):
                said = said.replace(f"{folder}{os.sep}", "")
        return said

    def prepared(self) -> Fitting:
        """Read and check the data; Ended where a stop is asked meanwhile."""

        def reading(done: int, total: int) -> None:
            self.left_early()
            if time.monotonic() - self.told > TELL:
                self.tell(fraction=done / max(1, total))

        job = self.job
        collection = datasets.load(job["data"], job["data_dir"], reading, fetch=False, **job["reading"])
        self.left_early()
        fitting = api.prepare(collection, job["settings"], job["recipe"], self.out)
        self.left_early()
        tables, likely = fitting.outputs is not None, fitting.run().learned.likely
        what = "row" if tables else "image"
        self.tell(
            lines=[self.named(line) for line in fitting.lines],
            epochs=fitting.settings.epochs,
            batches=len(fitting.batches),
            what=f"{what}s",
            unit=f"{'nats' if likely else 'loss'} per {what}",
        )
        return fitting

    def left_early(self) -> None:
        """End where a stop is asked before the first step."""
        if self.asked.stop:
            raise Ended("stopped before the first step; nothing was kept")

    def steps(self, fitting: Fitting) -> Iterator[Step]:
        """The training's steps, watched; fewer where a stop is asked. Ended, after saving, where the process must."""
        self.begun = self.looked = time.monotonic()
        self.draws_at = self.begun + TELL
        self.tell(state=TRAINING, said="training", fraction=0.0)
        self.asked.steps = True
        try:
            for step in fitting.steps():
                self.waiting.append(step)
                yield step
                if self.asked.gone:
                    fitting.save("interrupted")
                    raise Ended(f"interrupted and saved; condvae train --resume {self.out} goes on")
                if self.look(fitting):
                    self.stopped = not (step.last and step.epoch == fitting.settings.epochs)
                    break
        except Diverged:
            if fitting.training.step:
                fitting.save("interrupted")
            raise
        self.asked.steps = False
        self.count(fitting)
        said = "fitting the density of the latents" if fitting.settings.density != "none" else "saving"
        self.tell(state=FINISHING, said=said, left=None)

    def look(self, fitting: Fitting) -> bool:
        """Count, tell and draw where it is time to; whether a stop is asked."""
        now = time.monotonic()
        if now - self.looked < LOOK:
            return False
        self.count(fitting)
        if now - self.told > TELL:
            self.tell()
            self.recent, self.recent_rows = {}, 0
        if now > self.draws_at:
            self.draw(fitting.run())
        self.looked = time.monotonic()
        return self.asked.stop

    def count(self, fitting: Fitting) -> None:
        """Read the numbers of the steps since the last look: a step's tensors are waited for as rarely as can be."""
        if not self.waiting:
            return
        for step in self.waiting:
            terms = {name: float(value) for name, value in step.terms.items()}
            self.trace.add(step.step / step.batches, sum(terms.values()))
            for name, value in terms.items():
                self.recent[name] = self.recent.get(name, 0.0) + value * step.rows
            self.recent_rows += step.rows
        last, self.seen = self.waiting[-1], self.seen + len(self.waiting)
        self.rows += sum(step.rows for step in self.waiting)
        self.waiting = []
        passed, total = max(1e-9, time.monotonic() - self.begun), fitting.settings.epochs * last.batches
        self.status = replace(
            self.status,
            epoch=last.epoch,
            step=last.step,
            fraction=last.step / max(1, total),
            terms={name: value / self.recent_rows for name, value in self.recent.items()},
            history=list(fitting.history),
            trace=list(self.trace.points),
            speed=self.rows / passed,
            seconds=passed,
            left=(total - last.step) * passed / self.seen,
        )

    def draw(self, run: Run) -> None:
        """Draw what the weights of the moment make, and put the next picture off by what this one costs."""
        begun = time.monotonic()
        try:
            if run.outputs is not None:
                self.tell(rows=rows_of(run))
            else:
                path = pictures.save(picture_of(run), self.folder / PICTURE)
                self.tell(picture=str(path))
        except Refused:  # what cannot be drawn yet: the report says why
            traceback.print_exc()
        now = time.monotonic()
        self.draws_at = now + max(DRAW, (SHARE - 1) * (now - begun))

    def finish(self, fitting: Fitting) -> Run:
        """Fit the density and save the run, which may be used from here on; the report follows."""
        run = fitting.finish()
        self.tell(usable=True, said="writing the report")
        self.draw(run)
        return run


def told(error: Exception) -> str:
    """What went wrong in a training, in one sentence."""
    said = " ".join(str(error).split())
    if isinstance(error, Diverged):
        return said
    if isinstance(error, MemoryError) or "out of memory" in said.lower() or "allocate memory" in said.lower():
        return "memory ran out; use a smaller batch, smaller pictures or a smaller model"
    return f"{type(error).__name__}: {said}"


def main(folder: str) -> None:
    """Do the job in a folder. The process is made to give way to others, for processor and memory alike."""
    job = read_json(Path(folder) / JOB)
    asked = Asked(Path(folder), job["parent"])
    asked.begin()
    with suppress(OSError, AttributeError):
        os.nice(5)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    Bench(Path(folder), job, asked).work()


if __name__ == "__main__":
    main(sys.argv[1])
