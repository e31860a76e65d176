"""Classes that models are trained on: strong treatments of this home, and of others that the settings name.

In go ``strong_treatments`` and plate maps of each home; out comes ``training_set``.
"""

from __future__ import annotations

import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.screen.loading import Screen
from phenoassets.steps.answer_recipes import answer_recipe
from phenoassets.steps.provenance import version_of
from phenoassets.steps.step import StepResult
from phenoassets.store.schemas import CONTROL_ROLE, TABLES
from phenoassets.store.tables import TableStore
from phenoassets.training_set import choose_classes


def choose_training_set(screen: Screen, store: TableStore) -> StepResult:
    """Choose the treatments that models are to tell apart, by their strength in a space not trained on them."""
    recipe = answer_recipe(screen, store, "training_set")
    settings, table = screen.settings.training_set, TABLES["training_set"]
    space = training_space(screen)
    notes: dict[str, object] = {}
    frame = table.empty()
    if space is None:
        notes["no space"] = "only trained models are listed; add pixel_pca to models, or name one as training_set.space"
    else:
        strong, controls = [], []
        stores = [store, *(TableStore(home) for home in screen.training_homes)]
        names = [one.home.root.name for one in stores]
        if len(set(names)) < len(names):
            names = [str(one.home.root) for one in stores]
        for name, own in zip(names, stores, strict=True):
            found, bare = _of_home(own, space, name)
            strong.append(found)
            controls.append(bare)
            notes[f"strong in {name}"] = found.height
        made = choose_classes(
            pl.concat(strong),
            pl.concat(controls),
            top=settings.top,
            top_ups=settings.top_ups,
            min_wells=settings.min_wells,
            control_classes=settings.control_classes,
        )
        frame = made.with_columns(pl.lit(space).alias("space")).select(table.names)
    store.write("training_set", frame, recipe=recipe)
    notes |= {"space": space or "none", "classes": frame["class"].n_unique()}
    return StepResult("training_set", frame.height, frame.height, version_of(frame), notes)


def training_space(screen: Screen) -> str | None:
    """The space that strength is measured in: as named, else object features, else pixel PCA; None where none is."""
    settings = screen.settings
    if settings.training_set.space != "auto":
        return settings.training_set.space
    measured = settings.objects.segmenters if settings.objects.features else ()
    return next((name for name in (*measured, "pixel_pca") if name in settings.makers("strong_treatments")), None)


def _of_home(store: TableStore, space: str, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    ranked = store.read("strong_treatments", space, columns=["condition_id", "score_mean", "n_wells", "strong"])
    mapped = store.read("plate_maps", columns=["plate", "well", "role", "condition_id", "compound"])
    if not mapped.height:
        raise ProfileError(
            f"{name} has no plate maps yet; training_set.homes names homes that phenoassets run has filled"
        )
    named = mapped.group_by("condition_id", maintain_order=True).agg(pl.col("compound").first())
    strong = ranked.filter("strong").join(named, on="condition_id")
    bare = mapped.filter(role=CONTROL_ROLE).group_by("condition_id")
    controls = bare.agg(pl.col("compound").first(), pl.len().cast(pl.Int32).alias("n_wells"))
    home = pl.lit(name).alias("home")
    return (
        strong.select(home, "condition_id", "compound", "score_mean", "n_wells"),
        controls.select(home, "condition_id", "compound", "n_wells"),
    )
