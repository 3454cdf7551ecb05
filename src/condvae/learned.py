"""A trained model with what is needed to ask it: requests and pictures in, chunks of rows out. What the tasks share.

Rows are taken in chunks of one size, the last padded with copies of its last row: then the arithmetic of a row is the
same however many rows are asked for with it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from condvae.conditions import Field, Picture, Schema
from condvae.errors import Refused, suggest
from condvae.images import Images, as_images, unit
from condvae.names import counted
from condvae.nets import Shape, evaluating
from condvae.noise import Noise, RowNoise
from condvae.trace import Condition, Draw
from condvae.unseen import UnseenPrior

Asked = Mapping[str, Any]
Columns = dict[str, np.ndarray]  # field name -> positions in its values [N], -1 = unknown
Progress = Callable[[int, int], None]  # (rows done, rows in all)

CHUNK = 256  # rows of one pass: a power of two, so that no thread's share ends inside a vector register
UNKNOWN = ("sum", "blank")  # how fields that are not known are treated
PRIORS = (None, "fitted", "flow", "model")
LABEL_LEVEL = 1000  # the level of noise that draws a label which was not asked for
PIXEL_LEVEL = 2000  # the level of noise that binarises pixels


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; emulated, it would be slower than float32."""
    if device.type == "cpu":
        found = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch cannot say
        return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


@dataclass(frozen=True)
class Learned:
    """A trained model, its schema, the shape [C, H, W] of its pictures, and the protocol it was trained under.

    binarise: "grey", "dynamic" or "static"; fitted: the density fitted to its latents, a prior head, or None; flow: a
    flow fitted to them; precision: "bf16" where the networks were trained in bfloat16 arithmetic, else "32"; holes: the
    kind of holes that it learned to fill, "none" where it fills none; outputs: the fields of a generated table's row;
    infers: the label that the model itself reads, q(label | x), None where it reads none.
    """

    model: nn.Module
    schema: Schema
    shape: Shape
    binarise: str = "grey"
    fitted: nn.Module | None = None
    precision: str = "32"
    flow: nn.Module | None = None
    holes: str = "none"
    outputs: Schema | None = None
    infers: str | None = None

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Within it, networks that were trained in bfloat16 draw in bfloat16, on devices that have it: twice as fast.

        A drawn pixel then differs by thousandths from that of float32, in which everything else is done.
        """
        half = self.precision == "bf16" and has_bfloat16(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=True) if half else nullcontext():
            yield

    def using(self, prior: str | None = None) -> nn.Module:
        """The model under a prior: "model" = its own, "fitted" = the density, "flow" = the flow; None = the density.

        Without a density, None is the model's own.

        Refused for another name, or for a density that was not fitted.
        """
        if prior not in PRIORS:
            raise Refused(f"prior may be 'fitted', 'flow' or 'model'; got {prior!r}{suggest(str(prior), PRIORS[1:])}")
        if prior == "flow":
            if self.flow is None:
                raise Refused("prior may not be 'flow' here, for no flow was fitted; run.fit_flow() fits one")
            return cast(Any, self.model).with_prior(self.flow)
        if prior == "fitted" and self.fitted is None:
            raise Refused("prior may only be 'model' here, for no density was fitted to this model's latents")
        if self.fitted is None or prior == "model":
            return self.model
        if self.schema.picture is not None:
            return cast(Any, self.model).with_prior(UnseenPrior(self.fitted, cast(Any, self.model).prior))
        return cast(Any, self.model).with_prior(self.fitted)

    @property
    def device(self) -> torch.device:
        """Where the model's tensors are."""
        first = next(chain(self.model.parameters(), self.model.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    @property
    def likely(self) -> bool:
        """Whether the model tells a likelihood; False of one that compares deep features, whose loss is no density."""
        return getattr(getattr(self.model, "head", None), "normalised", "") != "no"

    def condition(self, columns: Columns, rows: np.ndarray) -> Condition:
        """The condition of these rows of the columns, on the model's device."""
        return self.schema.encode({name: column[rows] for name, column in columns.items()}, len(rows)).to(self.device)

    def without_density(self) -> Learned:
        """The same under the model's own prior."""
        return replace(self, fitted=None, flow=None)


def chunks(total: int, size: int = CHUNK) -> Iterator[tuple[np.ndarray, slice]]:
    """Row numbers in chunks of exactly `size`, with the slice of `total` that they fill; padded by the last row."""
    for start in range(0, total, size):
        stop = min(start + size, total)
        yield np.minimum(np.arange(start, start + size), stop - 1), slice(start, stop)


def folds(rows: int, ways: int, size: int = CHUNK) -> Iterator[tuple[np.ndarray, np.ndarray, slice]]:
    """Several ways of each of `rows` rows, at most `size`, in chunks of exactly `size` that hold as many ways as fit:
    (ways [size], rows [size], which ways), the first way of all rows first; padded by the last."""
    each = max(1, size // rows)
    for start in range(0, ways, each):
        stop = min(start + each, ways)
        way, row = np.divmod(np.minimum(np.arange(size), (stop - start) * rows - 1), rows)
        yield start + way, row, slice(start, stop)


def observe(x: Tensor, binarise: str, noise: Noise) -> Tensor:
    """x [B, C, H, W] as the model's protocol sees it: as it is for "grey", else 1 with probability x, 0 otherwise.

    Pixels that are 0 or 1 already stay what they are. The noise is a function of its rows alone.
    """
    if binarise == "grey":
        return x
    uniform = noise.uniform([len(x), x[0].numel()], PIXEL_LEVEL).to(x).view_as(x)
    return (uniform < x).to(x)


def pictures_of(learned: Learned, x: Any, argument: str = "x") -> Images:
    """x checked, as [N, C, H, W] of the model's own shape. Refused where it is none, or of another shape."""
    if learned.outputs is not None:
        return rows_of(learned, x, argument)
    single = getattr(x, "ndim", 0) == 2 or (getattr(x, "ndim", 0) == 3 and tuple(x.shape) == learned.shape)
    if (single and learned.shape[0] > 1) or getattr(x, "ndim", 0) == 2:
        raise Refused(f"{argument} must be images [N, C, H, W], got one picture {list(x.shape)}; give {argument}[None]")
    images, _ = as_images(x, argument)
    if tuple(images.shape[1:]) != tuple(learned.shape):
        raise Refused(
            f"{argument} must hold pictures of the shape [C, H, W] = {list(learned.shape)} that the model was trained "
            f"on; got {list(images.shape[1:])}"
        )
    return images


def rows_of(learned: Learned, x: Any, argument: str = "x") -> Images:
    """Rows of a table as `tables.encode_rows` gives them, [N, 1, 1, W], checked; Refused where they are not."""
    if not isinstance(x, Images):
        rows = torch.as_tensor(x).float() if isinstance(x, np.ndarray | Tensor) else torch.zeros(0)
        if not rows.numel() or not rows.isfinite().all():
            raise Refused(f"{argument} must hold rows as encode_rows gives them; got {type(x).__name__}")
        x = Images(rows, "NCHW", float(rows.min()), float(rows.max())) if rows.ndim == 4 else rows
    if tuple(x.shape[1:]) != tuple(learned.shape):
        raise Refused(f"{argument} must hold rows [N, 1, 1, {learned.shape[-1]}] of the table; got {list(x.shape)}")
    return x


def take(learned: Learned, images: Images, rows: np.ndarray) -> Tensor:
    """These rows as float32 [B, C, H, W] in [0, 1] on the model's device."""
    return unit(images[torch.from_numpy(rows)].to(learned.device))


def whole(value: Any, name: str, least: int, most: int | None = None) -> int:
    """`value` as an int of at least `least`; Refused where it is none."""
    fits = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least
    if not fits or (most is not None and value > most):
        limit = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise Refused(f"{name} must be a whole number {limit}; got {value!r}")
    return int(value)


def seed_in(seed: Any) -> int:
    """The seed as an int in [0, 2^64); Refused where it is none."""
    return whole(seed, "seed", 0, 2**64 - 1)


def at_least_0(value: Any, name: str) -> float:
    """The value as a float; Refused where it is no finite number of at least 0."""
    if not within_reach(value):
        raise Refused(f"{name} must be a number of at least 0, 1 for the model as it is; got {value!r}")
    return float(value)


def within_reach(value: Any) -> bool:
    """Whether a value is a finite number of at least 0."""
    return isinstance(value, int | float | np.number) and 0 <= float(value) < math.inf


def temperature_in(learned: Learned, value: Any) -> float | tuple[float, ...]:
    """A temperature, one number or one for each of the model's codes in order; Refused where it is neither."""
    value = value.tolist() if isinstance(value, np.ndarray | Tensor) else value
    if isinstance(value, str) or not isinstance(value, Sequence):
        return at_least_0(value, "temperature")
    codes = codes_of(learned)
    if len(value) != codes or not all(map(within_reach, value)):
        several = "" if codes == 1 else f" or {codes} of them,"
        raise Refused(
            f"temperature must be one number of at least 0,{several} for this model has {counted(codes, 'latent')}; "
            f"got {', '.join(map(str, value)) or 'none'}"
        )
    return tuple(map(float, value))


def codes_of(learned: Learned) -> int:
    """How many latents pictures are drawn from, one after the other: 1 of a VAE, one a step of DRAW."""
    columns, names = repeated(learned.schema, columns_of(learned, None, 1), 1, 1, 0)
    with evaluating(learned.model) as model:
        draw = Draw(RowNoise(0, names, learned.device), 0.0)
        return len(model(learned.condition(columns, np.zeros(1, int)), draw=draw).codes)


def requests(schema: Schema, asked: Asked | None) -> tuple[Columns, int, bool]:
    """What is asked -> (columns, how many requests, whether a list was given).

    A value stands for all requests beside lists. Numbers outside the range that training saw are warned of, all in
    one. Refused for unknown names, empty lists, lists of different lengths.
    """
    asked = named(asked, "what is asked")
    lengths = {name: len(value) for name, value in asked.items() if schema.field(name).many(value)}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise Refused(f"lists of values must be equally long, one value of each a request; {told}")
    count = next(iter(lengths.values()), 1)
    if count == 0:
        raise Refused(f"a list of values must hold at least one; {next(iter(lengths))} is empty")
    spread = {name: value if name in lengths else [value] * count for name, value in asked.items()}
    columns = schema.index(spread, count)
    strange = [beyond for field in schema.numbers if (beyond := field.beyond(columns[field.name])) is not None]
    if strange:
        warnings.warn("; ".join(strange), stacklevel=4)
    return columns, count, bool(lengths)


def named(asked: Any, argument: str) -> Asked:
    """`asked` as a mapping, None as an empty one; Refused where it is neither."""
    if asked is None:
        return {}
    if not isinstance(asked, Mapping):
        raise Refused(f"{argument} must be a mapping such as {{'digit': 6}}; got {type(asked).__name__}")
    return asked


def columns_of(learned: Learned, given: Asked | None, rows: int) -> Columns:
    """What is given of pictures -> columns; a single value stands for every row. What is not given is unknown."""
    given, schema = named(given, "what is given"), learned.schema
    spread = {name: value if schema.field(name).many(value) else [value] * rows for name, value in given.items()}
    return schema.index(spread, rows)


def drawn(schema: Schema, columns: Columns, names: np.ndarray, seed: int) -> Columns:
    """Unknown entries of fields that are never blank, drawn from the field's own distribution by each row's noise."""
    settled = dict(columns)
    for place, field in enumerate(schema.fields):
        unknown = np.flatnonzero(field.unknown(columns[field.name]))
        if field.optional or not len(unknown):
            continue
        wide = getattr(field, "size", 1)
        uniform = RowNoise(seed, names[unknown]).uniform([len(unknown), wide], LABEL_LEVEL + place).numpy()
        column = columns[field.name].copy()
        column[unknown] = field.filled(column[unknown], field.drawn(uniform))  # pyright: ignore
        settled[field.name] = column
    return settled


def repeated(schema: Schema, columns: Columns, count: int, n: int, seed: int) -> tuple[Columns, np.ndarray]:
    """n rows of each of `count` requests: (columns in which what is never blank is settled, as `drawn` has it; the
    rows' names for their noise [count * n, 2]: which request, and which row of it)."""
    names = np.stack([np.repeat(np.arange(count), n), np.tile(np.arange(n), count)], 1)
    return drawn(schema, {name: np.repeat(column, n, 0) for name, column in columns.items()}, names, seed), names


def open_fields(
    schema: Schema, columns: Columns, rows: Sequence[int] | np.ndarray, unknown: str | None = None
) -> tuple[Field, ...]:
    """Fields that are unknown in some of these rows and have to be settled, or summed out.

    unknown: None: those that have no blank input; "sum": those that have one, too, but for a partial picture; "blank":
    none may be without. Refused for another word, and for "blank" where a field has no such input.
    """
    if unknown not in (None, *UNKNOWN):
        raise Refused(f"unknown may be 'sum' or 'blank'; got {unknown!r}{suggest(str(unknown), UNKNOWN)}")
    index = np.asarray(rows)
    missing = [field for field in schema.fields if len(index) and field.unknown(columns[field.name][index]).any()]
    found = [field for field in missing if not field.optional or (unknown == "sum" and not isinstance(field, Picture))]
    if found and unknown == "blank":
        raise Refused(
            f"unknown may not be 'blank' here, for {found[0].name} has no blank input; 'sum' sums over its values"
        )
    return tuple(found)
