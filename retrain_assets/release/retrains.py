"""What is recorded about a retrain on its way to the toggle and after it: launch, gates, candidate, audit.

Each function decides on the state in the drafts and adds the events of one action, or refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from retrain_assets.contract import Contract, Gate, Refused, Verdict, overall
from retrain_assets.ledger import EventKind
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.environment import require_promoted
from retrain_assets.release.policy import require_launch
from retrain_assets.release.state import RetrainState

CANDIDATE_SUBJECTS = ("dataset", "features", "bundle")


def next_retrain_key(existing: Iterable[str], cutoff: date) -> str:
    """The key of a new retrain: ``2013-07-01``, a second one for the same cut-off ``2013-07-01.2``, and so on.

    Args:
        existing: keys that are taken.
        cutoff: the day the data ends.
    """
    day = cutoff.strftime("%Y-%m-%d")
    taken = [int(key.partition(".")[2] or 1) for key in existing if key.partition(".")[0] == day]
    return f"{day}.{max(taken) + 1}" if taken else day


def launch(drafts: Drafts, contract: Contract, key: str | None, trigger: Mapping[str, Any]) -> None:
    """A retrain begins. Without a key the next free one of today is taken; one that exists is refused."""
    require_launch(contract, drafts.now, drafts.platform)
    require_promoted(contract, drafts.state, drafts.environment)
    existing = drafts.state.retrains
    if key is None:
        key = next_retrain_key(existing, drafts.now.date())
    require_key(contract.model, key)
    if key in existing:
        free = next_retrain_key(existing, date.fromisoformat(key[:10]))
        raise Refused(
            f"a retrain with this key exists since {existing[key].launched_at:%Y-%m-%d %H:%M} UTC",
            where=f"{contract.model} {key}",
            remedy=f"use {free}",
        )
    drafts.add(EventKind.RETRAIN_LAUNCHED, key, {"trigger": dict(trigger), "contract_digest": contract.digest})


def require_key(model: str, key: str) -> None:
    """Refuse what is not a retrain key.

    Raises:
        Refused: when it is not ``YYYY-MM-DD`` or ``YYYY-MM-DD.N`` with N from 2.
    """
    day, separator, repeat = key.partition(".")
    try:
        right = date.fromisoformat(day).isoformat() == day
    except ValueError:
        right = False
    if not right or (
        separator and (not repeat.isascii() or not repeat.isdigit() or repeat != str(int(repeat)) or int(repeat) < 2)
    ):
        raise Refused(
            f"{key!r} is not a retrain key", where=model, remedy="write the cut-off date, as in 2013-07-01 or 2013-07-01.2"
        )


def gate_evaluated(
    drafts: Drafts, key: str, gate: Gate, verdicts: Sequence[Verdict], subjects: Mapping[str, str], evidence: str
) -> None:
    """A gate was judged. Repeating the very same record adds nothing; a decided retrain keeps the verdicts it was decided on."""
    retrain = known_retrain(drafts, key)
    if not verdicts:
        raise Refused(f"gate {gate} has no verdicts to record", where=f"{drafts.state.model} {key}", remedy="record its checks")
    if foreign := [verdict.check for verdict in verdicts if verdict.gate is not gate]:
        raise Refused(f"{', '.join(foreign)} belong to another gate than {gate}", where=f"{drafts.state.model} {key}")
    names = [verdict.check for verdict in verdicts]
    if len(set(names)) < len(names):
        raise Refused(f"gate {gate} names a check twice", where=f"{drafts.state.model} {key}", remedy="give each check one name")
    known = retrain.verdicts.get(gate)
    if known and all(name in known.checks and known.checks[name].evidence == evidence for name in names):
        return
    compact = [_compact(verdict) for verdict in verdicts]
    if retrain.decision is not None:
        if known and all(name in known.checks and _compact(known.checks[name].verdict) in compact for name in names):
            return
        raise Refused(
            f"it was decided already ({retrain.decision.decision}), on the verdicts of then",
            where=f"{drafts.state.model} {key}",
            remedy="launch a new retrain",
        )
    payload = {
        "gate": str(gate),
        "outcome": str(overall(verdicts)),
        "verdicts": compact,
        "subjects": dict(subjects),
        "evidence": evidence,
    }
    drafts.add(EventKind.GATE_EVALUATED, key, payload)


def _compact(verdict: Verdict) -> dict[str, Any]:
    return {name: value for name, value in verdict.to_json().items() if name != "evidence"}


def candidate_registered(
    drafts: Drafts, key: str, version: str, subjects: Mapping[str, str], *, mlflow_run_id: str | None = None
) -> None:
    """A bundle of the retrain became a registry version. The same one again adds nothing; another one after arming is refused."""
    where = f"{drafts.state.model} {key}"
    retrain = known_retrain(drafts, key)
    if missing := [name for name in CANDIDATE_SUBJECTS if not subjects.get(name)]:
        raise Refused(
            f"the candidate's {', '.join(missing)} digest is missing", where=where, remedy="give dataset, features and bundle"
        )
    digests = {name: subjects[name] for name in CANDIDATE_SUBJECTS}
    if retrain.candidate and (retrain.candidate.version, retrain.subjects) == (version, digests):
        return
    toggle = drafts.state.toggle_of(key)
    if toggle is not None or retrain.decision is not None:
        state = f"its toggle is {toggle.state}" if toggle else "it was decided already"
        raise Refused(f"the candidate cannot change: {state}", where=where, remedy="launch a new retrain")
    logged = {"mlflow_run_id": mlflow_run_id} if mlflow_run_id else {}
    payload = {"version": version, "bundle": digests["bundle"], "subjects": digests, **logged}
    drafts.add(EventKind.CANDIDATE_REGISTERED, key, payload)


def stage_failed(drafts: Drafts, key: str, stage: str, message: str) -> None:
    """A stage of the retrain could not produce its result."""
    known_retrain(drafts, key)
    drafts.add(EventKind.STAGE_FAILED, key, {"stage": stage, "message": message})


def audit_recorded(drafts: Drafts, key: str, evidence: str, detail: Mapping[str, Any]) -> None:
    """An evidence pack was made. The newest one again adds nothing."""
    if known_retrain(drafts, key).audit != evidence:
        drafts.add(EventKind.AUDIT_RECORDED, key, {"evidence": evidence, "detail": dict(detail)})


def release_reviewed(drafts: Drafts, key: str, evidence: str, detail: Mapping[str, Any]) -> None:
    """A retrain that ended was reviewed."""
    known_retrain(drafts, key)
    drafts.add(EventKind.RELEASE_REVIEWED, key, {**detail, "evidence": evidence})


def known_retrain(drafts: Drafts, key: str) -> RetrainState:
    """The retrain the drafts are about.

    Raises:
        Refused: when it was never launched.
    """
    if key not in drafts.state.retrains:
        raise Refused("this retrain was never launched", where=f"{drafts.state.model} {key}", remedy="launch it first")
    return drafts.state.retrains[key]
