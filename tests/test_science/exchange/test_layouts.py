"""Profiles of other tools: each layout read as its tool writes it, and what cannot be a profile named."""

import numpy as np
import polars as pl
import pytest

from phenoassets.errors import ProfileError
from phenoassets.exchange.layouts import read_profiles
from phenoassets.exchange.writing import write_profiles
from phenoassets.profiles import vectors

WELLS = [("P1", "A1"), ("P1", "B02"), ("P2", "A01")]
X = np.arange(6, dtype=np.float32).reshape(3, 2)


def table(plate="Metadata_Plate", well="Metadata_Well", names=("Cells_a", "Nuclei_b"), rows=WELLS, x=X, **more):
    frame = pl.DataFrame({plate: [p for p, _ in rows], well: [w for _, w in rows]})
    features = (pl.Series(n, x[:, i]) for i, n in enumerate(names))
    return frame.with_columns(*features, *(pl.lit(v).alias(k) for k, v in more.items()))


def test_pycytominers_table_is_read_by_its_prefixes(tmp_path):
    table(Metadata_dose=3.0, Image_Count=7, ImageNumber=1).write_csv(tmp_path / "p.csv")
    found = read_profiles(tmp_path / "p.csv")
    assert found.features == ("Cells_a", "Nuclei_b")
    keys = found.profiles.select("plate", "well", "n_rows").rows()
    assert keys == [("P1", "A01", 1), ("P1", "B02", 1), ("P2", "A01", 1)]
    np.testing.assert_array_equal(vectors(found.profiles, "profile"), X)


def test_cytotables_cells_become_wells_by_the_way_that_is_asked_for(tmp_path):
    rows = [("P1", "A1")] * 3 + [("P1", "A2")]
    x = np.array([[0, 0], [1, 0], [8, 3], [5, 5]], np.float32)
    names = ("Cells_a", "Cytoplasm_b")
    cells = table("Image_Metadata_Plate", "Image_Metadata_Well", names, rows, x, Metadata_ImageNumber=1, ObjectNumber=2)
    cells.write_parquet(tmp_path / "cells.parquet")
    with pytest.raises(ProfileError, match="plate P1 well A01 has 3 rows; say how"):
        read_profiles(tmp_path / "cells.parquet")
    for method, expected in (("median", [1, 0]), ("mean", [3, 1])):
        found = read_profiles(tmp_path / "cells.parquet", method=method)
        assert vectors(found.profiles, "profile")[0].tolist() == expected
        assert found.profiles["n_rows"].to_list() == [3, 1]


def test_deepprofilers_folder_is_sites_by_median_and_wells_by_mean(tmp_path):
    for place, cells in (("P1/A01/1", [[0, 0], [1, 9], [2, 0]]), ("P1/A01/2", [[3, 4]]), ("P1/B02-1", [[7, 7]])):
        file = tmp_path / f"{place}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, features=np.asarray(cells, np.float32), locations=np.zeros((len(cells), 2)))
    found = read_profiles(tmp_path)
    assert found.profiles.select("well", "n_rows").rows() == [("A01", 2), ("B02", 1)]
    np.testing.assert_allclose(vectors(found.profiles, "profile"), [[2, 2], [7, 7]])


def test_an_anndata_goes_out_and_comes_in_as_it_was(tmp_path):
    anndata = pytest.importorskip("anndata")
    wells = pl.DataFrame({"plate": ["P1", "P1"], "well": ["A01", "A02"], "compound": ["DMSO", None]})
    write_profiles(tmp_path / "out.h5ad", wells.with_columns(pl.Series("profile", X[:2])), ["f1", "f2"])
    made = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert made.shape == (2, 2)
    assert made.obs["Metadata_compound"].isna().tolist() == [False, True]
    found = read_profiles(tmp_path / "out.h5ad")
    assert found.features == ("f1", "f2")
    np.testing.assert_array_equal(vectors(found.profiles, "profile"), X[:2])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_goes_out_comes_in_as_it_was(tmp_path, suffix):
    wells = pl.DataFrame({"plate": ["P1", "P1"], "well": ["A01", "A02"], "dose": [1.0, 2.0]})
    write_profiles(tmp_path / f"out{suffix}", wells.with_columns(pl.Series("profile", X[:2])), ["f1", "f2"])
    found = read_profiles(tmp_path / f"out{suffix}")
    assert found.features == ("f1", "f2")
    np.testing.assert_array_equal(vectors(found.profiles, "profile"), X[:2])


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (table(plate="p"), "has no column of the plate; call it Metadata_Plate"),
        (table(well="w"), "has no column of the well"),
        (table(rows=[("P1", "A1"), ("P1", "Z99"), ("P2", "A1")]), "no well is called Z99"),
        (table(names=("Metadata_a", "Metadata_b")), "has no feature"),
        (
            table(x=np.array([[0, 1], [np.inf, 3], [4, np.nan]], np.float32)),
            r"2 of 2 features have missing or infinite values \(Cells_a, Nuclei_b\) on P1, P2",
        ),
    ],
)
def test_what_is_no_profile_is_named(tmp_path, frame, said):
    frame.write_csv(tmp_path / "p.csv")
    with pytest.raises(ProfileError, match=said):
        read_profiles(tmp_path / "p.csv")


def test_a_feature_that_a_plate_lacks_is_left_out_where_that_is_asked_for(tmp_path):
    table(x=np.array([[0, 1], [2, 3], [4, np.nan]], np.float32)).write_csv(tmp_path / "p.csv")
    with pytest.raises(ProfileError, match=r"\(Nuclei_b\) on P2"):
        read_profiles(tmp_path / "p.csv")
    found = read_profiles(tmp_path / "p.csv", drop_features=True)
    assert (found.features, found.left_out) == (("Cells_a",), ("Nuclei_b",))


def test_files_of_no_known_kind_are_refused(tmp_path):
    (tmp_path / "p.xlsx").write_bytes(b"x")
    (tmp_path / "p.parquet").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    for name, said in (("p.xlsx", "write profiles as"), ("p.parquet", "cannot be read"), ("empty", r"holds no \.npz")):
        with pytest.raises(ProfileError, match=said):
            read_profiles(tmp_path / name)
    with pytest.raises(ProfileError, match="name a file that ends on"):
        write_profiles(tmp_path / "p.xlsx", pl.DataFrame({"plate": ["P1"]}), [])
