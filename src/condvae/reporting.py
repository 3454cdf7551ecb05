"""The end of every training: pictures/, and report.html with the pictures, the measures in words, and the settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL.Image import Image

from condvae import judges, pictures, plots
from condvae.data import Collection, Part
from condvae.evaluation import Evaluation
from condvae.fitting import split
from condvae.gallery import first_request, gallery, known_labels
from condvae.judge_net import working_size
from condvae.judges import Judge, judge_for
from condvae.measures import evaluate
from condvae.report import Section, write_report
from condvae.runs import Run

__all__ = ["judge_at_hand", "unseen_part", "write_run_report"]

Say = Callable[[Iterable[str]], None]

LIMIT, K, DRAWS = 500, 50, 1_000  # of the report's measures: seconds, not minutes; `condvae evaluate` takes its time
CHEAP = 200_000 * 28 * 28  # pixels that a judge may look at in training: about 40 s on two cores
PATIENCE = "a minute"
BARS = 40  # labels whose obedience is drawn one by one

CAPTIONS = {
    "samples": "a row a label, drawn from the model",
    "reconstructions": "real pictures, and what the model makes of them through its latents",
    "latents": "one posterior sample a picture, coloured by label",
    "one-label": "the latents of all labels, and of one",
    "manifold": "the plane of latents under one condition",
    "curves": "loss and its terms over the epochs",
    "obedience": "share of the asked labels that an independent judge reads back, with 95 % intervals",
}
TITLES = {
    "samples": "Samples per label",
    "obedience": "Obedience",
    "reconstructions": "Reconstructions",
    "latents": "Map of the latents",
    "one-label": "Latents of one label",
    "manifold": "Manifold",
    "curves": "Training",
}


def write_run_report(
    run: Run,
    collection: Collection,
    lines: Sequence[str],
    judge: Judge | None = None,
    say: Say | None = None,
    extra: Sequence[Section] = (),
) -> Path:
    """Draw the run's pictures into pictures/, measure it quickly, and write report.html; the page's path.

    lines: what was said of the data. judge: reads labels back; None: one is found or trained where that costs little.
    """
    assert run.path is not None, "a run in memory has no folder for its report"
    part, whence = unseen_part(run, collection)
    asked = first_request(run.schema)
    drawn = gallery(run.learned, part, run.history, asked)
    if run.schema.fields and judge is None:
        judge, why = judge_at_hand(run, collection, say)
    else:
        why = ""
    found = evaluate(run.learned, part.x, known_labels(run.schema, part), judge, k=K, limit=LIMIT, draws=DRAWS)
    if found.obedience is not None and len(found.obedience.per_label) <= BARS:
        drawn["obedience"] = obedience_bars(found)
    for name, image in drawn.items():
        pictures.save(image, run.path / "pictures" / f"{name}.png")
    words = [*found.words, *([why] if why else [])]
    if say is not None:
        say(words)
    wanted = ", ".join(f"{field} = {value}" for field, value in asked.items()) or "nothing in particular"
    opening = (f"Asked for: {wanted}", pictures.png(drawn["asked"]))
    sections = [
        *extra,
        *picture_sections(drawn),
        measures_section(found, whence, run),
        Section("The data", list(lines)),
        settings_section(run),
    ]
    return write_report(run.path, title(run), words, sections, opening)


def unseen_part(run: Run, collection: Collection) -> tuple[Part, str]:
    """Images that the model was not trained on, and which they are: the test part, else what was held out."""
    if collection.test is not None:
        return collection.test, "the test images"
    _, held = split(collection.train, run.settings)
    if held is not None:
        return held, "the images held out of training, as there are no test images"
    return collection.train, "the training images, as there are no others: these numbers flatter"


def judge_at_hand(run: Run, collection: Collection, say: Say | None = None) -> tuple[Judge | None, str]:
    """A judge of the collection, and a sentence where there is none: pinned, cached, or trained where that is cheap."""
    field = run.schema.fields[0].name
    rows, shape = len(collection.train), collection.train.x.shape
    cost = judges.passes(rows, shape[1:], None) * math.prod(working_size(*shape[2:]))
    if cost > CHEAP and not kept(collection, field):
        return None, (
            f"Whether labels are obeyed was not measured, as a judge for {rows:,} images takes minutes to train; "
            f"condvae evaluate {run.path} measures it."
        )
    if say is not None and not kept(collection, field):
        say([f"training a judge on the real images, once for these data (at most {PATIENCE})"])
    return judge_for(collection, field), ""


def kept(collection: Collection, field: str) -> bool:
    """Whether a judge of these data is pinned or cached."""
    label = judges.learnt(collection.train, field)
    key = judges.fingerprint(collection.train.x, judges.positions(collection.train, label), label.values)
    places = (
        judges.PINNED / f"judge-{collection.name}.safetensors",
        judges.user_cache() / "judges" / f"{key[:32]}.safetensors",
    )
    return any(judges.stored(path, key) is not None for path in places)


def obedience_bars(found: Evaluation) -> Image:
    """The share of each asked label that the judge read back, beside the judge's own accuracy."""
    assert found.obedience is not None
    shares = list(found.obedience.per_label.values())
    told = found.obedience.judge_accuracy
    return plots.bars(
        [share.share for share in shares],
        list(found.obedience.per_label),
        [(share.low, share.high) for share in shares],
        beside=told if told is not None and math.isfinite(told) else None,
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


def picture_sections(drawn: Mapping[str, Image]) -> list[Section]:
    """One section a picture, in reading order."""
    return [
        Section(heading, pictures=[(CAPTIONS[name], pictures.png(drawn[name]))])
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
