"""Plate maps: what was put into each well, from the formats that labs write."""

from __future__ import annotations

from phenoassets.incucyte.plate_maps.reading import PLATE_MAP_SUFFIXES, read_plate_map

__all__ = ["PLATE_MAP_SUFFIXES", "read_plate_map"]
