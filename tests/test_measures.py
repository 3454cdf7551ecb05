"""Measures against closed forms, and against models that are known to be good, blind or deaf."""

import json
import math
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from condvae.conditions import Label, Schema
from condvae.data import Part
from condvae.distances import moments, pairwise
from condvae.errors import Refused
from condvae.evaluation import Evaluation, Likelihood, Obedience, Share
from condvae.findings import Sharpness
from condvae.heads import Bernoulli, DiscretisedLogistic, diagonal
from condvae.images import as_images
from condvae.judges import Judge, JudgeCard, JudgeReading
from condvae.learned import Learned
from condvae.likelihoods import Within
from condvae.measures import evaluate, frechet, frechet_from_moments, wilson
from condvae.models.vae import VAE
from condvae.priors import StandardNormal
from condvae.tasks import generate
from condvae.verdicts import verdicts

SIDE, NAMES = 6, ("a", "b", "c")
FIELD = Label("sign", NAMES, (0.5, 0.3, 0.2))
ROWS = torch.arange(SIDE)[:, None].expand(SIDE, SIDE)
TEMPLATES = torch.stack([4.0 * torch.eq(ROWS // 2, k) - 2.0 for k in range(3)])  # a level band a label
STYLE = torch.tensor([1.0, -1.0] * 3).expand(SIDE, SIDE)  # upright stripes: orthogonal to every template
IMAGES = 300


class Signs(nn.Module):
    """Decoder: logits of the label's template (unless deaf to c) plus z times the stripes (unless blind to z)."""

    def __init__(self, uses_c: bool, uses_z: bool) -> None:
        super().__init__()
        self.uses_c, self.uses_z = uses_c, uses_z

    def forward(self, z, c):
        one_hot = c.vector if self.uses_c else torch.tensor([1.0, 0, 0]).expand(c.rows, 3)
        logits = torch.einsum("bk,khw->bhw", one_hot, TEMPLATES)
        return Bernoulli((logits + self.uses_z * z[:, :1, None] * STYLE)[:, None])


class Reader(nn.Module):
    """Encoder: the stripes' strength as the mean of unit 0; unit 1 tells the label; or, asleep, the prior."""

    def __init__(self, asleep: bool = False, z: int = 2) -> None:
        super().__init__()
        self.asleep, self.z = asleep, z

    def forward(self, x, c):
        if self.asleep:
            return diagonal(torch.zeros(len(x), self.z), torch.zeros(len(x), self.z))
        style = (torch.logit(x[:, 0].clamp(1e-4, 1 - 1e-4)) * STYLE).mean((1, 2))
        label = c.vector @ torch.arange(3.0)
        return diagonal(torch.stack([style, label], 1), torch.full((len(x), 2), -2.0))


def learned(uses_c: bool = True, uses_z: bool = True, asleep: bool = False) -> Learned:
    model = VAE(Reader(asleep), StandardNormal(2), Signs(uses_c, uses_z))
    return Learned(model, Schema((FIELD,)), (1, SIDE, SIDE))


def signs(n: int = IMAGES, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    index = rng.choice(3, n, p=FIELD.shares)
    style = torch.from_numpy(rng.normal(size=n).astype(np.float32))
    x = torch.sigmoid(TEMPLATES[index] + style[:, None, None] * STYLE)[:, None].numpy()
    return x, [NAMES[i] for i in index]


class Known(Judge):
    """A judge that reads the brightest band, and whose features are pixels; blind, it always reads "a"."""

    def __init__(self, accuracy: float = 0.99, blind: bool = False, values: tuple[str, ...] = NAMES) -> None:
        right = round(1000 * accuracy)
        super().__init__(JudgeCard("signs", values, (1, SIDE, SIDE), right=right, tested=1000))
        self.blind = blind

    def read(self, x: object) -> JudgeReading:
        images, _ = as_images(x)
        pictures = images[:].float()
        score = torch.einsum("nhw,khw->nk", pictures[:, 0], TEMPLATES)
        index = torch.zeros(len(score), dtype=torch.int64) if self.blind else score.argmax(1)
        return JudgeReading(index.numpy(), score.softmax(1).numpy(), pictures.flatten(1).numpy())


def measured(subject: Learned, **settings: Any) -> Evaluation:
    x, names = signs()
    settings = {"k": 5, "limit": 100} | settings
    settings["judge"] = settings.get("judge") or Known()
    return evaluate(subject, x, {"sign": names}, **settings)


def said(evaluation: Evaluation, words: str) -> bool:
    return any(words in sentence for sentence in evaluation.words)


# --- statistics ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_against_newcombes_published_intervals(successes, n, low, high):
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3
    assert wilson(successes, n, 1.959964) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=100, deadline=None)
def test_wilson_holds_the_share_within_zero_and_one_and_is_symmetric(pair):
    successes, n = pair
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert wilson(n - successes, n) == (pytest.approx(1 - high), pytest.approx(1 - low))


def test_wilson_at_its_ends_and_refusals():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(50, 50)[1] == 1.0
    with pytest.raises(Refused, match="from 0 to n = 3"):
        wilson(4, 3)


def test_frechet_of_one_dimensional_gaussians_is_the_closed_form():
    one = np.ones((1, 1))
    found = frechet_from_moments(np.array([1.0]), 4 * one, np.array([3.0]), 25 * one)
    assert found == pytest.approx((1 - 3) ** 2 + (2 - 5) ** 2)


def test_frechet_of_commuting_covariances_is_the_closed_form():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    a, b = rng.uniform(0.1, 3, 5), rng.uniform(0.1, 3, 5)
    found = frechet_from_moments(np.zeros(5), basis * a @ basis.T, np.full(5, 2.0), basis * b @ basis.T)
    assert found == pytest.approx(20 + np.square(np.sqrt(a) - np.sqrt(b)).sum())


def test_frechet_agrees_with_scipys_root_of_the_product():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(200, 8)) @ rng.normal(size=(8, 8)), rng.normal(size=(300, 8)) @ rng.normal(size=(8, 8)) + 1
    (mean_a, a), (mean_b, b) = moments(x), moments(y)
    root = scipy.linalg.sqrtm(a @ b)
    expected = np.square(mean_a - mean_b).sum() + np.trace(a + b - 2 * np.real(root))
    assert frechet(x, y) == pytest.approx(expected, rel=1e-8)
    assert frechet(y, x) == pytest.approx(frechet(x, y), rel=1e-8)


def test_frechet_of_the_same_is_nothing_and_of_a_shift_its_square_even_where_covariances_are_singular():
    x = np.random.default_rng(2).normal(size=(20, 64)).astype(np.float32)
    assert frechet(x, x) == pytest.approx(0, abs=1e-5)
    assert frechet(x, x.astype(np.float64) + 3) == pytest.approx(9 * 64, rel=1e-6)
    with pytest.raises(Refused, match="at least two rows"):
        frechet(x[:1], x)


def test_pairwise_is_the_mean_over_all_pairs():
    assert pairwise(np.array([[0.0, 0], [3, 4], [0, 8]])) == pytest.approx((5 + 8 + 5) / 3)


def test_variance_within_groups_is_pooled_and_does_not_see_the_groups_means():
    rng = np.random.default_rng(3)
    rows, group = rng.normal(size=(40, 3)) + 1e4, np.arange(40) % 4
    rows += 1000 * group[:, None]
    within = Within(5, 3)
    within.add(rows[:13], group[:13])
    within.add(rows[13:], group[13:])
    expected = sum(9 * rows[group == g].var(0, ddof=1) for g in range(4)) / 36
    np.testing.assert_allclose(within.variance(), expected, rtol=1e-6)


# --- models known to be good, blind or deaf --------------------------------------------------------------------------


def test_a_good_model_is_told_to_be_good():
    x, names = signs(seed=5)
    real = Part(as_images(x)[0], {"sign": tuple(names)})
    found = measured(learned(), real_train=real)
    assert found.obedience is not None and found.diversity is not None and found.frechet is not None
    assert found.obedience.overall.share > 0.99
    assert found.diversity.pixels.ratio == pytest.approx(1, abs=0.15)
    assert found.frechet.drawings == IMAGES and found.frechet.real_draws == 10
    assert found.frechet.real_mean is not None and found.frechet.distance < 5 * found.frechet.real_mean + 0.05
    assert said(found, "The condition is obeyed") and said(found, "The pictures of a label vary")
    assert not any(said(found, bad) for bad in ("ignore", "alike", "idle", "too weak"))


def test_drawings_of_a_good_model_are_sharp_and_varied_and_no_copies():
    x, names = signs(seed=5)
    real = Part(as_images(x)[0], {"sign": tuple(names)})
    found = measured(learned(), real_train=real)
    assert found.sharpness is not None and found.manifolds is not None and found.nearness is not None
    assert found.sharpness.ratio == pytest.approx(1, abs=0.03) and found.sharpness.drawings == IMAGES
    beside = found.manifolds.real_precision, found.manifolds.real_recall
    for share, of_real in zip((found.manifolds.precision, found.manifolds.recall), beside, strict=True):
        assert of_real is not None and share.share == pytest.approx(of_real.share, abs=0.1) and share.share > 0.5
    assert 0.5 < found.nearness.ratio < 2
    assert (found.nearness.pictures, found.nearness.training) == (IMAGES, IMAGES)
    assert not any(said(found, bad) for bad in ("blurry", "noisier", "Modes", "copies"))
    table = {name: beside for name, _, beside in found.table()}
    assert "real training images" in table["recall: real images among drawings"]
    assert "300 against 300 training images" in table["distance to the nearest training image"]


def test_faint_drawings_miss_modes_and_are_not_sharp():
    class Faint(Signs):
        def forward(self, z, c):
            return Bernoulli(0.3 * super().forward(z, c).parameters)

    found = measured(Learned(VAE(Reader(), StandardNormal(2), Faint(True, True)), Schema((FIELD,)), (1, SIDE, SIDE)))
    assert found.sharpness is not None and found.sharpness.ratio < 0.5 and said(found, "The drawings are blurry")
    assert found.nearness is None and found.manifolds is not None and found.manifolds.real_recall is None


def test_evaluations_made_before_sharpness_was_measured_are_still_read():
    found = measured(learned())
    new = {"sharpness", "manifolds", "nearness"}
    old = Evaluation.model_validate({name: value for name, value in found.model_dump().items() if name not in new})
    assert (old.sharpness, old.manifolds, old.nearness) == (None, None, None)
    assert len(old.table()) == len(found.table()) - 3


def test_drawings_in_blocks_have_the_same_sharpness(monkeypatch):
    whole = measured(learned())
    monkeypatch.setattr("condvae.sharpness.ENTRIES_AT_ONCE", 36 * 7)
    assert measured(learned()).sharpness == whole.sharpness


def test_a_unit_that_tells_the_label_alone_is_not_active_within_a_condition():
    assert measured(learned()).active_units == 1


def test_a_decoder_that_ignores_z_with_a_sleeping_encoder_scores_exactly_its_cross_entropy():
    x, names = signs()
    found = measured(learned(uses_z=False, asleep=True), limit=0)
    logits = TEMPLATES[FIELD.index(names)][:, None]
    score = nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(x), reduction="none")
    expected = score.flatten(1).sum(1).mean().item()
    assert found.bound is not None and found.likelihood is not None
    assert found.bound.mean == pytest.approx(-expected, rel=1e-5)
    assert found.likelihood.mean == pytest.approx(expected, rel=1e-5)
    assert found.likelihood.effective_least == pytest.approx(5)
    assert found.rate.mean == 0 and found.active_units == 0 and found.kl_per_unit == [0, 0]
    assert said(found, "The decoder ignores z") and said(found, "free_bits")
    assert not said(found, "alike") and not said(found, "The condition is ignored")


def test_a_decoder_that_ignores_z_is_caught_by_its_drawings_though_the_encoder_is_awake():
    found = measured(learned(uses_z=False))
    assert found.active_units == 1 and found.rate.mean > 1
    assert said(found, "The decoder ignores z") and said(found, "one and the same picture")
    assert found.diversity is not None and found.diversity.pixels.ratio == pytest.approx(0, abs=1e-6)


def test_a_decoder_that_ignores_the_condition_is_caught_by_obedience_at_chance():
    found = measured(learned(uses_c=False))
    assert found.obedience is not None and found.label_gain is not None
    asked_a = signs()[1].count("a") / IMAGES
    assert found.obedience.overall.share == pytest.approx(asked_a)
    assert found.obedience.chance == pytest.approx(asked_a)
    assert found.obedience.per_label["a"].share == 1 and found.obedience.per_label["b"].share == 0
    assert said(found, "The condition is ignored") and not said(found, "ignores z")


def test_a_decoder_that_ignores_the_condition_is_caught_without_a_judge():
    x, names = signs()
    model = learned(uses_c=False, asleep=True)
    found = evaluate(model, x, {"sign": names}, k=2, limit=50)
    assert found.obedience is None and found.frechet is None
    assert found.manifolds is None and found.nearness is None and found.sharpness is not None
    assert found.label_gain is not None and found.label_gain.mean == 0
    assert said(found, "The condition is ignored: a wrong label costs 0.00 nats")


def test_pictures_that_hardly_vary_are_said_to_be_alike():
    class Faint(Signs):
        def forward(self, z, c):
            return super().forward(0.2 * z, c)

    subject = Learned(VAE(Reader(), StandardNormal(2), Faint(True, True)), Schema((FIELD,)), (1, SIDE, SIDE))
    found = measured(subject)
    assert said(found, "The pictures of a label are all alike") and not said(found, "ignores z")


def test_a_weak_judge_says_that_it_cannot_tell():
    found = measured(learned(), judge=Known(accuracy=0.5))
    assert said(found, "too weak to tell") and not said(found, "The condition is")
    unknown = Known()
    unknown.card = JudgeCard("signs", NAMES, (1, SIDE, SIDE))
    found = measured(learned(), judge=unknown)
    assert found.obedience is not None and found.obedience.judge_accuracy is None
    assert said(found, "not known")


def test_obedience_is_that_of_the_drawings_that_generate_gives():
    _, names = signs()
    judge = Known()
    found = measured(learned(), judge=judge, seed=3)
    made = generate(learned(), {"sign": names}, 1, seed=3)[:, 0]
    right = (judge.read(made).index == FIELD.index(names)).sum()
    assert found.obedience is not None and found.obedience.overall.right == right
    assert sum(part.of for part in found.obedience.per_label.values()) == IMAGES


def test_fewer_drawings_keep_the_frequencies_of_their_own_reference():
    found = measured(learned(), draws=40)
    assert found.obedience is not None and found.obedience.overall.of == 40
    assert found.frechet is not None and found.frechet.drawings == 40


def test_drawings_made_in_blocks_are_all_judged(monkeypatch):
    monkeypatch.setattr("condvae.drawings.ENTRIES_AT_ONCE", 36 * 70)
    found = measured(learned())
    assert found.obedience is not None and found.obedience.overall.of == IMAGES
    assert found.obedience.overall.share > 0.99
    assert found.diversity is not None and found.diversity.pixels.ratio == pytest.approx(1, abs=0.15)


def test_a_judge_whose_values_stand_in_another_order_is_read_by_name():
    class Turned(Known):
        def read(self, x: object) -> JudgeReading:
            reading = super().read(x)
            return JudgeReading(2 - reading.index, reading.probabilities[:, ::-1], reading.features)

    found = measured(learned(), judge=Turned(values=("c", "b", "a")))
    assert found.obedience is not None and found.obedience.overall.share > 0.99


def test_a_judge_that_lacks_a_value_is_refused():
    with pytest.raises(Refused, match="judge must know all values of sign, but c"):
        measured(learned(), judge=Known(values=("a", "b", "z")))


# --- protocols, unknown labels, form ---------------------------------------------------------------------------------


def test_protocols_are_named():
    x, names = signs(40)
    grey = learned()
    assert measured(grey).protocol == "grey BCE score, not a density"
    dynamic = Learned(grey.model, grey.schema, grey.shape, "dynamic")
    assert "dynamic binarisation" in measured(dynamic, seed=4).protocol
    assert "seed 4" in measured(dynamic, seed=4).protocol
    binary = evaluate(grey, (x > 0.5).astype(np.float32), {"sign": names}, k=2)
    assert binary.protocol == "binary pixels as they are"


def test_eight_bit_pixels_are_given_in_bits_per_dimension():
    class Logistic(nn.Module):
        def forward(self, z, c):
            return DiscretisedLogistic(Signs(True, True)(z, c).mean, torch.tensor(-3.0))

    subject = Learned(VAE(Reader(), StandardNormal(2), Logistic()), Schema((FIELD,)), (1, SIDE, SIDE))
    found = measured(subject)
    assert found.likelihood is not None
    assert found.bits_per_dimension == pytest.approx(found.likelihood.mean / (SIDE**2 * math.log(2)))
    assert "8-bit" in found.protocol
    assert measured(learned()).bits_per_dimension is None


def test_unknown_labels_are_counted_and_passed_over_in_drawing():
    x, names = signs()
    partly = [None if i < 30 else name for i, name in enumerate(names)]
    found = evaluate(learned(), x, {"sign": partly}, Known(), k=2, limit=0)
    assert "summed over" in found.unknown and "30 images" in found.unknown
    assert found.images == IMAGES
    assert found.obedience is not None and found.obedience.overall.of == IMAGES - 30
    assert found.classification is not None and found.classification.of == IMAGES - 30
    none = evaluate(learned(), x, None, Known(), k=2, limit=20)
    assert none.obedience is None and none.label_gain is None and none.classification is None
    assert none.frechet is not None


def test_a_plain_vae_is_measured_without_labels():
    class Plain(nn.Module):
        def forward(self, z, c):
            return Bernoulli((TEMPLATES[0] + z[:, :1, None] * STYLE)[:, None])

    class PlainReader(Reader):
        def forward(self, x, c):
            return diagonal(torch.zeros(len(x), 2), torch.zeros(len(x), 2))

    subject = Learned(VAE(PlainReader(), StandardNormal(2), Plain()), Schema(), (1, SIDE, SIDE))
    found = evaluate(subject, signs()[0], None, Known(), k=2, limit=20)
    assert found.obedience is None and found.label_gain is None and found.frechet is not None
    assert not said(found, "label") and not said(found, "condition is")


def test_the_limit_bounds_the_weighed_images_and_zero_takes_all():
    some, every = measured(learned()).likelihood, measured(learned(), limit=0).likelihood
    assert some is not None and some.images == 100
    assert every is not None and every.images == IMAGES
    found = measured(learned())
    assert any("100 of 300 images" in sentence for sentence in found.sentences())


def test_the_same_seed_gives_the_same_evaluation_and_leaves_everything_as_it_was():
    subject, judge = learned(), Known()
    subject.model.train()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = measured(subject, judge=judge)
    assert torch.equal(torch.get_rng_state(), state)
    assert subject.model.training and torch.is_grad_enabled()
    assert first == measured(subject, judge=judge)
    assert first != measured(subject, judge=judge, seed=1)


def test_it_is_plain_json_that_can_be_read_again():
    found = measured(learned())
    data = json.loads(json.dumps(found.model_dump(), allow_nan=False))
    assert Evaluation.model_validate(data) == found
    assert data["obedience"]["overall"]["low"] < data["obedience"]["overall"]["share"]


def test_the_table_holds_every_number_that_was_found():
    table = {name: (value, beside) for name, value, beside in measured(learned()).table()}
    assert {"bound on log p(x | sign)", "-log p(x | sign)", "asked label = label read", "  asked for b"} <= set(table)
    assert "99.00 %" in table["asked label = label read"][1]
    assert "k = 5" in table["-log p(x | sign)"][1]
    assert table["active units within a condition"][0] == "1 of 2"


def test_progress_is_told_for_every_part():
    parts = []
    measured(learned(), progress=lambda what, done, total: parts.append((what, done, total)))
    assert {what for what, _, _ in parts} == {"bound", "likelihood", "classification", "drawings"}
    assert all(0 < done <= total for _, done, total in parts)


def test_idle_latents_and_a_likelihood_that_rests_on_one_sample_are_told():
    like = Likelihood(mean=80, standard_error=1, images=10, k=100, effective_mean=1.2, effective_least=1)
    words = verdicts(5.0, 3, 40, None, None, None, like, (), "model")
    assert any("Most of z is idle: 3 of 40" in sentence for sentence in words)
    assert any("raise k" in sentence for sentence in words)


@pytest.mark.parametrize("prior", ["model", "fitted"])
def test_the_fitted_prior_is_advised_only_where_it_was_not_used(prior):
    like = Likelihood(mean=80, standard_error=1, images=10, k=1, effective_mean=1, effective_least=1)
    part = Share(right=70, of=100)
    half = Obedience(
        field="sign", overall=part, per_label={"a": part}, chance=0.5, judge_accuracy=0.99, judge="judge: known"
    )
    words = verdicts(5.0, 4, 4, None, half, None, like, (0.5, 0.5), prior)
    assert any("obeyed in part" in sentence and "Worst: a (70 %)" in sentence for sentence in words)
    assert any("the fitted prior" in sentence for sentence in words) == (prior == "model")


def test_nothing_is_advised_that_a_model_of_several_codes_cannot_do():
    like = Likelihood(mean=80, standard_error=1, images=10, k=1, effective_mean=1, effective_least=1)
    part = Share(right=70, of=100)
    half = Obedience(
        field="sign", overall=part, per_label={"a": part}, chance=0.5, judge_accuracy=0.99, judge="judge: known"
    )
    blurred = Sharpness(ratio=0.4, standard_error=0.01, drawings=9)
    told = {codes: " ".join(blamed(half, like, blurred, codes)) for codes in (1, 10)}
    for word in ("the fitted prior", "A z of 6 would do", "critic"):
        assert word in told[1] and word not in told[10]
    assert "Most of z is idle" in told[10] and "blurry" in told[10] and "lower temperature" in told[10]


def blamed(obedience: Obedience, likelihood: Likelihood, sharpness: Sharpness, codes: int) -> list[str]:
    """The verdicts on a model of 40 units, of which 3 are active."""
    found = (obedience, None, likelihood, (0.5, 0.5), "model")
    return verdicts(5.0, 3, 40, None, *found, sharpness=sharpness, codes=codes)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"limit": -1}, {"draws": 0}, {"prior": "best"}, {"field": "sin"}])
def test_arguments_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(Refused, match=next(iter(wrong)) if "field" not in wrong else "sign"):
        measured(learned(), **wrong)
