"""Sufficient statistics of one measure: what every analysis here starts from. No intervals, no decisions.

Everything is a sum over units, so statistics of disjoint units add, and those of units that changed can be taken away again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import starmap
from operator import add, sub
from typing import Any, Literal

from retrain_assets.contract import finite
from retrain_assets.experiment.estimation.quantiles import RequestHistogram

SHADOW = "shadow"
"""The stage label of shadow traffic: the challenger scores, the champion answers."""

Arm = Literal["champion", "challenger"]

ARMS: tuple[Arm, Arm] = ("champion", "challenger")

_ROUNDING = 1e-13
"""Share of the sum of squares below which a sum of squared deviations is rounding noise."""


@dataclass(frozen=True, slots=True)
class ArmStatistics:
    """Sums over the units of one arm in one stratum, for the k columns of a measure (see :class:`MeasureStatistics`).

    Args:
        n: units with a usable value.
        sums: sum of each column over those units, k numbers.
        products: sums of products of each pair of columns, upper triangle by rows: 00, 01, ..., 11, ...; k (k + 1) / 2.
        outside: units whose value is not in 0..1.
        not_finite: units whose value is NaN, infinite or impossible (a negative duration); they are in no sum.
        first_n: of the n units, those whose first stratum with traffic this is.
        first_sum: sum of the values of those units.
        requests: the requests' values, for a quantile.
    """

    n: int
    sums: tuple[float, ...]
    products: tuple[float, ...]
    outside: int = 0
    not_finite: int = 0
    first_n: int = 0
    first_sum: float = 0.0
    requests: RequestHistogram | None = None

    @classmethod
    def empty(cls, columns: int = 1) -> ArmStatistics:
        """The statistics of nobody."""
        return cls(0, (0.0,) * columns, (0.0,) * (columns * (columns + 1) // 2))

    @classmethod
    def of_mean(cls, n: int, total: float, sum_of_squares: float, *, outside: int = 0) -> ArmStatistics:
        """The statistics of one column over units that each were in one stratum only."""
        return cls(n, (total,), (sum_of_squares,), outside, 0, n, total)

    def __add__(self, other: ArmStatistics) -> ArmStatistics:
        """The statistics of both groups of units together (which must not share a unit)."""
        return self._with(other, add)

    def __sub__(self, other: ArmStatistics) -> ArmStatistics:
        """The statistics without a group of units that is among them."""
        return self._with(other, sub)

    def _with(self, other: ArmStatistics, both: Callable[[Any, Any], Any]) -> ArmStatistics:
        requests = self.requests
        if other.requests is not None:
            requests = both(requests or RequestHistogram.empty(), other.requests)
        return ArmStatistics(
            both(self.n, other.n),
            tuple(starmap(both, zip(self.sums, other.sums, strict=True))),
            tuple(starmap(both, zip(self.products, other.products, strict=True))),
            both(self.outside, other.outside),
            both(self.not_finite, other.not_finite),
            both(self.first_n, other.first_n),
            both(self.first_sum, other.first_sum),
            requests,
        )

    @property
    def sum(self) -> float:
        """Sum of the units' values, in the unit of the measure."""
        return self.sums[0]

    @property
    def sum_of_squares(self) -> float:
        """Sum of the squares of the units' values."""
        return self.products[0]

    @property
    def mean(self) -> float:
        """Mean value per unit; NaN without units."""
        return self.sums[0] / self.n if self.n else math.nan

    @property
    def variance(self) -> float:
        """Unbiased variance of the values between units (divisor n - 1); NaN below two units."""
        if self.n < 2:
            return math.nan
        deviations = self.products[0] - self.sums[0] * self.sums[0] / self.n
        return deviations / (self.n - 1) if deviations > _ROUNDING * self.products[0] else 0.0

    @property
    def is_share(self) -> bool:
        """Whether all values lie in 0..1 (a 0/1 column, or a unit's average of one)."""
        return self.outside == 0

    @property
    def is_empty(self) -> bool:
        """Whether nobody was there, not even with a value that is none."""
        return self.n == 0 and self.not_finite == 0 and not any(self.sums)


@dataclass(frozen=True, slots=True)
class Stratum:
    """Units that met the same toggle revision: one share of traffic, one period.

    Args:
        revision: revision of the toggle.
        stage: label of the ramp's stage: ``shadow``, ``5``, ``25`` ...
    """

    revision: int
    stage: str


@dataclass(frozen=True, slots=True)
class StratumStatistics:
    """One measure in one stratum, both arms."""

    stratum: Stratum
    champion: ArmStatistics
    challenger: ArmStatistics

    @property
    def weight(self) -> float:
        """Information on the difference of the arms: n_c n_t / (n_c + n_t), 0 when an arm is empty."""
        n_champion, n_challenger = self.champion.n, self.challenger.n
        return n_champion * n_challenger / (n_champion + n_challenger) if n_champion and n_challenger else 0.0

    def arm(self, arm: Arm) -> ArmStatistics:
        """The statistics of one arm."""
        return self.champion if arm == "champion" else self.challenger


@dataclass(frozen=True, slots=True)
class Overlap:
    """Units that were in two strata: what makes the strata depend on each other.

    Args:
        first: revision and arm of the earlier cell.
        second: revision and arm of the later cell.
        n: units in both with a usable value in both.
        first_sums: sums over those units of the earlier cell's columns, k numbers.
        second_sums: the same of the later cell's columns.
        products: sums of column i of the earlier cell times column j of the later one, by rows, k * k numbers.
    """

    first: tuple[int, Arm]
    second: tuple[int, Arm]
    n: int
    first_sums: tuple[float, ...]
    second_sums: tuple[float, ...]
    products: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MeasureStatistics:
    """One measure over all strata of an experiment.

    A unit is in every stratum it had matured requests in, there with the arm it had and the value of its requests there.

    Args:
        columns: what the k columns are: ``value`` (a ratio's numerator), then ``per`` (its denominator) for a ratio, then one
            name per covariate.
        strata: by revision.
        overlaps: pairs of cells that share units.
    """

    columns: tuple[str, ...] = ("value",)
    strata: tuple[StratumStatistics, ...] = ()
    overlaps: tuple[Overlap, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict, from which the measure can be judged again."""
        return {
            "columns": list(self.columns),
            "strata": [
                {
                    "revision": one.stratum.revision,
                    "stage": one.stratum.stage,
                    **{arm: _arm_to_json(one.arm(arm)) for arm in ARMS},
                }
                for one in self.strata
            ],
            "overlaps": [
                {
                    "first": list(one.first),
                    "second": list(one.second),
                    "n": int(one.n),
                    "first_sums": _numbers(one.first_sums),
                    "second_sums": _numbers(one.second_sums),
                    "products": _numbers(one.products),
                }
                for one in self.overlaps
            ],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> MeasureStatistics:
        """The inverse of :meth:`to_json`."""
        return cls(
            tuple(value["columns"]),
            tuple(
                StratumStatistics(Stratum(one["revision"], one["stage"]), *(_arm_from_json(one[arm]) for arm in ARMS))
                for one in value["strata"]
            ),
            tuple(Overlap(**{name: _read(part) for name, part in one.items()}) for one in value["overlaps"]),
        )

    @property
    def is_ratio(self) -> bool:
        """Whether the measure is a ratio of two sums."""
        return len(self.columns) > 1 and self.columns[1] == "per"

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates."""
        return self.columns[2 if self.is_ratio else 1 :]

    def with_traffic(self) -> MeasureStatistics:
        """The same without shadow strata and strata that nobody was in."""
        strata = [
            one for one in self.strata if one.stratum.stage != SHADOW and not (one.champion.is_empty and one.challenger.is_empty)
        ]
        if len(strata) == len(self.strata):
            return self
        left = {one.stratum.revision for one in strata}
        overlaps = tuple(one for one in self.overlaps if one.first[0] in left and one.second[0] in left)
        return replace(self, strata=tuple(strata), overlaps=overlaps)


def _arm_to_json(arm: ArmStatistics) -> dict[str, Any]:
    return {
        "n": int(arm.n),
        "sums": _numbers(arm.sums),
        "products": _numbers(arm.products),
        "outside": int(arm.outside),
        "not_finite": int(arm.not_finite),
        "first_n": int(arm.first_n),
        "first_sum": finite(float(arm.first_sum)),
        "requests": arm.requests.to_json() if arm.requests is not None else None,
    }


def _arm_from_json(value: Mapping[str, Any]) -> ArmStatistics:
    read = {name: _read(part) if name in ("sums", "products", "first_sum") else part for name, part in value.items()}
    if read["requests"] is not None:
        read["requests"] = RequestHistogram.from_json(read["requests"])
    return ArmStatistics(**read)


def _numbers(values: Sequence[float]) -> list[float | None]:
    return [finite(float(value)) for value in values]


def _read(value: Any) -> Any:
    """What was not finite is stored as None, which no JSON reader refuses."""
    if isinstance(value, list):
        return tuple(map(_read, value))
    return math.nan if value is None else value
