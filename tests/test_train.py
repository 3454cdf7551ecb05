"""Training: a resumed one equals one that was not stopped, nothing global moves, a NaN is named."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from condvae.data import collect
from condvae.errors import Refused
from condvae.fitting import Fitting, epochs_of, resumed
from condvae.runs import load
from condvae.settings import settings_of
from condvae.trace import Condition
from condvae.train import Batches, rate_at
from condvae.watch import Diverged

TINY = {
    "network": "mlp",
    "hidden": (16,),
    "z": 2,
    "batch": 8,
    "epochs": 4,
    "likelihood": "bernoulli",
    "hold_out": 6,
    "warm_up": 0.0,
}


def data(rows: int = 54):
    x = (np.random.default_rng(0).random((rows, 6, 6)) < 0.3).astype(np.float32)
    return collect(x, {"sign": [*"ab"] * (rows // 2)})


def finish(fitting: Fitting):
    for _ in fitting.steps():
        pass
    return fitting.finish()


@pytest.mark.parametrize("stop", [3, 6, 13])
@pytest.mark.parametrize("extra", [{}, {"schedule": "constant", "average": 0.0, "clip": 1.0, "optimiser": "adamw"}])
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path, stop: int, extra: dict) -> None:
    settings = settings_of(TINY, extra)
    whole = finish(Fitting(data(), settings, tmp_path / "whole"))
    broken = Fitting(data(), settings, tmp_path / "broken")
    for _ in islice(broken.steps(), stop):
        pass
    broken.save("interrupted")
    again = finish(resumed(data(), tmp_path / "broken"))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    for row, other in zip(whole.history, again.history, strict=True):
        assert row["train"] == pytest.approx(other["train"], rel=1e-6)
        assert row["validation"] == other["validation"]


def test_more_epochs_go_on_from_the_last(tmp_path) -> None:
    settings = settings_of(TINY, {"schedule": "constant"})
    finish(Fitting(data(), settings, tmp_path / "run"))
    longer = finish(resumed(data(), tmp_path / "run", "+2"))
    assert [row["epoch"] for row in longer.history] == [1, 2, 3, 4, 5, 6]
    straight = finish(Fitting(data(), settings.model_copy(update={"epochs": 6})))
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, longer.model.state_dict()[name])
    with pytest.raises(Refused, match="at least the 6"):
        resumed(data(), tmp_path / "run", 3)
    with pytest.raises(Refused, match="data differ"):
        resumed(data(40), tmp_path / "run")


def test_training_leaves_the_callers_state_alone() -> None:
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    matmul, grad = torch.get_float32_matmul_precision(), torch.is_grad_enabled()
    for _ in Fitting(data(), settings_of(TINY)).steps():
        assert torch.get_float32_matmul_precision() == matmul
        assert torch.is_grad_enabled() == grad and torch.get_num_threads() == threads
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_sum_of_the_logged_terms_is_the_loss() -> None:
    for step in Fitting(data(), settings_of(TINY, {"warm_up": 0.9})).steps():
        assert set(step.terms) == {"reconstruction", "rate"}
        assert not any(term.requires_grad for term in step.terms.values())
    history = finish(Fitting(data(), settings_of(TINY))).history
    row = history[-1]["train"]
    assert row["loss"] == pytest.approx(row["reconstruction"] + row["rate"])
    assert row["elbo"] == pytest.approx(-row["loss"], rel=1e-5)


def test_a_nan_names_epoch_batch_and_term() -> None:
    fitting = Fitting(data(), settings_of(TINY))
    steps = fitting.steps()
    next(steps)
    with torch.no_grad():
        dict(fitting.training.model.named_parameters())["decoder.out.bias"].fill_(float("nan"))
    before = {n: p.clone() for n, p in fitting.training.model.named_parameters()}
    with pytest.raises(Diverged, match="epoch 1, batch 2: the term 'reconstruction' became nan"):
        next(steps)
    for n, p in fitting.training.model.named_parameters():
        assert torch.equal(p.nan_to_num(), before[n].nan_to_num())


def test_averaged_weights_are_a_copy() -> None:
    fitting = Fitting(data(), settings_of(TINY, {"average": 0.9}))
    for _ in fitting.steps():
        pass
    raw, averaged = fitting.training.model, fitting.training.averaged
    assert averaged is not None
    for mine, theirs in zip(raw.parameters(), averaged.parameters(), strict=True):
        assert mine.data_ptr() != theirs.data_ptr() and not torch.equal(mine, theirs)


def test_each_row_once_an_epoch_and_each_epoch_its_own_order() -> None:
    rows = torch.arange(23.0)[:, None]
    batches = Batches(lambda index: rows[index], Condition(rows), 5, seed=1)
    first, second = ([b.x[:, 0] for b in batches.epoch(e)] for e in (0, 1))
    assert sorted(torch.cat(first).tolist()) == list(range(23)) and len(first) == len(batches) == 5
    assert not torch.equal(torch.cat(first), torch.cat(second))
    assert torch.equal(torch.cat(list(first[2:])), torch.cat([b.x[:, 0] for b in batches.epoch(0, skip=2)]))
    shares = [Batches(lambda index: rows[index], Condition(rows), 5, 1, rank, 2) for rank in (0, 1)]
    both = [b.x[:, 0] for share in shares for b in share.epoch(0)]
    assert sorted(torch.cat(both).tolist()) == list(range(23))


def test_schedule() -> None:
    cosine = settings_of({"lr": 1.0, "schedule": "cosine"})
    assert rate_at(0.0, cosine) < 0.01 < 0.99 < rate_at(0.05, cosine) and rate_at(0.999, cosine) < 1e-4
    assert rate_at(0.9, settings_of({"lr": 0.5, "schedule": "constant"})) == 0.5


def test_folders_and_settings_are_refused_in_a_sentence(tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(Refused, match="not empty"):
        Fitting(data(), settings_of(TINY), tmp_path)
    finish(Fitting(data(), settings_of(TINY, {"epochs": 1}), tmp_path, overwrite=True))
    assert (tmp_path / "mine.txt").read_text() == "keep"
    with pytest.raises(Refused, match="did you mean 'epochs'"):
        settings_of({"epoch": 3})
    with pytest.raises(Refused, match="epochs was given as -1"):
        settings_of({"epochs": -1})
    with pytest.raises(Refused, match=r"no run\.json"):
        load(tmp_path / "nowhere")
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(Refused, match="cut off or damaged"):
        load(tmp_path)
    with pytest.raises(Refused, match="binarise"):
        Fitting(data(), settings_of(TINY, {"likelihood": "gaussian", "binarise": "dynamic"}))
    assert epochs_of("+3", 4) == 7 and epochs_of(9, 4) == 9 and epochs_of(None, 4) == 4
    with pytest.raises(Refused, match="epochs must be"):
        epochs_of("many", 4)


def test_binarised_training_differs_each_epoch_and_static_does_not() -> None:
    grey = collect(np.full((40, 4, 4), 0.5, np.float32), {"sign": [*"ab"] * 20})
    runs = {b: Fitting(grey, settings_of(TINY, {"binarise": b, "hold_out": 0})) for b in ("static", "dynamic")}
    static = runs["static"].batches.x(torch.arange(40))
    assert set(static.unique().tolist()) == {0, 255}
    assert torch.equal(
        static,
        Fitting(grey, settings_of(TINY, {"binarise": "static", "hold_out": 0})).batches.x(torch.arange(40)),
    )
