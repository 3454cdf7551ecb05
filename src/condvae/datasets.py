"""Data by name, file or folder: digits, drawn faces, MNIST, Fashion-MNIST, SVHN, CIFAR-10; npz, images, tables.

A named set is looked for in `data_dir`, then in the folder that CONDVAE_DATA names, then in the cache
(CONDVAE_CACHE, else condvae in XDG_CACHE_HOME or ~/.cache), and downloaded into the cache where it is in
none. Whatever is read is checked against the SHA-256 of its contents first, so gzipped and plain copies are
alike.
"""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from condvae.columns import SUFFIXES, names_in, read_columns
from condvae.data import Collection, collect, hold_out
from condvae.downloads import Progress, download
from condvae.drawn_data import DRAWN, HELD, KEPT, drawn_collection
from condvae.drawn_faces import FACTORS
from condvae.errors import Refused, suggest
from condvae.files import WrongSum, read_arrays, read_checked
from condvae.folders import load_folder, size_of
from condvae.npz import load_npz
from condvae.sources import KNOWN, Source
from condvae.tables import table_collection

__all__ = ["Known", "absent", "is_path", "known", "load", "located"]

_DIGITS = "digits"
_DIGITS_HELD = 360
_DIGITS_SEED = 0

_NAMES = (_DIGITS, *DRAWN, *KNOWN)

# The options of `load` that go with each kind of data.
FOLDER = ("attributes", "file_column", "fields", "size", "skip_bad", "kinds")
TABLE = ("condition", "generate", "skip_bad", "kinds")
NPZ = ("kinds",)


@dataclass(frozen=True)
class Known:
    """One row of the table of named data; `where` is a folder, "embedded" or "would be downloaded (N MB)".

    field: the fields' names at commas; classes: how many values each label has, at commas.
    """

    name: str
    what: str
    field: str
    size: str
    shape: tuple[int, int, int]
    classes: str
    where: str


def load(
    name_or_path: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    *,
    attributes: str | os.PathLike[str] | None = None,
    file_column: str | None = None,
    fields: Sequence[str] | None = None,
    condition: Sequence[str] | None = None,
    generate: Sequence[str] | None = None,
    size: int | str | Sequence[int] | None = None,
    skip_bad: bool = False,
    kinds: Mapping[str, str] | None = None,
    fetch: bool = True,
) -> Collection:
    """Return the collection of that name, or the one in that file or folder.

    Args:
        name_or_path: "digits", "faces-drawn", "faces-drawn-128", "mnist", "fashion-mnist", "svhn", "cifar10"; or the
            path of an npz file with arrays ``x_train, y_train[, x_test, y_test]`` or ``x, y``, and perhaps
            ``class_names``, of a folder of images, or of a table (.csv, .tsv, .parquet); a relative path is looked for
            here, then in `data_dir` and CONDVAE_DATA.
        data_dir: a folder that holds the files, asked first.
        progress: called as ``progress(done, total)`` with bytes while files are downloaded, or images while they are
            read or drawn.
        attributes, file_column, fields, size: of a folder: the table that tells of its images (by default the only
            .csv in it), its column of file names, the columns that are read, and the size that images are brought to,
            as 64 or "64x48", height x width; see `condvae.folders.load_folder`.
        condition, generate: of a table: the columns that are asked for, and those that are generated; see
            `condvae.tables.table_collection`.
        skip_bad: of a folder or table: leave out what cannot be used, and say so.
        kinds: field -> "label", "attribute" or "number"; by default decided from the values, and said.
        fetch: whether a named set that is not on this machine is downloaded, or refused.

    Raises:
        Refused: an unknown name, a missing, truncated or corrupt file, unusable contents, options that do not go with
            the data, or a download that failed.
    """
    options: dict[str, Any] = {
        "attributes": None if attributes is None else os.fspath(attributes),
        "file_column": file_column,
        "fields": _names(fields, "fields"),
        "condition": _names(condition, "condition"),
        "generate": _names(generate, "generate"),
        "size": None if size is None else "x".join(map(str, size_of(size) or ())),
        "skip_bad": skip_bad or None,
        "kinds": dict(kinds) if kinds else None,
    }
    reading: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    given = os.fspath(name_or_path)
    roots = _roots(data_dir)
    if given in _NAMES:
        _check_options(reading, (), given)
        if given in DRAWN:
            return drawn_collection(given, roots[-1], progress)
        return _digits() if given == _DIGITS else _load_source(KNOWN[given], roots, progress, fetch)
    path = _found_path(given, roots)
    if path.is_dir():
        _check_options(reading, FOLDER, f"the folder {given}")
        reading["skip_bad"] = skip_bad
        if "attributes" in reading:
            reading["attributes"] = str(_table_path(reading["attributes"], path, roots))
        table = Path(reading["attributes"]) if "attributes" in reading else None
        made = load_folder(path, progress=progress, **{**reading, "attributes": table})
    elif path.suffix.lower() in SUFFIXES:
        _check_options(reading, TABLE, f"the table {given}")
        reading["skip_bad"] = skip_bad
        made = _load_table(path, reading)
    else:
        _check_options(reading, NPZ, f"the npz file {given}")
        made = load_npz(path, kinds)
    # A name of named data would be read as those data when a training goes on.
    name = f"{made.name}-{path.suffix[1:] or 'folder'}" if made.name in _NAMES else made.name
    return replace(made, name=name, reading=reading)


def absent(name: str) -> str:
    """What is said of a named set that is not on this machine, where nothing is downloaded."""
    megabytes = sum(remote.size for remote in KNOWN[name].remotes) / 1e6
    return (
        f"{name} is not on this machine, and {megabytes:.0f} MB are not fetched here; condvae train {name} fetches it"
    )


def located(name_or_path: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The file or folder that a path names, looked for as `load` does; None for named data. Refused where none is."""
    given = os.fspath(name_or_path)
    return None if given in _NAMES else _found_path(given, _roots(data_dir))


def _names(names: Sequence[str] | None, argument: str) -> list[str] | None:
    """A list of names; one text is one name."""
    if names is None or isinstance(names, str):
        return names if names is None else [names]
    if not all(isinstance(name, str) for name in names):
        raise Refused(f"{argument} must be a list of names, got {list(names)!r:.60}")
    return list(names)


def _check_options(reading: Mapping[str, Any], allowed: Sequence[str], what: str) -> None:
    """Refuse an option that does not go with the data."""
    for name in reading:
        if name not in allowed:
            kind = "a folder of images" if name in FOLDER else "a table"
            kind = "a folder of images or a table" if name in FOLDER and name in TABLE else kind
            raise Refused(f"{name} (--{name.replace('_', '-')}) goes with {kind}, not with {what}; leave it out")


def _load_table(path: Path, reading: Mapping[str, Any]) -> Collection:
    """The rows of a table; Refused, with its columns, where nobody said what is asked for and what generated."""
    if "condition" not in reading and "generate" not in reading:
        raise Refused(
            f"of a table it must be said which columns are asked for and which are generated, with condition "
            f"(--condition A,B) and generate (--generate C,D; by default all others); the columns of {path} are "
            f"{names_in(list(read_columns(path)))}"
        )
    return table_collection(path, **reading, name=path.stem, source=str(path))


def _table_path(given: str, folder: Path, roots: list[Path]) -> Path:
    """The table of attributes: a path as given, or one in the folder of images, or where data are looked for."""
    path = Path(given).expanduser()
    places = [path] if path.is_absolute() else [path, folder / path, *(root / path for root in roots)]
    found = next((place for place in places if place.is_file()), None)
    if found is None or found.suffix.lower() not in SUFFIXES:
        there = [one.name for one in folder.iterdir() if one.suffix.lower() in SUFFIXES]
        what = f"there is no file '{given}'" if found is None else f"got '{given}'"
        raise Refused(f"attributes must be a table, {', '.join(sorted(SUFFIXES))}; {what}{suggest(path.name, there)}")
    return found


def is_path(source: str) -> bool:
    """Whether a collection's `source` is a file or folder of the user's, from which `load` reads it again."""
    path = Path(source)
    given = source not in ("memory", "embedded", *KNOWN)
    return given and (path.suffix.lower() in (".npz", *SUFFIXES) or path.is_absolute() or path.is_dir())


def known(data_dir: str | os.PathLike[str] | None = None) -> list[Known]:
    """Return the named data and where each is found; files are looked for, not read."""
    rows = [Known(_DIGITS, "handwritten digits of scikit-learn", "digit", "1,437 + 360", (1, 8, 8), "10", "embedded")]
    fields, classes = ", ".join((*FACTORS, "pose")), ", ".join(str(len(values)) for values in FACTORS.values())
    size, what = f"{KEPT:,} + {HELD:,}", "drawn faces, of no real person"
    rows += [Known(name, what, fields, size, (3, side, side), classes, "embedded") for name, side in DRAWN.items()]
    roots = _roots(data_dir)
    for source in KNOWN.values():
        place = next(_candidates(source, roots), None)
        megabytes = sum(remote.size for remote in source.remotes) / 1e6
        where = f"would be downloaded ({megabytes:.0f} MB)" if place is None else str(place[0].parent)
        size = f"{source.counts[0]:,} + {source.counts[1]:,}"
        rows.append(Known(source.name, source.what, source.field, size, source.shape, "10", where))
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


def _load_source(source: Source, roots: list[Path], progress: Progress | None, fetch: bool) -> Collection:
    for paths in _candidates(source, roots):
        try:
            return _read(source, paths)
        except WrongSum as wrong:
            # mnist and fashion-mnist share their file names: the one may lie where the other is looked for.
            if not any(wrong.found in other.sums.values() for other in KNOWN.values() if other is not source):
                raise
    if not fetch:
        raise Refused(absent(source.name))
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
    return replace(made, notes=(note, *made.notes))


def _found_path(given: str, roots: list[Path]) -> Path:
    """The folder, npz or table that a path names; Refused, with what is near, where there is none."""
    path = Path(given).expanduser()
    places = [path] if path.is_absolute() else [path, *(root / path for root in roots)]
    found = next((place for place in places if place.exists()), None)
    if found is not None:
        if found.is_dir() or found.suffix.lower() in (".npz", *SUFFIXES):
            return found
        raise Refused(
            f"data must be a known name, an npz file, a folder of images or a table ({', '.join(sorted(SUFFIXES))}), "
            f"got '{given}'; save arrays x and y with numpy.savez"
        )
    if path.suffix.lower() in (".npz", *SUFFIXES) or "/" in given.rstrip("/"):
        raise Refused(f"there is no file '{given}'{_near(given, roots)}")
    here = [
        one.name
        for root in (Path(), *roots[:-1])
        for one in root.glob("*")
        if one.is_dir() or one.suffix.lower() in (".npz", *SUFFIXES)
    ]
    names = ", ".join(_NAMES)
    raise Refused(
        f"data must be one of {names}, an npz file, a folder of images or a table, got '{given}'"
        f"{suggest(given, (*_NAMES, *here))}"
    )


def _near(given: str, roots: list[Path]) -> str:
    path = Path(given).expanduser()
    folders = [path.parent, *roots[:-1]]
    there = [one.name for folder in folders if folder.is_dir() for one in folder.glob(f"*{path.suffix}")]
    close = difflib.get_close_matches(path.name, there, n=1)
    return f", did you mean '{close[0]}'?" if close else "; give its path, or name its folder with data_dir"
