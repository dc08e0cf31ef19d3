"""The text format is the one that Prometheus' own parser reads."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from retrain_assets.observability.exposition import Family, exposed, labels, merged, samples_in

ODD = 'a "quoted"\\ one\nin two lines'


def test_what_is_written_reads_back_with_prometheus_own_parser() -> None:
    text = exposed([Family("retrain_x_total", "counter", 'what "it" is\\', {labels(model="churn", odd=ODD): 3.0, (): 0.25})])
    (family,) = text_string_to_metric_families(text)
    assert (family.name, family.type, family.documentation) == ("retrain_x", "counter", 'what "it" is\\')
    assert [(one.labels, one.value) for one in family.samples] == [({"model": "churn", "odd": ODD}, 3.0), ({}, 0.25)]
    assert samples_in(text) == {("retrain_x_total", labels(model="churn", odd=ODD)): 3.0, ("retrain_x_total", ()): 0.25}


def test_several_files_are_one_with_each_metric_in_one_place() -> None:
    files = [
        exposed([Family("retrain_a", "gauge", "a", {labels(s=one): 1.0}), Family("retrain_b", "gauge", "b", {})]) for one in "xy"
    ]
    families = list(text_string_to_metric_families(merged(files)))
    assert [one.name for one in families] == ["retrain_a", "retrain_b"]
    assert [one.labels["s"] for one in families[0].samples] == ["x", "y"]
