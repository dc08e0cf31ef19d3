"""Is the hold-out still the same kind of data as training? Distances in multiples of training's own unrest, and broken orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.gates.features.calendar import is_calendar
from retrain_assets.gates.features.cells import SEED, is_ordered
from retrain_assets.gates.limits import TABLE_ROWS, at_most, listed, number

CHECK = "holdout_resembles_training"
FEWEST_STRETCHES, MOST_STRETCHES = 24, 96
"""Neighbouring stretches of equally many rows that training is cut into, to see how far it strays from itself: as long as the
hold-out within these numbers, because a few days stray farther than a month."""
LOOKED_AT = 48_000
"""Most rows of training, and of the hold-out, that are looked at, evenly spread."""
MIN_STRETCH_ROWS = 20
MIN_HOLDOUT_ROWS = 50
QUANTILES = (np.arange(64) + 0.5) / 64
"""Levels at which distributions of numbers are compared."""
FLOOR = 0.1
"""Unrest every feature is granted: a tenth of its standard deviation, or a tenth of the rows in other categories or missing."""
ORDER_ROWS = 20_000
ORDER_HOLDS = 0.999
"""Share of training rows in which an order of two features must hold to be a rule."""
ORDER_BROKEN = 0.5
"""Share of hold-out rows that break the rule from which on it is a fault."""
ORDER_CORRELATION = 0.3
"""Only features that go together are compared: the order of two that do not is an accident of the season."""
ORDER_FEATURES = 60

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the hold-out is from training, and how far the farthest stretch of training is; in spreads or shares of rows."""

    measure: str
    distance: float
    unrest: float

    @property
    def multiple(self) -> float:
        """The distance in multiples of the unrest."""
        return self.distance / max(self.unrest, FLOOR)


def holdout_resembles_training(
    train: pl.DataFrame, holdout: pl.DataFrame, features: Sequence[str], contract: Contract
) -> Verdict:
    """No feature is farther from training than ``gates.data.max_feature_shift`` times the farthest stretch of training itself.

    Numbers are compared by the mean distance of their quantiles (the Wasserstein distance), categories by the total variation
    distance, both also by their share of missing values. A feature of the calendar (``month``: whole numbers or text, one value
    for all rows of a day) is not compared: it is as new as the time of its rows, which other checks judge. Besides, an order of
    two related features that training always holds (``temp >= dewp``) must not be turned round.

    Args:
        train: features in order of time.
        holdout: the same of the window after it.
        features: their names.
        contract: the limit.
    """
    limit = contract.gates.data.max_feature_shift
    alike = train.height // max(holdout.height, 1)
    stretches = min(max(FEWEST_STRETCHES, min(MOST_STRETCHES, alike)), train.height // MIN_STRETCH_ROWS)
    if stretches < 4 or holdout.height < MIN_HOLDOUT_ROWS:
        message = (
            f"{train.height:,} training and {holdout.height:,} hold-out rows are too few to compare; "
            f"{4 * MIN_STRETCH_ROWS} and {MIN_HOLDOUT_ROWS} are needed"
        )
        return Verdict(Gate.DATA, CHECK, Outcome.NO_DATA, message, None, limit)
    places = _in_order_of_time(train, contract.source.event_time)[_places(train.height, stretches)]
    earlier = train[places.ravel()]
    later = holdout[_spread(holdout.height, LOOKED_AT)]
    moments = earlier[contract.source.event_time] if contract.source.event_time in earlier.columns else None
    calendar = [name for name in features if is_calendar(earlier[name], moments)]
    table: list[dict[str, Any]] = []
    for name in features:
        if name in calendar:
            continue
        shift = max(_shifts(earlier[name], later[name], stretches), key=lambda each: each.multiple, default=None)
        if shift is not None:
            row = {"feature": name, "measure": shift.measure, "multiple": shift.multiple}
            table.append(row | {"distance": shift.distance, "unrest_of_training": shift.unrest})
    table.sort(key=lambda row: (-row["multiple"], row["feature"]))
    broken = _broken_orders(train, holdout, features)
    evidence = {
        "features": table[:TABLE_ROWS],
        "features_total": len(table),
        "broken_orders": broken[:TABLE_ROWS],
        "broken_orders_total": len(broken),
        "calendar_features_not_compared": listed(calendar, most=TABLE_ROWS),
        "stretches": stretches,
        "train_rows_looked_at": places.size,
        "holdout_rows_looked_at": later.height,
    }
    if not table and not calendar:
        return Verdict(Gate.DATA, CHECK, Outcome.NO_DATA, "no feature has values to compare", None, limit, evidence)
    far = [f"{row['feature']} ({number(row['multiple'])} times, {row['measure']})" for row in table if row["multiple"] > limit]
    turned = [
        f"{row['order']} holds in {row['train_share']:.1%} of training and {row['holdout_share']:.0%} of the hold-out"
        for row in broken
    ]
    if far or turned:
        parts = [f"farther from training than {number(limit)} times its own farthest stretch: {listed(far)}"] if far else []
        parts += [f"orders turned round: {listed(turned, most=3)}"] if turned else []
        message = f"the hold-out is unlike training, {'; '.join(parts)}; look for changed units, swapped or shifted columns"
        return Verdict(Gate.DATA, CHECK, Outcome.FAIL, message, table[0]["multiple"] if table else None, limit, evidence)
    if not table:
        message = f"every feature with values is of the calendar: {listed(calendar)}; there is nothing to compare"
        return Verdict(Gate.DATA, CHECK, Outcome.PASS, message, None, limit, evidence)
    what = f"distance of the hold-out from training in multiples of training's own unrest, largest for {table[0]['feature']},"
    return at_most(Gate.DATA, CHECK, table[0]["multiple"], limit, what=what, evidence=evidence)


def _places(rows: int, stretches: int) -> npt.NDArray[np.int64]:
    """Positions of the training rows that are looked at: one line a stretch, equally many in each."""
    edges = np.linspace(0, rows, stretches + 1).astype(np.int64)
    size = min(LOOKED_AT // stretches, int(np.diff(edges).min()))
    return np.stack([start + _spread(int(end - start), size) for start, end in pairwise(edges)])


def _in_order_of_time(train: pl.DataFrame, event_time: str) -> npt.NDArray[np.int64]:
    """Positions of the rows, those of one moment at random: a snapshot sorted by unit would be cut into unlike stretches."""
    positions = np.arange(train.height)
    if event_time not in train.columns:
        return positions
    moment = train[event_time].rle_id().to_numpy()
    if moment[-1] + 1 == train.height:
        return positions
    return np.asarray(np.lexsort((np.random.default_rng(SEED).random(train.height), moment)))


def _spread(rows: int, most: int) -> npt.NDArray[np.int64]:
    return np.arange(rows) if rows <= most else np.linspace(0, rows - 1, most).astype(np.int64)


def _shifts(earlier: pl.Series, later: pl.Series, stretches: int) -> list[Shift]:
    there, now = _missing(earlier), _missing(later)
    by_stretch = there.reshape(stretches, -1).mean(1)
    missing = Shift("share of missing values", abs(now.mean() - there.mean()), float(np.abs(by_stretch - there.mean()).max()))
    if there.all() or now.all():
        return []
    values = _values_shift(earlier, later, stretches) if is_ordered(earlier.dtype) else _category_shift(earlier, later, stretches)
    return [missing, *([values] if values else [])]


def _missing(values: pl.Series) -> npt.NDArray[np.bool_]:
    return (values.fill_nan(None) if values.dtype.is_float() else values).is_null().to_numpy()


def _values_shift(earlier: pl.Series, later: pl.Series, stretches: int) -> Shift | None:
    before, after = _numbers(earlier), _numbers(later)
    whole = _quantiles(before[None, :])[0]
    spread = float(whole.std()) or float(np.nanstd(before))
    if not (spread > 0 and np.isfinite(spread)):
        return None
    parts = before.reshape(stretches, -1)
    parts = parts[np.isfinite(parts).sum(1) >= MIN_STRETCH_ROWS // 2]
    unrest = np.abs(_quantiles(parts) - whole).mean(1).max(initial=0.0) / spread
    distance = np.abs(_quantiles(after[None, :])[0] - whole).mean() / spread
    return Shift("values, in standard deviations", float(distance), float(unrest))


def _numbers(values: pl.Series) -> Floats:
    """Values as floats, NaN where there is none or it is infinite."""
    physical = values.to_physical() if values.dtype.is_temporal() else values
    numbers = physical.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _quantiles(parts: Floats) -> Floats:
    """Quantiles of each line's values; NaN are none."""
    ordered = np.sort(parts, axis=1)
    held = np.isfinite(ordered).sum(1)
    places = np.minimum((QUANTILES[None, :] * held[:, None]).astype(np.int64), np.maximum(held - 1, 0)[:, None])
    return np.asarray(np.take_along_axis(ordered, places, axis=1))


def _category_shift(earlier: pl.Series, later: pl.Series, stretches: int) -> Shift:
    both = pl.concat([_text(earlier), _text(later)])
    levels = both.drop_nulls().unique(maintain_order=True)
    codes = both.cast(pl.Enum(levels)).to_physical().cast(pl.Int64).fill_null(len(levels)).to_numpy()
    size = len(levels) + 1
    before, after = codes[: len(earlier)].reshape(stretches, -1), codes[len(earlier) :]
    whole = _shares(before.ravel(), size)
    unrest = max(float(np.abs(_shares(part, size) - whole).sum()) / 2 for part in before)
    return Shift("categories, in shares of rows", float(np.abs(_shares(after, size) - whole).sum()) / 2, unrest)


def _text(values: pl.Series) -> pl.Series:
    return pl.Series(map(str, values.to_list())) if values.dtype.is_nested() else values.cast(pl.String)


def _shares(codes: npt.NDArray[np.int64], size: int) -> Floats:
    return np.bincount(codes, minlength=size) / codes.size


def _broken_orders(train: pl.DataFrame, holdout: pl.DataFrame, features: Sequence[str]) -> list[dict[str, Any]]:
    names = [name for name in features if train.schema[name].is_numeric()][:ORDER_FEATURES]
    if len(names) < 2:
        return []
    rows = max(500, min(ORDER_ROWS, 200_000_000 // len(names) ** 2))
    before, after = (_matrix(frame[_spread(frame.height, most)], names) for frame, most in ((train, rows), (holdout, rows // 2)))
    related = _related(before)
    found = []
    for at, name in enumerate(names):
        for other in map(int, np.flatnonzero(related[at])):
            held, kept = _share_not_below(before, at, other), _share_not_below(after, at, other)
            if held >= ORDER_HOLDS and kept < 1 - ORDER_BROKEN:
                found.append({"order": f"{name} >= {names[other]}", "train_share": held, "holdout_share": kept})
    return sorted(found, key=lambda row: row["holdout_share"])


def _matrix(frame: pl.DataFrame, names: Sequence[str]) -> Mapping[int, Floats]:
    return {at: _numbers(frame[name]) for at, name in enumerate(names)}


def _related(columns: Mapping[int, Floats]) -> npt.NDArray[np.bool_]:
    """Whether two columns correlate; neither with itself nor with a constant."""
    filled = np.stack([np.where(np.isnan(values), _mean(values), values) for values in columns.values()])
    centred = filled - filled.mean(1, keepdims=True)
    norms = np.sqrt((centred**2).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = (centred @ centred.T) / np.outer(norms, norms)
    np.fill_diagonal(correlation, 0.0)
    return np.asarray(np.abs(np.nan_to_num(correlation)) >= ORDER_CORRELATION)


def _mean(values: Floats) -> float:
    held = values[np.isfinite(values)]
    return float(held.mean()) if held.size else 0.0


def _share_not_below(columns: Mapping[int, Floats], at: int, other: int) -> float:
    """Share of the rows with both values in which the one is not below the other; one half where there are none."""
    held = ~(np.isnan(columns[at]) | np.isnan(columns[other]))
    return float((columns[at] >= columns[other])[held].mean()) if held.any() else 0.5
