"""What a field looks like on the page: a choice, a tick box, a slider, each with a way not to care."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from condvae.conditions import Schema

__all__ = ["Asking", "controls"]

ANY, EACH, READ = "don't care", "each of them", "let the model read it"
FEW = 12  # values that stand side by side; more are a list to search in


@dataclass(frozen=True)
class Asking:
    """The components of a schema's fields, in order, and how their values are read: `asked(values)` by field."""

    components: list[Any]
    readers: list[tuple[str, int, Callable[..., Any]]]

    def asked(self, values: Sequence[Any]) -> dict[str, Any]:
        """Field -> what is asked; what does not matter is left out."""
        found, start = {}, 0
        for name, count, read in self.readers:
            value = read(*values[start : start + count])
            start += count
            if value is not None:
                found[name] = value
        return found


def controls(schema: Schema, each: bool = True, unsaid: str = ANY, first: bool = True) -> Asking:
    """The controls of all fields but pictures, made where they are called.

    each: whether a label may be asked in all its values, a row each; unsaid: what not to say a value is called; first:
    whether the first label begins with a value.
    """
    components: list[Any] = []
    readers: list[tuple[str, int, Callable[..., Any]]] = []
    labels = [field.name for field in schema.labels]
    for field in schema.fields:
        told = field.control()
        if told["kind"] == "choice":
            begun = field.example if first and field.name == labels[0] else unsaid
            components.append(choice(told, each, unsaid, begun))
            readers.append((field.name, 1, chosen(told["values"], each)))
        elif told["kind"] == "tick":
            components += ticks(told["name"], unsaid)
            readers.append((field.name, 2, lambda yes, unknown: None if unknown else bool(yes)))
        elif told["kind"] == "slider":
            parts = sliders(told, field, unsaid)
            components += parts
            readers.append((field.name, len(parts), slid))
    return Asking(components, readers)


def choice(told: dict[str, Any], each: bool, unsaid: str, begun: str) -> gr.Radio | gr.Dropdown:
    """One of the values, or none of them. The words that are no value stand last, marked so that no value is hidden."""
    options = [(value, place) for place, value in enumerate(told["values"])]
    options += ([(EACH, -2)] if each else []) + [(unsaid, -1)]
    value = told["values"].index(begun) if begun in told["values"] else -1
    if len(options) <= FEW + 2:
        return gr.Radio(options, value=value, label=told["name"], interactive=True)
    return gr.Dropdown(options, value=value, label=told["name"], filterable=True, interactive=True)


def chosen(values: Sequence[str], each: bool) -> Callable[[int], Any]:
    """How a choice is read: a value's place, -2 = all of them, -1 = none."""

    def read(place: int | None) -> Any:
        if place is None or place == -1:
            return None
        return list(values) if place == -2 and each else values[place]

    return read


def ticks(name: str, unsaid: str) -> list[Any]:
    """A tick for yes, and one for what does not matter, which stands first."""
    return [
        gr.Checkbox(False, label=name, interactive=True),
        gr.Checkbox(True, label=f"{name}: {unsaid}", interactive=True),
    ]


def sliders(told: dict[str, Any], field: Any, unsaid: str) -> list[Any]:
    """A slider a number over the range that training saw, and a tick for what does not matter."""
    parts: list[Any] = []
    for place, (low, high, mean) in enumerate(zip(told["low"], told["high"], field.mean, strict=True)):
        label = told["name"] if len(told["low"]) == 1 else f"{told['name']} {place}"
        # Two digits of the range are as fine as a slider is moved; inwards, so that nothing is outside of training.
        step = 1 if field.whole else 10.0 ** (math.floor(math.log10(high - low)) - 2)
        low, high = math.ceil(low / step) * step, math.floor(high / step) * step
        low, high, value = (round(one, 12) for one in (low, high, round(mean / step) * step))
        parts.append(gr.Slider(low, high, value=value, step=step, label=label, interactive=True))
    return [*parts, gr.Checkbox(True, label=f"{told['name']}: {unsaid}", interactive=True)]


def slid(*values: Any) -> Any:
    """How sliders are read: the number, or the list of them; None where the tick says that it does not matter."""
    *numbers, unknown = values
    if unknown:
        return None
    return numbers[0] if len(numbers) == 1 else [list(numbers)]
