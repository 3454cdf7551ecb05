"""Joint densities of latents, numbers and labels: against closed forms, and what was asked for read back."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from condvae.conditions import Attribute, Label, Number, Schema
from condvae.densities import LabelMixture, pack
from condvae.density_fit import fit_density, fit_for
from condvae.density_io import load_density, save_density
from condvae.errors import Refused
from condvae.joint import JointMixture, layout_of
from condvae.joint_fit import completed, fit_joint
from condvae.noise import RowNoise
from condvae.storage import write_tensors
from condvae.trace import Condition, Draw, Drawable

KNOTS = tuple(np.linspace(-3, 3, 33).tolist())
LABEL = Label("shape", ("a", "b", "c"), (0.2, 0.3, 0.5))
TICK = Attribute("bold", ("no", "yes"), (0.6, 0.4), True)
PAIR = Number("pair", (0.0, 0.0), (1.0, 1.0), (-3.0, -3.0), (3.0, 3.0), (KNOTS, KNOTS), False, True)
SIZE = Number("size", (10.0,), (2.0,), (4.0,), (16.0,), (tuple(np.linspace(4, 16, 33).tolist()),))
SCHEMA = Schema((LABEL, PAIR, TICK))


def made(components: int = 6, z: int = 3, schema: Schema = SCHEMA) -> JointMixture:
    """A density of random components, with every label possible in each."""
    generator = torch.Generator().manual_seed(0)
    density = JointMixture(z, layout_of(schema), components)
    wide = density.mean.shape[1]
    tril = torch.randn(components, wide, wide, generator=generator).tril(-1) * 0.5
    tables = [torch.randn(components, len(field.values), generator=generator).log_softmax(1) for field in schema.labels]
    state = {
        "mean": torch.randn(components, wide, generator=generator),
        "factor": pack(tril + torch.diag_embed(torch.rand(components, wide, generator=generator) + 0.4)),
        "log_weight": torch.randn(components, generator=generator).log_softmax(0),
        "log_label": torch.cat(tables, 1),
        "coarse": torch.arange(components) % 2 == 0,
        "low": torch.full((wide - z,), -3.0),
        "high": torch.full((wide - z,), 3.0),
    }
    density.load_state_dict(state)
    return density


def asked(shape, pair, bold) -> Condition:
    columns = {"shape": np.asarray(shape), "pair": np.asarray(pair, float), "bold": np.asarray(bold)}
    return SCHEMA.encode(columns, len(shape))


def covariance(density: JointMixture) -> torch.Tensor:
    wide = density.mean.shape[1]
    lower = torch.zeros(len(density.mean), wide, wide).double()
    rows, columns = torch.tril_indices(wide, wide)
    lower[:, rows, columns] = density.factor.double()
    return lower @ lower.mT


def reference(density: JointMixture, shape: int, pair, bold: int) -> MixtureSameFamily:
    """p(z | what is known) by the definition: joint over the known, divided by the known."""
    z = density.z
    known = [i for i, value in enumerate(pair) if not math.isnan(value)]
    u = torch.tensor([pair[i] for i in known], dtype=torch.float64)
    spots = [z + i for i in known]
    mean, cov = density.mean.double(), covariance(density)
    weight = density.log_weight.double()
    for start, label in ((0, shape), (3, bold)):
        weight = weight + (density.log_label[:, start + label].double() if label >= 0 else 0)
    means, covs = mean[:, :z], cov[:, :z, :z]
    if known:
        s_uu, s_zu = cov[:, spots][:, :, spots], cov[:, :z][:, :, spots]
        weight = weight + MultivariateNormal(mean[:, spots], s_uu).log_prob(u)
        gain = s_zu @ torch.linalg.inv(s_uu)
        means = means + (gain @ (u - mean[:, spots])[:, :, None])[:, :, 0]
        covs = covs - gain @ s_zu.mT
    return MixtureSameFamily(Categorical(logits=weight), MultivariateNormal(means, (covs + covs.mT) / 2))


NAN = math.nan
ROWS = [(0, (0.3, -1.2), 1), (-1, (0.3, NAN), 0), (2, (NAN, NAN), -1), (-1, (NAN, 2.0), -1), (-1, (NAN, NAN), -1)]


@pytest.mark.parametrize("components", [1, 6])
def test_it_is_the_exact_conditional_of_whatever_is_known(components):
    density = made(components)
    c = asked(*zip(*ROWS, strict=True))
    z = torch.randn(4, len(ROWS), 3, generator=torch.Generator().manual_seed(1))
    p = density(c)
    for row, what in enumerate(ROWS):
        expected = reference(density, *what)
        assert torch.allclose(p.log_prob(z)[:, row].double(), expected.log_prob(z[:, row].double()), atol=1e-4)
        assert torch.allclose(p.mean[row].double(), expected.mean, atol=1e-4)
        assert torch.allclose(p.variance[row].double(), expected.variance, atol=1e-4)
    assert torch.equal(p.expand((4, len(ROWS))).log_prob(z), p.log_prob(z))


def test_what_is_unknown_is_summed_out():
    density = made()
    z = torch.randn(1, 3, generator=torch.Generator().manual_seed(2))
    nothing = (0.7, -0.4)
    # p(z | u) = sum_l p(l | u) p(z | l, u), with p(l | u) from the components' weights
    mean, cov = density.mean.double()[:, 3:], covariance(density)[:, 3:, 3:]
    weight = (density.log_weight + MultivariateNormal(mean, cov).log_prob(torch.tensor(nothing).double())).softmax(0)
    share = weight @ density.log_label[:, :3].double().exp()
    parts = [density(asked([label], [nothing], [-1])).log_prob(z).double() for label in range(3)]
    total = torch.logsumexp(torch.stack(parts) + share.log()[:, None], 0)
    assert torch.allclose(density(asked([-1], [nothing], [-1])).log_prob(z).double(), total, atol=1e-4)


def test_draws_have_the_moments_and_a_row_does_not_depend_on_its_neighbours():
    density, rows = made(), 30_000
    for what in ROWS:
        c = asked(*([one] * rows for one in what))
        p = density(c)
        z = p.from_noise(Draw(RowNoise(0, np.arange(rows))), 0)
        expected = reference(density, *what)
        assert (z.mean(0) - expected.mean).abs().max() < 5 * expected.stddev.max() / math.sqrt(rows)
        assert torch.allclose(z.var(0).double(), expected.variance, rtol=0.08)
    mixed = [ROWS[i % len(ROWS)] for i in range(300)]
    both = density(asked(*zip(*mixed, strict=True)))
    z = both.from_noise(Draw(RowNoise(5, np.arange(300))), 0)
    scores = both.log_prob(z)
    for row in (0, 101, 202, 299):
        one = density(asked(*([value] for value in mixed[row])))
        assert torch.equal(one.from_noise(Draw(RowNoise(5, np.array([row]))), 0)[0], z[row])
        assert torch.equal(one.log_prob(z[row : row + 1])[0], scores[row])


def test_temperature_scales_within_the_component():
    density = made()
    p = density(asked(*zip(*[ROWS[i % 5] for i in range(200)], strict=True)))
    cold, mild, full = (p.from_noise(Draw(RowNoise(3, np.arange(200)), t), 0) for t in (0.0, 0.5, 1.0))
    assert torch.allclose(mild - cold, 0.5 * (full - cold), atol=1e-5)
    assert (full - cold).abs().max() > 1
    bare = density(asked([-1] * 50, [(NAN, NAN)] * 50, [-1] * 50))
    means = bare.from_noise(Draw(RowNoise(3, np.arange(50)), 0.0), 0)
    assert (means[:, None] == density.mean[:, :3]).all(2).any(1).all()
    assert p.expand((2, 200)).from_noise(Draw(RowNoise(3, np.arange(200)), k=2), 0).shape == (2, 200, 3)


def test_a_number_beyond_the_training_range_is_heard_as_its_end():
    density = made()
    far, end = (density(asked([0], [(value, NAN)], [-1])) for value in (1e6, 3.0))
    z = torch.zeros(1, 3)
    assert torch.equal(far.log_prob(z), end.log_prob(z)) and far.mean.isfinite().all()
    assert not torch.equal(density(asked([0], [(2.0, NAN)], [-1])).log_prob(z), end.log_prob(z))


@pytest.mark.parametrize("half", [False, True])
def test_a_file_gives_the_same_density_again(tmp_path, half):
    density = made()
    again = JointMixture(**density.sizes)
    again.load_state_dict(density.state_dict())
    save_density(tmp_path / "density.safetensors", density, half)
    loaded = load_density(tmp_path / "density.safetensors")
    assert isinstance(loaded, JointMixture) and loaded.sizes == density.sizes and not list(density.parameters())
    c, z = asked(*zip(*ROWS, strict=True)), torch.randn(5, 3)
    exact = density(c).log_prob(z)
    assert torch.equal(again(c).log_prob(z), exact)
    assert torch.allclose(loaded(c).log_prob(z), exact, atol=0.1 if half else 0, rtol=0.01 if half else 0)
    density.load_state_dict(made(6, 3).state_dict() | {"mean": density.mean + 1})  # what was conditioned is stale
    assert not torch.equal(density(c).log_prob(z), exact)


def test_old_files_load_and_others_are_refused(tmp_path):
    for name in ("mnist-cvae", "fashion-cvae"):
        old = load_density(f"zoo/{name}/density.safetensors")
        assert isinstance(old, LabelMixture) and old.labels == 10
    path = tmp_path / "density.safetensors"
    for facts, words in (({}, "does not hold a density"), ({"kind": "tree", "sizes": "{}"}, "does not know, 'tree'")):
        write_tensors(path, {"a": torch.zeros(2)}, facts)
        with pytest.raises(Refused, match=words):
            load_density(path)
    write_tensors(path, {"a": torch.zeros(2)}, {"kind": "joint", "sizes": '{"z": 2, "layout": [], "components": 1}'})
    with pytest.raises(Refused, match="does not hold a density"):
        load_density(path)
    with pytest.raises(Refused, match="does not exist"):
        load_density(tmp_path / "none.safetensors")


def collection(rows: int, seed: int = 0):
    """z [N, 4] of which the first two units turn with the label and the third and fourth tell the size."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(3, (rows,), generator=generator)
    u = torch.randn(rows, generator=generator).clamp(-3, 3)
    centres = torch.tensor([[3.0, 0.0], [-3.0, 3.0], [-3.0, -3.0]])
    noise = 0.4 * torch.randn(rows, 4, generator=generator)
    z = torch.cat([centres[label], torch.stack([2 * torch.sin(u), u], 1)], 1) + noise
    columns = {"shape": label.numpy(), "size": (10 + 2 * u).double().numpy()[:, None]}
    return z, columns, centres


SIZED = Schema((LABEL, SIZE))


@pytest.mark.parametrize("many", [False, True])
def test_what_was_asked_for_is_read_back(many, monkeypatch):
    if many:  # as where there are more combinations of labels than can be fitted each by itself
        monkeypatch.setattr("condvae.joint_fit.GROUPS", 2)
    z, columns, centres = collection(3000)
    density = fit_for(SIZED, columns, SIZED.encode(columns, 3000), z, components=40)
    assert isinstance(density, JointMixture)
    wanted = {"shape": np.arange(900) % 3, "size": np.linspace(6, 14, 900)[:, None]}
    p = density(SIZED.encode(wanted, 900))
    drawn = p.from_noise(Draw(RowNoise(0, np.arange(900))), 0)
    read = torch.cdist(drawn[:, :2], centres).argmin(1).numpy()
    # clusters of several labels keep their wide components, of 2 % weight, for all of them
    assert (read == wanted["shape"]).mean() > (0.97 if many else 0.995)
    u = torch.from_numpy((wanted["size"][:, 0] - 10) / 2).float()
    error = (drawn[:, 3] - u).square().mean().sqrt()
    assert error < 0.6 and (drawn[:, 2] - 2 * torch.sin(u)).square().mean().sqrt() < 0.7  # 0.4 is in the data
    # a label alone: all sizes are drawn
    bare = density(Schema((LABEL, replace(SIZE, optional=True))).encode(wanted | {"size": SIZE.blank(900)}, 900))
    assert bare.log_prob(drawn).isfinite().all()
    held, told, _ = collection(1000, 1)
    own = density(SIZED.encode(told, 1000)).log_prob(held).mean()
    shuffled = told | {"size": told["size"][::-1].copy()}
    assert own > density(SIZED.encode(shuffled, 1000)).log_prob(held).mean() + 1


def test_restyled_z_is_typical_of_what_is_asked():
    z, columns, centres = collection(3000)
    density = fit_joint(SIZED, columns, z, components=40)
    wanted = {"shape": (columns["shape"] + 1) % 3, "size": columns["size"]}
    c = SIZED.encode(wanted, 3000)
    moved = density.typical(z, c)
    assert (torch.cdist(moved[:, :2], centres).argmin(1).numpy() == wanted["shape"]).mean() > 0.98
    # what does not tell the label stays by and large as it was
    assert (moved[:, 2:] - z[:, 2:]).abs().mean() < 0.6 < 2 < (moved[:, :2] - z[:, :2]).abs().mean()
    held = made()
    z = 5 * torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    stays = held.typical(z, asked(*zip(*ROWS, strict=True)))
    assert torch.equal(stays[4], z[4]) and not torch.equal(stays[:4], z[:4])  # nothing is known of the last
    assert stays.isfinite().all()


def test_only_coarse_components_say_what_is_typical():
    density = JointMixture(2, layout_of(Schema((LABEL,))), 2)
    state = {"mean": torch.tensor([[0.0, 0.0], [9.0, 0.0]]), "coarse": torch.tensor([False, True])}
    density.load_state_dict(density.state_dict() | state)
    c = Schema((LABEL,)).encode({"shape": np.array([1])}, 1)
    moved = density.typical(torch.tensor([[1.0, 0.0]]), c, radius=1.0)
    assert torch.allclose(moved, torch.tensor([[9 - math.sqrt(2), 0.0]]), atol=1e-5)


def test_with_one_label_it_is_the_label_mixture():
    z, columns, _ = collection(3000)
    index = torch.from_numpy(columns["shape"])
    field = Label("shape", LABEL.values, tuple((torch.bincount(index) / 3000).tolist()))
    schema = Schema((field,))
    single = {"shape": columns["shape"]}
    by_label, jointly = fit_density(z, index, field, "gaussian"), fit_joint(schema, single, z, "gaussian")
    c = schema.encode({"shape": np.append(columns["shape"][:500], -1)}, 501)
    assert torch.allclose(by_label(c).log_prob(z[:501]), jointly(c).log_prob(z[:501]), atol=2e-3)
    assert isinstance(fit_for(schema, single, c[:500], z[:500], "gaussian"), LabelMixture)


def test_each_schema_gets_its_density():
    z, columns, _ = collection(200)
    nothing = fit_for(Schema(), {}, Condition(torch.zeros(200, 0)), z, "gaussian")
    assert isinstance(nothing, LabelMixture) and nothing.labels == 0
    alone = Schema((SIZE,))
    assert isinstance(fit_for(alone, columns, alone.encode(columns, 200), z, "gaussian"), JointMixture)
    with pytest.raises(Refused, match="kind may be"):
        fit_for(alone, columns, alone.encode(columns, 200), z, "tree")
    with pytest.raises(Refused, match="one row for each"):
        fit_for(alone, columns, alone.encode(columns, 200)[:9], z)
    with pytest.raises(Refused, match="at least two rows"):
        fit_joint(alone, {"size": columns["size"][:1]}, z[:1])


def test_unknown_entries_are_left_out_or_filled_from_the_nearest():
    z, columns, _ = collection(2000)
    label, size = columns["shape"].copy(), columns["size"].copy()
    label[::2] = -1
    size[1::2] = NAN  # no row is whole
    schema = Schema((replace(LABEL, optional=True), replace(SIZE, optional=True)))
    density = fit_joint(schema, {"shape": label, "size": size}, z, components=40)
    held, told, _ = collection(1000, 1)
    whole = fit_joint(schema, columns, z, components=40)
    c = schema.encode(told, 1000)
    assert abs(density(c).log_prob(held).mean() - whole(c).log_prob(held).mean()) < 0.5
    u = torch.from_numpy(size - 10) / 2
    filled, numbers = completed(z.double(), torch.from_numpy(label)[:, None], u, 0)
    assert (filled[:, 0].numpy() == columns["shape"]).mean() > 0.99
    assert (numbers[:, 0] - torch.from_numpy(columns["size"][:, 0] - 10) / 2).abs().mean() < 0.5
    few = fit_joint(schema, {"shape": label[:6], "size": size[:6]}, z[:6])
    assert few(schema.encode({"shape": label, "size": size}, 2000)).log_prob(z).isfinite().all()


def test_fitting_is_repeatable_and_leaves_the_global_random_states_alone():
    z, columns, _ = collection(400)
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr]
    one, two = (fit_joint(SIZED, columns, torch.stack([z, z]), seed=3) for _ in range(2))
    assert torch.equal(one.mean, two.mean)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]


def test_no_rows_at_all():
    p = made()(Condition(torch.zeros(0, SCHEMA.width)))
    assert isinstance(p, Drawable) and p.log_prob(torch.zeros(0, 3)).shape == (0,)
