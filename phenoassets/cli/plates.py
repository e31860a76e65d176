"""The end, the new name and the second import of a plate, in the tables and in what Dagster and the sensors know.

In go a screen and a plate; out come steps, each a line for a person and an act that takes the plate's lock. Raw files
are never touched. Every step can be repeated, so that what was broken off is finished by asking again.
"""

import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from shlex import quote as quoted

import dagster as dg

from assets.factory import PLATE_PARTITION
from phenoassets.admin.plates import Step, finish_renaming, plate_folders, removal_steps, renaming_steps
from phenoassets.admin.status import known_plates
from phenoassets.cli.instance import instance_of
from phenoassets.errors import SettingsError, StoreError, as_argument
from phenoassets.planning.landing_watch import FileLedger
from phenoassets.planning.plate_requests import Kind, make_plate_request
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import landing_of
from phenoassets.steps.receipts import forget_receipt
from phenoassets.store.home import Home, check_plate_name
from phenoassets.store.locks import plate_lock
from phenoassets.store.tables import TableStore
from sensors.runs import busy_plates, fail_orphaned_runs

_LOCK_SECONDS = 60.0


def remove(screen: Screen, plate: str) -> list[Step]:
    """Steps that forget `plate`; the sensor leaves it alone from then on.

    Raises
    ------
    SettingsError
        If nothing is known of it.
    StoreError
        If a run of it waits or is under way.
    """
    line = f"have the sensor leave {plate} alone until phenoassets plate reimport {as_argument(plate)}"
    wish: Step = (line, partial(_wish, screen.home, plate, "removed"))
    return _locked(screen.home, [plate], [wish, *_forgetting(screen, plate)])


def reimport(screen: Screen, plate: str) -> list[Step]:
    """Steps that forget `plate` and have the sensor import it again, removed or not; raises as `remove`."""
    return _locked(screen.home, [plate], [*_forgetting(screen, plate), _again(screen, plate)])


def rename(screen: Screen, plate: str, new: str) -> list[Step]:
    """Steps that call `plate` by the name `new`; raises as `remove`, or if `new` cannot be its name yet."""
    home = screen.home
    _require_idle(home, plate)
    steps = renaming_steps(TableStore(home), plate, new, landing_of(screen).sources)
    steps += _dropping_partition(home, plate)
    line = f"know the files of {new} as those of {plate} were known"
    steps.append((line, partial(FileLedger(home.watch).rename, plate, new)))
    done: Step = (f"{plate} is now {new}", partial(_finish_renaming, home, plate))
    return _locked(home, [plate, new], [*steps, _again(screen, new), done])


def _forgetting(screen: Screen, plate: str) -> list[Step]:
    home = screen.home
    check_plate_name(plate)
    _require_idle(home, plate)
    steps = _dropping_partition(home, plate)
    if plate_folders(home, plate):
        steps += removal_steps(TableStore(home), plate)
    if not steps and plate not in known_plates(screen, TableStore(home), landing_of(screen)):
        raise SettingsError(f"plate {plate} is not known in {home.root}; phenoassets status lists the plates")
    return [*steps, (f"forget what the sensor knows of the files of {plate}", partial(_forget_files, home, plate))]


def _forget_files(home: Home, plate: str) -> None:
    FileLedger(home.watch).forget(plate)
    forget_receipt(home, plate)


def _finish_renaming(home: Home, plate: str) -> None:
    finish_renaming(home, plate)
    forget_receipt(home, plate)


def _again(screen: Screen, plate: str) -> Step:
    line = (
        f"have the sensor import {plate} once it has settled; phenoassets run --plate {quoted(plate)} does so at once"
    )
    return line, partial(_wish, screen.home, plate, "again")


def _wish(home: Home, plate: str, kind: Kind) -> None:
    make_plate_request(home, plate, kind)


def _dropping_partition(home: Home, plate: str) -> list[Step]:
    if not home.dagster.is_dir():
        return []
    with instance_of(home) as instance:
        if not instance.has_dynamic_partition(PLATE_PARTITION, plate):
            return []
    return [(f"forget the partition {plate}", partial(_drop_partition, home, plate))]


def _drop_partition(home: Home, plate: str) -> None:
    """Drop the partition; the next import of that name counts as changed, whatever it holds."""
    version = {"dagster/data_version": f"removed {secrets.token_hex(8)}"}
    with instance_of(home) as instance:
        for key in instance.all_asset_keys():
            if plate in instance.get_materialized_partitions(key):
                gone = dg.AssetMaterialization(key, partition=plate, tags=version, description="the plate was removed")
                instance.report_runless_asset_event(gone)
        instance.delete_dynamic_partition(PLATE_PARTITION, plate)


def _require_idle(home: Home, plate: str) -> None:
    if not home.dagster.is_dir():
        return
    with instance_of(home) as instance:
        fail_orphaned_runs(instance, home.locks)
        if plate in busy_plates(instance):
            raise StoreError(f"plate {plate}: a run of it waits or is under way; let it end, or cancel it in the UI")


def _locked(home: Home, plates: Sequence[str], steps: list[Step]) -> list[Step]:
    """`steps`, each done under the locks of `plates`."""

    def under_locks(act: Callable[[], None]) -> None:
        with ExitStack() as stack:
            for plate in sorted(plates):
                stack.enter_context(plate_lock(home.locks, plate, wait_seconds=_LOCK_SECONDS))
            act()

    return [(line, partial(under_locks, act)) for line, act in steps]
