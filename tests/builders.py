"""Small frames and homes for tests."""

import numpy as np
import polars as pl

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
