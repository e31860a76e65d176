"""How loops are compiled: once for this machine, kept where that is possible.

In goes a plain function of arrays and numbers; out comes the same, compiled by numba without the interpreter lock.
What is computed stands in ``*_kernels.py``, modules imported where they are needed because numba is slow to load.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_SAFE = {"reassoc", "contract", "nsz"}


def compiled(function: F) -> F:
    """Compile `function`, keeping the result on disk where numba finds a folder it may write to.

    It looks beside the source and then in the user's cache; with neither, each process compiles again. Sums may be
    added in another order (several lanes at a time); not-a-number and infinity keep their meaning.
    """
    return _kept(function, _SAFE)


def exactly_compiled(function: F) -> F:
    """Compile `function` as `compiled` does, but add sums in the order that is written."""
    return _kept(function, False)


def _kept(function: F, fastmath: set[str] | bool) -> F:
    try:
        return cast(F, numba.njit(cache=True, nogil=True, fastmath=fastmath)(function))
    except RuntimeError:
        return cast(F, numba.njit(nogil=True, fastmath=fastmath)(function))
