"""Batch correction by sphering: profiles are measured in units of the variation between untreated wells.

In go profiles and which of them are negative controls; out come profiles whose controls have mean 0 and, up to the
regularization, the identity as covariance. A direction in which controls differ for reasons of no interest counts
little afterwards. It is needed after every extractor, learned or hand-made. Which controls a well is measured against,
and controls measured like any other well, are ``normalization``'s; averaging wells is ``profiles``'.
"""

from __future__ import annotations

import copy
from typing import Final, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from phenoassets.errors import ProfileError

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
Method = Literal["zca", "zca_cor", "pca"]
Scale = Literal["std", "mad"]

_BLOCK_VALUES: Final = 1 << 20  # values transformed at a time, in float64: what a processor's cache holds
_NORMAL_MAD: Final = 1.482602218505602  # standard deviation over median absolute deviation of a normal distribution


class ControlScaler:
    """Centre each feature on the controls and divide it by their spread.

    Parameters
    ----------
    method
        ``std``: mean and standard deviation (ddof 1). ``mad``: median and median absolute deviation, scaled to a
        normal distribution's standard deviation.

    Attributes
    ----------
    center_, scale_ : (d,) float64
        What is subtracted and divided by; the scale of a constant feature is infinite.
    constant_ : (d,) bool
        Features that do not vary among the controls beyond rounding of their type. No distance can be told in them, so
        they become 0 in every profile.
    """

    def __init__(self, method: Scale = "std") -> None:
        if method not in get_args(Scale):
            raise ProfileError(f"unknown scale {method!r}; known are {', '.join(get_args(Scale))}")
        self.method = method

    def fit(self, controls: npt.ArrayLike) -> Self:
        """Learn centre and spread from `controls` (n, d).

        Raises
        ------
        ProfileError
            With fewer than two controls: one has no spread.
        """
        x = _checked(controls, "controls")
        if len(x) < 2:
            raise ProfileError(f"scaling needs at least 2 control profiles to tell a spread, got {len(x)}")
        return self._fit(x, ddof=1)

    def _fit(self, x: Floats, ddof: int) -> Self:
        exact = x.astype(np.float64)
        rounding = 4 * float(np.finfo(x.dtype).eps) * np.abs(exact).max(axis=0)
        if self.method == "mad":
            self.center_ = np.median(exact, axis=0)
            spread = _NORMAL_MAD * np.median(np.abs(exact - self.center_), axis=0)
        else:
            self.center_ = exact.mean(axis=0)
            spread = exact.std(axis=0, ddof=ddof)
        self.constant_ = spread <= rounding
        self.scale_ = np.where(self.constant_, np.inf, spread)
        return self

    def transform(self, profiles: npt.ArrayLike) -> Floats:
        """Scale `profiles` (m, d); float32 stays float32."""
        x = _checked(profiles, "profiles", width=len(self.center_))
        return ((x - self.center_) / self.scale_).astype(x.dtype)


class Spherizer:
    """Whitening against controls: ``(x - mean) W`` with ``W = U diag(1 / sqrt(eigenvalue + l)) U'``.

    Eigenvalues and U are of ``X'X / n``, X the centred controls. This is the transform of Moshkov et al.'s code; the
    formula printed there has the exponent -1 and does not centre. Directions in which controls do not vary (always
    there with fewer controls than features) have eigenvalue 0 and are multiplied by ``1 / sqrt(l)``; the d x d matrix
    is never formed.

    Parameters
    ----------
    regularization
        l, added to the eigenvalues; smaller corrects more. It has the unit of a variance, so what it means depends on
        the scale of the features: give `scale`, or `relative`. The best value depends on the data and is found by a
        sweep, for which `with_regularization` costs nothing.
    method
        ``zca`` keeps the axes of the features. ``zca_cor`` is ``zca`` of features divided by their standard deviation
        (ddof 0), so it whitens the correlation. ``pca`` gives coordinates along the directions in which controls vary,
        largest first: at most n - 1 columns, nothing of the rest.
    scale
        Scale features on the controls first, by ``std`` or ``mad`` (`ControlScaler`); features constant among the
        controls become 0. Without it features keep their own units.
    relative
        Take `regularization` as a fraction of the mean eigenvalue.

    Attributes
    ----------
    mean_ : (d,) float64
        Mean of the controls, after scaling.
    eigenvalues_ : (r,) float64
        Those above rounding, largest first.
    components_ : (r, d) float64
        Their directions, the columns of U.
    regularization_ : float
        What is added to every eigenvalue.
    scaler_ : ControlScaler or None
        The scaling that goes before.
    n_controls_, n_features_in_ : int
        Shape of the controls.

    Notes
    -----
    With one control the covariance is 0 and profiles are only centred on it and divided by ``sqrt(l)``; scaled or
    relative sphering then has nothing to go by and is refused.
    """

    def __init__(
        self,
        regularization: float = 1e-2,
        *,
        method: Method = "zca",
        scale: Scale | None = None,
        relative: bool = False,
    ) -> None:
        if not (np.isfinite(regularization) and regularization >= 0):
            raise ProfileError(f"regularization must be a number from 0 up, not {regularization}")
        if method not in get_args(Method):
            raise ProfileError(f"unknown sphering {method!r}; known are {', '.join(get_args(Method))}")
        if scale is not None and (scale not in get_args(Scale) or method == "zca_cor"):
            raise ProfileError(
                f"scale {scale!r} does not go with {method}: known are {', '.join(get_args(Scale))}, and zca_cor scales"
            )
        self.regularization = regularization
        self.method = method
        self.scale = scale
        self.relative = relative

    def fit(self, controls: npt.ArrayLike) -> Self:
        """Learn mean and principal directions of `controls` (n, d).

        Raises
        ------
        ProfileError
            Without controls, with values that are not finite, where one control or controls without any variation
            leave nothing to scale by, or with regularization 0 and directions without variation.
        """
        x = _checked(controls, "controls")
        if not len(x):
            raise ProfileError("sphering needs negative control wells, and there is none; correct the plate map")
        self.n_controls_, self.n_features_in_ = x.shape
        self.scaler_ = self._fitted_scaler(x)
        exact = (x if self.scaler_ is None else self.scaler_.transform(x.astype(np.float64))).astype(np.float64)
        self.mean_ = exact.mean(axis=0)
        _, singular, directions = np.linalg.svd(exact - self.mean_, full_matrices=False)
        # What centring leaves of equal rows is rounding, and no variation.
        floor = float(np.finfo(np.float64).eps) * float(np.abs(exact).max()) * np.sqrt(exact.size)
        kept = singular > floor
        self.eigenvalues_ = singular[kept] ** 2 / len(x)
        self.components_ = directions[kept]
        return self._regularize(self.regularization)

    def _fitted_scaler(self, x: Floats) -> ControlScaler | None:
        if self.scale is None and self.method != "zca_cor":
            return None
        if len(x) < 2:
            raise ProfileError("one control well has no spread to scale by; sphere without scaling or add controls")
        scaler = ControlScaler(self.scale or "std")._fit(x, ddof=0 if self.method == "zca_cor" else 1)
        if scaler.constant_.all():
            raise ProfileError(f"all {len(x)} control profiles are the same, so there is nothing to scale by")
        return scaler

    def _regularize(self, regularization: float) -> Self:
        self.regularization = regularization
        self.regularization_ = float(regularization)
        if self.relative:
            total = float(self.eigenvalues_.sum())
            if total == 0:
                raise ProfileError(
                    f"{self.n_controls_} control profiles do not vary, so a relative regularization has nothing to "
                    "refer to; give an absolute one or more controls"
                )
            self.regularization_ *= total / self.n_features_in_
        if self.method == "pca" and not len(self.eigenvalues_):
            raise ProfileError(f"{self.n_controls_} control profiles do not vary, so pca has no direction; use zca")
        if self.regularization_ == 0 and self.method != "pca" and len(self.eigenvalues_) < self.n_features_in_:
            raise ProfileError(
                f"{self.n_controls_} controls vary in {len(self.eigenvalues_)} of {self.n_features_in_} directions, so "
                "sphering without regularization is undefined; give regularization above 0"
            )
        return self

    def with_regularization(self, regularization: float) -> Spherizer:
        """A copy of this fitted spherizer with another regularization; nothing is fitted again."""
        if not (np.isfinite(regularization) and regularization >= 0):
            raise ProfileError(f"regularization must be a number from 0 up, not {regularization}")
        return copy.copy(self)._regularize(regularization)

    def transform(self, profiles: npt.ArrayLike) -> Floats:
        """Sphere `profiles` (m, d); float32 stays float32.

        Raises
        ------
        ProfileError
            If the width is not that of the controls, or a value is not finite.
        """
        x = _checked(profiles, "profiles", width=self.n_features_in_)
        rank = len(self.eigenvalues_)
        out = np.empty((len(x), rank if self.method == "pca" else x.shape[1]), x.dtype)
        along = 1 / np.sqrt(self.eigenvalues_ + self.regularization_)  # (r,)
        # Whatever lies outside the components is multiplied by `beyond`; without an outside there is nothing to add.
        beyond = 0.0 if self.method == "pca" or rank == x.shape[1] else 1 / np.sqrt(self.regularization_)
        step = max(16, _BLOCK_VALUES // x.shape[1])
        for first in range(0, len(x), step):
            block = x[first : first + step].astype(np.float64)
            if self.scaler_ is not None:
                block = self.scaler_.transform(block).astype(np.float64)
            block -= self.mean_
            scores = block @ self.components_.T  # (b, r)
            if self.method == "pca":
                made = scores * along
            else:
                made = (scores * (along - beyond)) @ self.components_
                if beyond:
                    made += beyond * block
                if self.scaler_ is not None:
                    made[:, self.scaler_.constant_] = 0.0
            out[first : first + step] = made
        return out


def _checked(profiles: npt.ArrayLike, what: str, width: int | None = None) -> Floats:
    x = np.asarray(profiles)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ProfileError(f"{what} must be an array of rows and features, not one of shape {x.shape}")
    if width is not None and x.shape[1] != width:
        raise ProfileError(f"{what} have {x.shape[1]} features, the controls had {width}; they are of another model")
    if x.dtype == np.float16:
        x = x.astype(np.float32)
    elif not np.issubdtype(x.dtype, np.floating):
        x = x.astype(np.float64)
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        raise ProfileError(f"{int(bad.sum())} of {len(x)} {what} hold values that are not finite; take them out")
    return x
