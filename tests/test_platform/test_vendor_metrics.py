"""The vendor's metric tables of a plate: all in one table, their times put to the scans, in SQL and in a picture."""

import datetime as dt

import polars as pl
import pytest
from builders import plate_map_frame, plates_frame, scans_frame

from phenoassets.admin.status import stale_small_tables
from phenoassets.figures import trajectories as figures
from phenoassets.screen.loading import load_screen
from phenoassets.sql.views import connect
from phenoassets.steps.vendor_metrics import metric_name, read_vendor_metrics
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore

HOURS = (0.0, 2.1, 3.4, 9.0)  # the third is 0.6 h from the scan at 4 h, the last far from all


def table(metric, columns, unit="", start=dt.datetime(2026, 3, 1, 17)):
    """A metric export; the value of each column and time is another."""
    rows = ["\t".join(["Date Time", "Elapsed", *columns])]
    for n, hours in enumerate(HOURS):
        at = (start + dt.timedelta(hours=hours)).strftime("%d/%m/%Y %H:%M:%S")
        rows.append("\t".join([at, f"{hours:g}", *(f"{10 * n + i}.5" for i in range(len(columns)))]))
    return "\n".join(["Label: x", f"Metric: {metric}{f' ({unit})' if unit else ''}", "", *rows]) + "\n"


class Screen:
    def __init__(self, folder):
        self.home = Home(folder)
        self.folder = self.home.root / "exports" / "P1"
        self.folder.mkdir(parents=True)
        self.store = TableStore(self.home)
        self.store.write("plates", plates_frame(), plate="P1")
        self.store.write("scans", scans_frame(), plate="P1")
        self.store.write("plate_maps", plate_map_frame(), plate="P1")

    def read(self):
        return read_vendor_metrics(load_screen(self.home), self.store, "P1")

    @property
    def rows(self):
        return self.store.read("vendor_metrics", plate="P1")


@pytest.fixture
def plate(tmp_path):
    made = Screen(tmp_path)
    (made.folder / "confluence.txt").write_text(table("Phase Object Confluence", ["A1", "A2"], "Percent"))
    (made.folder / "metrics").mkdir()
    per_image = ["A1, Image 1", "A1, Image 2", "A1, Image 1 (Std Err)"]
    (made.folder / "metrics" / "counts.txt").write_text(table("Green Object Count", per_image, "1/Image"))
    return made


def test_every_table_of_a_plate_is_read_by_name_and_unit_with_its_times_put_to_scans(plate):
    result = plate.read()
    assert result.notes == {"tables": 2, "metrics": "Green Object Count, Phase Object Confluence"}
    confluence = plate.rows.filter(metric="Phase Object Confluence", well="A02")
    assert confluence.select("path", "unit", "field").unique().rows() == [("P1/confluence.txt", "%", None)]
    assert confluence["table_hours"].to_list() == list(HOURS)
    assert confluence["scan"].to_list() == ["000d00h00m", "000d02h00m", "000d04h00m", None]
    assert confluence["value"].to_list() == [1.5, 11.5, 21.5, 31.5]
    counts = plate.rows.filter(metric="Green Object Count").sort("field", "table_hours")
    assert counts["field"].to_list() == [1] * 4 + [2] * 4
    assert counts["std_err"].to_list() == [2.5, 12.5, 22.5, 32.5] + [None] * 4
    assert counts["unit"].unique().to_list() == ["1/Image"]
    assert counts["path"].unique().to_list() == ["P1/metrics/counts.txt"]


def test_times_of_day_are_compared_where_scans_have_them(tmp_path):
    made = Screen(tmp_path)
    first = dt.datetime(2026, 3, 1, 15)
    at = [first + dt.timedelta(hours=h) for h in (0, 2, 4)]
    scans = scans_frame().with_columns(scanned_at=pl.Series(at, dtype=pl.Datetime("us")))
    made.store.write("scans", scans, plate="P1")
    (made.folder / "late.txt").write_text(table("Phase Object Confluence", ["A1"]))  # begins 2 h after the first scan
    made.read()
    assert made.rows["scan"].to_list() == ["000d02h00m", "000d04h00m", None, None]


def test_sql_joins_metrics_with_time_after_treatment_and_condition(plate):
    plate.read()
    rows = connect(load_screen(plate.home)).execute(
        "SELECT compound, elapsed_hours, avg(value) FROM vendor_metrics WHERE metric = 'Phase Object Confluence' "
        "AND elapsed_hours > 0 GROUP BY ALL ORDER BY ALL"
    )
    assert rows.fetchall() == [("DMSO", 1.0, 10.5), ("DMSO", 3.0, 20.5), ("x", 1.0, 11.5), ("x", 3.0, 21.5)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (table("Count", ["DMSO (A1, A2)"]), "export the metric per well or per image"),
        (table("Count", ["A1"]).replace("\t2.1\t", "\t0\t"), "Elapsed"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_and_holds_up_no_other(plate, text, said):
    (plate.folder / "bad.txt").write_text(text)
    result = plate.read()
    assert "1 metric tables cannot be read" in result.notes["warning"]
    ((path, reason, detail),) = plate.store.read("rejected_files", plate="P1").select("path", "reason", "detail").rows()
    assert (path, reason) == ("P1/bad.txt", "metric_table_unreadable")
    assert said in detail
    assert plate.rows["path"].n_unique() == 2
    (plate.folder / "bad.txt").unlink()
    plate.read()
    assert not plate.store.read("rejected_files", plate="P1").height


def test_a_table_that_changes_or_comes_later_makes_the_metrics_stale(plate):
    plate.read()
    screen = load_screen(plate.home)
    assert stale_small_tables(screen, plate.store, "P1") == []
    (plate.folder / "later.txt").write_text(table("Red Object Count", ["A1"]))
    assert stale_small_tables(screen, plate.store, "P1") == ["vendor_metrics"]
    plate.read()
    assert stale_small_tables(screen, plate.store, "P1") == []
    assert "Red Object Count" in set(plate.rows["metric"])


def test_a_plate_without_metric_tables_has_none_and_no_picture(tmp_path):
    made = Screen(tmp_path)
    (made.folder / "map.csv").write_text("well,compound\nA1,DMSO\n")
    (made.folder / "phase").mkdir()
    (made.folder / "phase" / "V_A1_1_00d00h00m.tif").write_bytes(b"")
    (made.folder / "phase" / "x.txt").write_text(table("Among images", ["A1"]))
    assert made.read().total == 0
    assert figures.metrics(load_screen(made.home), made.store, "P1") is None


def test_metrics_are_drawn(plate):
    plate.read()
    assert figures.metrics(load_screen(plate.home), plate.store, "P1").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Phase Object Confluence (Percent)", ("Phase Object Confluence", "%")),
        (
            "Total Green Object Integrated Intensity (GCU x µm²/Well)",
            ("Total Green Object Integrated Intensity", "GCU x µm²/Well"),
        ),
        ("Eccentricity", ("Eccentricity", None)),
        ("(Percent)", ("(Percent)", None)),
    ],
)
def test_names_and_units_are_told_apart(text, found):
    assert metric_name(text) == found


def test_real_tables_are_read_whole(tmp_path, shared):
    made = Screen(tmp_path)
    for path in (shared / "metric_tables").glob("*.txt"):
        (made.folder / path.name).write_bytes(path.read_bytes())
    made.read()
    metrics = made.rows.group_by("path", "metric", "unit").len().sort("path")
    assert metrics.select("metric", "unit").rows() == [
        ("Phase Object Confluence", "%"),
        ("Relative Wound Density", "%"),
        ("Phase Object Confluence", "%"),
    ]
