"""The science of phenoassets: plain functions over arrays and tables.

Nothing below this package knows who runs it: no Dagster, no ``context``, no environment variable. Only
``definitions.py`` (the composition root) and ``cli`` look up to the platform.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phenoassets.notebook import OpenScreen

__version__ = "0.2.0"


def open(home: str | os.PathLike[str] = "data") -> OpenScreen:
    """Open the screen that lies in the folder `home`, for a notebook or a script.

    Returns
    -------
    OpenScreen
        Its tables as polars frames, its pictures as arrays, its figures as matplotlib objects.

    Raises
    ------
    UnknownNameError
        If there is no such folder.
    """
    from phenoassets.notebook import open_screen  # importing phenoassets stays light

    return open_screen(home)
