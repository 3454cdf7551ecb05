"""M2: the sum over labels against explicit ones, few labels drawn and mixed, and what is said of bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from shrunk import CASES, batch_of, model_of, schema_of

from condvae import fit
from condvae.api import prepare
from condvae.choice import Choice, ClassPrior, every_label
from condvae.classifiers import ConvClassifier, DenseClassifier
from condvae.consistency import Alignment, cut, information_lost, mixed, targets
from condvae.data import collect
from condvae.errors import Refused
from condvae.few import few_rows, inferred_label, mixed_order, mixed_weights
from condvae.fitting import Fitting
from condvae.models.m2 import M2
from condvae.noise import RowNoise, Stream
from condvae.objectives import distortion, kl, log_weights
from condvae.runs import load
from condvae.settings import settings_of
from condvae.tasks import importance
from condvae.trace import Batch, Condition, Draw
from condvae.warps import Warp, resample

TINY: dict[str, Any] = {
    "network": "mlp",
    "hidden": (24,),
    "z": 2,
    "epochs": 3,
    "batch": 16,
    "likelihood": "bernoulli",
    "infer": "auto",
    "hold_out": 0,
}
M2S = [name for name, case in CASES.items() if case.infer is not None]
PLAIN = [name for name in M2S if not CASES[name].auxiliary and not CASES[name].consistency]


def noise(rows: int) -> Draw:
    return Draw(RowNoise(7, np.arange(rows)))


def inferring(name: str) -> tuple[M2, torch.Tensor, Condition]:
    model = model_of(CASES[name])
    assert isinstance(model, M2)
    x, c = batch_of(schema_of(CASES[name]))
    return model, x, c


@pytest.mark.parametrize("name", PLAIN)
def test_the_folded_sum_over_labels_is_the_explicit_one(name: str) -> None:
    model, x, c = inferring(name)
    unknown = model.blank(c)
    with torch.no_grad():
        terms, notes = model.loss(Batch(x, unknown), 1.0, noise(len(x)))
        q = model.read(x, c).probs
        prior = model.class_prior.shares
        bound = (-(q * (q.log() - prior.log())).sum(1)).clone()
        for place in range(q.shape[1]):  # one pass of the inner model a label, as the paper writes it
            y = torch.eye(q.shape[1])[place].expand(len(x), -1)
            trace = model.vae(unknown.filled(model.span, y), x, draw=noise(len(x)))
            bound += q[:, place] * -(distortion(trace, x)[0] + kl(trace.latents[0]))
    total = terms["reconstruction"] + terms["rate"] + terms["label"]
    assert torch.allclose(total, -bound.mean(), rtol=1e-5)
    assert torch.allclose(notes["elbo"], bound.mean(), rtol=1e-5)
    assert float(terms["classifier"]) == 0  # no label to learn from


@pytest.mark.parametrize("name", [name for name in M2S if CASES[name].auxiliary and not CASES[name].consistency])
def test_the_folded_sum_with_an_auxiliary_latent_is_that_of_whole_passes(name: str) -> None:
    model, x, c = inferring(name)
    unknown = model.blank(c)
    with torch.no_grad():
        terms, _ = model.loss(Batch(x, unknown), 1.0, noise(len(x)))
        q = model.read(x, c, noise(len(x))).probs
        bound = (-(q * (q.log() - model.class_prior.shares.log())).sum(1)).clone()
        for place in range(q.shape[1]):
            y = torch.eye(q.shape[1])[place].expand(len(x), -1)
            trace = model(unknown.filled(model.span, y), x, draw=noise(len(x)))
            assert [latent.role for latent in trace.latents] == ["label", "code", "auxiliary"]
            bound += q[:, place] * bound_of_one_draw(trace, x)
    total = terms["reconstruction"] + terms["rate"] + terms["label"]
    assert torch.allclose(total, -bound.mean(), rtol=1e-5)


def bound_of_one_draw(trace: Any, x: torch.Tensor) -> torch.Tensor:
    """log p(x | y, z) - KL of z + log p(a | x, y, z) - log q(a | x), [B]: the bound of one draw, written out."""
    _, code, side = trace.latents
    ratio = side.p.log_prob(side.z) - side.q.log_prob(side.z)
    return -distortion(trace, x)[0] - kl(code) + ratio


@pytest.mark.parametrize("name", PLAIN)
def test_with_all_labels_known_it_is_the_conditional_model_and_a_classifier(name: str) -> None:
    model, x, c = inferring(name)
    place = torch.arange(len(x)) % 3
    y = torch.eye(3)[place]
    told = c.filled(model.span, y)
    with torch.no_grad():
        terms, _ = model.loss(Batch(x, told), 1.0, noise(len(x)))
        plain, _ = model.vae.loss(Batch(x, told), 1.0, noise(len(x)))
        cross = -model.read(x, told).logits[torch.arange(len(x)), place].mean()
    assert torch.allclose(terms["reconstruction"] + terms["rate"], torch.stack([*plain.values()]).sum(), rtol=1e-5)
    assert torch.allclose(terms["label"], -model.class_prior.shares.log()[place].mean(), rtol=1e-5)
    assert torch.allclose(terms["classifier"], model.reading.classify * cross, rtol=1e-5)


@pytest.mark.parametrize("name", M2S)
def test_look_and_conclude_are_the_forward_pass(name: str) -> None:
    model, x, c = inferring(name)
    encoder: Any = model.vae.encoder
    more = c.beside(torch.randn(len(x), CASES[name].auxiliary) if CASES[name].auxiliary else None)
    with torch.no_grad():
        whole, parts = encoder(x, more), encoder.conclude(encoder.look(x, more), more)
    assert torch.allclose(whole.mean, parts.mean, atol=1e-5)
    assert torch.allclose(whole.stddev, parts.stddev, atol=1e-5)


@pytest.mark.parametrize("name", M2S)
def test_a_known_label_costs_no_divergence_and_an_unknown_one_does(name: str) -> None:
    model, x, c = inferring(name)
    known = c.vector[:, model.span].sum(1) > 0
    with torch.no_grad():
        trace = model(c, x, draw=noise(len(x)))
        divergence = kl(trace.latents[0])
        assert torch.equal(divergence[known], torch.zeros(int(known.sum())))
        assert bool((divergence[~known] > 0).all())
        assert torch.equal(trace.z[0][known], c.vector[known, model.span])
        assert torch.equal(trace.z[0].sum(1), torch.ones(len(x)))
        assert log_weights(model(c, x, draw=Draw(RowNoise(7, np.arange(len(x))), k=5)), x).shape == (5, len(x))


def test_every_label_comes_once_for_unknown_rows() -> None:
    known = torch.tensor([True, False, True, False])
    given = torch.eye(3)[[0, 1, 2, 0]] * known[:, None]
    q = Choice(torch.log(torch.tensor([[0.2, 0.3, 0.5]] * 4)))
    index, labels, share = every_label(known, given, q)
    assert index.tolist() == [0, 2, 1, 1, 1, 3, 3, 3]
    assert labels.argmax(1).tolist() == [0, 2, 0, 1, 2, 0, 1, 2]
    assert torch.allclose(share, torch.tensor([1, 1, 0.2, 0.3, 0.5, 0.2, 0.3, 0.5]))


def test_choices_are_drawn_as_often_as_they_are_likely() -> None:
    choice = Choice(torch.log(torch.tensor([0.1, 0.2, 0.7])).expand(20_000, 3))
    drawn = choice.from_noise(Draw(Stream(seed=1)), 0)
    assert torch.allclose(drawn.mean(0), torch.tensor([0.1, 0.2, 0.7]), atol=0.015)
    assert torch.equal(choice.from_noise(Draw(temperature=0.0), 0).mean(0), torch.tensor([0.0, 0, 1]))
    assert torch.allclose(ClassPrior(torch.tensor([0.1, 0.9])).shares, torch.tensor([0.1, 0.9]))


def test_few_labels_are_balanced_and_pinned() -> None:
    names = [*"abcde"] * 40 + [None] * 7
    rows = few_rows(names, 15, 0)
    assert np.array_equal(rows, few_rows(names, 15, 0))
    assert not np.array_equal(rows, few_rows(names, 15, 1))
    assert sorted(names[row] or "" for row in rows) == sorted([*"abcde"] * 3)
    assert len(few_rows(names, 17, 0)) == 17  # two classes give one more
    assert few_rows(["a", "b", "b", "b", None], 4, 0).tolist() == [0, 1, 2, 3]
    assert few_rows([str(row % 10) for row in range(1000)], 10, 0).tolist() == PINNED  # the same on every machine
    with pytest.raises(Refused, match="labels must be from 1 to the 200 rows"):
        few_rows(names, 201, 0)


PINNED = [21, 64, 109, 257, 305, 688, 870, 913, 932, 996]


def test_batches_hold_their_share_of_labelled_rows() -> None:
    known = torch.zeros(1000, dtype=torch.bool)
    known[::50] = True
    orders = [mixed_order(known, 32, 0.25, epoch, 0) for epoch in (0, 1)]
    for order in orders:
        assert len(order) == 1000
        counts = [int(known[batch].sum()) for batch in order.split(32)]
        assert set(counts[:-1]) == {8} and counts[-1] == 2
    unlabelled = torch.cat([order[~known[order]] for order in orders])
    assert len(set(unlabelled[:980].tolist())) == 980  # every one comes in its turn, across epochs
    weights = mixed_weights(known, 32, 0.25)
    first = orders[0][:32]
    assert torch.allclose(weights[first].mean(), torch.tensor(1.0))
    assert torch.allclose((weights[first] * known[first]).sum() / 32, torch.tensor(20 / 1000))


def test_classes_are_those_that_are_named_and_clusters() -> None:
    settings = settings_of(TINY, {"classes": 4})
    field = inferred_label("sign", ["a", None, "b", None, "a"], ("c",), settings)
    assert field.values == ("a", "b", "c", "cluster 1") and not field.optional
    assert field.shares == pytest.approx((3 / 7, 2 / 7, 1 / 7, 1 / 7))
    even = inferred_label("sign", ["a", None, "b", "a"], (), settings_of(TINY, {"class_prior": "uniform"}))
    assert even.shares == (0.5, 0.5)
    with pytest.raises(Refused, match="no row has a known 'sign', so how many classes"):
        inferred_label("sign", [None] * 4, (), settings_of(TINY))
    with pytest.raises(Refused, match="classes must be at least the 3"):
        inferred_label("sign", [*"abc"], (), settings_of(TINY, {"classes": 2}))


def test_alignment_makes_readings_as_frequent_as_the_prior() -> None:
    align = Alignment(2)
    readings = torch.tensor([[0.9, 0.1], [0.7, 0.3]])
    for _ in range(2000):
        align.observe(readings)
    align.observe(readings[:0])  # where all labels are known nothing is observed
    aligned = align(readings, torch.tensor([0.5, 0.5]))
    assert torch.allclose(aligned[0], torch.tensor([0.9 / 0.8, 0.1 / 0.2]) / (0.9 / 0.8 + 0.1 / 0.2), atol=1e-3)
    wanted, sure = targets(torch.tensor([[0.97, 0.03], [0.6, 0.4]]))
    assert wanted.tolist() == [[1, 0], [1, 0]] and sure.tolist() == [1, 0]


def test_views_keep_their_shape_and_range() -> None:
    x = torch.rand(6, 3, 11, 8)
    seen = cut(x, Stream(seed=0))
    assert seen.shape == x.shape and bool(((seen == x) | (seen == 0.5)).all()) and not torch.equal(seen, x)
    blend, wanted = mixed(x, torch.eye(6), Stream(seed=1))
    assert blend.shape == x.shape and torch.allclose(wanted.sum(1), torch.ones(6))
    assert bool((wanted.max(1).values >= 0.5).all())


def test_warps_move_as_far_as_they_are_asked_to() -> None:
    x = torch.rand(6, 1, 12, 9)
    still = Warp(0.0, 0.0, 0.0, 0.0)(x, Stream(seed=0))
    assert torch.allclose(still, x, atol=1e-5)
    aside = Warp(0.0, 0.0, 0.0, 0.5)
    first, second = (aside(x, Stream(seed=seed)) for seed in (1, 2))
    assert not torch.allclose(first, second) and float(first.min()) >= 0 and float(first.max()) <= 1
    bent = [Warp(0.0, 0.0, 0.0, 0.0, bend)(x, Stream(seed=3)) for bend in (0.02, 0.2)]
    assert float((bent[0] - x).abs().mean()) < float((bent[1] - x).abs().mean())
    half = torch.zeros(1, 2, 5, 5)
    half[:, 0] = 2 / 9  # one pixel of nine to the right everywhere: what is read there is shown here
    eye = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    assert torch.allclose(resample(x[:1], eye, half)[..., :-1], x[:1, ..., 1:], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 28, 28), (3, 37, 53), (1, 112, 92)])
def test_the_convolutional_classifier_reads_any_size(shape: tuple[int, int, int]) -> None:
    classifier = ConvClassifier(shape, 2, 5, 4, 1, "silu", "batch").eval()
    with torch.no_grad():
        read = classifier(torch.rand(3, *shape), Condition(torch.zeros(3, 2)))
    assert read.probs.shape == (3, 5) and torch.allclose(read.probs.sum(1), torch.ones(3))


def signs(rows: int = 240, labelled: int = 24) -> tuple[np.ndarray, list[str | None], list[str]]:
    """Three bars on 8 x 8, with noise; most labels are blank."""
    rng = np.random.default_rng(0)
    truth = [*"abc"] * (rows // 3)
    x = 0.2 * rng.random((rows, 1, 8, 8)).astype(np.float32)
    for row, name in enumerate(truth):
        place = 1 + 2 * "abc".index(name)
        x[row, 0, :, place : place + 2] += 0.7
    few: list[str | None] = [name if row < labelled else None for row, name in enumerate(truth)]
    return x, few, truth


def test_from_arrays_with_blanks_to_all_tasks(tmp_path) -> None:
    x, few, truth = signs()
    settings: dict[str, Any] = {**TINY, "epochs": 12, "density": "mixture"}
    run = fit(x, {"sign": few}, test=(x, {"sign": truth}), out=tmp_path / "run", progress=False, **settings)
    read = run.classify(x)
    assert np.mean(np.asarray(read.names) == np.asarray(truth)) > 0.95
    assert np.allclose(read.probabilities.sum(1), 1)
    assert run.settings.infer == "sign" and not run.schema.fields[0].optional
    again = load(tmp_path / "run")
    drawn = run.generate({"sign": ["a", "b", "c"]}, n=4, seed=1)
    assert np.array_equal(drawn, again.generate({"sign": ["a", "b", "c"]}, n=4, seed=1))
    assert np.array_equal(read.probabilities, again.classify(x).probabilities)
    shown = np.asarray(run.classify(drawn.reshape(-1, 1, 8, 8)).names).reshape(3, 4)
    assert np.mean(shown == np.asarray([["a"], ["b"], ["c"]])) > 0.9
    assert run.restyle(x[:3], None, {"sign": ["a", "b"]}).shape == (3, 2, 1, 8, 8)
    assert run.reconstruct(x[:3]).shape == (3, 1, 8, 8)
    assert run.embed(x[:5]).shape == (5, 2)
    assert run.interpolate(x[:2], x[2:4], steps=3).shape == (2, 3, 1, 8, 8)
    assert run.manifold({"sign": "a"}, size=3).shape == (3, 3, 1, 8, 8)
    summed = run.log_prob(x[:4], k=20)
    each = [run.log_prob(x[:4], {"sign": name}, k=20) for name in "abc"]
    shares = np.log(run.schema.fields[0].shares)[:, None]  # pyright: ignore[reportAttributeAccessIssue]
    assert np.allclose(summed, np.logaddexp.reduce(np.stack(each) + shares, axis=0))
    assert np.isfinite(importance(run.learned, x[:4], {"sign": "a"}, k=8).log_prob).all()


def test_a_recipe_keeps_the_labels_that_there_are() -> None:
    x, few, _ = signs()
    fitting = prepare(collect(x, {"sign": few}), {"epochs": 0}, "kingma-m2")
    assert fitting.settings.infer == "sign" and fitting.settings.labels is None
    assert sum(name is not None for name in fitting.kept.labels["sign"]) == 24


def test_labels_are_drawn_and_recorded(tmp_path) -> None:
    x, _, truth = signs()
    fitting = Fitting(collect(x, {"sign": truth}), settings_of(TINY, {"labels": 9, "hold_out": 40}), tmp_path / "run")
    assert sum(name is not None for name in fitting.kept.labels["sign"]) == 9
    for _ in fitting.steps():
        pass
    run = fitting.finish()
    rows = run.facts["labelled_rows"]
    assert len(rows) == 9 and sorted(truth[row] for row in rows) == sorted([*"abc"] * 3)
    assert "error" in run.history[-1]["validation"]  # the rows held out keep their labels
    assert load(tmp_path / "run").facts["labelled_rows"] == rows
    assert any("9 of 200 rows have it (3 a class, drawn by the seed)" in line for line in fitting.lines)


def test_labelled_rows_are_not_held_out() -> None:
    x, few, _ = signs()
    fitting = Fitting(collect(x, {"sign": few}), settings_of(TINY, {"hold_out": 50}))
    assert sum(name is not None for name in fitting.kept.labels["sign"]) == 24
    assert fitting.held is not None and len(fitting.held) == 50


def test_none_known_makes_clusters_and_a_class_without_rows_is_named(tmp_path) -> None:
    x, few, truth = signs()
    clusters: dict[str, Any] = {**TINY, "classes": 3}
    run = fit(x, {"sign": [None] * len(x)}, progress=False, **clusters)
    assert run.classify(x[:4]).values == ("cluster 1", "cluster 2", "cluster 3")
    clusters |= {"classes": 2, "infer": "kind", "epochs": 1}
    bare = fit(x, None, progress=False, **clusters)
    assert bare.generate({"kind": "cluster 2"}, n=2).shape == (2, 1, 8, 8)
    some: dict[str, Any] = {**TINY, "classes": 4, "epochs": 1}
    more = fit(x, {"sign": few}, out=tmp_path / "run", progress=False, **some)  # its report says what no judge can read
    assert more.classify(x[:1]).values == ("a", "b", "c", "cluster 1")
    assert "cluster 1" in (tmp_path / "run" / "report.html").read_text()
    only = [name if name != "c" else None for name in few]
    fitting = Fitting(collect(x, {"sign": only}, x, {"sign": truth}), settings_of(TINY))
    assert any("1 class has no labelled row: 'c'" in line for line in fitting.lines)
    for _ in fitting.steps():
        pass
    assert fitting.finish().generate({"sign": "c"}, n=2).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"infer": None, "labels": 10}, "labels=10 goes with a label that is inferred"),
        ({"infer": "sing"}, "infer is one of sign.*did you mean"),
        ({"labels": 500}, "labels must be from 1 to the 240 rows"),
        ({"holes": "any"}, "holes must be 'none' where a label is inferred"),
        ({"importance": True}, "importance must be False"),
        ({"mixup": 1.0}, "give consistency, too"),
        ({"beta_start": 5.0, "warm_up": 0.0}, "beta_start goes to beta over the share warm_up"),
        ({"guide": 0.3, "consistency": 1.0}, "guide leads by consistency and information; give both"),
    ],
)
def test_what_does_not_go_together_is_refused(changed: dict[str, Any], words: str) -> None:
    x, _, truth = signs()
    with pytest.raises(Refused, match=words):
        Fitting(collect(x, {"sign": truth}), settings_of({**TINY, **changed}))


def test_a_label_outside_the_schema_is_refused() -> None:
    x, few, _ = signs()
    once: dict[str, Any] = {**TINY, "epochs": 1}
    run = fit(x, {"sign": few}, progress=False, **once)
    with pytest.raises(Refused, match="sign is one of a, b, c; got 'd'"):
        run.generate({"sign": "d"})


def test_information_lost_is_the_closed_form() -> None:
    """Readings that tell all of one another lose nothing; those that tell nothing lose log K; a uniform prior gives
    log K less the mutual information; one that only tells plain from changed views tells nothing."""
    prior = torch.full((4,), 0.25)
    same = torch.eye(4).repeat(3, 1)
    assert information_lost(same, same, prior) == pytest.approx(0, abs=1e-5)
    flat = torch.full((8, 4), 0.25)
    assert information_lost(flat, flat, prior) == pytest.approx(math.log(4), abs=1e-5)
    gen = torch.Generator().manual_seed(1)
    a, b = (torch.randn(50, 4, generator=gen).softmax(1) for _ in range(2))
    joint = torch.stack([torch.outer(p, q) for p, q in zip(a, b, strict=True)]).mean(0)
    one, other = joint.sum(1), joint.sum(0)
    mutual = sum(joint[i, j] * math.log(joint[i, j] / (one[i] * other[j])) for i in range(4) for j in range(4))
    assert information_lost(a, b, prior) == pytest.approx(math.log(4) - float(mutual), abs=1e-5)
    skewed = torch.tensor([0.7, 0.1, 0.1, 0.1])
    rare = skewed.expand(8, 4)  # readings as the prior are no better than any that tell nothing: its entropy is lost
    assert information_lost(rare, rare, skewed) == pytest.approx(-float((skewed * skewed.log()).sum()), abs=1e-5)
    parted = torch.eye(4)[:1].expand(8, 4)
    changed = torch.eye(4)[1:2].expand(8, 4)
    assert information_lost(parted, changed, prior) == pytest.approx(math.log(4), abs=1e-5)
    assert information_lost(a[:0], b[:0], prior) == 0


def test_information_finds_groups_without_a_label() -> None:
    """Two kinds of pictures, no label: readings that inform of one another tell them apart."""
    rows, columns = torch.zeros(2, 64, 1, 12, 12)
    rows[:, :, 5:7, 1:11] = 1
    columns[:, :, 1:11, 5:7] = 1
    x = (0.8 * torch.cat([rows, columns]) + 0.2 * torch.rand(128, 1, 12, 12, generator=torch.Generator())).numpy()
    told: dict[str, Any] = {"classes": 2, "information": 20.0, "classifier": "residual", "width": 8, "epochs": 25}
    run = fit(x, None, progress=False, **TINY | told)
    read = run.classify(x).probabilities.argmax(1)
    share = (read[:64] == 1).mean() + (read[64:] == 0).mean()
    assert abs(share / 2 - 0.5) > 0.45


def test_the_guide_leads_and_is_then_silent() -> None:
    """In its share of the training the information is that of the guide's readings; afterwards it learns no more."""
    model, x, c = inferring("m2-consistent")
    model.train()
    told = c.filled(model.span, c.vector[:, model.span] * (torch.arange(len(x)) % 2)[:, None])
    assert model.guide is not None
    for progress, leads in ((0.2, True), (0.8, False)):
        model.zero_grad()
        terms, _ = model.loss(Batch(x, told), progress, noise(len(x)))
        assert ("guide" in terms) == leads
        terms["information"].backward(retain_graph=True)
        moved = [any(one.grad is not None for one in part.parameters()) for part in (model.guide, model.classifier)]
        assert moved == [leads, not leads]
        torch.stack(list(terms.values())).sum().backward()
        assert all((one.grad is not None) == leads for one in model.guide.parameters())
        assert all(one.grad is not None for one in model.classifier.parameters())


def test_the_dense_classifier_reads_colour_and_a_condition() -> None:
    classifier = DenseClassifier((3, 5, 4), 2, 6, (8, 7), "silu").eval()
    c = torch.zeros(3, 2)
    with torch.no_grad():
        read = classifier(torch.rand(3, 3, 5, 4), Condition(c))
    assert read.probs.shape == (3, 6) and torch.allclose(read.probs.sum(1), torch.ones(3))
