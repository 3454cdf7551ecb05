"""Statistics that the measures are made of: intervals of shares, distances between collections, spread within one."""

from __future__ import annotations

import math

import numpy as np
import torch

from condvae.errors import Refused

__all__ = ["frechet", "frechet_from_moments", "moments", "pairwise", "ratio_of_means", "wilson"]


def wilson(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a share, (low, high) in [0, 1], 95 % at z = 1.96; (0, 1) for n = 0.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927. Unlike the
    normal approximation it stays within [0, 1] and has a width where all or none succeed.

    Raises:
        Refused: successes outside 0..n.
    """
    if not 0 <= successes <= n:
        raise Refused(f"successes must be from 0 to n = {n}; got {successes}")
    if n == 0:
        return 0.0, 1.0
    share, spread = successes / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    # where all or none succeed, the end is exactly 0 or 1, and rounding must not put it beside
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    return low, 1.0 if successes == n else min(1.0, middle + half)


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [F] and unbiased covariance [F, F] of features [N, F], in float64.

    Raises:
        Refused: fewer than two rows, which have no covariance.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise Refused(f"features must be [N, F] with at least two rows; got {list(features.shape)}")
    return features.mean(0), np.atleast_2d(np.cov(features, rowvar=False))


def frechet_from_moments(
    mean_a: np.ndarray, covariance_a: np.ndarray, mean_b: np.ndarray, covariance_b: np.ndarray
) -> float:
    """Frechet distance of two Gaussians: |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)), at least 0.

    Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
    2017. The trace of the root is that of the symmetric A^(1/2) B A^(1/2), from eigenvalues alone, so that
    singular covariances (fewer pictures than features) need no correction and no complex numbers.
    """
    values, vectors = np.linalg.eigh(np.asarray(covariance_a, np.float64))
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    inner = root @ np.asarray(covariance_b, np.float64) @ root
    shared = np.sqrt(np.linalg.eigvalsh((inner + inner.T) / 2).clip(0)).sum()
    shift = np.square(np.asarray(mean_a, np.float64) - np.asarray(mean_b, np.float64)).sum()
    return max(0.0, float(shift + np.trace(covariance_a) + np.trace(covariance_b) - 2 * shared))


def frechet(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """Frechet distance of two collections of features [N, F] and [M, F], taken as Gaussians; see above."""
    return frechet_from_moments(*moments(features_a), *moments(features_b))


def pairwise(rows: np.ndarray) -> float:
    """Mean Euclidean distance of all pairs of rows [N, ...], N >= 2."""
    flat = torch.from_numpy(np.ascontiguousarray(rows, np.float64).reshape(len(rows), -1))
    return float(torch.pdist(flat).mean())


def ratio_of_means(a: np.ndarray, b: np.ndarray) -> tuple[float, float | None] | None:
    """(mean of a / mean of b, its standard error) of pairs [N], [N]; None where b's mean is not above 0, the error
    None of a single pair.

    Source: Cochran, "Sampling Techniques", 1977, ch. 6, the ratio estimator: what a pair has in common cancels.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if not len(a) or not b.mean() > 0:
        return None
    ratio = a.mean() / b.mean()
    error = (a - ratio * b).std(ddof=1) / (math.sqrt(len(a)) * b.mean()) if len(a) > 1 else None
    return float(ratio), None if error is None else float(error)
