"""Damage is noticed: flipped bytes in tables and pixels, wherever they lie."""

import random

import numpy as np
import pytest
from builders import embeddings_frame, image_rows, plate_map_frame, plates_frame, scans_frame, typed
from click.testing import CliRunner

from phenoassets.admin.verify import verify_home
from phenoassets.cli.main import main
from phenoassets.errors import StoreError
from phenoassets.imaging.store import PlateStore
from phenoassets.store.incremental import IncrementalTable
from phenoassets.store.tables import TableStore

FLIPS = 40
FLIPPED = 64


def made(home):
    store = TableStore(home)
    store.write("plates", plates_frame(), plate="P1")
    store.write("plate_maps", plate_map_frame(), plate="P1")
    store.write("scans", scans_frame(), plate="P1")
    store.write("embeddings", embeddings_frame(width=512), model="m", plate="P1")
    table = IncrementalTable(store, "corrected_images", "P1", "r")
    pixels = PlateStore(table.pixels, root=home.root, name="P1")
    scans = ["000d00h00m", "000d02h00m"]
    pixels.ensure(["A01", "A02"], [1], ["phase"], (64, 64), "uint8", scans=scans)
    rng = np.random.default_rng(0)
    for well in ("A01", "A02"):
        pixels.append(well, 1, "phase", scans, list(rng.integers(1, 255, (2, 64, 64), np.uint8)))
    rows = [r | {"zarr": "z", "index": scans.index(r["scan"]), "recipe_digest": "r"} for r in image_rows()]
    table.append(typed("corrected_images", rows))
    return store


def flip(file, place):
    content = bytearray(file.read_bytes())
    for at in range(place, min(place + FLIPPED, len(content))):
        content[at] ^= 0xFF
    file.write_bytes(content)


def test_bytes_flipped_at_forty_places_are_all_noticed_and_named(home):
    made(home)
    files = [f for f in sorted(home.root.rglob("*")) if f.is_file() and (f.suffix == ".parquet" or ".zarr" in str(f))]
    assert verify_home(home).damaged == []
    moments = random.Random(0)
    for _ in range(FLIPS):
        file = moments.choice(files)
        whole = file.read_bytes()
        flip(file, moments.randrange(len(whole)))
        assert [line for line in verify_home(home).damaged if line.startswith(f"{file} is damaged; phenoassets plate")]
        file.write_bytes(whole)
    assert verify_home(home).damaged == []


def test_readers_notice_bytes_flipped_in_any_parquet_file(home):
    store = made(home)
    moments = random.Random(1)
    for table, model in (("plates", None), ("scans", None), ("embeddings", "m"), ("corrected_images", None)):
        [file] = store.parts(table, model, "P1")
        whole = file.read_bytes()
        for _ in range(5):
            flip(file, moments.randrange(len(whole)))
            with pytest.raises(StoreError, match="is damaged; phenoassets plate reimport P1"):
                TableStore(home).read(table, model, "P1", ["plate"])
            file.write_bytes(whole)
        assert TableStore(home).read(table, model, "P1").height


def test_readers_notice_bytes_flipped_in_any_picture(home):
    store = made(home)
    shards = [f for f in sorted(store.pixels("P1").rglob("c/*/*/*/*")) if f.is_file()]
    assert len(shards) == 2
    moments = random.Random(2)
    for shard in shards:
        whole = shard.read_bytes()
        well = "A01" if "/A/1/" in shard.as_posix() else "A02"
        for _ in range(10):
            flip(shard, moments.randrange(len(whole)))
            pixels = PlateStore(store.pixels("P1"), name="P1")
            with pytest.raises(StoreError, match=r"P1 A0.*damaged"):
                pixels.read_many([(well, 1, "phase", 0), (well, 1, "phase", 1)])
            shard.write_bytes(whole)
        assert len(PlateStore(store.pixels("P1")).read_many([(well, 1, "phase", 0), (well, 1, "phase", 1)])) == 2


def test_missing_pixels_and_files_are_named(home):
    store = made(home)
    shard = next(f for f in sorted(store.pixels("P1").rglob("c/*/*/*/*")) if f.is_file())
    shard.unlink()
    [scans] = store.parts("scans")
    scans.unlink()
    damaged = verify_home(home).damaged
    assert any(line.startswith(f"{shard} is missing; phenoassets plate reimport P1") for line in damaged)
    assert any(line.startswith(f"{scans} is missing") for line in damaged)
    assert len(damaged) == 2


def test_the_command_ends_with_1_where_something_is_damaged(home):
    store = made(home)
    told = CliRunner().invoke(main, ["verify", "--home", str(home.root)])
    assert told.exit_code == 0
    assert "0 damaged" in told.output
    [file] = store.parts("scans")
    flip(file, 40)
    told = CliRunner().invoke(main, ["verify", "--home", str(home.root)])
    assert told.exit_code == 1
    assert f"{file} is damaged; phenoassets plate reimport P1" in told.output


def test_a_home_with_pixels_of_an_earlier_version_says_that_they_cannot_be_verified(home, monkeypatch):
    monkeypatch.setattr("phenoassets.imaging.store.CHECKSUMS", False)
    made(home)
    found = verify_home(home)
    assert found.damaged == []
    [note] = found.notes
    assert "was made before pixels had checksums" in note
