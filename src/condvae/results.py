"""Results on disk: results/NAME.json, one entry a seed and variant, written by the program itself."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from condvae.storage import read_json, write_json


def commit() -> str | None:
    """The commit of the source tree that runs, "+" where it has changes; None outside a checkout."""
    here = Path(__file__).parent
    try:
        name = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", "--", "."],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return name.stdout.strip() + ("+" if changed.stdout.strip() else "")


def machine() -> dict[str, Any]:
    """What the numbers were measured on, in words that name no machine."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return {
        "device": device,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def entry(
    variant: str,
    seed: int,
    values: Mapping[str, Any],
    protocol: str,
    minutes: float,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """One run of a result file."""
    return {
        "variant": variant,
        "seed": seed,
        "values": dict(values),
        "protocol": protocol,
        "minutes": round(minutes, 2),
        "settings": dict(settings),
        "commit": commit(),
        "machine": machine(),
    }


def record(path: Path, run: Mapping[str, Any], about: Mapping[str, Any] | None = None) -> None:
    """Put one run into a result file, in place of an earlier one of the same variant and seed."""
    known = read_json(path) if path.is_file() else {}
    same = (run.get("variant"), run.get("seed"))
    kept = [r for r in known.get("runs", []) if (r.get("variant"), r.get("seed")) != same]
    order = sorted([*kept, dict(run)], key=lambda r: (str(r.get("variant")), str(r.get("seed"))))
    write_json(path, {**known, **(about or {}), "runs": order})


def read(path: Path) -> Sequence[Mapping[str, Any]]:
    """The runs of a result file; none where there is no file."""
    return read_json(path)["runs"] if path.is_file() else []
