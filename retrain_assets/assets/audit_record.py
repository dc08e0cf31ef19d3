"""Asset ``audit_record``: the evidence pack of one retrain, failed and rejected ones too."""

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg

from retrain_assets.assets.faces import table
from retrain_assets.assets.links import pack_metadata
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.contract import Outcome
from retrain_assets.ledger import SYSTEM
from retrain_assets.release.anchoring import HEAD_METADATA, head_anchor
from retrain_assets.reports import words, write_index, write_pack
from retrain_assets.reports.retrain_line import MARKS, NOT_REACHED


def audit_record_asset(road: Road) -> dg.AssetsDefinition:
    """The evidence pack as one HTML page and the same as JSON, its digest in the ledger."""

    @dg.asset(
        key=road.key("audit_record"),
        deps=[road.key("promotion_decision")],
        partitions_def=road.partitions,
        code_version=road.code_version,
        description="The evidence pack: one self-contained page and the same as JSON, for every ended retrain, failed and "
        "rejected ones too. Its checks say how far each retrain came: see the partitions of went_live and of each gate.",
        group_name=road.model,
        owners=road.owners("audit_record"),
        kinds=road.kinds("audit_record"),
        tags=road.tags,
    )
    def audit_record(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        retrain = context.partition_key
        pack = write_pack(platform.home, road.model, retrain)
        platform.controller.record_audit(road.model, retrain, pack.digest, SYSTEM)
        write_index(platform.home, road.model)
        return dg.MaterializeResult(
            metadata={
                **answer_metadata(json.loads(pack.json.read_text(encoding="utf-8"))),
                **pack_metadata(platform.home, road.model, retrain),
                "digest": pack.digest,
                HEAD_METADATA: head_anchor(platform.ledger),
            },
            data_version=dg.DataVersion(pack.digest),
        )

    return audit_record


def answer_metadata(pack: Mapping[str, Any]) -> dict[str, Any]:
    """What a pack begins with: how the retrain ended and why, what each gate said, what set it off.

    Args:
        pack: as :func:`retrain_assets.reports.pack.pack_of` gives it.
    """
    answer = pack["answer"]
    return {
        "answer": f"{answer['word']}: {answer['headline']}",
        "why": answer["why"],
        "by": ", ".join(map(words.actor, answer["by"])),
        "gates": table(map(_gate, pack["gates"]), as_written=True),
        "set off by": pack["trigger"]["sentence"],
    }


def _gate(gate: Mapping[str, Any]) -> dict[str, str | None]:
    if gate["outcome"] is None:
        return {"gate": gate["gate"], "said": f"{NOT_REACHED} not reached"}
    said = f"{MARKS[Outcome(gate['outcome'])]} {words.words(gate['outcome'])}"
    closed = [words.words(check["check"]) for check in gate["checks"] if check["outcome"] != Outcome.PASS]
    return {"gate": gate["gate"], "said": said, "does not hold": ", ".join(closed) or None}
