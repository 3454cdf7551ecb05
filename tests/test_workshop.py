"""A training in a process of its own: begun, watched, stopped, used, refused, killed, orphaned."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from condvae import api, live, runs, workbench, workshop
from condvae.errors import Refused
from condvae.jobs import typed
from condvae.live import Status, Trace, read_status, write_status
from condvae.uploads import unpacked
from condvae.watch import Diverged

TINY = {"network": "mlp", "hidden": "16", "z": 2, "batch": 64, "density_components": 2}
CONV = {"width": 4, "blocks": 0, "features": 8, "z": 2, "batch": 16, "density": "none"}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No data but those within, runs in a folder of the test's, and no job left behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONDVAE_DATA", raising=False)
    monkeypatch.setenv("CONDVAE_CACHE", str(tmp_path / "cache"))
    yield
    job = workshop.current()
    if job is not None and job.running:
        os.killpg(job.process.pid, signal.SIGKILL)
        job.wait(10)


def until(true: Callable[[], Any], seconds: float = 90.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)
    return found


def pets(folder: Path) -> Path:
    """A folder unpacked from a zip of coloured, wide pictures in two classes."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "upload.zip", "w") as archive:
        for number in range(96):
            kind = "dusk" if number % 2 else "dawn"
            pixels = rng.integers(0, 90, (8, 20, 3), np.uint8) + np.asarray(
                [150, 60, 0 if number % 2 else 150], np.uint8
            )
            memory = io.BytesIO()
            Image.fromarray(pixels).save(memory, "PNG")
            archive.writestr(f"sky/{kind}/{number}.png", memory.getvalue())
    return unpacked(folder / "upload.zip", folder / "uploads" / "sky")[0]


def bench(folder: Path, data: str, settings: dict[str, Any], **more: Any) -> workbench.Bench:
    """The work of a child, done here."""
    job = {
        "data": data,
        "name": Path(data).name,
        "place": data if Path(data).exists() else None,
        "settings": typed(settings),
        "recipe": None,
        "out": "runs/one",
        "data_dir": None,
        "reading": {},
        "parent": os.getppid(),
    }
    folder.mkdir()
    Path("runs/one").mkdir(parents=True)
    return workbench.Bench(folder, job | more, workbench.Asked(folder, os.getppid()))


def ended(folder: Path) -> Status:
    found = read_status(folder)
    assert found is not None and found.ended
    return found


# --- in a process of its own ------------------------------------------------------------------------------


def test_a_training_is_begun_watched_stopped_and_used():
    job = workshop.begin("digits", {**TINY, "epochs": "500", "hidden": "16,8"})
    assert job.run == Path("runs/digits") and workshop.current() is job and job.status().state == "reading"
    with pytest.raises(Refused, match=r"a training on digits runs already.*; stop it, or wait"):
        workshop.begin("digits", {})
    first = until(lambda: (s := job.status()).epoch > 1 and s.picture is not None and s)
    assert first.state == "training" and first.lines[0].startswith("1,365 training images") and first.epochs == 500
    assert (
        0 < first.fraction < 1 and first.speed > 0 and first.left > 0 and set(first.terms) == {"reconstruction", "rate"}
    )
    assert not first.usable and first.history[0]["validation"]["loss"] > 0 and 2 < len(first.trace) <= live.POINTS
    with Image.open(first.picture) as drawn:
        assert drawn.size[0] > 300 and len(drawn.convert("L").getcolors(1 << 20) or []) > 20
    picture = workshop.curves(first)
    assert picture is not None and picture.size[0] > 300
    assert until(lambda: (s := job.status()).step > first.step and s).trace[-1][0] > first.trace[-1][0]
    job.stop()
    used = until(lambda: (s := job.status()).usable and s)
    found = runs.load(job.run)
    assert found.facts["status"] == "complete" and found.density is not None and len(found.history) < 500
    assert found.settings.hidden == (16, 8) and found.generate({"digit": 6}, 2).shape == (2, 1, 8, 8)
    assert used.state in ("finishing", "stopped") and job.running
    job.kill()  # as when the server ends while the report is written
    assert not job.running and job.status().ended and runs.load(job.run).facts["status"] == "complete"


def test_a_child_that_is_killed_is_spoken_of():
    job = workshop.begin("digits", TINY)
    os.kill(job.process.pid, signal.SIGKILL)
    assert job.wait(10)
    status = job.status()
    assert status.state == "failed" and not Path("runs/digits").exists()
    assert status.said.startswith(
        "the training process ended unexpectedly (signal 9): memory may have run out; nothing"
    )
    job.stop()
    job.kill()  # neither of which does anything any more
    again = workshop.begin("digits", TINY)
    assert again.run == job.run and again.status().state == "reading"
    again.kill()
    assert again.status().state == "stopped" and "nothing of it was kept" in again.status().said


PARENT = """
import sys, time
from condvae import workshop
job = workshop.begin(sys.argv[1], {settings!r})
print(job.process.pid, flush=True)
time.sleep(600)
"""


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are looked for in /proc")
def test_a_child_ends_with_its_parent_and_can_be_resumed(tmp_path: Path):
    folder = pets(tmp_path)
    code = PARENT.format(settings=CONV | {"epochs": 500})
    parent = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        job = Path("runs/.sky.job")
        until(lambda: (s := read_status(job)) is not None and s.step > 0)
    finally:
        parent.kill()
        parent.wait(10)
        parent.stdout.close()
    until(lambda: not alive(child), 20)
    assert json.loads(Path("runs/sky/run.json").read_text())["status"] == "interrupted"
    fitting = api.resuming("runs/sky")
    assert 0 < fitting.training.step < 500 * len(fitting.batches) and fitting.shape == (3, 8, 20)
    assert next(fitting.steps()).step == fitting.training.step


# --- what the child does ----------------------------------------------------------------------------------


@pytest.fixture
def plain_report(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The report, which has tests of its own, only counted."""
    written: list[Any] = []
    monkeypatch.setattr(api, "write_run_report", lambda *of: written.append(of))
    monkeypatch.setattr(api, "write_table_report", lambda *of: written.append(of))
    return written


def test_a_zip_of_coloured_wide_pictures_to_its_end(tmp_path: Path, plain_report: list[Any]):
    made = bench(tmp_path / "job", str(pets(tmp_path)), CONV | {"epochs": 2})
    made.work()
    status = ended(tmp_path / "job")
    assert (status.state, status.usable, status.epoch, status.fraction) == ("done", True, 2, 1.0)
    assert status.data == "sky" and len(status.history) == 2 and len(plain_report) == 1 and status.left == 0
    assert str(tmp_path / "uploads") not in json.dumps(status.to_json())
    assert status.picture is not None
    with Image.open(status.picture) as drawn:
        assert np.asarray(drawn.convert("HSV"))[..., 1].max() > 100  # coloured
    assert runs.load("runs/one").generate({"class": "dusk"}, 1).shape == (1, 3, 8, 20)


def test_data_that_cannot_be_used_are_refused_in_their_own_words(tmp_path: Path):
    folder = pets(tmp_path)
    Image.new("RGB", (9, 9)).save(folder / "dawn" / "other.png")
    bench(tmp_path / "job", str(folder), {}).work()
    status = ended(tmp_path / "job")
    assert status.state == "refused" and status.said.startswith("the images of sky must be of one size, got dawn/0.png")
    assert not Path("runs/one").exists() and not status.usable and str(tmp_path) not in status.said
    for data, said in (("mnist", "mnist is not on this machine"), ("nothing.npz", "there is no file 'nothing.npz'")):
        made = bench(tmp_path / f"job of {data}", data, {})
        made.work()
        assert made.status.state == "refused" and said in made.status.said


def test_a_stop_before_the_first_step_keeps_nothing(tmp_path: Path):
    made = bench(tmp_path / "job", "digits", TINY)
    (tmp_path / "job" / "stop").touch()
    made.work()
    assert ended(tmp_path / "job").said == "stopped before the first step; nothing was kept"
    assert not Path("runs/one").exists()


def test_a_stop_within_the_first_epoch_leaves_a_whole_run(tmp_path: Path, plain_report: list[Any], monkeypatch):
    monkeypatch.setattr(workbench, "LOOK", 0.0)
    made = bench(tmp_path / "job", "digits", TINY | {"epochs": 9, "density": "none"})
    steps = made.steps

    def asked(fitting: Any) -> Iterator[Any]:
        for step in steps(fitting):
            (tmp_path / "job" / "stop").touch()
            yield step

    monkeypatch.setattr(made, "steps", asked)
    made.work()
    status = ended(tmp_path / "job")
    assert (status.state, status.step, status.history) == ("stopped", 1, []) and len(status.trace) == 1
    assert status.said == "stopped in epoch 1 of 9; the run is at runs/one" and len(plain_report) == 1
    assert workshop.curves(status) is not None  # of a single point
    assert runs.load("runs/one").generate({"digit": 1}, 1).shape == (1, 1, 8, 8)


def test_what_fails_is_said_in_a_sentence(tmp_path: Path, monkeypatch):
    for number, (error, said) in enumerate(
        (
            (Diverged("training stopped at epoch 1, batch 2: try less"), "training stopped at epoch 1"),
            (MemoryError(), "memory ran out; use a smaller batch"),
            (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory ran out"),
            (KeyError("x"), "KeyError: 'x'"),
        )
    ):

        def broken(*_: object, error: Exception = error) -> None:
            raise error

        made = bench(tmp_path / f"job{number}", "digits", TINY)
        monkeypatch.setattr(made, "look", broken)
        made.work()
        status = ended(tmp_path / f"job{number}")
        assert Path("runs/one/checkpoint.safetensors").exists() == isinstance(error, Diverged)
        assert status.state == "failed" and status.said.startswith(said) and not status.usable
        shutil.rmtree("runs/one", ignore_errors=True)  # Diverged alone leaves weights: those from before


def test_rows_of_a_table_are_shown_as_text(tmp_path: Path, plain_report: list[Any]):
    rng = np.random.default_rng(0)
    rows = [f"{'ab'[i % 2]},{i % 2 + rng.normal():.3f},{'xy'[i % 2]}" for i in range(200)]
    (tmp_path / "t.csv").write_text("kind,size,mark\n" + "\n".join(rows) + "\n")
    reading = {"condition": ["kind"]}
    bench(tmp_path / "job", "t.csv", {"hidden": (8,), "z": 2, "epochs": 1, "density": "none"}, reading=reading).work()
    status = ended(tmp_path / "job")
    assert status.state == "done", status.said
    assert status.picture is None and status.what == "rows" and status.unit == "nats per row"
    assert len(status.rows) == 3 and status.rows[0].split() == ["kind", "size", "mark"] and len(plain_report) == 1


# --- what is refused at once, and what is told ------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "settings", "more", "said"),
    [
        ("mnist", {}, {}, r"^mnist is not on this machine, .*; condvae train mnist fetches it$"),
        ("digit", {}, {}, "did you mean 'digits'"),
        ("gone/x.npz", {}, {}, "there is no file 'gone/x.npz'"),
        ("digits", {"epochs": 501}, {}, r"epochs must be a whole number from 1 to 500; got 501"),
        ("digits", {"epochs": "0"}, {}, "epochs must be a whole number from 1 to 500; got '0'"),
        ("digits", {"zz": 3}, {}, "'zz' is not a setting"),
        ("digits", {"z": "many"}, {}, "z was given as 'many'"),
        ("digits", {}, {"recipe": "nothing"}, "nothing"),
        ("digits", {}, {"out": "full"}, "the folder full is not empty"),
    ],
)
def test_what_can_be_refused_at_once_is(data: str, settings: dict, more: dict, said: str, tmp_path: Path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(Refused, match=said):
        workshop.begin(data, settings, **more)
    assert not Path("runs").exists()


def test_a_status_is_whole_or_the_one_before(tmp_path: Path):
    assert read_status(tmp_path) is None
    told = Status(state="training", terms={"loss": float("nan")}, trace=[[0.5, float("inf")]], history=[{"a": (1.0,)}])
    write_status(tmp_path, told)
    found = read_status(tmp_path)
    assert found is not None and found.terms == {"loss": None} and found.trace == [[0.5, None]]
    for text in ("", '{"state": "trai', "[]", "3", '{"of a later version": 1}'):
        (tmp_path / "live.json").write_text(text)
        assert read_status(tmp_path) in (None, Status())
    assert workshop.curves(found) is None and workshop.curves(Status()) is None


@pytest.mark.parametrize("steps", [1, 7, 400, 401, 1_000, 12_345])
def test_a_curve_is_thinned_evenly(steps: int):
    trace = Trace()
    for step in range(1, steps + 1):
        trace.add(step, float(step))
    assert len(trace.points) <= live.POINTS and steps - trace.points[-1][0] < trace.stride
    assert len(trace.points) == steps // trace.stride and (steps <= 400 or len(trace.points) >= 199)
    ends = np.asarray([at for at, _ in trace.points])
    np.testing.assert_allclose([loss for _, loss in trace.points], ends - (trace.stride - 1) / 2)
