"""The Python API: condvae.fit, resume, load and what a Run may be asked, on tiny random pictures."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import condvae
from condvae import datasets, judges
from condvae.errors import Refused
from condvae.settings import Overrides

SMALL: Overrides = {
    "network": "mlp",
    "hidden": (12,),
    "z": 3,
    "epochs": 1,
    "batch": 20,
    "average": 0.0,
    "threads": 1,
}


def tiny(n=80, seed=0, classes=4):
    """Pictures [n, 8, 8] whose bright row tells the label, with noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.random((n, 8, 8)).astype(np.float32) * 0.3
    x[np.arange(n), 2 * y] = 1.0
    return x, y


@pytest.fixture(autouse=True)
def quick_judge(monkeypatch, tmp_path):
    monkeypatch.setattr(judges, "LEAST_PASSES", 200)
    monkeypatch.setattr(judges, "EPOCHS", 1)
    monkeypatch.setenv("CONDVAE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def run():
    x, y = tiny()
    return condvae.fit(x, {"digit": y}, progress=False, **SMALL)


def test_import_is_light():
    code = "import sys, condvae; assert 'torch' not in sys.modules and 'pydantic' not in sys.modules; condvae.Refused"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        condvae.fitt  # noqa: B018
    assert set(condvae.__all__) <= set(dir(condvae))


def test_shapes_of_the_contract(run):
    x, y = tiny(6)
    assert run.generate({"digit": "2"}, n=5, seed=0).shape == (5, 1, 8, 8)
    assert run.generate({"digit": ["2", 3]}, n=2).shape == (2, 2, 1, 8, 8)
    assert run.generate({"digit": "2"}, n=5).dtype == np.float32
    assert run.reconstruct(x, {"digit": y}).shape == (6, 1, 8, 8)
    assert run.restyle(x, {"digit": y}, {"digit": "3"}).shape == (6, 1, 8, 8)
    assert run.restyle(x, {"digit": y}, {"digit": [0, 1, 3]}).shape == (6, 3, 1, 8, 8)
    assert run.log_prob(x, {"digit": y}, k=3).dtype == np.float64
    assert run.embed(x, {"digit": y}).shape == (6, 3)
    read = run.classify(x)
    assert read.probabilities.shape == (6, 4) and len(read.names) == 6
    assert run.schema.fields[0].name == "digit" and run.schema.fields[0].values == ("0", "1", "2", "3")
    assert isinstance(run.model, torch.nn.Module)


def test_same_seed_same_weights_and_folder_equals_memory(run, tmp_path):
    x, y = tiny()
    again = condvae.fit(x, {"digit": y}, out=tmp_path / "run", progress=False, **SMALL)
    loaded = condvae.load(tmp_path / "run")
    for name, weight in run.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name])
        assert torch.equal(weight, loaded.model.state_dict()[name])
    asked = {"digit": ["1", None]}
    assert np.array_equal(run.generate(asked, 3, seed=5), loaded.generate(asked, 3, seed=5))
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"run.json", "model.safetensors", "history.jsonl", "pictures", "report.html"} <= written
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 1


def test_plain_vae_has_nothing_to_ask_for(tmp_path):
    x, _ = tiny()
    plain = condvae.fit(x, None, out=tmp_path / "plain", progress=False, **SMALL)
    assert plain.schema.fields == ()
    assert plain.generate(n=3).shape == (3, 1, 8, 8)
    with pytest.raises(Refused, match="without conditions"):
        plain.generate({"digit": "6"})
    assert "Asked for: nothing in particular" in (tmp_path / "plain" / "report.html").read_text()


def test_one_latent_and_test_part_and_unseen_test_label(tmp_path):
    x, y = tiny()
    labels = [str(value) for value in y[:9]] + ["never seen in training"]
    made = condvae.fit(
        x, {"digit": y}, test=(x[:10], {"digit": labels}), out=tmp_path / "z1", epochs=1, z=1, progress=False
    )
    assert made.facts["data"]["test_rows"] == 10
    assert (tmp_path / "z1" / "pictures" / "manifold.png").is_file()


def test_many_labels_draw_twelve_rows(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((120, 8, 8)).astype(np.float32), [f"sign {i % 60}" for i in range(120)]
    condvae.fit(x, {"sign": y}, out=tmp_path / "many", progress=False, **SMALL)
    assert (tmp_path / "many" / "pictures" / "samples.png").is_file()


def test_recipe_on_own_data_and_settings_before_it():
    x, y = tiny()
    made = condvae.fit(x, {"label": y}, recipe="kristiadi", epochs=1, progress=False)
    assert made.settings.hidden == (512,) and made.settings.z == 2 and made.settings.epochs == 1
    assert made.facts["recipe"] == "kristiadi"
    assert made.facts["data"]["held_out"] == 8  # the recipe's 5,000 of 60,000 become a tenth


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"z": 3, "hold_out": 80}, "hold_out must leave rows"),
        ({"recipe": "kristiady"}, "did you mean 'kristiadi'"),
        ({"z": 0}, "z was given as 0"),
        ({"epoch": 3}, "'epoch' is not a setting, did you mean 'epochs'"),
        ({"test": np.zeros((3, 8, 8))}, "test must be a pair"),
    ],
)
def test_fit_refuses(change, words):
    x, y = tiny()
    with pytest.raises(Refused, match=words):
        condvae.fit(x, {"digit": y}, **change)


def test_full_folder_is_refused_unless_overwritten(tmp_path):
    x, y = tiny()
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(Refused, match="not empty"):
        condvae.fit(x, {"digit": y}, out=tmp_path, progress=False, **SMALL)
    condvae.fit(x, {"digit": y}, out=tmp_path, overwrite=True, progress=False, **SMALL)
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_resume_adds_epochs_and_wants_the_same_data(tmp_path):
    x, y = tiny()
    condvae.fit(x, {"digit": y}, out=tmp_path / "r", progress=False, **SMALL)
    with pytest.raises(Refused, match="arrays in memory"):
        condvae.resume(tmp_path / "r", progress=False)
    with pytest.raises(Refused, match="the data differ"):
        condvae.resume(tmp_path / "r", 1 - x, {"digit": y}, progress=False)
    more = condvae.resume(tmp_path / "r", x, {"digit": y}, epochs="+2", progress=False)
    assert [row["epoch"] for row in more.history] == [1, 2, 3]


def test_resumed_plain_vae_drops_the_labels_of_its_data(tmp_path):
    collection = datasets.load("digits")
    bare = condvae.fit(collection.train.x, None, out=tmp_path / "p", name="digits", progress=False, **SMALL)
    assert bare.schema.width == 0
    y = np.arange(len(collection.train))
    more = condvae.resume(tmp_path / "p", collection.train.x, {"digit": y % 10}, epochs=2, progress=False)
    assert more.schema.width == 0 and len(more.history) == 2


@pytest.mark.parametrize("name", ["run.json", "model.safetensors", "density.safetensors"])
def test_load_refuses_a_damaged_file_in_one_sentence(tmp_path, run, name):
    folder = run.save(tmp_path / "copy")
    run.path = None
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Refused) as caught:
        condvae.load(folder)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_load_refuses_another_models_weights(tmp_path, run):
    folder = run.save(tmp_path / "copy")
    run.path = None
    facts = json.loads((folder / "run.json").read_text())
    facts["settings"]["z"] = 4
    (folder / "run.json").write_text(json.dumps(facts))
    with pytest.raises(Refused, match="does not fit"):
        condvae.load(folder)


def test_load_refuses_what_is_no_run(tmp_path):
    with pytest.raises(Refused, match="no such folder"):
        condvae.load(tmp_path / "nothing")


def test_the_asked_label_is_the_label_read_back():
    """Law 7, on signs that tell their label by their bright row."""
    x, y = tiny(400)
    made = condvae.fit(
        x, {"digit": y}, network="mlp", hidden=(48,), z=3, epochs=12, batch=16, lr=3e-3, threads=1, progress=False
    )
    drawn = made.generate({"digit": list(range(4))}, n=25, seed=1)
    read = drawn[:, :, 0].mean(-1)[..., ::2].argmax(-1)  # [4, 25]: which of the four rows is bright
    assert (read == np.arange(4)[:, None]).mean() > 0.97
    assert (made.classify(tiny(80, seed=1)[0]).names == np.asarray([str(i % 4) for i in range(80)])).mean() > 0.97
