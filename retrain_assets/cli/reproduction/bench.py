"""Where stages are run again: a scratch folder, the inputs that are what was recorded, and the causes a difference can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from retrain_assets.cli.reproduction.causes import nothing_known, surroundings
from retrain_assets.cli.reproduction.results import Cause, CauseKind, Depth, Result, Status, compared, skipped
from retrain_assets.cli.reproduction.stored import Stored
from retrain_assets.cli.reproduction.verdicts import Record
from retrain_assets.compute.dispatch import run_stage
from retrain_assets.compute.local import content_digest
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.contract import Contract, RetrainError

DATA, FEATURES, CANDIDATE, GATES = "1 data set", "2 features", "3 candidate", "4 gates"
"""Steps of the stages."""


@dataclass
class Bench:
    """The stages of one retrain, to be run again.

    Args:
        stored: what is stored of it.
        depth: how much is recomputed.
        scratch: where it is written.
        inputs: outputs, stored or made again, that have the recorded digest; what later stages rest on.
    """

    stored: Stored
    depth: Depth
    scratch: Path
    inputs: dict[str, Path] = field(default_factory=dict)

    @cached_property
    def causes(self) -> tuple[Cause, ...]:
        """What is otherwise here than where the retrain was made; that nothing known is, where nothing is."""
        return surroundings(self.stored) or (nothing_known(self.stored),)

    def run(
        self,
        stage: str,
        inputs: Mapping[str, Path],
        *,
        contract: Contract,
        parameters: Mapping[str, Any] | None = None,
        folder: str = "",
    ) -> StageResult:
        """A stage run here and now, into the scratch folder; what it is asked is what was asked then.

        Raises:
            RetrainError: when it cannot produce its result.
        """
        return run_stage(
            StageRequest(
                stage=stage,
                model=self.stored.model,
                retrain=self.stored.retrain,
                contract=contract.to_json(),
                inputs={name: str(path) for name, path in inputs.items()},
                output_dir=str(self.scratch / (folder or stage)),
                parameters=dict(parameters or {}),
                unit_key=self.stored.unit_key,
            )
        )

    def kept(self, step: str, what: str, stage: str, recorded: str, file: str = "") -> Result:
        """A stored output against its recorded digest."""
        path = self.stored.output(stage, file or stage)
        if not path.exists():
            left = self.stored.left_on_volume(stage, file or stage)
            why = f"{left} stayed on the volume, which is not mounted here (RETRAIN_VOLUMES)" if left else f"{path} is not there"
            return skipped(step, what, why, recorded, missing=True)
        try:
            here = content_digest(path)
        except (RetrainError, OSError) as error:
            return Result(step, what, Status.DIFFERENT, recorded, None, causes=(Cause(CauseKind.STAGE_OUTPUT, str(error)),))
        if here == recorded:
            self.inputs[stage] = path
        return compared(step, what, recorded, here, (Cause(CauseKind.STAGE_OUTPUT, f"{path} was changed"),))

    def contract_of(self, record: Record | None) -> Contract:
        """The recorded contract a gate was judged under; that of the launch where no recorded one has its thresholds."""
        found = self.stored.judged_under(record.limits if record is not None else None)
        return found if found is not None else self.stored.contract

    def with_contract(self, record: Record, causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
        """The causes, before them that the gate was judged by thresholds no recorded contract has."""
        if self.stored.judged_under(record.limits) is not None:
            return causes
        here = self.stored.contract.limits_digest
        text = f"it was judged by thresholds {record.limits}, the recorded contract has {here}"
        return (Cause(CauseKind.CONTRACT, text), *(one for one in causes if one.kind is not CauseKind.UNKNOWN))
