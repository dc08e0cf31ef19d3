"""Model retrains treated as releases: gates, toggles, canary statistics and an audit ledger on Dagster."""

__version__ = "0.1.0"
