"""``retrain audit verify``: whether everything is still what was recorded. Reads; repairs nothing. See docs/verification.md."""

from retrain_assets.cli.verify.home import NAMES, Verification, verify_home
from retrain_assets.cli.verify.part import Part

__all__ = ["NAMES", "Part", "Verification", "verify_home"]
