"""Reading: every format an instrument or an export writes, and every way a file can be bad."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from phenoassets.errors import ImageError
from phenoassets.imaging.reading import TRANSIENT_REASONS, Header, read_header, read_image

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
real = pytest.mark.skipif(not DATA.is_dir(), reason="the reference data are not on this machine")


@pytest.fixture
def grey() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (48, 64)).astype(np.uint8)


def reason_of(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert path.name in caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
def test_tiffs_of_every_type_and_compression_are_read_to_the_bit(tmp_path, grey, dtype, compression):
    picture = (grey.astype(np.float64) * 1.25).astype(dtype) if dtype == "float32" else grey.astype(dtype) * 1
    tifffile.imwrite(tmp_path / "a.tif", picture, compression=compression)
    found = read_image(tmp_path / "a.tif")
    assert found.dtype == np.dtype(dtype)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, picture)
    assert read_header(tmp_path / "a.tif") == Header(64, 48, dtype, "tiff")


def test_a_big_endian_tiff_comes_in_native_order(tmp_path, grey):
    tifffile.imwrite(tmp_path / "a.tif", grey.astype(np.uint16) * 257, byteorder=">")
    found = read_image(tmp_path / "a.tif")
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, grey.astype(np.uint16) * 257)


def test_double_precision_becomes_single(tmp_path, grey):
    tifffile.imwrite(tmp_path / "a.tif", grey / 3)
    assert read_image(tmp_path / "a.tif").dtype == np.float32
    assert read_header(tmp_path / "a.tif").dtype == "float32"


def test_png_of_8_and_16_bit_is_read_to_the_bit(tmp_path, grey):
    for picture in (grey, grey.astype(np.uint16) * 200):
        Image.fromarray(picture).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture)
        assert read_header(tmp_path / "a.png") == Header(64, 48, picture.dtype.name, "png")


def test_jpeg_is_read_as_pillow_decodes_it(tmp_path, grey):
    Image.fromarray(grey).save(tmp_path / "a.jpg", quality=90)
    with Image.open(tmp_path / "a.jpg") as picture:
        np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), np.asarray(picture))
    assert read_header(tmp_path / "a.jpg").format == "jpeg"


def test_content_decides_the_format_not_the_suffix(tmp_path, grey):
    Image.fromarray(grey).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), grey)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_colour_tiff_with_equal_channels_is_grey(tmp_path, grey, planar):
    colour = np.stack([grey] * 3, axis=-1)
    data = colour if planar == "contig" else np.moveaxis(colour, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", planarconfig=planar, compression="lzw")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), grey)
    assert read_header(tmp_path / "a.tif") == Header(64, 48, "uint8", "tiff")


def test_a_grey_picture_saved_as_a_colour_jpeg_is_grey(tmp_path, grey):
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "a.jpg", quality=85)
    assert read_image(tmp_path / "a.jpg").shape == grey.shape


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_one_coloured_pixel_makes_a_picture_display_only(tmp_path, grey, suffix):
    colour = np.stack([grey] * 3, axis=-1)
    colour[3, 5, 1] ^= 1
    if suffix == "tif":
        tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb")
    else:
        Image.fromarray(colour).save(tmp_path / "a.png")
    assert reason_of(tmp_path / f"a.{suffix}") == "display_only"


def test_an_opaque_alpha_channel_is_dropped_and_a_partly_transparent_one_refused(tmp_path, grey):
    opaque = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    Image.fromarray(opaque).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), grey)
    Image.fromarray(np.dstack([grey, np.full_like(grey, 255)]), mode="LA").save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), grey)
    opaque[0, 0, 3] = 0
    Image.fromarray(opaque).save(tmp_path / "c.png")
    assert reason_of(tmp_path / "c.png") == "display_only"


def test_a_grey_palette_is_grey_and_a_coloured_one_display_only(tmp_path, grey):
    picture = Image.fromarray(grey)
    picture.convert("P").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), grey)
    ramp = np.stack([np.arange(256)] * 3).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric="palette", colormap=ramp)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), grey)
    ramp[0] = ramp[0][::-1]
    tifffile.imwrite(tmp_path / "b.tif", grey, photometric="palette", colormap=ramp)
    assert reason_of(tmp_path / "b.tif") == "display_only"


def test_a_white_is_zero_tiff_is_turned_round(tmp_path, grey):
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), 255 - grey)


def test_the_first_level_of_a_pyramid_is_the_picture(tmp_path, grey):
    big = np.kron(grey, np.ones((8, 8), dtype=np.uint8))
    with tifffile.TiffWriter(tmp_path / "sub.tif") as tiff:
        tiff.write(big, subifds=2, tile=(128, 128), compression="lzw")
        tiff.write(big[::2, ::2], subfiletype=1, tile=(128, 128))
        tiff.write(big[::4, ::4], subfiletype=1, tile=(128, 128))
    with tifffile.TiffWriter(tmp_path / "pages.tif") as tiff:
        for step in (1, 2, 4):
            tiff.write(big[::step, ::step], tile=(64, 64), metadata=None)
    for name in ("sub.tif", "pages.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name), big)
        assert read_header(tmp_path / name) == Header(512, 384, "uint8", "tiff")


def test_pages_of_one_size_are_refused(tmp_path, grey):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([grey, grey, grey]), photometric="minisblack")
    assert reason_of(tmp_path / "a.tif") == "multi_page"
    with pytest.raises(ImageError, match="multi_page"):
        read_header(tmp_path / "a.tif")


def test_a_black_picture_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9), dtype=np.uint16))
    assert not read_image(tmp_path / "a.tif").any()


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.99])
def test_a_tiff_cut_short_anywhere_is_unreadable_and_never_filled_up(tmp_path, grey, compression, part):
    tifffile.imwrite(tmp_path / "a.tif", np.kron(grey, np.ones((4, 4), dtype=np.uint8)), compression=compression)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: int(len(content) * part)])
    assert reason_of(tmp_path / "a.tif") == "unreadable"


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_png_or_jpeg_cut_short_is_unreadable(tmp_path, grey, suffix, part):
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}")
    content = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(content[: int(len(content) * part)])
    assert reason_of(tmp_path / f"a.{suffix}") == "unreadable"


def test_bytes_gone_wrong_inside_a_tiff_never_escape_as_another_error(tmp_path, grey):
    tifffile.imwrite(tmp_path / "a.tif", grey, compression="lzw")
    content = (tmp_path / "a.tif").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        spoiled = bytearray(content)
        for place in rng.integers(4, len(content), 8):
            spoiled[place] = rng.integers(256)
        (tmp_path / "b.tif").write_bytes(spoiled)
        try:
            assert read_image(tmp_path / "b.tif").ndim == 2
        except ImageError as error:
            assert error.reason
            assert "\n" not in str(error)


def test_a_file_without_bytes_and_a_file_of_text_say_so(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"")
    assert reason_of(tmp_path / "a.tif") == "empty_file"
    (tmp_path / "a.tif").write_text("a plate map, perhaps")
    assert reason_of(tmp_path / "a.tif") == "not_an_image"
    (tmp_path / "a.gif").write_bytes(b"GIF89a" + bytes(100))
    assert reason_of(tmp_path / "a.gif") == "not_an_image"


def test_what_may_pass_by_itself_has_reasons_of_its_own(tmp_path):
    assert reason_of(tmp_path / "away.tif") == "missing"
    assert reason_of(tmp_path) in TRANSIENT_REASONS
    assert "missing" in TRANSIENT_REASONS
    assert "unreadable" not in TRANSIENT_REASONS


@pytest.mark.parametrize("alpha", [False, True])
def test_a_colour_png_of_16_bits_keeps_them_all(tmp_path, alpha):
    grey = np.random.default_rng(3).integers(0, 65536, (24, 32)).astype(np.uint16)
    layers = [grey, grey, grey, *([np.full_like(grey, 65535)] if alpha else [])]
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.stack(layers, axis=-1)))
    assert read_header(tmp_path / "a.png") == Header(32, 24, "uint16", "png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), grey)
    layers[1] = grey ^ 1  # colours that differ in the last bit only are colours
    (tmp_path / "b.png").write_bytes(imagecodecs.png_encode(np.stack(layers, axis=-1)))
    assert reason_of(tmp_path / "b.png") == "display_only"


def test_a_colour_png_of_16_bits_that_is_cut_short_is_unreadable(tmp_path):
    data = imagecodecs.png_encode(np.random.default_rng(3).integers(0, 65536, (24, 32, 3)).astype(np.uint16))
    (tmp_path / "a.png").write_bytes(data[:-600])
    assert reason_of(tmp_path / "a.png") == "unreadable"


def test_a_pipe_or_a_device_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "device.tif").symlink_to("/dev/zero")
    assert [reason_of(tmp_path / name) for name in ("pipe.tif", "device.tif")] == ["not_a_file"] * 2


def test_a_closed_file_is_named_as_such(tmp_path, monkeypatch):
    def closed(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)
    assert reason_of(tmp_path / "a.tif") == "no_permission"


def test_pixels_that_are_no_numbers_are_counted_and_refused(tmp_path, grey):
    picture = grey.astype(np.float32)
    picture[:2, :2] = np.nan
    picture[5, 5] = np.inf
    tifffile.imwrite(tmp_path / "a.tif", picture)
    with pytest.raises(ImageError, match="5 pixels") as caught:
        read_image(tmp_path / "a.tif")
    assert caught.value.reason == "not_finite"


@pytest.mark.parametrize("dtype", ["int16", "uint32", "bool", "complex64"])
def test_other_pixel_types_are_refused_by_name(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 8), dtype=dtype))
    with pytest.raises(ImageError, match="unsupported_type"):
        read_image(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="unsupported_type"):
        read_header(tmp_path / "a.tif")


def test_a_cmyk_jpeg_and_a_bilevel_png_are_refused(tmp_path):
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
    assert reason_of(tmp_path / "a.jpg") == "unsupported_type"
    Image.new("1", (8, 8)).save(tmp_path / "a.png")
    assert reason_of(tmp_path / "a.png") == "unsupported_type"


def test_a_decompression_bomb_is_refused_by_its_head_alone(tmp_path):
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(bomb)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of it too
        assert reason_of(tmp_path / "a.png") == "too_large"
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), dtype=np.uint8))
    content = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        places = [tiff.pages[0].tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
    spoiled = bytearray(content)
    for place in places:
        spoiled[place : place + 2] = struct.pack("<H", 60_000)
    (tmp_path / "a.tif").write_bytes(spoiled)
    assert reason_of(tmp_path / "a.tif") == "too_large"


@real
def test_real_pictures_open_as_what_they_are():
    images = DATA / "images"
    lzw = images / "A172_Phase_A7_1_00d00h00m_1.tif"
    assert read_header(lzw) == Header(704, 520, "uint8", "tiff")
    assert read_image(lzw).mean() == pytest.approx(127.98456, abs=1e-5)
    frames = sorted((images / "t98g").glob("*.tif"))
    assert len(frames) == 12
    assert {read_header(path) for path in frames} == {Header(1024, 1022, "uint16", "tiff")}
    np.testing.assert_array_equal(read_image(frames[0]), tifffile.imread(frames[0]))
    png = images / "sartorius_kaggle_0030fd0e6378.png"
    assert read_header(png) == Header(704, 520, "uint8", "png")
    assert read_image(png).shape == (520, 704)
    assert read_image(DATA / "convae" / "HCT15_example.jpg").mean() == pytest.approx(128.045, abs=1e-3)
