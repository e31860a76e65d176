"""What a person has asked of the export sensor: to leave a plate alone, or to import it again.

In go a home and a plate; out comes one small file a plate in the home's watch folder, which the sensor reads at each
look. A file outlasts a look that is under way and a cursor that is reset; what follows from it is the sensor's.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

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


def _path(home: Home, plate: str) -> Path:
    return home.watch / f"{plate}{_SUFFIX}"


def _read(path: Path) -> PlateRequest | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        kind, token = found["kind"], str(found["token"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return PlateRequest(path.name.removesuffix(_SUFFIX), kind, token) if kind in get_args(Kind) else None
