"""Step 6: arming, what looks led to, the decision: the release controller rehearsed on the record of then, events compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from retrain_assets.cli.reproduction.causes import nothing_known, surroundings
from retrain_assets.cli.reproduction.rehearsal import Rehearsal
from retrain_assets.cli.reproduction.results import Cause, CauseKind, Result, Status, skipped
from retrain_assets.cli.reproduction.stored import Stored
from retrain_assets.contract import Contract, CustodyError, RetrainError, canonical_json
from retrain_assets.ledger import Event, EventKind
from retrain_assets.release.signing import Signed, recorded_fault

STEP = "6 decision"
WORDS = (EventKind.APPROVED, EventKind.CHAMPION_BOOTSTRAPPED)


def decision_results(stored: Stored) -> Iterator[Result]:
    """Arming, approvals and decision, as far as the retrain came."""
    for event in stored.of(EventKind.TOGGLE_REGISTERED):
        yield rehearsed(stored, STEP, "arming", event, partial(_arm, event))
    for event in stored.of(*WORDS):
        yield _approval(stored, event)
    decided = stored.of(EventKind.DECISION_RECORDED)
    if not decided:
        yield skipped(STEP, "decision", "there is none yet")
    for event in decided:
        group = transaction(stored, event)
        action = _decided_by(stored, group)
        if action is None:
            yield skipped(
                STEP, f"decision: {event.payload['decision']}", "it ended with others, retired by policy", f"sha256:{event.hash}"
            )
        else:
            yield rehearsed(stored, STEP, f"decision: {event.payload['decision']}", event, action)


def transaction(stored: Stored, event: Event) -> list[Event]:
    """The events that were recorded together with one, in order."""
    together = [one for one in stored.ledger.events(model=stored.model) if one.recorded_at == event.recorded_at]
    place = together.index(event)
    first = last = place
    while first and together[first - 1].sequence == together[first].sequence - 1:
        first -= 1
    while last + 1 < len(together) and together[last + 1].sequence == together[last].sequence + 1:
        last += 1
    return together[first : last + 1]


def rehearsed(
    stored: Stored, step: str, what: str, event: Event, action: Callable[[Rehearsal], object], causes: Sequence[Cause] = ()
) -> Result:
    """An action of the past taken again on the record of then; equal when every event it appends has the recorded hash.

    Args:
        stored: the retrain.
        step: the step.
        what: the action.
        event: one of its events; the digest shown is that of its hash.
        action: takes it.
        causes: of a difference, besides those of the surroundings.
    """
    group = transaction(stored, event)
    recorded = f"sha256:{event.hash}"
    rehearsal = Rehearsal(stored, group)
    try:
        action(rehearsal)
    except CustodyError as error:
        return Result(step, what, Status.DIFFERENT, recorded, None, causes=(Cause(CauseKind.EVIDENCE, error.line),))
    except RetrainError as error:
        return Result(
            step, what, Status.DIFFERENT, recorded, None, f"refused now: {error.line}", (*causes, *surroundings(stored))
        )
    again = rehearsal.appended.new
    same = next((one for one in again if one.sequence == event.sequence), None)
    recomputed = f"sha256:{same.hash}" if same is not None else None
    if [one.hash for one in again] == [one.hash for one in group]:
        return Result(step, f"{what}, {_numbers(group)}", Status.EQUAL, recorded, recomputed)
    found = tuple(causes) or surroundings(stored) or (nothing_known(stored),)
    return Result(
        step, f"{what}, {_numbers(group)}", Status.DIFFERENT, recorded, recomputed, _first_difference(group, again), found
    )


def _decided_by(stored: Stored, group: list[Event]) -> Callable[[Rehearsal], object] | None:
    """The action that ended the retrain; None for what the system ended with others."""
    key, first = stored.retrain, group[0]
    if first.kind is EventKind.CHAMPION_BOOTSTRAPPED:
        return lambda made: made.bootstrap(stored.contract, key, first.actor, first.reason, **_signed(first))
    rejected = next((one for one in group if one.kind is EventKind.REJECTED and one.actor.is_person), None)
    if rejected is not None and rejected.reason.startswith("rejected by "):
        typed = rejected.reason.partition(": ")[2]
        return lambda made: made.reject(stored.model, key, rejected.actor, typed, **_signed(rejected))
    if any(one.retrain != key or one.kind is EventKind.TOGGLE_RETIRED for one in group):
        return None
    if group[-1].reason.startswith("abandoned: "):
        return lambda made: made.retire_abandoned()
    return lambda made: made.decide(stored.model, key, first.actor)


def _signed(event: Event) -> dict[str, Any]:
    told = event.payload.get("signed")
    return {"signed": Signed.from_json(told)} if told else {}


def _arm(event: Event, made: Rehearsal) -> object:
    frozen = Contract.recorded(dict(event.payload["contract"]))
    return made.register_and_arm(frozen, event.retrain or "", event.actor, event.reason)


def _approval(stored: Stored, event: Event) -> Result:
    """A person's word checked again: signature, evidence, bundle."""
    what, recorded = f"approval of {event.actor.name}, event {event.sequence}", f"sha256:{event.hash}"
    toggle = stored.state.toggle_of(stored.retrain)
    terms = (toggle.terms if toggle is not None else stored.contract).approval
    if fault := recorded_fault(event, terms, stored.ledger.identity):
        return Result(STEP, what, Status.DIFFERENT, recorded, None, causes=(Cause(CauseKind.EVIDENCE, fault),))
    digest = event.payload.get("evidence")
    try:
        if digest:
            stored.evidence.get(digest)
    except CustodyError as error:
        return Result(STEP, what, Status.DIFFERENT, recorded, None, causes=(Cause(CauseKind.EVIDENCE, error.what),))
    said = "signature holds" if event.payload.get("signed") else "not signed: the contract named no keys"
    return Result(STEP, what, Status.EQUAL, recorded, recorded, said)


def _numbers(group: Sequence[Event]) -> str:
    first, last = group[0].sequence, group[-1].sequence
    return f"event {first}" if first == last else f"events {first} to {last}"


def _first_difference(recorded: Sequence[Event], again: Sequence[Event]) -> str:
    """Where the events part, in words."""
    for before, now in zip(recorded, again, strict=False):
        if before.hash == now.hash:
            continue
        if before.kind is not now.kind:
            return f"event {before.sequence} was {before.kind}, is {now.kind} now"
        if before.reason != now.reason:
            return f"event {before.sequence}: {before.reason!r}, now {now.reason!r}"
        names = _paths(before.payload, now.payload)
        return f"event {before.sequence} ({before.kind}) differs in {', '.join(names[:4]) or 'its place in the chain'}"
    return f"{len(recorded)} events then, {len(again)} now" + (f": {', '.join(one.kind for one in again)}" if again else "")


def _paths(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for name in {**before, **now}:
        left, right = before.get(name), now.get(name)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found += _paths(left, right, f"{prefix}{name}.")
        elif canonical_json(left) != canonical_json(right):
            found.append(f"{prefix}{name}")
    return found
