"""Training for a page: begun in a process of its own, watched while it runs, stopped, and used at once.

At most one runs at a time. What it tells of itself lies in a hidden folder beside the run's; see `condvae.live`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import condvae
from condvae import datasets
from condvae.errors import Refused
from condvae.fitting import vacant
from condvae.jobs import default_out, typed
from condvae.limits import EPOCHS, within
from condvae.live import FAILED, JOB, LOG, STOP, STOPPED, TRAINING, Status, read_status, write_status
from condvae.live_pictures import curves
from condvae.recipes import recipe as recipe_of
from condvae.settings import settings_of
from condvae.storage import write_text

__all__ = ["Job", "Status", "begin", "current", "curves"]

PATIENCE = 25.0  # seconds for which a training may save what resuming needs before it is ended
# As condvae.process sets for a command: freed memory is kept, and threads that wait spin but briefly.
TUNED = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(128 * 2**20),
    "GOMP_SPINCOUNT": "10000",
}


class Job:
    """A training in a process of its own. data: what it is called; run: the folder it goes to; folder: the job's."""

    def __init__(self, data: str, run: Path, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.data, self.run, self.folder = data, run, folder
        self.process = process
        self.last = read_status(folder) or Status(data=data, run=str(run))
        self.killed = False

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process.poll() is None

    def status(self) -> Status:
        """How the training stands; after its process has ended, how that came about."""
        code = self.process.poll()  # before the file is read: what it wrote at its end is then there
        found = read_status(self.folder) or self.last
        if code is not None and not found.ended:
            found = replace(found, left=None, **self.unexpected(code))
            with suppress(OSError):
                self.run.rmdir()  # where it holds nothing
        self.last = found
        return found

    def unexpected(self, code: int) -> dict[str, str]:
        """State and sentence of a process that ended without a word."""
        saved = (self.run / "checkpoint.safetensors").is_file()
        on = f"condvae train --resume {self.run} goes on" if saved else "nothing of it was kept"
        if self.killed:
            return {"state": STOPPED, "said": f"the training was ended; {on}"}
        if code >= 0:
            return {"state": FAILED, "said": f"the training process ended unexpectedly (exit code {code}); {on}"}
        memory = "memory may have run out; " if -code == signal.SIGKILL else ""
        less = "; smaller pictures, a smaller batch or a smaller model take less" if memory else ""
        return {
            "state": FAILED,
            "said": f"the training process ended unexpectedly (signal {-code}): {memory}{on}{less}",
        }

    def stop(self) -> None:
        """Ask the training to end after this step: the run is then finished and may be used."""
        with suppress(OSError):
            (self.folder / STOP).touch()

    def kill(self) -> None:
        """End the process, now: it saves what resuming needs first, if it is quick. For when the server ends."""
        if not self.running:
            return
        self.killed = True
        self.process.terminate()
        if not self.wait(PATIENCE):
            with suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.wait(PATIENCE)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the process to end; whether it has."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


_LOCK = threading.Lock()
_jobs: list[Job] = []  # the last one


def current() -> Job | None:
    """The training that runs, or the last that ran; None before the first."""
    return _jobs[-1] if _jobs else None


def begin(
    data: str,
    settings: Mapping[str, Any],
    recipe: str | None = None,
    out: str | None = None,
    data_dir: str | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Job:
    """Start to train on named data that are on this machine, a file or a folder; what the data do not allow, the job's
    status tells.

    settings: as typed, or as they are. recipe: its settings come after those. out: a folder that holds nothing; by
    default runs/DATA, or runs/DATA-2, ... reading: options of `condvae.datasets.load`.

    Raises:
        Refused: a training that runs already, settings, a recipe, a name or a path that cannot be used, data that
            would have to be downloaded.
    """
    with _LOCK:
        before = current()
        if before is not None and before.running:
            status = before.status()
            far = f", epoch {status.epoch} of {status.epochs}" if status.state == TRAINING else ""
            raise Refused(f"a training on {status.data} runs already{far}; stop it, or wait until it is done")
        asked = checked(settings, recipe)
        name, place = checked_data(data, data_dir)
        run = Path(out) if out is not None else default_out(name, False)
        vacant(run, False)
        job = {
            "data": data,
            "name": name,
            "place": None if place is None else str(place),
            "settings": asked,
            "recipe": recipe,
            "out": str(run),
            "data_dir": data_dir,
            "reading": dict(reading or {}),
            "parent": os.getpid(),
        }
        folder = run.with_name(f".{run.name}.job")
        try:
            run.mkdir(parents=True, exist_ok=True)
            prepare_folder(folder, job)
            process = started(folder)
        except OSError as error:
            why = error.strerror or error
            raise Refused(f"a training cannot be begun at {run} ({why}); choose another folder") from None
        _jobs[:] = [Job(name, run, folder, process)]
        return _jobs[0]


def checked(settings: Mapping[str, Any], recipe: str | None) -> dict[str, Any]:
    """Settings as the child takes them; Refused where one is not possible or trains for longer than a page may."""
    asked = typed(settings)
    basis = {}
    if recipe is not None:
        found = recipe_of(recipe)
        basis = dict(found.settings_for(next(iter(found.variants))))
    if "epochs" in asked:
        asked["epochs"] = within(asked["epochs"], "epochs", 1, EPOCHS)
    within(settings_of(basis, asked).epochs, "epochs", 1, EPOCHS)
    return asked


def checked_data(data: str, data_dir: str | None) -> tuple[str, Path | None]:
    """(what the data are called, the file or folder, None for a name); Refused where there are none here."""
    place = datasets.located(data, data_dir)
    known = {row.name: row.where for row in datasets.known(data_dir)}
    if place is None:
        if known[data].startswith("would be downloaded"):
            raise Refused(datasets.absent(data))
        return data, None
    name = place.resolve().name if place.is_dir() else place.stem
    return (f"{name}-{place.suffix[1:] or 'folder'}" if name in known else name), place


def prepare_folder(folder: Path, job: Mapping[str, Any]) -> None:
    """The job's folder, with what is to be done; what an earlier job of the same run left is taken away."""
    if (folder / JOB).is_file():
        shutil.rmtree(folder)
    write_text(folder / JOB, json.dumps(job, ensure_ascii=False))
    write_status(folder, Status(data=job["name"], run=job["out"], said="starting"))


def started(folder: Path) -> subprocess.Popen[bytes]:
    """The child, in a session of its own: Ctrl-C in the terminal is the parent's alone. All cores but one are its."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = str(max(1, min(torch.get_num_threads(), cores - 1)))
    environment = {**TUNED, **os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    root = Path(condvae.__file__).parent.parent
    if root.name not in ("site-packages", "dist-packages"):  # a checkout, which may be on nobody's path
        paths = [str(root), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    with (folder / LOG).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "condvae.workbench", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
