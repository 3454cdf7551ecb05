"""Words in, pictures out: each request of a user once, whichever face it comes from (command line, page).

Every function takes words as a person types them and returns a `Reply`: lines to show, data for a program, files that
were written. What goes wrong is a `Refused`, in one sentence.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from PIL.Image import Image

from condvae import maps, pictures
from condvae.conditions import Label
from condvae.errors import Refused
from condvae.gallery import tiles
from condvae.intake import Heat, Seen, combinations, drawings_of, example, heat_of, parse, seen, shown
from condvae.latent_maps import THUMBNAIL, plane, shade_of
from condvae.learned import whole
from condvae.replies import Reply, cell, check_amount, counted, is_arrays, texts, write_npz
from condvae.runs import Run, opened
from condvae.settling import crowded, numberless, read_fields
from condvae.sheets import reduced
from condvae.sketches import reader_of, some_drawings
from condvae.storage import write_text
from condvae.table_studio import generate_rows, reconstruct_rows, table_seen
from condvae.table_tasks import no_pictures
from condvae.typical_record import judged

__all__ = ["Reply", "classify", "embed", "generate", "reconstruct", "restyle"]

MOST_VALUES = 500_000_000  # pixels drawn at once: two gigabytes
SHOWN = 36  # pictures of a collection that a picture shows; an npz holds all
DRAWINGS, OWN = "drawings", 500  # what asks for the model's own, and how many
EMBEDDED = {"pca": 10_000, "tsne": 2_000}

Progress = Callable[[int, int], None]
GROUNDS: WeakKeyDictionary[Run, float] = WeakKeyDictionary()  # of each run's own drawings, which a page asks again


def generate(
    run: str | Run,
    words: Sequence[str] = (),
    n: int = 64,
    out: str | None = None,
    npz: str | None = None,
    seed: int = 0,
    temperature: Heat = 1.0,
    prior: str | None = None,
    guidance: float = 1.0,
) -> Reply:
    """n pictures of each combination of what is asked, as a grid (.png, ...) and as arrays (.npz); of a run that
    generates rows of a table, as `table_studio.generate_rows` has it.

    An npz holds `images` [R, n, C, H, W] float32 in [0, 1] and, a field, the R values asked: names ("" = unknown), or
    numbers (NaN = unknown). guidance: how strongly the condition is pressed, 1 = as it was learnt.
    """
    drawer = opened(run)
    if drawer.outputs is not None:
        return generate_rows(drawer, words, n, out, npz, seed, temperature, prior, guidance)
    columns, names = combinations(parse(words, drawer.schema))
    check_targets(out, npz)
    check_amount(n, len(names) * math.prod(drawer.shape), MOST_VALUES)
    images = drawer.generate(columns, n, seed, heat_of(temperature), prior, guidance=guidance)
    if not columns:
        images = images[None]
    arrays = {"images": images, **texts(columns), "seed": np.asarray(seed)}
    written = []
    for target in (out, npz):
        if target is None:
            continue
        if is_arrays(target):
            written.append(write_npz(target, arrays))
        else:
            written.append(pictures.save(tiles(images, names if len(names) > 1 else None), target))
    what = "no label" if not columns else " and ".join(names) if len(names) <= 3 else f"{len(names)} requests"
    said = f"{counted(n, 'picture')}{' each' if len(names) > 1 else ''} of {what}"
    return Reply(tuple(f"{said}: {path}" for path in written), None, tuple(written), (), arrays)


def reconstruct(
    run: str | Run,
    what: str,
    given: Sequence[str] = (),
    out: str | None = None,
    data_dir: str | None = None,
    limit: int | None = None,
) -> Reply:
    """Pictures through posterior and decoder: a picture of both (up to 36), or an npz of all (`images`, `real`)."""
    drawer = opened(run)
    if drawer.outputs is not None:
        return reconstruct_rows(drawer, what, given, out, limit)
    target = check_targets(out)
    arrays = is_arrays(target)
    found = looked_at(drawer, seen(drawer, what, given, data_dir, limit if limit or arrays else SHOWN))
    restored = drawer.reconstruct(found.x, found.given)
    if arrays:
        path = write_npz(target, {"images": restored, "real": found.x, **texts(found.given)})
    else:
        path = pictures.save(pictures.before_after({"real": found.x, "model": restored}), target)
    error = float(np.square(restored - found.x).mean())
    said = f"{counted(len(restored), 'picture')} reconstructed, mean squared error {error:.4f}: {path}"
    return Reply((said,), None, (path,), found.notes)


def restyle(
    run: str | Run,
    what: str,
    given: Sequence[str] = (),
    to: Sequence[str] = (),
    out: str | None = None,
    data_dir: str | None = None,
    limit: int | None = None,
    sketched: bool = False,
) -> Reply:
    """Pictures in their own style under other conditions: all values of the first label, or what `to` asks.

    sketched: the image is a drawing by hand, and read as `sketches.sketch` has it.
    """
    drawer = opened(run)
    no_pictures(drawer.outputs, "restyle")
    if not drawer.schema.fields:
        raise Refused("this run was trained without conditions, so there is no other label to go to")
    wanted = parse(to, drawer.schema)
    if not wanted and not drawer.schema.labels:
        raise Refused(f"say where to go with --to FIELD=VALUE, such as {example(drawer.schema)}; this run has no label")
    if not wanted:
        wanted = {drawer.schema.labels[0].name: list(drawer.schema.labels[0].values)}
    columns, names = combinations(wanted)
    target = check_targets(out)
    pictured = seen(drawer, what, given, data_dir, limit or 12, reader_of(drawer, sketched))
    found = as_read(drawer, looked_at(drawer, pictured))
    restyled = drawer.restyle(found.x, found.given, columns)
    asked = {f"to_{name}": column for name, column in texts(columns).items()}
    arrays = {"images": restyled, "real": found.x, **texts(found.given), **asked}
    if is_arrays(target):
        path = write_npz(target, arrays)
    else:
        path = pictures.save(under_labels(found.x, restyled, names), target)
    kind = "label" if all(isinstance(drawer.schema.field(name), Label) for name in columns) else "condition"
    return Reply(
        (f"{counted(len(found.x), 'picture')} under {counted(len(names), kind)}: {path}",),
        None,
        (path,),
        found.notes,
        arrays,
    )


def under_labels(x: np.ndarray, restyled: np.ndarray, names: Sequence[str]) -> Image:
    """Pictures x [N, C, H, W] and each under K labels [N, K, C, H, W]: a row a label; of one, a caption each."""
    if len(x) == 1:
        return pictures.captioned(np.concatenate([x, restyled[0]]), ["as it is", *names])
    rows = {name: restyled[:, place] for place, name in enumerate(names)}
    return pictures.before_after({"real": x, **rows})


def as_read(run: Run, found: Seen) -> Seen:
    """The same with what one picture must be told and nobody told, read by the model, as notes say."""
    if len(found.x) == 1 and (numberless(run.learned, found.given, 1) or crowded(run.learned, found.given, 1)):
        found = fields_read(run, found, None, "; --given FIELD=VALUE says otherwise")
    for field in run.schema.labels if len(found.x) == 1 else ():
        if field.optional or found.given.get(field.name, [None])[0] is not None:
            continue
        name, note = read_as(run, found.x, field.name, found.given, found.names[0])
        found = Seen(found.x, {**found.given, field.name: [name]}, found.names, (*found.notes, note))
    return found


def fields_read(run: Run, found: Seen, but: str | None, hint: str = "") -> Seen:
    """The same with what is not given of its fields, without `but`, read by the model one after another, as a note
    says: all together have too many values, or one of them is a number."""
    read = read_fields(run.learned, found.x, found.given, but)
    said = ", ".join(f"{name} {shown(values[0])}" for name, values in read.items())
    return Seen(found.x, {**found.given, **read}, found.names, (*found.notes, f"read from it: {said}{hint}"))


def read_as(run: Run, x: np.ndarray, field: str, others: Mapping[str, Any], what: str) -> tuple[str, str]:
    """(the label that the model reads off a picture x [1, C, H, W], the note that says so)."""
    others = {name: value for name, value in others.items() if name != field}
    name = str(run.classify(x, field, others).names[0])
    return name, f"{what} is read as {field} {name}; --given {field}=... says otherwise"


def classify(
    run: str | Run,
    what: str,
    field: str | None = None,
    given: Sequence[str] = (),
    data_dir: str | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    sketched: bool = False,
) -> Reply:
    """Which label pictures have, by Bayes' rule on the bound; the share read rightly where labels are known.

    sketched: the image is a drawing by hand, and read as `sketches.sketch` has it.
    Of one picture the data hold "typical", too, and a line says whether it looks like anything that the model knows, by
    the ranges of log p(x) and of two more statistics (`condvae.typical`); a note where these were not recorded.
    """
    reader = opened(run)
    found = looked_at(reader, things(reader, what, given, data_dir, limit, sketched))
    name = field or (reader.schema.labels[0].name if len(reader.schema.labels) == 1 else None)
    others = {key: value for key, value in found.given.items() if key != name}
    if len(found.x) == 1 and reader.outputs is None and name and crowded(reader.learned, others, 1, name):
        found = fields_read(reader, Seen(found.x, others, found.names, found.notes), name)
        others = dict(found.given)
    read = (
        reader.classify(found.x, name, others)
        if progress is None
        else in_parts(reader, found.x, name, others, progress)
    )
    names = [str(one) for one in read.names]
    data: dict[str, Any] = {
        "field": name,
        "values": list(read.values),
        "names": names,
        "probabilities": np.asarray(read.probabilities, float).round(6).tolist(),
    }
    truth = found.given.get(name or "", ())
    known = [(one, true) for one, true in zip(names, truth, strict=False) if true is not None]
    if len(names) == 1:
        order = np.argsort(-np.asarray(read.probabilities[0]))[:3]
        lines = [", then ".join(f"{read.values[i]} ({100 * read.probabilities[0][i]:.1f} %)" for i in order)]
        told, why = (None, "") if reader.outputs is not None else judged(reader, found.x)
        said = (f"{name}: {lines[0]}", *(() if told is None else (told["words"],)))
        return Reply(
            said, data | ({} if told is None else {"typical": told}), (), (*found.notes, *filter(None, (why,)))
        )
    what = "pictures" if reader.outputs is None else "rows"
    lines = [f"{value}: {names.count(value):,} {what}" for value in read.values if value in names]
    if known:
        right = sum(one == true for one, true in known)
        data["accuracy"] = right / len(known)
        lines.insert(0, f"{name} read rightly: {right:,} of {len(known):,} ({100 * right / len(known):.2f} %)")
    return Reply(tuple(lines), data, (), found.notes)


def in_parts(reader: Run, x: np.ndarray, field: str | None, others: Mapping[str, Any], progress: Progress) -> Any:
    """Classify with a progress callback."""
    from condvae import tasks

    return tasks.classify(reader.learned, x, field, others, progress=progress)


def embed(
    run: str | Run,
    what: str,
    method: str = "pca",
    out: str | None = None,
    data_dir: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    given: Sequence[str] = (),
    perplexity: float | None = None,
    field: str | None = None,
    thumbnails: bool = False,
) -> Reply:
    """The latents of a collection: a map (.png, ...), or the numbers (.npz, .csv) with their two coordinates.

    what: an image file or data; "drawings": `limit` of the model's own, 500 by default, drawn with the seed.
    perplexity: of t-SNE, as in `latent_maps.plane`. field: the label or number that colours the map, by default the
    first label, else the first number; how well it separates in the latents is said beside the map. thumbnails: draw
    the pictures on the map.
    """
    target = check_targets(out, more=(".npz", ".csv"))
    reader = opened(run)
    if thumbnails:
        no_pictures(reader.outputs, "--thumbnails")
        if Path(target).suffix.lower() not in pictures.FORMATS:
            raise Refused(f"thumbnails are drawn on a map, which ends in .png; got {target!r}, leave out --thumbnails")
    own = what == DRAWINGS and not Path(what).exists()
    found = (
        own_drawings(reader, given, limit, seed)
        if own
        else things(reader, what, given, data_dir, limit or EMBEDDED.get(method, 1))
    )
    shade = shade_of(reader.schema, found.given, len(found.x), field)
    z = reader.embed(found.x, found.given)
    flat, said = plane(z, method, seed, perplexity)
    told = "" if shade is None else shade.said(z, seed)
    if is_arrays(target):
        path = write_npz(target, {"z": z, "xy": flat, **texts(found.given)})
    elif Path(target).suffix.lower() == ".csv":
        path = write_csv(Path(target), found, flat, z)
    else:
        itself = method == "pca" and z.shape[1] <= 2
        shown = reduced(found.x, THUMBNAIL) if thumbnails else None
        if shade is None:
            drawn = maps.latent_map(flat, title=said, images=shown, circles=itself)
        else:
            drawn = shade.drawn(flat, said, shown, itself, told)
        path = pictures.save(drawn, target)
    what = counted(len(z), "row" if reader.outputs is not None else "drawing" if own else "picture")
    return Reply((f"{what}, {'; '.join(filter(None, (said, told)))}: {path}",), None, (path,), found.notes)


def own_drawings(run: Run, given: Sequence[str], limit: int | None, seed: int) -> Seen:
    """The model's own drawings, for a run whose data are not at hand."""
    no_pictures(run.outputs, f"embed {DRAWINGS}")
    if given:
        raise Refused(f"--given says what pictures show, and {DRAWINGS} are asked of every label; leave it out")
    n = OWN if limit is None else whole(limit, "limit", 1)
    check_amount(n, math.prod(run.shape), MOST_VALUES)
    return drawings_of(run, n, seed)


def things(
    run: Run, what: str, given: Sequence[str], data_dir: str | None, limit: int | None, sketched: bool = False
) -> Seen:
    """The pictures that IMAGE or DATA names, or the rows of a table where the run generates rows."""
    if run.outputs is None:
        return seen(run, what, given, data_dir, limit, reader_of(run, sketched, bare=True))
    if sketched:
        no_pictures(run.outputs, "--sketched")
    return table_seen(run, what, given, limit)


def looked_at(run: Run, found: Seen) -> Seen:
    """The same with a hint where one picture's ground is light and the model's dark, or the other way round."""
    if len(found.x) != 1 or run.outputs is not None:
        return found
    if run not in GROUNDS:
        GROUNDS[run] = ground(some_drawings(run)[:16])
    theirs, ours = ground(found.x), GROUNDS[run]
    if abs(theirs - ours) < 0.5:
        return found
    light, dark = ("light", "dark") if theirs > ours else ("dark", "light")
    hint = f"the picture's ground is {light}, and that of the model's pictures is {dark}: invert it if it should match"
    return Seen(found.x, found.given, found.names, (*found.notes, hint))


def ground(x: np.ndarray) -> float:
    """Median of the outermost pixels of pictures [N, C, H, W]."""
    edge = [x[..., 0, :], x[..., -1, :], x[..., :, 0], x[..., :, -1]]
    return float(np.median(np.concatenate([one.ravel() for one in edge])))


def check_targets(out: str | None, npz: str | None = None, more: Sequence[str] = (".npz",)) -> str:
    """The file to write; Refused, before any work is done, where there is none or its ending means nothing."""
    endings = (*pictures.FORMATS, *more)
    for target, allowed in ((out, endings), (npz, (".npz",))):
        if target is not None and Path(target).suffix.lower() not in allowed:
            raise Refused(f"a file to write must end in one of {', '.join(allowed)}; got {target!r}")
    if out is None and npz is None:
        raise Refused(f"say where to write with -o FILE, which ends in one of {', '.join(endings)}")
    return str(out or npz)


def write_csv(target: Path, found: Seen, flat: np.ndarray, z: np.ndarray) -> Path:
    """One line a picture: its number, labels, two coordinates, and latents."""
    memory = io.StringIO()
    sheet = csv.writer(memory, lineterminator="\n")
    places = ("x", "y")[: flat.shape[1]]
    sheet.writerow(["row", *found.given, *places, *(f"z{i}" for i in range(z.shape[1]))])
    for i in range(len(z)):
        given = [cell(values[i]) for values in found.given.values()]
        sheet.writerow([i, *given, *(f"{v:.6g}" for v in flat[i]), *(f"{v:.6g}" for v in z[i])])
    write_text(target, memory.getvalue())
    return target
