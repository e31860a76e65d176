"""Tables for other tools: what is written, how profiles are laid out, and what is refused."""

import contextlib
import io
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from builders import plate_map_frame, plates_frame, scans_frame, typed
from click.testing import CliRunner

from phenoassets.cli.main import main
from phenoassets.errors import StoreError
from phenoassets.screen.loading import load_screen
from phenoassets.sql.export import ExportError, export_tables
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "it's home")
    store = TableStore(home)
    store.write("plates", plates_frame("P1"), plate="P1")
    store.write("plate_maps", plate_map_frame("P1"), plate="P1")
    store.write("scans", scans_frame("P1"), plate="P1")
    for model, width in (("convae", 3), ("pixel_pca", 2)):
        frame = pl.DataFrame(
            {"model": model, "plate": "P1", "well": ["A02", "A01"], "channel": "phase", "window": "endpoint"}
        ).with_columns(
            pl.lit(1, pl.Int32).alias("n_scans"),
            pl.lit("none").alias("normalization"),
            pl.Series("profile", np.arange(2 * width, dtype=np.float32).reshape(2, width)),
        )
        store.write("sphered_profiles", frame, model=model)
    drug = {"model": "convae", "cell_line": "A549", "factors": "", "compound": 'x, "y"', "concentration_unit": "µM"}
    drug |= {"concentrations": [1.0, 10.0], "effects": ["none", "mixed"], "switches": []}
    drug |= {name: [1.0, None] for name in ("end_levels", "end_spreads", "area_levels", "area_spreads", "gr_values")}
    drug |= {"p_values": [0.4, 0.001], "q_values": [0.5, 0.01]}
    drug |= dict.fromkeys(("end_answer", "area_answer", "gr_answer"), "too few")
    store.write("drug_effects", typed("drug_effects", [drug]), model="convae")
    return home


def test_profiles_are_laid_out_as_the_cytomining_tools_take_them(home, tmp_path):
    written = dict(export_tables(load_screen(home), tmp_path / "out", ["sphered_profiles"]))
    assert {path.name: rows for path, rows in written.items()} == {
        "sphered_profiles.convae.parquet": 2,
        "sphered_profiles.pixel_pca.parquet": 2,
    }
    frame = pl.read_parquet(tmp_path / "out" / "sphered_profiles.convae.parquet")
    features = [name for name in frame.columns if not name.startswith("Metadata_")]
    assert features == ["convae_0000", "convae_0001", "convae_0002"]
    assert frame["Metadata_well"].to_list() == ["A01", "A02"]
    assert frame.select(features).row(1) == (0.0, 1.0, 2.0)
    assert frame["Metadata_compound"].to_list() == ["DMSO", "x"]


def test_everything_with_rows_is_written_where_no_table_is_named(home, tmp_path):
    files = sorted(path.name for path, _ in export_tables(load_screen(home), tmp_path / "out", kind="csv"))
    assert files == [
        "drug_effects.csv",
        "plate_maps.csv",
        "scans.csv",
        "sphered_profiles.convae.csv",
        "sphered_profiles.pixel_pca.csv",
    ]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == files
    [drug] = duckdb.sql(f"SELECT * FROM read_csv('{tmp_path}/out/drug_effects.csv')").pl().to_dicts()
    assert (drug["compound"], drug["concentrations"]) == ('x, "y"', "[1.0, 10.0]")


@pytest.mark.parametrize("place", ["exports", "exports/deep", "."])
def test_nothing_is_written_into_the_home_or_among_the_exports(home, place):
    with pytest.raises(ExportError, match="choose a folder outside"):
        export_tables(load_screen(home), home.root / place)


def test_an_unknown_table_is_refused_with_the_known_ones(home, tmp_path):
    told = CliRunner().invoke(main, ["export", str(tmp_path / "out"), "--home", str(home.root), "--table", "wells"])
    assert told.exit_code == 1
    assert "no table is called wells; known are plates, plate_maps" in told.output
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_it_wrote(home, tmp_path):
    told = CliRunner().invoke(main, ["export", str(tmp_path / "out"), "--home", str(home.root), "--table", "scans"])
    assert told.exit_code == 0
    assert told.output == f"{tmp_path / 'out' / 'scans.parquet'}: 3 rows\n"


def test_a_table_that_was_asked_for_and_has_no_rows_is_said(home, tmp_path):
    asked = ["export", str(tmp_path / "out"), "--home", str(home.root), "--table", "scans", "--table", "phenotypes"]
    told = CliRunner().invoke(main, asked)
    assert told.exit_code == 1
    assert told.output == "error: phenotypes has no rows yet; phenoassets status says what is missing\n"
    assert not (tmp_path / "out").exists()


def test_a_home_without_rows_has_nothing_to_write_and_says_so(tmp_path):
    empty = Home(tmp_path / "empty")
    empty.root.mkdir()
    with pytest.raises(ExportError, match="no table has rows yet"):
        export_tables(load_screen(empty), tmp_path / "out")


def test_a_damaged_file_is_named_and_nothing_is_left_half_written(home, tmp_path):
    [path] = TableStore(home).parts("scans")
    content = path.read_bytes()
    for spoilt in (b"", content[:100] + bytes(50) + content[150:]):
        path.write_bytes(spoilt)
        with pytest.raises(StoreError, match="is damaged; phenoassets plate reimport P1"):
            export_tables(load_screen(home), tmp_path / "out", ["scans"])
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(home, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"scans\.parquet cannot be written: Not a directory; choose another folder"):
        export_tables(load_screen(home), tmp_path / "file" / "out", ["scans"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_full_disk_is_one_line(home, tmp_path, monkeypatch, kind):
    @contextlib.contextmanager
    def full(target):
        yield Path("/dev/full")

    monkeypatch.setattr("phenoassets.sql.export.atomic_path", full)
    with pytest.raises(StoreError, match=rf"no space left to write .*scans\.{kind}; free some and export again"):
        export_tables(load_screen(home), tmp_path / "out", ["scans"], kind)


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "plain", "a=b"]


def test_text_that_a_spreadsheet_takes_for_a_formula_is_escaped_where_that_is_asked(home, tmp_path):
    frame = plate_map_frame("P1")
    rows = [{**frame.row(0, named=True), "well": f"B{i:02d}", "compound": text} for i, text in enumerate(FORMULAS, 1)]
    TableStore(home).write("plate_maps", typed("plate_maps", rows), plate="P1")
    escaped = ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "plain", "a=b"]

    def exported(*options):
        folder = tmp_path / f"out{len(options)}"
        command = ["export", str(folder), "--home", str(home.root), "--table", "plate_maps", "--format", "csv"]
        assert CliRunner().invoke(main, [*command, *options]).exit_code == 0
        return pl.read_csv(folder / "plate_maps.csv")

    query = ["sql", "SELECT compound, -1.5 AS n FROM plate_maps ORDER BY well", "--home", str(home.root)]
    for options, wanted in (((), FORMULAS), (("--escape-formulas",), escaped)):
        assert exported(*options)["compound"].to_list() == wanted
        told = CliRunner().invoke(main, [*query, "--format", "csv", *options])
        answer = pl.read_csv(io.StringIO(told.output))
        assert answer["compound"].to_list() == wanted
        assert answer["n"].to_list() == [-1.5] * len(FORMULAS)
