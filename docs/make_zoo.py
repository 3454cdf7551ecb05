"""Copy a finished run into the zoo, without what only resuming needs: `python docs/make_zoo.py runs/X zoo/NAME`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

KEPT = ("run.json", "model.safetensors", "density.safetensors", "history.jsonl")
MOST = 6_000_000  # bytes of a run in the zoo; all of it stays under 20 MB


def main(source: Path, target: Path) -> int:
    """Copy the files of a run; 1 where they are too large for the zoo."""
    kept = [name for name in KEPT if (source / name).is_file()]  # a model of holes has no density beside its own prior
    size = sum((source / name).stat().st_size for name in kept)
    if size > MOST:
        print(f"{source} has {size:,} bytes, the zoo takes {MOST:,}")
        return 1
    target.mkdir(parents=True, exist_ok=True)
    for name in kept:
        shutil.copyfile(source / name, target / name)
    print(f"{target}: {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
