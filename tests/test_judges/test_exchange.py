"""What goes out is taken by pycytominer and copairs as it stands, and what they write comes in."""

import warnings

import numpy as np
import polars as pl
import pytest

from phenoassets.exchange.layouts import read_profiles
from phenoassets.exchange.writing import write_profiles
from phenoassets.profiles import vectors
from phenoassets.retrieval import mean_average_precision
from phenoassets.sphering import ControlScaler

FEATURES = [f"m_{i:04d}" for i in range(5)]


def wells(n=24):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "plate": ["P1"] * n,
            "well": [f"{'AB'[i // 12]}{i % 12 + 1:02d}" for i in range(n)],
            "role": ["negative_control" if i < 8 else "treatment" for i in range(n)],
            "compound": ["DMSO" if i < 8 else f"d{i % 4}" for i in range(n)],
        }
    )
    return frame.with_columns(pl.Series("profile", rng.normal(3, 2, (n, 5)).astype(np.float32)))


def test_pycytominer_normalizes_what_goes_out_and_its_file_comes_in(tmp_path):
    write_profiles(tmp_path / "out.csv", wells(), FEATURES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pycytominer

        pycytominer.normalize(
            profiles=str(tmp_path / "out.csv"),
            features=FEATURES,
            meta_features=["Metadata_Plate", "Metadata_Well"],
            samples="Metadata_role == 'negative_control'",
            method="standardize",
            output_file=str(tmp_path / "normalized.parquet"),
            output_type="parquet",
        )
    found = read_profiles(tmp_path / "normalized.parquet")
    x = vectors(wells(), "profile").astype(np.float64)
    scaler = ControlScaler().fit(x[:8])
    population = scaler.scale_ * np.sqrt(7 / 8)  # pycytominer divides by n, we by n - 1
    np.testing.assert_allclose(vectors(found.profiles, "profile"), (x - scaler.center_) / population, rtol=1e-4)


def test_copairs_ranks_what_goes_out_as_we_do(tmp_path):
    import pandas as pd

    write_profiles(tmp_path / "out.csv", wells(), FEATURES)
    frame = pd.read_csv(tmp_path / "out.csv")
    treated = frame[frame["Metadata_role"] == "treatment"].reset_index(drop=True)
    x, compound = treated[FEATURES].to_numpy(), ["Metadata_compound"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from copairs.map import average_precision

        metadata = treated.filter(regex="^Metadata_")
        theirs = average_precision(metadata, x, compound, [], [], compound, distance="cosine", progress_bar=False)
    ours = mean_average_precision(x, treated["Metadata_compound"].tolist(), interpolated=False)
    assert float(ours) == pytest.approx(theirs["average_precision"].mean(), abs=1e-6)
