"""What people do when something is on fire, or a gate is wrong: orders, overrides, and the follow-ups they leave."""

from __future__ import annotations

import getpass
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from retrain_assets.contract import Approval, Contract, Gate, RegistryUnavailable, SignatureError
from retrain_assets.ledger import Act, Actor
from retrain_assets.release import follow_ups, overriding, ramping
from retrain_assets.release.door import require_revision
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.follow_ups import FollowUp
from retrain_assets.release.orders import NOTHING, Credential, order_payload
from retrain_assets.release.overrides import overrides_in_force
from retrain_assets.release.overriding import CheckName
from retrain_assets.release.platform_control import PlatformControl
from retrain_assets.release.signing import SIGNED_KINDS, Case, Signed, recorded_fault, used_again
from retrain_assets.release.state import ModelState, RetrainState, ToggleState
from retrain_assets.release.toggle import Move, require_possible

_LOG = logging.getLogger(__name__)


class EmergencyControl(PlatformControl):
    """Holds, rolls back, overrides, and closes what was left open by that."""

    def hold(
        self, toggle: str, actor: Actor, reason: str, *, revision: int | None = None, credential: Credential = NOTHING
    ) -> ToggleState:
        """Stop the ramp; traffic stays divided as it is. A person signs where the contract names keys."""

        def plan(drafts: Drafts) -> None:
            known = ramping.known_toggle(drafts, toggle)
            require_possible(known, Move.HOLD)
            ramping.hold(drafts, toggle, self._vouched(drafts, known, Act.HOLD, credential))

        return self._flip(toggle, actor, reason, revision, plan)

    def rollback(
        self, toggle: str, actor: Actor, reason: str, *, revision: int | None = None, credential: Credential = NOTHING
    ) -> ToggleState:
        """All traffic to the champion; after a promotion the previous champion serves again, provided it still exists.

        A person signs where the contract names keys, or says that the order is unsigned; either way a follow-up stays open until
        somebody closes it. The previous champion's bundle is verified first; a registry that does not answer does not keep a
        rollback from happening, as serving compares the digest again when it loads the version.

        Raises:
            Refused: by what is no operator and does not say that the order is unsigned.
            CustodyError: the previous champion's bundle in the registry is not the recorded one.
        """
        cause = "person" if actor.is_person else "system"

        def plan(drafts: Drafts) -> None:
            before = ramping.known_toggle(drafts, toggle)
            require_possible(before, Move.ROLL_BACK)
            vouched = self._vouched(drafts, before, Act.ROLL_BACK, credential)
            ramping.roll_back(drafts, toggle, cause=cause, vouched=vouched)
            if not before.active:
                try:
                    self._verified(before.model, before.previous_champion)
                except RegistryUnavailable as error:
                    _LOG.warning("version %s serves again unverified: %s", before.previous_champion.version, error.line)

        return self._flip(toggle, actor, reason, revision, plan)

    def order_case(
        self, act: Act, toggle: str, actor: Actor, reason: str, *, revision: int | None = None
    ) -> tuple[Case, Approval]:
        """What a person has to sign to hold a toggle or roll it back now, and the terms whose keys count.

        Raises:
            StaleRevision: when the toggle is not at the revision it was decided on.
            Refused: when the toggle's state does not allow it, before anybody is asked to sign.
        """
        known = self._toggle(toggle)
        if revision is not None:
            require_revision(self.state(known.model), toggle, revision)
        require_possible(known, Move.HOLD if act is Act.HOLD else Move.ROLL_BACK)
        drafts = self._looking(known.model, actor, reason)
        return _order(drafts, known, act, self.ledger.identity), known.terms.approval

    def override(
        self, model: str, retrain: str, check: str, actor: Actor, reason: str, *, signed: Signed | None = None
    ) -> RetrainState:
        """Let a check that did not pass count as open, for this candidate and this verdict; it takes two approvers.

        With the second one's word a retrain that the gate stopped is open again, and of a canary approval is asked for.

        Args:
            model: the model.
            retrain: its key.
            check: ``GATE.CHECK``.
            actor: an approver.
            reason: why.
            signed: the approver's statement; needed where the contract names keys.

        Raises:
            Refused: naming why it cannot be overridden: an error, harm that was shown, gate promotion, an expired toggle, a stale
                verdict, an ending that no gate brought about; or not by this person.
            CustodyError: the verdicts' evidence or the candidate's bundle is not what was recorded.
        """
        name, account = CheckName.parse(check), operating_system_account()

        def plan(drafts: Drafts) -> None:
            contract, look = self._about(drafts, retrain, name)
            overriding.sign(
                drafts,
                retrain,
                name,
                contract,
                typed_by=account,
                look=look,
                ledger=self.ledger.identity,
                signed=signed,
            )
            self._require_custody(drafts, retrain, name)

        self._change(model, actor, reason, plan)
        return self.state(model).retrains[retrain]

    def withdraw_override(
        self, model: str, retrain: str, check: str, actor: Actor, reason: str, *, signed: Signed | None = None
    ) -> RetrainState:
        """Take one's word back; the gate is closed again, and what is in traffic under it ends at the next decision.

        Raises:
            Refused: for anyone who did not sign it, and when the retrain is decided.
        """
        name, account = CheckName.parse(check), operating_system_account()

        def plan(drafts: Drafts) -> None:
            contract = self._terms_of(drafts, retrain)
            overriding.withdraw(drafts, retrain, name, contract, typed_by=account, ledger=self.ledger.identity, signed=signed)

        self._change(model, actor, reason, plan)
        return self.state(model).retrains[retrain]

    def override_case(
        self, model: str, retrain: str, check: str, actor: Actor, reason: str, *, withdraw: bool = False
    ) -> tuple[Case, Approval]:
        """What an approver has to sign to override a check, or to take that back, and the terms whose keys count."""
        name, drafts = CheckName.parse(check), self._looking(model, actor, reason)
        if withdraw:
            contract = self._terms_of(drafts, retrain)
            return overriding.withdrawal_case(drafts, retrain, name, ledger=self.ledger.identity), contract.approval
        contract, look = self._about(drafts, retrain, name)
        return overriding.override_case(
            drafts, retrain, name, contract, look=look, ledger=self.ledger.identity
        ), contract.approval

    def close_follow_up(self, number: int, actor: Actor, finding: str) -> FollowUp:
        """Say what the cause was and what was changed.

        Args:
            number: the follow-up's.
            actor: a person; of an override somebody who did not sign it.
            finding: what was found.

        Raises:
            Refused: when there is none, it is closed, or not theirs to close.
        """
        found = follow_ups.open_follow_up(self.platform(), number)
        self._change(found.model, actor, finding, lambda drafts: follow_ups.close(drafts, number))
        return self.platform().follow_ups[number]

    def require_sound_overrides(self, model: str, retrain: RetrainState, contract: Contract) -> None:
        """Check again what an activation rests on: who signed, with what, and that the verdicts are there as they were.

        Args:
            model: the model.
            retrain: the retrain.
            contract: the contract it is armed under, or the toggle's.

        Raises:
            Refused: the contract does not allow it, or a signature does not hold.
            CustodyError: evidence is missing or was changed.
        """
        now = self.clock.now()
        in_force = overrides_in_force(retrain, now)
        if not in_force:
            return
        overriding.require_allowed(retrain, contract, now)
        faults = self._signature_faults(model, [word.sequence for one in in_force for word in one.words], contract.approval)
        for one in in_force:
            self.evidence.get(one.record.evidence)
            for word in one.words:
                if (fault := faults.get(word.sequence)) is not None:
                    raise SignatureError(fault, where=f"{model} {retrain.key} {one.name}", remedy="have it signed again")

    def _signature_faults(self, model: str, sequences: Iterable[int], terms: Approval) -> dict[int, str]:
        """Which of a model's recorded events carry a signature that does not hold, checked again as if nobody had before."""
        events, identity = self.ledger.events(model=model, kinds=list(SIGNED_KINDS)), self.ledger.identity
        by_number, again = {event.sequence: event for event in events}, used_again(events)
        found = {number: recorded_fault(by_number[number], terms, identity) or again.get(number) for number in sequences}
        return {number: fault for number, fault in found.items() if fault is not None}

    def _vouched(self, drafts: Drafts, toggle: ToggleState, act: Act, credential: Credential) -> Mapping[str, Any]:
        return order_payload(toggle.terms.approval, _order(drafts, toggle, act, self.ledger.identity), credential)

    def _about(self, drafts: Drafts, retrain: str, name: CheckName) -> tuple[Contract, Mapping[str, Any] | None]:
        """The contract that counts for an override, and of a canary the last look."""
        toggle = drafts.state.toggle_of(retrain)
        last = toggle.last_look if toggle is not None and name.gate is Gate.CANARY else None
        return self._terms_of(drafts, retrain), self.evidence.get(last.evidence) if last is not None else None

    def _terms_of(self, drafts: Drafts, retrain: str) -> Contract:
        toggle = drafts.state.toggle_of(retrain)
        return toggle.terms if toggle is not None else self._contract_of(drafts.state.model, retrain)

    def _require_custody(self, drafts: Drafts, retrain: str, name: CheckName) -> None:
        known = drafts.state.retrains[retrain]
        self.evidence.get(known.verdicts[name.gate].checks[name.check].evidence)
        self._manifest_of_candidate(drafts.state, retrain)

    def _looking(self, model: str, actor: Actor, reason: str) -> Drafts:
        """Drafts nothing is appended from: what an action would be decided on now."""
        states, platform = self.snapshot()
        return Drafts(states.get(model) or ModelState(model), actor, self.clock.now(), reason, platform)

    def _flip(
        self, toggle: str, actor: Actor, reason: str, revision: int | None, plan: Callable[[Drafts], object]
    ) -> ToggleState:
        known = self._toggle(toggle)
        expected = known.revision if revision is None else revision
        self._change(known.model, actor, reason, plan, expect_revision=(toggle, expected))
        return self._toggle(toggle)


def _order(drafts: Drafts, toggle: ToggleState, act: Act, ledger: str) -> Case:
    return Case.of(drafts, act, toggle.retrain, toggle.name, {"revision": toggle.revision}, ledger=ledger)


def operating_system_account() -> str:
    """Whose account a command runs under: who typed it, which need not be who acts."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
