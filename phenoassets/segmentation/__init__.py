"""Cells as objects: segmenters, test-time augmentation, scores.

A phase-contrast picture goes in, a label image comes out. The network and covered area are `imaging`'s; tables and
assets are made elsewhere.
"""

from phenoassets.segmentation.augmentation import VIEWS
from phenoassets.segmentation.base import Segmentation, SegmenterCard
from phenoassets.segmentation.scores import score
from phenoassets.segmentation.segmenters import SEGMENTERS, SHIPPED, find_objects, load_segmenter, segment

__all__ = [
    "SEGMENTERS",
    "SHIPPED",
    "VIEWS",
    "Segmentation",
    "SegmenterCard",
    "find_objects",
    "load_segmenter",
    "score",
    "segment",
]
