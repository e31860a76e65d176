import duckdb
import numpy as np
import polars as pl
import pytest
from builders import embeddings_frame, plate_map_frame, plates_frame, scans_frame, typed

from phenoassets.answering import QueryError, ask
from phenoassets.home import Home
from phenoassets.schemas import TABLES
from phenoassets.screen import load_screen
from phenoassets.tables import TableStore
from phenoassets.warehouse import connect, write_database


def fill(home):
    store = TableStore(home)
    store.write("plates", plates_frame(), plate="P1")
    store.write("scans", scans_frame(), plate="P1")
    store.write("plate_maps", plate_map_frame(), plate="P1")
    store.write("embeddings", embeddings_frame(model="convae_pooled"), model="convae_pooled", plate="P1")
    return store


def clusters(model):
    row = {
        "model": model,
        "condition_id": "A549|x@1 µM",
        "metric": "euclidean",
        "features": "raw",
        "scaling": "none",
        "k": 2,
        "cluster": 0,
        "effect": "cytotoxic",
    }
    return typed("temporal_clusters", [row])


def test_every_table_has_a_view_even_before_its_first_row(home):
    connection = connect(load_screen(home))
    for table in TABLES:
        assert connection.sql(f"SELECT * FROM {table}").pl().height == 0


def test_views_add_elapsed_hours_and_the_condition(home):
    fill(home)
    query = "SELECT well, compound, role, concentration_um, elapsed_hours FROM embeddings ORDER BY well, elapsed_hours"
    rows = ask([home], query).rows()
    assert rows[0] == ("A01", "DMSO", "negative_control", None, -1.0)
    assert rows[-1] == ("A02", "x", "treatment", 1.0, 1.0)


def test_effects_are_the_primary_models_clusters(home):
    store = fill(home)
    for model in ("convae", "convae_pooled"):
        store.write("temporal_clusters", clusters(model), model=model)
    found = ask([home], "SELECT model, compound, effect FROM effects")
    assert found.rows() == [("convae_pooled", "x", "cytotoxic")]


def test_the_database_file_opens_in_a_plain_client_while_a_table_grows(home):
    store = fill(home)
    path = write_database(load_screen(home))
    with duckdb.connect(str(path), read_only=True) as client:
        assert client.sql("SELECT count(*) FROM embeddings").fetchall() == [(4,)]
        more = embeddings_frame(model="convae_pooled").with_columns(image_id="x" + pl.col("image_id"))
        store.write("embeddings", more, model="convae_pooled", plate="P1", part="more.parquet")
        write_database(load_screen(home))
        assert client.sql("SELECT count(*) FROM embeddings").fetchall() == [(8,)]


def test_nearest_wells_are_found_by_the_cosine_of_sphered_profiles(home):
    store = fill(home)
    wells = {"A01": [1.0, 0.0], "A02": [0.0, 1.0], "A03": [0.9, 0.1]}
    rows = [
        {"model": "convae_pooled", "plate": "P1", "well": w, "channel": "phase", "window": "endpoint", "n_scans": 1}
        for w in wells
    ]
    frame = pl.DataFrame(rows, schema_overrides={"n_scans": pl.Int32}).with_columns(
        pl.Series("profile", np.array(list(wells.values()), np.float32))
    )
    store.write("sphered_profiles", frame, model="convae_pooled")
    found = ask([home], "SELECT well FROM nearest_wells('P1', 'A01', n := 1)")
    assert found.rows() == [("A03",)]


def test_several_homes_say_which_row_is_whose(tmp_path):
    homes = [Home(tmp_path / name) for name in ("a", "b")]
    for home in homes:
        fill(home)
        home.settings_file.write_text(f'name = "screen {home.root.name}"\n')
    found = ask(homes, "SELECT screen, count(*) AS n FROM plate_maps GROUP BY 1 ORDER BY 1")
    assert found.rows() == [("screen a", 2), ("screen b", 2)]


def test_a_home_whose_path_holds_glob_characters_is_read(tmp_path):
    home = Home(tmp_path / "a [1]* 'x'")
    fill(home)
    assert ask([home], "SELECT count(*) FROM embeddings").item() == 4


@pytest.mark.parametrize("query", ["SELECT * FROM nothing", "SELEC"])
def test_a_query_that_cannot_be_answered_is_one_line(home, query):
    home.root.mkdir()
    with pytest.raises(QueryError) as error:
        ask([home], query)
    assert "\n" not in str(error.value)


def test_a_home_that_is_not_there_is_named(tmp_path):
    with pytest.raises(QueryError, match=r"no home at .*nowhere"):
        ask([Home(tmp_path / "nowhere")], "SELECT 1")


def test_a_table_of_an_earlier_version_can_be_asked_with_nulls_for_what_it_lacks(tmp_path):
    home = Home(tmp_path)
    TableStore(home).write("scans", scans_frame("P1"), plate="P1")
    [part] = TableStore(home).parts("scans")
    pl.read_parquet(part).drop("complete", "n_expected").write_parquet(part)
    rows = connect(load_screen(home)).sql("SELECT scan, n_present, n_expected, complete FROM scans ORDER BY scan").pl()
    assert rows["n_present"].to_list() == [1, 1, 1]
    assert rows["complete"].null_count() == rows["n_expected"].null_count() == 3
    TableStore(home).write("scans", scans_frame("P2"), plate="P2")
    rows = connect(load_screen(home)).sql("SELECT plate, complete FROM scans ORDER BY plate").pl()
    assert rows["complete"].to_list() == [None] * 3 + [True] * 3
