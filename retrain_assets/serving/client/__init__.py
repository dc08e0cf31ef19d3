"""For services: a gateway's client, and routing with exposure logging for those that score with models of their own.

The OpenFeature hook is in ``retrain_assets.serving.client.openfeature_hook`` and needs the extra ``openfeature``.
"""

from retrain_assets.serving.client.exposures import Exposure, Exposures, RoutedUnit, Scoring
from retrain_assets.serving.client.gateway_client import GatewayClient
from retrain_assets.serving.client.local_router import LocalRouter
from retrain_assets.serving.client.transport import GatewayError

__all__ = ["Exposure", "Exposures", "GatewayClient", "GatewayError", "LocalRouter", "RoutedUnit", "Scoring"]
