"""Orders of an emergency: signed where the contract names keys, possible without, and never without a trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import Refused, SignatureError
from retrain_assets.ledger import EVERY_MODEL, SYSTEM, Act, Actor, Event, EventKind, Namespace
from retrain_assets.release import Credential, ToggleStatus
from retrain_assets.release.signing import Signed, recorded_fault

from .people import by, line_of, signed_contract, signed_world, signers
from .world import EVE, MODEL, PAUL, RUTH, World, contract

KEY = "2013-07-01"

OLLY = Actor("person", "olly@flights.example")


@pytest.fixture
def ramping(tmp_path: Path) -> World:
    """A challenger with traffic; Ruth and Paul have keys, and there are no operators besides them."""
    world = signed_world(tmp_path / "home")
    world.ramp(KEY)
    return world


def name_of(world: World) -> str:
    return str(world.state.toggle_of(KEY).name)


def vouched(world: World, act: Act, actor: Actor, reason: str = "bad numbers", **changes: Any) -> Credential:
    """The order, signed by somebody."""
    case, _ = world.controller.order_case(act, name_of(world), actor, reason)
    return Credential(signed=by(actor, case, lasting=False, **{"namespace": Namespace.OPERATE, **changes}))


def killing(world: World, actor: Actor, model: str | None = MODEL, reason: str = "bad numbers", **changes: Any) -> Credential:
    case, _ = world.controller.kill_case(model, actor, reason)
    return Credential(signed=by(actor, case, lasting=False, **{"namespace": Namespace.OPERATE, **changes}))


def last(world: World, kind: EventKind) -> Event:
    return [event for event in world.ledger.events() if event.kind is kind][-1]


class TestWhereTheContractNamesKeys:
    def test_a_signed_rollback_is_carried_out_and_can_be_checked_again(self, ramping: World) -> None:
        signed = vouched(ramping, Act.ROLL_BACK, RUTH)
        toggle = ramping.controller.rollback(name_of(ramping), RUTH, "bad numbers", credential=signed)
        assert toggle.state is ToggleStatus.ROLLED_BACK
        event = last(ramping, EventKind.ROLLED_BACK)
        statement = Signed.from_json(event.payload["signed"]).statement
        assert (statement.act, statement.subject, statement.principal) == (
            Act.ROLL_BACK,
            {"revision": event.revision_before},
            RUTH.name,
        )
        assert recorded_fault(event, ramping.contract.approval, ramping.ledger.identity) is None
        forged = replace(event, reason="good numbers")
        assert "says something else than what was signed" in str(recorded_fault(forged, ramping.contract.approval))

    def test_a_signed_hold_is_carried_out(self, ramping: World) -> None:
        signed = vouched(ramping, Act.HOLD, PAUL)
        assert ramping.controller.hold(name_of(ramping), PAUL, "bad numbers", credential=signed).state is ToggleStatus.HELD
        assert recorded_fault(last(ramping, EventKind.TOGGLE_HELD), ramping.contract.approval) is None

    @pytest.mark.parametrize("order", ["rollback", "hold"])
    def test_an_order_without_a_signature_is_refused_naming_the_way_out(self, ramping: World, order: str) -> None:
        before = ramping.ledger.head()
        with pytest.raises(
            SignatureError, match=r"wants ruth@flights.example to sign it; add --key FILE.*in an emergency --unsigned"
        ):
            getattr(ramping.controller, order)(name_of(ramping), RUTH, "bad numbers")
        assert ramping.ledger.head() == before

    @pytest.mark.parametrize(
        ("changes", "refused"),
        [
            ({"key": EVE.name}, "which is not theirs"),
            ({"namespace": Namespace.APPROVE}, "not for"),
            ({"reason": "good numbers"}, "its reason is 'good numbers'"),
            ({"subject": {"revision": 99}}, "its revision is 99"),
            ({"ledger": "0" * 64}, "its ledger is"),
        ],
        ids=["another's key", "signed as an approval", "another reason", "another revision", "another ledger"],
    )
    def test_a_signature_that_is_not_right_is_refused(self, ramping: World, changes: dict[str, Any], refused: str) -> None:
        with pytest.raises(SignatureError, match=refused):
            ramping.controller.rollback(
                name_of(ramping), RUTH, "bad numbers", credential=vouched(ramping, Act.ROLL_BACK, RUTH, **changes)
            )
        assert ramping.state.active_toggle is not None

    def test_the_system_needs_no_key(self, ramping: World) -> None:
        assert not ramping.controller.rollback(name_of(ramping), SYSTEM, "guardrail").active
        assert recorded_fault(last(ramping, EventKind.ROLLED_BACK), ramping.contract.approval) is None

    def test_an_unsigned_rollback_is_done_and_says_so_until_somebody_closes_it(self, ramping: World) -> None:
        toggle = ramping.controller.rollback(name_of(ramping), RUTH, "the token is at home", credential=Credential(unsigned=True))
        assert toggle.state is ToggleStatus.ROLLED_BACK
        event = last(ramping, EventKind.ROLLED_BACK)
        assert event.payload["unsigned"] == "ruth@flights.example did not sign, though the contract names keys"
        assert recorded_fault(event, ramping.contract.approval) is None
        (follow_up,) = ramping.controller.platform().follow_ups.values()
        assert "UNSIGNED (ruth@flights.example did not sign" in follow_up.sentence

    def test_somebody_without_a_key_can_still_roll_back_unsigned(self, ramping: World) -> None:
        with pytest.raises(Refused, match=r"eve@elsewhere\.example is neither an approver nor an operator"):
            ramping.controller.rollback(name_of(ramping), EVE, "bad numbers")
        ramping.controller.rollback(name_of(ramping), EVE, "bad numbers", credential=Credential(unsigned=True))
        assert ramping.state.active_toggle is None
        assert last(ramping, EventKind.ROLLED_BACK).payload["unsigned"].startswith("eve@elsewhere.example is no operator")

    def test_an_order_that_came_with_a_token_names_it_and_needs_no_key(self, ramping: World) -> None:
        ramping.controller.rollback(name_of(ramping), OLLY, "alarm", credential=Credential(token="pager"))
        event = last(ramping, EventKind.ROLLED_BACK)
        assert event.payload["credential"] == {"token": "pager"}
        assert recorded_fault(event, ramping.contract.approval) is None

    def test_after_a_promotion_a_rollback_is_signed_as_well(self, tmp_path: Path) -> None:
        from .people import approve

        world = signed_world(tmp_path / "home")
        name = world.awaiting(KEY)
        approve(world)
        assert world.controller.decide(MODEL, KEY).decision == "promote"
        with pytest.raises(SignatureError):
            world.controller.rollback(name, RUTH, "bad numbers")
        before = world.state.toggles[name].previous_champion
        world.controller.rollback(name, RUTH, "bad numbers", credential=vouched(world, Act.ROLL_BACK, RUTH))
        assert world.state.champion == before

    def test_what_follows_from_a_kill_or_a_rejection_needs_no_signature_of_its_own(self, ramping: World) -> None:
        ramping.controller.engage_kill_switch(MODEL, RUTH, "bad numbers", credential=killing(ramping, RUTH))
        rolled_back = last(ramping, EventKind.ROLLED_BACK)
        assert (rolled_back.actor, rolled_back.payload["cause"]) == (RUTH, "kill_switch")
        assert recorded_fault(rolled_back, ramping.contract.approval) is None


class TestKillSwitches:
    def test_that_of_a_model_is_signed(self, ramping: World) -> None:
        with pytest.raises(SignatureError, match="in an emergency --unsigned"):
            ramping.controller.engage_kill_switch(MODEL, RUTH, "bad numbers")
        assert ramping.controller.platform().kill_switches == {}
        assert ramping.controller.engage_kill_switch(MODEL, RUTH, "bad numbers", credential=killing(ramping, RUTH)).newly
        event = last(ramping, EventKind.KILL_SWITCH_ENGAGED)
        assert recorded_fault(event, ramping.contract.approval, ramping.ledger.identity) is None

    def test_a_signed_kill_counts_once(self, ramping: World) -> None:
        credential = killing(ramping, RUTH)
        ramping.controller.engage_kill_switch(MODEL, RUTH, "bad numbers", credential=credential)
        ramping.controller.release_kill_switch(MODEL, RUTH, "over")
        with pytest.raises(SignatureError, match="recorded already"):
            ramping.controller.engage_kill_switch(MODEL, RUTH, "bad numbers", credential=credential)

    def test_that_of_all_models_is_signed_by_whoever_a_contract_names(self, ramping: World) -> None:
        with pytest.raises(SignatureError):
            ramping.controller.engage_kill_switch(None, PAUL, "bad numbers")
        with pytest.raises(Refused, match="neither an approver nor an operator"):
            ramping.controller.engage_kill_switch(None, EVE, "bad numbers")
        ramping.controller.engage_kill_switch(None, PAUL, "bad numbers", credential=killing(ramping, PAUL, None))
        assert last(ramping, EventKind.KILL_SWITCH_ENGAGED).model == EVERY_MODEL

    def test_anybody_can_kill_unsigned(self, ramping: World) -> None:
        ramping.controller.engage_kill_switch(None, EVE, "fire", credential=Credential(unsigned=True))
        assert ramping.state.active_toggle is None
        assert last(ramping, EventKind.KILL_SWITCH_ENGAGED).payload["unsigned"]

    def test_without_a_contract_that_names_keys_nobody_signs(self, world: World) -> None:
        world.ramp(KEY)
        assert world.controller.kill_case(None, EVE, "fire")[1] is None
        world.controller.engage_kill_switch(None, EVE, "fire")
        assert last(world, EventKind.KILL_SWITCH_ENGAGED).payload == {}

    def test_evidence_that_is_gone_does_not_stop_a_kill(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        world.contract = signed_contract()
        world.launch(KEY)
        world.evidence.path(world.state.retrains[KEY].contract_digest).unlink()
        world.controller.engage_kill_switch(MODEL, EVE, "fire")
        assert "nobody is asked to sign" in caplog.text

    def test_engaging_again_records_nothing_and_needs_no_signature(self, ramping: World) -> None:
        ramping.controller.engage_kill_switch(MODEL, RUTH, "bad numbers", credential=killing(ramping, RUTH))
        assert not ramping.controller.engage_kill_switch(MODEL, PAUL, "again").newly


class TestOperators:
    def test_with_operators_only_they_and_approvers_act(self, tmp_path: Path) -> None:
        lines = signers(line_of(RUTH.name), line_of(PAUL.name), line_of(OLLY.name), line_of(EVE.name))
        world = signed_world(tmp_path / "home", operators=[OLLY.name], allowed_signers=lines)
        world.ramp(KEY)
        with pytest.raises(Refused, match=f"ask {RUTH.name} or {PAUL.name} or {OLLY.name}"):
            world.controller.hold(name_of(world), EVE, "bad numbers", credential=vouched(world, Act.HOLD, EVE))
        world.controller.hold(name_of(world), OLLY, "bad numbers", credential=vouched(world, Act.HOLD, OLLY))
        world.controller.rollback(name_of(world), RUTH, "bad numbers", credential=vouched(world, Act.ROLL_BACK, RUTH))

    def test_without_operators_anybody_with_a_key_acts(self, tmp_path: Path) -> None:
        lines = signers(line_of(RUTH.name), line_of(PAUL.name), line_of(OLLY.name))
        world = signed_world(tmp_path / "home", allowed_signers=lines)
        world.ramp(KEY)
        world.controller.rollback(name_of(world), OLLY, "bad numbers", credential=vouched(world, Act.ROLL_BACK, OLLY))
        assert world.state.active_toggle is None

    def test_without_keys_operators_are_held_to_by_name(self, tmp_path: Path) -> None:
        world = World(tmp_path / "home", contract=contract(approval={"operators": [OLLY.name]}))
        world.ramp(KEY)
        with pytest.raises(Refused, match="neither an approver nor an operator"):
            world.controller.rollback(name_of(world), EVE, "bad numbers")
        world.controller.rollback(name_of(world), Actor("person", OLLY.name.upper()), "bad numbers")
        assert last(world, EventKind.ROLLED_BACK).payload.keys().isdisjoint({"signed", "unsigned", "credential"})
