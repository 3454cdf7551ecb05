"""The request that trains features, once: what `condvae train-features` does."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from condvae import datasets
from condvae.feature_training import train_features as train
from condvae.jobs import default_out
from condvae.progress import counter
from condvae.replies import Reply

__all__ = ["train_features"]


def train_features(
    data: str,
    out: str | None = None,
    epochs: int | None = None,
    field: str | None = None,
    seed: int = 0,
    data_dir: str | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    reading: Mapping[str, Any] | None = None,
) -> Reply:
    """Train features on named data, a file or a folder; reading: options of `condvae.datasets.load`."""
    watched = None if quiet else counter("reading images")
    collection = datasets.load(data, data_dir, watched, **(reading or {}))
    folder = Path(out) if out is not None else default_out(f"features-{collection.name}", overwrite)
    card = train(collection, out=folder, field=field, epochs=epochs, seed=seed, overwrite=overwrite, progress=not quiet)
    command = shlex.join(["condvae", "train", data, "--likelihood", "perceptual", "--perceptual", str(folder)])
    lines = (f"the features: {folder}", card.sentence(), f"compare by them: {command}")
    return Reply(lines, None, (folder,))
