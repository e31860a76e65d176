"""How well real profiles find their mechanism, by normalisation: BBBC021, 103 treatments of 12 mechanisms.

Run: ``python benchmarks/bbbc021_mechanisms.py [FOLDER]``. FOLDER holds the per-well profiles of Ljosa et al. 2013 and
the two BBBC021 sheets, and is ``../shared/data/profiles/bbbc021`` beside this checkout by default. A treatment is the
mean of its wells; it is right when its nearest neighbour among other compounds shares its mechanism.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import polars as pl

from phenoassets.profiles import aggregate, vectors
from phenoassets.retrieval import folds_of_enrichment, mean_average_precision, precision_at_k
from phenoassets.sphering import ControlScaler, sphere_plate, sphere_plates

DEFAULT = Path(__file__).parents[1] / "../shared/data/profiles/bbbc021"
REGULARIZATIONS = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)


def read(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Profiles (columns of ``sphered_profiles``), and compound, concentration, moa of each well."""
    wells = pl.read_csv(folder / "ljosa_jbiomolscreen_2013_per_well_mean.csv.gz")
    wells = wells.rename({"Image_Metadata_Plate": "plate", "Image_Metadata_Well": "well"})
    images = pl.read_csv(folder / "BBBC021_v1_image.csv.gz")
    what = images.select(
        pl.col("Image_Metadata_Plate_DAPI").alias("plate"),
        pl.col("Image_Metadata_Well_DAPI").alias("well"),
        pl.col("Image_Metadata_Compound").alias("compound"),
        pl.col("Image_Metadata_Concentration").cast(pl.Float64).alias("concentration"),
    ).unique()
    mechanisms = pl.read_csv(folder / "BBBC021_v1_moa.csv")
    layout = wells.select("plate", "well").join(what, on=["plate", "well"], how="left", maintain_order="left")
    layout = layout.join(mechanisms, on=["compound", "concentration"], how="left", maintain_order="left")
    features = wells.drop("plate", "well").to_numpy().astype(np.float32)
    frame = wells.select(
        pl.lit("cellprofiler").alias("model"),
        "plate",
        "well",
        pl.lit("fluorescence").alias("channel"),
        pl.lit("endpoint").alias("window"),
        pl.lit(1, pl.Int32).alias("n_scans"),
        pl.Series("profile", features),
    )
    return frame, layout


def scaled_by_plate(frame: pl.DataFrame, controls: dict[str, list[str]]) -> pl.DataFrame:
    """Z-scores to the plate's controls; features constant among any plate's controls are dropped."""
    x = vectors(frame).astype(np.float64)
    constant = np.zeros(x.shape[1], np.bool_)
    plates, wells = frame["plate"].to_numpy(), frame["well"].to_numpy()
    for plate, names in controls.items():
        here = plates == plate
        scaler = ControlScaler("std").fit(x[here & np.isin(wells, names)])
        x[here] = scaler.transform(x[here])
        constant |= scaler.constant_
    return frame.with_columns(pl.Series("profile", x[:, ~constant]))


def score(name: str, profiles: pl.DataFrame, layout: pl.DataFrame, metric: str) -> None:
    wells = profiles.join(layout, on=["plate", "well"]).filter(pl.col("moa").is_not_null() & (pl.col("moa") != "DMSO"))
    treatments = aggregate(wells, ["compound", "concentration", "moa"])
    x, moa = vectors(treatments), treatments["moa"]
    keywords = {"groups": treatments["compound"], "metric": metric}
    nearest = precision_at_k(x, moa, 1, **keywords)
    right = round(float(nearest) * nearest.details.height)
    precision = mean_average_precision(x, moa, **keywords)
    folds = folds_of_enrichment(x, moa, **keywords)
    print(f"| {name} | {metric} | {right} of {nearest.details.height} | {precision:.3f} | {folds:.1f} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=DEFAULT)
    folder = parser.parse_args().folder
    if not folder.is_dir():
        print(f"{folder} is not there; give the folder of the BBBC021 profiles", file=sys.stderr)
        return 1
    frame, layout = read(folder)
    dmso = layout.filter(pl.col("compound") == "DMSO")
    controls = {str(plate): part["well"].to_list() for (plate,), part in dmso.group_by(["plate"])}
    print("| normalisation | similarity | nearest is right | mAP | folds of enrichment |")
    print("|---|---|---|---|---|")
    score("none", frame, layout, "cosine")
    scaled = scaled_by_plate(frame, controls)
    score("z-score by plate", scaled, layout, "pearson")
    score("z-score by plate", scaled, layout, "cosine")
    for regularization in REGULARIZATIONS:
        made = sphere_plates(frame, controls, regularization=regularization)
        score(f"z-score by plate, sphered in one fit, l = {regularization:g}", made, layout, "cosine")
    for regularization in REGULARIZATIONS:
        parts = [
            sphere_plate(part, controls[part["plate"][0]], regularization=regularization)
            for part in frame.partition_by("plate")
        ]
        score(f"z-score and sphered by plate, l = {regularization:g}", pl.concat(parts), layout, "cosine")
    return 0


if __name__ == "__main__":
    sys.exit(main())
