"""Blocking checks hold only inside one run; materialising the decision alone must not promote either."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from retrain_assets.contract import Gate
from retrain_assets.release import ToggleStatus
from retrain_assets_tests.scenarios.story import BETTER, MODEL, RETRAIN, Story
from retrain_assets_tests.simulation import accounts, contract_with

STRICT = contract_with(gates__offline__metrics__roc_auc={"min": 0.99})


def decision_alone(story: Story) -> tuple[str, str]:
    """Materialise ``promotion_decision`` alone; decision and reason as Dagster shows them."""
    result = story.materialize("promotion_decision")
    assert result.success
    (event,) = result.get_asset_materialization_events()
    return tuple(str(event.materialization.metadata[name].value) for name in ("decision", "reason"))


def test_a_retrain_whose_gate_failed_is_not_promoted(road: Story) -> None:
    """The run stopped at gate offline; the decision alone ends the retrain and promotes nothing."""
    assert not road.retrain(contract=STRICT)
    before = road.activation

    decision, reason = decision_alone(road)

    assert decision == "reject"
    assert "gate offline did not pass" in reason
    assert road.activation == before
    assert road.state.toggles == {}


def test_a_canary_without_gate_offline_is_not_armed(road: Story) -> None:
    """Materialising ``canary_report`` alone does not give a challenger traffic that a gate stopped."""
    road.retrain(contract=STRICT)
    before = road.activation

    assert not road.materialize("canary_report").success

    assert "gate offline did not pass" in road.failed_step()
    assert road.activation == before


def test_a_candidate_trained_again_after_its_evaluation_is_not_armed_until_it_is_evaluated(evaluated: Story) -> None:
    """The verdicts of gate offline were given for another bundle: they are stale for the one now registered."""
    judged = evaluated.retrain_state().candidate
    other = contract_with(trainer__seed=4)
    assert evaluated.materialize("candidate_model", contract=other).success
    assert evaluated.retrain_state().candidate != judged

    assert evaluated.look() == []
    assert not evaluated.materialize("canary_report").success
    assert "gate offline is stale" in evaluated.failed_step()
    assert evaluated.state.toggles == {}
    assert decision_alone(evaluated)[0] == "wait"

    assert evaluated.materialize("evaluation_report", contract=other).success
    assert evaluated.look() == [f"{MODEL}:{RETRAIN}:arm"]
    assert evaluated.toggle().challenger == evaluated.retrain_state().candidate


def test_a_candidate_compared_with_an_earlier_champion_is_not_armed_until_it_is_compared_again(waiting: Story) -> None:
    """Evaluated while another challenger was on its ramp; that one is promoted, so the comparison is with the wrong champion."""
    later = "2024-03-02"
    waiting.retrain(later)
    waiting.approve()
    waiting.decide()

    assert waiting.look() == []
    assert not waiting.materialize("canary_report", later).success
    assert "gate offline is stale" in waiting.failed_step()
    assert waiting.materialize("evaluation_report", later).success
    assert waiting.look() == [f"{MODEL}:{later}:arm"]
    assert waiting.toggle(later).previous_champion == waiting.state.champion


def test_a_candidate_judged_by_thresholds_of_then_is_not_armed_until_it_is_judged_by_those_of_now(evaluated: Story) -> None:
    """The contract is frozen into the toggle; what it asks for must be what was asked of the candidate."""
    stricter = replace(evaluated, contract=contract_with(gates__offline__metrics__roc_auc={"min": 0.61}))

    assert stricter.look() == []
    assert not stricter.materialize("canary_report").success
    assert "the contract's thresholds were changed since it was judged" in stricter.failed_step()
    for asset in ("dataset", "feature_snapshot", "candidate_model", "evaluation_report"):
        assert stricter.materialize(asset).success
    assert stricter.look() == [f"{MODEL}:{RETRAIN}:arm"]


def test_a_bundle_trained_again_after_the_approval_is_not_promoted(waiting: Story) -> None:
    """The candidate of an armed toggle cannot be exchanged, and a verdict on another bundle closes its gate."""
    waiting.approve()
    approved, before = waiting.retrain_state().candidate, waiting.activation
    other = contract_with(trainer__seed=4)
    assert not waiting.materialize("candidate_model", contract=other).success
    assert "the candidate cannot change" in waiting.failed_step()
    assert waiting.materialize("evaluation_report", contract=other).success
    assert waiting.retrain_state().verdicts[Gate.OFFLINE].subjects["bundle"] != approved.bundle

    decision, reason = decision_alone(waiting)

    assert decision == "wait"
    assert "bundle" in reason
    assert waiting.activation == before
    assert waiting.toggle().approvals[0].voided_by is not None, "the evidence it rests on is another now"
    assert waiting.decide() == []
    assert waiting.activation == before


def test_a_registered_bundle_whose_files_changed_is_not_promoted(waiting: Story) -> None:
    """What is in the registry is read again before a promotion; another file than the recorded one stops it."""
    waiting.approve()
    before = waiting.activation
    version = waiting.retrain_state().candidate.version
    model = waiting.registry.download(MODEL, version) / "model.skops"
    model.write_bytes(model.read_bytes() + b" ")

    assert not waiting.materialize("promotion_decision").success

    assert "model.skops" in waiting.failed_step()
    assert waiting.activation == before


def test_without_an_approval_nothing_is_promoted(waiting: Story) -> None:
    """All gates but the last are open; the system does not promote past a person."""
    before = waiting.activation
    assert decision_alone(waiting)[0] == "wait"
    assert waiting.activation == before


def test_an_approval_given_on_an_earlier_look_does_not_promote(waiting: Story) -> None:
    """An approval is for the evidence the approver has seen; a later look needs a new one."""
    waiting.approve()
    waiting.serve_days(1, BETTER)
    before = waiting.activation

    decision, reason = decision_alone(waiting)

    assert (decision, waiting.activation) == ("wait", before)
    assert "evidence" in reason
    waiting.approve()
    assert decision_alone(waiting)[0] == "promote"


def test_a_decided_retrain_keeps_what_it_was_decided_on(waiting: Story) -> None:
    """Its assets can be materialised again, also when source and contract have changed since; nothing changes by that."""
    waiting.approve()
    waiting.decide()
    waiting.write_source(accounts(days=90, seed=12))
    stricter = contract_with(gates__offline__metrics__roc_auc={"min": 0.99})
    events, versions = waiting.events(), len(waiting.registry.list_versions(MODEL))

    for asset in ("dataset", "feature_snapshot", "candidate_model", "evaluation_report", "promotion_decision"):
        assert waiting.materialize(asset, contract=stricter).success, waiting.failed_step()

    assert waiting.events() == events
    assert len(waiting.registry.list_versions(MODEL)) == versions


def test_an_approval_given_in_a_change_freeze_promotes_after_it(evaluated: Story) -> None:
    """Dagster asks for a decision once per reason, so the reason must not be used up while nothing can be promoted."""
    freeze = {"start": "2024-03-04", "end": "2024-03-04", "reason": "stocktaking"}
    frozen = replace(evaluated, contract=contract_with(cadence__freeze=[freeze]))
    frozen.ramp_to_approval()
    frozen.travel(timedelta(days=1))
    assert frozen.clock.now().date().isoformat() == "2024-03-04"
    frozen.approve()
    frozen.decide()
    assert frozen.toggle().state is ToggleStatus.AWAITING_APPROVAL

    frozen.travel(timedelta(days=1))
    frozen.decide()

    assert frozen.toggle().state is ToggleStatus.PROMOTED


def test_an_approval_that_lapsed_does_not_promote(waiting: Story) -> None:
    """An approval holds for the time the contract gives it."""
    waiting.approve()
    waiting.travel(timedelta(days=2, minutes=1))
    before = waiting.activation
    assert decision_alone(waiting)[0] == "wait"
    assert waiting.activation == before
