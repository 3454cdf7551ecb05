"""Watching a training: the bar, plain lines where nobody looks at a terminal, and Ctrl-C, which stops between steps.

A Step holds tensors; they are read only when shown, a few times a second, so that watching costs the loop nothing.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from condvae.names import lasting
from condvae.train import Step

__all__ = ["Bar", "Interrupted", "Stop", "clock", "interruptible", "say", "watch"]

SHOW_EVERY = 0.15  # seconds: drawing the bar takes a millisecond or two
PLAIN_EVERY = 60.0  # seconds between two lines of what is counted where nobody looks at a terminal
SURE_AFTER = 2.0  # seconds after which the time left is told there


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a training between two steps; `path` is where it was saved, None for a training in memory."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        how = f"go on with: condvae train --resume {path}" if path is not None else "nothing was kept, out is None"
        super().__init__(f"training stopped; {how}")


@dataclass
class Stop:
    """Whether Ctrl-C was pressed."""

    asked: bool = False


@contextmanager
def interruptible(stream: TextIO | None = None) -> Iterator[Stop]:
    """While open, the first Ctrl-C sets the flag, so that a loop can end between two steps; the second raises.

    The handler is set in the main thread only, only in place of Python's own, and put back afterwards.
    """
    stop = Stop()
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            signal.default_int_handler(number, frame)
        stop.asked = True
        print("stopping after this step; Ctrl-C again stops at once", file=stream or sys.stderr)

    signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Bar:
    """What a training shows of itself on a stream (stderr): a live bar on a terminal, else one line an epoch.

    epochs: how many in all. history: the list that grows by one row an epoch, for the validation bound.
    what: what is trained on, by its speed.
    """

    def __init__(
        self,
        epochs: int,
        history: Sequence[Mapping[str, Any]] = (),
        stream: TextIO | None = None,
        what: str = "images",
    ) -> None:
        self.epochs = epochs
        self.what = what
        self.history = history
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.begun = self.shown = time.monotonic()
        self.steps = self.rows = 0
        self._progress: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> Bar:
        self.begun = self.shown = time.monotonic()
        if self.live:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=16))
            tail = TextColumn("{task.fields[said]}", markup=False)
            console = Console(file=self.stream)
            self._progress = Progress(*columns, tail, console=console, auto_refresh=False)
            self._task = self._progress.add_task("starting", total=1.0, said="")
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def see(self, step: Step) -> None:
        """Count a step, and show it if it is time."""
        self.steps += 1
        self.rows += step.rows
        now = time.monotonic()
        if self.live and (step.last or now - self.shown > SHOW_EVERY):
            self.shown = now
            self._draw(step, now)
        elif not self.live and step.last:
            print(f"epoch {step.epoch}/{self.epochs}  {self.words(step, now)}", file=self.stream, flush=True)

    def _draw(self, step: Step, now: float) -> None:
        assert self._progress is not None
        total = self.epochs * step.batches
        self._progress.update(
            self._task,
            description=f"epoch {step.epoch}/{self.epochs}",
            completed=step.step / max(1, total),
            said=self.words(step, now),
            refresh=True,
        )

    def words(self, step: Step, now: float) -> str:
        """Loss and its terms, the validation bound, speed and time left."""
        row = self.history[-1] if self.history else {}
        means = row["train"] if step.last and row.get("epoch") == step.epoch else None
        terms = {name: float(value) for name, value in step.terms.items()}
        if means is not None:
            terms = {name: float(means[name]) for name in terms}
        parts = [f"loss {sum(terms.values()):.2f}"]
        if len(terms) > 1:
            parts[0] += " (" + ", ".join(f"{name} {value:.2f}" for name, value in terms.items()) + ")"
        if "validation" in row:
            parts.append(f"validation {row['validation']['loss']:.2f}")
        elapsed = max(now - self.begun, 1e-9)
        left = (self.epochs * step.batches - step.step) * elapsed / self.steps
        return "  ".join([*parts, f"{self.rows / elapsed:,.0f} {self.what}/s", f"{clock(left)} left"])


def clock(seconds: float) -> str:
    """75 -> "1:15", 3700 -> "1:01:40"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def watch(steps: Iterable[Step], stop: Stop, bar: Bar | None = None) -> bool:
    """Consume a training under its bar. False where Ctrl-C ended it between two steps."""
    if bar is None:
        return not any(stop.asked for _ in steps)
    with bar:
        for step in steps:
            bar.see(step)
            if stop.asked:
                return False
    return not stop.asked


def say(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """Print lines to stderr, where what is not a result belongs."""
    for line in lines:
        print(line, file=stream or sys.stderr, flush=True)


def counter(what: str, stream: TextIO | None = None) -> Callable[[int, int], None]:
    """A progress callback (done, total) that rewrites one line on a terminal, with the time left.

    Elsewhere it is silent, but for a line a minute where the work takes longer than that.
    """
    return Counter(what, stream or sys.stderr).report


class Counter:
    """How far one piece of work has come, as `counter` shows it. Time is counted from the first report."""

    def __init__(self, what: str, stream: TextIO) -> None:
        self.what, self.stream = what, stream
        self.first: tuple[float, int] | None = None  # when the first report came, and what was done by then
        self.shown = -math.inf
        self.wide = 0

    def report(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.first is None or done < self.first[1]:
            self.first = now, done
        if self.stream.isatty():
            if done >= total or now - self.shown > SHOW_EVERY:
                self.shown = now
                left = self.left(now, done, total)
                self.line(done, total, "" if left is None else f", {clock(left)} left")
        elif done < total and now - self.first[0] > SURE_AFTER and now - self.shown > PLAIN_EVERY:
            left = self.left(now, done, total)
            if left is not None and (left > PLAIN_EVERY or self.shown > -math.inf):
                self.shown = now
                print(f"{self.what}: {share(done, total)}, {lasting(left)} left", file=self.stream, flush=True)

    def left(self, now: float, done: int, total: int) -> float | None:
        """Seconds left at the speed since the first report; None before there is one, and at the end."""
        begun, before = self.first or (now, done)
        return (now - begun) * (total - done) / (done - before) if before < done < total else None

    def line(self, done: int, total: int, left: str) -> None:
        """Rewrite the line, whatever stood there."""
        said = f"{self.what}: {share(done, total)}{left}"
        print(f"\r{said:<{self.wide}}", end="\n" if done >= total else "", file=self.stream, flush=True)
        self.wide = len(said)


def share(done: int, total: int) -> str:
    """How much is done, in percent."""
    return f"{100 * done / max(1, total):3.0f} %"
