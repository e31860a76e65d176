"""copairs judges the measures of retrieval and of replicates."""

import warnings

import numpy as np
import pytest
from builders import labelled_vectors

from phenoassets.retrieval import mean_average_precision, percent_replicating


def test_plain_average_precision_equals_copairs():
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from copairs.map import average_precision

        x, labels, _ = labelled_vectors(n=80, seed=5)
        theirs = average_precision(
            pd.DataFrame({"moa": labels}), x, ["moa"], [], [], ["moa"], distance="cosine", progress_bar=False
        )
    made = mean_average_precision(x, labels, interpolated=False)
    np.testing.assert_allclose(made.details["average_precision"], theirs["average_precision"].dropna(), rtol=1e-5)


def test_replicate_correlations_equal_copairs_and_the_percent_is_near():
    import pandas as pd

    rng = np.random.default_rng(0)
    labels = [f"t{i // 4}" for i in range(160)]
    x = rng.normal(size=(40, 30)).repeat(4, axis=0) * rng.choice([0.0, 1.0], 40).repeat(4)[:, None]
    x += rng.normal(size=(160, 30))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from copairs.replicating import correlation_test

        theirs = correlation_test(x, pd.DataFrame({"t": labels}), ["t"], [], progress_bar=False)
    made = percent_replicating(x, labels)
    medians = made.details.sort("label")["median_similarity"].to_numpy()
    np.testing.assert_allclose(medians, theirs.corr_df.sort_index()["median"], rtol=1e-5, atol=1e-7)
    assert made == pytest.approx(100 * theirs.percent_score("right")[0], abs=10)
    # Their null is of as many independent pairs as there are replicates, ours of as many wells.
    assert made.details["threshold"][0] == pytest.approx(theirs.percent_score("right")[2], abs=0.1)
