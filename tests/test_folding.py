"""What is asked of few pictures in several ways stands in one chunk, row by row as each way by itself."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from shrunk import CASES, EVERY, SHAPE, batch_of, columns_of, model_of, schema_of

from condvae import tasks, weighing
from condvae.conditions import Label
from condvae.density_fit import fit_density
from condvae.learned import CHUNK, Columns, Learned, chunks, folds, observe, open_fields, pictures_of, take
from condvae.noise import Given, RowNoise
from condvae.passes import inferred, store
from condvae.restyling import restyled
from condvae.trace import Draw, carried
from condvae.weighing import Importance, by_value, marginal

LIKELY = [name for name, case in EVERY.items() if case.likelihood != "perceptual"]
K, SIZE = 4, 16  # samples, and rows of a chunk


def learned_of(name: str, fitted: bool = False) -> Learned:
    settings = EVERY[name]
    schema, model = schema_of(settings), model_of(settings)
    density = None
    if fitted:
        sign = schema.field("sign")
        assert isinstance(sign, Label)
        places, generator = torch.arange(300) % 3, torch.Generator().manual_seed(4)
        assert settings.z is not None
        z = 0.2 * torch.randn(300, settings.z, generator=generator) + places[:, None]
        density = fit_density(z, places, sign)
    return Learned(model, schema, SHAPE, settings.binarise, density, infers=settings.infer)


def one_after_the_other(
    learned: Learned,
    images: Any,
    columns: Columns,
    seed: int,
    rows: np.ndarray,
    unknown: str | None,
    over: Label | None,
) -> list[Importance]:
    """Every value, and every combination of open fields, in chunks of its own."""
    found = []
    for value in range(1 if over is None else len(over.values)):
        told = columns if over is None else {**columns, over.name: np.full(len(images), value)}
        fields = open_fields(learned.schema, told, rows, unknown)
        out = Importance(np.full(len(rows), -np.inf), np.zeros(len(rows)), np.full(len(rows), np.nan))
        best = np.full(len(rows), -np.inf)
        blanks = np.asarray([[bool(field.unknown(told[field.name])[row]) for field in fields] for row in rows])
        for pattern in {tuple(row) for row in blanks.tolist()}:
            some = [field for field, blank in zip(fields, pattern, strict=True) if blank]
            own = np.flatnonzero([tuple(row) == pattern for row in blanks.tolist()])
            for places in product(*(range(len(field.support()[0])) for field in some)):  # type: ignore[union-attr]
                asked, share = dict(told), 0.0
                for field, place in zip(some, places, strict=True):
                    entries, shares = field.support()  # type: ignore[union-attr]
                    asked[field.name] = field.filled(asked[field.name], entries[place])
                    share += float(shares[place])
                for at, kept in chunks(len(own), SIZE):
                    chunk, at = rows[own[at]], own[kept]
                    with torch.inference_mode():
                        x = observe(take(learned, images, chunk), learned.binarise, RowNoise(seed, chunk))
                        c = learned.condition(asked, chunk)
                        weights = weighing.weighed_chunk(learned.model, c, x, chunk, K, K, seed)
                    log_prob, effective, elbo = weights[:, : len(at)]
                    joint = log_prob + share
                    out.log_prob[at] = np.logaddexp(out.log_prob[at], joint)
                    out.effective[at] = np.where(joint > best[at], effective, out.effective[at])
                    best[at] = np.maximum(best[at], joint)
                    if not some:
                        out.elbo[at] = elbo
        found.append(out)
    return found


@pytest.mark.parametrize("name", LIKELY)
@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("unknown", [None, "sum"])
def test_values_share_chunks_and_are_weighed_as_one_after_the_other(name, count, unknown, monkeypatch) -> None:
    """Of pictures of which nothing, one field, or all is known; bitwise."""
    monkeypatch.setattr(weighing, "ENTRIES", SIZE * K * 64)
    learned = learned_of(name)
    learned.model.eval()  # type: ignore[union-attr]
    x, _ = batch_of(learned.schema, rows=12)
    columns, images = columns_of(learned.schema, x), pictures_of(learned, x.numpy())
    rows = np.arange(12)[11 - count : 11]  # not the first ones
    sign = learned.schema.field("sign")
    assert isinstance(sign, Label)
    told: list[tuple[int, int]] = []
    found = by_value(
        learned, learned.model, images, columns, K, 5, lambda *at: told.append(at), rows, unknown, over=sign
    )
    plain = marginal(learned, learned.model, images, columns, K, 5, None, rows, unknown)
    for one, values in (
        (Importance(*(getattr(plain, part)[None] for part in ("log_prob", "effective", "elbo"))), None),
        (found, sign),
    ):
        apart = one_after_the_other(learned, images, columns, 5, rows, unknown, values)
        for part in ("log_prob", "effective", "elbo"):
            loop = np.stack([getattr(each, part) for each in apart])
            assert np.array_equal(getattr(one, part), loop, equal_nan=True)
    done, totals = zip(*told, strict=True)
    assert list(done) == sorted(done) and set(totals) == {done[-1]}


def test_all_labels_of_one_picture_are_one_chunk(monkeypatch) -> None:
    learned, passed = learned_of("defaults"), []
    whole = weighing.weighed_chunk
    monkeypatch.setattr(weighing, "weighed_chunk", lambda *told: passed.append(told) or whole(*told))
    x, _ = batch_of(learned.schema, rows=1)
    tasks.classify(learned, x.numpy(), "sign", {"size": 1.0})
    assert len(passed) == 1
    tasks.log_prob(learned, x.numpy(), k=10, unknown="sum")  # 3 labels of 16 numbers
    assert len(passed) == 2
    assert not passed[1][3].any()  # all rows are the same picture's, with the same noise


@pytest.mark.parametrize("rows, ways", [(1, 1), (1, 10), (3, 5), (4, 9), (8, 3), (5, 7)])
def test_folds_hold_every_way_of_every_row_once(rows: int, ways: int) -> None:
    seen = []
    for way, row, which in folds(rows, ways, 8):
        assert len(way) == len(row) == 8 and set(way) == set(range(ways)[which])
        number = rows * (which.stop - which.start)
        assert (way[number:] == way[number - 1]).all() and (row[number:] == row[number - 1]).all()
        seen += list(zip(way[:number].tolist(), row[:number].tolist(), strict=True))
    assert seen == list(product(range(ways), range(rows)))


def restyled_one_by_one(learned: Learned, x: np.ndarray, columns: Columns, wanted: list[str]) -> np.ndarray:
    """Every wanted label in a chunk of its own."""
    images, sign = pictures_of(learned, x), learned.schema.field("sign")
    out = np.empty((len(x), len(wanted), *SHAPE), np.float32)
    learned.model.eval()  # type: ignore[union-attr]
    with torch.inference_mode():
        for rows, kept in chunks(len(x)):
            trace, _ = inferred(learned, images, columns, rows, None)
            noises, codes = carried(trace)
            draw = Draw(Given(noises, RowNoise(0, rows)))
            for place, name in enumerate(wanted):
                target = {**columns, "sign": np.repeat(sign.index([name]), len(x))}
                changed = target["sign"][rows] != columns["sign"][rows]
                c = learned.condition(target, rows)
                store(out[:, place], kept, restyled(learned, c, trace.coded(*codes), draw, changed), draw)
    return out


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("count", [1, 100])
def test_wanted_conditions_share_chunks_and_are_drawn_as_one_by_one(name: str, count: int) -> None:
    learned = learned_of(name)
    x, _ = batch_of(learned.schema, rows=count)
    names, sizes = ["a", "b", "c"], np.linspace(-2, 5, count)
    given: dict[str, Any] = {"sign": [names[row % 3] for row in range(count)], "size": sizes}
    columns = learned.schema.index(given, count)
    wanted = ["c", "a", "b", "c", "b"]
    found = tasks.restyle(learned, x.numpy(), given, {"sign": wanted})
    assert np.array_equal(found, restyled_one_by_one(learned, x.numpy(), columns, wanted))


@pytest.mark.parametrize("name", ["defaults", "learned-prior", "gaussian", "m2-dense"])
@pytest.mark.parametrize("count", [1, 100, CHUNK])
def test_so_it_is_where_a_fitted_density_makes_them_typical(name: str, count: int) -> None:
    learned = learned_of(name, fitted=True)
    x, _ = batch_of(learned.schema, rows=count)
    given: dict[str, Any] = {"sign": [["a", "b", "c"][row % 3] for row in range(count)], "size": 1.0}
    columns = learned.schema.index({**given, "size": [1.0] * count}, count)
    wanted = ["c", "a", "b", "c"]
    found = tasks.restyle(learned, x.numpy(), given, {"sign": wanted})
    assert np.array_equal(found, restyled_one_by_one(learned, x.numpy(), columns, wanted))
    plain = tasks.restyle(learned.without_density(), x.numpy(), given, {"sign": wanted})
    assert not np.array_equal(found, plain)  # the density has its say


@pytest.mark.parametrize("name", ["learned-prior", "mixture-prior", "m2", "draw", "ladder", "holes", "autoregressive"])
def test_steps_share_chunks_and_do_not_depend_on_one_another(name: str) -> None:
    learned = learned_of(name)
    x, _ = batch_of(learned.schema, rows=150)
    ends = {"sign": "a", "size": 0.0}, {"sign": "b", "size": 3.0}
    many = tasks.interpolate(learned, x[:75].numpy(), x[75:].numpy(), *ends, steps=5)
    few = tasks.interpolate(learned, x[:2].numpy(), x[75:77].numpy(), *ends, steps=5)
    thirds = tasks.interpolate(learned, x[:2].numpy(), x[75:77].numpy(), *ends, steps=3)
    assert np.array_equal(many[:2], few) and np.array_equal(few[:, ::2], thirds)


def test_one_picture_is_restyled_in_few_passes() -> None:
    learned, passes = learned_of("defaults", fitted=True), []
    learned.model.register_forward_pre_hook(lambda *_: passes.append(1))  # type: ignore[union-attr]
    x, _ = batch_of(learned.schema, rows=1)
    tasks.restyle(learned, x.numpy(), {"sign": "a", "size": 1.0}, {"sign": ["a", "b", "c"]})
    assert len(passes) == 1  # what is carried and what is typical is not drawn
    passes.clear()
    tasks.interpolate(learned, x.numpy(), x.numpy(), {"sign": "a"}, {"sign": "b"})
    assert len(passes) == 1  # two ends are settled, and all between is drawn


@pytest.mark.parametrize("name", list(EVERY))
def test_latents_are_settled_without_the_decoder_as_with_it(name: str) -> None:
    model = model_of(EVERY[name]).eval()
    x, c = batch_of(schema_of(EVERY[name]))
    noise = Draw(RowNoise(3, np.arange(len(x))))
    with torch.no_grad():
        for told in (None, x):
            whole, alone = model(c, told, draw=noise), model.settle(c, told, draw=noise)
            assert len(whole.latents) == len(alone.latents)
            for one, other in zip(whole.latents, alone.latents, strict=True):
                assert torch.equal(one.z, other.z) and one.role == other.role
                assert torch.equal(one.p.log_prob(one.z), other.p.log_prob(one.z))
