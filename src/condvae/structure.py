"""How well what is known of rows separates in their latents, in numbers: silhouette, and what the nearest rows tell.

Measured in all latents as they are, never in a map of two dimensions, and nothing is standardised: a map may show
groups that are not there, and hide groups that are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from condvae.names import sort_names

__all__ = ["Structure", "of_label", "of_number"]

MOST = 2_000  # rows: the silhouette needs all their distances
NEIGHBOURS = 15
LEAST = 3  # rows


@dataclass(frozen=True)
class Structure:
    """How well one field separates in latents; None for what was not measured.

    latents: how many; rows: of which the field is known, at most 2,000; k: neighbours asked.
    silhouette: of a label, in [-1, 1]; accuracy: share of the rows whose label most of the k nearest others bear;
    chance: share of the most frequent label, in [0, 1]. r2: of a number, the share of its variance that the mean of the
    k nearest others explains, at most 1, and 0 or less where it explains nothing. why: nothing was measured.
    """

    latents: int
    rows: int
    k: int = 0
    silhouette: float | None = None
    accuracy: float | None = None
    chance: float | None = None
    r2: float | None = None
    why: str = ""

    def text(self) -> str:
        """One line, such as "silhouette 0.21, 15-NN accuracy 93.4 % (chance 11.2 %), in the 32 latents"."""
        where = f"in the {self.latents} latents" if self.latents != 1 else "in the one latent"
        if self.why:
            return f"not measured {where}: {self.why}"
        if self.r2 is not None:
            return f"{self.k}-NN regression R² {shown(self.r2)}, {where}"
        silhouette = "" if self.silhouette is None else f"silhouette {shown(self.silhouette)}, "
        assert self.accuracy is not None and self.chance is not None
        read = f"{self.k}-NN accuracy {100 * self.accuracy:.1f} % (chance {100 * self.chance:.1f} %)"
        return f"{silhouette}{read}, {where}"


def of_label(z: np.ndarray, labels: Sequence[str | None], seed: int = 0) -> Structure:
    """How well N labels (None = unknown, left out) separate in latents z [N, Z].

    The silhouette of a row is (b - a) / max(a, b): a its mean distance to the others of its label, b that to the
    nearest other label (Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster
    analysis", 1987); here the mean over rows. Each row's label is read off the k nearest other rows (leave-one-out; of
    labels with as many votes, that of the nearest row). k is 15, of fewer than 225 rows the root of their number.
    seed: of the 2,000 rows that are taken where more are known.
    """
    values = sort_names(label for label in labels if label is not None)
    place = {value: i for i, value in enumerate(values)}
    codes = np.asarray([-1 if label is None else place[label] for label in labels], np.int64)
    z, codes = sample(z, codes, codes >= 0, seed)
    counts = np.bincount(codes, minlength=1)
    if why := hindrance(z, int((counts > 0).sum()), "label"):
        return Structure(z.shape[1], len(z), why=why)
    from sklearn.metrics import silhouette_score

    near = neighbours(z)
    alone = int((counts > 0).sum()) == len(z)  # then no row has another of its label
    return Structure(
        latents=z.shape[1],
        rows=len(z),
        k=near.shape[1],
        silhouette=None if alone else float(silhouette_score(z, codes)),
        accuracy=float((elected(codes[near], len(counts)) == codes).mean()),
        chance=float(counts.max() / len(z)),
    )


def of_number(z: np.ndarray, values: np.ndarray, seed: int = 0) -> Structure:
    """How well N numbers (NaN = unknown, left out) can be read off latents z [N, Z]: R² of the mean of the k nearest
    other rows. seed and k as in `of_label`.
    """
    values = np.asarray(values, np.float64)
    z, values = sample(z, values, np.isfinite(values), seed)
    if why := hindrance(z, len(np.unique(values)), "number"):
        return Structure(z.shape[1], len(z), why=why)
    near = neighbours(z)
    left = np.square(values[near].mean(1) - values).sum()
    return Structure(z.shape[1], len(z), near.shape[1], r2=float(1 - left / np.square(values - values.mean()).sum()))


def sample(z: np.ndarray, column: np.ndarray, known: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Latents and column of the rows that are known, of at most 2,000 of them."""
    rows = np.flatnonzero(known)
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST])
    return np.asarray(z, np.float64)[rows], column[rows]


def hindrance(z: np.ndarray, different: int, what: str) -> str:
    """Why nothing can be measured; "" where it can."""
    if len(z) < LEAST:
        return f"the {what} is known of {len(z)} rows, and it takes {LEAST}"
    if not np.isfinite(z).all():
        return "the latents are not finite"
    return f"all rows have the same {what}" if different < 2 else ""


def neighbours(z: np.ndarray) -> np.ndarray:
    """The k nearest other rows of each, [N, k], the nearest first."""
    from sklearn.neighbors import NearestNeighbors

    k = min(NEIGHBOURS, math.isqrt(len(z)))
    return NearestNeighbors(n_neighbors=k).fit(z).kneighbors(return_distance=False)


def elected(votes: np.ndarray, count: int) -> np.ndarray:
    """The commonest of k codes a row, votes [N, k] -> [N]; of those as common, the one whose votes come first."""
    rows, k = votes.shape
    tally = np.zeros((rows, count))
    for rank in range(k):
        tally[np.arange(rows), votes[:, rank]] += 1 + 0.5 ** (rank + 1)  # halves of halves stay below one vote
    return tally.argmax(1)


def shown(value: float) -> str:
    """Two decimals, and no minus before a zero."""
    return f"{round(value, 2) + 0.0:.2f}"
