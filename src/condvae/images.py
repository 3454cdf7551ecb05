"""Pictures as they are kept: one view over arrays, tensors and mapped files, and the checks at the door.

Whatever comes in, an `Images` holds [N, C, H, W] with C of 1 or 3, as uint8 in 0..255 or float32 in [0, 1],
and is read a whole batch at a time. A memory-mapped array stays on disk: only the rows asked for are read.
"""

import mmap
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from condvae.errors import Refused

__all__ = ["Images", "as_images", "unit"]

CHUNK_BYTES = 1 << 24
_LAYOUTS = {"NHW": "[N, H, W]", "NCHW": "[N, C, H, W]", "NHWC": "[N, H, W, C]"}


def unit(batch: Tensor) -> Tensor:
    """Return `batch`, uint8 in 0..255 or float in [0, 1], as float32 in [0, 1], in its own shape."""
    return batch.float().div_(255) if batch.dtype == torch.uint8 else batch.float()


class Images:
    """N pictures of one size, read a batch at a time; made by `as_images`.

    ``images[index]`` gives a tensor [B, C, H, W], uint8 or float32, for a tensor, array, list or slice of row
    numbers, and [C, H, W] for one number. `shape` is (N, C, H, W), `dtype` that of what is read, `low` and
    `high` the least and greatest pixel over all pictures, as kept. `memory` is the whole as one tensor, or
    ``None`` where the pictures stay on disk.
    """

    def __init__(self, source: Tensor | np.ndarray, layout: str, low: float, high: float) -> None:
        n, a, b, c = (*source.shape, 0)[:4]
        self.shape: tuple[int, int, int, int] = {
            "NHW": (n, 1, a, b),
            "NCHW": (n, a, b, c),
            "NHWC": (n, c, a, b),
        }[layout]
        self.dtype: torch.dtype = source.dtype if isinstance(source, Tensor) else _tensor(source[:1]).dtype
        self.low, self.high = low, high
        self._source = source
        self._layout = layout

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray | Tensor) -> Tensor:
        if isinstance(index, int | np.integer):
            return self[[int(index)]][0]
        if isinstance(self._source, Tensor):
            return self._source[index if isinstance(index, Tensor | slice) else torch.as_tensor(index)]
        rows = index if isinstance(index, slice) else np.asarray(index.cpu() if isinstance(index, Tensor) else index)
        return _channels_first(_tensor(np.array(self._source[rows])), self._layout)

    def __repr__(self) -> str:
        place = "in memory" if self.memory is not None else "on disk"
        return f"Images(shape={self.shape}, dtype={self.dtype}, {place})"

    @property
    def memory(self) -> Tensor | None:
        """The whole as one tensor [N, C, H, W], or ``None`` where the pictures stay on disk."""
        return self._source if isinstance(self._source, Tensor) else None

    def chunks(self) -> Iterator[Tensor]:
        """Yield all pictures in order as tensors [B, C, H, W] of at most about 16 MB."""
        _, channels, height, width = self.shape
        step = max(1, CHUNK_BYTES // (channels * height * width * self.dtype.itemsize))
        for start in range(0, len(self), step):
            yield self[start : start + step]


def as_images(x: object, argument: str = "x") -> tuple[Images, list[str]]:
    """Check pictures and return a view of them, with what was decided on the way, in words.

    Args:
        x: array, tensor, memory-mapped array or a list of equally large pictures: [N, H, W], [N, C, H, W] or
            [N, H, W, C] with 1 or 3 channels; uint8 or another integer type in 0..255, bool, or float in
            [0, 1]. An `Images` passes through.
        argument: what `x` is called in messages.

    Returns:
        The pictures, and notes on layout and conversions (may be empty). An in-memory uint8 or float32 array
        that is contiguous with channels first is shared, not copied; a memory-mapped one is never read whole.

    Raises:
        Refused: where `x` is empty, of another kind or shape, holds NaN, infinity or numbers out of range, or
            is uint8 with maximum 1.
    """
    if isinstance(x, Images):
        return x, []
    array = _array(x, argument)
    notes: list[str] = []
    _check_kind(array, argument, notes)
    layout = _layout(array.shape, argument, notes)
    low, high = _range(array, argument)
    if _is_on_disk(array):
        notes.append(f"{argument} stays on disk and is read a batch at a time.")
        return Images(array, layout, low, high), notes
    return Images(_channels_first(_tensor(array), layout), "NCHW", low, high), notes


def _array(x: object, argument: str) -> np.ndarray:
    """Return `x` as an array, sharing its memory where that is possible."""
    if isinstance(x, Tensor):
        dense = (x.to_dense() if x.layout != torch.strided else x).detach().cpu()
        # numpy has no bfloat16 or float8.
        return (
            dense if dense.dtype in (torch.float16, torch.float64) or not dense.is_floating_point() else dense.float()
        ).numpy(force=True)
    if isinstance(x, np.ma.MaskedArray):
        if np.ma.is_masked(x):
            raise Refused(f"{argument} must hold every pixel, got a masked array; fill it first, as in x.filled(0)")
        return x.data
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, str | bytes | dict | set) or not hasattr(x, "__len__"):
        raise Refused(
            f"{argument} must be an array or tensor of images, got {type(x).__name__}; "
            "a file is read with condvae.datasets.load(path)"
        )
    if isinstance(x, list | tuple):
        return _stacked(x, argument)
    return np.asarray(x)


def _stacked(x: Sequence[object], argument: str) -> np.ndarray:
    pictures = [np.asarray(one.detach().cpu() if isinstance(one, Tensor) else one) for one in x]
    for i, one in enumerate(pictures):
        if one.shape != pictures[0].shape:
            raise Refused(
                f"{argument} must hold images of one size, got {pictures[0].shape} first and {one.shape} as "
                f"number {i}; resize them to one size"
            )
    return np.stack(pictures) if pictures else np.empty(0)


def _layout(shape: tuple[int, ...], argument: str, notes: list[str]) -> str:
    """Return "NHW", "NCHW" or "NHWC" for `shape`, and note what was not plain."""
    shown = list(shape)
    if not shape or 0 in shape:
        raise Refused(f"{argument} must hold at least one image with pixels, got an empty array of shape {shown}")
    if len(shape) not in (3, 4):
        side = round(shape[1] ** 0.5) if len(shape) == 2 else 0
        hint = (
            f"; flat images can be given as x.reshape(-1, {side}, {side})" if side > 1 and side**2 == shape[1] else ""
        )
        raise Refused(f"{argument} must be [N, H, W], [N, C, H, W] or [N, H, W, C], got shape {shown}{hint}")
    if len(shape) == 3:
        if shape[2] == 3:
            notes.append(
                f"{argument} of shape {shown} is read as [N, H, W], {shape[0]} grey images of "
                f"{shape[1]} x 3 pixels; a single colour image is given as x[None]."
            )
        return "NHW"
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first and last:
        notes.append(
            f"{argument} of shape {shown} could have its channels first or last; it is read as [N, C, H, W], "
            "channels first."
        )
        return "NCHW"
    if not first and not last:
        raise Refused(
            f"{argument} must have 1 or 3 channels, as [N, C, H, W] or [N, H, W, C], got shape {shown}; "
            "drop an alpha channel with x[..., :3]"
        )
    layout = "NCHW" if first else "NHWC"
    colour = "grey" if shape[1 if first else 3] == 1 else "colour"
    notes.append(f"{argument} of shape {shown} is read as {_LAYOUTS[layout]}, {colour}.")
    return layout


def _check_kind(array: np.ndarray, argument: str, notes: list[str]) -> None:
    kind = array.dtype.name
    if array.dtype.kind not in "buif":
        raise Refused(
            f"{argument} must be uint8, or float in [0, 1], got dtype {kind}; "
            "make one array of real numbers of it, as in np.stack(list_of_images)"
        )
    if array.dtype.kind == "b":
        notes.append(f"{argument} is boolean: False is read as 0, True as 255.")
    elif array.dtype.kind in "ui" and kind != "uint8":
        notes.append(f"{argument} is {kind} within 0..255 and is read as uint8.")
    elif array.dtype.kind == "f" and kind != "float32":
        notes.append(f"{argument} is {kind} and is read as float32.")


def _range(array: np.ndarray, argument: str) -> tuple[float, float]:
    """Return the least and greatest pixel as kept, read a chunk at a time; refuse what cannot be pictures."""
    step = max(1, CHUNK_BYTES // (array[0].nbytes or 1))
    low, high = np.inf, -np.inf
    for start in range(0, len(array), step):
        chunk = array[start : start + step]
        least, most = float(chunk.min()), float(chunk.max())
        if not np.isfinite([least, most]).all():
            broken = ~np.isfinite(chunk).reshape(len(chunk), -1).all(1)
            raise Refused(
                f"{argument} must hold finite numbers only, got NaN or infinity, first in image "
                f"{start + int(broken.argmax())}; leave such images out or fill their pixels"
            )
        low, high = min(low, least), max(high, most)
    if array.dtype.kind == "b":
        return low * 255, high * 255
    _check_range(array.dtype.kind, low, high, argument)
    return low, high


def _check_range(kind: str, low: float, high: float, argument: str) -> None:
    if kind == "f":
        # Judged as float32, in which it is kept: 1.0000000000000002 is a rounding error, not a range.
        if np.float32(low) < 0 or np.float32(high) > 1:
            raise Refused(
                f"{argument} must be within [0, 1] where it is float, got {low:.9g} to {high:.9g}{_mend(low, high)}"
            )
    elif low < 0 or high > 255:
        raise Refused(
            f"{argument} must be within 0..255 where it is integer, got {low:.0f} to {high:.0f}; "
            "scale it to float in [0, 1]"
        )
    elif high == 1:
        raise Refused(
            f"{argument} is integer with maximum 1, where 255 is white: almost all black; if 1 means white, "
            f"multiply by 255 or convert to float, as in {argument}.astype('float32')"
        )


def _mend(low: float, high: float) -> str:
    if low >= -1 and high <= 1 and low < -0.01:
        return "; bring [-1, 1] to [0, 1] with (x + 1) / 2"
    if low >= 0 and high <= 255 and high > 1.01:
        return "; bring 0..255 to [0, 1] with x / 255"
    if low >= -0.01 and high <= 1.01:
        return "; cut rounding errors off with x.clip(0, 1)"
    return "; scale it to [0, 1] first"


def _is_on_disk(array: np.ndarray) -> bool:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)


def _tensor(array: np.ndarray) -> Tensor:
    """Return `array`, whose range has been checked, as uint8 or float32 in its own shape."""
    if array.dtype.kind == "b":
        array = array.astype(np.uint8) * np.uint8(255)
    else:
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.uint8, copy=False)
    # torch warns of read-only memory, and cannot hold negative strides: such arrays are copied once.
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _channels_first(batch: Tensor, layout: str) -> Tensor:
    if layout == "NHW":
        return batch[:, None]
    return batch if layout == "NCHW" else batch.permute(0, 3, 1, 2).contiguous()
