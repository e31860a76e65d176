"""What a person has asked of the export sensor: to leave a plate alone, or to import it again.

In go a home and a plate; out comes one small file a plate in the home's watch folder, which the sensor reads at each
look, and what is known of the plates once the wishes are heeded. A file outlasts a look that is under way and a cursor
that is reset.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from phenoassets.planning import exports
from phenoassets.planning.exports import WatchState
from phenoassets.store.home import Home, check_plate_name
from phenoassets.store.tables import atomic_path

Kind = Literal["removed", "again"]
_SUFFIX: Final = ".wish.json"


@dataclass(frozen=True)
class PlateRequest:
    """One wish: ``removed`` stands until another is made, ``again`` is granted once and is then gone."""

    plate: str
    kind: Kind
    token: str


def make_plate_request(home: Home, plate: str, kind: Kind) -> PlateRequest:
    """Write the wish for `plate`, in place of an earlier one."""
    wish = PlateRequest(check_plate_name(plate), kind, secrets.token_hex(8))
    with atomic_path(_path(home, plate)) as temporary:
        temporary.write_text(json.dumps({"kind": kind, "token": wish.token}), encoding="utf-8")
    return wish


def read_plate_requests(home: Home) -> dict[str, PlateRequest]:
    """Wishes by plate; a damaged file says nothing."""
    found = {}
    for path in sorted(home.watch.glob(f"*{_SUFFIX}")):
        wish = _read(path)
        if wish is not None:
            found[wish.plate] = wish
    return found


def removed_plates(home: Home) -> set[str]:
    """Plates that are to be left alone."""
    return {plate for plate, wish in read_plate_requests(home).items() if wish.kind == "removed"}


def drop_plate_request(home: Home, wish: PlateRequest) -> None:
    """Drop a wish that has been granted, unless another has taken its place."""
    path = _path(home, wish.plate)
    if _read(path) == wish:
        path.unlink(missing_ok=True)


def apply_plate_requests(home: Home, state: WatchState, granted: Collection[str]) -> tuple[WatchState, list[str]]:
    """`state` after the wishes, and the tokens of those that are granted now; the files of those `granted` are dropped.

    A wish that is granted keeps its file until the look has been stored, so that one that breaks off loses none.
    """
    standing = []
    for plate, wish in read_plate_requests(home).items():
        if wish.kind == "removed":
            state = exports.exclude(state, plate)
        elif wish.token in granted:
            drop_plate_request(home, wish)
        else:
            state = exports.request_reimport(state, plate)
            standing.append(wish.token)
    return state, standing


def _path(home: Home, plate: str) -> Path:
    return home.watch / f"{plate}{_SUFFIX}"


def _read(path: Path) -> PlateRequest | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        kind, token = found["kind"], str(found["token"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return PlateRequest(path.name.removesuffix(_SUFFIX), kind, token) if kind in get_args(Kind) else None
