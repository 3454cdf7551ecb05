"""VAE-GAN: whose gradient reaches whom, how strong each pull is, and a critic that wins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from shrunk import CASES, batch_of, model_of, schema_of

from condvae import fit
from condvae.api import prepare as prepare_collection
from condvae.critics import Critic, detail
from condvae.data import collect
from condvae.errors import Refused
from condvae.heads import Gaussian, within
from condvae.models.gan import GAN, force, pull
from condvae.models.vae import VAE
from condvae.noise import Stream
from condvae.runs import load
from condvae.settings import settings_of
from condvae.trace import Batch, Condition, Draw
from condvae.train import Training
from condvae.watch import Diverged, Watch

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
    """A model whose critic, untrained, happens to take real pictures for more real than drawn ones."""
    model = model_of(CASES[name]).train()
    assert isinstance(model, GAN) and isinstance(model.critic, Critic) and model.critic.fits is not None
    x, c = batch_of(schema_of(CASES[name]))
    _, notes = model.loss(Batch(x, c), 0.7, Draw(Stream(seed=0)))
    if notes["real"] < notes["taken for real"]:
        with torch.no_grad():
            for layer in (model.critic.real, model.critic.fits):
                layer.weight.neg_()
    return model, x, c


def gradients(model: GAN, term: torch.Tensor) -> tuple[bool, bool, bool]:
    """Whether a term's gradient reaches the encoder, the decoder, the critic."""
    model.zero_grad()
    term.backward(retain_graph=True)
    assert model.critic is not None
    return tuple(  # type: ignore[return-value]
        any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
        for part in (model.vae.encoder, model.decoder, model.critic)
    )


@pytest.mark.parametrize("name", ["gan", "gan-binary"])
def test_each_player_learns_from_its_own_terms_alone(name: str) -> None:
    model, x, c = gan(name)
    terms, _ = model.loss(Batch(x, c), 0.7, Draw(Stream(seed=0)))
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
    term = pull(cost, leaf, pixels, torch.tensor(0.7), scale)
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


def test_the_critic_joins_when_it_is_due_and_is_heeded_as_far_as_it_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, c = gan()
    early, _ = model.loss(Batch(x, c), 0.4, Draw(Stream(seed=0)))
    assert set(early) == {"reconstruction", "rate"}
    assert model.critic is not None
    sizes: list[float] = []
    for margin in (0.0, 0.5, 4.0):

        def tells(pictures: torch.Tensor, c: Condition, margin: float = margin) -> Any:
            real = torch.arange(len(pictures)) < len(pictures) / 2  # as the model lays them: real ones first
            told = pictures.flatten(1).mean(1, keepdim=True)
            return told - told.detach() + margin * real[:, None], [pictures]

        monkeypatch.setattr(model.critic, "forward", tells)
        terms, _ = model.loss(Batch(x, c), 0.7, Draw(Stream(seed=0)))
        model.zero_grad()
        terms["adversarial"].backward()
        made = [p.grad for p in model.decoder.parameters() if p.grad is not None]
        sizes.append(sum(one.square().sum().item() for one in made) ** 0.5)
    nothing, quarter, whole = sizes
    assert nothing < 1e-3 * whole
    assert whole == pytest.approx(4 * quarter, rel=0.05)  # a margin of 2 and more is heeded in full


def test_the_critic_knows_what_was_asked() -> None:
    torch.manual_seed(0)
    critic = Critic((1, 8, 8), 3, 4).eval()
    x, asked = torch.rand(2, 1, 8, 8), torch.eye(3)[:2]
    scores, maps = critic(x, Condition(asked))
    others, _ = critic(x, Condition(asked.flip(0)))
    assert scores.shape[0] == 2 and not torch.allclose(scores, others)
    assert [len(each) for each in maps] == [2] * len(maps)
    plain = Critic((3, 13, 9), 0, 4).eval()  # any size, and nothing asked
    assert plain(torch.rand(2, 3, 13, 9), Condition(torch.zeros(2, 0)))[0].shape[0] == 2


def test_a_flat_picture_has_no_detail_and_a_blurred_one_less() -> None:
    x = torch.rand(2, 1, 12, 12)
    blurred = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(detail(torch.full((1, 3, 5, 7), 0.3)), torch.zeros(1, 3, 5, 7), atol=1e-6)
    assert detail(blurred).square().mean() < 0.3 * detail(x).square().mean()


def test_the_sum_of_the_terms_gives_each_player_the_gradient_of_its_own() -> None:
    model, x, c = gan()
    terms, _ = model.loss(Batch(x, c), 0.7, Draw(Stream(seed=0)))
    critic = terms.pop("critic")
    whole = torch.stack([*terms.values(), critic]).sum()
    whole.backward(retain_graph=True)
    for player, end in zip(model.players(), (torch.stack(list(terms.values())).sum(), critic), strict=True):
        own = torch.autograd.grad(end, player.parameters, retain_graph=True)
        for parameter, gradient in zip(player.parameters, own, strict=True):
            assert parameter.grad is not None
            assert torch.allclose(parameter.grad, gradient, rtol=1e-4, atol=1e-6 * float(gradient.abs().max()) + 1e-9)
    # so that one Adam, which acts on each parameter alone, is two with simultaneous steps
    groups = Training(model, CASES["gan"].model_copy(update={"critic_rate": 0.5})).optimiser.param_groups
    assert [len(group["params"]) for group in groups] == [len(player.parameters) for player in model.players()]
    assert [group["betas"] for group in groups] == [(0.9, 0.999), (0.5, 0.99)]


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
    assert Watch(VAE(model.vae.encoder, model.prior, model.decoder), None)({"critic": torch.tensor(0.0)}) is None


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


def test_the_prior_is_a_mixture_where_none_is_asked_for() -> None:
    x, asked = digits()
    assert prepare(x, asked, **TINY, adversarial=1.0).settings.prior == "mixture"
    assert prepare(x, asked, **TINY, adversarial=1.0, prior="standard").settings.prior == "standard"
    assert prepare(x, asked, **TINY).settings.prior == "standard"


def test_a_table_has_no_critic(tmp_path: Any) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "".join(f"{i % 2},{i}.5\n" for i in range(40)))
    with pytest.raises(Refused, match="leave it at 0"):
        from condvae.datasets import load as load_data
        from condvae.fitting import Fitting

        Fitting(load_data(path, condition=["a"]), settings_of({"adversarial": 1.0}))
