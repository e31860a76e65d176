"""Pictures of vectors: a plate's embeddings, its profiles, and profiles before and after sphering.

Large tables are sampled, so that a picture takes bounded memory whatever the size of the screen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.layers.pictures import fetch
from phenoassets.layers.pictures.safely import never_failing
from phenoassets.plots import answers as answer_plots
from phenoassets.plots import maps
from phenoassets.profiles import answer_channel, endpoint_profiles, vectors
from phenoassets.screen import Screen
from phenoassets.tables import TableStore

MAX_IMAGES = 3000
MAX_WELLS = 1500
MAX_FEATURES = 128

Floats = npt.NDArray[np.floating]

_NO_PROFILES = pl.DataFrame(schema={"plate": pl.String, "well": pl.String, "profile": pl.Array(pl.Float32, 1)})


@never_failing
def embedding_map(screen: Screen, store: TableStore, model: str, plate: str) -> bytes | None:
    """Embeddings of at most 3,000 images of a plate in their first two principal components."""
    known = store.read("embeddings", model, plate, ["image_id", "well", "channel", "scan"])
    channel = fetch.channel_of(screen.settings.channels, known["channel"].unique().to_list())
    known = known.filter(pl.col("channel") == channel).sort("image_id")
    sample = known.sample(min(MAX_IMAGES, known.height), seed=0) if known.height else known
    if sample.height < 3:
        return None
    files = store.parts("embeddings", model, plate)
    rows = fetch.chosen_rows(files, ["image_id", "embedding"], sample.select("image_id"))
    when = fetch.times(store, [plate])
    roles = store.read("plate_maps", plate=plate, columns=["well", "role"])
    drawn = (
        rows.join(sample, on="image_id")
        .join(roles, on="well", how="left")
        .join(when.frame.drop("plate"), on="scan", how="left")
        .with_columns(pl.col("role").fill_null("empty"))
        .sort("image_id")
    )
    points, explained = principal_plane(vectors(drawn, "embedding"))
    return maps.embedding_map(
        points,
        drawn["role"],
        drawn["hours"].fill_null(float("nan")).to_numpy(),
        explained=explained,
        title=f"Image embeddings of {plate} ({model})",
        note=f"{drawn.height:,} of {known.height:,} images, channel {channel}; first two principal components",
        time_label=when.label,
    )


@never_failing
def profile_heatmap(screen: Screen, store: TableStore, model: str, plate: str) -> bytes | None:
    """Profiles of a plate's wells at its last scans, in standard deviations of the controls."""
    mapped = store.read("plate_maps", plate=plate)
    ends = _endpoints(screen, store, model, plate, mapped["well"].to_list())
    wells = mapped.filter(pl.col("role") != "empty").join(ends, on="well")
    if not wells.height:
        return None
    order = {"negative_control": 0, "positive_control": 1, "treatment": 2}
    wells = wells.with_columns(pl.col("role").replace_strict(order, return_dtype=pl.Int32).alias("block"))
    wells = wells.sort("block", "compound", "concentration", "well")
    controls = (wells["role"] == "negative_control").to_numpy()
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
        points, _ = principal_plane(profiles)
        columns |= {
            f"{when}_1": points[:, 0],
            f"{when}_2": points[:, 1],
            f"{when}_distance": relative_distances(profiles, wells["plate"], wells["role"] == "negative_control"),
        }
    drawn = wells.select("plate", "role").with_columns(pl.Series(name, values) for name, values in columns.items())
    shown = f"{drawn.height:,} of {known.height:,} wells" if drawn.height < known.height else f"{drawn.height:,} wells"
    window = screen.settings.sphering.window_scans
    note = f"{shown}, mean of the last {window} scans; squares: the negative controls, to which sphering is fitted"
    return maps.sphering(drawn, title=f"Sphering of profiles ({model})", note=note)


def principal_plane(x: Floats) -> tuple[Floats, tuple[float, float]]:
    """First two principal components of `x` (n, d): coordinates (n, 2) and each one's share of the variance."""
    from sklearn.utils.extmath import randomized_svd

    centred = x.astype(np.float32) - x.mean(axis=0, dtype=np.float64).astype(np.float32)
    total = float(np.square(centred, dtype=np.float64).sum())
    rank = min(2, *centred.shape)
    u, s, _ = randomized_svd(centred, rank, random_state=0)
    points = np.zeros((len(x), 2))
    points[:, :rank] = u * s
    shares = np.zeros(2)
    if total > 0:
        shares[:rank] = s**2 / total
    return points, (float(shares[0]), float(shares[1]))


def standardized(x: Floats, reference: npt.NDArray[np.bool_]) -> Floats:
    """`x` (n, d) in standard deviations of its `reference` rows (n,); features that do not vary there are left out."""
    mean = x[reference].mean(axis=0, dtype=np.float64)
    spread = x[reference].std(axis=0, dtype=np.float64)
    varies = spread > 1e-6 * np.maximum(np.abs(mean), 1e-12)
    return np.asarray((x[:, varies] - mean[varies]) / spread[varies])


def similar_first(z: Floats) -> npt.NDArray[np.intp]:
    """Order of the columns of `z` (n, d) in which similar ones are neighbours, by average linkage."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    if z.shape[1] < 3:
        return np.arange(z.shape[1])
    return np.asarray(leaves_list(linkage(np.clip(z, -10, 10).T, "average")))


def relative_distances(x: Floats, plates: pl.Series, control: pl.Series) -> Floats:
    """Distance of each row of `x` (n, d) to the mean of its plate's controls; the median distance of controls is 1.

    Not-a-number on a plate with fewer than two controls.
    """
    out = np.full(len(x), np.nan)
    is_control = control.to_numpy()
    for plate in plates.unique():
        own = (plates == plate).to_numpy()
        reference = own & is_control
        if reference.sum() < 2:
            continue
        distance = np.linalg.norm(x[own] - x[reference].mean(axis=0, dtype=np.float64), axis=1)
        typical = float(np.median(distance[is_control[own]]))
        if typical > 0:
            out[own] = distance / typical
    return out


def _sample_wells(known: pl.DataFrame) -> pl.DataFrame:
    """At most `MAX_WELLS` wells, evenly over plates and spread over each; half of a plate's share for its controls."""
    n_plates = max(known["plate"].n_unique(), 1)
    share = max(MAX_WELLS // n_plates, 4)
    found = []
    for _, rows in known.group_by(["plate"], maintain_order=True):
        control = rows.filter(pl.col("role") == "negative_control")
        others = rows.filter(pl.col("role") != "negative_control")
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
