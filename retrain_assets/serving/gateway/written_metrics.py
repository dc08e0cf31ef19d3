"""What sensors and ledger tell in files, beside the gateway's own metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from retrain_assets.observability.exposition import merged


class WrittenMetrics(Collector):
    """Reads the files when it is asked.

    Args:
        folder: where they are; it need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """One metric family after the other."""
        texts = [file.read_text(encoding="utf-8") for file in sorted(self._folder.glob("*.prom"))]
        yield from text_string_to_metric_families(merged(texts))
