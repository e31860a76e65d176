"""Growth of a plate from its images or from the vendor's table: read, matched to scans, and refused."""

import datetime as dt

import polars as pl
import pytest
from builders import plate_map_frame, plates_frame, scans_frame, typed

from phenoassets.errors import MetricTableError, ProfileError
from phenoassets.planning.sheet_digests import read_sheets
from phenoassets.screen.loading import load_screen
from phenoassets.steps.trajectories import measure_growth, position_problems, uneven_flags
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore

HOURS = (0.0, 2.0, 4.0)
WELLS = (
    ("A01", "negative_control", "A549|DMSO@0.1 %"),
    ("A02", "treatment", "A549|x@1 µM"),
    ("A03", "treatment", "A549|x@1 µM"),
)
TABLE = "Label: x\nMetric: Phase Object Confluence (Percent)\n\nDate Time\tElapsed\tA1\tA2\tA3\n"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    store = TableStore(home)
    store.write("plates", plates_frame("P1"), plate="P1")
    store.write("plate_maps", plate_map_frame("P1", WELLS), plate="P1")
    store.write("scans", scans_frame("P1", HOURS), plate="P1")
    measures = ("focus_slope", "median", "std", "q01", "q25", "q75", "q99", "total", "saturated_fraction")
    rows = [
        {"image_id": f"{well}{scan}", "plate": "P1", "well": well, "field": 1, "channel": "phase", "scan": scan}
        | dict.fromkeys(measures, 0.5)
        | {"confluence": 0.25, "flags": [], "keep": well != "A03"}
        for well, _, _ in WELLS
        for scan in scans_frame("P1", HOURS)["scan"]
    ]
    store.write("image_quality", typed("image_quality", rows), plate="P1")
    folder = home.root / "exports" / "P1"
    folder.mkdir(parents=True)
    (folder / "map.csv").write_text("well,compound\nA1,DMSO\n")
    return home


def measured(home):
    screen = load_screen(home)
    written = measure_growth(screen, TableStore(home), "P1")
    return written, TableStore(home).read("growth_curves", plate="P1").sort("scan")


def named(home, text=TABLE, rows=((0, 10, 20, 40), (2, 20, 30, 50), (4.5, 40, 40, None))):
    start = dt.datetime(2020, 1, 30, 17)
    lines = [
        "\t".join(
            [f"{start + dt.timedelta(hours=row[0]):%d/%m/%Y %H:%M:%S}", *("" if v is None else str(v) for v in row)]
        )
        for row in rows
    ]
    (home.root / "exports" / "P1" / "confluence.txt").write_text(text + "\n".join(lines) + "\n")
    home.plates_file.write_text("plate,plate_map,confluence_table\nP1,map.csv,confluence.txt\n")


def test_without_a_table_the_images_say_it(home):
    written, frame = measured(home)
    assert frame["confluence"].to_list() == [0.25] * 3
    assert frame["n_wells"].to_list() == [1] * 3  # the flagged well does not count
    assert written.notes["confluence"] == "measured from the images"


def test_the_vendors_table_is_read_as_a_fraction_at_the_nearest_scans(home):
    named(home)
    written, frame = measured(home)
    assert frame["confluence"].to_list() == pytest.approx([0.3, 0.4, 0.4])
    assert frame["control_confluence"].to_list() == pytest.approx([0.1, 0.2, 0.4])
    assert frame["n_wells"].to_list() == [2, 2, 1]
    assert written.notes["confluence"] == "from confluence.txt"


def test_times_of_day_are_compared_where_scans_have_them(home):
    named(home)
    later = scans_frame("P1", HOURS).with_columns(  # the plate's scans begin with the table's second row
        pl.lit(dt.datetime(2020, 1, 30, 19))
        .dt.offset_by(pl.col("hours_since_start").cast(pl.Int64).cast(pl.String) + "h")
        .cast(pl.Datetime("us"))
        .alias("scanned_at")
    )
    TableStore(home).write("scans", later, plate="P1")
    _, frame = measured(home)
    assert frame["control_confluence"].to_list() == pytest.approx([0.2, 0.4])


@pytest.mark.parametrize(
    ("text", "rows", "words"),
    [
        (
            TABLE.replace("Phase Object Confluence", "Relative Wound Density"),
            ((0, 1, 1, 1),),
            "export Phase Object Conf",
        ),
        (TABLE.replace(" (Percent)", ""), ((0, 10, 20, 30),), "expected percent"),
        (TABLE, ((0, 10, 20, 130),), "expected percent"),
        (TABLE, ((90, 10, 20, 30),), "none of its times lies within 1 h of a scan of plate P1"),
        ("Metric: Confluence\n", (), "no line that starts with 'Date Time'"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(home, text, rows, words):
    named(home, text, rows)
    with pytest.raises(MetricTableError, match=words):
        measured(home)


def test_a_table_that_is_not_there_or_lies_outside_is_named(home):
    home.plates_file.write_text("plate,confluence_table\nP1,../../outside.txt\n")
    (home.root / "outside.txt").write_text(TABLE)
    with pytest.raises(MetricTableError, match=r"plate P1: plates\.csv names the confluence table .*outside\.txt"):
        measured(home)


def test_a_corrected_table_is_noticed(home):
    named(home)
    folders = {"P1": home.root / "exports" / "P1"}
    before, _ = read_sheets(load_screen(home), folders)
    named(home, rows=((0, 10, 20, 41), (2, 20, 30, 50), (4, 40, 40, 60)))
    after, _ = read_sheets(load_screen(home), folders)
    assert before["P1"].everything != after["P1"].everything
    assert before["P1"].profiles == after["P1"].profiles


def test_growth_needs_a_plate_map(home):
    TableStore(home).write("plate_maps", plate_map_frame("P1", WELLS).clear(), plate="P1")
    with pytest.raises(ProfileError, match="plate P1 has no plate map"):
        measured(home)


def test_a_condition_that_loses_far_more_images_than_its_controls_is_told(home):
    store = TableStore(home)
    assert uneven_flags(load_screen(home), store, "P1") == {}
    frame = store.read("image_quality", plate="P1")
    blurred = pl.col("well").is_in(["A02", "A03"]) & (pl.col("scan") != frame["scan"].max())
    flags = pl.when(blurred).then(pl.lit(["out_of_focus"])).otherwise(pl.col("flags"))
    store.write("image_quality", frame.with_columns(flags.alias("flags")), plate="P1")
    (said,) = uneven_flags(load_screen(home), store, "P1").values()
    assert "67 % of 6 images flagged, 0 % of the controls'" in said


@pytest.mark.parametrize(
    ("setting", "corrected", "spanned", "said"),
    [
        ("refuse", False, False, 'effects are null; lay controls over the plate, or set positions = "correct"'),
        ("correct", True, False, "profiles are freed of it"),
        ("ignore", False, False, "effects are named all the same"),
        ("refuse", False, True, "the controls span it"),
    ],
)
def test_a_trend_over_the_plate_is_told_with_what_follows(home, setting, corrected, spanned, said):
    home.root.joinpath("screen.toml").write_text(f'[trajectories]\npositions = "{setting}"\n')
    row = {"model": "m", "plate": "P1", "control_group": "A549", "term": "column", "source": "all wells"}
    row |= {"share": 0.31, "p_value": 0.0005, "n_wells": 90, "told": True, "spanned": spanned, "corrected": corrected}
    calm = row | {"term": "row", "told": False, "p_value": 0.4}
    store = TableStore(home)
    store.write("position_effects", typed("position_effects", [row, calm]), model="m", plate="P1")
    found = position_problems(load_screen(home), store, "P1", "m")
    assert list(found) == ["A549, column"]
    (text,) = found.values()
    assert text.startswith("plate P1, A549: a trend over the column explains 31% of the variance of all wells; ")
    assert said in text


def test_growth_leaves_out_what_a_person_left_out_of_images_and_of_a_vendors_table(home):
    home.exclusions_file.write_text("plate,well,until,reason\nP1,A2,2,lid off\n")
    _, frame = measured(home)
    assert frame["scan"].to_list() == ["000d04h00m"]  # A03 is flagged, A02 left out before
    named(home)
    _, frame = measured(home)
    assert frame["confluence"].to_list() == pytest.approx([0.4, 0.5, 0.4])
