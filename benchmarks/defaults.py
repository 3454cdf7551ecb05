"""What the defaults reach in 12 epochs on little data that they were not made for: obedience and Frechet distance.

Sets: the first 8,000 training images of MNIST and of Fashion-MNIST, read on 4,000 other training images, so that no
test image is touched; ten and 26 signs made of Omniglot's characters, several characters a sign, each of the 20
drawings of a character warped anew. Drawings by 16 people are for training, those by the other four for reading.
The judge is trained on the same images as the model.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
import torch
import torch.nn.functional as F
from bench import RESULTS, load_average, mnist, publish
from torch import Tensor

SIGNS = {"signs-10": (10, 4, 800), "signs-26": (26, 2, 640)}  # classes, characters a class, training images a class
PROTOCOL = (
    "{name}: {rows:,} images, {classes} labels, condvae.fit(x, label, epochs={epochs}, seed={seed}), no other setting; "
    "{draws:,} drawings under the default prior; the judge reads {accuracy:.2%} of {held:,} unseen images rightly"
)
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def warped(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [N, 28, 28] in [0, 1], each turned, scaled, sheared, bent and inked anew."""

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    n = len(pictures)
    turn, shear, scale = between(-0.2, 0.2, n), between(-0.15, 0.15, n), between(0.88, 1.12, n, 2)
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = turn.cos() * scale[:, 0], shear - turn.sin()
    matrix[:, 1, 0], matrix[:, 1, 1] = turn.sin(), turn.cos() * scale[:, 1]
    matrix[:, :, 2] = between(-0.1, 0.1, n, 2)
    bend = F.interpolate(between(-0.14, 0.14, n, 2, 5, 5), size=(28, 28), mode="bicubic").permute(0, 2, 3, 1)
    grid = F.affine_grid(matrix, [n, 1, 28, 28], align_corners=False) + bend
    out = F.grid_sample(pictures[:, None], grid, align_corners=False)
    blurred = F.avg_pool2d(F.pad(out, (1, 1, 1, 1)), 3, stride=1)
    soft = between(0.2, 0.6, n, 1, 1, 1)
    return ((soft * blurred + (1 - soft) * out) * between(1.1, 1.7, n, 1, 1, 1)).clamp(0, 1)[:, 0]


def signs(data_dir: Path, classes: int, characters: int, rows: int) -> Arrays:
    """Signs of several characters each, from Omniglot's: uint8 images and labels, training and unseen."""
    found = np.load(data_dir / "omniglot_small_28.npz")
    pictures, character, drawer = torch.from_numpy(found["x"]).float() / 255, found["y"], found["drawer"]
    picked = np.random.default_rng(7).permutation(int(character.max()) + 1)[: classes * characters]
    generator = torch.Generator().manual_seed(1)
    parts: list[np.ndarray] = []
    for mine, count in ((drawer <= 16, rows), (drawer > 16, rows // 2)):
        x, y = [], []
        for label, own in enumerate(picked.reshape(classes, characters)):
            base = np.flatnonzero(np.isin(character, own) & mine)
            x.append(warped(pictures[np.resize(base, count)], generator))
            y.append(np.full(count, label))
        parts += [(torch.cat(x) * 255).round().byte().numpy(), np.concatenate(y)]
    return parts[0], parts[1], parts[2], parts[3]


def arrays_of(name: str, data_dir: Path) -> Arrays:
    """One of the four sets."""
    if name in SIGNS:
        return signs(data_dir, *SIGNS[name])
    if name == "mnist-8000":
        data = mnist(data_dir)
        x, y = data.x_train, data.y_train
    else:
        from condvae.datasets import load

        part = load("fashion-mnist", data_dir).train
        x, y = part.x[slice(None)][:, 0].numpy(), np.array(part.labels["class"])
    return x[:8000], y[:8000], x[50_000:54_000], y[50_000:54_000]


def measured(name: str, data_dir: Path, epochs: int, seed: int, draws: int) -> tuple[dict[str, Any], str]:
    """Train with the defaults and read the drawings: (values, protocol)."""
    import condvae
    from condvae.data import collect
    from condvae.judges import judge_for
    from condvae.measures import evaluate

    x, y, unseen, truth = arrays_of(name, data_dir)
    start = time.perf_counter()
    run = condvae.fit(x, {"label": y}, epochs=epochs, seed=seed)
    minutes = (time.perf_counter() - start) / 60
    collection = collect(x, {"label": y}, unseen, {"label": truth}, name=name)
    assert collection.test is not None
    judge = judge_for(collection)
    found = evaluate(
        run.learned, collection.test.x, collection.test.labels, judge, collection.train, 20, 300, draws=draws
    )
    again = judge.read(run.reconstruct(unseen, {"label": truth}))
    right = np.mean([judge.values[i] == str(v) for i, v in zip(again.index, truth, strict=True)])
    assert found.obedience and found.frechet and found.diversity and found.diversity.pixels
    overall = found.obedience.overall
    values: dict[str, Any] = {
        "obedience": overall.share,
        "obedience_low": overall.low,
        "obedience_high": overall.high,
        "judge_accuracy": judge.accuracy,
        "reconstructions_read": float(right),
        "frechet": found.frechet.distance,
        "frechet_of_real": found.frechet.real_mean,
        "diversity_pixels": found.diversity.pixels.ratio,
        "training_minutes": round(minutes, 2),
    }
    classes = len(np.unique(y))
    drawn = min(draws, len(truth))
    return values, PROTOCOL.format(
        name=name,
        rows=len(x),
        classes=classes,
        epochs=epochs,
        seed=seed,
        draws=drawn,
        accuracy=judge.accuracy,
        held=len(truth),
    )


def main(
    *names: str,
    data_dir: Path,
    epochs: int = 12,
    seed: int = 0,
    draws: int = 4_000,
    threads: int | None = None,
    out: Path = RESULTS / "defaults.json",
    dry: bool = False,
) -> None:
    """Measure the named sets, or all four, and add them to the results file.

    Parameters
    ----------
    names: mnist-8000, fashion-8000, signs-10, signs-26
    data_dir: folder with mnist/, fashion-mnist/ and omniglot_small_28.npz
    epochs: of training
    seed: of training
    draws: drawings that the judge reads
    threads: torch's own choice where it is not given
    out: the results file
    dry: print only
    """
    if threads is not None:
        torch.set_num_threads(threads)
    for name in names or ("mnist-8000", "fashion-8000", *SIGNS):
        load, start = load_average(), time.perf_counter()
        values, protocol = measured(name, data_dir, epochs, seed, draws)
        print(name, values, flush=True)
        if not dry:
            publish(out, values, protocol, start, load, torch.get_num_threads(), name, seed)


if __name__ == "__main__":
    cyclopts.run(main)
