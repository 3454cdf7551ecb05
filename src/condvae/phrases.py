"""A request as one would type it: as a command line, and in Python. What the page shows can be repeated without it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from condvae.errors import Refused
from condvae.intake import UNKNOWN
from condvae.runs import Run

__all__ = ["Phrase", "called", "phrased", "words_of"]


@dataclass(frozen=True)
class Phrase:
    """One request, ready to copy: `command` for a shell, `python` for a notebook ("" where the command says it all)."""

    command: str
    python: str


def words_of(asked: Any, argument: str = "asked") -> list[str]:
    """{"digit": ["6", "7"], "age": 20.5} -> ["digit=6,7", "age=20.5"]; None = unknown, a list = several values.

    Raises:
        Refused: what is no object of names and values, and text in a list that holds a comma.
    """
    if not isinstance(asked if asked is not None else {}, Mapping):
        raise Refused(f"{argument} must hold values by the field's name, such as {{'digit': '6'}}; got {asked!r:.60}")
    return [f"{name}={typed(value, name)}" for name, value in (asked or {}).items()]


def typed(value: Any, name: str) -> str:
    """One value, or several at commas, as they are typed."""
    if not isinstance(value, list | tuple):
        return word_of(value, name)
    words = [word_of(one, name) for one in value]
    if not words or (len(words) > 1 and any("," in word for word in words)):
        raise Refused(f"several values of {name} are one or more, none of which holds a comma; got {value!r:.80}")
    return ",".join(words)


def word_of(value: Any, name: str) -> str:
    """One value as it is typed; of a vector its numbers at colons."""
    if value is None:
        return "?"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple) and all(isinstance(one, int | float) for one in value):
        return ":".join(f"{one:.6g}" for one in value)
    raise Refused(f"a value of {name} is text, a number, true, false or null; got {value!r:.60}")


def known(asked: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is asked without what is unknown, as Python takes it."""
    found = {name: list(value) if isinstance(value, tuple) else value for name, value in (asked or {}).items()}
    return {name: value for name, value in found.items() if not unknown(value)}


def unknown(value: Any) -> bool:
    """Whether a value says nothing."""
    return value is None or (isinstance(value, str) and value.strip().lower() in UNKNOWN)


def neutral(value: Any) -> bool:
    """Whether an option of that value is not written; 0 is a value."""
    return value is None or value is False or value in ("", (), [])


def called(task: str, *first: str, **options: Any) -> str:
    """`run.TASK(first, name=value)`, without options that are neutral. first: as they are written."""
    written = [f"{name}={value!r}" for name, value in options.items() if not neutral(value)]
    return f"run.{task}({', '.join([*first, *written])})"


def phrased(run: Run, action: str, places: list[str], options: Mapping[str, Any], *lines: str) -> Phrase:
    """`condvae ACTION RUN PLACES --option value` beside the same in Python, given line by line.

    Options that are neutral are left out; a list is a flag a value.
    """
    parts = ["condvae", action, str(run.path), *places]
    for name, value in options.items():
        flag = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
        if value is True:
            parts.append(flag)
        elif isinstance(value, list | tuple):
            parts += [part for one in value for part in (flag, one)]
        elif not neutral(value):  # what begins with a minus would be taken for an option
            parts += [f"{flag}={value}"] if str(value).startswith("-") else [flag, str(value)]
    opening = ["import condvae", "", f"run = condvae.load({str(run.path)!r})"]
    return Phrase(shlex.join(parts), "\n".join([*opening, *lines]) if lines else "")
