"""A look as a release owner reads it: what it calls for and why, one line a measure, then what else must be known.

JSON without markup. Everything that shows a look (evidence pack, Dagster, the command line) shows this value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from retrain_assets.experiment import Action, Cause, Look, MeasureState, NetValue
from retrain_assets.reports import words
from retrain_assets.reports.measure_line import line_of
from retrain_assets.reports.planned_looks import planned_of
from retrain_assets.reports.segments import segments_of

LONGEST_WHY = 180
"""Letters of a reason above which the first line says it shorter; the reason itself is shown in full beside it."""

CAUSE_WORDS: Mapping[Cause, str] = {
    Cause.HARM: "harm is shown",
    Cause.MISSING_DATA: "data were missing for too long",
    Cause.INCONCLUSIVE: "not everything was shown in time",
    Cause.NOT_WORTH_IT: "it is not worth its cost",
}


def summary_of(document: Mapping[str, Any], experiment: Mapping[str, Any], ramp: Sequence[str]) -> dict[str, Any]:
    """The look as JSON, in reading order.

    Keys: ``call`` (``action``, ``word``, ``tone``, ``why`` as short as it can be said, ``reason`` in full), ``at``, ``stage``,
    ``valid``, ``sides`` (technical and commercial side in one ``sentence``), ``view`` (what was recorded of them), ``measures``
    (see :func:`retrain_assets.reports.measure_line.line_of`), ``health`` (``line``, ``failing``, ``checks``), ``next`` (lines),
    ``planned`` (see :func:`retrain_assets.reports.planned_looks.planned_of`), ``warnings``, ``worth`` (None without economics),
    ``segments`` (see :func:`retrain_assets.reports.segments.segments_of`), ``stages`` (label, share, units per arm).

    Args:
        document: the look as JSON, with ``view`` where the technical side was recorded beside it
            (:class:`retrain_assets.gates.canary_view.CanaryView`).
        experiment: the contract's section ``experiment``; fields that older contracts lack may be missing.
        ramp: labels of the ramp's stages below 100.
    """
    look = Look.from_json(document)
    lines = [line_of(result, experiment) for result in look.results]
    planned, view = planned_of(look, experiment), document.get("view")
    return {
        "at": look.at.isoformat(),
        "stage": look.stage,
        "valid": look.is_valid,
        "call": _call(look, lines, ramp, experiment),
        "sides": _sides(look, lines, view),
        "measures": lines,
        "health": _health(look),
        "next": _next(look, planned),
        "planned": planned,
        "warnings": list(look.warnings),
        "worth": _worth(look.net_value),
        "segments": segments_of(look, experiment),
        "view": view,
        "stages": [one.to_json() for one in look.stages],
    }


def _call(look: Look, lines: Sequence[Mapping[str, Any]], ramp: Sequence[str], experiment: Mapping[str, Any]) -> dict[str, Any]:
    word, tone = _word(look, ramp, experiment)
    return {
        "action": look.action.value,
        "cause": look.cause.value if look.cause else None,
        "word": word,
        "tone": tone,
        "why": _why(look, lines, experiment),
        "reason": look.reason,
    }


def _word(look: Look, ramp: Sequence[str], experiment: Mapping[str, Any]) -> tuple[str, str]:
    if look.action is Action.STEP:
        following = next_stage(look.stage, ramp)
        return f"Step up to {words.stage(following)}" if following else "Step up", "good"
    if look.action is Action.ASK_APPROVAL:
        return "Ask for approval", "good"
    if look.action is Action.ROLL_BACK:
        return "Roll back", "bad"
    if look.action is Action.REJECT:
        return "Reject", "bad"
    if look.harm_looks:
        needed = (experiment.get("stop_loss") or {}).get("looks")
        return f"Confirming harm, look {look.harm_looks}" + (f" of {needed}" if needed else ""), "bad"
    if look.unusable_since or not look.is_valid:
        return "Hold, cannot be judged", "warn"
    return "Hold", "open"


def next_stage(stage: str, ramp: Sequence[str]) -> str | None:
    """The stage after one, ``100`` after the last; None for a stage that is not in the ramp."""
    labels = [*ramp, "100"]
    return labels[labels.index(stage) + 1] if stage in labels[:-1] else None


def _why(look: Look, lines: Sequence[Mapping[str, Any]], experiment: Mapping[str, Any]) -> str:
    """The reason in one short line: names and changes, no more."""
    if look.action is Action.ROLL_BACK or look.harm_looks:
        harmed = [f"{words.words(one['name'])} {one['change']}" for one in lines if one["state"] == MeasureState.WORSE]
        if harmed := harmed or list(_harmed_segments(look, experiment)):
            return f"harm is shown on {_listed(harmed)}"
    failing = [check for check in look.health if not check.ok]
    if failing and look.action is Action.HOLD:
        alone = failing[0].message if len(failing) == 1 and len(failing[0].message) <= LONGEST_WHY else None
        return f"the experiment is not sound: {alone or _listed([words.words(check.name) for check in failing])}"
    if look.action is Action.ASK_APPROVAL:
        return look.reason.partition(";")[0]
    cause = f"{CAUSE_WORDS[look.cause]}: " if look.cause else ""
    unshown = [one for one in lines if one["tone"] != "good"]
    if any(one["message"] in look.reason for one in unshown) or (unshown and len(look.reason) > LONGEST_WHY):
        return f"{cause}not shown yet: {_listed([_short(one) for one in unshown])}"
    return f"{cause}{look.reason}" if look.reason else words.NOTHING


def _harmed_segments(look: Look, experiment: Mapping[str, Any]) -> Iterator[str]:
    for name in look.judged_segments:
        for result in look.segments.get(name, ()):
            if result.spec.segment_margin is not None and result.state is MeasureState.WORSE:
                line = line_of(result, experiment)
                yield f"{words.words(line['name'])} in {name} {line['change']}"


def _short(line: Mapping[str, Any]) -> str:
    gap = line["distance"].partition(";")[0]
    return words.words(line["name"]) + (f" ({gap})" if gap.endswith(" short") else f" ({line['words']})")


def _listed(items: Sequence[str], most: int = 2) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return (", " if more else " and ").join(items[:most]) + more


def _sides(look: Look, lines: Sequence[Mapping[str, Any]], view: Mapping[str, Any] | None) -> dict[str, str]:
    """Technical health beside business, each in its own words; the one says nothing about the other.

    From the recorded view; of a look without one from its measures alone.
    """
    technical, commercial = ([one for one in lines if one["technical"] is side] for side in (True, False))
    service = _service({one["state"] for one in technical})
    business = _business({one["state"] for one in commercial}, open_=any(one["tone"] != "good" for one in commercial))
    sentence = f"{service} technically, {business} commercially"
    if view is not None:
        service, business, sentence = view["total"]["health"], view["total"]["commercial"], view["sentence"]
    unsound = "" if look.is_valid else "the experiment is not sound; "
    return {"technical": service, "commercial": business, "sentence": f"{unsound}{sentence}"}


def _service(states: set[str]) -> str:
    if MeasureState.WORSE in states:
        return "unhealthy"
    if not states or states & {MeasureState.ERROR, MeasureState.NO_DATA}:
        return "not known"
    return "nothing wrong shown" if MeasureState.INCONCLUSIVE in states else "healthy"


def _business(states: set[str], *, open_: bool) -> str:
    if MeasureState.WORSE in states:
        return "worse"
    if MeasureState.BETTER in states:
        return "better, not all shown" if open_ else "better"
    return "nothing shown yet"


def _health(look: Look) -> dict[str, Any]:
    failing = [check for check in look.health if not check.ok]
    every = len(look.health)
    if not every:
        line = "no check was made"
    elif failing:
        line = f"{len(failing)} of {every} checks {'does' if len(failing) == 1 else 'do'} not hold"
    else:
        line = f"{every} check{' holds' if every == 1 else 's hold'}"
    return {
        "line": line,
        "failing": [check.to_json() for check in failing],
        "checks": [check.to_json() for check in (*failing, *(check for check in look.health if check.ok))],
    }


def _next(look: Look, planned: Mapping[str, Any] | None) -> list[str]:
    """What comes next and when, one line each."""
    lines = []
    if look.action in (Action.ROLL_BACK, Action.REJECT):
        return ["none, this look ends the experiment"]
    if look.harm_looks and look.again_at:
        lines.append(f"harm is confirmed or not at {_at(look.again_at)}")
    elif look.again_at and look.again_at != look.next_planned:
        lines.append(f"another look by {_at(look.again_at)}")
    if planned:
        following = next((one for one in planned["looks"] if one["state"] == "next"), None)
        if following:
            held_to = f", held to {following['boundary']:.2f} standard errors" if following["boundary"] is not None else ""
            if held_to and planned["divided"] and following["boundary_to_win"] is not None:
                held_to += f" ({following['boundary_to_win']:.2f} to win on one of several success measures)"
            due = f" at {words.moment(following['due'])}" if following["due"] else ""
            lines.append(f"planned look {following['number']} of {len(planned['looks'])}{due}{held_to}")
        elif look.planned:
            lines.append("all planned looks are taken")
    return lines or ["at the usual rhythm; any look may decide"]


def _at(moment: datetime) -> str:
    return words.moment(moment.isoformat())


def _worth(value: NetValue | None) -> dict[str, Any] | None:
    if value is None:
        return None
    said, tone = {
        "worth_it": ("worth it", "good"),
        "not_worth_it": ("not worth it", "bad"),
        "unclear": ("unclear whether it is worth it", "warn"),
    }[value.worth.value]
    money = value.currency
    return {
        **value.to_json(),
        "words": said,
        "tone": tone,
        "change": f"{words.money(value.estimate)} {money} [{words.money(value.lower)}, {words.money(value.upper)}]",
        "over": f"over {value.horizon_days:g} days, {words.number(round(value.units))} units",
    }
