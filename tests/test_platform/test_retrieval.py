"""The table of retrieval scores, from sphered profiles and plate maps in a home."""

import numpy as np
import polars as pl
from builders import plate_map_frame

from phenoassets.screen.loading import load_screen
from phenoassets.steps.retrieval import score_retrieval
from phenoassets.store.schemas import TABLES

MODEL = "convae_pooled"


def fill(store, moa=True, alike=3.0):
    rng = np.random.default_rng(0)
    patterns = {name: rng.standard_normal(16) for name in ("kill", "stop", "rest")}
    rows, x = [], []
    for plate in ("P1", "P2"):
        wells, kinds = [], []
        for i in range(24):
            kinds.append(("kill", "stop", "rest")[i // 8])
            wells.append((f"{'AB'[i // 12]}{i % 12 + 1:02d}", "treatment", f"HT29|d{i // 4}@1 µM"))
            rows.append({"model": MODEL, "plate": plate, "well": wells[-1][0], "channel": "phase"})
            x.append(alike * patterns[kinds[-1]] + rng.standard_normal(16) * 0.8)
        layout = plate_map_frame(plate, wells)
        store.write(
            "plate_maps",
            layout.with_columns(pl.Series("moa", kinds if moa else [None] * 24, dtype=pl.String)),
            plate=plate,
        )
    frame = pl.DataFrame(rows).with_columns(
        pl.lit("endpoint").alias("window"),
        pl.lit(5, pl.Int32).alias("n_scans"),
        pl.lit("z-score to controls").alias("normalization"),
        pl.Series("profile", np.asarray(x, np.float32)),
    )
    store.write("sphered_profiles", frame.select(TABLES["sphered_profiles"].names), model=MODEL)


def test_replicates_and_mechanisms_are_scored_with_their_rule(home, store):
    fill(store)
    result = score_retrieval(load_screen(home), store, MODEL)
    found = store.read("retrieval_scores", MODEL)
    assert result.total == found.height
    value = {(level, score): v for level, score, v in found.filter(label="").select("level", "score", "value").rows()}
    assert value["treatment", "precision at 1"] == 1.0
    assert value["treatment", "percent matching"] == 100.0
    assert value["well", "precision at 1"] > 0.3
    assert found.filter(level="well", label="")["query_rule"].str.contains("of other plates").all()
    labels = found.filter(pl.col("label") != "")
    assert labels.filter(of="condition")["label"].to_list() == [f"HT29|d{i}@1 µM" for i in range(6)]
    assert labels["q_value"].null_count() == 0
    assert (labels.filter(of="condition")["q_value"] <= 0.05).all()


def test_without_mechanisms_the_replicates_are_scored_and_it_is_said(home, store):
    fill(store, moa=False)
    result = score_retrieval(load_screen(home), store, MODEL)
    assert "compounds.csv" in str(result.notes["not scored: mechanisms"])
    assert store.read("retrieval_scores", MODEL)["level"].unique().to_list() == ["well"]


def test_wells_that_share_nothing_are_not_found(home, store):
    fill(store, alike=0.0)
    score_retrieval(load_screen(home), store, MODEL)
    labels = store.read("retrieval_scores", MODEL).filter(pl.col("label") != "", of="condition")
    assert (labels["q_value"] > 0.05).all()
