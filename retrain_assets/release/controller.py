"""The one door to activation: everything that changes what serves, or decides about it. The steps of a change are ``door``'s.

What is decided stands in ``retrains``, ``ramping``, ``approvals`` and ``deciding``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from retrain_assets.contract import Contract, CustodyError, Gate, Verdict, digest_of, finite
from retrain_assets.ledger import SYSTEM, Actor, Event, EventKind
from retrain_assets.release import ownership, ramping, retirement, retrains
from retrain_assets.release.contract_promotion import ContractControl
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.people_control import PeopleControl
from retrain_assets.release.policy import expired
from retrain_assets.release.state import GateRecord, ModelState, RetrainState, ToggleState
from retrain_assets.routing import VersionRef

_LOG = logging.getLogger(__name__)


class ReleaseController(PeopleControl, ContractControl):
    """Changes activation and records what decides about it; made by :meth:`open` or with the parts :class:`~.door.Door` takes."""

    def launch_retrain(self, contract: Contract, retrain: str | None, trigger: Mapping[str, Any], actor: Actor) -> Event:
        """Begin a retrain.

        Args:
            contract: the model's release contract.
            retrain: its key; None takes the next free one of today.
            trigger: why: ``kind`` and whatever belongs to it.
            actor: who launches.

        Raises:
            Refused: the key exists or is malformed, or a change freeze is in force.
        """
        self.evidence.put(contract.to_json())
        reason = f"retrain launched: {trigger.get('kind', 'no trigger named')}"
        _, events = self._change(
            contract.model, actor, reason, lambda drafts: retrains.launch(drafts, contract, retrain, finite(trigger))
        )
        return events[0]

    def ensure_launched(self, contract: Contract, retrain: str, trigger: Mapping[str, Any], actor: Actor) -> RetrainState:
        """Begin a retrain unless it has begun."""
        if (known := self.state(contract.model).retrains.get(retrain)) is not None:
            return known
        self.launch_retrain(contract, retrain, trigger, actor)
        return self.state(contract.model).retrains[retrain]

    def record_gate(
        self,
        model: str,
        retrain: str,
        gate: Gate,
        verdicts: Sequence[Verdict],
        subjects: Mapping[str, str],
        actor: Actor = SYSTEM,
    ) -> GateRecord:
        """Record the verdicts of a gate; a check recorded before is replaced, other checks of the gate stay.

        Verdicts by other thresholds (``limits``) do not stay: a gate's record is of one set of them.

        Args:
            model: the model.
            retrain: its key.
            gate: the gate.
            verdicts: its checks' verdicts; their evidence goes to the evidence store.
            subjects: digests of what was judged, among ``dataset``, ``features`` (pipeline), ``bundle``, ``champion`` (the bundle
                it was compared with; left out when there was none), ``limits`` (the thresholds), ``report``, ``stage_record``
                (what the stage recorded of itself, in the evidence store).
            actor: who judged.
        """
        full = {
            "model": model,
            "retrain": retrain,
            "gate": str(gate),
            "subjects": dict(subjects),
            "verdicts": [verdict.to_json() for verdict in verdicts],
        }
        digest = self.evidence.put(full)
        self._change(
            model,
            actor,
            f"gate {gate} judged",
            lambda drafts: retrains.gate_evaluated(drafts, retrain, gate, verdicts, subjects, digest),
        )
        return self.state(model).retrains[retrain].verdicts[gate]

    def register_candidate(
        self,
        model: str,
        retrain: str,
        version: str,
        subjects: Mapping[str, str],
        actor: Actor = SYSTEM,
        *,
        mlflow_run_id: str | None = None,
    ) -> VersionRef:
        """Record which registry version a retrain made, with the digests ``dataset``, ``features`` and ``bundle`` of it."""
        self._change(
            model,
            actor,
            "candidate registered",
            lambda drafts: retrains.candidate_registered(drafts, retrain, version, subjects, mlflow_run_id=mlflow_run_id),
        )
        return VersionRef(version, subjects["bundle"])

    def record_stage_failure(self, model: str, retrain: str, stage: str, message: str, actor: Actor = SYSTEM) -> None:
        """Record that a stage could not produce its result."""
        self._change(
            model, actor, f"{stage} failed: {message}", lambda drafts: retrains.stage_failed(drafts, retrain, stage, message)
        )

    def register_and_arm(
        self, contract: Contract, retrain: str, actor: Actor = SYSTEM, reason: str = "gates before traffic passed"
    ) -> ToggleState:
        """Give a retrain's candidate its toggle and arm it at 0 per cent.

        Raises:
            Refused: a gate is missing, stale or not passed, another toggle is active, or there is no champion.
            CustodyError: the registered bundle is not the recorded one.
        """

        def plan(drafts: Drafts) -> None:
            ramping.register_and_arm(drafts, contract, retrain)
            self.require_sound_overrides(contract.model, drafts.state.retrains[retrain], contract)
            self._manifest_of_candidate(drafts.state, retrain)

        self._change(contract.model, actor, reason, plan)
        return self._toggle(f"{contract.model}-{retrain}")

    def step(self, toggle: str, actor: Actor, reason: str, *, revision: int | None = None) -> ToggleState:
        """On to the next stage of the approved ramp."""
        return self._flip(toggle, actor, reason, revision, lambda drafts: ramping.step(drafts, toggle))

    def resume(self, toggle: str, actor: Actor, reason: str, *, revision: int | None = None) -> ToggleState:
        """Let a held toggle go on from where it was held."""
        return self._flip(toggle, actor, reason, revision, lambda drafts: ramping.resume(drafts, toggle))

    def extend(self, toggle: str, by: timedelta, actor: Actor, reason: str, *, revision: int | None = None) -> ToggleState:
        """Let the toggle expire later, not after its removal date."""
        return self._flip(toggle, actor, reason, revision, lambda drafts: ramping.extend(drafts, toggle, by))

    def offer_transfer(self, toggle: str, owner: str, actor: Actor, reason: str, *, revision: int | None = None) -> ToggleState:
        """Offer the toggle to another owner, who has to accept it; the present owner withdraws an offer by offering it back.

        Raises:
            Refused: for anyone but a person of the present owner's side; when the owner left, for anyone but an approver.
        """
        return self._flip(toggle, actor, reason, revision, lambda drafts: ownership.offer_transfer(drafts, toggle, owner))

    def accept_transfer(self, toggle: str, actor: Actor, reason: str, *, revision: int | None = None) -> ToggleState:
        """Take over a toggle that is offered.

        Raises:
            Refused: for anyone but the person it is offered to; for a team, for the one who offered it.
        """
        return self._flip(toggle, actor, reason, revision, lambda drafts: ownership.accept_transfer(drafts, toggle))

    def review(self, toggle: str, actor: Actor, reason: str, *, revision: int | None = None) -> ToggleState:
        """Say that the toggle is still needed; counts until the contract's ``toggle.review_every`` has passed."""
        return self._flip(toggle, actor, reason, revision, lambda drafts: ownership.review(drafts, toggle))

    def retire(self, toggle: str, actor: Actor, reason: str, *, revision: int | None = None) -> ToggleState:
        """Close a promoted or rejected toggle for good."""
        return self._flip(toggle, actor, reason, revision, lambda drafts: ramping.retire(drafts, toggle))

    def ask_approval(self, toggle: str, actor: Actor, reason: str, *, revision: int | None = None) -> ToggleState:
        """Ask people for their approval at the end of the ramp."""
        return self._flip(toggle, actor, reason, revision, lambda drafts: ramping.ask_approval(drafts, toggle))

    def follow(self, model: str, retrain: str, look: Mapping[str, Any], evidence: str) -> ToggleState:
        """Record a look at the canary and carry out, as the system, what it calls for.

        Args:
            model: the model.
            retrain: its key.
            look: the look as JSON; ``at``, ``action``, ``reason``, ``stage`` and ``revision`` are read.
            evidence: its digest in the evidence store.

        Raises:
            CustodyError: the digest is not the look's.
            StaleRevision: the look is about another split than the present one, or was made before the last one was recorded.
        """
        if digest_of(dict(look)) != evidence:
            raise CustodyError("the look and its digest do not belong together", where=f"{model} {retrain}", remedy="look again")
        self.evidence.put(dict(look))
        self._change(
            model, SYSTEM, look["reason"] or look["action"], lambda drafts: ramping.follow(drafts, retrain, look, evidence)
        )
        toggle = self.state(model).toggle_of(retrain)
        assert toggle is not None  # follow refuses without one
        return toggle

    def expire_due(self) -> list[ToggleState]:
        """Roll back every active toggle that is past its expiry.

        All of them are recorded before anything is projected; a registry that does not answer is logged, and follows later.
        """
        gone, now = [], self.clock.now()
        for model, state in self.states().items():
            toggle = state.active_toggle
            if toggle is None or not expired(toggle, now):
                continue
            if self._record(model, SYSTEM, ramping.EXPIRED, ramping.expire)[1]:
                gone.append(toggle.name)
        if gone:
            self.catch_up()
        return [self._toggle(name) for name in gone]

    def retire_abandoned(self) -> list[ToggleState]:
        """Retire, as the system, what ended and is past its removal date, and end candidates that were never armed.

        One transaction a model; when nothing is due nothing is recorded. All is recorded before anything is projected; a registry
        that does not answer is logged, and follows later.

        Returns:
            The toggles that were retired.
        """
        recorded: list[Event] = []
        for model, state in self.states().items():
            contracts = self._contracts_of(state, retirement.waiting_candidates(state, self.clock.now()))

            def plan(drafts: Drafts, contracts: Mapping[str, Contract] = contracts) -> None:
                retirement.retire_abandoned(drafts, contracts)

            recorded += self._record(model, SYSTEM, "retired by policy", plan)[1]
        if recorded:
            self.catch_up()
        return [self._toggle(event.toggle or "") for event in recorded if event.kind is EventKind.TOGGLE_RETIRED]

    def record_audit(
        self, model: str, retrain: str, evidence: str, actor: Actor = SYSTEM, detail: Mapping[str, Any] | None = None
    ) -> RetrainState:
        """Record the digest of a retrain's evidence pack."""
        self._change(
            model, actor, "evidence pack made", lambda drafts: retrains.audit_recorded(drafts, retrain, evidence, detail or {})
        )
        return self.state(model).retrains[retrain]

    def record_review(self, model: str, retrain: str, evidence: str, detail: Mapping[str, Any], actor: Actor = SYSTEM) -> bool:
        """Record the digest of a retrain's review; the newest one again adds nothing, and gives False.

        Args:
            model: the model.
            retrain: its key.
            evidence: the review's digest in the evidence store.
            detail: ``finding`` in words, ``suggestions``, how many changes of the contract it suggests.
            actor: who reviewed.
        """
        known = [
            event for event in self.ledger.events(model=model, kinds=[EventKind.RELEASE_REVIEWED]) if event.retrain == retrain
        ]
        if known and known[-1].payload["evidence"] == evidence:
            return False
        self._change(
            model, actor, "release reviewed", lambda drafts: retrains.release_reviewed(drafts, retrain, evidence, detail)
        )
        return True

    def record_exported_split(
        self, model: str, retrain: str | None, toggle: str | None, detail: Mapping[str, Any], actor: Actor, reason: str
    ) -> Event:
        """Record that a serving system of somebody else was made to serve the model's split.

        Args:
            model: the model.
            retrain: the retrain whose toggle divides the traffic; None without one.
            toggle: that toggle.
            detail: ``endpoint``, ``entity``, ``revision``, ``share`` (0..1), ``served`` (per cent by version) and what changed.
            actor: who exported it.
            reason: why.
        """
        payload = {**detail, "digest": digest_of(detail["served"])}
        _, events = self._change(
            model, actor, reason, lambda drafts: drafts.add(EventKind.SPLIT_EXPORTED, retrain, payload, toggle=toggle)
        )
        return events[0]

    def _contracts_of(self, state: ModelState, keys: Iterable[str]) -> dict[str, Contract]:
        """The contracts of some retrains; one whose evidence is gone or damaged is told in the log and left out."""
        contracts = {}
        for key in keys:
            try:
                contracts[key] = self._contract_of(state.model, key)
            except CustodyError as error:
                _LOG.warning("%s %s stays open: %s", state.model, key, error.line)
        return contracts
