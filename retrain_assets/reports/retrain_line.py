"""One retrain in one line: what set it off, what each gate said, where it stopped, how it ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from retrain_assets.contract import Gate, Outcome
from retrain_assets.release import Ending, ModelState, RetrainState, ToggleState, ToggleStatus
from retrain_assets.reports import words

MARKS: Mapping[Outcome, str] = {
    Outcome.PASS: "✓",
    Outcome.FAIL: "✗",
    Outcome.INCONCLUSIVE: "?",
    Outcome.NO_DATA: "∅",
    Outcome.ERROR: "!",
}
"""What a gate said."""
NOT_REACHED = "·"
LEGEND = "✓ pass  ✗ fail  ? inconclusive  ∅ no data  ! error  · not reached"


@dataclass(frozen=True, slots=True)
class RetrainLine:
    """One retrain.

    Args:
        retrain: its key.
        set_off_by: drift with metric, value and limit, the schedule, or a person without the domain.
        outcomes: of every gate that was judged.
        where: the gate or stage of the ramp it stopped or is at; ``live`` while it serves.
        ending: how it ended, ``open`` while it has not.
        version: in the registry; None before training.
        approved_by: who let it go live, without domains; empty where nobody did.
    """

    retrain: str
    set_off_by: str
    outcomes: Mapping[Gate, Outcome]
    where: str
    ending: str
    version: str | None
    approved_by: str

    def mark(self, gate: Gate) -> str:
        """What a gate said, as one sign."""
        return MARKS[self.outcomes[gate]] if gate in self.outcomes else NOT_REACHED

    @property
    def marks(self) -> str:
        """What the five gates said, in their order."""
        return " ".join(self.mark(gate) for gate in Gate)

    @property
    def sentence(self) -> str:
        """Ending and place, as in ``stopped at gate data`` and ``rolled back at canary, 50 %``."""
        return self.ending if self.where in ("live", "") else f"{self.ending} at {self.where}"


def retrain_lines(state: ModelState) -> list[RetrainLine]:
    """Every retrain of a model, the newest first."""
    return [line_of(state, retrain) for retrain in reversed(list(state.retrains.values()))]


def line_of(state: ModelState, retrain: RetrainState) -> RetrainLine:
    """One retrain of a model."""
    toggle = state.toggle_of(retrain.key)
    return RetrainLine(
        retrain=retrain.key,
        set_off_by=_set_off_by(retrain),
        outcomes=_outcomes(retrain),
        where=_where(state, retrain, toggle),
        ending=_ending(state, retrain),
        version=retrain.candidate.version if retrain.candidate else None,
        approved_by=_approved_by(retrain, toggle),
    )


def _set_off_by(retrain: RetrainState) -> str:
    trigger = retrain.trigger
    match trigger.get("kind"):
        case "drift" if trigger.get("value") is not None:
            return f"drift: {trigger['metric']} {trigger['value']:.3f} > {trigger['threshold']:g}"
        case "schedule":
            return f"schedule {trigger.get('cron', '')}".strip()
        case _ if retrain.launched_by.startswith("person:"):
            return _person(words.actor(retrain.launched_by))
        case kind:
            return words.words(str(kind or "the system"))


def _outcomes(retrain: RetrainState) -> dict[Gate, Outcome]:
    found = {gate: record.outcome for gate, record in retrain.verdicts.items()}
    if retrain.ended is Ending.PROMOTED:
        found[Gate.PROMOTION] = Outcome.PASS
    elif Gate.CANARY in found and retrain.decision is not None:
        found[Gate.PROMOTION] = Outcome.FAIL
    return {gate: found[gate] for gate in Gate if gate in found}


def _where(state: ModelState, retrain: RetrainState, toggle: ToggleState | None) -> str:
    if retrain.ended in (Ending.PROMOTED, Ending.BOOTSTRAPPED):
        serves = state.champion_history and state.champion_history[-1].retrain == retrain.key
        return "live" if serves else ""
    if retrain.ended is Ending.FAILED:
        return f"stage {(retrain.failure or 'unknown').partition(':')[0]}"
    if toggle is not None:
        if toggle.state is ToggleStatus.AWAITING_APPROVAL:
            return "approval"
        return f"canary, {words.stage(toggle.stage)}" if toggle.stage else "canary"
    judged = [gate for gate in Gate if gate in retrain.verdicts]
    closed = next((gate for gate in judged if retrain.verdicts[gate].outcome is not Outcome.PASS), None)
    if closed is not None:
        return f"gate {closed.value}"
    return f"gate {judged[-1].value}" if judged else "the start"


def _ending(state: ModelState, retrain: RetrainState) -> str:
    if retrain.ended is None:
        return "open"
    reigns = state.champion_history
    undone = any(one.retrain == retrain.key and after.how == "restored" for one, after in pairwise(reigns))
    return words.words(retrain.ended.value) + (", later rolled back" if undone else "")


def _approved_by(retrain: RetrainState, toggle: ToggleState | None) -> str:
    given = retrain.decision.approvals if retrain.decision is not None else ()
    given = given or (toggle.approvals if toggle is not None else ())
    return ", ".join(dict.fromkeys(_person(approval.approver) for approval in given))


def _person(name: str) -> str:
    return name.partition("@")[0]
