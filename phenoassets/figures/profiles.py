"""Pictures of profiles: of a plate's wells, before and after sphering, ranked treatments, the phenotype map.

Large tables are sampled, so that a picture takes bounded memory whatever the size of the screen.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoassets.figures import fetch
from phenoassets.figures.drawing import answers as answer_plots
from phenoassets.figures.drawing import choices, maps, representation
from phenoassets.figures.safely import never_failing
from phenoassets.phenotypes import ALL_LINES
from phenoassets.profiles import answer_channel, endpoint_profiles, vectors
from phenoassets.projection import Floats, principal_components, relative_distances, similar_first, standardized
from phenoassets.screen.loading import Screen
from phenoassets.store.schemas import CONTROL_ROLE
from phenoassets.store.tables import TableStore


@never_failing
def ranked_treatments(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """The strongest treatments by name, and all by rank."""
    ranked = store.read("strong_treatments", model)
    if not ranked.height:
        return None
    effects = store.read("temporal_clusters", model, columns=["condition_id", "effect"])
    limit = screen.settings.treatments.q_value
    return answer_plots.ranked_treatments(
        ranked.join(effects, on="condition_id", how="left"),
        title=f"Treatments by strength ({model})",
        note=f"strong: false discovery rate at most {100 * limit:.3g} %",
    )


@never_failing
def phenotype_map(screen: Screen, store: TableStore, model: str, which: str = ALL_LINES) -> bytes | None:
    """A phenotype map, of all wells or of one cell line, by cluster, compound, effect, and cell line or plate."""
    found = store.read("phenotypes", model).filter(map=which)
    ends = found.filter(pl.col("window") == "endpoint")
    found = ends if ends.height else found
    columns = ["plate", "well", "role", "condition_id", "compound", "cell_line"]
    wells = found.join(store.read("plate_maps", columns=columns), on=["plate", "well"])
    effects = store.read("temporal_clusters", model, columns=["condition_id", "effect"])
    wells = wells.join(effects, on="condition_id", how="left").sort("plate", "well", "window")
    if not wells.height:
        return None
    settings = screen.settings.phenotypes
    note = (
        f"{wells.height:,} wells; UMAP of sphered profiles with {settings.n_neighbors} neighbours; "
        f"clusters of at least {settings.min_cluster_size or settings.n_neighbors} wells by HDBSCAN"
    )
    of = "" if which == ALL_LINES else f" of {which}"
    return maps.phenotype_map(wells, title=f"Phenotypes{of} ({model})", note=note)


def mapped_lines(store: TableStore, model: str) -> list[str]:
    """Cell lines that have a phenotype map of their own."""
    found = store.read("phenotypes", model, columns=["map"])["map"].unique().sort().to_list()
    return [line for line in found if line != ALL_LINES]


MAX_WELLS = 1500


MAX_FEATURES = 128


_NO_PROFILES = pl.DataFrame(schema={"plate": pl.String, "well": pl.String, "profile": pl.Array(pl.Float32, 1)})


@never_failing
def profile_heatmap(screen: Screen, store: TableStore, model: str, plate: str) -> bytes | None:
    """Profiles of a plate's wells at its last scans, in standard deviations of the controls."""
    mapped = store.read("plate_maps", plate=plate)
    ends = _endpoints(screen, store, model, plate, mapped["well"].to_list())
    wells = mapped.filter(pl.col("role") != "empty").join(ends, on="well")
    if not wells.height:
        return None
    order = {CONTROL_ROLE: 0, "positive_control": 1, "treatment": 2}
    wells = wells.with_columns(pl.col("role").replace_strict(order, return_dtype=pl.Int32).alias("block"))
    wells = wells.sort("block", "compound", "concentration", "well")
    controls = (wells["role"] == CONTROL_ROLE).to_numpy()
    enough = int(controls.sum()) >= 3
    z = standardized(vectors(wells, "profile"), controls if enough else np.ones(wells.height, dtype=bool))
    if not z.shape[1]:
        return None
    strongest = np.argsort(-np.abs(z).mean(axis=0), kind="stable")[:MAX_FEATURES]
    z = z[:, np.sort(strongest)]
    which = f"the {z.shape[1]} features that differ most" if z.shape[1] == MAX_FEATURES else "every feature that varies"
    against = "the negative controls" if enough else "all wells (fewer than three negative controls)"
    return answer_plots.profile_heatmap(
        z[:, similar_first(z)],
        wells.select("role", "compound"),
        title=f"Profiles of {plate} ({model})",
        note=f"mean of the last {screen.settings.sphering.window_scans} scans against {against}; {which}",
    )


@never_failing
def sphering_sweep(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """Replicate retrieval of every normalization against its regularization, and the one that is chosen."""
    found = store.read("sphering_sweep", model).filter(pl.col("replicate_map").is_not_null())
    if not found.height:
        return None
    n = max(found["n_conditions"].to_list())
    where = "on other plates" if found["across_plates"][0] else "among the wells of its cell line"
    note = f"{n} conditions with replicates; each well looks for its replicates {where}"
    return choices.sphering_sweep(found, title=f"Normalization ({model})", note=note)


@never_failing
def retrieval_scores(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """Average precision of every label against its chance, replicates beside mechanisms."""
    found = store.read("retrieval_scores", model).filter((pl.col("label") != "") & pl.col("value").is_not_null())
    if not found.height:
        return None
    limit = screen.settings.treatments.q_value
    return choices.retrieval(found, limit, title=f"Retrieval ({model})", note=f"filled: q at most {limit:g}")


@never_failing
def profile_outliers(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """Wells in the plane of their principal components, those that stand alone named."""
    found = store.read("profile_outliers", model)
    roles = store.read("plate_maps", columns=["plate", "well", "role"])
    wells = found.join(roles, on=["plate", "well"])
    if not wells.height:
        return None
    note = f"{wells.height:,} wells; flagged: {int(wells['flagged'].sum())}, all kept; look at their images"
    return representation.profile_outliers(wells, title=f"Wells that stand alone ({model})", note=note)


@never_failing
def representation_scores(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """What profiles tell of each label, beside one label for all and dealt labels."""
    found = store.read("representation_scores", model)
    if not found.height:
        return None
    note = "whole units held out; reduced: the phenotype map"
    return representation.representation_scores(found, title=f"What profiles tell ({model})", note=note)


@never_failing
def profile_tree(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """Tree of likeness, its leaves coloured by the columns that ``[representation]`` names."""
    nodes = store.read("profile_tree", model)
    if not nodes.height:
        return None
    leaf = nodes["leaf"][0]
    columns = [c for c in dict.fromkeys((*screen.settings.representation.columns, "role")) if c != leaf]
    wells = store.read("plate_maps").join(store.read("plates").drop("cell_line"), on="plate", how="left")
    told = [c for c in columns if c in wells.columns]
    wells = wells.with_columns(pl.col(leaf).cast(pl.String).alias("_name")).drop_nulls("_name")
    values = wells.group_by("_name").agg(
        # A leaf has a colour where all of its wells agree.
        pl.when(pl.col(c).drop_nulls().n_unique() == 1).then(pl.col(c).drop_nulls().first()).cast(pl.String).alias(c)
        for c in told
    )
    leaves = nodes.filter(pl.col("name").is_not_null()).sort("position")
    ordered = leaves.select("name").join(values, left_on="name", right_on="_name", how="left", maintain_order="left")
    strips = {c: ordered[c].to_list() for c in told if ordered[c].drop_nulls().len()}
    note = f"{leaves.height} values of {leaf}, mean profile of each; average linkage, cosine distance"
    return representation.profile_tree(nodes, strips, title=f"Tree of profiles ({model})", note=note)


@never_failing
def sphering(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """Endpoint profiles of at most 1,500 wells before and after sphering."""
    keys = ["plate", "well", "channel", "window"]
    known = store.read("sphered_profiles", model, columns=keys).filter(pl.col("window") == "endpoint")
    roles = store.read("plate_maps", columns=["plate", "well", "role"]).filter(pl.col("role") != "empty")
    known = known.join(roles, on=["plate", "well"]).sort("plate", "well", "channel")
    known = known.unique(["plate", "well"], keep="first", maintain_order=True)
    chosen = _sample_wells(known)
    before = [
        _endpoints(screen, store, model, str(plate), rows["well"].to_list()).select("plate", "well", before="profile")
        for (plate,), rows in chosen.group_by(["plate"], maintain_order=True)
    ]
    if not before:
        return None
    files = store.parts("sphered_profiles", model)
    after = fetch.chosen_rows(files, [*keys, "profile"], chosen.select(keys)).select("plate", "well", after="profile")
    wells = chosen.join(pl.concat(before), on=["plate", "well"]).join(after, on=["plate", "well"])
    wells = wells.sort("plate", "well")
    if wells.height < 3:
        return None
    columns: dict[str, Floats] = {}
    for when in ("before", "after"):
        profiles = vectors(wells, when)
        points, _ = principal_components(profiles, 2)
        columns |= {
            f"{when}_1": points[:, 0],
            f"{when}_2": points[:, 1],
            f"{when}_distance": relative_distances(profiles, wells["plate"], wells["role"] == CONTROL_ROLE),
        }
    drawn = wells.select("plate", "role").with_columns(pl.Series(name, values) for name, values in columns.items())
    shown = f"{drawn.height:,} of {known.height:,} wells" if drawn.height < known.height else f"{drawn.height:,} wells"
    window = screen.settings.sphering.window_scans
    note = f"{shown}, mean of the last {window} scans; squares: negative controls, each by a fit that did not see it"
    return maps.sphering(drawn, title=f"Sphering of profiles ({model})", note=note)


def _sample_wells(known: pl.DataFrame) -> pl.DataFrame:
    """At most `MAX_WELLS` wells, evenly over plates and spread over each; half of a plate's share for its controls."""
    n_plates = max(known["plate"].n_unique(), 1)
    share = max(MAX_WELLS // n_plates, 4)
    found = []
    for _, rows in known.group_by(["plate"], maintain_order=True):
        control = rows.filter(pl.col("role") == CONTROL_ROLE)
        others = rows.filter(pl.col("role") != CONTROL_ROLE)
        n_control = min(control.height, max(share // 2, share - others.height))
        found += [_spread(control, n_control), _spread(others, share - n_control)]
    return pl.concat(found).sort("plate", "well") if found else known


def _spread(rows: pl.DataFrame, n: int) -> pl.DataFrame:
    return rows if rows.height <= n else rows[np.linspace(0, rows.height - 1, n).round().astype(int).tolist()]


def _endpoints(screen: Screen, store: TableStore, model: str, plate: str, wells: list[str]) -> pl.DataFrame:
    """Mean profile of each of `wells` over the plate's last scans, in the channel that answers are drawn from."""
    scans = store.read("scans", plate=plate)
    present = store.read("well_profiles", model, plate, ["channel", "scan"]).unique()
    wanted = answer_channel(screen.settings.channels)
    channel = fetch.channel_of([wanted], present["channel"].unique().to_list())
    timed = scans.join(present.filter(pl.col("channel") == channel), on="scan", how="semi").sort("hours_since_start")
    last = timed["scan"].tail(screen.settings.sphering.window_scans).to_list()
    if not wells or not last:
        return _NO_PROFILES
    keys = pl.DataFrame({"well": wells}).join(pl.DataFrame({"scan": last}), how="cross")
    keys = keys.with_columns(pl.lit(channel).alias("channel"))
    columns = ["model", "plate", "well", "channel", "scan", "n_images", "profile"]
    found = fetch.chosen_rows(store.parts("well_profiles", model, plate), columns, keys.unique())
    if not found.height:
        return _NO_PROFILES
    return endpoint_profiles(found, scans, n_scans=len(last)).select("plate", "well", "profile")
