"""What the Dagster page of a canary shows of its last look: one line first, then tables that are read at a glance."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from retrain_assets.assets.faces import table, verdict_table
from retrain_assets.contract import Verdict
from retrain_assets.reports import words
from retrain_assets.reports.reading import readable


def canary_metadata(summary: Mapping[str, Any], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Metadata in reading order: what the look calls for and why, measures, what else must be known, then the details.

    Dagster lays the page out as wide as its widest word or table, and cuts it at the edge: tables have few columns, and nothing
    here is one long word.

    Args:
        summary: as :func:`retrain_assets.reports.canary.summary_of` gives it.
        verdicts: of gate canary on the same look.
    """
    call = summary["call"]
    shown: dict[str, Any] = {"calls for": f"{call['word'].upper()}: {call['why']}"}
    if summary["warnings"]:
        shown["read before deciding"] = readable("; ".join(summary["warnings"]))
    shown["measures"] = table((_measure(line) for line in summary["measures"]), as_written=True)
    shown |= dict(_besides(summary))
    if summary["planned"]:
        shown["planned looks"] = table((_planned(one) for one in summary["planned"]["looks"]), as_written=True)
    for segments in summary["segments"]:
        shown[f"{segments['name']} by segment"] = table((_segment(row, segments) for row in segments["rows"]), as_written=True)
    if summary["view"]:
        rows = [summary["view"]["total"], *summary["view"]["segments"]]
        shown["technical side"] = table((_technical(row) for row in rows), as_written=True)
    shown["stages"] = table((_stage(one) for one in summary["stages"]), as_written=True)
    shown["intervals"] = table((_method(line) for line in summary["measures"]), as_written=True)
    shown["health checks"] = table(
        ({"check": one["name"], "holds": one["ok"], "message": one["message"]} for one in summary["health"]["checks"]),
        as_written=True,
    )
    shown["gate"] = verdict_table(verdicts)
    return shown


def _besides(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What else must be known, a sentence each."""
    call, worth, health = summary["call"], summary["worth"], summary["health"]
    failing = "; ".join(f"{words.words(one['name'])}: {one['message']}" for one in health["failing"])
    yield "health", f"{health['line']}: {failing}" if failing else health["line"]
    yield "both sides", readable(summary["sides"]["sentence"])
    if worth:
        yield "net value", f"{worth['words']}: {worth['change']} {worth['over']}"
    yield "next look", "; ".join(summary["next"])
    yield "looked at", f"{words.moment(summary['at'])}, stage {words.stage(summary['stage'])}"
    if call["reason"] != call["why"]:
        yield "reason in full", readable(call["reason"])


def _measure(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "measure": line["name"],
        "state": line["words"],
        "change": _unbroken(line["change"]),
        "must": _unbroken(line["must"]),
        "how far": line["distance"],
    }


def _method(line: Mapping[str, Any]) -> dict[str, Any]:
    saved = line["variance_saved"]
    return {
        "measure": line["name"],
        "method": line["method"],
        "champion": line["champion"],
        "challenger": line["challenger"],
        "units": line["n_champion"] + line["n_challenger"],
        "variance saved": None if saved is None else words.whole_share(saved),
    }


def _technical(row: Mapping[str, Any]) -> dict[str, Any]:
    was, now = row["technical"]["champion"], row["technical"]["challenger"]

    def both(key: str) -> str:
        return f"{words.number(was[key])} → {words.number(now[key])}"

    return {
        "where": row["name"],
        "technical": row["health"],
        "business": row["commercial"],
        "errors": both("error_share"),
        "p95 ms": both("latency_p95_ms"),
        "calibration": both("calibration_error"),
    }


def _planned(one: Mapping[str, Any]) -> dict[str, Any]:
    about = "about " if one["state"] in ("next", "ahead") else ""
    return {
        "look": str(one["number"]),
        "due": words.minute(one["due"]),
        "state": one["state"],
        "boundary": words.NOTHING if one["boundary"] is None else f"{about}{one['boundary']:.2f} standard errors",
        "taken": words.minute(one["at"]),
    }


def _segment(row: Mapping[str, Any], segments: Mapping[str, Any]) -> dict[str, Any]:
    form = words.percent if segments["relative"] else words.signed
    return {
        "segment": row["segment"] + (" ★ high value" if row["high_value"] else ""),
        "state": row["words"],
        "change": _unbroken(words.change(row["estimate"], row["lower"], row["upper"], relative=segments["relative"])),
        "shrunk": _unbroken(form(row["shrunk"])),
        "units": row["units"],
        "must hold": row["judged"],
    }


def _stage(one: Mapping[str, Any]) -> dict[str, Any]:
    def units(arm: str) -> str:
        return f"{words.number(one[arm]['matured'])} of {words.number(one[arm]['exposed'])}"

    return {
        "stage": f"{words.stage(one['stage'])}, revision {one['revision']}",
        "since": words.minute(one["started_at"]),
        "champion matured": units("champion"),
        "challenger matured": units("challenger"),
        "with outcome": one["champion"]["with_outcome"] + one["challenger"]["with_outcome"],
    }


def _unbroken(text: str) -> str:
    """Numbers stay beside their per cent when a narrow column breaks the line."""
    return text.replace(" %", "\u00a0%")
