"""What was made, as JSON: words, notes, numbers; pictures as PNG in base64, in the order of their array."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from condvae.actions import Made
from condvae.pictures import pixels

__all__ = ["answer", "coded"]

DRAWN = ("images", "real", "x")  # arrays [..., C, H, W] in [0, 1]


def answer(made: Made) -> dict[str, Any]:
    """`said` (lines), `notes`, `data`, `command`, `python`, `file` ({name, base64}: what the page would show), and the
    arrays of the request by their names: pictures as nested lists of PNG files in base64, the rest as lists."""
    reply = made.reply
    lines = [line.replace(f": {made.file}", "") for line in reply.lines]
    found: dict[str, Any] = {"said": lines, "notes": list(reply.notes), "data": reply.data}
    if made.phrase is not None:
        found |= {"command": made.phrase.command, "python": made.phrase.python}
    if made.file is not None:
        path = Path(made.file)
        found["file"] = {"name": path.name, "base64": base64.b64encode(path.read_bytes()).decode("ascii")}
    for name, values in (reply.arrays or {}).items():
        found[name] = coded(pixels(values, name)) if name in DRAWN else plain(np.asarray(values))
    return found


def coded(images: np.ndarray) -> Any:
    """uint8 [..., H, W, 3] -> nested lists of PNG files in base64."""
    if images.ndim > 3:
        return [coded(one) for one in images]
    memory = io.BytesIO()
    grey = (images == images[..., :1]).all()
    Image.fromarray(images[..., 0] if grey else images).save(memory, "PNG")
    return base64.b64encode(memory.getvalue()).decode("ascii")


def plain(values: np.ndarray) -> Any:
    """An array as JSON has it: what is not a number is null."""
    if values.dtype.kind == "f":
        return np.where(np.isfinite(values), values.astype(object), np.asarray(None)).tolist()
    return values.tolist()
