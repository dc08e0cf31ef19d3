"""``retrain capacity`` says what the next retrain takes, or that too few were measured."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from retrain_assets.cli.capacity import capacity
from retrain_assets.contract import RetrainError

from .conftest import parsed
from .world import MODEL, World


def test_too_few_retrains_are_said_and_nothing_is_made_up(candidates: World) -> None:
    told = CliRunner().invoke(capacity, [MODEL], catch_exceptions=False)
    assert told.exit_code == 0
    assert told.output.startswith(f"{MODEL}: no forecast: ")
    assert "4 are needed" in told.output
    document = parsed(CliRunner().invoke(capacity, [MODEL, "--json"], catch_exceptions=False))
    assert (document["rows"], document["seconds"], document["cost"], document["over_budget"]) == (None, None, None, None)
    assert [stage["stage"] for stage in document["stages"]] == ["dataset", "features", "training", "evaluation"]


def test_a_home_without_a_ledger_is_named(retrain_home: object) -> None:
    with pytest.raises(RetrainError, match="there is no ledger here"):
        CliRunner().invoke(capacity, [MODEL], catch_exceptions=False)
