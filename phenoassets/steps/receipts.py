"""What a whole run of a plate, or of the screen's answers, was made from: it says that nothing is left to do.

In go a screen and its store; out come receipts, one small file each, written once a run has made everything. A receipt
holds as long as all that the run could see and all that it left are as they were: files, sheets, settings, models, our
own code, tables. Whether something is run is the caller's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import polars as pl

from phenoassets.errors import PhenoassetsError
from phenoassets.exchange.imported import imported_digest
from phenoassets.incucyte.landing import Landing
from phenoassets.planning.landing_watch import fingerprint_of
from phenoassets.planning.sheet_digests import Sheets, read_sheets
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import landing_of
from phenoassets.steps.provenance import model_digest, segmenter_digest
from phenoassets.steps.rejected import DUPLICATE
from phenoassets.store.home import Home
from phenoassets.store.manifest import Manifest
from phenoassets.store.objects import LocalObjects
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore, digest_of

_FOLDER: Final = "receipts"
_ANSWERS: Final = f"{_FOLDER}/screen.json"
# Reasons of rejections that may pass without a file changing its size: the next run tries again.
_MAY_PASS: Final = ("missing", "no_permission", "io_error", "still_growing", "changed_since_import")
_CODE: Final = ("phenoassets", "assets", "resources")


@dataclass(frozen=True)
class Inputs:
    """What a run sees when it begins.

    Parameters
    ----------
    files
        Fingerprint of the plate's files among the exports, as the export sensor takes it; of the answers, digest of
        the tables of all plates.
    made_by
        Digest of settings, sheets, models and code.
    """

    files: str
    made_by: str


@dataclass
class Receipts:
    """Receipts of one home, compared with the disk as it is now.

    Parameters
    ----------
    screen, store
        The screen and its tables.
    """

    screen: Screen
    store: TableStore

    def plate_inputs(self, plate: str) -> Inputs | None:
        """What a run of `plate` would see now; None where something of it cannot be read, or may pass by itself."""
        sheets = self._sheets.get(plate)
        if sheets is None or plate not in self._landing.sources:
            return None
        try:
            rejected = list(self._rejected(plate))
            files = fingerprint_of(self._landing.sources[plate])
            drawn = list(_roi_sets(self.screen.home.roi_sets(plate)))
        except (PhenoassetsError, OSError):
            return None
        if None in rejected:
            return None
        return Inputs(files, digest_of(self._made_by, sheets.everything, sheets.profiles, rejected, drawn))

    def answers_inputs(self) -> Inputs:
        """What a run of the screen's answers would see now."""
        sheet = self.screen.curated_file
        curated = "" if sheet is None else sha256(sheet.read_bytes()).hexdigest()
        return Inputs(self._digest("plate"), digest_of(self._made_by, curated))

    def keep_plate(self, plate: str, inputs: Inputs) -> None:
        """Write down that everything of `plate` has been made from `inputs`."""
        self._keep(_key(plate), inputs, self._digest("plate", plate))

    def keep_answers(self, inputs: Inputs) -> None:
        """Write down that every table of the screen has been made from `inputs`."""
        self._keep(_ANSWERS, inputs, self._digest("screen"))

    def is_complete(self, plate: str) -> bool:
        """Whether a run of `plate` would change nothing."""
        return self._holds(_key(plate), self.plate_inputs(plate), "plate", plate)

    def are_answers_complete(self) -> bool:
        """Whether a run of the screen's answers would change nothing."""
        return self._holds(_ANSWERS, self.answers_inputs(), "screen")

    def _holds(self, key: str, now: Inputs | None, grain: str, plate: str = "") -> bool:
        kept = _read(self.store, key)
        if now is None or kept is None or kept != asdict(now) | {"tables": self._digest(grain, plate)}:
            return False
        return all(self._is_whole(manifest) for manifest in self._manifests(grain, plate))

    def _keep(self, key: str, inputs: Inputs, tables: str) -> None:
        self.store.objects.put(key, json.dumps(asdict(inputs) | {"tables": tables}).encode())

    def _digest(self, grain: str, plate: str = "") -> str:
        return digest_of([[m.table, m.model, m.plate, m.digest] for m in self._manifests(grain, plate)])

    def _manifests(self, grain: str, plate: str = "") -> Iterator[Manifest]:
        for table in TABLES.values():
            if table.grain == grain:
                yield from self.store.all_manifests(table.name, plate=plate or None)

    def _is_whole(self, manifest: Manifest) -> bool:
        if manifest.zarr and not (self.store.home.table(manifest.table) / manifest.zarr).is_dir():
            return False
        try:
            self.store.verify([manifest])
        except (PhenoassetsError, OSError):  # the run says which file is damaged or gone
            return False
        return True

    def _rejected(self, plate: str) -> Iterator[tuple[str, int, int] | None]:
        """Each file that is not used, and when it last changed in any way; None for one that may do without."""
        found = self.store.read("rejected_files", plate=plate, columns=["path", "reason"])
        for path, reason in found.filter(pl.col("reason") != DUPLICATE).iter_rows():
            if reason in _MAY_PASS:
                yield None
                continue
            try:
                state = (self.screen.exports / path).stat()
                yield path, state.st_mtime_ns, state.st_ctime_ns
            except FileNotFoundError:
                yield path, 0, 0

    @cached_property
    def _landing(self) -> Landing:
        return landing_of(self.screen)

    @cached_property
    def _sheets(self) -> Mapping[str, Sheets]:
        return read_sheets(self.screen, {plate: source.root for plate, source in self._landing.sources.items()})[0]

    @cached_property
    def _made_by(self) -> str:
        settings = self.screen.settings
        models = [_digest_or_fault(partial(model_digest, self.screen, name)) for name in settings.models]
        models += [_digest_or_fault(partial(segmenter_digest, name)) for name in settings.objects.segmenters]
        models += [_digest_or_fault(partial(imported_digest, self.screen.home, name)) for name in settings.imported]
        return digest_of(settings.model_dump(mode="json"), models, _code_digest())


def _digest_or_fault(digest: Callable[[], str]) -> str:
    """A digest, or why there is none: a model that cannot be loaded fails its own assets and no others."""
    try:
        return digest()
    except PhenoassetsError as error:
        return str(error)


def _roi_sets(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Each ROI set that people drew, and when it last changed."""
    for path in sorted(folder.glob("*")):
        state = path.stat()
        yield path.name, state.st_size, state.st_mtime_ns


def files_of_last_run(store: TableStore, plate: str) -> str | None:
    """Fingerprint of the files from which everything of `plate` was last made; None where that is not known."""
    kept = _read(store, _key(plate))
    return None if kept is None else kept["files"]


def forget_receipt(home: Home, plate: str) -> None:
    """Know no more that everything of `plate` was made."""
    LocalObjects(home.root).delete(_key(plate))


def _key(plate: str) -> str:
    return f"{_FOLDER}/plate={plate}.json"


def _read(store: TableStore, key: str) -> dict[str, str] | None:
    blob = store.objects.get(key)
    try:
        found = json.loads(blob.content) if blob else None
    except ValueError:  # damaged: known of nothing, so that all is run again
        return None
    return found if isinstance(found, dict) and {"files", "made_by", "tables"} == set(found) else None


@cache
def _code_digest() -> str:
    """Digest of our own code: a developer's change is never taken for complete."""
    root = Path(__file__).resolve().parents[2]
    files = [path for name in _CODE for path in sorted((root / name).rglob("*.py"))]
    return digest_of([[path.relative_to(root).as_posix(), sha256(path.read_bytes()).hexdigest()] for path in files])
