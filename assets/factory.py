"""How a row becomes an asset: key, partition, columns and check from the table's schema, then take, call, report.

A row names a table, its step, its figures and what it is made from; everything else of an asset is written here once.
No science, no reading of images.
"""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import polars as pl

from phenoassets.figures import files
from phenoassets.models.registry import BASELINES
from phenoassets.screen.loading import Screen
from phenoassets.steps import Progress, StepResult
from phenoassets.store.schemas import TABLES, Vector
from phenoassets.store.tables import TableStore
from resources.compute_device import ComputeDevice
from resources.reporter import Reporter
from resources.screen import ScreenResource
from resources.table_store import TableStoreResource

PLATE_PARTITION = "plate"
PLATES = dg.DynamicPartitionsDefinition(name=PLATE_PARTITION)
GPU_POOL = "gpu"
# Tag of runs that take only files which the export sensor saw settle: a copy may go on while they run.
SETTLED_TAG = "phenoassets/settled"
CHECK = "fits_schema"
OWNERS = ["team:imaging"]

Figures = Mapping[str, bytes | None] | bytes | None
Makers = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Task:
    """What a step and its figures are handed: settings and tables, and the plate or model that is worked on.

    ``plate`` is empty for a table of the screen, ``model`` for one that no model makes; ``settled`` says that only
    files which the export sensor saw settle are taken.
    """

    screen: Screen
    store: TableStore
    plate: str
    model: str
    progress: Progress
    device: ComputeDevice
    settled: bool


@dataclass(frozen=True)
class TableAsset:
    """One row: a table, and how an asset materializes it.

    Parameters
    ----------
    table
        The table, whose schema says whether it is per plate and per model.
    about
        What the asset is, for the UI.
    step
        The step of ``phenoassets.steps`` that writes the table.
    figures
        The pictures of it, by name.
    deps
        Tables that it is made from; of the same model, or of every model where it is of no one model. Those that its
        model does not make are passed over: embeddings are no segmenter's, object_features no model's.
    kinds
        Further kinds of storage or compute, for the UI.
    pool
        Pool that limits how many run at once.
    warns
        A check of what the table says: name, what it checks, and the findings by name, none where all is well. It
        warns and holds up nothing.
    of_every_maker
        Whether it is made from tables of every model and segmenter, whichever name it has itself.
    """

    table: str
    about: str
    step: Callable[[Task], StepResult]
    figures: Callable[[Task], Figures] = lambda _: None
    deps: tuple[str, ...] = ()
    kinds: frozenset[str] = field(default_factory=frozenset)
    pool: str | None = None
    warns: tuple[str, str, Callable[[Task], Mapping[str, str]]] | None = None
    of_every_maker: bool = False


def asset_key(table: str, model: str | None = None) -> dg.AssetKey:
    """Key of a table's asset: its folder."""
    return dg.AssetKey([table, model] if model and table in TABLES and TABLES[table].per_model else [table])


def table_assets(
    rows: Iterable[TableAsset],
    makers: Makers,
    group: str,
    automation: dg.AutomationCondition[Any] | None = None,
) -> list[dg.AssetsDefinition]:
    """Assets of `rows`: one of each, or one for each of its makers where the table is kept per model.

    Parameters
    ----------
    rows
        What to make assets of.
    makers
        Models and segmenters of the screen that make a table; see ``ScreenSettings.makers``.
    group
        Group in the UI: the name of the module that holds the rows.
    automation
        When tables of the screen are refreshed; those of a plate are asked for by sensors.
    """
    return [
        _asset(row, model, makers, group, automation if TABLES[row.table].grain == "screen" else None)
        for row in rows
        for model in (makers(row.table) if TABLES[row.table].per_model else (None,))
    ]


def dependencies(tables: Iterable[str], model: str | None, makers: Makers) -> list[dg.AssetKey]:
    """Keys of `tables`: of `model` where there is one, as far as it makes them, else of every maker."""
    return [
        key
        for table in tables
        for key in (
            [asset_key(table, name) for name in makers(table) if model in (None, name)]
            if TABLES[table].per_model
            else [asset_key(table)]
        )
    ]


def _asset(
    row: TableAsset,
    model: str | None,
    makers: Makers,
    group: str,
    automation: dg.AutomationCondition[Any] | None,
) -> dg.AssetsDefinition:
    spec, key = TABLES[row.table], asset_key(row.table, model)
    baseline = BASELINES.get(model or "")
    fits = dg.AssetCheckSpec(CHECK, asset=key, blocking=True, description=f"every row of {row.table} fits its schema")
    warns = [dg.AssetCheckSpec(row.warns[0], asset=key, description=row.warns[1])] if row.warns else []

    @dg.asset(
        key=key,
        description=f"{row.about} {model} is {baseline}." if baseline else row.about,
        deps=dependencies(row.deps, None if row.of_every_maker else model, makers),
        partitions_def=PLATES if spec.grain == "plate" else None,
        group_name=group,
        kinds={"parquet", *row.kinds},
        owners=OWNERS,
        code_version="1",
        pool=row.pool,
        automation_condition=automation,
        metadata={"dagster/column_schema": column_schema(row.table), "key": ", ".join(spec.key)}
        | ({"baseline": baseline} if baseline else {}),
        check_specs=[fits, *warns],
    )
    def materialize(
        context: dg.AssetExecutionContext,
        screen: ScreenResource,
        tables: TableStoreResource,
        device: ComputeDevice,
        reporter: Reporter,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the annotation and takes no generic one
        plate = context.partition_key if context.has_partition_key else ""
        with tables.writing(plate, reporter.log(context)) as store:
            task = Task(
                screen=screen.load(context.run.run_id),
                store=store,
                plate=plate,
                model=model or "",
                progress=reporter.progress(context),
                device=device,
                settled=SETTLED_TAG in context.run.tags,
            )
            result = row.step(task)
            made = _told_once(context, report(task, result, row.figures(task)))
            return (
                made
                if row.warns is None
                else made._replace(check_results=[*made.check_results, _warned(key, row.warns[0], row.warns[2](task))])
            )

    return materialize


def _told_once(context: dg.AssetExecutionContext, made: dg.MaterializeResult[Any]) -> dg.MaterializeResult[Any]:
    """The result without its metadata, which is given to the materialization alone.

    Dagster keeps the metadata of a result a second time, with the step's output, and so every thumbnail.
    """
    context.add_asset_metadata(made.metadata or {})
    return made._replace(metadata=None)


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


def report(task: Task, result: StepResult, figures: Figures = None) -> dg.MaterializeResult[Any]:
    """Tell the UI what a step did: figures, counts, notes, the data version and the outcome of the check."""
    model, plate = task.model or None, task.plate or None
    named = figures if isinstance(figures, Mapping) else {result.table: figures}
    kept = files.keep(task.store.home, result.table, named, model, plate)
    metadata: dict[str, Any] = {figure.name: _shown(figure) for figure in kept}  # first, where the UI shows it first
    metadata |= {
        "dagster/row_count": result.total,
        "new rows": result.new,
        "folder": dg.MetadataValue.path(str(task.store.folder(result.table, model, plate))),
        **{name: value if isinstance(value, (int, float)) else str(value) for name, value in result.notes.items()},
    }
    return dg.MaterializeResult(
        asset_key=asset_key(result.table, model),
        metadata=metadata,
        data_version=dg.DataVersion(result.version),
        check_results=[_check(task.store, result.table, model, plate)],
    )


def _warned(key: dg.AssetKey, name: str, findings: Mapping[str, str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not findings,
        check_name=name,
        asset_key=key,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=dict(findings),
    )


def _shown(figure: files.Figure) -> dg.MarkdownMetadataValue:
    """A thumbnail, and where the whole figure lies as long as it is the newest."""
    picture = f"![{figure.name}](data:image/avif;base64,{base64.b64encode(figure.thumbnail).decode()})"
    place = f"newest in full: `{figure.path}`" if figure.path else "the file could not be written; the log says why"
    return dg.MetadataValue.md(f"{picture}\n\n{place}")


def _check(store: TableStore, table: str, model: str | None, plate: str | None) -> dg.AssetCheckResult:
    spec = TABLES[table]
    problems: list[str] = []
    rows = 0
    small = [column.name for column in spec.columns if not isinstance(column.dtype, Vector)]
    later = {  # what files of an earlier version may lack
        c.name: c.dtype for c in spec.columns if c.nullable and isinstance(c.dtype, pl.DataType)
    }
    for part in store.parts(table, model, plate):
        with part.open("rb") as file:  # a path would be taken for a pattern
            schema = pl.read_parquet_schema(file)
        there = [name for name in small if name in schema]
        frame = pl.read_parquet(part, glob=False, columns=there, hive_partitioning=False)
        rows += frame.height
        schema = later | schema
        problems += [f"{part.name}: {p}" for p in spec.problems(frame, schema)]
    return dg.AssetCheckResult(
        passed=not problems,
        check_name=CHECK,
        asset_key=asset_key(table, model),
        metadata={"rows": rows, "problems": "; ".join(problems) or "none"},
    )
