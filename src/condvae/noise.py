"""Where random numbers come from: a stream for training, a counter for everything that is asked.

A picture that is asked for must not depend on how many others are asked for with it, on the size of the chunk that
it was drawn in, or on the number of threads. So its noise is not read from a stream: it is a function of (seed, row,
level, position), one 64-bit counter mixed by the finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable
pseudorandom number generators", 2014) and turned into normals by Box and Muller's transform (1958).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
WORD = 2**64 - 1
LOW = np.uint64(2**29 - 1)  # the bits of a float64's fraction that a float32 has not
MIDDLE, CLOSE = np.uint64(2**28), np.uint64(64)  # of these bits, between two float32; how near in float64 steps


def mix(words: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser, elementwise on uint64: a bijection whose output bits all depend on all input bits."""
    words = np.array(words)
    shifted = np.empty_like(words)
    with np.errstate(over="ignore"):
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            words ^= np.right_shift(words, np.uint64(shift), out=shifted)
            words *= np.uint64(factor)
    words ^= np.right_shift(words, np.uint64(31), out=shifted)
    return words


def combine(*numbers: int | np.ndarray) -> np.ndarray:
    """One uint64 key from several integers or arrays of them; the order counts."""
    key: np.ndarray = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for number in numbers:
            if isinstance(number, int):
                number = np.asarray(number % 2**64, np.uint64)
            key = mix(key * np.uint64(3) + mix(np.asarray(number).astype(np.uint64) + GOLDEN))
    return key


def seed_of(*numbers: int) -> int:
    """A seed in [0, 2^63) for torch.Generator, from several integers: (seed, step, rank), say.

    `combine` in plain integers, which for a handful of numbers is 20 times faster: it is called at every step.
    """
    key = 0
    for number in numbers:
        key = mixed((key * 3 + mixed((number + int(GOLDEN)) & WORD)) & WORD)
    return key >> 1


def mixed(word: int) -> int:
    """`mix` of one word in [0, 2^64)."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & WORD
    return word ^ (word >> 31)


class Noise(Protocol):
    """A source of noise: `level` numbers the latents of a model, so that each has noise of its own."""

    def normal(self, shape: Sequence[int], level: int) -> Tensor: ...

    def uniform(self, shape: Sequence[int], level: int) -> Tensor: ...


class Stream:
    """Noise read from a generator in the order of the calls: fast, on the generator's device; for training."""

    def __init__(self, generator: torch.Generator | None = None, seed: int | None = None) -> None:
        if generator is None:
            generator = torch.Generator()
            generator.manual_seed(seed) if seed is not None else generator.seed()
        self.generator = generator

    def normal(self, shape: Sequence[int], level: int) -> Tensor:
        return torch.randn(tuple(shape), generator=self.generator, device=self.generator.device)

    def uniform(self, shape: Sequence[int], level: int) -> Tensor:
        return torch.rand(tuple(shape), generator=self.generator, device=self.generator.device)


class RowNoise:
    """Noise of row i as a function of (seed, rows[i], level) alone.

    rows: [N] integers or [N, m] tuples of integers that name the rows. Shapes asked for are [N, ...] or, with K
    samples a row, [K, N, ...]; the first k samples of a row do not depend on K.
    """

    def __init__(self, seed: int, rows: np.ndarray, device: torch.device | str = "cpu") -> None:
        rows = np.asarray(rows)
        columns = rows[:, None].T if rows.ndim == 1 else rows.T
        self.keys = combine(seed, *columns)
        self.device = torch.device(device)

    def _words(self, samples: int, level: int, words: int, kind: int) -> np.ndarray:
        """uint64 [N, K, words]: word j of sample k of row i is a function of (key_i, level, kind, k, j).

        kind: 0 for normals, 1 for uniforms, so that a level may draw one of each without tying them together.
        """
        with np.errstate(over="ignore"):
            base = combine(self.keys[:, None], 2 * level + kind, np.arange(samples, dtype=np.uint64)[None])
            counter = (np.arange(words, dtype=np.uint64) + np.uint64(1)) * GOLDEN
            return mix(base[:, :, None] + counter)

    def _arrange(self, values: np.ndarray, shape: Sequence[int]) -> Tensor:
        """[N, K, event] -> the shape asked for, [N, ...] or [K, N, ...]."""
        values = values.transpose(1, 0, 2).reshape(tuple(shape))
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self.device)

    def _event(self, shape: Sequence[int]) -> tuple[int, int]:
        """(samples a row, numbers a sample) of a shape [N, ...] or [K, N, ...]."""
        rows = len(self.keys)
        if shape[0] == rows and not (len(shape) > 2 and shape[1] == rows):
            return 1, math.prod(shape[1:])
        if len(shape) > 1 and shape[1] == rows:
            return shape[0], math.prod(shape[2:])
        raise ValueError(f"shape must be [{rows}, ...] or [K, {rows}, ...]; got {list(shape)}")

    def uniform(self, shape: Sequence[int], level: int) -> Tensor:
        samples, event = self._event(shape)
        words = self._words(samples, level, event, 1)
        return self._arrange((words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24), shape)

    def normal(self, shape: Sequence[int], level: int) -> Tensor:
        samples, event = self._event(shape)
        words = self._words(samples, level, 2 * ((event + 1) // 2), 0)
        words >>= np.uint64(11)
        unit = words.astype(np.float64)
        unit *= 2.0**-53
        half = unit.shape[-1] // 2
        radius = np.sqrt(-2.0 * np.log1p(-unit[..., :half]))
        return self._arrange(turned(radius, 2.0 * np.pi * unit[..., half:])[..., :event], shape)


def turned(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """radius * cos(angle), then radius * sin(angle), [..., 2 n] float64 for [..., n]; as float32 bitwise numpy's own.

    torch's cosine is many times faster, and may differ from numpy's in the last bit of a float64. As float32 that is
    another number only next to the middle between two of them: there, once in millions, numpy's is taken.
    """
    half, quick = radius.shape[-1], torch.from_numpy(angle)
    values = np.empty((*radius.shape[:-1], 2 * half))
    np.multiply(radius, torch.cos(quick).numpy(), out=values[..., :half])
    np.multiply(radius, torch.sin(quick).numpy(), out=values[..., half:])
    low = values.view(np.uint64) & LOW
    low -= MIDDLE - CLOSE
    close = low <= 2 * CLOSE
    if close.any():
        for part, function in ((slice(half), np.cos), (slice(half, None), np.sin)):
            found = close[..., part]
            values[..., part][found] = radius[found] * function(angle[found])
    return values


class Given:
    """Noise handed in, one tensor a level: the same noise under another prior, or noise as an input of an export.

    rest: where the noise of further levels comes from.
    """

    def __init__(self, normals: Sequence[Tensor], rest: Noise | None = None) -> None:
        self.normals = tuple(normals)
        self.rest = rest

    def normal(self, shape: Sequence[int], level: int) -> Tensor:
        if self.rest is not None and level >= len(self.normals):
            return self.rest.normal(shape, level)
        return self.normals[level].expand(tuple(shape))

    def uniform(self, shape: Sequence[int], level: int) -> Tensor:
        if self.rest is not None and level >= len(self.normals):
            return self.rest.uniform(shape, level)
        return torch.special.ndtr(self.normal(shape, level))
