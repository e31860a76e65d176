"""A home before its first run: settings written, folders checked, space counted.

In goes a path; out comes a screen that can be run, or one clear error. Nothing is materialized here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import tomlkit

from phenoassets.errors import ExportError, PhenoassetsError, SettingsError, StoreError
from phenoassets.planning.plate_requests import removed_plates
from phenoassets.screen.loading import Screen, load_screen
from phenoassets.screen.plate_files import landing_of
from phenoassets.screen.settings import exports_folder, read_settings
from phenoassets.sql.database import repair_moved_database, write_database
from phenoassets.store.home import Home, check_plate_name
from phenoassets.store.tables import TableStore, atomic_path, translated

# Bytes that a raw byte leaves behind at most: a corrected image, and room for its vectors and tables.
BYTES_PER_RAW_BYTE = 1.2


def prepare_home(home: Home, exports: Path | None, *, models: Sequence[str] = ()) -> Screen:
    """Make `home` ready: its folder, its ``screen.toml``, its views and the landing folder that it names.

    Parameters
    ----------
    home
        The home; made if it is not there.
    exports
        Landing folder; written into ``screen.toml`` where that does not say yet.
    models
        Models that must be among the screen's; a new home gets them and no others.

    Raises
    ------
    ExportError
        If the landing folder does not exist.
    SettingsError
        If the home reads another landing folder, or lacks a model.
    """
    with translated(home.root):
        home.root.mkdir(parents=True, exist_ok=True)
    new = not home.settings_file.is_file()
    document = _document(home, exports)
    if new and models:
        document["models"] = list(models)
        document["primary_model"] = models[0]
    section = document.setdefault("exports", tomlkit.table())
    if exports is not None:
        wanted = exports.expanduser().resolve()
        if not wanted.is_dir():
            raise ExportError(f"no exports folder {wanted}; name the folder that holds one folder a plate")
        named = section.get("folder")
        if named is None:
            # Within the home it moves and is copied with it.
            inside = wanted.is_relative_to(home.root)
            section["folder"] = wanted.relative_to(home.root).as_posix() if inside else str(wanted)
            new = True
        elif (home.root / str(named)).resolve() != wanted:
            raise SettingsError(
                f"{home.settings_file} reads its exports from {named}, not from {wanted}; one home is one screen: "
                "edit exports.folder or choose another --home"
            )
    if new:
        with atomic_path(home.settings_file) as temporary:
            temporary.write_text(tomlkit.dumps(document), encoding="utf-8")
            read_settings(temporary)
    screen = load_screen(home)
    known = screen.settings.makers_of_tables
    lacking = [m for m in models if m not in known]
    if lacking:
        listed = ", ".join(known)
        raise SettingsError(f"{home.settings_file} lists the models {listed}; add {', '.join(lacking)} there")
    if exports is None and not Path(screen.settings.exports.folder).is_absolute():
        screen.exports.mkdir(parents=True, exist_ok=True)
    if not home.database.is_file():  # views can be asked before, or without, the screen's answers
        write_database(screen)
    return screen


def require_writable(home: Home) -> None:
    """Refuse work on a home that may only be read.

    Raises
    ------
    StoreError
        With what can be done on it.
    """
    if not home.is_writable:
        raise StoreError(
            f"{home.root} may only be read; run where it can be written (phenoassets status, sql, export and "
            "ui --read-only work as it is)"
        )


def existing_screen(home: Home) -> Screen:
    """Load the screen of a home that must be there already."""
    if not home.root.is_dir():
        raise SettingsError(f"no home at {home.root}; name one with --home, or make one with phenoassets run")
    return load_screen(home)


def plates_to_run(screen: Screen, named: Sequence[str] = ()) -> list[str]:
    """Plates asked for, or all among the exports that were not removed.

    Raises
    ------
    ExportError
        If the landing folder is missing or holds no plate, or a plate asked for is not there.
    """
    landing = landing_of(screen)
    there = sorted({*landing.sources, *landing.unusable})
    for plate in named:
        check_plate_name(plate)
        if plate not in there:
            raise ExportError(
                f"no plate {plate} among the exports in {screen.exports}; there are {', '.join(there) or 'none'}"
            )
    if not there:
        vessels = ", ".join(landing.unmapped)
        why = f"no row of plates.csv names the vessels {vessels}" if vessels else "every plate is a folder there"
        raise ExportError(f"{screen.exports} holds no plate: {why}")
    removed = removed_plates(screen.home)
    left = [plate for plate in there if plate not in removed]
    if not left and not named:
        raise ExportError(f"every plate in {screen.exports} was removed; phenoassets plate reimport imports one again")
    return list(dict.fromkeys(named)) or left


def bytes_to_come(store: TableStore, plate: str, listed: int) -> int:
    """Bytes of a plate's `listed` ones that are not catalogued yet."""
    return max(0, listed - int(store.read("raw_images", plate=plate, columns=["bytes"])["bytes"].sum()))


def require_space(screen: Screen, plate: str, new_bytes: int) -> None:
    """Refuse to start on `plate` where its new images would fill the disk.

    Raises
    ------
    StoreError
        With what is needed and what is free.
    """
    needed = new_bytes * BYTES_PER_RAW_BYTE + screen.settings.storage.min_free_gb * 1e9
    free = shutil.disk_usage(screen.home.root).free
    if free < needed:
        raise StoreError(
            f"plate {plate}: its new images need {needed / 1e9:.1f} GB in {screen.home.root}, {free / 1e9:.1f} GB "
            "are free; free some, or lower storage.min_free_gb in screen.toml"
        )


def check_home(home: Home) -> list[tuple[bool, str]]:
    """Check what a run needs; each finding is (whether it holds, one line)."""
    found: list[tuple[bool, str]] = []
    try:
        screen = existing_screen(home)
    except PhenoassetsError as error:
        return [(False, str(error))]
    found.append((True, f"settings: {len(screen.settings.models)} models, {screen.plates.height} rows in plates.csv"))
    exports = exports_folder(home, screen.settings)
    found.append((exports.is_dir() and os.access(exports, os.R_OK), f"exports: {exports} can be read"))
    found.append((home.is_writable, f"home: {home.root} can be written"))
    if moved := repair_moved_database(screen):
        found.append((home.is_writable, f"views: {moved}"))
    free = shutil.disk_usage(home.root).free / 1e9
    found.append((free > screen.settings.storage.min_free_gb, f"free space: {free:.1f} GB"))
    found += [_examine_model(home, model) for model in screen.settings.models]
    import torch  # slow to import, and only this check needs it here

    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    found.append((True, f"compute device: {device}, torch {torch.__version__}"))
    return found


def _examine_model(home: Home, name: str) -> tuple[bool, str]:
    from phenoassets.models import load_model

    try:
        model = load_model(name, root=home.models)
    except PhenoassetsError as error:
        return False, f"model {name}: {error}"
    return True, f"model {name}: {model.dim} numbers an image, {model.digest[:12]}"


def _document(home: Home, exports: Path | None) -> tomlkit.TOMLDocument:
    landed = exports / "screen.toml" if exports is not None else home.root / "exports" / "screen.toml"
    for path in (home.settings_file, landed):
        if path.is_file():
            read_settings(path)
            return tomlkit.parse(path.read_text(encoding="utf-8-sig"))
    return tomlkit.document()
