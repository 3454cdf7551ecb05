"""Tables: files and frames as columns of text; rows as numbers, and back."""

import builtins
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from condvae import datasets
from condvae.api import fit, given_again, recorded_data
from condvae.cli import main
from condvae.columns import is_table, read_columns
from condvae.conditions import Attribute, Label, Number, Schema
from condvae.data import Collection, describe
from condvae.errors import Refused
from condvae.tables import decode_rows, encode_rows, table_collection

pandas = pytest.importorskip("pandas")

PEOPLE = {
    "name": [f"n{i}" for i in range(60)],
    "sex": ["f", "m", None] * 20,
    "height": [1.5 + i / 100 for i in range(60)],
    "children": [i % 4 for i in range(60)],
    "town": ["Oslo", "Bergen", "Bodø", "Oslo"] * 15,
    "smokes": ["yes", "no"] * 30,
}
USED = {name: column for name, column in PEOPLE.items() if name != "name"}


def write(path: Path, text: str, coding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(coding))
    return path


def people(path: Path, separator: str = ",", coding: str = "utf-8") -> Path:
    names = list(PEOPLE)
    rows = [separator.join("" if PEOPLE[n][i] is None else str(PEOPLE[n][i]) for n in names) for i in range(60)]
    return write(path, "\r\n".join([separator.join(names), *rows]) + "\r\n", coding)


# --- columns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("file", "separator"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t")])
def test_text_files_are_read_whatever_their_delimiter_and_mark(tmp_path: Path, coding: str, file: str, separator: str):
    found = read_columns(people(tmp_path / file, separator, coding))
    assert list(found) == list(PEOPLE) and found["sex"][:4] == ["f", "m", None, "f"]
    assert found["town"][2] == "Bodø" and found["height"][1] == "1.51" and len(found["town"]) == 60


def test_a_csv_is_read_with_quotes_blanks_and_a_column_of_row_numbers(tmp_path: Path):
    notes: list[str] = []
    text = ',a, b \n0,"x, ""y""",?\n\n1,"two\nlines",NA\n2,none,NaN\n3, 7 ,é\n'
    found = read_columns(write(tmp_path / "t.csv", text), notes)
    assert found == {"a": ['x, "y"', "two\nlines", None, "7"], "b": [None, None, None, "é"]}
    assert notes == ["1 column(s) of t.csv without a name were left out."]
    assert read_columns(write(tmp_path / "t.csv", "a\nx;y\nz\n")) == {"a": ["x;y", "z"]}


def test_decimal_commas_are_points_and_said(tmp_path: Path):
    notes: list[str] = []
    text = "size;word;whole\n1,5;a,b;1\n-2;c;2\n;;3\n"
    found = read_columns(write(tmp_path / "t.csv", text), notes)
    assert found == {"size": ["1.5", "-2", None], "word": ["a,b", "c", None], "whole": ["1", "2", "3"]}
    assert notes == ["Commas in the numbers of size in t.csv are read as decimal points."]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n1,2,3\n", "row 2 of {path} must have 2 cells, as the header has, got 3; put a text that holds ','"),
        ("a,b\n1,2\n1\n", "row 2 of {path} must have 2 cells, as the header has, got 1"),
        ("a,b,a\n1,2,3\n", "two columns of {path} are called 'a'; give each its own name"),
        ("", "must hold a header and at least one row, got an empty file"),
        ("a,b\n", "must hold a header and at least one row, got none"),
        ('a,b\n"1,2\n', "cannot be read as a table (unexpected end of data)"),
    ],
)
def test_unusable_text_files_are_refused(tmp_path: Path, text: str, words: str):
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(Refused, match=re.escape(words.format(path=path))) as refused:
        read_columns(path)
    assert "\n" not in str(refused.value)


def test_other_encodings_and_missing_files_are_refused(tmp_path: Path):
    with pytest.raises(Refused, match=r"is not UTF-8 \(line 2\); save it as CSV UTF-8"):
        read_columns(write(tmp_path / "t.csv", "a,b\nBodø,1\n", "latin-1"))
    for file in ("no.csv", "no.parquet"):
        with pytest.raises(Refused, match="there is no file"):
            read_columns(tmp_path / file)
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(Refused, match="cannot be read"):
        read_columns(tmp_path / "d.csv")


def test_frames_and_dicts_are_read_alike(tmp_path: Path):
    frame = pandas.DataFrame(
        {
            "whole": pandas.array([1, None, 3], dtype="Int64"),
            "real": np.array([0.1, np.nan, 2], np.float32),
            "flag": [True, False, True],
            "kind": pandas.Categorical(["a", None, "b"]),
            "day": pandas.to_datetime(["2020-01-01", None, "2020-01-03"]),
        }
    )
    found = read_columns(frame)
    assert found["whole"] == ["1", None, "3"] and found["real"] == ["0.1", None, "2"]
    assert found["flag"] == ["True", "False", "True"] and found["kind"] == ["a", None, "b"]
    assert found["day"] == ["2020-01-01 00:00:00", None, "2020-01-03 00:00:00"]
    pytest.importorskip("pyarrow")
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_columns(tmp_path / "t.parquet") == found
    assert read_columns({"a": torch.tensor([1.0, 2.5]), "b": (None, "x")}) == {"a": ["1", "2.5"], "b": [None, "x"]}
    assert read_columns({"a": np.array([[1.5], [2.5]])}) == {"a": ["1.5", "2.5"]}
    assert is_table(frame) and is_table({}) and not is_table(np.zeros(3)) and not is_table([1])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"a": [1, 2], "b": [1]}, "the columns of the table must be equally long, got 2 values of 'a' and 1 of 'b'"),
        ({}, "must hold a header and at least one row"),
        ({"a": []}, "must hold a header and at least one row"),
        ({"a": "text"}, "the column 'a' of the table must be a list or array of values, got 'text'"),
        ({"a": 3}, "must be a list or array of values"),
        ({"a": np.zeros((2, 3))}, "must hold one value a row, got the shape [2, 3]; give each of its numbers a column"),
        ({"a": [1, object()]}, "row 2 of the column 'a' cannot be read: a label must be a number or text"),
        ({"a": [1.0, float("inf")]}, "row 2 of the column 'a' cannot be read: a label must be a finite number"),
        (pandas.DataFrame([[1, 2]], columns=["a", "a"]), "two columns of the table are called 'a'"),
        ({1: [1, 2], "1": [3, 4]}, "two columns of the table are called '1'"),
        ({"a": [[1], [1, 2]]}, "row 1 of the column 'a' cannot be read: a label must be a number or text"),
        ({"a": np.array(3)}, "must be a list or array of values"),
        ({"a": {1, 2}}, "must be a list or array of values"),
        ([[1, 2]], "the table must be a file, a data frame or a dict of columns; got list"),
        (None, "the table must be a file, a data frame or a dict of columns; got NoneType"),
    ],
)
def test_unusable_frames_are_refused(table: object, words: str):
    with pytest.raises(Refused, match=re.escape(words)):
        read_columns(table)


def test_parquet_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
    if pytest.importorskip("pyarrow"):
        with pytest.raises(Refused, match="cannot be read as Parquet"):
            read_columns(tmp_path / "t.parquet")
    real = builtins.__import__

    def without(name: str, *rest: object):
        if name.split(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Refused, match=re.escape("pip install 'condvae[tables]'")):
        read_columns(tmp_path / "t.parquet")


# --- collections ------------------------------------------------------------------------------------------


def test_rows_are_encoded_and_decoded(tmp_path: Path):
    made = table_collection(PEOPLE, ["sex", "smokes"], ["height", "children", "town"], "people")
    assert made.fields == ("sex", "smokes") and made.train.labels["smokes"][:2] == ("yes", "no")
    assert made.outputs is not None and [type(f) for f in made.outputs.fields] == [Number, Label, Label]
    x = made.train.x
    assert x.shape == (60, 1, 1, 1 + 4 + 3) and x.dtype == torch.float32
    assert (x.low, x.high) == (float(x[:].min()), float(x[:].max()))
    back = decode_rows(made.outputs, x[:].numpy())
    np.testing.assert_allclose(back["height"], PEOPLE["height"], atol=1e-6)
    assert back["height"].dtype == np.float64 and back["height"].shape == (60,)
    assert back["children"].tolist() == [str(i % 4) for i in range(60)] and back["town"].tolist() == PEOPLE["town"]
    again = Schema.from_json(json.loads(json.dumps(made.outputs.to_json())))
    np.testing.assert_array_equal(encode_rows(again, PEOPLE), x[:].numpy())
    assert encode_rows(again, people(tmp_path / "t.csv")).dtype == np.float32


def test_blanks_are_learned_as_blanks():
    table = {"a": [1.5, None, 3.5, 4.0], "b": ["x", "y", None, "x"], "c": [1, 2, 1, 2]}
    made = table_collection(table, ["c"], [], kinds={"c": "number"})
    assert made.outputs is not None and made.outputs.width == 2 + 3 and all(f.optional for f in made.outputs.fields)
    x = made.train.x[:].numpy()[:, 0, 0]
    assert x[:, 1].tolist() == [1, 0, 1, 1] and x[:, 4].tolist() == [1, 1, 0, 1] and x[1, 0] == 0
    assert made.train.numbers["c"].tolist() == [[1], [2], [1], [2]]
    assert any("Blank, and so not learned from in those rows: a (1), b (1)." in note for note in made.notes)
    assert encode_rows(made.outputs, {"a": [None], "b": ["y"]})[0, 0, 0].tolist() == [0, 0, 0, 1, 1]


def test_decoded_numbers_are_rounded_clipped_and_shaped():
    outputs = table_collection({"n": [str(i) for i in range(30)], "k": ["a", "b", "b"] * 10}, [], ["n", "k"]).outputs
    assert outputs is not None
    field = outputs.fields[0]
    assert isinstance(field, Number) and field.whole
    x = np.zeros((2, 3, 1, 1, outputs.width), np.float32)
    x[0, 0, ..., 0], x[0, 1, ..., 0], x[0, 2, ..., 0] = 50, -50, 0.01
    x[1, ..., 2] = 1
    found = decode_rows(outputs, x)
    assert found["n"].shape == found["k"].shape == (2, 3) and found["k"].dtype == object
    assert found["n"][0].tolist() == [29, 0, 15 if field.mean[0] + 0.01 * field.deviation[0] > 14.5 else 14]
    assert found["k"].tolist() == [["a"] * 3, ["b"] * 3]
    low = (np.array([[-0.4], [-0.1], [0.4]]) - field.mean[0]) / field.deviation[0]
    assert [f"{one:g}" for one in decode_rows(Schema((field,)), low)["n"]] == ["0", "0", "0"]  # none is -0
    assert decode_rows(outputs, x[0, 0, 0, 0])["n"].shape == ()
    with pytest.raises(Refused, match="rows of 3 numbers, as encode_rows gives them, got 4"):
        decode_rows(outputs, np.zeros((5, 4)))


@pytest.mark.parametrize("least", [0.0, 0.37, 1e6 / 3])
def test_the_ends_of_the_training_range_come_back_exactly(least: float):
    rain = np.maximum(np.random.default_rng(0).normal(0, 3.3, 400), 0) + least
    outputs = Schema((Number.learn("rain", rain[:, None]),))
    drawn = np.array([[-9.0], [9.0]], np.float32)
    assert decode_rows(outputs, drawn)["rain"].tolist() == [rain.min(), rain.max()]
    back = decode_rows(outputs, encode_rows(outputs, {"rain": rain}))["rain"]
    assert (back == least).sum() == (rain == least).sum() > 150 and (back == rain.max()).any()
    beyond = encode_rows(outputs, {"rain": [rain.max() + 50]})
    assert decode_rows(outputs, beyond)["rain"] == [rain.max()]
    assert decode_rows(outputs, beyond, bounded=False)["rain"] == pytest.approx([rain.max() + 50])


def test_a_label_of_broken_numbers_is_read_as_it_was():
    table = {"size": ["1.0", "2.5", "3.0"] * 20, "k": ["x", "y"] * 30}
    outputs = table_collection(table, "k", kinds={"size": "label"}).outputs
    assert outputs is not None and outputs.fields[0].values == ("1.0", "2.5", "3.0")  # type: ignore[union-attr]
    assert encode_rows(outputs, {"size": ["3.0", "1.0"]})[:, 0, 0].tolist() == [[0, 0, 1], [1, 0, 0]]
    whole = table_collection({**table, "size": [1, 2, 3] * 20}, "k", kinds={"size": "label"}).outputs
    assert whole is not None and encode_rows(whole, {"size": ["3.0", "1"]})[:, 0, 0].argmax(1).tolist() == [2, 0]


def test_a_vector_of_outputs_keeps_its_last_axis():
    field = Number.learn("v", np.array([[0.0, 1.5], [2.0, 3.5]]))
    outputs = Schema((field, Label.learn("k", ["a", "b"])))
    x = outputs.encode({"v": np.array([[0.0, 1.5]]), "k": np.array([1])}, 1).vector.numpy()
    np.testing.assert_allclose(decode_rows(outputs, x)["v"], [[0.0, 1.5]], atol=1e-6)


@pytest.mark.parametrize(
    ("condition", "generate", "words"),
    [
        (
            ["sexx"],
            ["town"],
            "condition names 'sexx'; the columns are sex, height, children, town, smokes, did you mean",
        ),
        (["sex"], ["tovn"], "generate names 'tovn'; the columns are"),
        (["sex"], ["sex"], "'sex' is named in both condition and generate"),
        (["sex", "sex"], [], "condition names 'sex' twice; name each column once"),
        (list(USED), [], "condition names every column, so that none is left to generate"),
    ],
)
def test_wrong_columns_are_refused(condition: list[str], generate: list[str], words: str):
    with pytest.raises(Refused, match=re.escape(words)):
        table_collection(USED, condition, generate)


def test_generate_is_all_others_and_condition_may_be_none():
    made = table_collection(USED, "sex")
    assert made.outputs is not None and [f.name for f in made.outputs.fields] == [
        "height",
        "children",
        "town",
        "smokes",
    ]
    assert isinstance(made.outputs.fields[3], Attribute)
    plain = table_collection(USED, None, "town")
    assert plain.fields == () and plain.train.x.shape[-1] == 3


@pytest.mark.parametrize(
    ("column", "condition", "kinds", "words"),
    [
        (
            ["a"] * 60,
            False,
            {},
            "the column 'z' must hold at least two values, got only 'a', so there is nothing to ask ",
        ),
        (["a"] * 60, False, {}, "leave it out of generate (--generate)"),
        (["a"] * 60, True, {}, "leave it out of condition (--condition)"),
        ([None] * 60, True, {}, "got no known label at all"),
        (
            ["1.5"] * 60,
            True,
            {"z": "number"},
            "two different numbers, got only 1.5; leave it out of condition (--condition)",
        ),
        (
            [i * 1e300 for i in range(60)],
            True,
            {"z": "number"},
            "'z' holds numbers from 0 to 5.9e+301, whose standard deviation no float holds; give it in other units, or",
        ),
        ([(i + 1) * 1e-200 for i in range(60)], False, {"z": "number"}, "whose standard deviation no float holds"),
        (
            PEOPLE["name"],
            True,
            {},
            "'z' looks like an identifier: 60 different values in 60 rows; leave it out of cond",
        ),
        (
            PEOPLE["name"],
            False,
            {"z": "number"},
            "'z' must be a finite number, or blank where it is unknown, got 'n0' in",
        ),
        (PEOPLE["town"], False, {"y": "number"}, "kinds names 'y'; the columns that are used are"),
        (PEOPLE["town"], False, {"z": "nombre"}, "the kind of 'z' must be one of"),
    ],
)
def test_columns_that_cannot_be_learned_are_refused(column: list, condition: bool, kinds: dict, words: str):
    asked, generated = (["z"], ["town"]) if condition else (["sex"], ["town", "z"])
    with pytest.raises(Refused, match=re.escape(words)):
        table_collection({**USED, "z": column}, asked, generated, kinds=kinds)
    if kinds == {} and column is PEOPLE["name"]:
        made = table_collection({**USED, "z": column}, asked, generated, kinds={"z": "label"})
        assert len(set(made.train.labels["z"])) == 60


def test_rows_without_anything_generated_are_refused_or_skipped():
    table = {"a": ["x", None, "y", None], "b": [1.5, 2.5, None, None], "c": [1, 2, 1, 2]}
    with pytest.raises(Refused, match=re.escape("1 of 4 rows are blank in all that is generated (a, b), first row 4")):
        table_collection(table, ["c"])
    made = table_collection(table, ["c"], skip_bad=True)
    assert len(made.train) == 3 and made.train.labels["c"] == ("1", "2", "1")
    assert "1 of 4 rows are blank in all that is generated and were skipped, first 4." in made.notes
    with pytest.raises(Refused, match="every row is blank in a, so there is nothing to learn"):
        table_collection({"a": [None, None], "c": [1, 2]}, ["c"], skip_bad=True)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            {"town": ["Oslo", "Olso"], "height": [1.6, 1.7]},
            "row 2: town is one of Bergen, Bodø, Oslo; got 'Olso', did you",
        ),
        ({"town": ["Oslo", None], "height": [1.6, 1.7]}, "row 2 is blank in 'town', which training always knew"),
        (
            {"town": ["Oslo"], "height": ["tall"]},
            "'height' must be a finite number, or blank where it is unknown, got 't",
        ),
        ({"town": ["Oslo"], "hight": [1.6]}, "the table must hold the column 'height', did you mean 'hight'?"),
        (
            {"town": ["Oslo", "Oslo"], "height": [1.6, 1e300]},
            "row 2: height was 1.5 to 2.09 in training; got 1e+300, too far off; mend it",
        ),
    ],
)
def test_later_rows_that_the_model_cannot_know_are_refused(rows: dict, words: str):
    outputs = table_collection(USED, ["sex"], ["town", "height"]).outputs
    assert outputs is not None
    with pytest.raises(Refused, match=re.escape(words)):
        encode_rows(outputs, rows)


def test_the_data_check_speaks_of_rows():
    made = table_collection(USED, ["sex"], ["town", "height"])
    text = " ".join(describe(made.train, None, "rows", "so", made.notes, made.outputs))
    assert text.startswith("60 training rows; generated are town, height (4 numbers a row as encoded).")
    assert "'height' is read as a number, for it holds values that are not whole" in text
    assert "20 of 60 rows (33 %) have no known 'sex'" in text and "ixel" not in text and "images" not in text
    few = table_collection({"sex": ["f", "m", *[None] * 2998], "town": ["Oslo", "Bergen"] * 1500}, ["sex"])
    text = " ".join(describe(few.train, None, "rows", "so", (), few.outputs))
    assert "2,998 of 3,000 rows (99.93 %) have no known 'sex'" in text
    plain = table_collection(USED, [], ["town"])
    assert "No condition columns" in " ".join(describe(plain.train, None, "rows", "so", plain.notes, plain.outputs))


# --- by path, from Python, from a run's record ------------------------------------------------------------


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONDVAE_DATA", raising=False)
    monkeypatch.setenv("CONDVAE_CACHE", str(tmp_path / "cache"))


def test_a_table_is_loaded_by_path_and_read_again(tmp_path: Path):
    people(tmp_path / "people.csv")
    options = {"condition": ["sex"], "generate": ["height", "town"], "kinds": {"sex": "label"}}
    made = datasets.load("people.csv", tmp_path, **options)  # type: ignore[arg-type]
    assert made.name == "people" and made.source == str(tmp_path / "people.csv") and made.fields == ("sex",)
    assert json.loads(json.dumps(made.reading)) == made.reading and made.reading == {**options, "skip_bad": False}
    facts = {"data": {"name": made.name, "source": made.source, "reading": made.reading}}
    assert torch.equal(recorded_data(facts).train.x[:], made.train.x[:])
    assert datasets.load(people(tmp_path / "mnist.csv"), condition=["sex"], generate=["town"]).name == "mnist-csv"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "with condition (--condition A,B) and generate (--generate C,D; by default all others); the columns of"),
        ({}, "are name, sex, height, children, town, smokes"),
        ({"condition": ["sexx"]}, "condition names 'sexx'"),
        (
            {"condition": ["sex"], "size": 64},
            "size (--size) goes with a folder of images, not with the table people.csv",
        ),
        ({"condition": ["sex"], "file_column": "a"}, "file_column (--file-column) goes with a folder of images"),
        ({"condition": [1]}, "condition must be a list of names, got [1]"),
    ],
)
def test_wrong_options_of_a_table_are_refused(tmp_path: Path, options: dict, words: str):
    people(tmp_path / "people.csv")
    with pytest.raises(Refused, match=re.escape(words)):
        datasets.load("people.csv", tmp_path, **options)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "its columns are sex, height, children, town, smokes"),
        ({"condition": "sex", "c": {"a": [1]}}, "c goes with images, and x is a table"),
        ({"condition": "sex", "test": (1, 2)}, "test goes with images, and x is a table"),
        ({"condition": "sexx"}, "condition names 'sexx'"),
    ],
)
@pytest.mark.parametrize("frame", [True, False])
def test_fit_refuses_what_does_not_go_with_a_table(arguments: dict, words: str, frame: bool):
    with pytest.raises(Refused, match=re.escape(words)):
        fit(pandas.DataFrame(USED) if frame else USED, **arguments)


def test_fit_refuses_columns_of_what_is_no_table():
    x = np.zeros((4, 8, 8), np.float32)
    with pytest.raises(Refused, match="condition and generate name columns of a table"):
        fit(x, {"a": [1, 2, 1, 2]}, condition="a")
    with pytest.raises(Refused, match=r"give kinds to condvae.datasets.load"):
        fit(table_collection(USED, "sex"), kinds={"sex": "label"})


def test_a_table_in_memory_is_trained_on_and_given_again(tmp_path: Path):
    run = fit(
        pandas.DataFrame(USED), condition="sex", generate=["town", "height"], kinds={"sex": "label"}, epochs=1,
        progress=False, density="none",
    )  # fmt: skip
    drawn = run.generate({"sex": "f"}, n=5)
    assert set(drawn["town"]) <= set(PEOPLE["town"]) and drawn["height"].shape == (5,)
    facts = run.facts["data"]
    assert facts["reading"] == {"condition": "sex", "generate": ["town", "height"], "kinds": {"sex": "label"}}
    (tmp_path / "run.json").write_text(json.dumps({"data": facts}))
    again = given_again(tmp_path, USED, None, None)
    assert isinstance(again, Collection) and [f.name for f in again.outputs.fields] == ["town", "height"]  # type: ignore[union-attr]
    with pytest.raises(Refused, match="were arrays in memory"):
        recorded_data({"data": facts})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give --condition"),
        (["--condition", "sexx"], "condition names 'sexx'"),
        (["--condition", "sex", "--generate", "town,sex"], "'sex' is named in both condition and generate"),
        (
            ["--condition", "sex"],
            "'name' looks like an identifier: 60 different values in 60 rows; leave it out of g",
        ),
        (["--condition", "sex", "--generate", "town", "--number", "town"], "'town' must be a finite number"),
        (["--condition", "sex", "--size", "64"], "size (--size) goes with a folder of images"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    assert main(["train", str(people(tmp_path / "people.csv", ";")), *words]) == 2
    error = capsys.readouterr().err
    assert (said if words else "with condition (--condition A,B)") in error and error.count("\n") == 1
