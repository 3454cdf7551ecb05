"""Copy a finished run into the zoo, without what only resuming needs: `python docs/make_zoo.py runs/X zoo/NAME`.

`python docs/make_zoo.py --typical zoo/NAME ...` measures what is typical of the test images of runs that stand there,
and writes their typical.json alone.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

KEPT = ("run.json", "model.safetensors", "density.safetensors", "history.jsonl", "typical.json")
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


def typical(folder: Path) -> None:
    """Measure what is typical of the unseen images of the run's own data, and write it into its folder."""
    import time

    from condvae.api import recorded_data
    from condvae.reporting import unseen_part
    from condvae.runs import load
    from condvae.typical_record import write_typical

    begun, run = time.perf_counter(), load(folder)
    part, whence = unseen_part(run, recorded_data(run.facts))
    path = write_typical(run, part.x, whence)
    print(f"{path or f'{folder} has no likelihood'}: {time.perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--typical"]:
        for name in sys.argv[2:]:
            typical(Path(name))
        sys.exit(0)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
