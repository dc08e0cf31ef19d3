"""The one view of a toggle's canary: reads what the view is made from. Nothing is acted on here."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from retrain_assets.compute.canary.view import UNREADABLE, References, view_of_look
from retrain_assets.compute.local import RESULT
from retrain_assets.compute.places import is_on_volume, located
from retrain_assets.compute.request import StageResult
from retrain_assets.compute.stages.live_features import Trained
from retrain_assets.contract import RetrainError, first_line
from retrain_assets.experiment import Look
from retrain_assets.gates.canary_view import TOTAL, CanaryView
from retrain_assets.gates.canary_view import canary_view as made_of
from retrain_assets.gates.technical_side import ArmTechnical, TechnicalSide
from retrain_assets.home import Home
from retrain_assets.registry import Registry
from retrain_assets.release import ToggleState
from retrain_assets.routing import VersionRef
from retrain_assets.serving.exposure_log import ExposureLog


def canary_view(home: Home, toggle: ToggleState, look: Look, now: datetime, *, registry: Registry | None = None) -> CanaryView:
    """Business measures of a look beside both arms' technical side, in total and per segment, with the verdict in one sentence.

    Where bundles, source or traffic cannot be read, the view says so in its notes and shows what is left: a look never fails
    because of it.

    Args:
        home: where traffic, stage outputs and registry are.
        toggle: the toggle.
        look: its look, from :func:`~retrain_assets.serving.look.look_at`.
        now: the time of the look.
        registry: where bundles are; the home's own by default.

    Raises:
        RetrainError: when the toggle has not been armed.
    """
    if toggle.armed_at is None:
        raise RetrainError(f"toggle {toggle.name} has not been armed", remedy="wait for the gates before traffic")
    contract = toggle.terms
    try:
        return view_of_look(
            look,
            contract,
            ExposureLog(home).scan_exposures(toggle.model, toggle.armed_at),
            ExposureLog(home).scan_outcomes(toggle.model, toggle.armed_at),
            _references(home, toggle, registry or Registry.of(home)),
            toggle=toggle.name,
            revisions=toggle.stage_started,
            now=now,
        )
    except UNREADABLE as error:
        nothing = TechnicalSide(ArmTechnical(), ArmTechnical())
        note = f"the technical side cannot be shown: {first_line(error)}"
        return made_of(look, contract, {TOTAL: nothing}, notes=[note])


def _training_output(home: Home, toggle: ToggleState, stage: str, notes: list[str]) -> Path:
    """Where a stage left what the challenger was trained on; of what stayed on a volume that is not mounted here a note."""
    folder = home.stage_dir(toggle.model, toggle.retrain, stage)
    here = folder / stage
    if here.exists() or not (folder / RESULT).exists():
        return here
    left = StageResult.read(folder / RESULT).outputs[stage]["uri"]
    if is_on_volume(left) and not located(left).exists():
        notes.append(f"{left} stayed on the volume, so segments are not compared with training; mount it (RETRAIN_VOLUMES)")
    return located(left)


def _references(home: Home, toggle: ToggleState, registry: Registry) -> References:
    notes: list[str] = []

    def bundle(version: VersionRef, arm: str) -> Trained | None:
        try:
            return Trained.of(registry.download(toggle.model, version.version), version.bundle)
        except UNREADABLE as error:
            notes.append(f"the {arm}'s bundle cannot be read, so nothing is compared with its training: {error}")
            return None

    champion, challenger = bundle(toggle.previous_champion, "champion"), bundle(toggle.challenger, "challenger")
    return References(
        champion=champion,
        challenger=challenger,
        features=_training_output(home, toggle, "features", notes),
        dataset=_training_output(home, toggle, "dataset", notes),
        notes=tuple(notes),
    )
