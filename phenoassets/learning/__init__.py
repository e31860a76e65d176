"""One harness for every classifier: splits, training in folds, and scores that tell the truth.

Vectors and labels go in, out-of-fold predictions and their scores come out. Where vectors come from, and what a label
means, is the caller's.
"""

from phenoassets.learning.folds import OutOfFold, predict_out_of_fold
from phenoassets.learning.scores import Scores, permutation_null, scores
from phenoassets.learning.splits import group_split, mixed_split

__all__ = [
    "OutOfFold",
    "Scores",
    "group_split",
    "mixed_split",
    "permutation_null",
    "predict_out_of_fold",
    "scores",
]
