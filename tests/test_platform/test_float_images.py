"""The intensity rule of 32-bit float images: which value counts as 1."""

import numpy as np
import pytest
from builders import typed

from phenoassets.screen.loading import load_screen
from phenoassets.steps.float_images import automatic_scale, float_scales, scaled
from phenoassets.steps.provenance import embedding_recipe

MEASURES = ("focus_slope", "median", "std", "q01", "q25", "q75", "total", "saturated_fraction")


def plate_of(store, pictures):
    """Plate P1 whose images are (channel, scan, dtype, q99); calibrated from scan s0."""
    raw = [
        {"image_id": str(n), "plate": "P1", "well": "A01", "field": 1, "channel": channel, "scan": scan}
        | {"path": f"{n}", "format": "tiff", "sha256": "", "bytes": 1, "width": 1, "height": 1, "dtype": dtype}
        for n, (channel, scan, dtype, _) in enumerate(pictures)
    ]
    quality = [
        row | dict.fromkeys(MEASURES, 0.0) | {"q99": float(picture[3]), "flags": [], "keep": True}
        for row, picture in zip(raw, pictures, strict=True)
    ]
    light = [
        {
            "plate": "P1",
            "channel": channel,
            "digest": "",
            "method": "ours",
            "scans": ["s0"],
            "n_images": 1,
            "height": 1,
            "width": 1,
        }
        | {"path": "", "limits": "{}"}
        for channel in sorted({picture[0] for picture in pictures})
    ]
    for table, rows in (("raw_images", raw), ("image_quality", quality), ("illumination", light)):
        store.write(table, typed(table, rows), plate="P1")


def test_the_scale_comes_from_the_calibration_scans_of_each_float_channel_alone(home, store):
    pictures = [
        ("phase", "s0", "uint8", 200),
        ("green", "s0", "float32", 20),
        ("green", "s0", "float32", 31),
        ("green", "s1", "float32", 9000),  # came after the calibration
        ("red", "s0", "float32", 0.9),
    ]
    plate_of(store, pictures)
    home.root.mkdir(exist_ok=True)
    assert float_scales(load_screen(home), store, "P1") == {"green": 128.0, "red": 1.0}
    automatic = embedding_recipe(load_screen(home), "model", "calibration")
    home.settings_file.write_text("[embedding]\nfloat_scale = 50\n")
    assert float_scales(load_screen(home), store, "P1") == {"green": 50.0, "red": 50.0}
    assert embedding_recipe(load_screen(home), "model", "calibration") != automatic


@pytest.mark.parametrize(("highest", "scale"), [(0.2, 1), (1.0, 1), (1.01, 8), (2.0, 8), (2.01, 16), (500, 2048)])
def test_the_automatic_scale_is_one_within_the_unit_range_and_else_a_power_of_two_with_headroom(highest, scale):
    assert automatic_scale(highest) == scale


def test_float_pictures_are_divided_and_clipped_and_others_left_alone():
    pictures = {
        "green": np.array([[-1, 0, 4], [8, 16, 1e9]], np.float32),
        "phase": np.array([[0, 128, 255]], np.uint8),
    }
    read = scaled(lambda row: pictures[row["channel"]], {"green": 8.0})
    assert read({"channel": "green"}).tolist() == [[0, 0, 0.5], [1, 1, 1]]
    assert read({"channel": "green"}).dtype == np.float32
    assert read({"channel": "phase"}) is pictures["phase"]
