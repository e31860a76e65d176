"""What a biologist asks of a screen: its effects, the course of a drug, the pictures of a condition, any table.

In goes the folder of a home; out come polars frames, arrays and matplotlib figures. Nothing is computed and nothing is
written: answers are read as the home holds them, by the views that SQL has. How figures look is ``plots``'.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import PhenoassetsError
from phenoassets.imaging.store import PlateStore
from phenoassets.notebook import plots
from phenoassets.notebook.picture import Picture
from phenoassets.screen.loading import Screen, load_screen
from phenoassets.sql.query import run_query
from phenoassets.store.home import Home
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore

VIEWS: Final = ("effects", "conditions")
"""Views that SQL has beside the tables."""

_EFFECT_COLUMNS: Final = (
    "condition_id", "cell_line", "compound", "concentration", "concentration_unit", "effect", "reason", "probability",
    "p_value", "q_value", "n_wells", "n_controls", "onset_after_hours", "onset_by_hours", "peak_level", "end_level",
    "cluster", "shape_effect",
)  # fmt: skip


class UnknownNameError(PhenoassetsError):
    """A table, drug, cell line, plate or condition that the screen does not have."""


@dataclass(frozen=True)
class OpenScreen:
    """A screen whose tables, answers and pictures can be asked for; made by ``phenoassets.open``.

    Parameters
    ----------
    home
        The folder that holds it.
    """

    home: Home

    @cached_property
    def screen(self) -> Screen:
        """Its settings and sheets, as they were when first asked for."""
        return load_screen(self.home)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of all tables and views, whether or not they hold rows yet."""
        return (*TABLES, *VIEWS)

    @property
    def plates(self) -> list[str]:
        """Names of the plates."""
        return [str(plate) for plate in self.sql("SELECT plate FROM plates ORDER BY plate")["plate"]]

    @property
    def drugs(self) -> list[str]:
        """Names of the compounds that have conditions."""
        asked = "SELECT DISTINCT compound FROM conditions WHERE compound IS NOT NULL AND role <> 'negative_control'"
        return sorted(str(name) for name in self.sql(asked)["compound"])

    def sql(self, query: str) -> pl.DataFrame:
        """Answer one SELECT over the views, as ``phenoassets sql`` does.

        Raises
        ------
        QueryError
            If DuckDB refuses the query, or it is none that reads.
        StoreError
            If a file of a table is damaged.
        """
        return run_query([self.home], query)

    def table(self, name: str, *, plate: str | None = None, model: str | None = None) -> pl.DataFrame:
        """Rows of a table or view, with the conditions and hours that SQL adds.

        Parameters
        ----------
        name
            One of `tables`; `columns` says what each column means.
        plate, model
            Only rows of this plate, or by this model; a table without such a column refuses them.

        Raises
        ------
        UnknownNameError
            If there is no such table, or it has no such column.
        """
        known_name(name, self.tables, "table")
        wanted = {"plate": plate, "model": model}
        wheres = []
        for column, value in wanted.items():
            if value is None:
                continue
            if name in TABLES and column not in TABLES[name].names:
                raise UnknownNameError(f"{name} has no column {column}; leave {column} out")
            wheres.append(f'"{column}" = {_text(value)}')
        return self.sql(f"SELECT * FROM {name}" + (f" WHERE {' AND '.join(wheres)}" if wheres else ""))

    def columns(self, table: str) -> pl.DataFrame:
        """What the columns of a table mean: column, type, unit, meaning.

        Raises
        ------
        UnknownNameError
            If there is no such table.
        """
        columns = TABLES[known_name(table, TABLES, "table")].columns
        return pl.DataFrame(
            [(c.name, str(c.dtype), c.unit, c.meaning) for c in columns],
            schema={"column": pl.String, "type": pl.String, "unit": pl.String, "meaning": pl.String},
            orient="row",
        )

    def effects(self, drug: str | None = None, *, cell_line: str | None = None) -> pl.DataFrame:
        """Effect of every condition by the primary model, with the reason and what chance does.

        Parameters
        ----------
        drug, cell_line
            Only conditions of these, in any case of letters.

        Returns
        -------
        polars.DataFrame
            Sorted by cell line, compound and concentration; `effect` is null where nothing can be said.

        Raises
        ------
        UnknownNameError
            If the screen has no such drug or cell line.
        """
        found = self.table("effects").select(_EFFECT_COLUMNS)
        for column, wanted in {"compound": drug, "cell_line": cell_line}.items():
            if wanted is not None:
                names = found[column].drop_nulls().unique().sort().to_list()
                found = found.filter(pl.col(column) == known_name(wanted, names, column.replace("_", " ")))
        return found.sort("cell_line", "compound", "concentration", "condition_id", nulls_last=True)

    def trajectory(self, drug: str, *, cell_line: str | None = None) -> pl.DataFrame:
        """Course of a drug: distance to the controls beside the covered area, scan by scan and dose by dose.

        Returns
        -------
        polars.DataFrame
            cell_line, compound, concentration, concentration_unit, condition_id, plate, scan, elapsed_hours (since
            treatment), distance, low, high, null_high, confluence, control_confluence (fractions).

        Raises
        ------
        UnknownNameError
            If the screen has no such drug or cell line.
        """
        conditions = self.effects(drug, cell_line=cell_line)
        chosen = self.screen.settings.trajectories
        listed = ", ".join(map(_text, conditions["condition_id"]))
        if not listed:
            raise UnknownNameError(f"no condition of {drug} has an effect yet; run phenoassets first")
        return self.sql(
            f"""SELECT d.cell_line, d.compound, d.concentration, d.concentration_unit, d.condition_id, d.plate, d.scan,
                  d.elapsed_hours, d.distance, d.low, d.high, d.null_high, g.confluence, g.control_confluence
                FROM temporal_distances d
                LEFT JOIN growth_curves g USING (plate, condition_id, scan)
                WHERE d.model = {_text(self.screen.settings.primary_model)} AND d.metric = {_text(chosen.metric)}
                  AND d.features = {_text(chosen.features)} AND d.condition_id IN ({listed})
                ORDER BY d.cell_line, d.concentration, d.condition_id, d.plate, d.elapsed_hours"""
        )

    def images(
        self, condition: str, *, hours: float | Sequence[float] | None = None, channel: str | None = None
    ) -> list[Picture]:
        """Corrected pictures of a condition, of all its plates, wells and fields.

        Parameters
        ----------
        condition
            Its condition_id, as `effects` has it; a control's stands in the table ``plate_maps``.
        hours
            Only the scan of each plate that lies nearest to each of these hours since treatment; all by default.
        channel
            The first channel of the screen by default.

        Raises
        ------
        UnknownNameError
            If the screen has no such condition, or no picture of it.
        """
        wells = self.sql("SELECT DISTINCT plate, well, condition_id FROM plate_maps WHERE condition_id IS NOT NULL")
        condition = known_name(condition, wells["condition_id"].unique().sort().to_list(), "condition")
        chosen = known_name(channel or self.screen.settings.channels[0], self.screen.settings.channels, "channel")
        own = wells.filter(pl.col("condition_id") == condition)
        asked = None if hours is None else np.atleast_1d(np.asarray(hours, np.float64))
        found: list[Picture] = []
        for plate in own["plate"].unique().sort():
            places = ", ".join(map(_text, own.filter(pl.col("plate") == plate)["well"]))
            rows = self.sql(
                f"""SELECT well, field, "index", elapsed_hours, hours_since_start FROM corrected_images
                    WHERE plate = {_text(plate)} AND channel = {_text(chosen)} AND well IN ({places})
                    ORDER BY well, field, hours_since_start"""
            )
            found += self._pictures(plate, chosen, _nearest(rows, asked))
        if not found:
            raise UnknownNameError(f"there is no corrected picture of {condition} in channel {chosen} yet")
        return found

    def plot_trajectory(self, drug: str, *, cell_line: str | None = None) -> Any:
        """Figure of `trajectory`: distance and growth by dose, beside the effect of each.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return plots.trajectory(self.trajectory(drug, cell_line=cell_line), self.effects(drug, cell_line=cell_line))

    def plot_effects(self, *, cell_line: str | None = None) -> Any:
        """Figure of `effects`: drugs by doses, one panel a cell line.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return plots.effects(self.effects(cell_line=cell_line))

    def plot_images(self, condition: str, *, hours: Sequence[float] = (0.0, 24.0, 48.0, 72.0)) -> Any:
        """Figure of pictures of one well of a condition at the scans nearest to `hours` since treatment.

        Returns
        -------
        matplotlib.figure.Figure
        """
        pictures = self.images(condition, hours=hours)
        first = pictures[0]
        same = [p for p in pictures if (p.plate, p.well, p.field) == (first.plate, first.well, first.field)]
        return plots.pictures(same, condition)

    def _pictures(self, plate: str, channel: str, rows: pl.DataFrame) -> list[Picture]:
        if not rows.height:
            return []
        store = TableStore(self.home)
        pixels = PlateStore(store.pixels(plate) or self.home.pixels(plate), root=self.home.root, name=plate)
        um: float | None = self.screen.plate_row(plate)["um_per_pixel"]
        return [
            Picture(
                pixels.read(row["well"], row["field"], channel, row["index"]),
                plate,
                row["well"],
                row["field"],
                channel,
                row["elapsed_hours"],
                um,
            )
            for row in rows.iter_rows(named=True)
        ]


def open_screen(home: str | os.PathLike[str] = "data") -> OpenScreen:
    """Open the screen that lies in the folder `home`.

    Raises
    ------
    UnknownNameError
        If there is no such folder.
    """
    path = Path(home).expanduser()
    if not path.is_dir():
        raise UnknownNameError(f"no home at {path}; name the folder that holds screen.toml and the tables")
    return OpenScreen(Home(path))


def known_name(name: str, names: Iterable[str] | Mapping[str, object], what: str) -> str:
    """`name` as the screen writes it: in any case of letters, and a well with or without its zero.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    known = list(names)
    if name in known:
        return name
    by_fold = {one.casefold(): one for one in known}
    if (same := by_fold.get(name.casefold())) is not None:
        return same
    near = difflib.get_close_matches(name.casefold(), by_fold, n=3)
    hint = f"did you mean {' or '.join(by_fold[one] for one in near)}?" if near else f"it has {_few(known)}"
    raise UnknownNameError(f"the screen has no {what} {name!r}; {hint}")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "none yet"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _nearest(rows: pl.DataFrame, hours: npt.NDArray[np.float64] | None) -> pl.DataFrame:
    """Rows of the scans nearest to `hours` since treatment, or since the first scan where that is unknown."""
    if hours is None or not rows.height:
        return rows
    rows = rows.with_columns(pl.coalesce("elapsed_hours", "hours_since_start").alias("_hours"))
    there = rows["_hours"].unique().sort().to_numpy()
    near = np.unique(there[np.abs(there[:, None] - hours).argmin(axis=0)])
    return rows.filter(pl.col("_hours").is_in(near.tolist())).drop("_hours")
