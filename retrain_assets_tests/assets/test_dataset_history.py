"""Which earlier retrains the data gate compares a retrain's source with."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.assets.platform import Platform
from retrain_assets.assets.requests import earlier_datasets, retrain_request
from retrain_assets.assets.road import Road, cutoff_of
from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.ledger import SYSTEM
from retrain_assets_tests.simulation.accounts import accounts, contract_with

KEYS = [f"2024-02-{day:02d}" for day in range(22, 30)]


class Retrains:
    """Retrains of the simulated model that have run as far as their data set."""

    def __init__(self, root: Path) -> None:
        self.platform = Platform(root=str(root))
        self.road = Road(contract_with(source__uri=str(root / "accounts.parquet")))
        accounts().write_parquet(root / "accounts.parquet")

    def launch(self, key: str) -> None:
        self.platform.controller.ensure_launched(self.road.contract, key, {"kind": "manual run"}, SYSTEM)

    def run(self, key: str, *, stopped: bool = False) -> dict[str, Any]:
        self.launch(key)
        result = self.platform.run_stage(self.road, retrain_request(self.platform, self.road, key, "dataset"))
        verdicts = result.verdicts_of(Gate.DATA)
        if stopped:
            verdicts[0] = Verdict(Gate.DATA, verdicts[0].check, Outcome.FAIL, "broken")
        subjects = {"dataset": result.outputs["dataset"]["digest"], "limits": self.road.contract.limits_digest}
        self.platform.controller.record_gate(self.road.model, key, Gate.DATA, verdicts, subjects)
        seen: dict[str, Any] = result.metadata["as_history"]
        return seen

    def history(self, key: str) -> list[dict[str, Any]]:
        return earlier_datasets(self.platform, self.road, key)


@pytest.fixture
def retrains(tmp_path: Path) -> Retrains:
    return Retrains(tmp_path)


def test_the_last_five_earlier_retrains_that_passed_are_compared_in_order(retrains: Retrains) -> None:
    seen = {key: retrains.run(key) for key in KEYS}
    assert retrains.history(KEYS[0]) == []
    assert retrains.history(KEYS[-1]) == [seen[key] for key in KEYS[2:7]]
    again = {key: retrains.run(key) for key in reversed(KEYS)}
    assert again == seen
    assert retrains.history(KEYS[3]) == [seen[key] for key in KEYS[:3]], "what ran later or again changes nothing"


def test_stopped_later_concurrent_and_unfinished_retrains_do_not_count(retrains: Retrains) -> None:
    early, stopped, same, later = KEYS[0], KEYS[1], KEYS[3], KEYS[5]
    seen = retrains.run(early)
    retrains.run(stopped, stopped=True)
    retrains.launch(KEYS[2])
    retrains.run(same)
    retrains.run(later)
    second = f"{same}.2"
    retrains.launch(second)
    assert retrains.history(second) == [seen], "a retrain of the same cut-off is no history, nor one of a later"


def test_of_two_retrains_of_one_cutoff_the_last_counts(retrains: Retrains) -> None:
    retrains.run(KEYS[0])
    again = retrains.run(f"{KEYS[0]}.2")
    retrains.launch(KEYS[1])
    assert [each["retrain"] for each in retrains.history(KEYS[1])] == [again["retrain"]] == [f"{KEYS[0]}.2"]


def test_a_retrain_whose_files_were_cleared_away_is_passed_over(retrains: Retrains) -> None:
    for key in KEYS[:2]:
        retrains.run(key)
    (retrains.platform.home.stage_dir(retrains.road.model, KEYS[0], "dataset") / "result.json").unlink()
    retrains.launch(KEYS[2])
    assert [each["retrain"] for each in retrains.history(KEYS[2])] == [KEYS[1]]


def test_retrains_whose_windows_overlap_are_compared(retrains: Retrains) -> None:
    first = retrains.run(KEYS[0])
    assert cutoff_of(KEYS[1]) - cutoff_of(KEYS[0]) < retrains.road.contract.window.train + timedelta(days=1)
    retrains.launch(KEYS[1])
    assert retrains.history(KEYS[1]) == [first]


def test_a_retrain_launched_afterwards_for_an_earlier_cutoff_changes_nothing(retrains: Retrains) -> None:
    retrains.run(KEYS[4])
    retrains.run(KEYS[0])
    assert retrains.history(KEYS[4]) == []
