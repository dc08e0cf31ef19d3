"""Whether sums can be those of real values: NaN, infinities and sums that no values have are named, with arm and stage."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from operator import gt

from retrain_assets.experiment.estimation.statistics import Arm, ArmStatistics, MeasureStatistics, Overlap

_TOLERANCE = 1e-9
"""Relative excess, over what any values could give, that is taken for rounding."""

_EXCESS = 1 + _TOLERANCE

_LEAST, _GREATEST = 1e-100, 1e100
"""Sums of squares between which their products, quotients and variances are numbers, too."""


def problem_of(statistics: MeasureStatistics) -> str | None:
    """What is wrong with a measure's sums, in words that name arm, revision and stage; None when nothing is."""
    columns = len(statistics.columns)
    seen: set[int] = set()
    for one in statistics.strata:
        revision = one.stratum.revision
        if revision in seen:
            return f"revision {revision} (stage {one.stratum.stage}) is there twice: its sums were not merged"
        seen.add(revision)
        for name, arm in (("champion", one.champion), ("challenger", one.challenger)):
            if _looks_sound(arm, columns):
                continue
            if found := _problem(arm, columns, _scale(statistics)):
                return f"{name}, revision {revision} (stage {one.stratum.stage}): {found}"
    return _overlap_problem(statistics) if statistics.overlaps else None


def _looks_sound(arm: ArmStatistics, columns: int) -> bool:
    """The quick test that almost every arm passes: no sum beyond what its squares allow; NaN fails every comparison."""
    sums, products, n = arm.sums, arm.products, arm.n
    if arm.not_finite or len(sums) != columns or n < 1 or not 0 <= arm.first_n <= n:
        return n == 0 and not arm.not_finite and len(sums) == columns and not any(sums) and not any(products)
    if columns == 1:
        total, squares = sums[0], products[0]
        most = n * squares * _EXCESS
        squared = arm.first_sum * arm.first_sum
        return len(products) == 1 and total * total <= most and squared <= most and _is_usual(squares)
    if len(products) != columns * (columns + 1) // 2:
        return False
    place = 0
    for row in range(columns):
        most = n * products[place] * _EXCESS
        if not (sums[row] * sums[row] <= most and _is_usual(products[place])):
            return False
        place += columns - row
    return arm.first_sum * arm.first_sum <= n * products[0] * _EXCESS and all(map(math.isfinite, products))


def _is_usual(squares: float) -> bool:
    return squares == 0.0 or _LEAST < squares < _GREATEST


def _scale(statistics: MeasureStatistics) -> float:
    """The largest sum of squares: what taking units away again can leave a rounding residue of."""
    values = [abs(value) for one in statistics.strata for arm in (one.champion, one.challenger) for value in arm.products]
    return max((value for value in values if value < math.inf), default=0.0)


def _problem(arm: ArmStatistics, columns: int, scale: float) -> str | None:
    n, sums, products = arm.n, arm.sums, arm.products
    if len(sums) != columns or len(products) != columns * (columns + 1) // 2:
        return f"sums of {len(sums)} columns where the measure has {columns}; aggregate the experiment anew"
    if arm.not_finite:
        units = "unit has" if arm.not_finite == 1 else "units have"
        return (
            f"{arm.not_finite} {units} a value that is NaN, infinite or impossible; correct the outcome or exposure records, "
            "a report with a later observed_at replaces the earlier one"
        )
    if not all(math.isfinite(value) for value in (*sums, *products, arm.first_sum)):
        return "the sum of the values is NaN or infinite; look for broken records of this measure"
    if n < 0:
        return f"a negative number of units ({n})"
    residue = _TOLERANCE * scale
    if n == 0:
        return "a sum without units" if any(value * value > residue for value in sums) else None
    if not 0 <= arm.first_n <= n or not 0 <= arm.outside <= n:
        return f"{arm.first_n} first units and {arm.outside} outside 0..1 among {n} units"
    for row, squares in enumerate(_squares(arm)):
        if not _is_usual(abs(squares)):
            return f"values too large or small to compute with (sum of squares {squares:.6g}); give the measure another unit"
        if sums[row] * sums[row] > n * (squares * (1 + _TOLERANCE) + residue):
            return f"the sum of squares is smaller than the values' sum ({sums[row]:.6g} over {n} units) allows"
    return None


def _is_plainly_sound(overlap: Overlap, cells: Mapping[tuple[int, Arm], ArmStatistics]) -> bool:
    """The quick test of one column; NaN fails every comparison."""
    first, second = cells.get(overlap.first), cells.get(overlap.second)
    if first is None or second is None or overlap.first[0] == overlap.second[0]:
        return False
    if not (len(overlap.products) == len(overlap.first_sums) == len(overlap.second_sums) == 1):
        return False
    n, squares, other = overlap.n, first.products[0] * _EXCESS, second.products[0] * _EXCESS
    a, b, product = overlap.first_sums[0], overlap.second_sums[0], overlap.products[0]
    if not (0 <= n <= first.n and n <= second.n):
        return False
    return a * a <= n * squares and b * b <= n * other and product * product <= squares * other


def _overlap_problem(statistics: MeasureStatistics) -> str | None:
    columns = len(statistics.columns)
    cells: dict[tuple[int, Arm], ArmStatistics] = {}
    roots: dict[tuple[int, Arm], list[float]] = {}
    for one in statistics.strata:
        cells[one.stratum.revision, "champion"] = one.champion
        cells[one.stratum.revision, "challenger"] = one.challenger
    for overlap in statistics.overlaps:
        if columns == 1 and _is_plainly_sound(overlap, cells):
            continue
        where = f"units of revisions {overlap.first[0]} and {overlap.second[0]}"
        first, second = cells.get(overlap.first), cells.get(overlap.second)
        if first is None or second is None or overlap.first[0] == overlap.second[0]:
            return f"{where}: not two strata of the experiment"
        if (len(overlap.first_sums), len(overlap.second_sums), len(overlap.products)) != (columns, columns, columns * columns):
            return f"{where}: sums of other columns than the measure has; aggregate the experiment anew"
        if not 0 <= overlap.n <= min(first.n, second.n):
            return f"{where}: {overlap.n} shared units of {first.n} and {second.n}"
        if not all(map(math.isfinite, (*overlap.first_sums, *overlap.second_sums, *overlap.products))):
            return f"{where}: a sum is NaN or infinite"
        if not roots:
            residue = _TOLERANCE * _scale(statistics)
            roots = {key: [math.sqrt(max(one, 0.0) * _EXCESS + residue) for one in _squares(arm)] for key, arm in cells.items()}
        most = [a * b for a in roots[overlap.first] for b in roots[overlap.second]]
        most += [math.sqrt(overlap.n) * root + _TOLERANCE for root in (*roots[overlap.first], *roots[overlap.second])]
        sums = (*overlap.products, *overlap.first_sums, *overlap.second_sums)
        if any(map(gt, map(abs, sums), most)):
            return f"{where}: sums larger than the squares of either stage allow; aggregate the experiment anew"
    return None


def _squares(arm: ArmStatistics) -> Iterator[float]:
    """The diagonal of the products."""
    place, columns = 0, len(arm.sums)
    for row in range(columns):
        yield arm.products[place]
        place += columns - row
