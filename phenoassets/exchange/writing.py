"""Profiles as other tools take them: pycytominer's and copairs' tables, AnnData.

In go profiles with what is known of their wells; out comes one file. Nothing in the home is changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.profiles import vectors
from phenoassets.store.tables import atomic_path

SUFFIXES = (".csv", ".parquet", ".h5ad")


def write_profiles(path: Path, wells: pl.DataFrame, features: Sequence[str]) -> None:
    """Write profiles to `path`, in the layout that its ending names.

    ``.csv`` and ``.parquet``: ``Metadata_Plate``, ``Metadata_Well``, ``Metadata_`` before every other column, and one
    column a feature, as pycytominer and copairs take them. ``.h5ad``: features as X, all else in obs.

    Parameters
    ----------
    wells
        plate, well, profile, and whatever is known of the wells, without lists.
    features
        Names of the features.

    Raises
    ------
    ProfileError
        If the ending is another, there is no row, or the package for it is missing.
    """
    if path.suffix not in SUFFIXES:
        raise ProfileError(f"{path.name}: name a file that ends on {', '.join(SUFFIXES)}")
    if not wells.height:
        raise ProfileError("there are no profiles to write yet; phenoassets status says what is missing")
    x = vectors(wells, "profile")
    if x.shape[1] != len(features):
        raise ProfileError(f"profiles have {x.shape[1]} features, but {len(features)} names")
    named = {"plate": "Metadata_Plate", "well": "Metadata_Well"}
    about = wells.drop("profile").rename(lambda name: named.get(name, f"Metadata_{name}"))
    if path.suffix == ".h5ad":
        _write_anndata(path, about, x, features)
        return
    table = pl.concat([about, pl.DataFrame(x, schema=list(features))], how="horizontal")
    with atomic_path(path) as temporary:
        table.write_csv(temporary) if path.suffix == ".csv" else table.write_parquet(temporary)


def _write_anndata(path: Path, about: pl.DataFrame, x: object, features: Sequence[str]) -> None:
    try:
        import anndata
        import pandas
    except ImportError as error:
        raise ProfileError(f"{path.name}: writing AnnData needs its package: pip install anndata") from error

    def texts(values: Sequence[str]) -> pandas.Index:
        return pandas.Index(list(values), dtype=object)  # h5ad takes no strings of Arrow

    # It holds no column of nulls alone, and null among texts only as a category.
    kept = [name for name in about.columns if about[name].null_count() < about.height]
    columns = {
        name: pandas.Categorical(about[name].to_list(), texts(about[name].drop_nulls().unique().sort().to_list()))
        if about[name].dtype == pl.String
        else about[name].to_numpy()
        for name in kept
    }
    rows = about.select("Metadata_Plate", "Metadata_Well").rows()
    names = [f"{plate}_{well}" for plate, well in rows]
    if len(set(names)) < len(names):  # a row a scan
        names = [f"{name}_{number}" for number, name in enumerate(names)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies warn of each other
        obs, var = pandas.DataFrame(columns, index=texts(names)), pandas.DataFrame(index=texts(features))
        made = anndata.AnnData(X=x, obs=obs, var=var)
        with atomic_path(path) as temporary:
            made.write_h5ad(temporary)
