"""What differs between two contracts of one model, told in the direction that matters: stricter or looser."""

from retrain_assets.reports.contract_diff.changes import Change, changes_between
from retrain_assets.reports.contract_diff.directions import Tendency
from retrain_assets.reports.contract_diff.markdown import markdown_of
from retrain_assets.reports.contract_diff.preview import ModelPreview, PlanLine, preview_of

__all__ = ["Change", "ModelPreview", "PlanLine", "Tendency", "changes_between", "markdown_of", "preview_of"]
