"""One look at a canary: the toggle's traffic, aggregated and analysed. Nothing is acted on here."""

from __future__ import annotations

from datetime import datetime

from retrain_assets.compute.stages.canary import aggregate
from retrain_assets.contract import RetrainError
from retrain_assets.experiment import Look, Plan, analyse
from retrain_assets.home import Home
from retrain_assets.release import ToggleState
from retrain_assets.serving.exposure_log import ExposureLog


def look_at(home: Home, toggle: ToggleState, now: datetime) -> Look:
    """Champion against challenger as of ``now``, from the exposures and outcomes of one toggle.

    Raises:
        RetrainError: when the toggle has not been armed.
    """
    if toggle.armed_at is None or toggle.stage is None:
        raise RetrainError(f"toggle {toggle.name} has not been armed", remedy="wait for the gates before traffic")
    contract = toggle.terms
    log = ExposureLog(home)
    data = aggregate(
        log.read_exposures(toggle.model, since=toggle.armed_at),
        log.read_outcomes(toggle.model, since=toggle.armed_at),
        contract=contract,
        toggle=toggle.name,
        stage_started=toggle.stage_started,
        shares=toggle.shares,
        now=now,
    )
    return analyse(
        data,
        Plan.from_contract(contract),
        stage=toggle.stage,
        revision=toggle.stage_revision,
        stage_started_at=toggle.stage_started[toggle.stage_revision],
        armed_at=toggle.armed_at,
        now=now,
    )
