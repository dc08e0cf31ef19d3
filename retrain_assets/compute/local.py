"""Stages on this machine, each run once: the same work with the same inputs gives the stored result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from retrain_assets.bundle import verify_bundle
from retrain_assets.compute.code import product_digest, source_digest
from retrain_assets.compute.dispatch import run_stage
from retrain_assets.compute.estimator import estimator_version
from retrain_assets.compute.frames import stored_digest
from retrain_assets.compute.places import located
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.stages.source import source_fingerprint
from retrain_assets.contract import CustodyError, StageError, digest_of, sha256_hex

RESULT = "result.json"
"""File in a stage's output directory that holds its result, with the digest of what it rests on."""

READS_SOURCE = ("dataset", "drift")
"""Stages that read the source itself."""

FITTING = ("training", "evaluation")
"""Stages that fit the contract's estimator."""


class LocalCompute:
    """Runs stages in this process."""

    def run(
        self,
        request: StageRequest,
        *,
        run_id: str | None = None,
        context: Any = None,
        ahead: Sequence[StageRequest] = (),
        digests: Mapping[str, str] | None = None,
    ) -> StageResult:
        """The stage's result: the stored one, with the facts of the run that made it, when nothing it rests on has changed,
        otherwise a new run.

        What it rests on: the request, the contents of its inputs (of the data set stage: names, sizes and times of the source
        files), the source text of the team's feature, schema and estimator modules, the version of the estimator's library, and
        the product's own code. A stored result counts only while its outputs still have the digests it names.

        Args:
            request: what is asked.
            run_id: the orchestrator's run, where its logs are; noted with a new run.
            context: not used here.
            ahead: not used here; a stage costs no start.
            digests: of the inputs, where they are known; None: they are read.

        Raises:
            RetrainError: when the stage cannot produce its result.
        """
        basis = self.basis(request, digests)
        path = request.directory / RESULT
        if (stored := _stored(path, basis)) is not None:
            return stored
        path.unlink(missing_ok=True)
        result = run_stage(request)
        result = replace(result, run={**result.run, "dagster_run_id": run_id})
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(path.name + ".writing")
        scratch.write_text(json.dumps({**result.to_json(), "basis": basis}))
        scratch.replace(path)
        return result

    def kept(self, request: StageRequest) -> StageResult | None:
        """The result a stage has given, whatever it would give now; None when its outputs are not as they were."""
        return _stored(request.directory / RESULT, None)

    def input_digests(self, request: StageRequest) -> dict[str, str]:
        """Content digest of every input.

        Raises:
            RetrainError: when one is not there, or damaged.
        """
        return {name: content_digest(request.input(name)) for name in sorted(request.inputs)}

    def basis(self, request: StageRequest, digests: Mapping[str, str] | None = None) -> str:
        """Digest of everything the stage's result rests on; ``digests`` are those of its inputs, where they are known.

        Raises:
            RetrainError: when an input, the source or the team's code is not there.
        """
        contract = request.parsed_contract()
        parts = {
            "request": request.digest,
            "inputs": dict(self.input_digests(request) if digests is None else digests),
            "source": source_fingerprint(contract.source) if request.stage in READS_SOURCE else None,
            "features": source_digest(contract.features, "features"),
            "estimator": estimator_version(contract.trainer) if request.stage in FITTING else None,
            "schema": source_digest(contract.source.schema_, "source.schema"),
            "product": product_digest(),
        }
        return digest_of(parts)


def content_digest(path: Path) -> str:
    """Digest of an input or output as stages name it: of a bundle, a data set, a feature snapshot, another folder or a file.

    Raises:
        CustodyError: when it is a damaged bundle.
        StageError: when its tables are damaged, or nothing is there.
    """
    if not path.exists():
        raise StageError("is not there", where=str(path), remedy="run the stage that makes it again")
    if path.is_file():
        return "sha256:" + sha256_hex(path.read_bytes())
    if (path / "manifest.json").exists():
        return verify_bundle(path).digest
    if (path / "train.parquet").exists():
        return stored_digest(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest_of([[str(file.relative_to(path)), sha256_hex(file.read_bytes())] for file in files])


def _stored(path: Path, basis: str | None) -> StageResult | None:
    try:
        record = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    if basis is not None and record.get("basis") != basis:
        return None
    result = StageResult.from_json(record)
    try:
        intact = all(content_digest(located(output["uri"])) == output["digest"] for output in result.outputs.values())
    except (CustodyError, StageError):
        return None
    return result if intact else None
