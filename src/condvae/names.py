"""One rule for what a label is called, shared by the data that hold labels and the requests for them.

A label has one name, a string. 6, ``np.int64(6)``, 6.0 and ``"6"`` are one name; ``None``, NaN, a masked
value, pandas' missing values and blank text are no name at all: unknown, which is a value of its own.
"""

import math
import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal

import numpy as np
from torch import Tensor

from condvae.errors import Refused

__all__ = ["counted", "label_name", "lasting", "printable", "sort_names"]

_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]*)?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,4})?")

# What HTML does not allow in text, and what would turn the reading direction of the rest of the page.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")

# pandas is no dependency: its missing values are known by the names of their types.
_MISSING_TYPES = frozenset({"NAType", "NaTType", "MaskedConstant"})


def label_name(value: object) -> str | None:
    """Return the one name of a label, or ``None`` where it is unknown.

    Args:
        value: a whole or broken number, a bool, text or UTF-8 bytes, or an array or tensor that holds one of
            these. Text is stripped and brought to Unicode's composed form (NFC) and otherwise kept, so
            ``"06"`` and ``"6.0"`` as text stay as they are.

    Raises:
        Refused: anything else, an infinite number, or text that is not valid Unicode.
    """
    if isinstance(value, Tensor) and value.ndim == 0:
        # Through numpy, because Tensor.item() widens float32 6.1 to 6.099999904632568.
        value = value.detach().cpu().numpy()
    if value is None or type(value).__name__ in _MISSING_TYPES:
        return None
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bytes):
        return _text_name(value.decode("utf-8", errors="surrogateescape"))
    if isinstance(value, str):
        return _text_name(value)
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating | Decimal):
        return _number_name(value)
    raise Refused(f"a label must be a number or text, or None where it is unknown, got {type(value).__name__}")


def counted(number: int, what: str, many: str | None = None) -> str:
    """1 -> "1 picture", 2 -> "2 pictures"; many: what follows another number than 1, where an s does not do."""
    return f"{number:,} {what if number == 1 else many or f'{what}s'}"


def lasting(seconds: float) -> str:
    """A time as people say it: "less than a second", "12 seconds", "7 minutes", "2.5 hours"."""
    if seconds < 1:
        return "less than a second"
    if seconds < 99.5:
        return counted(round(seconds), "second")
    if seconds < 99.5 * 60:
        return counted(round(seconds / 60), "minute")
    hours = seconds / 3600
    return f"{hours:.1f} hours" if hours < 9.95 else f"{hours:,.0f} hours"


def printable(value: object) -> str:
    """Text of a page: what HTML does not allow, and what turns the reading direction, becomes U+FFFD. Not escaped."""
    return _FORBIDDEN.sub("\ufffd", str(value))


def sort_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the different `names` in their order: numbers by size, then text by code point."""
    return tuple(sorted(set(names), key=_order))


def _text_name(text: str) -> str | None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused(f"a label must be valid Unicode text, got {text!a}") from None
    # Arrays of fixed-width text pad with NUL, which may hide the blanks before it.
    return unicodedata.normalize("NFC", text.rstrip("\0").strip()) or None


def _number_name(value: float | np.floating | Decimal) -> str | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise Refused(f"a label must be a finite number, got {value}; leave it None where it is unknown")
    # str() of the value in its own precision: float32 6.1 is named "6.1", not "6.099999904632568".
    return str(int(value)) if value == int(value) else str(value)


def _order(name: str) -> tuple[int, int | float, str]:
    if _WHOLE.fullmatch(name):
        return (0, int(name), name)
    if _NUMBER.fullmatch(name):
        return (0, float(name), name)
    return (1, 0, name)
