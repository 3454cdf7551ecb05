"""What was weighed already, kept in a file: a long evaluation that was interrupted goes on where it stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from condvae.errors import Refused
from condvae.names import counted
from condvae.storage import read_tensors, write_tensors

__all__ = ["Ledger", "keeping"]

EVERY = 60.0  # seconds between two writings: what a killed process may lose
WIDE = 16  # bytes of a key: two chunks of one key are as likely as never

Told = Sequence[Tensor | np.ndarray | int | None]


class Ledger:
    """Results of chunks of rows, [3, B] float64 each, by a key of everything that they depend on.

    path: the file, of 40 bytes a row and sum; what it holds of other models, images or samples is passed over. spared:
    the seconds that what was found in it took to compute.
    """

    def __init__(self, path: Path, model: nn.Module) -> None:
        self.path = path
        self.of = digest(list(model.state_dict().values()))
        self.known = read(path)
        self.spared = 0.0
        self.added = 0
        self.written = time.monotonic()

    def kept(self, told: Told, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The chunk's result: as it was kept, else computed, and kept. told: all that it depends on but the weights."""
        key = digest(told, self.of)
        if key in self.known:
            values, seconds = self.known[key]
            self.spared += seconds
            return values
        begun = time.perf_counter()
        values = compute()
        self.known[key] = values, time.perf_counter() - begun
        self.added += values.shape[1]
        if time.monotonic() - self.written > EVERY:
            self.write()
        return values

    def write(self) -> bool:
        """Write the file; False where the folder cannot be written."""
        self.written = time.monotonic()
        entries = [(key, *entry) for key, entry in self.known.items()]
        tensors = {
            "keys": torch.frombuffer(bytearray(b"".join(key for key, _, _ in entries)), dtype=torch.uint8),
            "values": torch.from_numpy(np.concatenate([values for _, values, _ in entries], 1)),
            "rows": torch.tensor([values.shape[1] for _, values, _ in entries]),
            "seconds": torch.tensor([seconds for _, _, seconds in entries], dtype=torch.float64),
        }
        try:
            write_tensors(self.path, tensors)
        except OSError:
            return False
        return True


def read(path: Path) -> dict[bytes, tuple[np.ndarray, float]]:
    """Key -> (values [3, B], seconds); nothing of a file that is not there, or damaged."""
    try:
        found, _ = read_tensors(path)
        keys, rows = found["keys"].numpy().tobytes(), found["rows"].tolist()
        parts = found["values"].split(rows, 1)
        seconds = found["seconds"].tolist()
        places = range(0, WIDE * len(rows), WIDE)
        return {
            keys[place : place + WIDE]: (part.numpy(), spent)
            for place, part, spent in zip(places, parts, seconds, strict=True)
        }
    except (Refused, KeyError, ValueError, RuntimeError):
        return {}


def digest(told: Told, salt: bytes = b"") -> bytes:
    """A key of values: their bytes, shapes and kinds."""
    mixed = hashlib.blake2b(salt, digest_size=WIDE)
    for one in told:
        array = one.detach().cpu().contiguous().numpy() if isinstance(one, Tensor) else one
        if isinstance(array, np.ndarray):
            mixed.update(f"{array.dtype}{array.shape}".encode())
            mixed.update(np.ascontiguousarray(array).data)
        else:
            mixed.update(f"{one!r};".encode())
    return mixed.digest()


@contextmanager
def keeping(path: Path, model: nn.Module) -> Iterator[Ledger]:
    """While open, what is weighed is kept in a ledger. It is written where the work breaks off, whatever breaks it, and
    Ctrl-C then says so in a sentence; where the work ends well, the file is removed."""
    ledger = Ledger(path, model)
    try:
        yield ledger
    except BaseException as error:
        kept = bool(ledger.known) and ledger.write()
        if not isinstance(error, KeyboardInterrupt):
            raise
        how = f"what was weighed is kept in {path}, and the same command goes on from there"
        if not kept:
            how = f"{counted(ledger.added, 'likelihood')} lost, for {path} cannot be written"
        if not ledger.known:
            how = "nothing was weighed yet"
        raise KeyboardInterrupt(f"evaluation stopped; {how}") from None
    path.unlink(missing_ok=True)
