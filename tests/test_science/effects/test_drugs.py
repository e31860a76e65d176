"""What is said of a drug: doses in order, potency where there is one, models side by side, and the curator's word."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoassets.effects.clusters import find_clusters
from phenoassets.effects.curation import apply_curation, read_curated, unknown_conditions
from phenoassets.effects.drugs import compare_models, summarise_drugs
from phenoassets.errors import SettingsError
from phenoassets.store.schemas import TABLES

HOURS = np.arange(-4, 61, 2.0)
GROWING = 0.4 * 2 ** (np.clip(HOURS, -4, None) / 60)


def screen_of(drugs, growth_of=None):
    """Distances, growth, scans and conditions; `drugs` maps a compound to {dose: height of the rise}."""
    names = [f"{h + 4:04.1f}" for h in HOURS]
    rng = np.random.default_rng(0)
    distances, growth, conditions = [], [], []
    for compound, doses in drugs.items():
        for dose, height in doses.items():
            condition = f"L|{compound}@{dose} µM"
            curve = 0.8 + rng.normal(0, 0.02, HOURS.size) + height * np.clip(HOURS / 20, 0, 1)
            inhibition = 1.0 if growth_of is None else growth_of(compound, dose)
            rate = np.log2(1 + inhibition)
            own = 0.4 * 2 ** (np.where(HOURS > 0, HOURS * rate, HOURS) / 60)
            base = {"plate": "P1", "condition_id": condition, "scan": names, "n_wells": 2, "n_controls": 8}
            distances.append(
                pl.DataFrame(
                    base
                    | {"model": "m", "metric": "euclidean", "features": "raw", "distance": curve}
                    | {"low": curve * 0.95, "high": curve * 1.05, "null_high": np.ones(HOURS.size)}
                )
            )
            growth.append(pl.DataFrame(base | {"confluence": own, "control_confluence": GROWING, "control_std": 0.01}))
            conditions.append((condition, "L", compound, float(dose), "µM"))
    columns = ["condition_id", "cell_line", "compound", "concentration", "concentration_unit"]
    scans = pl.DataFrame({"plate": "P1", "scan": names, "elapsed_hours": HOURS})
    return pl.concat(distances), pl.concat(growth), scans, pl.DataFrame(conditions, schema=columns, orient="row")


SERIES = (0.001, 0.01, 0.1, 1, 10)
ACTIVE = {dose: 6 / (1 + (0.05 / dose) ** 1.5) for dose in SERIES}


def test_a_drug_has_its_doses_in_order_and_a_potency():
    distances, growth, scans, conditions = screen_of({"A": ACTIVE, "B": dict.fromkeys(SERIES, 0)})
    clusters = find_clusters(distances, None, scans, k=2).table
    found = TABLES["drug_effects"].validate(summarise_drugs(clusters, distances, growth, scans, conditions, n_boot=50))
    a, b = found.rows(named=True)
    assert a["concentrations"] == list(SERIES)
    assert a["effects"] == ["none", "none", "cytotoxic", "cytotoxic", "cytotoxic"]
    assert a["lowest_active"] == 0.1
    assert a["end_midpoint"] == pytest.approx(0.05, rel=0.3)
    assert a["end_midpoint_low"] < a["end_midpoint"] < a["end_midpoint_high"]
    assert a["area_midpoint"] == pytest.approx(0.05, rel=0.4)
    assert a["onset_low_hours"] <= a["onset_hours"] <= a["onset_high_hours"]
    assert a["switches"] == []
    assert b["effects"] == ["none"] * 5
    assert b["end_midpoint"] is None
    assert b["end_answer"] == "no change with dose beyond the noise"
    assert b["onset_hours"] is None
    assert a["onset_by_dose_variation_hours"] == pytest.approx(a["onset_hours"], abs=2)  # one scan
    assert b["onset_by_dose_variation_hours"] is None or b["onset_by_dose_variation_hours"] > 50  # noise


def test_growth_gives_gr_values():
    def inhibition(_, dose):
        return 1 + (-0.1 - 1) / (1 + (0.05 / dose) ** 1.5)

    distances, growth, scans, conditions = screen_of({"A": ACTIVE}, inhibition)
    clusters = find_clusters(distances, None, scans, k=2).table
    found = summarise_drugs(clusters, distances, growth, scans, conditions, n_boot=0).row(0, named=True)
    expected = 0.05 / (1.1 / 0.5 - 1) ** (1 / 1.5)
    assert found["gr50"] == pytest.approx(expected, rel=0.15)
    assert found["gr_max"] == pytest.approx(-0.1, abs=0.05)
    without = summarise_drugs(clusters, distances, None, scans, conditions, n_boot=0).row(0, named=True)
    assert without["gr50"] is None
    assert without["gr_answer"] == "no growth to measure by"


def test_a_switch_of_effect_is_listed():
    distances, growth, scans, conditions = screen_of({"A": ACTIVE})
    clusters = find_clusters(distances, None, scans, k=2).table.with_columns(
        pl.when(pl.col("condition_id") == "L|A@0.1 µM")
        .then(pl.lit("cytostatic"))
        .otherwise(pl.col("effect"))
        .alias("effect")
    )
    found = summarise_drugs(clusters, distances, growth, scans, conditions, n_boot=0)
    assert found["switches"][0].to_list() == ["cytostatic at 0.1 µM, cytotoxic at 1 µM"]


def test_units_are_kept_apart_and_a_missing_concentration_comes_last():
    distances, growth, scans, conditions = screen_of({"A": {1: 3, 2: 3, 3: 3}})
    conditions = conditions.with_columns(
        pl.Series("concentration", [None, 1.0, 2.0]), pl.Series("concentration_unit", [None, None, "%"])
    )
    clusters = find_clusters(distances, growth, scans, k=2).table
    found = TABLES["drug_effects"].validate(summarise_drugs(clusters, distances, growth, scans, conditions, n_boot=0))
    assert found["concentration_unit"].to_list() == ["", "%"]
    assert found["concentrations"].to_list() == [[1.0, None], [2.0]]
    assert found["end_answer"].to_list() == ["fewer than 4 doses"] * 2


def test_a_drug_that_was_never_timed_has_no_answer_but_a_row():
    distances, growth, scans, conditions = screen_of({"A": ACTIVE})
    unknown = scans.with_columns(pl.lit(None, pl.Float64).alias("elapsed_hours"))
    clusters = find_clusters(distances, growth, unknown).table
    found = TABLES["drug_effects"].validate(summarise_drugs(clusters, distances, growth, unknown, conditions, n_boot=0))
    assert found["effects"][0].to_list() == [None] * 5
    assert found["end_midpoint"][0] is None


def clusters_of(effects, model="m"):
    """temporal_clusters with an effect a condition."""
    return pl.DataFrame(
        {
            "model": model,
            "condition_id": list(effects),
            "metric": "euclidean",
            "features": "raw",
            "scaling": "none",
            "k": 2,
            "cluster": 0,
            "cluster_effect": None,
            "effect": list(effects.values()),
            "reason": None,
            "shape_effect": None,
            "end_level": 1.0,
            "peak_level": 1.0,
            "peak_hours": 1.0,
            "onset_hours": None,
        }
        | dict.fromkeys(
            (
                "onset_after_hours",
                "onset_by_hours",
                "other_features_effect",
                "silhouette",
                "p_value",
                "q_value",
                "probability",
                "n_wells",
                "n_controls",
            )
        ),
        schema={c.name: c.dtype for c in TABLES["temporal_clusters"].columns},
    )


def test_models_are_compared_by_pairs():
    a = clusters_of({"L|A": "cytotoxic", "L|B": "none", "L|C": None}, "a")
    b = clusters_of({"L|A": "cytotoxic", "L|B": "mixed", "L|C": "none", "L|D": "none"}, "b")
    c = clusters_of({"L|A": "none"}, "c")
    found = TABLES["effect_agreement"].validate(compare_models(pl.concat([c, b, a])))
    assert found.select("model_a", "model_b").unique().height == 3
    first = found.filter((pl.col("model_a") == "a") & (pl.col("model_b") == "b"))
    assert first["agree"].to_list() == [True, False, None]
    assert TABLES["effect_agreement"].validate(compare_models(a)).is_empty()


def test_the_curators_word_stands_and_is_recorded(tmp_path):
    sheet = tmp_path / "curated.csv"
    sheet.write_text("\ufeffcondition_id,effect,curator\nL|A , mixed,ann\nL|B,none,\n", encoding="utf-8")
    clusters = clusters_of({"L|A": "cytotoxic", "L|B": None, "L|C": "none"})
    found, record = apply_curation(clusters, read_curated(sheet))
    TABLES["temporal_clusters"].validate(found)
    TABLES["curated_effects"].validate(record)
    assert found["effect"].to_list() == ["mixed", "none", "none"]
    assert record.rows() == [("m", "L|A", "mixed", "cytotoxic", "ann", None), ("m", "L|B", "none", None, None, None)]
    same, nothing = apply_curation(clusters, read_curated(sheet).clear())
    assert same.equals(clusters)
    assert TABLES["curated_effects"].validate(nothing).is_empty()


def test_a_curators_sheet_with_faults_names_all_of_them(tmp_path):
    sheet = tmp_path / "curated.csv"
    sheet.write_text("condition_id,effect\nL|A,toxic\n,none\nL|B,none\nL|B,mixed\n")
    with pytest.raises(SettingsError, match=r"row 2 .*'toxic'.*row 3 names no condition.*L\|B stands there more"):
        read_curated(sheet)
    sheet.write_text("condition,effect\nL|A,none\n")
    with pytest.raises(SettingsError, match=r"unknown column condition; the column condition_id is missing"):
        read_curated(sheet)


def test_a_curated_condition_that_the_screen_lacks_is_named_and_holds_nothing_up(tmp_path):
    sheet = tmp_path / "curated.csv"
    sheet.write_text("condition_id,effect\nL|Z,none\nL|A,mixed\n")
    clusters, curated = clusters_of({"L|A": "none"}), read_curated(sheet)
    assert unknown_conditions(clusters, curated) == ["L|Z"]
    found, record = apply_curation(clusters, curated)
    assert found["effect"].to_list() == ["mixed"]
    assert record["condition_id"].to_list() == ["L|A"]


def test_doses_that_were_imaged_at_different_times_are_no_fault():
    distances, growth, scans, conditions = screen_of({"A": ACTIVE})
    late = [c for c in conditions["condition_id"] if c.endswith(("@1 µM", "@10 µM"))]
    hours = scans.select("plate", "scan", "elapsed_hours")
    timed = distances.join(hours, on=["plate", "scan"])
    other = pl.col("condition_id").is_in(late)
    kept = timed.filter((other & (pl.col("elapsed_hours") > 40)) | (~other & (pl.col("elapsed_hours") < 20)))
    kept = kept.drop("elapsed_hours")
    clusters = find_clusters(kept, None, scans, k=2).table
    found = summarise_drugs(clusters, kept, growth, scans, conditions, n_boot=10)
    [row] = TABLES["drug_effects"].validate(found).rows(named=True)
    assert [level is None for level in row["end_levels"]] == [False, False, False, True, True]


def test_chance_stands_beside_the_effect_of_each_dose_in_the_same_order():
    distances, growth, scans, conditions = screen_of({"A": ACTIVE})
    clusters = find_clusters(distances, growth, scans, k=2).table
    rising = clusters.join(conditions.select("condition_id", "concentration").unique(), on="condition_id")
    rising = rising.with_columns(
        pl.col("concentration").alias("p_value"), (2 * pl.col("concentration")).alias("q_value")
    )
    found = summarise_drugs(rising.select(clusters.columns), distances, growth, scans, conditions, n_boot=10)
    assert found["p_values"][0].to_list() == found["concentrations"][0].to_list()
    assert found["q_values"][0].to_list() == [2 * c for c in found["concentrations"][0]]
    unknown = summarise_drugs(clusters, distances, growth, scans, conditions, n_boot=10)
    assert unknown["q_values"][0].to_list() == [None] * 5
