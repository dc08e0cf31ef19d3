"""What a canary has seen, computed the slow and plain way, row by row: the meaning that the fast code must keep."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import combinations, combinations_with_replacement, pairwise
from typing import Any

from retrain_assets.compute.canary.terms import Terms
from retrain_assets.experiment.estimation.quantiles import RequestHistogram, bin_of

Row = dict[str, Any]
SKEW = timedelta(minutes=5)


def reference(exposures: list[Row], outcomes: list[Row], terms: Terms, now: datetime) -> dict[Any, Any]:
    """Counts and sums by plain keys; see :func:`told` for the same of a CanaryData."""
    known, window, armed = terms.stage_started, terms.window, terms.armed_at
    own = [row for row in exposures if row["toggle"] == terms.toggle and row["unit_id"] is not None]
    others = [row for row in exposures if row["toggle"] != terms.toggle or row["unit_id"] is None]
    before = [row for row in others if row["unit_id"] is not None and terms.pre_period_from <= row["exposed_at"] < armed]
    counts: dict[str, int] = defaultdict(int)
    counts["future"] = sum(row["exposed_at"] > now + SKEW for row in own)
    counts["future"] += sum(row["observed_at"] is not None and row["observed_at"] > now + SKEW for row in outcomes)
    counts["strange"] = sum(row["exposed_at"] <= now and row["revision"] not in known for row in own)
    logged = [row for row in own if row["exposed_at"] <= now and row["revision"] in known]
    since = terms.pre_period_from - window
    elsewhere = {key(row) for row in others if since <= row["exposed_at"] <= now}
    requests: dict[Any, Row] = {}
    for row in sorted(logged + before, key=lambda row: row["exposed_at"]):
        is_own = row["toggle"] == terms.toggle
        counts["duplicate exposures"] += is_own and key(row) in requests
        requests.setdefault(key(row), {**row, "own": is_own, "values": {}})
    reports = []
    for row in outcomes:
        request, at = requests.get(key(row)), row["observed_at"]
        if at is None or (request is None and key(row) not in elsewhere and armed <= at <= now):
            counts["unknown"] += 1
        elif request is not None and at <= now:
            counts["before exposure"] += request["own"] and at < request["exposed_at"]
            counts["late"] += request["own"] and at > request["exposed_at"] + window
            if request["exposed_at"] <= at <= request["exposed_at"] + window and (request["own"] or at < armed):
                reports.append((at, [order(row.get(column)) for column in terms.outcome_columns], request, row))
    reports.sort(key=lambda report: report[:2])
    for number, (_, _, request, row) in enumerate(reports):
        for column in terms.outcome_columns:
            if row.get(column) is not None:
                request["values"][column] = (row[column], number)
    replaced = set()
    for number, (_, _, request, row) in enumerate(reports):
        last = {column: request["values"][column][1] for column in terms.outcome_columns if row.get(column) is not None}
        if request["own"] and any(one != number for one in last.values()):
            replaced.add(number)
    counts["replaced"] = len(replaced)
    return {**counts, **_units(logged, list(requests.values()), terms, now)}


def _units(logged: list[Row], requests: list[Row], terms: Terms, now: datetime) -> dict[Any, Any]:
    found: dict[Any, Any] = defaultdict(float)
    traffic = [row for row in logged if terms.shares[row["revision"]]]
    arms: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in traffic:
        arms[row["unit_id"]][row["revision"]].add(row["arm"])
    crossing = {unit for unit, seen in arms.items() if crosses(seen, terms.shares)}
    found["crossing"] = len(crossing)
    cells: dict[tuple[str, int], list[Row]] = defaultdict(list)
    past: dict[str, list[Row]] = defaultdict(list)
    segments: dict[str, str] = {}
    for row in sorted(requests, key=lambda row: (row["exposed_at"], str(row["origin"] or "missing"))):
        if row["own"]:
            segments.setdefault(row["unit_id"], f"origin={row['origin'] or 'missing'}")
            cells[row["unit_id"], row["revision"]].append(row)
        else:
            past[row["unit_id"]].append(row)
    matured: Callable[[Row], bool] = lambda row: row["exposed_at"] + terms.window <= now  # noqa: E731
    firsts: dict[str, int] = {}
    for unit, revision in sorted(cells):
        if terms.shares[revision]:
            firsts.setdefault(unit, revision)
    kept: dict[Any, dict[int, Any]] = defaultdict(dict)
    values: dict[Any, list[tuple[str, list[int]]]] = defaultdict(list)
    for (unit, revision), rows in sorted(cells.items()):
        ripe = [row for row in rows if matured(row)]
        for segment in ("", segments[unit]):
            if not terms.shares[revision]:
                scored = any(row["shadow_score"] is not None for row in rows)
                add(found, ("shadow", segment, revision), [1, scored, bool(ripe), scored and bool(ripe)])
            elif unit not in crossing:
                arm, first = rows[0]["arm"], firsts[unit] == revision
                units = {m.name: unit_value(ripe, m, terms) for m in terms.measures}
                complete = all(units[m.name] is not None for m in terms.measures if m.from_outcomes)
                add(found, ("stage", segment, revision, arm), [1, bool(ripe), complete, first])
                for measure in terms.measures:
                    here = ("measure", segment, measure.name, revision, arm)
                    value = units[measure.name]
                    if value is None:
                        continue
                    if not all(abs(one) <= 1e100 for one in value):
                        add(found, here, [0, 1, 0, 0, 0.0])
                        continue
                    z = [*value, *covariates(measure, ripe, [row for row in past[unit] if matured(row)], terms)]
                    products = [a * b for a, b in combinations_with_replacement(z, 2)]
                    add(found, here, [1, 0, not 0 <= z[0] <= 1, first, z[0] * first, *z, *products])
                    kept[segment, measure.name, unit][revision] = (arm, z)
                    if measure.is_quantile:
                        values[here].append((unit, [int(one) for one in bin_of(request_values(ripe, measure, terms))]))
    for (segment, name, _), seen in kept.items():
        for (earlier, (arm, z)), (later, (other, w)) in combinations(sorted(seen.items()), 2):
            add(found, ("overlap", segment, name, earlier, arm, later, other), [1, *z, *w, *(a * b for a in z for b in w)])
    for here, units_bins in values.items():
        numbers = [number for number, (_, bins) in enumerate(units_bins) for _ in bins]
        found["requests", *here[1:]] = RequestHistogram.of(numbers, [one for _, bins in units_bins for one in bins])
    times = [row["exposed_at"] for row in traffic]
    found["first traffic"] = min(times, default=None)
    found["last matured"] = max((row["exposed_at"] for row in logged if matured(row)), default=None)
    return dict(found)


def request_values(rows: Iterable[Row], measure: Any, terms: Terms) -> list[float]:
    return [one for row in rows if (one := recorded(row, measure.terms.column_of(measure.name), terms)) is not None]


def recorded(row: Row, column: str, terms: Terms) -> float | None:
    value = row["values"].get(column, (None,))[0] if column in terms.outcome_columns else row[column]
    return None if value is None else math.nan if column == "latency_ms" and value < 0 else float(value)


def unit_value(rows: list[Row], measure: Any, terms: Terms) -> list[float] | None:
    said, numbers, below = measure.terms, [], []
    for row in rows:
        number = recorded(row, said.column_of(measure.name), terms)
        if number is not None and said.above is not None:
            number = float(number > said.above) if math.isfinite(number) else math.nan
        per = 1.0 if said.per in (None, "requests") else recorded(row, said.per, terms)
        if number is not None and per is not None:
            numbers.append(number)
            below.append(per)
    if not numbers:
        return None
    value = sum(numbers) if said.aggregate == "sum" or said.per else sum(numbers) / len(numbers)
    if said.winsorise and abs(value) <= 1e100:
        value = min(max(value, said.winsorise.at_least or -math.inf), said.winsorise.at_most or math.inf)
    return [value, sum(below)] if said.per else [value]


def covariates(measure: Any, rows: list[Row], past: list[Row], terms: Terms) -> list[float]:
    if not measure.covariates:
        return []
    columns = [[row[column] for row in rows] for column in terms.covariate_columns]
    if terms.uses_champion_score:
        columns.append([row["score"] if row["arm"] == "champion" or row["error"] else row["shadow_score"] for row in rows])
    means = [finite for column in columns for finite in [[one for one in column if one is not None and math.isfinite(one)]]]
    known: list[float | None] = [sum(one) / len(one) if one else None for one in means]
    if terms.pre_period:
        value = unit_value(past, measure, terms)
        usable = value is not None and all(abs(one) <= 1e100 for one in value) and (len(value) == 1 or value[1] != 0)
        known.append((value[0] if len(value) == 1 else value[0] / value[1]) if usable and value else None)
    return [number for one in known for number in ((0.0, 1.0) if one is None else (one, 0.0))]


def crosses(seen: Mapping[int, set[str]], shares: Mapping[int, float]) -> bool:
    ordered = sorted(seen.items())
    back = any(
        "challenger" in before and "challenger" not in after and shares[later] >= shares[earlier]
        for (earlier, before), (later, after) in pairwise(ordered)
    )
    return back or any(len(both) > 1 for both in seen.values())


def key(row: Row) -> tuple[Any, Any]:
    return row["request_id"], row["unit_id"]


def order(value: float | None) -> tuple[bool, bool, float]:
    """Nothing before numbers before NaN."""
    known = value is not None and not math.isnan(value)
    return value is not None, value is not None and not known, value if known and value is not None else 0.0


def add(found: dict[Any, Any], where: Any, numbers: list[Any]) -> None:
    before = found.get(where, [0] * len(numbers))
    longest = max(len(before), len(numbers))
    padded = [[*one, *[0] * (longest - len(one))] for one in (before, numbers)]
    found[where] = [float(a) + float(b) for a, b in zip(*padded, strict=True)]
