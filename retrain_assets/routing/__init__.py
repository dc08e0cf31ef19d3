"""Unit and toggle to arm, identical to flagd; and the flagd document. Pure and fast."""

from retrain_assets.routing.batch import assign_frame
from retrain_assets.routing.bucketing import TOTAL_WEIGHT, bucket_of, fractional, routing_key, weight_of
from retrain_assets.routing.flags import flag_document, rules_from_document
from retrain_assets.routing.router import Router, compile_rule
from retrain_assets.routing.rule import (
    NO_TOGGLE_STATE,
    ROUTED_STATES,
    SETTLED_STATES,
    SHADOW,
    Arm,
    Assignment,
    Reason,
    RoutingRule,
    VersionRef,
)
from retrain_assets.routing.spark import assign_spark

__all__ = [
    "NO_TOGGLE_STATE",
    "ROUTED_STATES",
    "SETTLED_STATES",
    "SHADOW",
    "TOTAL_WEIGHT",
    "Arm",
    "Assignment",
    "Reason",
    "Router",
    "RoutingRule",
    "VersionRef",
    "assign_frame",
    "assign_spark",
    "bucket_of",
    "compile_rule",
    "flag_document",
    "fractional",
    "routing_key",
    "rules_from_document",
    "weight_of",
]
