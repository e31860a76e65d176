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

from phenoassets.normalization import normalize
from phenoassets.normalization_sweep import candidates, chosen_recipe, sweep
from phenoassets.profiles import aggregate, vectors
from phenoassets.retrieval import folds_of_enrichment, mean_average_precision, precision_at_k
from phenoassets.store.schemas import CONTROL_ROLE

DEFAULT = Path(__file__).parents[1] / "../shared/data/profiles/bbbc021"


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
        pl.lit("none").alias("normalization"),
        pl.Series("profile", features),
    )
    return frame, layout


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
    plate_maps = layout.select(
        "plate",
        "well",
        pl.when(pl.col("compound") == "DMSO").then(pl.lit(CONTROL_ROLE)).otherwise(pl.lit("treatment")).alias("role"),
        pl.lit("MCF7").alias("cell_line"),
        pl.format("{}@{}", "compound", "concentration").alias("condition_id"),
    )
    print("| normalisation | similarity | nearest is right | mAP | folds of enrichment |")
    print("|---|---|---|---|---|")
    score("none", frame, layout, "cosine")
    swept = sweep(frame, plate_maps)
    for recipe in candidates(scales=("std",)):
        made = normalize(frame, plate_maps, recipe, hold_out=False)
        score(str(recipe), made, layout, "cosine")
    chosen = chosen_recipe(swept)
    best = swept.filter("chosen")["replicate_map"][0]
    print(f"chosen without mechanisms, by replicates (mAP {best:.3f}): {chosen}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
