"""What resuming needs, in one safetensors file: raw and averaged weights, the optimiser's moments, the step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from condvae.errors import Refused
from condvae.storage import read_tensors, write_tensors
from condvae.train import Training


def store(path: Path, training: Training, sums: Mapping[str, float], clock: Mapping[str, float]) -> None:
    """Write the state of a training, atomically."""
    tensors: dict[str, Tensor] = {f"raw.{name}": t for name, t in training.model.state_dict().items()}
    if training.averaged is not None:
        tensors |= {f"averaged.{name}": t for name, t in training.averaged.state_dict().items()}
    for number, parameter in enumerate(trained(training)):
        for name, value in training.optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser.{number}.{name}"] = torch.as_tensor(value)
    facts = {"step": training.step, "sums": dict(sums), "clock": dict(clock)}
    write_tensors(path, tensors, {"training": json.dumps(facts)})


def restore(path: Path, training: Training) -> tuple[dict[str, float], dict[str, float]]:
    """Put a stored state into a new training of the same settings; (sums of the running epoch, seconds so far)."""
    tensors, facts = read_tensors(path)
    training.model.load_state_dict(part(tensors, "raw."))
    if training.averaged is not None:
        training.averaged.load_state_dict(part(tensors, "averaged."))
    moments = part(tensors, "optimiser.")
    for number, parameter in enumerate(trained(training)):
        state = part(moments, f"{number}.")
        if state:
            training.optimiser.state[parameter] = {
                name: value if name == "step" else value.to(parameter.device) for name, value in state.items()
            }
    try:
        known = json.loads(facts["training"])
    except (KeyError, json.JSONDecodeError):
        raise Refused(f"{path} is not a checkpoint of condvae; train anew") from None
    training.step = int(known["step"])
    return dict(known["sums"]), dict(known.get("clock", {}))


def trained(training: Training) -> list[Tensor]:
    """The parameters in the optimiser's order."""
    return [parameter for group in training.optimiser.param_groups for parameter in group["params"]]


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
