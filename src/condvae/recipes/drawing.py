"""The pictures that every reproduction draws: those of any run, and the grids of the epochs that the source shows."""

from __future__ import annotations

from PIL.Image import Image

from condvae.recipes.base import Outcome


def standard_pictures(outcome: Outcome) -> dict[str, Image]:
    """Loss curves, the latents of all labels and of one, reconstructions, a grid per label, grids of the snapshots."""
    from condvae.gallery import gallery

    part = outcome.collection.test or outcome.collection.train
    pictures = gallery(outcome.learned, part, outcome.history)
    return pictures | {f"labels-epoch-{epoch:03d}": image for epoch, image in outcome.snapshots.items()}
