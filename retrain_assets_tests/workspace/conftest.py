from __future__ import annotations

from .fixtures import workspace

__all__ = ["workspace"]
