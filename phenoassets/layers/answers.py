"""The screen's answers at the end of the recording: sphered profiles, strong treatments, phenotypes.

In go the per-plate tables of one model; out come three tables of the screen. A plate whose profiles come of another
recipe, or that lacks controls, is named; it is never mixed in. Answers over time are ``courses``'.
"""

from __future__ import annotations

import polars as pl

from phenoassets.errors import PhenoassetsError, ProfileError
from phenoassets.layers.common import Written, nothing_usable, version_of, waits_for_treatment
from phenoassets.layers.vectors import answers_profiles
from phenoassets.phenotypes import map_phenotypes
from phenoassets.profiles import endpoint_profiles
from phenoassets.screen import Screen
from phenoassets.sphering import Spherizer, sphere_plate
from phenoassets.tables import TableStore
from phenoassets.timing import treatment_hours
from phenoassets.treatments import check_controls, score_treatments


@waits_for_treatment("sphered_profiles")
def sphere(screen: Screen, store: TableStore, name: str) -> Written:
    """Whiten the endpoint profiles of each plate against its own negative controls."""
    settings = screen.settings.sphering
    made: list[pl.DataFrame] = []
    endpoints, left_out = _endpoints(screen, store, name)
    bare: dict[str, str] = {}
    for frame, plate_map in endpoints.values():
        own = sphere_plate(frame, plate_map, regularization=settings.regularization, left_out=bare)
        made += [own] if own.height else []
    left_out |= bare
    if not made:
        raise nothing_usable(name, left_out, "profiles")
    frame = pl.concat(made)
    store.write("sphered_profiles", frame, model=name)
    notes = {"plates": len(made), **{f"left out: {plate}": why for plate, why in left_out.items()}}
    return Written("sphered_profiles", frame.height, frame.height, version_of(frame), notes)


@waits_for_treatment("strong_treatments")
def rank_treatments(screen: Screen, store: TableStore, name: str) -> Written:
    """Rank conditions by the distance of their endpoint profiles to the controls, each control held out of its own."""
    settings = screen.settings
    found, left_out = _endpoints(screen, store, name)
    if not found:
        raise nothing_usable(name, left_out, "profiles")
    profiles = pl.concat([profiles for profiles, _ in found.values()])
    plate_maps = pl.concat([plate_map for _, plate_map in found.values()])
    spherizer = Spherizer(settings.sphering.regularization, scale="std")
    frame = score_treatments(
        profiles,
        plate_maps,
        spherizer=spherizer,
        q_threshold=settings.treatments.q_value,
        seed=settings.treatments.seed,
    )
    store.write("strong_treatments", frame, model=name)
    unusable = check_controls(profiles, plate_maps, spherizer=spherizer).filter(pl.col("problem").is_not_null())
    left_out |= {f"{p} {line}": why for p, line, why in unusable.select("plate", "cell_line", "problem").iter_rows()}
    notes = {"strong": int(frame["strong"].sum()), **{f"left out: {plate}": why for plate, why in left_out.items()}}
    return Written("strong_treatments", frame.height, frame.height, version_of(frame), notes)


def map_wells(screen: Screen, store: TableStore, name: str) -> Written:
    """Lay the wells out on a map by their sphered profiles and find dense clusters."""
    settings = screen.settings.phenotypes
    frame = map_phenotypes(
        store.read("sphered_profiles", name),
        n_neighbors=settings.n_neighbors,
        min_dist=settings.min_dist,
        min_cluster_size=settings.min_cluster_size,
        seed=settings.seed,
    )
    store.write("phenotypes", frame, model=name)
    notes = {"clusters": int(frame.filter(pl.col("cluster") >= 0)["cluster"].n_unique())}
    return Written("phenotypes", frame.height, frame.height, version_of(frame), notes)


def _endpoints(
    screen: Screen, store: TableStore, name: str
) -> tuple[dict[str, tuple[pl.DataFrame, pl.DataFrame]], dict[str, object]]:
    """Unsphered endpoint profiles and plate map of every plate that has both; why the others have not."""
    found: dict[str, tuple[pl.DataFrame, pl.DataFrame]] = {}
    left_out: dict[str, object] = {}
    for plate in store.plates("well_profiles", name):
        try:
            scans = store.read("scans", plate=plate)
            frame = endpoint_profiles(
                answers_profiles(screen, store, plate, name),
                scans,
                treated_after_hours=treatment_hours(store.read("plates", plate=plate), scans),
                n_scans=screen.settings.sphering.window_scans,
            )
            plate_map = store.read("plate_maps", plate=plate)
            if not plate_map.height:
                raise ProfileError(f"plate {plate} has no plate map")
        except PhenoassetsError as error:
            left_out[plate] = error
            continue
        found[plate] = (frame, plate_map)
    return found, left_out
