"""What the demo's table says of a look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from retrain_assets.home import Home
from retrain_assets.replay.table import change, print_table


def look(planned: list[dict[str, Any]] | None = None, direction: str = "decrease", **result: Any) -> dict[str, Any]:
    limits = {"relative_estimate": -0.08, "relative_lower": -0.156, "relative_upper": 0.001, "planned_relative": None}
    guardrail = {"spec": {"role": "guardrail", "direction": "decrease"}, "relative_estimate": 0.5}
    success = {"spec": {"role": "success", "direction": direction}, "state": "better", **limits, **result}
    return {"results": [guardrail, success], "planned": planned or []}


def test_the_change_is_the_success_measures_with_its_limits_at_every_look() -> None:
    assert change(look()) == "-8.0% [-15.6%, +0.1%]"


def test_the_limit_of_the_planned_look_that_was_won_stands_beside() -> None:
    taken = [{"number": 1}, {"number": 2}]
    assert change(look(taken, planned_relative=-0.016)) == "-8.0% [-15.6%, +0.1%]\nplanned look 2: at most -1.6%"
    assert "planned" not in change(look(taken, planned_relative=0.2, state="worse"))
    assert change(look(taken[:1], "increase", planned_relative=0.02)).endswith("\nplanned look 1: at least +2.0%")


def test_a_limit_or_change_that_is_not_known_is_not_made_up() -> None:
    assert change(look(relative_upper=None)) == "-8.0% [-15.6%, …]"
    assert change(look(relative_estimate=None)) == "—"


def test_a_model_of_which_nothing_was_recorded_has_a_sentence_and_no_table(tmp_path: Path) -> None:
    said = Console()
    with said.capture() as shown:
        print_table(Home(tmp_path), "churn", said)
    assert shown.get() == "No retrain of churn was recorded.\n"
