"""The review of an ended retrain: design, prediction, way back, what would have caught it earlier, what to change. No Dagster."""

from retrain_assets.reports.release_review.contract_change import ContractFile, contract_file
from retrain_assets.reports.release_review.gain_plot import gain_plot
from retrain_assets.reports.release_review.history import reviewed_until
from retrain_assets.reports.release_review.recovery import Trace
from retrain_assets.reports.release_review.review import review_of

__all__ = ["ContractFile", "Trace", "contract_file", "gain_plot", "review_of", "reviewed_until"]
