"""The house's laws, on small models: what is asked for decides what comes, and nothing else does."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from condvae import tasks
from condvae.autoregressive import FEATURES, AutoregressiveHead
from condvae.conditions import Label, Schema
from condvae.density_fit import fit_density
from condvae.errors import Refused
from condvae.heads import BernoulliHead, GaussianHead, GaussianPixels, diagonal
from condvae.learned import CHUNK, Learned, observe, requests
from condvae.models.vae import VAE
from condvae.nets import DenseDecoder, DenseEncoder
from condvae.noise import RowNoise
from condvae.priors import ConditionalMixture, ConditionalNormal, StandardNormal
from condvae.trace import Condition

DIGIT = Label("digit", ("0", "1", "2"), (0.2, 0.3, 0.5))
SIDE = Label("side", ("left", "right"), (0.25, 0.75))


def small(
    fields=(DIGIT,), z=3, prior=None, binarise="dynamic", shape=(1, 5, 4), fitted=False, painted=False
) -> Learned:
    """An untrained model whose weights are large enough for every input to matter."""
    torch.manual_seed(0)
    schema = Schema(tuple(fields))
    width = schema.width
    encoder = DenseEncoder(shape, width, (16,), GaussianHead(16, z), "tanh")
    pixels, seen = (AutoregressiveHead(FEATURES), (FEATURES, *shape[1:])) if painted else (BernoulliHead(), shape)
    decoder = DenseDecoder(z, width, (16,), seen, pixels, "silu")
    priors = {"learned": ConditionalNormal, "mixture": ConditionalMixture}
    head = priors[prior](width, z, *[4] * (prior == "mixture")) if prior else StandardNormal(z)
    model = VAE(encoder, head, decoder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.4)
    density = None
    if fitted:
        density = fit_density(torch.randn(300, z) + torch.arange(300)[:, None] % 3, torch.arange(300) % 3, fields[0])
    return Learned(model.eval(), schema, shape, binarise, density)


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).random((7, 1, 5, 4)).astype(np.float32)


class LinearEncoder(nn.Module):
    """The posterior of a linear Gaussian model whose columns are orthogonal: exact, or `wide` times as wide."""

    def __init__(self, weight: Tensor, offset: Tensor, sigma: float, wide: float) -> None:
        super().__init__()
        self.weight, self.offset, self.sigma, self.wide = weight, offset, sigma, wide

    def forward(self, x: Tensor, c: Condition):
        precision = 1 + self.weight.square().sum(0) / self.sigma**2
        mean = (x.flatten(1) - c.vector @ self.offset) @ self.weight / self.sigma**2 / precision
        return diagonal(mean, (-0.5 * precision.log() + math.log(self.wide)).expand_as(mean))


class LinearDecoder(nn.Module):
    def __init__(self, weight: Tensor, offset: Tensor, sigma: float) -> None:
        super().__init__()
        self.weight, self.offset, self.head = weight, offset, GaussianPixels(1, sigma)

    def forward(self, z: Tensor, c: Condition):
        return self.head((z @ self.weight.T + c.vector @ self.offset).unflatten(1, (1, 3, 4)), c)


def linear(wide=1.0, sigma=0.3, fields=(DIGIT,)) -> tuple[Learned, np.ndarray]:
    """x = W z + offset of the label + noise, and the exact log p(x | label) of `scene`, [N, labels]."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.linalg.qr(torch.randn(12, 2, generator=generator))[0] * torch.tensor([1.0, 0.4])
    width = sum(field.width for field in fields)
    offset = torch.rand(width, 12, generator=generator)
    model = VAE(LinearEncoder(weight, offset, sigma, wide), StandardNormal(2), LinearDecoder(weight, offset, sigma))
    covariance = (weight @ weight.T + sigma**2 * torch.eye(12)).double()
    exact = [MultivariateNormal(row.double(), covariance).log_prob(scene().flatten(1).double()) for row in offset]
    return Learned(model.eval(), Schema(tuple(fields)), (1, 3, 4), "grey"), torch.stack(exact, 1).numpy()


def scene() -> Tensor:
    return torch.rand(6, 1, 3, 4, generator=torch.Generator().manual_seed(9))


# --- generate


@pytest.mark.parametrize("fitted", [False, True])
def test_a_picture_depends_on_seed_request_and_number_alone(fitted):
    learned = small(fitted=fitted)
    many = tasks.generate(learned, {"digit": ["1", "2", None]}, n=CHUNK + 3, seed=4)
    assert many.shape == (3, CHUNK + 3, 1, 5, 4) and many.dtype == np.float32
    assert many.min() >= 0 and many.max() <= 1
    few = tasks.generate(learned, {"digit": ["1", "2", None]}, n=5, seed=4)
    assert np.array_equal(few, many[:, :5])
    one = tasks.generate(learned, {"digit": 1}, n=2, seed=4)
    assert one.shape == (2, 1, 5, 4) and np.array_equal(one, many[0, :2])
    assert not np.array_equal(many[0], tasks.generate(learned, {"digit": "1"}, n=CHUNK + 3, seed=5))
    flat = many.reshape(-1, 20)
    assert len(np.unique(flat, axis=0)) == len(flat)


def test_threads_do_not_disturb_one_another():
    learned = small(fitted=True)
    learned.model.train()
    jobs = [(seed, "012"[seed % 3]) for seed in range(50)] * 8
    alone = {seed: tasks.generate(learned, {"digit": digit}, n=3, seed=seed) for seed, digit in jobs[:50]}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: tasks.generate(learned, {"digit": job[1]}, n=3, seed=job[0]), jobs))
    assert sum(not np.array_equal(picture, alone[seed]) for picture, (seed, _) in zip(found, jobs, strict=True)) == 0
    assert all(module.training for module in learned.model.modules())


def test_tasks_leave_modes_gradients_and_random_states_alone(pictures):
    learned = small()
    learned.model.train()
    learned.model.encoder.eval()  # type: ignore[union-attr]
    modes = [module.training for module in learned.model.modules()]
    weights = {name: value.clone() for name, value in learned.model.state_dict().items()}
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()  # type: ignore
    tasks.generate(learned, None, n=2)
    tasks.reconstruct(learned, pictures)
    tasks.log_prob(learned, pictures, k=2)
    with pytest.raises(Refused):
        tasks.generate(learned, {"digit": "9"})
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert [module.training for module in learned.model.modules()] == modes
    assert torch.equal(before[0], torch.random.get_rng_state()) and before[2] == torch.get_num_threads()
    assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]
    assert all(torch.equal(value, weights[name]) for name, value in learned.model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in learned.model.parameters())


def test_an_unknown_label_is_drawn_from_the_shares():
    """A model that draws nothing but its label: pictures show which labels came."""
    learned = small()
    shown = [tasks.generate(learned, {"digit": d}, temperature=0)[0] for d in DIGIT.values]
    drawn = tasks.generate(learned, {"digit": float("nan")}, n=3000, temperature=0)
    distance = np.stack([abs(drawn - picture).max((1, 2, 3)) for picture in shown], 1)
    assert (distance.min(1) < 1e-6).all()
    shares = np.bincount(distance.argmin(1), minlength=3) / 3000
    assert abs(shares - DIGIT.shares).max() < 4 * math.sqrt(0.25 / 3000)
    # drawn by the row's own noise, so known rows beside it change nothing
    mixed = tasks.generate(learned, {"digit": ["0", None]}, n=4, temperature=0)
    assert np.array_equal(mixed[1], tasks.generate(learned, {"digit": [None, None]}, n=4, temperature=0)[1])


def test_an_unknown_label_is_blank_where_the_model_has_a_blank():
    optional = Label("digit", DIGIT.values, DIGIT.shares, optional=True)
    learned = small((optional,))
    blank = tasks.generate(learned, None, n=5, temperature=0)
    assert (blank == blank[0]).all()
    assert not np.allclose(blank[0], tasks.generate(learned, {"digit": 0}, temperature=0)[0])


def test_without_conditions_nothing_need_be_asked():
    learned = small(())
    assert tasks.generate(learned, n=4).shape == (4, 1, 5, 4)
    with pytest.raises(Refused, match="nothing may be asked"):
        tasks.generate(learned, {"digit": 3})


def test_lists_broadcast_and_must_agree():
    columns, count, listed = requests(Schema((DIGIT, SIDE)), {"digit": [0, np.int64(2)], "side": "right"})
    assert count == 2 and listed
    assert columns["digit"].tolist() == [0, 2] and columns["side"].tolist() == [1, 1]
    columns, count, listed = requests(Schema((DIGIT, SIDE)), {"digit": np.float64(2.0)})
    assert (count, listed, columns["digit"].tolist(), columns["side"].tolist()) == (1, False, [2], [-1])
    assert requests(Schema((DIGIT,)), {"digit": torch.tensor([1, 2])})[0]["digit"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"asked": {"digit": [1, 2], "side": ["left"]}}, "equally long"),
        ({"asked": {"digit": []}}, "empty"),
        ({"asked": {"digti": 1}}, "did you mean 'digit'"),
        ({"asked": {"digit": "two"}}, "did you mean '2'"),
        ({"asked": ["1"]}, "mapping"),
        ({"n": 0}, "n must"),
        ({"n": 2.0}, "n must"),
        ({"n": True}, "n must"),
        ({"seed": -1}, "seed must"),
        ({"seed": 2**64}, "seed must"),
        ({"seed": None}, "seed must"),
        ({"temperature": -0.1}, "temperature must"),
        ({"temperature": float("nan")}, "temperature must"),
        ({"prior": "fited"}, "did you mean 'fitted'"),
        ({"prior": "fitted"}, "no density was fitted"),
    ],
)
def test_what_cannot_be_generated_is_refused(arguments, told):
    with pytest.raises(Refused, match=told):
        tasks.generate(small((DIGIT, SIDE)), **arguments)


def test_the_prior_is_the_fitted_one_unless_the_models_is_asked_for():
    learned = small(fitted=True)
    default = tasks.generate(learned, {"digit": 1}, n=3)
    assert np.array_equal(default, tasks.generate(learned, {"digit": 1}, n=3, prior="fitted"))
    own = tasks.generate(learned, {"digit": 1}, n=3, prior="model")
    assert not np.array_equal(default, own)
    assert np.array_equal(own, tasks.generate(small(), {"digit": 1}, n=3))


# --- pictures in


def test_x_may_come_in_many_forms(pictures):
    learned = small()
    bytes_ = (pictures * 255).round().astype(np.uint8)
    expected = tasks.reconstruct(learned, bytes_, {"digit": 1})
    for form in (
        bytes_[:, 0],
        bytes_.transpose(0, 2, 3, 1),
        torch.from_numpy(bytes_),
        (bytes_ / 255).astype(np.float32),
        bytes_ / 255,
    ):
        assert np.allclose(tasks.reconstruct(learned, form, {"digit": [1] * 7}), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (np.zeros((5, 4), np.float32), r"x\[None\]"),
        (np.zeros((2, 1, 4, 5), np.float32), "shape"),
        (np.zeros((2, 3, 5, 4), np.float32), "shape"),
        (np.full((2, 1, 5, 4), np.nan), "NaN|nan|finite"),
        (np.full((2, 1, 5, 4), 2.0), "0"),
        (np.zeros((0, 1, 5, 4)), "empty|no |at least"),
    ],
)
def test_pictures_of_another_kind_are_refused(x, told):
    for task in (tasks.reconstruct, tasks.embed, tasks.log_prob, tasks.classify):
        with pytest.raises(Refused, match=told):
            task(small(), x)


def test_given_must_fit_the_pictures(pictures):
    with pytest.raises(Refused, match="each of the 7 rows"):
        tasks.reconstruct(small(), pictures, {"digit": [1, 2]})
    with pytest.raises(Refused, match="digit is one of"):
        tasks.embed(small(), pictures, {"digit": 7})


@pytest.mark.parametrize("seed", [None, 3])
def test_rows_do_not_depend_on_the_rows_beside_them(pictures, seed):
    learned, given = small(), {"digit": [0, 1, 2, 0, None, 2, 0]}
    many = np.concatenate([pictures] * 50)

    def both(learned, x, given, seed):
        return tasks.restyle(learned, x, given, {"digit": ["0", "2"]}, seed)

    for task in (tasks.reconstruct, tasks.embed, both):
        short = task(learned, pictures, given, seed)
        long = task(learned, many, {"digit": given["digit"] * 50}, seed)
        assert np.array_equal(short, long[:7])
        if seed is None:
            assert np.allclose(short, long[-7:], atol=1e-6)
        assert np.array_equal(short, task(learned, pictures, given, seed))


def test_embed_gives_posterior_means(pictures):
    learned = small()
    c = learned.condition({"digit": np.ones(7, int)}, np.arange(7))
    q = learned.model.encoder(torch.from_numpy(pictures), c)  # type: ignore[operator]
    assert np.allclose(tasks.embed(learned, pictures, {"digit": 1}), q.mean.detach().numpy(), atol=1e-5)
    drawn = np.stack([tasks.embed(small(binarise="grey"), pictures, {"digit": 1}, seed=s) for s in range(150)])
    assert np.allclose(drawn.std(0), q.stddev.detach().numpy(), rtol=0.25)


def test_observing_is_seeded_by_row_and_keeps_binary_pixels():
    x = torch.rand(300, 3, 2, 2)
    noise = RowNoise(0, np.arange(300))
    seen = observe(x, "dynamic", noise)
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(observe(x[5:8], "dynamic", RowNoise(0, np.arange(5, 8))), seen[5:8])
    assert torch.equal(observe(seen, "static", RowNoise(1, np.arange(300))), seen)
    assert observe(x, "grey", noise) is x
    assert abs((seen - x).mean()) < 4 * 0.5 / math.sqrt(3600)


# --- restyle, interpolate, manifold


def test_restyle_carries_the_noise_of_z_not_z(pictures):
    learned = small(prior="learned")
    model = learned.model
    assert isinstance(model, VAE)
    found = tasks.restyle(learned, pictures, {"digit": 0}, {"digit": 2})
    source, target = (learned.condition({"digit": np.full(7, d)}, np.arange(7)) for d in (0, 2))
    with torch.no_grad():
        z = model.encoder(torch.from_numpy(pictures), source).mean
        p, p_to = model.prior(source).base_dist, model.prior(target).base_dist
        moved = p_to.loc + p_to.scale * (z - p.loc) / p.scale
        expected = model.decoder(moved, target).mean.numpy()
        kept = model.decoder(z, target).mean.numpy()
    assert np.allclose(found, expected, atol=1e-5)
    assert abs(found - kept).max() > 1e-2


def test_restyle_carries_z_itself_under_a_prior_that_is_no_normal(pictures):
    learned = small(prior="mixture")
    model = learned.model
    assert isinstance(model, VAE)
    found = tasks.restyle(learned, pictures, {"digit": 0}, {"digit": 2})
    source, target = (learned.condition({"digit": np.full(7, d)}, np.arange(7)) for d in (0, 2))
    with torch.no_grad():
        z = model.encoder(torch.from_numpy(pictures), source).mean
        assert np.allclose(found, model.decoder(z, target).mean.numpy(), atol=1e-5)
    between = tasks.interpolate(learned, pictures[:2], pictures[2:4], {"digit": 0}, {"digit": 1}, steps=3)
    assert np.allclose(between[:, 0], tasks.reconstruct(learned, pictures[:2], {"digit": 0}), atol=1e-5)


def test_restyle_paints_pixel_by_pixel(pictures):
    learned = small(painted=True)
    found = tasks.restyle(learned, pictures, {"digit": 0}, {"digit": [1, 2]})
    assert found.shape == (7, 2, 1, 5, 4) and found.min() >= 0 and found.max() <= 1
    assert np.array_equal(found, tasks.restyle(learned, pictures, {"digit": 0}, {"digit": [1, 2]}))


def test_restyle_to_the_own_label_is_reconstruction(pictures):
    for learned in (small(), small(prior="learned")):
        same = tasks.restyle(learned, pictures, {"digit": 1}, {"digit": [1, 2]})
        assert same.shape == (7, 2, 1, 5, 4)
        assert np.allclose(same[:, 0], tasks.reconstruct(learned, pictures, {"digit": 1}), atol=1e-5)
        assert np.array_equal(same[:, 1], tasks.restyle(learned, pictures, {"digit": 1}, {"digit": 2}))


def test_restyle_keeps_what_is_not_asked_for(pictures):
    learned = small((DIGIT, SIDE))
    sides = ["left", "right"] * 3 + ["left"]
    found = tasks.restyle(learned, pictures, {"digit": 0, "side": sides}, {"digit": 2})
    right = tasks.restyle(learned, pictures, {"digit": 0, "side": sides}, {"digit": 2, "side": "right"})
    assert np.allclose(found[1::2], right[1::2], atol=1e-6) and not np.allclose(found[::2], right[::2], atol=1e-3)
    with pytest.raises(Refused, match="to must say"):
        tasks.restyle(learned, pictures, None, {})
    with pytest.raises(Refused, match="no blank input"):
        tasks.restyle(learned, pictures, {"digit": 0, "side": sides}, {"digit": None})


def test_interpolation_ends_at_the_reconstructions(pictures):
    for learned in (small(prior="learned"), small(z=1)):
        path = tasks.interpolate(learned, pictures[:3], pictures[3:6], {"digit": 0}, {"digit": 1}, steps=5)
        assert path.shape == (3, 5, 1, 5, 4)
        assert np.allclose(path[:, 0], tasks.reconstruct(learned, pictures[:3], {"digit": 0}), atol=1e-5)
        assert np.allclose(path[:, -1], tasks.reconstruct(learned, pictures[3:6], {"digit": 1}), atol=1e-5)
        assert np.isfinite(path).all()
    same = tasks.interpolate(small(), pictures, pictures, {"digit": 0}, {"digit": 0}, steps=3)
    assert np.allclose(same[:, 0], same[:, 1], atol=1e-5)
    with pytest.raises(Refused, match="equally many"):
        tasks.interpolate(small(), pictures, pictures[:2])


def test_an_arc_keeps_its_length():
    a, b = torch.tensor([[1.0, 0], [3, 0]]), torch.tensor([[0.0, 1], [-3, 0]])
    assert torch.allclose(tasks.arc(a, b, 0.5)[0], torch.full((2,), math.sqrt(0.5)))
    assert tasks.arc(a, b, 0.5).isfinite().all()
    assert torch.allclose(tasks.arc(torch.zeros(1, 2), b[:1], 0.5), b[:1] / 2)


def test_the_manifold_lies_on_the_priors_quantiles():
    learned = small(z=2)
    found = tasks.manifold(learned, {"digit": 1}, size=5, spread=0.5)
    assert found.shape == (5, 5, 1, 5, 4)
    c = learned.condition({"digit": np.ones(2, int)}, np.arange(2))
    corner = torch.tensor([[-0.67449, -0.67449], [-0.67449, 0.67449]])
    with torch.no_grad():
        expected = learned.model.decoder(corner, c).mean.numpy()  # type: ignore[operator]
    assert np.allclose(found[0, [0, -1]], expected, atol=1e-4)
    assert tasks.manifold(small(z=1), {"digit": 1}, size=4).shape == (1, 4, 1, 5, 4)


def test_the_manifold_of_a_fitted_prior_follows_its_longest_axes():
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator))[0]
    z = torch.randn(3000, 4, generator=generator) * torch.tensor([3.0, 0.1, 1.5, 0.2]) @ turn.T
    density = fit_density(z, torch.arange(3000) % 3, DIGIT, kind="gaussian")
    p = density(Schema((DIGIT,)).encode({"digit": np.zeros(1, int)}, 1))
    across = tasks.axes(p, None)
    assert torch.allclose(across.norm(dim=1), torch.tensor([3.0, 1.5]), rtol=0.1)
    for found, true in zip(across, (turn[:, 0], turn[:, 2]), strict=True):
        assert abs(found @ true / found.norm()) > 0.99
    with pytest.raises(Refused, match="units must"):
        tasks.axes(p, (0, 4))
    for asked, told in (({"digit": [0, 1]}, "one value a field"), (None, "needs digit")):
        with pytest.raises(Refused, match=told):
            tasks.manifold(small(), asked)


# --- log_prob, classify


@pytest.mark.parametrize("k", [1, 3])
def test_with_the_exact_posterior_the_bound_is_the_likelihood(k):
    learned, exact = linear()
    labels = [0, 1, 2, 0, 1, 2]
    found = tasks.importance(learned, scene(), {"digit": labels}, k=k)
    assert found.log_prob.dtype == np.float64
    assert np.allclose(found.log_prob, exact[np.arange(6), labels], atol=1e-4)
    assert np.allclose(found.effective, k, rtol=1e-4)


def test_with_a_wrong_posterior_the_bound_rises_to_the_likelihood(monkeypatch):
    monkeypatch.setattr("condvae.weighing.ENTRIES", 12 * 64)  # several blocks of samples a row
    learned, exact = linear(wide=1.8)
    bounds = []
    for k in (1, 4, 16, 512):
        runs = [tasks.log_prob(learned, scene(), {"digit": 1}, k=k, seed=seed).mean() for seed in range(12)]
        bounds.append(np.mean(runs))
    assert bounds[:3] == sorted(bounds[:3]) and bounds[0] < exact[:, 1].mean() - 0.3
    assert bounds[-1] == pytest.approx(exact[:, 1].mean(), abs=0.02)
    effective = tasks.importance(learned, scene(), {"digit": 1}, k=512).effective
    assert (effective > 1).all() and (effective < 500).all()


def test_blocks_of_samples_are_one_sample_set(monkeypatch):
    """The bound of k samples, put together by hand from the log weights of blocks; the encoder runs once a row."""
    learned, _ = linear(wide=1.8)
    whole = tasks.importance(learned, scene(), {"digit": 1}, k=16)
    encoded = []
    monkeypatch.setattr("condvae.weighing.ENTRIES", 12 * 16)
    learned.model.encoder.register_forward_pre_hook(lambda _, inputs: encoded.append(len(inputs[0])))  # type: ignore
    again = tasks.importance(learned, scene(), {"digit": 1}, k=16)
    assert np.allclose(whole.log_prob, again.log_prob, atol=1e-4) and np.allclose(
        whole.effective, again.effective, rtol=1e-3
    )
    encoded.clear()
    long = tasks.importance(learned, scene(), {"digit": 1}, k=100)
    assert sum(encoded) == 6
    assert (long.effective <= 100).all()


def test_a_row_is_scored_the_same_whatever_stands_beside_it():
    learned, x = small(fitted=True), np.random.default_rng(1).random((300, 1, 5, 4)).astype(np.float32)
    labels = [d % 3 for d in range(300)]
    few = tasks.log_prob(learned, x[:4], {"digit": labels[:4]}, k=300)
    other = np.concatenate([x[:4], x[200:]])
    assert np.array_equal(tasks.log_prob(learned, other, {"digit": labels[:104]}, k=300)[:4], few)
    assert np.allclose(
        tasks.log_prob(learned, x, {"digit": labels}, k=1)[:4],
        tasks.log_prob(learned, x[:4], {"digit": labels[:4]}, k=1),
    )


def test_an_unknown_label_is_summed_over():
    learned, exact = linear()
    expected = np.log(np.exp(exact) @ np.array(DIGIT.shares))
    assert np.allclose(tasks.log_prob(learned, scene(), k=2), expected, atol=1e-4)
    mixed = tasks.log_prob(learned, scene(), {"digit": [0, None, 2, None, 1, None]}, k=2)
    assert np.allclose(mixed, np.choose([0, 1, 0, 1, 0, 1], [exact[range(6), [0, 0, 2, 0, 1, 0]], expected]), atol=1e-4)


def test_two_unknown_fields_are_summed_over_together():
    learned, _ = linear(fields=(DIGIT, SIDE))
    # the offset of a row is the sum of its two fields': exact values by hand
    decoder = learned.model.decoder
    assert isinstance(decoder, LinearDecoder)
    weight, offset = decoder.weight, decoder.offset
    covariance = (weight @ weight.T + 0.09 * torch.eye(12)).double()
    rows = offset[:3, None] + offset[None, 3:]
    joint = MultivariateNormal(rows.double(), covariance).log_prob(scene().flatten(1).double()[:, None, None]).numpy()
    shares = np.outer(DIGIT.shares, SIDE.shares)
    ticks: list[tuple[int, int]] = []
    found = tasks.log_prob(
        learned, scene(), {"side": ["left", None] * 3}, k=1, progress=lambda a, b: ticks.append((a, b))
    )
    left = np.log((np.exp(joint[:, :, 0]) * DIGIT.shares).sum(1))
    both = np.log((np.exp(joint) * shares).sum((1, 2)))
    assert np.allclose(found, np.where(np.arange(6) % 2 == 0, left, both), atol=1e-4)
    assert ticks[-1][0] == ticks[-1][1] and ticks == sorted(ticks)
    read = tasks.classify(learned, scene(), "side", k=1)
    side = (np.exp(joint) * shares).sum(1)
    assert np.allclose(read.probabilities, side / side.sum(1, keepdims=True), atol=1e-4)


def test_classify_is_bayes_rule():
    learned, exact = linear()
    found = tasks.classify(learned, scene(), k=1)
    joint = np.exp(exact) * DIGIT.shares
    assert np.allclose(found.probabilities, joint / joint.sum(1, keepdims=True), atol=1e-4)
    assert found.values == DIGIT.values
    assert found.names.tolist() == [DIGIT.values[i] for i in joint.argmax(1)]
    assert np.allclose(found.probabilities.sum(1), 1)


def test_labels_share_their_noise():
    """With labels that the model ignores, shared noise gives back the shares exactly; noise of their own would not."""
    learned, _ = linear(wide=2.0)
    learned.model.decoder.offset.zero_()  # type: ignore[union-attr, operator]
    found = tasks.classify(learned, scene(), k=1)
    assert np.allclose(found.probabilities, DIGIT.shares, atol=1e-6)


def test_unknown_labels_are_classified_before_they_are_encoded():
    learned, _ = linear()
    read = tasks.classify(learned, scene()).names
    assert np.array_equal(tasks.embed(learned, scene()), tasks.embed(learned, scene(), {"digit": read}))
    given = [read[0], None, *["1"] * 4]
    assert np.array_equal(
        tasks.embed(learned, scene(), {"digit": given}),
        tasks.embed(learned, scene(), {"digit": [*read[:2], *["1"] * 4]}),
    )


def test_what_cannot_be_classified_is_refused(pictures):
    two = small((DIGIT, SIDE))
    with pytest.raises(Refused, match="without labels"):
        tasks.classify(small(()), pictures)
    with pytest.raises(Refused, match="digit, side"):
        tasks.classify(two, pictures)
    with pytest.raises(Refused, match="did you mean 'side'"):
        tasks.classify(two, pictures, "sied")
    with pytest.raises(Refused, match="leave it out"):
        tasks.classify(two, pictures, "side", {"side": "left"})
    with pytest.raises(Refused, match="k must"):
        tasks.classify(small(), pictures, k=0)


def test_optional_labels_are_blank_for_the_likelihood_and_can_be_read(pictures):
    learned = small((Label("digit", DIGIT.values, DIGIT.shares, optional=True),))
    blank = tasks.log_prob(learned, pictures, k=4)
    assert np.array_equal(blank, tasks.log_prob(learned, pictures, {"digit": None}, k=4))
    each = np.stack([tasks.log_prob(learned, pictures, {"digit": d}, k=4) for d in DIGIT.values], 1)
    assert not np.allclose(blank, np.log(np.exp(each) @ np.array(DIGIT.shares)), atol=1e-3)
    joint = np.exp(each - each.max(1, keepdims=True)) * DIGIT.shares
    assert np.allclose(tasks.classify(learned, pictures, k=4).probabilities, joint / joint.sum(1, keepdims=True))


def test_p_of_x_by_the_blank_input_and_summed_over_labels_are_what_they_should_be():
    """A linear Gaussian model whose blank input has a picture of its own, so that the two ways are far apart."""
    learned, _ = linear(fields=(Label("digit", DIGIT.values, DIGIT.shares, optional=True),))
    decoder = learned.model.decoder
    assert isinstance(decoder, LinearDecoder)
    covariance = (decoder.weight @ decoder.weight.T + 0.09 * torch.eye(12)).double()
    middles = torch.cat([decoder.offset[:3] + decoder.offset[3], torch.zeros(1, 12)]).double()
    exact = MultivariateNormal(middles, covariance).log_prob(scene().flatten(1).double()[:, None]).numpy()
    summed = np.log(np.exp(exact[:, :3]) @ np.array(DIGIT.shares))
    assert np.abs(summed - exact[:, 3]).min() > 0.4
    assert np.allclose(tasks.log_prob(learned, scene(), k=2, unknown="sum"), summed, atol=1e-4)
    assert np.allclose(tasks.log_prob(learned, scene(), k=2, unknown="blank"), exact[:, 3], atol=1e-4)
    assert np.array_equal(tasks.log_prob(learned, scene(), k=2), tasks.log_prob(learned, scene(), k=2, unknown="blank"))
    given = {"digit": [0, None, 2, None, 1, None]}
    known = exact[range(6), [0, 0, 2, 0, 1, 0]]
    for unknown, other in (("sum", summed), ("blank", exact[:, 3])):
        mixed = tasks.log_prob(learned, scene(), given, k=2, unknown=unknown)
        assert np.allclose(mixed, np.where([one is None for one in given["digit"]], other, known), atol=1e-4)


@pytest.mark.parametrize("painted", [False, True])
def test_a_sum_over_labels_is_at_least_each_of_its_terms(pictures, painted):
    learned = small((Label("digit", DIGIT.values, DIGIT.shares, optional=True), SIDE), fitted=True, painted=painted)
    found = tasks.log_prob(learned, pictures, {"side": "left"}, k=3, unknown="sum")
    each = [tasks.log_prob(learned, pictures, {"digit": d, "side": "left"}, k=3) for d in DIGIT.values]
    for one, share in zip(each, DIGIT.shares, strict=True):
        assert (found >= one + math.log(share)).all()
    assert np.allclose(found, np.log(np.exp(np.stack(each, 1)) @ np.array(DIGIT.shares)))
    both = tasks.log_prob(learned, pictures, k=3, unknown="sum")
    right = tasks.log_prob(learned, pictures, {"side": "right"}, k=3, unknown="sum")
    assert np.allclose(both, np.logaddexp(found + math.log(0.25), right + math.log(0.75)))


def test_what_unknown_may_be(pictures):
    optional = Label("digit", DIGIT.values, DIGIT.shares, optional=True)
    with pytest.raises(Refused, match="'sum' or 'blank'; got 'summ', did you mean 'sum'"):
        tasks.log_prob(small(), pictures, k=1, unknown="summ")
    with pytest.raises(Refused, match="may not be 'blank' here, for side has no blank input; 'sum' sums over"):
        tasks.log_prob(small((optional, SIDE)), pictures, {"digit": 0}, k=1, unknown="blank")
    told = {"side": "left"}
    assert np.isfinite(tasks.log_prob(small((optional, SIDE)), pictures, told, k=1, unknown="blank")).all()
    many = tuple(Label(f"f{i}", DIGIT.values, DIGIT.shares, optional=True) for i in range(7))
    with pytest.raises(Refused, match="1000 combinations"):
        tasks.log_prob(small(many), pictures, k=1, unknown="sum")
    assert np.isfinite(tasks.log_prob(small(many), pictures, k=1)).all()


def test_networks_trained_in_bfloat16_draw_nearly_the_same_pictures_row_by_row(monkeypatch):
    from dataclasses import replace

    from condvae import learned as module

    monkeypatch.setattr(module, "has_bfloat16", lambda device: True)
    exact = small(fitted=True)
    half = replace(exact, precision="bf16")
    asked = {"digit": "1"}
    full, drawn = tasks.generate(exact, asked, 300, seed=3), tasks.generate(half, asked, 300, seed=3)
    assert drawn.dtype == np.float32 and not np.array_equal(full, drawn)
    assert np.abs(full - drawn).max() < 0.05
    assert np.array_equal(tasks.generate(half, asked, 5, seed=3), drawn[:5])
