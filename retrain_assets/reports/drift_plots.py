"""The pictures of a drift report: every limited metric over its last windows, the scores, and the features that drifted most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from retrain_assets.contract import DriftRule
from retrain_assets.drift import ColumnDrift, ColumnSketch, DriftReport, judged
from retrain_assets.reports import words
from retrain_assets.reports.histogram_plot import histogram_plot
from retrain_assets.reports.metric_trend import Window, metric_trend
from retrain_assets.reports.standalone import markdown_image


def drift_pictures(history: Sequence[DriftReport], histograms: Mapping[str, Any], rule: DriftRule) -> str:
    """All pictures as Markdown.

    Args:
        history: reports of one champion, oldest first; the last one is the one that is shown.
        histograms: ``scores`` and ``features``: by column the sketches ``reference`` and ``window`` as JSON, the worst first.
        rule: limits, k of n, fewest rows.
    """
    report = history[-1]
    drawn = [(metric, _trend_facts(history, metric, rule), trend_plot(history, metric, rule)) for metric in rule.limits]
    for part, columns in (("features", report.columns), ("scores", report.predictions)):
        for name, sketches in histograms.get(part, {}).items():
            pair = (ColumnSketch.from_json(sketches["reference"]), ColumnSketch.from_json(sketches["window"]))
            drawn.append((name, _column_facts(columns.get(name), *pair), histogram_plot(name, *pair)))
    pictures = [markdown_image(title, plot, facts) for title, facts, plot in drawn if plot is not None]
    if not histograms.get("features"):
        pictures.append("No feature that the model uses differs from its training data by more than chance.")
    return "\n\n".join(pictures)


def trend_plot(history: Sequence[DriftReport], metric: str, rule: DriftRule) -> Markup | None:
    """A metric over the windows of a champion, with its limit; None where it never had a value.

    Filled: judged; red: above the limit; hollow: on fewer rows than ``min_rows``, which is no verdict. The windows that the rule
    looks at now are shaded.

    Args:
        history: reports, oldest first.
        metric: one with a limit.
        rule: the limits.
    """
    windows = [Window(report.end, report.metrics.get(metric), judged(report, metric, rule)) for report in history]
    alarm = f"an alarm takes {rule.at_least} of the last {rule.of_last}"
    return metric_trend(windows, rule.limits[metric], _trend_words(history, metric, rule), (rule.of_last, alarm))


def _trend_facts(history: Sequence[DriftReport], metric: str, rule: DriftRule) -> str:
    report = history[-1]
    value, limit = report.metrics.get(metric), rule.limits[metric]
    if value is None:
        return "has no value in this window"
    if not judged(report, metric, rule):
        return f"{words.number(value)} on too few rows for a verdict ({report.metric_rows.get(metric, report.rows):,})"
    return f"{words.number(value)}, {'above' if value > limit else 'within'} its limit of {words.number(limit)}"


def _trend_words(history: Sequence[DriftReport], metric: str, rule: DriftRule) -> str:
    values = [report.metrics.get(metric) for report in history]
    limit = rule.limits[metric]
    above = sum(value is not None and value > limit for value in values)
    return (
        f"{metric} in {len(history)} windows until {history[-1].end:%Y-%m-%d}: above its limit of {words.number(limit)} in "
        f"{above}. Latest value {words.number(values[-1])}. The numbers are in the table of metrics."
    )


def _beyond(reference: ColumnSketch, window: ColumnSketch) -> list[str]:
    """How far the window reaches beyond all that training has seen, where it does."""
    found = []
    if window.minimum is not None and reference.minimum is not None and window.minimum < reference.minimum:
        found.append(f"down to {words.number(window.minimum)} (training: {words.number(reference.minimum)})")
    if window.maximum is not None and reference.maximum is not None and window.maximum > reference.maximum:
        found.append(f"up to {words.number(window.maximum)} (training: {words.number(reference.maximum)})")
    return found


def _column_facts(drift: ColumnDrift | None, reference: ColumnSketch, window: ColumnSketch) -> str:
    if drift is None:
        return ""
    facts = [f"PSI {words.number(drift.psi)}"]
    if drift.importance is not None:
        facts.append(f"{words.number(drift.weighted_psi)} weighted by importance")
    if drift.mean_before is not None and drift.mean_after is not None:
        facts.append(f"mean {words.number(drift.mean_before)} → {words.number(drift.mean_after)}")
    facts += _beyond(reference, window)
    missing = [f"{sketch.missing / sketch.n:.1%}" if sketch.n else "0.0%" for sketch in (reference, window)]
    if missing != ["0.0%", "0.0%"]:
        facts.append(f"no value {missing[0]} → {missing[1]}")
    if not drift.drifted:
        facts.append("within chance")
    return ", ".join(facts)
