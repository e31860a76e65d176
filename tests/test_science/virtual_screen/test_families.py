"""Families differ in what real labs differ in, are drawn from a seed, and stay within their sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from phenoassets.errors import ExportError, SettingsError
from phenoassets.incucyte import find_images, read_plate_map
from phenoassets.virtual_screen.families import FAMILIES, HALVES, design_family, draw_family
from phenoassets.virtual_screen.family_export import export_family, family_frames
from phenoassets.virtual_screen.fates import live_and_count

EVERY = [draw_family(half, number) for half in HALVES for number in range(FAMILIES)]


def test_a_family_is_drawn_from_its_seed_and_no_two_are_alike():
    assert draw_family("tuning", 2) == draw_family("tuning", 2)
    assert len({repr(family.line) for family in EVERY}) == len(EVERY)
    assert design_family(EVERY[3]) == design_family(EVERY[3])


@pytest.mark.parametrize("half", HALVES)
def test_each_half_covers_what_real_labs_differ_in(half):
    those = [family for family in EVERY if family.half == half]
    assert {f.interval for f in those} >= {1.0, 2.0, 4.0, 6.0}
    assert {f.replicates for f in those} == {1, 2, 3, 4}
    assert min(f.controls for f in those) == 4
    assert max(f.controls for f in those) == 32
    assert {f.death for f in those} == {"blebs", "rounding", "detachment", "staying"}
    assert {f.optics.um_per_pixel for f in those} == {0.62, 1.24, 2.82}
    doubling = sorted(f.line.doubling_hours for f in those)
    assert 16 <= doubling[0] < 20
    assert 48 < doubling[-1] <= 60


@pytest.mark.parametrize("family", EVERY, ids=lambda family: family.name)
def test_no_family_is_larger_than_a_plate_of_96_wells_and_37_scans(family):
    (plate,) = design_family(family).plates
    assert len({well.name for well in plate.wells}) == len(plate.wells) <= 96
    assert family.hours / family.interval + 1 <= 37
    kinds = {well.compound.kind for well in plate.wells if well.compound}
    assert {"inert", "arrest, then killing"} < kinds
    controls = [well for well in plate.wells if well.compound is None]
    assert len(controls) == family.controls
    conditions = {}
    for well in plate.wells:
        if well.compound:
            conditions.setdefault(well.condition_id, []).append(well)
    assert {len(wells) for wells in conditions.values()} == {family.replicates}


def test_an_unknown_family_is_refused():
    with pytest.raises(SettingsError, match="halves are tuning, reported"):
        draw_family("other", 0)
    with pytest.raises(SettingsError, match="numbers 0 to"):
        draw_family("tuning", FAMILIES)


@pytest.fixture
def small():
    """A family of tiny frames and three scans."""
    family = draw_family("tuning", 3)
    line = replace(family.line, seeded_confluence=0.1)
    return replace(family, line=line, hours=12.0, interval=6.0, fields=2, frame=(64, 96), controls=4)


def test_a_family_is_exported_as_an_instrument_would(small, tmp_path):
    truth = export_family(small, tmp_path / "a")
    images = find_images(tmp_path / "a" / "tuning_3")
    wells = len(design_family(small).plates[0].wells)
    assert images.height == wells * 2 * 3
    layout = read_plate_map(tmp_path / "a" / "tuning_3" / "tuning_3.PlateMap")
    assert layout.filter(pl.col("role") == "negative_control").height == 4
    assert set(layout.filter(pl.col("role") == "treatment")["compound"]) == set(truth["compound"])
    assert truth["condition_id"].n_unique() == truth.height == 24
    again = export_family(small, tmp_path / "b")
    assert again.equals(truth)
    one = next((tmp_path / "a" / "tuning_3").glob("*.tif"))
    assert one.read_bytes() == (tmp_path / "b" / "tuning_3" / one.name).read_bytes()
    with pytest.raises(ExportError, match="not an empty folder"):
        export_family(small, tmp_path / "a")


@pytest.mark.parametrize("um_per_pixel", [0.62, 2.82])
def test_other_objectives_show_the_same_field_with_other_pixels(small, um_per_pixel):
    (plate,) = design_family(small).plates
    well = next(well for well in plate.wells if well.compound is None)
    cells, _ = live_and_count(well.plan, [0.0])
    shown = {}
    for um in (1.24, um_per_pixel):
        family = replace(small, optics=replace(small.optics, um_per_pixel=um, noise=0.0, drift=0.0))
        (shown[um],) = family_frames(family, plate, well, 1, cells)
    assert shown[um_per_pixel].shape == tuple(round(side * 1.24 / um_per_pixel) for side in (64, 96))
    means = {um: [part.mean() for part in np.array_split(frame.astype(float), 4)] for um, frame in shown.items()}
    assert means[um_per_pixel] == pytest.approx(means[1.24], abs=2.5)
