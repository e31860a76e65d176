"""Which wells of a plate are compared with which controls, and where their profiles lie in time.

In go well profiles, a plate map and scans; out come groups of wells and rows of profiles on a grid of wells and scans.
Distances are ``distances``'.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.store.plate_maps import with_control_group
from phenoassets.store.schemas import CONTROL_ROLE, TREATED_ROLES
from phenoassets.trajectories.bootstrap import Ints

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WellGroup:
    """The wells of one control group; controls and conditions are positions in `wells`."""

    name: str
    wells: list[str]
    controls: list[int]
    conditions: dict[str, list[int]]


def only(frame: pl.DataFrame, column: str) -> str:
    """The one value of a column; an error that names what there is where it holds several."""
    values = frame[column].unique().sort().to_list()
    if len(values) != 1:
        found = ", ".join(map(str, values[:5])) or "none"
        raise ProfileError(f"distances are made for one {column} at a time; these profiles hold: {found}")
    return str(values[0])


def one_channel(profiles: pl.DataFrame, channel: str | None, plate: str) -> pl.DataFrame:
    """Profiles of the chosen channel: `channel`, else ``combined``, else the only one."""
    channels = profiles["channel"].unique().sort().to_list()
    if channel is None:
        channel = "combined" if "combined" in channels else channels[0]
        if channel != "combined" and len(channels) > 1:
            raise ProfileError(f"plate {plate} has profiles of {', '.join(channels)}; say which channel to use")
    if channel not in channels:
        raise ProfileError(f"plate {plate} has no profiles of channel {channel}; it has {', '.join(channels)}")
    return profiles.filter(pl.col("channel") == channel)


def well_groups(profiles: pl.DataFrame, plate_map: pl.DataFrame, plate: str) -> list[WellGroup]:
    """Wells of the plate by the controls that they are compared with."""
    mapped = plate_map.join(profiles.select("well").unique(), on="well").sort("well")
    groups: dict[str, WellGroup] = {}
    columns = ("well", "role", "condition_id", "control_group")
    for well, role, condition, name in with_control_group(mapped).select(columns).iter_rows():
        group = groups.setdefault(name, WellGroup(name, [], [], {}))
        if role == CONTROL_ROLE:
            group.controls.append(len(group.wells))
        elif role in TREATED_ROLES and condition is not None:
            group.conditions.setdefault(condition, []).append(len(group.wells))
        else:
            continue
        group.wells.append(well)
    if not any(group.controls for group in groups.values()):
        raise ProfileError(
            f"plate {plate} has no negative control well with a profile, so there is nothing to measure distances to; "
            "name its controls in the plate map, or set controls.negative in screen.toml"
        )
    for name, group in sorted(groups.items()):
        if group.conditions and not group.controls:
            _log.warning(
                "plate %s has no control well of cell line %s; its %d conditions get no distances",
                plate,
                name,
                len(group.conditions),
            )
    return [group for _, group in sorted(groups.items()) if group.controls and group.conditions]


def scan_times(profiles: pl.DataFrame, scans: pl.DataFrame, plate: str) -> pl.DataFrame:
    """The scans that have profiles, in time: scan, hours_since_start."""
    if "plate" in scans.columns:
        scans = scans.filter(pl.col("plate") == plate)
    times = profiles.select("scan").unique().join(scans.select("scan", "hours_since_start"), on="scan", how="left")
    lost = times.filter(pl.col("hours_since_start").is_null())["scan"].sort()
    if lost.len():
        raise ProfileError(f"plate {plate} has profiles of {lost.len()} scans that its scans do not list: {lost[0]}")
    return times.sort("hours_since_start", "scan")


def rows_on_grid(profiles: pl.DataFrame, wells: list[str], times: pl.DataFrame, tolerance_hours: float) -> Ints:
    """Row of `profiles` (w, s) for each well and scan, the nearest in time within the tolerance; -1 where none."""
    hours = times["hours_since_start"].to_numpy()
    column = {scan: j for j, scan in enumerate(times["scan"])}
    position = {well: i for i, well in enumerate(wells)}
    rows = np.full((len(wells), len(hours)), -1, np.intp)
    for row, (well, scan) in enumerate(profiles.select("well", "scan").iter_rows()):
        if well in position:
            rows[position[well], column[scan]] = row
    for i in np.flatnonzero((rows < 0).any(axis=1)):
        own = np.flatnonzero(rows[i] >= 0)
        gap = np.abs(hours[:, None] - hours[own])  # (s, own)
        nearest = gap.argmin(axis=1)
        near = gap[np.arange(len(hours)), nearest] <= tolerance_hours
        rows[i] = np.where(near, rows[i, own[nearest]], -1)
    return rows
