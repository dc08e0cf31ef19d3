"""The deployable unit: model, encoding, calibration, decision rule and their manifest; written and read without pickle."""

from retrain_assets.bundle.calibration import Calibration, fit_calibration
from retrain_assets.bundle.encoding import Encoding
from retrain_assets.bundle.manifest import Manifest, environment
from retrain_assets.bundle.model_file import EstimatorPredictor, LightGBMPredictor, Predictor
from retrain_assets.bundle.rows import RowEncoder, Scalar, SignatureError
from retrain_assets.bundle.signature import signature_columns
from retrain_assets.bundle.spark_file import LinearModel, SparkPredictor, TreesModel
from retrain_assets.bundle.store import IMPORTANCE, SKETCH, Bundle, load_bundle, save_bundle, verify_bundle
from retrain_assets.bundle.xgboost_file import XGBoostPredictor, require_xgboost

__all__ = [
    "IMPORTANCE",
    "SKETCH",
    "Bundle",
    "Calibration",
    "Encoding",
    "EstimatorPredictor",
    "LightGBMPredictor",
    "LinearModel",
    "Manifest",
    "Predictor",
    "RowEncoder",
    "Scalar",
    "SignatureError",
    "SparkPredictor",
    "TreesModel",
    "XGBoostPredictor",
    "environment",
    "fit_calibration",
    "load_bundle",
    "require_xgboost",
    "save_bundle",
    "signature_columns",
    "verify_bundle",
]
