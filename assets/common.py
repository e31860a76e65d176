"""What every asset shares: the plate partition, its declaration from the schema, and its report to the UI.

An asset takes, calls and reports; declaring and reporting are written here once. No science, no reading of images.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import polars as pl

from phenoassets.layers import Written
from phenoassets.schemas import TABLES, Vector
from phenoassets.tables import TableStore

PLATES = dg.DynamicPartitionsDefinition(name="plate")
GPU_POOL = "gpu"
# Tag of runs that take only files which the export sensor saw settle: a copy may go on while they run.
SETTLED_TAG = "phenoassets/settled"
CHECK = "fits_schema"
OWNERS = ["team:imaging"]


def table_asset(
    table: str,
    *,
    group: str,
    deps: list[dg.AssetKey] | None = None,
    model: str | None = None,
    kinds: set[str] | None = None,
    pool: str | None = None,
    code_version: str = "1",
    automation: dg.AutomationCondition | None = None,  # type: ignore[type-arg]
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Declare an asset from its table's schema: key, columns, partition, blocking check."""
    spec = TABLES[table]
    key = asset_key(table, model)
    return dg.asset(
        key=key,
        deps=deps or [],
        partitions_def=PLATES if spec.grain == "plate" else None,
        group_name=group,
        kinds={"parquet", *(kinds or set())},
        owners=OWNERS,
        code_version=code_version,
        pool=pool,
        automation_condition=automation,
        metadata={"dagster/column_schema": column_schema(table), "key": ", ".join(spec.key)},
        check_specs=[
            dg.AssetCheckSpec(CHECK, asset=key, blocking=True, description=f"every row of {table} fits its schema")
        ],
    )


def asset_key(table: str, model: str | None = None) -> dg.AssetKey:
    """Key of a table's asset: its folder."""
    return dg.AssetKey([table, model] if model and TABLES[table].per_model else [table])


def column_schema(table: str) -> dg.TableSchema:
    """Columns of a table as the UI shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=str(column.dtype) if isinstance(column.dtype, pl.DataType) else "Vector",
                description=f"{column.meaning} [{column.unit}]" if column.unit else column.meaning,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in TABLES[table].columns
        ]
    )


def report(
    store: TableStore,
    written: Written,
    *,
    model: str | None = None,
    plate: str | None = None,
    picture: bytes | Mapping[str, bytes | None] | None = None,
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Tell the UI what a layer did: counts, notes, a picture, the data version and the outcome of the check."""
    metadata: dict[str, Any] = {
        "dagster/row_count": written.total,
        "new rows": written.new,
        "folder": dg.MetadataValue.path(str(store.folder(written.table, model, plate))),
        **{name: value if isinstance(value, (int, float)) else str(value) for name, value in written.notes.items()},
    }
    pictures = picture if isinstance(picture, Mapping) else {"picture": picture}
    metadata |= {
        name: dg.MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})")
        for name, png in pictures.items()
        if png is not None
    }
    return dg.MaterializeResult(
        asset_key=asset_key(written.table, model),
        metadata=metadata,
        data_version=dg.DataVersion(written.version),
        check_results=[_check(store, written.table, model, plate)],
    )


def _check(store: TableStore, table: str, model: str | None, plate: str | None) -> dg.AssetCheckResult:
    spec = TABLES[table]
    problems: list[str] = []
    rows = 0
    small = [column.name for column in spec.columns if not isinstance(column.dtype, Vector)]
    for part in store.parts(table, model, plate):
        frame = pl.read_parquet(part, glob=False, columns=small, hive_partitioning=False)
        rows += frame.height
        with part.open("rb") as file:  # a path would be taken for a pattern
            schema = pl.read_parquet_schema(file)
        problems += [f"{part.name}: {p}" for p in spec.problems(frame, schema)]
    return dg.AssetCheckResult(
        passed=not problems,
        check_name=CHECK,
        asset_key=asset_key(table, model),
        metadata={"rows": rows, "problems": "; ".join(problems) or "none"},
    )
