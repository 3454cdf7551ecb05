"""The file formats of the named data, read from bytes that have been checked: idx, SVHN's mat, CIFAR's bin.

Nothing here opens a pickle, and nothing is unpacked to disk.
"""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from condvae.errors import Refused

__all__ = ["Arrays", "WrongSum", "read_arrays", "read_checked", "read_idx"]

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Training images, training labels [N], test images, test labels; uint8."""

_CIFAR_RECORD = 1 + 3 * 32 * 32
_CIFAR_MEMBERS = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")


class WrongSum(Refused):
    """A file is whole by its own format, and yet not what was expected; `found` is the SHA-256 it has."""

    def __init__(self, message: str, found: str) -> None:
        super().__init__(message)
        self.found = found


def read_checked(path: Path, sha256: str, name: str) -> bytes:
    """Return the contents of a file of the collection `name`, unpacked where it ends in -ubyte.gz.

    Raises:
        Refused: where it cannot be read or unpacked, or its contents have another SHA-256 (`WrongSum`).
    """
    advice = "delete it to have it downloaded again"
    try:
        raw = path.read_bytes()
        if path.name.endswith("-ubyte.gz"):
            raw = gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = str(error).rstrip(".").lower()
        raise Refused(f"{path} is truncated or corrupt ({reason}); {advice}") from None
    except OSError as error:
        raise Refused(f"{path} cannot be read ({error.strerror or error}); check the file's permissions") from None
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        raise WrongSum(
            f"{path} is truncated or corrupt, or not the file of {name}: its SHA-256 is {found[:12]}..., "
            f"not {sha256[:12]}...; {advice}",
            found,
        )
    return raw


def read_arrays(format: str, contents: Sequence[bytes]) -> Arrays:
    """Return the arrays in the files of one collection; ValueError or KeyError where they hold others."""
    if format == "idx":
        x, y, x_test, y_test = (read_idx(one) for one in contents)
        return x, y, x_test, y_test
    if format == "svhn":
        return (*_read_svhn(contents[0]), *_read_svhn(contents[1]))
    if format == "cifar":
        parts = contents if len(contents) > 1 else _unpack_cifar(contents[0])
        return (*_read_cifar(b"".join(parts[:-1])), *_read_cifar(parts[-1]))
    raise ValueError(f"there is no format '{format}'")


def read_idx(raw: bytes) -> np.ndarray:
    """Return the uint8 array of an idx file: 0, 0, type 8, number of dimensions, sizes (>i4), values."""
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise ValueError("an idx file of uint8 begins with 0, 0, 8")
    start = 4 + 4 * raw[3]
    if len(raw) < start:
        raise ValueError("the idx header is cut short")
    shape = tuple(int(side) for side in np.frombuffer(raw, ">u4", raw[3], 4))
    values = np.frombuffer(raw, np.uint8, offset=start) if len(raw) > start else np.empty(0, np.uint8)
    return values.reshape(shape)


def _read_svhn(raw: bytes) -> tuple[np.ndarray, np.ndarray]:
    """X [32, 32, 3, N] and y [N, 1] in 1..10, where 10 stands for the digit 0."""
    from scipy.io import loadmat

    held = loadmat(io.BytesIO(raw), variable_names=["X", "y"])
    x = np.ascontiguousarray(held["X"].transpose(3, 2, 0, 1))
    return x, (held["y"].reshape(-1) % 10).astype(np.uint8)


def _read_cifar(raw: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Records of one label byte and 3 x 32 x 32 pixels, channels first."""
    records = np.frombuffer(raw, np.uint8).reshape(-1, _CIFAR_RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].copy()


def _unpack_cifar(raw: bytes) -> list[bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz") as archive:
        for member in archive:
            name = Path(member.name).name
            stream = archive.extractfile(member) if name in _CIFAR_MEMBERS else None
            if stream is not None:
                found[name] = stream.read()
    return [found[name] for name in _CIFAR_MEMBERS]
