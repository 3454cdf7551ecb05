"""What is hidden of a picture: masks in files, boxes in words, transparency."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from condvae.errors import Refused
from condvae.masks import alpha_mask, has_alpha, hole_box, mask_from_image

SHAPE = (1, 8, 16)


def picture(hidden, path, mode="L"):
    """A mask file, white where `hidden` [H, W] is True."""
    Image.fromarray(np.asarray(hidden, np.uint8) * 255).convert(mode).save(path)
    return path


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_white_is_the_hole(tmp_path, mode):
    hidden = np.zeros((8, 16), bool)
    hidden[2:4, 5:9] = True
    seen, notes = mask_from_image(picture(hidden, tmp_path / "m.png", mode), SHAPE)
    assert seen.dtype == bool and seen.shape == (1, 8, 16) and np.array_equal(seen[0], ~hidden)
    assert notes == ()


def test_a_mask_in_the_colours_of_print_is_read(tmp_path):
    lightness = np.zeros((8, 16, 3), np.uint8)
    lightness[2:4, 5:9, 0] = 255
    Image.frombytes("LAB", (16, 8), lightness.tobytes()).save(tmp_path / "m.tif")
    seen, _ = mask_from_image(tmp_path / "m.tif", SHAPE)
    assert np.array_equal(~seen[0], lightness[..., 0] > 0)


def test_the_threshold_is_one_half(tmp_path):
    grey = np.full((8, 16), 127, np.uint8)
    grey[0, :] = 128
    Image.fromarray(grey).save(tmp_path / "m.png")
    seen, _ = mask_from_image(str(tmp_path / "m.png"), SHAPE)
    assert not seen[0, 0].any() and seen[0, 1:].all()


@pytest.mark.parametrize("size", [(16, 32), (4, 8), (24, 24)])
def test_another_size_is_resized_without_smoothing(tmp_path, size):
    hidden = np.zeros(size, bool)
    hidden[: size[0] // 2] = True
    seen, notes = mask_from_image(picture(hidden, tmp_path / "m.png"), (3, 8, 16))
    assert seen.shape == (1, 8, 16) and not seen[0, :4].any() and seen[0, 4:].all()
    assert notes == (f"the mask of m.png was resized from {size[1]} x {size[0]} to 16 x 8 pixels",)


@pytest.mark.parametrize(("hidden_rows", "hides"), [(4, False), (5, True), (20, True)])
def test_a_quarter_of_a_pixel_hides_it(tmp_path, hidden_rows, hides):
    hidden = np.zeros((160, 320), bool)
    hidden[:40] = True
    hidden[40 : 40 + hidden_rows] = True  # of the 20 rows of a pixel of the model
    seen, _ = mask_from_image(picture(hidden, tmp_path / "m.png"), SHAPE)
    assert not seen[0, :2].any() and (~seen[0, 2]).all() == hides and seen[0, 2].any() != hides and seen[0, 3:].all()


@pytest.mark.parametrize("pen", [2, 4, 30])
def test_a_thin_stroke_does_not_vanish(tmp_path, pen):
    canvas = Image.new("L", (640, 480))
    ImageDraw.Draw(canvas).line([(40, 60), (600, 60), (90, 440)], fill=255, width=pen)
    canvas.save(tmp_path / "m.png")
    seen, _ = mask_from_image(tmp_path / "m.png", (1, 28, 28))
    hidden = ~seen[0]
    pieces: Any = ndimage.label(hidden, np.ones((3, 3)))
    assert pieces[1] == 1, "the stroke is whole"
    assert hidden[4:25].any(1).all() and hidden[:, 4:26].any(0).all()
    assert hidden.sum() < (70 if pen < 30 else 150)


def test_masks_of_the_models_own_size_are_kept_exactly(tmp_path):
    hidden = np.random.default_rng(0).random((8, 16)) < 0.3
    seen, notes = mask_from_image(picture(hidden, tmp_path / "m.png"), SHAPE)
    assert np.array_equal(seen[0], ~hidden) and notes == ()


def test_masks_that_hide_nothing_or_all(tmp_path):
    with pytest.raises(Refused, match="no white pixel"):
        mask_from_image(picture(np.zeros((8, 16)), tmp_path / "m.png"), SHAPE)
    dot = np.zeros((80, 160))
    dot[0, 0] = 1
    with pytest.raises(Refused, match="smaller than a pixel"):
        mask_from_image(picture(dot, tmp_path / "m.png"), SHAPE)
    seen, notes = mask_from_image(picture(np.ones((8, 16)), tmp_path / "m.png"), SHAPE)
    assert not seen.any() and "hides the whole picture" in notes[0]


def test_masks_that_are_no_images(tmp_path):
    with pytest.raises(Refused, match="there is no file"):
        mask_from_image(tmp_path / "absent.png", SHAPE)
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(Refused, match="cannot be read"):
        mask_from_image(tmp_path / "bad.png", SHAPE)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_the_hole(tmp_path, mode):
    alpha = np.full((8, 16), 255, np.uint8)
    alpha[3, 4], alpha[5, 6] = 127, 128
    image = Image.new("L", (16, 8), 90)
    image.putalpha(Image.fromarray(alpha))
    image.convert(mode).save(tmp_path / "a.png")
    seen, notes = alpha_mask(tmp_path / "a.png", SHAPE)
    assert (~seen).sum() == 1 and not seen[0, 3, 4] and notes == ()
    assert has_alpha(tmp_path / "a.png")
    seen, _ = alpha_mask(tmp_path / "a.png", (1, 16, 32))
    assert np.argwhere(~seen[0]).tolist() == [[6, 8], [6, 9], [7, 8], [7, 9]]


def test_opaque_pictures_have_no_hole(tmp_path):
    Image.new("RGBA", (16, 8), (9, 9, 9, 255)).save(tmp_path / "a.png")
    with pytest.raises(Refused, match="opaque everywhere"):
        alpha_mask(tmp_path / "a.png", SHAPE)
    Image.new("RGB", (16, 8)).save(tmp_path / "b.png")
    assert not has_alpha(tmp_path / "b.png")


def test_a_box_from_the_top_left_corner():
    seen = hole_box(" 10, 1,6,2 ", SHAPE)
    assert seen.dtype == bool and seen.shape == (1, 8, 16)
    assert not seen[0, 1:3, 10:16].any() and (~seen).sum() == 12
    assert not hole_box("0,0,16,8", (3, 8, 16)).any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2,3", "written X,Y,W,H"),
        ("a,b,c,d", "written X,Y,W,H"),
        ("1.5,0,2,2", "written X,Y,W,H"),
        ("", "written X,Y,W,H"),
        ("1,1,0,4", "at least 1 pixel"),
        ("1,1,4,-2", "at least 1 pixel"),
        ("-1,0,4,4", "16 x 8 pixels"),
        ("0,-1,4,4", "16 x 8 pixels"),
        ("13,0,4,4", "columns 13 to 16"),
        ("0,5,4,4", "rows 5 to 8"),
    ],
)
def test_boxes_that_cannot_be(text, said):
    with pytest.raises(Refused, match=said):
        hole_box(text, SHAPE)
