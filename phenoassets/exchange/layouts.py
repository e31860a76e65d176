"""Profiles as other tools write them: pycytominer, CytoTable, copairs, DeepProfiler, AnnData, or a plain table.

In goes a file, or DeepProfiler's folder of features; out come one profile a well, and the names of its features. What a
column means is told by its name alone, as these tools do: ``Metadata_`` before what is known of a row, and
CellProfiler's compartments before features. Where profiles are kept is ``imported``'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.incucyte.textfile import nfc
from phenoassets.incucyte.wells import parse_well
from phenoassets.profiles import aggregate

Aggregation = Literal["none", "mean", "median"]
PLATE_NAMES: Final = ("Metadata_Plate", "Metadata_plate", "Image_Metadata_Plate", "Metadata_Barcode", "plate", "Plate")
WELL_NAMES: Final = ("Metadata_Well", "Metadata_well", "Image_Metadata_Well", "Metadata_well_position", "well", "Well")
COMPARTMENTS: Final = ("Cells_", "Cytoplasm_", "Nuclei_")
_METADATA: Final = re.compile(
    r"^(?:Image_)?Metadata_|^(?:Image|Object)_?Number$|^(?:ImageNumber|ObjectNumber)(?:_|$)", re.I
)
_SITE: Final = re.compile(r"(?P<well>[A-Za-z]{1,2}\d{1,2})(?:[-_].*)?")
NAMED: Final = 5


@dataclass(frozen=True)
class ProfileFile:
    """What a file of profiles holds.

    Parameters
    ----------
    profiles
        plate, well, n_rows (of the file that were averaged), profile (float32), by plate and well.
    features
        Name of each feature, in the order of the profiles.
    left_out
        Features that were left out because a value of theirs is missing or not finite.
    """

    profiles: pl.DataFrame
    features: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def read_profiles(path: Path, *, method: Aggregation = "none", drop_features: bool = False) -> ProfileFile:
    """Read profiles of another tool.

    Parameters
    ----------
    path
        ``.csv``, ``.csv.gz``, ``.tsv``, ``.parquet`` or ``.h5ad``; or DeepProfiler's folder of features, with
        ``<plate>/<well>/<site>.npz`` or ``<plate>/<well>-<site>.npz``, whose cells become sites by their median and
        wells by the mean.
    method
        How several rows of a well (cells, sites) become one; ``none`` refuses them.
    drop_features
        Leave out features of which a value is missing or not finite; they are refused otherwise.

    Raises
    ------
    ProfileError
        If there is no plate, well or feature, a well is none, rows repeat a well, or values are not finite; plates,
        wells and features are named.
    """
    if method not in ("none", "mean", "median"):
        raise ProfileError(f"unknown aggregation {method!r}; known are none, mean, median")
    if path.is_dir():
        return _finished(path, *_of_deepprofiler(path), "mean", drop_features)
    try:
        keys, values, names = _of_anndata(path) if path.suffix == ".h5ad" else _of_table(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ProfileError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    return _finished(path, keys, values, names, method, drop_features)


_Read = tuple[pl.DataFrame, npt.NDArray[np.float64], list[str]]


def _of_table(path: Path) -> _Read:
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if suffix == ".parquet":
        frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    elif suffix in (".csv", ".csv.gz", ".tsv", ".tsv.gz"):
        separator = "\t" if suffix.startswith(".tsv") else ","
        frame = pl.read_csv(path, separator=separator, infer_schema_length=None, null_values=["", "NA", "nan", "NaN"])
    else:
        raise ProfileError(f"{path.name}: write profiles as .csv, .csv.gz, .tsv, .parquet or .h5ad")
    keys = _keys(path, frame)
    numbers = [name for name, dtype in frame.schema.items() if dtype.is_numeric() and not _METADATA.search(name)]
    of_cells = [name for name in numbers if name.startswith(COMPARTMENTS)]
    names = of_cells or [name for name in numbers if name not in (*PLATE_NAMES, *WELL_NAMES)]
    return keys, frame.select(names).cast(pl.Float64).fill_null(float("nan")).to_numpy(), names


def _of_anndata(path: Path) -> _Read:
    try:
        import anndata
    except ImportError as error:
        raise ProfileError(f"{path.name}: reading AnnData needs its package: pip install anndata") from error
    found = anndata.read_h5ad(path)
    named = [name for name in (*PLATE_NAMES, *WELL_NAMES) if name in found.obs.columns]
    about = pl.DataFrame({name: [str(value) for value in found.obs[name]] for name in named})
    matrix = found.X.toarray() if hasattr(found.X, "toarray") else found.X
    return _keys(path, about), np.asarray(matrix, np.float64), [str(name) for name in found.var_names]


def _of_deepprofiler(folder: Path) -> _Read:
    plates, wells, rows = [], [], []
    for file in sorted(folder.rglob("*.npz")):
        inside = file.relative_to(folder).with_suffix("").parts
        site = _SITE.fullmatch(inside[1]) if len(inside) in (2, 3) else None
        if site is None:
            raise ProfileError(f"{file}: expected <plate>/<well>/<site>.npz or <plate>/<well>-<site>.npz")
        try:
            cells = np.load(file, allow_pickle=False)["features"]
        except (OSError, KeyError, ValueError) as error:
            raise ProfileError(f"{file} holds no features of DeepProfiler: {error}") from error
        if cells.ndim != 2 or not cells.size:
            continue  # a site without cells
        plates.append(inside[0])
        wells.append(site["well"])
        rows.append(np.median(cells.astype(np.float64), axis=0))
    if not rows:
        raise ProfileError(f"{folder} holds no .npz of DeepProfiler with cells")
    if len(widths := {len(row) for row in rows}) > 1:
        raise ProfileError(
            f"{folder}: sites have {', '.join(map(str, sorted(widths)))} features; they are of several models"
        )
    keys = pl.DataFrame({"plate": plates, "well": wells})
    return keys, np.stack(rows), [f"feature_{i:04d}" for i in range(len(rows[0]))]


def _keys(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """Plate and well of each row, as the file has them."""
    found = {}
    for what, names in (("plate", PLATE_NAMES), ("well", WELL_NAMES)):
        there = [name for name in names if name in frame.columns]
        if not there:
            raise ProfileError(f"{path.name} has no column of the {what}; call it {names[0]}")
        found[what] = frame[there[0]].cast(pl.String)
    return pl.DataFrame(found)


def _finished(
    path: Path,
    keys: pl.DataFrame,
    values: npt.NDArray[np.float64],
    names: list[str],
    method: Aggregation,
    drop_features: bool,
) -> ProfileFile:
    if not names or not keys.height:
        raise ProfileError(f"{path.name} has no {'row' if names else 'feature: no column of numbers but metadata'}")
    wells = [None if well is None else parse_well(well.strip().upper()) for well in keys["well"]]
    odd = sorted({str(given) for given, well in zip(keys["well"], wells, strict=True) if well is None})
    if odd or keys["plate"].null_count():
        raise ProfileError(
            f"{path.name}: no well is called {_some(odd)}" if odd else f"{path.name}: rows without a plate"
        )
    keys = pl.DataFrame({"plate": [nfc(plate) for plate in keys["plate"]], "well": wells})
    with np.errstate(over="ignore"):
        values = values.astype(np.float32).astype(np.float64)  # what is too large for float32 is infinite
    bad = ~np.isfinite(values)
    left_out: list[str] = []
    if bad.any():
        columns: npt.NDArray[np.bool_] = np.asarray(bad.any(axis=0))
        left_out = [name for name, is_bad in zip(names, columns, strict=True) if is_bad]
        plates = sorted(set(keys["plate"].filter(pl.Series(bad.any(axis=1)))))
        if not drop_features or len(left_out) == len(names):
            raise ProfileError(
                f"{path.name}: {len(left_out)} of {len(names)} features have missing or infinite values "
                f"({_some(left_out)}) on {_some(plates)}; fill them, or leave these features out (--drop-features)"
            )
        values = values[:, ~columns]
        names = [name for name in names if name not in set(left_out)]
    frame = keys.with_columns(pl.Series("profile", values.astype(np.float32)))
    doubled = frame.filter(pl.struct("plate", "well").is_duplicated())
    if doubled.height and method == "none":
        plate, well = doubled.select("plate", "well").row(0)
        n = doubled.filter(plate=plate, well=well).height
        raise ProfileError(
            f"{path.name}: plate {plate} well {well} has {n} rows; say how rows of a well become one "
            "(--aggregate median)"
        )
    made = aggregate(frame, ["plate", "well"], "mean" if method == "none" else method).rename({"n": "n_rows"})
    return ProfileFile(made.sort("plate", "well"), tuple(names), tuple(left_out))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
