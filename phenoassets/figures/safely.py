"""A picture never makes an asset fail: its table is already written and right, with or without it.

Where something is missing that a picture needs, there is none. Any other fault goes to the log with its traceback, and
the UI shows its words in place of the picture, so that it is neither hidden nor in the way.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

from phenoassets.errors import PhenoassetsError
from phenoassets.figures.drawing.style import notice

_Arguments = ParamSpec("_Arguments")
_log = logging.getLogger(__name__)


def never_failing(draw: Callable[_Arguments, bytes | None]) -> Callable[_Arguments, bytes | None]:
    """Wrap `draw` so that it gives None for a `PhenoassetsError`, and a notice for any other fault."""

    @functools.wraps(draw)
    def safely(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> bytes | None:
        try:
            return draw(*args, **kwargs)
        except PhenoassetsError as error:
            _log.info("no picture %s: %s", draw.__name__, error)
            return None
        except Exception as error:  # the asset must go on; log and notice tell what is wrong
            _log.exception("picture %s could not be drawn", draw.__name__)
            return notice(f"The picture {draw.__name__} could not be drawn", f"{type(error).__name__}: {error}")

    return safely
