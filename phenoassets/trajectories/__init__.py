"""Each condition over time: distances to controls, growth, curves on one axis, dynamic time warping."""

from __future__ import annotations

from phenoassets.trajectories.distances import distance_to_control
from phenoassets.trajectories.dtw import dtw_kmeans
from phenoassets.trajectories.growth import growth_curves
from phenoassets.trajectories.preparation import combine_plates, prepare_trajectories

__all__ = ["combine_plates", "distance_to_control", "dtw_kmeans", "growth_curves", "prepare_trajectories"]
