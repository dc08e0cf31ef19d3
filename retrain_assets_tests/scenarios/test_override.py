"""What a gate stopped and two approvers let through goes on by the real sensors and jobs, and can be promoted."""

from __future__ import annotations

from typing import Any

import dagster as dg

from retrain_assets.contract import Gate, Outcome
from retrain_assets.release import Ending, ToggleStatus
from retrain_assets_tests.scenarios.story import MODEL, PAUL, RETRAIN, RUTH, Story
from retrain_assets_tests.simulation import contract_with

STRICT: dict[str, Any] = {"gates__offline__metrics": {"roc_auc": {"min": 0.999}}}


def strict(story: Story, **changes: Any) -> None:
    """From here on the model's contract is another one."""
    story.contract = contract_with(**changes)
    Story.__post_init__(story)


def both_override(story: Story, check: str) -> None:
    for actor in (RUTH, PAUL):
        story.controller.override(MODEL, RETRAIN, check, actor, "the limit is a typing error, see the incident")


def test_an_offline_stopped_candidate_that_is_overridden_is_armed_ramped_and_promoted(road: Story) -> None:
    strict(road, **STRICT)
    assert not road.retrain()
    road.decide()
    stopped = road.retrain_state()
    assert (stopped.ended, stopped.verdicts[Gate.OFFLINE].outcome) == (Ending.STOPPED, Outcome.FAIL)
    assert road.look() == []

    both_override(road, "offline.meets_roc_auc")

    opened = road.retrain_state()
    assert (opened.decision, opened.ended, opened.rejected) == (None, None, None)
    assert road.registry.version(MODEL, opened.candidate.version).tags["status"] == "candidate"
    assert road.decide() == []
    assert road.engine.tick("override_sensor") == []
    road.ramp_to_approval()
    road.approve()
    assert road.decide() == [f"{MODEL}:{RETRAIN}:approved-{road.toggle().revision - 1}-{road.toggle().approvals[-1].sequence}"]

    promoted = road.retrain_state()
    assert promoted.ended is Ending.PROMOTED
    (all_passed,) = [one for one in promoted.decision.verdicts if one.check == "all_gates_passed"]
    shout = f"overridden: offline.meets_roc_auc by {RUTH.name} and {PAUL.name}: the limit is a typing error, see the incident"
    assert shout in all_passed.message
    assert shout in promoted.decision.reason
    assert road.state.champion == promoted.candidate
    assert [one.kind for one in road.controller.platform().follow_ups.values()] == ["override"]


def test_a_retrain_stopped_by_its_data_goes_on_from_there_and_is_armed(road: Story) -> None:
    """Nothing was trained yet: the override sensor has made what is missing, and the data set stays the one that was judged."""
    strict(road, gates__data__min_rows=10_000_000)
    assert not road.retrain()
    road.decide()
    stopped = road.retrain_state()
    assert (stopped.ended, stopped.candidate, set(stopped.verdicts)) == (Ending.STOPPED, None, {Gate.DATA})
    result = road.home.stage_dir(MODEL, RETRAIN, "dataset") / "result.json"
    judged = result.read_bytes()
    assert road.engine.tick("override_sensor") == []

    both_override(road, "data.enough_rows")

    assert road.decide() == []
    (key,) = road.engine.tick("override_sensor")
    assert f":override-{road.retrain_state().reopened}" in key
    assert result.read_bytes() == judged
    gates = {gate: record.outcome for gate, record in road.retrain_state().verdicts.items()}
    assert gates == {Gate.DATA: Outcome.FAIL, Gate.TRAINING: Outcome.PASS, Gate.OFFLINE: Outcome.PASS}
    assert road.engine.tick("override_sensor") == []
    assert road.decide() == []
    assert road.look() == [f"{MODEL}:{RETRAIN}:arm"]
    assert road.toggle().state is ToggleStatus.SHADOW


def test_a_continued_run_that_dies_ends_the_retrain_and_the_stopped_run_does_not(road: Story) -> None:
    strict(road, gates__data__min_rows=10_000_000)
    assert not road.retrain()
    road.decide()
    both_override(road, "data.enough_rows")
    assert road.decide() == []
    road.home.stage_dir(MODEL, RETRAIN, "features").write_text("a file where a folder must be")
    road.engine.tick("override_sensor")
    road.decide()
    assert road.retrain_state().ended is Ending.FAILED


def test_dagster_shows_an_overridden_check_as_a_warning_that_says_by_whom(road: Story) -> None:
    """The same evaluation again gives the same verdict, so that the override holds, and no later asset waits for the check."""
    strict(road, **STRICT)
    assert not road.retrain()
    assert "meets_roc_auc" in road.failed_checks()
    both_override(road, "offline.meets_roc_auc")

    assert road.materialize("evaluation_report").success

    assert road.failed_checks() == {}
    (run,) = road.instance.get_runs(limit=1)
    entries = road.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    (shown,) = [
        one
        for entry in entries
        if entry.dagster_event and (one := entry.dagster_event.asset_check_evaluation_data).check_name == "meets_roc_auc"
    ]
    assert (shown.passed, shown.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (shown.description or "").startswith(f"OVERRIDDEN by {RUTH.name} and {PAUL.name}: the limit is a typing error")


def test_an_override_that_is_withdrawn_in_traffic_takes_the_challenger_off_at_the_next_tick(road: Story) -> None:
    strict(road, **STRICT)
    assert not road.retrain()
    road.decide()
    both_override(road, "offline.meets_roc_auc")
    road.look()
    assert road.toggle().active
    road.controller.withdraw_override(MODEL, RETRAIN, "offline.meets_roc_auc", PAUL, "it was no typing error")
    (key,) = road.decide()
    assert "gate-offline-fail" in key
    assert (road.toggle().state, road.retrain_state().ended) == (ToggleStatus.REJECTED, Ending.STOPPED)


def test_a_canary_that_is_not_shown_yet_can_be_promoted_when_two_approvers_override_the_check(evaluated: Story) -> None:
    """Nothing is different between the arms: the look holds, and no look in between voids what was signed."""
    evaluated.look()
    evaluated.serve_days(2)
    assert evaluated.toggle().last_look.action == "hold"
    closed = [one.check for one in evaluated.retrain_state().verdicts[Gate.CANARY].verdicts if not one.passed]
    for check in closed:
        both_override(evaluated, f"canary.{check}")
    assert evaluated.toggle().state is ToggleStatus.AWAITING_APPROVAL
    evaluated.approve("Worth a try.")
    evaluated.decide()
    assert evaluated.retrain_state().ended is Ending.PROMOTED
