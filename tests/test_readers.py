"""Judges and regressors of data without a test part learn nothing that is then measured, and are named rightly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import condvae
from condvae import jobs, judges, regressors, table_studio
from condvae.data import Collection, Part, collect
from condvae.images import as_images
from condvae.judges import judge_for
from condvae.panel import halved, mostly_among, panel_of
from condvae.regressors import regressor_for
from condvae.reporting import with_test

TINY: dict[str, Any] = {"network": "mlp", "hidden": (12,), "z": 3, "epochs": 1, "batch": 20, "average": 0.0}


def pictures(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures of 8 x 8 of two kinds, and a number: each its own, for a pixel tells its row."""
    rng = np.random.default_rng(seed)
    kind, size = np.arange(n) % 2, rng.uniform(0.2, 0.9, n)
    x = (rng.random((n, 1, 8, 8)) * 0.2).astype(np.float32)
    x[:, 0, :4] += (kind * 0.7)[:, None, None].astype(np.float32)
    x[:, 0, 6] = size[:, None]
    return x, np.asarray(["low", "high"])[kind], size


def marks(x: Any) -> set[bytes]:
    x = np.asarray(x)
    return {row.tobytes() for row in (x if x.dtype == np.uint8 else np.rint(x * 255).astype(np.uint8))}


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[tuple[str, set[bytes]]]:
    """(what was read, the images that it was learnt from) of each judge and regressor; trained for a moment only."""
    monkeypatch.setenv("CONDVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(judges, "LEAST_PASSES", 200)
    monkeypatch.setattr(judges, "EPOCHS", 1)
    told: list[tuple[str, set[bytes]]] = []

    def watched(module: Any, name: str, known: Callable[[np.ndarray], np.ndarray]) -> None:
        real = getattr(module, name)

        def train(x: Any, column: np.ndarray, *rest: Any, **more: Any) -> Any:
            told.append((name, marks(x[:].numpy()[known(column)])))
            return real(x, column, *rest, **more)

        monkeypatch.setattr(module, name, train)

    watched(judges, "train_judge", lambda index: index >= 0)
    watched(regressors, "train_regressor", lambda column: np.asarray(~np.isnan(column[:, 0])))
    return told


@pytest.fixture
def trained(tmp_path: Any, learnt: list[Any]) -> Callable[..., tuple[condvae.Run, Collection, str]]:
    """A run of an npz file without a test part, its collection and the file."""

    def made(**settings: Any) -> tuple[condvae.Run, Collection, str]:
        x, kind, size = pictures()
        path = tmp_path / "own.npz"
        np.savez(path, x=np.rint(x * 255).astype(np.uint8), y=kind)
        held = condvae.datasets.load(path)
        train = replace(held.train, numbers={"size": size[:, None]})
        run = condvae.fit(replace(held, train=train), progress=False, **TINY, **settings)
        run.save(tmp_path / "run")
        learnt.clear()
        return run, replace(held, train=train), str(path)

    return made


def test_readers_learn_from_what_the_run_learnt_from_and_not_from_what_is_measured(
    trained: Any, learnt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, collection, _ = trained(hold_out=0.2)
    monkeypatch.setattr("condvae.api.recorded_data", lambda facts, data_dir: collection)
    reply = jobs.evaluate(str(run.path), k=2, limit=5, quiet=True)
    split = with_test(run, collection)
    assert split.test is not None and len(split.test) == 12 and split.held_out
    assert [name for name, _ in learnt] == ["train_judge", "train_regressor"]
    for _, seen in learnt:
        assert seen == marks(split.train.x[:].numpy()) and not seen & marks(split.test.x[:].numpy())
    said = " ".join(reply.lines)
    assert "of 12 real held-out training images rightly" in said and "reads size of 12 real held-out training" in said
    assert reply.data["numbers"]["size"]["entries"][0]["drawings"] == 12
    assert reply.notes == ("at least 20 images are needed to tell what is typical; got 12",)
    error = regressor_for(split).card.absolute[0]  # from the cache: the error beside the drawings is on unseen rows
    assert reply.data["numbers"]["size"]["entries"][0]["real_mean"] == pytest.approx(error)


def test_without_rows_held_out_readers_learn_one_half_and_drawings_are_like_the_other(
    trained: Any, learnt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, collection, _ = trained(hold_out=0)
    monkeypatch.setattr("condvae.api.recorded_data", lambda facts, data_dir: collection)
    reply = jobs.evaluate(str(run.path), k=2, limit=5, quiet=True)
    made, rows = halved(collection)
    assert made.test is not None and rows is not None and len(rows) == 30
    assert all(seen == marks(made.train.x[:].numpy()) for _, seen in learnt) and len(learnt) == 2
    assert not marks(made.train.x[:].numpy()) & marks(made.test.x[:].numpy())
    assert reply.data["images"] == 60 and reply.data["obedience"]["overall"]["of"] == 30
    assert "these numbers flatter" in reply.lines[0]
    assert reply.notes == ("judges learn from 30 of these images; drawings are compared with the other 30",)


def test_a_half_to_learn_from_holds_every_value_of_every_label() -> None:
    x, kind, _ = pictures(40)
    rare = ["common"] * 38 + ["rare", "rarer"]
    made, rows = halved(collect(x, {"kind": kind, "how": rare}))
    assert made.test is not None and rows is not None
    assert {"common", "rare", "rarer"} == set(made.train.labels["how"]) and len(made.train) + len(rows) == 40
    assert marks(made.test.x[:].numpy()) == marks(x[rows])
    one = Collection("one", Part(as_images(x[:1])[0]))
    assert halved(one) == (one, None)
    assert halved(made) == (made, None)  # it has a test part


def test_a_loaded_run_is_measured_on_the_half_of_x_that_its_readers_did_not_see(trained: Any, learnt: Any) -> None:
    run, _, _ = trained()
    x, kind, size = pictures(50, 3)
    given = {"label": kind, "size": size}
    found = condvae.load(run.path).evaluate(x, given, k=2, limit=5)
    assert found.images == 50 and found.obedience.overall.of == found.numbers["size"].entries[0].drawings == 25
    assert "25 real held-out training images" in found.obedience.judge
    assert [len(seen) for _, seen in learnt] == [25, 25]
    learnt.clear()
    whole = run.evaluate(x, given, k=2, limit=5)  # the training images are in memory, and x is none of them
    assert whole.obedience.overall.of == 50 and [len(seen) for _, seen in learnt] == [60, 60]
    learnt.clear()
    own, kind, size = pictures()
    half = run.evaluate(np.rint(own * 255).astype(np.uint8), {"label": kind, "size": size}, k=2, limit=5)
    assert half.obedience.overall.of == 30 and "real held-out training" in half.obedience.judge
    assert [len(seen) for _, seen in learnt] == [30, 30]


def test_most_images_among_others() -> None:
    x, others = as_images(pictures(20)[0])[0], as_images(pictures(20, 1)[0])[0]
    some = as_images(np.concatenate([pictures(20)[0][:5], pictures(9, 2)[0]]))[0]
    assert mostly_among(x, x) and not mostly_among(x, others) and not mostly_among(some, x)
    bright = as_images(np.rint(pictures(20)[0] * 255).astype(np.uint8))[0]
    assert mostly_among(bright, x)  # 0..255 and the same divided by 255
    assert not mostly_among(x, as_images(np.zeros((4, 1, 9, 9), np.float32))[0])


def test_a_kept_reader_is_named_after_the_collection_at_hand(learnt: Any) -> None:
    x, kind, size = pictures()
    test = pictures(20, 5)
    data = collect(x, {"kind": kind, "size": size}, test[0], {"kind": test[1], "size": test[2]}, name="first")
    cards = [(judge_for(one).card, regressor_for(one).card) for one in (data, replace(data, name="second"))]
    assert len(learnt) == 2  # the second time they are taken from the cache
    for card in cards[1]:
        assert "images of second alone" in card.sentence()
    assert [replace(card, data="first") for card in cards[1]] == list(cards[0])


def test_a_panel_of_pinned_judges_alone_sees_every_row(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run, collection, _ = trained()
    judge = judge_for(collection)
    monkeypatch.setattr("condvae.judges.pinned", lambda *_: judge)
    panel = panel_of(run.learned, collection.train.x, {"label": ["low"] * 60}, "own", None)
    assert panel.readers == {"label": judge} and panel.unseen is None


def test_measuring_on_the_training_data_is_said_to_flatter(trained: Any, tmp_path: Any) -> None:
    x, kind, _ = pictures()
    path = tmp_path / "plain.npz"
    np.savez(path, x=x, y=kind)
    run = condvae.fit(condvae.datasets.load(path), out=tmp_path / "plain", progress=False, **TINY, hold_out=0.1)
    note = "the run was trained on these very data, so the numbers flatter; without --data the rows held out"

    def notes(data: Any) -> str:
        return " ".join(jobs.evaluate(str(run.path), str(data), 2, 5, None, True).notes)

    assert note in notes(path)
    np.savez(tmp_path / "copy.npz", x=x, y=kind)
    assert note in notes(tmp_path / "copy.npz")
    other = pictures(30, 9)
    np.savez(tmp_path / "other.npz", x=other[0], y=other[1])
    assert "flatter" not in notes(tmp_path / "other.npz")
    np.savez(tmp_path / "two.npz", x_train=x, y_train=kind, x_test=other[0], y_test=other[1])
    assert "flatter" not in notes(tmp_path / "two.npz")  # its test part is measured
    np.savez(path, x=other[0], y=other[1])
    assert note in notes(path)  # what is there now is no longer known to be unseen


def test_measuring_a_table_on_the_training_rows_is_said_to_flatter(tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{'ab'[i % 2]},{rng.normal():.3f},{rng.normal():.3f}" for i in range(120)]
    (tmp_path / "own.csv").write_text("\n".join(["group,size,weight", *rows]))
    (tmp_path / "other.csv").write_text("\n".join(["group,size,weight", *rows[:50]]))
    data = condvae.datasets.load(tmp_path / "own.csv", condition=["group"])
    run = condvae.fit(data, out=tmp_path / "run", progress=False, epochs=1, hidden=(8,), average=0.0)
    flattering = table_studio.evaluate(run, None, str(tmp_path / "own.csv"), 5, 20).notes
    assert len(flattering) == 1 and "trained on these very data" in flattering[0]
    assert table_studio.evaluate(run, None, str(tmp_path / "other.csv"), 5, 20).notes == ()
