"""The JSON object that each action takes, made from its arguments; and in one sentence what does not fit it."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model

from condvae.actions import Actions
from condvae.errors import Refused, suggest

__all__ = ["OBJECT", "PICTURES", "body_of", "fitted", "hints_of", "misfit", "quoted", "taken"]

PICTURES = ("image", "mask", "style", "a", "b")  # arguments that are pictures, in base64
OBJECT = 'a JSON object, such as {"run": "mnist-cvae"}'
VALUES = 'an object of values by the field\'s name, such as {"digit": "6"},'
NUMBERS = "a list of two numbers, such as [0.5, -1]"


def taken(name: str) -> dict[str, inspect.Parameter]:
    """The arguments of an action."""
    return {key: one for key, one in inspect.signature(getattr(Actions, name)).parameters.items() if key != "self"}


def hints_of(name: str) -> dict[str, Any]:
    """The type of each argument of an action."""
    hints = get_type_hints(getattr(Actions, name))
    return {key: hints[key] for key in taken(name)}


def whole(value: Any) -> Any:
    """2.0 as 2, for JSON knows one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def body_of(name: str) -> type[BaseModel]:
    """The JSON object that an action takes: its arguments and no other, each of its own type."""
    fields: dict[str, Any] = {}
    for (key, one), hint in zip(taken(name).items(), hints_of(name).values(), strict=True):
        fields[key] = (
            Annotated[hint, BeforeValidator(whole)] if hint is int else hint,
            ... if one.default is one.empty else one.default,
        )
    return create_model(f"{name.capitalize()}Request", __config__=ConfigDict(extra="forbid", strict=True), **fields)


def fitted(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an action with their defaults; Refused where they do not fit."""
    try:
        return body_of(name).model_validate(dict(values)).model_dump()
    except ValidationError as error:
        raise Refused(misfit(name, error.errors()[0])) from None


def misfit(name: str, error: Mapping[str, Any]) -> str:
    """What does not fit, in one sentence. error: one of pydantic's, its place without "body"."""
    place, kind, came = error["loc"], error["type"], error.get("input")
    if kind == "json_invalid":
        why = str(error.get("ctx", {}).get("error", "it breaks off"))
        return f"the request must be {OBJECT}; what came is no JSON ({why[:1].lower()}{why[1:]})"
    if not place:
        return f"the request must be {OBJECT}; {received(came)}"
    argument, arguments = str(place[0]), taken(name)
    if argument not in arguments:
        names = ", ".join(arguments)
        return f"{name} takes {names}; got {quoted(argument)}{suggest(argument, arguments)}"
    if kind == "missing":
        return f"{argument} is missing; it must be {wanted(argument, hints_of(name)[argument])}"
    return f"{argument} must be {wanted(argument, hints_of(name)[argument])}; got {quoted(came)}"


def received(came: Any) -> str:
    """What came in place of an object."""
    if came is None:
        return "nothing came"
    if isinstance(came, bytes):
        return "what came was not sent with the header content-type: application/json"
    return f"got {quoted(came)}"


def wanted(argument: str, hint: Any) -> str:
    """What an argument of that type may be."""
    if isinstance(hint, types.UnionType):
        return " or ".join("null" if one is type(None) else wanted(argument, one) for one in get_args(hint))
    if argument in PICTURES:
        return "a picture in base64, a string"
    kind = get_origin(hint) or hint
    words = {int: "a whole number", float: "a number", str: "a string", bool: "true or false", Sequence: NUMBERS}
    return words.get(kind, VALUES)


def quoted(value: Any) -> str:
    """A value as JSON's words have it, shortened."""
    words = {"True": "true", "False": "false", "None": "null"}
    said = repr(value)
    said = words.get(said, said)
    return said if len(said) <= 60 else f"{said[:60]}..."
