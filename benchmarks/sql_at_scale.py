"""What a question about one plate costs in a home of many part files.

    python benchmarks/sql_at_scale.py [--plates 50] [--parts 1000] [--folder DIR]

Makes a home whose embeddings lie in `plates` x `parts` small files, then asks it for one plate, as ``phenoassets sql``
does. Times are processor time of all threads, without the start of the process; the home stays with ``--folder``.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import google_crc32c
import polars as pl

from phenoassets.screen.loading import load_screen
from phenoassets.sql.database import write_database
from phenoassets.sql.query import run_query
from phenoassets.store.home import Home
from phenoassets.store.manifest import PartFile
from phenoassets.store.parquet import to_parquet, types_of
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore

MODEL = "convae_pooled"
ROWS = 4


def embeddings(plate: str, part: int) -> pl.DataFrame:
    rows = {
        "model": [MODEL] * ROWS,
        "image_id": [f"{plate}-{part}-{n}" for n in range(ROWS)],
        "plate": [plate] * ROWS,
        "well": [f"A{n + 1:02d}" for n in range(ROWS)],
        "field": [1] * ROWS,
        "channel": ["phase"] * ROWS,
        "scan": [f"{part // 24:03d}d{part % 24:02d}h00m"] * ROWS,
    }
    frame = pl.DataFrame(rows, schema_overrides={"field": pl.Int32})
    vectors = pl.Series("embedding", [[float(part), 1.0]] * ROWS, dtype=pl.Array(pl.Float32, 2))
    return frame.with_columns(vectors).select(TABLES["embeddings"].names)


def make_home(home: Home, plates: int, parts: int) -> None:
    store = TableStore(home)
    for number in range(plates):
        plate = f"P{number:02d}"
        row = {"plate": plate, "cell_line": "A549", "dilution": 1.0, "status": "imaged", "treated_after_hours": 1.0}
        schema = {c.name: c.dtype for c in TABLES["plates"].columns}
        store.write("plates", pl.DataFrame([row], schema=schema), plate=plate)  # type: ignore[arg-type]
        manifest = replace(store.new_manifest("embeddings", MODEL, plate), generation="0001", recipe="r")
        files = []
        for part in range(parts):
            frame = embeddings(plate, part)
            content = to_parquet(frame, recipe="r", software="")
            path = store.objects.path(f"{manifest.folder}/0001/{part}.parquet")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)  # not flushed one by one: that would take the better part of an hour
            sha256 = hashlib.sha256(content).hexdigest()[:32]
            crc32c = google_crc32c.value(content)
            files.append(PartFile(path.name, f"0001/{path.name}", frame.height, len(content), sha256, crc32c))
        store.manifests.commit([replace(manifest, files=tuple(files), columns=types_of(frame))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plates", type=int, default=50)
    parser.add_argument("--parts", type=int, default=1000, help="files of each plate")
    parser.add_argument("--folder", type=Path, help="where the home is made, or was made before")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = Home(arguments.folder or Path(scratch) / "home")
        if not home.table("embeddings").is_dir():
            make_home(home, arguments.plates, arguments.parts)
        n = len(TableStore(home).parts("embeddings", MODEL))
        plate = f"P{arguments.plates // 2:02d}"
        run_query([home], "SELECT 1")  # what a first query loads is loaded
        for label, query in (
            ("count the images of one plate", f"SELECT count(*) FROM embeddings WHERE plate = '{plate}'"),
            ("and its rows of plates", f"SELECT cell_line FROM plates WHERE plate = '{plate}'"),
            ("count the images of all", "SELECT count(*) FROM embeddings"),
        ):
            start = time.process_time()
            answer = run_query([home], query)
            print(f"{label:<40}{time.process_time() - start:8.2f} s of a core, {n:,} files: {answer.item()}")
        start = time.process_time()
        write_database(load_screen(home))
        print(f"{'write phenoassets.duckdb':<40}{time.process_time() - start:8.2f} s of a core")


if __name__ == "__main__":
    main()
