"""Fill the tables of README.md and docs/*.md from results/*.json.

A document marks the place of a table with `<!-- table: NAME -->` and `<!-- end -->`; what stands between is replaced.
`python docs/tables.py` writes, `python docs/tables.py --check` only says which documents are out of date.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from condvae.temperatures import said

sys.path.insert(0, str(Path(__file__).resolve().parent))

import page_tables

ROOT = Path(__file__).resolve().parent.parent
MARK = re.compile(r"(<!-- table: ([\w./-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
Run = Mapping[str, Any]


def runs(name: str) -> list[Run]:
    """The runs of results/NAME.json; none where the file is missing."""
    path = ROOT / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def number(value: Any) -> str:
    """Four significant figures, or the word it is."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        size = abs(value)
        return (
            f"{value:.4f}"
            if size < 1
            else f"{value:.3f}"
            if size < 10
            else f"{value:.2f}"
            if size < 1000
            else f"{value:,.0f}"
        )
    return str(value)


def published(name: str) -> str:
    """Published beside obtained, a row a number and a column a seed, for each variant but the choices."""
    parts = []
    for variant in dict.fromkeys(run["variant"] for run in runs(name) if not run["variant"].startswith("choice-")):
        same = [run for run in runs(name) if run["variant"] == variant]
        header = [f"{name}, {variant}", "published", *(f"seed {run['seed']}" for run in same), "asked", "met"]
        rows = []
        for place, line in enumerate(same[0]["published"]):
            met = [run["published"][place]["met"] for run in same]
            ours = [number(run["published"][place]["obtained"]) for run in same]
            verdict = "" if met[0] is None else "yes" if all(met) else "no"
            rows.append([line["what"], number(line["published"]), *ours, line["goal"], verdict])
        minutes = [f"{run['minutes']:.1f}" for run in same]
        rows.append(["minutes of training, on the clock", "", *minutes, "", ""])
        if all("cpu_minutes" in run for run in same):
            busy = [f"{run['cpu_minutes']:.1f}" for run in same]
            rows.append(["minutes of training, of one core", "", *busy, "", ""])
        parts.append(table(header, rows))
    return "\n".join(parts)


def flat(found: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Plain numbers of nested values, under joined names; of lists, those of mappings."""
    out: dict[str, Any] = {}
    for key, value in found.items():
        name = f"{before}{key}".replace("_", " ")
        if isinstance(value, dict):
            out |= flat(value, f"{name}: ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for place, entry in enumerate(value):
                out |= flat(entry, f"{name} {place}: ")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            out[name] = value
    return out


def values(name: str) -> str:
    """Every plain value of a result, mean over its seeds, a column a variant."""
    found = [{**run, "flat": flat(run["values"])} for run in runs(name)]
    variants = list(dict.fromkeys(str(run.get("variant")) for run in found))
    keys = dict.fromkeys(key for run in found for key in run["flat"])
    rows = []
    for key in keys:
        cells = []
        for variant in variants:
            seen = [run["flat"][key] for run in found if str(run.get("variant")) == variant and key in run["flat"]]
            cells.append(number(statistics.mean(seen)) if seen else "")
        rows.append([key, *cells])
    return table(["", *variants], rows) if found else ""


def choices(name: str) -> str:
    """What each choice gave: the variants "choice-...", a row each, their first line beside that of "choice-all"."""
    found = {run["variant"].removeprefix("choice-"): run for run in runs(name) if run["variant"].startswith("choice-")}
    if "all" not in found:
        return ""
    lines = [line["what"] for line in found["all"]["published"]]
    rows = []
    for variant, run in found.items():
        got = [line["obtained"] for line in run["published"]]
        apart = "" if variant == "all" else f"{got[0] - found['all']['published'][0]['obtained']:+.2f}"
        rows.append([variant.replace("-", " "), *map(number, got), apart, f"{run['cpu_minutes']:.1f}"])
    return table(["", *lines, "first against all", "minutes of one core"], rows)


def percent(share: float) -> str:
    """A share in percent, two decimals."""
    return f"{share:.2%}".replace("%", " %")


def defaults(name: str) -> str:
    """What the defaults reach on little data, a row a set."""
    header = ["", "asked label read back", "judge, real unseen images", "reconstructions read"]
    header += ["Frechet distance", "of real images", "minutes of training"]
    rows = []
    for run in runs(name):
        v = run["values"]
        low, high = f"{v['obedience_low']:.1%}".rstrip("%"), f"{v['obedience_high']:.1%}".rstrip("%")
        cells = [f"{percent(v['obedience'])} [{low}, {high}]", percent(v["judge_accuracy"])]
        cells += [percent(v["reconstructions_read"]), number(v["frechet"]), number(v["frechet_of_real"])]
        rows.append([f"{run['variant']}, seed {run['seed']}", *cells, f"{v['training_minutes']:.1f}"])
    return table(header, rows) if rows else ""


def guidance(name: str) -> str:
    """What each strength of guidance gives, of the runs whose label may be left out."""
    header = ["strength of guidance", "asked label read back", "Frechet distance", "drawings"]
    rows = []
    for run in runs(name):
        if run["variant"] != "may-be-left-out":
            continue
        for found in run["values"]["strengths"]:
            low, high = (f"{100 * end:.1f}" for end in found["obedience_interval"])
            read = f"{percent(found['obedience'])} [{low}, {high}]"
            rows.append([f"{found['strength']:g}", read, number(found["frechet"]), f"{found['draws']:,}"])
    return table(header, rows) if rows else ""


def warmth(name: str) -> str:
    """Obedience and Frechet distance at each temperature that was tried, of the runs that tried some."""
    header = ["", "temperature", "asked label read back", "Frechet distance", "diversity of features, real = 1"]
    header += ["sharpness, real = 1", "drawings", "chosen"]
    rows = []
    for run in runs(name):
        chosen = run["values"].get("chosen")
        for found in run["values"].get("temperatures", ()):
            read = ""
            if "obedience" in found:
                low, high = (f"{100 * end:.1f}" for end in found["obedience_interval"])
                read = f"{percent(found['obedience'])} [{low}, {high}]"
            cells = [number(found.get(key)) for key in ("frechet", "diversity_features", "sharpness")]
            drawn = f"{found['draws']:,}" if "draws" in found else ""
            mark = "yes" if found["temperature"] == chosen else ""
            rows.append(
                [f"{run['variant']}, seed {run['seed']}", said(found["temperature"]), read, *cells, drawn, mark]
            )
    return table(header, rows) if rows else ""


def specialists(name: str) -> str:
    """The model of every hole beside the specialist of each, on the first 1,000 test images."""
    every = next((run["values"] for run in runs(name) if run["variant"] == "digits"), None)
    alone = {run["variant"]: run["values"][run["variant"]] for run in runs("quadrants")}
    if every is None or not alone:
        return ""
    header = ["hole", "specialist, nats", "model of every hole, nats", "apart", "asked", "met"]
    header += [
        "completions read as the digit: specialist",
        "model of every hole",
        "PSNR, dB: specialist",
        "model of every hole",
    ]
    rows = []
    for kind, one in alone.items():
        other = every[kind]
        apart = other["nll_first_1000"] / one["nll_first_1000"] - 1
        nats = [number(found["nll_first_1000"]) for found in (one, other)]
        read = [percent(found["completions_read_as_the_digit"]) for found in (one, other)]
        psnr = [number(found["psnr_of_mean_completion"]) for found in (one, other)]
        shown = f"{100 * apart:+.1f} %"
        rows.append([kind, *nats, shown, "<= +2 %", number(apart <= 0.02), *read, *psnr])
    return table(header, rows)


def beside_pyro(name: str) -> str:
    """The tutorial's model, measured again, beside ours on the same test images."""
    header = ["seen", "-ELBO, tutorial's page", "Pyro: -ELBO", "ours: -ELBO", "Pyro: K = 1000", "ours: K = 1000"]
    header += ["minutes of training on the clock: Pyro"]
    rows = []
    for place, run in enumerate(sorted(runs(name), key=lambda run: run["variant"]), 1):
        found = run["values"]
        theirs, ours = found["pyro"], found["ours"]
        nats = [f"{one['nll']:.2f} ± {one['nll_standard_error']:.2f}" for one in (theirs, ours)]
        bounds = [number(one) for one in (found["published_minus_elbo"], theirs["minus_elbo"], ours["minus_elbo"])]
        rows.append([str(place), *bounds, *nats, f"{theirs['training']['minutes']:.1f}"])
    return table(header, rows) if rows else ""


def few(name: str) -> str:
    """Errors with few labels, a row a variant: the mean over its draws of labels, and between them the spread."""
    found = [run for run in runs(name) if "supervised_test_error" in run["values"]]
    header = ["", "labels", "draws", "test error, %", "published", "asked", "met", "validation error, %"]
    header += ["same classifier, labels alone, %", "expected calibration error", "drawings read back, %"]
    header += ["minutes of one core"]
    rows = []
    for variant in sorted({run["variant"] for run in found}, key=few_order):
        same = [run for run in found if run["variant"] == variant]
        line = next(line for line in same[0]["published"] if line["what"] == "test error, %")
        errors = [run["values"]["test_error"] for run in same]
        mean = statistics.mean(errors)
        spread = "" if len(errors) == 1 else f" ({min(errors):.2f} to {max(errors):.2f})"
        held = [run["values"]["validation_error"] for run in same if run["values"]["validation_error"] is not None]
        drawn = [100 * run["values"]["drawn"]["obedience"] for run in same if "drawn" in run["values"]]
        met = "" if not line["goal"] else number(mean <= float(line["goal"].removeprefix("<= ")))
        rows.append(
            [
                variant,
                f"{same[0]['values']['labels']:,}",
                str(len(same)),
                f"{mean:.2f}{spread}",
                number(line["published"]),
                line["goal"],
                met,
                f"{statistics.mean(held):.2f}" if held else "",
                f"{statistics.mean(run['values']['supervised_test_error'] for run in same):.2f}",
                f"{statistics.mean(run['values']['expected_calibration_error'] for run in same):.4f}",
                f"{statistics.mean(drawn):.1f}" if drawn else "",
                f"{statistics.mean(run['cpu_minutes'] for run in same):.1f}",
            ]
        )
    return table(header, rows) if rows else ""


def few_order(variant: str) -> tuple[str, int]:
    """By kind, then by the number of labels: "dense-600" before "dense-1000"."""
    kind, _, count = variant.rpartition("-")
    return kind, int(count)


def few_choices(name: str) -> str:
    """Errors on held-out images with one option changed, a row a variant."""
    header = ["", "error on 10,000 held-out images, %", "minutes of one core"]
    rows = []
    for run in sorted(runs(name), key=lambda run: run["values"]["held_out_error"]):
        error = f"{run['values']['held_out_error']:.2f} ± {run['values']['standard_error']:.2f}"
        rows.append([run["variant"].removeprefix("choice-").replace("-", " "), error, f"{run['cpu_minutes']:.1f}"])
    return table(header, rows) if rows else ""


def faces(name: str) -> str:
    """How well training and unseen faces are recovered, a row a variant and moment."""
    header = ["", "epochs", "squared error: training", "unseen", "of the mean training image, on unseen"]
    header += ["of the nearest training image", "SSIM: training", "unseen", "recovered: training", "unseen"]
    header += ["minutes of one core"]
    rows = []
    for run in runs(name):
        v = run["values"]
        plain = [v["mean_image"]["test"], v["nearest_training_image"]["test"]]
        for epoch, found in v["at"].items():
            parts = [found["train"], found["test"]]
            errors = [f"{value:,.0f}" for value in [*(part["squared_error"] for part in parts), *plain]]
            alike = [f"{part['ssim']:.3f}" for part in parts]
            held = [number(part["recovered"]) for part in parts]
            whole = f"{run['cpu_minutes']:.1f}" if epoch == list(v["at"])[-1] else ""
            rows.append([run["variant"], epoch, *errors, *alike, *held, whole])
    return table(header, rows) if rows else ""


def faces_bounds(name: str) -> str:
    """The true ELBO beside the loss as printed, a row a variant."""
    header = ["", "sigma", "loss as printed, 16 images: training", "unseen", "ELBO: training", "unseen", "KL: training"]
    header += ["unseen", "ELBO at the loss's own noise: training", "unseen"]
    rows = []
    for run in runs(name):
        parts = [run["values"]["bounds"][part] for part in ("train", "test")]
        keys = ("printed_loss", "elbo", "kl", "elbo_at_the_noise_of_the_loss")
        cells = [f"{part[key]:,.0f}" if key in part else "" for key in keys for part in parts]
        rows.append([run["variant"], number(run["values"]["sigma"]), *cells])
    return table(header, rows) if rows else ""


def faces_homework(name: str) -> str:
    """Unseen happy and unseen angry faces apart, a row a number of latents."""
    header = ["", "expression", "images", "squared error", "SSIM", "silhouette in the latents"]
    header += ["expression read from the nearest, %", "chance, %"]
    rows = []
    for run in runs(name):
        v = run["values"]
        for kind, found in v.get("unseen", {}).items():
            shown = [str(found["images"]), f"{found['squared_error']:,.0f}", f"{found['ssim']:.3f}"]
            apart = v["structure"]
            shares = [f"{100 * apart[key]:.0f}" for key in ("accuracy", "chance")]
            rows.append([run["variant"], kind, *shown, f"{apart['silhouette']:.2f}", *shares])
    return table(header, rows) if rows else ""


def faces_restyled(name: str) -> str:
    """What the conditional models draw, and neutral faces restyled, as a judge reads them; a row a target."""
    header = ["", "drawings read back", "judge, real unseen faces", "neutral restyled to", "read back", "images"]
    header += ["SSIM with the original"]
    rows = []
    for run in runs(name):
        for kind, found in run["values"].get("restyled", {}).items():
            drawn = run["values"]["drawn"]
            low, high = (f"{100 * end:.0f}" for end in found["interval"])
            read = f"{percent(found['read_back'])} [{low}, {high}]"
            cells = [percent(drawn["obedience"]), percent(drawn["judge_accuracy"]), kind, read, str(found["images"])]
            rows.append([run["variant"], *cells, f"{found['ssim_with_the_original']:.3f}"])
    return table(header, rows) if rows else ""


REMEDIES = (
    ("CVAE", "chen-fang-ju/cvae", ""),
    ("calibrated CVAE", "chen-fang-ju/cvae", "-calibrated"),
    ("deep-feature CVAE", "chen-fang-ju/deep-features", ""),
    ("CVAE-GAN", "chen-fang-ju/cvae-gan", ""),
    ("VAE", "chen-fang-ju/vae", ""),
    ("deep-feature VAE", "chen-fang-ju/deep-features", "-unconditional"),
    ("VAE-GAN", "chen-fang-ju/vae-gan", ""),
)


def remedies(prior: str) -> str:
    """Every model of the comparison, a row a data set and model, drawn under one prior; the judge's own marks last."""
    header = ["", "", "Frechet distance", "of real images", "sharpness, real = 1", "obedience", "judge, real images"]
    header += ["diversity: pixels", "features", "precision", "recall", "minutes of one core"]
    rows = []
    for data in ("mnist", "svhn", "cifar10", "faces-drawn"):
        for model, name, suffix in REMEDIES:
            run = next((run for run in runs(name) if run["variant"] == data + suffix), None)
            if run is None:
                continue
            v = run["values"][prior]
            read = [percent(v[key]) if key in v else "" for key in ("obedience", "judge_accuracy")]
            shares = [percent(v[key]) for key in ("precision", "recall")]
            spread = [f"{v[key]:.2f}" for key in ("diversity_pixels", "diversity_features")]
            near = [f"{v[key]:.2f}" for key in ("frechet", "frechet_real", "sharpness")]
            rows.append([data, model, *near, *read, *spread, *shares, f"{run['cpu_minutes']:.1f}"])
    return table(header, rows) if rows else ""


def flaw(name: str) -> str:
    """In how many digits each ranking minds one stray pixel more than six of the stroke, as people do."""
    rows = []
    for run in runs(name):
        for ranking, found in run["values"].get("minds_the_flaw_more", {}).items():
            share = f"{percent(found['share'])} [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"
            rows.append([ranking, share, f"{found['digits']:,}"])
    return table(["ranking", "agrees with people", "digits"], rows) if rows else ""


def draw_speed(name: str) -> str:
    """Images/s of training DRAW, a row a form; and what a glimpse costs, a row a number of them."""
    found = next((run["values"] for run in runs(name)), None)
    if found is None:
        return ""

    def times(ratios: Mapping[str, float]) -> str:
        return f"{ratios['median']:.2f} ({ratios['least']:.2f} to {ratios['greatest']:.2f})"

    header = ["", "threads", "images/s", "of eager, as many threads", "of one thread", "seconds of the first step"]
    rows = [
        [
            one["form"],
            str(one["threads"]),
            f"{one['images_per_second']:,}",
            "" if one["form"] == "eager" else times(one["to_eager"]),
            "" if one["threads"] == 1 else times(one["to_one_thread"]),
            f"{one['seconds_of_the_first_step']:.1f}",
        ]
        for one in found["forms"].values()
    ]
    lengths = [
        [count, f"{one['images_per_second']:,}", f"{one['milliseconds_an_image_and_glimpse']:.3f}"]
        for count, one in found["lengths"].items()
    ]
    return table(header, rows) + "\n" + table(["glimpses", "images/s", "ms an image and glimpse"], lengths)


MODELS = {  # variant of the recipe `models` -> what it is called, and the page that tells of it
    "dense": ("CVAE, dense", "cvae.md"),
    "conv": ("CVAE, convolutional", "cvae.md"),
    "learned-prior": ("the same, learned prior", "cvae.md"),
    "mixture-prior": ("the same, mixture prior", "cvae.md"),
    "autoregressive": ("autoregressive", "best-mnist.md"),
    "ladder": ("ladder", "ladder.md"),
    "ladder-autoregressive": ("ladder, autoregressive", "ladder.md"),
    "draw": ("DRAW", "draw.md"),
    "m2": ("M2", "few-labels.md"),
    "m1-m2": ("M1+M2", "few-labels.md"),
    "gan": ("CVAE-GAN", "sharper.md"),
    "deep-features": ("deep features", "features.md"),
    "vae": ("VAE, no label", "cvae.md"),
}


def models(kind: str) -> str:
    """Every model of the house on one protocol, a row a model: its "likelihood", or its "drawings"."""
    found = {run["variant"]: run for run in runs("models")}
    make = {"likelihood": model_likelihood, "drawings": model_drawings}[kind]
    order = [*(name for name in MODELS if name in found), *(name for name in found if name not in MODELS)]
    rows = []
    for variant in order:
        name, page = MODELS.get(variant, (variant, ""))
        rows.append([f"[{name}]({page})" if page else name, *make(found[variant])])
    return table(["", *MODEL_HEADERS[kind]], rows) if rows else ""


def trained_a_second(run: Run) -> float:
    """Images/s of training: of the benchmark that has all models take turns, else those of the run itself."""
    beside = next((one["values"] for one in runs("benchmarks/models")), {})
    return beside.get(run["variant"], {}).get("images_a_second") or run["values"]["images_a_second_trained"]


MODEL_HEADERS = {
    "likelihood": [
        "parameters",
        "epochs",
        "minutes of training, of one core",
        "images/s trained",
        "-ELBO, own prior",
        "KL",
        "-log p, K = 100, own prior",
        "effective samples",
        "-log p, K = 100, fitted density",
    ],
    "drawings": [
        "obedience, own prior",
        "Frechet distance",
        "diversity",
        "obedience, fitted density",
        "Frechet distance",
        "diversity",
        "images/s drawn",
    ],
}


def model_likelihood(run: Run) -> list[str]:
    """Size, time and nats of one model."""
    v = run["values"]
    own, fitted = v["model"], v.get("fitted", {})
    nats = [
        f"{one['nll']:.2f} ± {one['nll_standard_error']:.2f}" if "nll" in one else "none" if one else ""
        for one in (own, fitted)
    ]
    return [
        f"{v['parameters']:,}",
        str(v["epochs"]),
        f"{run['cpu_minutes']:.1f}",
        f"{trained_a_second(run):,.0f}",
        f"{own['minus_elbo']:.2f}" if "minus_elbo" in own else "none",
        f"{own['kl']:.1f}",
        nats[0],
        f"{own['effective_samples']:.1f}" if "effective_samples" in own else "",
        nats[1],
    ]


def model_drawings(run: Run) -> list[str]:
    """What a judge says of one model's drawings, under each prior; beside each distance that of real images."""
    v = run["values"]
    cells: list[str] = []
    for one in (v["model"], v.get("fitted")):
        cells += [
            "" if one is None or "obedience" not in one else percent(one["obedience"]),
            "" if one is None else f"{one['frechet']:.2f} ({one['frechet_real']:.2f})",
            "" if one is None else f"{one['diversity_pixels']:.2f}",
        ]
    return [*cells, f"{v['images_a_second_drawn']:,.0f}"]


def bounds(name: str) -> str:
    """Every bound on log p(x | c), from the ELBO to annealing, a row each; for each run, the bound and how far the last
    annealing is above it."""

    def nats(found: Mapping[str, float], sign: str = "") -> str:
        return f"{found['mean']:{sign}.2f} ± {found['standard_error']:.2f}"

    header: list[str] = [""]
    rows: dict[str, list[str]] = {}
    kinds = sorted(runs(name), key=lambda run: run["values"]["part"])
    for run in kinds:
        v = run["values"]
        last = list(v["annealing"])[-1]
        header += [f"{run['variant']}: mean of {v['images']}, nats", "annealed is above by"]
        for count, found in v["importance"].items():
            what = f"importance sampling, K = {int(count):,}" + " (the ELBO)" * (count == "1")
            rows.setdefault(what, [what]).extend([nats(found), nats(found["below_annealing"], "+")])
        for count, found in v["annealing"].items():
            what = f"annealed, {int(count):,} temperatures, {v['chains']} chains"
            apart = "" if count == last else nats(found["below_annealing"], "+")
            rows.setdefault(what, [what]).extend([nats(found), apart])
    # a run that has fewer rows than the first leaves the last cells open
    return table(header, [cells + [""] * (len(header) - len(cells)) for cells in rows.values()]) if rows else ""


def chains(name: str) -> str:
    """How importance sampling and each annealing went, a row each."""
    header = ["", "", "less importance sampling at K = 5,000, image by image: least", "median", "greatest"]
    header += ["two nats above it", "effective samples or chains: mean", "least", "accepted", "minutes of one core"]
    rows = []
    for run in sorted(runs(name), key=lambda run: run["values"]["part"]):
        v = run["values"]
        drawn = [f"{v['effective_samples'][key]:.1f}" for key in ("mean", "least")]
        spent = f"{v['importance_cpu_minutes']:.1f}"
        rows.append([run["variant"], "importance sampling, K = 5,000", "", "", "", "", *drawn, "", spent])
        for count, found in v["annealing"].items():
            apart = found["above_importance"]
            away = [f"{apart[key]:+.2f}" for key in ("least", "median", "greatest")]
            away += [f"{apart['images_two_nats_above']} of {v['images']}"]
            drawn = [f"{found['effective_chains'][key]:.1f}" for key in ("mean", "least")]
            went = [percent(found["acceptance"]), f"{found['cpu_minutes']:.1f}"]
            rows.append([run["variant"], f"annealed, {int(count):,} temperatures", *away, *drawn, *went])
    return table(header, rows) if rows else ""


def likelihood_cost(name: str) -> str:
    """What a likelihood costs, a row a kind of model; on the clock only where the machine was quiet."""
    run = next(iter(runs(name)), None)
    if run is None:
        return ""
    one, *_, several = (run["values"][threads] for threads in sorted(run["values"], key=int))
    quiet = (run["machine"]["load_before"] or 0.0) < 1
    header = ["", "images x K a second, one core", "10,000 images, K = 500, minutes of one core", "K = 5,000"]
    header += [f"K = 5,000 on {run['machine']['threads']} threads, minutes on the clock"] * quiet
    rows = []
    for model, found in one.items():
        core = {k: found[k]["of_a_core"] for k in ("500", "5000")}
        cells = [f"{core['5000']['images_times_k_per_second']:,}"]
        cells += [f"{core[k]['minutes_of_10000_images']:,.0f}" for k in core]
        cells += [f"{several[model]['5000']['on_the_clock']['minutes_of_10000_images']:,.0f}"] * quiet
        rows.append([model, *cells])
    return table(header, rows)


def speed(name: str) -> str:
    """How fast the page is."""
    return table(*page_tables.speed(runs(name))) if runs(name) else ""


def strange(name: str) -> str:
    """What the runs of the zoo call strange."""
    return table(*page_tables.strange(runs(name))) if runs(name) else ""


MAKERS: dict[str, Callable[[str], str]] = {
    "bounds": bounds,
    "chains": chains,
    "likelihood-cost": likelihood_cost,
    "specialists": specialists,
    "faces": faces,
    "faces-bounds": faces_bounds,
    "faces-homework": faces_homework,
    "faces-restyled": faces_restyled,
    "remedies": remedies,
    "flaw": flaw,
    "draw-speed": draw_speed,
    "models": models,
    "few": few,
    "few-choices": few_choices,
    "pyro": beside_pyro,
    "published": published,
    "values": values,
    "choices": choices,
    "defaults": defaults,
    "guidance": guidance,
    "warmth": warmth,
    "strange": strange,
    "speed": speed,
}


def filled(text: str) -> str:
    """The document with its tables made anew."""

    def make(match: re.Match[str]) -> str:
        kind, _, name = match[2].partition("/")
        body = MAKERS[kind](name) or "No result yet.\n"
        return f"{match[1]}{body}{match[3]}"

    return MARK.sub(make, text)


def main() -> int:
    """Write the tables, or with --check name the documents that are out of date."""
    check, stale = "--check" in sys.argv, []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        new = filled(text)
        if new != text:
            stale.append(path.name)
            if not check:
                path.write_text(new, encoding="utf-8")
    print(
        f"out of date: {', '.join(stale)}"
        if check and stale
        else f"{len(stale)} documents written"
        if stale
        else "up to date"
    )
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
