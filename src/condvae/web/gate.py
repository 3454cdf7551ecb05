"""How many requests run at once: quick ones never wait for slow ones; what waits longer than it should is sent away."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from condvae.errors import Refused
from condvae.process import explained

__all__ = ["Busy", "Failed", "Gate"]

CORES = max(2, os.cpu_count() or 1)
DOORS = {"quick": CORES, "reading": CORES, "slow": 1}  # requests of a kind that run at once
WAITING = 200  # requests of a kind that wait at most: more would wait for minutes


class Busy(Exception):
    """Too many requests wait already."""


class Failed(Exception):
    """What went wrong, in one sentence, where it was not the input."""


class Gate:
    """Three doors, each with its own threads.

    "quick" is what takes a fraction of a second, "reading" what may have to read a picture's label first, which takes
    seconds, "slow" what takes many. A request that waits holds no thread. All errors come out as Refused (the input's
    fault), Busy or Failed.
    """

    def __init__(self) -> None:
        self.doors: dict[str, anyio.CapacityLimiter] = {}
        self.waiting = dict.fromkeys(DOORS, 0)

    def door(self, kind: str) -> anyio.CapacityLimiter:
        """The door of a kind, made within the event loop that it belongs to."""
        if kind not in self.doors:
            self.doors[kind] = anyio.CapacityLimiter(DOORS[kind])
        return self.doors[kind]

    async def through(self, kind: str, call: Callable[..., Any], *values: Any, **named: Any) -> Any:
        """What the call gives, run in a thread behind the door of its kind."""
        if self.waiting[kind] >= WAITING:
            raise Busy(f"{WAITING} requests wait already; try again in a moment")
        self.waiting[kind] += 1
        try:
            return await anyio.to_thread.run_sync(partial(call, *values, **named), limiter=self.door(kind))
        except Refused:
            raise
        except Exception as error:
            traceback.print_exc(file=sys.stderr)  # for who runs the server; who asked gets one sentence
            raise Failed(explained(error)[0].removesuffix("; CONDVAE_DEBUG=1 shows where, please report it")) from None
        finally:
            self.waiting[kind] -= 1
