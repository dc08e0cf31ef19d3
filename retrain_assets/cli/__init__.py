"""The ``retrain`` command: look at releases, act on them, verify their record. See docs/cli.md."""

from retrain_assets.cli.app import main

__all__ = ["main"]
