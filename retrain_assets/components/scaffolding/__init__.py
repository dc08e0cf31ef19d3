"""What ``dg scaffold defs retrain_assets.components.RetrainComponent`` writes: a contract and two short files for a source."""

from retrain_assets.components.scaffolding.scaffolder import RetrainScaffolder

__all__ = ["RetrainScaffolder"]
