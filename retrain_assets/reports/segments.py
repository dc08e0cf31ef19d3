"""The segments of a look, measure by measure: each by itself, and shrunk towards all units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_assets.experiment import Look, MeasureResult
from retrain_assets.experiment.plan import segment_label
from retrain_assets.reports.measure_line import line_of


def segments_of(look: Look, experiment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One table a measure as JSON, in the plan's order; empty without segments.

    Keys: ``name``, ``role``, ``direction``, ``relative``, ``estimate``, ``lower``, ``upper``, ``limit`` of all units,
    ``segment_margin`` (None where segments decide nothing), ``rows``: per segment its name, ``high_value``, ``judged`` (held to
    the margin), state, units, interval, ``shrunk`` estimate and message; high-value segments first, then those of most units.

    Args:
        look: the look.
        experiment: the contract's section ``experiment``.
    """
    declared = experiment.get("high_value") or {}
    high = {segment_label(column, value) for column, values in declared.items() for value in values}
    tables = []
    for total in look.results:
        base = line_of(total, experiment)
        rows = [
            _row(result, base["relative"], experiment)
            | {"segment": name, "high_value": name in high, "judged": _is_judged(look, name, total)}
            for name, results in look.segments.items()
            for result in results
            if result.spec.name == total.spec.name
        ]
        if rows:
            kept = ("name", "role", "direction", "relative", "estimate", "lower", "upper", "limit")
            tables.append(
                {
                    **{key: base[key] for key in kept},
                    "segment_margin": total.spec.segment_margin,
                    "rows": sorted(rows, key=lambda row: (not row["high_value"], -row["units"], row["segment"])),
                }
            )
    return tables


def _is_judged(look: Look, segment: str, total: MeasureResult) -> bool:
    return total.spec.segment_margin is not None and segment in look.judged_segments


def _row(result: MeasureResult, relative: bool, experiment: Mapping[str, Any]) -> dict[str, Any]:
    line = line_of(result, experiment)
    shrunk = result.shrunk_estimate
    if relative and shrunk is not None:
        shrunk = shrunk / abs(result.champion_mean) if result.champion_mean else None
    same = line["relative"] is relative
    return {
        **{key: line[key] for key in ("state", "words", "tone", "n_champion", "n_challenger", "message")},
        **{key: line[key] if same else None for key in ("estimate", "lower", "upper")},
        "units": result.n_champion + result.n_challenger,
        "shrunk": shrunk,
    }
