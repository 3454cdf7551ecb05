"""Files that are whole or not there: written under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from condvae.errors import Refused

_NUMBERS = re.compile(r"(?<=\[)\n[^\[\]{}\"]*(?=\])")  # within a list: a string holds no line break


def write_text(path: Path, text: str) -> None:
    """Write text (UTF-8), atomically; parent folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, data: Any, flat: bool = False) -> None:
    """Write JSON, atomically, readable by people. flat: each list of numbers on one line, and less indented."""
    text = json.dumps(data, indent=1 if flat else 2, ensure_ascii=False, allow_nan=False)
    write_text(path, (_NUMBERS.sub(lambda found: " ".join(found[0].split()), text) if flat else text) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; Refused in one sentence where the file is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Refused(f"{path} cannot be read as JSON ({error}); it is damaged or not one of condvae's") from None


def read_history(folder: Path) -> list[dict[str, Any]]:
    """One dict an epoch; a last line that was cut off is left out."""
    rows: list[dict[str, Any]] = []
    path = folder / "history.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors, atomically, with text facts in the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        save_file(whole, temporary, dict(facts or {}))
        temporary.chmod(0o666 & ~current_umask())  # safetensors makes files that nobody else may read
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def current_umask() -> int:
    """The process's umask; it can only be read by setting it."""
    umask = os.umask(0o022)
    os.umask(umask)
    return umask


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors on the CPU, facts) of a safetensors file; Refused where it is missing, cut off or damaged."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except FileNotFoundError:
        raise Refused(f"{path} does not exist") from None
    except (OSError, SafetensorError) as error:
        raise Refused(f"{path} cannot be read as safetensors ({error}); the file is cut off or damaged") from None


def full_precision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Half-precision tensors back as float32; others as they are."""
    return {name: t.float() if t.dtype in (torch.float16, torch.bfloat16) else t for name, t in tensors.items()}


def half_precision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """float32 tensors as float16, for weights that travel; others as they are."""
    return {name: t.half() if t.dtype == torch.float32 else t for name, t in tensors.items()}


def kept(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without those of what only training needs."""
    helpers = getattr(model, "helpers", ())
    return {name: weight for name, weight in weights.items() if not name.startswith(helpers)}


def pour(model: nn.Module, path: Path) -> None:
    """Weights of a file into a model; Refused where they are another model's."""
    weights, _ = read_tensors(path)
    try:
        model.load_state_dict(full_precision(kept(model, weights)))
    except RuntimeError as error:
        raise Refused(f"{path} does not fit the model that run.json describes ({str(error).splitlines()[0]})") from None
