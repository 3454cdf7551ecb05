"""What a page works with: runs by name, files of its own, requests in words that can be repeated."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from condvae import cli, runs
from condvae.actions import Actions, few_rows, real
from condvae.answers import answer
from condvae.desk import KEPT, SWEPT, Desk, abilities, has_plane
from condvae.errors import Refused
from condvae.phrases import called, phrased, words_of
from condvae.replies import Reply

ZOO = Path(__file__).parent.parent / "zoo"


@pytest.fixture(scope="module")
def desk():
    """The zoo's digits, faces and glimpses on a desk."""
    made = Desk([ZOO / name for name in ("mnist-cvae", "mnist-holes", "mnist-draw", "faces-drawn")])
    yield made
    made.close()
    assert not made.folder.exists()


@pytest.fixture(scope="module")
def actions(desk: Desk) -> Actions:
    return Actions(desk)


def test_runs_are_called_by_their_folder_and_never_twice_the_same(tmp_path: Path) -> None:
    desk = Desk([ZOO / "mnist-draw", ZOO / "mnist-draw"])
    assert list(desk.runs) == ["mnist-draw", "mnist-draw-2"]
    assert desk.adopt(ZOO / "mnist-draw") == "mnist-draw" and len(desk.runs) == 2
    with pytest.raises(Refused, match="run is one of mnist-draw, mnist-draw-2; got 'mnist-drew', did you mean"):
        desk.run("mnist-drew")
    desk.close()
    with pytest.raises(Refused, match="is no run"):
        Desk([tmp_path])


def test_each_run_shows_what_it_can_do(desk: Desk) -> None:
    found = {name: abilities(run) for name, run in desk.runs.items()}
    assert found["mnist-cvae"] == ("ask", "hand", "look", "read", "proof")
    assert found["mnist-holes"] == ("ask", "fill", "hand", "look", "read", "proof")
    assert found["mnist-draw"] == ("ask", "hand", "look", "read", "draw", "proof")
    assert found["faces-drawn"] == ("ask", "restyle", "look", "read", "proof")
    assert [has_plane(run) for run in desk.runs.values()] == [True, True, False, True]


def test_old_files_go_and_new_ones_stay(desk: Desk) -> None:
    old, new = Path(desk.place(".png")), Path(desk.place(".png"))
    for path in (old, new):
        path.write_bytes(b"x")
    long_ago = time.time() - KEPT - 1
    os.utime(old.parent, (long_ago, long_ago))
    desk.swept -= SWEPT + 1
    latest = Path(desk.place(".png"))
    assert not old.exists() and new.exists() and latest.parent.is_dir()


def test_examples_are_of_the_runs_own_size(desk: Desk) -> None:
    first, what = desk.example("faces-drawn", 0)
    with Image.open(first) as image:
        assert image.size == (64, 64) and image.mode == "RGB"
    assert what == "drawing of the model 1 of 40"
    assert desk.example("faces-drawn", 40)[1] == what  # they come round again


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (None, []),
        ({"digit": "6"}, ["digit=6"]),
        ({"digit": 6, "bold": True}, ["digit=6", "bold=yes"]),
        ({"digit": ["6", "7", None]}, ["digit=6,7,?"]),
        ({"age": 20.5, "light": [[0.25, 1]]}, ["age=20.5", "light=0.25:1"]),
    ],
)
def test_what_is_asked_in_words(asked: dict | None, words: list[str]) -> None:
    assert words_of(asked) == words


@pytest.mark.parametrize("asked", ["digit=6", ["6"], {"digit": {"a": 1}}, {"digit": []}, {"digit": ["a,b", "c"]}])
def test_what_is_no_request_is_refused_in_a_sentence(asked: object) -> None:
    with pytest.raises(Refused, match=r"; got "):
        words_of(asked)


def test_a_request_is_written_as_it_would_be_typed(desk: Desk) -> None:
    said = phrased(desk.run("mnist-cvae"), "generate", ["digit=6"], {"n": 4, "seed": None, "o": "a b.png"}, "x = 1")
    assert said.command == shlex.join(
        ["condvae", "generate", str(ZOO / "mnist-cvae"), "digit=6", "-n", "4", "-o", "a b.png"]
    )
    assert said.python.splitlines()[-1] == "x = 1"
    assert called("generate", "{'digit': '6'}", n=4, seed=None) == "run.generate({'digit': '6'}, n=4)"


@pytest.mark.parametrize("heat", [0.8, 0.0])
def test_the_command_and_the_python_shown_give_the_very_pictures(
    actions: Actions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heat: float
) -> None:
    made = actions.generate("mnist-cvae", {"digit": ["6", "7"]}, 3, 11, heat)
    monkeypatch.chdir(tmp_path)
    assert made.phrase is not None and made.reply.arrays is not None
    command = shlex.split(made.phrase.command.replace("asked.png", "asked.npz"))
    assert cli.main(command[1:]) == 0
    images = made.reply.arrays["images"]
    assert np.array_equal(np.load("asked.npz")["images"], images)
    names: dict = {}
    exec(made.phrase.python, names)
    assert np.array_equal(names["drawn"], images)


def test_amounts_are_bounded(actions: Actions) -> None:
    amounts: list[dict[str, Any]] = [{"n": 0}, {"n": 257}, {"n": 2.5}, {"seed": -1}]
    for wrong in [*amounts, {"temperature": 3.1}, {"guidance": float("nan")}]:
        with pytest.raises(Refused, match=rf"^{next(iter(wrong))} must be "):
            actions.generate("mnist-cvae", {"digit": "6"}, **wrong)
    with pytest.raises(Refused, match="at most 32 combinations"):
        few_rows({"a": list(range(7)), "b": list(range(5))}, 1)
    with pytest.raises(Refused, match="steps must be a whole number from 2 to 64"):
        actions.interpolate("mnist-cvae", None, None, {"digit": "1"}, {"digit": "2"}, steps=65)
    with pytest.raises(Refused, match="at must be a number from -6 to 6"):
        actions.point("mnist-cvae", {"digit": "1"}, (0, 7))
    assert real(1, "x", 0, 1) == 1.0


def test_answers_are_json_with_pictures_in_png(actions: Actions) -> None:
    import base64
    import io
    import json

    made = actions.generate("faces-drawn", {"expression": ["happy", "sad"]}, 2)
    told = json.loads(json.dumps(answer(made), allow_nan=False))
    assert made.file is not None and made.file not in json.dumps(told)
    assert told["expression"] == ["happy", "sad"] and told["said"] and told["command"].startswith("condvae generate")
    assert len(told["images"]) == 2 and len(told["images"][0]) == 2
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(told["images"][1][0]))))
    assert made.reply.arrays is not None
    drawn = made.reply.arrays["images"][1, 0].transpose(1, 2, 0)
    assert picture.shape == (64, 64, 3) and np.abs(picture / 255 - drawn).max() < 0.5 / 255 + 1e-6
    assert told["file"]["name"] == "asked.png" and base64.b64decode(told["file"]["base64"])[:4] == b"\x89PNG"


def test_every_action_answers(actions: Actions, desk: Desk) -> None:
    example, _ = desk.example("mnist-holes", 3)
    made = [
        actions.fill("mnist-holes", example, hole="0,0,14,28", n=2),
        actions.restyle("mnist-cvae", example, {"digit": "3"}),
        actions.write("mnist-cvae", "20 26", example, {"digit": "3"}),
        actions.write("mnist-cvae", "7", seed=3),
        actions.classify("mnist-cvae", example),
        actions.interpolate("mnist-cvae", example, example, {"digit": "3"}, {"digit": "3"}, 3),
        actions.plane("mnist-cvae", {"digit": "3"}, 3),
        actions.point("mnist-cvae", {"digit": "3"}, (-1, 1)),
        actions.map("mnist-draw", limit=20),
        actions.draw("mnist-draw", {"digit": "3"}, 1),
        actions.card("mnist-cvae"),
    ]
    for one in made:
        told = answer(one)
        assert one.phrase is not None
        cli.app.parse_args(shlex.split(one.phrase.command)[1:], exit_on_error=False, print_error=False)
        assert one.phrase is not None and one.phrase.command.startswith("condvae ") and told["said"]
        assert one.file is None or Path(one.file).stat().st_size > 50
    seen = made[0].reply.arrays
    assert seen is not None and np.array_equal(seen["images"][:, :, :, 14:], np.stack([seen["x"][:, :, 14:]] * 2))


def test_a_reply_without_arrays_or_a_file_is_an_answer_too() -> None:
    from condvae.actions import Made

    assert answer(Made(Reply(("a",), {"b": 1}))) == {"said": ["a"], "notes": [], "data": {"b": 1}}


def test_served_runs_load_as_they_are_saved(desk: Desk) -> None:
    assert runs.opened(desk.run("mnist-cvae")) is desk.run("mnist-cvae")


def test_what_is_too_much_together_goes_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    paths = [Path(desk.place(".png")) for _ in range(3)]
    for age, path in enumerate(reversed(paths)):
        path.write_bytes(bytes(1000))
        os.utime(path.parent, (time.time() - 60 * age, time.time() - 60 * age))
    monkeypatch.setattr("condvae.desk.MOST", 2500)
    desk.swept -= SWEPT + 1
    desk.sweep()
    assert [path.exists() for path in paths] == [False, True, True]
    desk.close()


def test_numbers_that_no_network_could_take_are_refused(actions: Actions) -> None:
    for wild in (1e9, -1e300):
        with pytest.raises(Refused, match="pose must be a number near -1 to 1 in training; got "):
            actions.generate("faces-drawn", {"pose": wild})
