"""What each scan should hold and holds, worked by hand."""

import polars as pl
import pytest
from builders import plate_map_frame, typed

from phenoassets.screen.loading import load_screen
from phenoassets.steps.catalogue import image_ids
from phenoassets.steps.scan_manifest import findings, scan_manifest, write_scan_manifest

KEY = ("plate", "well", "field", "channel", "scan")


def images_of(*places):
    frame = pl.DataFrame([("P1", *place) for place in places], schema=list(KEY), orient="row")
    frame = frame.with_columns(pl.col("field").cast(pl.Int32))
    return frame.with_columns(image_ids(frame))


def rejected_of(*rows):
    return pl.DataFrame(rows, schema={"image_id": pl.String, "reason": pl.String}, orient="row")


@pytest.fixture
def images():
    full = [(well, field, "phase", scan) for scan in ("s0", "s1") for well in ("A01", "A02", "A03") for field in (1, 2)]
    full.remove(("A02", 1, "phase", "s1"))
    full.append(("A03", 7, "phase", "s1"))  # a field that no other well has
    full.append(("A01", 1, "green", "s1"))
    return images_of(*full)


def test_missing_wells_and_extra_fields_are_named_for_each_scan_and_channel(images):
    found = scan_manifest(images, rejected_of())
    rows = found.select("scan", "channel", "n_expected", "n_present", "missing", "extra").rows()
    assert rows == [
        ("s0", "phase", 6, 6, [], []),
        ("s1", "green", 1, 1, [], []),
        ("s1", "phase", 6, 5, ["A02/1"], ["A03/7"]),
    ]


def test_copies_and_contradictions_count_where_they_belong_also_of_images_that_are_missing(images):
    present = images.filter(well="A01", field=1, channel="phase", scan="s0")["image_id"].item()
    [missing] = images_of(("A02", 1, "phase", "s1"))["image_id"]
    rejected = rejected_of(
        (present, "duplicate"),
        (missing, "conflicting_duplicate"),
        (missing, "conflicting_duplicate"),
        (present, "unreadable"),
        (None, "not_an_image_name"),
    )
    found = scan_manifest(images, rejected)
    counts = {row[:2]: row[2:] for row in found.select("scan", "channel", "n_duplicates", "n_conflicts").rows()}
    assert counts == {("s0", "phase"): (1, 0), ("s1", "phase"): (0, 2), ("s1", "green"): (0, 0)}


def test_a_field_that_half_of_the_wells_have_is_expected_of_them_and_one_of_fewer_is_extra():
    usual = [(f"A0{n}", 1, "phase", "s0") for n in range(1, 5)]
    half = images_of(*usual, *[(f"A0{n}", 2, "phase", "s0") for n in (1, 2)])
    assert scan_manifest(half, rejected_of())["extra"].to_list() == [[]]
    fewer = images_of(*usual, ("A01", 2, "phase", "s0"))
    assert scan_manifest(fewer, rejected_of())["extra"].to_list() == [["A01/2"]]


def test_the_step_writes_the_table_and_warns(home, store, images):
    raw = [
        row
        | {
            "path": row["image_id"],
            "format": "tiff",
            "sha256": "",
            "bytes": 1,
            "width": 1,
            "height": 1,
            "dtype": "uint8",
        }
        for row in images.to_dicts()
    ]
    store.write("raw_images", typed("raw_images", raw), plate="P1")
    home.root.mkdir(exist_ok=True)
    result = write_scan_manifest(load_screen(home), store, "P1")
    assert result.total == store.read("scan_manifest", plate="P1").height == 3
    assert "1 scans lack images" in result.notes["warning"]
    assert "A02/1" in result.notes["warning"]


def test_findings_name_what_scans_lack_and_hold_too_much_of_and_wells_that_were_never_imaged(store, images):
    ids = images.filter(well="A01", field=1, channel="phase", scan="s0")["image_id"].item()
    frame = scan_manifest(images, rejected_of((ids, "duplicate"), (ids, "conflicting_duplicate")))
    store.write("scan_manifest", frame, plate="P1")
    store.write("raw_images", typed("raw_images", images.to_dicts()).with_columns(
        path=pl.col("image_id"), format=pl.lit("tiff"), sha256=pl.lit(""), bytes=pl.lit(1, pl.Int64),
        width=pl.lit(1, pl.Int32), height=pl.lit(1, pl.Int32), dtype=pl.lit("uint8"),
    ), plate="P1")  # fmt: skip
    mapped = (("A01", "negative_control", "A|x@1 µM"), ("H12", "treatment", "A|y@1 µM"))
    store.write("plate_maps", plate_map_frame(wells=mapped), plate="P1")
    assert findings(store, "P1") == {
        "wells never imaged": "1 wells of the plate map: H12",
        "missing images": "1 in 1 scans, first s1 phase: A02/1",
        "fields that most wells lack": "1 in 1 scans, first s1 phase: A03/7",
        "repeated files": "1 in 1 scans, first s0",
        "conflicting files": "1 in 1 scans, first s0",
    }


def test_a_plate_whose_scans_are_whole_has_no_findings(store):
    whole = images_of(*((f"A0{n}", 1, "phase", "s0") for n in (1, 2)))
    store.write("scan_manifest", scan_manifest(whole, rejected_of()), plate="P1")
    assert findings(store, "P1") == {}
