"""What a screen says of itself, and where the files of its plates lie."""

from __future__ import annotations

from phenoassets.screen.settings import Screen, ScreenSettings, load_screen

__all__ = ["Screen", "ScreenSettings", "load_screen"]
