from __future__ import annotations

from typing import Any

import pytest
from databricks.sdk.service import jobs

from retrain_assets.compute.databricks.facts import cost_estimate
from retrain_assets.compute.databricks.outcomes import is_cancelled, is_fault_of_the_platform, latest, refusal
from retrain_assets.contract import Contract
from retrain_assets_tests.compute.databricks.world import CLUSTER, contract_there


def contract(**changes: Any) -> Contract:
    return Contract.recorded(contract_there(**changes))


@pytest.mark.parametrize(
    ("changes", "amount", "at_most"),
    [
        ({}, 0.25, False),
        ({"cluster": {**CLUSTER, "workers": 3}}, 1.0, False),
        ({"cluster": {**CLUSTER, "workers": 1, "max_workers": 3}}, 1.0, True),
        ({"cluster": None, "serverless": {"price_per_hour": 8}}, 4.0, False),
    ],
)
def test_half_an_hour_costs_its_nodes_for_half_an_hour(changes: dict[str, Any], amount: float, at_most: bool) -> None:
    found = cost_estimate(contract(**changes), 1800)
    assert found is not None
    assert (found["amount"], found["at_most"]) == (amount, at_most)


@pytest.mark.parametrize("changes", [{"cluster": {"node_type": "a"}}, {"cluster": None, "existing_cluster": "c"}])
def test_without_a_price_no_cost_is_told(changes: dict[str, Any]) -> None:
    assert cost_estimate(contract(**changes), 1800) is None


def task(life: str, result: str, code: str, message: str = "") -> jobs.RunTask:
    return jobs.RunTask(
        task_key="dataset",
        state=jobs.RunState(life_cycle_state=jobs.RunLifeCycleState(life), result_state=jobs.RunResultState(result)),
        status=jobs.RunStatus(
            state=jobs.RunLifecycleStateV2State.TERMINATED,
            termination_details=jobs.TerminationDetails(code=jobs.TerminationCodeCode(code), message=message),
        ),
    )


@pytest.mark.parametrize(
    ("ended", "fault", "cancelled", "said"),
    [
        (("TERMINATED", "TIMEDOUT", "CANCELED"), False, False, "ran longer than run_timeout (6 h)"),
        (("TERMINATED", "CANCELED", "USER_CANCELED", "by ann"), False, True, "was cancelled there (by ann)"),
        (("INTERNAL_ERROR", "FAILED", "CLUSTER_ERROR", "lost"), True, False, "(CLUSTER_ERROR: lost)"),
        (("INTERNAL_ERROR", "FAILED", "INVALID_CLUSTER_REQUEST", "no"), False, False, "correct compute.databricks.cluster"),
        (("SKIPPED", "UPSTREAM_FAILED", "SKIPPED"), False, False, "an earlier stage of the run did not succeed"),
        (("TERMINATED", "FAILED", "RUN_EXECUTION_ERROR"), False, False, "ended without a result (its last words)"),
    ],
)
def test_each_end_of_a_task_is_told_as_what_it_is(ended: tuple[str, ...], fault: bool, cancelled: bool, said: str) -> None:
    one = task(*ended)
    assert (is_fault_of_the_platform(one), is_cancelled(one)) == (fault, cancelled)
    assert said in refusal(one, contract().databricks, "page", "its last words").line


def test_the_last_attempt_of_a_task_counts() -> None:
    tries = [jobs.RunTask(task_key="dataset", attempt_number=number, run_id=number) for number in (1, 0, 2)]
    found = latest(jobs.Run(tasks=[*tries, jobs.RunTask(task_key="features")]), "dataset")
    assert found is not None
    assert found.run_id == 2
    assert latest(jobs.Run(), "dataset") is None
