"""The assets of one model, one file each, in the order of the road; thin: they call a room below and translate."""

import dagster as dg

from retrain_assets.assets.audit_record import audit_record_asset
from retrain_assets.assets.canary_report import canary_report_asset
from retrain_assets.assets.candidate_model import candidate_model_asset
from retrain_assets.assets.capacity_forecast import capacity_forecast_asset
from retrain_assets.assets.dataset import dataset_asset
from retrain_assets.assets.drift_report import drift_report_asset, external_assets
from retrain_assets.assets.evaluation_report import evaluation_report_asset
from retrain_assets.assets.feature_snapshot import feature_snapshot_asset
from retrain_assets.assets.gate_checks import gate_checks
from retrain_assets.assets.planning_check import planning_check
from retrain_assets.assets.platform import PLATFORM, Platform
from retrain_assets.assets.promotion_decision import promotion_decision_asset
from retrain_assets.assets.release_review import release_review_asset
from retrain_assets.assets.retrains import retrains_asset
from retrain_assets.assets.road import Road, cutoff_of
from retrain_assets.assets.road_checks import road_checks
from retrain_assets.assets.stages import LAUNCHED_BY_TAG, TRIGGER_TAG
from retrain_assets.assets.toggle_debt import toggle_debt_asset

__all__ = ["LAUNCHED_BY_TAG", "PLATFORM", "TRIGGER_TAG", "Platform", "Road", "cutoff_of", "road_definitions"]


def road_definitions(road: Road) -> dg.Definitions:
    """Assets and gate checks of one model."""
    return dg.Definitions(
        assets=[
            *external_assets(road),
            dataset_asset(road),
            feature_snapshot_asset(road),
            candidate_model_asset(road),
            evaluation_report_asset(road),
            canary_report_asset(road),
            promotion_decision_asset(road),
            audit_record_asset(road),
            release_review_asset(road),
            capacity_forecast_asset(road),
            drift_report_asset(road),
            toggle_debt_asset(road),
            retrains_asset(road),
        ],
        asset_checks=[*gate_checks(road), planning_check(road), road_checks(road)],
    )
