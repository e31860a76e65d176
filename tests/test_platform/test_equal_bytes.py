"""Equal input gives equal bytes: every step is run twice, in two processes that differ in threads and in hashing."""

import hashlib

import dagster as dg
import pytest
from command_line import phenoassets

from phenoassets.cli.instance import instance_of
from phenoassets.store.home import Home
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore
from phenoassets.virtual_screen import simulate

SETTINGS = """models = ["pixel_pca"]
primary_model = "pixel_pca"
[exports]
folder = "{exports}"
[trajectories]
n_bootstrap = 20
k = 3
[phenotypes]
min_cluster_size = 3
"""
PROCESSES = ({"PYTHONHASHSEED": "1", "POLARS_MAX_THREADS": "1"}, {"PYTHONHASHSEED": "2", "POLARS_MAX_THREADS": "4"})


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two homes of one screen of two plates, each made by processes of its own."""
    exports = tmp_path_factory.mktemp("exports")
    simulate(exports, plates=2, wells=24, hours=16, interval=4, seed=7)
    homes = []
    for number, environment in enumerate(PROCESSES):
        home = Home(tmp_path_factory.mktemp(f"twin{number}") / "home")  # training_set names a home by its folder
        home.root.mkdir()
        home.settings_file.write_text(SETTINGS.format(exports=exports))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            phenoassets("run", "--home", home.root)
        homes.append(home)
    return homes


def digests(home):
    """Digests of the bytes of each table's files and of the pixels."""
    store = TableStore(home)
    found = {table: sorted(map(digest, store.parts(table))) for table in TABLES}
    zarr = [path for path in home.root.rglob("*") if path.is_file() and any(p.suffix == ".zarr" for p in path.parents)]
    return found | {"pixels": sorted(map(digest, zarr))}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions(home):
    """Data version of each asset and partition, as Dagster was told it."""
    found = {}
    with instance_of(home) as instance:
        for key in instance.all_asset_keys():
            for record in instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=key), limit=100).records:
                place = (key.to_user_string(), record.partition_key)
                found[place] = record.asset_materialization.tags.get("dagster/data_version")
    return found


def test_every_file_of_every_table_has_the_same_bytes(twins):
    first, second = map(digests, twins)
    made = {table for table, files in first.items() if files}
    assert made >= {"growth_curves", "temporal_distances", "strong_treatments", "drug_effects", "phenotypes", "pixels"}
    assert {table for table in first if first[table] != second[table]} == set()


def test_every_data_version_is_the_same(twins):
    first, second = map(versions, twins)
    assert {key for key, _ in first} >= {"growth_curves", "temporal_distances/pixel_pca", "drug_effects/pixel_pca"}
    assert {place for place in first.keys() | second.keys() if first.get(place) != second.get(place)} == set()
