"""What is known here of orders that were given: beside the stages' directories, so that a later asset, or a later process after
one that was killed, finds the run instead of starting another."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

FOLDER = ".databricks"


@contextmanager
def alone(retrain: Path) -> Iterator[None]:
    """No other process of this home begins a run for the retrain, or brings its answers home, meanwhile.

    Args:
        retrain: directory of the retrain's stages.
    """
    folder = retrain / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True, slots=True)
class UnderWay:
    """One order.

    Args:
        folder: of the order on the volume.
        token: name of the order; also the idempotency token of its run.
        attempt: which try of the same request it is.
        stages: the stages it asks for.
        digests: of their requests, in the same order.
        code: digest of the code it was given with.
        job_id: job that runs it.
        run_id: run of the job; None while it is not known whether the run was begun.
        dagster_run_id: the orchestrator's run that gave it.
    """

    folder: str
    token: str
    attempt: int
    stages: Sequence[str]
    digests: Sequence[str]
    code: str
    job_id: int
    run_id: int | None = None
    dagster_run_id: str | None = None

    def asks(self, stage: str, digest: str, code: str) -> bool:
        """Whether it asks for a stage with this digest and this code."""
        return code == self.code and (stage, digest) in zip(self.stages, self.digests, strict=True)

    def begun(self, run_id: int | None) -> UnderWay:
        """The same with its run."""
        return replace(self, run_id=run_id)

    def write(self, retrain: Path) -> None:
        """Note it for each of its stages, in the directory of the retrain's stages."""
        folder = retrain / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for stage in self.stages:
            scratch = folder / f"{stage}.json.writing"
            scratch.write_text(json.dumps(asdict(self)))
            scratch.replace(folder / f"{stage}.json")

    @classmethod
    def read(cls, retrain: Path, stage: str) -> UnderWay | None:
        """The last order that asked for a stage; None when there was none."""
        try:
            value = json.loads((retrain / FOLDER / f"{stage}.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return cls(**{item.name: value[item.name] for item in fields(cls)})

    @classmethod
    def all(cls, retrain: Path) -> list[UnderWay]:
        """Every order that is the last of one of its stages, each once."""
        names = sorted(path.stem for path in (retrain / FOLDER).glob("*.json"))
        found = {one.token: one for one in (cls.read(retrain, name) for name in names) if one is not None}
        return list(found.values())
