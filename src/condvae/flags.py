"""The settings as flags of the command line, made from the one model of them, so that the two cannot differ."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from cyclopts import Group, Parameter

from condvae.settings import Settings

__all__ = ["Flags"]

OWN = ("epochs",)  # flags of the command itself, which say more than the setting
GROUP = Group("Settings", sort_key=10)


def choices(annotation: Any) -> str:
    """The words a setting may be, as `a|b|c`; "" where it is not a choice."""
    words = [
        word for part in (annotation, *get_args(annotation)) if get_origin(part) is Literal for word in get_args(part)
    ]
    return "|".join(dict.fromkeys(map(str, words)))


def flag(name: str) -> tuple[str, Any, Any]:
    """Name, annotated type and default (None = not given) of one setting's flag."""
    setting = Settings.model_fields[name]
    default = setting.default
    shown = (
        "auto"
        if default is None or default == ()
        else ",".join(map(str, default))
        if isinstance(default, tuple)
        else str(default)
    )
    allowed = choices(setting.annotation)
    text = (setting.description or "").replace("\n", " ") + (f" [{allowed}]" if allowed else "")
    kind: Any = bool | None if setting.annotation is bool else str | None
    negative = () if kind == str | None else None
    return (
        name,
        Annotated[kind, Parameter(help=f"{text} [default: {shown}]", group=GROUP, negative=negative)],
        field(default=None),
    )


if TYPE_CHECKING:

    @dataclass(frozen=True)
    class Flags:
        """One attribute a setting, as typed; None where it was not given."""
else:
    Flags = make_dataclass("Flags", [flag(name) for name in Settings.model_fields if name not in OWN], frozen=True)
    Flags.__module__ = __name__  # the command line reads its type hints by its module
