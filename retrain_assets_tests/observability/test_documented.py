"""docs/observability.md names every metric there is, with its labels, and its alerts ask for nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import yaml

from retrain_assets.observability.sensor_metrics import HELP
from retrain_assets.release import PlatformState
from retrain_assets.release.metrics import ledger_metrics

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")


def metrics() -> set[str]:
    families = ledger_metrics({}, PlatformState(), datetime(2024, 4, 1, tzinfo=UTC), 0, {})
    return {one.name for one in families} | set(HELP)


def test_every_metric_stands_in_the_table_and_nothing_else() -> None:
    assert set(re.findall(r"^\| `(retrain_\w+)` \|", PAGE, re.MULTILINE)) == metrics()


def test_alerts_are_prometheus_rules_about_metrics_there_are() -> None:
    rules = yaml.safe_load(PAGE.partition("## Alerts")[2].partition("```yaml")[2].partition("```")[0])
    found = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(found) == 6
    for rule in found:
        assert set(rule) == {"alert", "expr", "annotations"}
        named = set(re.findall(r"retrain_\w+", rule["expr"]))
        assert named
        assert named <= metrics()
