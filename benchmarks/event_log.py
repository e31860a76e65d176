"""Size of Dagster's event log of a home: how much of it are thumbnails, and how large the files of figures are.

``python benchmarks/event_log.py [HOME]`` measures a home that was made (``make demo`` makes ./demo).
"""

import argparse
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from phenoassets.store.home import Home

_IMAGE = re.compile(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]*")


class EventLog(NamedTuple):
    """Bytes of the event databases on disk, of the events in them, of their thumbnails, and of the figures' files."""

    on_disk: int
    in_events: int
    in_thumbnails: int
    materializations: int
    in_figures: int


def measure(home):
    """Measure the event log of `home`; index.db holds the events of assets a second time."""
    files = sorted((home.dagster / "history" / "runs").glob("*.db"))
    events = thumbnails = materializations = 0
    for file in files:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            for (text,) in connection.execute("SELECT event FROM event_logs"):
                events += len(text)
                thumbnails += sum(len(image) for image in images(json.loads(text)))
                materializations += file.stem != "index" and '"ASSET_MATERIALIZATION"' in text
    figures = sum(path.stat().st_size for path in (home.root / "figures").rglob("*.png"))
    return EventLog(sum(file.stat().st_size for file in files), events, thumbnails, materializations, figures)


def images(value):
    """Every image in an event, as its text."""
    if isinstance(value, str):
        yield from _IMAGE.findall(value)
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from images(inner)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", nargs="?", default="demo", type=Path)
    found = measure(Home(parser.parse_args().home))
    print(f"event databases: {found.on_disk / 1e6:.2f} MB on disk, {found.in_events / 1e6:.2f} MB of events")
    print(f"  of these in thumbnails: {found.in_thumbnails / 1e6:.2f} MB, {found.materializations} materializations")
    print(f"files of figures: {found.in_figures / 1e6:.2f} MB")
