"""What counts is what a manifest names: strays, kills, generations, links, homes of earlier versions."""

import shutil
from contextlib import suppress
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from builders import earlier_file, embeddings_frame, image_rows, plates_frame, scans_frame, typed

from phenoassets.errors import SchemaError, StoreError
from phenoassets.imaging.store import PlateStore
from phenoassets.sql.query import run_query
from phenoassets.store.home import Home
from phenoassets.store.incremental import IncrementalTable
from phenoassets.store.manifest import Manifest
from phenoassets.store.objects import LocalObjects
from phenoassets.store.tables import TableStore


def centers(store, level):
    """Two tables of the answers that must tell the same, at `level`."""
    for table in ("cluster_scores", "drug_effects"):
        store.write(table, typed(table, []).head(0), model="m", recipe=f"r{level}")


def levels(home):
    return {TableStore(home).manifest(table, "m").recipe for table in ("cluster_scores", "drug_effects")}


def test_a_file_that_no_manifest_names_does_not_count(store):
    [part] = [store.write("scans", scans_frame(), plate="P1")]
    shutil.copy(part, part.with_name("stray.parquet"))
    shutil.copy(part, store.folder("scans", plate="P1") / "stray.parquet")
    shutil.copytree(store.folder("scans", plate="P1") / part.parent.name, store.folder("scans", plate="P1") / "0009")
    assert store.parts("scans") == [part]
    assert TableStore(store.home).read("scans").height == 3
    assert run_query([store.home], "SELECT count(*) FROM scans").item() == 3


def test_the_manifest_says_files_rows_recipe_columns_and_digest(store):
    path = store.write("scans", scans_frame(), plate="P1", recipe="abc")
    manifest = store.manifest("scans", plate="P1")
    assert (manifest.rows, manifest.recipe, list(manifest.columns)) == (3, "abc", scans_frame().columns)
    assert store.paths(manifest) == [path]
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    store.write("scans", scans_frame(), plate="P1", recipe="abc")
    assert store.manifest("scans", plate="P1").digest == manifest.digest
    store.write("scans", scans_frame(hours=(0.0, 1.0)), plate="P1", recipe="abc")
    assert store.manifest("scans", plate="P1").digest != manifest.digest


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"checked": "x"}'])
def test_a_damaged_manifest_is_an_error_and_never_an_empty_table(store, damage):
    store.write("scans", scans_frame(), plate="P1")
    file = store.folder("scans", plate="P1") / "manifest.json"
    file.write_bytes(damage)
    with pytest.raises(StoreError, match=r"manifest\.json is damaged; phenoassets plate reimport P1 recomputes"):
        TableStore(store.home).read("scans", plate="P1")
    with pytest.raises(StoreError, match="damaged"):
        run_query([store.home], "SELECT * FROM scans")


def test_one_changed_letter_in_a_manifest_is_noticed(store):
    store.write("scans", scans_frame(), plate="P1")
    file = store.folder("scans", plate="P1") / "manifest.json"
    file.write_text(file.read_text().replace('"rows": 3', '"rows": 4', 1))
    with pytest.raises(StoreError, match="damaged"):
        TableStore(store.home).read("scans")


def test_a_file_that_is_gone_is_named_and_never_an_empty_table(store):
    path = store.write("scans", scans_frame(), plate="P1")
    path.unlink()
    with pytest.raises(StoreError, match=f"{path} is missing, which its manifest names; phenoassets plate reimport P1"):
        store.read("scans")
    with pytest.raises(StoreError, match="is missing"):
        run_query([store.home], "SELECT * FROM scans")


@pytest.mark.parametrize("number", range(1, 12))
def test_a_kill_between_two_writes_leaves_the_old_answers_or_the_new(home, monkeypatch, number):
    store = TableStore(home)
    with store.together():
        centers(store, 1)
    calls = []
    for verb in ("put", "delete"):
        real = getattr(LocalObjects, verb)

        def call(*arguments, real=real):
            calls.append(arguments)
            if len(calls) == number:
                raise KeyboardInterrupt
            return real(*arguments)

        monkeypatch.setattr(LocalObjects, verb, call)
    with suppress(KeyboardInterrupt), store.together():
        centers(store, 2)
    monkeypatch.undo()
    assert levels(home) in ({"r1"}, {"r2"})
    assert len(calls) >= number or levels(home) == {"r2"}
    again = TableStore(home)
    with again.together():
        centers(again, 3)
    assert levels(home) == {"r3"}
    assert list((home.root / "commits").glob("*.json")) == []


def test_what_was_held_is_forgotten_where_the_step_fails(store):
    store.write("scans", scans_frame(), plate="P1")
    with pytest.raises(RuntimeError), store.together():
        store.write("scans", scans_frame(hours=(0.0,)), plate="P1")
        assert store.read("scans").height == 1  # within, what was written is read
        raise RuntimeError
    assert store.read("scans").height == 3


def test_a_key_that_another_part_has_is_refused_at_the_commit(store):
    store.write("embeddings", embeddings_frame(), model="m", plate="P1", part="a.parquet")
    with pytest.raises(SchemaError, match=r"4 rows repeat the key \(model, image_id\) of another of its 2 files"):
        store.write("embeddings", embeddings_frame(seed=1), model="m", plate="P1", part="b.parquet")
    assert store.read("embeddings", "m").height == 4


def test_rows_are_changed_in_all_files_or_in_none(store):
    for part, well in (("a.parquet", "A01"), ("b.parquet", "A02")):
        frame = embeddings_frame(rows=image_rows(wells=(well,)))
        store.write("embeddings", frame, model="m", plate="P1", part=part)

    def refused(frame):
        if frame["well"][0] == "A02":
            raise RuntimeError
        return frame.head(1)

    with pytest.raises(RuntimeError):
        store.edit("embeddings", refused, model="m", plate="P1")
    assert store.read("embeddings", "m").height == 4
    store.edit("embeddings", lambda frame: frame.filter(pl.col("well") == "A01"), model="m", plate="P1")
    assert store.read("embeddings", "m")["well"].to_list() == ["A01", "A01"]
    assert len(store.parts("embeddings")) == 1


@pytest.mark.parametrize("folder", ["embeddings", "embeddings/model=m", "corrected_images"])
def test_a_folder_of_the_home_may_be_a_link_to_another_disk(tmp_path, folder):
    home = Home(tmp_path / "home")
    (tmp_path / "disk").mkdir()
    (home.root / folder).parent.mkdir(parents=True)
    (home.root / folder).symlink_to(tmp_path / "disk")
    store = TableStore(home)
    store.write("plates", plates_frame(), plate="P1")
    for recipe in ("r1", "r2"):
        table = IncrementalTable(store, "embeddings", "P1", recipe, model="m")
        table.append(embeddings_frame())
        table.commit()
        table = IncrementalTable(store, "corrected_images", "P1", recipe)
        pixels = PlateStore(table.pixels, root=home.root, name="P1")
        pixels.ensure(["A01"], [1], ["phase"], (4, 4), "uint8")
        assert home.relative(table.pixels).startswith("corrected_images/P1/")
        rows = [row | {"zarr": "z", "index": 0, "recipe_digest": recipe} for row in image_rows()]
        table.append(typed("corrected_images", rows))
        table.commit()
    store.sweep()
    assert TableStore(home).read("embeddings", "m").height == 4
    assert run_query([home], "SELECT count(*) FROM embeddings").item() == 4
    assert list((tmp_path / "disk").iterdir())
    assert [path.name for path in home.pixels("P1").iterdir()] == [store.pixels("P1").name]


# Homes of versions without manifests


def earlier_home(home):
    earlier_file(home, scans_frame(), "scans", plate="P1")
    earlier_file(home, plates_frame(), "plates", plate="P1")
    for part, well in (("a.parquet", "A01"), ("b.parquet", "A02")):
        frame = embeddings_frame(rows=image_rows(wells=(well,)))
        earlier_file(home, frame, "embeddings", part, model="m", plate="P1", recipe="r1")
    earlier_file(home, typed("cluster_scores", []), "cluster_scores", model="m")
    pixels = PlateStore(home.table("corrected_images") / "P1.zarr")
    pixels.ensure(["A01"], [1], ["phase"], (4, 4), "uint8", scans=["a"])
    pixels.append("A01", 1, "phase", ["a"], [np.ones((4, 4), np.uint8)])
    rows = [row | {"zarr": "z", "index": 0, "recipe_digest": "r"} for row in image_rows()]
    earlier_file(home, typed("corrected_images", rows), "corrected_images", plate="P1", recipe="r")


def test_a_home_of_an_earlier_version_is_read_as_it_lies_and_goes_on_growing(home):
    earlier_home(home)
    store = TableStore(home)
    assert store.read("scans").equals(scans_frame())
    assert store.read("embeddings", "m").height == 4
    assert store.recipes("embeddings", "m") == {"P1": {"r1"}}
    assert PlateStore(store.pixels("P1"), root=home.root, name="P1").read("A01", 1, "phase", 0).all()
    assert run_query([home], "SELECT count(*) FROM embeddings").item() == 4
    table = IncrementalTable(store, "embeddings", "P1", "r1", model="m")
    assert not table.is_rebuilding
    assert len(table.done()) == 4
    table.append(embeddings_frame(rows=image_rows(wells=("A03",))))
    table = IncrementalTable(store, "embeddings", "P1", "r2", model="m")
    assert table.is_rebuilding
    table.append(embeddings_frame())
    table.commit()
    store.sweep()
    assert TableStore(home).read("embeddings", "m").height == 4
    assert list(home.table("embeddings", "m", "P1").glob("*.parquet")) == []


def test_an_earlier_home_is_taken_up_once(home):
    earlier_home(home)
    assert TableStore(home).read("scans").height == 3
    earlier_file(home, scans_frame("P2"), "scans", plate="P2")
    assert TableStore(home).plates("scans") == ["P1"]


def test_an_earlier_home_that_nothing_can_be_written_to_is_read_all_the_same(home, monkeypatch):
    earlier_home(home)

    def refuse(*_):
        raise StoreError("no permission to write")

    monkeypatch.setattr(LocalObjects, "put_if_absent", refuse)
    assert TableStore(home).read("embeddings", "m").height == 4
    assert not list(home.root.rglob("manifest.json"))


def test_an_earlier_table_that_a_kill_left_between_two_folders_is_recomputed_with_a_word(home, caplog):
    earlier_home(home)
    (home.table("embeddings", "m") / ".plate=P1.swap.json").write_text("[]")
    table = IncrementalTable(TableStore(home), "embeddings", "P1", "r1", model="m")
    assert table.is_rebuilding
    assert "plate P1: embeddings was being exchanged when a run was killed, so it is recomputed" in caplog.text


def test_a_damaged_file_of_an_earlier_home_is_named(home):
    earlier_home(home)
    (home.table("scans", plate="P1") / "part.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"part\.parquet is damaged; phenoassets plate reimport P1"):
        TableStore(home).read("scans")


def test_pixels_come_and_go_with_their_rows(store):
    first = IncrementalTable(store, "corrected_images", "P1", "r1")
    rows = [row | {"zarr": "z", "index": 0, "recipe_digest": "r"} for row in image_rows()]
    first.pixels.mkdir(parents=True)
    first.append(typed("corrected_images", rows))
    assert store.pixels("P1") == first.pixels
    second = IncrementalTable(store, "corrected_images", "P1", "r2")
    second.pixels.mkdir()
    second.append(typed("corrected_images", rows))
    assert store.pixels("P1") == first.pixels
    second.commit()
    assert store.pixels("P1") == second.pixels
    assert not first.pixels.exists()
    assert replace(store.manifest("corrected_images", plate="P1"), zarr="").digest
