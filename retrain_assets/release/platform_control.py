"""The changes that concern many models: kill switches, declared freezes, owners who leave and come back."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date

from retrain_assets.contract import Approval, Contract, CustodyError, Refused, digest_of, first_line
from retrain_assets.ledger import EVERY_MODEL, SYSTEM, Act, Actor, EventKind
from retrain_assets.release import ramping
from retrain_assets.release.commands import command_of
from retrain_assets.release.door import Door, Reconciled
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.orders import NOTHING, Credential, may_operate, order_payload
from retrain_assets.release.ownership import require_owner
from retrain_assets.release.platform import DeclaredFreeze, KillSwitch, OwnerLeft
from retrain_assets.release.signing import Case
from retrain_assets.release.state import ModelState, ToggleState
from retrain_assets.release.toggle import Move

KILLED = "kill_switch"
"""Cause of a rollback by a kill switch."""

_LOG = logging.getLogger(__name__)
_MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{1,62}")


@dataclass(frozen=True, slots=True)
class Engaged:
    """What engaging a kill switch did.

    Args:
        switch: the switch, as it was engaged first.
        newly: False when it was engaged already.
        rolled_back: the toggles that were rolled back now.
        undone: what could not be done, one line each: no challenger gets traffic all the same, unless it is the flag document
            that could not be written.
        registry_behind: why aliases and tags could not follow; empty when they did. The next reconciliation sets them.
    """

    switch: KillSwitch
    newly: bool
    rolled_back: tuple[ToggleState, ...]
    undone: tuple[str, ...]
    registry_behind: str = ""

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that failed, one line each, the registry last."""
        return (*self.undone, *([f"registry: {self.registry_behind}"] if self.registry_behind else []))


class PlatformControl(Door):
    """Engages and releases kill switches, declares and lifts freezes, marks owners."""

    def engage_kill_switch(self, model: str | None, actor: Actor, reason: str, *, credential: Credential = NOTHING) -> Engaged:
        """Give all traffic to the champion, at once, and keep it there until a person releases the switch.

        The switch is recorded first: from then on nothing is armed, stepped, resumed, put to approval or promoted, and the flag
        document routes to no challenger, also where a rollback cannot be recorded. Then every active toggle is rolled back; one
        that fails does not keep the others. Engaging again rolls back what is active still.

        Args:
            model: the model, which need not be known yet; None for all models, those to come included.
            actor: the system, or a person, who signs where the contract in force names keys.
            reason: why.
            credential: what vouches for the order; it may say that nothing does.

        Raises:
            Refused: for what cannot be a model's name, without a reason, or by somebody who is no operator and does not say that
                the order is unsigned.
        """
        scope = EVERY_MODEL if model is None else model
        if model is not None and not _MODEL_NAME.fullmatch(model):
            raise Refused(f"{model!r} is not a model's name", remedy="write the model's name, or none for all models")

        def plan(drafts: Drafts) -> KillSwitch | None:
            if (known := drafts.platform.kill_switches.get(scope)) is None:
                case, terms = self._kill_order(drafts, model)
                drafts.add(EventKind.KILL_SWITCH_ENGAGED, None, order_payload(terms, case, credential))
            return known

        known, events = self._record(scope, actor, reason, plan)
        switch = known or KillSwitch(scope, events[0].at, str(actor), reason, events[0].sequence)
        faults: list[str] = []
        behind: list[str] = []
        _attempt(faults, "flag document: ", self._project_flags)
        rolled_back = self._roll_back_killed(actor, reason, faults)
        if rolled_back:
            _attempt(faults, "flag document: ", self._project_flags)
            _attempt(behind, "", self._project_registry)
        return Engaged(switch, known is None, tuple(rolled_back), tuple(dict.fromkeys(faults)), "".join(behind))

    def kill_case(self, model: str | None, actor: Actor, reason: str) -> tuple[Case, Approval | None]:
        """What a person has to sign to engage a kill switch, and the terms whose keys count; None where no contract names any."""
        states, platform = self.snapshot()
        scope = EVERY_MODEL if model is None else model
        return self._kill_order(Drafts(states.get(scope) or ModelState(scope), actor, self.clock.now(), reason, platform), model)

    def release_kill_switch(
        self, model: str | None, actor: Actor, reason: str, *, credential: Credential = NOTHING
    ) -> KillSwitch:
        """Let challengers be armed again; what was rolled back stays rolled back.

        Raises:
            Refused: for anyone but a person, when the switch is not engaged, or while a toggle under it is still active: its
                challenger would get traffic again.
        """
        scope = EVERY_MODEL if model is None else model
        _require_person(actor, "releasing a kill switch")
        self._enforce_kill_switches()

        def plan(drafts: Drafts) -> KillSwitch:
            switches = drafts.platform.kill_switches
            if scope not in switches:
                also = f"; that of {' and '.join(one.scope for one in switches.values())} is" if switches else ""
                whose = "all models" if model is None else model
                raise Refused(f"the kill switch of {whose} is not engaged{also}", remedy="retrain status shows what is engaged")
            active = [one.active_toggle for name, one in self.states().items() if scope in (EVERY_MODEL, name)]
            if still := [toggle for toggle in active if toggle is not None]:
                raise Refused(
                    f"{', '.join(toggle.name for toggle in still)} could not be rolled back and would get traffic again",
                    where=f"kill switch of {switches[scope].scope}",
                    remedy=f"roll back first: {' && '.join(filter(None, (command_of(one, Move.ROLL_BACK) for one in still)))}",
                )
            token = {"credential": {"token": credential.token}} if credential.token else {}
            drafts.add(EventKind.KILL_SWITCH_RELEASED, None, {"engaged": switches[scope].sequence, **token})
            return switches[scope]

        return self._change(scope, actor, reason, plan)[0]

    def declare_freeze(self, start: date, end: date, actor: Actor, reason: str, *, model: str | None = None) -> DeclaredFreeze:
        """Declare days on which nothing is launched, armed, stepped, resumed, extended or promoted; rolling back always is.

        The same days for the same models again add nothing.

        Args:
            start: first day, UTC.
            end: last day, included.
            actor: a person.
            reason: why.
            model: the model; None for all.

        Raises:
            Refused: for anyone but a person, and for days that end before they begin or are over.
        """
        _require_person(actor, "declaring a freeze")
        scope = EVERY_MODEL if model is None else model

        def plan(drafts: Drafts) -> DeclaredFreeze | None:
            where = f"freeze {start} to {end}"
            if end < start:
                raise Refused("it ends before it begins", where=where, remedy="write the first day and the last one")
            if end < drafts.now.astimezone(UTC).date():
                raise Refused("it is over already", where=where, remedy="write days that are still to come")
            known = [one for one in drafts.platform.freezes if (one.model, one.start, one.end) == (scope, start, end)]
            if not known:
                drafts.add(EventKind.FREEZE_DECLARED, None, {"start": start.isoformat(), "end": end.isoformat()})
            return next(iter(known), None)

        known, events = self._change(scope, actor, reason, plan)
        return known or next(one for one in self.platform().freezes if one.number == events[0].sequence)

    def lift_freeze(self, number: int, actor: Actor, reason: str) -> DeclaredFreeze:
        """Take a declared freeze back.

        Args:
            number: its number, the ledger event that declared it.
            actor: a person.
            reason: why.

        Raises:
            Refused: for anyone but a person, or when there is no such freeze; one of a contract is lifted in the contract.
        """
        _require_person(actor, "lifting a freeze")
        known = _freeze(self.platform().freezes, number)

        def plan(drafts: Drafts) -> None:
            _freeze(drafts.platform.freezes, number)
            drafts.add(EventKind.FREEZE_LIFTED, None, {"number": number})

        self._change(known.model, actor, reason, plan)
        return known

    def mark_owner_left(self, owner: str, actor: Actor, reason: str) -> OwnerLeft:
        """Record that an owner left: toggles that are the owner's go nowhere until somebody else answers for them.

        Args:
            owner: ``team:name`` or an e-mail address.
            actor: a person.
            reason: why.

        Raises:
            Refused: for anyone but a person, or for what is no owner.
        """
        _require_person(actor, "saying that an owner left")
        require_owner(owner, "owner")

        def plan(drafts: Drafts) -> None:
            if drafts.platform.left(owner) is None:
                drafts.add(EventKind.OWNER_LEFT, None, {"owner": owner})

        self._change(EVERY_MODEL, actor, reason, plan)
        gone = self.platform().left(owner)
        if gone is None:
            raise Refused(f"{owner} was marked as back meanwhile", remedy="repeat it if it is still meant")
        return gone

    def mark_owner_back(self, owner: str, actor: Actor, reason: str) -> None:
        """Record that an owner who left is back.

        Raises:
            Refused: for anyone but a person, or when the owner has not left.
        """
        _require_person(actor, "saying that an owner is back")

        def plan(drafts: Drafts) -> None:
            if drafts.platform.left(owner) is None:
                gone = ", ".join(one.owner for one in drafts.platform.owners_left.values()) or "nobody"
                raise Refused(f"{owner} has not left", remedy=f"who left: {gone}")
            drafts.add(EventKind.OWNER_BACK, None, {"owner": owner})

        self._change(EVERY_MODEL, actor, reason, plan)

    def reconcile(self, *, everything: bool = False) -> Reconciled:
        """As :meth:`Door.reconcile`; what a kill switch was to roll back when its process died is rolled back first."""
        rolled_back = self._enforce_kill_switches()
        done = super().reconcile(everything=everything)
        return Reconciled(done.flags, done.registry, tuple(toggle.name for toggle in rolled_back))

    def catch_up(self) -> None:
        """As :meth:`Door.catch_up`; what a kill switch was to roll back when its process died is rolled back first."""
        self._enforce_kill_switches()
        super().catch_up()

    def _kill_order(self, drafts: Drafts, model: str | None) -> tuple[Case, Approval | None]:
        """The order, and the terms it counts by: the model's, or of all models the first that name a key of who gives it."""
        scope, name, ledger = drafts.state.model, drafts.actor.name, self.ledger
        used = {
            digest_of(event.payload["signed"]["statement"])
            for event in ledger.events(model=scope, kinds=[EventKind.KILL_SWITCH_ENGAGED])
            if "signed" in event.payload
        }
        case = Case(
            Act.KILL, ledger.identity, scope, None, None, {}, drafts.actor, drafts.reason, drafts.now, used=frozenset(used)
        )
        if model is not None:
            return case, self._terms_in_force(self.state(model))
        found = [terms for state in self.states().values() if (terms := self._terms_in_force(state)) is not None and terms.signed]
        return case, next((terms for terms in found if may_operate(terms, name)), next(iter(found), None))

    def _terms_in_force(self, state: ModelState) -> Approval | None:
        """Who operates a model: by its active toggle, else by the contract of its newest retrain; None where that is not known,
        as damaged evidence must not stop an emergency brake."""
        if (toggle := state.active_toggle) is not None:
            return toggle.terms.approval
        newest = next(iter([*state.retrains.values()][-1:]), None)
        if newest is None:
            return None
        try:
            return Contract.recorded(self.evidence.get(newest.contract_digest)).approval
        except CustodyError as error:
            _LOG.warning("nobody is asked to sign: the contract of %s %s cannot be read: %s", state.model, newest.key, error.line)
            return None

    def _enforce_kill_switches(self) -> list[ToggleState]:
        """Roll back what is active under an engaged switch; what fails is logged and tried again at the next occasion."""
        if not self.platform().kill_switches:
            return []
        faults: list[str] = []
        rolled_back = self._roll_back_killed(SYSTEM, None, faults)
        for fault in faults:
            _LOG.warning("the kill switch is engaged, and %s", fault)
        return rolled_back

    def _roll_back_killed(self, actor: Actor, reason: str | None, faults: list[str]) -> list[ToggleState]:
        """Roll back every active toggle under an engaged switch; the projections are the caller's."""
        states, platform = self.snapshot()
        rolled_back: list[ToggleState] = []
        for model, state in states.items():
            toggle, switch = state.active_toggle, platform.kill_switch(model)
            if toggle is None or switch is None:
                continue
            because = f"kill switch of {switch.scope}: {reason or switch.reason}"
            _attempt(
                faults,
                f"rollback of {toggle.name}: ",
                lambda model=model, because=because: self._record(model, actor, because, _roll_back_active),  # type: ignore[misc]
            )
            if not (after := self.state(model).toggles[toggle.name]).active:
                rolled_back.append(after)
        return rolled_back


def _roll_back_active(drafts: Drafts) -> None:
    if (toggle := drafts.state.active_toggle) is not None and drafts.platform.kill_switch(drafts.state.model) is not None:
        ramping.roll_back(drafts, toggle.name, cause=KILLED)


def _attempt(faults: list[str], what: str, action: Callable[[], object]) -> None:
    """Do it, or note that it failed: an emergency brake goes on whatever one part of it meets."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 any fault of ledger, disk or registry; it is reported, and the brake goes on
        faults.append(f"{what}{first_line(error)}")


def _freeze(freezes: tuple[DeclaredFreeze, ...], number: int) -> DeclaredFreeze:
    for one in freezes:
        if one.number == number:
            return one
    known = ", ".join(str(one.number) for one in freezes) or "none"
    raise Refused(
        f"there is no declared freeze {number}",
        remedy=f"declared: {known}; a contract's own freeze is lifted in the contract",
    )


def _require_person(actor: Actor, what: str) -> None:
    if not actor.is_person:
        raise Refused(f"{what} is for a person, not for {actor}", remedy="have a person do it, with a reason")
