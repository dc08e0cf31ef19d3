"""What Prometheus' own parser reads from a gateway's answer."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as parse

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {(sample.name, frozenset(sample.labels.items())): sample.value for family in parse(text) for sample in family.samples}


def value(told: Samples, name: str, **labels: str) -> float:
    return told[f"retrain_{name}", frozenset(labels.items())]
