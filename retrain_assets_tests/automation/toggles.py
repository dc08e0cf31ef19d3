"""A toggle of the simulated model in its ramp, for the tests of what waits for it."""

from __future__ import annotations

from typing import Any

from retrain_assets.release import ToggleState, ToggleStatus
from retrain_assets.routing import VersionRef
from retrain_assets_tests.simulation import contract_with


def ramping_toggle(*, contract: dict[str, object] | None = None, **given: Any) -> ToggleState:
    """Half of the traffic goes to the challenger; ``contract`` are changes of its contract."""
    return ToggleState(
        name="churn-2024-03-01",
        model="churn",
        retrain="2024-03-01",
        state=ToggleStatus.RAMPING,
        revision=3,
        stage_revision=3,
        stage="50",
        share=0.5,
        salt="s",
        challenger=VersionRef("2", "sha256:2"),
        previous_champion=VersionRef("1", "sha256:1"),
        contract=contract_with(**(contract or {})).to_json(),
        owner="team:accounts",
        purpose="test",
        **given,
    )
