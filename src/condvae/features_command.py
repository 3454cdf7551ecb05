"""The command `train-features`."""

from __future__ import annotations

from condvae.process import Out, Plain, show

__all__ = ["train_features"]


def train_features(
    data: str,
    /,
    *,
    out: Out = None,
    epochs: int | None = None,
    field: str | None = None,
    seed: int = 0,
    size: str | None = None,
    data_dir: str | None = None,
    overwrite: Plain = False,
    quiet: Plain = False,
) -> None:
    """Train a network whose features a model may compare pictures by (train --likelihood perceptual).

    It learns to tell a label or a number of DATA's training images or, where there is neither, how they are turned. It
    takes minutes; Ctrl-C writes nothing.

    Args:
        data: digits, mnist, fashion-mnist, svhn, cifar10, an npz file or a folder of images.
        out: the folder of the features; by default runs/features-DATA.
        epochs: passes over the images; by default about 1,500 steps of 64 images, of large images fewer.
        field: the label or number that it learns to tell; by default the first.
        seed: of everything random.
        size: of a folder: the size that images are cut and resized to, 64, or height x width, 64x48.
        data_dir: a folder that holds the data's files.
        overwrite: write into a folder that is not empty.
        quiet: show no bar and no words.
    """
    from condvae import feature_jobs

    reading = {} if size is None else {"size": size}
    show(feature_jobs.train_features(data, out, epochs, field, seed, data_dir, overwrite, quiet, reading))
