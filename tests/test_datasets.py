"""Data by name and file: real sets where they are at hand, made-up ones and a local mirror elsewhere."""

import dataclasses
import gzip
import hashlib
import http.server
import io
import os
import struct
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from condvae import datasets
from condvae.data import Collection, describe
from condvae.downloads import Remote, download
from condvae.errors import Refused
from condvae.sources import KNOWN

RNG = np.random.default_rng(1)
DATA = os.environ.get("CONDVAE_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="needs real data")
IDX = tuple(name.removesuffix(".gz") for name in KNOWN["mnist"].variants[0])


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the machine's own data or cache unless it asks for them."""
    monkeypatch.delenv("CONDVAE_DATA", raising=False)
    monkeypatch.setenv("CONDVAE_CACHE", str(tmp_path / "cache"))


def _sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


# --- made-up copies of the named sets ---------------------------------------------------------------------


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """MNIST's four files with few images, plain, and the table of sums to match."""
    x, y = RNG.integers(0, 256, (12, 28, 28), dtype=np.uint8), np.arange(12, dtype=np.uint8) % 10
    files = dict(zip(IDX, map(_idx, (x, y, x[:5], y[:5])), strict=True))
    sums = {name: _sha(raw) for name, raw in files.items()}
    sums |= {f"{name}.gz": value for name, value in sums.items()}
    monkeypatch.setitem(KNOWN, "mnist", dataclasses.replace(KNOWN["mnist"], sums=sums, remotes=()))
    return files


@pytest.mark.parametrize("folder", [".", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("zipped", [True, False])
def test_idx_files_are_found_gzipped_or_plain(small_mnist: dict[str, bytes], tmp_path: Path, folder: str, zipped: bool):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name, raw in small_mnist.items():
        path = tmp_path / folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(raw) if zipped else raw)
    made = datasets.load("mnist", tmp_path)
    assert made.fields == ("digit",) and made.train.x.shape == (12, 1, 28, 28) and made.test is not None
    assert made.train.labels["digit"] == tuple("012345678901") and len(made.test) == 5
    assert made.train.x[11].numpy().tobytes() == small_mnist[IDX[0]][-784:]


def test_the_named_folder_goes_before_the_environment(
    small_mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for name, raw in small_mnist.items():
            (tmp_path / folder / name).write_bytes(raw)
    monkeypatch.setenv("CONDVAE_DATA", str(tmp_path / "b"))
    assert datasets.load("mnist").source == str(tmp_path / "b")
    assert datasets.load("mnist", tmp_path / "a").source == str(tmp_path / "a")
    rows = {row.name: row.where for row in datasets.known()}
    assert rows["mnist"] == str(tmp_path / "b") and rows["digits"] == "embedded"
    assert rows["svhn"] == "would be downloaded (246 MB)"


@pytest.mark.parametrize("damage", ["cut gzip", "cut plain", "one bit", "no gzip", "empty"])
def test_a_damaged_file_is_refused_by_name(small_mnist: dict[str, bytes], tmp_path: Path, damage: str):
    for name, raw in small_mnist.items():
        (tmp_path / name).write_bytes(raw)
    raw = small_mnist[IDX[0]]
    if damage in ("cut gzip", "no gzip"):
        for name in IDX:
            (tmp_path / name).unlink()
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(small_mnist[name]))
    bad = tmp_path / (f"{IDX[0]}.gz" if "gzip" in damage else IDX[0])
    bad.write_bytes(
        {
            "cut gzip": gzip.compress(raw)[:-500],
            "cut plain": raw[:-100],
            "one bit": raw[:50] + bytes([raw[50] ^ 1]) + raw[51:],
            "no gzip": b"<html>not found</html>",
            "empty": b"",
        }[damage]
    )
    with pytest.raises(Refused, match="truncated or corrupt") as refused:
        datasets.load("mnist", tmp_path)
    assert str(bad) in str(refused.value) and "\n" not in str(refused.value)


def test_files_of_the_sibling_with_the_same_names_are_passed_over(
    small_mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, raw in small_mnist.items():
        (tmp_path / name).write_bytes(raw)
    monkeypatch.setitem(KNOWN, "fashion-mnist", dataclasses.replace(KNOWN["fashion-mnist"], remotes=()))
    asked: list[Path] = []

    def note(source: object, folder: Path, progress: object) -> list[Path]:
        asked.append(folder)
        raise Refused("no network")

    monkeypatch.setattr(datasets, "_download", note)
    with pytest.raises(Refused, match="no network"):
        datasets.load("fashion-mnist", tmp_path)
    assert asked == [tmp_path / "cache" / "fashion-mnist"]


def test_svhn_is_read_with_ten_as_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    x = RNG.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    y = np.array([[10], [1], [2], [9], [10], [5]], np.uint8)
    sums = {}
    for name in ("train_32x32.mat", "test_32x32.mat"):
        savemat(tmp_path / name, {"X": x.transpose(1, 2, 3, 0), "y": y}, do_compression=True)
        sums[name] = _sha((tmp_path / name).read_bytes())
    monkeypatch.setitem(KNOWN, "svhn", dataclasses.replace(KNOWN["svhn"], sums=sums))
    made = datasets.load("svhn", tmp_path)
    assert made.train.labels["digit"] == ("0", "1", "2", "9", "0", "5")
    np.testing.assert_array_equal(made.train.x[:].numpy(), x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("packed", [True, False])
def test_cifar_is_read_from_its_binary_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool):
    x, y = RNG.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8), np.arange(12, dtype=np.uint8) % 10
    records = np.concatenate([y[:, None], x.reshape(12, -1)], 1)
    parts = [records[2 * i : 2 * i + 2].tobytes() for i in range(6)]
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    target = tmp_path / "cifar-10-binary.tar.gz"
    if packed:
        with tarfile.open(target, "w:gz") as archive:
            for name, part in zip(reversed(names), reversed(parts), strict=True):
                info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                info.size = len(part)
                archive.addfile(info, io.BytesIO(part))
        sums = {target.name: _sha(target.read_bytes())}
    else:
        (tmp_path / "cifar-10-batches-bin").mkdir()
        for name, part in zip(names, parts, strict=True):
            (tmp_path / "cifar-10-batches-bin" / name).write_bytes(part)
        sums = {name: _sha(part) for name, part in zip(names, parts, strict=True)}
    monkeypatch.setitem(KNOWN, "cifar10", dataclasses.replace(KNOWN["cifar10"], sums=sums))
    made = datasets.load("cifar10", tmp_path)
    assert made.fields == ("class",) and made.test is not None
    assert made.train.labels["class"][:2] == ("airplane", "automobile") and len(made.train) == 10
    np.testing.assert_array_equal(made.test.x[:].numpy(), x[10:])
    if packed:
        assert [one.name for one in tmp_path.iterdir()] == [target.name]  # nothing was unpacked beside it


# --- names and paths --------------------------------------------------------------------------------------


PINNED = (("0", "1", "4", "5", "6", "7", "8", "9"), "36adb962e227fc90")


def test_digits_are_split_once_and_for_all():
    made = datasets.load("digits")
    assert made.test is not None and (len(made.train), len(made.test)) == (1437, 360)
    assert made.train.x.shape[1:] == (1, 8, 8) and (made.train.x.low, made.train.x.high) == (0, 255)
    assert {made.test.labels["digit"].count(str(digit)) for digit in range(10)} <= {34, 35, 36, 37}
    assert made.train.labels["digit"][:8] == PINNED[0]
    assert _sha(made.test.x[:].numpy().tobytes())[:16] == PINNED[1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mnst", "did you mean 'mnist'"),
        ("MNIST", "did you mean 'mnist'"),
        ("fashion_mnist", "did you mean 'fashion-mnist'"),
        ("sings", "did you mean 'sings.npz'"),
        ("sing.npz", "did you mean 'sings.npz'"),
        ("nothing/like/it.npz", "there is no file"),
        ("quartz", "data must be one of digits, faces-drawn, faces-drawn-128, mnist"),
        ("notes.txt", "a folder of images or a table .* got 'notes.txt'; save arrays x and y"),
    ],
)
def test_unknown_data_are_refused_with_suggestions(name: str, words: str, tmp_path: Path):
    (tmp_path / "sings.npz").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(Refused, match=words) as refused:
        datasets.load(name, tmp_path)
    assert "\n" not in str(refused.value)


def test_a_missing_data_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(Refused, match="data_dir must be an existing folder"):
        datasets.load("mnist", tmp_path / "gone")
    monkeypatch.setenv("CONDVAE_DATA", str(tmp_path / "gone"))
    with pytest.raises(Refused, match="CONDVAE_DATA must be an existing folder"):
        datasets.load("mnist")


# --- npz --------------------------------------------------------------------------------------------------

X = RNG.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)


def _load_npz(folder: Path, **arrays: object) -> Collection:
    np.savez(folder / "mine.npz", **arrays)  # type: ignore[arg-type]
    return datasets.load("mine.npz", folder)


def test_npz_labels_get_their_class_names(tmp_path: Path):
    names = np.array(["каша", "b", " c "])
    made = _load_npz(tmp_path, x_train=X, y_train=[0, 1, 2, 0, 1, 2], x_test=X[:2], y_test=[2, 0], class_names=names)
    assert made.name == "mine" and made.fields == ("label",) and made.test is not None
    assert made.train.labels["label"] == ("каша", "b", "c") * 2
    assert made.test.labels["label"] == ("c", "каша")
    made = _load_npz(tmp_path, x=X, y=np.array([[0], [1], [np.nan], [2], [0], [0]]), class_names=names)
    assert made.train.labels["label"] == ("каша", "b", None, "c", "каша", "каша")
    made = _load_npz(tmp_path, x=X, y=np.array([*"aabbc", ""]), class_names=names, extra=1)
    assert made.train.labels["label"] == ("a", "a", "b", "b", "c", None)
    assert any("Not read from mine.npz: extra" in note for note in made.notes)


def test_npz_without_labels_is_for_a_plain_vae(tmp_path: Path):
    made = _load_npz(tmp_path, x=X)
    assert made.fields == ()
    assert any("no y" in line for line in describe(made.train, None, "gaussian", "so", made.notes))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": X, "y": range(6)}, "must hold x_train and y_train, or x and y, got images, y"),
        ({"x": X, "y": np.array([1, "a", None, 2, 3, 4], object)}, "Python objects in 'y'"),
        ({"x": np.array([X, None], object), "y": [0, 1]}, "Python objects in 'x'"),
        ({"x": X, "y": [0, 1]}, "mine.npz: the labels of 'label' must be one per image"),
        ({"x": X / 2.0, "y": range(6)}, "within \\[0, 1\\]"),
        ({"x": X, "y": [0, 1, 2, 3, 0, 1], "class_names": ["a", "b", "c"]}, "within 0..2, .* got 3"),
        ({"x": X, "y": [0, 1, -1, 1, 0, 1], "class_names": ["a", "b"]}, "got -1; use NaN"),
        ({"x": X, "y": [0, 1, 0.5, 1, 0, 1], "class_names": ["a", "b"]}, "got 0.5"),
        ({"x": X, "y": [0, 1, 0, 1, 0, 1], "class_names": ["a", "a "]}, "must be different names"),
        ({"x": X, "y": [1] * 6}, "nothing to ask for"),
        ({"x_train": X, "y_train": range(6), "x_test": X[:, :3], "y_test": range(6)}, "of the size of x"),
        ({"x_train": X, "y_train": range(6), "y_test": range(6)}, "x_test must be given"),
    ],
)
def test_unusable_npz_files_are_refused(tmp_path: Path, arrays: dict[str, object], words: str):
    with pytest.raises(Refused, match=words) as refused:
        _load_npz(tmp_path, **arrays)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_npz_is_refused_wherever_it_is_damaged(tmp_path: Path, save):
    save(tmp_path / "mine.npz", x=X, y=range(6))
    whole = (tmp_path / "mine.npz").read_bytes()
    damaged = [whole[:n] for n in (0, 3, 100, len(whole) // 2, len(whole) - 30)]
    damaged += [whole[:n] + bytes([whole[n] ^ 255]) + whole[n + 1 :] for n in (300, 400)]
    for raw in (*damaged, b"\x80\x04N.", b"plain text"):
        (tmp_path / "bad.npz").write_bytes(raw)
        with pytest.raises(Refused, match=r"bad.npz is truncated, corrupt or no npz") as refused:
            datasets.load("bad.npz", tmp_path)
        assert "\n" not in str(refused.value)
    with (tmp_path / "one.npz").open("wb") as stream:
        np.save(stream, X)
    with pytest.raises(Refused, match="single npy array"):
        datasets.load("one.npz", tmp_path)


# --- downloads from a mirror on this machine --------------------------------------------------------------

BODY = RNG.integers(0, 256, 1_000_000, dtype=np.uint8).tobytes()
REMOTE = Remote("file.bin", len(BODY), _sha(BODY), ())


class Mirror(http.server.BaseHTTPRequestHandler):
    """/good knows Range; /whole ignores it; /breaks/N sends N bytes a time; /wrong, /long, /404 and /416."""

    asked: list[str]

    def do_GET(self) -> None:
        wish = self.headers.get("Range", "")
        self.asked.append(f"{self.path} {wish}".strip())
        kind = self.path.split("/")[1]
        if kind in ("404", "416"):
            self.send_error(int(kind))
            return
        body = {"wrong": BODY[:-1] + bytes([BODY[-1] ^ 1]), "long": BODY + b"more"}.get(kind, BODY)
        start = int(wish.removeprefix("bytes=").removesuffix("-")) if wish and kind != "whole" else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = start + int(self.path.split("/")[2]) if kind == "breaks" else len(body)
        self.wfile.write(body[start:end])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(Mirror, "asked", [], raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def _from(mirror: str, *paths: str) -> Remote:
    return dataclasses.replace(REMOTE, urls=tuple(mirror + path for path in paths))


def test_a_download_is_whole_and_tells_how_far_it_is(mirror: str, tmp_path: Path):
    told: list[tuple[int, int]] = []
    path = download(_from(mirror, "/good"), tmp_path / "new", lambda done, total: told.append((done, total)))
    assert path == tmp_path / "new" / "file.bin" and path.read_bytes() == BODY
    assert [one.name for one in path.parent.iterdir()] == ["file.bin"]
    assert told[0] == (0, len(BODY)) and told[-1] == (len(BODY), len(BODY)) and told == sorted(told)
    assert download(_from(mirror, "/404"), tmp_path / "new") == path and len(Mirror.asked) == 1


def test_a_broken_connection_is_taken_up_where_it_broke(mirror: str, tmp_path: Path):
    path = download(_from(mirror, "/breaks/400000"), tmp_path)
    assert path.read_bytes() == BODY
    assert Mirror.asked == [f"/breaks/400000{wish}" for wish in ("", " bytes=400000-", " bytes=800000-")]


def test_an_interrupted_download_leaves_no_file_and_goes_on_next_time(mirror: str, tmp_path: Path):
    def stop(done: int, total: int) -> None:
        if done > total // 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(_from(mirror, "/good"), tmp_path, stop)
    assert [one.name for one in tmp_path.iterdir()] == ["file.bin.part"]
    size = (tmp_path / "file.bin.part").stat().st_size
    assert 0 < size < len(BODY)
    assert download(_from(mirror, "/good"), tmp_path).read_bytes() == BODY
    assert Mirror.asked[-1] == f"/good bytes={size}-"


@pytest.mark.parametrize("left", [BODY[:1000], b"rubbish", BODY, BODY + b"more", b"\0" * len(BODY)])
@pytest.mark.parametrize("path", ["/good", "/whole"])
def test_whatever_was_left_behind_the_result_is_right(mirror: str, tmp_path: Path, left: bytes, path: str):
    (tmp_path / "file.bin.part").write_bytes(left)
    assert download(_from(mirror, path), tmp_path).read_bytes() == BODY
    assert not (tmp_path / "file.bin.part").exists()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/wrong", "wrong checksum"),
        ("/long", "wrong checksum"),
        ("/404", "HTTP status 404"),
        ("/416", "HTTP status 416"),
        ("/breaks/10", "broke off"),
    ],
)
def test_a_bad_mirror_leaves_no_file_and_the_next_is_tried(mirror: str, tmp_path: Path, path: str, words: str):
    with pytest.raises(Refused, match=words) as refused:
        download(_from(mirror, path), tmp_path)
    assert "file.bin could not be downloaded" in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "file.bin").exists()
    assert download(_from(mirror, path, "/good"), tmp_path).read_bytes() == BODY


def test_no_connection_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(Refused, match="refused"):
        download(_from("http://127.0.0.1:1", "/x"), tmp_path)
    (tmp_path / "taken").write_text("")
    with pytest.raises(Refused, match="set CONDVAE_CACHE"):
        download(_from("http://127.0.0.1:1", "/x"), tmp_path / "taken")


def test_a_named_set_is_downloaded_into_the_cache_once(
    small_mnist: dict[str, bytes], mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    packed = {f"{name}.gz": gzip.compress(raw, mtime=0) for name, raw in small_mnist.items()}
    served = tmp_path / "served"
    served.mkdir()
    remotes = []
    for name, raw in packed.items():
        (served / name).write_bytes(raw)
        remotes.append(Remote(name, len(raw), _sha(raw), ((served / name).as_uri(),)))
    monkeypatch.setitem(KNOWN, "mnist", dataclasses.replace(KNOWN["mnist"], remotes=tuple(remotes)))
    told: list[int] = []

    def progress(done: int, total: int) -> None:
        assert total == sum(map(len, packed.values()))
        told.append(done)

    made = datasets.load("mnist", progress=progress)
    assert made.source == str(tmp_path / "cache" / "mnist") and torch.equal(made.train.x[:5], made.test.x[:])  # type: ignore[union-attr]
    assert told == sorted(told) and told[-1] == sum(map(len, packed.values()))
    for one in served.iterdir():
        one.unlink()
    assert len(datasets.load("mnist").train) == 12


# --- the real files ---------------------------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize(("name", "field", "last"), [("mnist", "digit", "9"), ("fashion-mnist", "class", "Trouser")])
def test_real_idx_files_are_whole(name: str, field: str, last: str):
    made = datasets.load(name, DATA)
    assert made.test is not None and (len(made.train), len(made.test)) == (60_000, 10_000)
    assert sorted(set(made.train.labels[field]), key=str)[-1] == last and made.notes == ()


@needs_data
@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("svhn_10k", (8001, 3, 32, 32), 10),
        ("cifar10_jpeg_12k", (10000, 3, 32, 32), 10),
        ("omniglot_small_28", (4840, 1, 28, 28), 242),
    ],
)
def test_real_npz_files_load(name: str, shape: tuple[int, ...], classes: int):
    made = datasets.load(f"{name}.npz", DATA)
    assert made.train.x.shape == shape and len(set(made.train.labels["label"])) == classes
