"""A user's own collection in one npz file, read without pickle.

Arrays: ``x_train, y_train[, x_test, y_test]`` or ``x, y``; optional ``class_names`` [K], text, which name the
integer labels 0..K-1. Any numpy writes it: ``numpy.savez(path, x=images, y=labels)``.
"""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from condvae.data import Collection, collect
from condvae.errors import Refused
from condvae.names import label_name

__all__ = ["load_npz"]

FIELD = "label"
_READ = {"x", "y", "x_train", "y_train", "x_test", "y_test", "class_names"}


def load_npz(path: Path, kinds: Mapping[str, str] | None = None) -> Collection:
    """Return the collection in an npz file, its labels as the field "label".

    Without labels it is a collection for a plain VAE, and the notes say so. kinds: what "label" is, where that should
    not be decided here.

    Raises:
        Refused: a file that is truncated, corrupt or no npz, arrays that are missing or hold Python objects,
            labels that ``class_names`` does not name, or images and labels that do not go together.
    """
    arrays, unread = _read(path)
    x_name, y_name = ("x_train", "y_train") if "x_train" in arrays else ("x", "y")
    if x_name not in arrays:
        raise Refused(
            f"{path.name} must hold x_train and y_train, or x and y, got {_listed(set(arrays) | unread)}; "
            "save it with numpy.savez(path, x=images, y=labels)"
        )
    classes = _class_names(arrays, path)
    y = _named(arrays.get(y_name), classes, y_name, path)
    y_test = _named(arrays.get("y_test"), classes, "y_test", path)
    notes = []
    if y is None:
        notes.append(f"{path.name} holds no {y_name}, so there are no labels to learn.")
    if unread:
        notes.append(f"Not read from {path.name}: {_listed(unread)}.")
    try:
        made = collect(
            arrays[x_name],
            None if y is None else {FIELD: y},
            arrays.get("x_test"),
            None if y_test is None or y is None else {FIELD: y_test},
            path.stem,
            str(path),
            kinds,
        )
    except Refused as refused:
        raise Refused(f"{path.name}: {refused}") from None
    return replace(made, notes=(*made.notes, *notes))


def _read(path: Path) -> tuple[dict[str, np.ndarray], set[str]]:
    """The arrays that mean something here, and the names of the others."""
    try:
        held = np.load(path, allow_pickle=False)
        if not isinstance(held, np.lib.npyio.NpzFile):
            raise Refused(f"{path} must be an npz file, got a single npy array; save it with numpy.savez")
        with held:
            wanted = _READ & set(held.files)
            return {name: _array(held, name, path) for name in wanted}, set(held.files) - wanted
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        ValueError,
        OSError,
        KeyError,
        NotImplementedError,
    ) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(
            f"{path} is truncated, corrupt or no npz file ({_short(error)}); write it anew with numpy.savez"
        ) from None


def _array(held: np.lib.npyio.NpzFile, name: str, path: Path) -> np.ndarray:
    try:
        return held[name]
    except ValueError as error:
        if "llow_pickle" not in str(error):
            raise
        cure = "y.astype(str)" if name.startswith("y") else "np.stack(images)" if name[0] == "x" else "np.array(names)"
        raise Refused(
            f"{path.name} must hold plain arrays, got Python objects in '{name}', which are never unpickled; "
            f"save it as {cure}"
        ) from None


def _class_names(arrays: dict[str, np.ndarray], path: Path) -> np.ndarray | None:
    if "class_names" not in arrays:
        return None
    names = [label_name(name) for name in np.atleast_1d(arrays["class_names"])]
    if len(set(names)) < len(names) or None in names:
        raise Refused(f"class_names of {path.name} must be different names, none of them blank, got {names!r:.80}")
    return np.array(names, object)


def _named(y: np.ndarray | None, classes: np.ndarray | None, argument: str, path: Path) -> object:
    """Labels as their class names; as they are where there are no names, or they are text themselves."""
    if y is None or classes is None or y.dtype.kind not in "buif" or y.size != len(y):
        return y
    y = y.reshape(-1)
    unknown = np.isnan(y) if y.dtype.kind == "f" else np.zeros(len(y), bool)
    whole = np.where(unknown, 0, y)
    bad = (whole < 0) | (whole >= len(classes)) | (whole != np.floor(whole))
    if bad.any():
        raise Refused(
            f"{argument} of {path.name} must be within 0..{len(classes) - 1}, as class_names holds "
            f"{len(classes)} names, got {whole[bad][0]}; use NaN where a label is unknown"
        )
    named = classes[whole.astype(np.int64)]
    named[unknown] = None
    return list(named)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "no arrays"


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:100]
