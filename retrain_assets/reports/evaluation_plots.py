"""Plots of the offline evaluation: reliability of the candidate's probabilities, slices against the champion, back-tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup

from retrain_assets.reports import words
from retrain_assets.reports.svg import Canvas, Scale, round_ticks, time_ticks


def reliability_plot(calibration: Mapping[str, Any]) -> Markup:
    """Share of positives over mean prediction with its 95 % interval, one dot a bin, its area the bin's rows.

    Args:
        calibration: ``bins`` with ``rows``, ``mean_score``, ``positive_share``, ``lower`` and ``upper``; ``ece`` and ``bias``.
    """
    bins: Sequence[Mapping[str, Any]] = calibration["bins"]
    most = max(max(part["mean_score"], part.get("upper") or part["positive_share"]) for part in bins)
    top = next(edge for edge in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if most <= edge or edge == 1.0)
    width, height, left, right, upper, lower = 420.0, 320.0, 56.0, 404.0, 14.0, 270.0
    x, y = Scale(0.0, top, left, right), Scale(0.0, top, lower, upper)
    canvas = Canvas(width, height, _reliability_words(calibration, bins))
    for tick in round_ticks(0.0, top, 5):
        label = f"{tick * 100:g} %"
        canvas.line(left, y(tick), right, y(tick), "grid")
        canvas.text(left - 6, y(tick) + 3.5, label, "tick", anchor="end")
        canvas.line(x(tick), lower, x(tick), lower + 4, "axis")
        canvas.text(x(tick), lower + 17, label, "tick", anchor="middle")
    canvas.line(left, upper, left, lower, "axis")
    canvas.line(left, lower, right, lower, "axis")
    canvas.line(x(0), y(0), x(top), y(top), "limit")
    canvas.text(x(top * 0.98), y(top * 0.04), "dashed: happened as often as predicted", "side", anchor="end")
    rows = max(part["rows"] for part in bins)
    canvas.polyline([(x(part["mean_score"]), y(part["positive_share"])) for part in bins], "estimate")
    for part in bins:
        if part.get("lower") is not None and part.get("upper") is not None:
            canvas.line(x(part["mean_score"]), y(part["lower"]), x(part["mean_score"]), y(part["upper"]), "whisker")
        canvas.dot(x(part["mean_score"]), y(part["positive_share"]), 2.0 + 3.0 * (part["rows"] / rows) ** 0.5, "mark")
    canvas.text((left + right) / 2, height - 8, "predicted probability (mean of the bin)", "tick", anchor="middle")
    canvas.text(left + 6, upper + 10, "happened (share of the bin)", "tick")
    return canvas.markup()


def slice_plot(slices: Mapping[str, Any]) -> Markup | None:
    """How much worse than the champion each slice is, with its interval and the margin; None when nothing was compared.

    Args:
        slices: ``margin`` and ``rows`` with ``slice``, ``worse_by``, ``worse_by_at_least``, ``worse_by_at_most``, ``judged``.
    """
    compared = [row for row in slices["rows"] if row.get("worse_by") is not None]
    if not compared:
        return None
    margin = slices["margin"]
    low, high = _extent(compared, margin)
    line, upper = 19.0, 30.0
    names = [_slice_name(str(row["slice"])) for row in compared]
    left = 24.0 + 6.2 * max(map(len, names))
    width, right = left + 512.0, left + 502.0
    lower = upper + line * len(compared) + 4
    x = Scale(low, high, left, right)
    canvas = Canvas(width, lower + 40, _slice_words(compared, margin))
    for tick in round_ticks(low, high, 6):
        canvas.line(x(tick), upper - 6, x(tick), lower, "zero" if tick == 0 else "grid")
        canvas.text(x(tick), lower + 15, "0" if tick == 0 else words.signed(tick), "tick", anchor="middle")
    if margin is not None:
        canvas.line(x(margin), upper - 12, x(margin), lower, "limit")
        canvas.text(x(margin), upper - 17, f"margin {words.signed(margin)}", "limit-label", anchor="middle")
    canvas.text(x(0), upper - 17, "champion", "side", anchor="middle")
    for k, row in enumerate(compared):
        at = upper + line * (k + 0.5)
        canvas.text(left - 8, at + 3.5, names[k], "tick" if row["judged"] else "tick faint", anchor="end")
        ends = (row.get("worse_by_at_least"), row.get("worse_by_at_most"))
        if None not in ends:
            canvas.line(x.kept(ends[0]), at, x.kept(ends[1]), at, "whisker" if row["judged"] else "whisker faint")
        canvas.dot(x.kept(row["worse_by"]), at, 3.4, "mark" if row["judged"] else "mark hollow")
    canvas.text(x(0) - 10, lower + 33, "← better than the champion", "side", anchor="end")
    canvas.text(x(0) + 10, lower + 33, "worse than the champion →", "side")
    return canvas.markup()


def _slice_name(name: str) -> str:
    """A pair's values with their columns beside them, ``origin=JFK, carrier=MQ``; long names end in an ellipsis."""
    columns, _, values = name.partition("=")
    parts = list(zip(columns.split(" & "), values.split(" & "), strict=False))
    plain = ", ".join(f"{column}={value}" for column, value in parts) if columns.count(" & ") == values.count(" & ") else name
    return plain if len(plain) <= 40 else plain[:39] + "…"


def backtest_plot(backtests: Mapping[str, Any]) -> Markup | None:
    """The metric of every back-test over time, with the limits, and beside it the candidate on the hold-out; None without values.

    Args:
        backtests: ``metric``, ``rows`` with ``start``, ``end`` and ``value``, ``min``, ``max``, ``mean``, ``holdout``.
    """
    rows = [row for row in backtests["rows"] if row["value"] is not None]
    if not rows:
        return None
    limits = [value for key in ("min", "max") if (value := backtests.get(key)) is not None]
    holdout = backtests.get("holdout")
    values = [*(row["value"] for row in rows), *limits, *([holdout] if holdout is not None else [])]
    low, high = min(values), max(values)
    room = (high - low) * 0.15 or abs(high) * 0.05 or 1.0
    width, height, left, right, upper, lower = 640.0, 190.0, 60.0, 520.0, 16.0, 150.0
    y = Scale(low - room, high + room, lower, upper)
    times = [(datetime.fromisoformat(row["start"]), datetime.fromisoformat(row["end"])) for row in rows]
    first, last = min(start for start, _ in times), max(end for _, end in times)
    x = Scale(first.timestamp(), last.timestamp(), left, right)
    canvas = Canvas(width, height, _backtest_words(backtests, rows))
    for tick in round_ticks(low - room, high + room, 4):
        canvas.line(left, y(tick), width - 10, y(tick), "grid")
        canvas.text(left - 6, y(tick) + 3.5, words.number(tick), "tick", anchor="end")
    canvas.line(left, lower, width - 10, lower, "axis")
    for at, label in time_ticks(first, last, 5):
        canvas.line(x(at.timestamp()), lower, x(at.timestamp()), lower + 4, "axis")
        canvas.text(x(at.timestamp()), lower + 17, label, "tick", anchor="middle")
    for name, value in (("at least", backtests.get("min")), ("at most", backtests.get("max"))):
        if value is not None:
            canvas.line(left, y(value), width - 10, y(value), "limit")
            canvas.text(left + 6, y(value) - 4, f"{name} {words.number(value)}", "limit-label")
    for (start, end), row in zip(times, rows, strict=True):
        canvas.line(x(start.timestamp()), y(row["value"]), x(end.timestamp()), y(row["value"]), "whisker faint")
        canvas.dot(x((start.timestamp() + end.timestamp()) / 2), y(row["value"]), 3.6, "mark")
    if holdout is not None:
        canvas.line(right + 12, upper, right + 12, lower, "grid")
        canvas.dot((right + 12 + width - 10) / 2, y(holdout), 4.2, "mark hollow")
        canvas.text((right + 12 + width - 10) / 2, lower + 17, "hold-out", "tick", anchor="middle")
    canvas.text((left + right) / 2, height - 6, "period each back-test was judged on", "side", anchor="middle")
    return canvas.markup()


def _backtest_words(backtests: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    values = [row["value"] for row in rows]
    metric, holdout = words.words(backtests.get("metric") or "metric"), backtests.get("holdout")
    beside = f" The candidate on the hold-out has {words.number(holdout)}." if holdout is not None else ""
    return (
        f"{metric} of {len(rows)} back-tests over time, from {words.number(min(values))} to {words.number(max(values))}.{beside} "
        "The numbers are in the table below."
    )


def _extent(rows: Sequence[Mapping[str, Any]], margin: float | None) -> tuple[float, float]:
    """Zero, margin, every estimate and the intervals of judged slices; wider ones run to the edge."""
    values = [0.0, *(row["worse_by"] for row in rows)] + ([margin] if margin is not None else [])
    for row in rows:
        if row["judged"]:
            values += [row[key] for key in ("worse_by_at_least", "worse_by_at_most") if row.get(key) is not None]
    low, high = min(values), max(values)
    room = (high - low) * 0.05 or 1.0
    return low - room, high + room


def _reliability_words(calibration: Mapping[str, Any], bins: Sequence[Mapping[str, Any]]) -> str:
    worst = max(bins, key=lambda part: abs(part["mean_score"] - part["positive_share"]))
    return (
        f"Reliability of the candidate's probabilities in {len(bins)} bins of the held-out rows: expected calibration error "
        f"{words.number(calibration['ece'])}, bias {words.signed(calibration['bias'])}. The bin furthest off predicts "
        f"{worst['mean_score']:.1%} where {worst['positive_share']:.1%} happened. The bins are in the table below."
    )


def _slice_words(rows: Sequence[Mapping[str, Any]], margin: float | None) -> str:
    worst = max(rows, key=lambda row: row["worse_by"])
    beyond = sum(margin is not None and row["judged"] and row["worse_by"] > margin for row in rows)
    return (
        f"{len(rows)} slices of the held-out rows, candidate against champion. Worst is {worst['slice']}, worse by "
        f"{words.signed(worst['worse_by'])}; {beyond} judged slices are beyond the margin of {words.number(margin)}. "
        "The numbers are in the table below."
    )
