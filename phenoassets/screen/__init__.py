"""What a screen says of itself, and where the files of its plates lie."""

from __future__ import annotations

from phenoassets.screen.loading import Screen, load_screen
from phenoassets.screen.settings import ScreenSettings

__all__ = ["Screen", "ScreenSettings", "load_screen"]
