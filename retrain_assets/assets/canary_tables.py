"""What the Dagster page of a canary shows of its last look: one line first, then tables that are read at a glance."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from retrain_assets.assets.faces import table
from retrain_assets.contract import Verdict
from retrain_assets.reports import words
from retrain_assets.reports.reading import readable, worst_first


def canary_metadata(summary: Mapping[str, Any], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Metadata in reading order: what the look calls for, measures, health, next looks, warnings, worth, then the details.

    Args:
        summary: as :func:`retrain_assets.reports.canary.summary_of` gives it.
        verdicts: of gate canary on the same look.
    """
    call, worth, health = summary["call"], summary["worth"], summary["health"]
    shown: dict[str, Any] = {
        "calls for": f"{call['word'].upper()}: {call['why']}",
        "measures": table((_measure(line) for line in summary["measures"]), as_written=True),
        "both sides": summary["sides"]["sentence"],
        "health": health["line"] + "".join(f"; {words.words(check['name'])}: {check['message']}" for check in health["failing"]),
    }
    if summary["warnings"]:
        shown["read before deciding"] = "; ".join(summary["warnings"])
    if worth:
        shown["net value"] = f"{worth['words']}: {worth['change']} {worth['over']}"
    shown["next"] = "; ".join(summary["next"])
    shown["looked at"] = f"{words.moment(summary['at'])}, stage {words.stage(summary['stage'])}"
    if call["reason"] != call["why"]:
        shown["reason in full"] = readable(call["reason"])
    if summary["planned"]:
        shown["planned looks"] = table((_planned(one) for one in summary["planned"]["looks"]), as_written=True)
    for segments in summary["segments"]:
        shown[f"{segments['name']} by segment"] = table((_segment(row, segments) for row in segments["rows"]), as_written=True)
    shown["stages"] = table((_stage(one) for one in summary["stages"]), as_written=True)
    shown["intervals"] = table((_method(line) for line in summary["measures"]), as_written=True)
    shown["health checks"] = table(
        ({"check": one["name"], "holds": one["ok"], "message": one["message"]} for one in health["checks"]), as_written=True
    )
    shown["gate"] = _gate(verdicts)
    return shown


def _measure(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "measure": line["name"],
        "state": line["words"],
        "change": line["change"],
        "must": line["must"],
        "how far": line["distance"],
        "champion": line["champion"],
        "challenger": line["challenger"],
        "units": line["n_champion"] + line["n_challenger"],
    }


def _method(line: Mapping[str, Any]) -> dict[str, Any]:
    limit = line["planned"]
    return {
        "measure": line["name"],
        "role": line["role"],
        "method": line["method"],
        "lower": line["lower"],
        "upper": line["upper"],
        "limit at planned look": limit,
        "variance saved": words.whole_share(line["variance_saved"]),
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
        "change": words.change(row["estimate"], row["lower"], row["upper"], relative=segments["relative"]),
        "shrunk": form(row["shrunk"]),
        "units": row["units"],
        "held to margin": row["judged"],
    }


def _stage(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "stage": words.stage(one["stage"]),
        "revision": str(one["revision"]),
        "since": words.minute(one["started_at"]),
        "champion matured": one["champion"]["matured"],
        "challenger matured": one["challenger"]["matured"],
        "champion exposed": one["champion"]["exposed"],
        "challenger exposed": one["challenger"]["exposed"],
        "with outcome": one["champion"]["with_outcome"] + one["challenger"]["with_outcome"],
    }


def _gate(verdicts: Sequence[Verdict]) -> dg.MetadataValue:
    return table(
        (
            {"check": verdict.check, "outcome": verdict.outcome.value, "message": verdict.message}
            for verdict in worst_first(verdicts)
        ),
        as_written=True,
    )
