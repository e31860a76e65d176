"""What made each table of the screen: settings, rules and inputs, as a recipe that can be compared with the disk.

In go a screen and its store; out come recipes and the tables that are stale, each with the reasons. Data digests say
what a table was made from, so that what a run did without any sensor, or a sensor without a cursor, makes no
difference. Nothing is computed here; whether a run is asked for is decided in ``planning``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from hashlib import sha256
from typing import Final, Literal

from phenoassets.effects.rules import EffectRules
from phenoassets.errors import PhenoassetsError
from phenoassets.screen.loading import Screen
from phenoassets.screen.settings import ScreenSettings
from phenoassets.steps.provenance import current_profile_recipe, distances_recipe
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore, digest_of
from phenoassets.trajectories.preparation import named_recipe

Reason = Literal["settings", "rules", "inputs"]
_SEPARATOR: Final = "."


@dataclass(frozen=True)
class AnswerRecipe:
    """Digests of what a table of the screen is made by.

    Parameters
    ----------
    settings
        The settings that concern it.
    rules
        Code version of its step, and the thresholds of its rules.
    inputs
        Data digests of the tables and sheets that it is made from, and which plates could be used.
    """

    settings: str
    rules: str
    inputs: str

    def __str__(self) -> str:
        return _SEPARATOR.join((self.settings, self.rules, self.inputs))

    @classmethod
    def parse(cls, text: str) -> AnswerRecipe:
        """Read what `str` gave; of anything else, as of a file by an earlier version, no part is known."""
        parts = text.split(_SEPARATOR)
        return cls(*parts) if len(parts) == len(fields(cls)) else cls("", "", "")

    def differences(self, other: AnswerRecipe) -> tuple[Reason, ...]:
        """Which parts differ."""
        names: tuple[Reason, ...] = ("settings", "rules", "inputs")
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))


@dataclass(frozen=True)
class _Answer:
    """What one table of the screen is made by.

    ``version`` is raised when the meaning of the table changes with a new version of its step, and the table is then
    stale in every home; thresholds among the ``rules`` need no raising, since their values are compared.
    """

    version: int
    settings: Callable[[Screen], object]
    follows: Literal["well_profiles", "temporal_distances"] | None = None
    plate_tables: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    every_model: bool = False
    curated: bool = False
    of_classifier: bool = False
    rules: Callable[[], object] = lambda: None


def _sections(*names: str) -> Callable[[Screen], object]:
    return lambda screen: (
        [getattr(screen.settings, name).model_dump() for name in (*names,)] + [screen.settings.channels]
    )


def _over_time(*names: str) -> Callable[[Screen], object]:
    """Settings of the answers over time: which distances, how curves are prepared, and `names`."""

    def chosen(screen: Screen) -> object:
        settings = screen.settings.trajectories
        given = ("metric", "features", "positions", "growth", "scaling", "smoothing_points", "max_gap_hours", "seed")
        rules = screen.settings.effects.model_dump()
        return [getattr(settings, name) for name in (*given, *names)] + [asdict(named_recipe(settings.recipe)), rules]

    return chosen


def _training(screen: Screen) -> object:
    """Settings of the training set, and what other homes hold of it."""
    tables = ("strong_treatments", "plate_maps")
    others = [[TableStore(home).all_manifests(table) for table in tables] for home in screen.training_homes]
    digests = [[[manifest.digest for manifest in found] for found in home] for home in others]
    return [screen.settings.training_set.model_dump(), screen.settings.objects.features, *digests]


def _effect_rules() -> object:
    return asdict(EffectRules())


_ENDPOINT: Final = ("well_profiles", "plate_maps", "plates", "scans")
_CURVES: Final = ("temporal_distances", "growth_curves", "plates", "scans")
_ANSWERS: Final[Mapping[str, _Answer]] = {
    "sphering_sweep": _Answer(1, _sections("sphering"), "well_profiles", _ENDPOINT),
    "sphered_profiles": _Answer(1, _sections("sphering"), "well_profiles", _ENDPOINT, ("sphering_sweep",)),
    "strong_treatments": _Answer(
        2, _sections("sphering", "treatments"), "well_profiles", _ENDPOINT, ("sphering_sweep",)
    ),
    "retrieval_scores": _Answer(
        2, lambda screen: screen.settings.channels, "well_profiles", ("plate_maps",), ("sphered_profiles",)
    ),
    "phenotypes": _Answer(2, _sections("phenotypes"), "well_profiles", ("plate_maps",), answers=("sphered_profiles",)),
    "training_set": _Answer(1, _training, answers=("strong_treatments",), every_model=True),
    "profile_outliers": _Answer(1, _sections("outliers"), "well_profiles", ("plate_maps",), ("sphered_profiles",)),
    "representation_scores": _Answer(
        1,
        lambda screen: [
            screen.settings.representation.model_dump(exclude={"leaf"}),
            screen.settings.channels,
        ],
        "well_profiles",
        ("plate_maps", "plates"),
        ("sphered_profiles", "phenotypes"),
    ),
    "profile_tree": _Answer(
        1,
        lambda screen: [screen.settings.representation.leaf, screen.settings.channels],
        "well_profiles",
        ("plate_maps",),
        ("sphered_profiles",),
    ),
    "temporal_clusters": _Answer(
        3,
        lambda screen: [
            _over_time("k", "n_init", "window_points")(screen),
            screen.settings.significance.model_dump(),
        ],
        "temporal_distances",
        (*_CURVES, "well_distances", "position_effects", "plate_maps"),
        curated=True,
        rules=_effect_rules,
    ),
    "effect_evidence": _Answer(
        1,
        lambda screen: [_over_time()(screen), screen.settings.significance.model_dump()],
        "temporal_distances",
        (*_CURVES, "well_distances", "position_effects"),
        ("temporal_clusters",),
        rules=_effect_rules,
    ),
    "cluster_scores": _Answer(1, _over_time("window_points"), "temporal_distances", _CURVES, rules=_effect_rules),
    "drug_effects": _Answer(
        3,
        _over_time("n_bootstrap"),
        "temporal_distances",
        (*_CURVES, "plate_maps"),
        ("temporal_clusters",),
        rules=_effect_rules,
    ),
    "effect_agreement": _Answer(
        2,
        lambda screen: screen.settings.makers("temporal_clusters"),
        answers=("temporal_clusters", "curated_effects"),
        every_model=True,
    ),
    "classifier_scores": _Answer(1, lambda _: None, of_classifier=True),
}
_LABELS: Final = ("plate_maps", "plates")


@dataclass(frozen=True)
class StaleAnswer:
    """A table of the screen that is not what the settings, rules and inputs now in force would give.

    Parameters
    ----------
    table, model
        Which.
    reasons
        What differs.
    wanted
        The recipe now in force.
    usable
        Whether any plate can be used: where none can, a run would fail.
    """

    table: str
    model: str | None
    reasons: tuple[Reason, ...]
    wanted: AnswerRecipe
    usable: bool = True

    @property
    def name(self) -> str:
        """``table/model``, or the table alone."""
        return f"{self.table}/{self.model}" if self.model else self.table


@dataclass
class AnswerRecipes:
    """Recipes of the screen's tables as they are now; every file is looked at once.

    Parameters
    ----------
    screen, store
        The screen and its tables.
    """

    screen: Screen
    store: TableStore
    _digests: dict[tuple[str, str | None, str | None], str] = field(default_factory=dict)
    _plates: dict[tuple[str, str], dict[str, bool]] = field(default_factory=dict)

    def recipe(self, table: str, model: str | None = None) -> AnswerRecipe:
        """The recipe that `table` of `model` would now be made by."""
        answer = _ANSWERS[table]
        inputs: list[object] = []
        if answer.follows is not None and model is not None:
            for plate, usable in self._usable(answer.follows, model).items():
                # A plate that is left out counts only as such: what its tables hold makes no difference.
                held = [self._digest(name, model, plate) for name in answer.plate_tables] if usable else None
                inputs.append([plate, held])
        if answer.of_classifier and model is not None:
            inputs += self._classifier_inputs(model)
        inputs += [self._digest(*source) for source in _sources(table, model, self.screen.settings)]
        inputs += [self._curated] if answer.curated else []
        chosen = self.screen.settings.classifiers[model].model_dump() if answer.of_classifier and model else None
        settings = digest_of(answer.settings(self.screen) if chosen is None else chosen)[:16]
        return AnswerRecipe(settings, digest_of(answer.version, answer.rules())[:16], digest_of(inputs)[:16])

    def stale(self) -> list[StaleAnswer]:
        """Tables of the screen that were made and are stale, in the order in which they are made from each other."""
        found: list[StaleAnswer] = []
        for table, answer in _ANSWERS.items():
            for model in self.screen.settings.makers(table) if TABLES[table].per_model else (None,):
                if not self.store.parts(table, model):
                    continue
                on_disk = {recipe for one in self.store.recipes(table, model).values() for recipe in one}
                now = self.recipe(table, model)
                if on_disk == {str(now)}:
                    continue
                reasons = AnswerRecipe.parse(next(iter(on_disk), "") if len(on_disk) == 1 else "").differences(now)
                found.append(StaleAnswer(table, model, reasons, now, self._is_usable(answer, model)))
        return found

    def _classifier_inputs(self, name: str) -> list[object]:
        """Digests of what a classifier reads of the plates: their maps, and the objects it is of."""
        source = self.screen.settings.classifiers[name].features
        plates = self.store.plates("plate_maps")
        read: list[tuple[str, str | None]] = [(table, None) for table in _LABELS]
        if source in self.screen.settings.objects.segmenters:
            read += [("objects", source), ("object_features", source)]
        return [[plate, [self._digest(table, model, plate) for table, model in read]] for plate in plates]

    def _is_usable(self, answer: _Answer, model: str | None) -> bool:
        if answer.follows is None or model is None:
            return True
        return any(self._usable(answer.follows, model).values())

    def _usable(self, table: str, model: str) -> dict[str, bool]:
        """Whether each plate that has `table` can be used: it stands by the recipe in force."""
        if (table, model) not in self._plates:
            self._plates[table, model] = {
                plate: self._is_current(table, model, plate) for plate in self.store.plates(table, model)
            }
        return self._plates[table, model]

    def _is_current(self, table: str, model: str, plate: str) -> bool:
        wanted = current_profile_recipe if table == "well_profiles" else distances_recipe
        try:
            return self.store.recipes(table, model, plate).get(plate) == {wanted(self.screen, self.store, plate, model)}
        except PhenoassetsError:  # no calibration, or a table that cannot be read: its own row of `status` says why
            return False

    def _digest(self, table: str, model: str | None, plate: str | None = None) -> str:
        key = (table, model if TABLES[table].per_model else None, plate)
        if key not in self._digests:
            self._digests[key] = self.store.digest(*key)
        return self._digests[key]

    @cached_property
    def _curated(self) -> str:
        sheet = self.screen.curated_file
        return "" if sheet is None else sha256(sheet.read_bytes()).hexdigest()


def answer_recipe(screen: Screen, store: TableStore, table: str, model: str | None = None) -> str:
    """The recipe by which a step writes `table`: taken before anything is read, so that a change meanwhile shows.

    Empty for a table of which nothing is compared yet.
    """
    if table not in _ANSWERS:
        return ""
    return str(AnswerRecipes(screen, store).recipe(table, model))


def stale_answers(screen: Screen, store: TableStore) -> list[StaleAnswer]:
    """Tables of the screen that are stale on disk, with the reasons; those never made are not among them."""
    return AnswerRecipes(screen, store).stale()


def with_dependents(stale: Sequence[StaleAnswer], settings: ScreenSettings) -> list[tuple[str, str | None]]:
    """Tables (and models) of `stale` and those that are made from them, in the order in which they are made."""
    wanted = {(one.table, one.model) for one in stale}
    for table in _ANSWERS:
        for model in settings.makers(table) if TABLES[table].per_model else (None,):
            if wanted & set(_sources(table, model, settings)):
                wanted.add((table, model))
    order = list(_ANSWERS)
    return sorted(wanted, key=lambda one: (order.index(one[0]), one[1] or ""))


def _sources(table: str, model: str | None, settings: ScreenSettings) -> list[tuple[str, str | None]]:
    """Tables of the screen, with their models, that `table` of `model` is made from."""
    answer = _ANSWERS[table]
    if answer.of_classifier and model is not None:
        chosen = settings.classifiers[model]
        source = chosen.features or settings.primary_model
        found: list[tuple[str, str | None]] = []
        found += [] if source in settings.objects.segmenters else [("sphered_profiles", source)]
        found += [("temporal_clusters", settings.primary_model)] if chosen.label == "effect" else []
        return found
    return [
        (name, one) for name in answer.answers for one in (settings.makers(name) if answer.every_model else (model,))
    ]
