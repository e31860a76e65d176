import errno
import os

import polars as pl
import pytest
from builders import embeddings_frame, image_rows, plates_frame, scans_frame, typed

from phenoassets.errors import SchemaError, SettingsError, StalenessError, StoreError
from phenoassets.store.home import Home, check_plate_name
from phenoassets.store.incremental import IncrementalTable
from phenoassets.store.tables import atomic_path, column_names, recipe_of


def test_what_is_written_is_read_back_sorted_by_key(store):
    frame = scans_frame(hours=(4.0, 0.0, 2.0))
    store.write("scans", frame, plate="P1")
    assert store.read("scans", plate="P1").equals(frame.sort("plate", "scan"))


def test_a_frame_that_does_not_fit_is_refused_with_every_mismatch(store):
    frame = scans_frame().with_columns(pl.col("n_present").cast(pl.Int64)).drop("complete")
    with pytest.raises(SchemaError, match=r"columns missing: complete.*n_present is Int64, expected Int32"):
        store.write("scans", frame, plate="P1")
    assert store.parts("scans") == []


def test_a_repeated_key_is_refused(store):
    with pytest.raises(SchemaError, match="1 rows repeat the key"):
        store.write("plates", pl.concat([plates_frame(), plates_frame()]), plate="P1")


def test_a_table_without_files_is_an_empty_frame_of_its_columns(store):
    assert store.read("embeddings", "m").columns == list(embeddings_frame().columns)


def test_the_recipe_stands_in_the_file(store):
    path = store.write("scans", scans_frame(), plate="P1", recipe="abc")
    assert recipe_of(path) == "abc"


def test_the_recipes_of_each_plate_are_told(store):
    for plate, recipe in (("P1", "old"), ("P2", "new")):
        store.write("embeddings", embeddings_frame(rows=image_rows(plate)), model="m", plate=plate, recipe=recipe)
    assert store.recipes("embeddings", "m") == {"P1": {"old"}, "P2": {"new"}}
    assert store.recipes("embeddings", "m", "P2") == {"P2": {"new"}}


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "t"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["t"]
    assert target.read_text() == "old"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_permissions_that_the_umask_leaves(store, mask, mode):
    before = os.umask(mask)
    try:
        path = store.write("scans", scans_frame(), plate="P1")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("spoilt", [b"", b"PAR1", b"x" * 100, None])
def test_a_damaged_file_is_named_with_the_plate_to_reimport(store, spoilt):
    for plate in ("P1", "P2"):
        store.write("scans", scans_frame(plate), plate=plate)
    [path] = store.parts("scans", plate="P2")
    path.write_bytes(path.read_bytes()[:200] if spoilt is None else spoilt)
    for read in (lambda: store.read("scans"), lambda: column_names(path)):
        with pytest.raises(StoreError, match=r"part\.parquet is damaged; phenoassets plate reimport P2 recomputes"):
            read()


def test_pages_that_are_damaged_are_named_too(store):
    path = store.write("strong_treatments", typed("strong_treatments", []), model="m")
    store.write("scans", scans_frame(), plate="P1")
    [scans] = store.parts("scans")
    content = scans.read_bytes()
    scans.write_bytes(content[:100] + bytes(50) + content[150:])
    with pytest.raises(StoreError, match="reimport P1"):
        store.read("scans")
    path.write_bytes(b"")
    with pytest.raises(StoreError, match=r"part\.parquet is damaged; delete .*strong_treatments/model=m and run again"):
        store.read("strong_treatments", "m")


def test_a_file_that_may_not_be_read_is_not_called_damaged(store, monkeypatch):
    path = store.write("scans", scans_frame(), plate="P1")

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pyarrow.parquet.read_schema", refuse)
    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(StoreError, match="cannot be read: Permission denied; check who owns the home"):
        column_names(path)


@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "no space left"), (errno.EACCES, "no permission")])
def test_a_full_disk_and_a_closed_folder_are_named(tmp_path, code, words):
    with pytest.raises(StoreError, match=words), atomic_path(tmp_path / "t"):
        raise OSError(code, os.strerror(code))


@pytest.mark.parametrize("name", ["", "..", ".x", "a/b", "a\\b", "a*", "a...b", " a", "a\n", "x" * 200, "[a]"])
def test_a_plate_name_that_could_leave_the_home_is_refused(name):
    with pytest.raises(SettingsError, match="rename its folder"):
        check_plate_name(name)


@pytest.mark.parametrize("name", ["P1", "VID 558 (A549)", "2019-08-30_plåte", "a.b"])
def test_a_plate_name_of_a_lab_is_taken(name):
    assert check_plate_name(name) == name


def test_a_table_folder_never_leaves_the_home(tmp_path):
    with pytest.raises(SettingsError):
        Home(tmp_path).table("scans", plate="../x")


# Incremental tables


def grown(store, recipe):
    return IncrementalTable(store, "embeddings", "P1", recipe, model="m")


def test_an_incremental_table_knows_what_is_done_and_adds_only_that_batch(store):
    first = embeddings_frame(rows=image_rows(wells=("A01",)))
    second = embeddings_frame(rows=image_rows(wells=("A02",)))
    grown(store, "r1").append(first)
    table = grown(store, "r1")
    assert table.done() == set(first["image_id"])
    table.append(second)
    table.append(second)  # a repeated batch replaces itself
    assert store.read("embeddings", "m", "P1").height == 4
    assert len(store.parts("embeddings", "m", "P1")) == 2


def test_under_a_new_recipe_the_plate_is_made_beside_and_counts_when_complete(store):
    old, new = embeddings_frame(seed=0), embeddings_frame(seed=1)
    grown(store, "r1").append(old)
    table = grown(store, "r2")
    assert table.is_rebuilding
    assert table.done() == set()
    table.append(new)
    assert table.target != store.parts("embeddings", "m")[0].parent
    assert store.recipes("embeddings", "m") == {"P1": {"r1"}}  # until committed readers see the old rows alone
    assert table.commit()
    assert store.recipes("embeddings", "m") == {"P1": {"r2"}}
    assert store.read("embeddings", "m")["embedding"].to_list() == new.sort("image_id")["embedding"].to_list()
    assert not grown(store, "r2").is_rebuilding


def test_a_killed_recomputation_is_taken_up_where_it_stopped(store):
    grown(store, "r1").append(embeddings_frame())
    half = embeddings_frame(rows=image_rows(wells=("A01",)))
    grown(store, "r2").append(half)
    assert grown(store, "r2").done() == set(half["image_id"])
    assert grown(store, "r3").done() == set()  # another recipe drops what the second had begun
    assert grown(store, "r2").done() == set()


def test_a_recomputation_of_nothing_leaves_the_old_rows(store):
    grown(store, "r1").append(embeddings_frame())
    with pytest.raises(StalenessError, match="no row of embeddings could be recomputed"):
        grown(store, "r2").commit()
    assert store.recipes("embeddings", "m") == {"P1": {"r1"}}


def test_old_generations_go_with_the_next_sweep_and_never_one_that_counts(store):
    grown(store, "r1").append(embeddings_frame())
    [old] = store.parts("embeddings", "m")
    table = grown(store, "r2")
    table.append(embeddings_frame(seed=1))
    table.commit()
    assert old.is_file()  # a database file may still name it
    store.sweep()
    assert not old.exists()
    assert store.read("embeddings", "m").height == 4
