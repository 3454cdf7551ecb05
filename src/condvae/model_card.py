"""A model card: what a run is, what it was trained on, how good it is and what it can do, section by section.

Cards of models are those of Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from PIL.Image import Image

from condvae.card_facts import (
    asking,
    can,
    fields_table,
    learnt,
    nature,
    nature_table,
    told_of_data,
    trained,
    training_table,
    unit,
)
from condvae.markdown import bullets, escaped, fenced, table
from condvae.plots_learning import learning_curves
from condvae.proof import Proof, kept_of, stored, weights_of
from condvae.reporting import title
from condvae.runs import Run

__all__ = ["Card", "CardSection", "Table", "card_of"]

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # the head, and the rows, each as long as it
MEASURES = ("measure", "value", "beside")


@dataclass(frozen=True)
class CardSection:
    """A part of a card: sentences, then where there are any a table, a picture, and (language, code) to copy."""

    title: str
    text: tuple[str, ...] = ()
    table: Table | None = None
    picture: Image | None = None
    code: tuple[tuple[str, str], ...] = ()

    def markdown(self) -> list[str]:
        """Its lines, without the picture."""
        blocks = [[f"## {escaped(self.title)}"], bullets(self.text)]
        if self.table is not None:
            blocks.append(table(*self.table))
        blocks += [fenced(code, language) for language, code in self.code]
        return [line for block in blocks if block for line in (*block, "")]

    def to_json(self) -> dict[str, Any]:
        """All but the picture."""
        head, rows = self.table if self.table is not None else ((), ())
        return {
            "title": self.title,
            "text": list(self.text),
            "table": None if self.table is None else {"head": list(head), "rows": [list(row) for row in rows]},
            "code": [code for _, code in self.code],
        }


@dataclass(frozen=True)
class Card:
    """What a run tells of itself; `proof`: the measures behind it, None where none were taken."""

    title: str
    sections: tuple[CardSection, ...]
    proof: Proof | None = None

    def markdown(self) -> str:
        """The card as a complete Markdown text; names in it stand for themselves, whatever they hold."""
        lines = [line for section in self.sections for line in section.markdown()]
        return "\n".join([f"# {escaped(self.title)}", "", *lines, f"Written by condvae {version('condvae')}.", ""])

    def to_json(self) -> dict[str, Any]:
        """The card as JSON, without its pictures, and beside it every number that was measured."""
        return {
            "title": self.title,
            "sections": [section.to_json() for section in self.sections],
            "measures": None if self.proof is None else stored(self.proof),
        }


def card_of(run: Run) -> Card:
    """The card of a run. Refused where its measures.json is damaged or none of condvae's."""
    proof = kept_of(run)
    curves = learning_curves(run.history, f"{learnt(run)} per {unit(run)}") if run.history else None
    sections = (
        CardSection("What it is", nature(run), (("what", "value"), nature_table(run))),
        proof_section(run, proof),
        CardSection("What it was trained on", told_of_data(run), fields_table(run)),
        CardSection("How it was trained", trained(run), training_table(run), curves),
        CardSection("What it can do, and what not", (), (("what", "can it", "how, or why not"), can(run))),
        CardSection("How to use it", (), code=asking(run)),
    )
    return Card(title(run), sections, proof)


def proof_section(run: Run, proof: Proof | None) -> CardSection:
    """How good the run is: verdicts, how they were come by, and the numbers with what is sure of them."""
    heading = "How good it is"
    if proof is None:
        place = "RUN, the folder of the run once it is saved," if run.path is None else run.path
        return CardSection(heading, (f"Not measured yet, or not kept: condvae evaluate {place} measures it.",))
    found = proof.measures
    if found.likelihood is not None:  # what it cost is news of the machine that measured
        found = found.model_copy(update={"likelihood": found.likelihood.model_copy(update={"seconds": None})})
    weighed = "" if proof.k is None else f", the likelihood of {proof.images:,} with k = {proof.k:,} samples each"
    said = [
        f"Measured on {proof.whence} of {proof.data}{weighed}, on {proof.made[:10]} by condvae {proof.version}.",
        "In square brackets stand 95 % intervals, behind ± standard errors.",
    ]
    if proof.weights != weights_of(run):
        stale = "The weights have changed since, so that these measures are not of the run as it is now"
        said.insert(0, f"{stale}: condvae evaluate {run.path} measures it anew.")
    words, how = list(found.words), [one for one in found.sentences() if one not in found.words]
    return CardSection(heading, (*said, *words, *how), (MEASURES, found.table()))
