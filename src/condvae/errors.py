"""The errors a user can cause, and the words that help them on.

Every error that comes from what a caller passed in, typed or pointed at derives from `Refused`::

    ValueError
    └── Refused    an argument, a file or a name that cannot be used; the message says which and what to do

A message is one sentence: which argument, what it may be, what came, and what to do instead.
"""

import difflib
from collections.abc import Iterable

__all__ = ["Refused", "suggest"]


class Refused(ValueError):
    """Something the caller gave cannot be used; the message is one sentence that says what to do."""


def suggest(word: str, choices: Iterable[str]) -> str:
    """Return ``", did you mean 'mnist'?"`` for the closest of `choices`, or ``""`` where none is close.

    Upper and lower case do not count, so that ``"MNIST"`` finds ``"mnist"``.
    """
    by_lower = {str(choice).lower(): str(choice) for choice in choices}
    close = difflib.get_close_matches(str(word).lower(), list(by_lower), n=1, cutoff=0.6)
    return f", did you mean '{by_lower[close[0]]}'?" if close else ""
