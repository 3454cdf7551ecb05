"""What proves how good a run is: the measures last taken of it on its own data, kept in its folder as measures.json."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from condvae.errors import Refused
from condvae.evaluation import Evaluation
from condvae.findings import Finding
from condvae.ledger import digest
from condvae.runs import Run
from condvae.storage import kept, read_json, write_json
from condvae.table_evaluation import TableEvaluation

__all__ = ["FILE", "Proof", "keep", "kept_of", "stored", "weights_of"]

FILE = "measures.json"  # in a run's folder
FORMAT = 1  # of that file; a later reader knows what it meets
DIGITS = 6  # significant ones of a kept number: more than any standard error leaves


class Proof(Finding):
    """One evaluation of a run on its own data, and all that tells what it was of."""

    format: int = FORMAT
    """Of the file."""
    data: str
    """What the data are called."""
    whence: str
    """Which of them were measured: "the test images"."""
    made: str
    """When, ISO 8601, UTC."""
    version: str
    """Of the condvae that measured."""
    weights: str
    """Fingerprint of the weights that were measured, as `weights_of` gives it."""
    k: int | None
    """Importance samples an image or row; None of a model without a likelihood."""
    images: int | None
    """Images or rows whose likelihood was weighed; None of a model without one."""
    measures: Evaluation | TableEvaluation
    """What was found, of a model of images or of one of a table's rows."""

    @property
    def pains(self) -> tuple[int, int]:
        """What was taken to measure: (likelihoods weighed times their samples, drawings); the more the better."""
        found = self.measures
        weighed = (self.k or 0) * (self.images or 0)
        if isinstance(found, TableEvaluation):
            return weighed, found.drawn_rows * found.draws
        return weighed, max((one.drawings for one in (found.sharpness, found.frechet) if one is not None), default=0)

    def alike(self, other: Proof) -> bool:
        """Whether both measured the same weights on the same data, so that the more thorough one stays."""
        return (self.weights, self.data, self.whence) == (other.weights, other.data, other.whence)


def proof_of(run: Run, found: Evaluation | TableEvaluation, data: str, whence: str) -> Proof:
    """An evaluation of a run, made now."""
    likelihood = found.likelihood
    return Proof(
        data=data,
        whence=whence,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version("condvae"),
        weights=weights_of(run),
        k=None if likelihood is None else likelihood.k,
        images=None if likelihood is None else likelihood.images,
        measures=found,
    )


def keep(run: Run, found: Evaluation | TableEvaluation, data: str, whence: str) -> tuple[str, ...]:
    """Keep an evaluation of a run's own data in its folder, unless a more thorough one of the same weights is there.

    Notes where it was not kept, and why; a folder that cannot be written is no error.
    """
    if run.path is None:
        return ()
    path, proof = run.path / FILE, proof_of(run, found, data, whence)
    before = readable(path)
    if before is not None and proof.alike(before) and proof.pains < before.pains:
        return (f"{path} keeps the measures of {before.made[:10]}, which are more thorough than these",)
    try:
        write_json(path, stored(proof), flat=True)
    except OSError as error:
        return (f"the measures were not kept, for {path} cannot be written ({error.strerror or error})",)
    return ()


def stored(proof: Proof) -> dict[str, Any]:
    """A proof as it is kept: all but the points of pictures, which a report draws, at six digits a number."""
    points = {"measures": {"numbers": {"__all__": {"entries": {"__all__": {"points"}}}}}}
    return short(proof.model_dump(mode="json", exclude=points))


def kept_of(run: Run) -> Proof | None:
    """What is kept of a run; None where nothing was measured, or the run is in memory.

    Refused where the file is damaged, or none of condvae's.
    """
    if run.path is None or not (run.path / FILE).exists():
        return None
    path = run.path / FILE
    again = f"; condvae evaluate {run.path} writes it anew"
    try:
        proof = read(path)
    except Refused as refused:
        raise Refused(f"{refused}{again}") from None
    if isinstance(proof.measures, TableEvaluation) == (run.outputs is None):
        kinds = ("pictures", "rows of a table")
        mine, its = kinds if run.outputs is None else kinds[::-1]
        raise Refused(f"{path} measures a model of {its}, and this run generates {mine}{again}")
    return proof


def read(path: Path) -> Proof:
    """The proof in a file; Refused in one sentence where it holds none."""
    data = read_json(path)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise Refused(f"{path} is no file of measures of format {FORMAT}")
    try:
        return Proof.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise Refused(f"{path} lacks or garbles what measures are ({place}: {first['msg'].lower()})") from None


def readable(path: Path) -> Proof | None:
    """The proof in a file; None where there is none, for whatever reason."""
    try:
        return read(path)
    except Refused:
        return None


def weights_of(run: Run) -> str:
    """A short fingerprint of the weights that are measured: those of the model, and of the density that it draws from.

    What only training needs is not looked at, for a run that is loaded again lacks it.
    """
    model = kept(run.model, run.model.state_dict())
    density = {} if run.density is None else run.density.state_dict()
    named = [(name, table[name]) for table in (model, density) for name in sorted(table)]
    return digest([tensor for _, tensor in named], repr([name for name, _ in named]).encode()).hex()[:16]


def short(value: Any) -> Any:
    """JSON with six significant digits a number; what is no finite number as a word, which is read as one again."""
    if isinstance(value, dict):
        return {name: short(one) for name, one in value.items()}
    if isinstance(value, list):
        return [short(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else str(value)
    return value
