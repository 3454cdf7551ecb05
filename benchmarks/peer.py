"""pythae in a virtual environment of its own, .bench-venv, driven over a pipe so that it takes its turn."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from bench import ROOT

VENV = ROOT / ".bench-venv"
STAMP = VENV / ".installed"


class Unavailable(Exception):
    """pythae could not be installed or run; the message is the reason."""


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def environment() -> Path:
    """The interpreter of .bench-venv, made and filled where it is not; honours pip's own settings."""
    python = VENV / "bin" / "python"
    if not STAMP.exists():
        steps = (
            [sys.executable, "-m", "venv", "--clear", str(VENV)],
            [str(python), "-m", "pip", "install", "-c", str(ROOT / "constraints.txt"), "pythae"],
        )
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Unavailable(f"{' '.join(step[1:4])} failed: {last_line(done.stderr)}")
        STAMP.touch()
    return python


class Pythae:
    """A context in which `train(images, epochs)` gives pythae's seconds of training."""

    def __init__(self, x: np.ndarray, threads: int) -> None:
        self.x, self.threads = x, threads

    def __enter__(self) -> Pythae:
        python = environment()
        self.folder = tempfile.TemporaryDirectory()
        folder = Path(self.folder.name)
        np.save(folder / "x.npy", self.x)
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen(
            [
                str(python),
                str(Path(__file__).with_name("pythae_server.py")),
                "x.npy",
                str(self.threads),
                "out",
            ],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        try:
            self.answer()
        except Unavailable:
            self.__exit__(None, None, None)
            raise
        return self

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise Unavailable(f"pythae's process ended: {last_line(self.log.read())}")
        return json.loads(line)

    def train(self, images: int, epochs: int) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"images": images, "epochs": epochs}) + "\n")
        self.process.stdin.flush()
        return self.answer()["seconds"]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()
