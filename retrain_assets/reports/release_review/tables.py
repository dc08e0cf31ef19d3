"""A review as tables in words, for Dagster's page and the command line: the same rows, in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from retrain_assets.reports import words

Rows = list[dict[str, Any]]


def review_tables(review: Mapping[str, Any]) -> dict[str, Rows]:
    """The tables of a review that have rows, by title, what most needs reading first.

    Args:
        review: as :func:`retrain_assets.reports.release_review.review.review_of` gives it.
    """
    suggested, earlier, design = review["suggestions"] or {}, review["earlier"], review["design"]
    found: dict[str, Rows] = {
        "suggested changes": [_change(one) for one in suggested.get("changes", ())],
        "the way back": _way_back(review["recovery"]),
        "plan and what came": _plan(design) if design else [],
        "what each measure could show": [_power(one) for one in design["power"]] if design else [],
        "stages": [_stage(one) for one in design["stages"]] if design else [],
        "balance and what was left out": [_check(one) for one in (*design["balance"], *design["exclusions"])] if design else [],
        "offline gain and online effect": [_case(row, review["prediction"]) for row in review["prediction"]["rows"]],
        "does the gain predict the effect": [_correlation(one) for one in review["prediction"]["compared"]],
        "worst before traffic": [_worst(one) for one in earlier["worst"]] if earlier else [],
        "limits that would have stopped it": [_limit(one) for one in earlier["limits"]] if earlier else [],
        "considered and not suggested": [_considered(one) for one in suggested.get("considered", ())],
    }
    return {title: rows for title, rows in found.items() if rows}


def _change(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "limit": one["path"],
        "now": words.number(one["now"]),
        "to": words.number(one["to"]),
        "because": one["because"],
        "it would have": one["would_have"],
    }


def _considered(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"limit": one["path"], "to": words.number(one["to"]), "why not": one["why_not"], "it would have": one["would_have"]}


def _way_back(recovery: Mapping[str, Any] | None) -> Rows:
    if recovery is None:
        return []
    rows = [{"what": one["what"], "when": words.moment(one["at"])} for one in recovery["steps"]]
    flags, last, after = (recovery[key] for key in ("seconds_recorded_to_flags", "last_answer_at", "answers_after"))
    known = "not noted" if flags is None else f"{flags:.2g} s after it was recorded (machine time)"
    rows.append({"what": "the flag document said so", "when": known})
    said = "none is logged" if last is None else f"{words.moment(last)}, {after or 'none'} after the rollback"
    return [*rows, {"what": "the last request it answered", "when": said}]


def _plan(design: Mapping[str, Any]) -> Rows:
    units, days, crossover = design["units_a_day"], design["days"], design["crossover"]
    return [
        {"what": "units a day", "planned": words.number(units["expected"]), "came": _rounded(units["came"])},
        {"what": "days until a decision", "planned": f"{days['least']:.3g} to {days['most']:.3g}", "came": f"{days['came']:.3g}"},
        {
            "what": "units seen in both arms",
            "planned": "none",
            "came": words.share(round(crossover["share"], 6)),
        },
        *(
            {"what": f"moved by them, {one['measure']}", "planned": "0", "came": f"at most {one['at_most']:.3g}"}
            for one in crossover["measures"]
        ),
    ]


def _rounded(value: float | None) -> str:
    return words.NOTHING if value is None else f"{value:,.0f}"


def _power(one: Mapping[str, Any]) -> dict[str, Any]:
    relative = one["relative"]
    return {
        "measure": one["measure"],
        "limit": _amount(one["must"], relative=relative),
        "planned to show": _amount(one["planned_detectable"], relative=relative),
        "with the chance": words.whole_share(one["planned_chance"]),
        "as traffic came": _amount(one["detectable_as_it_came"], relative=relative),
        "half-width reached": _amount(one["half_width"], relative=relative),
        "units": words.number(one["units"]),
        "it ended": words.words(one["state"]),
    }


def _amount(value: float | None, *, relative: bool) -> str:
    if value is None:
        return words.NOTHING
    return words.percent(value).lstrip("+") if relative else words.number(value)


def _stage(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "stage": words.stage(one["stage"]),
        "days": f"{one['days']:.3g}",
        "planned at least": words.NOTHING if one["least_days"] is None else f"{one['least_days']:.2g}",
        "units": words.number(one["exposed"]),
        "on the challenger": words.number(one["challenger_units"]),
        "needed": words.number(one["planned_units"]),
    }


def _check(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"check": words.words(one["check"]), "holds": "yes" if one["ok"] else "NO", "found": one["message"]}


def _case(row: Mapping[str, Any], prediction: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"retrain": row["retrain"], "became": row["why"]}
    for name in prediction["measures"]:
        one = row["online"].get(name)
        shown[f"{name} online"] = _interval(one, relative=bool(one and one["relative"]))
    for name in prediction["gains"]:
        shown[f"{name} offline"] = _interval(row["offline"].get(name), relative=False)
    return shown


def _interval(one: Mapping[str, Any] | None, *, relative: bool) -> str:
    if one is None:
        return words.NOTHING
    return words.change(one["estimate"], one["lower"], one["upper"], relative=relative)


def _correlation(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "offline": one["gain"],
        "online": one["measure"],
        "retrains": one["points"],
        "Spearman": _coefficient(one["spearman"]),
        "Pearson": _coefficient(one["pearson"]),
        "same sign": f"{one['same_sign']} of {one['points']}",
    }


def _coefficient(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return words.NOTHING
    return f"{one['value']:+.2f} [{one['lower']:+.2f}, {one['upper']:+.2f}]".replace("-", "−")


def _worst(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "what": one["what"],
        "which": one["which"],
        "value": words.number(one["value"]),
        "limit": words.number(one["limit"]),
    }


def _limit(one: Mapping[str, Any]) -> dict[str, Any]:
    left = one["left_out"]
    others = [row["retrain"] for row in one["stopped"] if row["stopped"]]
    return {
        "gate": one["gate"],
        "limit": one["path"],
        "at": words.number(one["limit"]),
        "now": words.number(one["now"]),
        "it had": words.number(one["value"]),
        "worst kept": words.number(one["worst_kept"]),
        "kept": one["kept"],
        "also stopped": _and(others) or "none",
        "chosen without each in turn": f"{left['wrongly_stopped']} of {left['kept']} kept stopped, "
        f"{left['caught']} of {left['harmed']} harmful caught",
    }


def _and(names: Iterable[str]) -> str:
    return ", ".join(names)
