"""The write-ahead journal of traffic: what is acknowledged survives the process, and becomes Parquet files by and by."""

from retrain_assets.serving.journal.journal import TrafficJournal
from retrain_assets.serving.journal.sealing import recover
from retrain_assets.serving.journal.values import JournalState, LogUnavailable, TrafficKind

__all__ = ["JournalState", "LogUnavailable", "TrafficJournal", "TrafficKind", "recover"]
