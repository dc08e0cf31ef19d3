"""What a unit is worth: laws of the values of simulated units, drawn as sums over groups of units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from benchmarks.study.ramps import Counts, Floats, Ramp, Runs


class Law(Protocol):
    """Values of units. ``level`` multiplies what the arms are compared on."""

    @property
    def name(self) -> str:
        """For tables."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a unit."""
        ...

    def draw(self, rng: np.random.Generator, n: Counts, level: Floats) -> tuple[Floats, Counts]:
        """Sums (columns, then products) over groups of n units at a level, and units outside 0..1 in each group."""
        ...

    def mean(self, level: float) -> float:
        """The true mean (a ratio's true ratio) at a level."""
        ...

    def variance(self, level: float) -> float:
        """The true variance of a unit's value (a ratio's linearised one) at a level."""
        ...


def simulate(
    law: Law, ramp: Ramp, rng: np.random.Generator, runs: int, *, effect: float = 0.0, counts: Counts | None = None
) -> Runs:
    """Runs of a ramp with units that come once. The challenger's level is ``1 + effect`` times the champion's.

    ``counts`` are the units of another measure of the same canaries (see :meth:`Ramp.draw_counts`).
    """
    n = ramp.draw_counts(rng, runs) if counts is None else counts
    level = ramp.level_of[None, :, None] * np.array([1.0, 1.0 + effect])
    sums, outside = law.draw(rng, n, np.broadcast_to(level, n.shape))
    within = ramp.within_stages
    return Runs(ramp, within(n), within(sums), within(outside), law.columns)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Conversion:
    """A unit converts or not."""

    rate: float
    name: str = "conversion"
    columns: tuple[str, ...] = ("value",)

    def draw(self, rng: np.random.Generator, n: Counts, level: Floats) -> tuple[Floats, Counts]:
        """See :class:`Law`."""
        events = rng.binomial(n, self.rate * level).astype(float)
        return np.stack([events, events], axis=-1), np.zeros_like(n)

    def mean(self, level: float) -> float:
        """See :class:`Law`."""
        return self.rate * level

    def variance(self, level: float) -> float:
        """See :class:`Law`."""
        return self.rate * level * (1 - self.rate * level)


@dataclass(frozen=True, slots=True)
class Revenue:
    """Most units buy nothing; an order is 1 plus a log-normal amount. The level is that of the rate of buying."""

    rate: float = 0.05
    location: float = 3.0
    scale: float = 1.0
    name: str = "revenue"
    columns: tuple[str, ...] = ("value",)

    def draw(self, rng: np.random.Generator, n: Counts, level: Floats) -> tuple[Floats, Counts]:
        """See :class:`Law`."""
        buyers = rng.binomial(n, self.rate * level)
        sums = np.zeros((*n.shape, 2))
        for run in range(len(n)):
            orders = 1 + rng.lognormal(self.location, self.scale, int(buyers[run].sum()))
            ends = np.cumsum(buyers[run].ravel())
            for place, values in enumerate((orders, orders**2)):
                total = np.concatenate([[0.0], np.cumsum(values)])[ends]
                sums[run, ..., place] = np.diff(total, prepend=0.0).reshape(n.shape[1:])
        return sums, buyers

    def mean(self, level: float) -> float:
        """See :class:`Law`."""
        return self.rate * level * (1 + float(np.exp(self.location + self.scale**2 / 2)))

    def variance(self, level: float) -> float:
        """See :class:`Law`."""
        first, second = (float(np.exp(k * self.location + k * k * self.scale**2 / 2)) for k in (1, 2))
        return self.rate * level * (1 + 2 * first + second) - self.mean(level) ** 2


@dataclass(frozen=True, slots=True)
class RevenuePerSession:
    """A ratio: revenue over sessions. Units have 1 to 8 sessions; frequent visitors buy more often and larger."""

    rate: float = 0.04
    name: str = "revenue per session"
    columns: tuple[str, ...] = ("value", "per")

    def _table(self, level: float) -> tuple[Floats, Floats]:
        sessions = np.arange(1, 9)
        visits = 0.55 ** (sessions - 1)
        rows, chances = [], []
        orders, sizes = np.array([10.0, 20.0, 45.0, 120.0]), np.array([0.4, 0.35, 0.2, 0.05])
        for number, visit in zip(sessions, visits / visits.sum(), strict=True):
            buys = self.rate * level * number * (0.7 + 0.1 * number)
            rows += [(0.0, number), *((order * (1 + 0.1 * number), number) for order in orders)]
            chances += [visit * (1 - buys), *(visit * buys * size for size in sizes)]
        return np.array(rows, dtype=float), np.array(chances)

    def draw(self, rng: np.random.Generator, n: Counts, level: Floats) -> tuple[Floats, Counts]:
        """See :class:`Law`."""
        sums = np.zeros((*n.shape, 5))
        outside = np.zeros_like(n)
        for one in np.unique(level):
            rows, chances = self._table(float(one))
            value, per = rows.T
            every = np.stack([value, per, value * value, value * per, per * per], axis=-1)
            where = level == one
            counts = rng.multinomial(n[where], chances)
            sums[where] = counts @ every
            outside[where] = counts @ (value > 1).astype(np.int64)
        return sums, outside

    def mean(self, level: float) -> float:
        """See :class:`Law`."""
        rows, chances = self._table(level)
        return float((chances @ rows[:, 0]) / (chances @ rows[:, 1]))

    def variance(self, level: float) -> float:
        """See :class:`Law`."""
        rows, chances = self._table(level)
        residual = rows[:, 0] - self.mean(level) * rows[:, 1]
        return float(chances @ residual**2 / (chances @ rows[:, 1]) ** 2)


@dataclass(frozen=True, slots=True)
class WithCovariate:
    """Normal values with mean ``level`` and a normal covariate that correlates with them; exact by the Wishart law."""

    correlation: float = 0.7
    deviation: float = 1.0
    name: str = "normal, with a covariate"
    columns: tuple[str, ...] = ("value", "before")

    def draw(self, rng: np.random.Generator, n: Counts, level: Floats) -> tuple[Floats, Counts]:
        """See :class:`Law`."""
        root = self.deviation * np.array([[1.0, 0.0], [self.correlation, np.sqrt(1 - self.correlation**2)]])
        units = np.maximum(n, 1)
        centre = rng.normal(size=(*n.shape, 2)) @ root.T / np.sqrt(units)[..., None]
        mean = centre + np.stack([level, np.zeros_like(level)], axis=-1)
        lower = np.zeros((*n.shape, 2, 2))
        lower[..., 0, 0] = np.sqrt(rng.chisquare(np.maximum(n - 1, 1)))
        lower[..., 1, 1] = np.sqrt(rng.chisquare(np.maximum(n - 2, 1)))
        lower[..., 1, 0] = rng.normal(size=n.shape)
        lower = root @ lower
        scatter = lower @ np.swapaxes(lower, -1, -2)
        scatter[n < 3] = 0.0
        products = scatter + n[..., None, None] * mean[..., :, None] * mean[..., None, :]
        sums = n[..., None] * mean
        every = [sums[..., 0], sums[..., 1], products[..., 0, 0], products[..., 0, 1], products[..., 1, 1]]
        return np.stack(every, axis=-1), n

    def mean(self, level: float) -> float:
        """See :class:`Law`."""
        return level

    def variance(self, level: float) -> float:
        """See :class:`Law`."""
        return self.deviation**2


def without_covariates(runs: Runs) -> Runs:
    """The same units, nothing known about them but the value."""
    k = len(runs.columns)
    return replace(runs, sums=runs.sums[..., [0, k]], columns=("value",))
