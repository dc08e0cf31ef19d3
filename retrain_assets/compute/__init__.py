"""Where stages run. A stage is a function of a request (URIs, parameters) to a result (URIs, digests, verdicts)."""

from retrain_assets.compute.dispatch import STAGES, run_stage
from retrain_assets.compute.local import LocalCompute
from retrain_assets.compute.request import StageRequest, StageResult

__all__ = ["STAGES", "LocalCompute", "StageRequest", "StageResult", "run_stage"]
