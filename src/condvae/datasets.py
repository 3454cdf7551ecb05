"""Data by name or file: handwritten digits, MNIST, Fashion-MNIST, SVHN, CIFAR-10, and any npz.

A named set is looked for in `data_dir`, then in the folder that CONDVAE_DATA names, then in the cache
(CONDVAE_CACHE, else condvae in XDG_CACHE_HOME or ~/.cache), and downloaded into the cache where it is in
none. Whatever is read is checked against the SHA-256 of its contents first, so gzipped and plain copies are
alike.
"""

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from condvae.data import Collection, collect, hold_out
from condvae.downloads import Progress, download
from condvae.errors import Refused, suggest
from condvae.files import WrongSum, read_arrays, read_checked
from condvae.npz import load_npz
from condvae.sources import KNOWN, Source

__all__ = ["Known", "known", "load"]

_DIGITS = "digits"
_DIGITS_HELD = 360
_DIGITS_SEED = 0


@dataclass(frozen=True)
class Known:
    """One row of the table of named data; `where` is a folder, "embedded" or "would be downloaded (N MB)"."""

    name: str
    what: str
    field: str
    size: str
    shape: tuple[int, int, int]
    classes: int
    where: str


def load(
    name_or_path: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Collection:
    """Return the collection of that name, or the one in that npz file.

    Args:
        name_or_path: "digits", "mnist", "fashion-mnist", "svhn", "cifar10", or the path of an npz file with
            arrays ``x_train, y_train[, x_test, y_test]`` or ``x, y``, and perhaps ``class_names``; a relative
            path is looked for here, then in `data_dir` and CONDVAE_DATA.
        data_dir: a folder that holds the files, asked first.
        progress: called as ``progress(done, total)`` with bytes while files are downloaded.

    Raises:
        Refused: an unknown name, a missing, truncated or corrupt file, unusable contents, or a download that
            failed.
    """
    given = os.fspath(name_or_path)
    if given == _DIGITS:
        return _digits()
    if given in KNOWN:
        return _load_source(KNOWN[given], _roots(data_dir), progress)
    return load_npz(_npz_path(given, _roots(data_dir)))


def known(data_dir: str | os.PathLike[str] | None = None) -> list[Known]:
    """Return the named data and where each is found; files are looked for, not read."""
    rows = [Known(_DIGITS, "handwritten digits of scikit-learn", "digit", "1,437 + 360", (1, 8, 8), 10, "embedded")]
    roots = _roots(data_dir)
    for source in KNOWN.values():
        place = next(_candidates(source, roots), None)
        megabytes = sum(remote.size for remote in source.remotes) / 1e6
        where = f"would be downloaded ({megabytes:.0f} MB)" if place is None else str(place[0].parent)
        size = f"{source.counts[0]:,} + {source.counts[1]:,}"
        rows.append(Known(source.name, source.what, source.field, size, source.shape, 10, where))
    return rows


def _roots(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """The folders to look in, in order; the last is the cache, which may not exist yet."""
    roots: list[Path] = []
    for argument, value in (("data_dir", data_dir), ("CONDVAE_DATA", os.environ.get("CONDVAE_DATA"))):
        if value is None or not os.fspath(value):
            continue
        folder = Path(value).expanduser()
        if not folder.is_dir():
            raise Refused(f"{argument} must be an existing folder, got '{folder}'; create it or leave it unset")
        roots.append(folder)
    return [*roots, _cache()]


def _cache() -> Path:
    if own := os.environ.get("CONDVAE_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "condvae"


def _candidates(source: Source, roots: list[Path]) -> Iterator[list[Path]]:
    """Yield every complete set of files of `source`, the likeliest place first."""
    for root in roots:
        for folder in (*source.folders, "."):
            for names in source.variants:
                paths = [root / folder / name for name in names]
                if all(path.is_file() for path in paths):
                    yield paths


def _load_source(source: Source, roots: list[Path], progress: Progress | None) -> Collection:
    for paths in _candidates(source, roots):
        try:
            return _read(source, paths)
        except WrongSum as wrong:
            # mnist and fashion-mnist share their file names: the one may lie where the other is looked for.
            if not any(wrong.found in other.sums.values() for other in KNOWN.values() if other is not source):
                raise
    return _read(source, _download(source, roots[-1] / source.name, progress))


def _read(source: Source, paths: list[Path]) -> Collection:
    contents = [read_checked(path, source.sums[path.name], source.name) for path in paths]
    try:
        x, y, x_test, y_test = read_arrays(source.format, contents)
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise Refused(f"{paths[0].parent} does not hold {source.name} as it should ({error})") from None
    names = np.asarray(source.classes) if source.classes else None
    y, y_test = (y, y_test) if names is None else (names[y], names[y_test])
    where = str(paths[0].parent)
    return collect(x, {source.field: y}, x_test, {source.field: y_test}, source.name, where)


def _download(source: Source, folder: Path, progress: Progress | None) -> list[Path]:
    total = sum(remote.size for remote in source.remotes)
    before = 0
    paths: list[Path] = []
    for remote in source.remotes:
        start = before

        def report(done: int, _: int, start: int = start) -> None:
            if progress is not None:
                progress(start + done, total)

        paths.append(download(remote, folder, report))
        before += remote.size
    return paths


def _digits() -> Collection:
    """The UCI digits that scikit-learn ships, 8 x 8, split once and for all.

    E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = np.rint(x.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    rows = hold_out(len(y), [str(digit) for digit in y], _DIGITS_HELD, _DIGITS_SEED)
    kept, held = rows[0].numpy(), rows[1].numpy()
    made = collect(x[kept], {"digit": y[kept]}, x[held], {"digit": y[held]}, _DIGITS, "embedded")
    note = "The 1,797 digits that scikit-learn ships; 0..16 is scaled to 0..255; a fifth of each is for testing."
    return Collection(made.name, made.train, made.test, (note, *made.notes), made.source)


def _npz_path(given: str, roots: list[Path]) -> Path:
    path = Path(given).expanduser()
    places = [path] if path.is_absolute() else [path, *(root / path for root in roots)]
    found = next((place for place in places if place.exists()), None)
    if found is not None and found.is_dir():
        raise Refused(f"data must be a known name or an npz file, got the folder '{given}'; put its images in an npz")
    if path.suffix == ".npz":
        if found is None:
            raise Refused(f"there is no file '{given}'{_near(given, roots)}")
        return found
    if found is not None:
        raise Refused(f"data must be a known name or an npz file, got '{given}'; save arrays x and y with numpy.savez")
    here = [one.name for root in roots[:-1] for one in root.glob("*.npz")]
    names = ", ".join((_DIGITS, *KNOWN))
    raise Refused(
        f"data must be one of {names} or an npz file, got '{given}'{suggest(given, (_DIGITS, *KNOWN, *here))}"
    )


def _near(given: str, roots: list[Path]) -> str:
    path = Path(given).expanduser()
    folders = [path.parent, *roots[:-1]]
    there = [one.name for folder in folders if folder.is_dir() for one in folder.glob("*.npz")]
    close = difflib.get_close_matches(path.name, there, n=1)
    return f", did you mean '{close[0]}'?" if close else "; give its path, or name its folder with data_dir"
