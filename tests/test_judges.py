"""The judge: it learns real pictures, is kept whole or not at all, never trains twice on the same data."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from condvae import judges
from condvae.conditions import Label
from condvae.data import Collection, Part, collect
from condvae.errors import Refused
from condvae.images import as_images
from condvae.judge_net import FORMAT
from condvae.judges import Judge, JudgeCard, fingerprint, judge_for, make_judge, train_judge
from condvae.storage import write_tensors


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def bars(n: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """n noisy 12 x 12 pictures of a bar, upright or level."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 0.3, (n, 1, 12, 12)).astype(np.float32)
    names = []
    for i in range(n):
        place = rng.integers(2, 10)
        x[i, 0, :, place] += 0.7 * (i % 2)
        x[i, 0, place, :] += 0.7 * (1 - i % 2)
        names.append("upright" if i % 2 else "level")
    return x.clip(0, 1), names


def collection(n: int = 200, seed: int = 0) -> Collection:
    x, names = bars(n, seed)
    x_test, names_test = bars(80, seed + 100)
    return collect(x, {"way": names}, x_test, {"way": names_test}, name="bars")


FIELD = Label("way", ("level", "upright"), (0.5, 0.5))


@pytest.fixture
def quick(monkeypatch):
    """Judges look at 2,000 pictures only."""
    monkeypatch.setattr(judges, "LEAST_PASSES", 2_000)
    monkeypatch.setattr(judges, "EPOCHS", 1)
    monkeypatch.setattr(judges, "BATCH", 32)


@pytest.fixture
def trained(monkeypatch):
    """Judges are not trained, only counted: the numbers of rows that they would have learnt from."""
    counts: list[int] = []

    def count(x, index, values, mirror=False, data="data", progress=None):
        counts.append(int((index >= 0).sum()))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return Judge(JudgeCard(data, tuple(values), x.shape[1:])).eval()

    monkeypatch.setattr(judges, "train_judge", count)
    return counts


def test_digits_are_read_at_least_to_95_percent():
    flat, y = map(np.asarray, load_digits(return_X_y=True))
    x = (flat.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    judge = train_judge(x[:1400], y[:1400], [str(i) for i in range(10)], epochs=8)
    assert (judge.read(x[1400:]).index == y[1400:]).mean() >= 0.95


def test_reading_has_the_promised_shapes_and_does_not_depend_on_the_chunk(monkeypatch):
    judge = Judge(JudgeCard("data", ("a", "b", "c"), (3, 37, 53))).eval()
    x = torch.rand(7, 3, 37, 53)
    whole = judge.read(x)
    assert whole.index.shape == (7,)
    assert whole.probabilities.shape == (7, 3)
    assert whole.features.shape == (7, 128)
    np.testing.assert_allclose(whole.probabilities.sum(1), 1, rtol=1e-5)
    monkeypatch.setattr("condvae.judge_net.READ_AT_ONCE", 2)
    np.testing.assert_allclose(judge.read(x).features, whole.features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 5, 5), (1, 8, 8), (3, 20, 28), (1, 36, 36), (3, 64, 48), (1, 100, 3)])
def test_any_size_and_colour(shape):
    judge = Judge(JudgeCard("data", ("a", "b"), shape))
    assert judge(torch.rand(3, *shape)).shape == (3, 2)


def test_pictures_of_another_size_are_refused():
    judge = Judge(JudgeCard("data", ("a", "b"), (1, 12, 12)))
    with pytest.raises(Refused, match=r"\[1, 12, 12\].*\[1, 28, 28\]"):
        judge.read(np.zeros((2, 1, 28, 28), np.float32))


def test_reading_leaves_mode_and_gradients_as_they_were():
    judge = Judge(JudgeCard("data", ("a", "b"), (1, 12, 12))).train()
    before = {name: value.clone() for name, value in judge.state_dict().items()}
    judge.read(torch.rand(4, 1, 12, 12))
    assert judge.training and judge.body.training
    assert all(torch.equal(before[name], value) for name, value in judge.state_dict().items())


def test_training_is_a_function_of_its_seed_and_leaves_the_global_random_state():
    x, names = bars(64)
    index = FIELD.index(names)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = train_judge(x, index, FIELD.values, seed=1, epochs=2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    again = train_judge(x, index, FIELD.values, seed=1, epochs=2)
    other = train_judge(x, index, FIELD.values, seed=2, epochs=2)
    assert torch.equal(first.out.weight, again.out.weight)
    assert not torch.equal(first.out.weight, other.out.weight)


def test_training_inside_inference_mode_learns():
    x, names = bars(64)
    with torch.inference_mode():
        judge = train_judge(x, FIELD.index(names), FIELD.values, epochs=20)
    assert (judge.read(x).index == FIELD.index(names)).mean() > 0.9


def test_rows_of_unknown_label_are_not_learnt_from():
    x, names = bars(40)
    index = FIELD.index(names)
    spoilt = x.copy()
    spoilt[30:] = 1 - spoilt[30:]
    index[30:] = -1
    first = train_judge(x, index, FIELD.values, epochs=2)
    second = train_judge(spoilt, index, FIELD.values, epochs=2)
    assert torch.equal(first.out.weight, second.out.weight)


def test_too_few_known_labels_are_refused():
    with pytest.raises(Refused, match="at least two"):
        train_judge(np.zeros((3, 1, 12, 12), np.float32), np.array([0, -1, -1]), FIELD.values)


def test_large_pictures_are_warped_at_the_size_they_are_read_at(monkeypatch):
    seen: set[tuple[int, ...]] = set()

    def kept(x, generator, mirror=False):
        seen.add(tuple(x.shape[1:]))
        return x

    monkeypatch.setattr(judges, "augment", kept)
    x = torch.rand(40, 3, 96, 64)
    train_judge(x, np.arange(40) % 2, ("a", "b"), epochs=4)
    assert seen == {(3, 32, 32)}


def test_how_long_training_takes_is_bounded():
    assert judges.passes(60_000, (1, 28, 28), None) == 420_000
    assert judges.passes(10**7, (1, 28, 28), None) == 420_000
    assert judges.passes(8_000, (1, 28, 28), None) == 200_000
    assert judges.passes(100, (1, 28, 28), None) == 30_000
    assert judges.passes(10**6, (3, 128, 128), None) == round(420_000 * 28**2 / 32**2)


def test_saved_and_loaded_it_reads_bitwise_the_same(tmp_path, quick):
    data = collection()
    assert data.test is not None
    judge = make_judge("bars", data.train, FIELD, data.test)
    judge.save(tmp_path / "judge.safetensors")
    loaded = Judge.load(tmp_path / "judge.safetensors")
    assert loaded.card == judge.card
    assert loaded.card.tested == 80 and loaded.card.accuracy > 0.9
    np.testing.assert_array_equal(loaded.read(data.test.x).features, judge.read(data.test.x).features)
    assert [path.name for path in tmp_path.iterdir()] == ["judge.safetensors"]


def test_accuracy_is_that_on_the_test_part_and_not_on_what_it_learnt(quick):
    data = collection()
    wrong = ["upright" if name == "level" else "level" for name in bars(80, 100)[1]]
    assert data.test is not None
    judge = make_judge("bars", data.train, FIELD, Part(data.test.x, {"way": tuple(wrong)}))
    assert judge.card.accuracy < 0.1
    assert "test images" in judge.card.sentence()


def test_without_a_test_part_a_tenth_is_held_out_of_training(trained):
    data = collection()
    judge = make_judge("bars", data.train, FIELD)
    assert trained == [180]
    assert judge.card.tested == 20 and judge.card.held_out
    assert "held-out" in judge.card.sentence()


def test_a_kept_judge_is_not_trained_again(tmp_path, trained):
    data = collection()
    first = judge_for(data, cache_dir=tmp_path)
    second = judge_for(data, cache_dir=tmp_path)
    assert trained == [200]
    assert first.card == second.card
    assert torch.equal(first.dense.weight.half(), second.dense.weight.half())


def test_other_images_or_labels_get_a_judge_of_their_own(tmp_path, trained):
    data = collection()
    judge_for(data, cache_dir=tmp_path)
    names = data.train.labels["way"]
    judge_for(replace(data, train=Part(data.train.x, {"way": (names[1], *names[1:])})), cache_dir=tmp_path)
    judge_for(collection(seed=1), cache_dir=tmp_path)
    assert trained == [200, 200, 200]


def test_another_test_part_is_measured_without_training(tmp_path, trained):
    data = collection()
    judge_for(replace(data, test=None), cache_dir=tmp_path)
    judge = judge_for(data, cache_dir=tmp_path)
    assert trained == [180]
    assert judge.card.tested == 80 and not judge.card.held_out


@pytest.mark.parametrize("spoil", ["truncated", "garbage", "empty", "foreign"])
def test_a_corrupt_file_is_trained_anew(tmp_path, trained, spoil):
    data = collection()
    first = judge_for(data, cache_dir=tmp_path)
    (path,) = (tmp_path / "judges").iterdir()
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[:-100], "garbage": b"\xff" * 5000, "empty": b"", "foreign": whole}[spoil])
    if spoil == "foreign":
        foreign = Judge(JudgeCard("bars", FIELD.values, (1, 12, 12), fingerprint="of other data"))
        foreign.save(path)
    second = judge_for(data, cache_dir=tmp_path)
    assert trained == [200, 200]
    assert first.card == second.card
    assert Judge.load(path).card == first.card


def test_the_pinned_judge_comes_first_and_only_for_its_own_data(tmp_path, trained, monkeypatch):
    data = collection()
    monkeypatch.setattr(judges, "PINNED", tmp_path / "pinned")
    make_judge("bars", data.train, FIELD, data.test).save(tmp_path / "pinned" / "judge-bars.safetensors")
    judge_for(data, cache_dir=tmp_path)
    assert len(trained) == 1 and not (tmp_path / "judges").exists()
    judge_for(collection(seed=1), cache_dir=tmp_path)
    assert len(trained) == 2


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path, trained):
    data = collection()
    (tmp_path / "judges").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="could not be kept"):
        judge = judge_for(data, cache_dir=tmp_path)
    assert judge.card.tested == 80


def test_loading_something_else_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(Refused, match="does not exist"):
        Judge.load(path)
    path.write_bytes(b"12345678" * 10)
    with pytest.raises(Refused, match="cannot be read"):
        Judge.load(path)
    write_tensors(path, {"a": torch.zeros(2)})
    with pytest.raises(Refused, match="something else"):
        Judge.load(path)
    card = {"data": "d", "values": ["a", "b"], "shape": [1, 12, 12]}
    write_tensors(path, {"a": torch.zeros(2)}, {"format": FORMAT, "card": json.dumps(card)})
    with pytest.raises(Refused, match="parts do not fit"):
        Judge.load(path)


def test_fingerprint_is_the_same_for_bytes_and_for_their_floats_but_sees_one_pixel():
    x = np.random.default_rng(0).integers(0, 256, (9, 1, 6, 6)).astype(np.uint8)
    index = np.arange(9) % 2
    (a, _), (b, _) = as_images(x), as_images(x.astype(np.float32) / 255)
    mark = fingerprint(a, index, ("0", "1"))
    assert fingerprint(b, index, ("0", "1")) == mark
    x[8, 0, 5, 5] ^= 1
    c, _ = as_images(x)
    assert fingerprint(c, index, ("0", "1")) != mark
    assert fingerprint(b, 1 - index, ("0", "1")) != mark
    assert fingerprint(b, index, ("0", "2")) != mark


def test_a_collection_without_the_labels_asked_for_is_refused(tmp_path):
    data = collection()
    with pytest.raises(Refused, match="of way; got 'weg'"):
        judge_for(data, "weg", tmp_path)
    with pytest.raises(Refused, match="needs images with labels"):
        judge_for(replace(data, train=Part(data.train.x)), cache_dir=tmp_path)
