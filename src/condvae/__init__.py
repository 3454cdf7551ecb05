"""Conditional variational autoencoders: train on labelled images, ask for a label, measure what comes.

>>> import condvae
>>> run = condvae.fit(x, {"digit": y}, epochs=5)        # doctest: +SKIP
>>> run.generate({"digit": "6"}, n=64)                  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from condvae.api import fit, resume
    from condvae.errors import Refused
    from condvae.feature_training import train_features
    from condvae.runs import Run, load

    __version__: str

__all__ = ["Refused", "Run", "__version__", "fit", "load", "resume", "train_features"]

# torch takes seconds to import: nothing is loaded before it is asked for.
_PLACES = {
    "Refused": "condvae.errors",
    "Run": "condvae.runs",
    "fit": "condvae.api",
    "load": "condvae.runs",
    "resume": "condvae.api",
    "train_features": "condvae.feature_training",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("condvae")
    if name not in _PLACES:
        raise AttributeError(f"module 'condvae' has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
