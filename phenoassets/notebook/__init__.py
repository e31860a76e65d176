"""A screen in a notebook: tables as frames, questions in SQL, pictures as arrays, figures of matplotlib."""

from __future__ import annotations

from phenoassets.notebook.open_screen import OpenScreen, open_screen
from phenoassets.notebook.picture import Picture

__all__ = ["OpenScreen", "Picture", "open_screen"]
