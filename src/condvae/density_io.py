"""A fitted density on disk: one safetensors file, whose header says which kind it is and of which sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from condvae.densities import LabelMixture
from condvae.errors import Refused
from condvae.flows import FlowDensity
from condvae.joint import JointMixture
from condvae.storage import full_precision, half_precision, read_tensors, write_tensors

KINDS: dict[str, type[Any]] = {"label": LabelMixture, "joint": JointMixture, "flow": FlowDensity}


def save_density(path: str | Path, density: nn.Module, half: bool = False) -> None:
    """Write a density of `KINDS`; `half` stores its weights in half precision.

    A flow on the model's own prior is written without that prior.
    """
    kind = next(name for name, made in KINDS.items() if type(density) is made)
    table = density.state_dict()
    facts = {"kind": kind, "sizes": json.dumps(density.sizes)}
    write_tensors(Path(path), half_precision(table) if half else table, facts)


def load_density(path: str | Path) -> nn.Module:
    """The density of a file, on the CPU; without a kind in its header it is a `LabelMixture`, as all were at first.

    Refused where the file is missing, damaged or holds something else, or where a flow meets no zuko. A flow that is
    `based` has to be attached to the model's prior before it is asked.
    """
    path = Path(path)
    table, facts = read_tensors(path)
    kind = facts.get("kind", "label")
    if kind not in KINDS:
        raise Refused(f"{path} holds a density of a kind that this version of condvae does not know, {kind!r}; update")
    try:
        density = KINDS[kind](**json.loads(facts["sizes"]))
        density.load_state_dict(full_precision(table))
    except Refused:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        first = str(error).splitlines()[0]
        raise Refused(f"{path} does not hold a density of condvae's ({first}); remove it, or train anew") from None
    return density.requires_grad_(False).eval()
