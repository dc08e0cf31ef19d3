"""What a stage is asked and what it answers: plain JSON, the same for every place a stage can run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from retrain_assets.compute.places import located, uri_of
from retrain_assets.contract import Contract, Gate, StageError, Verdict, digest_of, finite
from retrain_assets.contract.compute import Engine
from retrain_assets.contract.unit_names import UNLINKABLE, UnitNames

STAGE_RECORD = "retrain_assets.stage_record/1"
"""Name and version of the shape of :attr:`StageResult.record`."""


@dataclass(frozen=True, slots=True)
class StageRequest:
    """One stage of one retrain.

    Args:
        stage: name of the stage, see :data:`retrain_assets.compute.dispatch.STAGES`.
        model: name of the model.
        retrain: key of the retrain.
        contract: the release contract as JSON, Python paths absolute.
        inputs: URIs of earlier stages' outputs by name.
        output_dir: directory the stage writes to.
        parameters: what the stage needs besides (``{"cutoff": "2013-07-01T00:00:00+00:00"}``).
        engine: ``single_node`` (Polars in one process) or ``spark``.
        code: where the team's code is from, as the machine tells that has the checkout
            (:func:`retrain_assets.compute.code.code_facts`); empty: asked where the stage runs.
        unit_key: secret that unit ids are named with where evidence has to tell which rows it means. No part of the request's
            JSON or digest. Empty: a key that nobody keeps, so that names of one run say nothing in the next.
    """

    stage: str
    model: str
    retrain: str
    contract: Mapping[str, Any]
    inputs: Mapping[str, str]
    output_dir: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    engine: Engine = "single_node"
    code: Mapping[str, Any] = field(default_factory=dict)
    unit_key: bytes = field(default=b"", repr=False, compare=False)

    @property
    def digest(self) -> str:
        """Digest of what is asked, wherever it is computed: without places, engine and the contract's choice of them.

        What the inputs held stands in the ledger beside it.
        """
        asked = {name: value for name, value in self.to_json().items() if name not in ("output_dir", "engine", "code")}
        contract = {name: value for name, value in self.contract.items() if name != "compute"}
        return digest_of({**asked, "contract": contract, "inputs": sorted(self.inputs)})

    @property
    def directory(self) -> Path:
        """The output directory."""
        return located(self.output_dir)

    def parsed_contract(self) -> Contract:
        """The contract as its type."""
        return Contract.recorded(self.contract)

    @property
    def unit_names(self) -> UnitNames:
        """What units are called in this stage's evidence."""
        return UnitNames(self.unit_key) if self.unit_key else UNLINKABLE

    def input(self, name: str) -> Path:
        """Path of an input.

        Raises:
            StageError: when the request does not name it, or nothing is there.
        """
        if name not in self.inputs:
            raise StageError(
                f"input {name!r} is missing", where=f"stage {self.stage}", remedy=f"run the stage that makes {name!r} first"
            )
        path = located(self.inputs[name])
        if not path.exists():
            raise StageError(
                f"input {name!r} is not there",
                where=self.inputs[name],
                remedy=f"run the stage that makes {name!r} for {self.retrain} again",
            )
        return path

    def parameter(self, name: str) -> Any:
        """A required parameter.

        Raises:
            StageError: when it is missing.
        """
        if name not in self.parameters:
            raise StageError(
                f"parameter {name!r} is missing", where=f"stage {self.stage}", remedy=f"pass parameters {{{name}: …}}"
            )
        return self.parameters[name]

    def to_json(self) -> dict[str, Any]:
        """JSON-able values; the unit key is left out."""
        return {name: value for name, value in asdict(self).items() if name != "unit_key"}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StageRequest:
        """The inverse of :meth:`to_json`.

        Raises:
            StageError: for a missing or unknown field.
        """
        names = {item.name for item in fields(cls)} - {"unit_key"}
        if wrong := names.symmetric_difference(value):
            raise StageError(f"fields {', '.join(sorted(wrong))} are missing or unknown", where="stage request")
        return cls(**value)


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage made.

    Args:
        stage: its name.
        outputs: ``{"uri", "digest"}`` by name.
        metadata: JSON-able facts (counts, windows, metrics, durations).
        verdicts: JSON of the verdicts by gate.
        request_digest: digest of the request it answers.
        run: where and when it ran (:func:`retrain_assets.compute.run_facts.run_facts`); two runs with the same answer are equal.
    """

    stage: str
    outputs: Mapping[str, Mapping[str, str]]
    metadata: Mapping[str, Any]
    verdicts: Mapping[str, Sequence[Mapping[str, Any]]]
    request_digest: str
    run: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def record(self) -> dict[str, Any]:
        """What is kept of the stage as evidence and named in the ledger by its digest: digests, facts and the run, no paths.

        The verdicts are not in it; they are evidence of their gate.
        """
        return {
            "schema": STAGE_RECORD,
            "stage": self.stage,
            "request_digest": self.request_digest,
            "outputs": {name: output["digest"] for name, output in self.outputs.items()},
            "metadata": dict(self.metadata),
            "run": dict(self.run),
        }

    def verdicts_of(self, gate: Gate) -> list[Verdict]:
        """The verdicts of one gate as their type."""
        return [Verdict.from_json(value) for value in self.verdicts.get(gate.value, ())]

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StageResult:
        """The inverse of :meth:`to_json`."""
        known = {"run": {}, **value}
        return cls(**{item.name: known[item.name] for item in fields(cls)})

    @classmethod
    def read(cls, path: Path) -> StageResult:
        """The result in a stage's ``result.json``."""
        return cls.from_json(json.loads(path.read_text()))


def answer(
    request: StageRequest,
    outputs: Mapping[str, tuple[Path, str]],
    metadata: Mapping[str, Any],
    verdicts: Mapping[Gate, Sequence[Verdict]] | None = None,
) -> StageResult:
    """The result of a request; NaN and infinities in the metadata become null.

    Args:
        request: what was asked.
        outputs: path and digest by name.
        metadata: facts.
        verdicts: verdicts by gate.
    """
    return StageResult(
        stage=request.stage,
        outputs={name: {"uri": uri_of(path), "digest": digest} for name, (path, digest) in outputs.items()},
        metadata=finite(dict(metadata)),
        verdicts={gate.value: [verdict.to_json() for verdict in found] for gate, found in (verdicts or {}).items()},
        request_digest=request.digest,
    )
