"""Which versions exist and which is champion: bundles in and out of MLflow."""

from retrain_assets.registry.registry import CHALLENGER, CHAMPION, DIGEST_TAG, HEAD_TAG, RegisteredVersion, Registry

__all__ = ["CHALLENGER", "CHAMPION", "DIGEST_TAG", "HEAD_TAG", "RegisteredVersion", "Registry"]
