"""Small frames, curves and profiles for tests."""

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import digest_of


def scans_frame(plate="P1", hours=(0.0, 2.0, 4.0), n=1):
    rows = [
        {
            "plate": plate,
            "scan": f"{int(h // 24):03d}d{int(h % 24):02d}h00m",
            "scanned_at": None,
            "hours_since_start": float(h),
            "n_expected": n,
            "n_present": n,
            "complete": True,
        }
        for h in hours
    ]
    return typed("scans", rows)


def plates_frame(plate="P1", **values):
    row = {"plate": plate, "cell_line": "A549", "dilution": 1.0, "status": "imaged", "treated_after_hours": 1.0}
    return typed("plates", [row | values])


def plate_map_frame(
    plate="P1", wells=(("A01", "negative_control", "A549|DMSO@0.1 %"), ("A02", "treatment", "A549|x@1 µM"))
):
    rows = [
        {
            "plate": plate,
            "well": well,
            "row": ord(well[0]) - 64,
            "column": int(well[1:]),
            "role": role,
            "condition_id": condition,
            "cell_line": "A549",
            "compound": condition.split("|")[1].split("@")[0] if condition else None,
            "concentration": float(condition.split("@")[1].split()[0]) if condition else None,
            "concentration_unit": condition.split()[-1] if condition else None,
            "concentration_um": float(condition.split("@")[1].split()[0]) if condition and "µM" in condition else None,
        }
        for well, role, condition in wells
    ]
    return typed("plate_maps", rows)


def image_rows(plate="P1", wells=("A01", "A02"), scans=("000d00h00m", "000d02h00m")):
    rows = []
    for well in wells:
        for scan in scans:
            key = (plate, well, 1, "phase", scan)
            rows.append(
                dict(zip(("plate", "well", "field", "channel", "scan"), key, strict=True))
                | {"image_id": digest_of(*key)}
            )
    return rows


def embeddings_frame(model="m", width=4, rows=None, seed=0):
    rows = image_rows() if rows is None else rows
    vectors = np.random.default_rng(seed).normal(size=(len(rows), width)).astype(np.float32)
    frame = pl.DataFrame(rows, schema_overrides={"field": pl.Int32})
    frame = frame.with_columns(pl.lit(model).alias("model"), pl.Series("embedding", vectors))
    return frame.select(TABLES["embeddings"].names)


def typed(table, rows):
    spec = TABLES[table]
    full = [{name: row.get(name) for name in spec.names} for row in rows]
    return pl.DataFrame(full, schema={c.name: c.dtype for c in spec.columns})


def curves(n, t, seed):
    """Flat, rising, passing and decaying curves with noise."""
    rng = np.random.default_rng(seed)
    u = np.linspace(0, 1, t)
    shapes = [
        lambda at: 0 * u,
        lambda at: 1 / (1 + np.exp(-(u - at) * 15)),
        lambda at: np.exp(-(((u - at) / 0.15) ** 2)),
        lambda at: np.exp(-4 * u),
    ]
    kinds = rng.integers(4, size=n)
    return np.array([shapes[k](rng.uniform(0.2, 0.6)) for k in kinds]) + rng.normal(0, 0.05, (n, t)), kinds


def labelled_vectors(n=60, d=8, classes=6, strength=1.0, seed=0, multi=False):
    """Vectors of classes, their labels (several each, or none, where `multi`) and the groups they are of."""
    rng = np.random.default_rng(seed)
    code = rng.integers(0, classes, n)
    x = strength * rng.normal(size=(classes, d))[code] + rng.normal(size=(n, d))
    labels = [f"m{c}" for c in code]
    if multi:
        labels = [f"{a}|m{rng.integers(classes)}" if rng.random() < 0.3 else a for a in labels]
        labels[0], labels[1] = None, ""
    groups = [f"c{g}" for g in rng.integers(0, n // 3, n)]
    return x, labels, groups


def awkward_profiles(n, d, seed=0, mean=20.0, dtype=np.float64):
    """Correlated features of very different sizes, far from 0."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(d, d)) / np.sqrt(d)
    return (mean + rng.normal(size=(n, d)) @ mix * np.logspace(-1, 1, d)).astype(dtype)


def earlier_file(home, frame, table, name="part.parquet", model=None, plate=None, recipe=""):
    """A file as versions without manifests wrote it."""
    folder = home.table(table, model, plate)
    folder.mkdir(parents=True, exist_ok=True)
    arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    stamp = {b"phenoassets.recipe_digest": recipe.encode(), b"phenoassets.software": b"0.1"}
    pq.write_table(arrow.replace_schema_metadata(stamp), folder / name, compression="zstd")
    return folder / name
