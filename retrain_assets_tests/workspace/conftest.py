from __future__ import annotations

from retrain_assets_tests.workspace.fixtures import workspace

__all__ = ["workspace"]
