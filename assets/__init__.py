"""Dagster assets: rows of tables, one module a group, of which ``factory`` makes the assets.

The modules in the order of the pipeline: ``plates``, ``catalogue``, ``images``, ``embeddings``, ``profiles``,
``trajectories``, ``effects``, ``warehouse``. A row takes, calls and reports; the work is in ``phenoassets.steps``.
"""
