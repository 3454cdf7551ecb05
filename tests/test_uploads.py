"""What a stranger uploads: every kind of bad picture and bad zip, each made here."""

from __future__ import annotations

import io
import stat
import struct
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from condvae import archive_checks, archives, datasets
from condvae.errors import Refused
from condvae.intake import read_image
from condvae.limits import within
from condvae.uploads import image_of, unpacked

RNG = np.random.default_rng(3)
SHAPE = (3, 8, 16)


def noise(height: int = 8, width: int = 16, channels: int = 3) -> np.ndarray:
    pixels = RNG.integers(0, 256, (height, width, channels), np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def png(height: int = 8, width: int = 16, channels: int = 3) -> bytes:
    memory = io.BytesIO()
    Image.fromarray(noise(height, width, channels)).save(memory, "PNG")
    return memory.getvalue()


def refused(path: Path, name: str | None = None) -> str:
    """The sentence of a refusal, which takes no time and holds nothing of where the file lies."""
    begun = time.process_time()
    with pytest.raises(Refused) as told:
        image_of(path, name)
    assert time.process_time() - begun < 1 and str(path.parent) not in str(told.value)
    assert "\n" not in str(told.value) and (name or path.name) in str(told.value)
    return str(told.value)


# --- one picture ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_pictures_are_known_by_what_they_hold(tmp_path: Path, kind: str):
    Image.fromarray(noise()).save(tmp_path / "a.png", kind)
    assert image_of(tmp_path / "a.png") == (tmp_path / "a.png", ())
    Image.fromarray(noise()).save(tmp_path / "a.csv", kind)
    path, notes = image_of(tmp_path / "a.csv", "mine.csv")
    assert notes == (f"mine.csv is read as the {kind} picture that it is",)
    assert read_image(path, SHAPE)[0].shape == SHAPE and path.suffix == f".{kind.lower()}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "it is an SVG, which holds drawing commands, not pixels; export",
        ),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->\n<svg/>", "it is an SVG"),
        ("<?xml version='1.0' encoding='utf-16'?><svg/>".encode("utf-16"), "it is an SVG"),
        (b"<!DOCTYPE html><p>", "a page of HTML"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"hello there", "it is a text"),
        ("é".encode() * 700, "it is a text"),
        (b"PK\x03\x04" + b"x" * 40, "a zip archive, or an npz"),
        (b"\x93NUMPY\x01\x00", "an array of numpy"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00", "a HEIC"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00", "a film"),
        (b"\x00\x01\x02\x03" * 9, "of no kind that is known here"),
        (b"\x89PNG\r\n\x1a\n" + b"0" * 40, "its header cannot be read: it is cut off or damaged"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(tmp_path: Path, content: bytes, said: str):
    (tmp_path / "cat.png").write_bytes(content)
    assert said in refused(tmp_path / "cat.png")


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [6_000, 12_000, 60_000])
def test_absurd_headers_are_refused_before_anything_is_taken(tmp_path: Path, side: int):
    (tmp_path / "big.png").write_bytes(huge_png(side, side))
    said = refused(tmp_path / "big.png")
    assert "25 million are taken" in said and (side == 60_000 or f"{side:,} x {side:,} pixels" in said)
    if side > 10_000:
        with pytest.raises(Refused, match=r"^big\.png has .* pixels; scale it down first"):
            read_image(tmp_path / "big.png", SHAPE)


def test_large_files_missing_files_and_names(tmp_path: Path):
    with (tmp_path / "large.png").open("wb") as stream:
        stream.truncate(20_000_001)
    assert "has 20 MB, and a picture may have 20" in refused(tmp_path / "large.png")
    assert "there is no file 'x.png'" in refused(tmp_path / "gone" / "x.png")
    assert "there is no file" in refused(tmp_path)
    (tmp_path / "t").write_bytes(b"text")
    with pytest.raises(Refused, match=r"^mine\.png is no picture"):
        image_of(tmp_path / "t", "C:\\home\\me\\mine.png")
    with pytest.raises(Refused) as told:
        image_of(tmp_path / "t", "a\u202e\x00\n" + "b" * 300)
    assert len(str(told.value)) < 200 and "\n" not in str(told.value) and "\u202e" not in str(told.value)


def test_what_is_cut_off_later_is_refused_by_its_name_alone(tmp_path: Path):
    whole = png(64, 64)
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    image_of(tmp_path / "cut.png")
    with pytest.raises(Refused, match=r"^cut\.png cannot be read as an image .*; it is cut off or no image$"):
        read_image(tmp_path / "cut.png", SHAPE)


def test_other_kinds_of_pictures_are_converted_with_a_word(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = noise(16, 8)
    Image.fromarray(upright).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(noise()).convert("CMYK").save(tmp_path / "print.jpg")
    Image.fromarray(np.full((8, 16), 40_000, np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(noise()).save(
        tmp_path / "film.gif", save_all=True, append_images=[Image.fromarray(noise()) for _ in "ab"]
    )
    Image.fromarray(noise(channels=4) // 2 + 128 - np.array([0, 0, 0, 60], np.uint8)).save(tmp_path / "clear.webp")
    Image.fromarray(noise()).quantize(8).save(tmp_path / "palette.png")
    said = {}
    for path in sorted(tmp_path.iterdir()):
        assert image_of(path) == (path, ())
        x, said[path.name] = read_image(path, SHAPE)
        assert x.shape == SHAPE and x.dtype == np.float32 and 0 <= x.min() <= x.max() <= 1
    assert said == {
        "clear.webp": ("clear.webp is transparent in places; it was laid on black",),
        "deep.png": ("deep.png has more than 8 bits a pixel; it was scaled to 0..1",),
        "film.gif": ("film.gif holds 3 frames; the first is taken",),
        "palette.png": (),
        "print.jpg": ("print.jpg has the colours of print (CMYK); they were turned into red, green and blue",),
        "turned.png": ("turned.png was turned upright, as its EXIF says",),
    }
    x, _ = read_image(tmp_path / "turned.png", SHAPE)
    np.testing.assert_allclose(x * 255, np.rot90(upright, -1).transpose(2, 0, 1), atol=1e-3)
    assert np.allclose(read_image(tmp_path / "deep.png", SHAPE)[0], 40_000 / 65_535)


# --- a zip ------------------------------------------------------------------------------------------------


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def pets() -> dict[str, bytes]:
    return {f"{kind}/{number}.png": png() for kind in ("cat", "dog") for number in range(3)}


def spoilt(path: Path, **options: object) -> str:
    """The refusal of a zip, after which nothing of it is there."""
    there = sorted(path.parent.iterdir())
    with pytest.raises(Refused) as told:
        unpacked(path, path.parent / "into", **options)  # type: ignore[arg-type]
    assert sorted(path.parent.iterdir()) == there
    said = str(told.value)
    assert path.name in said and str(path.parent) not in said and "\n" not in said
    return said


def test_a_zip_becomes_a_folder_that_can_be_loaded(tmp_path: Path, pets: dict[str, bytes]):
    inside = {f"pets/{name}": data for name, data in pets.items()}
    junk = {"__MACOSX/pets/cat/._0.png": b"x", "pets/.DS_Store": b"x", "pets/cat/Thumbs.db": b"x", "pets/": b""}
    path = zipped(tmp_path / "upload.zip", {**inside, **junk, "pets/README.md": b"about"})
    folder, notes = unpacked(path, tmp_path / "pets", "My pets.zip")
    assert folder == tmp_path / "pets" and sorted(one.name for one in tmp_path.iterdir()) == ["pets", "upload.zip"]
    found = {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    assert found == pets
    assert notes[0].startswith(
        "3 files that systems left in My pets.zip passed over: __MACOSX/pets/cat/._0.png, pets/."
    )
    assert notes[1] == "1 file that is no picture in My pets.zip passed over: pets/README.md"
    made = datasets.load(folder)
    assert made.fields == ("class",) and made.train.x.shape == (6, 3, 8, 16)
    with pytest.raises(Refused, match=r"the folder pets for upload\.zip is not empty"):
        unpacked(path, folder)


def test_a_table_beside_pictures_is_kept(tmp_path: Path):
    names = [f"{number}.png" for number in range(4)]
    rows = "file,mood\n" + "".join(f"{name},{'sad' if i % 2 else 'glad'}\n" for i, name in enumerate(names))
    path = zipped(tmp_path / "a.zip", {**{f"a/b/{name}": png() for name in names}, "a/b/moods.csv": rows.encode()})
    (tmp_path / "faces").mkdir()
    folder, notes = unpacked(path, tmp_path / "faces")
    assert notes == () and datasets.load(folder).train.labels["mood"] == ("glad", "sad", "glad", "sad")


def test_bombs_are_refused_by_what_they_declare(tmp_path: Path, pets: dict[str, bytes], monkeypatch):
    zeros = b"\0" * 10_000_000
    said = spoilt(zipped(tmp_path / "bomb.zip", {**pets, "cat/a.png": zeros}))
    assert "more densely than pictures are: 'cat/a.png'" in said or "cat/a.png would grow" in said
    many = {f"cat/{number}.png": b"\0" * 900_000 for number in range(20)}
    assert "all of it would grow" in spoilt(zipped(tmp_path / "many.zip", many))
    big = zipped(tmp_path / "big.zip", {**pets, "cat/a.png": b"\0" * 20_000_001})
    assert "'cat/a.png' of 20 MB, and a file in it may have 20" in spoilt(big)
    monkeypatch.setattr(archive_checks, "LARGEST_ZIP", 2_000)
    assert "unpacks to 0 MB" in spoilt(zipped(tmp_path / "sum.zip", pets, zipfile.ZIP_STORED))
    monkeypatch.setattr(archives, "LARGEST_ZIP", 2_000)
    assert "and a zip may have 0" in spoilt(tmp_path / "sum.zip")


def test_too_many_files_are_refused_before_they_are_listed(tmp_path: Path, monkeypatch):
    path = zipped(tmp_path / "many.zip", {f"{number}": b"" for number in range(200)})
    monkeypatch.setattr(archives, "ENTRIES", 100)
    monkeypatch.setattr(zipfile.ZipInfo, "__init__", lambda *_: pytest.fail("an entry was made"))
    assert "holds more than 100 files, which a zip may" in spoilt(path)
    monkeypatch.setattr(archives, "ENTRIES", 1_000)
    monkeypatch.setattr(archives, "CONTENTS", 4_000)
    assert "holds more than 1,000 files" in spoilt(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../a.png", "leads out"),
        ("cat/../../a.png", "leads out"),
        ("/etc/a.png", "leads out"),
        ("C:/a.png", "leads out"),
        ("c:a.png", "leads out"),
        ("cat\\..\\a.png", "leads out"),
        ("cat/a.png\0.txt", "leads out"),
        ("__MACOSX/../../a.png", "leads out"),
        ("cat/nul.png", "not every system takes"),
        ("con/a.png", "not every system takes"),
        ("LPT1 /a.png", "not every system takes"),
        ("cat//a.png", "not every system takes"),
        ("./a.png", "not every system takes"),
        ("cat/a\n.png", "not every system takes"),
        ("/".join("a" * 30) + ".png", "too long or too deep"),
        ("a" * 250 + ".png", "too long or too deep"),
    ],
)
def test_names_that_climb_out_or_that_no_system_takes(tmp_path: Path, pets: dict[str, bytes], name: str, said: str):
    path = tmp_path / "climb.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for kept, data in pets.items():
            archive.writestr(kept, data)
        entry = zipfile.ZipInfo("x")
        entry.filename = name  # as no honest packer writes it
        archive.writestr(entry, png())
    assert said in spoilt(path)


def test_links_devices_and_passwords_are_refused(tmp_path: Path, pets: dict[str, bytes]):
    for kind, said in ((stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "is no file"), (stat.S_IFCHR, "is no file")):
        path = zipped(tmp_path / "link.zip", pets)
        with zipfile.ZipFile(path, "a") as archive:
            entry = zipfile.ZipInfo("cat/link.png")
            entry.external_attr = (kind | 0o777) << 16
            archive.writestr(entry, "/etc/passwd")
        assert said in spoilt(path)
    path = zipped(tmp_path / "locked.zip", pets)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    assert "is encrypted (cat/0.png)" in spoilt(path)


def lying(path: Path, pets: dict[str, bytes], declared: int, checksum: int | None = None) -> Path:
    """A zip whose first entry says that it has another size, and perhaps another checksum, than it has."""
    zipped(path, pets, zipfile.ZIP_DEFLATED)
    raw = bytearray(path.read_bytes())
    start = raw.index(b"PK\x01\x02")
    if checksum is not None:
        struct.pack_into("<I", raw, start + 16, checksum)
    struct.pack_into("<I", raw, start + 24, declared)
    path.write_bytes(raw)
    return path


def test_headers_that_lie_are_found_out(tmp_path: Path, pets: dict[str, bytes]):
    bomb = {**pets, "cat/0.png": b"\0" * 10_000_000}
    assert "damaged" in spoilt(lying(tmp_path / "less.zip", bomb, 1_000))
    short = zlib.crc32(b"\0" * 1_000)
    taken, _ = unpacked(lying(tmp_path / "short.zip", bomb, 1_000, short), tmp_path / "short")
    assert (taken / "cat/0.png").stat().st_size == 1_000  # no more than what was declared was ever written
    more = lying(tmp_path / "more.zip", pets, 900_000)
    assert "says that 'cat/0.png' has 900,000 bytes, which is not so" in spoilt(more)


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "quilt.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a0.png", b"x" * 10_000)
        first = archive.infolist()[0]
        for number in range(1, 30):
            entry = zipfile.ZipInfo(f"a{number}.png")
            for name in ("header_offset", "compress_size", "file_size", "CRC"):
                setattr(entry, name, getattr(first, name))
            archive.filelist.append(entry)
            archive.NameToInfo[entry.filename] = entry
    assert "holds files that overlap" in spoilt(tmp_path / "quilt.zip")


def test_archives_within_are_refused(tmp_path: Path, pets: dict[str, bytes]):
    zipped(tmp_path / "inner.zip", pets)
    inner = (tmp_path / "inner.zip").read_bytes()
    assert "another archive, 'more.ZIP'" in spoilt(zipped(tmp_path / "a.zip", {**pets, "more.ZIP": inner}))
    assert "another archive, 'cat/z.png'" in spoilt(zipped(tmp_path / "b.zip", {**pets, "cat/z.png": inner}))
    assert "another archive" in spoilt(zipped(tmp_path / "c.zip", {"only.tar.gz": b"\x1f\x8b"}))


def test_a_zip_of_something_else_is_told_what_it_is(tmp_path: Path):
    np.savez(tmp_path / "x.npz", x=noise())
    arrays = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "arrays.zip").write_bytes(arrays)
    assert "is an npz file of arrays" in spoilt(tmp_path / "arrays.zip")
    assert "no pictures but d/x.npz; give that file itself" in spoilt(zipped(tmp_path / "n.zip", {"d/x.npz": arrays}))
    assert "no pictures but t.csv; give that file itself" in spoilt(zipped(tmp_path / "t.zip", {"t.csv": b"a,b"}))
    assert "holds no pictures; files that end in .bmp" in spoilt(zipped(tmp_path / "w.zip", {"w.txt": b"words"}))
    assert "holds no pictures" in spoilt(zipped(tmp_path / "none.zip", {}))
    for content, said in (
        (b"", "empty"),
        (b"words", "a text"),
        (b"Rar!\x1a\x07\x00", "a RAR"),
        (png(), "a picture"),
    ):
        (tmp_path / "z.zip").write_bytes(content)
        assert f"z.zip is no zip; it is {said}" in spoilt(tmp_path / "z.zip")


def test_names_that_are_one_on_some_systems(tmp_path: Path, pets: dict[str, bytes]):
    assert "'cat/0.png' and 'CAT/0.PNG', one name" in spoilt(zipped(tmp_path / "a.zip", {**pets, "CAT/0.PNG": png()}))
    accents = {**pets, "caf\u00e9.png": png(), "cafe\u0301.png": png()}
    assert "one name on some systems" in spoilt(zipped(tmp_path / "b.zip", accents))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("cat/0.png", png())
    assert "one name on some systems" in spoilt(tmp_path / "a.zip")
    within_file = {"cat.png": png(), "cat.png/a.png": png()}
    assert "within a file" in spoilt(zipped(tmp_path / "c.zip", within_file))


def test_damaged_zips_and_full_disks_leave_nothing(tmp_path: Path, pets: dict[str, bytes], monkeypatch):
    raw = zipped(tmp_path / "cut.zip", pets, zipfile.ZIP_STORED).read_bytes()
    (tmp_path / "cut.zip").write_bytes(raw[:-30])
    assert "is cut off, damaged or no zip" in spoilt(tmp_path / "cut.zip")
    spot = raw.index(b"IDAT") + 10
    (tmp_path / "bad.zip").write_bytes(raw[:spot] + b"\0\0\0\0" + raw[spot + 4 :])
    assert "is cut off, damaged or no zip (Bad CRC-32 for file 'cat/0.png')" in spoilt(tmp_path / "bad.zip")
    zipped(tmp_path / "big.zip", {**pets, "dog/2.png": huge_png(9_000, 9_000)})
    assert "'dog/2.png' of more than 25 million pixels" in spoilt(tmp_path / "big.zip")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with zipfile.ZipFile(tmp_path / "ok.zip", "w") as archive:
        archive.writestr("a.png", png())
    assert "cannot be unpacked (No space left on device)" in spoilt(tmp_path / "ok.zip")


def test_unreadable_pictures_are_left_for_the_reader_to_name(tmp_path: Path, pets: dict[str, bytes]):
    folder, _ = unpacked(zipped(tmp_path / "a.zip", {**pets, "cat/z.png": b"no picture"}), tmp_path / "a")
    with pytest.raises(Refused, match="cannot be read as an image"):
        datasets.load(folder)
    assert len(datasets.load(folder, skip_bad=True).train) == 6


# --- numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [5, 5.0, "5", " 5 ", "5.0", np.int64(5), np.float32(5)])
def test_whole_numbers_are_taken_however_they_come(value: object):
    assert within(value, "n", 1, 256) == 5


@pytest.mark.parametrize(
    "value", [0, 257, 1.5, "", "five", "1e400", "9" * 50, None, True, float("nan"), [5], 5j, -(2**70)]
)
def test_other_numbers_are_refused(value: object):
    with pytest.raises(Refused, match=r"^n must be a whole number from 1 to 256; got "):
        within(value, "n", 1, 256)


def test_large_seeds_keep_their_last_digit():
    assert within(str(2**63 - 1), "seed", 0, 2**63 - 1) == 2**63 - 1
