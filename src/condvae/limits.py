"""What a page takes of a stranger: every bound once, and how a number is held to its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from condvae.errors import Refused

__all__ = ["within"]

LARGEST_FILE = 20_000_000  # bytes of one image or table, uploaded or in a zip
LARGEST_ZIP = 1_000_000_000  # bytes of a zip, and of all that it unpacks to
LARGEST_PICTURE = 25_000_000  # pixels of one picture
LARGEST_FOLDER = 10_000_000_000  # pixels of all pictures of a zip: minutes to read
ENTRIES = 50_000  # files and folders of a zip
DENSEST = 200  # bytes that a byte of a zip may become; what photographs and drawings pack to stays below 100
FREE = 1_000_000  # bytes that may be packed as densely as they like: a small blank picture is no bomb

PICTURES = 256  # pictures of one request
REQUESTS = 32  # combinations of what is asked at once
STEPS = 64  # pictures of one walk
EPOCHS = 500  # of one training
SEED = 2**63 - 1


def within(value: Any, name: str, low: int, high: int) -> int:
    """`value` as an int in [low, high]: a whole number, 8.0 of a slider, or either typed.

    Raises:
        Refused: anything else, with the name, what it may be, and what came.
    """
    number = value
    if isinstance(value, str):
        try:
            number = float(value) if len(value) <= 32 else None
            number = int(value) if number is not None and number.is_integer() and "." not in value else number
        except (ValueError, OverflowError):
            number = None
    if isinstance(number, float | np.floating) and np.isfinite(number) and number == int(number):
        number = int(number)
    if not isinstance(number, int | np.integer) or isinstance(number, bool) or not low <= number <= high:
        raise Refused(f"{name} must be a whole number from {low:,} to {high:,}; got {value!r:.60}")
    return int(number)
