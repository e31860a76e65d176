"""Dagster assets, one module a layer; each takes, calls and reports. The work is in ``phenoassets``."""
