"""The contract of every table, written once: a file here for each group of tables.

In goes nothing; out comes ``TABLES``: for each table its columns, types, units, key and meaning. The table store
refuses frames that do not fit, the blocking asset checks and the column docs of the UI are made from it, and the
warehouse takes its views from it. No reading or writing happens here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from phenoassets.store.schemas import (
    catalogue,
    classifiers,
    effects,
    embeddings,
    images,
    objects,
    profiles,
    trajectories,
)
from phenoassets.store.schemas.columns import (
    CONTROL_ROLE,
    EFFECTS,
    FEATURES,
    METRICS,
    ROLES,
    TREATED_ROLES,
    UNNORMALIZED,
)
from phenoassets.store.schemas.table import Column, Table, Vector

__all__ = [
    "CONTROL_ROLE",
    "EFFECTS",
    "FEATURES",
    "METRICS",
    "ROLES",
    "TABLES",
    "TREATED_ROLES",
    "UNNORMALIZED",
    "Column",
    "Table",
    "Vector",
]

_GROUPS = (catalogue, images, embeddings, objects, trajectories, profiles, effects, classifiers)

TABLES: Final[Mapping[str, Table]] = {table.name: table for group in _GROUPS for table in group.TABLES}
