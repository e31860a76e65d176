"""The metadata of a plate's OME-Zarr, read by the tools of the field."""

import json

import numpy as np
import pytest
import zarr
from ngio import open_ome_zarr_container, open_ome_zarr_plate
from ome_zarr.io import parse_url
from ome_zarr.reader import Multiscales, Plate, Reader
from ome_zarr_models.v05.hcs import HCS
from ome_zarr_models.v05.image import Image

from phenoassets.imaging.ome_zarr import interval_hours
from phenoassets.imaging.store import PlateStore

SCANS = ["000d00h00m", "000d02h00m", "000d04h00m", "001d00h00m"]
SHAPE = (48, 64)


@pytest.fixture
def pixels(tmp_path):
    """A plate of two wells, imaged every 2 hours with a gap, and its pictures."""
    store = PlateStore(tmp_path / "P1.zarr")
    rng = np.random.default_rng(0)
    store.ensure(
        ["A01", "B03"],
        [1],
        ["green", "phase"],
        SHAPE,
        {"green": "uint16", "phase": "uint8"},
        scans=SCANS[:2],
        um_per_pixel=1.24,
        recipe_digest="r",
    )
    made = {}
    for well in ("A01", "B03"):
        for channel, top, dtype in (("green", 60000, np.uint16), ("phase", 255, np.uint8)):
            made[well, channel] = [rng.integers(1, top, SHAPE).astype(dtype) for _ in SCANS]
            store.append(well, 1, channel, SCANS[:2], made[well, channel][:2])
    return store, made


def grow(store, made):
    store.ensure(
        ["A01", "B03"], [1], ["green", "phase"], SHAPE, {"green": "uint16", "phase": "uint8"}, scans=SCANS[2:],
        um_per_pixel=1.24, recipe_digest="r",
    )  # fmt: skip
    for (well, channel), pictures in made.items():
        store.append(well, 1, channel, SCANS[2:], pictures[2:])


def test_ome_zarr_py_opens_the_plate_with_its_wells_channels_and_scales(pixels):
    store, made = pixels
    grow(store, made)
    [node] = Reader(parse_url(store.path))()
    assert [type(spec) for spec in node.specs] == [Plate]
    plate = node.metadata["metadata"]["plate"]
    assert plate["name"] == "P1"
    assert [well["path"] for well in plate["wells"]] == ["A/1", "B/3"]
    whole = np.asarray(node.data[0])
    assert whole.shape == (len(SCANS), 2, 2 * SHAPE[0], 2 * SHAPE[1])
    for n in range(len(SCANS)):
        np.testing.assert_array_equal(whole[n, 0, : SHAPE[0], : SHAPE[1]], made["A01", "green"][n])
        np.testing.assert_array_equal(whole[n, 1, SHAPE[0] :, SHAPE[1] :], made["B03", "phase"][n])
    assert not whole[:, :, : SHAPE[0], SHAPE[1] :].any()  # A03 was not imaged
    assert node.metadata["channel_names"] == ["green", "phase"]


def test_ome_zarr_py_opens_one_image_with_hours_and_micrometres(pixels):
    store, _ = pixels
    [node] = Reader(parse_url(store.path / "A" / "1" / "1"))()
    assert Multiscales in {type(spec) for spec in node.specs}
    axes = [(axis["name"], axis.get("unit")) for axis in node.metadata["axes"]]
    assert axes == [("t", "hour"), ("c", None), ("y", "micrometer"), ("x", "micrometer")]
    assert node.metadata["coordinateTransformations"] == [[{"type": "scale", "scale": [2.0, 1.0, 1.24, 1.24]}]]


def test_the_models_of_the_specification_take_plate_and_image(pixels):
    store, _ = pixels
    plate = HCS.from_zarr(zarr.open_group(store.path, mode="r"))
    assert [well.path for well in plate.ome_attributes.plate.wells] == ["A/1", "B/3"]
    image = Image.from_zarr(zarr.open_group(store.path / "B" / "3" / "1", mode="r"))
    assert [axis.unit for axis in image.ome_attributes.multiscales[0].axes] == [
        "hour", None, "micrometer", "micrometer",
    ]  # fmt: skip


def test_the_interval_follows_the_scans_that_join(pixels):
    store, made = pixels
    grow(store, made)
    document = json.loads((store.path / "A" / "1" / "1" / "zarr.json").read_text())
    [multiscale] = document["attributes"]["ome"]["multiscales"]
    assert multiscale["datasets"][0]["coordinateTransformations"][0]["scale"][0] == 2.0
    plate = json.loads((store.path / "zarr.json").read_text())
    assert list(plate["attributes"]["phenoassets"]["scans"]) == SCANS  # each scan's own time


@pytest.mark.parametrize(
    ("scans", "hours"),
    [
        (["000d00h00m", "000d02h00m", "000d04h00m", "001d00h00m"], 2.0),
        (["001d00h00m", "000d00h00m", "000d12h00m"], 12.0),  # in whatever order they joined
        (["2026-03-01T08:00", "2026-03-01T08:30"], 0.5),
        (["2026-03-01T08:00", "2026-03-01T10:00", "2026-03-02T09:00"], 12.5),
        (["000d00h00m"], None),
        ([], None),
        (["first", "second"], None),
        (["000d00h00m", "2026-03-01T10:00"], None),
    ],
)
def test_the_interval_is_the_median_time_between_scans(scans, hours):
    assert interval_hours(scans) == hours


def test_ngio_opens_the_plate_and_its_images_with_hours_micrometres_and_channels(pixels):
    store, made = pixels
    grow(store, made)
    plate = open_ome_zarr_plate(store.path, mode="r")
    assert (plate.rows, plate.columns) == (["A", "B"], ["1", "3"])
    assert plate.images_paths(max_workers=1) == ["A/1/1", "B/3/1"]
    image = open_ome_zarr_container(store.path / "B" / "3" / "1", mode="r").get_image()
    assert (image.axes, image.channel_labels) == (("t", "c", "y", "x"), ["green", "phase"])
    size = image.pixel_size
    assert (size.t, size.time_unit, size.y, size.x, size.space_unit) == (2.0, "hour", 1.24, 1.24, "micrometer")
    np.testing.assert_array_equal(image.get_as_numpy()[:, 1], np.stack(made["B03", "phase"]))


@pytest.mark.filterwarnings("ignore")  # napari's own, while it is imported
def test_naparis_reader_opens_plate_and_image_with_hours_micrometres_and_channels(pixels):
    # With it run pytest under PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 -p xdist.plugin -p pytest_timeout: its own plugins for
    # pytest fail where warnings are errors, so it is not among the packages for tests.
    reason = "napari's reader needs napari itself, 47 packages more: pip install -c constraints.txt napari-ome-zarr"
    reader = pytest.importorskip("napari_ome_zarr", reason=reason)
    store, made = pixels
    grow(store, made)
    for path, shape in ((store.path / "B" / "3" / "1", SHAPE), (store.path, (2 * SHAPE[0], 2 * SHAPE[1]))):
        [(data, shown, kind)] = reader.napari_get_reader(str(path))(str(path))
        whole = np.asarray(data[0])
        assert (kind, shown["channel_axis"], shown["scale"]) == ("image", 1, [2.0, 1.24, 1.24])
        assert shown["units"] == ("hour", "micrometer", "micrometer")
        assert [name.rsplit(": ")[-1] for name in shown["name"]] == ["green", "phase"]
        assert whole.shape == (len(SCANS), 2, *shape)
        np.testing.assert_array_equal(whole[:, 1, -SHAPE[0] :, -SHAPE[1] :], np.stack(made["B03", "phase"]))
