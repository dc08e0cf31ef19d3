"""The entry point that every other place of computation calls: a request file in, a result file out.

``python -m retrain_assets.compute.stage REQUEST.json RESULT.json`` runs one stage in a process of its own; it exits 2 with
one line on standard error when the stage cannot produce its result. ``retrain-stage ORDER STAGE`` is the task of a Databricks
job: one stage of an order that lies on a volume; it exits 1 when there is no result.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from retrain_assets.compute.dispatch import run_stage
from retrain_assets.compute.request import StageRequest
from retrain_assets.contract import RetrainError
from retrain_assets.observability import set_up_logging


def console() -> None:
    """The task of a job, with the process's own arguments: folder of the order, name of the stage. A failed task exits 1.

    A task that succeeds returns: a job takes any ``SystemExit`` for a failure.
    """
    from retrain_assets.compute.databricks.task import run_task

    arguments = sys.argv[1:]
    if len(arguments) != 2:
        sys.stderr.write("usage: retrain-stage ORDER STAGE\n")
        sys.exit(2)
    set_up_logging()
    if code := run_task(*arguments):
        sys.exit(code)


def main(arguments: list[str]) -> int:
    """Run the stage of a request file and write its result file; gives the exit code."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m retrain_assets.compute.stage REQUEST.json RESULT.json\n")
        return 2
    set_up_logging()
    request_path, result_path = map(Path, arguments)
    try:
        result = run_stage(StageRequest.from_json(json.loads(request_path.read_text())))
    except RetrainError as error:
        sys.stderr.write(f"{error.line}\n")
        return 2
    scratch = result_path.with_name(result_path.name + ".writing")
    scratch.write_text(json.dumps(result.to_json()))
    scratch.replace(result_path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
