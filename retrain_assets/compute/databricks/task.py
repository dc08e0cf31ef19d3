"""The job's side: one stage of an order, computed where its data is. Imports no Dagster, only ``dagster_pipes``."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any

from retrain_assets.compute.databricks.answers import NotComputed
from retrain_assets.compute.databricks.order import ORDER, Order, refuse_skew
from retrain_assets.compute.databricks.task_pipes import reporting
from retrain_assets.compute.databricks.volume import sha256_of
from retrain_assets.compute.local import LocalCompute
from retrain_assets.compute.places import located
from retrain_assets.compute.request import StageResult
from retrain_assets.contract import Gate, Outcome, RetrainError, StageError, Verdict
from retrain_assets.contract.verdict import overall

UNIT_KEY = "unit_key"
VISIBLE_WITHIN_SECONDS = 20


def run_task(folder: str, stage: str) -> int:
    """Compute one stage of an order; gives the exit code.

    The result, or in ``error.json`` why there is none, is put where the order says. A stage that has its result already is not
    computed again.

    Args:
        folder: of the order, on the volume.
        stage: the stage.
    """
    try:
        order = _order(folder)
        return _answered(order, stage)
    except RetrainError as error:
        _write(f"{folder}/{stage}/error.json", _spoken(error))
        sys.stderr.write(f"{error.line}\n")
        return 1


def _answered(order: Order, stage: str) -> int:
    request = order.requests.get(stage)
    if request is None:
        raise StageError(f"the order asks for no stage {stage!r}", where=order.path, remedy="launch the stage again")
    located(order.error_path(stage)).unlink(missing_ok=True)
    os.environ["RETRAIN_HOME"] = str(located(order.home))
    with reporting(located(order.messages(stage)), order.pipes) as pipes:
        _hold_gates(order, stage)
        refuse_skew(order, request.parsed_contract())
        compute = LocalCompute()
        digests = compute.input_digests(request)
        _refuse_other_inputs(order, stage, digests)
        result = compute.run(replace(request, unit_key=_unit_key(order)), digests=digests)
        for verdict in (Verdict.from_json(one) for found in result.verdicts.values() for one in found):
            pipes.report_asset_check(
                check_name=verdict.check,
                passed=verdict.passed,
                severity="ERROR",
                metadata={"outcome": verdict.outcome.value, "message": verdict.message},
                asset_key=f"{request.model}/{stage}",
            )
        _write(
            order.result_path(stage),
            {
                "result": result.to_json(),
                "inputs": digests,
                "files": {name: _files(o["uri"]) for name, o in result.outputs.items()},
            },
        )
    return 0


def _order(folder: str) -> Order:
    return Order.parsed(folder, _shown(f"{folder}/{ORDER}", "order"))


def _shown(uri: str, what: str) -> bytes:
    """A file that was written a moment ago by another machine; a volume may show it late."""
    path = located(uri)
    for _ in range(VISIBLE_WITHIN_SECONDS):
        if path.exists():
            return path.read_bytes()
        sleep(1)
    raise StageError(
        f"the {what} is not there",
        where=uri,
        remedy="give the job's identity READ VOLUME, and launch the stage again",
    )


def _hold_gates(order: Order, stage: str) -> None:
    """Stop where a stage before this one, in the same order, has not opened its gates: nothing is computed for nothing."""
    for before in order.before(stage):
        answer = json.loads(_shown(order.result_path(before), f"result of {before}"))
        result = StageResult.from_json(answer["result"])
        for gate in result.verdicts:
            verdicts = result.verdicts_of(Gate(gate))
            if overall(verdicts) is not Outcome.PASS:
                held = ", ".join(one.check for one in verdicts if not one.passed) or "no verdict"
                raise NotComputed(
                    f"gate {gate} is not open after {before} ({held}), so {stage} was not computed",
                    where=f"{order.requests[stage].model} {order.requests[stage].retrain}",
                    remedy="launch the next retrain, or have the check overridden and launch this stage again",
                )


def _refuse_other_inputs(order: Order, stage: str, digests: Mapping[str, str]) -> None:
    for name, digest in order.inputs.get(stage, {}).items():
        if digests.get(name) != digest:
            raise StageError(
                f"input {name!r} is {str(digests.get(name))[:19]} on the volume and {digest[:19]} at the orchestrator",
                where=order.requests[stage].inputs[name],
                remedy=f"delete it there and launch the stage that makes {name!r} again",
            )


def _unit_key(order: Order) -> bytes:
    """The secret that units are named with; empty where the contract names no scope."""
    if order.secret_scope is None:
        return b""
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.errors.base import DatabricksError

    where = f"secret scope {order.secret_scope}, key {UNIT_KEY}"
    try:
        found = WorkspaceClient().secrets.get_secret(order.secret_scope, UNIT_KEY).value
        key = b64decode(b64decode(found or ""), validate=True)
    except DatabricksError as error:
        said = str(error).partition("\n")[0]
        raise StageError(
            f"cannot be read ({said})", where=where, remedy="put the secret there and give the job's identity READ on the scope"
        ) from error
    except ValueError as error:
        raise StageError("is no base64 text", where=where, remedy="write: base64 < $RETRAIN_HOME/keys/units") from error
    if len(key) < 16:
        raise StageError(f"{len(key)} bytes are no key", where=where, remedy="write: base64 < $RETRAIN_HOME/keys/units")
    return key


def _files(uri: str) -> dict[str, dict[str, Any]]:
    """Every file of an output by its path below it (``""`` for an output that is a file), with size and digest."""
    place = located(uri)
    files = [place] if place.is_file() else sorted(one for one in place.rglob("*") if one.is_file())
    return {
        ("" if one == place else one.relative_to(place).as_posix()): {"size": one.stat().st_size, "sha256": sha256_of(one)}
        for one in files
    }


def _spoken(error: RetrainError) -> dict[str, str]:
    return {"kind": type(error).__name__, "what": error.what, "where": error.where, "remedy": error.remedy}


def _write(uri: str, value: Any) -> None:
    path = Path(located(uri))
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".writing")
    scratch.write_text(json.dumps(value))
    scratch.replace(path)
