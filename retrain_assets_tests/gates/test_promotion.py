"""Gate PROMOTION: only this bundle, on these verdicts, with fresh approvals of the right people, outside a freeze."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from retrain_assets.contract import Approval, Freeze, Gate, Outcome, Verdict, canonical_json, overall
from retrain_assets.contract.approval import PolicyAnswer
from retrain_assets.gates import (
    PROMOTION_CHECKS,
    ApprovalDecision,
    PromotionEvidence,
    RecordedApproval,
    RecordedGate,
    promotion_gate,
)
from retrain_assets_tests.gates.conftest import verdict

NOW = datetime(2024, 3, 10, 12, tzinfo=UTC)
ANN, BOB, EVE = "ann@parcels.example", "bob@parcels.example", "eve@parcels.example"
MANIFEST = {"dataset": "sha256:d", "features": "sha256:f", "bundle": "sha256:b"}


def recorded(gate: Gate, **changes: Any) -> RecordedGate:
    return replace(RecordedGate(gate, Outcome.PASS, MANIFEST, NOW - timedelta(days=3)), **changes)


def said(approver: str, **changes: Any) -> RecordedApproval:
    return replace(RecordedApproval(approver, NOW - timedelta(hours=1), "sha256:b", "sha256:e"), **changes)


GATES = tuple(recorded(gate) for gate in (Gate.DATA, Gate.TRAINING, Gate.OFFLINE, Gate.CANARY))
READY = PromotionEvidence(
    gates=GATES,
    manifest=MANIFEST,
    evidence="sha256:e",
    approvals=(said(ANN),),
    policy=Approval.model_validate({"approvers": [ANN, BOB], "valid_for": "2d"}),
    launched_by="system:drift_sensor",
    toggle_status="awaiting_approval",
    freezes=(Freeze(start=date(2024, 12, 20), end=date(2025, 1, 2), reason="peak season"),),
    now=NOW,
)
KEY_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDlue3/QwhSOoK4wZCVRvXCbsTspO4gT74ygmC96zJbB"
TWO = Approval.model_validate({"approvers": [ANN, BOB], "required": 2, "valid_for": "2d"})


def judge(**changes: Any) -> list[Verdict]:
    return promotion_gate(replace(READY, **changes))


def outcomes(**changes: Any) -> dict[str, Outcome]:
    return {each.check: each.outcome for each in judge(**changes)}


def test_what_is_ready_passes_every_check() -> None:
    verdicts = judge()
    assert [each.check for each in verdicts] == list(PROMOTION_CHECKS)
    assert overall(verdicts) is Outcome.PASS
    assert canonical_json([each.to_json() for each in verdicts])


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.NO_DATA, Outcome.ERROR])
@pytest.mark.parametrize("position", range(4))
def test_a_gate_with_any_outcome_but_pass_fails(position: int, outcome: Outcome) -> None:
    gates = [replace(record, outcome=outcome) if n == position else record for n, record in enumerate(GATES)]
    found = verdict(judge(gates=tuple(gates)), "all_gates_passed")
    assert (found.outcome, found.observed) == (Outcome.FAIL, 3)
    assert GATES[position].gate.value in found.message


def test_a_gate_without_a_record_is_no_data() -> None:
    found = outcomes(gates=GATES[:3])
    assert found["all_gates_passed"] is found["verdicts_match_bundle"] is Outcome.NO_DATA
    assert outcomes(gates=())["all_gates_passed"] is Outcome.NO_DATA


def test_of_two_records_of_a_gate_the_later_one_counts() -> None:
    failed_since = recorded(Gate.OFFLINE, outcome=Outcome.FAIL, at=NOW - timedelta(days=1))
    assert outcomes(gates=(failed_since, *GATES))["all_gates_passed"] is Outcome.FAIL
    failed_before = replace(failed_since, at=NOW - timedelta(days=9))
    assert outcomes(gates=(*GATES, failed_before))["all_gates_passed"] is Outcome.PASS


@pytest.mark.parametrize("name", ["dataset", "features", "bundle"])
def test_a_bundle_that_changed_after_the_check_makes_the_verdicts_stale(name: str) -> None:
    found = verdict(judge(manifest={**MANIFEST, name: "sha256:other"}), "verdicts_match_bundle")
    assert found.outcome is Outcome.FAIL
    assert {row["subject"] for row in found.evidence["differing"]} == {name}


def test_one_stale_gate_is_enough_and_is_named() -> None:
    stale = recorded(Gate.OFFLINE, subjects={**MANIFEST, "bundle": "sha256:older"})
    found = verdict(judge(gates=(*GATES[:2], stale, GATES[3])), "verdicts_match_bundle")
    assert found.outcome is Outcome.FAIL
    assert "offline (bundle)" in found.message


def test_a_record_that_does_not_say_what_it_judged_fails() -> None:
    silent = recorded(Gate.CANARY, subjects={"report": "sha256:r"})
    assert outcomes(gates=(*GATES[:3], silent))["verdicts_match_bundle"] is Outcome.FAIL
    assert outcomes(manifest={})["verdicts_match_bundle"] is Outcome.FAIL


def test_nobody_yet_is_no_data_and_too_few_are_inconclusive() -> None:
    assert outcomes(approvals=())["approved_by_enough"] is Outcome.NO_DATA
    assert outcomes(policy=TWO)["approved_by_enough"] is Outcome.INCONCLUSIVE
    assert outcomes(policy=TWO)["approval_is_fresh_and_for_this_evidence"] is Outcome.INCONCLUSIVE
    assert outcomes(policy=TWO, approvals=(said(ANN), said(ANN, at=NOW)))["approved_by_enough"] is Outcome.INCONCLUSIVE
    assert outcomes(policy=TWO, approvals=(said(ANN), said(f"person:{BOB}")))["approved_by_enough"] is Outcome.PASS


def test_somebody_who_is_no_approver_does_not_count() -> None:
    found = outcomes(approvals=(said(EVE),))
    assert found["approved_by_enough"] is Outcome.NO_DATA
    assert found["approval_is_fresh_and_for_this_evidence"] is Outcome.FAIL


def test_a_rejection_by_an_approver_fails_and_by_others_does_not() -> None:
    rejected = said(BOB, decision=ApprovalDecision.REJECT)
    assert outcomes(approvals=(said(ANN), rejected))["approved_by_enough"] is Outcome.FAIL
    assert outcomes(approvals=(said(ANN), replace(rejected, approver=EVE)))["approved_by_enough"] is Outcome.PASS


def test_the_latest_word_of_an_approver_counts() -> None:
    withdrawn = said(ANN, at=NOW, decision=ApprovalDecision.WITHDRAW)
    assert outcomes(approvals=(withdrawn, said(ANN)))["approved_by_enough"] is Outcome.NO_DATA
    again = said(ANN, at=NOW - timedelta(minutes=5))
    rejected = said(ANN, at=NOW - timedelta(hours=2), decision=ApprovalDecision.REJECT)
    assert outcomes(approvals=(again, rejected))["approved_by_enough"] is Outcome.PASS


def test_who_launched_by_hand_cannot_be_the_only_approver() -> None:
    check = "approver_is_not_the_launcher"
    assert outcomes(launched_by=f"person:{ANN}")[check] is Outcome.FAIL
    assert outcomes(launched_by=f"person:{ANN}", approvals=(said(f"person:{ANN}"),))[check] is Outcome.FAIL
    assert outcomes(launched_by=f"person:{ANN}", approvals=(said(ANN), said(BOB)))[check] is Outcome.PASS
    assert outcomes(launched_by=f"person:{BOB}")[check] is Outcome.PASS
    assert outcomes(approvals=())[check] is Outcome.NO_DATA
    alone = READY.policy.model_copy(update={"separation_of_duties": False})
    assert outcomes(launched_by=f"person:{ANN}", policy=alone)[check] is Outcome.PASS


def test_an_approver_whose_approval_does_not_count_does_not_separate_duties() -> None:
    stale = said(BOB, evidence="sha256:older")
    found = outcomes(launched_by=f"person:{ANN}", approvals=(said(ANN), stale))
    assert found["approver_is_not_the_launcher"] is Outcome.FAIL


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"at": NOW - timedelta(days=2, seconds=1)}, "older than 2d"),
        ({"at": NOW + timedelta(seconds=1)}, "dated in the future"),
        ({"bundle": "sha256:older"}, "given for another bundle"),
        ({"evidence": "sha256:older"}, "given on other evidence"),
    ],
)
def test_an_approval_that_is_old_or_for_something_else_fails(change: dict[str, Any], reason: str) -> None:
    verdicts = judge(approvals=(said(ANN, **change),))
    found = verdict(verdicts, "approval_is_fresh_and_for_this_evidence")
    assert found.outcome is Outcome.FAIL
    assert reason in found.message
    assert not verdict(verdicts, "approved_by_enough").passed


def test_an_old_approval_beside_enough_fresh_ones_is_listed_and_does_no_harm() -> None:
    found = verdict(judge(approvals=(said(ANN), said(BOB, bundle="sha256:x"))), "approval_is_fresh_and_for_this_evidence")
    assert found.passed
    assert [row["approver"] for row in found.evidence["refused"]] == [BOB]


@pytest.mark.parametrize(
    ("start", "end", "outcome"),
    [
        (date(2024, 3, 10), date(2024, 3, 10), Outcome.FAIL),
        (date(2024, 3, 1), date(2024, 3, 10), Outcome.FAIL),
        (date(2024, 3, 11), date(2024, 3, 20), Outcome.PASS),
        (date(2024, 3, 1), date(2024, 3, 9), Outcome.PASS),
    ],
)
def test_first_and_last_day_of_a_freeze_are_frozen(start: date, end: date, outcome: Outcome) -> None:
    freeze = Freeze(start=start, end=end, reason="audit")
    assert outcomes(freezes=(freeze,))["not_in_change_freeze"] is outcome


def test_a_freeze_is_counted_in_utc_days() -> None:
    freeze = Freeze(start=date(2024, 3, 11), end=date(2024, 3, 11), reason="audit")
    still_the_tenth = datetime.fromisoformat("2024-03-11T05:00:00+09:00")
    assert outcomes(freezes=(freeze,), now=still_the_tenth)["not_in_change_freeze"] is Outcome.PASS


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("awaiting_approval", Outcome.PASS), ("ramping", Outcome.FAIL), ("rolled_back", Outcome.FAIL), (None, Outcome.NO_DATA)],
)
def test_the_toggle_must_await_approval(status: str | None, outcome: Outcome) -> None:
    assert outcomes(toggle_status=status)["toggle_awaits_approval"] is outcome


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no timezone"):
        judge(now=datetime(2024, 3, 10))  # noqa: DTZ001


SIGNED = Approval.model_validate({"approvers": [ANN, BOB], "valid_for": "2d", "allowed_signers": f"{ANN},{BOB} {KEY_LINE}"})
HOOKED = Approval.model_validate({"approvers": [ANN, BOB], "valid_for": "2d", "policy": {"command": ["opa"]}})


def answer(allow: bool, *reasons: str) -> PolicyAnswer:
    return PolicyAnswer(allow, reasons, "sha256:case", "opa", NOW, "sha256:kept")


def test_every_role_must_have_approved_and_one_person_speaks_for_each_they_have() -> None:
    check = "approved_by_each_role"
    roles = READY.policy.model_copy(update={"roles": {"risk": [BOB.upper()], "release": [ANN, BOB]}})
    assert outcomes()[check] is Outcome.PASS
    assert outcomes(policy=roles, approvals=())[check] is Outcome.NO_DATA
    missing = verdict(judge(policy=roles), check)
    assert (missing.outcome, missing.observed, missing.threshold) == (Outcome.INCONCLUSIVE, 1, 2)
    assert missing.message == f"no approval yet by risk ({BOB.upper()})"
    assert outcomes(policy=roles, approvals=(said(BOB),))[check] is Outcome.PASS
    assert outcomes(policy=roles, approvals=(said(ANN), said(BOB, at=NOW - timedelta(days=3))))[check] is Outcome.INCONCLUSIVE


def test_people_with_a_stake_are_not_enough_however_many() -> None:
    check, stakes = "approver_is_not_the_launcher", {ANN: "owns its training", BOB: "owns its toggle"}
    alone = verdict(judge(stakes=stakes), check)
    assert alone.outcome is Outcome.FAIL
    assert alone.message == f"{ANN} owns its training and is its only approver; somebody else must approve too"
    both = verdict(judge(stakes=stakes, approvals=(said(ANN), said(BOB))), check)
    assert both.outcome is Outcome.FAIL
    assert "are its only approvers" in both.message
    assert outcomes(stakes={ANN: stakes[ANN]}, approvals=(said(ANN), said(BOB)))[check] is Outcome.PASS


def test_approvals_are_signed_where_the_contract_names_keys() -> None:
    check = "approvals_are_signed"
    assert "named, not signed" in verdict(judge(), check).message
    assert outcomes(policy=SIGNED, approvals=())[check] is Outcome.NO_DATA
    assert outcomes(policy=SIGNED)[check] is Outcome.FAIL, "no key"
    assert outcomes(policy=SIGNED, approvals=(said(ANN, key="SHA256:a"),))[check] is Outcome.PASS


def test_one_signature_that_does_not_hold_is_enough_and_its_approval_does_not_count() -> None:
    forged = said(BOB, key="SHA256:b", fault="event 7 (approved): the signature is not of what it is said to be of")
    verdicts = judge(policy=SIGNED, approvals=(said(ANN, key="SHA256:a"), forged))
    assert verdict(verdicts, "approvals_are_signed").outcome is Outcome.FAIL
    assert "event 7" in verdict(verdicts, "approvals_are_signed").message
    assert verdict(verdicts, "approved_by_enough").evidence["approvers"] == [ANN]


def test_an_approval_shortened_or_voided_does_not_count() -> None:
    shorter, voided = {"valid_until": NOW - timedelta(seconds=1)}, {"voided": "event 9"}
    for change, why in ((shorter, "given until"), (voided, "other evidence (event 9)")):
        found = verdict(judge(approvals=(said(ANN, **change),)), "approval_is_fresh_and_for_this_evidence")
        assert (found.outcome, why in found.message) == (Outcome.FAIL, True)
    assert outcomes(approvals=(said(ANN, valid_until=NOW),))["approved_by_enough"] is Outcome.PASS


def test_people_are_compared_without_case() -> None:
    assert outcomes(approvals=(said(ANN.upper()),))["approved_by_enough"] is Outcome.PASS
    assert outcomes(policy=TWO, approvals=(said(ANN.upper()), said(ANN)))["approved_by_enough"] is Outcome.INCONCLUSIVE
    assert outcomes(launched_by=f"person:{ANN.upper()}")["approver_is_not_the_launcher"] is Outcome.FAIL


def test_the_policy_must_have_said_yes_where_the_contract_asks_one() -> None:
    check = "policy_allows"
    assert outcomes()[check] is Outcome.PASS
    assert outcomes(answer=answer(False, "no"))[check] is Outcome.PASS, "nobody asked it"
    assert outcomes(policy=HOOKED)[check] is Outcome.NO_DATA
    denied = verdict(judge(policy=HOOKED, answer=answer(False, "the board meets", "on Friday")), check)
    assert (denied.outcome, denied.message) == (Outcome.FAIL, "the policy (opa) does not allow it: the board meets, on Friday")
    allowed = verdict(judge(policy=HOOKED, answer=answer(True)), check)
    assert (allowed.outcome, allowed.evidence["answer"]["asked"]) == (Outcome.PASS, "sha256:case")
