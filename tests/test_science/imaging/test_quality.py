"""Quality: each measure against its definition, limits against hand-worked answers, flags against known faults."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from phenoassets.errors import ImageError
from phenoassets.imaging.confluence import measure_confluence
from phenoassets.imaging.focus import BAND, focus_slope
from phenoassets.imaging.quality import MEASURES, REASONS, QualityLimits, estimate_limits, flag, measure
from phenoassets.imaging.reading import read_image

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
real = pytest.mark.skipif(not DATA.is_dir(), reason="the reference data are not on this machine")


def cells(seed: int = 0, shape: tuple[int, int] = (160, 200), n: int = 12, contrast: float = 40.0) -> np.ndarray:
    """A grey field with `n` textured disks: float, around 128."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    picture = np.full(shape, 128.0)
    texture = ndimage.gaussian_filter(rng.normal(size=shape), 1.0)
    for _ in range(n):
        cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        inside = (y - cy) ** 2 + (x - cx) ** 2 < 11**2
        picture[inside] += contrast * texture[inside] / texture.std()
    return picture + rng.normal(0, 1.2, shape)


def as_uint8(picture: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def naive_focus_slope(image: np.ndarray) -> float:
    """From the definition: every frequency of the full transform, one by one, and a fitted line."""
    n = image.shape[0]
    centred = image.astype(np.float64) - image.mean()
    taper = np.array([0.5 - 0.5 * np.cos(2 * np.pi * k / n) for k in range(n)])
    power = np.abs(np.fft.fft2(centred * np.outer(taper, taper))) ** 2
    rings: dict[int, list[float]] = {}
    for row in range(n):
        for column in range(n):
            fy, fx = (k if k <= n // 2 else k - n for k in (row, column))
            rings.setdefault(round(float(np.hypot(fy, fx))), []).append(power[row, column])
    radii = [radius for radius in sorted(rings) if BAND[0] * n <= radius <= BAND[1] * n]
    return float(np.polyfit(np.log(radii), [np.log(np.mean(rings[radius])) for radius in radii], 1)[0])


@pytest.mark.parametrize("side", [32, 45, 64, 96])
def test_the_focus_slope_is_that_of_the_definition(side):
    image = np.random.default_rng(side).normal(500, 30, (side, side))
    image += np.linspace(0, 100, side)
    assert focus_slope(image) == pytest.approx(naive_focus_slope(image), rel=2e-4)


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0, 3.0])
def test_a_field_made_with_a_known_spectrum_has_its_slope(beta):
    rng = np.random.default_rng(4)
    n = 512
    radius = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :])
    radius[0, 0] = 1
    noise = np.fft.rfft2(rng.normal(size=(n, n)))
    field = np.fft.irfft2(noise * radius ** (-beta / 2), s=(n, n))
    assert focus_slope(field) == pytest.approx(-beta, abs=0.15)


def test_blur_lowers_the_focus_slope_step_by_step_also_under_camera_noise():
    picture = cells(n=30, shape=(300, 320))
    rng = np.random.default_rng(1)
    blurred = [ndimage.gaussian_filter(picture, sigma) for sigma in (0, 1, 2, 3)]
    slopes = [focus_slope(as_uint8(p + rng.normal(0, 1, p.shape))) for p in blurred]
    assert all(first - second > 0.2 for first, second in pairwise(slopes))
    assert slopes[0] - slopes[2] > 1.2


def test_the_focus_slope_does_not_depend_on_gain_offset_bit_depth_or_shading():
    picture = as_uint8(cells())
    slope = focus_slope(picture)
    assert focus_slope(picture.astype(np.uint16) * 257) == pytest.approx(slope, rel=1e-4)
    assert focus_slope(picture.astype(np.float32) * 7 + 1000) == pytest.approx(slope, rel=1e-4)
    shade = 1 + 0.2 * np.linspace(-1, 1, picture.shape[1])
    assert focus_slope(picture * shade) == pytest.approx(slope, abs=0.25)


def test_only_the_central_square_is_looked_at():
    picture = cells(shape=(200, 700))
    other = picture.copy()
    other[:, :200] = 0
    assert focus_slope(other) == focus_slope(picture)


def test_a_constant_and_a_tiny_picture_have_no_slope():
    assert np.isnan(focus_slope(np.full((64, 64), 7, dtype=np.uint8)))
    assert np.isnan(focus_slope(np.arange(64, dtype=np.uint8).reshape(8, 8)))
    assert np.isnan(focus_slope(np.zeros((0, 5), dtype=np.uint8)))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    spread=st.sampled_from([1, 3, 255]),
)
def test_intensity_measures_are_numpys(seed, shape, dtype, spread):
    values = np.random.default_rng(seed).integers(255 - spread, 256, shape)
    image = values.astype(dtype) if dtype != "uint16" else (values * 257).astype(dtype)
    found = measure(image)
    wide = image.astype(np.float64)
    for name, q in {"q01": 0.01, "q25": 0.25, "median": 0.5, "q75": 0.75, "q99": 0.99}.items():
        assert found[name] == pytest.approx(np.quantile(wide, q), rel=1e-12)
    assert found["std"] == pytest.approx(wide.std(), rel=1e-6, abs=1e-9)
    assert found["total"] == wide.sum()
    top = {"uint8": 255, "uint16": 65535}.get(dtype, np.inf)
    assert found["saturated_fraction"] == (wide == top).mean()
    assert tuple(found) == MEASURES


def test_measures_of_six_pixels_worked_by_hand():
    found = measure(np.array([[0, 0, 10], [20, 255, 255]], dtype=np.uint8))
    assert found["median"] == 15.0
    assert found["q25"] == 2.5  # position 1.25 of 0 0 10 20 255 255
    assert found["q75"] == 196.25  # position 3.75
    assert found["total"] == 540.0
    assert found["std"] == pytest.approx(np.sqrt((2 * 90**2 + 80**2 + 70**2 + 2 * 165**2) / 6))
    assert found["saturated_fraction"] == pytest.approx(1 / 3)


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(ImageError, match="no pixels"):
        measure(np.zeros((0, 7), dtype=np.uint8))


def test_confluence_is_measured_in_phase_alone():
    picture = as_uint8(cells())
    assert measure(picture)["confluence"] == measure_confluence(picture)
    assert measure(picture, "green")["confluence"] is None


def frame_of(pictures: list[np.ndarray], channel: str = "phase") -> pl.DataFrame:
    rows = [{"channel": channel, **measure(picture, channel)} for picture in pictures]
    return pl.DataFrame(rows, schema={"channel": pl.String, **dict.fromkeys(MEASURES, pl.Float64)})


def row(channel: str = "phase", **measures: float) -> dict[str, object]:
    usual = {
        "focus_slope": -1.0,
        "median": 100.0,
        "std": 10.0,
        "q01": 80.0,
        "q25": 95.0,
        "q75": 105.0,
        "q99": 120.0,
        "total": 1e6,
        "saturated_fraction": 0.0,
        "confluence": 0.5,
        "sharpness": 0.0,
    }
    return {"channel": channel, **usual, **measures}


def test_limits_of_a_few_rows_worked_by_hand():
    sharp = [-1.0, -1.1, -0.9, -2.0, -1.2]  # median -1.1, deviations .1 0 .2 .9 .1, MAD .1
    frame = pl.DataFrame([row(sharpness=s, median=m) for s, m in zip(sharp, [90, 100, 110, 100, 100], strict=True)])
    limits = estimate_limits(frame)
    found = limits.channels["phase"]
    assert found["out_of_focus"] == pytest.approx(-1.1 - 0.85)  # 6 * 1.4826 * 0.1 is more than the most
    assert found["dark"] == pytest.approx(70.0)  # MAD 0: the floor, 30% of 100
    assert found["bright"] == pytest.approx(130.0)
    assert found["saturated"] == pytest.approx(0.05)
    assert limits.n_images == {"phase": 5}
    wide = estimate_limits(pl.DataFrame([row(sharpness=s) for s in (-1.0, -2.0, -3.0)])).channels["phase"]
    assert wide["out_of_focus"] == pytest.approx(-2.0 - 0.85)
    some = estimate_limits(pl.DataFrame([row(sharpness=s) for s in (-1.0, -1.08, -0.92)])).channels["phase"]
    assert some["out_of_focus"] == pytest.approx(-1.0 - 6 * 1.4826 * 0.08)
    even = estimate_limits(pl.DataFrame([row(sharpness=-1.0)] * 3)).channels["phase"]
    assert even["out_of_focus"] == pytest.approx(-1.0 - 0.6)


def test_a_calibration_set_without_any_spread_flags_none_of_its_like():
    frame = pl.DataFrame([row()] * 5)
    limits = estimate_limits(frame)
    assert flag(frame, limits)["keep"].all()
    near = pl.DataFrame([row(sharpness=-0.5, median=90.0, saturated_fraction=0.02)])
    assert flag(near, limits)["keep"].all()


def test_each_fault_gets_its_own_flag():
    limits = estimate_limits(pl.DataFrame([row()] * 9))
    faults = {
        "out_of_focus": row(sharpness=-0.8),
        "dark": row(median=40.0),
        "bright": row(median=180.0),
        "saturated": row(saturated_fraction=0.2),
        "empty": row(q01=100.0, q99=100.0, focus_slope=float("nan")),
    }
    assert set(faults) == set(REASONS)
    flagged = flag(pl.DataFrame([*faults.values(), row()]), limits)
    assert flagged["flags"].to_list() == [[reason] for reason in faults] + [[]]
    assert flagged["keep"].to_list() == [False] * len(faults) + [True]
    both = flag(pl.DataFrame([row(median=180.0, saturated_fraction=0.4)]), limits)
    assert both["flags"].to_list() == [["bright", "saturated"]]


def test_blurred_saturated_dark_and_empty_pictures_are_found_among_good_ones():
    good = [as_uint8(cells(seed)) for seed in range(8)]
    limits = estimate_limits(frame_of(good))
    assert flag(frame_of(good), limits)["keep"].all()
    bad = [
        as_uint8(ndimage.gaussian_filter(cells(9), 3) + np.random.default_rng(0).normal(0, 1, (160, 200))),
        as_uint8(cells(9) * 3),
        as_uint8(cells(9) * 0.3),
        np.zeros((160, 200), dtype=np.uint8),
    ]
    flags = flag(frame_of(bad), limits)["flags"].to_list()
    assert flags[0] == ["out_of_focus"]
    assert {"bright", "saturated"} <= set(flags[1])
    assert "dark" in flags[2]
    assert flags[3] == ["empty"]


def test_more_cells_than_at_the_start_are_no_fault():
    limits = estimate_limits(frame_of([as_uint8(cells(seed, n=3)) for seed in range(8)]))
    later = frame_of([as_uint8(cells(seed, n=60)) for seed in range(8)])
    assert flag(later, limits)["keep"].all()


def test_a_fluorescent_channel_that_lights_up_is_no_fault():
    rng = np.random.default_rng(0)
    dark = [rng.poisson(3, (64, 64)).astype(np.uint16) for _ in range(6)]
    limits = estimate_limits(frame_of(dark, "green"))
    bright = [(p + 400 * (ndimage.gaussian_filter(rng.normal(size=(64, 64)), 5) > 0)).astype(np.uint16) for p in dark]
    assert flag(frame_of(bright, "green"), limits)["keep"].all()
    nearly_dark = np.zeros((64, 64), dtype=np.uint16)
    nearly_dark[3, 3] = 9
    assert flag(frame_of([nearly_dark], "green"), limits)["keep"].all()
    assert flag(frame_of([nearly_dark * 0], "green"), limits)["flags"].to_list() == [["empty"]]


def test_empty_pictures_do_not_enter_the_limits_and_a_channel_of_them_has_none():
    good = [as_uint8(cells(seed)) for seed in range(5)]
    black = [np.zeros((160, 200), dtype=np.uint8)] * 20
    assert estimate_limits(frame_of(good + black)) == estimate_limits(frame_of(good))
    limits = estimate_limits(frame_of(black))
    assert limits.channels == {}
    flagged = flag(frame_of(good + black[:1]), limits)
    assert flagged["flags"].to_list() == [[]] * 5 + [["empty"]]


def test_limits_of_two_channels_do_not_mix():
    frame = pl.DataFrame([row(), row("green", saturated_fraction=0.3)])
    limits = estimate_limits(frame)
    flagged = flag(pl.DataFrame([row(saturated_fraction=0.3), row("green", saturated_fraction=0.3)]), limits)
    assert flagged["flags"].to_list() == [["saturated"], []]
    assert QualityLimits.merge([estimate_limits(frame[:1]), estimate_limits(frame[1:])]) == limits


def test_limits_survive_json_and_their_digest_follows_them():
    limits = estimate_limits(pl.DataFrame([row(), row("green"), row(sharpness=-1.2345678901234567)]))
    again = QualityLimits.from_json(limits.to_json())
    assert again == limits
    assert again.digest == limits.digest
    content = json.loads(limits.to_json())
    content["channels"]["phase"]["dark"] += 1e-9
    assert QualityLimits.from_json(json.dumps(content)).digest != limits.digest
    with pytest.raises(ValueError, match="not quality limits"):
        QualityLimits.from_json("{}")


def test_flags_of_no_rows_are_no_rows():
    frame = flag(frame_of([]), QualityLimits({}, {}))
    assert frame.height == 0
    assert frame.schema["flags"] == pl.List(pl.String)
    assert estimate_limits(frame_of([])).channels == {}


@real
def test_real_pictures_have_plausible_measures_and_blur_is_found():
    frames = [read_image(path) for path in sorted((DATA / "images" / "t98g").glob("*.tif"))[:6]]
    limits = estimate_limits(frame_of(frames))
    assert flag(frame_of(frames), limits)["keep"].all()
    blurred = [ndimage.gaussian_filter(frame, 3.0) for frame in frames[:2]]
    assert flag(frame_of(blurred), limits)["flags"].to_list() == [["out_of_focus"]] * 2
