"""The science of phenoassets: plain functions over arrays and tables.

Nothing below this package knows who runs it: no Dagster, no ``context``, no environment variable. Only
``definitions.py`` (the composition root) and ``cli`` look up to the platform.
"""

__version__ = "0.2.0"
