"""Metrics that every worker would give alike, read when they are asked for: the build, the home, how traffic is divided."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from retrain_assets import __version__
from retrain_assets.serving.live import LiveModels


class StateNow(Collector):
    """Reads them.

    Args:
        models: what is served; None: that is not known yet.
    """

    def __init__(self, models: LiveModels | None) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        """One metric family after the other."""
        build = GaugeMetricFamily("retrain_build_info", "This build; the value is 1.", labels=("version", "python"))
        build.add_metric((__version__, platform.python_version()), 1)
        yield build
        if self._models is not None:
            free = GaugeMetricFamily("retrain_home_free_bytes", "Space left on the disk of RETRAIN_HOME.")
            free.add_metric((), shutil.disk_usage(self._models.home.root).free)
            yield free
            yield from _toggles(self._models)


def _toggles(models: LiveModels) -> Iterator[Metric]:
    share = GaugeMetricFamily("retrain_toggle_share", "Part of the cohort routed to the challenger, 0..1.", labels=("model",))
    versions = GaugeMetricFamily(
        "retrain_model_info",
        "Which version an arm is; the value is 1.",
        labels=("model", "arm", "version", "bundle", "toggle", "stage"),
    )
    loaded = GaugeMetricFamily(
        "retrain_model_loaded", "Whether the arm's bundle is loaded in this worker.", labels=("model", "arm")
    )
    for model in sorted(models.names()):
        live = models.current(model)
        rule = live.rule
        share.add_metric((model,), rule.effective_share)
        for arm, version, bundle in (
            ("champion", rule.champion, live.champion),
            ("challenger", rule.challenger, live.challenger),
        ):
            if version is not None and (arm == "champion" or rule.is_routed):
                shown = (model, arm, version.version, version.bundle, rule.toggle or "", rule.stage or "")
                versions.add_metric(shown, 1)
                loaded.add_metric((model, arm), bundle is not None)
    yield from (share, versions, loaded)
