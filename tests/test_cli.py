"""The command line: every command in-process, its exit codes, its one-line errors, and Ctrl-C in a real process."""

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_api import tiny

from condvae import judges, weighing
from condvae.cli import app, main
from condvae.progress import counter, interruptible
from condvae.settings import Settings
from condvae.studio import Reply

COMMANDS = (
    "train",
    "train-features",
    "generate",
    "fill",
    "impute",
    "write",
    "reconstruct",
    "restyle",
    "card",
    "draw",
    "interpolate",
    "traverse",
    "plane",
    "serve",
    "components",
    "classify",
    "embed",
    "evaluate",
    "reproduce",
    "recipes",
    "data",
)
SETTINGS = "--network mlp --hidden 12,8 --z 3 --batch 20 --average 0 --threads 1 --schedule constant --warm-up 0"
SMALL = SETTINGS.split(" ")


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    """An empty folder to work in, a cache of its own, a judge that is trained in a moment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONDVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CONDVAE_DATA", raising=False)
    monkeypatch.setattr(judges, "LEAST_PASSES", 200)
    monkeypatch.setattr(judges, "EPOCHS", 1)
    x, y = tiny()
    np.savez("own.npz", x_train=x, y_train=y, x_test=x[:12], y_test=y[:12])


def test_every_command_has_help(capsys):
    assert {name for name in app if not name.startswith("-")} == set(COMMANDS)
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        assert len(capsys.readouterr().out.splitlines()) > 2
        assert app[name].help.strip()


def test_every_setting_is_a_flag(capsys):
    main(["train", "--help"])
    shown = capsys.readouterr().out
    assert [name for name in Settings.model_fields if f"--{name.replace('_', '-')}" not in shown] == []


def test_version(capsys):
    assert main(["--version"]) == 0
    declared = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["version"]
    assert capsys.readouterr().out.strip() == declared


def test_from_training_to_proof(capsys):
    assert main(["train", "own.npz", "--epochs", "1", "--seed", "3", *SMALL]) == 0
    out, err = capsys.readouterr()
    assert "the run: runs/own" in out and "epoch 1/1" in err and "80" not in out
    facts = json.loads(Path("runs/own/run.json").read_text())
    assert facts["settings"]["hidden"] == [12, 8] and facts["settings"]["seed"] == 3 and facts["status"] == "complete"
    assert (
        main(["generate", "runs/own", "label=1,2", "-n", "4", "-o", "two.png", "--npz", "two.npz", "--seed", "1"]) == 0
    )
    assert np.load("two.npz")["images"].shape == (2, 4, 1, 8, 8)
    assert main(["reconstruct", "runs/own", "two.png", "--given", "label=3", "-o", "r.png"]) == 0
    assert main(["restyle", "runs/own", "two.png", "--given", "label=3", "--to", "label=0", "-o", "s.png"]) == 0
    assert main(["embed", "runs/own", "own.npz", "--method", "pca", "-o", "e.png"]) == 0
    assert main(["interpolate", "runs/own", "--from", "label=1", "--to", "label=2", "--steps", "3", "-o", "i.gif"]) == 0
    assert main(["interpolate", "runs/own", "two.png", "two.png", "--given", "label=1", "-o", "j.png"]) == 0
    assert main(["traverse", "runs/own", "label=1", "--units", "2,0", "--steps", "3", "-o", "u.png"]) == 0
    assert main(["traverse", "runs/own", "--image", "two.png", "--field", "label", "-o", "v.npz"]) == 0
    assert main(["components", "runs/own", "label=1", "-n", "2", "--most", "3", "-o", "c.png"]) == 0
    assert main(["draw", "runs/own", "label=1", "-o", "d.gif"]) == 2  # no model that draws in glimpses
    made = ("two.png", "r.png", "s.png", "e.png", "i.gif", "j.png", "u.png", "v.npz", "c.png")
    assert all(Path(name).is_file() for name in made)
    capsys.readouterr()
    assert main(["classify", "runs/own", "own.npz", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["names"]) == 12
    assert main(["evaluate", "runs/own", "--k", "3", "--limit", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["likelihood"]["k"] == 3 and found["likelihood"]["images"] == 5 and found["images"] == 12
    assert main(["evaluate", "runs/own", "--data", "own.npz", "--k", "3", "--quiet"]) == 0
    assert "asked label = label read" in capsys.readouterr().out
    assert main(["train", "own.npz", "--epochs", "0", "--quiet", *SMALL]) == 0
    assert "the run: runs/own-2" in capsys.readouterr().out
    assert main(["train", "--resume", "runs/own", "--epochs", "+1", "--quiet"]) == 0
    assert len(Path("runs/own/history.jsonl").read_text().splitlines()) == 2


def test_reproduce_sets_the_published_numbers_beside_ours_and_goes_on(capsys, monkeypatch):
    from condvae import jobs, reproduce
    from condvae.data import collect

    x = np.random.default_rng(0).random((60, 28, 28)).astype(np.float32)
    y = np.arange(60) % 10
    toy = collect(x, {"digit": y}, x[:20], {"digit": y[:20]}, "mnist")
    known = jobs.recipe_of("zhang-cai")
    short = dataclasses.replace(known, settings={**known.settings, "epochs": 1, "hidden": (8,)})
    monkeypatch.setattr(reproduce, "load_data", lambda *_: toy)
    monkeypatch.setattr(jobs, "recipe_of", lambda _: short)
    for variant in ("cvae", "vae", "z1"):
        assert main(["reproduce", "zhang-cai", "--variant", variant, "--out", variant, "--quiet"]) == 0
        out = capsys.readouterr().out
        assert "published" in out and "recorded in results/zhang-cai.json" in out
    assert ("missed" in out) and Path("cvae/report.html").is_file() and Path("vae/pictures/latents.png").is_file()
    runs = json.loads(Path("results/zhang-cai.json").read_text())["runs"]
    assert {(run["variant"], run["seed"]) for run in runs} == {("cvae", 0), ("vae", 0), ("z1", 0)}


def test_lists(capsys):
    assert main(["recipes"]) == 0
    assert "zhang-cai" in capsys.readouterr().out
    assert main(["data"]) == 0
    assert "fashion-mnist" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trian digits", 'Did you mean "train"'),
        ("train own.npz --epocsh 3", "Did you mean --epochs"),
        ("train mnits", "did you mean 'mnist'"),
        ("train own.npz --z none", "z was given as 'none'"),
        ("train own.npz --network cnn", "'conv', 'mlp', 'draw' or 'ladder'"),
        ("train own.npz --epochs +3", "goes with --resume"),
        ("train", "train needs DATA"),
        ("train own.npz --resume runs/x", "--resume RUN goes on as RUN was begun"),
        ("train --resume nowhere", "no run"),
        ("train own.npz --config absent.toml", "no file 'absent.toml'"),
        ("train own.npz --recipe zang-cai", "did you mean 'zhang-cai'"),
        ("generate nowhere digit=6 -o a.png", "no such folder"),
        ("generate", "RUN requires an argument"),
        ("reproduce zhangcai", "did you mean 'zhang-cai'"),
        ("reproduce kristiadi --variant vea", "did you mean 'vae'"),
    ],
)
def test_bad_input_is_one_line_and_2(capsys, words, said):
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert said in err and err.startswith("condvae: ") and err.count("\n") == 1 and out == ""


def test_fill_write_and_guidance_pass_on_what_was_typed(monkeypatch, capsys):
    from condvae import hands, studio

    asked, more = [], ("--seed", "2", "--temperature", "0.5", "--prior", "flow")
    for room, name in ((hands, "fill"), (hands, "write"), (studio, "generate")):
        monkeypatch.setattr(room, name, lambda *a, name=name: asked.append((name, a)) or studio.Reply((name,)))
    assert main(["fill", "r", "a.png", "--mask", "m.png", "-n", "3", "--given", "digit=6", "-o", "o.png", *more]) == 0
    assert main(["fill", "r", "a.png", "--hole", "1,2,3,4", "-o", "o.png"]) == 0
    assert main(["write", "r", "31 415", "--style", "a.png", "--given", "digit=3", "-o", "w.png", "--field", "d"]) == 0
    assert main(["generate", "r", "age=20,40", "smiling=yes", "-n", "8", "--guidance", "2.5", "-o", "g.png"]) == 0
    assert asked == [
        ("fill", ("r", "a.png", "m.png", None, 3, "o.png", ["digit=6"], 2, "0.5", "flow", False)),
        ("fill", ("r", "a.png", None, "1,2,3,4", 5, "o.png", (), 0, "1", None, False)),
        ("write", ("r", "31 415", "a.png", ["digit=3"], "w.png", 0, "d", False)),
        ("generate", ("r", ("age=20,40", "smiling=yes"), 8, "g.png", None, 0, "1", None, 2.5)),
    ]
    assert capsys.readouterr().out.split() == ["fill", "fill", "write", "generate"]


def test_a_warning_of_condvae_is_one_plain_line(monkeypatch, capsys):
    from condvae import jobs

    code = compile("warnings.warn('a  note\\nof ours', stacklevel=1)", str(Path(judges.__file__)), "exec")

    def warn():
        exec(code, {"warnings": warnings})
        warnings.warn_explicit("a stranger's", UserWarning, "/elsewhere/torch.py", 7)
        warnings.warn_explicit("another kind", FutureWarning, judges.__file__, 7)
        return Reply(("done",))

    monkeypatch.setattr(jobs, "list_recipes", warn)
    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda message, *_, **__: print(f"usual: {message}", file=sys.stderr)
        assert main(["recipes"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == ["condvae: note: a note of ours", "usual: a stranger's", "usual: another kind"]
    assert out == "done\n" and warnings.showwarning is before


def test_a_failure_is_one_line_and_1_and_a_traceback_on_demand(capsys, monkeypatch):
    from condvae import jobs

    def fail():
        raise ZeroDivisionError("first\nsecond")

    monkeypatch.setattr(jobs, "list_recipes", fail)
    assert main(["recipes"]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError: first second" in err and err.count("\n") == 1
    monkeypatch.setenv("CONDVAE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["recipes"])


@pytest.mark.parametrize("name", ["s.toml", "s.json"])
def test_config_file_under_flags(name):
    text = 'hidden = [5]\nz = 2\nepochs = 0\nnetwork = "mlp"\n'
    Path(name).write_text(text if name.endswith("toml") else json.dumps(tomllib.loads(text)))
    assert main(["train", "own.npz", "--config", name, "--z", "4", "--quiet", "--out", "r"]) == 0
    settings = json.loads(Path("r/run.json").read_text())["settings"]
    assert settings["hidden"] == [5] and settings["z"] == 4 and settings["epochs"] == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [("zz = 3", "s.toml: 'zz' is not a setting"), ("z = [", "cannot be read as TOML"), ("z = 0", "z was given as 0")],
)
def test_bad_config_is_refused(capsys, text, said):
    Path("s.toml").write_text(text)
    assert main(["train", "own.npz", "--config", "s.toml"]) == 2
    assert said in capsys.readouterr().err and not Path("runs").exists()


def test_a_reader_that_leaves_is_no_error():
    code = "import sys; from condvae.process import outcome; sys.exit(outcome(lambda: print('x'), {}))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == 141 and done.stderr == ""


def test_second_ctrl_c_raises_and_the_handler_is_put_back(capsys):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where the tests run in the background
    try:
        with pytest.raises(KeyboardInterrupt), interruptible() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.asked
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_of_an_evaluation_ends_with_a_sentence_and_the_same_command_goes_on(monkeypatch, capsys):
    assert main(["train", "own.npz", "--epochs", "1", "--quiet", *SMALL]) == 0
    monkeypatch.setattr(weighing, "ENTRIES", 4 * 64)  # chunks of 2 images
    asked = ["evaluate", "runs/own", "--k", "2", "--limit", "0", "--json", "--leave-out", "all"]
    capsys.readouterr()
    assert main(asked) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["likelihood"]["of"] == "p(x), summed over label"
    plain, left = weighing.weighed_chunk, iter(range(3))

    def interrupted(model, c, x, rows, k, *rest):
        if k == 2 and next(left, None) is None:
            signal.raise_signal(signal.SIGINT)
        return plain(model, c, x, rows, k, *rest)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(weighing, "weighed_chunk", interrupted)
            assert main(asked) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    out, err = capsys.readouterr()
    kept = "what was weighed is kept in runs/own/weighed.safetensors, and the same command goes on from there"
    assert (out, err.splitlines()[-1]) == ("", f"condvae: evaluation stopped; {kept}")
    assert Path("runs/own/weighed.safetensors").is_file()
    assert main(asked) == 0
    again = json.loads(capsys.readouterr().out)
    for one in (whole, again):
        del one["likelihood"]["seconds"]
    assert again == whole and not Path("runs/own/weighed.safetensors").exists()


def test_an_evaluation_of_fields_left_out(capsys):
    assert main(["train", "own.npz", "--epochs", "1", "--quiet", "--drop", "0.2", *SMALL]) == 0
    ask = ["evaluate", "runs/own", "--k", "2", "--limit", "4", "--json", "--quiet"]
    capsys.readouterr()
    for more, of in (
        ([], "p(x | label)"),
        (["--leave-out", "label"], "p(x), blank input for label"),
        (["--leave-out", "class", "--unknown", "sum"], "p(x), summed over label"),
        (["--leave-out", "all", "--unknown", "blank"], "p(x), blank input for label"),
    ):
        assert main([*ask, *more]) == 0
        assert json.loads(capsys.readouterr().out)["likelihood"]["of"] == of
    assert main([*ask, "--leave-out", "ink"]) == 2
    assert "what may be asked is label; got 'ink'" in capsys.readouterr().err
    assert main([*ask, "--unknown", "summ"]) == 2
    assert "did you mean 'sum'" in capsys.readouterr().err


class Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def test_a_count_tells_the_time_left_on_a_terminal_and_once_a_minute_elsewhere(monkeypatch):
    now = iter([0.0, 10.0, 20.0, 100.0])
    monkeypatch.setattr("condvae.progress.time.monotonic", lambda: next(now))
    screen = Screen(True)
    report = counter("likelihood", screen)
    for done in (10, 20, 21, 100):
        report(done, 100)
    said = screen.getvalue().split("\r")[1:]
    assert [one.rstrip() for one in said] == [
        "likelihood:  10 %",
        "likelihood:  20 %, 1:20 left",
        "likelihood:  21 %, 2:24 left",
        "likelihood: 100 %",
    ]
    assert len(said[-1].rstrip("\n")) >= len(said[-2]) and said[-1].endswith("\n")  # nothing of the last line is left
    now = iter([0.0, 1.0, 30.0, 60.0, 95.0, 100.0])
    log = Screen(False)
    report = counter("likelihood", log)
    for done in (0, 1, 20, 60, 95, 100):
        report(done, 100)
    assert log.getvalue().splitlines() == ["likelihood:  20 %, 2 minutes left", "likelihood:  95 %, 5 seconds left"]
    now = iter([0.0, 3.0, 30.0, 50.0])
    log = Screen(False)
    report = counter("likelihood", log)
    for done in (0, 10, 70, 100):
        report(done, 100)
    assert log.getvalue() == ""


def test_ctrl_c_saves_and_the_resumed_training_is_the_uninterrupted_one():
    """Bitwise: also in the middle of an epoch."""
    train = ["own.npz", *SMALL, "--density", "none"]
    command = [sys.executable, "-m", "condvae", "train", *train, "--epochs", "1000000", "--out", "cut"]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # whoever runs the tests in the background may have Ctrl-C ignored, which a child would inherit
    with subprocess.Popen(command, **pipes, preexec_fn=heed_ctrl_c) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if line.startswith("epoch 2/"):
                break
        child.send_signal(signal.SIGINT)
        said = child.stderr.read()
        assert child.wait(30) == 130
    assert "condvae train --resume cut" in said and "Traceback" not in said
    facts = json.loads(Path("cut/run.json").read_text())
    assert facts["status"] == "interrupted"
    epochs = len(Path("cut/history.jsonl").read_text().splitlines()) + 2
    assert main(["train", "--resume", "cut", "--epochs", str(epochs), "--quiet"]) == 0
    assert main(["train", *train, "--epochs", str(epochs), "--out", "whole", "--quiet"]) == 0
    cut, whole = (load_file(f"{name}/model.safetensors") for name in ("cut", "whole"))
    assert cut.keys() == whole.keys() and all(np.array_equal(cut[name], whole[name]) for name in whole)
    rows = [
        [json.loads(line)["train"] for line in Path(f"{name}/history.jsonl").read_text().splitlines()]
        for name in ("cut", "whole")
    ]
    assert rows[0] == rows[1]
