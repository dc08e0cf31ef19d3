"""The one door to activation: everything that changes what serves, or decides about it. The steps of a change are ``door``'s.

What is decided stands in ``retrains``, ``ramping`` and ``deciding``.
"""

from __future__ import annotations

import getpass
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from retrain_assets.contract import Contract, CustodyError, Gate, RegistryUnavailable, Verdict, digest_of, finite
from retrain_assets.ledger import SYSTEM, Actor, Event, EventKind
from retrain_assets.release import deciding, ownership, ramping, retirement, retrains
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.platform_control import PlatformControl
from retrain_assets.release.policy import expired
from retrain_assets.release.promotion import promotion_verdicts
from retrain_assets.release.state import ApprovalRecord, Decision, GateRecord, ModelState, RetrainState, ToggleState
from retrain_assets.routing import VersionRef

_LOG = logging.getLogger(__name__)


class ReleaseController(PlatformControl):
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

    def bootstrap(self, contract: Contract, retrain: str, actor: Actor, reason: str) -> ModelState:
        """Make a retrain's candidate the first champion, on an approver's word; there is nothing to compare it with.

        Raises:
            Refused: there is a champion, the actor is no approver, or a gate before traffic is not open for this bundle.
            CustodyError: the registered bundle is not the recorded one.
        """

        def plan(drafts: Drafts) -> None:
            retrains.bootstrap(drafts, contract, retrain)
            self._manifest_of_candidate(drafts.state, retrain)

        self._change(contract.model, actor, reason, plan)
        return self.state(contract.model)

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
            self._manifest_of_candidate(drafts.state, retrain)

        self._change(contract.model, actor, reason, plan)
        return self._toggle(f"{contract.model}-{retrain}")

    def step(self, toggle: str, actor: Actor, reason: str, *, revision: int | None = None) -> ToggleState:
        """On to the next stage of the approved ramp."""
        return self._flip(toggle, actor, reason, revision, lambda drafts: ramping.step(drafts, toggle))

    def hold(self, toggle: str, actor: Actor, reason: str, *, revision: int | None = None) -> ToggleState:
        """Stop the ramp; traffic stays divided as it is."""
        return self._flip(toggle, actor, reason, revision, lambda drafts: ramping.hold(drafts, toggle))

    def resume(self, toggle: str, actor: Actor, reason: str, *, revision: int | None = None) -> ToggleState:
        """Let a held toggle go on from where it was held."""
        return self._flip(toggle, actor, reason, revision, lambda drafts: ramping.resume(drafts, toggle))

    def rollback(self, toggle: str, actor: Actor, reason: str, *, revision: int | None = None) -> ToggleState:
        """All traffic to the champion; after a promotion the previous champion serves again, provided it still exists.

        The previous champion's bundle is verified first; a registry that does not answer does not keep a rollback from
        happening, as serving compares the digest again when it loads the version.

        Raises:
            CustodyError: the previous champion's bundle in the registry is not the recorded one.
        """
        cause = "person" if actor.is_person else "system"

        def plan(drafts: Drafts) -> None:
            ramping.roll_back(drafts, toggle, cause=cause)
            known = drafts.state.toggles[toggle]
            if not known.active:
                try:
                    self._verified(known.model, known.previous_champion)
                except RegistryUnavailable as error:
                    _LOG.warning("version %s serves again unverified: %s", known.previous_champion.version, error.line)

        return self._flip(toggle, actor, reason, revision, plan)

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

    def approve(self, model: str, retrain: str, actor: Actor, reason: str, *, evidence: str | None = None) -> ApprovalRecord:
        """Approve a promotion, bound to version, bundle and the last look at the canary.

        Args:
            model: the model.
            retrain: its key.
            actor: one of the contract's approvers.
            reason: why.
            evidence: digest of the look the approver has read; refused when there was a later one.
        """
        account = _operating_system_account()
        self._change(model, actor, reason, lambda drafts: deciding.approve(drafts, retrain, typed_by=account, evidence=evidence))
        toggle = self.state(model).toggle_of(retrain)
        assert toggle is not None  # approve refuses without one
        return toggle.approvals[-1]

    def withdraw(self, model: str, retrain: str, actor: Actor, reason: str) -> None:
        """Take an approval back."""
        self._change(model, actor, reason, lambda drafts: deciding.withdraw(drafts, retrain))

    def reject(self, model: str, retrain: str, actor: Actor, reason: str) -> RetrainState:
        """End a retrain as rejected; an active toggle is rolled back."""
        contract = self._contract_of(model, retrain)
        self._change(model, actor, reason, lambda drafts: deciding.reject(drafts, retrain, contract))
        return self.state(model).retrains[retrain]

    def decide(self, model: str, retrain: str, actor: Actor = SYSTEM) -> Decision:
        """Promote when policy allows, reject what cannot be promoted any more, otherwise wait.

        Everything is read anew: the recorded verdicts, the approvals and the registered bundle's own manifest. A decision is made
        once; asking again gives it back and changes nothing.

        Raises:
            CustodyError: the registered bundle is not the recorded one.
        """
        contract = self._contract_of(model, retrain)

        def plan(drafts: Drafts) -> Decision:
            known = drafts.state.retrains[retrain]
            manifest = (
                self._manifest_of_candidate(drafts.state, retrain) if _about_to_promote(drafts.state, known) else known.subjects
            )
            return deciding.decide(drafts, retrain, contract, manifest)

        return self._change(model, actor, "decision about the retrain", plan)[0]

    def promotion_verdicts(self, model: str, retrain: str) -> tuple[Verdict, ...]:
        """What gate promotion says: as recorded with the decision, or as of now while there is none. Changes nothing.

        Raises:
            CustodyError: the registered bundle is not the recorded one.
        """
        states, platform = self.snapshot()
        state = states.get(model) or ModelState(model)
        known = state.retrains.get(retrain)
        if known is None or known.decision is not None:
            return known.decision.verdicts if known is not None and known.decision is not None else ()
        toggle, contract = state.toggle_of(retrain), self._contract_of(model, retrain)
        manifest = self._manifest_of_candidate(state, retrain) if _about_to_promote(state, known) else known.subjects
        terms = toggle.terms if toggle else contract
        return tuple(promotion_verdicts(known, toggle, terms, manifest, self.clock.now(), platform))

    def record_audit(
        self, model: str, retrain: str, evidence: str, actor: Actor = SYSTEM, detail: Mapping[str, Any] | None = None
    ) -> RetrainState:
        """Record the digest of a retrain's evidence pack."""
        self._change(
            model, actor, "evidence pack made", lambda drafts: retrains.audit_recorded(drafts, retrain, evidence, detail or {})
        )
        return self.state(model).retrains[retrain]

    def _contracts_of(self, state: ModelState, keys: Iterable[str]) -> dict[str, Contract]:
        """The contracts of some retrains; one whose evidence is gone or damaged is told in the log and left out."""
        contracts = {}
        for key in keys:
            try:
                contracts[key] = self._contract_of(state.model, key)
            except CustodyError as error:
                _LOG.warning("%s %s stays open: %s", state.model, key, error.line)
        return contracts

    def _flip(
        self, toggle: str, actor: Actor, reason: str, revision: int | None, plan: Callable[[Drafts], object]
    ) -> ToggleState:
        known = self._toggle(toggle)
        expected = known.revision if revision is None else revision
        self._change(known.model, actor, reason, plan, expect_revision=(toggle, expected))
        return self._toggle(toggle)


def _about_to_promote(state: ModelState, retrain: RetrainState) -> bool:
    toggle = state.toggle_of(retrain.key)
    return retrain.decision is None and toggle is not None and bool(toggle.approvals) and toggle.active


def _operating_system_account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
