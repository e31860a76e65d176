"""Wells counted by hand, and profiles by the definition."""

import numpy as np
import polars as pl
import pytest
from builders import typed

from phenoassets.segmentation.counts import DEAD, feature_profiles, well_counts

NAMES = ("area_um2", "solidity")


def images(*wells):
    rows = [
        {
            "segmenter": "s",
            "image_id": f"{well}{field}",
            "plate": "P1",
            "well": well,
            "field": field,
            "channel": "phase",
            "scan": "000d00h00m",
            "zarr": "z",
            "labels": "l",
            "index": 0,
            "um_per_pixel": 2.0,
            "n_objects": 0,
            "foreground": 0.0,
        }
        for well, field in wells
    ]
    return typed("label_images", rows)


def objects(*rows):
    made = [
        {"segmenter": "s", "image_id": image, "plate": "P1", "well": image[:3], "field": int(image[3:])}
        | {"channel": "phase", "scan": "000d00h00m", "object": number, "area_um2": area, "edge": edge, "dead": dead}
        for number, (image, area, dead, edge) in enumerate(rows, start=1)
    ]
    return typed("objects", made)


def test_living_dead_and_area_of_each_well_by_hand():
    rows = objects(
        ("A011", 100.0, 0.1, False),
        ("A011", 50.0, 0.9, False),
        ("A012", 30.0, 0.2, True),
        ("A021", 10.0, DEAD, False),
    )
    counts = well_counts(images(("A01", 1), ("A01", 2), ("A02", 1), ("A03", 1)), rows, pixels_per_image=100)
    first, second, third = counts.sort("well").to_dicts()
    assert (first["n_images"], first["n_objects"], first["viable_count"]) == (2, 3, 2)
    assert first["viable_area"] == pytest.approx((100 + 30) / (2 * 100 * 4))
    assert first["dead_fraction"] == pytest.approx(1 / 3)
    assert first["median_area_um2"] == 75  # the object at the edge is cut off
    assert (second["viable_count"], second["dead_fraction"], second["viable_area"]) == (0, 1.0, 0.0)
    assert (third["n_objects"], third["viable_count"], third["viable_area"]) == (0, 0, 0.0)
    assert third["dead_fraction"] is None
    assert third["median_area_um2"] is None


def test_nobody_is_called_living_where_a_state_is_unknown():
    counts = well_counts(images(("A01", 1)), objects(("A011", 9.0, 0.1, False), ("A011", 9.0, None, False)), 100)
    assert counts.row(0, named=True)["n_objects"] == 2
    assert counts.select("viable_count", "viable_area", "dead_fraction").row(0) == (None, None, None)


def test_a_profile_is_the_mean_over_images_of_medians_over_whole_objects():
    rng = np.random.default_rng(0)
    place = [(f"A0{w}{f}", k) for w in (1, 2) for f in (1, 2) for k in range(1, 6)]
    base = {"segmenter": "s", "plate": "P1", "channel": "phase", "scan": "x"}
    frame = pl.DataFrame(
        [
            base
            | {"image_id": image, "well": image[:3], "object": k, "area_um2": rng.random(), "solidity": rng.random()}
            for image, k in place
        ]
    )
    edge = pl.DataFrame([{"image_id": image, "object": k, "edge": k == 1 or image == "A022"} for image, k in place])
    found = feature_profiles(frame, edge, NAMES)
    for row in found.to_dicts():
        medians = []
        for field in (1, 2):
            of_image = frame.filter(pl.col("image_id") == f"{row['well']}{field}")
            if row["well"] != "A02" or field == 1:  # all objects of A022 touch the edge: it keeps them
                of_image = of_image.filter(pl.col("object") > 1)
            medians.append(np.median(of_image.select(NAMES).to_numpy(), axis=0))
        np.testing.assert_allclose(row["profile"], np.mean(medians, axis=0), rtol=1e-6)
        assert row["n_images"] == 2
