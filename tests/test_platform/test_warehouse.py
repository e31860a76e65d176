import duckdb
import numpy as np
import polars as pl
import pytest
from builders import earlier_file, embeddings_frame, image_rows, plate_map_frame, plates_frame, scans_frame, typed

from phenoassets.admin.homes import prepare_home
from phenoassets.errors import StoreError
from phenoassets.screen.loading import load_screen
from phenoassets.sql.database import write_database
from phenoassets.sql.query import QueryError, run_query
from phenoassets.sql.views import connect
from phenoassets.store.home import Home
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore


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
    rows = run_query([home], query).rows()
    assert rows[0] == ("A01", "DMSO", "negative_control", None, -1.0)
    assert rows[-1] == ("A02", "x", "treatment", 1.0, 1.0)


def test_effects_are_the_primary_models_clusters(home):
    store = fill(home)
    for model in ("convae", "convae_pooled"):
        store.write("temporal_clusters", clusters(model), model=model)
    found = run_query([home], "SELECT model, compound, effect FROM effects")
    assert found.rows() == [("convae_pooled", "x", "cytotoxic")]


def test_the_database_file_opens_in_a_plain_client_while_a_table_grows(home):
    store = fill(home)
    path = write_database(load_screen(home))
    with duckdb.connect(str(path), read_only=True) as client:
        assert client.sql("SELECT count(*) FROM embeddings").fetchall() == [(4,)]
        more = embeddings_frame(model="convae_pooled").with_columns(image_id="x" + pl.col("image_id"))
        store.write("embeddings", more, model="convae_pooled", plate="P1", part="more.parquet")
        write_database(load_screen(home))
        assert client.sql("SELECT count(*) FROM embeddings").fetchall() == [(4,)]  # the state that it opened
    with duckdb.connect(str(path), read_only=True) as later:
        assert later.sql("SELECT count(*) FROM embeddings").fetchall() == [(8,)]


def test_nearest_wells_are_found_by_the_cosine_of_sphered_profiles(home):
    store = fill(home)
    wells = {"A01": [1.0, 0.0], "A02": [0.0, 1.0], "A03": [0.9, 0.1]}
    rows = [
        {
            "model": "convae_pooled",
            "plate": "P1",
            "well": w,
            "channel": "phase",
            "window": "endpoint",
            "normalization": "none",
            "n_scans": 1,
        }
        for w in wells
    ]
    frame = pl.DataFrame(rows, schema_overrides={"n_scans": pl.Int32}).with_columns(
        pl.Series("profile", np.array(list(wells.values()), np.float32))
    )
    store.write("sphered_profiles", frame, model="convae_pooled")
    found = run_query([home], "SELECT well FROM nearest_wells('P1', 'A01', n := 1)")
    assert found.rows() == [("A03",)]


def test_several_homes_say_which_row_is_whose(tmp_path):
    homes = [Home(tmp_path / name) for name in ("a", "b")]
    for home in homes:
        fill(home)
        home.settings_file.write_text(f'name = "screen {home.root.name}"\n')
    found = run_query(homes, "SELECT screen, count(*) AS n FROM plate_maps GROUP BY 1 ORDER BY 1")
    assert found.rows() == [("screen a", 2), ("screen b", 2)]


def test_homes_of_one_name_are_told_apart_by_their_folders_and_then_by_number(tmp_path):
    homes = [Home(tmp_path / name) for name in ("x/a", "x/b", "y/b", "z/c")]
    for home in homes:
        fill(home)
    homes[3].settings_file.write_text('name = "b"\n')
    found = run_query(homes, "SELECT screen, count(*) AS n FROM plates GROUP BY 1 ORDER BY 1")
    assert found.rows() == [("a", 1), ("b", 1), ("b (2)", 1), ("b (3)", 1)]
    assert run_query(homes[:2], "SELECT DISTINCT screen FROM scans ORDER BY 1")["screen"].to_list() == ["a", "b"]


def test_a_home_whose_path_holds_glob_characters_is_read(tmp_path):
    home = Home(tmp_path / "a [1]* 'x'")
    fill(home)
    assert run_query([home], "SELECT count(*) FROM embeddings").item() == 4


@pytest.mark.parametrize("query", ["SELECT * FROM nothing", "SELEC"])
def test_a_query_that_cannot_be_answered_is_one_line(home, query):
    home.root.mkdir()
    with pytest.raises(QueryError) as error:
        run_query([home], query)
    assert "\n" not in str(error.value)


def test_a_home_that_is_not_there_is_named(tmp_path):
    with pytest.raises(QueryError, match=r"no home at .*nowhere"):
        run_query([Home(tmp_path / "nowhere")], "SELECT 1")


def test_a_table_of_an_earlier_version_can_be_asked_with_nulls_for_what_it_lacks(tmp_path):
    home = Home(tmp_path)
    earlier_file(home, scans_frame("P1").drop("complete", "n_expected"), "scans", plate="P1")
    rows = connect(load_screen(home)).sql("SELECT scan, n_present, n_expected, complete FROM scans ORDER BY scan").pl()
    assert rows["n_present"].to_list() == [1, 1, 1]
    assert rows["complete"].null_count() == rows["n_expected"].null_count() == 3
    TableStore(home).write("scans", scans_frame("P2"), plate="P2")
    rows = connect(load_screen(home)).sql("SELECT plate, complete FROM scans ORDER BY plate").pl()
    assert rows["complete"].to_list() == [None] * 3 + [True] * 3


def test_a_column_that_only_a_middle_model_has_is_seen(home):
    for model in ("a", "b", "c"):
        lacking = [] if model == "b" else ["cluster", "effect"]
        earlier_file(home, clusters(model).drop(lacking), "temporal_clusters", model=model)
    rows = run_query([home], "SELECT model, cluster, effect FROM temporal_clusters ORDER BY model").rows()
    assert rows == [("a", None, None), ("b", 0, "cytotoxic"), ("c", None, None)]


def test_a_column_that_only_the_newest_part_of_a_middle_plate_has_is_seen(home):
    for plate in ("P1", "P2", "P3"):
        lacking = embeddings_frame(rows=image_rows(plate)).drop("channel")
        earlier_file(home, lacking, "embeddings", "z.parquet", model="m", plate=plate)
    more = embeddings_frame(rows=image_rows("P2")).with_columns(image_id="x" + pl.col("image_id"))
    TableStore(home).write("embeddings", more, model="m", plate="P2", part="a.parquet")
    found = run_query([home], "SELECT plate, count(channel) FROM embeddings GROUP BY 1 ORDER BY 1").rows()
    assert found == [("P1", 0), ("P2", 4), ("P3", 0)]


@pytest.mark.parametrize("plate", ["P1", "P2", "P3"])
@pytest.mark.parametrize("spoilt", [b"", b"x" * 100, None])
def test_a_damaged_file_is_named_with_its_remedy(tmp_path, plate, spoilt):
    home = Home(tmp_path / "Ann's [1]")
    store = TableStore(home)
    for name in ("P1", "P2", "P3"):
        store.write("scans", scans_frame(name), plate=name)
    [path] = store.parts("scans", plate=plate)
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(50) + content[150:] if spoilt is None else spoilt)
    for homes in ([home], [home, home]):
        with pytest.raises(StoreError) as told:
            run_query(homes, "SELECT * FROM scans")
        assert (
            str(told.value) == f"{path} is damaged; phenoassets plate reimport {plate} recomputes the tables of {plate}"
        )


@pytest.mark.parametrize("query", ["SELECT INTERVAL 1 DAY AS i", "SELECT 'a\nb'::INTEGER"])
def test_an_answer_that_cannot_be_shown_is_one_line(home, query):
    home.root.mkdir()
    with pytest.raises(QueryError) as told:
        run_query([home], query)
    assert "\n" not in str(told.value)


def test_a_new_home_has_its_views_before_anything_is_made(tmp_path):
    home = prepare_home(Home(tmp_path / "home"), None).home
    with duckdb.connect(str(home.database), read_only=True) as client:
        assert client.execute("SELECT count(*) FROM effects").fetchone() == (0,)
    made = home.database.stat().st_mtime_ns
    prepare_home(home, None)
    assert home.database.stat().st_mtime_ns == made


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '{home}/out.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{home}/out.csv'",
        "explain analyze (format json) COPY (SELECT 1) TO '{home}/out.csv'",
        "ATTACH '{home}/out.csv' AS other",
        "CREATE TABLE t (i INTEGER)",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA enable_profiling",
        "EXPORT DATABASE '{home}/out.csv'",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_a_query_that_is_no_one_question_is_refused_and_changes_nothing(home, query):
    home.root.mkdir()
    with pytest.raises(QueryError, match="one SELECT, DESCRIBE, EXPLAIN or SHOW is answered"):
        run_query([home], query.format(home=home.root))
    assert list(home.root.iterdir()) == []


@pytest.mark.parametrize(
    "query",
    ["SELECT 1 AS a", "DESCRIBE scans", "SHOW TABLES", "EXPLAIN SELECT 1", "EXPLAIN ANALYZE SELECT 1", "FROM scans"],
)
def test_questions_of_every_kind_are_answered(home, query):
    home.root.mkdir()
    assert run_query([home], query).width


def test_a_query_reads_files_of_its_homes_and_no_others(home, tmp_path):
    home.root.mkdir()
    for folder in (tmp_path, home.root):
        (folder / "notes.csv").write_text("a\n1\n")
    assert run_query([home], f"SELECT a FROM read_csv('{home.root}/notes.csv')").item() == 1
    for path in (f"{tmp_path}/notes.csv", f"{home.root}/../notes.csv", "/etc/passwd"):
        with pytest.raises(QueryError, match="Permission"):
            run_query([home], f"SELECT * FROM read_csv('{path}')")
