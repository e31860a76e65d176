"""What each asset does to the store: find what is new, call the science, write it.

In go a screen, the table store and a plate; out comes ``StepResult``, which says how much was new and
what the table now is. Nothing here knows who runs it. The methods themselves are in the modules beside this package.
"""

from __future__ import annotations

from phenoassets.steps.step import Progress, StepResult

__all__ = ["Progress", "StepResult"]
