"""Which part of a measure its covariates explain: the coefficients that take variance out of the comparison of the arms.

Sources: Deng, Xu, Kohavi, Walker, "Improving the sensitivity of online controlled experiments by utilizing pre-experiment data"
(WSDM 2013), section 3; Lin, "Agnostic notes on regression adjustments to experimental data" (Annals of Applied Statistics 7,
2013).
"""

from __future__ import annotations

from collections.abc import Sequence

from retrain_assets.experiment.estimation.statistics import MeasureStatistics, StratumStatistics

CONSTANT = 1e-10
"""Share of a covariate's sum of squares below which its variation is taken for rounding."""

COLLINEAR = 1e-8
"""Share of a covariate's variation, not explained by the others, below which it is left out."""

UNITS_A_COVARIATE = 20
"""Units of both arms that each covariate needs; below, fitting would eat more variance than it saves and hide it."""


def adjustment(statistics: MeasureStatistics, used: Sequence[StratumStatistics]) -> tuple[float, ...]:
    """One coefficient per covariate: theta = C_xx^-1 C_xy, 0 for a covariate that brings nothing.

    C are sums of centred products over the units of both arms within each stratum, so that neither the drift between strata nor
    the order of the arms enters. For a ratio y is the value linearised at the stratum's ratio over both arms, (Y - R D) / mean D.
    A covariate that is constant, or a linear combination of others, is left out; with fewer than ``UNITS_A_COVARIATE`` units a
    covariate all are.

    Args:
        statistics: one measure with k columns.
        used: its strata that are compared.
    """
    columns = len(statistics.columns)
    first = 2 if statistics.is_ratio else 1
    count = columns - first
    if not count or sum(one.champion.n + one.challenger.n for one in used) < UNITS_A_COVARIATE * count:
        return (0.0,) * count
    if columns == 2:
        return (_one_covariate(used),)
    within = [[0.0] * count for _ in range(count)]
    with_value = [0.0] * count
    squares = [0.0] * count
    for one in used:
        n = one.champion.n + one.challenger.n
        sums = [a + b for a, b in zip(one.champion.sums, one.challenger.sums, strict=True)]
        products = [a + b for a, b in zip(one.champion.products, one.challenger.products, strict=True)]
        value = _value(sums, n, is_ratio=first == 2)
        for i in range(count):
            x = first + i
            squares[i] += products[_place(x, x, columns)]
            for j in range(i, count):
                within[i][j] += products[_place(x, first + j, columns)] - sums[x] * sums[first + j] / n
            for y, factor in enumerate(value):
                with_value[i] += factor * (products[_place(y, x, columns)] - sums[y] * sums[x] / n)
    return _solve(within, with_value, [CONSTANT * square for square in squares])


def _one_covariate(used: Sequence[StratumStatistics]) -> float:
    """The common case in closed form: a mean and one covariate."""
    within = with_value = squares = 0.0
    for one in used:
        champion, challenger = one.champion, one.challenger
        x = champion.sums[1] + challenger.sums[1]
        x_mean = x / (champion.n + challenger.n)
        square = champion.products[2] + challenger.products[2]
        squares += square
        within += square - x * x_mean
        with_value += champion.products[1] + challenger.products[1] - (champion.sums[0] + challenger.sums[0]) * x_mean
    return with_value / within if within > CONSTANT * squares else 0.0


def _value(sums: Sequence[float], n: int, *, is_ratio: bool) -> tuple[float, ...]:
    """The linearised value as a combination of the first columns."""
    if not is_ratio:
        return (1.0,)
    return (n / sums[1], -n * sums[0] / sums[1] / sums[1]) if sums[1] > 0 else (0.0, 0.0)


def _place(i: int, j: int, columns: int) -> int:
    """Where the product of columns i <= j stands in an upper triangle stored by rows."""
    return i * columns - i * (i - 1) // 2 + j - i


def _solve(upper: list[list[float]], right: list[float], least: list[float]) -> tuple[float, ...]:
    """Least squares on the covariates that vary: elimination, the largest unexplained share of variation first."""
    count = len(right)
    scale = [upper[i][i] ** 0.5 if upper[i][i] > least[i] else 0.0 for i in range(count)]
    left = [i for i in range(count) if scale[i] > 0]
    matrix = {i: {j: upper[min(i, j)][max(i, j)] / (scale[i] * scale[j]) for j in left} for i in left}
    values = {i: right[i] / scale[i] for i in left}
    order: list[int] = []
    while left:
        pivot = max(left, key=lambda i: matrix[i][i])
        if matrix[pivot][pivot] <= COLLINEAR:
            break
        left.remove(pivot)
        order.append(pivot)
        for i in left:
            factor = matrix[i][pivot] / matrix[pivot][pivot]
            values[i] -= factor * values[pivot]
            for j in left:
                matrix[i][j] -= factor * matrix[pivot][j]
    solved: dict[int, float] = {}
    for i in reversed(order):
        solved[i] = (values[i] - sum(matrix[i][j] * solved[j] for j in solved)) / matrix[i][i]
    return tuple(solved.get(i, 0.0) / scale[i] if scale[i] else 0.0 for i in range(count))
