"""copairs judges the measures of retrieval and of replicates."""

import warnings

import numpy as np
import pytest
from builders import labelled_vectors

from phenoassets.retrieval import average_precision_by_label, mean_average_precision, percent_replicating


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


def test_p_and_q_values_of_the_independent_null_equal_copairs(tmp_path):
    import pandas as pd

    x, labels, _ = labelled_vectors(n=80, seed=5)
    labels = [str(label).split("|")[0] for label in labels]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from copairs import compute
        from copairs.map import average_precision
        from copairs.map import mean_average_precision as theirs_by_label

        frame = pd.DataFrame({"moa": labels})
        scores = average_precision(frame, x, ["moa"], [], [], ["moa"], distance="cosine", progress_bar=False)
        keywords = {"null_size": 500, "threshold": 0.05, "seed": 7, "progress_bar": False, "cache_dir": tmp_path}
        theirs = theirs_by_label(scores, ["moa"], **keywords).sort_values("moa")
        known = scores.query("~average_precision.isna() and n_pos_pairs > 0")
        pairs = np.unique(known[["n_pos_pairs", "n_total_pairs"]].to_numpy(), axis=0)
        drawn = compute.get_null_dists(pairs, 500, seed=7, cache_dir=tmp_path, progress_bar=False)
    null = {(int(mates), int(total)): row for (mates, total), row in zip(pairs, drawn, strict=True)}
    ours = average_precision_by_label(
        x, labels, null="independent", n_null=500, null_of=lambda mates, total: null[mates, total]
    )
    assert ours["label"].to_list() == theirs["moa"].to_list()
    for our, their in (
        ("mean_average_precision", "mean_average_precision"),
        ("p_value", "p_value"),
        ("q_value", "corrected_p_value"),
    ):
        np.testing.assert_allclose(ours[our], theirs[their], atol=1e-6)
