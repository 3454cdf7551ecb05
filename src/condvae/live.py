"""What a training that runs elsewhere tells of itself: a status in a file, a curve that is thinned."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from condvae.storage import write_text

__all__ = ["ENDED", "FAILED", "Status", "Trace", "read_status", "write_status"]

READING, TRAINING, FINISHING = "reading", "training", "finishing"
DONE, STOPPED, REFUSED, FAILED = "done", "stopped", "refused", "failed"
ENDED = (DONE, STOPPED, REFUSED, FAILED)
JOB, LIVE, PICTURE, STOP, LOG = "job.json", "live.json", "live.png", "stop", "log.txt"  # in a job's folder
POINTS = 400  # of the curve within epochs, at most


@dataclass(frozen=True)
class Status:
    """How a training stands; all of it can be written as JSON.

    Attributes:
        state: "reading" the data, "training", "finishing" (density, report), "done", "stopped", "refused" (data or
            settings cannot be used), "failed". said: a sentence on it: what is being done, or what went wrong.
        data: what is trained on. run: the run's folder. usable: whether the run may be asked already.
        lines: what was said of the data. picture: the file of what is drawn by the weights of the moment, None before
            there is one; rows: of a table, rows drawn in its place, as lines of text.
        epoch, epochs, step, batches: from 1, batches an epoch. fraction: how much of the reading, then of the training
            is done, in [0, 1]. terms: means of the loss's terms over the last second; history: one row an epoch, as in
            history.jsonl; trace: [[epochs done, mean loss], ...], at most 400 points.
        what, speed: "images" or "rows", and how many a second; seconds: since the training began; left: seconds left,
            None where that is not known. unit: of the loss.
    """

    state: str = READING
    said: str = ""
    data: str = ""
    run: str | None = None
    usable: bool = False
    lines: list[str] = field(default_factory=list)
    picture: str | None = None
    rows: list[str] = field(default_factory=list)
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    batches: int = 0
    fraction: float = 0.0
    terms: dict[str, float | None] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    trace: list[list[float | None]] = field(default_factory=list)
    what: str = "images"
    speed: float = 0.0
    seconds: float = 0.0
    left: float | None = None
    unit: str = "nats per image"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def write_status(folder: Path, status: Status) -> None:
    """Write a status into a job's folder, whole or not at all; numbers that are not finite become null."""
    write_text(folder / LIVE, json.dumps(finite(status.to_json()), allow_nan=False, ensure_ascii=False))


def read_status(folder: Path) -> Status | None:
    """The status in a job's folder; None where there is none yet, or it cannot be read."""
    try:
        data = json.loads((folder / LIVE).read_text(encoding="utf-8"))
        return Status(**{one.name: data[one.name] for one in fields(Status) if one.name in data})
    except (OSError, ValueError, TypeError):
        return None


def finite(value: Any) -> Any:
    """A value for JSON, None in place of each number that is not finite."""
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Trace:
    """The loss step by step, thinned as it grows: each point is the mean of as many steps as all the others."""

    def __init__(self, most: int = POINTS) -> None:
        self.most = most
        self.points: list[list[float]] = []
        self.stride, self.sum, self.count = 1, 0.0, 0

    def add(self, at: float, loss: float) -> None:
        """One step's loss, `at` so many epochs."""
        self.sum, self.count = self.sum + loss, self.count + 1
        if self.count < self.stride:
            return
        self.points.append([at, self.sum / self.count])
        self.sum, self.count = 0.0, 0
        if len(self.points) > self.most:
            pairs = zip(self.points[::2], self.points[1::2], strict=False)
            rest = self.points[len(self.points) // 2 * 2 :]
            self.points = [[later[0], (one[1] + later[1]) / 2] for one, later in pairs]
            self.stride *= 2
            if rest:  # half a pair: what comes next completes it
                self.sum, self.count = rest[0][1] * self.stride / 2, self.stride // 2
