"""Temperatures of a drawing: one number for all latents, or one a latent in order; as they are typed, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from condvae.errors import Refused

__all__ = ["Temperature", "alike", "cooled", "said", "shape_of", "typed"]

Temperature = float | Sequence[float]


def typed(text: str) -> float | tuple[float, ...]:
    """`0.8` -> 0.8; `1,0.9,0.7` -> (1.0, 0.9, 0.7). Refused where it is written otherwise."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise Refused(
            f"temperature is one number, such as 0.8, or one for each latent, such as 1,0.9,0.7; got {text!r}"
        ) from None
    return values[0] if len(values) == 1 else values


def alike(temperature: Temperature) -> float | None:
    """The one temperature of all latents; None where they differ."""
    values = listed(temperature)
    return values[0] if len(set(values)) == 1 else None


def cooled(temperature: Temperature) -> bool:
    """Whether a latent is drawn nearer to its mean than the model has it."""
    return min(listed(temperature)) < 1


def said(temperature: Temperature) -> str:
    """In words: "0.8", or "1 for latents 1 to 3, 0.8 for latents 4 to 10"."""
    one = alike(temperature)
    if one is not None:
        return f"{one:g}"
    return ", ".join(f"{value:g} for {places(first, last)}" for value, first, last in stretches(temperature))


def shape_of(temperature: Temperature) -> tuple[str, float]:
    """(which latents are at a temperature of their own, that temperature): all of them, or those to one side of a cut
    with the others at 1; of any other sequence its words, and its mean."""
    one = alike(temperature)
    if one is not None:
        return "all latents", one
    runs = stretches(temperature)
    own = [run for run in runs if run[0] != 1]
    if len(runs) == 2 and len(own) == 1:
        value, first, last = own[0]
        return f"{places(first, last)}, the others at 1", value
    values = listed(temperature)
    return said(temperature), sum(values) / len(values)


def stretches(temperature: Temperature) -> list[tuple[float, int, int]]:
    """Latents that follow one another at the same temperature: (temperature, the first, the last), counted from 1."""
    found: list[tuple[float, int, int]] = []
    for value, group in groupby(listed(temperature)):
        first = found[-1][2] + 1 if found else 1
        found.append((value, first, first + len(list(group)) - 1))
    return found


def places(first: int, last: int) -> str:
    return f"latent {first}" if first == last else f"latents {first} to {last}"


def listed(temperature: Temperature) -> tuple[float, ...]:
    return (float(temperature),) if isinstance(temperature, int | float) else tuple(temperature)
