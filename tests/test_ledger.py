"""An evaluation that is interrupted goes on where it stopped, and never takes a number that is another's."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
from shrunk import EVERY, SHAPE, batch_of, model_of, schema_of

from condvae import weighing
from condvae.learned import Learned, columns_of, pictures_of
from condvae.ledger import Ledger, keeping
from condvae.weighing import Importance, marginal

K = 6


@pytest.fixture
def learned(monkeypatch) -> Learned:
    monkeypatch.setattr(weighing, "ENTRIES", 4 * K * 64)  # chunks of 4 images
    settings = EVERY["defaults"]
    return Learned(model_of(settings), schema_of(settings), SHAPE)


@pytest.fixture
def chunks(monkeypatch) -> list[np.ndarray]:
    """The rows of every chunk that is computed."""
    done: list[np.ndarray] = []
    whole = weighing.weighed_chunk

    def counted(model, c, x, rows, *rest):
        done.append(rows)
        return whole(model, c, x, rows, *rest)

    monkeypatch.setattr(weighing, "weighed_chunk", counted)
    return done


def weigh(learned: Learned, ledger: Ledger | None, stop: int | None = None, **changed: Any) -> Importance:
    x, _ = batch_of(learned.schema, rows=14)
    options = {"k": K, "seed": 2, "x": x, "given": {"sign": "a"}, "unknown": "sum"} | changed

    def broken(done: int, total: int) -> None:
        if stop is not None and done >= stop:
            raise KeyboardInterrupt

    images = pictures_of(learned, options["x"].numpy())
    columns = columns_of(learned, options["given"], len(images))
    told = None if stop is None else broken
    rows = np.arange(len(images))
    return marginal(
        learned, learned.model, images, columns, options["k"], options["seed"], told, rows, options["unknown"], ledger
    )


def same(one: Importance, other: Importance) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for name in ("log_prob", "effective", "elbo")
    )


@pytest.mark.parametrize("given", [{"sign": "a", "size": 1.0}, {"size": 1.0}])
def test_what_was_weighed_before_an_interruption_is_not_weighed_again(learned, chunks, given, tmp_path) -> None:
    path = tmp_path / "weighed.safetensors"
    whole = weigh(learned, None, given=given)
    every = len(chunks)
    said = f"evaluation stopped; what was weighed is kept in {path}"
    with pytest.raises(KeyboardInterrupt, match=said), keeping(path, learned.model) as ledger:
        weigh(learned, ledger, stop=9, given=given)
    assert path.is_file() and len(chunks) == every + 3
    assert path.stat().st_size < 2_000
    with keeping(path, learned.model) as ledger:
        again = weigh(learned, ledger, given=given)
        assert ledger.spared > 0
    assert same(again, whole) and len(chunks) == 2 * every
    assert not path.exists()


def test_other_models_images_and_questions_are_not_taken_for_these(learned, chunks, tmp_path) -> None:
    path = tmp_path / "weighed.safetensors"
    ledger = Ledger(path, learned.model)
    weigh(learned, ledger)
    assert ledger.write()
    x, _ = batch_of(learned.schema, rows=14)
    others: list[dict[str, Any]] = [{"k": K - 1}, {"seed": 3}, {"x": 1 - x}, {"given": {"sign": "b"}}]
    for changed in others:
        again = Ledger(path, learned.model)
        assert same(weigh(learned, again, **changed), weigh(learned, None, **changed)) and again.spared == 0
    with torch.no_grad():
        next(learned.model.parameters()).add_(0.1)
    again = Ledger(path, learned.model)
    assert same(weigh(learned, again), weigh(learned, None)) and again.spared == 0


def test_a_damaged_file_is_passed_over_and_a_closed_folder_is_told(learned, tmp_path, monkeypatch) -> None:
    path = tmp_path / "weighed.safetensors"
    path.write_bytes(b"no tensors")
    assert same(weigh(learned, Ledger(path, learned.model)), weigh(learned, None))
    monkeypatch.setattr("condvae.ledger.write_tensors", lambda *_: os.rename("nowhere", "never"))
    said = f"4 likelihoods lost, for {path} cannot be written"
    with pytest.raises(KeyboardInterrupt, match=said), keeping(path, learned.model) as ledger:
        weigh(learned, ledger, stop=1, given={"sign": "a", "size": 1.0})
    with pytest.raises(KeyboardInterrupt, match="nothing was weighed yet"), keeping(path, learned.model):
        raise KeyboardInterrupt


def test_what_is_killed_loses_a_minute(learned, tmp_path, monkeypatch) -> None:
    path = tmp_path / "weighed.safetensors"
    monkeypatch.setattr("condvae.ledger.EVERY", -1.0)
    weigh(learned, Ledger(path, learned.model))  # nobody says goodbye
    again = Ledger(path, learned.model)
    weigh(learned, again)
    assert again.added == 0 and again.spared > 0
