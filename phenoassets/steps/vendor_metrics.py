"""What the vendor's software measured: every metric table that lies with a plate, as ``vendor_metrics``.

In go the plate's metric exports and its scans; out comes one row a table, well, image and time. How a table is read is
``incucyte``'s. A table that cannot be read is listed in ``rejected_files`` and holds up no other.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl

from phenoassets.errors import MetricTableError
from phenoassets.incucyte.metric_tables import read_metric_header, read_metric_table
from phenoassets.incucyte.scans import nearest_scan
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import metric_tables
from phenoassets.steps.provenance import metrics_recipe, version_of
from phenoassets.steps.rejected import reject, write_rejected
from phenoassets.steps.step import StepResult
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore

_UNIT = re.compile(r"(.*\S)\s*\(([^()]+)\)\s*", re.DOTALL)
_UNIT_NAMES = {"percent": "%", "": None}


def read_vendor_metrics(screen: Screen, store: TableStore, plate: str) -> StepResult:
    """Write every metric table of a plate into ``vendor_metrics``."""
    paths = metric_tables(screen, plate)
    scans = store.read("scans", plate=plate)
    frames, rejected = [TABLES["vendor_metrics"].empty()], []
    for path in paths:
        name = _place(screen, path)
        try:
            frames.append(_rows(path, name, plate, scans))
        except MetricTableError as error:
            rejected.append(reject({"path": name, "plate": plate}, "metric_table_unreadable", str(error)))
    frame = pl.concat(frames)
    write_rejected(store, plate, "metrics", rejected)
    store.write("vendor_metrics", frame, plate=plate, recipe=metrics_recipe(store, plate, paths))
    metrics = ", ".join(frame["metric"].unique().sort())
    notes: dict[str, object] = {"tables": len(paths) - len(rejected), "metrics": metrics or "none"}
    if rejected:
        notes["warning"] = f"{len(rejected)} metric tables cannot be read: {rejected[0]['detail']}"
    return StepResult("vendor_metrics", frame.height, frame.height, version_of(frame), notes)


def _rows(path: Path, name: str, plate: str, scans: pl.DataFrame) -> pl.DataFrame:
    """Rows of one table.

    Raises
    ------
    MetricTableError
        If it cannot be read, or has two rows of one time.
    """
    metric, unit = metric_name(read_metric_header(path).get("Metric", "") or path.stem)
    table = read_metric_table(path)
    columns: dict[str, Any] = {"plate": plate, "path": name, "metric": metric, "unit": unit}
    made = nearest_scan(table, scans).with_columns(
        *(pl.lit(value, pl.String).alias(column) for column, value in columns.items()),
        pl.col("elapsed_hours").alias("table_hours"),
    )
    return made.select(TABLES["vendor_metrics"].names)


def metric_name(text: str) -> tuple[str, str | None]:
    """Name and unit of a metric as the vendor writes them.

    Examples
    --------
    >>> metric_name("Phase Object Confluence (Percent)")
    ('Phase Object Confluence', '%')
    """
    found = _UNIT.fullmatch(text.strip())
    if found is None:
        return text.strip(), None
    unit = found[2].strip()
    return found[1], _UNIT_NAMES.get(unit.lower(), unit)


def _place(screen: Screen, path: Path) -> str:
    """`path` relative to the landing folder, where it lies in it by its own name."""
    return path.relative_to(screen.exports).as_posix() if path.is_relative_to(screen.exports) else str(path)
