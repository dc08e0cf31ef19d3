"""A look on a terminal: what it calls for and why, one line a measure, then what else must be known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from retrain_assets.cli.show import say, say_table


def look_summary(document: Mapping[str, Any], contract: Mapping[str, Any], ramp: Sequence[str]) -> dict[str, Any]:
    """A look as a release owner reads it, see :func:`retrain_assets.reports.canary.summary_of`.

    Args:
        document: the look as recorded.
        contract: the toggle's frozen contract.
        ramp: labels of the ramp's stages below 100.
    """
    from retrain_assets.reports.canary import summary_of

    return summary_of(document, contract["experiment"], ramp)


def say_call(summary: Mapping[str, Any]) -> None:
    """The first lines: what the look calls for, why, and what must be read before anything is decided."""
    call = summary["call"]
    say(f"{call['word'].upper()}: {call['why']}")
    for warning in summary["warnings"]:
        say(f"read before deciding: {warning}")


def say_measures(summary: Mapping[str, Any]) -> None:
    """One line a measure: state, change with its interval, what it must show, how far it is from that."""
    say_table(
        ["measure", "state", "change", "must", "how far"],
        [(line["name"], line["words"], line["change"], line["must"], line["distance"]) for line in summary["measures"]],
    )


def say_besides(summary: Mapping[str, Any]) -> None:
    """Health, both sides, net value and the next look, a line each; of health only what fails."""
    for about, what in _besides(summary):
        say(f"{about}: {what}")


def _besides(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    health, worth = summary["health"], summary["worth"]
    yield "health", health["line"]
    for check in health["failing"]:
        yield f"  {check['name']}", check["message"]
    yield "both sides", summary["sides"]["sentence"]
    if worth:
        yield "net value", f"{worth['words']}: {worth['change']} {worth['over']}"
    yield "next look", "; ".join(summary["next"])


def say_planned(summary: Mapping[str, Any]) -> None:
    """The planned looks with their boundaries; nothing where the contract has none."""
    from retrain_assets.reports import words

    if not summary["planned"]:
        return
    say()
    divided = ["to win"] if summary["planned"]["divided"] else []  # several success measures divide the error level
    say_table(
        ["planned look", "due", "state", "standard errors", *divided, "taken"],
        [
            (
                one["number"],
                words.minute(one["due"]),
                one["state"],
                _boundary(one, "boundary"),
                *([_boundary(one, "boundary_to_win")] if divided else []),
                words.minute(one["at"]),
            )
            for one in summary["planned"]["looks"]
        ],
        right=["planned look", "standard errors", *divided],
    )


def _boundary(one: Mapping[str, Any], which: str) -> str | None:
    if one[which] is None:
        return None
    return f"{'about ' if one['state'] in ('next', 'ahead') else ''}{one[which]:.2f}"


def say_segments(summary: Mapping[str, Any]) -> None:
    """Success measures, guardrails with a segment margin, and whatever is shown worse, by segment."""
    from retrain_assets.reports import words

    rows = [
        (
            row["segment"] + (" *" if row["high_value"] else ""),
            table["name"],
            row["words"],
            words.change(row["estimate"], row["lower"], row["upper"], relative=table["relative"]),
            (words.percent if table["relative"] else words.signed)(row["shrunk"]),
            words.number(row["units"]),
        )
        for table in summary["segments"]
        for row in table["rows"]
        if table["role"] == "success" or table["segment_margin"] is not None or row["state"] == "worse"
    ]
    if rows:
        say()
        say_table(["segment", "measure", "state", "change", "shrunk", "units"], rows, right=["shrunk", "units"])
        if any(row["high_value"] for table in summary["segments"] for row in table["rows"]):
            say("* high value")


def say_stages(summary: Mapping[str, Any]) -> None:
    """The stages so far with their units, exposed, matured, with every outcome."""
    from retrain_assets.reports import words

    if not summary["stages"]:
        return
    say()
    say_table(
        ["stage", "revision", "since", "share", "champion", "challenger", "matured", "with outcome"],
        [
            (
                words.stage(one["stage"]),
                one["revision"],
                words.minute(one["started_at"]),
                words.share(one["challenger_share"]),
                *(words.number(one[arm]["exposed"]) for arm in ("champion", "challenger")),
                *(words.number(one["champion"][key] + one["challenger"][key]) for key in ("matured", "with_outcome")),
            )
            for one in summary["stages"]
        ],
        right=["revision", "share", "champion", "challenger", "matured", "with outcome"],
    )
