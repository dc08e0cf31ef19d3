"""docs/faults.md: what was put in, what caught it, what nothing catches, and that unchanged data pass."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets_tests.faults.contracts import ADDED, MONTHLY, shipped_value
from retrain_assets_tests.faults.fault import REFUSED, Fault
from retrain_assets_tests.faults.run import Found, Month, Run
from retrain_assets_tests.faults.table import FAMILIES, FAULTS

COMMAND = "python -m retrain_assets_tests.faults"
BEYOND_CHANCE = ("slices_hold", "decisions_are_stable")
"""Checks that stop only what is shown beyond chance, at 5 % over all slices."""


def page(short: Run, long: Run, day: date) -> str:
    """The whole page."""
    parts = [_head(short, long, day), _faults(short, long), _missed(short, long), _clean(short), _shipped(long), _changes()]
    return "\n\n".join(_filled(block) for part in parts for block in part.split("\n\n")) + "\n"


def _filled(block: str) -> str:
    """A paragraph or a list with lines of even length; tables and headings as they are."""
    if block.startswith(("|", "#")):
        return block
    items = block.removeprefix("- ").split("\n- ") if block.startswith("- ") else [block]
    marks = ("- ", "  ") if block.startswith("- ") else ("", "")
    return "\n".join(
        textwrap.fill(" ".join(item.split()), 130, initial_indent=marks[0], subsequent_indent=marks[1], break_on_hyphens=False)
        for item in items
    )


def _head(short: Run, long: Run, day: date) -> str:
    caught = [fault for fault in FAULTS if short.found[fault.name].caught(fault) or long.found[fault.name].caught(fault)]
    reader = {"schema_holds", f"{REFUSED}dataset"}
    beyond = [fault for fault in caught if not reader & {*short.found[fault.name].stopped_by}]
    verdicts = [verdict for month in short.months for verdict in month.verdicts]
    blocked = sum(not verdict.passed for verdict in verdicts)
    minutes = max(short.seconds, long.seconds) / 60
    return f"""# Faults put into the real flights

Do the gates before traffic stop what hurts, and let pass what does not? {len(FAULTS)} named faults are put into the flights of
2013, one at a time, and the same flights are retrained on unchanged, month by month.

- **{len(caught)} of {len(FAULTS)} faults are stopped by a check that is about them**, {len(beyond)} of these by neither the
schema nor the reader
  of the source. {len(FAULTS) - len(caught)} are not; they stand [below](#what-is-not-caught) with the reason.
- **Unchanged, {len(short.months)} monthly retrains gave {len(verdicts)} verdicts; {blocked} did not pass.**

Made on {day.day} {day:%B %Y} by `{COMMAND}`, which writes this page ({minutes:.0f} minutes on the two busy cores it was made
on). Seeds are fixed: only durations, dates and digests change from run to run.

How it is made: the rows of `retrain_assets/replay/flights.py` are the source; the stages dataset, features, training and
evaluation are run as the assets run them, with what gate data remembers of earlier retrains, against the candidate of the month
before as champion. A fault is put in at its place, and the retrain goes on until a stage refuses or a check does not pass, as on
the road. A fault counts as caught only when a check that is about it stops it (`caught_by` in the code); another check in the way
does not count and is shown in brackets. Each fault is run under two contracts in two months: the monthly contract of this page
(cut-off {short.fault_month:%Y-%m-%d}) and the shipped one, 90 + 14 days (cut-off {long.fault_month:%Y-%m-%d})."""


def _faults(short: Run, long: Run) -> str:
    parts = ["## The faults"]
    for family, faults in FAMILIES.items():
        rows = [
            [
                f"`{fault.name}`",
                fault.happened,
                fault.put.where,
                _by(fault, short.found[fault.name]),
                _by(fault, long.found[fault.name]),
                _message(fault, short, long),
            ]
            for fault in faults
        ]
        heads = ["fault", "what happened", "put into", "caught by, monthly contract", "caught by, shipped contract", "message"]
        parts.append(f"### {family}\n\n{_table(heads, rows)}")
    return "\n\n".join(parts)


def _by(fault: Fault, found: Found) -> str:
    """Checks about the fault, the gate before them, and in brackets whatever else stopped it."""
    about = [check for check in found.stopped_by if check in fault.caught_by]
    others = [check for check in found.stopped_by if check not in fault.caught_by]
    if len(others) > 3:
        others = [*others[:3], f"{len(others) - 3} more"]
    words = ", ".join(about) + (f" ({', '.join(others)})" if others else "")
    return words.strip() or "–"


def _message(fault: Fault, short: Run, long: Run) -> str:
    runs = [run.found[fault.name] for run in (short, long)]
    found = next((one for one in runs if one.caught(fault)), runs[0])
    text = " ".join(found.message.split()).replace("|", "\\|")
    return text if len(text) <= 200 else text[:197].rsplit(" ", 1)[0] + " …"


def _missed(short: Run, long: Run) -> str:
    in_short, in_long = ({fault.name for fault in FAULTS if run.found[fault.name].caught(fault)} for run in (short, long))
    nowhere = [fault for fault in FAULTS if fault.name not in in_short | in_long]
    lines = ["## What is not caught", ""]
    lines += [_why_missed(fault, short, long) for fault in nowhere]
    lines += ["", "Caught under the shipped contract only:", ""]
    narrow = [fault for fault in FAULTS if fault.name in in_long - in_short]
    lines += [f"- `{fault.name}`: {fault.needs or 'the short windows have wider limits'}." for fault in narrow] or ["- none."]
    lines += ["", "Caught under the monthly contract only:", ""]
    wide = [fault for fault in FAULTS if fault.name in in_short - in_long]
    lines += [f"- `{fault.name}`." for fault in wide] or ["- none."]
    return "\n".join([*lines, "", _ten_points(short, long)])


def _why_missed(fault: Fault, short: Run, long: Run) -> str:
    why = fault.missed or f"expected of {', '.join(fault.caught_by)}"
    runs = {"monthly": short.found[fault.name], "shipped": long.found[fault.name]}
    chance = [
        f"under the {name} contract {', '.join(found.stopped_by)} stopped it" for name, found in runs.items() if found.stopped_by
    ]
    luck = f" In the month it was tried in, {' and '.join(chance)}; that is no check for it." if chance else ""
    return f"- `{fault.name}`: {why}.{luck}"


def _ten_points(short: Run, long: Run) -> str:
    def seen(run: Run) -> str:
        asked = [month.over_prediction_stopped_by for month in run.months if month.over_prediction_stopped_by is not None]
        return f"{sum('calibrated' in checks for checks in asked)} of {len(asked)}"

    asked = next(month for month in long.months if month.cutoff == long.fault_month)
    candidate, champion = asked.auc
    if candidate is None or champion is None:
        raise ValueError(f"the month of the faults, {asked.cutoff:%Y-%m}, has no champion to compare with")
    ranks = "better" if candidate > champion else "no better"
    stopped = ", ".join(f"`{check}`" for check in asked.over_prediction_stopped_by or ()) or "nothing"
    return f"""Ten points too much (`over_predicts_by_ten_points`) were put into every month's candidate as well. In
{asked.cutoff:%B}, under the
shipped contract, its AUC is {candidate:.3f} and the champion's {champion:.3f}: {ranks} ranks, and stopped by
{stopped}. Over all months
`calibrated` stops {seen(short)} under the monthly contract and {seen(long)} under the shipped one. The share of late flights
in New York
moves by up to fifteen points between training and hold-out by weather and season alone; a limit of bias that lets such months
pass
cannot see ten points that make up for such a move. The limit is a choice between the two, and is the contract's."""


def _clean(run: Run) -> str:
    verdicts = [verdict for month in run.months for verdict in month.verdicts]
    failed = sum(not verdict.passed for verdict in verdicts)
    paired = sum(
        verdict.check.startswith(("not_worse_", "beats_champion_")) and verdict.observed is not None for verdict in verdicts
    )
    judged = sum(verdict.check in BEYOND_CHANCE for verdict in verdicts if not verdict.evidence.get("bootstrap"))
    days = 10 * len(run.months)
    rows = [
        [
            f"{month.cutoff:%Y-%m-%d}",
            f"{month.rows['train']:,} + {month.rows['holdout']:,}",
            str(len(month.verdicts)),
            *(_passed(month, gate) for gate in (Gate.DATA, Gate.TRAINING, Gate.OFFLINE)),
            _closest(month.verdicts),
        ]
        for month in run.months
    ]
    heads = ["cut-off", "rows, train + hold-out", "checks", "data", "training", "offline", "closest to its limit"]
    return f"""## Twelve months, unchanged

{_table(heads, rows)}

{len(verdicts)} verdicts, {failed} not passed.

The stated rate: of the checks that decide by chance, {" and ".join(BEYOND_CHANCE)} stop at most 5 % of retrains in which no slice
is beyond its limit, over all slices together: of the {judged} verdicts here at most {0.05 * judged:.1f}. `days_are_complete`
alarms on at
most one of 7,000 sound days, which is {days / 7000:.2f} for the {days} days here; `no_value_determines_label` demands more
than any
of five permutations of the labels gives. {paired} verdicts are comparisons with the champion at one-sided confidence 0.95:
they pass only
where a regression beyond the margin is ruled out, so a candidate as good as the champion passes unless its interval is wider than
the margin. The other checks compare with a fixed limit and have no rate of their own; see gates.md for what was measured.

What this does not show: the limits of gate offline under the monthly contract were set with these twelve months in sight. If
months
are exchangeable, the thirteenth goes beyond the worst of twelve with probability 1/13 for each such limit."""


def _passed(month: Month, gate: Gate) -> str:
    mine = [verdict for verdict in month.verdicts if verdict.gate is gate]
    failed = [verdict for verdict in mine if verdict.outcome is not Outcome.PASS]
    return "pass" if not failed else ", ".join(f"**{verdict.check}**" for verdict in failed)


def _closest(verdicts: Sequence[Verdict]) -> str:
    used = [(share, verdict) for verdict in verdicts if (share := _used(verdict)) is not None]
    share, verdict = max(used, key=lambda one: one[0])
    return f"{verdict.check}: {_number(verdict.observed)} of {_number(verdict.threshold)} ({share:.0%})"


def _used(verdict: Verdict) -> float | None:
    """How much of its limit a passed verdict uses, whichever side the limit is on."""
    observed, limit = verdict.observed, verdict.threshold
    if not isinstance(observed, (int, float)) or not isinstance(limit, (int, float)) or observed <= 0 or limit <= 0:
        return None
    return min(observed / limit, limit / observed) if verdict.check != "both_classes_present" else None


def _number(value: Any) -> str:
    if not isinstance(value, (int, float)):
        return str(value)
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}"


def _shipped(run: Run) -> str:
    rows = []
    for month in run.months:
        failed = [verdict for verdict in month.verdicts if not verdict.passed]
        said = "; ".join(
            f"{verdict.check} {_number(verdict.observed)} (limit {_number(verdict.threshold)})" for verdict in failed
        )
        rows.append([f"{month.cutoff:%Y-%m-%d}", str(len(month.verdicts)), f"{month.bias:+.3f}", said or "–"])
    heads = ["cut-off", "checks", "bias on the hold-out", "not passed"]
    data = [verdict for month in run.months for verdict in month.verdicts if verdict.gate is Gate.DATA]
    stopped = sum(not verdict.passed for verdict in data)
    return f"""## The shipped contract, unchanged

With 90 + 14 days the year has {len(run.months)} monthly cut-offs. All gates were run to the end in each, whatever stopped
before. Gate
data gave {len(data)} verdicts, {stopped} of them not passed.

{_table(heads, rows)}

What gate offline stops here is no fault of the data: the share of late flights in the two weeks of the hold-out is not what
it was
in the weeks before, so the candidate is wrong about it by the bias shown, and the shipped limits say that such a candidate
does not
meet traffic. A team that wants every month's candidate in traffic sets the limits above the season's swing, as the monthly
contract
does, and pays for it with what it no longer sees."""


def _changes() -> str:
    rows = [[f"`{change.field}`", _text(shipped_value(change.field)), _text(change.value), change.why] for change in MONTHLY]
    added = [[f"`{field}`", _text(value)] for field, value in ADDED.items() if shipped_value(field) is None]
    return f"""## The monthly contract

The shipped contract with these fields changed, and nothing else:

{_table(["field", "shipped", "here", "why"], rows)}

Both contracts are run with the limits below, which the shipped one leaves open, and with a schema
that holds the columns of a flight against each other: the clock time of `scheduled_at` is `sched_dep_time`, `flight_id` begins
with its day, `late` is `arr_delay` above 15, dew point is not above temperature, what arrived had departed, visibility is at most
100 miles. All of these hold on each of the 336,776 flights.

{_table(["field", "here"], added)}"""


def _text(value: Any) -> str:
    return "–" if value is None else str(value)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
