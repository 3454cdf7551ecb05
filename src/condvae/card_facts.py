"""What a model card says of a run without measuring: its nature, its data, its training, what may be asked of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from condvae.conditions import Field, Label, Number, Picture
from condvae.names import counted, lasting
from condvae.runs import Run

__all__ = ["asking", "can", "fields_table", "learnt", "nature", "nature_table", "told_of_data", "trained",
           "training_table", "unit"]  # fmt: skip

Rows = list[tuple[str, ...]]
Table = tuple[Sequence[str], Rows]

MOST_VALUES = 40  # of a label that are named
MOST_ENTRIES = 6  # of a vector whose ranges are told
NETWORKS = {
    "conv": "residual convolutions",
    "mlp": "dense layers",
    "draw": "recurrent, DRAW",
    "ladder": "a ladder of latents",
}
TERMS = {"loss": "loss", "reconstruction": "reconstruction", "rate": "KL"}


def unit(run: Run) -> str:
    """What the run generates, one of it."""
    return "image" if run.outputs is None else "row"


def learnt(run: Run) -> str:
    """What a training's loss is in."""
    return "nats" if run.learned.likely else "loss"


# --- what it is --------------------------------------------------------------------------------------------------


def nature(run: Run) -> tuple[str, ...]:
    """What kind of model the run is, in sentences."""
    s = run.settings
    what = "pictures" if run.outputs is None else "rows of a table"
    kind = "A conditional variational autoencoder" if run.schema.fields else "A variational autoencoder"
    given = " given " + ", ".join(field.name for field in run.schema.fields) if run.schema.fields else ""
    said = [f"{kind}: it generates {what}{given}."]
    if s.network == "draw":
        where = "through a window that moves" if s.attention else "over the whole picture"
        said.append(f"It draws a picture in {counted(s.glimpses, 'glimpse')}, {where} (DRAW).")
    if s.network == "ladder":
        said.append(f"Its latents stand on {counted(sum(s.levels), 'level')}, from a vector to maps (a ladder).")
    if s.infer is not None:
        stacked = "M1+M2" if s.features_first else "M2"
        said.append(f"It infers {s.infer} where that is not known ({stacked}).")
    if s.holes != "none":
        said.append(f"It completes partial pictures; in training, holes of the kind {s.holes!r} were cut into them.")
    if s.adversarial > 0:
        said.append("A critic that tells drawn pictures from real ones sharpened it in training (VAE-GAN).")
    if not run.learned.likely:
        said.append("It compares deep features instead of pixels, so that it is no density and has no likelihood.")
    return tuple(said)


def nature_table(run: Run) -> Rows:
    """What the run is made of."""
    s, facts = run.settings, run.facts
    channels, height, width = run.shape
    prior = "" if s.prior == "standard" else ", of each condition"
    rows = [
        ("recipe", str(facts.get("recipe") or "the defaults")),
        ("network", f"{s.network}: {NETWORKS[s.network]}"),
        ("latent units", "as the network has them" if s.z is None else latents(run)),
        ("prior in training", f"{s.prior}{prior}"),
        ("prior of drawings", drawn_from(run)),
        ("likelihood", s.likelihood if run.learned.likely else f"{s.likelihood}: no density"),
        ("parameters", f"{facts['parameters']:,}" if facts.get("parameters") else "not recorded"),
    ]
    if run.outputs is None:
        rows.append(("pictures", f"{channels} x {height} x {width} (channels, height, width)"))
        rows.append(("pixels", {"grey": "grey values", "dynamic": "drawn anew", "static": "drawn once"}[s.binarise]))
    else:
        rows.append(("generated columns", counted(len(run.outputs.fields), "column")))
    made = facts.get("versions") or {}
    versions = ", ".join(f"{name} {number}" for name, number in made.items())
    return [*rows, ("made", str(facts.get("created") or "at a time not recorded")), ("by", versions or "not recorded")]


def latents(run: Run) -> str:
    """How many latent units there are, where the settings tell."""
    s = run.settings
    if s.network == "draw":
        return f"{s.z} of each of {s.glimpses} glimpses"
    return f"{s.z} in the vector, {counted(s.maps, 'map')} a level else" if s.network == "ladder" else str(s.z)


def drawn_from(run: Run) -> str:
    """What latents are drawn from where nothing else is asked."""
    there = "the model's own" if run.density is None else "a mixture fitted to the latents"
    return there + (", or a flow where it is asked for" if run.flow is not None else "")


# --- what it was trained on ---------------------------------------------------------------------------------------


def told_of_data(run: Run) -> tuple[str, ...]:
    """The data, in sentences, and that the model knows nothing else."""
    data: Mapping[str, Any] = run.facts.get("data") or {}
    what = unit(run)
    if not data:
        said = ["The data are not recorded."]
    else:
        rows, held, test = (int(data.get(key) or 0) for key in ("rows", "held_out", "test_rows"))
        said = [
            f"Trained on {counted(rows, what)} of {data.get('name', 'data')}; held out of training: {held:,}; for "
            f"testing: {test:,}.",
            f"Fingerprint of the data: {data.get('fingerprint', 'not recorded')}.",
        ]
    known = run.facts.get("labelled_rows")
    if known is not None:
        said.append(f"{counted(len(known), 'label')} of {run.settings.infer} were known, the others left out.")
    if run.schema.fields:
        said.append(
            "What may be asked stands below, and the model knows nothing outside it: other values are refused, "
            "numbers outside their range are a guess."
        )
    else:
        said.append("Nothing may be asked of it: it was trained without labels.")
    unlike = "Pictures" if run.outputs is None else "Rows"
    return (*said, f"{unlike} unlike those that it was trained on are beyond it.")


def fields_table(run: Run) -> Table | None:
    """What may be asked and, of a table, what is generated, field by field; None where nothing is."""
    rows: Rows = [(one.name, one.kind, values(one), spread(run, one), omitted(run, one)) for one in run.schema.fields]
    for one in run.outputs.fields if run.outputs is not None else ():
        rows.append((one.name, one.kind, values(one), spread(run, one), "generated"))
    return (("field", "kind", "values", "in training", "left out"), rows) if rows else None


def values(field: Field) -> str:
    """What may be asked of a field."""
    if isinstance(field, Label):
        more = f", ... ({len(field.values):,} in all)" if len(field.values) > MOST_VALUES else ""
        return ", ".join(field.values[:MOST_VALUES]) + more
    if isinstance(field, Number):
        ends = [f"{low:g} to {high:g}" for low, high in zip(field.low, field.high, strict=True)]
        more = f"; ... ({field.size} numbers)" if field.size > MOST_ENTRIES else ""
        return "; ".join(ends[:MOST_ENTRIES]) + more
    return "a picture, and what is seen of it"


def spread(run: Run, field: Field) -> str:
    """How the values of a field were spread in training; of a label that the model infers, its prior."""
    if isinstance(field, Label):
        of = "prior: " if field.name == run.settings.infer else ""
        low, high = min(field.shares), max(field.shares)
        if f"{low:.3f}" == f"{high:.3f}":
            return f"{of}{100 * low:.1f} % each"
        rare, often = (field.values[field.shares.index(share)] for share in (low, high))
        return f"{of}{100 * low:.1f} % ({rare}) to {100 * high:.1f} % ({often})"
    if isinstance(field, Number) and field.size == 1:
        return f"mean {field.mean[0]:.3g}, deviation {field.deviation[0]:.3g}"
    return ""


def omitted(run: Run, field: Field) -> str:
    """What happens where a field is not given."""
    if isinstance(field, Picture):
        return "nothing is seen"
    if field.name == run.settings.infer:
        return "the model infers it"
    return "yes, as in training" if field.optional else "drawn as often as in training"


# --- how it was trained -------------------------------------------------------------------------------------------


def trained(run: Run) -> tuple[str, ...]:
    """How long, and to what end, in sentences."""
    said: list[str] = []
    if run.facts.get("status") not in (None, "complete"):
        said.append("The training was not ended: the run is as it was then; condvae train --resume goes on with it.")
    if not run.history:
        return (*said, "No epoch is on record.")
    last = run.history[-1]
    steps = f" ({counted(int(last['step']), 'step')})" if "step" in last else ""
    took = f" in {lasting(float(last['seconds']))}" if "seconds" in last else ""
    threads = run.facts.get("threads")
    on = f" on {counted(int(threads), 'thread')}" if threads and took else ""
    said.append(f"{counted(len(run.history), 'epoch')}{steps}{took}{on}.")
    if run.settings.beta != 1:
        said.append(f"The KL was weighed by {run.settings.beta:g}, so that the loss is not the negative bound.")
    return tuple(said)


def training_table(run: Run) -> Table | None:
    """Loss and bound at the first epoch and at the last; None where no epoch is on record."""
    if not run.history:
        return None
    first, last = run.history[0], run.history[-1]
    rows = [course(f"{TERMS[name]}, training", first, last, "train", name) for name in TERMS]
    bound = "negative bound" if run.learned.likely else "loss"
    rows += [course(f"{bound}, {what}", first, last, part, "loss") for part, what in HELD.items()]
    head = (f"{learnt(run)} per {unit(run)}", "first epoch", "last epoch")
    return head, [row for row in rows if row is not None]


HELD = {"validation": "held out of training", "test": "for testing"}


def course(
    what: str, first: Mapping[str, Any], last: Mapping[str, Any], part: str, name: str
) -> tuple[str, ...] | None:
    """A term at the first epoch and at the last; None where it is not on record."""
    ends = [row.get(part, {}).get(name) for row in (first, last)]
    if not any(isinstance(end, int | float) for end in ends):
        return None
    return what, *(f"{end:.2f}" if isinstance(end, int | float) else "-" for end in ends)


# --- what it can do, and how it is used ---------------------------------------------------------------------------


def can(run: Run) -> Rows:
    """(what, whether the run can do it, by which command or why not)."""
    return rows_can(run) if run.outputs is not None else pictures_can(run)


def pictures_can(run: Run) -> Rows:
    """What a run of pictures can do."""
    named = ", ".join(field.name for field in run.schema.labels)
    free = ", ".join(field.name for field in run.schema.fields if field.optional and not isinstance(field, Picture))
    return [
        answer("draw pictures" + (" of what is asked" if run.schema.fields else ""), True, "condvae generate"),
        answer("draw real pictures anew through its latents", True, "condvae reconstruct, embed, interpolate"),
        answer("fill holes in pictures", run.schema.picture is not None, "condvae fill", "trained without holes"),
        answer(
            f"read {named or 'labels'} off pictures", bool(named), "condvae classify", "no label was told in training"
        ),
        answer("show a picture under other labels", bool(named), "condvae restyle", "no label was told in training"),
        answer(
            "show how it draws, glimpse by glimpse", hasattr(run.model, "glimpses"), "condvae draw",
            "it draws a picture at once (network='draw' does not)",
        ),
        answer(
            "press what is asked beyond what was learnt", bool(free), "condvae generate --guidance",
            "no field was ever left out in training",
        ),
        likelihood(run),
    ]  # fmt: skip


def rows_can(run: Run) -> Rows:
    """What a run of a table's rows can do."""
    named = ", ".join(field.name for field in run.schema.labels)
    return [
        answer("draw rows" + (" of what is asked" if run.schema.fields else ""), True, "condvae generate"),
        answer("fill the blanks of rows given the rest", True, "condvae impute"),
        answer(
            f"read {named or 'labels'} off rows", bool(named), "condvae classify", "no label is among what is asked"
        ),
        likelihood(run),
    ]


def likelihood(run: Run) -> tuple[str, ...]:
    """Whether the run says how likely something is."""
    why = "it compares deep features, which is no density"
    what = "a picture" if run.outputs is None else "a row"
    return answer(f"say how likely {what} is", run.learned.likely, "condvae evaluate; run.log_prob in Python", why)


def answer(what: str, able: bool, how: str, why: str = "") -> tuple[str, ...]:
    """One row: whether something can be done, and how or why not."""
    return what, "yes" if able else "no", how if able else why


def asking(run: Run) -> tuple[tuple[str, str], ...]:
    """Commands, and Python, that ask the run: (language, code)."""
    place = str(run.path) if run.path is not None else "RUN"
    field = next((one for one in run.schema.fields if not isinstance(one, Picture)), None)
    words = [] if field is None else [f"{field.name}={field.example}"]
    target = ["-n", "64", "-o", "asked.png"] if run.outputs is None else ["-n", "64", "-o", "rows.csv"]
    commands = [["generate", place, *words, *target], ["evaluate", place], ["card", place, "-o", "card.md"]]
    shell = "\n".join(shlex.join(["condvae", *command]) for command in commands)
    asked = "" if field is None else f"{ {field.name: example(field)} }, "
    code = f"import condvae\n\nrun = condvae.load({place!r})\ndrawn = run.generate({asked}n=64)"
    return ("sh", shell), ("python", code)


def example(field: Field) -> Any:
    """A value of a field, as Python has it."""
    if not isinstance(field, Number):
        return field.example
    numbers = [float(part) for part in field.example.split(":")]
    return numbers[0] if field.size == 1 else tuple(numbers)
