"""Signed approvals: what counts, what is refused, and that a recorded one is verified again before anything is promoted."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from retrain_assets.contract import CustodyError, Gate, Outcome, Refused, SignatureError, Verdict, canonical_json, digest_of
from retrain_assets.ledger import SYSTEM, Actor, EventDraft, EventKind
from retrain_assets.release import Decision, ToggleStatus
from retrain_assets.release.signing import recorded_fault

from .people import KEY, approve, by, key_of, line_of, signed_contract, signed_world, signers, withdrawal
from .world import EVE, MODEL, PAUL, RUTH, World, verdict


def promotes(world: World) -> Decision:
    return world.controller.decide(MODEL, KEY)


def check(decision: Decision, name: str) -> Verdict:
    return next(verdict for verdict in decision.verdicts if verdict.check == name)


class TestWhatCounts:
    def test_a_signed_approval_promotes_and_names_key_and_statement(self, waiting: World) -> None:
        given = approve(waiting)
        fingerprint = key_of(RUTH.name).get_fingerprint()
        assert (given.key, given.source) == (fingerprint, "ssh")
        decision = promotes(waiting)
        assert decision.decision == "promote"
        assert check(decision, "approvals_are_signed").message == f"signed by {RUTH.name} ({fingerprint})"
        (event,) = waiting.ledger.events(kinds=[EventKind.APPROVED])
        signed = event.payload["signed"]
        assert digest_of(signed["statement"]) == given.statement
        assert signed["statement"]["subject"]["bundle"] == waiting.toggle(KEY).challenger.bundle
        assert signed["statement"]["ledger"] == waiting.ledger.identity

    def test_ssh_keygen_alone_verifies_it(self, waiting: World, tmp_path: Path) -> None:
        approve(waiting)
        (event,) = waiting.ledger.events(kinds=[EventKind.APPROVED])
        signed = event.payload["signed"]
        (tmp_path / "allowed_signers").write_text(waiting.contract.approval.allowed_signers or "")
        (tmp_path / "statement.sig").write_text(signed["signature"])
        command = ["ssh-keygen", "-Y", "verify", "-f", "allowed_signers", "-I", RUTH.name, "-n", "approve@retrain-assets"]
        data = canonical_json(signed["statement"])
        done = subprocess.run([*command, "-s", "statement.sig"], cwd=tmp_path, input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        spoilt = data.replace(b"clear win", b"clear wim")
        assert subprocess.run(
            [*command, "-s", "statement.sig"], cwd=tmp_path, input=spoilt, capture_output=True, check=False
        ).returncode

    def test_it_may_hold_shorter_than_the_contract_lets_it(self, waiting: World) -> None:
        given = approve(waiting, until=waiting.clock.now() + timedelta(hours=6))
        assert given.valid_until == waiting.clock.now() + timedelta(hours=6)
        waiting.clock.forward(hours=6, seconds=1)
        decision = promotes(waiting)
        assert decision.decision == "wait"
        assert "given until" in decision.reason

    def test_people_are_one_person_whatever_the_case_of_their_address(self, waiting: World) -> None:
        loud = Actor("person", "RUTH@flights.example")
        case, _ = waiting.controller.approval_case(MODEL, KEY, loud, "clear win")
        waiting.controller.approve(MODEL, KEY, loud, "clear win", signed=by(RUTH, case))
        with pytest.raises(Refused, match="has approved this very evidence already"):
            waiting.controller.approval_case(MODEL, KEY, RUTH, "again")
        waiting.controller.withdraw(MODEL, KEY, RUTH, "no", signed=by(RUTH, withdrawal(waiting), lasting=False))
        assert waiting.toggle(KEY).approvals == ()

    def test_an_approver_the_contract_dropped_since_counts_by_the_terms_the_toggle_was_armed_under(self, waiting: World) -> None:
        waiting.contract = signed_contract(approvers=[PAUL.name], allowed_signers=signers(line_of(PAUL.name)))
        approve(waiting)
        assert promotes(waiting).decision == "promote"

    def test_an_approver_the_contract_gained_since_does_not(self, tmp_path: Path) -> None:
        world = signed_world(
            tmp_path / "home", approvers=[RUTH.name], allowed_signers=signers(line_of(RUTH.name), line_of(EVE.name))
        )
        world.awaiting(KEY)
        world.contract = signed_contract(
            approvers=[RUTH.name, EVE.name], allowed_signers=signers(line_of(RUTH.name), line_of(EVE.name))
        )
        with pytest.raises(Refused, match="not an approver"):
            world.controller.approval_case(MODEL, KEY, EVE, "clear win")

    def test_a_rejection_is_signed_and_the_rollback_it_brings_is_its_own(self, waiting: World) -> None:
        case, terms = waiting.controller.rejection_case(MODEL, KEY, PAUL, "passengers complain")
        with pytest.raises(SignatureError, match=r"wants paul@flights.example to sign"):
            waiting.controller.reject(MODEL, KEY, PAUL, "passengers complain")
        waiting.controller.reject(MODEL, KEY, PAUL, "passengers complain", signed=by(PAUL, case, lasting=False))
        assert waiting.toggle(KEY).state is ToggleStatus.REJECTED
        events = [event for event in waiting.ledger.events(model=MODEL) if event.actor == PAUL]
        assert [recorded_fault(event, terms, waiting.ledger.identity) for event in events] == [None] * len(events)

    def test_a_bootstrap_is_signed(self, tmp_path: Path) -> None:
        world = World(tmp_path / "home", contract=signed_contract())
        world.candidate("2013-04-01")
        with pytest.raises(SignatureError, match=r"wants ruth@flights.example to sign"):
            world.controller.bootstrap(world.contract, "2013-04-01", RUTH, "first model")
        assert world.state.champion is None
        bootstrapped = signed_world(tmp_path / "other")
        (event,) = bootstrapped.ledger.events(kinds=[EventKind.CHAMPION_BOOTSTRAPPED])
        assert recorded_fault(event, bootstrapped.contract.approval, bootstrapped.ledger.identity) is None
        assert event.payload["signed"]["statement"]["subject"]["contract_digest"] == bootstrapped.contract.digest


class TestWithdrawal:
    def test_it_needs_the_signature_of_whoever_approved(self, waiting: World) -> None:
        approve(waiting)
        with pytest.raises(Refused, match=r"paul@flights.example has not approved it"):
            waiting.controller.withdrawal_case(MODEL, KEY, PAUL, "no")
        with pytest.raises(SignatureError, match="not theirs"):
            waiting.controller.withdraw(
                MODEL, KEY, RUTH, "no", signed=by(RUTH, withdrawal(waiting), lasting=False, key=PAUL.name)
            )
        waiting.controller.withdraw(MODEL, KEY, RUTH, "no", signed=by(RUTH, withdrawal(waiting), lasting=False))
        decision = promotes(waiting)
        assert (decision.decision, waiting.toggle(KEY).approvals) == ("wait", ())

    def test_the_withdrawn_statement_does_not_count_again(self, waiting: World) -> None:
        case, _ = waiting.controller.approval_case(MODEL, KEY, RUTH, "clear win")
        signed = by(RUTH, case)
        waiting.controller.approve(MODEL, KEY, RUTH, "clear win", signed=signed)
        waiting.controller.withdraw(MODEL, KEY, RUTH, "no", signed=by(RUTH, withdrawal(waiting), lasting=False))
        with pytest.raises(SignatureError, match="recorded already; sign anew"):
            waiting.controller.approve(MODEL, KEY, RUTH, "clear win", signed=signed)
        approve(waiting)
        assert promotes(waiting).decision == "promote"

    def test_a_withdrawal_is_for_one_approval(self, waiting: World) -> None:
        approve(waiting)
        taken = by(RUTH, withdrawal(waiting), lasting=False)
        waiting.controller.withdraw(MODEL, KEY, RUTH, "no", signed=taken)
        approve(waiting)
        with pytest.raises(SignatureError, match="its approval is"):
            waiting.controller.withdraw(MODEL, KEY, RUTH, "no", signed=taken)


class TestVerifiedAgainAtTheDecision:
    def test_a_look_changed_on_disk_is_a_fault_and_promotes_nothing(self, waiting: World) -> None:
        approve(waiting)
        path = waiting.evidence.path(waiting.toggle(KEY).last_look.evidence)
        path.write_bytes(path.read_bytes().replace(b"ask_approval", b"ask_approvaL"))
        with pytest.raises(CustodyError, match="was changed"):
            promotes(waiting)
        assert waiting.state.champion.version == "1"

    @pytest.mark.parametrize("gate", [Gate.DATA, Gate.TRAINING, Gate.OFFLINE, Gate.CANARY])
    def test_evidence_of_a_gate_missing_or_changed_is_a_fault(self, waiting: World, gate: Gate) -> None:
        approve(waiting)
        path = waiting.evidence.path(waiting.state.retrains[KEY].verdicts[gate].evidence)
        kept = path.read_bytes()
        path.write_bytes(kept + b" ")
        with pytest.raises(CustodyError, match="was changed"):
            promotes(waiting)
        path.unlink()
        with pytest.raises(CustodyError, match="is missing"):
            promotes(waiting)
        path.write_bytes(kept)
        assert promotes(waiting).decision == "promote"

    def test_a_gate_judged_anew_voids_the_approval_and_it_can_be_given_again(self, waiting: World) -> None:
        approve(waiting)
        better = replace(verdict(Gate.OFFLINE), observed=0.9)
        subjects = dict(waiting.state.retrains[KEY].verdicts[Gate.OFFLINE].subjects)
        waiting.controller.record_gate(MODEL, KEY, Gate.OFFLINE, [better], subjects)
        decision = promotes(waiting)
        assert decision.decision == "wait"
        assert "given on other evidence (event" in decision.reason
        assert waiting.toggle(KEY).approvals[0].voided_by == waiting.ledger.head()[0]
        approve(waiting)
        assert promotes(waiting).decision == "promote"

    def test_a_forged_approval_in_the_record_does_not_promote(self, waiting: World) -> None:
        """Somebody with access to the database, and even to the program, adds an approval without Ruth's key."""
        case, _ = waiting.controller.approval_case(MODEL, KEY, RUTH, "clear win")
        forged = by(RUTH, case, key=EVE.name)
        payload = {
            **case.subject,
            "valid_until": (case.now + timedelta(days=3)).isoformat(),
            "typed_by": "ruth",
            "signed": forged.to_json(key_of(RUTH.name).get_fingerprint()),
        }
        for without in ({}, {"signed"}):
            left = {name: value for name, value in payload.items() if name not in without}
            kind, toggle = EventKind.APPROVED, waiting.toggle(KEY).name
            waiting.ledger.append_all(
                [EventDraft(waiting.clock.now(), RUTH, kind, MODEL, "clear win", retrain=KEY, toggle=toggle, payload=left)]
            )
            decision = promotes(waiting)
            assert (decision.decision, check(decision, "approvals_are_signed").outcome) == ("wait", Outcome.FAIL)
        assert waiting.state.champion.version == "1"

    def test_a_statement_recorded_twice_counts_once(self, waiting: World) -> None:
        world = waiting
        approve(world)
        (event,) = world.ledger.events(kinds=[EventKind.APPROVED])
        world.controller.withdraw(MODEL, KEY, RUTH, "no", signed=by(RUTH, withdrawal(world), lasting=False))
        draft = EventDraft(
            event.at, RUTH, event.kind, MODEL, event.reason, retrain=KEY, toggle=event.toggle, payload=event.payload
        )
        world.ledger.append_all([draft])
        decision = promotes(world)
        assert decision.decision == "wait"
        assert "which counts once" in decision.reason

    @pytest.mark.parametrize("name", ["version", "bundle", "evidence", "valid_until", "gates"])
    def test_an_event_that_says_otherwise_than_its_statement_is_a_fault(self, waiting: World, name: str) -> None:
        approve(waiting)
        (event,) = waiting.ledger.events(kinds=[EventKind.APPROVED])
        terms = waiting.contract.approval
        assert recorded_fault(event, terms, waiting.ledger.identity) is None
        changed = replace(event, payload={**event.payload, name: "other"})
        assert (
            recorded_fault(changed, terms)
            == f"event {event.sequence} (approved) says something else than what was signed: {name}"
        )

    def test_an_event_of_another_person_model_ledger_or_kind_is_a_fault(self, waiting: World) -> None:
        approve(waiting)
        (event,) = waiting.ledger.events(kinds=[EventKind.APPROVED])
        terms = waiting.contract.approval
        for changes in (
            {"actor": PAUL},
            {"actor": SYSTEM},
            {"model": "other"},
            {"retrain": "2013-08-01"},
            {"toggle": "other"},
            {"reason": "other"},
            {"kind": EventKind.REJECTED},
            {"at": event.at - timedelta(days=1)},
        ):
            assert recorded_fault(replace(event, **changes), terms) is not None, changes
        assert "ledger" in (recorded_fault(event, terms, "f" * 64) or "")

    def test_an_unsigned_event_is_a_fault_only_where_the_contract_names_keys(self, waiting: World, world: World) -> None:
        approve(waiting)
        (event,) = waiting.ledger.events(kinds=[EventKind.APPROVED])
        bare = replace(event, payload={name: value for name, value in event.payload.items() if name != "signed"})
        assert recorded_fault(bare, waiting.contract.approval) == f"event {event.sequence} (approved) is not signed"
        assert recorded_fault(bare, world.contract.approval) is None


class TestRules:
    def test_one_approval_by_each_role_is_needed(self, tmp_path: Path) -> None:
        world = signed_world(tmp_path / "home", roles={"risk": [PAUL.name]})
        world.awaiting(KEY)
        approve(world)
        decision = promotes(world)
        assert (decision.decision, decision.reason) == ("wait", f"no approval yet by risk ({PAUL.name})")
        approve(world, PAUL)
        assert promotes(world).decision == "promote"

    @pytest.mark.parametrize("owned", ["training", "experiment"])
    def test_whoever_owns_the_training_or_the_experiment_is_not_the_only_approver(self, tmp_path: Path, owned: str) -> None:
        values = signed_contract().to_json()
        values["owners"][owned] = RUTH.name.upper()
        world = World(tmp_path / "home", contract=signed_contract())
        world.contract = world.contract.model_validate(values)
        world.candidate("2013-04-01")
        case, _ = world.controller.bootstrap_case(world.contract, "2013-04-01", PAUL, "first model")
        world.controller.bootstrap(world.contract, "2013-04-01", PAUL, "first model", signed=by(PAUL, case, lasting=False))
        world.awaiting(KEY)
        approve(world)
        decision = promotes(world)
        assert decision.decision == "wait"
        assert f"{RUTH.name} owns its {owned} and is its only approver" in decision.reason
        approve(world, PAUL)
        assert promotes(world).decision == "promote"

    def test_members_of_the_team_that_owns_the_toggle_are_not_enough(self, tmp_path: Path) -> None:
        world = signed_world(tmp_path / "home", teams={"team:product": [PAUL.name]})
        world.awaiting(KEY)
        approve(world, PAUL)
        assert f"{PAUL.name} owns its toggle and is its only approver" in promotes(world).reason
        approve(world)
        assert promotes(world).decision == "promote"

    def test_a_self_approval_is_refused_of_a_first_champion_too(self, tmp_path: Path) -> None:
        world = World(tmp_path / "home", contract=signed_contract())
        world.candidate("2013-04-01", RUTH)
        with pytest.raises(Refused, match=r"ruth@flights.example launched the retrain, and nobody else would have approved it"):
            world.controller.bootstrap_case(world.contract, "2013-04-01", RUTH, "my own")
        world.controller.bootstrap_case(world.contract, "2013-04-01", PAUL, "checked")

    def test_a_self_approval_alone_does_not_promote(self, tmp_path: Path) -> None:
        world = signed_world(tmp_path / "home")
        world.awaiting(KEY, RUTH)
        approve(world)
        decision = promotes(world)
        assert decision.decision == "wait"
        assert "launched the retrain and is its only approver" in decision.reason
        approve(world, PAUL)
        assert promotes(world).decision == "promote"
