"""Seeing the product itself: log records with ids, traces where somebody collects them, Prometheus' text format."""

from retrain_assets.observability.context import bound, current_ids, trace_id_of
from retrain_assets.observability.exposition import Family, exposed
from retrain_assets.observability.logs import set_up_logging
from retrain_assets.observability.tracing import happened, span

__all__ = ["Family", "bound", "current_ids", "exposed", "happened", "set_up_logging", "span", "trace_id_of"]
