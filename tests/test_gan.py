"""VAE-GAN: whose gradient reaches whom, how strong each pull is, and a critic that wins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from shrunk import CASES, batch_of, model_of, schema_of

from condvae import fit
from condvae.api import prepare as prepare_collection
from condvae.critics import Critic
from condvae.data import collect
from condvae.errors import Refused
from condvae.heads import Gaussian, within
from condvae.models.gan import GAN, force, pull
from condvae.models.vae import VAE
from condvae.noise import Stream
from condvae.runs import load
from condvae.settings import settings_of
from condvae.trace import Batch, Condition, Draw
from condvae.train import Diverged, Training, Watch

TINY: dict[str, Any] = {
    "width": 4,
    "blocks": 0,
    "features": 8,
    "z": 2,
    "batch": 16,
    "likelihood": "gaussian",
    "hold_out": 0,
    "density": "none",
    "critic_width": 4,
}


def gan(name: str = "gan") -> tuple[GAN, torch.Tensor, Condition]:
    model = model_of(CASES[name]).train()
    assert isinstance(model, GAN)
    return (model, *batch_of(schema_of(CASES[name])))


def gradients(model: GAN, term: torch.Tensor) -> tuple[bool, bool, bool]:
    """Whether a term's gradient reaches the encoder, the decoder, the critic."""
    model.zero_grad()
    term.backward(retain_graph=True)
    assert model.critic is not None
    return tuple(  # type: ignore[return-value]
        any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
        for part in (model.encoder, model.decoder, model.critic)
    )


@pytest.mark.parametrize("name", ["gan", "gan-binary"])
def test_each_player_learns_from_its_own_terms_alone(name: str) -> None:
    model, x, c = gan(name)
    terms, _ = model.loss(Batch(x, c), 0.5, Draw(Stream(seed=0)))
    assert gradients(model, terms["critic"]) == (False, False, True)
    assert gradients(model, terms["adversarial"]) == (False, True, False)  # the encoder hears nothing of it
    assert gradients(model, terms["reconstruction"]) == (True, True, False)
    if "matching" in terms:
        assert gradients(model, terms["matching"]) == (True, True, False)


def test_a_pull_is_the_gradient_in_the_asked_strength() -> None:
    made = torch.rand(4, 1, 5, 5, requires_grad=True)  # what a decoder gave
    pixels = Gaussian(made, torch.zeros(1, 1, 1))
    target = torch.rand(4, 1, 5, 5)
    value = -pixels.log_prob(target).mean()
    scale = force(value, pixels)
    leaf = pixels.mean.detach().requires_grad_()
    cost = (leaf * torch.linspace(-3, 3, 25).reshape(5, 5)).sum()
    term = pull(cost, leaf, pixels, 0.7, scale)
    (felt,) = torch.autograd.grad(term, made)
    (plain,) = torch.autograd.grad((pixels.mean * torch.linspace(-3, 3, 25).reshape(5, 5)).sum(), made)
    assert torch.allclose(felt.square().mean().sqrt(), 0.7 * scale, rtol=1e-4)
    assert torch.allclose(felt / felt.norm(), plain / plain.norm(), atol=1e-6)
    weight = float(0.7 * scale / plain.square().mean().sqrt())
    assert float(term.detach()) == pytest.approx(
        weight * float(cost.detach()), rel=1e-4
    )  # what is logged is what is minimised


def test_a_pixel_beyond_the_edge_is_called_back_and_never_pushed_out() -> None:
    x = torch.tensor([-0.5, -0.5, 0.5, 1.5, 1.5], requires_grad=True)
    inside = within(x)
    assert inside.tolist() == [0, 0, 0.5, 1, 1]
    inside.backward(torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0]))
    assert x.grad is not None and x.grad.tolist() == [0, -1, 1, 1, 0]


def test_the_decoder_is_left_alone_until_the_critic_has_begun() -> None:
    model, x, c = gan()
    early, _ = model.loss(Batch(x, c), 0.0, Draw(Stream(seed=0)))
    assert early["adversarial"].item() == 0 and early["matching"].item() == 0 and early["critic"].item() > 0
    assert gradients(model, early["adversarial"]) == (False, False, False)


def test_the_critic_knows_what_was_asked() -> None:
    torch.manual_seed(0)
    critic = Critic((1, 8, 8), 3, 4).eval()
    x, asked = torch.rand(2, 1, 8, 8), torch.eye(3)[:2]
    scores, maps = critic(x, Condition(asked))
    others, _ = critic(x, Condition(asked.flip(0)))
    assert scores.shape == (2,) and not torch.allclose(scores, others)
    assert [len(each) for each in maps] == [2] * len(maps)
    plain = Critic((3, 13, 9), 0, 4).eval()  # any size, and nothing asked
    assert plain(torch.rand(2, 3, 13, 9), Condition(torch.zeros(2, 0)))[0].shape == (2,)


def test_one_optimiser_over_the_sum_is_two_with_simultaneous_steps() -> None:
    case = CASES["gan"].model_copy(
        update={"normalise": "none"}
    )  # before a norm, biases have gradients of mere rounding
    x, c = batch_of(schema_of(case))
    together = Training(model_of(case).train(), case)
    apart = model_of(case).train()
    assert isinstance(apart, GAN)
    two = [torch.optim.Adam(one.parameters, case.lr * one.rate, one.betas) for one in apart.players()]
    for step in range(5):
        terms, _ = together.model.loss(Batch(x, c), 0.5, Draw(Stream(seed=step)))
        torch.stack(list(terms.values())).sum().backward()
        together.optimiser.step()
        together.optimiser.zero_grad()
        terms, _ = apart.loss(Batch(x, c), 0.5, Draw(Stream(seed=step)))
        critic = terms.pop("critic")
        ends = (torch.stack(list(terms.values())).sum(), critic)
        for player, end in zip(apart.players(), ends, strict=True):
            found = torch.autograd.grad(end, player.parameters, retain_graph=True)
            for parameter, gradient in zip(player.parameters, found, strict=True):
                parameter.grad = gradient
        for optimiser in two:
            optimiser.step()
    for mine, other in zip(together.model.parameters(), apart.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-5)


def digits(rows: int = 64) -> tuple[np.ndarray, dict[str, Any]]:
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, rows)
    x = generator.random((rows, 1, 8, 8), np.float32) * 0.3
    x[label == 1, :, :, 4:] += 0.6
    return x, {"side": [("left", "right")[one] for one in label]}


def prepare(x: np.ndarray, asked: dict[str, Any], out: Any = None, **settings: Any) -> Any:
    return prepare_collection(collect(x, asked), settings, out=out)


def test_a_run_keeps_no_critic_and_draws_the_same(tmp_path: Any) -> None:
    x, asked = digits()
    run = fit(x, asked, out=tmp_path / "run", epochs=2, adversarial=1.0, **TINY)
    again = load(tmp_path / "run")
    assert isinstance(again.model, GAN) and again.model.critic is None
    assert not any(name.startswith("critic") for name, _ in again.model.named_parameters())
    assert np.array_equal(run.generate({"side": "right"}, 4), again.generate({"side": "right"}, 4))


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Any) -> None:
    from condvae.fitting import resumed

    x, asked = digits()
    settings = {**TINY, "epochs": 3, "adversarial": 1.0}
    whole = prepare(x, asked, **settings)
    for _ in whole.steps():
        pass
    half = prepare(x, asked, out=tmp_path / "run", **settings)
    for step in half.steps():
        if step.step == 7:
            break
    half.save("training")
    rest = resumed(half.collection, tmp_path / "run")
    for _ in rest.steps():
        pass
    for mine, other in zip(whole.training.model.parameters(), rest.training.model.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_a_critic_that_wins_outright_stops_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "PATIENCE", 30)
    monkeypatch.setattr(Watch, "DECAY", 0.5)
    x, asked = digits()
    x = (np.random.default_rng(1).random(x.shape) < 0.5).astype(np.float32)  # noise, which no decoder draws
    lone = {"epochs": 400, "adversarial": 1e-6, "matching": 0.0, "critic_width": 16, "schedule": "constant"}
    fitting = prepare(x, asked, **{**TINY, **lone})
    with pytest.raises(Diverged, match=r"'critic' has been at its floor for 30 steps.*critic_rate"):
        for _ in fitting.steps():
            pass
    assert all(torch.isfinite(p).all() for p in fitting.training.trained().parameters())


def test_the_last_good_weights_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "PATIENCE", 2)
    monkeypatch.setattr(Watch, "DECAY", 0.0)
    model, *_ = gan()
    watch = Watch(model, None)
    weight = next(model.parameters())

    def after(critic: float, value: float) -> str | None:
        with torch.no_grad():
            weight.fill_(value)
        return watch({"critic": torch.tensor(critic)})

    assert [after(1.0, 1.0), after(0.01, 2.0), after(0.5, 3.0)] == [None] * 3  # a short streak does no harm
    assert [after(0.01, 4.0), after(0.01, 5.0), after(0.01, 6.0)] == [None, None, "critic"]
    assert bool((weight == 4.0).all())  # those with which the streak began
    assert Watch(VAE(model.encoder, model.prior, model.decoder), None)({"critic": torch.tensor(0.0)}) is None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"holes": "any"}, "holes must be 'none' with adversarial"),
        ({"samples": 3}, "samples must be 1 with adversarial"),
        ({"likelihood": "autoregressive", "binarise": "dynamic"}, "adversarial pulls at the picture"),
        ({"infer": "side"}, "infer must be None with adversarial"),
    ],
)
def test_what_does_not_go_with_a_critic_is_refused(more: dict[str, Any], words: str) -> None:
    x, asked = digits()
    with pytest.raises(Refused, match=words):
        prepare(x, asked, **{**TINY, "adversarial": 1.0, **more})


def test_a_table_has_no_critic(tmp_path: Any) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "".join(f"{i % 2},{i}.5\n" for i in range(40)))
    with pytest.raises(Refused, match="leave it at 0"):
        from condvae.datasets import load as load_data
        from condvae.fitting import Fitting

        Fitting(load_data(path, condition=["a"]), settings_of({"adversarial": 1.0}))
