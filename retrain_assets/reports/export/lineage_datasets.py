"""The data sets of a retrain's lineage with their OpenLineage facets: version, schema, rows, what the data gate found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from retrain_assets import __version__
from retrain_assets.contract import Gate
from retrain_assets.reports.export.material import Material

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset

PRODUCER = f"urn:retrain-assets:{__version__}"
"""Who says so, in every event and facet."""

NAMESPACE = "retrain_assets"
"""Namespace of what the product makes itself."""

READS = {"retrain": ["source"], "dataset": ["source"], "features": ["dataset"], "training": ["features"]}
READS |= {"evaluation": ["features", "bundle"]}
WRITES = {"retrain": ["bundle"], "dataset": ["dataset"], "features": ["features"], "training": ["bundle"], "evaluation": []}


def inputs_of(material: Material, job: str) -> list[InputDataset]:
    """What a job reads; the data gate's checks are assertions about the data set."""
    from openlineage.client.event_v2 import InputDataset

    return [
        InputDataset(
            *_name(material, what), facets=dict(_facets(material, what)), inputFacets=dict(_input_facets(material, what))
        )
        for what in READS.get(job, ())
        if _known(material, what)
    ]


def outputs_of(material: Material, job: str) -> list[OutputDataset]:
    """What a job makes."""
    from openlineage.client.event_v2 import OutputDataset

    return [
        OutputDataset(*_name(material, what), facets=dict(_facets(material, what)), outputFacets={})
        for what in WRITES.get(job, ())
        if _known(material, what)
    ]


def _known(material: Material, what: str) -> bool:
    return bool(_source(material)) if what == "source" else _version(material, what) is not None


def _source(material: Material) -> str:
    source = material.contract.get("source", {})
    return str(source.get("table") or source.get("uri") or "")


def _name(material: Material, what: str) -> tuple[str, str]:
    """Namespace and name; of the source as OpenLineage names files and buckets."""
    if what != "source":
        return NAMESPACE, f"{material.record.model}.{what}"
    place = urlsplit(_source(material))
    if place.scheme and place.netloc:
        return f"{place.scheme}://{place.netloc}", place.path.lstrip("/")
    return "file", _source(material)


def _version(material: Material, what: str) -> str | None:
    known = material.record.known.subjects
    found = [gate.subjects[what] for gate in material.record.known.verdicts.values() if what in gate.subjects]
    return known.get(what) or (found[-1] if found else None)


def _facets(material: Material, what: str) -> Iterator[tuple[str, Any]]:
    from openlineage.client.generated import dataset_version_dataset, schema_dataset

    version = _version(material, what) if what != "source" else None
    if version is not None:
        yield "version", dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version, producer=PRODUCER)
    if what == "features" and material.manifest is not None:
        fields = [
            schema_dataset.SchemaDatasetFacetFields(name=name, type=material.manifest.feature_dtypes.get(name))
            for name in material.manifest.feature_names
        ]
        yield "schema", schema_dataset.SchemaDatasetFacet(fields=fields, producer=PRODUCER)


def _input_facets(material: Material, what: str) -> Iterator[tuple[str, Any]]:
    from openlineage.client.generated import data_quality_assertions_dataset, data_quality_metrics_input_dataset

    if what != "dataset":
        return
    gate = next((one for one in material.pack["gates"] if one["gate"] == Gate.DATA), None)
    checks = gate["checks"] if gate is not None else []
    if checks:
        assertions = [
            data_quality_assertions_dataset.Assertion(
                assertion=one["check"],
                success=one["outcome"] == "pass",
                severity="error",
                description=one["message"],
                expected=None if one["threshold"] is None else str(one["threshold"]),
                actual=None if one["observed"] is None else str(one["observed"]),
            )
            for one in checks
        ]
        facet = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions=assertions, producer=PRODUCER)
        yield "dataQualityAssertions", facet
    kept = material.record.stages.get("dataset")
    if kept is not None and (rows := kept.metadata.get("rows")):
        yield (
            "dataQualityMetrics",
            data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(
                columnMetrics={}, rowCount=sum(rows.values()), producer=PRODUCER
            ),
        )
