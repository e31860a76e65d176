"""pycytominer judges sphering."""

import warnings

import numpy as np
import pytest
from builders import awkward_profiles

from phenoassets.sphering import Spherizer


@pytest.mark.parametrize("method", ["zca", "zca_cor", "pca"])
def test_sphering_agrees_with_pycytominer_as_regularization_vanishes(method):
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it sets an option that its pandas no longer has
        from pycytominer.operations import Spherize

    controls, profiles = awkward_profiles(300, 9, mean=50.0), awkward_profiles(20, 9, seed=7, mean=50.0)
    made = Spherizer(0, method=method).fit(controls).transform(profiles)
    theirs = Spherize(epsilon=0, method=method.upper().replace("_COR", "-cor"), return_numpy=True)
    expected = theirs.fit(pd.DataFrame(controls)).transform(pd.DataFrame(profiles))
    expected = expected * np.sqrt(300 / 299)  # their covariance is over n - 1
    if method == "pca":  # the sign of a direction is arbitrary
        made, expected = np.abs(made), np.abs(expected)
    np.testing.assert_allclose(made, expected, rtol=1e-6, atol=1e-6)
