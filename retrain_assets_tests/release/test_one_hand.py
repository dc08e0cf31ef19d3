"""Whoever holds a key that signs for two, or goes by two names, is one person: for approvals, first champions and overrides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import Gate, Refused, SignatureError
from retrain_assets.ledger import Actor, EventDraft, EventKind

from .overridden import OFFLINE, in_force, judge
from .people import KEY, approve, by, key_of, line_of, signed_contract, signed_world, signers
from .world import EVE, MODEL, PAUL, RUTH, World

SHARED = signers(line_of(RUTH.name), line_of(PAUL.name), line_of(PAUL.name, key=RUTH.name))
"""Ruth's key signs for Paul, too, who has one of his own."""


def overridable(root: Path, lines: str) -> World:
    world = signed_world(root, allowed_signers=lines)
    world.candidate(KEY)
    judge(world, Gate.OFFLINE, "slices_hold")
    assert world.controller.decide(MODEL, KEY).decision == "reject"
    return world


def sign_override(world: World, actor: Actor, **changes: Any) -> None:
    case, _ = world.controller.override_case(MODEL, KEY, OFFLINE, actor, "why")
    world.controller.override(MODEL, KEY, OFFLINE, actor, "why", signed=by(actor, case, **changes))


class TestApprovals:
    def test_one_key_does_not_give_the_approvals_of_two(self, tmp_path: Path) -> None:
        world = signed_world(tmp_path / "home", required=2, allowed_signers=SHARED)
        world.awaiting(KEY)
        approve(world)
        for key in (RUTH.name, PAUL.name):
            with pytest.raises(SignatureError, match="may sign for both; two people sign, each with a key of their own"):
                approve(world, PAUL, key=key)
        assert world.controller.decide(MODEL, KEY).decision == "wait"

    def test_nor_do_they_count_where_the_record_has_them(self, tmp_path: Path) -> None:
        world = signed_world(tmp_path / "home", required=2, allowed_signers=SHARED)
        world.awaiting(KEY)
        case, _ = world.controller.approval_case(MODEL, KEY, PAUL, "clear win")
        signed = by(PAUL, case, key=RUTH.name)
        approve(world)
        payload = {
            **signed.statement.subject,
            "typed_by": "ruth",
            "signed": signed.to_json(key_of(RUTH.name).get_fingerprint()),
        }
        toggle = world.toggle(KEY).name
        world.ledger.append_all(
            [EventDraft(case.now, PAUL, EventKind.APPROVED, MODEL, "clear win", retrain=KEY, toggle=toggle, payload=payload)]
        )
        decision = world.controller.decide(MODEL, KEY)
        assert decision.decision == "wait"
        assert "may sign for both" in decision.reason

    def test_a_promotion_that_rests_on_them_is_a_fault_of_the_record(self, tmp_path: Path) -> None:
        from retrain_assets.cli.verify.approvals import approvals_part

        world = signed_world(tmp_path / "home", required=2)
        world.awaiting(KEY)
        approve(world)
        approve(world, PAUL)
        assert world.controller.decide(MODEL, KEY).decision == "promote"
        events = world.ledger.events()
        assert approvals_part(world.evidence, events, world.ledger.identity).faults == ()
        first, second = (event for event in events if event.kind is EventKind.APPROVED)
        key = first.payload["signed"]["key"]
        forged = replace(second, payload={**second.payload, "signed": {**second.payload["signed"], "key": key}})
        events = [forged if event.sequence == second.sequence else event for event in events]
        faults = approvals_part(world.evidence, events, world.ledger.identity).faults
        assert any("one key could have signed both" in fault for fault in faults)

    def test_the_launchers_key_under_another_name_is_the_launchers(self, tmp_path: Path) -> None:
        world = signed_world(tmp_path / "home", allowed_signers=SHARED)
        world.awaiting(KEY, RUTH)
        approve(world, PAUL, key=RUTH.name)
        decision = world.controller.decide(MODEL, KEY)
        assert decision.decision == "wait"
        assert f"{PAUL.name} signed with a key of {RUTH.name}, who launched the retrain" in decision.reason

    def test_with_keys_of_their_own_they_are_two(self, tmp_path: Path) -> None:
        world = signed_world(tmp_path / "home", required=2)
        world.awaiting(KEY)
        approve(world)
        approve(world, PAUL)
        assert world.controller.decide(MODEL, KEY).decision == "promote"

    def test_an_address_in_other_characters_is_the_same_persons(self, tmp_path: Path) -> None:
        """Full-width letters look, and are compared, as the plain ones."""
        world = signed_world(tmp_path / "home")
        world.awaiting(KEY, Actor("person", RUTH.name.replace("ruth", "ｒｕｔｈ")))
        approve(world)
        assert "launched the retrain and is its only approver" in world.controller.decide(MODEL, KEY).reason

    def test_a_team_within_a_team_has_its_stake(self, tmp_path: Path) -> None:
        teams = {"team:product": ["team:inner", EVE.name], "team:inner": ["team:product", PAUL.name]}
        world = signed_world(tmp_path / "home", teams=teams)
        world.awaiting(KEY)
        approve(world, PAUL)
        assert f"{PAUL.name} owns its toggle and is its only approver" in world.controller.decide(MODEL, KEY).reason


class TestFirstChampion:
    def test_the_launchers_key_under_another_name_makes_none(self, tmp_path: Path) -> None:
        world = World(tmp_path / "home", contract=signed_contract(allowed_signers=SHARED))
        world.candidate(KEY, RUTH)
        case, _ = world.controller.bootstrap_case(world.contract, KEY, PAUL, "mine")
        signed = by(PAUL, case, lasting=False, key=RUTH.name)
        with pytest.raises(Refused, match=f"signs with a key of {RUTH.name}, who launched the retrain"):
            world.controller.bootstrap(world.contract, KEY, PAUL, "mine", signed=signed)
        assert world.state.champion is None

    def test_gates_that_were_judged_by_other_thresholds_make_none(self, world: World) -> None:
        world.candidate(KEY)
        for gate in (Gate.DATA, Gate.TRAINING, Gate.OFFLINE):
            world.judge(KEY, gate, limits="sha256:" + "0" * 64)
        with pytest.raises(Refused, match="the contract's thresholds were changed since it was judged"):
            world.controller.bootstrap(world.contract, KEY, RUTH, "first model")


class TestOverrides:
    def test_two_keys_that_are_both_peoples_are_one_hand(self, tmp_path: Path) -> None:
        lines = signers(line_of(RUTH.name), line_of(PAUL.name), *(line_of(one.name, key=EVE.name) for one in (RUTH, PAUL)))
        world = overridable(tmp_path / "home", lines)
        sign_override(world, RUTH)
        with pytest.raises(SignatureError, match="may sign for both approvers"):
            sign_override(world, PAUL, key=EVE.name)
        assert in_force(world) == []
        sign_override(world, PAUL)
        assert in_force(world) == [OFFLINE]

    def test_one_that_was_withdrawn_and_is_put_back_into_the_record_arms_nothing(self, tmp_path: Path) -> None:
        world = overridable(tmp_path / "home", signers())
        sign_override(world, RUTH)
        sign_override(world, PAUL)
        event = [one for one in world.ledger.events() if one.kind is EventKind.OVERRIDE_SIGNED][-1]
        case, _ = world.controller.override_case(MODEL, KEY, OFFLINE, PAUL, "no", withdraw=True)
        world.controller.withdraw_override(MODEL, KEY, OFFLINE, PAUL, "no", signed=by(PAUL, case, lasting=False))
        assert in_force(world) == []
        again = EventDraft(event.at, PAUL, event.kind, MODEL, event.reason, retrain=KEY, payload=event.payload)
        world.ledger.append_all([again])
        assert in_force(world) == [OFFLINE], "the record alone says so"
        with pytest.raises(SignatureError, match="rests on the statement of event"):
            world.controller.register_and_arm(world.contract, KEY)
        assert world.state.toggle_of(KEY) is None


def test_a_policy_is_told_of_the_overrides_in_force(tmp_path: Path) -> None:
    from retrain_assets.release.policy_case import policy_case

    world = overridable(tmp_path / "home", signers())
    sign_override(world, RUTH)
    sign_override(world, PAUL)
    world.controller.register_and_arm(world.contract, KEY)
    case = policy_case(world.state.retrains[KEY], world.toggle(KEY), world.clock.now())
    assert case["overrides"] == [f"overridden: {OFFLINE} by {RUTH.name} and {PAUL.name}: why"]
    voided = replace(world.state.retrains[KEY], overrides=())
    assert policy_case(voided, world.toggle(KEY), world.clock.now())["overrides"] == []


def test_a_policy_is_told_which_contracts_approvers_count(tmp_path: Path) -> None:
    """Whoever arms chooses the contract; a third party can tell that it is not the one it knows."""
    from retrain_assets.release.policy_case import policy_case

    world = signed_world(tmp_path / "home")
    world.candidate(KEY)
    other = signed_contract(approvers=[EVE.name], allowed_signers=signers(line_of(EVE.name)))
    world.controller.register_and_arm(other, KEY)
    case = policy_case(world.state.retrains[KEY], world.toggle(KEY), world.clock.now())
    assert (case["contract"], case["terms"]) == (world.contract.digest, other.digest)
