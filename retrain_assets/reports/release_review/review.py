"""The review of an ended retrain: what the plan, the gates and the way back were worth, and what to change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retrain_assets.contract import Contract, Refused, RetrainError, finite
from retrain_assets.ledger import Event, EvidenceStore, timestamp
from retrain_assets.reports.release_review.contract_change import ContractFile, contract_file
from retrain_assets.reports.release_review.design import design_of
from retrain_assets.reports.release_review.earlier import earlier_of
from retrain_assets.reports.release_review.history import Past, history_of, reviewed_until
from retrain_assets.reports.release_review.prediction import prediction_of
from retrain_assets.reports.release_review.recovery import Trace, recovery_of
from retrain_assets.reports.release_review.suggestion import suggestions_of

SCHEMA = "retrain_assets.release_review/1"


def review_of(
    events: Sequence[Event],
    evidence: EvidenceStore,
    model: str,
    retrain: str,
    *,
    contract: Contract | None = None,
    file: ContractFile | None = None,
    trace: Trace | None = None,
) -> dict[str, Any]:
    """The review of a retrain as JSON, over the history up to its end.

    Keys: ``schema``, ``model``, ``retrain``, ``ended``, ``fate``, ``why``, ``until`` (the last event that counts), ``at``,
    ``retrains`` (ended so far), ``finding`` (one sentence), ``design`` (None without traffic), ``prediction``, ``recovery`` (None
    without a rollback), ``earlier`` (None for a retrain that did not hurt), ``suggestions``.

    Args:
        events: the model's events, oldest first.
        evidence: where verdicts and looks are.
        model: the model.
        retrain: its key.
        contract: the contract in force now, Python paths absolute; that of the retrain where it is not known.
        file: its YAML, what the suggested change is a diff of; looked for, or made from the contract, where it is not given.
        trace: what a rollback left outside the ledger.

    Raises:
        RetrainError: when the ledger knows no such retrain.
        Refused: while the retrain is open.
    """
    if not any(event.retrain == retrain for event in events):
        raise RetrainError(
            f"the ledger has no retrain {retrain} of {model}",
            where="release review",
            remedy="retrain audit list shows those it has",
        )
    until = reviewed_until(events, retrain)
    if until is None:
        where, remedy = f"{model} {retrain}", f"see how far it is with retrain status {model}"
        raise Refused("it is reviewed when it has ended, and it has not", where=where, remedy=remedy)
    history = history_of(events, evidence, model, until)
    past = next(one for one in history if one.key == retrain)
    now = contract or (Contract.recorded(dict(past.contract)) if past.contract else None)
    design, earlier = design_of(past), earlier_of(past, history)
    recovery, prediction = recovery_of(past, evidence, trace), prediction_of(history)
    suggested = suggestions_of(earlier, design, now, file or contract_file(now)) if now is not None else None
    review = {
        "schema": SCHEMA,
        "model": model,
        "retrain": retrain,
        "ended": str(past.state.ended),
        "fate": past.fate.value,
        "why": past.why,
        "until": until,
        "at": timestamp(next(event.at for event in events if event.sequence == until)),
        "retrains": len(history),
        "finding": "",
        "design": design,
        "prediction": prediction,
        "recovery": recovery,
        "earlier": earlier,
        "suggestions": suggested,
    }
    review["finding"] = _finding(past, review)
    document: dict[str, Any] = finite(review)
    return document


def _finding(past: Past, review: dict[str, Any]) -> str:
    """The review in two or three sentences, what most needs doing first."""
    parts = [f"{past.key}: {past.why}."]
    if review["design"] is not None:
        parts.append(review["design"]["sentence"])
    if review["recovery"] is not None:
        parts.append(review["recovery"]["sentence"])
    if review["suggestions"] is not None and review["suggestions"]["changes"]:
        parts.append(review["suggestions"]["sentence"])
    return " ".join(parts)
