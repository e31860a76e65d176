"""``screen.toml`` as a whole: read, checked across its sections, every problem in one error.

Unknown keys are refused and nothing is guessed. The sections are ``sections.py``'s, the sheets ``sheets.py``'s.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from phenoassets.errors import SettingsError
from phenoassets.screen.sections import (
    Classifier,
    Controls,
    Correction,
    Effects,
    Embedding,
    Exports,
    Objects,
    Outliers,
    Phenotypes,
    Profiles,
    Quality,
    Refresh,
    Representation,
    Section,
    Significance,
    Sphering,
    Storage,
    TrainingSet,
    Trajectories,
    Treatments,
)
from phenoassets.store.home import Home, check_model_name
from phenoassets.store.schemas import TABLES


class ScreenSettings(Section):
    """Everything ``screen.toml`` may say; each section has defaults."""

    name: str = "screen"
    models: tuple[str, ...] = ("convae_pooled", "convae", "pixel_pca")
    primary_model: str = "convae_pooled"
    imported: tuple[str, ...] = Field(
        (), description="profiles of other tools, by the names under which phenoassets profiles import keeps them"
    )
    channels: tuple[str, ...] = ("phase",)
    exports: Exports = Exports()
    controls: Controls = Controls()
    correction: Correction = Correction()
    quality: Quality = Quality()
    embedding: Embedding = Embedding()
    profiles: Profiles = Profiles()
    sphering: Sphering = Sphering()
    treatments: Treatments = Treatments()
    trajectories: Trajectories = Trajectories()
    significance: Significance = Significance()
    effects: Effects = Effects()
    phenotypes: Phenotypes = Phenotypes()
    training_set: TrainingSet = TrainingSet()
    outliers: Outliers = Outliers()
    representation: Representation = Representation()
    objects: Objects = Objects()
    classifiers: dict[str, Classifier] = Field(default_factory=dict)
    refresh: Refresh = Refresh()
    storage: Storage = Storage()

    @model_validator(mode="after")
    def _primary_is_listed(self) -> ScreenSettings:
        for model in self.models:
            check_model_name(model)
        if not self.models:
            raise ValueError("models is empty; name at least one")
        if len(set(self.models)) != len(self.models):
            raise ValueError("models names a model twice")
        if not self.channels:
            raise ValueError("channels is empty; name at least one, for instance phase")
        if self.primary_model not in self.models:
            raise ValueError(f"primary_model {self.primary_model!r} is not among models {list(self.models)}")
        if both := sorted(set(self.models) & set(self.objects.segmenters)):
            raise ValueError(f"{both[0]!r} is a model and a segmenter; their tables would lie in one folder")
        for name in self.imported:
            check_model_name(name)
            if name in (*self.models, *self.objects.segmenters, *self.classifiers) or self.imported.count(name) > 1:
                raise ValueError(f"imported names {name!r}, which is taken; their tables would lie in one folder")
        if self.objects.segmenters and self.objects.channel not in self.channels:
            raise ValueError(f"objects.channel {self.objects.channel!r} is not among channels {list(self.channels)}")
        for name, classifier in self.classifiers.items():
            check_model_name(name)
            sources = (*self.models, *(self.objects.segmenters if self.objects.features else ()), *self.imported)
            if name in (*self.models, *self.objects.segmenters):
                raise ValueError(
                    f"{name!r} is a classifier and a model or segmenter; their tables would lie in one folder"
                )
            if classifier.crops and classifier.features not in self.objects.segmenters:
                raise ValueError(f"classifiers.{name}.crops needs a segmenter as features: crops are of its objects")
            if classifier.features and classifier.features not in sources:
                raise ValueError(f"classifiers.{name}.features {classifier.features!r} is not among {list(sources)}")
        if self.trajectories.metric not in self.trajectories.metrics:
            raise ValueError("trajectories.metric is not among trajectories.metrics")
        if self.trajectories.features not in self.trajectories.stored_features:
            raise ValueError("trajectories.features is not among trajectories.stored_features")
        return self

    @property
    def makers_of_tables(self) -> tuple[str, ...]:
        """Every model, segmenter, imported name and classifier: the last parts of asset keys."""
        return (*self.models, *self.objects.segmenters, *self.imported, *self.classifiers)

    def makers(self, table: str) -> tuple[str, ...]:
        """Models, segmenters or classifiers that make a `table` of their own; none for a table that is kept once."""
        spec = TABLES[table]
        if not spec.per_model:
            return ()
        if spec.of_classifiers:
            return tuple(self.classifiers)
        chosen = self.objects
        made = {"objects"} | ({"features"} if chosen.features else set())
        made |= {"course"} if chosen.features and chosen.scans == "all" else set()
        models = self.models if spec.of_models else ()
        # What another tool made is one profile a well: it has whatever is made of profiles, and nothing of images.
        others = self.imported if spec.of_segmenters == "features" and table != "object_features" else ()
        return models + (chosen.segmenters if spec.of_segmenters in made else ()) + others


def exports_folder(home: Home, settings: ScreenSettings) -> Path:
    """The landing folder that `settings` name, resolved against the home."""
    folder = Path(settings.exports.folder).expanduser()
    return folder if folder.is_absolute() else home.root / folder


def read_settings(path: Path) -> ScreenSettings:
    """Read ``screen.toml``.

    Raises
    ------
    SettingsError
        If it cannot be read, is no TOML, or a key is unknown or out of range; every problem is listed.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}; check its permissions") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    try:
        return ScreenSettings.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'screen'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise SettingsError(f"{path}: {problems}") from error
