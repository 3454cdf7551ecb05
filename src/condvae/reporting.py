"""The end of every training: pictures/, and report.html with the pictures, the measures in words, and the settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image

from condvae import pictures, plots, plots_calibration, plots_numbers
from condvae.calibration import BINS
from condvae.data import Collection, Part
from condvae.datasets import is_path
from condvae.errors import Refused
from condvae.evaluation import Evaluation, Obedience
from condvae.fitting import fingerprint, split
from condvae.gallery import answerable, first_request, gallery, known_labels
from condvae.latent_maps import placed_rows
from condvae.latent_report import latent_section
from condvae.measures import evaluate
from condvae.panel import Panel, Reader, halved, judges_for
from condvae.proof import keep
from condvae.report import Section, write_report
from condvae.runs import Run
from condvae.typical_record import write_typical
from condvae.typical_statistics import QUICK
from condvae.verdicts import named_entries

__all__ = ["flattering", "judge_at_hand", "unseen_part", "with_test", "write_run_report"]

Say = Callable[[Iterable[str]], None]

LIMIT, K, DRAWS = 500, 50, 1_000  # of the report's measures: seconds, not minutes; `condvae evaluate` takes its time
CHEAP = 200_000 * 28 * 28  # pixels that a judge may look at in training: about 40 s on two cores
PATIENCE = "a minute"
BARS = 40  # labels whose obedience is drawn one by one

CAPTIONS = {
    "samples": "a row a value, drawn from the model",
    "effects": "a row a value of each further field, all else asked alike, with the same noise in every row",
    "completions": "real pictures, what is seen of them (the rest hatched), and five completions of what is hidden",
    "reconstructions": "real pictures, and what the model makes of them through its latents",
    "drawing": "the canvas after each glimpse, whose number stands above, with the same noise in every row; where the "
    "model draws through a window, it is the red rectangle, whose line is the wider the more the window blurs",
    "traversal": "one drawing, and what each latent unit does to it, moved by itself by up to two deviations to each "
    "side; the most active unit first",
    "components": "a row a Gaussian of the mixture fitted to the latents, the heaviest first, named by its share of "
    "the weight: the picture of its mean, then draws from it",
    "latents": "one posterior sample a picture, coloured by what is known of it",
    "one-label": "the latents of all labels, and of one",
    "manifold": "the plane of latents under one condition",
    "curves": "loss and its terms over the epochs",
    "obedience": "share of the asked labels that an independent judge reads back, with 95 % intervals",
    "numbers": "numbers asked for, and those that an independent regressor reads off the drawings",
    "calibration": "real images grouped by how sure the model is of the label that it reads off them: the share of "
    "each group that it reads rightly, with 95 % intervals; on the dashed line it is right as often as it is sure; the "
    "bars count the images of each group",
}
TITLES = {
    "samples": "Samples",
    "effects": "What each further field does",
    "completions": "Holes filled",
    "obedience": "Obedience",
    "numbers": "Numbers asked and read",
    "calibration": "How sure, and how right, labels are read",
    "reconstructions": "Reconstructions",
    "drawing": "How it draws",
    "traversal": "What each latent unit does",
    "components": "The mixture of the latents",
    "latents": "Map of the latents",
    "one-label": "Latents of one label",
    "manifold": "Manifold",
    "curves": "Training",
}


def write_run_report(
    run: Run,
    collection: Collection,
    lines: Sequence[str],
    judge: Reader | Mapping[str, Reader] | None = None,
    say: Say | None = None,
    extra: Sequence[Section] = (),
) -> Path:
    """Draw the run's pictures into pictures/, measure it quickly, keep the measures, and write report.html; its path.

    lines: what was said of the data. judge: reads what was asked off the drawings, as in `evaluate`; None: what is
    needed is found, or trained where that costs little.
    """
    assert run.path is not None, "a run in memory has no folder for its report"
    part, whence = unseen_part(run, collection)
    asked = first_request(run.schema)
    drawn, ready = drawn_pictures(run, part, asked)
    panel = judge_at_hand(run, with_test(run, collection), say) if judge is None else Panel()
    found = evaluate(
        run.learned,
        part.x,
        known_labels(run.schema, part),
        panel.readers if judge is None else judge,
        k=K,
        limit=LIMIT,
        draws=DRAWS,
        unjudged=panel.missing,
        unseen=panel.unseen,
    )
    drawn |= obedience_pictures(found) | calibration_picture(found)
    for name, image in drawn.items():
        pictures.save(image, run.path / "pictures" / f"{name}.png")
    words = [*found.words, *filter(None, (unmeasured_words(run, found), untypical_words(run, part, whence)))]
    notes = keep(run, found, collection.name, whence)
    if say is not None:
        say([*words, *notes])
    wanted = ", ".join(f"{field} = {value}" for field, value in asked.items()) or "nothing in particular"
    opening = (f"Asked for: {wanted}", pictures.png(drawn["asked"])) if "asked" in drawn else None
    sections = [
        *extra,
        *picture_sections(drawn, ready),
        measures_section(found, whence, run),
        Section("The data", list(lines)),
        settings_section(run),
    ]
    return write_report(run.path, title(run), words, sections, opening)


def drawn_pictures(run: Run, part: Part, asked: Mapping[str, Any]) -> tuple[dict[str, Image], dict[str, Section]]:
    """(the pictures of the gallery, and a second map of the latents, by name; the section of the latents)."""
    known = answerable(run.schema, part)
    if not len(known):
        return gallery(run.learned, part, run.history, asked), {}
    placed = placed_rows(run.learned, known)
    drawn = gallery(run.learned, part, run.history, asked, placed=placed)
    section, second = latent_section(placed, drawn["latents"], TITLES["latents"], CAPTIONS["latents"])
    return drawn | ({} if second is None else {"latents-pictures": second}), {"latents": section}


def unseen_part(run: Run, collection: Collection) -> tuple[Part, str]:
    """Images that the model was not trained on, and which they are: the test part, else what was held out."""
    if collection.test is not None:
        return collection.test, "the test images"
    held = split(collection, run.settings).held
    if held is not None:
        return held, "the images held out of training, as there are no test images"
    return collection.train, "the training images, as there are no others: these numbers flatter"


def flattering(run: Run, source: str, part: Part) -> tuple[str, ...]:
    """A note where a part, read from `source`, is what the run was trained on: the same file, or the same rows."""
    facts = run.facts.get("data") or {}
    own = str(facts.get("source"))
    places = [Path(one).expanduser().resolve() for one in (own, source) if is_path(one)]
    if not (len(places) == 2 and places[0] == places[1]) and fingerprint(part) != facts.get("fingerprint"):
        return ()
    better = "; without --data the rows held out of training are measured" if facts.get("held_out") else ""
    return (f"the run was trained on these very data, so the numbers flatter{better}",)


def with_test(run: Run, collection: Collection) -> Collection:
    """The collection that readers learn from: where it has no test part, the rows held out of the run's training are
    one, so that no reader is measured on what it learnt; where none were, it stays without.
    """
    if collection.test is not None:
        return collection
    rows = split(collection, run.settings)
    if rows.held is None:
        return collection
    return replace(collection, train=collection.train.take(torch.from_numpy(rows.index)), test=rows.held, held_out=True)


def judge_at_hand(run: Run, collection: Collection, say: Say | None = None) -> Panel:
    """What reads the run's labels and numbers, and why the rest is not read: pinned, cached, or trained where cheap.

    Of a collection without a test part, readers learn half.
    """

    def starting(name: str) -> None:
        if say is not None:
            what = "judge" if len(run.schema.fields) == 1 else f"judge of {name}"
            say([f"training a {what} on the real images, once for these data (at most {PATIENCE})"])

    learnt, unseen = halved(collection)
    panel = judges_for(learnt, run.schema.fields, CHEAP, starting=starting)
    return replace(panel, unseen=unseen if panel.readers else None)


def unmeasured_words(run: Run, found: Evaluation) -> str:
    """That the obedience of some fields was not measured, and why; "" where all were, or rows of a table are drawn."""
    if not found.unmeasured or run.outputs is not None:
        return ""
    later = f"; condvae evaluate {run.path} measures it." if "takes minutes" in str(found.unmeasured) else "."
    if not found.obediences and not found.numbers and len(set(found.unmeasured.values())) == 1:
        whether = f"Whether {'labels are' if run.schema.labels else 'numbers are'} obeyed was not measured, as "
        return f"{whether}{next(iter(found.unmeasured.values()))}{later}"
    told = "; ".join(f"{name}, as {why}" for name, why in found.unmeasured.items())
    return f"Not measured is the obedience of {told}{later}"


def untypical_words(run: Run, part: Part, whence: str) -> str:
    """Record what is typical of the part in the run's folder; why not, where that cannot be."""
    try:
        write_typical(run, part.x, whence, QUICK)
    except Refused as refused:
        return f"{str(refused)[:1].upper()}{str(refused)[1:]}."
    return ""


def obedience_pictures(found: Evaluation) -> dict[str, Image]:
    """The obedience of labels, and of numbers, drawn."""
    drawn: dict[str, Image] = {}
    labels = [one for one in found.obediences.values() if len(one.per_label) <= BARS]
    if len(labels) == 1:
        drawn["obedience"] = obedience_bars(labels[0])
    elif labels:
        drawn["obedience"] = all_bars(labels)
    entries = [pair for one in found.numbers.values() for pair in named_entries(one)][: plots_numbers.MOST]
    if entries:
        points = {name: [(asked, read) for asked, read, _ in entry.points] for name, entry in entries}
        errors = {name: entry.real_square for name, entry in entries}
        drawn["numbers"] = plots_numbers.asked_and_read(points, errors)
    return drawn


def calibration_picture(found: Evaluation) -> dict[str, Image]:
    """How often labels are read rightly against how surely, drawn; nothing where none was read."""
    read = found.calibration
    if read is None:
        return {}
    drawn = plots_calibration.reliability(
        [one.confidence for one in read.bins],
        [one.accuracy for one in read.bins],
        [one.count for one in read.bins],
        [(one.right.low, one.right.high) for one in read.bins],
        BINS,
        f"labels read by {read.reader}",
    )
    return {"calibration": drawn}


def obedience_bars(found: Obedience) -> Image:
    """The share of each asked value that the judge read back, beside the judge's own accuracy."""
    shares = list(found.per_label.values())
    told = found.judge_accuracy
    return plots.bars(
        [share.share for share in shares],
        list(found.per_label),
        [(share.low, share.high) for share in shares],
        beside=told if told is not None and math.isfinite(told) else None,
    )


def all_bars(labels: Sequence[Obedience]) -> Image:
    """The same of several labels, value by value under each other; of the first that have 40 values together."""
    rows = [(one, value, share) for one in labels for value, share in one.per_label.items()][:BARS]
    known = [one.judge_accuracy for one, _, _ in rows]
    return plots.bars(
        [share.share for _, _, share in rows],
        [f"{one.field} {value}" for one, value, _ in rows],
        [(share.low, share.high) for _, _, share in rows],
        beside=[told for told in known if told is not None] if None not in known else None,
    )


def measures_section(found: Evaluation, whence: str, run: Run) -> Section:
    """The numbers, and how they were come by."""
    how = [sentence for sentence in found.sentences() if sentence not in found.words]
    text = [
        f"Measured quickly on {whence}: at most {LIMIT} of them for the likelihood, {DRAWS:,} drawings at most. "
        f"condvae evaluate {run.path} takes more.",
        *how,
    ]
    return Section("Measures", text, table=(("measure", "value", "beside"), found.table()))


def title(run: Run) -> str:
    """What the page is called."""
    kind = "Conditional VAE" if run.schema.fields else "VAE"
    recipe = f", recipe {run.facts['recipe']}" if run.facts.get("recipe") else ""
    return f"{kind} of {run.facts.get('data', {}).get('name', 'data')}{recipe}"


def picture_sections(drawn: Mapping[str, Image], ready: Mapping[str, Section]) -> list[Section]:
    """One section a picture, in reading order; those that are ready as they are."""
    return [
        ready.get(name) or Section(heading, pictures=[(CAPTIONS[name], pictures.png(drawn[name]))])
        for name, heading in TITLES.items()
        if name in drawn
    ]


def settings_section(run: Run) -> Section:
    """Everything that the run was made with, folded away."""
    facts = {**run.facts.get("data", {}), **run.facts.get("versions", {}), "parameters": run.facts.get("parameters")}
    rows: list[tuple[str, Any]] = [(name, text(value)) for name, value in run.settings.model_dump().items()]
    rows += [(name, text(value)) for name, value in facts.items()]
    return Section("Settings and record", table=(("name", "value"), rows), folded=True)


def text(value: Any) -> str:
    """A setting as one would type it."""
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
