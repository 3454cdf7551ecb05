"""A run keeps what was measured of it, the most thorough of the same weights, and tells it as a card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from shrunk import FEATURES, SMALL

import condvae
from condvae import jobs, judges
from condvae.cards import card, card_of
from condvae.cli import main
from condvae.errors import Refused
from condvae.evaluation import Evaluation
from condvae.fitting import OURS, claim
from condvae.markdown import escaped, fenced, table
from condvae.proof import FILE, Proof, keep, kept_of, short, stored, weights_of
from condvae.runs import load
from condvae.storage import write_json
from condvae.table_evaluation import TableEvaluation

ZOO = Path(__file__).resolve().parent.parent / "zoo"
RUNS = sorted(path.name for path in ZOO.iterdir())
NASTY = ("<b>bold</b>", "a|b", "`c` *d*\n# e")
FLAGS = "--width 4 --features 12 --z 2 --blocks 0 --batch 16 --epochs 1 --hold-out 0.25 --quiet"
TINY = FLAGS.split(" ")


@pytest.fixture(scope="module", autouse=True)
def cheap_judges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONDVAE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(judges, "LEAST_PASSES", 200)
        patch.setattr(judges, "EPOCHS", 1)
        yield


def signs(path: Path) -> Path:
    """96 pictures of three signs, whose names a page could take for mark-up."""
    rng = np.random.default_rng(0)
    which = np.arange(96) % 3
    x = 0.2 * rng.random((96, 1, 12, 12)).astype(np.float32)
    for row, sign in enumerate(which):
        x[row, 0, 4 * sign : 4 * sign + 4] += 0.7
    np.savez(path, x=x, y=np.asarray(NASTY)[which])
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cards")
    assert main(["train", str(signs(folder / "own.npz")), "--out", str(folder / "run"), *TINY]) == 0
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A run of one's own to spoil."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def told(reply: Any, title: str) -> dict[str, Any]:
    """A section of a card as JSON."""
    return next(section for section in reply.data["sections"] if section["title"] == title)


def measured(folder: Path) -> dict[str, Any]:
    return json.loads((folder / FILE).read_text(encoding="utf-8"))


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_training_keeps_what_its_report_measured(trained: Path) -> None:
    proof = kept_of(load(trained))
    assert proof is not None and isinstance(proof.measures, Evaluation)
    assert proof.whence.startswith("the images held out") and proof.data == "own" and proof.version
    assert (proof.k, proof.images) == (50, 24)
    assert proof.weights == weights_of(load(trained))
    page = (trained / "report.html").read_text(encoding="utf-8")
    assert proof.measures.likelihood is not None and proof.measures.likelihood.text() in page


def test_what_is_kept_is_what_evaluate_found(run: Path) -> None:
    reply = jobs.evaluate(str(run), k=100, quiet=True)
    kept = measured(run)["measures"]
    assert kept == short(reply.data) and not any("thorough" in note for note in reply.notes)
    found, again = Evaluation.model_validate(reply.data), Evaluation.model_validate(kept)
    assert again.table() == found.table() and again.words == found.words
    assert len(kept["kl_per_unit"]) == 2 and max(len(repr(one)) for one in kept["kl_per_unit"]) <= 12


def test_a_hasty_measure_replaces_no_thorough_one_and_a_more_thorough_one_does(run: Path) -> None:
    before = (run / FILE).read_bytes()
    hasty = jobs.evaluate(str(run), k=2, limit=3, quiet=True)
    assert (run / FILE).read_bytes() == before and any("more thorough" in note for note in hasty.notes)
    assert "more thorough" not in "".join(jobs.evaluate(str(run), k=51, quiet=True).notes)
    assert measured(run)["k"] == 51
    jobs.evaluate(str(run), k=50, quiet=True)
    assert measured(run)["k"] == 51


@pytest.mark.parametrize("part", ["model.safetensors", "density.safetensors"])
def test_new_weights_are_measured_anew_however_hastily(run: Path, part: str) -> None:
    changed = load(run)
    module = changed.model if part.startswith("model") else changed.density
    assert module is not None
    weight = next(value for value in module.state_dict().values() if value.is_floating_point() and value.numel() > 1)
    with torch.no_grad():
        weight.view(-1)[0] += 1e-3
    changed.save(run)
    stale = card(str(run))
    assert any("weights have changed" in line for line in stale.lines)
    jobs.evaluate(str(run), k=1, limit=2, quiet=True)
    assert (measured(run)["k"], measured(run)["images"]) == (1, 2)
    assert not any("weights have changed" in line for line in card(str(run)).lines)


@pytest.mark.parametrize(
    "otherwise",
    [{"data": "other"}, {"temperature": 0.5}, {"leave_out": ["all"]}, {"unknown": "sum", "leave_out": ["label"]}],
    ids=lambda words: next(iter(words)),
)
def test_what_is_not_the_runs_own_measure_is_not_kept(run: Path, tmp_path: Path, otherwise: dict[str, Any]) -> None:
    before = (run / FILE).read_bytes()
    if "data" in otherwise:
        otherwise = {"data": str(signs(tmp_path / "other.npz"))}
    jobs.evaluate(str(run), k=100, quiet=True, **otherwise)
    assert (run / FILE).read_bytes() == before


def test_a_folder_that_cannot_be_written_is_no_error(run: Path) -> None:
    found = kept_of(load(run))
    (run / FILE).unlink()
    (run / FILE).mkdir()  # no file can take its place
    assert found is not None
    (note,) = keep(load(run), found.measures, "own", "the test images")
    assert "were not kept" in note and FILE in note
    assert jobs.evaluate(str(run), k=2, quiet=True).data["likelihood"]["k"] == 2
    assert [path.name for path in run.iterdir() if path.name.endswith(".part")] == []


def test_weights_are_known_again_from_the_folder_and_from_half_precision_they_are_others(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((40, 8, 8)).astype(np.float32)
    for name, more in {"vae": {}, "gan": {"adversarial": 1.0, "network": "conv"}}.items():
        settings: dict[str, Any] = {**SMALL, "likelihood": "gaussian", **more}
        made = condvae.fit(x, {"y": np.arange(40) % 2}, progress=False, **settings)
        whole, half = made.save(tmp_path / name), tmp_path / f"{name}-half"
        assert weights_of(load(whole)) == weights_of(made)
        load(whole).save(half, half=True)
        assert weights_of(load(half)) != weights_of(made)
        assert weights_of(load(half)) == weights_of(load(half))


def test_overwriting_a_run_clears_its_measures(run: Path) -> None:
    assert FILE in OURS
    claim(run, overwrite=True)
    assert not (run / FILE).exists()


def test_numbers_that_are_none_are_kept_as_such(run: Path) -> None:
    found = kept_of(load(run))
    assert found is not None and isinstance(found.measures, Evaluation)
    rate = found.measures.rate.model_copy(update={"mean": float("inf"), "standard_error": float("nan")})
    assert keep(load(run), found.measures.model_copy(update={"rate": rate}), "own", "others") == ()
    again = kept_of(load(run))
    assert again is not None and isinstance(again.measures, Evaluation)
    assert again.measures.rate.mean == np.inf and np.isnan(again.measures.rate.standard_error or 0.0)
    json.dumps(card(str(run)).data, allow_nan=False)


def test_six_digits_are_kept_of_a_number_and_whole_numbers_whole() -> None:
    assert short({"a": [0.123456789, -1234567.8, 0.0], "b": 123456789, "c": None, "d": True, "e": "0.123456789"}) == {
        "a": [0.123457, -1234570.0, 0.0], "b": 123456789, "c": None, "d": True, "e": "0.123456789",
    }  # fmt: skip


def test_lists_of_numbers_stand_on_a_line_and_nothing_else_changes(tmp_path: Path) -> None:
    data = {"a": [1, 2.5, -3e-7, None, True], "b": [[1, 2], [3, 4]], "c": ["[", "x]\n[1", 1], "d": [], "e": {"f": [1]}}
    write_json(tmp_path / "flat.json", data, flat=True)
    text = (tmp_path / "flat.json").read_text(encoding="utf-8")
    assert json.loads(text) == data
    assert '"a": [1, 2.5, -3e-07, null, true]' in text and "  [1, 2],\n  [3, 4]\n" in text and '"f": [1]' in text


# --- the card ---------------------------------------------------------------------------------------------------------


def test_a_card_tells_all_and_the_measures_with_their_intervals(trained: Path) -> None:
    reply = card(str(trained))
    titles = [section["title"] for section in reply.data["sections"]]
    assert titles == ["What it is", "How good it is", "What it was trained on", "How it was trained",
                      "What it can do, and what not", "How to use it"]  # fmt: skip
    rows = {row[0]: row[1:] for row in told(reply, "What it is")["table"]["rows"]}
    loaded = load(trained)
    assert rows["parameters"] == [f"{loaded.facts['parameters']:,}"] and rows["network"][0].startswith("conv")
    data = told(reply, "What it was trained on")
    assert (
        loaded.facts["data"]["fingerprint"] in " ".join(data["text"])
        and "72 images of own; held out of training: 24" in data["text"][0]
    )
    assert any("knows nothing outside" in sentence for sentence in data["text"])
    assert [row[0] for row in data["table"]["rows"]] == ["label"] and "a|b" in data["table"]["rows"][0][2]
    training = {row[0]: row[1:] for row in told(reply, "How it was trained")["table"]["rows"]}
    ends = training["negative bound, held out of training"]
    assert ends == [f"{row['validation']['loss']:.2f}" for row in (loaded.history[0], loaded.history[-1])]
    proof = kept_of(loaded)
    assert proof is not None and isinstance(proof.measures, Evaluation) and proof.measures.obedience is not None
    good = told(reply, "How good it is")
    assert good["table"]["rows"] == [list(row) for row in proof.measures.table()]
    interval = proof.measures.obedience.overall.text()
    assert "[" in interval and any(interval in cell for row in good["table"]["rows"] for cell in row)
    assert set(proof.measures.words) <= set(good["text"]) and not any("this machine" in one for one in good["text"])
    assert Proof.model_validate(reply.data["measures"]) == proof
    assert reply.lines[0] == "Conditional VAE of own" and any(interval in line for line in reply.lines)


def test_the_card_holds_the_curves_of_the_training(trained: Path) -> None:
    picture = card_of(load(trained)).sections[3].picture
    assert isinstance(picture, Image.Image)
    with Image.open(trained / "pictures" / "curves.png") as drawn:
        assert np.array_equal(np.asarray(picture.convert("RGB")), np.asarray(drawn.convert("RGB")))


def test_names_are_no_markup(trained: Path, tmp_path: Path) -> None:
    reply = card(str(trained), str(tmp_path / "card.md"))
    assert reply.files == (tmp_path / "card.md",) and str(tmp_path / "card.md") in reply.lines[0]
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "&lt;b&gt;bold&lt;/b&gt;" in text and "a&#124;b" in text and "&#96;c&#96;" in text
    prose = "".join(text.split("```")[::2])
    assert "<" not in prose and "`" not in prose
    for line in prose.splitlines():
        assert not line.startswith("|") or line.count("|") in (3, 4, 5, 6)
        assert not line.startswith("# ") or line == "# Conditional VAE of own"


def test_a_reader_of_markdown_sees_the_names_as_they_are(trained: Path) -> None:
    markdown = pytest.importorskip("markdown_it")
    html = markdown.MarkdownIt("commonmark", {"html": True}).enable("table").render(card_of(load(trained)).markdown())
    assert html.count("<h1>") == 1 and html.count("<h2>") == 6 and html.count("<table>") == 5
    assert "<b>" not in html and "<em>" not in html
    assert "&lt;b&gt;bold&lt;/b&gt;, `c` *d* # e, a|b" in html  # in the order of their code points
    assert html.count("<pre>") == 2
    for row in html.split("<table>")[3].split("<tr>")[1:]:
        assert row.count("<td>") + row.count("<th>") == 5


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "a|b", "`x`", "\\", "a\\|b", "*x*", "__x__", "[x](http://e)", "![x](y)",
     "[x]: http://e", "[x][y]", "[x] y",
     "[[x](y)](z)", "95 % [1, 2]", "# x",
     "- x", "1. x", "+ x", "---", "===", "&lt;", "$x$", "~~x~~", "a_b_c", "  led", "x\n\n# y", "***"],
)  # fmt: skip
def test_any_name_stands_for_itself(name: str) -> None:
    markdown = pytest.importorskip("markdown_it")
    from html import unescape

    reader = markdown.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    shown = " ".join(name.split("\n")) if "\n\n" not in name else name.replace("\n\n", " ")
    seen = unescape(reader.render(escaped(name))).replace("\xa0", " ")
    assert seen == f"<p>{shown}</p>\n"
    cells = unescape(reader.render("\n".join(table(["a", "b"], [[name, "end"]])))).replace("\xa0", " ")
    assert f"<td>{shown}</td>\n<td>end</td>" in cells
    code = unescape(reader.render("\n".join(fenced(f"{name}\n```\n{name}", "sh"))))
    assert code.startswith("<pre>") and code.count("<pre>") == 1 and code.rstrip().endswith("</code></pre>")


def test_a_run_that_was_not_measured_says_how_it_is(run: Path) -> None:
    (run / FILE).unlink()
    reply = card(str(run))
    good = told(reply, "How good it is")
    assert good["table"] is None and f"condvae evaluate {run} measures it" in good["text"][0]
    assert reply.data["measures"] is None
    reply = card(condvae.fit(np.random.default_rng(0).random((30, 8, 8)), None, progress=False, **SMALL))
    assert "Not measured yet" in told(reply, "How good it is")["text"][0]
    assert told(reply, "What it was trained on")["table"] is None
    assert ["read labels off pictures", "no", "no label was told in training"] in told(
        reply, "What it can do, and what not"
    )["table"]["rows"]


@pytest.mark.parametrize(
    "spoilt",
    ['{"format": 1, "data": "own', "[]", '{"format": 2}', '{"format": 1}', '{"accuracy": 0.9}', "\xff\xfe", "null"],
)
def test_a_damaged_or_foreign_file_is_told_in_a_sentence_and_stops_nothing_else(run: Path, spoilt: str) -> None:
    (run / FILE).write_bytes(spoilt.encode("latin-1"))
    with pytest.raises(Refused, match=FILE) as refused:
        card(str(run))
    assert "\n" not in str(refused.value) and f"condvae evaluate {run} writes it anew" in str(refused.value)
    assert load(run).generate({"label": NASTY[0]}, n=1).shape == (1, 1, 12, 12)
    jobs.evaluate(str(run), k=1, limit=1, quiet=True)
    assert any("k = 1," in line for line in card(str(run)).lines)


def test_measures_of_rows_are_none_of_a_run_of_pictures(run: Path, table_run: Path) -> None:
    shutil.copy(table_run / FILE, run / FILE)
    with pytest.raises(Refused, match="rows of a table, and this run generates pictures"):
        card(str(run))


@pytest.mark.parametrize("out", ["card.png", "card", "card.md.txt"])
def test_a_card_is_written_as_markdown_alone(trained: Path, tmp_path: Path, out: str) -> None:
    with pytest.raises(Refused, match=r"must end in \.md"):
        card(str(trained), str(tmp_path / out))
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_writes_and_refuses(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["card", str(run)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "Conditional VAE of own"
    assert main(["card", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["measures"]["data"] == "own"
    assert main(["card", str(run), "-o", str(tmp_path / "c.md")]) == 0
    assert capsys.readouterr().out == f"the card of Conditional VAE of own: {tmp_path / 'c.md'}\n"
    (run / FILE).write_text("{")
    assert main(["card", str(run)]) == 2 and capsys.readouterr().err.count("\n") == 1
    assert main(["card", str(tmp_path / "nothing")]) == 2 and "is no run" in capsys.readouterr().err


# --- other runs -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(2)
    age = rng.uniform(20, 60, 120)
    lines = [f"{a:.1f},{'m|f'[(i % 2) * 2]},{100 + a + rng.normal():.2f}" for i, a in enumerate(age)]
    (folder / "people.csv").write_text("\n".join(["age,sex,height", *lines]))
    words = ["--condition", "age,sex", "--generate", "height", "--epochs", "1", "--density", "none", "--hidden", "8"]
    assert main(["train", str(folder / "people.csv"), "--out", str(folder / "run"), "--quiet", *words]) == 0
    return folder / "run"


def test_a_run_of_rows_keeps_its_measures_and_tells_them(table_run: Path) -> None:
    proof = kept_of(load(table_run))
    assert proof is not None and isinstance(proof.measures, TableEvaluation)
    assert "rows held out" in proof.whence and proof.k == 50
    reply = card(str(table_run))
    fields = {row[0]: row[1:] for row in told(reply, "What it was trained on")["table"]["rows"]}
    assert fields["age"][0] == "number" and " to " in fields["age"][1] and fields["height"][-1] == "generated"
    assert told(reply, "How good it is")["table"]["rows"] == [list(row) for row in proof.measures.table()]
    assert any(row[0] == "fill the blanks of rows given the rest" for row in told(
        reply, "What it can do, and what not")["table"]["rows"])  # fmt: skip
    assert any("nats per row" in line for line in reply.lines)
    before = (table_run / FILE).read_bytes()
    hasty = jobs.evaluate(str(table_run), k=2, limit=3, quiet=True)
    assert (table_run / FILE).read_bytes() == before and any("more thorough" in note for note in hasty.notes)
    jobs.evaluate(str(table_run), k=200, quiet=True, leave_out=["all"])
    jobs.evaluate(str(table_run), data=str(table_run.parent / "people.csv"), k=200, quiet=True)
    assert (table_run / FILE).read_bytes() == before
    jobs.evaluate(str(table_run), k=100, quiet=True)
    assert measured(table_run)["k"] == 100


def test_a_run_without_a_likelihood_says_so(tmp_path: Path) -> None:
    words = [*TINY, "--likelihood", "perceptual", "--perceptual", FEATURES, "--layers", "conv1"]
    assert main(["train", str(signs(tmp_path / "own.npz")), "--out", str(tmp_path / "run"), *words]) == 0
    proof = kept_of(load(tmp_path / "run"))
    assert proof is not None and proof.k is None and proof.images is None and proof.pains[1] == 24
    reply = card(str(tmp_path / "run"))
    assert any("has no likelihood" in sentence for sentence in told(reply, "What it is")["text"])
    rows = {row[0]: row[1:] for row in told(reply, "What it can do, and what not")["table"]["rows"]}
    assert rows["say how likely a picture is"] == ["no", "it compares deep features, which is no density"]
    assert not any("bound" in row[0] for row in told(reply, "How it was trained")["table"]["rows"])
    assert not any("log p" in row[0] for row in told(reply, "How good it is")["table"]["rows"])
    json.dumps(reply.data, allow_nan=False)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_the_zoo_has_a_card_with_measures_of_its_test_images(name: str) -> None:
    loaded = load(ZOO / name)
    proof = kept_of(loaded)
    assert proof is not None and isinstance(proof.measures, Evaluation) and proof.whence == "the test images"
    assert proof.weights == weights_of(loaded) and proof.data == loaded.facts["data"]["name"]
    assert proof.measures.images == loaded.facts["data"]["test_rows"] and proof.measures.temperature == 1
    assert proof.measures.obedience is not None and proof.measures.obedience.overall.of >= 1_000
    reply = card(loaded)
    rows = told(reply, "How good it is")["table"]["rows"]
    assert any("asked" in row[0] and "%" in row[1] and "[" in row[1] for row in rows)
    draws = {row[0]: row[1] for row in told(reply, "What it can do, and what not")["table"]["rows"]}
    assert (draws["show how it draws, glimpse by glimpse"] == "yes") == (name == "mnist-draw")
    assert (draws["fill holes in pictures"] == "yes") == (name == "mnist-holes")


def test_numbers_that_were_asked_for_are_told_and_their_points_are_left_to_the_report() -> None:
    proof = kept_of(load(ZOO / "faces-drawn"))
    assert proof is not None and isinstance(proof.measures, Evaluation)
    (pose,) = proof.measures.numbers["pose"].entries
    assert pose.points == [] and pose.real_skill is not None and pose.real_skill > 0.9
    full = pose.model_copy(update={"points": [(0.0, 0.1, 0.2)]})
    numbers = {"pose": proof.measures.numbers["pose"].model_copy(update={"entries": [full]})}
    again = proof.model_copy(update={"measures": proof.measures.model_copy(update={"numbers": numbers})})
    assert stored(again) == stored(proof) and set(stored(proof)["measures"]["obediences"]) == {
        "expression", "hair", "hair_colour", "skin",
    }  # fmt: skip
    assert any("asked pose to pose read" in line for line in card(str(ZOO / "faces-drawn")).lines)


def test_the_measures_of_the_zoo_are_small() -> None:
    assert sum((ZOO / name / FILE).stat().st_size for name in RUNS) < 100_000
