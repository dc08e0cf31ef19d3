"""The plan of an experiment as people read it: tables of stages and measures, and what keeps it from concluding."""

from __future__ import annotations

from typing import Any

from retrain_assets.cli.show import moment, number, say, say_table

_DIFFERS = 0.25
"""Relative difference between traffic expected and seen that is pointed out."""


_GUESSED = {"assumed": ", assumed", "given": "", "no difference": ""}


def say_plan(plan: dict[str, Any]) -> None:
    """Print the plan document for people to read."""
    say(f"{plan['model']}: {plan['traffic']}")
    expected = plan["units_a_day_expected"]
    if plan["units_a_day_seen"] and abs(plan["units_a_day"] - expected) > _DIFFERS * expected:
        say(f"the contract expects {expected:,.0f}: correct experiment.expected_units_per_day")
    say()
    say_table(
        ["stage", "challenger share", "challenger units", "cohort units", "days to fill", "days to mature", "at least", "days"],
        [
            (
                stage["stage"],
                "scored by both" if stage["stage"] == "shadow" else f"{stage['challenger_share'] * 100:g} %",
                stage["challenger_units"],
                stage["cohort_units"],
                *(f"{stage[name]:.1f}" for name in ("filling_days", "maturing_days", "shortest_days", "days")),
            )
            for stage in plan["stages"]
        ],
        right=["challenger units", "cohort units", "days to fill", "days to mature", "at least", "days"],
    )
    say()
    say(
        f"the ramp takes at least {plan['ramp_days']:.1f} days; approval is asked for not before day "
        f"{plan['earliest_days']:.1f}, and without a clear result it is rejected on day {plan['max_days']:g}"
    )
    if plan["looks"]["planned"]:
        days = ", ".join(f"{day:.4g}" for day in plan["looks"]["days"]) or "none that has units"
        say(f"planned looks on days {days} since arming (one-sided alpha {plan['alpha']:g} over all of them)")
    else:
        say(
            f"limits are tightest at {plan['planned_units']:,} units of both arms in the last stage, "
            f"{plan['planned_units_days']:.1f} days of traffic; that stage has {plan['last_stage_days_left']:.1f} days "
            f"(one-sided alpha {plan['alpha']:g})"
        )
    say()
    _say_measures(plan)
    for one in plan["obstacles"]:
        say(f"cannot conclude: {one['field']}: {one['what']}: {one['remedy']}")


def _say_measures(plan: dict[str, Any]) -> None:
    known = [row for row in plan["measures"] if "missing" not in row]
    if known:
        say_table(
            ["measure", "must show", "if truly", "chance", "units needed", "on day", "smallest shown", "variance from"],
            [
                (
                    row["measure"],
                    _amount(row["must_show"], row["must_show_relative"], "above "),
                    "no difference" if row["role"] == "guardrail" else _amount(*_truth(row), "") + _GUESSED[row["truth"]],
                    f"{row['chance_shown']:.0%}",
                    "-" if row["units_needed"] is None else f"{row['units_needed']:,}",
                    "never" if row["days_needed"] is None else f"{row['days_needed']:.1f}",
                    _amount(row["detectable"], row["detectable_relative"], ""),
                    _origin(row["variance_from"]),
                )
                for row in known
            ],
            right=["chance", "units needed", "on day"],
        )
        say(
            f"chance: of being shown by day {plan['max_days']:g}; units, day and smallest shown: for a chance of "
            f"{plan['chance']:.0%}; smallest shown: the smallest true improvement, for a guardrail the smallest margin"
        )
        say()
        _say_alone(known)
        if plan["segments"]:
            _say_segments(plan)
        bounds = plan["inconclusive"]
        shown, open_ = _between(1 - bounds["at_most"], 1 - bounds["at_least"]), _between(bounds["at_least"], bounds["at_most"])
        apart = f"; {bounds['if_independent']:.0%} were they independent" if " to " in open_ else ""
        say(
            f"everything shown in time: {shown} likely, so inconclusive {open_} "
            f"(bounds that hold however the measures depend on each other{apart})"
        )
    for row in plan["measures"]:
        if "missing" in row:
            say(f"{row['measure']}: what it can show is not known: {row['missing']}")


def _between(least: float, most: float) -> str:
    """Two chances, once where they read the same."""
    words = [f"{least:.0%}", f"{most:.0%}"]
    return " to ".join(dict.fromkeys(words))


def _say_segments(plan: dict[str, Any]) -> None:
    """The guardrails in their hardest segments."""
    hardest = {row["measure"]: row for row in reversed(plan["segments"])}
    say("guardrails in segments, each in the one where it is hardest to show:")
    say_table(
        ["measure", "segment", "must show", "chance", "units needed", "on day"],
        [
            (
                row["measure"],
                row["segment"],
                _amount(row["must_show"], row["must_show_relative"], "above "),
                f"{row['chance_shown']:.0%}",
                "-" if row["units_needed"] is None else f"{row['units_needed']:,}",
                "never" if row["days_needed"] is None else f"{row['days_needed']:.1f}",
            )
            for row in hardest.values()
        ],
        right=["chance", "units needed", "on day"],
    )
    say()


def _say_alone(known: list[dict[str, Any]]) -> None:
    stages = list(dict.fromkeys(need["stage"] for row in known for need in row["alone"]))
    say("what a stage would need by itself to show it:")
    cells = [{need["stage"]: f"{need['units']:,} in {need['days']:.1f} days" for need in row["alone"]} for row in known]
    say_table(
        ["measure", *(f"{stage} %" for stage in stages)],
        [(row["measure"], *(cell.get(stage, "never") for stage in stages)) for row, cell in zip(known, cells, strict=True)],
        right=[f"{stage} %" for stage in stages],
    )
    say()


def _truth(row: dict[str, Any]) -> tuple[float, float | None]:
    return row["true_improvement"], row["true_improvement_relative"]


def _amount(value: float | None, relative: float | None, before: str) -> str:
    if value is None:
        return "-"
    return f"{before}{number(value)}" + (f" ({relative:+.1%})" if relative and abs(relative) < 10 else "")


def _origin(source: dict[str, Any]) -> str:
    units = f"{source['units']:,} units"
    if source["kind"] == "look":
        return f"{source['retrain']}, look of {moment(source['at'])}, {units}"
    return f"the champion until {moment(source['at'])}, {units}"
