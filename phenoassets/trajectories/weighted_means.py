"""Distances between weighted means of wells at one scan, and how they change with each well.

In go the profiles of a scan, its controls and the wells of each condition; out come distances, influences and scatter.
What weights mean (plain means, draws of controls) is ``bootstrap``'s.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phenoassets.trajectories.intervals import Influence, Scatter

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


class QuadraticMeans:
    """Distances that follow from inner products: Euclidean, cosine, correlation."""

    def __init__(
        self, metric: str, profiles: Floats, controls: Ints, members: Ints, member: npt.NDArray[np.bool_]
    ) -> None:
        if metric == "euclidean":
            profiles = profiles - profiles[controls].mean(axis=0)  # shifts both means alike, and keeps all digits
        elif metric == "correlation":
            profiles = profiles - profiles.mean(axis=1, keepdims=True)
        self.euclidean = metric == "euclidean"
        reference = profiles[controls]  # (k, d)
        wells = np.where(member[..., None], profiles[members], 0.0)  # (c, m, d)
        self.within = wells @ wells.transpose(0, 2, 1)  # (c, m, m)
        self.across = wells @ reference.T  # (c, m, k)
        self.among = reference @ reference.T  # (k, k)

    def _distance(self, uu: Floats, uv: Floats, vv: Floats) -> Floats:
        if self.euclidean:
            return np.sqrt(np.maximum(uu - 2 * uv + vv, 0.0))
        return np.asarray(np.maximum(1 - uv / np.sqrt(uu * vv), 0.0))

    def _products(self, weights: Floats, even: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Each well (c, m) and each control (c, k) along the condition's mean u and the controls' mean v."""
        own_u = (self.within @ weights[..., None])[..., 0]
        reference_u = (self.across * weights[..., None]).sum(axis=1)
        own_v = self.across @ even
        reference_v = np.broadcast_to(self.among @ even, reference_u.shape)
        return own_u, own_v, reference_u, reference_v

    def to_controls(self, weights: Floats, even: Floats) -> Floats:
        """Distances (c,) of weighted condition means, weights (c, m), to the weighted control mean (k,)."""
        own_u, own_v, _, reference_v = self._products(weights, even)
        uu, uv = (weights * own_u).sum(axis=1), (weights * own_v).sum(axis=1)
        return self._distance(uu, uv, (reference_v * even).sum(axis=1))

    def influence(self, weights: Floats, even: Floats) -> Influence:
        """Wells along the gradients of the distance, each of which is a combination of the two means."""
        own_u, own_v, reference_u, reference_v = self._products(weights, even)
        uu, uv = (weights * own_u).sum(axis=1), (weights * own_v).sum(axis=1)
        vv = (reference_v * even).sum(axis=1)
        if self.euclidean:
            slope = 1 / self._distance(uu, uv, vv)
            at_u, at_v = (slope, -slope), (-slope, slope)
        else:
            size = np.sqrt(uu * vv)
            at_u, at_v = (uv / (uu * size), -1 / size), (-1 / size, uv / (vv * size))

        def along(products: tuple[Floats, Floats], parts: tuple[Floats, Floats]) -> Floats:
            return np.asarray(parts[0][:, None] * products[0] + parts[1][:, None] * products[1])

        own, reference = (own_u, own_v), (reference_u, reference_v)
        return Influence(along(own, at_u), along(reference, at_u), along(own, at_v), along(reference, at_v))

    def scatter(self, member: npt.NDArray[np.bool_], control_factor: float) -> Scatter | None:
        """Trace of the wells' covariance, of condition and controls together, and of its square."""
        if not self.euclidean:
            return None
        n, k = member.sum(axis=1), len(self.among)
        own = np.trace(self.within, axis1=1, axis2=2) - self.within.sum(axis=(1, 2)) / np.maximum(n, 1)
        centred = self.among - self.among.mean(axis=0) - self.among.mean(axis=1)[:, None] + self.among.mean()
        control = float(np.trace(centred)) * control_factor**2
        trace = (own + control) / np.maximum(n + k - 2, 1)
        q = k - 1
        if q < 2:
            return Scatter(trace, 0.0)
        # Bai and Saranadasa (1996): what few wells show of the square is too much by the square of the trace.
        square = float((centred**2).sum()) / q**2 - (float(np.trace(centred)) / q) ** 2 / q
        return Scatter(trace, max(square, 0.0) * q**2 / ((q + 2) * (q - 1)) * control_factor**4)

    def among_controls(self, left: Floats, right: Floats) -> Floats:
        """Distances (b,) between weighted control means, (b, k) each."""
        uu = ((left @ self.among) * left).sum(axis=1)
        uv = ((left @ self.among) * right).sum(axis=1)
        vv = ((right @ self.among) * right).sum(axis=1)
        return self._distance(uu, uv, vv)


class BrayCurtisMeans:
    """Bray-Curtis needs the means themselves, one condition at a time."""

    def __init__(
        self, metric: str, profiles: Floats, controls: Ints, members: Ints, member: npt.NDArray[np.bool_]
    ) -> None:
        del metric
        self.reference = profiles[controls]
        self.wells = np.where(member[..., None], profiles[members], 0.0)

    @staticmethod
    def _distance(weights: Floats, wells: Floats, reference: Floats) -> Floats:
        from phenoassets.trajectories.distance_kernels import braycurtis_of_means

        out = np.empty(len(weights))
        braycurtis_of_means(weights, wells, reference, out)
        return out

    def to_controls(self, weights: Floats, even: Floats) -> Floats:
        """Distances (c,) of weighted condition means, weights (c, m), to the weighted control mean (k,)."""
        reference = (even @ self.reference)[None]
        found = [self._distance(w[None], x, reference)[0] for w, x in zip(weights, self.wells, strict=True)]
        return np.array(found, np.float64)

    def influence(self, weights: Floats, even: Floats) -> Influence:
        """Wells along the gradients of ``sum |u - v| / sum |u + v|``."""
        v = even @ self.reference
        parts: list[list[Floats]] = [[], [], [], []]
        for weight, wells in zip(weights, self.wells, strict=True):
            u = weight @ wells
            apart, together = np.abs(u - v).sum(), np.abs(u + v).sum()
            common = np.sign(u + v) * apart / together**2
            at_u = np.sign(u - v) / together - common
            at_v = np.sign(v - u) / together - common
            for column, value in zip(
                parts, (wells @ at_u, self.reference @ at_u, wells @ at_v, self.reference @ at_v), strict=True
            ):
                column.append(value)
        return Influence(*(np.stack(column) for column in parts))

    def scatter(self, member: npt.NDArray[np.bool_], control_factor: float) -> Scatter | None:
        """None: only Euclidean distances are corrected for noise."""
        del member, control_factor
        return None

    def among_controls(self, left: Floats, right: Floats) -> Floats:
        """Distances (b,) between weighted control means, (b, k) each."""
        return self._distance(left, self.reference, right @ self.reference)
