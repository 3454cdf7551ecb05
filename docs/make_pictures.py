"""Draw the pictures of README.md and docs/ with the runs of the zoo: `python docs/make_pictures.py [DATA_DIR]`.

Only pictures that this software drew, real digits and clothes beside their reconstructions, and curves of committed
results are written.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Dither, Image
from PIL.Image import open as open_image

import condvae
from condvae import maps, pictures
from condvae.canvases import row_by_row
from condvae.data import unit
from condvae.datasets import load
from condvae.draw_studio import draw
from condvae.drawn_faces import FACTORS, draw_faces, random_factors
from condvae.hands import write
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.plots_bounds import bounds_by_samples
from condvae.plots_few import errors_by_labels
from condvae.plots_warmth import warmth
from condvae.recipes.few_labels import GOALS_BY_COUNT, committed
from condvae.recipes.guidance import plotted
from condvae.recipes.sharper import DATA
from condvae.strokes import animate, strip
from condvae.strolls import components, interpolate, traverse
from condvae.trace import Draw

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "pictures"
STROKES = 0  # the seed of what DRAW draws
SIZES = ("vector", "4 x 4", "7 x 7", "14 x 14")  # of the levels of a ladder of 28 x 28 pixels
FACES = 6  # the seed of the drawn faces, chosen among the first eight


def sixes() -> None:
    """What the README opens with: sixes on request, and every label of both runs."""
    digits, clothes = condvae.load(ROOT / "zoo" / "mnist-cvae"), condvae.load(ROOT / "zoo" / "fashion-cvae")
    pictures.save(pictures.grid(digits.generate({"digit": "6"}, n=48, seed=1), columns=16, scale=2), OUT / "six.png")
    for run, name in ((digits, "digits"), (clothes, "clothes")):
        field = run.schema.fields[0]
        drawn = run.generate({field.name: list(field.values)}, n=12, seed=3)
        pictures.save(pictures.grid(drawn, labels=field.values, scale=2), OUT / f"{name}.png")


def hands(data_dir: str | None) -> None:
    """One handwriting a row: a real test digit, then all ten digits in its style; and the latents of the digits."""
    run = condvae.load(ROOT / "zoo" / "mnist-cvae")
    part = load("mnist", data_dir).test
    assert part is not None
    labels = np.asarray(part.labels["digit"])
    chosen = [int(np.flatnonzero(labels == name)[4]) for name in "23579"]
    real = part.x[chosen].numpy() / np.float32(255)
    given = {"digit": [str(labels[row]) for row in chosen]}
    styled = run.restyle(real, given, {"digit": list(run.schema.fields[0].values)})
    rows = np.concatenate([real[:, None], styled], 1)
    pictures.save(pictures.grid(rows, labels=[f"a real {name}" for name in given["digit"]], scale=2), OUT / "hands.png")
    some = part.x[slice(0, 2000)].numpy() / np.float32(255)
    z = run.embed(some, {"digit": list(labels[:2000])})
    centred = z - z.mean(0)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    title = "latents of 2,000 test digits, two principal directions"
    drawn = maps.latent_map(plane, [str(name) for name in labels[:2000]], title=title, circles=False)
    pictures.save(drawn, OUT / "latents.png")


def line() -> None:
    """A line of text in one hand; the seed, that is, the hand, was chosen among the first eight."""
    write(str(ROOT / "zoo" / "mnist-cvae"), "31415", out=str(OUT / "line.png"), seed=5)


def walks() -> None:
    """Units moved one by one, still and moving; from a 4 to a 9; the mixture of the 4s. Seeds: chosen of six."""
    run = str(ROOT / "zoo" / "mnist-cvae")
    traverse(run, ["digit=2"], out=str(OUT / "units.png"), seed=5)
    traverse(run, ["digit=2"], units="7,2,12,3,11", out=str(OUT / "units.gif"), seed=5)
    interpolate(run, begin=["digit=4"], end=["digit=9"], steps=12, out=str(OUT / "strip.png"), seed=2)
    components(run, ["digit=4"], most=6, out=str(OUT / "components.png"))


def strengths() -> None:
    """Obedience and Frechet distance against the strength of guidance; nothing where the recipe has no result yet."""
    path = ROOT / "results" / "guidance.json"
    found = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    for run in found:
        if run["variant"] == "may-be-left-out":
            pictures.save(plotted(run["values"]["strengths"]), OUT / "guidance.png")
            return


def errors() -> None:
    """Errors of all committed runs with few labels over the number of labels; nothing where there are none."""
    curves = committed(ROOT / "results")
    if curves:
        drawn = errors_by_labels(curves, "MNIST: test error with few labels", GOALS_BY_COUNT)
        pictures.save(drawn, OUT / "few-labels.png")


def bounds() -> None:
    """Bounds on log p(x | c) over the number of samples, of the first committed annealing; nothing where there is
    none."""
    path = ROOT / "results" / "benchmarks" / "annealing.json"
    if not path.is_file():
        return
    found = json.loads(path.read_text(encoding="utf-8"))["runs"][0]["values"]
    count, annealed = list(found["annealing"].items())[-1]
    levels = {
        f"annealed, {int(count):,} temperatures": (annealed["mean"], annealed["above_importance"]["standard_error"]),
        "ELBO": (found["elbo"]["mean"], 0.0),
    }
    curve = {int(k): one["mean"] for k, one in found["importance"].items()}
    title = f"log p(x | c): {found['images']} MNIST test images, three lower bounds"
    pictures.save(bounds_by_samples(curve, levels, title, "posterior samples"), OUT / "likelihood.png")


def faces() -> None:
    """Eight drawn faces, a face a column, with every expression: the first of each hair, and three more."""
    some = random_factors(40, seed=FACES)
    first = [int(np.flatnonzero(some.hair == kind)[0]) for kind in FACTORS["hair"]]
    others = [row for row in range(len(some)) if row not in first]
    chosen = some.take(np.array([*first, *others[:3]]))
    rows = [replace(chosen, expression=np.full(len(chosen), mood)) for mood in FACTORS["expression"]]
    drawn = np.stack([draw_faces(row, 96) for row in rows])
    sheet = pictures.grid(drawn, labels=FACTORS["expression"], scale=1)
    in_few_colours(sheet, "faces-drawn")


def asked_faces() -> None:
    """Faces of the zoo: an expression a row, hair and skin as they were asked a column."""
    run = condvae.load(ROOT / "zoo" / "faces-drawn")
    columns = [
        (hair, colour, skin) for hair in FACTORS["hair"] for colour, skin in (("red", "light"), ("black", "brown"))
    ]
    rows = [(mood, *column) for mood in FACTORS["expression"] for column in columns]
    fields = ("expression", "hair", "hair_colour", "skin")
    asked = {name: [row[place] for row in rows] for place, name in enumerate(fields)}
    drawn = run.generate({**asked, "pose": [0.0] * len(rows)}, n=1, seed=FACES)[:, 0]
    sheet = pictures.grid(drawn.reshape(len(FACTORS["expression"]), len(columns), *drawn.shape[1:]),
                          labels=FACTORS["expression"], scale=1)  # fmt: skip
    in_few_colours(sheet, "faces-asked")


def recovered(runs: Path) -> None:
    """Drawn faces and what the lecture's model makes of them, its likeness over the epochs; neutral faces restyled."""
    for folder, name in (("drawn-32", "recovered"), ("drawn-32", "likeness"), ("conditional-drawn", "restyled")):
        from_run(runs / f"faces-{folder}-0", name, f"faces-{name}")


def from_run(run: Path, name: str, called: str) -> None:
    """A picture that a recipe drew, in few colours. Nothing where the recipe was not run."""
    found = run / "pictures" / f"{name}.png"
    if found.is_file():
        in_few_colours(open_image(found).convert("RGB"), called)


def in_few_colours(sheet: Image, called: str) -> None:
    """Save a picture with a palette of 256 colours, which makes the file a third as long."""
    reduced = sheet.quantize(256, kmeans=2, dither=Dither.NONE)
    pictures.write_bytes(pictures.png(reduced), OUT / f"{called}.png")


def models_of(data: str) -> dict[str, str]:
    """Name -> what the folder of its run ends with."""
    plain = {"CVAE": "cvae", "calibrated CVAE": "cvae", "deep-feature CVAE": "deep-features", "CVAE-GAN": "cvae-gan"}
    return {name: f"{kind}-{data}" + "-calibrated" * (name == "calibrated CVAE") for name, kind in plain.items()}


def remedies(runs: Path) -> None:
    """Real test images, and under them their labels drawn by every model of docs/sharper.md whose run is at hand; and
    who minds one stray pixel."""
    from_run(runs / "sharp-cvae-gan-mnist", "argument", "argument")
    from_run(runs / "sharp-cvae-gan-cifar10", "labels", "asked-cifar10")
    for data, source in DATA.items():
        found = {name: runs / f"sharp-{folder}" for name, folder in models_of(data).items()}
        found = {name: folder for name, folder in found.items() if (folder / "run.json").is_file()}
        if not found:
            continue
        part = load(source).test
        assert part is not None
        field = next(iter(part.labels))
        names = np.asarray(part.labels[field])
        values = sorted(set(names))
        copies = range(20 // len(values))
        rows = [int(np.flatnonzero(names == name)[copy]) for copy in copies for name in values]
        sheet = [unit(part.x[rows]).numpy()]
        for folder in found.values():
            run = condvae.load(folder)
            sheet.append(run.generate({field: [str(names[row]) for row in rows]}, n=1, seed=1)[:, 0])
        scale = 2 if max(part.x.shape[2:]) <= 32 else 1
        drawn = pictures.grid(np.stack(sheet), labels=["real", *found], scale=scale)
        in_few_colours(drawn, f"sharper-{data}")


def glimpses(runs: Path) -> None:
    """How the zoo's DRAW model draws each digit, still and moving, and reads real ones; house numbers in colour."""
    folder = ROOT / "zoo" / "mnist-draw"
    if (folder / "run.json").is_file():
        draw(str(folder), out=str(OUT / "draw-strip.png"), seed=STROKES)
        run = condvae.load(folder)
        ten = row_by_row(run.learned, [{"digit": str(digit)} for digit in range(10)], 1, STROKES)
        assert ten.written is not None
        animate(ten.images.swapaxes(0, 1), ten.written.swapaxes(0, 1), OUT / "draw.gif")
        part = load("mnist").test
        assert part is not None
        x, names = unit(part.x[:4]).numpy(), list(part.labels["digit"][:4])
        seen = run.canvases_of(x, {"digit": names})
        steps = seen.images.shape[1]
        rows = np.stack([np.repeat(x[:, None], steps, 1), seen.images], 1).reshape(-1, *seen.images.shape[1:])
        windows = np.stack([seen.read, seen.written], 1).reshape(-1, steps, 4)  # pyright: ignore
        labels = [word for name in names for word in (f"a {name}, read", "redrawn")]
        pictures.save(strip(rows, windows, labels), OUT / "draw-read.png")
    coloured = runs / "chen-fang-ju-draw-svhn"
    if (coloured / "run.json").is_file():
        draw(str(coloured), n=6, out=str(OUT / "draw-svhn.png"), seed=STROKES)


def warmths() -> None:
    """Obedience and Frechet distance of the ladder's drawings against their temperature."""
    found = ROOT / "results" / "ladder-mnist.json"
    for run in json.loads(found.read_text(encoding="utf-8"))["runs"] if found.is_file() else []:
        values = run["values"]
        if "temperatures" in values:
            title = "zoo/mnist-ladder, read on training images"
            pictures.save(warmth(values["temperatures"], values["chosen"], title), OUT / "ladder-temperature.png")


def levels() -> None:
    """What each level of the zoo's ladder says: drawings, with the levels above a size kept and the rest anew."""
    folder = ROOT / "zoo" / "mnist-ladder"
    if not (folder / "run.json").is_file():
        return
    learned = condvae.load(folder).learned
    rows, each = np.arange(10), 3
    columns = learned.schema.index({"digit": [str(digit) for digit in rows]}, len(rows))
    c = learned.condition(columns, rows)
    counts = learned.model.levels  # pyright: ignore
    with evaluating(learned.model):
        first = Draw(RowNoise(STROKES, rows))
        whole = learned.model(c, draw=first)
        sheet, labels = [whole.x.picture(first)], ["drawn"]
        for size, kept in zip(SIZES, np.cumsum(counts), strict=False):
            if kept == sum(counts):  # nothing is left to be drawn anew
                break
            for again in range(each):
                z = [z if level < kept else None for level, z in enumerate(whole.z)]
                moved = learned.model(c, z=z, draw=Draw(RowNoise(STROKES + 1 + again, rows)))
                sheet.append(learned.model(c, z=moved.z, draw=first).x.picture(first))  # painted with the same noise
                labels.append(f"{size} kept" if not again else "")
    stacked = torch.stack(sheet).numpy()
    pictures.save(pictures.grid(stacked, labels=labels, scale=2), OUT / "ladder-levels.png")
    run = condvae.load(folder)
    drawn = run.generate({"digit": [str(digit) for digit in rows]}, n=12, seed=3)
    pictures.save(pictures.grid(drawn, labels=[str(digit) for digit in rows], scale=2), OUT / "ladder.png")


if __name__ == "__main__":
    levels()
    warmths()
    glimpses(ROOT / "runs")
    sixes()
    hands(sys.argv[1] if len(sys.argv) > 1 else None)
    line()
    walks()
    strengths()
    errors()
    bounds()
    faces()
    asked_faces()
    recovered(ROOT / "runs")
    remedies(ROOT / "runs")
