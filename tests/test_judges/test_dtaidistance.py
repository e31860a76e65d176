"""dtaidistance judges the distances of DTW."""

import numpy as np
import pytest
from builders import curves

from phenoassets.trajectories.dtw import dtw_distance, dtw_matrix


@pytest.mark.parametrize("radius", [None, 3])
def test_distances_equal_those_of_dtaidistance(radius):
    from dtaidistance import dtw

    x, _ = curves(12, 40, 1)
    judged = dtw.distance_matrix(x, window=None if radius is None else radius + 1)
    np.testing.assert_allclose(dtw_matrix(x, radius), judged, rtol=0, atol=1e-9)


def test_curves_of_unequal_length_equal_dtaidistance_too():
    from dtaidistance import dtw

    x, _ = curves(2, 40, 2)
    short = x[1].copy()
    short[29:] = np.nan
    expected = dtw.distance(x[0], x[1][:29])
    assert dtw_distance(x[0], short) == pytest.approx(expected, abs=1e-9)
    assert dtw_matrix(np.stack([x[0], short]))[1, 0] == pytest.approx(expected, abs=1e-9)
