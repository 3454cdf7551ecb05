"""How often the runs of the zoo call a picture strange: other test images, empty pages, noise, inverted images, images
of other data, scribbles; and the seconds that it takes for one picture.

Each run's typical.json says what is typical; it is measured on test images that are left out here.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cyclopts
import numpy as np

if TYPE_CHECKING:
    from condvae.runs import Run

PROTOCOL = (
    "runs of the zoo as they stand, each with the ranges of its typical.json; at most {images} pictures a kind ({few} "
    "where one takes more than {slow} s); test images are others than those behind the ranges, and inverted are these; "
    "other data: test images of Fashion-MNIST for digits, of MNIST for clothes; noise: uniform in [0, 1], or Gaussian "
    "of mean 0.5 and deviation 0.2, cut at 0 and 1; scribbles: three to six random lines, white on black; 95 % "
    "intervals by Wilson; seconds of one picture: median of five, after one not counted, one thread"
)
IMAGES, FEW, SLOW = 500, 150, 0.04
OTHER = {"mnist": "fashion-mnist", "fashion-mnist": "mnist"}


def pages(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Empty pages, one of each."""
    shades = {"black page": 0.0, "white page": 1.0, "grey page": 0.5, "dark grey page": 0.2, "light grey page": 0.8}
    return {name: np.full((1, *shape), shade, np.float32) for name, shade in shades.items()}


def noises(shape: tuple[int, ...], count: int) -> dict[str, np.ndarray]:
    """Noise of two kinds, `count` pictures of each."""
    rng = np.random.default_rng(0)
    normal = np.clip(rng.normal(0.5, 0.2, (count, *shape)), 0, 1).astype(np.float32)
    return {"uniform noise": rng.random((count, *shape)).astype(np.float32), "Gaussian noise": normal}


def scribbles(shape: tuple[int, ...], count: int) -> np.ndarray:
    """Pictures of three to six random lines each, a tenth of the picture thick, white on black."""
    from PIL import Image, ImageDraw

    rng, (channels, height, width) = np.random.default_rng(1), shape
    out = np.empty((count, *shape), np.float32)
    for place in range(count):
        page = Image.new("L", (4 * width, 4 * height))
        pen = ImageDraw.Draw(page)
        for _ in range(rng.integers(3, 7)):
            ends = rng.random(4) * [4 * width, 4 * height, 4 * width, 4 * height]
            pen.line([tuple(ends[:2]), tuple(ends[2:])], fill=255, width=max(2, 4 * height // 10))
        small = np.asarray(page.resize((width, height), Image.Resampling.BOX), np.float32) / 255
        out[place] = np.broadcast_to(small, (channels, height, width))
    return out


def kinds(run: Run, name: str, data_dir: Path | None, images: int, behind: int, seed: int) -> dict[str, np.ndarray]:
    """Kind -> pictures [N, C, H, W] in [0, 1]. behind: how many test images the ranges are of, drawn by the seed."""
    from condvae.datasets import load
    from condvae.images import unit
    from condvae.subject import chosen

    def taken(data: str, rows: np.ndarray) -> np.ndarray:
        part = load(data, data_dir).test
        assert part is not None
        return unit(part.x[slice(None)][rows]).numpy()

    test = load(name, data_dir).test
    assert test is not None
    rest = np.setdiff1d(np.arange(len(test)), chosen(len(test), behind, seed))
    real = taken(name, np.random.default_rng(0).permutation(rest)[:images])
    found = {"test images": real, **pages(run.shape), **noises(run.shape, images), "inverted": 1 - real}
    if name in OTHER:
        found[f"images of {OTHER[name]}"] = taken(OTHER[name], np.arange(images))
    return found | {"scribbles": scribbles(run.shape, images)}


def measured(path: Path, data_dir: Path | None, images: int) -> dict[str, Any]:
    """What a run calls strange, kind by kind."""
    from condvae.runs import load
    from condvae.typical import STATISTICS
    from condvae.typical_record import recorded
    from condvae.typical_statistics import statistics

    run = load(path)
    known, name = recorded(run), str(run.facts["data"]["name"])
    seconds = seconds_of(run)
    count = images if seconds < SLOW else min(FEW, images)
    values: dict[str, Any] = {}
    for kind, x in kinds(run, name, data_dir, count, known.images, known.seed).items():
        found = statistics(run.learned, x, known.k, known.seed)
        strange = {
            one.name: np.asarray([known.ranges[one.name].side(value) != "within" for value in found[one.name]])
            for one in STATISTICS
        }
        values[kind] = {
            **share(np.asarray(np.stack(list(strange.values())).any(0))),
            "by": {key: int(some.sum()) for key, some in strange.items()},
        }
        print(path.name, kind, values[kind], flush=True)
    return {"of": known.of, "range_of_images": known.images, "seconds_a_picture": seconds, "flagged": values}


def share(strange: np.ndarray) -> dict[str, Any]:
    """How many of the pictures are strange, with a 95 % interval of their share."""
    from condvae.findings import Share

    found = Share(right=int(strange.sum()), of=len(strange))
    low, high = round(found.low, 4), round(found.high, 4)
    return {"pictures": found.of, "flagged": found.right, "share": round(found.share, 4), "low": low, "high": high}


def seconds_of(run: Run) -> float:
    """Seconds that one picture takes, all of what `classify` adds for it."""
    from condvae.typical_record import judged

    x, taken = run.generate(None, 1, seed=0), []
    for _ in range(6):
        begun = time.perf_counter()
        judged(run, x)
        taken.append(time.perf_counter() - begun)
    return round(float(np.median(taken[1:])), 4)


def main(
    *, images: int = IMAGES, only: str = "", data_dir: Path | None = None, out: Path | None = None, dry: bool = False
) -> None:
    """Measure and add the run to the results file.

    Parameters
    ----------
    images: pictures a kind, at most
    only: a part of the names of the runs that are measured
    data_dir: where MNIST and Fashion-MNIST lie
    out: the results file
    dry: print only
    """
    from condvae.process import tune

    tune()  # before torch is loaded
    import torch
    from bench import RESULTS, ROOT, load_average, publish

    torch.set_num_threads(1)
    load_before, start = load_average(), time.perf_counter()
    runs = [
        path for path in sorted((ROOT / "zoo").iterdir()) if only in path.name and (path / "typical.json").is_file()
    ]
    values = {path.name: measured(path, data_dir, images) for path in runs}
    if not dry:
        protocol = PROTOCOL.format(images=images, few=FEW, slow=SLOW)
        publish(out or RESULTS / "typical.json", values, protocol, start, load_before, 1)


if __name__ == "__main__":
    cyclopts.run(main)
